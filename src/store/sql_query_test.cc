// Questions in SQL to the index.
#include "store/sql_query.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/fs.h"
#include "base/testing/temp_dir.h"

namespace moecap::store {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

class SqlQuery : public testing::Test {
 protected:
  void SetUp() override {
    fs::copy_file(fs::path(MOECAP_SOURCE_DIR) / "src/store/testdata/moecap-v3.db", dir_.path() / "moecap.db");
  }
  std::string ErrorOf(std::string_view sql) {
    const auto table = QueryIndex(dir_.path(), sql, 10);
    return table.ok() ? "" : table.error().message;
  }
  TempDir dir_;
};

TEST_F(SqlQuery, GivesColumnsAndTypedValues) {
  const auto table =
      QueryIndex(dir_.path(), "SELECT run_id, 2 AS two, 0.5 AS half, NULL AS none FROM runs ORDER BY run_id;\n", 10);
  ASSERT_TRUE(table.ok()) << table.error().message;
  EXPECT_THAT(table->columns, ElementsAre("run_id", "two", "half", "none"));
  ASSERT_EQ(table->rows.size(), 2u);
  EXPECT_EQ(table->rows[0], (std::vector<SqlValue>{std::string("first"), int64_t{2}, 0.5, std::monostate()}));
  EXPECT_FALSE(table->cut_off);
  const auto cut = QueryIndex(dir_.path(), "SELECT run_id FROM runs", 1);
  EXPECT_EQ(cut->rows.size(), 1u);
  EXPECT_TRUE(cut->cut_off);
}

TEST_F(SqlQuery, OnlyReads) {
  const std::string before = ReadFile(dir_.path() / "moecap.db").value();
  for (const char* sql :
       {"DELETE FROM runs", "DROP TABLE runs", "CREATE TABLE x (y)", "PRAGMA user_version = 9", "VACUUM INTO 'x.db'"})
    EXPECT_NE(ErrorOf(sql), "") << sql;
  EXPECT_NE(ErrorOf("ATTACH '" + (dir_.path() / "new.db").string() + "' AS other"), "");
  EXPECT_FALSE(fs::exists(dir_.path() / "new.db"));
  EXPECT_THAT(ErrorOf("SELECT 1; DELETE FROM runs"), HasSubstr("one statement"));
  EXPECT_THAT(ErrorOf(" -- nothing"), HasSubstr("no SQL statement"));
  EXPECT_THAT(ErrorOf("SELECT absent FROM runs"), HasSubstr("no such column"));
  EXPECT_EQ(ReadFile(dir_.path() / "moecap.db").value(), before);
}

}  // namespace
}  // namespace moecap::store
