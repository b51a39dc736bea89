#include "app/cli/validate_gpu.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <vector>

#include "app/cli/output.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/table.h"
#include "base/units.h"
#include "hardware/probe/probe.h"
#include "metrics/pass_cost.h"
#include "metrics/pass_terms.h"
#include "metrics/pass_traffic.h"
#include "system/llamacpp/gpu_profiler.h"

namespace moecap::app {
namespace {

using llamacpp::GraphPass;

struct GpuPass {
  GraphPass pass;
  metrics::PassTerms terms;
  double host_bytes = 0;  // of the terms, experts in host memory
  double flops = 0;
};

Result<std::vector<GpuPass>> Measure(GpuPasses& request, const model::ModelSpec& spec) {
  const SteadyClock clock;
  ASSIGN_OR_RETURN(const auto library, llamacpp::EngineLibrary::Load());
  llamacpp::Placement placement;
  ASSIGN_OR_RETURN(placement.gpus, GpuNames(*library, !request.profile));
  placement.cpu_experts = request.cpu_experts;
  std::optional<llamacpp::GpuProfiler> profiler;
  if (request.profile) {
    ASSIGN_OR_RETURN(profiler, llamacpp::GpuProfiler::Open());
    request.options.bracket = [&profiler](bool begins) { begins ? profiler->Begin() : profiler->End(); };
  }
  if (request.options.threads == 0) request.options.threads = hardware::DetectHost().UsableThreads();
  request.options.count_graph = false;
  ASSIGN_OR_RETURN(const auto model, llamacpp::LoadedModel::Load(*library, request.file, placement));
  ASSIGN_OR_RETURN(auto passes, llamacpp::RunGraphPasses(*library, model, request.options, clock, nullptr));
  std::vector<GpuPass> measured;
  for (GraphPass& pass : passes) {
    const auto terms = metrics::TermsOf(spec, pass.record);
    if (!terms) return Failed("a pass whose experts were not recorded");
    const double flops = metrics::PassFlops(spec, pass.record, metrics::Convention::kComplete);
    const double host_bytes = metrics::RoutedBytesOfFirst(spec, pass.record, request.cpu_experts).value_or(0);
    measured.push_back({std::move(pass), *terms, host_bytes, flops});
  }
  return measured;
}

double MeanDistinct(const record::PassRecord& record) {
  const std::vector<double>& layers = record.distinct_experts;
  return layers.empty() ? 0 : std::accumulate(layers.begin(), layers.end(), 0.0) / static_cast<double>(layers.size());
}

const char* Phase(const record::PassRecord& record) { return record.kind == record::PassKind::kPrefill ? "prefill" : "decode"; }

// What the model of the kernels adds to the formula; null for a prompt's pass.
Json AddedJson(const model::ModelSpec& spec, const record::PassRecord& record) {
  const auto traffic = metrics::TrafficOf(spec, record);
  if (!traffic) return nullptr;
  return {{"kv_padding", traffic->kv_padding},
          {"kv_outside_windows", traffic->kv_outside_windows},
          {"expert_rereads", traffic->expert_rereads},
          {"quantised_rereads", traffic->quantised_rereads},
          {"activations_written", traffic->activations_written},
          {"activations_read", traffic->activations_read},
          {"attention_partials", traffic->attention_partials},
          {"row_overread", traffic->row_overread},
          {"logits", traffic->logits}};
}

Json ToJson(const GpuPass& measured, const model::ModelSpec& spec) {
  const auto& [pass, terms, host_bytes, flops] = measured;
  Json times = nullptr;
  if (pass.times) {
    times = {{"plain_s", pass.times->plain_s},
             {"recorded_ratio", pass.times->recorded_s / pass.times->plain_s},
             {"replayed_ratio", pass.times->replayed_s / pass.times->plain_s}};
  }
  const record::SequenceSlice& slice = pass.record.sequences.front();
  return {{"phase", Phase(pass.record)},
          {"context_tokens", slice.context_tokens},
          {"new_tokens", slice.new_tokens},
          {"batch", pass.record.SequenceCount()},
          {"distinct_experts", pass.record.distinct_experts},
          {"bytes",
           {{"layer_weights", terms.layer_weights},
            {"routed_experts", terms.routed_experts},
            {"ends", terms.ends},
            {"kv_read", terms.kv_read},
            {"kv_written", terms.kv_written}}},
          {"added_bytes", AddedJson(spec, pass.record)},
          {"host_bytes", host_bytes},
          {"paper_bytes", *metrics::PassBytes(spec, pass.record, metrics::Convention::kPaper)},
          {"flops", flops},
          {"replay_matches", pass.replay_matches},
          {"recording", std::move(times)}};
}

void PrintTable(const std::vector<GpuPass>& passes) {
  const std::vector<TableColumn> columns = {{"", "pass", Align::kLeft, true},
                                            {"", "context", Align::kRight, true},
                                            {"", "batch", Align::kRight, true},
                                            {"", "distinct experts"},
                                            {"bytes by formula", "weights"},
                                            {"bytes by formula", "experts"},
                                            {"bytes by formula", "KV"},
                                            {"bytes by formula", "all"},
                                            {"latency", "plain"},
                                            {"latency", "recorded"},
                                            {"latency", "replayed"},
                                            {"", "bandwidth"}};
  std::vector<std::vector<std::string>> rows;
  for (const auto& [pass, terms, host_bytes, flops] : passes) {
    const record::SequenceSlice& slice = pass.record.sequences.front();
    std::vector<std::string> row = {Phase(pass.record),
                                    std::to_string(slice.context_tokens),
                                    std::to_string(pass.record.SequenceCount()),
                                    fmt::format("{:.2f}", MeanDistinct(pass.record)),
                                    FormatBytes(terms.layer_weights + terms.ends),
                                    FormatBytes(terms.routed_experts),
                                    FormatBytes(terms.kv_read + terms.kv_written),
                                    FormatBytes(terms.Sum())};
    if (pass.times) {
      const auto ratio = [&](double value) { return fmt::format("{:.2f} x", value / pass.times->plain_s); };
      row.insert(row.end(), {FormatSeconds(pass.times->plain_s), ratio(pass.times->recorded_s), ratio(pass.times->replayed_s),
                             FormatSi(terms.Sum() / pass.times->plain_s, "B/s")});
    } else {
      row.insert(row.end(), 4, "-");
    }
    rows.push_back(std::move(row));
  }
  fmt::print("{}", RenderTable(columns, rows, TerminalTable()));
}

}  // namespace

Result<std::vector<std::string>> GpuNames(llamacpp::EngineLibrary& library, bool tries_first) {
  std::vector<std::string> names;
  for (const llamacpp::GpuDevice& gpu : library.UseGpus(tries_first)) names.push_back(gpu.name);
  if (names.empty()) {
    const std::string& failure = library.gpu_failure();
    return BadInput(fmt::format("--gpu: no GPU can be used ({})", failure.empty() ? "the engine has no GPU backend" : failure));
  }
  return names;
}

Status ValidateOnGpu(GpuPasses request, const model::ModelSpec& spec) {
  ASSIGN_OR_RETURN(const std::vector<GpuPass> passes, Measure(request, spec));
  const bool replays = std::ranges::all_of(passes, [](const GpuPass& measured) { return measured.pass.replay_matches; });
  if (request.json) {
    Json list = Json::array();
    for (const GpuPass& measured : passes) list.push_back(ToJson(measured, spec));
    const std::string text = DumpJsonPretty({{"id", spec.id},
                                             {"weight_type", spec.weight_type},
                                             {"layers", spec.layers.size()},
                                             {"profiled", request.profile},
                                             {"passes", std::move(list)}});
    std::fwrite(text.data(), 1, text.size(), stdout);
    return {};
  }
  fmt::print("{}: passes on a GPU\n", spec.id);
  PrintTable(passes);
  if (!replays) fmt::print("note: a replay chose other tokens or experts than the recorded pass\n");
  return {};
}

}  // namespace moecap::app
