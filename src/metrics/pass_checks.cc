#include "metrics/pass_checks.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string_view>
#include <utility>

#include "metrics/pass_cost.h"

namespace moecap::metrics {
namespace {

using model::LayerSpec;
using record::PassKind;
using record::PassRecord;

struct Words {
  std::string_view name;
  std::string_view remedy;
};

// In the order of PassChecks::Kind.
constexpr Words kWords[] = {
    {"latency of a pass", "a pass takes time: the clock or the recording is wrong"},
    {"sequences of a pass", "the pass was left out; the recording lacks what was computed"},
    {"replica of a pass", "give the deployment that was recorded"},
    {"recorded MoE layers", "the recording is of another model, or some layers are missing"},
    {"distinct experts are numbers", "the recording is damaged"},
    {"distinct experts at least top-k", "expert ids are missing or all the same: record the routing again"},
    {"distinct experts at most possible", "the routing belongs to another batch or another model"},
    {"experts of one token differ", "expert ids repeat within a token: the recording holds filler in place of ids"}};

std::string_view KindName(PassKind kind) {
  if (kind == PassKind::kPrefill) return "prefill";
  return kind == PassKind::kDecode ? "decode" : "mixed";
}

}  // namespace

PassChecks::PassChecks(const model::ModelSpec& model) : model_(model), moe_layers_(model.MoeLayers()) {
  static_assert(std::size(kWords) == kKinds);
}

void PassChecks::Tell(Kind kind, const PassRecord& pass, std::string detail) {
  Tally& tally = tallies_[kind];
  if (++tally.failed == 1) tally.first = fmt::format("{} pass {}: {}", KindName(pass.kind), pass.pass, detail);
}

bool PassChecks::Check(const PassRecord& pass) {
  ++tallies_[kLatency].looked_at;
  ++tallies_[kSequences].looked_at;
  if (!(pass.latency_s > 0) || !std::isfinite(pass.latency_s)) {
    Tell(kLatency, pass, fmt::format("a latency of {} s", pass.latency_s));
  }
  if (pass.sequences.empty()) {
    Tell(kSequences, pass, "no sequences");
    return false;
  }
  for (const record::SequenceSlice& slice : pass.sequences) {
    if (slice.new_tokens >= 1 && slice.context_tokens >= 0 && slice.count >= 1) continue;
    Tell(kSequences, pass,
         fmt::format("a sequence of {} context and {} new tokens, {} times", slice.context_tokens, slice.new_tokens,
                     slice.count));
    return false;
  }
  if (moe_layers_ > 0) CheckRouting(pass);
  return true;
}

void PassChecks::CheckReplica(const PassRecord& pass, int replicas) {
  ++tallies_[kReplica].looked_at;
  if (pass.replica >= 0 && pass.replica < replicas) return;
  Tell(kReplica, pass, fmt::format("replica {} of a deployment of {}", pass.replica, replicas));
}

void PassChecks::CheckRouting(const PassRecord& pass) {
  const size_t given = pass.distinct_experts.size();
  if (given == 0 && pass.expert_counts.empty()) return;
  ++tallies_[kLayers].looked_at;
  const auto layers = static_cast<size_t>(moe_layers_);
  if (given > 1 && given != layers)
    return Tell(kLayers, pass,
                fmt::format("distinct experts of {} layers, but the model has {} MoE layers", given, moe_layers_));
  if (!pass.expert_counts.empty() && pass.expert_counts.size() != layers)
    return Tell(
        kLayers, pass,
        fmt::format("expert counts of {} layers, but the model has {} MoE layers", pass.expert_counts.size(), moe_layers_));
  const std::array<int64_t, kKinds> before = [&] {
    std::array<int64_t, kKinds> failed{};
    std::ranges::transform(tallies_, failed.begin(), &Tally::failed);
    return failed;
  }();
  for (const Kind kind : {kFinite, kFew, kMany}) ++tallies_[kind].looked_at;
  if (!pass.expert_counts.empty()) ++tallies_[kRepeated].looked_at;
  int moe_layer = 0;
  for (const LayerSpec& layer : model_.layers) {
    if (!layer.ffn.moe()) continue;
    const std::optional<double> distinct = DistinctExperts(pass, moe_layer, moe_layers_);
    if (distinct && !std::isfinite(*distinct)) {
      Tell(kFinite, pass, fmt::format("distinct experts of MoE layer {} are not a number", moe_layer));
    } else if (distinct) {
      CheckLayer(layer, pass, moe_layer, *distinct);
    }
    ++moe_layer;
  }
  // A pass counts once, however many of its layers fail.
  for (size_t kind = 0; kind < kKinds; ++kind) tallies_[kind].failed = std::min(tallies_[kind].failed, before[kind] + 1);
}

// Bounds of the distinct experts of one layer: at least k if any token was routed, at most E and tokens x k.
void PassChecks::CheckLayer(const LayerSpec& layer, const PassRecord& pass, int moe_layer, double distinct) {
  const auto index = static_cast<size_t>(moe_layer);
  double rows = static_cast<double>(pass.NewTokens());
  const bool rows_known = index < pass.expert_counts.size() && layer.ffn.top_k > 0;
  if (rows_known) {
    const std::vector<int32_t>& counts = pass.expert_counts[index];
    rows = std::accumulate(counts.begin(), counts.end(), 0.0) / layer.ffn.top_k;
    const auto most_used = std::ranges::max_element(counts);
    if (layer.ffn.zero_experts == 0 && most_used != counts.end() && *most_used > rows + 1e-9) {
      Tell(kRepeated, pass,
           fmt::format("expert {} of MoE layer {} was chosen {} times by {} tokens", most_used - counts.begin(), moe_layer,
                       *most_used, rows));
    }
  }
  // An engine may skip the last layer for rows without logits, all of them in an unfinished chunk.
  const bool may_be_empty = rows_known ? rows == 0 : moe_layer == moe_layers_ - 1 && pass.kind != PassKind::kDecode;
  if (distinct == 0 && may_be_empty) return;
  const double least = layer.ffn.zero_experts > 0 ? 0 : layer.ffn.top_k;
  if (distinct < least - 1e-9) {
    Tell(kFew, pass,
         fmt::format("{} distinct experts in MoE layer {}, fewer than top-{}", distinct, moe_layer, layer.ffn.top_k));
  }
  const double most = std::min<double>(layer.ffn.experts, rows * layer.ffn.top_k);
  if (distinct > most + 1e-9) {
    Tell(kMany, pass,
         fmt::format("{} distinct experts in MoE layer {}, more than min({} experts, {} tokens x top-{})", distinct, moe_layer,
                     layer.ffn.experts, rows, layer.ffn.top_k));
  }
}

std::vector<Gate> PassChecks::Gates() const {
  std::vector<Gate> gates;
  for (size_t kind = 0; kind < kKinds; ++kind) {
    const Tally& tally = tallies_[kind];
    Gate gate = MakeGate(std::string(kWords[kind].name), 0, "passes");
    if (tally.looked_at == 0) {
      gates.push_back(NotMeasured(std::move(gate), kind < kReplica    ? "no pass was recorded"
                                                   : kind == kReplica ? "the passes are of one replica"
                                                   : moe_layers_ == 0 ? "the model is dense"
                                                                      : "no routing was recorded"));
      continue;
    }
    const std::string more = tally.failed > 1 ? fmt::format(" (and {} more passes)", tally.failed - 1) : "";
    gates.push_back(Judge(std::move(gate), static_cast<double>(tally.failed),
                          fmt::format("{}{}; {}", tally.first, more, kWords[kind].remedy)));
  }
  return gates;
}

}  // namespace moecap::metrics
