// moecap score: saved replies scored offline, by the rules of a named reference.
#include "accuracy/score.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "accuracy/contract.h"
#include "accuracy/predictions.h"
#include "app/cli/cli.h"
#include "app/cli/output.h"
#include "app/code_runner.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/table.h"
#include "experiment/scoring.h"
#include "workload/dataset.h"

namespace moecap::app {
namespace {
namespace fs = std::filesystem;

struct ScoreFlags {
  std::string predictions, task, contract, gold, dataset, path, split, against, items;
  std::vector<int64_t> k = {1};
  bool run_code = false;
  bool list = false;
  bool json = false;
};

struct ScoredFile {
  std::string path;
  accuracy::Predictions predictions;
  std::vector<accuracy::FilterScore> scores;
};

Result<ScoredFile> ScoreFile(const std::string& path, const accuracy::Task& task, const accuracy::Golds* golds,
                             const accuracy::ScoreOptions& options) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  ScoredFile file{path, {}, {}};
  ASSIGN_OR_RETURN(file.predictions, ParsePredictions(text, path, task, golds));
  for (const std::string& warning : file.predictions.warnings) std::fprintf(stderr, "%s\n", warning.c_str());
  auto scores = ScoreAll(task, file.predictions.items, options);
  if (!scores.ok()) return Annotate(path, scores.error());
  file.scores = std::move(*scores);
  return file;
}

Json IntervalJson(const stats::Interval& interval) {
  return {{"confidence", 0.95}, {"low", interval.low}, {"high", interval.high}};
}

Json FilterJson(const accuracy::FilterScore& score) {
  Json json = {{"filter", score.name},
               {"source", score.filter->source},
               {"score", OrNull(score.score)},
               {"std_error", OrNull(score.std_error)},
               {"interval", score.score ? IntervalJson(score.interval) : Json(nullptr)},
               {"correct", score.correct},
               {"attempted", score.attempted},
               {"answered", score.answered},
               {"no_answer", score.no_answer},
               {"failed", score.failed},
               {"not_judged", score.not_judged},
               {"gave_up", score.gave_up}};
  for (const accuracy::PartScore& part : score.parts) {
    json["parts"].push_back({{"trait", part.trait},
                             {"value", part.value},
                             {"items", part.items},
                             {"score", OrNull(part.score)},
                             {"std_error", OrNull(part.std_error)}});
  }
  if (score.recorded > 0) json["recorded"] = {{"items", score.recorded}, {"equal", score.recorded_equal}};
  return json;
}

Json ComparisonJson(const std::string& path, const accuracy::Comparison& comparison) {
  Json filters = Json::array();
  for (const accuracy::PairedScore& pair : comparison.filters) {
    filters.push_back({{"filter", pair.name},
                       {"items", pair.items},
                       {"first", pair.first},
                       {"second", pair.second},
                       {"difference", pair.difference},
                       {"interval", IntervalJson(pair.interval)},
                       {"p_value", pair.p_value},
                       {"first_only", pair.first_only},
                       {"second_only", pair.second_only}});
  }
  return {{"predictions", path},
          {"only_first", comparison.only_first},
          {"only_second", comparison.only_second},
          {"filters", std::move(filters)}};
}

Json ToJson(const accuracy::Task& task, const ScoredFile& file) {
  Json json = {{"task", task.name},
               {"contract", task.contract},
               {"predictions", file.path},
               {"form", file.predictions.form},
               {"items", file.predictions.items.size()},
               {"filters", Json::array()}};
  for (const accuracy::FilterScore& score : file.scores) json["filters"].push_back(FilterJson(score));
  return json;
}

// One JSON line an item: what each filter extracted and said.
std::string ItemLines(const ScoredFile& file) {
  std::string lines;
  for (size_t i = 0; i < file.predictions.items.size(); ++i) {
    const accuracy::Item& item = file.predictions.items[i];
    Json filters = Json::object();
    for (const accuracy::FilterScore& score : file.scores) {
      const accuracy::Verdict& verdict = score.verdicts[i];
      Json& json = filters[score.name] = {
          {"extracted", OrNull(verdict.extracted)}, {"score", OrNull(score.item_scores[i])}, {"gave_up", verdict.gave_up}};
      if (!verdict.reason.empty()) json["not_judged"] = verdict.reason;
    }
    const accuracy::Reference& reference = item.reference;
    lines += DumpJson({{"id", item.id},
                       {"row", item.row},
                       {"gold", reference.golds.size() > 1 ? Json(reference.golds) : Json(reference.gold)},
                       {"failed", item.predictions.empty()},
                       {"filters", std::move(filters)}}) +
             "\n";
  }
  return lines;
}

std::string InPercent(std::optional<double> share) { return share ? fmt::format("{:.2f}", 100 * *share) : "-"; }

std::string Points(double share) { return fmt::format("{:+.2f}", 100 * share); }

std::string WhyNotJudged(const accuracy::FilterScore& score) {
  const auto found = std::ranges::find_if(score.verdicts, [](const auto& verdict) { return !verdict.reason.empty(); });
  return found == score.verdicts.end() ? "" : found->reason;
}

// The scores of the benchmark's parts under each filter.
void PrintParts(const accuracy::Task& task, const ScoredFile& file) {
  const auto& first = file.scores.front().parts;
  if (first.size() < 2) return;
  std::vector<TableColumn> columns{{"", "part", Align::kLeft, true}, {"", "items"}};
  for (const accuracy::FilterScore& score : file.scores) columns.push_back({"", score.name});
  std::vector<std::vector<std::string>> rows;
  for (size_t i = 0; i < first.size(); ++i) {
    rows.push_back({fmt::format("{} {}", first[i].trait, PrintableText(first[i].value)), std::to_string(first[i].items)});
    for (const accuracy::FilterScore& score : file.scores) rows.back().push_back(InPercent(score.parts[i].score));
  }
  fmt::print("\n{}", RenderTable(columns, rows, TerminalTable()));
  if (task.parts_count_alike) PrintParagraph("The score is the mean over these parts, each alike.");
}

void PrintScores(const accuracy::Task& task, const ScoredFile& file) {
  fmt::print("{}, {} under {}: {} items ({}); scores in %\n\n", PrintableText(file.path), task.name, task.contract,
             file.predictions.items.size(), file.predictions.form);
  std::vector<std::vector<std::string>> rows;
  for (const accuracy::FilterScore& score : file.scores) {
    rows.push_back({score.name, InPercent(score.score), InPercent(score.std_error),
                    score.score ? fmt::format("{:.1f} to {:.1f}", 100 * score.interval.low, 100 * score.interval.high) : "-",
                    fmt::format("{:.6g}", score.correct), std::to_string(score.answered), std::to_string(score.no_answer),
                    std::to_string(score.failed)});
  }
  const std::vector<TableColumn> columns{{"", "filter", Align::kLeft, true},
                                         {"", "score"},
                                         {"", "s.e."},
                                         {"", "95 %"},
                                         {"", "right"},
                                         {"", "answered"},
                                         {"", "no answer"},
                                         {"", "failed"}};
  fmt::print("{}", RenderTable(columns, rows, TerminalTable()));
  PrintParts(task, file);
  fmt::print("\n");
  for (const accuracy::FilterScore& score : file.scores) {
    if (score.not_judged > 0)
      PrintParagraph(fmt::format("{}: {} of {} replies are not judged and in no mean, since {}.", score.name, score.not_judged,
                                 score.attempted, WhyNotJudged(score)));
    if (score.gave_up > 0)
      PrintParagraph(fmt::format("{}: {} of {} replies reached a limit of the search; what was looked for counts as not found.",
                                 score.name, score.gave_up, score.attempted));
    if (score.recorded > 0)
      PrintParagraph(fmt::format("{}: the file's own score is the same on {} of {} items.", score.name, score.recorded_equal,
                                 score.recorded));
  }
  if (file.scores.front().failed > 0) PrintParagraph("Failed requests have no reply and count as wrong.");
}

void PrintComparison(const std::string& first, const std::string& second, const accuracy::Comparison& comparison) {
  fmt::print("\n");
  PrintParagraph(fmt::format("{} against {}, on the {} items that both have ({} and {} only in one):", PrintableText(first),
                             PrintableText(second), comparison.filters.front().items, comparison.only_first,
                             comparison.only_second));
  std::vector<std::vector<std::string>> rows;
  for (const accuracy::PairedScore& pair : comparison.filters) {
    if (pair.items == 0) continue;
    rows.push_back({pair.name, fmt::format("{:.2f}", 100 * pair.first), fmt::format("{:.2f}", 100 * pair.second),
                    Points(pair.difference),
                    fmt::format("{:+.1f} to {:+.1f}", 100 * pair.interval.low, 100 * pair.interval.high),
                    fmt::format("{} / {}", pair.first_only, pair.second_only), fmt::format("{:.4f}", pair.p_value)});
  }
  const std::vector<TableColumn> columns{{"", "filter", Align::kLeft, true},
                                         {"", "first"},
                                         {"", "second"},
                                         {"", "points"},
                                         {"", "95 %"},
                                         {"", "only 1st/2nd"},
                                         {"", "p"}};
  fmt::print("\n{}", RenderTable(columns, rows, TerminalTable()));
}

void PrintList(bool as_json) {
  Json json = Json::array();
  std::vector<std::vector<std::string>> rows;
  for (const accuracy::Task& task : accuracy::Tasks()) {
    for (const accuracy::Filter& filter : task.filters) {
      json.push_back({{"contract", task.contract}, {"task", task.name}, {"filter", filter.name}, {"source", filter.source}});
      rows.push_back(
          {std::string(task.contract), std::string(task.name), std::string(filter.name), std::string(filter.source)});
    }
  }
  if (as_json) return PrintText(DumpJsonPretty(json));
  const std::vector<TableColumn> columns{{"", "contract", Align::kLeft, true},
                                         {"", "task", Align::kLeft, true},
                                         {"", "filter", Align::kLeft, true},
                                         {"", "rule of", Align::kLeft}};
  PrintText(RenderTable(columns, rows, TerminalTable()));
}

// Of the data set that is named, what scores it.
Result<const accuracy::Task*> TaskOf(const ScoreFlags& flags) {
  std::string name = flags.task;
  if (name.empty() && !flags.dataset.empty()) {
    ASSIGN_OR_RETURN(const workload::DatasetInfo info, workload::FindDataset(flags.dataset));
    name = info.task;
  }
  if (flags.predictions.empty() || name.empty())
    return BadInput("name a task and a file, e.g. --task gsm8k predictions.jsonl; --list shows the tasks");
  if (name == "arena_hard" || name == "arena-hard")
    return BadInput("answers to Arena-Hard are compared by a judge: moecap judge");
  if (!flags.contract.empty()) return accuracy::FindTask(name, flags.contract);
  if (const auto usual = experiment::UsualScoring(name)) return usual->task;
  return accuracy::FindTask(name, accuracy::kContracts.front());
}

// From the data set, or from a file of its rows; null: each row says itself what is right.
Result<std::optional<accuracy::Golds>> ReadGolds(const ScoreFlags& flags, const accuracy::Task& task) {
  if (!flags.gold.empty() && !flags.dataset.empty()) return BadInput("give one of --gold and --dataset");
  if (!flags.gold.empty()) {
    ASSIGN_OR_RETURN(const std::string text, ReadFile(flags.gold));
    ASSIGN_OR_RETURN(accuracy::Golds golds, accuracy::ParseGolds(text, flags.gold, task));
    return std::optional(std::move(golds));
  }
  if (flags.dataset.empty()) return std::optional<accuracy::Golds>();
  ASSIGN_OR_RETURN(const workload::DatasetInfo info, workload::FindDataset(flags.dataset));
  const std::string split = flags.split.empty() ? info.split : flags.split;
  // The seed is that of an experiment that names none: GPQA's options stand in its order.
  ASSIGN_OR_RETURN(const workload::LoadedDataset loaded,
                   workload::LoadDataset(info, split, flags.path, experiment::kUsualSeed));
  ASSIGN_OR_RETURN(accuracy::Golds golds, experiment::GoldsOf(task, loaded.problems));
  return std::optional(std::move(golds));
}

Result<accuracy::ScoreOptions> OptionsFor(const ScoreFlags& flags, const accuracy::Task& task) {
  accuracy::ScoreOptions options{{}, flags.k};
  if (!task.RunsCode()) {
    if (flags.run_code) return BadInput(fmt::format("--run-code: scoring {} runs nothing", task.name));
    return options;
  }
  if (!flags.run_code)
    return BadInput(
        fmt::format("scoring {} runs the programs in the answers, in a sandbox without network; allow it with "
                    "--run-code",
                    task.name));
  ASSIGN_OR_RETURN(options.run, MakeCodeRunner());
  return options;
}

Status RunScore(const ScoreFlags& flags) {
  if (flags.list) {
    PrintList(flags.json);
    return {};
  }
  ASSIGN_OR_RETURN(const accuracy::Task* task, TaskOf(flags));
  ASSIGN_OR_RETURN(const std::optional<accuracy::Golds> golds, ReadGolds(flags, *task));
  ASSIGN_OR_RETURN(const accuracy::ScoreOptions options, OptionsFor(flags, *task));
  const accuracy::Golds* given = golds ? &*golds : nullptr;
  ASSIGN_OR_RETURN(const ScoredFile file, ScoreFile(flags.predictions, *task, given, options));
  Json json = ToJson(*task, file);
  accuracy::Comparison comparison;
  if (!flags.against.empty()) {
    ASSIGN_OR_RETURN(const ScoredFile other, ScoreFile(flags.against, *task, given, options));
    const auto compared = Compare(file.predictions.items, file.scores, other.predictions.items, other.scores);
    if (!compared.ok()) return Annotate(flags.predictions + " and " + flags.against, compared.error());
    comparison = *compared;
    json["against"] = ComparisonJson(flags.against, comparison);
  }
  if (!flags.items.empty()) RETURN_IF_ERROR(WriteFileAtomically(flags.items, ItemLines(file)));
  if (flags.json) {
    PrintText(DumpJsonPretty(json));
    return {};
  }
  PrintScores(*task, file);
  if (!flags.against.empty()) PrintComparison(flags.predictions, flags.against, comparison);
  return {};
}

}  // namespace

Action AddScore(CLI::App& app, const Invocation&) {
  auto flags = std::make_shared<ScoreFlags>();
  app.add_option("predictions", flags->predictions,
                 "JSON lines with prediction and gold, lm-eval's samples_*.jsonl, or MoE-CAP's output_data_*.jsonl");
  app.add_option("--task", flags->task,
                 "what was asked, e.g. gsm8k, mmlu_pro, longbench, ifeval, humaneval; of --dataset its own");
  app.add_option("--contract", flags->contract,
                 "whose rules: lm-eval, mlperf, official or moe-cap (default: the first of these that has the task)");
  app.add_option("--gold", flags->gold, "JSON lines of the data set, for a file without gold answers");
  app.add_option("--dataset", flags->dataset, "the data set itself, for the same: a name of moecap datasets");
  app.add_option("--path", flags->path, "where its files are (default: where moecap datasets finds them)");
  app.add_option("--split", flags->split, "of the data set (default: the evaluated one)");
  app.add_flag("--run-code", flags->run_code, "allow HumanEval's answers to be run, in a sandbox");
  app.add_option("--k", flags->k, "of pass@k, several with commas (default: 1)")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::PositiveNumber);
  app.add_option("--against", flags->against, "replies of another system to the same items, compared pairwise");
  app.add_option("--items", flags->items, "write what was extracted and judged of each item here, as JSON lines");
  app.add_flag("--list", flags->list, "the contracts with their tasks and filters");
  app.add_flag("--json", flags->json, "print JSON");
  app.footer("Example:\n  moecap score --task gsm8k --contract lm-eval predictions.jsonl");
  return [flags] { return RunScore(*flags); };
}

}  // namespace moecap::app
