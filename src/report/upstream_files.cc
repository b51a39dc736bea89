#include "report/upstream_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/json.h"

namespace moecap::report {
namespace {

using cap::CellSummary;
using cap::ExperimentSummary;
using cap::FigureId;
using cap::SystemSummary;
using record::PassKind;
using record::PassRecord;
using record::RequestRecord;

Json Ratio(double numerator, double denominator) { return denominator > 0 ? Json(numerator / denominator) : Json(nullptr); }

bool Completed(const RequestRecord& request) { return request.ok() && !request.token_s.empty(); }

// Upstream's recorder files a step that does both under prefill.
bool IsPrefill(const PassRecord& pass) { return pass.kind != PassKind::kDecode; }

// Mean over all layers, as upstream's recorder takes it: dense layers count as 0. Null unless it was observed.
std::optional<double> Activation(const PassRecord& pass, int layers, int moe_layers) {
  if (pass.distinct_experts.empty() || pass.distinct_experts_source == record::Source::kEstimated) return std::nullopt;
  double sum = 0;
  for (const double experts : pass.distinct_experts) sum += experts;
  const double mean = sum / static_cast<double>(pass.distinct_experts.size());
  return layers > 0 && moe_layers > 0 ? mean * moe_layers / layers : mean;
}

// The whole measurements of one system at one level.
struct CellFacts {
  std::vector<const UpstreamMeasurement*> measurements;
  int layers = 0;
};

CellFacts Select(const UpstreamFacts& facts, const SystemSummary& system, const CellSummary& cell, int layers) {
  CellFacts out;
  out.layers = layers;
  for (const UpstreamMeasurement& measurement : facts.measurements) {
    if (measurement.system == system.name && measurement.level == cell.level) out.measurements.push_back(&measurement);
  }
  return out;
}

struct RequestSums {
  double attempted = 0, served = 0, completed = 0;
  double input_attempted = 0, input_completed = 0, output = 0;
  double wall_s = 0;  // of all repetitions: first send to last token
};

void AddRequests(const UpstreamMeasurement& measurement, RequestSums& sums) {
  if (measurement.requests.empty()) return;
  double first = measurement.requests.front().send_s;
  double last = first;
  for (const RequestRecord& request : measurement.requests) {
    first = std::min(first, request.send_s);
    sums.attempted += 1;
    sums.input_attempted += static_cast<double>(request.input_tokens);
    if (request.finish != record::FinishReason::kError) sums.served += 1;
    if (!Completed(request)) continue;
    last = std::max(last, request.token_s.back());
    sums.completed += 1;
    sums.input_completed += static_cast<double>(request.input_tokens);
    sums.output += static_cast<double>(request.output_tokens);
  }
  sums.wall_s += last - first;
}

RequestSums SumRequests(const CellFacts& facts) {
  RequestSums sums;
  for (const UpstreamMeasurement* measurement : facts.measurements) AddRequests(*measurement, sums);
  return sums;
}

struct PassSums {
  double passes = 0, latency_s = 0, new_tokens = 0, sequences = 0;
  double experts = 0, with_experts = 0;
};

PassSums SumPasses(const CellFacts& facts, const SystemSummary& system, bool prefill) {
  PassSums sums;
  for (const UpstreamMeasurement* measurement : facts.measurements) {
    for (const PassRecord& pass : measurement->passes) {
      if (IsPrefill(pass) != prefill) continue;
      sums.passes += 1;
      sums.latency_s += pass.latency_s;
      sums.new_tokens += static_cast<double>(pass.NewTokens());
      sums.sequences += static_cast<double>(pass.SequenceCount());
      if (const auto experts = Activation(pass, facts.layers, system.moe_layers.value_or(0))) {
        sums.experts += *experts;
        sums.with_experts += 1;
      }
    }
  }
  return sums;
}

int64_t Whole(const std::optional<double>& count) { return std::llround(count.value_or(0)); }

Json WholeOrNull(double value, bool known) { return known ? Json(static_cast<int64_t>(value)) : Json(nullptr); }

Json Metrics(const CellSummary& cell, const RequestSums& requests, const PassSums& prefill, const PassSums& decode) {
  Json json;
  const bool prefill_known = prefill.passes > 0;
  json["performance"] = {{"e2e_s", Ratio(requests.wall_s, requests.completed)},
                         {"request/s", Ratio(requests.completed, requests.wall_s)},
                         {"ttft", OrNull(cell.figures[FigureId::kTtftMean])},
                         {"prefill_pass_latency_s", Ratio(prefill.latency_s, prefill.passes)},
                         {"tpot", Ratio(decode.latency_s, decode.passes)},
                         {"prefill_forwarded_tokens", WholeOrNull(prefill.new_tokens, prefill_known)},
                         {"prefill_step_elapsed_s", prefill_known ? Json(prefill.latency_s) : Json(nullptr)}};
  json["expert_activation"] = {{"avg_expert_activation_prefill", Ratio(prefill.experts, prefill.with_experts)},
                               {"avg_expert_activation_decode", Ratio(decode.experts, decode.with_experts)}};
  json["batch_token_profile"] = {{"prefill_tokens", static_cast<int64_t>(requests.input_completed)},
                                 {"prefill_tokens_per_request", Ratio(requests.input_completed, requests.completed)},
                                 {"prefill_avg_batch_size", Ratio(prefill.sequences, prefill.passes)},
                                 {"decode_generated_tokens", static_cast<int64_t>(requests.output)},
                                 {"decode_generated_tokens_per_request", Ratio(requests.output, requests.completed)},
                                 {"decode_avg_batch_size", Ratio(decode.sequences, decode.passes)},
                                 {"prefill_tokens_attempted", static_cast<int64_t>(requests.input_attempted)},
                                 {"prefill_tokens_completed", static_cast<int64_t>(requests.input_completed)}};
  json["quality"] = {{"acc", OrNull(cell.figures[FigureId::kAccuracy])},
                     {"total", Whole(cell.figures[FigureId::kScored])},
                     {"attempted", static_cast<int64_t>(requests.attempted)},
                     {"served", static_cast<int64_t>(requests.served)},
                     {"completed", static_cast<int64_t>(requests.completed)}};
  return json;
}

// "llama.cpp v0.5.0 (CPU)" -> "llama.cpp", "v0.5.0 (CPU)".
std::pair<std::string, std::string> SplitEngine(const std::string& engine) {
  const size_t space = engine.find(' ');
  if (space == std::string::npos) return {engine, ""};
  return {engine.substr(0, space), engine.substr(space + 1)};
}

Json TextOrNull(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

// A host without an accelerator has only its processor to name.
std::string DeviceName(const ExperimentSummary& summary, const SystemSummary& system) {
  return system.machine.is_this_host ? summary.host.cpu_model : system.machine.name;
}

// Upstream's batch size is the number of clients; null for other loads.
Json BatchSize(const CellSummary& cell) {
  const int clients = ClientsOf(cell.level);
  return clients > 0 ? Json(clients) : Json(nullptr);
}

Json Metadata(const ExperimentSummary& summary, const SystemSummary& system, const CellSummary& cell, const PassSums& prefill,
              const PassSums& decode) {
  const auto [engine, version] = SplitEngine(system.engine);
  return {{"hardware", {{"gpu_type", TextOrNull(DeviceName(summary, system))}, {"num_gpus", nullptr}}},
          {"model_config", {{"model_name", system.model_id}, {"precision", TextOrNull(system.weight_type)}}},
          {"system_environment",
           {{"inference_engine", TextOrNull(engine)},
            {"inference_engine_version", TextOrNull(version)},
            {"batch_size", BatchSize(cell)},
            {"avg_batch_size_prefill", Ratio(prefill.sequences, prefill.passes)},
            {"avg_batch_size_decode", Ratio(decode.sequences, decode.passes)}}}};
}

Json OutputLine(const RequestRecord& request, const std::optional<int64_t>& requested, int64_t index) {
  constexpr size_t kMostErrorBytes = 500;
  const bool success = Completed(request);
  Json json = {{"index", index},
               {"input_tokens", request.input_tokens},
               {"output_tokens", request.text},
               {"input_token_count", request.input_tokens},
               {"output_token_count", request.output_tokens},
               {"requested_output_tokens", requested ? Json(*requested) : Json(nullptr)},
               {"success", success},
               {"latency_s", success ? Json(request.token_s.back() - request.send_s) : Json(nullptr)},
               {"ttft_s", success ? Json(request.token_s.front() - request.send_s) : Json(nullptr)}};
  if (!request.error.empty()) json["error"] = request.error.substr(0, kMostErrorBytes);
  return json;
}

std::string OutputData(const CellFacts& facts, const std::optional<int64_t>& requested) {
  std::string out;
  int64_t index = 0;
  for (const UpstreamMeasurement* measurement : facts.measurements) {
    for (const RequestRecord& request : measurement->requests) out += DumpJson(OutputLine(request, requested, index++)) + "\n";
  }
  return out;
}

// What upstream writes of each request of a prefill pass; our passes do not name their requests.
Json RequestInfo(const PassRecord& pass) {
  Json list = Json::array();
  for (const auto& slice : pass.sequences) {
    for (int64_t i = 0; i < slice.count; ++i) {
      list.push_back({{"req_pool_idx", nullptr},
                      {"req_id", nullptr},
                      {"extend_len", slice.new_tokens},
                      {"total_len", slice.context_tokens + slice.new_tokens}});
    }
  }
  return list;
}

Json DetailedLine(const PassRecord& pass, const CellFacts& facts, const SystemSummary& system, int64_t index) {
  int64_t context = 0;
  for (const auto& slice : pass.sequences) context += slice.count * (slice.context_tokens + slice.new_tokens);
  const bool prefill = IsPrefill(pass);
  Json json = {{"index", index},
               {"forward_mode", prefill ? "prefill" : "decode"},
               {"expert_activation", OrNull(Activation(pass, facts.layers, system.moe_layers.value_or(0)))},
               {"batch_size", pass.SequenceCount()},
               {"seq_lens_sum", context},
               {prefill ? "ttft" : "tpot", pass.latency_s},
               {"scheduled_tokens", pass.NewTokens()}};
  if (prefill) json["per_req_info"] = RequestInfo(pass);
  return json;
}

std::string DetailedResults(const CellFacts& facts, const SystemSummary& system) {
  std::string out;
  int64_t index = 0;
  for (const UpstreamMeasurement* measurement : facts.measurements) {
    for (const PassRecord& pass : measurement->passes) out += DumpJson(DetailedLine(pass, facts, system, index++)) + "\n";
  }
  return out;
}

Json Phase(const metrics::PhaseUtilization& phase) {
  return {
      {"s_mbu", OrNull(phase.s_mbu)}, {"s_mfu", OrNull(phase.s_mfu)}, {"mbu", OrNull(phase.mbu)}, {"mfu", OrNull(phase.mfu)}};
}

Json Extra(const ExperimentSummary& summary, const SystemSummary& system, const CellSummary& cell,
           const RequestSums& requests) {
  const auto& prefill = cell.utilization.prefill;
  const auto& decode = cell.utilization.decode;
  const cap::FigureValues& figures = cell.figures;
  const auto accuracy = figures[FigureId::kAccuracy];
  const int64_t scored = Whole(figures[FigureId::kScored]);
  const Json correct = accuracy ? Json(std::llround(*accuracy * static_cast<double>(scored))) : Json(nullptr);
  return {{"prefill_smbu", OrNull(prefill.s_mbu_paper)},
          {"prefill_smfu", OrNull(prefill.s_mfu_paper)},
          {"decoding_smbu", OrNull(decode.s_mbu_paper)},
          {"decoding_smfu", OrNull(decode.s_mfu_paper)},
          {"kv_size", figures[FigureId::kKvMean] ? Json(*figures[FigureId::kKvMean] / 1e6) : Json(nullptr)},
          {"decoding_throughput", Ratio(static_cast<double>(decode.tokens), decode.latency_s.value_or(0))},
          {"prefill_tp", Ratio(static_cast<double>(prefill.tokens), prefill.latency_s.value_or(0))},
          {"cost", OrNull(system.machine.purchase_usd)},
          {"total_requests", static_cast<int64_t>(requests.attempted)},
          {"method", SplitEngine(system.engine).first},
          {"server_batch_size", BatchSize(cell)},
          {"model_type", nullptr},
          {"ignore_eos", nullptr},
          {"profiling_only", scored == 0},
          {"exact_match", OrNull(accuracy)},
          {"correct", correct},
          {"no_answer", scored - Whole(figures[FigureId::kAnswered])},
          {"moecap",
           {{"version", summary.moecap_version},
            {"run_id", summary.run_id},
            {"system", system.name},
            {"repeats", cell.repeats},
            {"complete", summary.complete},
            {"convention_of_smbu_and_smfu", "paper"},
            {"complete_convention", {{"prefill", Phase(prefill)}, {"decode", Phase(decode)}}},
            {"peak_bandwidth_bytes_per_s", OrNull(system.machine.peak_bandwidth_bytes_per_s)},
            {"peak_flops_per_s", OrNull(system.machine.peak_flops_per_s)},
            {"client_tpot_mean_s", OrNull(figures[FigureId::kTpotMean])},
            {"usd_per_million_input_tokens", OrNull(figures[FigureId::kUsdPerMillionInput])},
            {"usd_per_million_output_tokens", OrNull(figures[FigureId::kUsdPerMillionOutput])},
            {"joules_per_output_token", OrNull(figures[FigureId::kJoulesPerOutput])},
            {"energy_is_measured", cell.energy_is_metered},
            {"invalid", metrics::TrippedWords(cell.gates)}}}};
}

// "path/to/gsm8k/test.jsonl" -> "gsm8k": a split says nothing without the folder it is in.
std::string DatasetName(const std::string& dataset) {
  std::vector<std::string> parts(1);
  for (const char c : dataset) {
    if (c == '/') {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  std::string name = parts.back().substr(0, parts.back().rfind('.'));
  const bool is_split = name == "test" || name == "train" || name == "dev" || name == "validation" || name == "data";
  if (is_split && parts.size() > 1) name = parts[parts.size() - 2];
  return PathComponent(name);
}

// "2026-01-31T12:00:00Z" -> "20260131_120000".
std::string Stamp(const ExperimentSummary& summary) {
  std::string digits;
  for (const char c : summary.started_at) {
    if (c >= '0' && c <= '9') digits += c;
  }
  return digits.size() == 14 ? digits.substr(0, 8) + "_" + digits.substr(8) : PathComponent(summary.run_id);
}

std::string ModelFolder(const std::string& model_id) {
  const size_t slash = model_id.rfind('/');
  if (slash == std::string::npos) return PathComponent(model_id);
  const size_t org = model_id.rfind('/', slash == 0 ? 0 : slash - 1);
  const std::string owner =
      model_id.substr(org == std::string::npos ? 0 : org + 1, slash - (org == std::string::npos ? 0 : org + 1));
  return PathComponent(owner) + "/" + PathComponent(model_id.substr(slash + 1));
}

std::string LevelFolder(const record::Level& level) {
  return level.kind == record::LoadKind::kClients ? fmt::format("c{}", ClientsOf(level)) : FileName(level);
}

}  // namespace

std::string PathComponent(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool keep =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
    out += keep ? c : '_';
  }
  constexpr size_t kLongest = 100;
  if (out.size() > kLongest) out.resize(kLongest);
  return out.find_first_not_of('.') == std::string::npos ? "_" + out : out;
}

std::vector<NamedText> UpstreamFiles(const ExperimentSummary& summary, const UpstreamFacts& facts) {
  std::vector<NamedText> files;
  const std::string suffix = DatasetName(summary.dataset) + "_" + Stamp(summary);
  for (size_t i = 0; i < summary.systems.size(); ++i) {
    const SystemSummary& system = summary.systems[i];
    for (const CellSummary& cell : system.cells) {
      const CellFacts records = Select(facts, system, cell, i < facts.layers.size() ? facts.layers[i] : 0);
      const RequestSums requests = SumRequests(records);
      const PassSums prefill = SumPasses(records, system, true);
      const PassSums decode = SumPasses(records, system, false);
      // Two systems whose names differ in a character that a path cannot hold stay apart by their number.
      const std::string folder =
          fmt::format("{}-{}-{}/{}/", i, PathComponent(system.name), LevelFolder(cell.level), ModelFolder(system.model_id));
      const auto add = [&](const char* name, const char* extension, std::string text) {
        files.push_back({fmt::format("{}{}_{}.{}", folder, name, suffix, extension), std::move(text)});
      };
      add("metrics", "json", DumpJsonPretty(Metrics(cell, requests, prefill, decode)));
      add("metadata", "json", DumpJsonPretty(Metadata(summary, system, cell, prefill, decode)));
      add("output_data", "jsonl", OutputData(records, facts.requested_output_tokens));
      add("detailed_results", "jsonl", DetailedResults(records, system));
      add("moecap_extra", "json", DumpJsonPretty(Extra(summary, system, cell, requests)));
    }
  }
  return files;
}

}  // namespace moecap::report
