#include "system/llamacpp/chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>

#include "base/clock.h"
#include "base/fs.h"
#include "base/testing/temp_dir.h"
#include "load/closed_loop.h"
#include "system/llamacpp/llamacpp_system.h"

namespace moecap::llamacpp {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr const char* kChatMl =
    "{% for m in messages %}{{'<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>' + '\\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";
const std::vector<load::Message> kChat = {{"system", "Think."}, {"user", "1 + 1?"}, {"assistant", "2"}, {"user", "2 + 2?"}};

TEST(RenderChat, WritesTheFormsThatTheLibraryKnows) {
  EXPECT_EQ(RenderChat(kChatMl, kChat).value(),
            "<|im_start|>system\nThink.<|im_end|>\n<|im_start|>user\n1 + 1?<|im_end|>\n<|im_start|>assistant\n2<|im_end|>\n"
            "<|im_start|>user\n2 + 2?<|im_end|>\n<|im_start|>assistant\n");
  const std::string llama3 = "{{ '<|start_header_id|>' + m.role + '<|end_header_id|>' }}";
  EXPECT_EQ(RenderChat(llama3, std::vector<load::Message>{{"user", "hi"}}).value(),
            "<|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n");
}

TEST(RenderChat, TakesLongMessages) {
  for (const size_t length : {900, 960, 980, 1000, 1024, 5000}) {
    const std::string text = RenderChat(kChatMl, std::vector<load::Message>{{"user", std::string(length, 'x')}}).value();
    EXPECT_THAT(text, testing::EndsWith("<|im_start|>assistant\n")) << length;
    EXPECT_EQ(std::ranges::count(text, 'x'), static_cast<std::ptrdiff_t>(length));
  }
}

TEST(RenderChat, RefusesWhatItCannotRender) {
  const auto refused = RenderChat("Question: {{ messages[-1].content }}\nAnswer:", kChat);
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message, HasSubstr("cannot render the model's chat template (\"Question: {{ messages"));
  EXPECT_THAT(refused.error().message, HasSubstr("llama-server"));
}

// The shipped model with a template in its file: metadata begins behind four numbers of a GGUF's head (magic, version, tensors,
// entries), and what is inserted keeps the alignment of the weights.
class ChatEngine : public testing::Test {
 protected:
  static fs::path TinyMoe() { return fs::path(MOECAP_SOURCE_DIR) / "models/tiny-moe/tiny-moe-f16.gguf"; }
  fs::path WithTemplate(std::string text) const {
    constexpr size_t kHead = 24, kAlignment = 32;
    const std::string key = "tokenizer.chat_template";
    while ((8 + key.size() + 4 + 8 + text.size()) % kAlignment != 0) text += ' ';
    std::string entry;
    const auto number = [&](uint64_t value, size_t bytes) { entry.append(reinterpret_cast<const char*>(&value), bytes); };
    number(key.size(), 8);
    entry += key;
    number(8, 4);  // a string
    number(text.size(), 8);
    entry += text;
    std::string file = ReadFile(TinyMoe()).value();
    uint64_t entries = 0;
    std::memcpy(&entries, file.data() + 16, sizeof entries);
    ++entries;
    std::memcpy(file.data() + 16, &entries, sizeof entries);
    file.insert(kHead, entry);
    const fs::path path = dir_.path() / "chat.gguf";
    EXPECT_TRUE(WriteFileAtomically(path, file).ok());
    return path;
  }
  Result<std::unique_ptr<LlamaCppSystem>> Create(const fs::path& path, bool chat) {
    ASSIGN_OR_RETURN(library_, EngineLibrary::Load());
    ASSIGN_OR_RETURN(auto model, LoadedModel::Load(*library_, path));
    EngineOptions options;
    options.chat = chat;
    return LlamaCppSystem::Create(*library_, std::move(model), options, clock_);
  }
  record::RequestRecord Ask(LlamaCppSystem& system, const load::RequestSpec& request) {
    return load::RunClosedLoop(system, std::span(&request, 1), {}, clock_)->requests.at(0);
  }

  TempDir dir_;
  SteadyClock clock_;
  std::unique_ptr<EngineLibrary> library_;
};

load::RequestSpec Question() {
  load::RequestSpec request;
  request.id = "q";
  request.prompt = "Question: Tom has 12 apples and buys 30 more. How many?\nAnswer:";
  request.max_output_tokens = 8;
  return request;
}

TEST_F(ChatEngine, AChatIsThatTextWithoutAChat) {
  const fs::path path = WithTemplate(kChatMl);
  load::RequestSpec chat = Question();
  chat.messages = {{"system", "Think."}, {"user", chat.prompt}};
  load::RequestSpec plain = Question();
  plain.prompt = RenderChat(kChatMl, chat.messages).value();
  auto with = Create(path, true);
  ASSERT_TRUE(with.ok()) << with.error().message;
  ASSERT_TRUE((*with)->Validate(chat).ok());
  const record::RequestRecord answered = Ask(**with, chat);
  // A prompt alone is one message of the user.
  load::RequestSpec user = Question();
  user.messages = {{"user", user.prompt}};
  const record::RequestRecord as_user = Ask(**with, user), as_prompt = Ask(**with, Question());
  with->reset();
  auto without = Create(path, false);
  const record::RequestRecord expected = Ask(**without, plain);
  EXPECT_EQ(answered.input_tokens, expected.input_tokens);
  EXPECT_EQ(answered.token_ids, expected.token_ids);
  EXPECT_EQ(as_user.token_ids, as_prompt.token_ids);
  EXPECT_EQ(as_user.input_tokens, as_prompt.input_tokens);
  EXPECT_THAT((*without)->Validate(chat).error().message, HasSubstr("chat: true"));
}

TEST_F(ChatEngine, ModelsWithoutATemplateThatCanBeRenderedAreRefused) {
  EXPECT_THAT(Create(TinyMoe(), true).error().message, HasSubstr("has no chat template"));
  EXPECT_THAT(Create(WithTemplate("Question: {{ messages[-1].content }}\nAnswer:"), true).error().message,
              HasSubstr("cannot render the model's chat template"));
}

TEST_F(ChatEngine, LikelihoodsAreOfPlainTexts) {
  auto system = Create(WithTemplate(kChatMl), true);
  load::RequestSpec request = Question();
  request.continuations = {" 42", " 43"};
  EXPECT_THAT((*system)->Validate(request).error().message, HasSubstr("plain text"));
}

}  // namespace
}  // namespace moecap::llamacpp
