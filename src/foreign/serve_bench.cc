// vllm bench serve (vllm/benchmarks/serve.py) and SGLang bench_serving (python/sglang/benchmark/serving.py): an object a run.
#include <fmt/format.h>

#include "foreign/readers.h"

namespace moecap::foreign {
namespace {

using cap::FigureId;

struct Distribution {
  const char* name;  // in the keys: "mean_ttft_ms"
  FigureId mean, p50, p90, p99;
};
constexpr FigureId kNone = FigureId::kCount;

void AddDistribution(const Json& run, const Distribution& distribution, cap::FigureValues& figures) {
  const auto read = [&](const char* statistic, FigureId id) {
    if (id == kNone) return;
    const std::string key = fmt::format("{}_{}_ms", statistic, distribution.name);
    figures[id] = Scaled(NumberOf(run, {key.c_str()}), 1e-3);
  };
  read("mean", distribution.mean);
  read("median", distribution.p50);
  read("p90", distribution.p90);
  read("p99", distribution.p99);
}

// Of lists that --save-detailed and --output-details write: only how many they are is needed, as the statistics are in the
// object.
std::optional<double> Errors(const Json& run) {
  const auto errors = run.find("errors");
  if (errors == run.end() || !errors->is_array()) return std::nullopt;
  double count = 0;
  for (const Json& error : *errors) count += error.is_string() && !error.get_ref<const std::string&>().empty();
  return count;
}

Cell CellOf(const Json& run, bool sglang) {
  Cell cell;
  cell.model = TextOf(run, {"model_id", "model", "model_path"});
  if (const Json* info = Inside(run, {"server_info"}); info != nullptr && cell.model.empty())
    cell.model = TextOf(*info, {"model_path"});
  cell.engine = TextOf(run, {"backend", "endpoint_type"});
  cell.variant = TextOf(run, {"label", "tag"});
  cell.started_at = IsoTime(TextOf(run, {"date"}));
  cap::FigureValues& figures = cell.figures;
  const auto completed = NumberOf(run, {"completed"});
  const auto failed = NumberOf(run, {"failed"});
  const auto errors = failed ? failed : Errors(run);
  auto requests = NumberOf(run, {"num_prompts"});
  if (!requests && completed && errors) requests = *completed + *errors;
  figures[FigureId::kRequests] = requests;
  figures[FigureId::kCompleted] = completed;
  figures[FigureId::kFailed] = errors ? errors : requests && completed ? std::optional(*requests - *completed) : std::nullopt;
  if (completed && *completed > 0) {
    figures[FigureId::kInputTokens] = Scaled(NumberOf(run, {"total_input_tokens"}), 1 / *completed);
    figures[FigureId::kOutputTokens] = Scaled(NumberOf(run, {"total_output_tokens"}), 1 / *completed);
  }
  figures[FigureId::kOutputRate] = NumberOf(run, {"output_throughput"});
  figures[FigureId::kRequestRate] = NumberOf(run, {"request_throughput"});
  figures[FigureId::kGoodput] = NumberOf(run, {"request_goodput", "request_goodput:"});
  const auto rate = NumberOf(run, {"request_rate"});
  figures[FigureId::kOfferedRate] = rate;
  AddDistribution(run, {"ttft", FigureId::kTtftMean, FigureId::kTtftP50, FigureId::kTtftP90, FigureId::kTtftP99}, figures);
  AddDistribution(run, {"tpot", FigureId::kTpotMean, FigureId::kTpotP50, FigureId::kTpotP90, FigureId::kTpotP99}, figures);
  AddDistribution(run, {"itl", FigureId::kItlMean, FigureId::kItlP50, kNone, FigureId::kItlP99}, figures);
  AddDistribution(
      run, {sglang ? "e2e_latency" : "e2el", FigureId::kE2eMean, FigureId::kE2eP50, FigureId::kE2eP90, FigureId::kE2eP99},
      figures);
  SetLevel(NumberOf(run, {"max_concurrency"}), rate, requests ? requests : completed, cell);
  if (const auto accepted = NumberOf(run, {"accept_length", "spec_decode_acceptance_length"}))
    cell.notes.push_back(fmt::format("speculative decoding: {:g} tokens a step were accepted", *accepted));
  return cell;
}

}  // namespace

std::optional<Result<ResultFile>> ReadServeBench(const std::vector<Json>& documents) {
  ResultFile file;
  for (const Json& run : documents) {
    const bool sglang =
        run.is_object() && (run.contains("mean_e2e_latency_ms") || run.contains("total_output_tokens_retokenized"));
    const bool vllm = run.is_object() && !sglang && run.contains("duration") && run.contains("completed") &&
                      (run.contains("mean_ttft_ms") || run.contains("request_throughput"));
    if (!sglang && !vllm) return std::nullopt;
    file.tool = sglang ? Tool::kSglangBench : Tool::kVllmBench;
    file.cells.push_back(CellOf(run, sglang));
  }
  if (file.cells.empty()) return std::nullopt;
  return Result<ResultFile>(std::move(file));
}

}  // namespace moecap::foreign
