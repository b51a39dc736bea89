// Questions in SQL to the index.
#include "store/sql_query.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <new>
#include <stdexcept>

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

// Two rows of each run: its name and a number; what was asked for is counted.
struct Counted {
  std::vector<std::string> runs;
  std::vector<bool> wanted;
};

ComputedTable TwoRowsOf(Counted& asked) {
  return {"facts", {"name", "number", "nothing"}, [&asked](const std::string& run_id, const std::vector<bool>& wanted) {
            asked.runs.push_back(run_id);
            asked.wanted = wanted;
            return Result<std::vector<SqlRow>>(
                std::vector<SqlRow>{{run_id + "-a", int64_t{1}, std::monostate()}, {run_id + "-b", 2.5, std::monostate()}});
          }};
}

TEST_F(SqlQuery, ComputesRowsOfTheRunThatIsAskedFor) {
  Counted asked;
  const auto query = [&](std::string_view sql) {
    asked = {};
    auto table = QueryIndex(dir_.path(), sql, 100, {TwoRowsOf(asked)});
    EXPECT_TRUE(table.ok()) << (table.ok() ? "" : table.error().message);
    return table.ok() ? std::move(table)->rows : std::vector<SqlRow>();
  };
  EXPECT_EQ(query("SELECT * FROM facts WHERE run_id = 'first'"),
            (std::vector<SqlRow>{{std::string("first"), std::string("first-a"), int64_t{1}, std::monostate()},
                                 {std::string("first"), std::string("first-b"), 2.5, std::monostate()}}));
  EXPECT_THAT(asked.runs, ElementsAre("first"));
  EXPECT_THAT(asked.wanted, ElementsAre(true, true, true));
  EXPECT_EQ(query("SELECT sum(number) FROM facts WHERE run_id = 'first'"), (std::vector<SqlRow>{{3.5}}));
  EXPECT_THAT(asked.wanted, ElementsAre(false, true, false)) << "only what the statement reads";
  EXPECT_EQ(query("SELECT count(*) FROM facts"), (std::vector<SqlRow>{{int64_t{4}}})) << "all runs of the index";
  EXPECT_EQ(asked.runs.size(), 2u);
  EXPECT_EQ(query("SELECT count(*) FROM facts WHERE run_id = 'absent'"), (std::vector<SqlRow>{{int64_t{0}}}));
  EXPECT_TRUE(asked.runs.empty());
  EXPECT_EQ(query("SELECT count(*) FROM runs JOIN facts USING (run_id) WHERE run_id = 'first'"),
            (std::vector<SqlRow>{{int64_t{2}}}));
  EXPECT_THAT(asked.runs, ElementsAre("first"));
  EXPECT_EQ(query("SELECT count(*) FROM facts a JOIN facts b USING (run_id, name)"), (std::vector<SqlRow>{{int64_t{4}}}));
}

TEST_F(SqlQuery, AFailureToComputeIsTheStatementsError) {
  const ComputedTable broken = {"facts", {"name"}, [](const std::string& run_id, const std::vector<bool>&) {
                                  return Result<std::vector<SqlRow>>(BadInput(run_id + " is cut off"));
                                }};
  const auto table = QueryIndex(dir_.path(), "SELECT * FROM facts WHERE run_id = 'first'", 10, {broken});
  ASSERT_FALSE(table.ok());
  EXPECT_THAT(table.error().message, HasSubstr("first is cut off"));
  const auto writing = QueryIndex(dir_.path(), "DELETE FROM facts", 10, {broken});
  ASSERT_FALSE(writing.ok());
  EXPECT_THAT(writing.error().message, HasSubstr("may not be modified"));
}

TEST_F(SqlQuery, WhatAComputationThrowsIsTheStatementsError) {
  const auto error_of = [&](const std::function<void()>& bug) {
    const ComputedTable broken = {"facts", {"name"}, [&](const std::string&, const std::vector<bool>&) {
                                    bug();
                                    return Result<std::vector<SqlRow>>(std::vector<SqlRow>());
                                  }};
    const auto table = QueryIndex(dir_.path(), "SELECT * FROM runs JOIN facts USING (run_id)", 10, {broken});
    return table.ok() ? "" : table.error().message;
  };
  EXPECT_EQ(error_of([] {}), "");
  EXPECT_THAT(error_of([] { throw std::out_of_range("at"); }), HasSubstr("a bug of moecap"));
  EXPECT_THAT(error_of([] { throw std::bad_alloc(); }), HasSubstr("not enough memory"));
  EXPECT_THAT(error_of([] { throw 7; }), HasSubstr("a bug of moecap"));
}

}  // namespace
}  // namespace moecap::store
