#include "app/cli/validate_speculation.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "app/cli/output.h"
#include "app/cli/validate_gpu.h"
#include "app/graph_check.h"
#include "app/speculation_check.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/progress.h"
#include "base/rng.h"
#include "base/table.h"
#include "base/units.h"
#include "hardware/probe/probe.h"
#include "model/gguf_spec.h"

namespace moecap::app {
namespace {

constexpr int kMostLength = 64;
constexpr int kMostRows = 256;  // of a plain batch: the engine's slots

// What a thread computed, however often others interrupted it.
class ThreadCpuClock final : public Clock {
 public:
  int64_t NowNs() const override { return ThreadCpuNs(); }
};

Result<std::vector<load::RequestSpec>> Requests(const DraftFlags& flags, const DraftRun& run, int64_t vocab) {
  std::vector<load::RequestSpec> requests(static_cast<size_t>(flags.requests));
  Rng rng(run.seed);
  std::vector<std::string> questions;
  if (!flags.problems.empty()) {
    ASSIGN_OR_RETURN(const std::string text, ReadFile(flags.problems));
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      const auto json = ParseJson(line);
      const bool has_question = json.ok() && json->is_object() && json->contains("question") && (*json)["question"].is_string();
      if (!has_question)
        return BadInput(
            fmt::format("{}:{}: no JSON object with a \"question\"", flags.problems.string(), questions.size() + 1));
      questions.push_back((*json)["question"].get<std::string>());
    }
    if (questions.size() < requests.size())
      return BadInput(
          fmt::format("{} has {} problems; set --requests to at most that", flags.problems.string(), questions.size()));
  }
  for (size_t i = 0; i < requests.size(); ++i) {
    requests[i].id = std::to_string(i);
    requests[i].max_output_tokens = flags.output_tokens;
    if (!questions.empty()) {
      requests[i].prompt = "Question: " + questions[i] + "\nAnswer:";
      continue;
    }
    requests[i].ignore_end_token = true;
    for (int token = 0; token < flags.prompt_tokens; ++token)
      requests[i].prompt_token_ids.push_back(static_cast<int32_t>(rng.Below(static_cast<uint64_t>(vocab))));
  }
  return requests;
}

Result<SpeculationCheck> Measure(const DraftFlags& flags, const DraftRun& run, const model::ModelSpec& spec,
                                 const std::function<bool()>& stop) {
  const SteadyClock clock;
  const ThreadCpuClock cpu_clock;
  ASSIGN_OR_RETURN(const auto library, llamacpp::EngineLibrary::Load());
  llamacpp::Placement placement;
  if (run.gpu) {
    ASSIGN_OR_RETURN(placement.gpus, GpuNames(*library, /*tries_first=*/true));
    placement.cpu_experts = run.cpu_experts;
  }
  ASSIGN_OR_RETURN(const auto requests, Requests(flags, run, spec.vocab));
  ASSIGN_OR_RETURN(const auto loaded, llamacpp::LoadedModel::Load(*library, run.file, placement));
  SpeculationOptions options;
  options.lengths = flags.lengths;
  options.clients = flags.clients;
  options.repeats = run.repeats;
  options.continued_tokens = flags.continued_tokens;
  options.limit_s = flags.limit_s;
  options.engine.threads = run.threads > 0 ? run.threads : hardware::DetectHost().UsableThreads();
  constexpr int kRoom = 256;  // of the plain batches that are made beside the answers
  options.engine.context_tokens = std::max(512, flags.prompt_tokens + flags.continued_tokens + flags.output_tokens + kRoom);
  Progress progress(clock, stderr, ::isatty(STDERR_FILENO) == 1, "runs");
  return CheckSpeculation(*library, loaded, spec, requests, options,
                          flags.cpu_time ? static_cast<const Clock&>(cpu_clock) : clock, [&](const SpeculationProgress& at) {
                            progress.Update(at.done, at.total, "", at.way);
                            return !stop();
                          });
}

struct Quality {
  double same_sign = 0;   // share of the cells
  double mean_error = 0;  // of the speed-up, relative
};
Quality QualityOf(const SpeculationCheck& check) {
  Quality quality;
  for (const SpeculationCell& cell : check.cells) {
    quality.same_sign += cell.SameSign();
    quality.mean_error += std::abs(cell.Error());
  }
  const auto cells = static_cast<double>(check.cells.size());
  return {quality.same_sign / cells, quality.mean_error / cells};
}

Json ToJson(const Speculated& of) {
  return {{"acceptance", of.acceptance},
          {"tokens_per_pass", of.tokens_per_pass},
          {"distinct_experts", of.distinct},
          {"speed_up", of.speed_up}};
}

void PrintJson(const std::string& id, const SpeculationCheck& check) {
  Json cells = Json::array();
  for (const SpeculationCell& cell : check.cells) {
    cells.push_back({{"clients", cell.clients},
                     {"length", cell.length},
                     {"measured", ToJson(cell.measured)},
                     {"predicted", ToJson(cell.predicted)},
                     {"differing_answers", cell.differing}});
  }
  Json by_rows = Json::object();
  for (const auto& [rows, factor] : check.machine.by_rows) by_rows[std::to_string(rows)] = factor;
  const Quality quality = QualityOf(check);
  const std::string text = DumpJsonPretty({{"id", id},
                                           {"plain_s", check.plain_s},
                                           {"bytes_per_s", check.machine.ceilings.bytes_per_s},
                                           {"flops_per_s", check.machine.ceilings.flops_per_s},
                                           {"pass_s", check.machine.ceilings.pass_s},
                                           {"new_shape_s", check.machine.new_shape_s},
                                           {"by_rows", std::move(by_rows)},
                                           {"repeats", check.repeats},
                                           {"same_sign_share", quality.same_sign},
                                           {"mean_error", quality.mean_error},
                                           {"cells", std::move(cells)}});
  std::fwrite(text.data(), 1, text.size(), stdout);
}

void PrintTable(const std::string& id, const SpeculationCheck& check) {
  fmt::print("{}: speculative decoding by n-grams, plain: {} a token\n", id, FormatSeconds(check.plain_s));
  const std::vector<TableColumn> columns = {{"", "clients", Align::kRight, true},
                                            {"", "drafts", Align::kRight, true},
                                            {"accepted, %", "measured"},
                                            {"accepted, %", "predicted"},
                                            {"tokens a pass", "measured"},
                                            {"tokens a pass", "predicted"},
                                            {"distinct experts", "measured"},
                                            {"distinct experts", "predicted"},
                                            {"speed-up", "measured"},
                                            {"speed-up", "predicted"},
                                            {"speed-up", "error, %"},
                                            {"", "other answers"}};
  std::vector<std::vector<std::string>> rows;
  for (const SpeculationCell& cell : check.cells) {
    const auto& [clients, length, measured, predicted, differing] = cell;
    rows.push_back({std::to_string(clients), std::to_string(length), fmt::format("{:.1f}", 100 * measured.acceptance),
                    fmt::format("{:.1f}", 100 * predicted.acceptance), fmt::format("{:.2f}", measured.tokens_per_pass),
                    fmt::format("{:.2f}", predicted.tokens_per_pass), fmt::format("{:.2f}", measured.distinct),
                    fmt::format("{:.2f}", predicted.distinct), fmt::format("{:.3f}", measured.speed_up),
                    fmt::format("{:.3f}", predicted.speed_up), fmt::format("{:+.1f}", 100 * cell.Error()),
                    std::to_string(differing)});
  }
  fmt::print("{}", RenderTable(columns, rows, TerminalTable()));
  const Quality quality = QualityOf(check);
  PrintParagraph(fmt::format(
      "Faster or slower as predicted: {:.0f} % of the lines; mean error of the speed-up {:.1f} %. The machine as plain "
      "batches say: {}, {}, and {} a pass.",
      100 * quality.same_sign, 100 * quality.mean_error, FormatSi(check.machine.ceilings.bytes_per_s, "B/s"),
      FormatSi(check.machine.ceilings.flops_per_s, "FLOP/s"), FormatSeconds(check.machine.ceilings.pass_s)));
}

}  // namespace

void AddDraftFlags(CLI::App& app, DraftFlags& flags) {
  auto* drafts = app.add_option("--drafts", flags.lengths,
                                "measure speculative decoding by n-grams with drafts of these lengths (1,2,3,4,5,6,7,8)")
                     ->delimiter(',')
                     ->check(CLI::Range(1, kMostLength));
  app.add_option("--clients", flags.clients, "that decode at once (default: 1; 1,2,4)")
      ->delimiter(',')
      ->check(CLI::Range(1, kMostRows))
      ->needs(drafts);
  app.add_option(
         "--continue", flags.continued_tokens,
         "measure behind so many tokens of the model's own answer, where it may have begun to repeat itself (default: 0)")
      ->check(CLI::Range(0, 1 << 20))
      ->needs(drafts);
  app.add_option("--limit-s", flags.limit_s, "seconds for all of it; repetitions that do not fit are left out (default: 1800)")
      ->check(CLI::PositiveNumber)
      ->needs(drafts);
  app.add_option("--problems", flags.problems, "their questions, JSON lines (default: random tokens)")
      ->check(CLI::ExistingFile)
      ->needs(drafts);
  app.add_option("--requests", flags.requests, "how many (default: 16)")->check(CLI::Range(1, 100'000))->needs(drafts);
  app.add_option("--prompt-tokens", flags.prompt_tokens, "of random prompts (default: 64)")
      ->check(CLI::Range(1, 1 << 20))
      ->needs(drafts);
  app.add_flag("--cpu-time", flags.cpu_time, "time by the CPU time of one thread (--threads 1), where other programs run")
      ->needs(drafts);
  app.add_option("--output-tokens", flags.output_tokens, "at most (default: 96)")->check(CLI::Range(2, 1 << 20))->needs(drafts);
}

Status ValidateSpeculation(const DraftFlags& flags, const DraftRun& run, const std::function<bool()>& stop) {
  if (flags.cpu_time && (run.threads != 1 || run.gpu))
    return BadInput("--cpu-time is that of one thread: add --threads 1, without --gpu");
  if (run.repeats < 1) return BadInput("--repeats must be 1 or more where drafts are timed");
  if (const int most = std::ranges::max(flags.clients) * (1 + std::ranges::max(flags.lengths)); most > kMostRows) {
    return BadInput(fmt::format("{} clients with {} drafts each are {} rows in a pass; ask for {} at most",
                                std::ranges::max(flags.clients), std::ranges::max(flags.lengths), most, kMostRows));
  }
  ASSIGN_OR_RETURN(model::ModelSpec spec, model::ReadGgufSpec(run.file));
  spec = AsTheEngineRuns(std::move(spec));
  ASSIGN_OR_RETURN(const SpeculationCheck check, Measure(flags, run, spec, stop));
  run.json ? PrintJson(spec.id, check) : PrintTable(spec.id, check);
  return {};
}

}  // namespace moecap::app
