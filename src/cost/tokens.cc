#include "cost/tokens.h"

#include <algorithm>

#include "base/units.h"
#include "cost/ratio.h"

namespace moecap::cost {
namespace {

constexpr double kMillion = 1e6;

std::optional<double> PerMillion(const std::optional<double>& usd, double tokens) {
  return usd ? Ratio(*usd * kMillion, tokens) : std::nullopt;
}

// Fills the parts; false when the node times are not known.
void Divide(const NodeWork& work, TokenCost& cost) {
  if (!work.prefill_s || !work.decode_s) return;
  const bool cached = work.cached_tokens > 0;
  const double cached_s = cached ? work.cached_s.value_or(0) : 0;
  const double busy_s = *work.prefill_s + *work.decode_s + cached_s;
  if (!(busy_s > 0)) return;
  const double storage_usd = cached ? cost.bill_usd * work.cache_storage_fraction : 0;
  const double time_usd = cost.bill_usd - storage_usd;
  cost.input_usd = time_usd * *work.prefill_s / busy_s;
  cost.output_usd = time_usd * *work.decode_s / busy_s;
  if (!cached || work.cached_s || work.cache_storage_fraction > 0) cost.cached_usd = storage_usd + time_usd * cached_s / busy_s;
}

struct Tokens {
  double input = 0, cached = 0, output = 0, requests = 0;
  double cached_priced = 0;  // of `cached`, those whose cost is known apart
};

void FillPrices(const Tokens& tokens, TokenCost& cost) {
  cost.usd_per_million_input_tokens = PerMillion(cost.input_usd, tokens.input);
  cost.usd_per_million_cached_tokens = PerMillion(cost.cached_usd, tokens.cached_priced);
  cost.usd_per_million_output_tokens = PerMillion(cost.output_usd, tokens.output);
  cost.usd_per_million_output_tokens_all_in = PerMillion(cost.bill_usd, tokens.output);
  cost.usd_per_million_tokens_all_in = PerMillion(cost.bill_usd, tokens.input + tokens.cached + tokens.output);
  cost.usd_per_request = Ratio(cost.bill_usd, tokens.requests);
}

}  // namespace

TokenCost DivideBill(double usd_per_node_h, const NodeWork& work) {
  TokenCost cost;
  cost.bill_usd = usd_per_node_h * work.node_s / kSecondsPerHour;
  Divide(work, cost);
  FillPrices({work.input_tokens, work.cached_tokens, work.output_tokens, work.requests, work.cached_tokens}, cost);
  return cost;
}

TokenCost CombinePools(std::span<const Pool> pools) {
  TokenCost sum;
  Tokens tokens;
  bool divided = true, cached_unknown = false;
  double input_usd = 0, cached_usd = 0, output_usd = 0;
  for (const Pool& pool : pools) {
    const TokenCost cost = DivideBill(pool.usd_per_node_h, pool.work);
    sum.bill_usd += cost.bill_usd;
    tokens.input += pool.work.input_tokens;
    tokens.cached += pool.work.cached_tokens;
    tokens.output += pool.work.output_tokens;
    tokens.requests = std::max(tokens.requests, pool.work.requests);
    if (cost.bill_usd == 0) continue;
    divided = divided && cost.input_usd.has_value();
    cached_unknown = cached_unknown || !cost.cached_usd;
    if (cost.cached_usd) tokens.cached_priced += pool.work.cached_tokens;
    input_usd += cost.input_usd.value_or(0);
    cached_usd += cost.cached_usd.value_or(0);
    output_usd += cost.output_usd.value_or(0);
  }
  if (divided) {
    sum.input_usd = input_usd;
    sum.output_usd = output_usd;
    // What one pool knows stays a part of its own, or the parts would not add up.
    if (!cached_unknown || cached_usd > 0) sum.cached_usd = cached_usd;
  }
  FillPrices(tokens, sum);
  return sum;
}

std::optional<double> UsdPerMillionTokens(double usd_per_node_h, double tokens_per_s) {
  return Ratio(usd_per_node_h * kMillion, tokens_per_s * kSecondsPerHour);
}

}  // namespace moecap::cost
