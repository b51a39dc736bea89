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
  EXPECT_THAT(SpreadTokens(1, 3), testing::ElementsAre(0, 0, 1));
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

}  // namespace
}  // namespace moecap::load
