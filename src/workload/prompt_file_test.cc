#include "workload/prompt_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/fs.h"

namespace moecap::workload {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

class PromptFileTest : public testing::Test {
 protected:
  Result<PromptFile> Read(const std::string& content) {
    CHECK(WriteFileAtomically(path_, content).ok());
    return ReadPromptFile(path_);
  }
  std::string ErrorOf(const std::string& content) {
    const auto file = Read(content);
    return file.ok() ? "no complaint" : file.error().message;
  }
  void TearDown() override { std::filesystem::remove(path_); }
  std::filesystem::path path_ = std::filesystem::path(testing::TempDir()) / ("moecap-prompts-" + std::to_string(::getpid()));
};

std::vector<std::string> Messages(const PromptEntry& entry) {
  std::vector<std::string> messages;
  for (const PromptTurn& turn : entry.turns) messages.push_back(turn.message);
  return messages;
}

constexpr const char* kConversation =
    R"({"id": "ab", "conversations": [{"from": "system", "value": "be brief"}, {"from": "human", "value": "h\u00e9"},)"
    R"({"from": "gpt", "value": "one"}, {"from": "user", "value": "second"}, {"from": "human", "value": ""}]})";

TEST_F(PromptFileTest, ReadsShareGptAsArrayAndAsLines) {
  for (const std::string& text : {"[" + std::string(kConversation) + ",\n" + kConversation + "]",
                                  std::string(kConversation) + "\n\n" + kConversation + "\r\n"}) {
    const auto file = Read(text);
    ASSERT_TRUE(file.ok()) << file.error().message;
    ASSERT_EQ(file->entries.size(), 2u);
    EXPECT_THAT(Messages(file->entries[0]), ElementsAre("h\xc3\xa9", "second"));
    EXPECT_EQ(file->entries[0].turns[0].answer, "one");
    EXPECT_EQ(file->entries[0].turns[1].answer, "");
    EXPECT_EQ(file->entries[0].id, "ab");
    EXPECT_NE(file->entries[1].id, "ab");
    EXPECT_EQ(file->entries[0].output_tokens, std::nullopt);
  }
}

TEST_F(PromptFileTest, CountsConversationsInWhichNobodyAsks) {
  const auto file = Read(R"([{"conversations": []}, {"conversations": [{"from": "gpt", "value": "x"}]}, )" +
                         std::string(kConversation) + "]");
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(file->entries.size(), 1u);
  EXPECT_EQ(file->skipped, 2);
  EXPECT_THAT(ErrorOf(R"([{"conversations": []}])"), HasSubstr("no prompt is in it"));
}

TEST_F(PromptFileTest, ReadsPlainPromptsAndProblems) {
  const auto prompts =
      Read("{\"prompt\": \"a\", \"output_tokens\": 5}\n{\"prompt\": \"b\", \"id\": 17, \"output_tokens\": null}\n");
  ASSERT_TRUE(prompts.ok()) << prompts.error().message;
  EXPECT_EQ(prompts->entries[0].id, "1");
  EXPECT_EQ(prompts->entries[0].output_tokens, 5);
  EXPECT_EQ(prompts->entries[1].id, "17");
  EXPECT_THAT(Messages(prompts->entries[1]), ElementsAre("b"));
  const auto problems = Read("\n{\"question\": \"1+1?\", \"answer\": \"2\", \"id\": \"p\"}\n");
  ASSERT_TRUE(problems.ok()) << problems.error().message;
  EXPECT_THAT(Messages(problems->entries[0]), ElementsAre("1+1?"));
  EXPECT_EQ(problems->entries[0].id, "p");
}

// "messages | answers" of the only entry.
std::string Only(const Result<PromptFile>& file) {
  if (!file.ok()) return file.error().message;
  std::string text;
  for (const PromptTurn& turn : file->entries.at(0).turns) text += turn.message + "|" + turn.answer + ";";
  return text;
}

TEST_F(PromptFileTest, ReadsTheFieldsDataSets) {
  EXPECT_EQ(
      Only(Read(
          R"({"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "q"},)"
          R"({"role": "assistant", "content": null}, {"role": "assistant", "content": "a"}, {"role": "user", "content": "r"}]})")),
      "q|a;r|;");
  EXPECT_EQ(
      Only(Read(
          R"({"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url"}, {"type": "text", "text": "b"}]}]})")),
      "ab|;");
  EXPECT_EQ(Only(Read(R"({"conversations": [{"role": "user", "content": "q"}]})")), "q|;");
  EXPECT_EQ(Only(Read(R"({"question_id": 81, "turns": ["one", "two"]})")), "one|;two|;");
  EXPECT_EQ(Only(Read(R"({"text": "t"})")), "t|;");
  EXPECT_EQ(Only(Read(R"({"question": "q"})")), "q|;");
  EXPECT_EQ(Only(Read(R"({"prompt": [{"role": "user", "content": "q"}]})")), "q|;");
  EXPECT_EQ(Only(Read(R"({"prompt": "q", "completion": "a b"})")), "q|a b;");
  EXPECT_EQ(Only(Read(R"([{"instruction": "sum", "input": "1 2", "output": "3"}])")), "sum\n\n1 2|3;");
  EXPECT_EQ(Only(Read(R"([{"instruction": "sum", "input": "", "output": ""}])")), "sum|;");
  EXPECT_EQ(Only(Read("{\n \"data\": [\n{\"prompt\": \"p\"}\n]\n}")), "p|;");
  EXPECT_EQ(Only(Read("{\n \"prompt\":\n\"p\"\n}")), "p|;");
  EXPECT_EQ(Read(R"({"question_id": 81, "turns": ["one", "two"]})")->entries[0].id, "81");
}

TEST_F(PromptFileTest, NamesWhatIsWrongAndWhere) {
  EXPECT_THAT(ErrorOf(""), HasSubstr("the file is empty"));
  EXPECT_THAT(ErrorOf(" \n\n"), HasSubstr("the file is empty"));
  EXPECT_THAT(ErrorOf("[1"), HasSubstr("not valid JSON"));
  EXPECT_THAT(ErrorOf("[1]"), AllOf(HasSubstr("entry 1"), HasSubstr("not a JSON object")));
  EXPECT_THAT(ErrorOf("{\"prompt\": \"a\"}\n{\"prompt\": \"a\"\n"), AllOf(HasSubstr(":2: "), HasSubstr("not valid JSON")));
  EXPECT_THAT(ErrorOf("{\"prompt\": \"a\"}\n{\"txt\": \"a\"}\n"),
              AllOf(HasSubstr(":2: "), HasSubstr("each entry must have one of")));
  EXPECT_THAT(ErrorOf("{\"prompt\": \"\"}\n"), HasSubstr("not empty"));
  EXPECT_THAT(ErrorOf("{\"prompt\": 5}\n"), HasSubstr("not empty"));
  EXPECT_THAT(ErrorOf("{\"prompt\": \"a\", \"output_tokens\": 0}\n"), HasSubstr("from 1 to"));
  EXPECT_THAT(ErrorOf("{\"prompt\": \"a\", \"output_tokens\": 2.5}\n"), HasSubstr("whole number"));
  EXPECT_THAT(ErrorOf("{\"conversations\": {}}\n"), HasSubstr("must be a list"));
  EXPECT_THAT(ErrorOf("{\"conversations\": [{\"from\": \"human\"}]}\n"), HasSubstr("\"from\" and \"value\""));
  EXPECT_THAT(ErrorOf("{\"messages\": [{\"role\": \"user\", \"content\": 5}]}\n"), HasSubstr("a text or a list of parts"));
  EXPECT_THAT(ErrorOf("{\"turns\": []}\n"), HasSubstr("no prompt is in it"));
  EXPECT_THAT(ErrorOf("{\"question\": \"\", \"answer\": \"a\"}\n"), HasSubstr("not empty"));
  EXPECT_THAT(ErrorOf("{\"prompt\": \"\xff\"}\n"), HasSubstr("not valid JSON"));
  EXPECT_THAT(ErrorOf("hello\n"), HasSubstr("not valid JSON"));
  std::filesystem::remove(path_);
  EXPECT_THAT(ReadPromptFile(path_).error().message, HasSubstr(path_.string()));
}

}  // namespace
}  // namespace moecap::workload
