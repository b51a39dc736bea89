// Rows of single choices: the CSV of llama.cpp's moe-trace example (layer,expert) and of its relatives, which also name a step,
// a phase and a token.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <set>
#include <tuple>

#include "base/csv.h"
#include "trace/count_passes.h"
#include "trace/importers.h"

namespace moecap::trace {
namespace {

constexpr size_t kMostCells = size_t{1} << 26;  // layer and expert of a pass, of all passes

struct Columns {
  int layer = 0, expert = 1;
  std::vector<int> pass;  // whose values together name a pass; empty: none does
  int phase = -1;
  size_t least = 2;
};

std::optional<int64_t> Number(const std::string& text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

int FirstOf(const std::vector<std::string>& header, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    if (const int column = ColumnOf(header, name); column >= 0) return column;
  }
  return -1;
}

// Null when these are no columns of choices.
std::optional<Columns> ColumnsOf(const std::vector<std::string>& header) {
  Columns columns;
  columns.layer = FirstOf(header, {"layer", "layer_id", "layer_idx", "il"});
  columns.expert = FirstOf(header, {"expert", "expert_id", "expert_idx"});
  if (columns.layer < 0 || columns.expert < 0) return std::nullopt;
  for (const auto& names : {std::initializer_list<const char*>{"turn", "request", "request_id"},
                            {"step", "pass", "ubatch", "batch", "iteration", "forward_pass_id"}}) {
    if (const int column = FirstOf(header, names); column >= 0) columns.pass.push_back(column);
  }
  columns.phase = FirstOf(header, {"phase", "stage", "kind"});
  for (const int column : {columns.layer, columns.expert, columns.phase})
    columns.least = std::max(columns.least, static_cast<size_t>(column + 1));
  for (const int column : columns.pass) columns.least = std::max(columns.least, static_cast<size_t>(column + 1));
  return columns;
}

std::optional<record::PassKind> KindOf(const std::string& phase) {
  if (phase.starts_with("prefill") || phase.starts_with("prompt")) return record::PassKind::kPrefill;
  if (phase.starts_with("decode") || phase.starts_with("gen")) return record::PassKind::kDecode;
  return std::nullopt;
}

using Cells = std::map<std::pair<int, int>, int64_t>;  // layer, expert -> tokens

struct Recorded {
  std::vector<Cells> passes;
  std::vector<std::optional<record::PassKind>> kinds;
  std::set<int> layers;
  int highest = -1;
  size_t cells = 0;
};

Status AddRow(const std::vector<std::string>& row, const Columns& columns, Cells& cells, Recorded& recorded) {
  const auto layer = Number(row[static_cast<size_t>(columns.layer)]), expert = Number(row[static_cast<size_t>(columns.expert)]);
  if (!layer || *layer < 0 || *layer >= (1 << 20)) return BadInput("names no layer");
  if (!expert || *expert < -1 || *expert >= kMostExperts) return BadInput("names no expert");
  if (*expert < 0) return {};
  int64_t& count = cells[{static_cast<int>(*layer), static_cast<int>(*expert)}];
  if (count == 0 && ++recorded.cells > kMostCells) return BadInput("holds more passes than can be");
  count = std::min(count + 1, kMostCount);
  recorded.layers.insert(static_cast<int>(*layer));
  recorded.highest = std::max(recorded.highest, static_cast<int>(*expert));
  return {};
}

bool IsComment(const std::vector<std::string>& row) { return row[0].starts_with('#'); }

Result<Recorded> ReadRows(CsvReader& csv, const Columns& columns, std::vector<std::string> row, bool header) {
  Recorded recorded;
  std::map<std::vector<std::string>, size_t> pass_of;
  for (bool more = true;;) {
    if (header || IsComment(row)) {
      header = false;
    } else {
      const auto bad = [&](const std::string& what) { return BadInput(fmt::format("line {} {}", csv.line_number(), what)); };
      if (row.size() < columns.least) return bad("has too few cells");
      std::vector<std::string> key;
      for (const int column : columns.pass) key.push_back(row[static_cast<size_t>(column)]);
      const auto [found, is_new] = pass_of.emplace(std::move(key), recorded.passes.size());
      if (is_new) {
        recorded.passes.emplace_back();
        recorded.kinds.push_back(columns.phase < 0 ? std::nullopt : KindOf(row[static_cast<size_t>(columns.phase)]));
      }
      if (const Status added = AddRow(row, columns, recorded.passes[found->second], recorded); !added.ok())
        return bad(added.error().message);
    }
    ASSIGN_OR_RETURN(more, csv.Next(row));
    if (!more) return recorded;
  }
}

}  // namespace

bool IsTraceCsv(const std::vector<std::string>& row) {
  if (ColumnOf(row, "count") >= 0) return false;
  return ColumnsOf(row).has_value() || (row.size() == 2 && Number(row[0]) && Number(row[1]));
}

Result<std::unique_ptr<TraceSource>> ImportTraceCsv(std::span<const std::byte> bytes, const ImportOptions& options) {
  CsvReader csv({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  std::vector<std::string> row;
  do {
    ASSIGN_OR_RETURN(const bool any, csv.Next(row));
    if (!any) return BadInput("the file has no row");
  } while (IsComment(row));
  const auto columns = ColumnsOf(row);
  if (!columns && !IsTraceCsv(row)) return BadInput("no CSV of choices: its header names no layer and expert");
  ASSIGN_OR_RETURN(Recorded read, ReadRows(csv, columns.value_or(Columns{}), row, columns.has_value()));
  if (read.highest < 0) return BadInput("the file has no row");
  auto recorded = std::make_shared<const Recorded>(std::move(read));
  CountPasses passes;
  passes.origin = "llama.cpp";
  passes.experts_known = false;
  passes.layer_numbers.assign(recorded->layers.begin(), recorded->layers.end());
  const bool by_pass = columns && !columns->pass.empty();
  passes.grain = by_pass ? Grain::kPassCounts : Grain::kTotals;
  passes.notes.emplace_back(by_pass ? "rows are choices of a step; which token made them is not used"
                                    : "rows name neither tokens nor passes: only their sums are known");
  if (by_pass) passes.kinds = recorded->kinds;
  for (size_t i = 0; i < recorded->passes.size(); ++i) passes.numbers.push_back(static_cast<int64_t>(i));
  passes.share.whole = true;
  passes.read = [recorded, numbers = passes.layer_numbers](size_t index, CountTable& table) {
    table.columns = static_cast<size_t>(recorded->highest) + 1;
    table.counts.assign(numbers.size() * table.columns, 0);
    for (const auto& [cell, count] : recorded->passes[index]) {
      const auto layer = static_cast<size_t>(std::ranges::lower_bound(numbers, cell.first) - numbers.begin());
      table.counts[layer * table.columns + static_cast<size_t>(cell.second)] = count;
    }
    return Status();
  };
  return MakeCountSource(std::move(passes), options);
}

}  // namespace moecap::trace
