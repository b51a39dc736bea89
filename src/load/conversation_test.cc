#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "load/load_loop.h"
#include "load/scripted_system.h"

namespace moecap::load {
namespace {

using testing::ElementsAre;

// Keeps what was sent, beside doing what its base does.
class WatchedSystem final : public SystemUnderTest {
 public:
  explicit WatchedSystem(FakeClock& clock) : base_(clock) {}
  Status Validate(const RequestSpec& request) override { return base_.Validate(request); }
  Status Submit(const RequestSpec& request, uint64_t ticket) override {
    sent.push_back(request);
    return base_.Submit(request, ticket);
  }
  Status Advance(Observer& observer, int64_t until_ns) override { return base_.Advance(observer, until_ns); }
  void Cancel(uint64_t ticket) override { base_.Cancel(ticket); }
  void CancelAll() override { base_.CancelAll(); }

  std::vector<RequestSpec> sent;

 private:
  ScriptedSystem base_;
};

Turn Says(const std::string& text, double think_s, int64_t tokens = 2) {
  Turn turn;
  turn.spec.id = text;
  turn.spec.prompt = text;
  turn.spec.max_output_tokens = tokens;
  turn.think_s = think_s;
  return turn;
}

TEST(Conversations, CarryWhatWasSaidAndWaitForTheUser) {
  FakeClock clock;
  WatchedSystem system(clock);
  const std::vector<Conversation> conversations = {{Says("a", 0), Says("b", 0.5)}, {Says("c", 0.25)}};
  SharedIndex next(conversations.size());
  ConversationSource source({}, conversations, next);
  const auto result = RunLoad(system, source, {}, clock);
  ASSERT_TRUE(result.ok());
  ASSERT_EQ(result->requests.size(), 3u);
  EXPECT_DOUBLE_EQ(result->requests[0].send_s, 0);
  EXPECT_DOUBLE_EQ(result->requests[1].send_s, 0.52) << "two tokens, then half a second of thought";
  EXPECT_DOUBLE_EQ(result->requests[1].intended_send_s, 0.52);
  EXPECT_NEAR(result->requests[2].send_s, 0.52 + 0.02 + 0.25, 1e-9) << "the next conversation of the same user";
  std::vector<std::string> said;
  for (const Message& message : system.sent[1].messages) said.push_back(message.role + ": " + message.content);
  EXPECT_THAT(said, ElementsAre("user: a", "assistant: text", "user: b"));
  EXPECT_EQ(system.sent[1].prompt, "");
  EXPECT_EQ(system.sent[2].messages.size(), 1u) << "a new conversation begins empty";
}

TEST(Conversations, GrowOnePromptWithoutMessages) {
  FakeClock clock;
  WatchedSystem system(clock);
  const Conversation conversation = {Says("a", 0), Says("b", 0)};
  SharedIndex next(1);
  ConversationSource source({.as_messages = false}, std::span(&conversation, 1), next);
  ASSERT_TRUE(RunLoad(system, source, {}, clock).ok());
  EXPECT_EQ(system.sent[1].prompt, "atextb");
}

TEST(Conversations, UsersShareTheListAndStartApart) {
  FakeClock clock;
  WatchedSystem system(clock);
  const std::vector<Conversation> conversations(5, Conversation{Says("x", 0, 10)});
  SharedIndex next(conversations.size());
  ConversationSource source({.users = 2, .ramp_s = 0.1, .all_users = 2}, conversations, next);
  const auto result = RunLoad(system, source, {}, clock);
  ASSERT_TRUE(result.ok());
  ASSERT_EQ(result->requests.size(), 5u);
  EXPECT_DOUBLE_EQ(result->requests[0].send_s, 0);
  EXPECT_DOUBLE_EQ(result->requests[1].send_s, 0.05);
  EXPECT_EQ(result->requests[1].client, 1);
}

}  // namespace
}  // namespace moecap::load
