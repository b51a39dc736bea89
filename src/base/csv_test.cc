#include "base/csv.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace moecap {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

using Records = std::vector<std::vector<std::string>>;

Records All(std::string_view text, CsvBlanks blanks = CsvBlanks::kDropped) {
  CsvReader reader(text, blanks);
  Records records;
  std::vector<std::string> fields;
  for (;;) {
    const auto more = reader.Next(fields);
    if (!more.ok()) {
      ADD_FAILURE() << more.error().message;
      return records;
    }
    if (!*more) return records;
    records.push_back(fields);
  }
}

TEST(Csv, QuotesBreaksAndMarks) {
  EXPECT_EQ(All("a,b\n1,2\n"), (Records{{"a", "b"}, {"1", "2"}}));
  EXPECT_EQ(All("\xef\xbb\xbf"
                "a,b\r\n1,2"),
            (Records{{"a", "b"}, {"1", "2"}}));
  EXPECT_EQ(All("\"x, y\",\"he said \"\"no\"\"\"\n"), (Records{{"x, y", "he said \"no\""}}));
  EXPECT_EQ(All("\"two\nlines\" , 3 \n\n4,\n"), (Records{{"two\nlines", "3"}, {"4", ""}}));
  EXPECT_TRUE(All("").empty());
  EXPECT_TRUE(All("\n\r\n").empty());
}

// As Python's csv reads it.
TEST(Csv, KeepsBlanksWhereAsked) {
  EXPECT_EQ(All(" a , b\r\nc ,\"d\"\r\n", CsvBlanks::kKept), (Records{{" a ", " b"}, {"c ", "d"}}));
  EXPECT_EQ(All("x, \"y\"\n", CsvBlanks::kKept), (Records{{"x", " \"y\""}}));
}

TEST(Csv, DamageNamesItsLine) {
  const auto error = [](std::string_view text) {
    CsvReader reader(text);
    std::vector<std::string> fields;
    for (;;) {
      const auto more = reader.Next(fields);
      if (!more.ok()) return more.error().message;
      if (!*more) return std::string();
    }
  };
  EXPECT_THAT(error("a\n\"b"), HasSubstr("opened in line 2 is not closed"));
  EXPECT_THAT(error("a\n\"b\"c\n"), HasSubstr("line 2: text behind the closing quote"));
}

TEST(Csv, LinesAndColumns) {
  CsvReader reader("a\n\"1\n2\"\n3\n");
  std::vector<std::string> fields;
  ASSERT_TRUE(reader.Next(fields).ok());
  ASSERT_TRUE(reader.Next(fields).ok());
  EXPECT_EQ(reader.line_number(), 2);
  ASSERT_TRUE(reader.Next(fields).ok());
  EXPECT_EQ(reader.line_number(), 4);
  EXPECT_EQ(ColumnOf({"Layer", "expert"}, "layer"), 0);
  EXPECT_EQ(ColumnOf({"Layer", "expert"}, "token"), -1);
}

}  // namespace
}  // namespace moecap
