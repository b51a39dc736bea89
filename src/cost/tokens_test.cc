#include "cost/tokens.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace moecap::cost {
namespace {

// DeepSeek's published day: nodes of 8 x H800 at 2 USD per GPU and hour, 73.7k input tokens/s in a prefill node and 14.8k
// output tokens/s in a decode node; 608 G input tokens and 168 G output tokens; 226.75 nodes: 87,072 USD.
TEST(DisaggregatedPools, PartsAddUpToDeepSeeksBill) {
  const auto input = UsdPerMillionTokens(16, 73.7e3);
  const auto output = UsdPerMillionTokens(16, 14.8e3);
  ASSERT_TRUE(input && output);
  EXPECT_NEAR(*input, 0.0603, 5e-5);
  EXPECT_NEAR(*output, 0.300, 5e-4);
  const double bill = 608e3 * *input + 168e3 * *output;
  EXPECT_NEAR(bill, 226.75 * 8 * 2 * 24, 87072 * 0.005);
  EXPECT_FALSE(UsdPerMillionTokens(16, 0).has_value());
}

TEST(CombinePools, GivesDeepSeeksDay) {
  const double prefill_nodes = 608e9 / 86400 / 73.7e3, decode_nodes = 168e9 / 86400 / 14.8e3;
  EXPECT_NEAR(prefill_nodes + decode_nodes, 226.75, 0.2);
  Pool prefill{"prefill", 16, {}}, decode{"decode", 16, {}};
  prefill.work.node_s = prefill_nodes * 86400;
  prefill.work.prefill_s = prefill.work.node_s;
  prefill.work.decode_s = 0;
  prefill.work.input_tokens = 608e9;
  decode.work.node_s = decode_nodes * 86400;
  decode.work.prefill_s = 0;
  decode.work.decode_s = decode.work.node_s;
  decode.work.output_tokens = 168e9;
  const TokenCost day = CombinePools(std::vector{prefill, decode});
  EXPECT_NEAR(day.bill_usd, 87072, 100);
  EXPECT_NEAR(*day.usd_per_million_input_tokens, 0.0603, 5e-5);
  EXPECT_NEAR(*day.usd_per_million_output_tokens, 0.300, 5e-4);
  EXPECT_NEAR(*day.input_usd + *day.output_usd, day.bill_usd, 1e-6);
  EXPECT_NEAR(*day.usd_per_million_output_tokens_all_in, day.bill_usd / 168e3, 1e-9);
}

TEST(DivideBill, PartsAddUpToTheBill) {
  NodeWork work;
  work.node_s = 7200;
  work.prefill_s = 600;
  work.decode_s = 3000;
  work.input_tokens = 5e6;
  work.output_tokens = 2e6;
  work.requests = 1000;
  const TokenCost cost = DivideBill(3, work);
  EXPECT_DOUBLE_EQ(cost.bill_usd, 6);
  EXPECT_DOUBLE_EQ(*cost.usd_per_million_input_tokens, 0.2);  // 1 USD of the 6 goes to prefill
  EXPECT_DOUBLE_EQ(*cost.usd_per_million_output_tokens, 2.5);
  EXPECT_EQ(cost.cached_usd, 0);
  EXPECT_FALSE(cost.usd_per_million_cached_tokens.has_value()) << "there are none";
  EXPECT_DOUBLE_EQ(*cost.usd_per_million_output_tokens_all_in, 3);
  EXPECT_DOUBLE_EQ(*cost.usd_per_million_tokens_all_in, 6.0 / 7);
  EXPECT_DOUBLE_EQ(*cost.usd_per_request, 0.006);
}

TEST(DivideBill, CachedTokensPayForReadingAndStorageOnly) {
  NodeWork work;
  work.node_s = 3600;
  work.prefill_s = 900;
  work.decode_s = 1700;
  work.cached_s = 400;
  work.cache_storage_fraction = 0.1;
  work.input_tokens = 1e6;
  work.cached_tokens = 4e6;
  work.output_tokens = 1e6;
  const TokenCost cost = DivideBill(10, work);
  // 1 USD for storage; of the other 9, 0.3, 0.4 / 3 and 1.7 / 3.
  EXPECT_DOUBLE_EQ(*cost.usd_per_million_input_tokens, 2.7);
  EXPECT_DOUBLE_EQ(*cost.usd_per_million_cached_tokens, (1 + 9 * 0.4 / 3) / 4);
  EXPECT_DOUBLE_EQ(*cost.usd_per_million_output_tokens, 9 * 1.7 / 3);
  work.cached_s.reset();
  EXPECT_DOUBLE_EQ(*DivideBill(10, work).cached_usd, 1) << "storage alone";
  work.cache_storage_fraction = 0;
  const TokenCost unknown = DivideBill(10, work);
  EXPECT_FALSE(unknown.cached_usd.has_value()) << "not known is not free";
  EXPECT_DOUBLE_EQ(*unknown.input_usd + *unknown.output_usd, 10);
}

TEST(DivideBill, IsNullWhereThereIsNothingToDivideBy) {
  NodeWork work;
  work.node_s = 3600;
  work.decode_s = 100;
  work.input_tokens = 10;
  const TokenCost cost = DivideBill(3, work);
  EXPECT_DOUBLE_EQ(cost.bill_usd, 3);
  EXPECT_FALSE(cost.input_usd.has_value());
  EXPECT_FALSE(cost.usd_per_million_input_tokens.has_value());
  EXPECT_FALSE(cost.usd_per_million_output_tokens.has_value());
  EXPECT_FALSE(cost.usd_per_million_output_tokens_all_in.has_value());
  EXPECT_FALSE(cost.usd_per_request.has_value());
}

class Random {
 public:
  double Upto(double most) { return std::uniform_real_distribution<double>(0, most)(engine_); }
  bool Coin() { return Upto(1) < 0.5; }
  NodeWork Work() {
    NodeWork work;
    work.node_s = Upto(1e6);
    work.prefill_s = Coin() ? Upto(1e5) : 0;
    work.decode_s = Upto(1e5);
    if (Coin()) work.cached_s = Upto(1e4);
    if (Coin()) work.cache_storage_fraction = Upto(1);
    work.input_tokens = Coin() ? Upto(1e9) : 0;
    work.cached_tokens = Coin() ? Upto(1e9) : 0;
    work.output_tokens = Coin() ? Upto(1e9) : 0;
    return work;
  }

 private:
  std::mt19937_64 engine_{20260901};
};

double Parts(const TokenCost& cost) { return *cost.input_usd + cost.cached_usd.value_or(0) + *cost.output_usd; }

TEST(DivideBill, PartsAlwaysAddUp) {
  Random random;
  for (int i = 0; i < 2000; ++i) {
    const NodeWork work = random.Work();
    const TokenCost cost = DivideBill(random.Upto(50), work);
    EXPECT_NEAR(Parts(cost), cost.bill_usd, 1e-9 * cost.bill_usd);
    // By another way: prices times tokens, where every part with money has tokens.
    if (work.input_tokens == 0 || work.output_tokens == 0) continue;
    double sum = *cost.usd_per_million_input_tokens * work.input_tokens + *cost.usd_per_million_output_tokens * work.output_tokens;
    if (cost.usd_per_million_cached_tokens) sum += *cost.usd_per_million_cached_tokens * work.cached_tokens;
    EXPECT_NEAR(sum / 1e6, cost.bill_usd, 1e-9 * cost.bill_usd);
  }
}

TEST(CombinePools, PartsAlwaysAddUpToTheBillsOfThePools) {
  Random random;
  for (int i = 0; i < 500; ++i) {
    std::vector<Pool> pools(1 + static_cast<size_t>(random.Upto(4)));
    double bills = 0;
    for (Pool& pool : pools) {
      pool = {"pool", random.Upto(50), random.Work()};
      bills += pool.usd_per_node_h * pool.work.node_s / 3600;
    }
    const TokenCost sum = CombinePools(pools);
    EXPECT_NEAR(sum.bill_usd, bills, 1e-9 * bills);
    EXPECT_NEAR(Parts(sum), bills, 1e-9 * bills);
  }
}

TEST(CombinePools, OnePoolIsItself) {
  Random random;
  for (int i = 0; i < 100; ++i) {
    const Pool pool{"all", random.Upto(9), random.Work()};
    const TokenCost one = DivideBill(pool.usd_per_node_h, pool.work);
    const TokenCost combined = CombinePools(std::span(&pool, 1));
    EXPECT_EQ(combined.usd_per_million_input_tokens, one.usd_per_million_input_tokens);
    EXPECT_EQ(combined.usd_per_million_output_tokens, one.usd_per_million_output_tokens);
    EXPECT_EQ(combined.usd_per_million_tokens_all_in, one.usd_per_million_tokens_all_in);
  }
}

TEST(CombinePools, AnUndividedPoolLeavesThePartsUnknown) {
  Random random;
  std::vector<Pool> pools = {{"a", 1, random.Work()}, {"b", 1, random.Work()}};
  pools[1].work.prefill_s.reset();
  const TokenCost sum = CombinePools(pools);
  EXPECT_FALSE(sum.input_usd.has_value());
  EXPECT_FALSE(sum.cached_usd.has_value());
  EXPECT_GT(sum.bill_usd, 0);
}

}  // namespace
}  // namespace moecap::cost
