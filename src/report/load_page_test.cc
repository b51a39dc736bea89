// The page, Markdown, CSV and charts of load tests.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "report/load_charts.h"
#include "report/load_csv.h"
#include "report/load_html.h"
#include "report/load_json.h"
#include "report/load_markdown.h"
#include "report/load_plots.h"
#include "report/sample_load.h"
#include "report/svg_inspect.h"

namespace moecap::report {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

std::vector<std::string> Names(const std::vector<Chart>& charts) {
  std::vector<std::string> names;
  for (const auto& chart : charts) names.push_back(chart.name);
  return names;
}

TEST(LoadCharts, EachIsWellFormedAndHasAReadingAndATable) {
  for (const auto& summary : {SampleLoadTest(), SampleSingleLoad(800), SampleSingleLoad(30)}) {
    for (const auto& charts :
         {LoadDistributionCharts(summary, SvgMode::kStandalone), LoadSweepCharts(summary, SvgMode::kStandalone),
          LoadConcurrencyCharts(summary, SvgMode::kStandalone)}) {
      for (const auto& chart : charts) {
        EXPECT_EQ(XmlFault(chart.svg), "") << chart.name;
        EXPECT_EQ(TextFault(chart.svg), "") << chart.name;
        EXPECT_FALSE(chart.table.rows.empty()) << chart.name;
        EXPECT_FALSE(chart.reading.empty()) << chart.name;
        EXPECT_THAT(chart.svg, Not(HasSubstr("nan")));
      }
    }
  }
}

TEST(LoadCharts, OfASweepAndOfASingleLoad) {
  const auto sweep = SampleLoadTest();
  EXPECT_THAT(Names(LoadSweepCharts(sweep, SvgMode::kFragment)),
              ElementsAre("load-throughput-speed", "load-ttft-by-load", "load-tpot-by-load"));
  EXPECT_THAT(Names(LoadDistributionCharts(sweep, SvgMode::kFragment)), ElementsAre("load-ttft", "load-itl"));
  EXPECT_THAT(LoadConcurrencyCharts(sweep, SvgMode::kFragment), SizeIs(4));
  EXPECT_THAT(LoadSweepCharts(SampleSingleLoad(800), SvgMode::kFragment), IsEmpty());
  EXPECT_THAT(LoadConcurrencyCharts({}, SvgMode::kFragment), IsEmpty());
  EXPECT_THAT(LoadDistributionCharts({}, SvgMode::kFragment), IsEmpty());
}

TEST(LoadCharts, TheParetoFrontLeavesOutInvalidLoads) {
  const auto chart = LoadSweepCharts(SampleLoadTest(), SvgMode::kFragment).front();
  ASSERT_THAT(chart.table.rows, SizeIs(4));
  EXPECT_EQ(chart.table.rows[3].back(), "not valid");
  EXPECT_EQ(chart.table.rows[2].back(), "yes");
  EXPECT_THAT(chart.reading, Not(HasSubstr("64 clients")));
}

TEST(LoadPlots, UnsupportedPercentilesAreNotDrawn) {
  PercentilePlot plot{
      {"p", "TTFT", "s", "d"}, "ms", {{0, "a", {{0.5, 10, true, 9, 11}, {0.9, 20, true, {}, {}}, {0.99, 70, false, {}, {}}}}}};
  const std::string svg = DrawPercentiles(plot, SvgMode::kFragment);
  EXPECT_THAT(svg, HasSubstr("a p50: 10.0 (9.00 to 11.0)"));
  EXPECT_THAT(svg, HasSubstr("a p90: 20.0"));
  EXPECT_THAT(svg, Not(HasSubstr("70.0")));
  const PlotTable table = TableOf(plot);
  EXPECT_THAT(table.rows[0], ElementsAre("p50", "10.0 (9.00 to 11.0)"));
  EXPECT_THAT(table.rows[2], ElementsAre("p99", "n/a"));
  plot.series[0].points = {{0.99, 70, false, {}, {}}};
  EXPECT_THAT(DrawPercentiles(plot, SvgMode::kFragment), IsEmpty());
}

TEST(LoadPlots, StepsAreHeldUntilTheNext) {
  StepPlot plot{{"p", "t", "s", "d"}, "s", "requests", {{0, "in flight", {0, 1, 19}, {2, 5, 0}}}, {}};
  const std::string svg = DrawSteps(plot, SvgMode::kFragment);
  const size_t at = svg.find("points=\"", svg.find("<polyline")) + 8;
  EXPECT_EQ(Count(svg.substr(at, svg.find('"', at) - at), ","), 5u) << "three steps and two corners between them";
  const PlotTable table = TableOf(plot);
  ASSERT_EQ(table.rows.size(), 20u);
  EXPECT_THAT(table.rows[0], ElementsAre("0", "2.00"));
  EXPECT_THAT(table.rows[1], ElementsAre("1.00", "5.00"));
  EXPECT_THAT(table.rows[18], ElementsAre("18.0", "5.00"));
  plot.series[0].at = {0};
  EXPECT_THAT(DrawSteps(plot, SvgMode::kFragment), IsEmpty());
}

TEST(LoadHtml, IsWellFormedAndSelfContained) {
  metrics::LoadTestSummary summary = SampleSingleLoad(800);
  summary.model = "<script>alert(1)</script>";
  for (const auto& each : {summary, SampleLoadTest(), metrics::LoadTestSummary{}}) {
    const std::string page = RenderLoadHtml(each);
    EXPECT_EQ(XmlFault(page.substr(page.find("<html"))), "");
    EXPECT_THAT(page, Not(HasSubstr("<script")));
    EXPECT_EQ(Count(page, "http://") + Count(page, "https://"), Count(page, "http://localhost:8000")) << "nothing is loaded";
    EXPECT_LT(page.size(), 400'000u);
  }
  const std::string page = RenderLoadHtml(summary);
  for (const char* part : {"Distributions", "Requests in flight", "Validity gates", "TRIPPED", "Errors", "n/a (6636)",
                           "HTTP 503: no free slot", "class=\"alarm\"", "18 requests/s keep the objectives"})
    EXPECT_TRUE(page.find(part) != std::string::npos) << part;
  const std::string sweep = RenderLoadHtml(SampleLoadTest());
  EXPECT_EQ(Count(sweep, "<details><summary>"), 4u) << "the tables of each load are folded";
  EXPECT_TRUE(sweep.find("64 clients (not valid)") != std::string::npos);
}

TEST(LoadMarkdown, EscapesAndShowsEveryCell) {
  metrics::LoadTestSummary summary = SampleLoadTest();
  summary.model = "a|b*c";
  const std::string text = RenderLoadMarkdown(summary);
  EXPECT_THAT(text, HasSubstr("a\\|b\\*c"));
  EXPECT_THAT(text, HasSubstr("| 64 clients **!** |"));
  EXPECT_EQ(Count(text, "## Latency at "), 4u);
  EXPECT_EQ(Count(text, "## Validity gates, "), 4u);
  // Every table has rows of equal length.
  std::istringstream lines(text);
  size_t columns = 0;
  for (std::string line; std::getline(lines, line);) {
    const size_t here = line.starts_with("|") ? Count(line, "|") - Count(line, "\\|") : 0;
    if (here > 0 && columns > 0) {
      EXPECT_EQ(here, columns) << line;
    }
    columns = here;
  }
}

std::vector<std::string> SplitLine(const std::string& line) {
  std::vector<std::string> fields(1);
  bool quoted = false;
  for (const char c : line) {
    if (c == '"') {
      quoted = !quoted;
    } else if (c == ',' && !quoted) {
      fields.emplace_back();
    } else {
      fields.back() += c;
    }
  }
  return fields;
}

TEST(LoadCsv, HasALineACellThatAgreesWithTheJson) {
  const std::vector<metrics::LoadTestSummary> tests = {SampleLoadTest(), SampleSingleLoad(100)};
  std::istringstream lines(RenderLoadCsv(tests));
  std::string line;
  std::getline(lines, line);
  const std::vector<std::string> head = SplitLine(line);
  std::vector<std::vector<std::string>> rows;
  while (std::getline(lines, line)) rows.push_back(SplitLine(line));
  ASSERT_EQ(rows.size(), 5u);
  const auto at = [&](size_t row, const std::string& name) {
    const auto place = std::ranges::find(head, name);
    EXPECT_NE(place, head.end()) << name;
    return rows[row].at(static_cast<size_t>(place - head.begin()));
  };
  for (const auto& row : rows) EXPECT_EQ(row.size(), head.size());
  const Json json = LoadTestToJson(tests[0]);
  const Json& whole = json["cells"][2]["whole"];
  EXPECT_EQ(std::stod(at(2, "output_tokens_per_s")), whole["output_tokens_per_s"].get<double>());
  EXPECT_EQ(std::stod(at(2, "tpot_p99_s")), whole["latencies"]["tpot_s"]["percentiles"]["p99"]["value"].get<double>());
  EXPECT_EQ(at(3, "valid"), "false");
  EXPECT_EQ(at(4, "ttft_p99_s"), "") << "98 answers do not support it";
  EXPECT_EQ(at(4, "clients"), "");
  EXPECT_EQ(at(4, "rate_per_s"), "20");
  EXPECT_EQ(at(0, "workload"), "fixed: 512 tokens in, 32 out (ids), salted");
  EXPECT_NE(at(0, "steady_output_tokens_per_s"), "");
}

}  // namespace
}  // namespace moecap::report
