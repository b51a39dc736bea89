#include "parquet/parquet.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

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

}  // namespace
}  // namespace moecap::parquet
