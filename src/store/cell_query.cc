#include "store/cell_query.h"

#include <fmt/format.h>

#include <algorithm>

namespace moecap::store {
namespace {

// In this order, so that what runs and systems decide is decided once for all of their cells, and the latest runs come first
// without sorting all.
constexpr const char* kCellTables =
    "FROM runs CROSS JOIN systems ON systems.run_id = runs.run_id "
    "CROSS JOIN cells ON cells.run_id = systems.run_id AND cells.system = systems.name "
    "LEFT JOIN figures AS sorted ON ?1 IS NOT NULL AND sorted.run_id = cells.run_id AND sorted.key = ?1 "
    "AND sorted.system = cells.system AND sorted.level_kind = cells.level_kind AND sorted.level = cells.level ";

constexpr const char* kHardware = "iif(systems.machine = '', runs.host, systems.machine)";

constexpr int kFirstWord = 5;  // of the parameters

std::string CellConditions(size_t words) {
  std::string sql =
      fmt::format("WHERE (?2 IS NULL OR systems.model_id = ?2) AND (?3 IS NULL OR {} = ?3) AND (?4 = 0 OR valid) ", kHardware);
  for (size_t i = 0; i < words; ++i) {
    sql += fmt::format(
        "AND (instr(lower(runs.run_id || ' ' || dataset || ' ' || workload || ' ' || host || ' ' || systems.name || ' ' || "
        "engine "
        "|| ' ' || model_id || ' ' || weight_type || ' ' || machine), lower(?{0})) > 0 "
        "OR EXISTS (SELECT 1 FROM tags WHERE tags.run_id = runs.run_id AND instr(lower(tag), lower(?{0})) > 0)) ",
        kFirstWord + i);
  }
  return sql;
}

Statement& BindFilter(Statement& statement, const CellFilter& filter) {
  std::optional<std::string> sort;
  if (!filter.sort.empty()) sort = filter.sort;
  return statement.Bind(sort, filter.model, filter.hardware, filter.valid_only).BindFrom(kFirstWord, filter.words);
}

Result<int64_t> CountCells(const Database& database, const CellFilter& filter) {
  const bool any = filter.words.empty() && !filter.model && !filter.hardware;
  ASSIGN_OR_RETURN(Statement count, database.Prepare(any ? "SELECT count(*) FROM cells WHERE ?1 = 0 OR valid"
                                                         : fmt::format("SELECT count(*) {}{}", kCellTables,
                                                                       CellConditions(filter.words.size()))));
  CellFilter unsorted = filter;
  unsorted.sort.clear();
  ASSIGN_OR_RETURN(const bool row, (any ? count.Bind(filter.valid_only) : BindFilter(count, unsorted)).Step());
  CHECK(row);
  return count.Int(0);
}

Result<CellListing> ReadCell(const Statement& row) {
  CellListing listing;
  listing.run.run_id = row.Text(0);
  listing.run.path = row.Text(1);
  ASSIGN_OR_RETURN(listing.run.status, ParseRunStatus(row.Text(2)));
  listing.run.started_at = row.Text(3);
  listing.run.moecap_version = row.Text(4);
  listing.run.workload = row.Text(5);
  listing.run.dataset = row.Text(6);
  listing.run.problems = row.Int(7);
  listing.run.host = row.Text(8);
  listing.system = {row.Text(9), row.Text(10), row.Text(11), row.Text(12), row.Text(13)};
  listing.cell = {row.Text(9), row.Text(14), row.Real(15).value_or(0), row.Text(16), row.Int(17), row.Int(18) != 0, {}};
  return listing;
}

Status ReadFigures(Statement& select, const std::vector<std::string>& keys, CellListing& listing) {
  for (const std::string& key : keys) {
    select.Bind(listing.run.run_id, key, listing.system.name, listing.cell.level_kind, listing.cell.level);
    ASSIGN_OR_RETURN(const bool row, select.Step());
    if (row) listing.cell.figures.push_back({key, select.Real(0).value_or(0), select.Int(1) != 0});
  }
  return {};
}

Result<std::vector<std::string>> Words(const Database& database, const std::string& sql) {
  ASSIGN_OR_RETURN(Statement select, database.Prepare(sql));
  std::vector<std::string> words;
  while (true) {
    ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) return words;
    words.push_back(select.Text(0));
  }
}

}  // namespace

Result<CellPage> ListCells(const RunStore& store, const CellFilter& filter) {
  const Database& database = store.database();
  ASSIGN_OR_RETURN(const Transaction transaction, Transaction::Begin(database, Transaction::Kind::kRead));
  const std::string conditions = CellConditions(filter.words.size());
  CellPage page;
  ASSIGN_OR_RETURN(page.total, CountCells(database, filter));
  const std::string order = filter.sort.empty()
                                ? "started_at DESC, runs.run_id DESC, position, cells.level_kind, cells.level"
                                : fmt::format("sorted.value {} NULLS LAST, started_at DESC, runs.run_id, position, cells.level",
                                              filter.descending ? "DESC" : "ASC");
  ASSIGN_OR_RETURN(Statement select,
                   database.Prepare(fmt::format("SELECT runs.run_id, path, status, started_at, moecap_version, workload, "
                                                "dataset, problems, host, systems.name, engine, "
                                                "model_id, weight_type, machine, cells.level_kind, cells.level, label, "
                                                "repeats, valid {}{} ORDER BY {} LIMIT {} OFFSET {}",
                                                kCellTables, conditions, order, filter.limit, filter.offset)));
  BindFilter(select, filter);
  while (true) {
    ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) break;
    ASSIGN_OR_RETURN(CellListing listing, ReadCell(select));
    page.cells.push_back(std::move(listing));
  }
  ASSIGN_OR_RETURN(Statement figures,
                   database.Prepare("SELECT value, estimate FROM figures WHERE run_id = ? AND key = ? AND system = ? AND "
                                    "level_kind = ? AND level = ?"));
  for (CellListing& listing : page.cells) RETURN_IF_ERROR(ReadFigures(figures, filter.figures, listing));
  return page;
}

Result<CellChoices> ListChoices(const RunStore& store) {
  CellChoices choices;
  ASSIGN_OR_RETURN(choices.models,
                   Words(store.database(), "SELECT DISTINCT model_id FROM systems WHERE model_id <> '' ORDER BY 1"));
  ASSIGN_OR_RETURN(choices.hardware,
                   Words(store.database(), fmt::format("SELECT DISTINCT {} AS hardware FROM systems JOIN runs USING (run_id) "
                                                       "WHERE hardware <> '' ORDER BY 1",
                                                       kHardware)));
  return choices;
}

}  // namespace moecap::store
