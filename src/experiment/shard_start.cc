#include "experiment/shard_start.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <vector>

#include "base/clock.h"
#include "base/fs.h"
#include "base/paths.h"
#include "base/wall_clock.h"
#include "hardware/probe/clock_probe.h"

namespace moecap::experiment {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kPollNs = 20'000'000;
constexpr const char* kStartFile = "start";
constexpr const char* kGaveUp = "gave-up-";
constexpr const char* kCameAgain = "came-again-";

int64_t InNanoseconds(double seconds) { return static_cast<int64_t>(std::llround(seconds * 1e9)); }

fs::path MeetingFolder(const ShardStartOptions& options) { return options.folder / "meetings"; }

// Files are looked for by listing the folder: a network file system may remember for long that a name was not there.
struct Arrivals {
  int count = 0;
  std::vector<bool> arrived;
  bool has_start = false;
};

Arrivals LookForArrivals(const fs::path& meeting, const Shard& shard) {
  Arrivals arrivals;
  arrivals.arrived.resize(static_cast<size_t>(shard.count));
  std::error_code error;
  for (auto file = fs::directory_iterator(meeting, error); !error && file != fs::directory_iterator(); file.increment(error)) {
    const std::string name = file->path().filename().string();
    size_t index = 0;
    const auto [end, wrong] = std::from_chars(name.data(), name.data() + name.size(), index);
    if (name == kStartFile) arrivals.has_start = true;
    if (wrong != std::errc() || end != name.data() + name.size() || index >= arrivals.arrived.size()) continue;
    arrivals.arrived[index] = true;
  }
  arrivals.count = static_cast<int>(std::ranges::count(arrivals.arrived, true));
  return arrivals;
}

// When this shard was started again, by the folder's own clock; null where it was not.
std::optional<fs::file_time_type> CameAgain(const ShardStartOptions& options) {
  std::error_code error;
  const auto time = fs::last_write_time(MeetingFolder(options) / (kCameAgain + std::to_string(options.shard.index)), error);
  return error ? std::nullopt : std::optional(time);
}

Status CheckForEnd(const ShardStartOptions& options) {
  std::error_code error;
  const auto came_again = CameAgain(options);
  for (auto file = fs::directory_iterator(MeetingFolder(options), error); !error && file != fs::directory_iterator();
       file.increment(error)) {
    const std::string name = file->path().filename().string();
    if (!name.starts_with(kGaveUp)) continue;
    std::error_code gone;
    if (came_again && fs::last_write_time(file->path(), gone) <= *came_again && !gone) continue;  // it comes again, too
    const auto why = ReadFile(file->path());
    return Failed(fmt::format("another shard of this load gave up, so that it cannot be made: {}", why.ok() ? *why : name));
  }
  return {};
}

std::string Absent(const Arrivals& arrivals, const Shard& shard) {
  std::string names;
  for (size_t i = 0; i < arrivals.arrived.size(); ++i) {
    if (!arrivals.arrived[i]) names += (names.empty() ? "" : ", ") + InWords({static_cast<int>(i), shard.count});
  }
  return names;
}

Result<int64_t> ReadStart(const fs::path& file) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(file));
  int64_t wall_ns = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), wall_ns);
  if (error == std::errc()) return wall_ns;
  return Failed(fmt::format("{} holds no time", file.string()));
}

Result<int64_t> Meet(const ShardStartOptions& options, int number, const std::function<bool()>& stop) {
  const fs::path meeting = MeetingFolder(options) / std::to_string(number);
  std::error_code error;
  fs::create_directories(meeting, error);
  if (error) return Failed(fmt::format("{}: {}", meeting.string(), error.message()));
  RETURN_IF_ERROR(WriteFileAtomically(meeting / std::to_string(options.shard.index), ""));
  const SteadyClock clock;
  const int64_t last_ns = clock.NowNs() + InNanoseconds(options.wait_s);
  while (true) {
    const Arrivals arrivals = LookForArrivals(meeting, options.shard);
    if (arrivals.has_start) return ReadStart(meeting / kStartFile);
    RETURN_IF_ERROR(CheckForEnd(options));
    if (arrivals.count == options.shard.count && options.shard.index == 0) {
      const int64_t start_ns = WallTimeNs() + InNanoseconds(options.lead_s);
      RETURN_IF_ERROR(WriteFileAtomically(meeting / kStartFile, std::to_string(start_ns)));
      return start_ns;
    }
    if (stop && stop()) return Error{ErrorKind::kInterrupted, "interrupted while it waited for the other shards"};
    if (clock.NowNs() > last_ns) {
      const std::string absent = Absent(arrivals, options.shard);
      return Failed(
          fmt::format("{} did not come to the start of measurement {} within {} s (--start-wait): is it running, and "
                      "does every shard see {}?",
                      absent.empty() ? "the start of shard 0" : absent, number + 1, options.wait_s, options.folder.string()));
    }
    SleepUntil(clock, clock.NowNs() + kPollNs, stop);
  }
}

Result<int64_t> StartTime(const ShardStartOptions& options, int number, const std::function<bool()>& stop) {
  if (!options.start_at_ns || (number > 0 && !options.start_every_s)) return Meet(options, number, stop);
  return *options.start_at_ns + number * InNanoseconds(options.start_every_s.value_or(0));
}

}  // namespace

Result<SharedStart> MeetForStart(const ShardStartOptions& options, int number, const std::function<bool()>& stop) {
  SharedStart start;
  start.clock = hardware::ReadClock(options.folder, fmt::format("clock-{}", options.shard.index));
  ASSIGN_OR_RETURN(start.wall_ns, StartTime(options, number, stop));
  if (const int64_t late_ns = WallTimeNs() - start.wall_ns; late_ns > 0) {
    return Failed(fmt::format(
        "the start of measurement {} at {} had passed by {:.3f} s when {} was ready; give it more time ({})", number + 1,
        Iso8601(start.wall_ns), static_cast<double>(late_ns) * 1e-9, InWords(options.shard),
        options.start_at_ns && (number == 0 || options.start_every_s) ? "--start-at, --start-every" : "--start-lead"));
  }
  return start;
}

bool HasBegun(const ShardStartOptions& options, int number) {
  if (options.start_at_ns && (number == 0 || options.start_every_s))
    return WallTimeNs() >= *options.start_at_ns + number * InNanoseconds(options.start_every_s.value_or(0));
  const auto start_ns = ReadStart(MeetingFolder(options) / std::to_string(number) / kStartFile);
  return start_ns.ok();
}

void GiveUp(const ShardStartOptions& options, const std::string& why) {
  std::error_code error;
  fs::create_directories(MeetingFolder(options), error);
  if (error) return;
  (void)WriteFileAtomically(MeetingFolder(options) / (kGaveUp + std::to_string(options.shard.index)),
                            fmt::format("{}: {}", InWords(options.shard), why));
}

void ComeAfterAll(const ShardStartOptions& options) {
  std::error_code error;
  const std::string own = std::to_string(options.shard.index);
  fs::remove(MeetingFolder(options) / (kGaveUp + own), error);
  bool came_before = false;
  for (auto entry = fs::directory_iterator(MeetingFolder(options), error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    std::error_code ignored;
    came_before = came_before || fs::exists(entry->path() / own, ignored);
    if (!fs::exists(entry->path() / kStartFile, ignored)) fs::remove(entry->path() / own, ignored);
  }
  if (came_before) (void)WriteFileAtomically(MeetingFolder(options) / (kCameAgain + own), "");
}

}  // namespace moecap::experiment
