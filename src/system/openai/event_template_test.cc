#include "system/openai/event_template.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/rng.h"

namespace moecap::openai {
namespace {

std::string Completion(std::string_view text, std::string_view ids, std::string_view count, std::string_view total) {
  return fmt::format(
      R"({{"id":"cmpl-1","choices":[{{"index":0,"text":"{}","logprobs":null,"finish_reason":null,"token_ids":{}}}],"usage":{{"completion_tokens":{},"total_tokens":{}}}}})",
      text, ids, count, total);
}

// What an event says, in a form that compares.
std::string Said(const EventFacts& facts) {
  return fmt::format("{}|{}|{}|{}|{}|{}|{}", facts.text, facts.reasoning, facts.has_token_ids, fmt::join(facts.token_ids, ","),
                     facts.output_tokens.value_or(-1), facts.has_output, static_cast<int>(facts.finish));
}

class EventTemplates : public testing::Test {
 protected:
  // Reads an event both ways; the template's word must be the parser's.
  bool Matches(const std::string& event) {
    EventFacts parsed, matched;
    const bool is_match = stream_.Match(event, matched) == event.size();
    const bool read = reader_.Read(event, parsed);
    EXPECT_TRUE(read || !is_match) << event;
    EXPECT_EQ(is_match ? Said(matched) : Said(parsed), Said(parsed)) << event;
    EventFacts again;
    EXPECT_EQ(reader_.Read(event, stream_, again), read);
    EXPECT_EQ(read ? Said(again) : "", read ? Said(parsed) : "");
    return is_match;
  }
  EventReader reader_{Api::kCompletions};
  EventTemplate stream_;
};

TEST_F(EventTemplates, ReadTheSlotsOfALikeEvent) {
  EXPECT_FALSE(Matches(Completion(" a", "[7]", "1", "4")));
  EXPECT_TRUE(Matches(Completion(" longer", "[8, 9]", "12", "15")));
  EXPECT_TRUE(Matches(Completion("", "[]", "0", "0")));
  EXPECT_TRUE(Matches(Completion("\xe2\x82\xac \xf0\x9f\x98\x80", "[1,22,333]", "99999999", "5")));
}

TEST_F(EventTemplates, LeaveEverythingElseToTheParser) {
  Matches(Completion(" a", "[7]", "1", "4"));
  for (const std::string& event :
       {Completion("a\\nb", "[7]", "1", "4"), Completion("a\\\"b", "[7]", "1", "4"), Completion("\xff", "[7]", "1", "4"),
        Completion("a\nb", "[7]", "1", "4"), Completion("a", "[7,]", "1", "4"), Completion("a", "[-7]", "1", "4"),
        Completion("a", "null", "1", "4"), Completion("a", "[7]", "1.5", "4"), Completion("a", "[7]", "1e3", "4"),
        Completion("a", "[7]", "007", "4"), Completion("a", "[7]", "\"1\"", "4"), Completion("a", "[7]", "1", ""),
        Completion("a", "[7]", "12345678901", "4"), Completion("a\",\"x\":\"", "[7]", "1", "4"),
        Completion("a", "[7]", "1", "4") + " ", Completion("a", "[7]", "1", "4").substr(0, 60), std::string("{}")}) {
    EventTemplate fresh;
    std::swap(stream_, fresh);
    Matches(Completion(" a", "[7]", "1", "4"));
    EXPECT_FALSE(Matches(event)) << event;
  }
}

TEST_F(EventTemplates, NullsStayNull) {
  const auto delta = [](std::string_view content, std::string_view reasoning) {
    return fmt::format(R"({{"choices":[{{"index":0,"delta":{{"content":{},"reasoning":{}}},"token_ids":null}}]}})", content,
                       reasoning);
  };
  Matches(delta("null", "\"hm\""));
  EXPECT_TRUE(Matches(delta("null", "\"so\"")));
  EXPECT_FALSE(Matches(delta("\"a\"", "null")));
  EXPECT_TRUE(Matches(delta("\"b\"", "null")));
  EXPECT_FALSE(Matches(delta("nuts", "null")));
}

TEST_F(EventTemplates, TheEndOfAStreamIsParsed) {
  Matches(R"({"choices":[{"index":0,"text":"a","finish_reason":null}]})");
  EXPECT_FALSE(Matches(R"({"choices":[{"index":0,"text":"a","finish_reason":"stop"}]})"));
  EXPECT_FALSE(Matches(R"({"choices":[{"index":1,"text":"a","finish_reason":null}]})"));
}

TEST_F(EventTemplates, FindTheEndOfTheEvent) {
  const std::string first = Completion(" a", "[7]", "1", "4"), second = Completion(" of", "[8,9]", "3", "6");
  Matches(first);
  const std::string more = second + "\n\ndata: x";  // the facts point into it
  EventFacts facts;
  EXPECT_EQ(stream_.Match(more, facts), second.size());
  EXPECT_EQ(facts.text, " of");
  EXPECT_EQ(stream_.Match(second.substr(0, second.size() - 1), facts), 0u);
  EXPECT_EQ(stream_.Match("", facts), 0u);
}

// What was learnt holds no line end: in a stream it would be several lines.
TEST_F(EventTemplates, LearnNoLineEnds) {
  for (const char* end : {"\n", "\r"}) {
    const std::string event = std::string(R"({"choices":[{"index":0,"text":"a"}]})").insert(1, end);
    EXPECT_FALSE(Matches(event));
    EXPECT_FALSE(Matches(event)) << "and again";
  }
}

// Whatever is changed in an event, the template agrees with the parser or steps back.
TEST_F(EventTemplates, AgreeWithTheParserOnMutations) {
  Rng rng(7);
  const std::string base = Completion(" token", "[7,8]", "12", "20");
  constexpr std::string_view kBytes = "\"\\{}[],:0123456789.eE- atx\n\xc3\xa9";
  for (int round = 0; round < 20000; ++round) {
    std::string event = base;
    for (uint64_t i = 1 + rng.Below(3); i > 0; --i) {
      const size_t at = static_cast<size_t>(rng.Below(event.size()));
      const char byte = kBytes[rng.Below(kBytes.size())];
      switch (rng.Below(3)) {
        case 0:
          event[at] = byte;
          break;
        case 1:
          event.insert(at, 1, byte);
          break;
        default:
          event.erase(at, 1);
      }
    }
    EventTemplate fresh;
    std::swap(stream_, fresh);
    Matches(base);
    Matches(event);
    if (HasFailure()) break;
  }
}

}  // namespace
}  // namespace moecap::openai
