// The same requests under the definitions of several benchmark clients, side by side (metrics/compat.h).
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "metrics/compat.h"
#include "report/load_tables.h"
#include "report/terminal.h"

namespace moecap::report {

// One load, seen by each tool.
struct CompatCell {
  std::string label;
  std::vector<metrics::ToolView> views;  // the same tools in each cell
};

// Rows are tools, columns their figures.
LoadTable CompatTable(const CompatCell& cell);

// A table a cell, then a line a tool on why it differs. No line is wider than options.width.
std::string RenderCompatTerminal(std::span<const CompatCell> cells, const TerminalOptions& options);
std::string RenderCompatMarkdown(std::span<const CompatCell> cells);

// Schema: docs/formats/load.md, "Views of other tools".
Json CompatToJson(std::span<const CompatCell> cells);

}  // namespace moecap::report
