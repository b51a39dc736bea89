#include "trace/summary_json.h"

#include <nlohmann/json.hpp>

#include "base/json.h"

namespace moecap::trace {
namespace {

Json CoverageToJson(const std::vector<routing::CoverageRow>& rows) {
  Json result = Json::array();
  for (const routing::CoverageRow& row : rows) {
    result.push_back({{"tokens", row.tokens},
                      {"measured_decode_passes", OrNull(row.decode_passes)},
                      {"measured_blocks", OrNull(row.blocks)},
                      {"measured_resampled", OrNull(row.resampled)},
                      {"estimated_uniform", row.uniform},
                      {"estimated_beta_binomial", row.beta_binomial},
                      {"estimated_popularity", row.popularity}});
  }
  return result;
}

// Null where the recording does not say it.
Json ShareToJson(const TraceSummary& summary) {
  const TraceShare& share = summary.header.share;
  const int64_t kinds = (summary.prefill_passes > 0) + (summary.decode_passes > 0) + (summary.mixed_passes > 0);
  Json phase = nullptr;
  if (kinds > 1) phase = "several";
  if (kinds == 1) phase = summary.prefill_passes > 0 ? "prefill" : summary.decode_passes > 0 ? "decode" : "mixed";
  return {{"whole", OrNull(share.whole)},
          {"ranks", share.ranks.empty() ? Json(nullptr) : Json(share.ranks)},
          {"world", OrNull(share.world)},
          {"missing_ranks", share.MissingRanks()},
          {"devices", OrNull(share.devices)},
          {"cell", share.cell.empty() ? Json(nullptr) : Json(share.cell)},
          {"phase", std::move(phase)},
          {"physical_experts", share.physical_experts > 0 ? Json(share.physical_experts) : Json(nullptr)}};
}

Json PhaseToJson(const TraceSummary::Phase& phase, size_t layer) {
  if (phase.empty()) return nullptr;
  const routing::LayerLoad& load = phase.layers[layer];
  return {{"assignments", load.assignments},
          {"distinct_experts", load.distinct},
          {"cv", load.cv},
          {"max_over_mean", load.max_over_mean},
          {"popularity", load.popularity}};
}

Json PhysicalToJson(const PhysicalLoad& physical, size_t layer) {
  if (physical.empty()) return nullptr;
  const routing::LayerLoad load = routing::SummarizeLayer(physical.counts[layer]);
  return {{"experts", physical.experts[layer]},
          {"counts", physical.counts[layer]},
          {"cv", load.cv},
          {"max_over_mean", load.max_over_mean}};
}

Json LayerToJson(int number, const routing::LayerProfile& profile, int top_k) {
  Json pairs = Json::array();
  for (const routing::ExpertPair& pair : profile.pairs) {
    pairs.push_back({{"experts", {pair.first, pair.second}}, {"share", pair.share}, {"lift", pair.lift}});
  }
  Json layer = {{"layer", number},
                {"tokens", OrNull(profile.tokens)},
                {"assignments", profile.load.assignments},
                {"distinct_experts", profile.load.distinct},
                {"entropy_bits", profile.load.entropy_bits},
                {"normalized_entropy", profile.load.normalized_entropy},
                {"cv", profile.load.cv},
                {"max_over_mean", profile.load.max_over_mean},
                {"overlap", OrNull(profile.overlap)},
                {"independent_overlap", top_k > 0 ? Json(profile.independent_overlap) : Json(nullptr)},
                {"in_sequence_exponent", OrNull(profile.in_sequence_exponent)}};
  if (profile.halves) {
    layer["split_half"] = {{"total_variation", profile.halves->total_variation},
                           {"expected_total_variation", profile.halves->expected_total_variation},
                           {"verdict", std::string(routing::Name(profile.halves->verdict))},
                           {"tokens_needed", profile.halves->tokens_needed}};
  } else {
    layer["split_half"] = nullptr;
  }
  layer["pairs"] = std::move(pairs);
  layer["coverage"] = CoverageToJson(routing::CoverageTable(profile, top_k));
  layer["popularity"] = profile.load.popularity;
  return layer;
}

Json CacheToJson(const TraceSummary& summary, std::span<const double> expert_bytes) {
  if (summary.caches.empty()) return nullptr;
  const CacheTotals totals = TotalCaches(summary.caches, expert_bytes);
  Json policies = Json::object();
  for (const routing::CachePolicy policy : routing::kCachePolicies) {
    const auto index = static_cast<size_t>(policy);
    Json layers = Json::array();
    for (const routing::CacheCurve& curve : summary.caches) layers.push_back(curve.hits[index]);
    policies[std::string(routing::Name(policy))] = {
        {"hit_rate", totals.hit_rate[index]},
        {"link_bytes", expert_bytes.empty() ? Json(nullptr) : Json(totals.link_bytes[index])},
        {"hits_by_layer", std::move(layers)}};
  }
  return {{"unit_of_capacity", "experts per layer, from 0"},
          {"accesses", totals.accesses},
          {"beginning_only", summary.cache_cut},
          {"policies", std::move(policies)}};
}

}  // namespace

std::string ToJsonText(const TraceSummary& summary, std::span<const double> expert_bytes) {
  const TraceHeader& header = summary.header;
  Json layers = Json::array();
  for (size_t i = 0; i < summary.layers.size(); ++i) {
    Json layer = LayerToJson(header.layer_numbers[i], summary.layers[i], header.top_k);
    layer["by_phase"] = {{"prefill", PhaseToJson(summary.prefill, i)}, {"decode", PhaseToJson(summary.decode, i)}};
    layer["physical"] = PhysicalToJson(summary.physical, i);
    layers.push_back(std::move(layer));
  }
  return DumpJsonPretty({{"schema", 1},
                         {"model", header.model},
                         {"origin", header.origin},
                         {"grain", std::string(Name(header.grain))},
                         {"passes_known", header.passes_known},
                         {"share", ShareToJson(summary)},
                         {"experts", header.experts},
                         {"top_k", header.top_k > 0 ? Json(header.top_k) : Json(nullptr)},
                         {"passes", summary.passes},
                         {"prefill_passes", summary.prefill_passes},
                         {"decode_passes", summary.decode_passes},
                         {"mixed_passes", summary.mixed_passes},
                         {"tokens", OrNull(summary.tokens)},
                         {"notes", header.notes},
                         {"warnings", summary.warnings},
                         {"stable", summary.Sheet().Stable()},
                         {"coverage", CoverageToJson(MeanCoverage(summary))},
                         {"cache", CacheToJson(summary, expert_bytes)},
                         {"no_cache_reason", summary.no_cache_reason.empty() ? Json(nullptr) : Json(summary.no_cache_reason)},
                         {"layers", std::move(layers)}});
}

}  // namespace moecap::trace
