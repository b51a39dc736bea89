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

constexpr const char* kConversation =
    R"({"id": "ab", "conversations": [{"from": "system", "value": "be brief"}, {"from": "human", "value": "h\u00e9"},)"
    R"({"from": "gpt", "value": "one"}, {"from": "user", "value": "second"}, {"from": "human", "value": ""}]})";

TEST_F(PromptFileTest, ReadsShareGptAsArrayAndAsLines) {
  for (const std::string& text : {"[" + std::string(kConversation) + ",\n" + kConversation + "]",
                                  std::string(kConversation) + "\n\n" + kConversation + "\r\n"}) {
    const auto file = Read(text);
    ASSERT_TRUE(file.ok()) << file.error().message;
    ASSERT_EQ(file->entries.size(), 2u);
    EXPECT_THAT(file->entries[0].messages, ElementsAre("h\xc3\xa9", "second"));
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
  EXPECT_THAT(prompts->entries[1].messages, ElementsAre("b"));
  const auto problems = Read("\n{\"question\": \"1+1?\", \"answer\": \"2\", \"id\": \"p\"}\n");
  ASSERT_TRUE(problems.ok()) << problems.error().message;
  EXPECT_THAT(problems->entries[0].messages, ElementsAre("1+1?"));
  EXPECT_EQ(problems->entries[0].id, "p");
}

TEST_F(PromptFileTest, NamesWhatIsWrongAndWhere) {
  EXPECT_THAT(ErrorOf(""), HasSubstr("the file is empty"));
  EXPECT_THAT(ErrorOf(" \n\n"), HasSubstr("the file is empty"));
  EXPECT_THAT(ErrorOf("[1"), HasSubstr("not valid JSON"));
  EXPECT_THAT(ErrorOf("[1]"), AllOf(HasSubstr("entry 1"), HasSubstr("not a JSON object")));
  EXPECT_THAT(ErrorOf("{\"prompt\": \"a\"}\n{\"prompt\": \"a\"\n"), AllOf(HasSubstr(":2: "), HasSubstr("not valid JSON")));
  EXPECT_THAT(ErrorOf("{\"prompt\": \"a\"}\n{\"text\": \"a\"}\n"), AllOf(HasSubstr(":2: "), HasSubstr("each entry must be")));
  EXPECT_THAT(ErrorOf("{\"prompt\": \"\"}\n"), HasSubstr("not empty"));
  EXPECT_THAT(ErrorOf("{\"prompt\": 5}\n"), HasSubstr("not empty"));
  EXPECT_THAT(ErrorOf("{\"prompt\": \"a\", \"output_tokens\": 0}\n"), HasSubstr("from 1 to"));
  EXPECT_THAT(ErrorOf("{\"prompt\": \"a\", \"output_tokens\": 2.5}\n"), HasSubstr("whole number"));
  EXPECT_THAT(ErrorOf("{\"conversations\": {}}\n"), HasSubstr("must be a list"));
  EXPECT_THAT(ErrorOf("{\"conversations\": [{\"from\": \"human\"}]}\n"), HasSubstr("\"from\" and \"value\""));
  EXPECT_THAT(ErrorOf("{\"question\": \"a\"}\n"), HasSubstr("\"answer\" is missing"));
  EXPECT_THAT(ErrorOf("{\"question\": \"\", \"answer\": \"a\"}\n"), HasSubstr("is empty"));
  EXPECT_THAT(ErrorOf("{\"prompt\": \"\xff\"}\n"), HasSubstr("not valid JSON"));
  EXPECT_THAT(ErrorOf("hello\n"), HasSubstr("not valid JSON"));
  std::filesystem::remove(path_);
  EXPECT_THAT(ReadPromptFile(path_).error().message, HasSubstr(path_.string()));
}

}  // namespace
}  // namespace moecap::workload
