// What the renderers of documents share: tables with their headings, marks and footnotes resolved, and drawings. Internal to
// report/.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "report/document.h"
#include "report/svg.h"

namespace moecap::report {

struct GridColumn {
  std::string group, header;  // with their unit
  std::string label;          // where the column stands alone: "TTFT (ms) p50"
  ColumnKind kind = ColumnKind::kFigure;
};

struct GridCell {
  std::string text;  // with "~" for an estimate; empty = null
  bool invalid = false;
  bool best = false;
  size_t footnote = 0;  // place in Grid::footnotes, from 1; 0 = none
};

struct GridRow {
  std::string group;
  size_t group_rows = 0;  // of the group, in its first row; 0 in the others, and without groups
  std::optional<size_t> marker;
  bool invalid = false;
  std::vector<GridCell> cells;  // the last key cell of an invalid row is marked
};

struct Grid {
  std::vector<GridColumn> columns;
  std::vector<GridRow> rows;
  bool grouped = false;
  std::string group_header;
  std::vector<std::string> footnotes;  // each once
};

// Requires every row to have a cell for each column, and key columns to come first.
Grid MakeGrid(const Table& table);

// Empty when there is nothing to draw.
std::string DrawPlot(const Plot& plot, SvgMode mode);

// Checks what renderers rely on: few headlines, and plots with distinct ids.
void CheckDocument(const Document& document);

// "moecap comparison: NAME".
std::string FullTitle(const Document& document);

// Joined by spaces.
std::string Text(const Paragraph& paragraph);

}  // namespace moecap::report
