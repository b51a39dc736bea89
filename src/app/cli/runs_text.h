// The terminal and JSON forms of `moecap runs`.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"
#include "store/run_store.h"

namespace moecap::app {

struct TextOptions {
  size_t width = 80;
  bool unicode = true;
};

// One row a run; long names give way so that no line is wider than the terminal.
std::string RenderRuns(const std::vector<store::RunListing>& runs, const TextOptions& options);
std::string RenderRun(const store::StoredRun& run, const std::filesystem::path& results_dir, const TextOptions& options);

Json ToJson(const store::RunListing& run);
Json ToJson(const store::StoredRun& run);

}  // namespace moecap::app
