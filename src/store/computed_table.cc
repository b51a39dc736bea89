#include "store/computed_table.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <algorithm>
#include <memory>
#include <new>
#include <utility>

namespace moecap::store {
namespace {

constexpr int kOneRun = 1;  // idxNum: xFilter is handed a run's id; without it all runs are walked through

struct Module {
  ComputedTable table;
  sqlite3* database;
};

// What SQLite keeps of the table while a connection is open, with the rows that were computed last: a join asks for one run
// again and again.
struct VirtualTable : sqlite3_vtab {
  const Module* module = nullptr;
  std::string run_id, wanted;
  std::shared_ptr<const std::vector<SqlRow>> rows;
};

struct Cursor : sqlite3_vtab_cursor {
  std::vector<std::string> runs;  // to be walked through
  size_t run = 0, row = 0;
  int64_t number = 0;
  std::string wanted;
  std::shared_ptr<const std::vector<SqlRow>> rows;  // of that run
};

VirtualTable& TableOf(sqlite3_vtab_cursor* cursor) { return *static_cast<VirtualTable*>(cursor->pVtab); }

int Fail(sqlite3_vtab* table, const char* why) {
  if (table == nullptr) return SQLITE_ERROR;
  sqlite3_free(table->zErrMsg);
  table->zErrMsg = sqlite3_mprintf("%s", why);
  return SQLITE_ERROR;
}

std::string Quoted(const std::string& name) { return '"' + name + '"'; }

int Connect(sqlite3* database, void* module, int, const char* const*, sqlite3_vtab** table, char**) {
  const auto& own = *static_cast<const Module*>(module);
  std::string sql = "CREATE TABLE computed(run_id";
  for (const std::string& column : own.table.columns) sql += ", " + Quoted(column);
  const int code = sqlite3_declare_vtab(database, (sql + ")").c_str());
  if (code != SQLITE_OK) return code;
  auto made = std::make_unique<VirtualTable>();
  made->module = &own;
  *table = made.release();
  return SQLITE_OK;
}

int Disconnect(sqlite3_vtab* table) {
  delete static_cast<VirtualTable*>(table);
  return SQLITE_OK;
}

// The plan: one run if the statement names it; which columns it reads, as a letter each.
int BestIndex(sqlite3_vtab* table, sqlite3_index_info* info) {
  info->estimatedCost = 1e9;
  for (int i = 0; i < info->nConstraint; ++i) {
    const auto& constraint = info->aConstraint[i];
    if (constraint.iColumn != 0 || constraint.op != SQLITE_INDEX_CONSTRAINT_EQ || constraint.usable == 0) continue;
    info->aConstraintUsage[i].argvIndex = 1;
    info->idxNum = kOneRun;
    info->estimatedCost = 1e5;
    break;
  }
  std::string wanted;
  const size_t columns = static_cast<VirtualTable*>(table)->module->table.columns.size();
  for (size_t i = 0; i < columns; ++i) wanted += (info->colUsed >> std::min<size_t>(i + 1, 63) & 1) != 0 ? 'y' : 'n';
  info->idxStr = sqlite3_mprintf("%s", wanted.c_str());
  info->needToFreeIdxStr = 1;
  return info->idxStr == nullptr ? SQLITE_NOMEM : SQLITE_OK;
}

int Open(sqlite3_vtab*, sqlite3_vtab_cursor** cursor) {
  *cursor = std::make_unique<Cursor>().release();
  return SQLITE_OK;
}

int Close(sqlite3_vtab_cursor* cursor) {
  delete static_cast<Cursor*>(cursor);
  return SQLITE_OK;
}

int AllRuns(VirtualTable& table, std::vector<std::string>& runs) {
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v2(table.module->database, "SELECT run_id FROM runs ORDER BY run_id", -1, &statement, nullptr) !=
      SQLITE_OK)
    return Fail(&table, sqlite3_errmsg(table.module->database));
  const std::unique_ptr<sqlite3_stmt, decltype(&sqlite3_finalize)> ended(statement, &sqlite3_finalize);
  int code = SQLITE_ROW;
  while ((code = sqlite3_step(statement)) == SQLITE_ROW)
    runs.emplace_back(reinterpret_cast<const char*>(sqlite3_column_text(statement, 0)));
  return code == SQLITE_DONE ? SQLITE_OK : Fail(&table, sqlite3_errmsg(table.module->database));
}

int Compute(VirtualTable& table, const std::string& run_id, const std::string& wanted) {
  if (table.rows && table.run_id == run_id && table.wanted == wanted) return SQLITE_OK;
  std::vector<bool> columns;
  for (const char letter : wanted) columns.push_back(letter == 'y');
  auto rows = table.module->table.rows_of(run_id, columns);
  if (!rows.ok()) return Fail(&table, rows.error().message.c_str());
  table.run_id = run_id;
  table.wanted = wanted;
  table.rows = std::make_shared<const std::vector<SqlRow>>(std::move(rows).value());
  return SQLITE_OK;
}

bool AtEnd(const Cursor& cursor) { return cursor.run == cursor.runs.size(); }

// To the next run that has rows, from this one on.
int FindRow(Cursor& cursor) {
  VirtualTable& table = TableOf(&cursor);
  for (; !AtEnd(cursor); ++cursor.run) {
    if (!cursor.rows) {
      const int code = Compute(table, cursor.runs[cursor.run], cursor.wanted);
      if (code != SQLITE_OK) return code;
      cursor.rows = table.rows;
    }
    if (cursor.row < cursor.rows->size()) return SQLITE_OK;
    cursor.rows.reset();
    cursor.row = 0;
  }
  return SQLITE_OK;
}

int Filter(sqlite3_vtab_cursor* base, int plan, const char* wanted, int, sqlite3_value** arguments) {
  auto& cursor = *static_cast<Cursor*>(base);
  cursor.runs.clear();
  cursor.rows.reset();
  cursor.run = cursor.row = 0;
  cursor.number = 0;
  cursor.wanted = wanted;
  int code = AllRuns(TableOf(base), cursor.runs);
  if (code != SQLITE_OK) return code;
  if (plan == kOneRun) {
    const auto* text = reinterpret_cast<const char*>(sqlite3_value_text(arguments[0]));
    std::erase_if(cursor.runs, [&](const std::string& run) { return text == nullptr || run != text; });
  }
  return FindRow(cursor);
}

int Next(sqlite3_vtab_cursor* base) {
  auto& cursor = *static_cast<Cursor*>(base);
  ++cursor.row;
  ++cursor.number;
  return FindRow(cursor);
}

int Eof(sqlite3_vtab_cursor* base) { return AtEnd(*static_cast<Cursor*>(base)) ? 1 : 0; }

void Give(sqlite3_context* to, const std::string& text) {
  sqlite3_result_text64(to, text.data(), text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
}

int Column(sqlite3_vtab_cursor* base, sqlite3_context* to, int column) {
  const auto& cursor = *static_cast<Cursor*>(base);
  if (column == 0) {
    Give(to, cursor.runs[cursor.run]);
    return SQLITE_OK;
  }
  const SqlValue& value = (*cursor.rows)[cursor.row][static_cast<size_t>(column - 1)];
  if (const auto* text = std::get_if<std::string>(&value)) Give(to, *text);
  if (const auto* whole = std::get_if<int64_t>(&value)) sqlite3_result_int64(to, *whole);
  if (const auto* real = std::get_if<double>(&value)) sqlite3_result_double(to, *real);
  return SQLITE_OK;  // without a result it is NULL
}

int RowId(sqlite3_vtab_cursor* base, sqlite3_int64* id) {
  *id = static_cast<Cursor*>(base)->number;
  return SQLITE_OK;
}

sqlite3_vtab* TableAt(sqlite3_vtab* table) { return table; }
sqlite3_vtab* TableAt(sqlite3_vtab_cursor* cursor) { return cursor->pVtab; }
sqlite3_vtab* TableAt(sqlite3*) { return nullptr; }

// SQLite is C: what is thrown must not pass through it, and becomes an error of the statement.
template <auto kCall>
struct Guarded;
template <typename First, typename... Rest, int (*kCall)(First, Rest...)>
struct Guarded<kCall> {
  static int Call(First first, Rest... rest) {
    try {
      return kCall(first, rest...);
    } catch (const std::bad_alloc&) {
      return Fail(TableAt(first), "there is not enough memory");
    } catch (...) {
      return Fail(TableAt(first), "a computed table failed in a way that nobody foresaw: a bug of moecap");
    }
  }
};

constexpr sqlite3_module MakeCalls() {
  sqlite3_module calls{};  // without xCreate it is there under its own name and cannot be made or dropped
  calls.xConnect = Guarded<Connect>::Call;
  calls.xBestIndex = Guarded<BestIndex>::Call;
  calls.xDisconnect = Disconnect;
  calls.xOpen = Guarded<Open>::Call;
  calls.xClose = Close;
  calls.xFilter = Guarded<Filter>::Call;
  calls.xNext = Guarded<Next>::Call;
  calls.xEof = Eof;
  calls.xColumn = Guarded<Column>::Call;
  calls.xRowid = RowId;
  return calls;
}

}  // namespace

Status AddComputedTable(sqlite3* database, ComputedTable table) {
  static constexpr sqlite3_module kCalls = MakeCalls();
  const std::string name = table.name;
  auto module = std::make_unique<Module>(Module{std::move(table), database});
  // SQLite owns the module, also where it refuses it.
  const int code = sqlite3_create_module_v2(database, name.c_str(), &kCalls, module.release(),
                                            [](void* given) { delete static_cast<Module*>(given); });
  if (code == SQLITE_OK) return {};
  return Failed(fmt::format("the table {} cannot be made: {}", name, sqlite3_errmsg(database)));
}

}  // namespace moecap::store
