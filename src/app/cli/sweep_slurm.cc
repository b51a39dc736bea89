// A sweep as an array job of Slurm.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "app/cli/sweep_place.h"
#include "base/child_process.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/paths.h"
#include "base/wall_clock.h"
#include "base/words.h"

namespace moecap::app {
namespace {

namespace fs = std::filesystem;

constexpr const char* kJobFile = "slurm_job";  // the last array job: its id, or "id;cluster"
constexpr int64_t kToolPollNs = 10'000'000;
constexpr int64_t kAskNs = 5'000'000'000;  // a scheduler serves others, too
constexpr int kMostSilence = 30;           // answers of squeue in a row that tell nothing

// What a program prints. Error: kFailed with that when it fails.
Result<std::string> OutputOf(std::vector<std::string> words, const fs::path& scratch) {
  std::error_code error;
  fs::remove(scratch, error);
  const std::string name = words.front();
  ASSIGN_OR_RETURN(ChildProcess tool, ChildProcess::Start({.words = std::move(words), .output = scratch}));
  const SteadyClock clock;
  std::optional<ExitStatus> ended;
  while (!(ended = tool.Ended())) SleepUntil(clock, clock.NowNs() + kToolPollNs, {});
  ASSIGN_OR_RETURN(std::string text, ReadFile(scratch));
  fs::remove(scratch, error);
  if (ended->code == 0 && ended->signal == 0) return text;
  return Failed(fmt::format("{}: {}: {}", name, InWords(*ended), text));
}

struct Job {
  std::string id;
  std::string cluster;  // empty = the one that squeue asks by itself

  std::string Line() const { return cluster.empty() ? id : id + ";" + cluster; }
  std::string Cancel() const {
    return cluster.empty() ? "scancel " + id : fmt::format("scancel --clusters={} {}", cluster, id);
  }
};

// "1234" or "1234;cluster", the last line that begins so: plugins of sbatch may say something before.
Result<Job> JobIn(const std::string& printed) {
  std::string line;
  for (size_t begin = 0; begin < printed.size();) {
    const size_t end = std::min(printed.find('\n', begin), printed.size());
    if (printed[begin] >= '0' && printed[begin] <= '9') line = printed.substr(begin, end - begin);
    begin = end + 1;
  }
  if (line.empty()) return Failed(fmt::format("sbatch told no job: {}", printed));
  const size_t semicolon = std::min(line.find(';'), line.size());
  return Job{line.substr(0, semicolon), line.substr(std::min(semicolon + 1, line.size()))};
}

class OnSlurm final : public SweepPlace {
 public:
  explicit OnSlurm(const SweepFolder& folder) : folder_(folder), submission_(WallTimeCompact()) {}

  Status Submit(const std::vector<size_t>& cells) override {
    const auto& all = folder_.grid().cells;
    std::string names;
    for (const auto& cell : all) names += cell.name + "\n";
    RETURN_IF_ERROR(WriteFileAtomically(folder_.dir() / "cells", names));
    std::map<size_t, CellState> active;
    if (const auto before = ReadFile(folder_.dir() / kJobFile); before.ok()) {
      ASSIGN_OR_RETURN(job_, JobIn(*before));
      ASSIGN_OR_RETURN(active, Ask());
    }
    std::vector<size_t> missing;
    for (const size_t cell : cells) {
      cells_.push_back(cell);
      if (!active.contains(cell)) missing.push_back(cell);
    }
    last_ = active;
    if (missing.empty()) return {};
    if (!active.empty())
      return BadInput(
          fmt::format("job {} still runs cells of this sweep; wait for it, or end it with: {}", job_.id, job_.Cancel()));
    RETURN_IF_ERROR(WriteFileAtomically(folder_.dir() / "job.sh", Script()));
    ASSIGN_OR_RETURN(
        const std::string printed,
        OutputOf({"sbatch", "--parsable", fmt::format("--array={}%{}", fmt::join(missing, ","), folder_.grid().at_once),
                  (folder_.dir() / "job.sh").string()},
                 folder_.dir() / "sbatch.out"));
    ASSIGN_OR_RETURN(job_, JobIn(printed));
    for (const size_t cell : missing) last_[cell] = CellState::kWaiting;
    return WriteFileAtomically(folder_.dir() / kJobFile, job_.Line() + "\n");
  }

  Result<std::map<size_t, CellState>> States() override {
    auto active = Ask();
    if (active.ok()) {
      silence_ = 0;
      last_ = *std::move(active);
    } else if (++silence_ > kMostSilence) {
      return active.error();
    }
    std::map<size_t, CellState> states;
    for (const size_t cell : cells_) {
      const auto found = last_.find(cell);
      states[cell] = found == last_.end() ? CellState::kEnded : found->second;
    }
    return states;
  }

  int64_t PollNs() const override { return kAskNs; }
  int64_t SettleNs() const override { return static_cast<int64_t>(folder_.grid().settle_s * 1e9); }
  std::string AfterInterrupt() const override {
    return fmt::format("job {} goes on; the same command watches it again, and this ends it: {}", job_.id, job_.Cancel());
  }
  std::string LogOf(size_t cell) const override {
    return (folder_.dir() / fmt::format("slurm-{}_{}.log", job_.id, cell)).string();
  }

 private:
  // Cells that wait or run. A job that Slurm has forgotten has none.
  Result<std::map<size_t, CellState>> Ask() {
    std::vector<std::string> words = {"squeue", "--noheader", "--array", "--jobs=" + job_.id, "--format=%K %T"};
    if (!job_.cluster.empty()) words.push_back("--clusters=" + job_.cluster);
    const auto listed = OutputOf(std::move(words), folder_.dir() / "squeue.out");
    std::map<size_t, CellState> active;
    if (!listed.ok()) {
      if (listed.error().message.find("Invalid job id") != std::string::npos) return active;
      return listed.error();
    }
    std::string_view rest = *listed;
    while (!rest.empty()) {
      const std::string_view line = rest.substr(0, rest.find('\n'));
      rest.remove_prefix(std::min(rest.size(), line.size() + 1));
      size_t cell = 0;
      const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), cell);
      if (error != std::errc()) continue;
      active[cell] = line.find("PENDING") == std::string_view::npos ? CellState::kRunning : CellState::kWaiting;
    }
    return active;
  }

  std::string Script() const {
    const experiment::Grid& grid = folder_.grid();
    int threads = 1;
    for (const auto& cell : grid.cells) threads = std::max(threads, cell.config.client_threads);
    std::string text = "#!/bin/sh\n";
    text += fmt::format("#SBATCH --job-name=moecap-{}\n#SBATCH --ntasks={}\n#SBATCH --cpus-per-task={}\n", grid.name,
                        grid.shards, threads);
    text += fmt::format("#SBATCH --output={}/slurm-%A_%a.log\n", folder_.dir().string());
    for (const std::string& option : grid.scheduler) text += "#SBATCH " + option + "\n";
    text +=
        "# A task of the array measures one cell of the sweep; a step's tasks are the shards of its load. What is queued anew\n"
        "# goes into a folder of its own, and srun takes the cores of a task from nowhere else.\nset -eu\n"
        "restart=${SLURM_RESTART_COUNT:+.r$SLURM_RESTART_COUNT}\n"
        "export SRUN_CPUS_PER_TASK=\"${SLURM_CPUS_PER_TASK:-1}\"\n";
    text += "case $SLURM_ARRAY_TASK_ID in\n";
    for (size_t i = 0; i < grid.cells.size(); ++i) {
      text += fmt::format("  {}) exec srun --kill-on-bad-exit=0 {}\"$restart\" ;;\n", i,
                          ShellLine(folder_.Command(grid.cells[i], submission_, grid.shards > 1 ? "auto" : "")));
    }
    return text + "esac\n";
  }

  const SweepFolder& folder_;
  std::string submission_;
  Job job_;
  std::vector<size_t> cells_;
  std::map<size_t, CellState> last_;
  int silence_ = 0;
};

}  // namespace

std::unique_ptr<SweepPlace> PlaceOnSlurm(const SweepFolder& folder) { return std::make_unique<OnSlurm>(folder); }

}  // namespace moecap::app
