#include "load/token_spread.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

namespace moecap::load {
namespace {

TEST(SpreadTokens, SumsAndDiffersByAtMostOne) {
  EXPECT_THAT(SpreadTokens(7, 3), testing::ElementsAre(2, 2, 3));
  EXPECT_THAT(SpreadTokens(3, 3), testing::ElementsAre(1, 1, 1));
  EXPECT_THAT(SpreadTokens(1, 3), testing::ElementsAre(1, 0, 0)) << "the first token is the first output";
  EXPECT_THAT(SpreadTokens(2, 5), testing::ElementsAre(1, 0, 0, 0, 1));
  EXPECT_TRUE(SpreadTokens(5, 0).empty());
  for (int64_t tokens = 0; tokens < 40; ++tokens) {
    for (size_t chunks = 1; chunks < 20; ++chunks) {
      const auto spread = SpreadTokens(tokens, chunks);
      EXPECT_EQ(std::accumulate(spread.begin(), spread.end(), int64_t{0}), tokens);
      const auto [least, most] = std::minmax_element(spread.begin(), spread.end());
      EXPECT_LE(*most - *least, 1);
    }
  }
}

TEST(SpreadAnswer, OneTokenAChunkFits) {
  const auto spread = SpreadAnswer({.total = 4, .answer_chunks = 4});
  EXPECT_THAT(spread.chunk_tokens, testing::ElementsAre(1, 1, 1, 1));
  EXPECT_TRUE(spread.fits);
  const auto silent = SpreadAnswer({.total = 5, .answer_chunks = 4, .ended_by_end_token = true});
  EXPECT_THAT(silent.chunk_tokens, testing::ElementsAre(1, 1, 1, 2)) << "the end token had no chunk";
  EXPECT_TRUE(silent.fits);
  EXPECT_FALSE(SpreadAnswer({.total = 5, .answer_chunks = 4}).fits) << "nothing says which chunk held two";
  EXPECT_TRUE(SpreadAnswer({.total = 105, .answer_chunks = 100}).fits);
  EXPECT_FALSE(SpreadAnswer({.total = 106, .answer_chunks = 100}).fits);
  EXPECT_FALSE(SpreadAnswer({.total = 90, .answer_chunks = 100}).fits);
}

// A first chunk of 10 of 20 tokens and then ten of one each look like any other 11 chunks.
TEST(SpreadAnswer, ABundleIsNotSpreadByGuess) {
  EXPECT_FALSE(SpreadAnswer({.total = 20, .answer_chunks = 11, .ended_by_end_token = true}).fits);
  EXPECT_TRUE(SpreadAnswer({.total = 20, .answer_chunks = 1}).fits) << "one chunk holds all";
}

TEST(SpreadAnswer, HiddenReasoningCameBeforeTheFirstChunk) {
  const auto spread = SpreadAnswer({.total = 84, .reasoning = 80, .answer_chunks = 4});
  EXPECT_THAT(spread.chunk_tokens, testing::ElementsAre(81, 1, 1, 1));
  EXPECT_TRUE(spread.fits);
  EXPECT_FALSE(SpreadAnswer({.total = 84, .answer_chunks = 4}).fits) << "80 tokens that nothing explains";
}

TEST(SpreadAnswer, ShownReasoningAndAnswerAreSpreadApart) {
  const auto spread = SpreadAnswer({.total = 5, .reasoning = 3, .reasoning_chunks = 1, .answer_chunks = 2});
  EXPECT_THAT(spread.chunk_tokens, testing::ElementsAre(3, 1, 1));
  EXPECT_TRUE(spread.fits) << "one chunk of reasoning holds all of it";
  EXPECT_FALSE(SpreadAnswer({.total = 12, .reasoning = 10, .reasoning_chunks = 4, .answer_chunks = 2}).fits);
  EXPECT_THAT(SpreadAnswer({.total = 3, .reasoning = 3, .reasoning_chunks = 3}).chunk_tokens, testing::ElementsAre(1, 1, 1));
  EXPECT_THAT(SpreadAnswer({.total = 3, .reasoning = 9, .reasoning_chunks = 1, .answer_chunks = 1}).chunk_tokens,
              testing::ElementsAre(3, 0));
}

}  // namespace
}  // namespace moecap::load
