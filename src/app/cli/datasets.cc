// moecap datasets: which data sets can be read, where to get each, what is here.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "accuracy/contract.h"
#include "app/cli/cli.h"
#include "app/cli/output.h"
#include "base/json.h"
#include "experiment/problem_set.h"
#include "workload/dataset.h"
#include "workload/prompter.h"

namespace moecap::app {
namespace {

using workload::DatasetInfo;

constexpr int kLabelWidth = 12;
constexpr size_t kColumnsBefore = 52;  // of the list, before the last one
constexpr uint64_t kAnySeed = 1;

struct DatasetsFlags {
  std::string name, path, split, prompt, shots;
  int64_t samples = 0;
  uint64_t seed = kAnySeed;
  bool json = false;
};

std::string Folder(const workload::FoundSplit& found) { return found.files.front().path.parent_path().string(); }

std::string RowsInWords(const DatasetInfo& info, const std::string& split) {
  const auto rows = workload::RowsOf(info, split);
  return rows ? std::to_string(*rows) : "-";
}

// "lm-eval/ifeval/prompt_level_strict_acc", ...: what its answers can be scored by.
std::vector<std::string> ScoringsOf(const DatasetInfo& info) {
  std::vector<std::string> names;
  for (const char* contract : accuracy::kContracts) {
    const auto task = accuracy::FindTask(info.task, contract);
    if (!task.ok()) continue;
    for (const accuracy::Filter& filter : (*task)->filters)
      names.push_back(fmt::format("{}/{}/{}", contract, (*task)->name, filter.name));
  }
  return names;
}

Json ToJson(const DatasetInfo& info) {
  Json splits = Json::array(), files = Json::array();
  for (const std::string& split : workload::SplitsOf(info)) {
    const auto found = workload::FindSplit(info, split, {});
    Json here = nullptr;
    if (found.ok()) here = Folder(*found);
    splits.push_back({{"split", split}, {"rows", OrNull(workload::RowsOf(info, split))}, {"found_in", here}});
  }
  for (const workload::DatasetFile& file : info.files) {
    files.push_back({{"split", file.split},
                     {"path", file.path},
                     {"rows", OrNull(file.rows)},
                     {"sha256", file.sha256.empty() ? Json(nullptr) : Json(file.sha256)}});
  }
  return {{"name", info.name},       {"title", info.title},    {"licence", info.licence}, {"home", info.home},
          {"hubs", info.hubs},       {"get", info.get},        {"split", info.split},     {"splits", splits},
          {"files", files},          {"task", info.task},      {"group", info.group},     {"scoring", ScoringsOf(info)},
          {"prompts", info.prompts}, {"sources", info.sources}};
}

Status List(const DatasetsFlags& flags) {
  ASSIGN_OR_RETURN(const std::vector<DatasetInfo> all, workload::BuiltinDatasets());
  Json list = Json::array();
  std::vector<std::vector<std::string>> rows;
  for (const DatasetInfo& info : all) {
    if (flags.json) {
      list.push_back(ToJson(info));
      continue;
    }
    const auto found = workload::FindSplit(info, info.split, {});
    const std::string from = info.hubs.empty() ? info.home : info.hubs.front();
    rows.push_back({info.name, RowsInWords(info, info.split), info.licence.substr(0, info.licence.find_first_of(",;")),
                    found.ok() ? "yes" : "-", from.empty() ? info.get : from});
  }
  if (flags.json) {
    PrintText(DumpJsonPretty({{"datasets", list}}));
    return {};
  }
  for (auto& row : rows) row.back() = Shorten(PrintableText(row.back()), TerminalWidth() - kColumnsBefore, WantsUnicode());
  PrintText(RenderTable({{"", "data set", Align::kLeft, true},
                         {"", "rows"},
                         {"", "licence", Align::kLeft},
                         {"", "here", Align::kLeft},
                         {"", "published as", Align::kLeft}},
                        rows, TerminalTable()));
  PrintParagraph(
      "\nhere: below $MOECAP_DATASETS, in the Hugging Face cache, or shipped. How to get one: moecap datasets show NAME. "
      "Whether a "
      "file is right: moecap datasets check NAME PATH.");
  return {};
}

void PrintLabelled(const std::string& label, const std::string& text) {
  std::string out;
  AppendLabelled(out, kLabelWidth, label, text, TerminalWidth());
  PrintText(out);
}

Status Show(const DatasetsFlags& flags) {
  ASSIGN_OR_RETURN(const DatasetInfo info, workload::FindDataset(flags.name));
  if (flags.json) {
    PrintText(DumpJsonPretty(ToJson(info)));
    return {};
  }
  PrintText(info.title + "\n");
  PrintLabelled("licence", info.licence);
  if (!info.home.empty()) PrintLabelled("home", info.home);
  if (!info.hubs.empty()) PrintLabelled("hub", fmt::format("{}", fmt::join(info.hubs, ", ")));
  PrintLabelled("to get it", info.get);
  for (const std::string& split : workload::SplitsOf(info)) {
    const auto found = workload::FindSplit(info, split, {});
    std::vector<std::string> names;
    for (const workload::DatasetFile& file : info.files) {
      if (file.split == split) names.push_back(file.path);
    }
    PrintLabelled(
        split, fmt::format("{} rows, {}: {}{}", RowsInWords(info, split), fmt::join(names, " or "),
                           found.ok() ? "in " + Folder(*found) : "not found here", split == info.split ? " (evaluated)" : ""));
  }
  PrintLabelled("task", info.task + (info.group.empty() ? "" : ", samples balanced over " + info.group));
  const std::vector<std::string> scorings = ScoringsOf(info);
  PrintLabelled("scored by", info.task == "arena_hard" ? "a judge: moecap judge"
                             : scorings.empty()        ? "nothing here; answers are kept"
                                                       : fmt::format("{}", fmt::join(scorings, ", ")));
  for (const std::string& name : info.prompts) {
    ASSIGN_OR_RETURN(const workload::PromptTemplate prompt, workload::FindPromptTemplate(name));
    PrintLabelled("prompt", fmt::format("{}{}: {}; {}, {} worked example{}, at most {} tokens out", name,
                                        name == info.prompts.front() ? " (usual)" : "", prompt.source,
                                        prompt.is_chat ? "chat" : "text to continue", prompt.shots,
                                        prompt.shots == 1 ? "" : "s", prompt.max_output_tokens));
  }
  for (const auto& [key, source] : info.sources) PrintLabelled("source", key + ": " + source);
  return {};
}

// What `check` finds out about a split.
struct Checked {
  workload::LoadedDataset loaded;
  std::string sha256;
  int64_t groups = 0;
  std::vector<std::string> faults;
};

Result<Checked> CheckSplit(const DatasetInfo& info, const std::string& split, const std::string& path) {
  Checked checked;
  ASSIGN_OR_RETURN(checked.loaded, workload::LoadDataset(info, split, path, kAnySeed));
  ASSIGN_OR_RETURN(checked.sha256, workload::Sha256Of(checked.loaded.found));
  const auto rows = workload::RowsOf(info, split);
  if (rows && *rows != checked.loaded.rows)
    checked.faults.push_back(fmt::format("{} rows, where {} were published", checked.loaded.rows, *rows));
  const std::string& expected = checked.loaded.found.entry.sha256;
  if (!expected.empty() && expected != checked.sha256)
    checked.faults.push_back("the SHA-256 is not that of the published file, " + expected);
  std::set<std::string> groups;
  for (const workload::Problem& problem : checked.loaded.problems) groups.insert(problem.group);
  checked.groups = info.group.empty() ? 0 : std::ssize(groups);
  // Prompts with worked examples are rendered with the first problems in their place.
  for (const std::string& name : info.prompts) {
    ASSIGN_OR_RETURN(workload::PromptTemplate prompt, workload::FindPromptTemplate(name));
    prompt.shots = 0;
    ASSIGN_OR_RETURN(const workload::Prompter prompter, workload::Prompter::Create(prompt, {}, checked.loaded.rows));
    for (const workload::Problem& problem : checked.loaded.problems) {
      const auto rendered = prompter.Render(problem);
      if (!rendered.ok()) return rendered.error();
    }
  }
  return checked;
}

Status Check(const DatasetsFlags& flags) {
  ASSIGN_OR_RETURN(const DatasetInfo info, workload::FindDataset(flags.name));
  const std::string split = flags.split.empty() ? info.split : flags.split;
  ASSIGN_OR_RETURN(const Checked checked, CheckSplit(info, split, flags.path));
  const workload::LoadedDataset& loaded = checked.loaded;
  const std::string place = loaded.found.files.size() == 1 ? loaded.found.files.front().path.string() : Folder(loaded.found);
  if (flags.json) {
    PrintText(DumpJsonPretty(
        {{"name", info.name},
         {"split", split},
         {"path", place},
         {"files", loaded.found.files.size()},
         {"rows", loaded.rows},
         {"rows_published", OrNull(workload::RowsOf(info, split))},
         {"rows_without_answer", loaded.skipped},
         {"groups", checked.groups},
         {"sha256", checked.sha256},
         {"sha256_published", loaded.found.entry.sha256.empty() ? Json(nullptr) : Json(loaded.found.entry.sha256)},
         {"faults", checked.faults}}));
  } else {
    PrintLabelled("data set", fmt::format("{}, split {}", info.name, split));
    PrintLabelled("files", loaded.found.files.size() == 1 ? place : fmt::format("{} in {}", loaded.found.files.size(), place));
    PrintLabelled("rows", fmt::format("{}{}", loaded.rows,
                                      loaded.skipped == 0 ? "" : fmt::format(", {} without a right answer", loaded.skipped)));
    if (checked.groups > 0) PrintLabelled("groups", fmt::format("{} by {}", checked.groups, info.group));
    PrintLabelled("SHA-256", checked.sha256 + (loaded.found.entry.sha256.empty() ? " (none is published for this form)" : ""));
    if (checked.faults.empty()) PrintText("Every row is right, and every prompt can be made of it.\n");
  }
  if (checked.faults.empty()) return {};
  return BadInput(fmt::format("{}: {}", place, fmt::join(checked.faults, "; ")));
}

// What an experiment would send: one JSON object a problem.
Status Prompts(const DatasetsFlags& flags) {
  ASSIGN_OR_RETURN(const DatasetInfo info, workload::FindDataset(flags.name));
  experiment::ProblemSet set;
  set.scoring.reset();  // nothing is answered
  set.dataset = info.name;
  set.is_named = true;
  set.path = flags.path;
  set.split = flags.split.empty() ? info.split : flags.split;
  set.prompt = flags.prompt.empty() ? info.prompts.front() : flags.prompt;
  set.shots_path = flags.shots;
  set.problems = flags.samples;
  set.seed = flags.seed;
  ASSIGN_OR_RETURN(const experiment::PreparedProblems prepared, experiment::PrepareProblems(set, {}));
  for (const workload::Problem& problem : prepared.problems) {
    ASSIGN_OR_RETURN(const workload::RenderedPrompt rendered, prepared.prompter->Render(problem));
    Json json = {{"id", problem.id}};
    if (rendered.messages.empty()) json["prompt"] = rendered.text;
    for (const workload::PromptMessage& message : rendered.messages)
      json["messages"].push_back({{"role", message.role}, {"content", message.content}});
    if (!rendered.continuations.empty()) json["continuations"] = rendered.continuations;
    json["stop"] = rendered.stop;
    json["max_output_tokens"] = rendered.max_output_tokens;
    json["gold"] = problem.answers.empty() ? Json(problem.answer) : Json(problem.answers);
    if (!problem.choices.empty()) json["choices"] = problem.choices;
    PrintText(DumpJson(json) + "\n");
  }
  return {};
}

}  // namespace

Action AddDatasets(CLI::App& app, const Invocation&) {
  auto flags = std::make_shared<DatasetsFlags>();
  app.add_flag("--json", flags->json, "print JSON");
  CLI::App* show =
      app.add_subcommand("show", "one data set: where to get it, what is here, its prompts, the sources of all that");
  show->add_option("name", flags->name, "one of those that `moecap datasets` lists")->required();
  show->add_flag("--json", flags->json, "print JSON");
  CLI::App* check = app.add_subcommand("check", "read a data set's every row, render its prompts, compare rows and hash");
  check->add_option("name", flags->name, "one of those that `moecap datasets` lists")->required();
  check->add_option("path", flags->path, "a file, a folder or a hub cache (default: where data sets usually are)");
  check->add_option("--split", flags->split, "(default: the one that is evaluated)");
  check->add_flag("--json", flags->json, "print JSON");
  CLI::App* prompts = app.add_subcommand("prompts", "what an experiment would send, as JSON lines");
  prompts->add_option("name", flags->name, "one of those that `moecap datasets` lists")->required();
  prompts->add_option("path", flags->path, "a file, a folder or a hub cache (default: where data sets usually are)");
  prompts->add_option("--split", flags->split, "(default: the one that is evaluated)");
  prompts->add_option("--prompt", flags->prompt, "a template, or a file that ends in .yaml (default: the usual one)");
  prompts->add_option("--shots", flags->shots, "the file of the worked examples (default: beside the problems)");
  prompts->add_option("--samples", flags->samples, "how many, drawn by the seed (default: all)")->check(CLI::PositiveNumber);
  prompts->add_option("--seed", flags->seed, "(default: 1)");
  app.require_subcommand(0, 1);
  app.footer(
      "Examples:\n"
      "  moecap datasets\n"
      "  moecap datasets show gsm8k\n"
      "  moecap datasets check gsm8k grade-school-math/grade_school_math/data/test.jsonl\n"
      "  moecap datasets prompts mmlu --samples 20 --prompt simple-evals-choice");
  return [flags, show, check, prompts] {
    if (prompts->parsed()) return Prompts(*flags);
    if (show->parsed()) return Show(*flags);
    return check->parsed() ? Check(*flags) : List(*flags);
  };
}

}  // namespace moecap::app
