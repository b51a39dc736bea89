#include "store/sql_query.h"

#include <fmt/format.h>

#include "store/database.h"
#include "store/run_store.h"

namespace moecap::store {
namespace {

SqlValue ValueOf(const Statement& row, int column) {
  switch (row.KindOf(column)) {
    case Statement::Kind::kNull:
      return std::monostate();
    case Statement::Kind::kInteger:
      return row.Int(column);
    case Statement::Kind::kReal:
      return *row.Real(column);
    case Statement::Kind::kText:
      return row.Text(column);
  }
  return std::monostate();
}

}  // namespace

Result<SqlTable> QueryIndex(const std::filesystem::path& results_dir, std::string_view sql, size_t most_rows,
                            std::vector<ComputedTable> computed) {
  ASSIGN_OR_RETURN(const Database database, Database::Open(results_dir / kDatabaseName, OpenMode::kReadOnly));
  for (ComputedTable& table : computed) RETURN_IF_ERROR(database.Add(std::move(table)));
  auto statement = database.PrepareReading(sql);
  if (!statement.ok()) return BadInput(statement.error().message);
  SqlTable table;
  for (int i = 0; i < statement->Columns(); ++i) table.columns.push_back(statement->ColumnName(i));
  while (true) {
    const auto row = statement->Step();
    if (!row.ok()) return BadInput(row.error().message);
    if (!*row) return table;
    if (table.rows.size() == most_rows) {
      table.cut_off = true;
      return table;
    }
    SqlRow& values = table.rows.emplace_back();
    for (int i = 0; i < statement->Columns(); ++i) values.push_back(ValueOf(*statement, i));
  }
}

}  // namespace moecap::store
