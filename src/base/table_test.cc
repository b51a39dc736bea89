#include "base/table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "base/units.h"

namespace moecap {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(DisplayWidth, CountsCellsNotBytes) {
  EXPECT_EQ(DisplayWidth("plain"), 5u);
  EXPECT_EQ(DisplayWidth("±…×"), 3u);
  EXPECT_EQ(DisplayWidth("模型"), 4u);
  EXPECT_EQ(DisplayWidth("e\xCC\x81"), 1u);
  EXPECT_EQ(DisplayWidth("\x1b[1;31mred\x1b[0m"), 3u);
  EXPECT_EQ(DisplayWidth("\xff\xfe"), 2u);
}

TEST(PrintableText, TakesAwayControlAndInvalidBytes) {
  EXPECT_EQ(PrintableText("a\x1b[31mb"), "a\xEF\xBF\xBD[31mb");
  EXPECT_EQ(PrintableText("two\nlines"), "two lines");
  EXPECT_EQ(PrintableText("\xC0\xAF"), "\xEF\xBF\xBD\xEF\xBF\xBD");
  EXPECT_EQ(PrintableText("\xED\xA0\x80x"), "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDx");
}

TEST(AsciiText, SpellsOutOurTypography) { EXPECT_EQ(AsciiText("1 ± 2 … 3× ü"), "1 +/- 2 ... 3x ?"); }

TEST(Shorten, GivesUpTheMiddle) {
  EXPECT_EQ(Shorten("SGLang FP8 TP8", 20), "SGLang FP8 TP8");
  EXPECT_EQ(Shorten("SGLang FP8 TP8", 9), "SGLa… TP8");
  EXPECT_EQ(Shorten("SGLang FP8 TP8", 9, false), "SGLa~ TP8");
  EXPECT_LE(DisplayWidth(Shorten("模型模型模型模型", 6)), 6u);
  EXPECT_EQ(Shorten("abc", 0), "");
}

TEST(WrapText, BreaksAtSpacesAndInsideLongWords) {
  EXPECT_THAT(WrapText("one two three", 7), ElementsAre("one two", "three"));
  EXPECT_THAT(WrapText("abcdefghij k", 4), ElementsAre("abcd", "efgh", "ij k"));
  EXPECT_THAT(WrapText("", 10), ElementsAre(""));
  EXPECT_THAT(WrapText("  spaced   out ", 20), ElementsAre("spaced out"));
}

TEST(RenderTable, AlignsAndGroups) {
  const std::string text =
      RenderTable({{"", "system", Align::kLeft, true}, {"TTFT (ms)", "p50"}, {"TTFT (ms)", "p99"}, {"", "tok/s"}},
                  {{"F16", "1.0", "12.5", "40"}, {"Q4", "0.5", "7.5", "80"}}, {.unicode = false});
  EXPECT_EQ(text,
            "        TTFT (ms)\n"
            "system   p50  p99  tok/s\n"
            "------  ---------  -----\n"
            "F16      1.0 12.5     40\n"
            "Q4       0.5  7.5     80\n");
}

TEST(RenderTable, CutsBetweenGroupsWhenTooWide) {
  const std::vector<TableColumn> columns = {
      {"", "system", Align::kLeft, true}, {"A", "first"}, {"A", "second"}, {"B", "third"}, {"B", "fourth"}};
  EXPECT_EQ(TableWidth(columns, {{"name", "1", "2", "3", "4"}}), 34u);
  const std::string text = RenderTable(columns, {{"name", "1", "2", "3", "4"}}, {.width = 22, .unicode = false});
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) EXPECT_LE(DisplayWidth(line), 22u) << line;
  EXPECT_THAT(text, HasSubstr("system  first second\n"));
  EXPECT_THAT(text, HasSubstr("system  third fourth\n"));
  const std::string narrow = RenderTable(columns, {{"name", "1", "2", "3", "4"}}, {.width = 14, .unicode = false});
  std::istringstream narrow_lines(narrow);
  for (std::string line; std::getline(narrow_lines, line);) EXPECT_LE(DisplayWidth(line), 14u) << line;
  EXPECT_THAT(narrow, HasSubstr("fourth"));
}

// A cell of several lines leaves no empty lines in the parts that do not show it.
TEST(RenderTable, APartHasItsOwnLinesOnly) {
  const std::string text =
      RenderTable({{"", "key", Align::kLeft, true}, {"", "number"}, {"", "words", Align::kLeft}},
                  {{"a", "1", "one"}, {"", "", "two"}, {"b", "2", "three"}}, {.width = 12, .unicode = false});
  EXPECT_EQ(text,
            "key  number\n"
            "---  ------\n"
            "a         1\n"
            "b         2\n"
            "\n"
            "key  words\n"
            "---  -----\n"
            "a    one\n"
            "     two\n"
            "b    three\n");
}

TEST(Units, ChoosesUnitAndDigits) {
  EXPECT_EQ(FormatSignificant(0.012345, 3), "0.0123");
  EXPECT_EQ(FormatSignificant(9.996, 3), "10.0");
  EXPECT_EQ(FormatSignificant(4567, 3), "4570");
  EXPECT_EQ(FormatFixed(-0.0001, 2), "0.00");
  EXPECT_EQ(FormatSeconds(0.0123), "12.3 ms");
  EXPECT_EQ(FormatSeconds(0.00085), "850 us");
  EXPECT_EQ(FormatSeconds(4.567), "4.57 s");
  EXPECT_EQ(FormatSeconds(200), "3 min 20 s");
  EXPECT_EQ(FormatSeconds(7500), "2 h 05 min");
  EXPECT_EQ(FormatBytes(512), "512 B");
  EXPECT_EQ(FormatBytes(1.23e9), "1.23 GB");
  EXPECT_EQ(FormatSi(2.56e10, "B/s"), "25.6 GB/s");
  EXPECT_EQ(FormatSi(1.2e12, "FLOP/s"), "1.20 TFLOP/s");
  EXPECT_EQ(FormatSi(999.7, "B/s"), "1.00 kB/s");
  EXPECT_EQ(FormatParams(30'532'122'624), "30.5B");
  EXPECT_EQ(FormatParams(847), "847");
  EXPECT_EQ(FormatPercent(0.4234, 1), "42.3 %");
}

}  // namespace
}  // namespace moecap
