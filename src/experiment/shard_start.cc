#include "experiment/shard_start.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string_view>
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
constexpr const char* kEnded = "ended-";

int64_t InNanoseconds(double seconds) { return static_cast<int64_t>(std::llround(seconds * 1e9)); }

fs::path MeetingFolder(const ShardStartOptions& options) { return options.folder / "meetings"; }
fs::path MeetingFolder(const ShardStartOptions& options, int number) { return MeetingFolder(options) / std::to_string(number); }

// Whether the shards look for each other in the folder before they begin it.
bool MeetsInFolder(const ShardStartOptions& options, int number) {
  return !options.start_at_ns || (number > 0 && !options.start_every_s);
}

// Files are looked for by listing the folder: a network file system may remember for long that a name was not there.
std::vector<std::string> NamesIn(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (auto file = fs::directory_iterator(folder, error); !error && file != fs::directory_iterator(); file.increment(error))
    names.push_back(file->path().filename().string());
  return names;
}

// Marks in `found` the shards of which there is a file: `prefix` and the index.
void FindShards(const std::vector<std::string>& names, std::string_view prefix, std::vector<bool>& found) {
  for (const std::string& name : names) {
    if (!name.starts_with(prefix)) continue;
    size_t index = 0;
    const auto [end, wrong] = std::from_chars(name.data() + prefix.size(), name.data() + name.size(), index);
    if (wrong == std::errc() && end == name.data() + name.size() && index < found.size()) found[index] = true;
  }
}

std::vector<bool> NoneOf(const Shard& shard) { return std::vector<bool>(static_cast<size_t>(shard.count)); }

// When this shard was started again, by the folder's own clock; null where it was not.
std::optional<fs::file_time_type> CameAgain(const ShardStartOptions& options) {
  std::error_code error;
  const auto time = fs::last_write_time(MeetingFolder(options) / (kCameAgain + std::to_string(options.shard.index)), error);
  return error ? std::nullopt : std::optional(time);
}

Status CheckForEnd(const ShardStartOptions& options) {
  std::error_code error;
  const auto came_again = CameAgain(options);
  for (const std::string& name : NamesIn(MeetingFolder(options))) {
    if (!name.starts_with(kGaveUp)) continue;
    const fs::path file = MeetingFolder(options) / name;
    if (came_again && fs::last_write_time(file, error) <= *came_again && !error) continue;  // it comes again, too
    const auto why = ReadFile(file);
    return Failed(fmt::format("another shard of this load gave up, so that it cannot be made: {}", why.ok() ? *why : name));
  }
  return {};
}

std::string Absent(const std::vector<bool>& found, const Shard& shard) {
  std::string names;
  for (size_t i = 0; i < found.size(); ++i) {
    if (!found[i]) names += (names.empty() ? "" : ", ") + InWords({static_cast<int>(i), shard.count});
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
  const fs::path meeting = MeetingFolder(options, number);
  std::error_code error;
  fs::create_directories(meeting, error);
  if (error) return Failed(fmt::format("{}: {}", meeting.string(), error.message()));
  RETURN_IF_ERROR(WriteFileAtomically(meeting / std::to_string(options.shard.index), ""));
  const SteadyClock clock;
  const int64_t last_ns = clock.NowNs() + InNanoseconds(options.wait_s);
  while (true) {
    const std::vector<std::string> names = NamesIn(meeting);
    if (std::ranges::find(names, kStartFile) != names.end()) return ReadStart(meeting / kStartFile);
    RETURN_IF_ERROR(CheckForEnd(options));
    std::vector<bool> arrived = NoneOf(options.shard);
    FindShards(names, "", arrived);
    if (std::ranges::count(arrived, false) == 0 && options.shard.index == 0) {
      const int64_t start_ns = WallTimeNs() + InNanoseconds(options.lead_s);
      RETURN_IF_ERROR(WriteFileAtomically(meeting / kStartFile, std::to_string(start_ns)));
      return start_ns;
    }
    if (stop && stop()) return Error{ErrorKind::kInterrupted, "interrupted while it waited for the other shards"};
    if (clock.NowNs() > last_ns) {
      const std::string absent = Absent(arrived, options.shard);
      return Failed(
          fmt::format("{} did not come to the start of measurement {} within {} s (--start-wait): is it running, and "
                      "does every shard see {}?",
                      absent.empty() ? "the start of shard 0" : absent, number + 1, options.wait_s, options.folder.string()));
    }
    SleepUntil(clock, clock.NowNs() + kPollNs, stop);
  }
}

Result<int64_t> StartTime(const ShardStartOptions& options, int number, const std::function<bool()>& stop) {
  if (MeetsInFolder(options, number)) return Meet(options, number, stop);
  return *options.start_at_ns + number * InNanoseconds(options.start_every_s.value_or(0));
}

}  // namespace

Result<SharedStart> MeetForStart(const ShardStartOptions& options, int number, const std::function<bool()>& stop) {
  SharedStart start;
  start.clock = hardware::ReadClock(options.folder, fmt::format("clock-{}", options.shard.index));
  ASSIGN_OR_RETURN(start.wall_ns, StartTime(options, number, stop));
  if (const int64_t late_ns = WallTimeNs() - start.wall_ns; late_ns > 0) {
    return Failed(
        fmt::format("the start of measurement {} at {} had passed by {:.3f} s when {} was ready; give it more time ({})",
                    number + 1, Iso8601(start.wall_ns), static_cast<double>(late_ns) * 1e-9, InWords(options.shard),
                    MeetsInFolder(options, number) ? "--start-lead" : "--start-at, --start-every"));
  }
  return start;
}

std::string LeaveTogether(const ShardStartOptions& options, int number, bool is_last, double patience_s,
                          const std::function<bool()>& stop) {
  if (!MeetsInFolder(options, number) && (is_last || !MeetsInFolder(options, number + 1))) return "";
  const fs::path meeting = MeetingFolder(options, number);
  std::error_code error;
  fs::create_directories(meeting, error);
  if (!WriteFileAtomically(meeting / (kEnded + std::to_string(options.shard.index)), "").ok()) return "";
  const SteadyClock clock;
  const int64_t last_ns = clock.NowNs() + InNanoseconds(patience_s);
  while (true) {
    std::vector<bool> left = NoneOf(options.shard);
    FindShards(NamesIn(meeting), kEnded, left);
    FindShards(NamesIn(MeetingFolder(options)), kGaveUp, left);
    if (std::ranges::count(left, false) == 0 || (stop && stop())) return "";
    if (clock.NowNs() > last_ns) return Absent(left, options.shard);
    SleepUntil(clock, clock.NowNs() + kPollNs, stop);
  }
}

bool HasBegun(const ShardStartOptions& options, int number) {
  if (!MeetsInFolder(options, number))
    return WallTimeNs() >= *options.start_at_ns + number * InNanoseconds(options.start_every_s.value_or(0));
  const auto start_ns = ReadStart(MeetingFolder(options, number) / kStartFile);
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
  bool came_before = fs::remove(MeetingFolder(options) / (kGaveUp + own), error);
  for (auto entry = fs::directory_iterator(MeetingFolder(options), error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    std::error_code ignored;
    came_before = came_before || fs::exists(entry->path() / own, ignored);
    if (!fs::exists(entry->path() / kStartFile, ignored)) fs::remove(entry->path() / own, ignored);
  }
  if (came_before) (void)WriteFileAtomically(MeetingFolder(options) / (kCameAgain + own), "");
}

}  // namespace moecap::experiment
