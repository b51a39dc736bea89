// moecap sweep: many experiments from one file, on this machine or on a scheduler.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <deque>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "app/cli/cli.h"
#include "app/cli/interrupt.h"
#include "app/cli/output.h"
#include "app/cli/stored_runs.h"
#include "app/cli/sweep_place.h"
#include "base/child_process.h"
#include "base/clock.h"
#include "base/folder_lock.h"
#include "base/json.h"
#include "base/wall_clock.h"
#include "experiment/grid.h"

namespace moecap::app {
namespace {

struct SweepFlags {
  std::string file, on = "local", results_dir = kResultsDir;
  bool json = false;
};

class OnThisMachine final : public SweepPlace {
 public:
  explicit OnThisMachine(const SweepFolder& folder) : folder_(folder), submission_(WallTimeCompact()) {}

  Status Submit(const std::vector<size_t>& cells) override {
    waiting_.assign(cells.begin(), cells.end());
    for (const size_t cell : cells) states_[cell] = CellState::kWaiting;
    return {};
  }

  Result<std::map<size_t, CellState>> States() override {
    const bool runs = std::ranges::any_of(shards_, [](ChildProcess& shard) { return !shard.Ended(); });
    if (runs) return states_;
    if (!shards_.empty()) states_[cell_] = CellState::kEnded;
    shards_.clear();
    if (!waiting_.empty()) RETURN_IF_ERROR(StartNext());
    return states_;
  }

  std::string AfterInterrupt() const override { return "the cells that ended are kept; go on with the same command"; }
  std::string LogOf(size_t cell) const override { return (folder_.CellDir(folder_.grid().cells[cell]) / "0.log").string(); }

 private:
  Status StartNext() {
    cell_ = waiting_.front();
    waiting_.pop_front();
    states_[cell_] = CellState::kRunning;
    const experiment::Grid& grid = folder_.grid();
    for (int i = 0; i < grid.shards; ++i) {
      ChildProcess::Options options;
      options.words =
          folder_.Command(grid.cells[cell_], submission_, grid.shards > 1 ? fmt::format("{}/{}", i, grid.shards) : "");
      options.output = folder_.CellDir(grid.cells[cell_]) / fmt::format("{}.log", i);
      ASSIGN_OR_RETURN(ChildProcess shard, ChildProcess::Start(options));
      shards_.push_back(std::move(shard));
    }
    return {};
  }

  const SweepFolder& folder_;
  std::string submission_;
  std::deque<size_t> waiting_;
  std::map<size_t, CellState> states_;
  std::vector<ChildProcess> shards_;
  size_t cell_ = 0;
};

struct Row {
  std::string state = "waits";
  CellProgress progress;
  std::optional<int64_t> ended_ns;  // since when it neither waits nor runs, without being whole
  bool is_settled = false;          // collected or failed
  std::string why;

  std::string Text(const std::string& name, size_t width) const {
    std::string text = fmt::format("{:<{}}  {:<8}  {:>3} of {:<3}", name, width, state, progress.measured, progress.planned);
    if (!progress.run_id.empty()) text += "  " + progress.run_id;
    if (!why.empty()) text += "  " + why;
    return text;
  }
};

// A table on stderr: drawn over itself on a terminal, else a line for each row that changed.
class ProgressTable {
 public:
  void Show(const std::vector<std::string>& lines) {
    if (lines == last_) return;
    const bool over = ::isatty(STDERR_FILENO) == 1;
    if (over && !last_.empty()) fmt::print(stderr, "\x1b[{}A", last_.size());
    for (size_t i = 0; i < lines.size(); ++i) {
      if (over) fmt::print(stderr, "\x1b[2K{}\n", lines[i]);
      if (!over && (i >= last_.size() || last_[i] != lines[i])) fmt::print(stderr, "{}\n", lines[i]);
    }
    last_ = lines;
  }

 private:
  std::vector<std::string> last_;
};

class SweepRun {
 public:
  SweepRun(const SweepFolder& folder, SweepPlace& place) : folder_(folder), place_(place), rows_(cells().size()) {}

  // Until every cell is settled.
  Status Watch() {
    std::vector<size_t> due;
    for (size_t i = 0; i < rows_.size(); ++i) {
      Settle(i, CellState::kEnded, /*may_fail=*/false);
      if (rows_[i].is_settled) continue;
      rows_[i].progress.measured = 0;  // it will be made again
      due.push_back(i);
    }
    Show();
    if (due.empty()) return {};
    RETURN_IF_ERROR(place_.Submit(due));
    const SteadyClock clock;
    while (true) {
      ASSIGN_OR_RETURN(const auto states, place_.States());
      for (const auto& [cell, state] : states) Settle(cell, state, IsOver(rows_[cell], state, clock.NowNs()));
      Show();
      if (std::ranges::all_of(rows_, &Row::is_settled)) return {};
      if (InterruptRequested()) return Error{ErrorKind::kInterrupted, "interrupted; " + place_.AfterInterrupt()};
      SleepUntil(clock, clock.NowNs() + place_.PollNs(), InterruptRequested);
    }
  }

  Status Report(bool json) const {
    Json list = Json::array();
    std::string runs;
    std::string unanswered;
    int failed = 0;
    for (size_t i = 0; i < rows_.size(); ++i) {
      const std::string& run_id = rows_[i].progress.run_id;
      list.push_back(
          {{"cell", cells()[i].name}, {"run_id", run_id.empty() ? Json(nullptr) : Json(run_id)}, {"error", rows_[i].why}});
      failed += run_id.empty() ? 1 : 0;
      if (!rows_[i].progress.unanswered.empty()) {
        unanswered += fmt::format("\n  {}: {} (to make it again, remove {})", cells()[i].name, rows_[i].why,
                                  folder_.CellDir(cells()[i]).string());
      } else if (!run_id.empty()) {
        runs += " " + run_id;
      }
    }
    if (json) {
      PrintText(DumpJsonPretty({{"schema", 1}, {"sweep", folder_.grid().name}, {"cells", std::move(list)}}));
    } else if (!runs.empty()) {
      fmt::print("compare them with: moecap compare{}\n", runs);
    }
    if (failed > 0)
      return Failed(fmt::format("{} of {} cells have no run; the same command makes them again", failed, rows_.size()));
    return unanswered.empty() ? Status() : Failed("the server answered nothing in these cells:" + unanswered);
  }

 private:
  const std::vector<experiment::GridCell>& cells() const { return folder_.grid().cells; }

  // Whether a cell that ended without being whole will not become so any more.
  bool IsOver(Row& row, CellState state, int64_t now_ns) const {
    if (state != CellState::kEnded) row.ended_ns.reset();
    if (state == CellState::kEnded && !row.ended_ns) row.ended_ns = now_ns;
    return row.ended_ns && now_ns - *row.ended_ns >= place_.SettleNs();
  }

  // Brings what is whole; what has ended otherwise has failed, if it may.
  void Settle(size_t cell, CellState state, bool may_fail) {
    Row& row = rows_[cell];
    if (row.is_settled) return;
    row.progress = folder_.ProgressOf(cells()[cell]);
    row.state = state == CellState::kRunning ? "runs" : row.ended_ns ? "ends" : "waits";
    if (state != CellState::kEnded) return;
    if (row.progress.run_id.empty() && row.progress.whole) {
      const Status collected = folder_.Collect(cells()[cell]);
      if (collected.ok()) {
        row.progress = folder_.ProgressOf(cells()[cell]);
      } else {
        row.why = collected.error().message;
      }
    } else if (row.progress.run_id.empty()) {
      row.why = "it was not measured to its end: " + place_.LogOf(cell);
    }
    if (!may_fail && row.progress.run_id.empty()) return row.why.clear();
    if (!row.progress.run_id.empty()) row.why = row.progress.unanswered;
    row.state = row.why.empty() ? "done" : "failed";
    row.is_settled = true;
  }

  void Show() {
    size_t width = 4;
    for (const experiment::GridCell& cell : cells()) width = std::max(width, cell.name.size());
    std::vector<std::string> lines = {fmt::format("{:<{}}  {:<8}  measured    run", "cell", width, "state")};
    for (size_t i = 0; i < rows_.size(); ++i) lines.push_back(rows_[i].Text(cells()[i].name, width));
    table_.Show(lines);
  }

  const SweepFolder& folder_;
  SweepPlace& place_;
  std::vector<Row> rows_;
  ProgressTable table_;
};

Status Sweep(const SweepFlags& flags) {
  ASSIGN_OR_RETURN(const experiment::Grid grid, experiment::ReadGrid(flags.file));
  InstallInterruptHandler();
  ASSIGN_OR_RETURN(const SweepFolder folder, SweepFolder::Open(grid, flags.results_dir));
  ASSIGN_OR_RETURN(const FolderLock lock, FolderLock::Acquire(folder.dir()));
  const std::unique_ptr<SweepPlace> place = flags.on == "slurm" ? PlaceOnSlurm(folder) : PlaceOnThisMachine(folder);
  SweepRun run(folder, *place);
  RETURN_IF_ERROR(run.Watch());
  return run.Report(flags.json);
}

}  // namespace

std::unique_ptr<SweepPlace> PlaceOnThisMachine(const SweepFolder& folder) { return std::make_unique<OnThisMachine>(folder); }

Action AddSweep(CLI::App& app, const Invocation&) {
  auto flags = std::make_shared<SweepFlags>();
  app.add_option("file", flags->file, "YAML file: a configuration and the axes that vary it (docs/config.md, \"Sweeps\")")
      ->required();
  app.add_option("--on", flags->on, "local: this machine, one cell after another; slurm: an array job (default: local)")
      ->check(CLI::IsMember({"local", "slurm"}));
  app.add_option("--results-dir", flags->results_dir, "where runs are stored (default: results)");
  app.add_flag("--json", flags->json, "print JSON");
  app.footer(
      "Example:\n  moecap sweep examples/sweep.yaml --on slurm\n\nA second call goes on: cells that are measured stay, what a "
      "scheduler still runs is watched,\nthe rest is made again.");
  return [flags] { return Sweep(*flags); };
}

}  // namespace moecap::app
