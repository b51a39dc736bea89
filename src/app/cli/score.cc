// moecap score: saved replies scored offline, by the rules of a named reference.
#include "accuracy/score.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "accuracy/contract.h"
#include "accuracy/predictions.h"
#include "app/cli/cli.h"
#include "app/cli/output.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/table.h"

namespace moecap::app {
namespace {
namespace fs = std::filesystem;

struct ScoreFlags {
  std::string predictions, task, contract = "lm-eval", gold, against, items;
  bool list = false;
  bool json = false;
};

struct ScoredFile {
  std::string path;
  accuracy::Predictions predictions;
  std::vector<accuracy::FilterScore> scores;
};

Result<ScoredFile> ScoreFile(const std::string& path, const accuracy::Task& task, const accuracy::Golds* golds) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  ScoredFile file{path, {}, {}};
  ASSIGN_OR_RETURN(file.predictions, ParsePredictions(text, path, task, golds));
  for (const std::string& warning : file.predictions.warnings) std::fprintf(stderr, "%s\n", warning.c_str());
  file.scores = ScoreAll(task, file.predictions.items);
  return file;
}

Json FilterJson(const accuracy::FilterScore& score) {
  Json json = {{"filter", score.filter->name},
               {"source", score.filter->source},
               {"score", score.score},
               {"std_error", OrNull(score.std_error)},
               {"interval", {{"confidence", 0.95}, {"low", score.interval.low}, {"high", score.interval.high}}},
               {"correct", score.correct},
               {"attempted", score.attempted},
               {"answered", score.answered},
               {"no_answer", score.no_answer},
               {"failed", score.failed},
               {"gave_up", score.gave_up}};
  if (score.recorded > 0) json["recorded"] = {{"items", score.recorded}, {"equal", score.recorded_equal}};
  return json;
}

Json ComparisonJson(const std::string& path, const accuracy::Comparison& comparison) {
  Json filters = Json::array();
  for (const accuracy::PairedScore& pair : comparison.filters) {
    filters.push_back({{"filter", pair.filter->name},
                       {"items", pair.items},
                       {"first", pair.first},
                       {"second", pair.second},
                       {"difference", pair.difference},
                       {"interval", {{"confidence", 0.95}, {"low", pair.interval.low}, {"high", pair.interval.high}}},
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
      filters[std::string(score.filter->name)] = {{"extracted", OrNull(score.verdicts[i].extracted)},
                                                  {"score", score.item_scores[i]},
                                                  {"gave_up", score.verdicts[i].gave_up}};
    }
    lines += DumpJson({{"id", item.id},
                       {"row", item.row},
                       {"gold", item.gold},
                       {"failed", item.predictions.empty()},
                       {"filters", std::move(filters)}}) +
             "\n";
  }
  return lines;
}

std::string Points(double share) { return fmt::format("{:+.2f}", 100 * share); }

void PrintScores(const accuracy::Task& task, const ScoredFile& file) {
  fmt::print("{}, {} under {}: {} items ({}); scores in %\n\n", PrintableText(file.path), task.name, task.contract,
             file.predictions.items.size(), file.predictions.form);
  std::vector<std::vector<std::string>> rows;
  for (const accuracy::FilterScore& score : file.scores) {
    rows.push_back({std::string(score.filter->name), fmt::format("{:.2f}", 100 * score.score),
                    score.std_error ? fmt::format("{:.2f}", 100 * *score.std_error) : "-",
                    fmt::format("{:.1f} to {:.1f}", 100 * score.interval.low, 100 * score.interval.high),
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
  fmt::print("\n");
  for (const accuracy::FilterScore& score : file.scores) {
    if (score.gave_up > 0)
      PrintParagraph(fmt::format("{}: {} of {} replies reached a limit of the search; what was looked for counts as not found.",
                                 score.filter->name, score.gave_up, score.attempted));
    if (score.recorded > 0)
      PrintParagraph(fmt::format("{}: the file's own score is the same on {} of {} items.", score.filter->name,
                                 score.recorded_equal, score.recorded));
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
    rows.push_back({std::string(pair.filter->name), fmt::format("{:.2f}", 100 * pair.first),
                    fmt::format("{:.2f}", 100 * pair.second), Points(pair.difference),
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

Status RunScore(const ScoreFlags& flags) {
  if (flags.list) {
    PrintList(flags.json);
    return {};
  }
  if (flags.predictions.empty() || flags.task.empty())
    return BadInput("name a task and a file, e.g. --task gsm8k predictions.jsonl; --list shows the tasks");
  ASSIGN_OR_RETURN(const accuracy::Task* task, accuracy::FindTask(flags.task, flags.contract));
  accuracy::Golds golds;
  if (!flags.gold.empty()) {
    ASSIGN_OR_RETURN(const std::string text, ReadFile(flags.gold));
    ASSIGN_OR_RETURN(golds, accuracy::ParseGolds(text, flags.gold, *task));
  }
  const accuracy::Golds* given = flags.gold.empty() ? nullptr : &golds;
  ASSIGN_OR_RETURN(const ScoredFile file, ScoreFile(flags.predictions, *task, given));
  Json json = ToJson(*task, file);
  accuracy::Comparison comparison;
  if (!flags.against.empty()) {
    ASSIGN_OR_RETURN(const ScoredFile other, ScoreFile(flags.against, *task, given));
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
  app.add_option("--task", flags->task, "what was asked, e.g. gsm8k, mmlu_pro, gpqa, aime, math500");
  app.add_option("--contract", flags->contract, "whose rules: lm-eval (default), mlperf, official or moe-cap");
  app.add_option("--gold", flags->gold, "JSON lines of the data set, for a file without gold answers");
  app.add_option("--against", flags->against, "replies of another system to the same items, compared pairwise");
  app.add_option("--items", flags->items, "write what was extracted and judged of each item here, as JSON lines");
  app.add_flag("--list", flags->list, "the contracts with their tasks and filters");
  app.add_flag("--json", flags->json, "print JSON");
  app.footer("Example:\n  moecap score --task gsm8k --contract lm-eval predictions.jsonl");
  return [flags] { return RunScore(*flags); };
}

}  // namespace moecap::app
