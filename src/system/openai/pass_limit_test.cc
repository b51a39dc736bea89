#include "system/openai/pass_limit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace moecap::openai {
namespace {

using Words = std::vector<std::string>;

TEST(PassLimit, IsWhatThePagesSay) {
  ServerFacts facts;
  facts.prefill_chunk = 4096;
  const auto limit = FindPassLimit(ServerKind::kSglang, facts, Words{"--chunked-prefill-size", "1"}, std::nullopt);
  ASSERT_TRUE(limit.has_value());
  EXPECT_EQ(limit->tokens, 4096);
  EXPECT_EQ(limit->source, "chunked_prefill_size of /server_info");
  EXPECT_FALSE(limit->is_assumed);
}

TEST(PassLimit, ElseTheFlagThatTheServerWasStartedWith) {
  const auto vllm = [](const Words& words) { return FindPassLimit(ServerKind::kVllm, {}, words, std::nullopt); };
  EXPECT_EQ(vllm({"vllm", "--max-num-batched-tokens", "512"})->tokens, 512);
  EXPECT_EQ(vllm({"vllm", "--max-num-batched-tokens=512", "--max-num-batched-tokens=1024"})->tokens, 1024) << "the last one";
  EXPECT_FALSE(vllm({"--max-num-batched-tokens"}).has_value());
  EXPECT_FALSE(vllm({"--max-num-batched-tokens", "8k"}).has_value());
  EXPECT_FALSE(FindPassLimit(ServerKind::kSglang, {}, Words{"--chunked-prefill-size", "-1"}, 0).has_value()) << "whole prompts";
}

TEST(PassLimit, ElseVllmsDefaultForItsDevice) {
  constexpr double kGib = 1024.0 * 1024 * 1024;
  const auto tokens = [](std::optional<double> bytes) { return FindPassLimit(ServerKind::kVllm, {}, Words{}, bytes); };
  EXPECT_EQ(tokens(0)->tokens, 2048);
  EXPECT_EQ(tokens(24 * kGib)->tokens, 2048);
  EXPECT_EQ(tokens(80 * kGib)->tokens, 8192);
  EXPECT_EQ(tokens(141 * kGib)->tokens, 8192);
  EXPECT_EQ(tokens(180 * kGib)->tokens, 16384);
  EXPECT_TRUE(tokens(0)->is_assumed);
  EXPECT_FALSE(tokens(std::nullopt).has_value()) << "the device is not known";
  EXPECT_FALSE(FindPassLimit(ServerKind::kTgi, {}, Words{}, 0).has_value());
  EXPECT_EQ(FindPassLimit(ServerKind::kTransformers, {}, Words{"--cb-max-batch-tokens", "512"}, 0)->tokens, 512);
  ServerFacts small;
  small.context_tokens = 512;
  EXPECT_EQ(FindPassLimit(ServerKind::kVllm, small, Words{"--max-num-seqs", "2"}, 0)->tokens, 1024)
      << "what its batch could hold";
}

}  // namespace
}  // namespace moecap::openai
