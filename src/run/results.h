// One run on disk: RESULTS_DIR/RUN_ID/ with manifest.json, requests.jsonl and passes.jsonl (docs/formats/run.md).
//
// The manifest says how far the two record files count. It is replaced atomically after each finished unit (one repetition of
// one cell), so whatever happens in between, a reader sees whole units only.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cost/ownership.h"
#include "hardware/host.h"
#include "load/load_result.h"
#include "run/config.h"
#include "run/system_driver.h"

namespace moecap::run {

struct Unit {
  record::CellId cell;
  bool complete = true;            // false: interrupted; measured again by a resume
  uint64_t requests_end = 0;       // bytes of requests.jsonl up to and with this unit
  uint64_t passes_end = 0;         // bytes of passes.jsonl
  std::optional<double> energy_j;  // of the chips that Manifest::energy_source counts, during the timed part
};

struct Manifest {
  std::string run_id;
  std::string started_at;  // UTC, ISO 8601
  std::string moecap_version;
  std::vector<std::string> command;
  RunConfig config;
  int64_t problems = 0;  // of one repetition
  hardware::HostInfo host;
  std::optional<hardware::Ceilings> ceilings;
  cost::CostInputs cost;         // what the price catalogue and the configuration gave when the run started
  std::optional<cost::Pay> pay;  // how the machine is paid for; null in runs of older versions: rent where a rate is set
  std::string energy_source;     // the counters behind Unit::energy_j: "RAPL: package-0, dram"; empty = none
  std::vector<SystemDescription> systems;
  std::vector<Unit> units;
  bool complete = false;
};

class Results {
 public:
  // Makes RESULTS_DIR/RUN_ID and writes the first manifest; the id gets a suffix if the folder exists.
  static Result<Results> Create(const std::filesystem::path& results_dir, Manifest manifest);
  // Opens a stored run for reading.
  static Result<Results> Open(const std::filesystem::path& dir);

  // Drops an unfinished unit and what lies behind the last whole one, so that measuring can go on.
  Status PrepareResume();
  // Appends the records of one unit, then the manifest that counts them.
  Status AppendUnit(const load::LoadResult& records, const record::CellId& cell, std::optional<double> energy_j = std::nullopt);
  Status MarkComplete();

  bool HasCompleteUnit(const record::CellId& cell) const;
  Result<std::vector<record::RequestRecord>> ReadRequests() const;
  Result<std::vector<record::PassRecord>> ReadPasses() const;

  const Manifest& manifest() const { return manifest_; }
  const std::filesystem::path& dir() const { return dir_; }

 private:
  Results(std::filesystem::path dir, Manifest manifest) : dir_(std::move(dir)), manifest_(std::move(manifest)) {}
  Status WriteManifest() const;

  std::filesystem::path dir_;
  Manifest manifest_;
};

}  // namespace moecap::run
