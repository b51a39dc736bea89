#include "app/doctor.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <system_error>

#include "app/engine_report.h"
#include "base/fs.h"
#include "base/paths.h"
#include "base/real_time_priority.h"
#include "base/units.h"
#include "hardware/probe/clock_probe.h"
#include "hardware/probe/energy.h"
#include "hardware/probe/machine_watch.h"
#include "hardware/probe/probe.h"
#include "hardware/probe/process_state.h"
#include "parquet/parquet.h"
#include "sandbox/sandbox.h"
#include "store/run_store.h"

namespace moecap::app {
namespace fs = std::filesystem;
namespace {

Finding Engine() {
  const auto report = ReportEngine();
  // A build without an engine measures servers all the same.
  if (!report && report.error().kind == ErrorKind::kBadInput) return {"engine", Health::kAbsent, report.error().message, ""};
  if (!report) return {"engine", Health::kBroken, report.error().message, "install or build the program again with its engine"};
  std::string found = fmt::format("{} loads; its kernels use {}", report->description,
                                  report->cpu_features.empty() ? "no extension of this processor"
                                                               : fmt::format("{}", fmt::join(report->cpu_features, ", ")));
  if (!report->gpus.empty()) found += fmt::format("; computes on {}", fmt::join(report->gpus, ", "));
  if (report->gpu_failure.empty()) return {"engine", Health::kOk, found, ""};
  return {"engine", Health::kLimited, fmt::format("{}; left out: {}", found, report->gpu_failure),
          "install the driver that the backend was built for, or leave `device` at cpu"};
}

Finding Model() {
  const fs::path model = ShippedPath("models/tiny-moe/tiny-moe-f16.gguf");
  if (!model.empty() && !ShippedPath("datasets/tinymath/test.jsonl").empty())
    return {"shipped model", Health::kOk, model.string(), ""};
  return {"shipped model", Health::kLimited, "the model and data set that come with the program are not beside it",
          "install it whole (cmake --install), or name a model file of your own"};
}

Finding Gpus(const hardware::MachineInfo& machine) {
  if (machine.accelerators.empty()) return {"GPUs", Health::kAbsent, "none that the system shows", ""};
  std::vector<std::string> names;
  for (const hardware::Accelerator& gpu : machine.accelerators) names.push_back(gpu.name.empty() ? gpu.pci_id : gpu.name);
  const std::string found = fmt::format("{}", fmt::join(names, ", "));
  const bool nvidia = std::ranges::any_of(machine.accelerators, [](const auto& gpu) { return gpu.vendor == "NVIDIA"; });
  if (!nvidia) return {"GPUs", Health::kOk, found, ""};
  const auto nvml = hardware::OpenNvml();
  if (nvml) return {"GPUs", Health::kOk, found + "; NVML answers", ""};
  return {"GPUs", Health::kLimited, fmt::format("{}; NVML does not answer: {}", found, nvml.error().message),
          "install the NVIDIA driver's libnvidia-ml, of the same version as its kernel module"};
}

Finding EnergyCounters() {
  const auto reader = hardware::EnergyReader::Open();
  if (!reader)
    return {"energy counters", Health::kLimited, reader.error().message, "without them energy is an estimate from nameplates"};
  const std::string found = fmt::format("{}{}{}", reader->CountsProcessor() ? reader->Describe({}) : "",
                                        reader->CountsProcessor() && reader->CountsGpus() ? "; " : "",
                                        reader->CountsGpus() ? "NVML of the GPUs" : "");
  return {"energy counters", Health::kOk, found, ""};
}

Finding Clocks(const Clock& clock) {
  const hardware::ClockState state = hardware::ReadClockState(clock);
  const auto error_s = hardware::WallClockErrorS();
  const std::string found =
      fmt::format("{}, {} a reading; the wall clock is {}; frequency governor: {}",
                  state.source.empty() ? "clock source not told" : state.source, FormatSeconds(state.read_s),
                  error_s ? "right within " + FormatSeconds(*error_s) : "not synchronised",
                  state.governor.empty() ? "not told" : state.governor);
  constexpr double kSlowReadS = 1e-6;  // two stamps an event at 100,000 events a second: a fifth of a CPU
  if (state.read_s > kSlowReadS)
    return {"clocks", Health::kLimited, found,
            "reading the time is slow: use the clock source tsc or kvm-clock, not hpet or acpi_pm"};
  if (state.governor == "powersave" || state.governor == "ondemand")
    return {"clocks", Health::kLimited, found, "figures vary with the frequency: cpupower frequency-set -g performance"};
  if (!error_s)
    return {"clocks", Health::kLimited, found,
            "runs carry the wrong date, and shards on several machines need it: start chrony or systemd-timesyncd"};
  return {"clocks", Health::kOk, found, ""};
}

Finding OpenFiles(const hardware::ProcessLimits& limits) {
  constexpr double kStreams = 5'000, kSpare = 100;  // what one client is measured to drive (docs/client.md)
  if (!limits.open_files || *limits.open_files >= kStreams + kSpare)
    return {"open files", Health::kOk,
            limits.open_files ? fmt::format("up to {:.0f}", *limits.open_files) : std::string("no limit"), ""};
  return {
      "open files", Health::kLimited,
      fmt::format("up to {:.0f}: about {:.0f} streams at once", *limits.open_files, std::max(0.0, *limits.open_files - kSpare)),
      "raise the hard limit: ulimit -Hn, /etc/security/limits.conf, LimitNOFILE= or the container's nofile"};
}

Finding Threads(const hardware::ProcessLimits& limits, const hardware::HostInfo& host) {
  constexpr double kPerCpu = 4, kSpare = 64;  // engine, client, sandboxed programs
  const double needed = kPerCpu * host.UsableThreads() + kSpare;
  const bool real_time = RealTimePriority().granted();
  const std::string found = fmt::format("{}; real-time priority for the client's threads: {}",
                                        limits.threads ? fmt::format("up to {:.0f}", *limits.threads) : std::string("no limit"),
                                        real_time ? "granted" : "refused");
  if (limits.threads && *limits.threads < needed)
    return {"threads", Health::kLimited, found, "raise ulimit -u or the control group's pids.max"};
  if (!real_time)
    return {"threads", Health::kLimited, found,
            "beside a server on the same machine arrivals may be stamped late: run as root, or set ulimit -r 1"};
  return {"threads", Health::kOk, found, ""};
}

Finding Memory(const hardware::HostInfo& host) {
  constexpr double kEnoughBytes = 1e9;  // the shipped model with its experiment, and the buffers of the ceilings
  if (!host.available_bytes) return {"memory", Health::kLimited, "the system does not tell what is free", "mount /proc"};
  const std::string found =
      fmt::format("{} free of {}{}", FormatBytes(*host.available_bytes),
                  host.dram_bytes ? FormatBytes(*host.dram_bytes) : "an unknown amount",
                  host.memory_limit_bytes ? fmt::format(", limited to {}", FormatBytes(*host.memory_limit_bytes)) : "");
  if (*host.available_bytes >= kEnoughBytes) return {"memory", Health::kOk, found, ""};
  return {"memory", Health::kLimited, found, "end other programs or raise the container's limit"};
}

Finding Quiet(const Clock& clock) {
  const hardware::MachineUse use = hardware::ObserveMachine(clock);
  if (const auto busy = hardware::BusyWords(use))
    return {"quiet machine", Health::kLimited, *busy, "end what runs beside, or expect the gate \"quiet machine\" to trip"};
  if (!use.OthersShare())
    return {"quiet machine", Health::kLimited, "the system does not tell what other programs do", "mount /proc"};
  return {"quiet machine", Health::kOk, fmt::format("others used {} of the CPU time", FormatPercent(*use.OthersShare(), 1)),
          ""};
}

// Where `path` would be made: itself or its nearest parent that is there.
fs::path NearestFolder(fs::path path) {
  while (!Exists(path) && path != path.parent_path()) path = path.parent_path();
  return path;
}

Finding Folder(std::string_view what, const fs::path& path, Health when_refused) {
  const fs::path folder = Absolute(path), near = NearestFolder(folder);
  if (!IsFolder(near) || ::access(near.c_str(), W_OK | X_OK) != 0) {
    const std::string why = IsFolder(near) ? "may not be written" : "is no folder";
    return {what, when_refused, fmt::format("{}: {} {}", folder.string(), near.string(), why),
            "choose another: --results-dir for results, XDG_CACHE_HOME for the cache"};
  }
  std::error_code error;
  const fs::space_info space = fs::space(near, error);
  const std::string found = fmt::format("{}{}, {} free", folder.string(), near == folder ? "" : " (made when needed)",
                                        error ? "unknown space" : FormatBytes(static_cast<double>(space.available)));
  constexpr uintmax_t kEnoughBytes = 1'000'000'000;
  if (!error && space.available < kEnoughBytes) return {what, Health::kLimited, found, "make room on that volume"};
  return {what, Health::kOk, found, ""};
}

Finding Index(const fs::path& results_dir) {
  if (!store::RunStore::Exists(results_dir)) return {"index of runs", Health::kAbsent, "no run is stored here yet", ""};
  const auto broken = [](const std::string& why) -> Finding {
    return {"index of runs", Health::kLimited, why, "the facts are in the run folders: moecap runs rebuild"};
  };
  const auto store = store::RunStore::Open(results_dir, store::Access::kRead);
  if (!store) return broken(store.error().message);
  const auto faults = store->CheckIntegrity();
  if (!faults) return broken(faults.error().message);
  if (!faults->empty()) return broken(fmt::format("{}", fmt::join(*faults, "; ")));
  const auto paths = store->Paths();
  if (!paths) return broken(paths.error().message);
  return {"index of runs", Health::kOk, fmt::format("{} runs, sound", paths->size()), ""};
}

Finding Duckdb() {
  if (parquet::FindLibrary().empty())
    return {"DuckDB", Health::kAbsent, "not here; parquet files cannot be read, JSON lines and CSV can",
            "name the library (libduckdb.so) in MOECAP_DUCKDB, or run tools/fetch_duckdb in the source tree"};
  const Status usable = parquet::CheckLibrary();
  if (usable) return {"DuckDB", Health::kOk, parquet::FindLibrary(), ""};
  return {"DuckDB", Health::kLimited, usable.error().message,
          "name the library (libduckdb.so) in MOECAP_DUCKDB, or run tools/fetch_duckdb in the source tree"};
}

Finding Sandbox() {
  sandbox::Options options;
  options.permission = sandbox::Permission::kIsolated;
  options.interpreter = {"sh"};
  const auto outcome = sandbox::RunUntrusted("echo $((6 * 7))", options);
  if (outcome && outcome->isolated && outcome->output == "42\n") return {"sandbox", Health::kOk, "programs run isolated", ""};
  const std::string why = outcome ? fmt::format("a trial printed \"{}\"", outcome->output) : outcome.error().message;
  return {"sandbox", Health::kLimited, why,
          "benchmarks of code need it: allow user namespaces (sysctl kernel.unprivileged_userns_clone=1), in a container "
          "also with seccomp unconfined"};
}

}  // namespace

std::string_view Name(Health health) {
  switch (health) {
    case Health::kOk:
      return "ok";
    case Health::kLimited:
      return "limited";
    case Health::kAbsent:
      return "absent";
    case Health::kBroken:
      return "broken";
  }
  return "";
}

std::vector<Finding> Examine(const fs::path& results_dir, const Clock& clock) {
  const Finding quiet = Quiet(clock);  // before our own work makes the machine busy
  const hardware::MachineInfo machine = hardware::DetectMachine();
  const hardware::ProcessLimits limits = hardware::ReadProcessLimits();
  return {Engine(),
          Model(),
          Gpus(machine),
          EnergyCounters(),
          Clocks(clock),
          OpenFiles(limits),
          Threads(limits, machine.host),
          Memory(machine.host),
          quiet,
          Folder("results folder", results_dir, Health::kBroken),
          Index(results_dir),
          Folder("cache folder", CacheDir(), Health::kLimited),
          Duckdb(),
          Sandbox()};
}

}  // namespace moecap::app
