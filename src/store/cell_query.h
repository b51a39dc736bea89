// Cells over all stored runs: found by words and choices, sorted by any figure, a page at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "store/run_store.h"

namespace moecap::store {

// Conditions that are not set hold for every cell. Text is compared without regard to ASCII case.
struct CellFilter {
  std::vector<std::string> words;  // each is part of the run's id, data set, workload, host or a tag, or of the system's names
  std::optional<std::string> model;     // whole: StoredSystem::model_id
  std::optional<std::string> hardware;  // whole: CellListing::Hardware()
  bool valid_only = false;              // without cells in which a gate tripped
  std::string sort;                     // key of a figure; empty: the latest run first
  bool descending = true;               // with `sort`; cells without the figure come last in any case
  int64_t offset = 0, limit = 100;
  std::vector<std::string> figures;  // keys of those that are read
};

struct CellListing {
  RunInfo run;
  StoredSystem system;
  StoredCell cell;  // with the figures that were asked for

  // The machine as it is priced, else the host that measured.
  const std::string& Hardware() const { return system.machine.empty() ? run.host : system.machine; }
};

struct CellPage {
  std::vector<CellListing> cells;
  int64_t total = 0;  // that the conditions hold for
};

Result<CellPage> ListCells(const RunStore& store, const CellFilter& filter);

// What a choice can be made of, sorted.
struct CellChoices {
  std::vector<std::string> models, hardware;
};
Result<CellChoices> ListChoices(const RunStore& store);

}  // namespace moecap::store
