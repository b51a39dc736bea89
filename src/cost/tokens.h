// The bill of a machine's work and its division between input, cached and output tokens: the parts add up to the bill.
#pragma once

#include <optional>
#include <span>
#include <string>

namespace moecap::cost {

// The work of a node, or of a pool of equal nodes, during a run.
struct NodeWork {
  double node_s = 0;  // seconds of node time paid for: nodes x wall time
  // Busy node time that went into prefill and into decode; null = not known. Never overlapping, and without `cached_s`.
  std::optional<double> prefill_s;
  std::optional<double> decode_s;
  // Node time for the input tokens that a prefix cache served: what reading their KV entries took (bytes / bandwidth, or the
  // transfer from a slower tier). Null = not known: that time is then inside prefill_s and decode_s.
  std::optional<double> cached_s;
  // Share of the bill that pays for the memory or disk in which cached entries wait (0..1). Charged to the cached tokens.
  double cache_storage_fraction = 0;
  double input_tokens = 0;   // computed, without those served from a prefix cache
  double cached_tokens = 0;  // input tokens served from a prefix cache
  double output_tokens = 0;
  double requests = 0;
};

// The bill and its division by node time:
//   input_usd + cached_usd + output_usd = bill_usd,  price x tokens = part.
// A price is null when its part is not known or there are no such tokens. The parts are null when the node times are not known.
struct TokenCost {
  double bill_usd = 0;
  std::optional<double> input_usd, output_usd;
  // Null when there are cached tokens but neither cached_s nor cache_storage_fraction says what they cost: their cost is then
  // inside the other two. 0 without cached tokens.
  std::optional<double> cached_usd;
  std::optional<double> usd_per_million_input_tokens;
  std::optional<double> usd_per_million_cached_tokens;
  std::optional<double> usd_per_million_output_tokens;
  // The whole bill laid on the output tokens, and on all tokens (input, cached and output) alike.
  std::optional<double> usd_per_million_output_tokens_all_in;
  std::optional<double> usd_per_million_tokens_all_in;
  std::optional<double> usd_per_request;
};

// `usd_per_node_h`: for an hour of one node. Idle time is shared out like busy time. Storage without cached tokens is shared out
// in the same way.
TokenCost DivideBill(double usd_per_node_h, const NodeWork& work);

// Nodes that do the same work, in disaggregated serving one phase only.
struct Pool {
  std::string name;
  double usd_per_node_h = 0;
  NodeWork work;
};

// Several pools that serve the same requests: each pool's bill is divided by its own work, then parts and tokens are summed.
// Parts are null when those of one pool with a bill are. Requests pass through all pools: the largest count stands for all.
TokenCost CombinePools(std::span<const Pool> pools);

// USD per 1M tokens of a pool that does one phase only. Null unless tokens_per_s > 0.
std::optional<double> UsdPerMillionTokens(double usd_per_node_h, double tokens_per_s);

}  // namespace moecap::cost
