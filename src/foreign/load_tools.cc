// AIPerf (profile_export_aiperf.json, docs/reference/json-export-schema of 0.14), GenAI-Perf (profile_export_genai_perf.json)
// and GuideLLM (benchmarks.json, src/guidellm/benchmark/schemas/generative).
#include <fmt/format.h>

#include "foreign/readers.h"

namespace moecap::foreign {
namespace {

using cap::FigureId;

// Factor from the unit of a block to ours; 0: another kind of quantity.
double FactorOf(const std::string& unit) {
  if (unit == "ms") return 1e-3;
  if (unit == "us") return 1e-6;
  if (unit == "ns") return 1e-9;
  return 1;
}

struct Block {
  const Json* json = nullptr;
  double factor = 1;

  std::optional<double> Get(std::initializer_list<const char*> keys) const {
    return json == nullptr ? std::nullopt : Scaled(NumberOf(*json, keys), factor);
  }
};

Block BlockOf(const Json& document, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    if (const Json* json = Inside(document, {name}); json != nullptr && json->is_object())
      return {json, FactorOf(TextOf(*json, {"unit"}))};
  }
  return {};
}

void Add(const Block& block, FigureId mean, FigureId p50, FigureId p90, FigureId p99, cap::FigureValues& figures) {
  figures[mean] = block.Get({"avg"});
  figures[p50] = block.Get({"p50"});
  figures[p90] = block.Get({"p90"});
  figures[p99] = block.Get({"p99"});
}

std::optional<double> FirstNumber(const Json& document, std::initializer_list<std::initializer_list<const char*>> paths) {
  for (const auto& path : paths) {
    const Json* value = Inside(document, path);
    if (value != nullptr && value->is_array() && !value->empty()) value = &value->front();
    if (value != nullptr && value->is_number()) return value->get<double>();
  }
  return std::nullopt;
}

Cell CellOfProfile(const Json& document) {
  Cell cell;
  for (const auto& path : {std::initializer_list<const char*>{"input_config", "endpoint", "model_names"},
                           {"input_config", "model_names"},
                           {"input_config", "endpoint", "model"}}) {
    const Json* names = Inside(document, path);
    if (names == nullptr || !cell.model.empty()) continue;
    if (names->is_array() && !names->empty()) names = &names->front();
    if (names->is_string()) cell.model = names->get<std::string>();
  }
  cell.started_at = IsoTime(TextOf(document, {"start_time"}));
  cap::FigureValues& figures = cell.figures;
  Add(BlockOf(document, {"time_to_first_token"}), FigureId::kTtftMean, FigureId::kTtftP50, FigureId::kTtftP90,
      FigureId::kTtftP99, figures);
  Add(BlockOf(document, {"inter_token_latency"}), FigureId::kTpotMean, FigureId::kTpotP50, FigureId::kTpotP90,
      FigureId::kTpotP99, figures);
  Add(BlockOf(document, {"request_latency"}), FigureId::kE2eMean, FigureId::kE2eP50, FigureId::kE2eP90, FigureId::kE2eP99,
      figures);
  figures[FigureId::kOutputRate] = BlockOf(document, {"output_token_throughput"}).Get({"avg"});
  figures[FigureId::kRequestRate] = BlockOf(document, {"request_throughput"}).Get({"avg"});
  figures[FigureId::kGoodput] = BlockOf(document, {"goodput", "request_goodput"}).Get({"avg"});
  figures[FigureId::kInputTokens] = BlockOf(document, {"input_sequence_length"}).Get({"avg"});
  figures[FigureId::kOutputTokens] = BlockOf(document, {"output_sequence_length"}).Get({"avg"});
  const auto completed = BlockOf(document, {"request_count"}).Get({"avg"});
  const auto failed = BlockOf(document, {"error_request_count"}).Get({"avg"});
  figures[FigureId::kCompleted] = completed;
  figures[FigureId::kFailed] = failed;
  if (completed) figures[FigureId::kRequests] = *completed + failed.value_or(0);
  const auto rate = FirstNumber(
      document, {{"input_config", "loadgen", "request_rate"}, {"input_config", "perf_analyzer", "stimulus", "request_rate"}});
  figures[FigureId::kOfferedRate] = rate;
  SetLevel(FirstNumber(document, {{"input_config", "loadgen", "concurrency"},
                                  {"input_config", "perf_analyzer", "stimulus", "concurrency"},
                                  {"input_config", "concurrency"}}),
           rate, completed, cell);
  if (const Json* cancelled = Inside(document, {"was_cancelled"}); cancelled != nullptr && *cancelled == true)
    cell.notes.emplace_back("the tool was cancelled before its end");
  return cell;
}

// {successful: {mean, median, percentiles: {p50, p90, p99}}} of a metric.
void AddSuccessful(const Json& metrics, const char* name, double factor, FigureId mean, FigureId p50, FigureId p90,
                   FigureId p99, cap::FigureValues& figures) {
  const Json* successful = Inside(metrics, {name, "successful"});
  if (successful == nullptr) return;
  figures[mean] = Scaled(NumberOf(*successful, {"mean"}), factor);
  figures[p50] = Scaled(NumberOf(*successful, {"median"}), factor);
  if (const Json* percentiles = Inside(*successful, {"percentiles"})) {
    figures[p90] = Scaled(NumberOf(*percentiles, {"p90"}), factor);
    figures[p99] = Scaled(NumberOf(*percentiles, {"p99"}), factor);
  }
}

std::optional<double> MeanOf(const Json& metrics, const char* name) {
  const Json* successful = Inside(metrics, {name, "successful"});
  return successful == nullptr ? std::nullopt : NumberOf(*successful, {"mean"});
}

Cell CellOfGuideLlm(const Json& benchmark, const std::string& model) {
  Cell cell;
  cell.model = model;
  const Json empty = Json::object();
  const Json* metrics = Inside(benchmark, {"metrics"});
  if (metrics == nullptr) metrics = &empty;
  cap::FigureValues& figures = cell.figures;
  AddSuccessful(*metrics, "time_to_first_token_ms", 1e-3, FigureId::kTtftMean, FigureId::kTtftP50, FigureId::kTtftP90,
                FigureId::kTtftP99, figures);
  AddSuccessful(*metrics, "inter_token_latency_ms", 1e-3, FigureId::kTpotMean, FigureId::kTpotP50, FigureId::kTpotP90,
                FigureId::kTpotP99, figures);
  AddSuccessful(*metrics, "request_latency", 1, FigureId::kE2eMean, FigureId::kE2eP50, FigureId::kE2eP90, FigureId::kE2eP99,
                figures);
  figures[FigureId::kOutputRate] = MeanOf(*metrics, "output_tokens_per_second");
  figures[FigureId::kRequestRate] = MeanOf(*metrics, "requests_per_second");
  figures[FigureId::kInputTokens] = MeanOf(*metrics, "prompt_token_count");
  figures[FigureId::kOutputTokens] = MeanOf(*metrics, "output_token_count");
  figures[FigureId::kTimePerToken] = Scaled(MeanOf(*metrics, "time_per_output_token_ms"), 1e-3);
  const Json* totals = Inside(*metrics, {"request_totals"});
  if (totals == nullptr) totals = Inside(benchmark, {"request_totals"});
  if (totals == nullptr) totals = Inside(benchmark, {"run_stats", "requests_made"});
  if (totals == nullptr) totals = Inside(benchmark, {"scheduler_metrics", "requests_made"});
  if (totals != nullptr) {
    figures[FigureId::kRequests] = NumberOf(*totals, {"total"});
    figures[FigureId::kCompleted] = NumberOf(*totals, {"successful"});
    figures[FigureId::kFailed] = NumberOf(*totals, {"errored"});
    figures[FigureId::kCancelled] = NumberOf(*totals, {"incomplete"});
  }
  const Json* strategy = Inside(benchmark, {"config", "strategy"});
  if (strategy == nullptr) strategy = Inside(benchmark, {"args", "strategy"});
  if (strategy == nullptr) strategy = &empty;
  const std::string type = TextOf(*strategy, {"type_", "type"});
  const auto rate = type == "constant" || type == "poisson" || type == "async" ? NumberOf(*strategy, {"rate"}) : std::nullopt;
  figures[FigureId::kOfferedRate] = rate;
  const auto streams = type == "synchronous" ? std::optional(1.0) : NumberOf(*strategy, {"streams", "max_concurrency"});
  SetLevel(streams, rate, figures[FigureId::kRequests], cell);
  if (type == "throughput") cell.label = "as fast as it goes";
  return cell;
}

std::string ModelOfGuideLlm(const Json& document, const Json& benchmark) {
  for (const Json* from : {&benchmark, &document}) {
    for (const auto& path : {std::initializer_list<const char*>{"config", "backend", "model"},
                             {"config", "backend"},
                             {"args"},
                             {"benchmarker", "backend"},
                             {"worker"}}) {
      if (const Json* object = Inside(*from, path); object != nullptr) {
        if (object->is_string()) return object->get<std::string>();
        if (const std::string model = TextOf(*object, {"model", "backend_model"}); !model.empty()) return model;
      }
    }
  }
  return "";
}

}  // namespace

std::optional<Result<ResultFile>> ReadAiPerf(const std::vector<Json>& documents) {
  ResultFile file;
  for (const Json& document : documents) {
    const auto block = [&](const char* name) { return Inside(document, {name, "avg"}) != nullptr; };
    if (!block("request_latency") && !block("request_throughput")) return std::nullopt;
    file.version = TextOf(document, {"aiperf_version"});
    const bool aiperf = !file.version.empty() || document.contains("schema_version") || document.contains("run_info");
    file.tool = aiperf ? Tool::kAiPerf : Tool::kGenAiPerf;
    file.cells.push_back(CellOfProfile(document));
  }
  if (file.cells.empty()) return std::nullopt;
  return Result<ResultFile>(std::move(file));
}

std::optional<Result<ResultFile>> ReadGuideLlm(const std::vector<Json>& documents) {
  ResultFile file;
  file.tool = Tool::kGuideLlm;
  for (const Json& document : documents) {
    const Json* benchmarks = Inside(document, {"benchmarks"});
    if (benchmarks == nullptr || !benchmarks->is_array()) return std::nullopt;
    if (const Json* metadata = Inside(document, {"metadata"})) file.version = TextOf(*metadata, {"guidellm_version"});
    for (const Json& benchmark : *benchmarks) {
      if (Inside(benchmark, {"metrics"}) == nullptr) return std::nullopt;
      file.cells.push_back(CellOfGuideLlm(benchmark, ModelOfGuideLlm(document, benchmark)));
    }
  }
  if (file.cells.empty()) return std::nullopt;
  return Result<ResultFile>(std::move(file));
}

}  // namespace moecap::foreign
