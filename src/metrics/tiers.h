// Memory tiers: the speed of light of a system that keeps experts in HBM, DRAM and SSD, and how near a run came to it.
//
// S-MBU divides all bytes by one bandwidth, which means nothing where the bytes lie in several memories. Here each pass's bytes
// are divided over the tiers, each tier has a bandwidth of its own, and the least time of a pass is the maximum of the tiers'
// times when they work at once, or their sum when they take turns (docs/metrics.md, "Memory tiers").
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "metrics/pass_cost.h"
#include "metrics/utilization.h"
#include "model/model_spec.h"
#include "record/pass_record.h"

namespace moecap::metrics {

// One memory, all its devices together.
struct Tier {
  std::string name;                  // "HBM", "DRAM", "SSD"
  double bandwidth_bytes_per_s = 0;  // peak of the memory
  // What lies here is copied over this link before it is used. Null: it is computed where it lies (experts on the processor).
  std::optional<double> link_bytes_per_s;
  std::optional<double> capacity_bytes;  // null = not known, not checked
  // What lies here, as shares of each kind's bytes; each kind's shares sum to 1 over the tiers.
  double routed_share = 0;  // of the routed experts
  double dense_share = 0;   // of every other weight
  double kv_share = 0;      // of the KV cache and recurrent state
  // Share of the routed-expert reads of a pass that this tier serves, from a trace. Null: from `routed_share` and the
  // placement.
  std::optional<double> read_share;

  // What reading from here can reach: min(bandwidth, link).
  double CeilingBytesPerS() const;
};

// Which experts lie in the fast tiers, and so what share h(f) of the reads a share f of the experts serves.
enum class Placement {
  kUniform,  // any: h = f, exact for experts that are equally popular
  kStatic,   // the most popular ones of a sample, pinned: h = f^0.8
  kDynamic   // a cache that follows the requests: h = 0.42 + 0.45 f, from 4.65 f at f < 0.1, and at least f
};
// "uniform", "static", "dynamic".
std::string_view Name(Placement placement);
// h(f), f in 0..1; h(0) = 0 and h(1) = 1. kStatic and kDynamic are fits to one published measurement of a hybrid engine:
// defaults, to be replaced by a trace's hit rates (Tier::read_share).
double HitRate(Placement placement, double share);

struct TierSystem {
  std::vector<Tier> tiers;  // fastest first: the most popular experts lie in front
  Placement placement = Placement::kUniform;
};

// Errors: kBadInput naming the tier: no tiers, a bandwidth that is not positive, a share below 0 or above 1, shares of a kind
// that do not sum to 1, read shares of some tiers only or not summing to 1.
Status Validate(const TierSystem& system);

// Share of a layer's routed-expert reads that each tier serves when a pass reads `distinct` of its `experts`; sums to 1.
// However popular its experts are, a tier that holds f of them serves f x experts reads at most: with all of them read, the
// placement does not matter. Requires a valid system and 0 < distinct <= experts.
std::vector<double> ReadShares(const TierSystem& system, double distinct, double experts);

// Sums over the passes of one phase. Null when the distinct experts of a pass are not known.
struct TierPhase {
  struct One {
    std::optional<double> bytes;
    std::optional<double> seconds;  // bytes / CeilingBytesPerS()
    // bytes / latency / ceiling: how busy this tier's memory or link was. 0..1.
    std::optional<double> s_mbu;
  };
  int64_t passes = 0;
  double latency_s = 0;
  std::vector<One> tiers;  // as TierSystem::tiers
  // The least time of all passes: tiers at once (sum over passes of the slowest tier's time), and one after another.
  std::optional<double> overlapped_s, serial_s;
  // Least time / latency: the S-MBU of the whole system under either assumption. With everything in one tier without a link
  // both are that tier's S-MBU. `overlapped` above 1 is impossible; `serial` above 1 shows that tiers did overlap.
  std::optional<double> s_mbu_overlapped, s_mbu_serial;
};

struct TierUtilization {
  TierPhase prefill, decode, mixed, all;
  std::vector<double> read_shares;     // of the routed-expert bytes of all passes; empty when not known
  std::vector<double> resident_bytes;  // weights in each tier, and the largest KV cache of a pass
  std::vector<std::string> invalid;    // a tier that cannot hold its share, an overlapped S-MBU above 1
};

// Bytes in the complete convention, on one device's worth of weights (no parallelism). Requires a valid system.
TierUtilization ComputeTiers(const model::ModelSpec& model, std::span<const record::PassRecord> passes,
                             const TierSystem& system);

}  // namespace moecap::metrics
