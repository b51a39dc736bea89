#include "app/server_vocabulary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/fs.h"
#include "base/testing/temp_dir.h"

namespace moecap::app {
namespace {

using testing::HasSubstr;

// One id a word, by its length and first letter; 1 begins every text.
Result<std::vector<int32_t>> Tokenize(const std::string& text) {
  std::vector<int32_t> ids = {1};
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find(' ', begin), text.size());
    ids.push_back(static_cast<int32_t>(100 * (end - begin)) + text[begin] - 'a' + 3);
    begin = end + 1;
  }
  return ids;
}

TEST(FindVocabulary, WhatThePageSaysGoesFirst) {
  openai::ServerFacts facts;
  facts.vocabulary = 1024;
  facts.vocabulary_page = "n_vocab of /v1/models";
  const auto found = FindVocabulary(facts, "Qwen/Qwen3-30B-A3B", "", Tokenize);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->size, 1024);
  EXPECT_EQ(found->source, "n_vocab of /v1/models");
}

TEST(FindVocabulary, AConfigurationAtTheServedPathIsReadWhereItIsThere) {
  const TempDir temp;
  ASSERT_TRUE(WriteFileAtomically(temp.path() / "config.json",
                                  R"({"model_type":"new","max_position_embeddings":512,"text_config":{"vocab_size":777}})")
                  .ok());
  openai::ServerFacts facts;
  facts.model_path = temp.path().string();
  const auto found = FindVocabulary(facts, "tiny", "", {});
  ASSERT_TRUE(found);
  EXPECT_EQ(found->size, 777);
  EXPECT_THAT(found->source, HasSubstr("config.json"));
  EXPECT_EQ(FindContext(facts, "tiny", ""), 512);
  facts.context_tokens = 256;
  EXPECT_EQ(FindContext(facts, "tiny", ""), 256) << "the server may take less than its model could";
  facts.model_path = "/no/such/folder";
  EXPECT_FALSE(FindVocabulary(facts, "tiny", "", {}));
  EXPECT_EQ(FindVocabulary({}, temp.path().string(), "", {})->size, 777) << "transformers serves a model under its path";
}

TEST(FindVocabulary, ATokenizersAnswersBoundItFromBelow) {
  const auto found = FindVocabulary({}, "tiny", "", Tokenize);
  ASSERT_TRUE(found);
  EXPECT_GT(found->ids.size(), 20u);
  EXPECT_EQ(found->size, found->ids.back() + 1);
  EXPECT_THAT(found->ids, testing::Not(testing::Contains(1))) << "begins every text: a control token";
  EXPECT_FALSE(FindVocabulary({}, "tiny", "", [](const std::string&) { return Failed("no such page"); }));
}

TEST(FindVocabulary, AKnownModelsNameTells) {
  const auto found = FindVocabulary({}, "Qwen/Qwen3-30B-A3B", "", {});
  ASSERT_TRUE(found);
  EXPECT_EQ(found->size, 151936);
}

TEST(FindVocabulary, WhatTheUserSaysThatItServesTells) {
  EXPECT_EQ(FindVocabulary({}, "tiny", "Qwen/Qwen3-30B-A3B", Tokenize)->size, 151936) << "before its tokenizer's answers";
  const TempDir temp;
  ASSERT_TRUE(WriteFileAtomically(temp.path() / "config.json", R"({"vocab_size":777,"max_position_embeddings":512})").ok());
  EXPECT_EQ(FindVocabulary({}, "tiny", temp.path().string(), {})->size, 777);
  EXPECT_EQ(FindContext({}, "tiny", temp.path().string()), 512);
  openai::ServerFacts facts;
  facts.vocabulary = 10;
  EXPECT_EQ(FindVocabulary(facts, "tiny", temp.path().string(), {})->size, 10) << "the server knows better";
}

}  // namespace
}  // namespace moecap::app
