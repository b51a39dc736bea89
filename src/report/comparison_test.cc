// The renderers of a comparison, on one made by hand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/table.h"
#include "report/comparison_html.h"
#include "report/comparison_json.h"
#include "report/comparison_markdown.h"
#include "report/comparison_tables.h"
#include "report/comparison_terminal.h"

namespace moecap::report {
namespace {

using cap::AxisId;
using cap::Comparison;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

cap::ComparedSystem System(const std::string& name, double usd, double accuracy, double tpot_s) {
  cap::ComparedSystem system;
  system.label = system.system = name;
  system.run_id = "run-1";
  system.concurrency = 4;
  for (const double value : {usd, accuracy, tpot_s}) {
    cap::ComparedFigure figure;
    figure.value = value;
    figure.interval = stats::Interval{value * 0.9, value * 1.1};
    figure.noise = "2 repetitions";
    figure.paper_score = 50;
    figure.robust_score = 40;
    system.figures.push_back(figure);
  }
  system.scores.system = name;
  system.scores.cap_class = cap::CapClass::kCostAccuracy;
  system.scores.reason = "CA: 10.0 points more accurate than other, gives up performance: 2.0x slower";
  system.scores.class_support = 0.75;
  system.scores.class_alternatives = {{cap::CapClass::kDominated, 0.246}, {cap::CapClass::kBalanced, 0.004}};
  system.on_front = true;
  system.hypervolume_share = 0.25;
  return system;
}

Comparison Sample() {
  Comparison comparison;
  comparison.runs = {
      {"run-1", "2026-01-31T12:00:00Z", "0.2.0", "engine", "moe", "set, 8 problems", "strict", "a machine", true}};
  comparison.scenario = "online";
  comparison.normalisation = "paper";
  comparison.axes = {{AxisId::kUsdPerMillionOutputTokens, cap::AxisLimit{AxisId::kUsdPerMillionOutputTokens, 0.001, "why"}},
                     {AxisId::kAccuracy, std::nullopt},
                     {AxisId::kTpot, std::nullopt}};
  comparison.systems = {System("first", 2, 0.9, 0.020), System("second", 1, 0.8, 0.010)};
  for (auto& figure : comparison.systems[0].figures) figure.verdict = cap::Verdict::kBaseline;
  const double differences[] = {-1, -0.1, -0.010};
  for (size_t k = 0; k < 3; ++k) {
    auto& figure = comparison.systems[1].figures[k];
    figure.difference = differences[k];
    figure.difference_interval = stats::Interval{1.2 * differences[k], 0.8 * differences[k]};
    figure.verdict = k == 1 ? cap::Verdict::kWorse : cap::Verdict::kBetter;
  }
  comparison.systems[1].figures[1].p_value = 0.0123;
  comparison.resamples = 1000;
  comparison.hypervolume = 0.125;
  comparison.planes = {{AxisId::kUsdPerMillionOutputTokens, AxisId::kTpot, {"second"}, 0.25}};
  comparison.notes = {"a note"};
  return comparison;
}

TEST(ComparisonTables, DifferencesAreInPercentOfTheBaselineOrInPoints) {
  const auto tables = FigureTables(Sample());
  ASSERT_EQ(tables.size(), 3u);
  EXPECT_EQ(tables[2].title, "TPOT (ms), lower is better");
  EXPECT_THAT(tables[2].rows[0], ElementsAre("20.0", "18.0 to 22.0", "-", "-", "baseline"));
  EXPECT_THAT(tables[2].rows[1], ElementsAre("10.0", "9.0 to 11.0", "-50.0", "-60.0 to -40.0", "better"));
  EXPECT_THAT(tables[1].rows[1], ElementsAre("80.0", "72.0 to 88.0", "-10.0", "-12.0 to -8.0", "0.012", "worse"));
}

TEST(ComparisonTables, WhatIsNotKnownIsADash) {
  Comparison comparison = Sample();
  comparison.systems[1].figures[2] = {};
  comparison.systems[1].scores.class_support.reset();
  comparison.systems[1].hypervolume_share.reset();
  comparison.systems[1].on_front.reset();
  EXPECT_THAT(FigureTables(comparison)[2].rows[1], ElementsAre("-", "-", "-", "-", "not known"));
  EXPECT_THAT(ScoreTable(comparison).rows[1], ElementsAre("50", "50", "-", "40", "40", "-", "CA", "-", "-", "-"));
}

TEST(ComparisonTables, TheClassSentenceNamesSupportAndAlternatives) {
  EXPECT_EQ(
      ClassSentence(Sample().systems[0]),
      "first (CA, in 75 % of resamples; else dominated 25 %): 10.0 points more accurate than other, gives up performance: "
      "2.0x slower.");
}

TEST(ComparisonTables, TheRadarFollowsTheNormalisation) {
  Comparison comparison = Sample();
  EXPECT_EQ(DrawnScores(comparison)[0].system, "first");
  comparison.normalisation = "robust";
  EXPECT_EQ(DrawnScores(comparison)[0].cost, 40);
}

TEST(RenderComparison, EveryFormatShowsWarningsLimitsAndFigures) {
  Comparison comparison = Sample();
  comparison.warnings = {"FORCED: the runs differ in hardware"};
  TerminalOptions terminal;
  for (const std::string& text : {RenderComparisonTerminal(comparison, terminal), RenderComparisonMarkdown(comparison),
                                  RenderComparisonHtml(comparison), DumpJson(ComparisonToJson(comparison))}) {
    EXPECT_THAT(text, AllOf(HasSubstr("FORCED: the runs differ in hardware"), HasSubstr("why"), HasSubstr("a note"),
                            HasSubstr("second"), HasSubstr("better"), HasSubstr("2 repetitions")));
  }
}

TEST(RenderComparison, NoLineIsTooWideForTheTerminal) {
  Comparison comparison = Sample();
  comparison.systems[1].label = "a-run-with-a-very-long-name-indeed/and-a-system-with-one-too";
  for (const size_t width : {60u, 80u, 132u}) {
    TerminalOptions options;
    options.width = width;
    std::istringstream lines(RenderComparisonTerminal(comparison, options));
    for (std::string line; std::getline(lines, line);) EXPECT_LE(DisplayWidth(line), width) << line;
  }
  TerminalOptions ascii;
  ascii.unicode = false;
  for (const char c : RenderComparisonTerminal(comparison, ascii)) EXPECT_LT(static_cast<unsigned char>(c), 128);
}

TEST(RenderComparison, HostileTextDoesNotGetThrough) {
  Comparison comparison = Sample();
  comparison.systems[0].label = "<script>alert(1)</script>\x1b[31m|`";
  comparison.warnings = {"<b>\x1b[2J"};
  TerminalOptions plain;
  EXPECT_THAT(RenderComparisonTerminal(comparison, plain), Not(HasSubstr("\x1b")));
  const std::string html = RenderComparisonHtml(comparison);
  EXPECT_THAT(html, AllOf(Not(HasSubstr("<script")), Not(HasSubstr("<b>\x1b")), Not(HasSubstr("\x1b"))));
  EXPECT_THAT(RenderComparisonMarkdown(comparison), AllOf(Not(HasSubstr("<script")), HasSubstr("\\|\\`")));
}

TEST(RenderComparison, ExtremeFiguresAreDrawnOrLeftOut) {
  for (const double number : {0.0, -1.0, 1e300, 1e-300, std::numeric_limits<double>::infinity()}) {
    Comparison comparison = Sample();
    for (auto& system : comparison.systems) {
      for (auto& figure : system.figures) {
        figure.value = number;
        figure.interval = stats::Interval{number, number};
        figure.robust_score = figure.paper_score = number;
      }
    }
    TerminalOptions options;
    EXPECT_FALSE(RenderComparisonTerminal(comparison, options).empty());
    EXPECT_THAT(RenderComparisonHtml(comparison), AllOf(Not(HasSubstr("nan")), Not(HasSubstr("inf,"))));
  }
}

TEST(ComparisonJson, KeepsEveryKeyAndNull) {
  Comparison comparison = Sample();
  comparison.systems[1].figures[2] = {};
  const Json json = ComparisonToJson(comparison);
  EXPECT_EQ(json["axes"][0]["limit"]["value"], 0.001);
  EXPECT_EQ(json["axes"][0]["decades"], 6);
  EXPECT_TRUE(json["axes"][1]["decades"].is_null());
  EXPECT_TRUE(json["systems"][1]["figures"]["tpot_s"]["value"].is_null());
  EXPECT_EQ(json["systems"][1]["figures"]["accuracy"]["p_value"], 0.0123);
  EXPECT_EQ(json["systems"][0]["class_alternatives"][0]["class"], "dominated");
  EXPECT_TRUE(json["advice"]["tier"].is_null());
  EXPECT_EQ(json["planes"][0]["front"][0], "second");
}

}  // namespace
}  // namespace moecap::report
