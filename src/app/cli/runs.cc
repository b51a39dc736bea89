// moecap runs: the index of stored runs.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "analysis/imported.h"
#include "analysis/transfer.h"
#include "app/cli/cli.h"
#include "app/cli/output.h"
#include "app/cli/runs_merge.h"
#include "app/cli/runs_tables.h"
#include "app/cli/runs_text.h"
#include "app/cli/stored_runs.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/table.h"
#include "store/run_files.h"
#include "store/sql_query.h"

namespace moecap::app {
namespace fs = std::filesystem;
namespace {

using store::Access;
using store::RunStore;

constexpr int kSchema = 2;  // of the JSON output
constexpr int64_t kMostSqlRows = 1000;

struct RunsFlags {
  std::string results_dir = kResultsDir;
  bool json = false;
  // list
  std::vector<std::string> filters;
  std::optional<int64_t> limit;
  std::string sort = "started";
  // the others
  std::string run;
  std::vector<std::string> tags;
  std::vector<std::string> dirs;
  std::string to;
  bool compact = false;
  std::string format = "folder";
  bool files = false;
  bool yes = false;
  bool ask_experts = false;
  const Invocation* invocation = nullptr;
};

void Print(const std::string& text) { std::fwrite(text.data(), 1, text.size(), stdout); }

TextOptions TextFor(const RunsFlags&) { return {TerminalWidth(), WantsUnicode()}; }

// "2026-01-31" or longer, as ISO 8601 has it: compared as text.
Status CheckDate(const std::string& text) {
  constexpr std::string_view kPattern = "0000-00-00T00:00:00Z";
  bool good = text.size() == 10 || text.size() == kPattern.size();
  for (size_t i = 0; good && i < text.size(); ++i) {
    good = kPattern[i] == '0' ? text[i] >= '0' && text[i] <= '9' : text[i] == kPattern[i];
  }
  if (good) return {};
  return BadInput(fmt::format("--filter since={}: write a date as 2026-01-31 or 2026-01-31T12:00:00Z", text));
}

Status AddFilter(const std::string& text, store::RunFilter& filter) {
  const size_t equal = text.find('=');
  const std::string key = text.substr(0, equal);
  const std::string value = equal == std::string::npos ? "" : text.substr(equal + 1);
  static const std::vector<std::string> kKeys = {"model", "system", "dataset", "tag", "status", "since"};
  if (std::find(kKeys.begin(), kKeys.end(), key) == kKeys.end())
    return BadInput(fmt::format("--filter {}: unknown key \"{}\"; use {}", text, key, fmt::join(kKeys, ", ")));
  if (value.empty()) return BadInput(fmt::format("--filter {}: no value; write {}=VALUE", text, key));
  if (key == "model") filter.model = value;
  if (key == "system") filter.system = value;
  if (key == "dataset") filter.dataset = value;
  if (key == "tag") filter.tags.push_back(value);
  if (key == "since") {
    RETURN_IF_ERROR(CheckDate(value));
    filter.since = value;
  }
  if (key == "status") {
    ASSIGN_OR_RETURN(filter.status, store::ParseRunStatus(value));
  }
  return {};
}

constexpr std::pair<const char*, store::RunOrder> kOrders[] = {{"started", store::RunOrder::kStarted},
                                                               {"id", store::RunOrder::kRunId},
                                                               {"rate", store::RunOrder::kOutputRate},
                                                               {"accuracy", store::RunOrder::kAccuracy}};

Status CheckLimit(const RunsFlags& flags) {
  return flags.limit && *flags.limit < 1 ? BadInput("--limit must be 1 or more") : Status();
}

Result<store::RunFilter> FilterOf(const RunsFlags& flags) {
  store::RunFilter filter;
  std::set<std::string> keys;
  for (const std::string& text : flags.filters) {
    const std::string key = text.substr(0, text.find('='));
    if (!keys.insert(key).second && key != "tag") return BadInput(fmt::format("--filter {}: {} is given twice", text, key));
    RETURN_IF_ERROR(AddFilter(text, filter));
  }
  filter.limit = flags.limit;
  RETURN_IF_ERROR(CheckLimit(flags));
  for (const auto& [name, order] : kOrders) {
    if (flags.sort == name) {
      filter.order = order;
      return filter;
    }
  }
  return BadInput(fmt::format("--sort {}: use started, id, rate or accuracy", flags.sort));
}

// The index for verbs that need one. Rows of runs that died are settled where the file can be written.
Result<RunStore> OpenIndex(const RunsFlags& flags, Access access) {
  if (!RunStore::Exists(flags.results_dir))
    return BadInput(
        fmt::format("there is no {} in {}; index run folders with: moecap runs rebuild, or choose another --results-dir",
                    store::kDatabaseName, flags.results_dir));
  ASSIGN_OR_RETURN(RunStore index, RunStore::Open(flags.results_dir, access));
  const Status settled = analysis::SettleRunning(index, flags.results_dir);
  if (!settled.ok() && access != Access::kRead) return settled.error();
  return index;
}

// Folders of runs that no row points to.
Result<std::vector<std::string>> NotIndexed(const RunsFlags& flags, const RunStore* index) {
  std::set<std::string> indexed;
  if (index != nullptr) {
    ASSIGN_OR_RETURN(indexed, index->Paths());
  }
  std::vector<std::string> missing;
  for (const fs::path& dir : analysis::RunFolders(flags.results_dir)) {
    if (!indexed.contains(dir.filename().string())) missing.push_back(dir.string());
  }
  return missing;
}

Status List(const RunsFlags& flags) {
  ASSIGN_OR_RETURN(const store::RunFilter filter, FilterOf(flags));
  std::optional<RunStore> index;
  std::vector<store::RunListing> runs;
  if (RunStore::Exists(flags.results_dir)) {
    ASSIGN_OR_RETURN(index, OpenIndex(flags, Access::kRead));
    ASSIGN_OR_RETURN(runs, index->List(filter));
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> missing, NotIndexed(flags, index ? &*index : nullptr));
  if (flags.json) {
    Json list = Json::array();
    for (const store::RunListing& run : runs) list.push_back(ToJson(run));
    Print(DumpJsonPretty(
        {{"schema", kSchema}, {"results_dir", flags.results_dir}, {"runs", std::move(list)}, {"not_indexed", missing}}));
    return {};
  }
  if (runs.empty()) {
    fmt::print("No run in {}{}.\n", flags.results_dir, flags.filters.empty() ? "" : " is as the filters say");
  } else {
    Print(RenderRuns(runs, TextFor(flags)));
  }
  if (missing.size() == 1) {
    fmt::print(stderr, "{} is not indexed; index it with: moecap runs import {}\n", missing[0], missing[0]);
  } else if (!missing.empty()) {
    fmt::print(stderr, "{} run folders, {} among them, are not indexed; index them with: moecap runs rebuild\n", missing.size(),
               missing[0]);
  }
  return {};
}

Status Show(const RunsFlags& flags) {
  ASSIGN_OR_RETURN(const RunStore index, OpenIndex(flags, Access::kRead));
  ASSIGN_OR_RETURN(const std::string run_id, RunIdOf(index, flags.run));
  ASSIGN_OR_RETURN(const store::StoredRun run, index.Find(run_id));
  if (flags.json) {
    Json json = {{"schema", kSchema}};
    json.update(ToJson(run));
    Print(DumpJsonPretty(json));
  } else {
    Print(RenderRun(run, flags.results_dir, TextFor(flags)));
  }
  return {};
}

void PrintDone(const RunsFlags& flags, const std::string& run_id, const Json& json, const std::string& text) {
  if (flags.json) {
    Json all = {{"schema", kSchema}, {"run_id", run_id}};
    all.update(json);
    Print(DumpJsonPretty(all));
  } else {
    fmt::print("{}\n", text);
  }
}

Status ChangeTags(const RunsFlags& flags, bool add) {
  ASSIGN_OR_RETURN(RunStore index, OpenIndex(flags, Access::kReadWrite));
  ASSIGN_OR_RETURN(const std::string run_id, RunIdOf(index, flags.run));
  RETURN_IF_ERROR(add ? index.Tag(run_id, flags.tags) : index.Untag(run_id, flags.tags));
  ASSIGN_OR_RETURN(const store::StoredRun run, index.Find(run_id));
  PrintDone(flags, run_id, {{"tags", run.tags}},
            fmt::format("{}: {}", run_id, run.tags.empty() ? "no tags" : fmt::format("{}", fmt::join(run.tags, " "))));
  return {};
}

// Deleting is asked for, on a terminal or by --yes.
Status Confirm(const std::string& question) {
  if (::isatty(STDIN_FILENO) != 1) return BadInput(question + " Nothing was deleted; add --yes to do it without being asked");
  fmt::print(stderr, "{} [y/N] ", question);
  std::string answer;
  std::getline(std::cin, answer);
  if (answer == "y" || answer == "yes") return {};
  return Error{ErrorKind::kInterrupted, "nothing was deleted"};
}

Status Delete(const RunsFlags& flags) {
  ASSIGN_OR_RETURN(RunStore index, OpenIndex(flags, Access::kReadWrite));
  ASSIGN_OR_RETURN(const std::string run_id, RunIdOf(index, flags.run));
  ASSIGN_OR_RETURN(const store::StoredRun run, index.Find(run_id));
  const std::string dir = (fs::path(flags.results_dir) / run.info.path).string();
  if (!flags.yes) {
    RETURN_IF_ERROR(Confirm(flags.files ? fmt::format("Delete run {} and its folder {} with everything in it?", run_id, dir)
                                        : fmt::format("Take run {} out of the index and keep its folder {}?", run_id, dir)));
  }
  RETURN_IF_ERROR(analysis::DeleteRun(index, flags.results_dir, run_id, flags.files));
  PrintDone(flags, run_id, {{"folder", dir}, {"folder_removed", flags.files}},
            flags.files ? fmt::format("deleted {} and {}", run_id, dir)
                        : fmt::format("{} is out of the index; its folder {} is kept", run_id, dir));
  return {};
}

// Run folders as they are; result files of other tools as a run made of them.
Result<std::vector<fs::path>> RunFoldersOf(const RunsFlags& flags) {
  std::vector<fs::path> folders, files;
  for (const std::string& given : flags.dirs) {
    std::error_code code;
    const bool run = experiment::Results::IsExperiment(given) || !fs::exists(given, code);
    (run ? folders : files).emplace_back(given);
  }
  if (files.empty()) return folders;
  RETURN_IF_ERROR(MakeWritableDir(flags.results_dir));
  ASSIGN_OR_RETURN(const fs::path made, analysis::StoreResultFiles(files, flags.results_dir));
  folders.push_back(made);
  return folders;
}

Status Import(const RunsFlags& flags) {
  ASSIGN_OR_RETURN(const std::vector<fs::path> dirs, RunFoldersOf(flags));
  ASSIGN_OR_RETURN(const std::vector<analysis::ImportedRun> runs, analysis::ImportRuns(dirs, flags.results_dir, MakeFigures));
  Json list = Json::array();
  for (const analysis::ImportedRun& run : runs) {
    list.push_back({{"run_id", run.run_id}, {"folder", run.dir.string()}, {"was_there", run.was_there}});
    if (!flags.json) fmt::print("{} {}\n", run.run_id, run.was_there ? "was there already" : "is indexed");
  }
  if (flags.json) Print(DumpJsonPretty({{"schema", kSchema}, {"runs", std::move(list)}}));
  return {};
}

Status Export(const RunsFlags& flags) {
  ASSIGN_OR_RETURN(const RunStore index, OpenIndex(flags, Access::kRead));
  ASSIGN_OR_RETURN(const std::string run_id, RunIdOf(index, flags.run));
  if (flags.format == "parquet") {
    if (flags.compact) return BadInput("--compact leaves out what --format parquet writes; give one of them");
    ASSIGN_OR_RETURN(const store::StoredRun run, index.Find(run_id));
    ASSIGN_OR_RETURN(const fs::path dir, store::FolderBelow(flags.results_dir, run.info.path));
    RETURN_IF_ERROR(WriteParquetTables(dir, flags.to));
    PrintDone(flags, run_id, {{"folder", flags.to}}, fmt::format("the tables of {} are in {}", run_id, flags.to));
    return {};
  }
  const auto form = flags.compact ? analysis::ExportForm::kCompact : analysis::ExportForm::kWhole;
  RETURN_IF_ERROR(analysis::ExportRun(index, flags.results_dir, run_id, flags.to, form));
  PrintDone(flags, run_id, {{"folder", flags.to}}, fmt::format("{} is in {}", run_id, flags.to));
  return {};
}

Status Verify(const RunsFlags& flags) {
  ASSIGN_OR_RETURN(const RunStore index, OpenIndex(flags, Access::kRead));
  ASSIGN_OR_RETURN(const analysis::VerifyReport report, analysis::VerifyRuns(index, flags.results_dir));
  if (flags.json) {
    Print(DumpJsonPretty({{"schema", kSchema}, {"runs", report.runs}, {"files", report.files}, {"problems", report.problems}}));
  } else {
    for (const std::string& problem : report.problems) fmt::print("{}\n", problem);
    fmt::print("runs {}, files {}, problems {}\n", report.runs, report.files, report.problems.size());
  }
  if (!report.problems.empty()) return Failed("the index and the run folders do not agree; see above");
  return {};
}

Status Rebuild(const RunsFlags& flags) {
  ASSIGN_OR_RETURN(const analysis::RebuiltIndex rebuilt, analysis::RebuildIndex(flags.results_dir, MakeFigures));
  const Json old = rebuilt.old_database ? Json(rebuilt.old_database->string()) : Json(nullptr);
  if (flags.json) {
    Print(DumpJsonPretty({{"schema", kSchema}, {"runs", rebuilt.runs}, {"old_database", old}, {"notes", rebuilt.notes}}));
    return {};
  }
  for (const std::string& note : rebuilt.notes) fmt::print("{}\n", note);
  fmt::print("runs indexed: {}\n", rebuilt.runs);
  if (rebuilt.old_database) fmt::print("the database that was there is now {}\n", rebuilt.old_database->string());
  return {};
}

std::string SqlText(const store::SqlValue& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  if (const auto* whole = std::get_if<int64_t>(&value)) return std::to_string(*whole);
  if (const auto* real = std::get_if<double>(&value)) return fmt::format("{:.6g}", *real);
  return "-";
}

Json SqlJson(const store::SqlValue& value) {
  return std::visit(
      [](const auto& known) {
        if constexpr (std::is_same_v<std::decay_t<decltype(known)>, std::monostate>) {
          return Json(nullptr);
        } else {
          return Json(known);
        }
      },
      value);
}

Status Sql(const RunsFlags& flags) {
  if (!RunStore::Exists(flags.results_dir)) RETURN_IF_ERROR(OpenIndex(flags, Access::kRead));
  RETURN_IF_ERROR(CheckLimit(flags));
  const auto most = static_cast<size_t>(flags.limit.value_or(kMostSqlRows));
  ASSIGN_OR_RETURN(const store::SqlTable found,
                   store::QueryIndex(flags.results_dir, flags.run, most, FactTables(flags.results_dir)));
  if (flags.json) {
    std::set<std::string> names;
    for (const std::string& name : found.columns) {
      if (!names.insert(name).second)
        return BadInput(fmt::format("two columns are called {}, and a row of JSON holds one: name them apart with AS", name));
    }
    Json rows = Json::array();
    for (const auto& row : found.rows) {
      Json entry = Json::object();
      for (size_t i = 0; i < row.size(); ++i) entry[found.columns[i]] = SqlJson(row[i]);
      rows.push_back(std::move(entry));
    }
    Print(DumpJsonPretty(
        {{"schema", kSchema}, {"columns", found.columns}, {"rows", std::move(rows)}, {"cut_off", found.cut_off}}));
    return {};
  }
  std::vector<TableColumn> columns;
  for (const std::string& name : found.columns) columns.push_back({"", PrintableText(name), Align::kLeft, columns.empty()});
  std::vector<std::vector<std::string>> rows;
  for (const auto& row : found.rows) {
    std::vector<std::string>& texts = rows.emplace_back();
    for (const store::SqlValue& value : row) texts.push_back(PrintableText(SqlText(value)));
  }
  Print(RenderTable(columns, rows, TerminalTable()));
  if (found.cut_off) fmt::print(stderr, "there are more than {} rows; see them with --limit\n", most);
  return {};
}

constexpr const char* kFooter = R"(Filters, all of which must hold: model=TEXT, system=TEXT, dataset=TEXT
(part of the name), tag=TAG, status=running|complete|interrupted,
since=2026-01-31. RUN is an id, the beginning of one, or "latest".

Examples:
  moecap runs --filter model=qwen3 --filter tag=paper --sort rate --limit 10
  moecap runs show latest
  moecap runs delete 20260131-120000-quickstart --files --yes
  moecap runs export latest --to quickstart-run
  moecap runs import quickstart-run --results-dir elsewhere
  moecap runs import openai-infqps-concurrency8-*.json
  moecap runs merge results/shards/monday
  moecap runs sql "SELECT run_id, system, level, value FROM figures WHERE key = 'tpot_p99_s' ORDER BY value LIMIT 10"
  moecap runs sql "SELECT id, first_token_s - send_s AS ttft_s FROM requests WHERE run_id = '20260131-120000-load' ORDER BY 2 DESC"
  moecap runs export latest --format parquet --to tables)";

using Function = Status (*)(const RunsFlags& flags);

struct Subcommands {
  CLI::App& app;
  const std::shared_ptr<RunsFlags>& flags;
  std::vector<std::pair<CLI::App*, Function>> all;

  // Flags of the verb may stand behind the subcommand, too.
  CLI::App* Add(const char* name, const char* description, Function function) {
    CLI::App* sub = app.add_subcommand(name, description)->fallthrough();
    all.emplace_back(sub, function);
    return sub;
  }
  CLI::App* AddForRun(const char* name, const char* description, Function function) {
    CLI::App* sub = Add(name, description, function);
    sub->add_option("run", flags->run, "id, beginning of one, or latest")->required();
    return sub;
  }
};

void AddMerge(Subcommands& subs, const Invocation& invocation) {
  RunsFlags& flags = *subs.flags;
  flags.invocation = &invocation;
  CLI::App* merge = subs.Add(
      "merge", "join the shards of a load into one run; --ask-experts: while the server still runs",
      [](const RunsFlags& f) { return MergeRuns(f.dirs, f.results_dir, f.json, f.ask_experts ? f.invocation : nullptr); });
  merge->add_option("dirs", flags.dirs, "RESULTS_DIR/shards/GROUP, or the folders of its shards")->required();
  merge->add_flag("--ask-experts", flags.ask_experts,
                  "send all requests to the server once more and ask for the experts behind its answers; without this they are "
                  "estimated (the configuration names the model)");
}

}  // namespace

Action AddRuns(CLI::App& app, const Invocation& invocation) {
  auto flags = std::make_shared<RunsFlags>();
  app.add_option("--results-dir", flags->results_dir, "where runs are stored (default: results)");
  app.add_flag("--json", flags->json, "print JSON");
  app.add_option("--filter", flags->filters, "show runs for which KEY=VALUE holds; may be repeated")->allow_extra_args(false);
  app.add_option("--limit", flags->limit, "show at most so many");
  app.add_option("--sort", flags->sort, "started (latest first), id, rate or accuracy (best first)");
  app.require_subcommand(0, 1);
  app.footer(kFooter);

  Subcommands subs{app, flags, {}};
  subs.Add("list", "the stored runs (default)", List);
  subs.AddForRun("show", "what is stored of a run", Show);
  subs.AddForRun("tag", "add tags", [](const RunsFlags& f) { return ChangeTags(f, true); })
      ->add_option("tags", flags->tags, "letters, digits and ._+-:/=@")
      ->required();
  subs.AddForRun("untag", "remove tags", [](const RunsFlags& f) { return ChangeTags(f, false); })
      ->add_option("tags", flags->tags, "tags that the run has")
      ->required();
  CLI::App* remove =
      subs.AddForRun("delete", "take a run out of the index; --files: and remove its folder; --yes: without asking", Delete);
  remove->add_flag("--files", flags->files, "also remove the run's folder; without this it is kept");
  remove->add_flag("--yes", flags->yes, "do not ask");
  subs.Add("import", "index run folders, or result files of other benchmark clients", Import)
      ->add_option(
          "dirs", flags->dirs,
          "folders with a manifest.json or exports; or results of vllm bench serve, SGLang bench_serving, AIPerf, GenAI-Perf, "
          "GuideLLM, llama-bench, MoE-CAP")
      ->required();
  AddMerge(subs, invocation);
  CLI::App* take = subs.AddForRun(
      "export", "copy a run into a folder of its own; --to DIR; --compact: its figures only; --format parquet: tables", Export);
  take->add_option("--to", flags->to, "the folder to make")->required();
  take->add_flag("--compact", flags->compact,
                 "leave out requests, events and passes: what report and compare need, and no more");
  take->add_option("--format", flags->format,
                   "folder: as it is stored; parquet: its cells, requests and passes as tables (docs/formats/tables.md)")
      ->check(CLI::IsMember({"folder", "parquet"}));
  subs.Add(
          "sql",
          "ask in SQL: tables runs, systems, cells, figures, cost_inputs, tags, files of the index; requests and passes of the "
          "runs",
          Sql)
      ->add_option("query", flags->run, "one SELECT; --limit N rows at most (default: 1000)")
      ->required();
  subs.Add("verify", "check that the files behind every row are there and unchanged", Verify);
  subs.Add("rebuild", "make the index anew from the run folders", Rebuild);
  return [flags, all = std::move(subs.all)] {
    for (const auto& [sub, function] : all) {
      if (sub->parsed()) return function(*flags);
    }
    return List(*flags);
  };
}

}  // namespace moecap::app
