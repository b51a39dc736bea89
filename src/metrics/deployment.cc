#include "metrics/deployment.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>
#include <set>
#include <tuple>

namespace moecap::metrics {
namespace {

using model::TensorClass;
using record::PassRecord;

constexpr int kMostRanks = 1 << 16;

// Tokens per expert of all records together; empty when one of them does not say, or says it in another shape.
std::vector<std::vector<int32_t>> SumCounts(const std::vector<const PassRecord*>& records) {
  std::vector<std::vector<int32_t>> sum = records.front()->expert_counts;
  for (size_t r = 1; r < records.size(); ++r) {
    const auto& counts = records[r]->expert_counts;
    if (counts.size() != sum.size()) return {};
    for (size_t layer = 0; layer < sum.size(); ++layer) {
      if (counts[layer].size() != sum[layer].size()) return {};
      for (size_t e = 0; e < sum[layer].size(); ++e) {
        const int64_t total = int64_t{sum[layer][e]} + counts[layer][e];
        sum[layer][e] = static_cast<int32_t>(std::min<int64_t>(total, std::numeric_limits<int32_t>::max()));
      }
    }
  }
  return sum;
}

// The replicas ran in lockstep: the step took as long as the slowest record says.
PassRecord Joined(const std::vector<const PassRecord*>& records) {
  PassRecord step = *records.front();
  if (records.size() == 1) return step;
  step.distinct_experts.clear();
  step.expert_counts = SumCounts(records);
  for (size_t r = 1; r < records.size(); ++r) {
    const PassRecord& pass = *records[r];
    if (pass.kind != step.kind) step.kind = record::PassKind::kMixed;
    step.start_s = std::min(step.start_s, pass.start_s);
    step.latency_s = std::max(step.latency_s, pass.latency_s);
    step.sequences.insert(step.sequences.end(), pass.sequences.begin(), pass.sequences.end());
    if (pass.distinct_experts_source != record::Source::kMeasured) step.distinct_experts_source = pass.distinct_experts_source;
  }
  return step;
}

Status BadSize(std::string_view name, int value) {
  return BadInput(fmt::format("{} parallelism of {} is not possible; use 1 to {}", name, value, kMostRanks));
}

Status CheckSizes(const Deployment& deployment) {
  const auto possible = [](int value) { return value >= 1 && value <= kMostRanks; };
  if (!possible(deployment.tensor)) return BadSize("tensor", deployment.tensor);
  if (!possible(deployment.expert)) return BadSize("expert", deployment.expert);
  if (!possible(deployment.pipeline)) return BadSize("pipeline", deployment.pipeline);
  if (!possible(deployment.data)) return BadSize("data", deployment.data);
  if (deployment.Devices() > kMostRanks) {
    return BadInput(fmt::format("{} devices are too many; at most {} are possible", deployment.Devices(), kMostRanks));
  }
  return {};
}

}  // namespace

int64_t Deployment::Devices() const { return int64_t{tensor} * pipeline * data; }
int Deployment::StepReplicas() const { return expert > tensor ? expert / tensor : 1; }
int64_t Deployment::StepDevices() const { return int64_t{tensor} * pipeline * StepReplicas(); }

Status Validate(const Deployment& deployment, const model::ModelSpec& model) {
  RETURN_IF_ERROR(CheckSizes(deployment));
  const auto& [tensor, expert, pipeline, data] = deployment;
  const int64_t ranks = int64_t{tensor} * data;
  if (ranks % expert != 0) {
    return BadInput(fmt::format("expert parallelism of {} does not divide the {} ranks of tensor {} x data {}", expert, ranks,
                                tensor, data));
  }
  if (expert % tensor != 0 && tensor % expert != 0) {
    return BadInput(
        fmt::format("expert parallelism of {} would cut a replica of tensor {} in parts; use a divisor or a multiple of {}",
                    expert, tensor, tensor));
  }
  if (expert > 1 && model.MoeLayers() == 0)
    return BadInput("expert parallelism needs a model with routed experts; this is dense");
  if (model.MoeLayers() > 0 && expert > model.Experts()) {
    return BadInput(fmt::format("expert parallelism of {} is more than the model's {} experts", expert, model.Experts()));
  }
  if (static_cast<size_t>(pipeline) > std::max<size_t>(model.layers.size(), 1)) {
    return BadInput(
        fmt::format("pipeline parallelism of {} is more than the model's {} layers", pipeline, model.layers.size()));
  }
  return {};
}

double Replication::OfWeights(TensorClass c) const {
  switch (c) {
    case TensorClass::kRoutedExpert:
      return 1;
    case TensorClass::kNorm:
    case TensorClass::kRouter:
    case TensorClass::kOther:
      return static_cast<double>(replicas) * tensor;
    case TensorClass::kEmbedding:
    case TensorClass::kAttention:
    case TensorClass::kSharedExpert:
    case TensorClass::kDenseFfn:
    case TensorClass::kHead:
      break;
  }
  return replicas;
}

double Replication::OfCache(const model::AttentionSpec& attention, size_t cache) const {
  // Of a layer with key and value heads the first cache holds them; any other is the indexer's.
  const bool by_heads = attention.kind == model::AttentionKind::kGqa && cache == 0 && attention.kv_heads > 0;
  if (!by_heads) return tensor;
  return std::max(1.0, static_cast<double>(tensor) / attention.kv_heads);
}

Steps JoinSteps(std::span<const PassRecord> passes, const Deployment& deployment) {
  const int group_size = deployment.StepReplicas();
  const auto group_of = [&](const PassRecord& pass) { return pass.replica / group_size; };
  const auto counts = [](const PassRecord& pass) { return pass.cell.repeat >= 0 && pass.rank <= 0; };
  std::map<int, std::set<int>> replicas;  // named in each group
  for (const PassRecord& pass : passes) {
    if (counts(pass)) replicas[group_of(pass)].insert(pass.replica);
  }
  using Pass = std::tuple<std::string, int, int, int64_t>;
  std::map<std::tuple<Pass, int>, int> seen;            // records of a pass by replica
  std::map<std::tuple<Pass, int, int>, size_t> places;  // of a pass, an expert group and the n-th time
  std::vector<std::vector<const PassRecord*>> steps;
  for (const PassRecord& pass : passes) {
    if (!counts(pass)) continue;
    const Pass id{pass.cell.system, pass.cell.concurrency, pass.cell.repeat, pass.pass};
    const int nth = seen[{id, pass.replica}]++;
    const auto [place, added] = places.try_emplace({id, group_of(pass), nth}, steps.size());
    if (added) steps.emplace_back();
    steps[place->second].push_back(&pass);
  }
  Steps result;
  int64_t unknown = 0;
  for (const std::vector<const PassRecord*>& records : steps) {
    const bool whole_group = replicas[group_of(*records.front())].size() == 1;
    result.steps.push_back({Joined(records), whole_group ? group_size : static_cast<int>(records.size())});
    if (records.size() > 1 && result.steps.back().pass.expert_counts.empty()) ++unknown;
  }
  if (unknown > 0) {
    result.notes.push_back(fmt::format(
        "{} steps were recorded by several replicas without expert_counts of equal shape: how many distinct experts "
        "they used together is not known",
        unknown));
  }
  return result;
}

}  // namespace moecap::metrics
