#include "report/terminal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "base/fs.h"
#include "base/table.h"
#include "report/figures.h"
#include "report/sample_summary.h"
#include "report/terminal_radar.h"

namespace moecap::report {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

// Compares with testdata/NAME. After a wanted change, look at the text that the failure names and copy it there.
void ExpectGolden(const std::string& name, const std::string& text) {
  const auto golden = ReadFile(std::string(MOECAP_SOURCE_DIR) + "/src/report/testdata/" + name);
  const std::string actual = testing::TempDir() + "/" + name;
  if (golden.ok() && *golden == text) return;
  ASSERT_TRUE(WriteFileAtomically(actual, text).ok());
  FAIL() << "differs from src/report/testdata/" << name << "; the text is in " << actual;
}

TEST(Terminal, MatchesGoldenTexts) {
  ExpectGolden("sample.txt", RenderTerminal(SampleSummary(), {}));
  ExpectGolden("sample_ascii.txt", RenderTerminal(SampleSummary(), {.unicode = false}));
  ExpectGolden("awkward.txt", RenderTerminal(AwkwardSummary(), {}));
}

TEST(Terminal, FitsTheWidth) {
  for (const auto& summary : {SampleSummary(), AwkwardSummary()}) {
    for (const size_t width : {40u, 60u, 80u, 120u, 200u}) {
      for (const bool unicode : {false, true}) {
        for (const bool color : {false, true}) {
          std::istringstream lines(RenderTerminal(summary, {.width = width, .color = color, .unicode = unicode}));
          for (std::string line; std::getline(lines, line);) EXPECT_LE(DisplayWidth(line), width) << line;
        }
      }
    }
  }
}

TEST(Terminal, IsPlainWithoutColorAndAsciiWithoutUnicode) {
  for (const auto& summary : {SampleSummary(), AwkwardSummary()}) {
    EXPECT_THAT(RenderTerminal(summary, {}), Not(HasSubstr("\x1b")));
    const std::string ascii = RenderTerminal(summary, {.unicode = false});
    EXPECT_TRUE(std::ranges::all_of(ascii, [](char c) { return c == '\n' || (c >= 32 && c < 127); }));
  }
  EXPECT_THAT(RenderTerminal(SampleSummary(), {.color = true}), HasSubstr("\x1b[1m"));
}

TEST(Terminal, ShowsTrouble) {
  const std::string text = RenderTerminal(AwkwardSummary(), {});
  EXPECT_THAT(text, HasSubstr("INCOMPLETE RUN"));
  EXPECT_THAT(text, HasSubstr(" 4!"));
  EXPECT_THAT(text, HasSubstr("client lag of 12 ms"));
  EXPECT_THAT(text, HasSubstr("a dense model has none"));
  EXPECT_THAT(RenderTerminal(SampleSummary(), {}), Not(HasSubstr("Not valid")));
}

TEST(Terminal, SurvivesAnEmptyRun) { EXPECT_THAT(RenderTerminal({}, {}), HasSubstr("No verdict")); }

TEST(TerminalRadar, KeepsItsWidthAndMarksEverySystem) {
  std::vector<cap::CapScores> scores;
  for (int i = 0; i < 12; ++i) scores.push_back({"s", 50, 50, 50, cap::CapClass::kBalanced, ""});
  for (const bool unicode : {false, true}) {
    const auto lines = DrawTerminalRadar(scores, {.columns = 39, .unicode = unicode});
    std::string all;
    for (const auto& line : lines) {
      EXPECT_EQ(DisplayWidth(line), 39u) << line;
      all += line;
    }
    // Twelve systems with equal scores still show twelve marks.
    for (size_t i = 0; i < scores.size(); ++i) EXPECT_THAT(all, HasSubstr(SystemMark(i, unicode))) << i;
  }
}

TEST(Figures, MarksEstimatesNullsAndInvalidCells) {
  const auto tables = BuildTables(AwkwardSummary());
  ASSERT_EQ(tables.size(), 4u);
  EXPECT_THAT(tables[0].rows[0].values, Contains(kMissing));
  EXPECT_FALSE(tables[0].rows[1].valid);
  EXPECT_THAT(tables[2].rows[1].values, Contains(testing::StartsWith("~")));
  for (const auto& table : tables) {
    for (const auto& row : table.rows) EXPECT_EQ(row.values.size(), table.columns.size());
  }
  cap::RunSummary metered = SampleSummary();
  for (auto& system : metered.systems) {
    for (auto& cell : system.cells) cell.energy_is_measured = true;
  }
  const auto metered_tables = BuildTables(metered);
  for (const auto& row : metered_tables[2].rows) EXPECT_THAT(row.values, Not(Contains(testing::StartsWith("~"))));
  EXPECT_THAT(InvalidNotes(SampleSummary()), IsEmpty());
  EXPECT_THAT(MissingNotes(SampleSummary()), IsEmpty());
}

TEST(Figures, ShowsMixedPassesWhenThereAreAny) {
  cap::RunSummary summary = SampleSummary();
  EXPECT_EQ(BuildTables(summary)[1].columns.size(), 9u);
  summary.systems[0].cells[0].utilization.mixed.passes = 3;
  EXPECT_EQ(BuildTables(summary)[1].columns.size(), 11u);
}

}  // namespace
}  // namespace moecap::report
