// One load test on disk: RESULTS_DIR/RUN_ID/ with load.json, and for each measurement its plan and its event logs
// (docs/formats/load.md). load.json is replaced atomically when a measurement begins and when it ends, so that the events of
// one that was killed can be read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "load/load_result.h"
#include "loadtest/config.h"

namespace moecap::loadtest {

inline constexpr const char* kManifestName = "load.json";

// What was measured against, as far as it could be found out.
struct TargetDescription {
  std::string server;  // "vLLM 0.11.0"
  std::string url;     // of the first server, without userinfo
  std::string api;
  std::string model;
};

// One request of a measurement as it was planned.
struct PlanEntry {
  std::string id;
  std::optional<int64_t> input_tokens;  // null: not known before
  int64_t output_tokens = 0;
  bool exact_output = false;
  std::optional<int64_t> shared_tokens;  // planned cache hit; null: not known, as in a conversation
  std::optional<double> at_s;            // of an open loop
};

// One level of load, once.
struct Measurement {
  double level = 0;
  int repeat = 0;
  std::string name;       // of its files: "clients-8-0"
  bool complete = false;  // false: it goes on, was interrupted or killed; a resume measures it again
  load::EndedBy ended_by = load::EndedBy::kInterrupt;
  int64_t held_back = 0;
  double cpu_s = 0, loop_s = 0;  // load::LoadResult
};

// What this machine can do against a server that does nothing, with as many streams and threads.
struct HeadRoom {
  double tokens_per_s = 0;
  int streams = 0;
};

struct LoadManifest {
  std::string run_id;
  std::string started_at;  // UTC, ISO 8601
  std::string moecap_version;
  std::vector<std::string> command;
  LoadTestConfig config;
  TargetDescription target;
  std::string workload;            // one line
  std::string client;              // one line: processor, usable threads
  std::vector<std::string> notes;  // of workload and machine
  std::optional<HeadRoom> head_room;
  std::vector<Measurement> measurements;
  bool complete = false;
};

class LoadResults {
 public:
  // Makes RESULTS_DIR/RUN_ID and writes the first manifest; the id gets a suffix if the folder exists.
  static Result<LoadResults> Create(const std::filesystem::path& results_dir, LoadManifest manifest);
  // Error: kBadInput naming the file.
  static Result<LoadResults> Open(const std::filesystem::path& dir);
  // Whether the folder holds a load test.
  static bool IsLoadTest(const std::filesystem::path& dir);

  // Null for one that is not complete.
  const Measurement* Find(double level, int repeat) const;
  // Lists a measurement that begins, and replaces that entry when it has ended.
  Status Begin(Measurement measurement);
  Status End(Measurement measurement);
  // Forgets measurements that are not complete, so that they can be made again.
  Status PrepareResume();
  Status SetHeadRoom(const HeadRoom& head_room);
  Status MarkComplete();

  // The files of a measurement, below dir().
  std::filesystem::path PlanFile(const std::string& name) const;
  std::filesystem::path EventLogFile(const std::string& name, int thread) const;
  Status WritePlan(const std::string& name, const std::vector<PlanEntry>& plan) const;
  Result<std::vector<PlanEntry>> ReadPlan(const std::string& name) const;
  // The records of all threads, read from their event logs.
  Result<load::LoadResult> ReadRecords(const Measurement& measurement) const;

  const LoadManifest& manifest() const { return manifest_; }
  const std::filesystem::path& dir() const { return dir_; }

 private:
  LoadResults(std::filesystem::path dir, LoadManifest manifest) : dir_(std::move(dir)), manifest_(std::move(manifest)) {}
  Status WriteManifest() const;

  std::filesystem::path dir_;
  LoadManifest manifest_;
};

}  // namespace moecap::loadtest
