// A report as a value: what is said and shown, free of how it is laid out. Pure functions build one per kind of report;
// render.h lays it out for the terminal, HTML, Markdown, CSV and SVG. Renderers judge nothing and compute nothing: every figure
// is in here as text, so that all of them print the same digits (format.h has the words for it).
//
// Texts are plain UTF-8, of any origin: each renderer escapes what it must, and nothing else does.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "report/load_plots.h"
#include "report/plots.h"

namespace moecap::report {

// One figure or word of a table.
struct Cell {
  // An empty text is null: "not known". Printed "-" in a column of figures, left blank in one of words.
  Cell() = default;
  // Implicit, so that a row can be written as a list of strings.
  Cell(std::string words) : text(std::move(words)) {}  // NOLINT(google-explicit-constructor)
  Cell(const char* words) : text(words) {}             // NOLINT(google-explicit-constructor)

  std::string text;
  bool estimate = false;  // printed with "~" in front
  bool invalid = false;   // must not be used: marked "!"
  bool best = false;      // the best of its column in view: bold
  std::string note;       // a footnote under the table; equal notes of a table share a number
};

Cell Estimate(Cell cell);
Cell Invalid(Cell cell);
Cell Best(Cell cell);
Cell WithNote(Cell cell, std::string note);

enum class ColumnKind {
  kKey,     // names the row: left-aligned, repeated where a wide table is cut, a row header in HTML; leading columns only
  kFigure,  // right-aligned, never wrapped
  kWord,    // a short word: left-aligned, never wrapped
  kText,    // sentences: left-aligned, wrapped
};

struct Column {
  std::string header;  // "p50"
  std::string group;   // a heading over adjacent columns of the same group: "TTFT"; may be empty
  std::string unit;    // printed in parentheses: behind the group where all its columns share it, else behind the header
  ColumnKind kind = ColumnKind::kFigure;
  std::string phone_label;  // beside the value on a narrow page; empty = group, header and unit
};

struct Row {
  Row() = default;
  Row(std::initializer_list<Cell> list) : cells(list) {}
  explicit Row(std::vector<Cell> list) : cells(std::move(list)) {}

  std::vector<Cell> cells;       // one a column
  std::string group;             // adjacent rows of the same group share its name, printed once: the system of its levels
  std::optional<size_t> marker;  // index of the system whose symbol and colour in the charts stand beside the group or the key
  bool invalid = false;          // all figures of the row must not be used: marked "!" and greyed
};

struct Table {
  std::string name;   // of the table in CSV: "cells"; unique in a document; empty = the title
  std::string title;  // may be empty
  std::vector<Column> columns;
  std::vector<Row> rows;           // a table without rows is left out
  std::string group_header = {};   // of the column of row groups; that column exists when a row has a group
  std::vector<std::string> notes;  // below the table: what its marks mean
};

// Sentences that belong together.
struct Paragraph {
  std::vector<std::string> sentences;  // each ends in its full stop
};

// A list of remarks.
struct Notes {
  enum class Kind { kNote, kWarning };
  std::string title;  // may be empty
  std::vector<std::string> items;
  Kind kind = Kind::kNote;
};

// Label and text, a line each. Lines with an empty text are left out.
struct KeyValues {
  std::string title;  // may be empty
  std::vector<std::pair<std::string, std::string>> items;
};

// Preformatted: a command, a piece of YAML, a formula. Lines are kept as they are.
struct Code {
  std::string title;  // may be empty
  std::string text;
  std::string language;  // of the fence in Markdown; may be empty
};

using Plot = std::variant<RadarPlot, ParetoPlot, BarPlot, LinePlot, RooflinePlot, SparsityCurve, HeatMap, HardwareMap,
                          PercentilePlot, StepPlot>;

enum class PlotWidth { kThird, kHalf, kFull };

// A plot with its caption. The frame of the plot has the rest: `id` (unique in a document, good as a file name), title, and the
// description, which is its alternative text. A plot that draws nothing is left out. Where no picture can be shown, the table
// of its figures (plot_table.h) stands for it; in the terminal a radar, percentiles and steps over time have none.
struct Figure {
  Plot plot;
  std::string caption;  // one sentence that reads the plot; may be empty
  // Adjacent figures of the same width stand beside each other, and one of half a width beside the sentences that follow it.
  PlotWidth width = PlotWidth::kHalf;
};

using Block = std::variant<Paragraph, Notes, Table, Figure, KeyValues, Code>;

enum class Detail {
  kFirstScreen,  // everywhere
  kFull,         // in the terminal with --all only
  kFolded,       // ... and folded in the page
  kPageOnly,     // folded in the page, in Markdown and CSV; not in the terminal, where it would hide the rest
};

struct Section {
  std::string heading;
  std::string anchor;  // of links in the page; unique in a document; empty = the heading in lower case with hyphens
  Detail detail = Detail::kFull;
  std::vector<Block> blocks;
  std::vector<Section> parts;  // under smaller headings, one level deep; left out in the terminal where their detail says so
};

inline constexpr size_t kMostHeadlines = 10;

struct Document {
  std::string kind;                   // "comparison"; before the title: "moecap comparison: NAME"
  std::string title;                  // the name or id of what is reported
  std::string subtitle;               // a second line, e.g. what was asked; may be empty
  KeyValues about;                    // workload, host, date: what the figures hold for
  std::vector<std::string> warnings;  // what must be known before any figure is used, a sentence each
  std::vector<std::string> headline;  // the verdict: at most kMostHeadlines sentences, the most important first
  std::vector<Section> sections;      // those with nothing to show are left out
  std::string footer;                 // program and version, date
};

// The figures behind a plot as a table that the renderers lay out as any other; named and titled as the plot.
Table TableFor(const Plot& plot);

// The frame of whichever plot it is.
const PlotFrame& FrameOf(const Plot& plot);

// Appends a column with a cell for each row of `table`, whose rows and their keys are there already. Requires as many cells as
// rows.
void AddColumn(Table& table, Column column, std::vector<Cell> cells);

// Leaves out the columns of figures without any figure.
void DropEmptyColumns(Table& table);

// Whether there is anything to show.
bool IsEmpty(const Block& block);
bool IsEmpty(const Section& section);

}  // namespace moecap::report
