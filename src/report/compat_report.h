// The same requests under the definitions of several benchmark clients, side by side (metrics/compat.h).
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "metrics/compat.h"
#include "report/document.h"

namespace moecap::report {

// One load, seen by each tool.
struct CompatCell {
  std::string label;
  std::vector<metrics::ToolView> views;  // the same tools in each cell
};

// A table a cell: rows are tools, columns their figures. Then a line a tool on why it differs.
Document CompatDocument(std::span<const CompatCell> cells);

// Schema: docs/formats/compat.md.
Json CompatToJson(std::span<const CompatCell> cells);

}  // namespace moecap::report
