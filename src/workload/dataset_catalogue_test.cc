#include "workload/dataset_catalogue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "workload/prompt_template.h"

namespace moecap::workload {
namespace {

using testing::HasSubstr;

TEST(DatasetCatalogue, HoldsWhatDocsList) {
  const auto all = BuiltinDatasets();
  ASSERT_TRUE(all.ok()) << all.error().message;
  std::vector<std::string> names;
  for (const DatasetInfo& info : *all) names.push_back(info.name);
  EXPECT_THAT(names, testing::ElementsAre("aime24", "aime25", "arena-hard-v0.1", "arena-hard-v2", "gpqa", "gsm8k", "humaneval",
                                          "ifeval", "jsonl", "longbench", "longbench-v2", "math", "math500", "mmlu", "mmlu-pro",
                                          "numinamath-cot", "ruler", "tinymath"));
}

TEST(DatasetCatalogue, EveryValueHasASourceAndEveryPromptExists) {
  for (const DatasetInfo& info : *BuiltinDatasets()) {
    for (const char* key : {"licence", "files", "rows", "fields"})
      EXPECT_TRUE(info.sources.contains(key)) << info.name << " " << key;
    const bool hashed = std::ranges::any_of(info.files, [](const DatasetFile& file) { return !file.sha256.empty(); });
    EXPECT_EQ(FindDataset(info.name)->name, info.name) << "a file is named as the data set in it";
    EXPECT_EQ(hashed, info.sources.contains("sha256")) << info.name;
    for (const DatasetFile& file : info.files) EXPECT_TRUE(file.sha256.empty() || file.sha256.size() == 64) << info.name;
    EXPECT_THAT(SplitsOf(info), testing::Contains(info.split)) << info.name;
    for (const std::string& name : info.prompts) {
      const auto prompt = FindPromptTemplate(name);
      ASSERT_TRUE(prompt.ok()) << prompt.error().message;
      EXPECT_EQ(prompt->name, name) << "a file is named as the prompt in it";
      EXPECT_FALSE(prompt->source.empty()) << name;
      EXPECT_TRUE(prompt->shots == 0 || prompt->shots_are_given || !info.shots_split.empty()) << info.name << " " << name;
    }
  }
  EXPECT_EQ(RowsOf(*FindDataset("gsm8k"), "train"), 7473);
  EXPECT_EQ(RowsOf(*FindDataset("ruler"), "validation"), std::nullopt);
}

TEST(DatasetCatalogue, ComplaintsNameTheKeyOrTheNearestName) {
  EXPECT_THAT(FindDataset("gms8k").error().message, HasSubstr("did you mean gsm8k?"));
  EXPECT_FALSE(IsDatasetName("data/gsm8k.jsonl"));
  EXPECT_THAT(ParseDatasetInfo("name: a\ntitle: b\n", "d.yaml").error().message, HasSubstr("d.yaml:1: \"licence\" is missing"));
  EXPECT_THAT(FindPromptTemplate("gsm8k-cott").error().message, HasSubstr("did you mean gsm8k-cot?"));
  EXPECT_THAT(ParsePromptTemplate("name: a\nform: talk\nquestion: q\n", "p.yaml").error().message, HasSubstr("p.yaml:2"));
  EXPECT_THAT(ParsePromptTemplate("name: a\nform: chat\nquestion: q\nshots: 3\n", "p.yaml").error().message,
              HasSubstr("\"answer\" is missing"));
}

}  // namespace
}  // namespace moecap::workload
