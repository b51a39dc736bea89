#include "metrics/tiers.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/units.h"

namespace moecap::metrics {
namespace {

using model::ModelSpec;
using record::PassKind;
using record::PassRecord;

constexpr double kShareTolerance = 1e-6;

// Bytes of one pass in each tier, and of them the routed experts'.
struct TierBytes {
  std::vector<double> all, routed;
};

std::optional<TierBytes> BytesOf(const ModelSpec& model, const PassRecord& pass, const TierSystem& system) {
  const auto all = PassBytes(model, pass, Convention::kComplete);
  const auto routed = PassRoutedBytes(model, pass, Convention::kComplete);
  if (!all || !routed) return std::nullopt;
  const double kv = PassKvBytes(model, pass, Convention::kComplete);
  const double dense = *all - kv - std::accumulate(routed->begin(), routed->end(), 0.0);
  TierBytes bytes;
  bytes.routed.resize(system.tiers.size());
  const int moe_layers = model.MoeLayers();
  int moe_layer = 0;
  for (const model::LayerSpec& layer : model.layers) {
    if (!layer.ffn.moe()) continue;
    const double layer_bytes = (*routed)[static_cast<size_t>(moe_layer)];
    const double distinct = *DistinctExperts(pass, moe_layer++, moe_layers);
    if (layer_bytes == 0) continue;
    const std::vector<double> reads = ReadShares(system, distinct, layer.ffn.experts);
    for (size_t i = 0; i < reads.size(); ++i) bytes.routed[i] += layer_bytes * reads[i];
  }
  for (size_t i = 0; i < system.tiers.size(); ++i)
    bytes.all.push_back(dense * system.tiers[i].dense_share + bytes.routed[i] + kv * system.tiers[i].kv_share);
  return bytes;
}

// The KV cache once the pass is over.
double ResidentKvBytes(const ModelSpec& model, const PassRecord& pass) {
  double bytes = 0;
  for (const record::SequenceSlice& slice : pass.sequences)
    bytes += static_cast<double>(slice.count) * model.ResidentKvBytes(slice.context_tokens + slice.new_tokens);
  return bytes;
}

double RoutedWeightBytes(const ModelSpec& model) {
  double bytes = 0;
  for (const model::LayerSpec& layer : model.layers) bytes += layer.weights[model::TensorClass::kRoutedExpert].bytes;
  return bytes;
}

class PhaseSum {
 public:
  explicit PhaseSum(const TierSystem& system)
      : system_(system), bytes_(system.tiers.size(), 0.0), routed_(system.tiers.size(), 0.0) {}

  void Add(const PassRecord& pass, const std::optional<TierBytes>& bytes) {
    ++passes_;
    latency_s_ += pass.latency_s;
    known_ = known_ && bytes.has_value();
    if (!bytes) return;
    double slowest_s = 0, sum_s = 0;
    for (size_t i = 0; i < bytes_.size(); ++i) {
      const double seconds = bytes->all[i] / system_.tiers[i].CeilingBytesPerS();
      bytes_[i] += bytes->all[i];
      routed_[i] += bytes->routed[i];
      slowest_s = std::max(slowest_s, seconds);
      sum_s += seconds;
    }
    overlapped_s_ += slowest_s;
    serial_s_ += sum_s;
  }

  TierPhase Finish() const {
    TierPhase phase;
    phase.passes = passes_;
    phase.latency_s = latency_s_;
    phase.tiers.resize(bytes_.size());
    if (passes_ == 0 || !known_) return phase;
    const auto share = [&](double seconds) { return latency_s_ > 0 ? std::optional(seconds / latency_s_) : std::nullopt; };
    for (size_t i = 0; i < bytes_.size(); ++i) {
      const double seconds = bytes_[i] / system_.tiers[i].CeilingBytesPerS();
      phase.tiers[i] = {bytes_[i], seconds, share(seconds)};
    }
    phase.overlapped_s = overlapped_s_;
    phase.serial_s = serial_s_;
    phase.s_mbu_overlapped = share(overlapped_s_);
    phase.s_mbu_serial = share(serial_s_);
    return phase;
  }

  std::vector<double> RoutedShares() const {
    const double sum = std::accumulate(routed_.begin(), routed_.end(), 0.0);
    std::vector<double> shares;
    for (const double bytes : routed_) shares.push_back(bytes / sum);
    return known_ && sum > 0 ? shares : std::vector<double>{};
  }

 private:
  const TierSystem& system_;
  int64_t passes_ = 0;
  double latency_s_ = 0;
  bool known_ = true;
  std::vector<double> bytes_, routed_;
  double overlapped_s_ = 0, serial_s_ = 0;
};

void CheckPhase(std::string_view name, const TierPhase& phase, std::vector<std::string>& invalid) {
  if (phase.s_mbu_overlapped.value_or(0) <= 1 + 1e-9) return;
  invalid.push_back(fmt::format(
      "the {} passes took {:.4f} of the least time that the tiers need: a bandwidth, the placement or the routing is wrong",
      name, 1 / *phase.s_mbu_overlapped));
}

void CheckCapacity(const TierSystem& system, const std::vector<double>& resident, std::vector<std::string>& invalid) {
  for (size_t i = 0; i < resident.size(); ++i) {
    const Tier& tier = system.tiers[i];
    if (!tier.capacity_bytes || resident[i] <= *tier.capacity_bytes) continue;
    invalid.push_back(fmt::format("{} does not fit into {}, which holds {}", FormatBytes(resident[i]), tier.name,
                                  FormatBytes(*tier.capacity_bytes)));
  }
}

Status CheckSum(const TierSystem& system, const char* kind, double Tier::*share) {
  double sum = 0;
  for (const Tier& tier : system.tiers) {
    const double value = tier.*share;
    if (!(value >= 0 && value <= 1))
      return BadInput(fmt::format("tier {}: {} is {:g}; it is a share from 0 to 1", tier.name, kind, value));
    sum += value;
  }
  if (std::abs(sum - 1) <= kShareTolerance) return {};
  return BadInput(fmt::format("{} sums to {:g} over the tiers; the shares of what lies somewhere must sum to 1", kind, sum));
}

}  // namespace

double Tier::CeilingBytesPerS() const {
  return link_bytes_per_s ? std::min(bandwidth_bytes_per_s, *link_bytes_per_s) : bandwidth_bytes_per_s;
}

std::string_view Name(Placement placement) {
  if (placement == Placement::kStatic) return "static";
  return placement == Placement::kDynamic ? "dynamic" : "uniform";
}

double HitRate(Placement placement, double share) {
  const double f = std::clamp(share, 0.0, 1.0);
  if (placement == Placement::kStatic) return std::pow(f, 0.8);
  if (placement == Placement::kUniform) return f;
  // The fit starts at a tenth of the experts; below it the line to the origin, above it never worse than chance.
  constexpr double kFrom = 0.1, kBase = 0.42, kSlope = 0.45;
  if (f < kFrom) return f / kFrom * (kBase + kSlope * kFrom);
  return std::max(f, kBase + kSlope * f);
}

Status Validate(const TierSystem& system) {
  if (system.tiers.empty()) return BadInput("no tiers are given; a system has one memory at least");
  size_t with_reads = 0;
  double reads = 0;
  for (const Tier& tier : system.tiers) {
    if (!(tier.bandwidth_bytes_per_s > 0 && std::isfinite(tier.bandwidth_bytes_per_s)))
      return BadInput(fmt::format("tier {}: a bandwidth of {:g} bytes/s", tier.name, tier.bandwidth_bytes_per_s));
    if (tier.link_bytes_per_s && !(*tier.link_bytes_per_s > 0))
      return BadInput(fmt::format("tier {}: a link of {:g} bytes/s", tier.name, *tier.link_bytes_per_s));
    if (!tier.read_share) continue;
    if (!(*tier.read_share >= 0 && *tier.read_share <= 1))
      return BadInput(fmt::format("tier {}: read_share is {:g}; it is a share from 0 to 1", tier.name, *tier.read_share));
    ++with_reads;
    reads += *tier.read_share;
  }
  RETURN_IF_ERROR(CheckSum(system, "routed_share", &Tier::routed_share));
  RETURN_IF_ERROR(CheckSum(system, "dense_share", &Tier::dense_share));
  RETURN_IF_ERROR(CheckSum(system, "kv_share", &Tier::kv_share));
  if (with_reads != 0 && with_reads != system.tiers.size())
    return BadInput("read_share is given for some tiers only; give it for all of them, or for none");
  if (with_reads != 0 && std::abs(reads - 1) > kShareTolerance)
    return BadInput(fmt::format("read_share sums to {:g} over the tiers; it must sum to 1", reads));
  return {};
}

std::vector<double> ReadShares(const TierSystem& system, double distinct, double experts) {
  CHECK(distinct > 0);
  std::vector<double> shares;
  double share = 0, hits = 0;
  for (const Tier& tier : system.tiers) {
    if (tier.read_share) {
      shares.push_back(*tier.read_share);
      continue;
    }
    share += tier.routed_share;
    // Shares that sum to 1 up to rounding leave no read without a tier.
    const bool last = share >= 1 - kShareTolerance;
    const double until = last ? 1 : std::min(HitRate(system.placement, share), share * experts / distinct);
    shares.push_back(until - hits);
    hits = until;
  }
  return shares;
}

TierUtilization ComputeTiers(const ModelSpec& model, std::span<const PassRecord> passes, const TierSystem& system) {
  TierUtilization result;
  PhaseSum prefill(system), decode(system), mixed(system), all(system);
  double kv_bytes = 0;
  for (const PassRecord& pass : passes) {
    if (pass.cell.repeat < 0 || pass.rank > 0 || pass.sequences.empty()) continue;
    const auto bytes = BytesOf(model, pass, system);
    (pass.kind == PassKind::kPrefill ? prefill : pass.kind == PassKind::kDecode ? decode : mixed).Add(pass, bytes);
    all.Add(pass, bytes);
    kv_bytes = std::max(kv_bytes, ResidentKvBytes(model, pass));
  }
  result.prefill = prefill.Finish();
  result.decode = decode.Finish();
  result.mixed = mixed.Finish();
  result.all = all.Finish();
  result.read_shares = all.RoutedShares();
  const double routed = RoutedWeightBytes(model);
  const double dense = model.WeightBytes() - routed;
  for (const Tier& tier : system.tiers)
    result.resident_bytes.push_back(routed * tier.routed_share + dense * tier.dense_share + kv_bytes * tier.kv_share);
  CheckCapacity(system, result.resident_bytes, result.invalid);
  CheckPhase("prefill", result.prefill, result.invalid);
  CheckPhase("decode", result.decode, result.invalid);
  CheckPhase("mixed", result.mixed, result.invalid);
  return result;
}

}  // namespace moecap::metrics
