// One experiment on disk: RESULTS_DIR/RUN_ID/ with manifest.json and, for each measurement, measurements/NAME/ with its plan,
// its events, its answers, its passes and their routing (docs/formats/run.md); activation_sheets/ where the configuration names
// some.
//
// The manifest is replaced atomically when a measurement begins and when it ends, so that a reader sees whole measurements and
// the events of one that was killed. Folders of version 0.1 (manifest.json of schema 1, load.json) open as well.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cost/ownership.h"
#include "experiment/config.h"
#include "experiment/driver.h"
#include "experiment/machine_peaks.h"
#include "experiment/server_passes.h"
#include "experiment/shard.h"
#include "hardware/clock_reading.h"
#include "hardware/host.h"
#include "hardware/machine_use.h"
#include "load/load_result.h"
#include "load/server_counters.h"
#include "routing/activation_sheet.h"

namespace moecap::experiment {

inline constexpr const char* kManifestName = "manifest.json";
inline constexpr const char* kSummaryName = "summary.json";
inline constexpr const char* kLoadManifestName = "load.json";  // of load tests of version 0.1

// One request of a measurement as it was planned.
struct PlanEntry {
  std::string id;
  std::optional<int64_t> input_tokens;  // null: not known before
  int64_t output_tokens = 0;
  bool exact_output = false;
  std::optional<int64_t> shared_tokens;  // planned cache hit; null: not known, as in a conversation
  // Where shared_tokens is not known: the share of the prompt's text that another prompt of the measurement begins with, too.
  std::optional<double> shared_share;
  std::optional<double> at_s;  // of an open loop
};

// Bytes [begin, end) of a file of version 0.1 that held the records of all measurements.
struct FileSlice {
  uint64_t begin = 0, end = 0;
};

// What one shard of a load did for a measurement, by its own clocks.
struct ShardPart {
  int index = 0;
  std::string missing;                    // why its part is not whole: "its folder is missing"; "" = it is whole
  std::optional<double> start_late_s;     // load::LoadResult::began_s against the common start; null where it is missing
  std::optional<double> longest_stall_s;  // load::LoadResult
  hardware::ClockReading clock;
  std::optional<hardware::MachineUse> machine_use;  // of its client; only of merged shards, else Measurement::machine_use
};

// One system at one level, once.
struct Measurement {
  std::string system;
  record::Level level;
  int repeat = 0;
  std::string name;        // of its folder: "F16-clients-8-0"
  bool complete = false;   // false: it goes on, was interrupted or killed; a resume measures it again
  std::string started_at;  // UTC, ISO 8601
  load::EndedBy ended_by = load::EndedBy::kInterrupt;
  int threads = 1;  // that drove the load: event logs
  int64_t held_back = 0;
  double cpu_s = 0, loop_s = 0;        // load::LoadResult
  bool ran_ahead = false;              // the same: the client's threads had real-time priority
  std::optional<double> energy_j;      // of the chips that Manifest::energy_source counts, while the requests were served
  std::optional<double> gpu_energy_j;  // of the GPUs alone; known where another chip, which `energy_j` needs, has no counter
  // Prompt tokens that a server's own counter found in its prefix cache during the measurement; null = no page tells.
  std::optional<double> cached_tokens;
  // By how much a server's own counters grew during the measurement; null = no page tells.
  std::optional<load::ServerCounters> server_counters;
  std::string server_change;  // how the server was another one at the end than at the beginning; "" = nothing shows it
  int warmup_bursts = 0;      // WarmUpResult::bursts
  int warmup_waves = 0;
  std::optional<double> warmup_difference;  // WarmUpResult::difference
  // What a server said to the control question (MeasurementPlan::controls), answer by answer; a failed one is left out.
  std::vector<std::string> control_answers;
  // What the machine did meanwhile: that of a system in this process, of the client of a server. Null in runs of version 0.1.
  std::optional<hardware::MachineUse> machine_use;
  std::optional<ServerPassFacts> server_passes;  // of a server whose model is known
  // Of the tokens that the engine chose, the share that the execution which recorded their experts chose, too; null: none was
  // made.
  std::optional<double> replay_same_tokens;
  std::string routing_of;  // the measurement whose experts hold for these passes, too: equal tokens; empty = its own
  // The files of its folder and their sizes when it ended, by which a folder that was copied in part is told. Empty: it did not
  // end, or was measured by version 0.1.
  std::map<std::string, uint64_t> file_bytes;
  int shards = 0;                // that make this load together; 0 = this client alone
  std::vector<ShardPart> parts;  // of a shard its own one, of merged shards all, by index
  FileSlice requests, passes;    // of version 0.1
};

// What this machine can do against a server that does nothing, with as many streams and threads.
struct HeadRoom {
  double tokens_per_s = 0;
  int streams = 0;
};

// What a system runs on, as it was priced when the experiment began.
struct PricedSystem {
  SystemDescription description;
  std::string machine;           // "8 x h100-sxm"; empty = this host, or not told for a server
  MachinePeaks peaks;            // of that machine
  cost::CostInputs cost;         // what price book and configuration gave
  std::optional<cost::Pay> pay;  // null = rent where a rate is set, else buy
  std::optional<HeadRoom> head_room;
  std::optional<LaunchFacts> launch;  // of a server that this program started
  // Of its model, where the configuration gives one, and the file of the folder that holds it.
  std::optional<routing::ActivationSheet> sheet;
  std::string sheet_file;
};

struct Manifest {
  enum class Layout : uint8_t { kExperiment, kRun01, kLoad01 };
  Layout layout = Layout::kExperiment;
  std::string run_id;
  std::string started_at;  // UTC, ISO 8601
  std::string moecap_version;
  std::vector<std::string> command;
  Config config;
  std::string workload;       // one line
  int64_t problems = 0;       // of one repetition; 0 without right answers
  std::string problems_xxh3;  // of ids, questions and answers, 16 hex digits; empty without
  hardware::HostInfo host;    // of the systems in this process; of the client of servers
  std::optional<hardware::Ceilings> ceilings;
  std::string energy_source;  // the counters behind Measurement::energy_j: "RAPL: package-0, dram"; empty = none
  std::vector<PricedSystem> systems;
  std::vector<std::string> notes;  // of workload and machine
  std::vector<Measurement> measurements;
  std::optional<ShardOfGroup> shard;  // null: no part of a load, but the whole
  int merged_shards = 0;              // that this run was merged from; 0 = it was not
  bool complete = false;
  bool figures_only = false;  // a compact export: its facts were left out, and kSummaryName holds what followed from them

  // Null when there is none of that name.
  const PricedSystem* FindSystem(const std::string& name) const;
};

// What one measurement left.
struct Facts {
  load::LoadResult records;
  std::vector<PlanEntry> plan;  // empty in runs of version 0.1
};

class Results {
 public:
  // Makes RESULTS_DIR/RUN_ID and writes the first manifest; the id gets a suffix if the folder exists.
  static Result<Results> Create(const std::filesystem::path& results_dir, Manifest manifest);
  // The same in a folder that is there and empty; its name becomes the id.
  static Result<Results> CreateIn(const std::filesystem::path& dir, Manifest manifest);
  // Opens a stored experiment. Error: kBadInput naming the file.
  static Result<Results> Open(const std::filesystem::path& dir);
  // Whether the folder holds one, of this version or of 0.1.
  static bool IsExperiment(const std::filesystem::path& dir);

  // Null for one that is not complete.
  const Measurement* Find(const std::string& system, const record::Level& level, int repeat) const;
  // Makes the folder of a measurement that begins, with the plan, under a name that is not taken, which it returns. Nothing is
  // listed yet.
  Result<std::string> MakeFolder(const Measurement& measurement, const std::vector<PlanEntry>& plan) const;
  // Lists it. Its event logs are there by then: whoever is killed next leaves a run that can be read.
  Status List(const Measurement& measurement);
  // Both.
  Result<std::string> Begin(Measurement measurement, const std::vector<PlanEntry>& plan);
  // Stores answers (where there are texts, ids or scores), passes and the tokens per expert of these beside the events, which
  // must be closed; then replaces the entry of the same name.
  Status End(Measurement measurement, const load::LoadResult& records);
  // Forgets measurements that are not complete, so that they can be made again. Error: kBadInput for folders of version 0.1 and
  // for a file of a complete measurement that is missing or cut off.
  Status PrepareResume();
  Status SetHeadRoom(const std::string& system, const HeadRoom& head_room);
  Status SetLaunch(const std::string& system, const LaunchFacts& launch);
  Status MarkComplete();
  // Moves the folder, which was made on the same file system, to RESULTS_DIR/RUN_ID, where it appears as a whole; the id gets a
  // suffix as in Create.
  Status MoveTo(const std::filesystem::path& results_dir);
  // From now on requests are held against these objectives instead of the configuration's; the folder keeps what it holds.
  void SetObjectives(const metrics::LatencyObjectives& objectives) { manifest_.config.objectives = objectives; }

  std::filesystem::path EventLogFile(const std::string& name, int thread) const;
  // A line a request.
  std::filesystem::path PlanFile(const std::string& name) const;
  Result<std::vector<PlanEntry>> ReadPlan(const std::string& name) const;
  // Errors: kBadInput naming the file that is missing, cut off or damaged.
  Result<Facts> ReadFacts(const Measurement& measurement) const;

  // The files of the experiment that hold facts, relative to dir(), with how many bytes count.
  struct File {
    std::filesystem::path name;
    uint64_t bytes = 0;
  };
  Result<std::vector<File>> Files() const;

  const Manifest& manifest() const { return manifest_; }
  const std::filesystem::path& dir() const { return dir_; }

 private:
  Results(std::filesystem::path dir, Manifest manifest) : dir_(std::move(dir)), manifest_(std::move(manifest)) {}
  Status WriteManifest() const;
  Status WriteSheets();
  Status ReadSheets();
  std::filesystem::path Folder(const std::string& name) const;
  Status CheckFiles(const Measurement& measurement) const;

  std::filesystem::path dir_;
  Manifest manifest_;
};

}  // namespace moecap::experiment
