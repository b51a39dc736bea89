// The stored runs as the pages need them: found by id, their figures computed once as long as their facts stay the same.
#pragma once

#include <filesystem>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "analysis/judge.h"
#include "base/result.h"
#include "cap/judgement.h"
#include "experiment/results.h"
#include "store/run_store.h"

namespace moecap::web {

// Of any thread.
class Library {
 public:
  // `summarize`: the figures of a stored run of any kind.
  Library(std::filesystem::path results_dir, analysis::Summarizer summarize)
      : results_dir_(std::move(results_dir)), summarize_(std::move(summarize)) {}

  // The index; null where the folder has none.
  Result<std::optional<store::RunStore>> Index() const;
  // The folder of a run: right below the results folder and no link. Error: kBadInput.
  Result<std::filesystem::path> FolderOf(const std::string& run_id) const;
  Result<experiment::Results> OpenRun(const std::string& run_id) const;

  // Figures of the run; those of the last kMostKept runs are remembered until the manifest is replaced.
  Result<cap::ExperimentSummary> SummaryOf(const experiment::Results& results) const;
  Result<cap::JudgedExperiment> Judged(const experiment::Results& results) const;

  // Names of run folders that the index does not know, sorted.
  Result<std::vector<std::string>> NotIndexed() const;
  // Runs that a process is measuring now.
  std::vector<experiment::Results> Running() const;

  const std::filesystem::path& results_dir() const { return results_dir_; }

 private:
  static constexpr size_t kMostKept = 64;
  struct Kept {
    std::string key;  // folder, and size and time of the manifest
    std::shared_ptr<const cap::ExperimentSummary> summary;
  };

  std::filesystem::path results_dir_;
  analysis::Summarizer summarize_;
  mutable std::mutex mutex_;
  mutable std::list<Kept> kept_;  // the latest first
};

}  // namespace moecap::web
