#include "workload/make_requests.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <set>
#include <sstream>

#include "base/fs.h"
#include "base/rng.h"
#include "workload/request_trace.h"

namespace moecap::workload {
namespace {

using testing::HasSubstr;

WorkloadConfig Parse(const std::string& yaml) {
  const auto node = ParseYaml(yaml, "test.yaml");
  CHECK(node.ok());
  YamlErrors errors("test.yaml");
  WorkloadConfig config = ReadWorkload(*node, "", errors);
  EXPECT_TRUE(errors.empty()) << errors.first().message;
  return config;
}

RequestSet Make(const std::string& yaml, const RequestOptions& options = {}) {
  auto set = MakeRequests(Parse(yaml), options);
  CHECK(set.ok());
  return std::move(set).value();
}

RequestSet Warmup(const std::string& yaml, int64_t count, const RequestOptions& options = {}) {
  auto set = MakeWarmup(Parse(yaml), count, options);
  CHECK(set.ok());
  return std::move(set).value();
}

// Words are told apart like ids, so that one count serves both.
std::vector<std::string> TokensOf(const PlannedPrompt& prompt) {
  std::vector<std::string> tokens;
  for (const int32_t id : prompt.token_ids) tokens.push_back(std::to_string(id));
  std::istringstream words(prompt.text);
  for (std::string word; words >> word;) tokens.push_back(word);
  return tokens;
}

// The leading tokens that an earlier prompt had as well, by a set of the hashes (here: the texts) of all prefixes.
std::vector<int64_t> CountShared(const std::vector<PlannedPrompt>& prompts) {
  std::set<std::string> prefixes;
  std::vector<int64_t> shared;
  for (const PlannedPrompt& prompt : prompts) {
    std::vector<std::string> own;
    std::string prefix;
    shared.push_back(0);
    for (const std::string& token : TokensOf(prompt)) {
      prefix += token + " ";
      own.push_back(prefix);
      if (prefixes.contains(prefix)) shared.back() = std::ssize(own);
    }
    prefixes.insert(own.begin(), own.end());
  }
  return shared;
}

std::vector<int64_t> PlannedShared(const std::vector<PlannedPrompt>& prompts) {
  std::vector<int64_t> shared;
  for (const PlannedPrompt& prompt : prompts) shared.push_back(prompt.shared_tokens.value_or(-1));
  return shared;
}

class WorkloadFile : public testing::Test {
 protected:
  std::string Write(const std::string& content) {
    CHECK(WriteFileAtomically(path_, content).ok());
    return path_.string();
  }
  void TearDown() override { std::filesystem::remove(path_); }
  std::filesystem::path path_ = std::filesystem::path(testing::TempDir()) / ("moecap-workload-" + std::to_string(::getpid()));
};

TEST(Generated, HasExactLengthsWithinTheVocabulary) {
  const RequestSet set = Make("{input_tokens: 33, output_tokens: 7, requests: 50, vocabulary: [500, 1000]}");
  ASSERT_EQ(set.prompts.size(), 50u);
  std::set<std::string> ids;
  for (const PlannedPrompt& prompt : set.prompts) {
    EXPECT_EQ(prompt.token_ids.size(), 33u);
    EXPECT_EQ(prompt.input_tokens, 33);
    EXPECT_EQ(prompt.output_tokens, 7);
    EXPECT_TRUE(prompt.exact_output);
    EXPECT_TRUE(prompt.text.empty());
    EXPECT_EQ(prompt.conversation, -1);
    EXPECT_TRUE(std::ranges::all_of(prompt.token_ids, [](int32_t id) { return id >= 500 && id < 1000; }));
    ids.insert(prompt.id);
  }
  EXPECT_EQ(ids.size(), 50u);
  EXPECT_EQ(set.description, "50 requests: 33 tokens in (ids), 7 tokens out; unique salts; seed 1");
  EXPECT_TRUE(set.notes.empty());
}

// The same on every machine: a second implementation, in Python, gave the same ids. They must never change.
TEST(Generated, IsTheSameEverywhereAndForever) {
  const RequestSet set = Make("{input_tokens: 6, requests: 2, seed: 7}");
  EXPECT_THAT(set.prompts[0].token_ids, testing::ElementsAre(7618, 27657, 3441, 11522, 18750, 12480));
  EXPECT_THAT(set.prompts[1].token_ids, testing::ElementsAre(7620, 12088, 27468, 29349, 18218, 12775));
  EXPECT_EQ(Make("{input_tokens: 6, requests: 1, seed: 7, text: true}").prompts[0].text,
            "soft together sun pocket below fruit");
}

TEST(Generated, ALongerSetBeginsWithAShorterOne) {
  const char* kinds[] = {
      "input_tokens: {distribution: normal, mean: 40, stddev: 9, min: 30}, shared_prefix: {tokens: 20, groups: 3}",
      "input_tokens: 30, conversations: {turns: {distribution: uniform, min: 1, max: 5}, think_s: 2}",
      "input_tokens: 30, text: true, output_tokens: {distribution: exponential, mean: 50}"};
  for (const std::string kind : kinds) {
    const RequestSet few = Make("{" + kind + ", requests: 37}"), many = Make("{" + kind + ", requests: 90}");
    ASSERT_EQ(few.prompts.size(), 37u);
    for (size_t i = 0; i < few.prompts.size(); ++i) {
      EXPECT_EQ(few.prompts[i].id, many.prompts[i].id);
      EXPECT_EQ(few.prompts[i].text, many.prompts[i].text);
      EXPECT_EQ(few.prompts[i].token_ids, many.prompts[i].token_ids);
      EXPECT_EQ(few.prompts[i].output_tokens, many.prompts[i].output_tokens);
      EXPECT_EQ(few.prompts[i].shared_tokens, many.prompts[i].shared_tokens);
      EXPECT_EQ(few.prompts[i].think_s, many.prompts[i].think_s);
    }
    EXPECT_NE(
        few.prompts[0].text + std::to_string(few.prompts[0].output_tokens) + std::to_string(few.prompts[0].token_ids.size()),
        "0");
    const RequestSet other = Make("{" + kind + ", requests: 37, seed: 2}");
    EXPECT_NE(TokensOf(few.prompts[5]), TokensOf(other.prompts[5]));
  }
}

// 20,000 prompts over 2 x 512 first tokens: blocks of 16 tokens (vLLM's) still differ, also from the warm-up's and other
// seeds'.
TEST(Generated, NoTwoPromptsShareABlockUnlessPlanned) {
  std::set<std::vector<int32_t>> blocks;
  const std::string shape = "{input_tokens: 16, requests: 20000, vocabulary: [0, 512], seed: ";
  for (const char* seed : {"1}", "2}"}) {
    for (PlannedPrompt& prompt : Make(shape + seed).prompts) blocks.insert(std::move(prompt.token_ids));
    for (PlannedPrompt& prompt : Warmup(shape + seed, 5000).prompts) blocks.insert(std::move(prompt.token_ids));
  }
  EXPECT_EQ(blocks.size(), 50000u);
}

// With the smallest vocabulary, and more prompts than it has first tokens.
TEST(Generated, PromptsShareFewTokensByChance) {
  const RequestSet set = Make("{input_tokens: 12, requests: 3000, vocabulary: [0, 256]}");
  const auto shared = CountShared(set.prompts);
  EXPECT_LT(std::ranges::max(shared), kMostChanceTokens);
  EXPECT_GT(std::ranges::max(shared), 0);
}

// With codes below the vocabulary's size even the first token is unique, which servers that share single tokens need.
TEST(Generated, FirstTokensAreUnique) {
  std::set<int32_t> first;
  const char* config = "{input_tokens: 5, requests: 10000, vocabulary: [1000, 30000]}";
  for (const PlannedPrompt& prompt : Make(config).prompts) first.insert(prompt.token_ids.front());
  for (const PlannedPrompt& prompt : Warmup(config, 1000).prompts) first.insert(prompt.token_ids.front());
  EXPECT_EQ(first.size(), 11000u);
}

// Chi-square over 64 equal ranges of ids; 63 degrees of freedom exceed 120 with a probability of 2e-5.
TEST(Generated, TokensAreUniformOverTheVocabulary) {
  std::vector<double> counts(64);
  double total = 0;
  for (const PlannedPrompt& prompt : Make("{input_tokens: 256, requests: 500, vocabulary: [100, 6500]}").prompts) {
    for (const int32_t id : prompt.token_ids) {
      ++counts[static_cast<size_t>((id - 100) / 100)];
      ++total;
    }
  }
  double chi_square = 0;
  for (const double count : counts) chi_square += (count - total / 64) * (count - total / 64) / (total / 64);
  EXPECT_LT(chi_square, 120);
  EXPECT_GT(chi_square, 25);  // nor too even to be random
}

TEST(Generated, PlannedPrefixHitsAreThoseCountedByBruteForce) {
  const std::string shape =
      "{input_tokens: 48, requests: 200, shared_prefix: {tokens: 32, groups: 4, share: 0.5}, seed: 3, text: ";
  const RequestSet set = Make(shape + "false}");
  const auto planned = PlannedShared(set.prompts);
  EXPECT_EQ(planned, CountShared(set.prompts));
  const auto members = std::ranges::count_if(set.prompts, [](const auto& p) { return p.cache_salt.starts_with("run-p"); });
  EXPECT_NEAR(static_cast<double>(members), 100, 25);
  EXPECT_EQ(std::ranges::count(planned, 32), members - 4);  // every member but the first of each group

  // As text, the same requests share the same words, and by chance up to three more of the 526 that we have.
  const RequestSet text = Make(shape + "true}");
  const auto counted = CountShared(text.prompts);
  for (size_t i = 0; i < planned.size(); ++i) {
    EXPECT_TRUE(counted[i] >= planned[i] && counted[i] <= planned[i] + 3) << i;
    EXPECT_EQ(text.prompts[i].shared_tokens, std::nullopt);
    EXPECT_EQ(text.prompts[i].input_tokens, std::nullopt);
  }
  EXPECT_EQ(text.notes.size(), 1u);
}

TEST(Generated, DescribesThePlannedHitRatio) {
  // All of 10 requests in one group: 9 of them share 50 of 100 tokens, 450 of 1000.
  const RequestSet set = Make("{input_tokens: 100, requests: 10, shared_prefix: {tokens: 50}}");
  EXPECT_THAT(set.description,
              HasSubstr("100 % of them begin with one of 1 prefixes of 50 tokens; 45.0 % of the input planned"));
  EXPECT_THAT(Make("{input_tokens: 100, requests: 10, shared_prefix: {tokens: 50, share: 0}}").description,
              testing::Not(HasSubstr("planned as cache hits")));
}

TEST(Generated, SaltsFollowWhatIsShared) {
  const std::string shape = "{input_tokens: 20, requests: 40, shared_prefix: {tokens: 10, groups: 2, share: 0.5}, salt: ";
  RequestOptions options;
  options.run_salt = "r77";
  std::map<std::string, std::vector<std::vector<int32_t>>> by_salt;
  for (const PlannedPrompt& prompt : Make(shape + "unique}", options).prompts) {
    EXPECT_TRUE(prompt.cache_salt.starts_with("r77-"));
    by_salt[prompt.cache_salt].push_back({prompt.token_ids.begin(), prompt.token_ids.begin() + 10});
  }
  for (const auto& [salt, prefixes] : by_salt) {
    EXPECT_EQ(std::set(prefixes.begin(), prefixes.end()).size(), 1u) << salt;
    EXPECT_EQ(prefixes.size() > 1, salt.find("-p") != std::string::npos) << salt;
  }
  for (const PlannedPrompt& prompt : Make(shape + "run}", options).prompts) EXPECT_EQ(prompt.cache_salt, "r77");
  for (const PlannedPrompt& prompt : Make(shape + "none}", options).prompts) EXPECT_EQ(prompt.cache_salt, "");
  for (const PlannedPrompt& prompt : Warmup(shape + "run}", 5, options).prompts) {
    EXPECT_EQ(prompt.cache_salt, "r77-warmup");
  }
}

TEST(Conversations, TurnsFollowEachOtherAndCarryTheirHistory) {
  const RequestSet set = Make(
      "{input_tokens: 10, output_tokens: 5, requests: 11, conversations: {turns: 3, think_s: {distribution: uniform, min: 1, "
      "max: 4}}}");
  EXPECT_TRUE(set.has_conversations);
  ASSERT_EQ(set.prompts.size(), 11u);  // 3 + 3 + 3 + 2
  for (int64_t i = 0; i < 11; ++i) {
    const PlannedPrompt& prompt = set.prompts[static_cast<size_t>(i)];
    EXPECT_EQ(prompt.conversation, i / 3);
    EXPECT_EQ(TokensOf(prompt).size(), 10u);
    EXPECT_EQ(prompt.shared_tokens, std::nullopt);
    EXPECT_EQ(prompt.input_tokens, std::nullopt);
    EXPECT_EQ(prompt.cache_salt, "run-c" + std::to_string(i / 3));
    if (i % 3 == 0) {
      EXPECT_EQ(prompt.think_s, 0);
    } else {
      EXPECT_TRUE(prompt.think_s >= 1 && prompt.think_s <= 4);
    }
  }
  // Shared 15 + 30 of prompts of 10 + 25 + 40, three times, and 15 of 10 + 25: 150 of 260.
  EXPECT_THAT(set.description, HasSubstr("4 conversations of 3 turns"));
  EXPECT_THAT(set.description, HasSubstr("about 57.7 % of the input planned"));
  const auto warmup = MakeWarmup(Parse("{input_tokens: 10, conversations: {turns: 3}}"), 4);
  ASSERT_TRUE(warmup.ok());
  EXPECT_FALSE(warmup->has_conversations);
  for (const PlannedPrompt& prompt : warmup->prompts) EXPECT_EQ(prompt.conversation, -1);
}

TEST_F(WorkloadFile, ReplayedPromptsShareWhatTheTraceShared) {
  // A random tree of blocks, with partial last blocks, repeats, blocks without a tail and tails without a block.
  Rng rng(11);
  std::string lines;
  for (int i = 0; i < 300; ++i) {
    std::string ids;
    const auto depth = static_cast<int64_t>(rng.Below(5));
    for (int64_t level = 0; level < depth; ++level) ids += (level > 0 ? "," : "") + std::to_string(level * 100 + rng.Below(2));
    const int64_t length = std::max<int64_t>(1, depth * 8 - static_cast<int64_t>(rng.Below(8)) + (rng.Below(4) == 0 ? 9 : 0));
    lines += "{\"timestamp\": " + std::to_string(i * 500) + ", \"input_length\": " + std::to_string(length) +
             ", \"output_length\": " + std::to_string(1 + rng.Below(50)) + ", \"hash_ids\": [" + ids + "]}\n";
  }
  const std::string path = Write(lines);
  const RequestSet set = Make("{trace: {path: " + path + ", block_tokens: 8, time_scale: 0.5}}");
  ASSERT_EQ(set.prompts.size(), 300u);
  EXPECT_TRUE(set.has_times);
  const auto trace = ReadRequestTrace(path);
  for (size_t i = 0; i < 300; ++i) {
    EXPECT_EQ(set.prompts[i].input_tokens, trace->requests[i].input_tokens);
    EXPECT_EQ(std::ssize(set.prompts[i].token_ids), trace->requests[i].input_tokens);
    EXPECT_EQ(set.prompts[i].output_tokens, trace->requests[i].output_tokens);
    EXPECT_NEAR(set.prompts[i].at_s, static_cast<double>(i) * 0.25, 1e-9);
  }
  const auto planned = PlannedShared(set.prompts);
  EXPECT_EQ(planned, CountShared(set.prompts));
  EXPECT_GT(std::ranges::count_if(planned, [](int64_t shared) { return shared > 0; }), 200);
  EXPECT_GT(std::ranges::count(planned, 0), 3);
  EXPECT_GT(std::ranges::count_if(planned, [](int64_t shared) { return shared % 8 != 0; }), 50);

  const RequestSet part = Make("{trace: {path: " + path +
                               ", block_tokens: 8, from_s: 10, max_input_tokens: 16}, requests: 20, "
                               "max_output_tokens: 5}");
  ASSERT_EQ(part.prompts.size(), 20u);
  EXPECT_EQ(part.prompts[0].at_s, 0);
  EXPECT_EQ(part.prompts[19].at_s, 9.5);
  EXPECT_EQ(part.prompts[3].input_tokens, std::min<int64_t>(16, trace->requests[23].input_tokens));
  EXPECT_TRUE(std::ranges::all_of(part.prompts, [](const auto& p) { return p.output_tokens <= 5; }));
  EXPECT_EQ(PlannedShared(part.prompts), CountShared(part.prompts));
  EXPECT_THAT(part.notes, testing::Contains(HasSubstr("are cut to 16 tokens")));

  const auto warmup = MakeWarmup(Parse("{trace: {path: " + path + ", block_tokens: 8}}"), 400);
  ASSERT_TRUE(warmup.ok());
  EXPECT_EQ(warmup->prompts.size(), 400u);
  EXPECT_FALSE(warmup->has_times);
  std::set<int32_t> first;
  for (const PlannedPrompt& prompt : set.prompts) first.insert(prompt.token_ids.front());
  for (const PlannedPrompt& prompt : warmup->prompts) EXPECT_FALSE(first.contains(prompt.token_ids.front()));
}

TEST_F(WorkloadFile, ReplaySaysWhatTheTraceLacks) {
  const std::string path = Write(
      "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n5,ChatGPT,0,18,18,API log\n"
      "6,ChatGPT,10,0,10,API log\n7,ChatGPT,10,3,13,API log\n");
  const RequestSet set = Make("{trace: " + path + "}");
  ASSERT_EQ(set.prompts.size(), 2u);
  EXPECT_EQ(set.prompts[0].input_tokens, 1);
  EXPECT_THAT(set.notes, testing::ElementsAre(HasSubstr("1 recorded requests failed"), HasSubstr("1 requests with 0 tokens"),
                                              HasSubstr("every prompt is unique")));
  EXPECT_THAT(MakeRequests(Parse("{trace: " + path + ", requests: 3}")).error().message, HasSubstr("has 2 from 0 s on"));
  EXPECT_THAT(MakeRequests(Parse("{trace: {path: " + path + ", from_s: 3}}")).error().message, HasSubstr("before from_s"));
  Write("{\"at_s\": 0, \"input_tokens\": 5}\n");
  EXPECT_THAT(MakeRequests(Parse("{trace: " + path + "}")).error().message, HasSubstr("output_tokens"));
  EXPECT_THAT(MakeRequests(Parse("{trace: /nowhere/trace.csv}")).error().message, HasSubstr("/nowhere/trace.csv"));
}

TEST_F(WorkloadFile, DatasetPromptsGoOutInOrderOrShuffled) {
  const std::string path = Write(
      "{\"prompt\": \"one\", \"output_tokens\": 9}\n{\"prompt\": \"two\", \"id\": \"b\"}\n{\"prompt\": \"three\", "
      "\"output_tokens\": 90}\n");
  const RequestSet set = Make("{dataset: " + path + ", max_output_tokens: 50}");
  ASSERT_EQ(set.prompts.size(), 3u);
  EXPECT_EQ(set.prompts[0].text, "one");
  EXPECT_EQ(set.prompts[0].output_tokens, 9);
  EXPECT_TRUE(set.prompts[0].exact_output);
  EXPECT_EQ(set.prompts[1].id, "b");
  EXPECT_EQ(set.prompts[1].output_tokens, 50);
  EXPECT_FALSE(set.prompts[1].exact_output);
  EXPECT_EQ(set.prompts[2].output_tokens, 50);
  EXPECT_EQ(set.prompts[0].input_tokens, std::nullopt);

  const RequestSet repeated = Make("{dataset: {path: " + path + ", shuffle: true}, requests: 7, output_tokens: 4}");
  std::set<std::string> ids;
  for (size_t i = 0; i < 7; ++i) {
    ids.insert(repeated.prompts[i].id);
    EXPECT_EQ(repeated.prompts[i].text, repeated.prompts[i % 3].text);
    EXPECT_EQ(repeated.prompts[i].output_tokens, 4);
    EXPECT_EQ(repeated.prompts[i].shared_tokens, std::nullopt);
  }
  EXPECT_EQ(ids.size(), 7u);
  EXPECT_THAT(repeated.notes, testing::ElementsAre(HasSubstr("has 3 prompts, which are sent repeatedly")));
  std::set<std::string> orders;
  for (int seed = 0; seed < 20; ++seed) {
    const auto shuffled = Make("{dataset: {path: " + path + ", shuffle: true}, seed: " + std::to_string(seed) + "}");
    orders.insert(shuffled.prompts[0].text + shuffled.prompts[1].text + shuffled.prompts[2].text);
  }
  EXPECT_EQ(orders.size(), 6u);

  RequestOptions counting;
  counting.count_tokens = [](const std::string& text) -> Result<int64_t> { return std::ssize(text); };
  const RequestSet counted = Make("{dataset: " + path + ", requests: 6, salt: run}", counting);
  EXPECT_EQ(counted.prompts[5].input_tokens, 5);
  const auto warmup = MakeWarmup(Parse("{dataset: " + path + "}"), 2);
  EXPECT_EQ(TokensOf(warmup->prompts[0]).size(), 1u);
  EXPECT_NE(warmup->prompts[0].text, warmup->prompts[1].text);
  EXPECT_THAT(MakeRequests(Parse("{dataset: /nowhere/data.jsonl}")).error().message, HasSubstr("/nowhere/data.jsonl"));
}

TEST_F(WorkloadFile, DatasetConversationsAreCutToTheTurnsAskedFor) {
  const std::string path = Write(
      R"([{"id": "x", "conversations": [{"from": "human", "value": "a1"}, {"from": "gpt", "value": "b"},
                                        {"from": "human", "value": "a2"}, {"from": "human", "value": "a3"}]},
          {"id": "y", "conversations": [{"from": "human", "value": "c1"}]}])");
  const RequestSet set = Make("{dataset: " + path + ", conversations: {turns: 2, think_s: 1.5}}");
  ASSERT_EQ(set.prompts.size(), 3u);
  EXPECT_TRUE(set.has_conversations);
  EXPECT_EQ(set.prompts[1].text, "a2");
  EXPECT_EQ(set.prompts[1].conversation, 0);
  EXPECT_EQ(set.prompts[1].think_s, 1.5);
  EXPECT_EQ(set.prompts[2].text, "c1");
  EXPECT_EQ(set.prompts[2].conversation, 1);
  EXPECT_EQ(Make("{dataset: " + path + ", conversations: {turns: 2}, requests: 8}").prompts.back().text, "a2");
  EXPECT_EQ(Make("{dataset: " + path + "}").prompts.size(), 2u);
}

// A tokenizer that makes two tokens of every word of more than four letters, and puts one before the text.
Result<int64_t> CountLikeATokenizer(const std::string& text) {
  std::istringstream words(text);
  int64_t tokens = 1;
  for (std::string word; words >> word;) tokens += word.size() > 4 ? 2 : 1;
  return tokens;
}

// ShareGPT's answers say how long answers are: counted by the server's tokenizer, else estimated and marked.
TEST_F(WorkloadFile, DatasetAnswersGiveTheLength) {
  const std::string path = Write(
      R"([{"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "one two three"}, {"from": "human", "value": "r"},
                            {"from": "gpt", "value": "yes"}]}])");
  const RequestSet estimated = Make("{dataset: " + path + "}");
  EXPECT_EQ(estimated.prompts[0].output_tokens, 4) << "13 bytes over 4";
  EXPECT_TRUE(estimated.prompts[0].exact_output);
  EXPECT_THAT(estimated.notes, testing::ElementsAre(HasSubstr("lengths of 1 answers are estimates")));
  EXPECT_THAT(estimated.description, HasSubstr("as many tokens out as recorded"));
  RequestOptions counting;
  counting.count_tokens = CountLikeATokenizer;
  const RequestSet counted = Make("{dataset: " + path + ", conversations: {turns: 2}}", counting);
  EXPECT_EQ(counted.prompts[0].output_tokens, 4)
      << "one, two, and two of three; the token before the text is none of the answer";
  EXPECT_EQ(counted.prompts[1].output_tokens, 1);
  EXPECT_THAT(counted.notes, testing::IsEmpty());
  EXPECT_EQ(Make("{dataset: " + path + ", output_tokens: 7}").prompts[0].output_tokens, 7);
  EXPECT_EQ(Make("{dataset: " + path + ", max_output_tokens: 3}").prompts[0].output_tokens, 3);
}

TEST(Fitted, TextsGetExactlyTheirLength) {
  int64_t calls = 0;
  RequestOptions options;
  options.count_tokens = [&](const std::string& text) {
    ++calls;
    return CountLikeATokenizer(text);
  };
  const RequestSet set = Make(
      "{text: true, input_tokens: {distribution: uniform, min: 100, max: 300}, requests: 200, shared_prefix: {tokens: 64}}",
      options);
  int64_t shared = 0;
  for (const PlannedPrompt& prompt : set.prompts) {
    ASSERT_TRUE(prompt.input_tokens.has_value());
    EXPECT_EQ(*CountLikeATokenizer(prompt.text), *prompt.input_tokens);
    EXPECT_TRUE(*prompt.input_tokens >= 100 && *prompt.input_tokens <= 300);
    ASSERT_TRUE(prompt.shared_tokens.has_value());
    shared += *prompt.shared_tokens;
  }
  EXPECT_TRUE(set.notes.empty());  // none missed
  EXPECT_LT(calls, 200 * 20);
  // All but the first share the prefix of 64 tokens, or of 63 when a word of two would have been next.
  EXPECT_TRUE(shared == 199 * 64 || shared == 199 * 63);
}

TEST(Fitted, WhatTheTokenizerPutsBeforeEveryTextIsSharedToo) {
  RequestOptions options;
  options.count_tokens = CountLikeATokenizer;
  const RequestSet set = Make("{text: true, input_tokens: 20, requests: 3}", options);
  EXPECT_THAT(PlannedShared(set.prompts), testing::ElementsAre(0, 1, 1));
  EXPECT_THAT(set.description, testing::Not(HasSubstr("cache hits")));
  options.count_tokens = [](const std::string& text) -> Result<int64_t> {
    if (text.empty()) return Failed("the prompt is empty");
    return CountLikeATokenizer(text);
  };
  const RequestSet unknown = Make("{text: true, input_tokens: 20, requests: 2}", options);
  EXPECT_EQ(unknown.prompts[0].shared_tokens, 0);
  EXPECT_EQ(unknown.prompts[1].shared_tokens, std::nullopt);
}

TEST_F(WorkloadFile, FittedReplayCountsTheTokensOfSharedBlocks) {
  const std::string path = Write(
      "{\"at_s\": 0, \"input_tokens\": 40, \"output_tokens\": 1, \"prefix_blocks\": [5, 6]}\n"
      "{\"at_s\": 1, \"input_tokens\": 60, \"output_tokens\": 1, \"prefix_blocks\": [5, 7, 8]}\n");
  RequestOptions options;
  options.count_tokens = CountLikeATokenizer;
  const RequestSet set = Make("{text: true, trace: {path: " + path + ", block_tokens: 16}}", options);
  const auto words = CountShared(set.prompts)[1];
  EXPECT_EQ(words, 16);
  std::string shared;
  for (const std::string& word : TokensOf(set.prompts[1])) {
    if (std::ranges::count(shared, ' ') < words) shared += word + " ";
  }
  EXPECT_EQ(set.prompts[1].shared_tokens, *CountLikeATokenizer(shared));
  EXPECT_EQ(set.prompts[1].input_tokens, 60);
}

TEST(Fitted, SaysWhatCannotBeFitted) {
  const WorkloadConfig config = Parse("{text: true, input_tokens: 101, requests: 5}");
  RequestOptions options;
  options.count_tokens = [](const std::string& text) -> Result<int64_t> { return 2 * *CountLikeATokenizer(text); };
  const auto even = MakeRequests(config, options);
  ASSERT_TRUE(even.ok());
  for (const PlannedPrompt& prompt : even->prompts) EXPECT_EQ(prompt.input_tokens, 2 * *CountLikeATokenizer(prompt.text));
  EXPECT_THAT(even->notes, testing::ElementsAre(HasSubstr("5 of 5 texts could not be given exactly")));
  options.count_tokens = [](const std::string&) -> Result<int64_t> { return 0; };
  EXPECT_THAT(MakeRequests(config, options).error().message, HasSubstr("cannot be used to fit"));
  options.count_tokens = [](const std::string&) -> Result<int64_t> { return Failed("no such host"); };
  EXPECT_EQ(MakeRequests(config, options).error().message, "no such host");
}

TEST(Limits, RefusesMoreThanMemoryHolds) {
  WorkloadConfig config;
  config.input_tokens = FixedValue(10);
  EXPECT_FALSE(MakeWarmup(config, -1).ok());
  const auto none = MakeWarmup(config, 0);
  ASSERT_TRUE(none.ok());
  EXPECT_TRUE(none->prompts.empty());
}

}  // namespace
}  // namespace moecap::workload
