#include "parquet/parquet.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "base/fs.h"
#include "base/testing/temp_dir.h"

namespace moecap::parquet {
namespace {

const std::string kFile = MOECAP_SOURCE_DIR "/src/workload/testing/datasets/options.parquet";

TEST(Parquet, WithoutTheLibraryTheErrorNamesTheRemedy) {
  ::setenv("MOECAP_DUCKDB", "/nowhere/libduckdb.so", 1);
  const Status status = ReadRows(kFile, [](std::string_view, int64_t) { return Status(); });
  ::unsetenv("MOECAP_DUCKDB");
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().kind, ErrorKind::kBadInput);
  EXPECT_THAT(status.error().message, testing::AllOf(testing::HasSubstr("options.parquet"), testing::HasSubstr("/nowhere"),
                                                     testing::HasSubstr("tools/fetch_duckdb")));
}

TEST(Parquet, GivesRowsAsJsonInTheFilesOrder) {
  if (FindLibrary().empty()) GTEST_SKIP() << "tools/fetch_duckdb was not run";
  std::vector<std::string> rows;
  const Status status = ReadRows(kFile, [&](std::string_view json, int64_t number) -> Status {
    EXPECT_EQ(number, std::ssize(rows) + 1);
    rows.emplace_back(json);
    return {};
  });
  ASSERT_TRUE(status.ok()) << status.error().message;
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0], R"({"question_id":7,"question":"Which is even?","options":["1","2","3"],"answer":"B","answer_index":1,)"
                     R"("cot_content":"","category":"math","src":"own"})");
  const Status stopped = ReadRows(kFile, [&](std::string_view, int64_t) -> Status { return BadInput("enough"); });
  EXPECT_EQ(stopped.error().message, "enough");
  EXPECT_FALSE(ReadRows(MOECAP_SOURCE_DIR "/README.md", [](std::string_view, int64_t) { return Status(); }).ok());
}

TEST(Parquet, GivesBackWhatWasWritten) {
  if (FindLibrary().empty()) GTEST_SKIP() << "tools/fetch_duckdb was not run";
  const TempDir dir;
  const auto lines = dir.path() / "rows.jsonl", file = dir.path() / "it's.parquet";
  const std::vector<Column> columns = {
      {"name", "VARCHAR"}, {"n", "BIGINT"}, {"x", "DOUBLE"}, {"at", "DOUBLE[]"}, {"parts", "STRUCT(a BIGINT, b BIGINT)[]"}};
  const std::vector<std::string> rows = {
      R"({"name":"é \"q\"","n":9007199254740993,"x":0.1,"at":[1e-9,2.0000000000000004],"parts":[{"a":1,"b":2}]})",
      R"({"name":null,"n":null,"x":null,"at":null,"parts":null})"};
  ASSERT_TRUE(WriteFileAtomically(lines, rows[0] + "\n{\"unknown\":1}\n").ok());
  ASSERT_TRUE(WriteRows(lines, columns, file).ok());
  std::vector<std::string> found;
  const Status status = ReadRows(file, [&](std::string_view json, int64_t) -> Status {
    found.emplace_back(json);
    return {};
  });
  ASSERT_TRUE(status.ok()) << status.error().message;
  EXPECT_EQ(found, rows);

  ASSERT_TRUE(WriteFileAtomically(lines, "").ok());
  ASSERT_TRUE(WriteRows(lines, columns, file).ok()) << "a table without rows";
  EXPECT_TRUE(ReadRows(file, [](std::string_view, int64_t) -> Status { return Failed("a row"); }).ok());

  ASSERT_TRUE(WriteFileAtomically(lines, R"({"n":"many"})").ok());
  EXPECT_EQ(WriteRows(lines, columns, file).error().kind, ErrorKind::kFailed);
  EXPECT_FALSE(WriteRows(lines, columns, dir.path() / "absent" / "rows.parquet").ok());
}

}  // namespace
}  // namespace moecap::parquet
