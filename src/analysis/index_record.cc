#include "run/store_record.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/folder_lock.h"
#include "base/fs.h"
#include "base/json.h"
#include "store/run_files.h"

namespace moecap::run {
namespace fs = std::filesystem;
namespace {

using store::Cohort;

std::optional<double> Part(const std::optional<stats::Distribution>& distribution, double stats::Distribution::*part) {
  if (!distribution) return std::nullopt;
  return (*distribution).*part;
}

Cohort ToCohort(const std::string& system, const cap::CellSummary& cell) {
  using D = stats::Distribution;
  Cohort cohort;
  cohort.system = system;
  cohort.concurrency = cell.concurrency;
  cohort.repeats = cell.repeats;
  cohort.requests = cell.requests;
  cohort.failed = cell.failed;
  cohort.valid = cell.invalid.empty() && cell.utilization.invalid.empty();
  cohort.ttft_mean_s = Part(cell.ttft_s, &D::mean);
  cohort.ttft_p50_s = Part(cell.ttft_s, &D::p50);
  cohort.ttft_p99_s = Part(cell.ttft_s, &D::p99);
  cohort.tpot_mean_s = Part(cell.tpot_s, &D::mean);
  cohort.tpot_p50_s = Part(cell.tpot_s, &D::p50);
  cohort.tpot_p99_s = Part(cell.tpot_s, &D::p99);
  cohort.itl_p50_s = Part(cell.itl_s, &D::p50);
  cohort.itl_p99_s = Part(cell.itl_s, &D::p99);
  cohort.e2e_p50_s = Part(cell.e2e_s, &D::p50);
  cohort.e2e_p99_s = Part(cell.e2e_s, &D::p99);
  if (cell.output_tokens_per_s) cohort.output_rate_mean_tokens_per_s = cell.output_tokens_per_s->mean;
  if (cell.requests_per_s) cohort.request_rate_mean_requests_per_s = cell.requests_per_s->mean;
  cohort.prefill_s_mbu = cell.utilization.prefill.s_mbu;
  cohort.prefill_s_mfu = cell.utilization.prefill.s_mfu;
  cohort.decode_s_mbu = cell.utilization.decode.s_mbu;
  cohort.decode_s_mfu = cell.utilization.decode.s_mfu;
  cohort.accuracy = cell.accuracy;
  cohort.accuracy_stderr = cell.accuracy_stderr;
  cohort.usd_per_million_input_tokens = cell.usd_per_million_input_tokens;
  cohort.usd_per_million_output_tokens = cell.usd_per_million_output_tokens;
  cohort.joules_per_output_token = cell.joules_per_output_token;
  cohort.energy_is_measured = cell.energy_is_measured;
  return cohort;
}

std::vector<store::StoredCostInput> CostInputsOf(const cost::CostInputs& inputs) {
  std::vector<std::string> keys = cost::CostInputKeys();
  std::ranges::sort(keys);
  std::vector<store::StoredCostInput> stored;
  for (const std::string& key : keys) {
    const auto& input = cost::GetCostInput(inputs, key);
    if (input) stored.push_back({key, input->value, input->low, input->high, input->source, input->date});
  }
  return stored;
}

// "a/b/" and "." have names, too.
std::string FolderName(const fs::path& dir) {
  const fs::path normal = fs::absolute(dir).lexically_normal();
  return (normal.has_filename() ? normal : normal.parent_path()).filename().string();
}

Status AddFile(const fs::path& dir, const char* name, uint64_t bytes, bool hash, store::StoredRun& run) {
  store::StoredFile file{name, bytes, std::nullopt};
  if (hash) {
    ASSIGN_OR_RETURN(file.xxh3_64, store::HashFile(dir / name, bytes));
  }
  run.files.push_back(std::move(file));
  return {};
}

Status AddFiles(const Results& results, bool hash, store::StoredRun& run) {
  const fs::path& dir = results.dir();
  RETURN_IF_ERROR(AddFile(dir, "manifest.json", run.manifest_json.size(), hash, run));
  const std::vector<Unit>& units = results.manifest().units;
  if (units.empty()) return {};
  const std::pair<const char*, uint64_t> records[] = {{"requests.jsonl", units.back().requests_end},
                                                      {"passes.jsonl", units.back().passes_end}};
  for (const auto& [name, bytes] : records) {
    std::error_code error;
    const uintmax_t there = fs::file_size(dir / name, error);
    if (error) return BadInput(fmt::format("{}: {}", (dir / name).string(), error.message()));
    if (there < bytes)
      return BadInput(
          fmt::format("{} has {} bytes, its manifest counts {}; the run is not whole", (dir / name).string(), there, bytes));
    RETURN_IF_ERROR(AddFile(dir, name, bytes, hash, run));
  }
  return {};
}

}  // namespace

Result<store::StoredRun> ToStoredRun(const Results& results, store::RunStatus status,
                                     const std::optional<DerivedFigures>& figures) {
  const Manifest& manifest = results.manifest();
  store::StoredRun run;
  run.info = {manifest.run_id,     FolderName(results.dir()), status,
              manifest.started_at, manifest.moecap_version,   manifest.config.dataset.string(),
              manifest.problems,   manifest.host.cpu_model};
  ASSIGN_OR_RETURN(run.manifest_json, ReadFile(results.dir() / "manifest.json"));
  for (const SystemDescription& system : manifest.systems) {
    run.systems.push_back({system.name, system.engine, system.model.id, system.model.weight_type});
  }
  run.cost_inputs = CostInputsOf(results.manifest().cost);
  if (figures) {
    run.summary_json = figures->summary_json;
    for (const cap::SystemSummary& system : figures->summary.systems) {
      for (const cap::CellSummary& cell : system.cells) run.cohorts.push_back(ToCohort(system.name, cell));
    }
  }
  RETURN_IF_ERROR(AddFiles(results, status == store::RunStatus::kComplete, run));
  return run;
}

store::RunStatus StatusOf(const Results& results) {
  if (results.manifest().complete) return store::RunStatus::kComplete;
  return IsFolderLocked(results.dir()) ? store::RunStatus::kRunning : store::RunStatus::kInterrupted;
}

}  // namespace moecap::run
