// Tables of tokens per expert in other files than a recorder's own: SGLang's EPLB JSON (--init-expert-location) and its older
// CSV of each rank, vLLM's dumps of expert loads (JSON, JSON lines, CSV), two-dimensional .npy arrays.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/csv.h"
#include "base/json.h"
#include "base/lines.h"
#include "routing/npy.h"
#include "trace/count_passes.h"
#include "trace/importers.h"

namespace moecap::trace {
namespace {

// Where a JSON object has its counts; the first that is there.
constexpr std::array kCountKeys = {"logical_count",     "global_logical_count", "logical_expert_load",
                                   "window_load",       "expert_load_window",   "global_expert_load_window",
                                   "expert_load",       "global_expert_load",   "expert_loads",
                                   "tokens_per_expert", "latest_load"};
constexpr std::array kMapKeys = {"physical_to_logical_map", "last_physical_to_logical_map"};
constexpr double kMostExact = 9007199254740992;  // 2^53

std::string_view TextOf(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

Result<int64_t> WholeNumber(const Json& value) {
  const double number = value.is_number() ? value.get<double>() : -1;
  if (!(number >= 0) || number > kMostExact || number != static_cast<double>(static_cast<int64_t>(number)))
    return BadInput("a count is not a whole number of tokens");
  return static_cast<int64_t>(number);
}

// [layer][expert].
Result<CountTable> TableOf(const Json& rows) {
  CountTable table;
  if (!rows.is_array() || rows.empty()) return BadInput("the counts are no list [layer][expert]");
  for (const Json& row : rows) {
    if (!row.is_array() || row.empty()) return BadInput("the counts are no list [layer][expert]");
    if (table.columns == 0) table.columns = row.size();
    if (row.size() != table.columns) return BadInput("layers have different numbers of experts");
    for (const Json& cell : row) {
      ASSIGN_OR_RETURN(const int64_t count, WholeNumber(cell));
      table.counts.push_back(count);
    }
  }
  return table;
}

const Json* FindIn(const Json& object, std::span<const char* const> keys) {
  for (const char* key : keys) {
    const auto found = object.find(key);
    if (found != object.end() && !found->is_null()) return &*found;
  }
  return nullptr;
}

Result<ExpertMap> MapOf(const Json& value) {
  ExpertMap map;
  bool identity = true;
  if (!value.is_array()) return BadInput("the map of places to experts is no list [layer][place]");
  for (const Json& row : value) {
    std::vector<int>& places = map.emplace_back();
    if (!row.is_array() || row.empty()) return BadInput("the map of places to experts is no list [layer][place]");
    for (const Json& cell : row) {
      ASSIGN_OR_RETURN(const int64_t expert, WholeNumber(cell));
      if (expert >= kMostExperts) return BadInput(fmt::format("the map of places names expert {}", expert));
      identity &= expert == static_cast<int64_t>(places.size());
      places.push_back(static_cast<int>(expert));
    }
    if (places.size() != map.front().size()) return BadInput("layers have different numbers of places");
  }
  return identity ? ExpertMap() : map;
}

struct Tables {
  std::vector<CountTable> tables;
  ExpertMap map;
  bool ranks = false;  // each table is one rank's
};

Status AddJson(const Json& object, Tables& tables) {
  const Json* counts = object.is_object() ? FindIn(object, kCountKeys) : &object;
  if (counts == nullptr) {
    if (FindIn(object, kMapKeys) != nullptr)
      return BadInput("a placement of experts (which lies where), and no counts of tokens: there is no routing in it");
    return BadInput(fmt::format("no counts of experts: none of the keys {}, ... is there", kCountKeys[0]));
  }
  if (object.is_object()) {
    const auto layout = object.find("logical_count_layout");
    if (layout != object.end() && layout->is_string()) {
      tables.ranks = *layout == "rank_layer_expert";
      if (!tables.ranks && *layout != "pass_layer_expert" && *layout != "step_layer_expert" && *layout != "layer_expert")
        return BadInput(
            fmt::format("the counts have the layout '{}'; rank_layer_expert, pass_layer_expert and layer_expert are "
                        "known",
                        layout->get<std::string>()));
    }
    if (const Json* map = FindIn(object, kMapKeys); map != nullptr && tables.map.empty()) {
      ASSIGN_OR_RETURN(tables.map, MapOf(*map));
    }
  }
  const bool three = counts->is_array() && !counts->empty() && counts->front().is_array() && !counts->front().empty() &&
                     counts->front().front().is_array();
  if (!three) {
    ASSIGN_OR_RETURN(tables.tables.emplace_back(), TableOf(*counts));
    return {};
  }
  for (const Json& pass : *counts) {
    ASSIGN_OR_RETURN(tables.tables.emplace_back(), TableOf(pass));
  }
  return {};
}

Result<std::unique_ptr<TraceSource>> SourceOf(Tables tables, CountPasses passes, const ImportOptions& options) {
  auto shared = std::make_shared<std::vector<CountTable>>(std::move(tables.tables));
  passes.grain = Grain::kTotals;
  passes.map = std::move(tables.map);
  passes.notes.emplace_back("sums: passes, sequences and single tokens are not recorded");
  if (!passes.map.empty() &&
      (passes.map.size() != shared->front().rows() || passes.map.front().size() != shared->front().columns)) {
    // The counts are of experts already.
    passes.notes.emplace_back("the map of places is of another shape than the counts, which are taken for counts of experts");
    passes.map.clear();
  }
  if (tables.ranks) {
    for (size_t rank = 0; rank < shared->size(); ++rank) passes.share.ranks.push_back(static_cast<int>(rank));
    passes.share.world = static_cast<int>(shared->size());
    passes.share.whole = true;
  }
  for (size_t i = 0; i < shared->size(); ++i) passes.numbers.push_back(static_cast<int64_t>(i));
  passes.read = [shared](size_t index, CountTable& table) {
    table = (*shared)[index];
    return Status();
  };
  return MakeCountSource(std::move(passes), options);
}

Result<std::unique_ptr<TraceSource>> ImportJson(std::string_view text, const ImportOptions& options) {
  Tables tables;
  if (const auto whole = ParseJson(text); whole.ok()) {
    RETURN_IF_ERROR(AddJson(*whole, tables));
  } else {
    int64_t number = 0;
    while (!text.empty()) {
      const std::string_view line = TakeLine(text);
      ++number;
      if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
      const auto object = ParseJson(line);
      if (!object.ok()) return BadInput(fmt::format("line {} is not JSON", number));
      const Status added = AddJson(*object, tables);
      if (!added.ok()) return Annotate(fmt::format("line {}", number), added.error());
    }
  }
  if (tables.tables.empty()) return BadInput("no counts of experts");
  CountPasses passes;
  passes.origin = "expert-load";
  passes.summed_ranks = !tables.ranks;
  return SourceOf(std::move(tables), std::move(passes), options);
}

// The last whole number in a text: 3 of "3" and of "model.layers.3.mlp.experts".
int NumberIn(std::string_view text) {
  const size_t last = text.find_last_of("0123456789");
  if (last == std::string_view::npos) return -1;
  size_t first = last;
  while (first > 0 && text[first - 1] >= '0' && text[first - 1] <= '9') --first;
  int value = -1;
  std::from_chars(text.data() + first, text.data() + last + 1, value);
  return value >= 0 && value < (1 << 20) ? value : -1;
}

Result<int64_t> CountIn(const std::string& text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0)
    return BadInput(fmt::format("'{}' is no count of tokens", text));
  return value;
}

using Loads = std::map<int, std::map<int, int64_t>>;  // layer -> expert -> tokens

// "layer_id,expert_id,count": of SGLang before its .pt files.
Status ReadLongCsv(CsvReader& csv, const std::vector<std::string>& header, Loads& loads) {
  const int layer_column = std::max(ColumnOf(header, "layer_id"), ColumnOf(header, "layer"));
  const int expert_column = std::max(ColumnOf(header, "expert_id"), ColumnOf(header, "expert"));
  const int count_column = ColumnOf(header, "count");
  std::vector<std::string> cells;
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, csv.Next(cells));
    if (!more) return {};
    if (cells.size() < header.size()) return BadInput(fmt::format("line {}: too few cells", csv.line_number()));
    const int layer = NumberIn(cells[static_cast<size_t>(layer_column)]);
    const int expert = NumberIn(cells[static_cast<size_t>(expert_column)]);
    const auto count = CountIn(cells[static_cast<size_t>(count_column)]);
    if (layer < 0 || expert < 0 || expert >= kMostExperts || !count.ok())
      return BadInput(fmt::format("line {}: no layer, expert and count", csv.line_number()));
    loads[layer][expert] = std::min(loads[layer][expert] + *count, kMostCount);
  }
}

// "layer,exp_0,exp_1,...": of vLLM.
Status ReadWideCsv(CsvReader& csv, Loads& loads) {
  std::vector<std::string> cells;
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, csv.Next(cells));
    if (!more) return {};
    const int layer = NumberIn(cells[0]);
    if (layer < 0) return BadInput(fmt::format("line {}: '{}' names no layer", csv.line_number(), cells[0]));
    if (cells.size() - 1 > static_cast<size_t>(kMostExperts)) return BadInput(fmt::format("{} experts", cells.size() - 1));
    for (size_t i = 1; i < cells.size(); ++i) {
      ASSIGN_OR_RETURN(const int64_t count, CountIn(cells[i]));
      int64_t& load = loads[layer][static_cast<int>(i) - 1];
      load = std::min(load + count, kMostCount);
    }
  }
}

}  // namespace

CsvCounts CsvCountsOf(const std::vector<std::string>& header) {
  const auto begins = [&header](std::string_view prefix) {
    return header.size() > 1 && ColumnOf(header, "layer") == 0 && std::string_view(header[1]).starts_with(prefix);
  };
  if (ColumnOf(header, "count") >= 0 && (ColumnOf(header, "expert_id") >= 0 || ColumnOf(header, "expert") >= 0) &&
      (ColumnOf(header, "layer_id") >= 0 || ColumnOf(header, "layer") >= 0))
    return CsvCounts::kLong;
  if (begins("exp_") || begins("expert_")) return CsvCounts::kWide;
  return begins("rank_") ? CsvCounts::kRanks : CsvCounts::kNone;
}

Result<std::unique_ptr<TraceSource>> ImportCountsCsv(std::span<const std::byte> bytes, int rank, const ImportOptions& options) {
  CsvReader csv(TextOf(bytes));
  std::vector<std::string> header;
  ASSIGN_OR_RETURN(const bool any, csv.Next(header));
  const CsvCounts kind = any ? CsvCountsOf(header) : CsvCounts::kNone;
  if (kind == CsvCounts::kRanks)
    return BadInput("loads of ranks, not of experts; the file beside it, moe_load_for_expert_on_layer_..., has those");
  if (kind == CsvCounts::kNone) return BadInput("no CSV of expert counts: its header names no layer, expert and count");
  Loads loads;
  RETURN_IF_ERROR(kind == CsvCounts::kLong ? ReadLongCsv(csv, header, loads) : ReadWideCsv(csv, loads));
  Tables tables;
  CountTable& table = tables.tables.emplace_back();
  for (const auto& [layer, experts] : loads)
    table.columns = std::max(table.columns, static_cast<size_t>(experts.rbegin()->first) + 1);
  CountPasses passes;
  if (kind == CsvCounts::kLong && options.experts > 0)
    table.columns = std::max(table.columns, static_cast<size_t>(options.experts));
  table.counts.assign(loads.size() * table.columns, 0);
  size_t row = 0;
  for (const auto& [layer, experts] : loads) {
    passes.layer_numbers.push_back(layer);
    for (const auto& [expert, count] : experts) table.counts[row * table.columns + static_cast<size_t>(expert)] = count;
    ++row;
  }
  if (loads.empty()) return BadInput("the file has no row");
  passes.origin = kind == CsvCounts::kLong ? "sglang" : "vllm";
  passes.rank = rank;
  passes.experts_known = kind == CsvCounts::kWide;
  passes.summed_ranks = kind == CsvCounts::kWide;
  return SourceOf(std::move(tables), std::move(passes), options);
}

Result<std::unique_ptr<TraceSource>> ImportCounts(std::span<const std::byte> bytes, const ImportOptions& options) {
  if (!routing::LooksLikeNpy(bytes)) return ImportJson(WithoutBom(TextOf(bytes)), options);
  ASSIGN_OR_RETURN(const routing::NpyArray array, routing::ParseNpy(bytes));
  return ImportCountsArray(array, options);
}

Result<std::unique_ptr<TraceSource>> ImportCountsArray(const routing::NpyArray& array, const ImportOptions& options) {
  const size_t dims = array.shape.size();
  if (dims != 2 && dims != 3)
    return BadInput("counts of experts must have the shape [layers, experts] or [passes, layers, experts]");
  const int64_t count = dims == 3 ? array.shape[0] : 1, layers = array.shape[dims - 2], experts = array.shape[dims - 1];
  RETURN_IF_ERROR(CheckTableSize(layers, experts));
  Tables tables;
  for (int64_t pass = 0; pass < count; ++pass) {
    CountTable& table = tables.tables.emplace_back();
    table.columns = static_cast<size_t>(experts);
    for (int64_t layer = 0; layer < layers; ++layer) {
      for (int64_t expert = 0; expert < experts; ++expert)
        table.counts.push_back(array.At(array.fortran_order ? pass + count * (layer + layers * expert)
                                                            : (pass * layers + layer) * experts + expert));
    }
  }
  if (tables.tables.empty()) return BadInput("the array holds no counts");
  CountPasses passes;
  passes.origin = "expert-load";
  passes.summed_ranks = true;
  return SourceOf(std::move(tables), std::move(passes), options);
}

}  // namespace moecap::trace
