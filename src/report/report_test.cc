// SVG, HTML, Markdown, CSV and JSON of the hand-made summaries.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <span>
#include <sstream>

#include "base/json.h"
#include "base/table.h"
#include "report/charts.h"
#include "report/csv.h"
#include "report/figures.h"
#include "report/html.h"
#include "report/markdown.h"
#include "report/plots.h"
#include "report/sample_summary.h"
#include "report/summary_json.h"
#include "report/svg_inspect.h"
#include "report/terminal.h"
#include "report/words.h"

namespace moecap::report {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

TEST(XmlFault, SeesFaults) {
  EXPECT_EQ(XmlFault("<a><b c=\"d\"/>&amp;</a>"), "");
  EXPECT_NE(XmlFault("<a><b></a>"), "");
  EXPECT_NE(XmlFault("<a>x & y</a>"), "");
  EXPECT_NE(XmlFault("<a"), "");
}

std::string Csv(const cap::RunSummary& summary) { return RenderCsv(std::span(&summary, 1)); }

TEST(SummaryJson, RoundTripsEveryField) {
  for (const auto& summary : {SampleSummary(), AwkwardSummary()}) {
    const Json json = SummaryToJson(summary);
    const std::string text = DumpJson(json);
    const auto parsed = ParseJson(text);
    ASSERT_TRUE(parsed.ok());
    const auto back = SummaryFromJson(*parsed);
    ASSERT_TRUE(back.ok()) << back.error().message;
    // The awkward summary holds a control character and quotes; both survive.
    EXPECT_EQ(DumpJson(SummaryToJson(*back)), text);
    EXPECT_EQ(back->systems.size(), summary.systems.size());
    EXPECT_EQ(back->systems[0].cells[1].tpot_s->p99, summary.systems[0].cells[1].tpot_s->p99);
    EXPECT_EQ(back->systems[0].expert_share, summary.systems[0].expert_share);
    EXPECT_EQ(back->cap[0].cap_class, summary.cap[0].cap_class);
  }
}

TEST(SummaryJson, WritesNullForWhatIsNotKnown) {
  const Json json = SummaryToJson(AwkwardSummary());
  EXPECT_EQ(json["schema"], kSummarySchema);
  const auto& cell = json["systems"][0]["cells"][0];
  for (const char* key : {"ttft_s", "tpot_s", "output_tokens_per_s", "accuracy", "usd_per_million_output_tokens"}) {
    ASSERT_TRUE(cell.contains(key)) << key;
    EXPECT_TRUE(cell[key].is_null()) << key;
  }
  EXPECT_TRUE(cell["utilization"]["decode"]["s_mbu"].is_null());
  EXPECT_EQ(json["systems"][1]["cells"][0]["utilization"]["decode"]["mean_distinct_experts"], Json::array());
}

TEST(SummaryJson, NamesTheBadKey) {
  Json json = SummaryToJson(SampleSummary());
  json["systems"][1]["cells"][0]["ttft_s"]["p50"] = "fast";
  auto result = SummaryFromJson(json);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().message, "systems[1].cells[0].ttft_s.p50: expected a number, found string");

  json = SummaryToJson(SampleSummary());
  json["systems"][0]["cells"][0]["concurrency"] = std::numeric_limits<int64_t>::max();
  result = SummaryFromJson(json);
  ASSERT_FALSE(result.ok());
  EXPECT_THAT(result.error().message, HasSubstr("systems[0].cells[0].concurrency"));

  json = SummaryToJson(SampleSummary());
  json["cap"][0]["class"] = "XX";
  EXPECT_FALSE(SummaryFromJson(json).ok());
  EXPECT_FALSE(SummaryFromJson(Json::array()).ok());
  json["schema"] = 99;
  result = SummaryFromJson(json);
  ASSERT_FALSE(result.ok());
  EXPECT_THAT(result.error().message, HasSubstr("99"));
}

TEST(SummaryJson, IgnoresUnknownAndMissingKeys) {
  const auto parsed = ParseJson(R"({"schema":1,"systems":[{"name":"x","later":true}],"host":null})");
  const auto summary = SummaryFromJson(*parsed);
  ASSERT_TRUE(summary.ok());
  EXPECT_EQ(summary->systems[0].name, "x");
}

TEST(EscapeXml, EscapesAndDropsWhatXmlForbids) {
  EXPECT_EQ(EscapeXml("<a href=\"x\">&'"), "&lt;a href=&quot;x&quot;&gt;&amp;&#39;");
  EXPECT_THAT(EscapeXml("a\x01\x1b"
                        "b\xff"),
              Not(HasSubstr("\x1b")));
}

TEST(Charts, AreWellFormedAndShowEachSystem) {
  for (const auto& summary : {SampleSummary(), AwkwardSummary()}) {
    for (const auto mode : {SvgMode::kFragment, SvgMode::kStandalone}) {
      const auto charts = AllCharts(summary, mode);
      EXPECT_GE(charts.size(), 8u);
      for (const auto& chart : charts) {
        EXPECT_EQ(XmlFault(chart.svg), "") << chart.name;
        EXPECT_THAT(chart.svg, HasSubstr("<title id=")) << chart.name;
        EXPECT_THAT(chart.svg, HasSubstr("<desc id=")) << chart.name;
        EXPECT_THAT(chart.svg, Not(HasSubstr("nan"))) << chart.name;
        EXPECT_THAT(chart.svg, Not(HasSubstr("inf\""))) << chart.name;
        EXPECT_EQ(chart.svg.find("xmlns") != std::string::npos, mode == SvgMode::kStandalone) << chart.name;
        EXPECT_EQ(chart.svg.find("<style>") != std::string::npos, mode == SvgMode::kStandalone) << chart.name;
      }
    }
  }
  const auto charts = AllCharts(SampleSummary(), SvgMode::kStandalone);
  for (const auto& chart : charts) {
    if (chart.name.starts_with("expert-share")) continue;
    for (const char* name : {">F16<", ">Q8_0<", ">Q4_0<"}) EXPECT_THAT(chart.svg, HasSubstr(name)) << chart.name;
  }
  EXPECT_THAT(charts[0].reading, HasSubstr("Q4_0 on cost and performance; F16 on accuracy"));
}

TEST(Charts, TextsOfScatterPlotsKeepApart) {
  for (const double scale : {1e-5, 0.03, 1.0, 700.0}) {
    cap::RunSummary summary = SampleSummary();
    for (auto& system : summary.systems) {
      for (auto& cell : system.cells) {
        cell.usd_per_million_output_tokens = *cell.usd_per_million_output_tokens * scale;
        cell.tpot_s->mean *= scale;
      }
    }
    for (const auto& charts : {ParetoCharts(summary, SvgMode::kFragment), RooflineCharts(summary, SvgMode::kFragment)}) {
      EXPECT_FALSE(charts.empty());
      for (const auto& chart : charts) EXPECT_EQ(TextFault(chart.svg), "") << chart.name << " x " << scale;
    }
  }
}

TEST(Charts, TradeOffsSayWhoIsOnTheFront) {
  const auto charts = ParetoCharts(SampleSummary(), SvgMode::kFragment);
  ASSERT_EQ(charts.size(), 3u);
  EXPECT_EQ(charts[0].reading, "On the front: F16, Q8_0 and Q4_0.");
  EXPECT_EQ(charts[2].reading, "On the front: Q4_0, which beats every other one in both.");
  ASSERT_EQ(charts[2].table.rows.size(), 3u);
  EXPECT_EQ(charts[2].table.rows[0].back(), "no");
  // A system that must not be used is on no front and keeps nobody off it.
  cap::RunSummary summary = SampleSummary();
  summary.systems[2].cells[1].invalid = {"broken"};
  EXPECT_EQ(ParetoCharts(summary, SvgMode::kFragment)[2].reading, "On the front: Q8_0, which beats every other one in both.");
  summary.systems.resize(1);
  EXPECT_THAT(ParetoCharts(summary, SvgMode::kFragment), IsEmpty());
}

TEST(Charts, RooflineStandsOnTheSumsOfTheRun) {
  const auto summary = SampleSummary();
  const auto charts = RooflineCharts(summary, SvgMode::kFragment);
  ASSERT_EQ(charts.size(), 1u);
  ASSERT_EQ(charts[0].table.rows.size(), 6u);
  // The share of the bandwidth in the table is S-MBU, found another way.
  EXPECT_EQ(charts[0].table.rows[0].back(), "34.0 %");
  EXPECT_NEAR(*summary.systems[0].cells[1].utilization.decode.s_mbu, 0.340, 5e-4);
  EXPECT_THAT(charts[0].reading, HasSubstr("FLOP per byte"));
}

TEST(Advice, SetsTheMeasuredRankingBesideThePapersRows) {
  const Advice advice = BuildAdvice(SampleSummary());
  EXPECT_THAT(advice.source, HasSubstr("Table 7"));
  ASSERT_EQ(advice.table.rows.size(), 6u);
  EXPECT_EQ(advice.table.rows[0][1], "8 and more");
  EXPECT_EQ(advice.table.rows[1][1], "1 to 8, as here");
  EXPECT_THAT(advice.table.rows[0].back(), StartsWith("Q4_0 (21.8 ms); Q8_0"));
  EXPECT_THAT(advice.table.rows[2].back(), StartsWith("F16 (88.5 %)"));
  cap::RunSummary one = SampleSummary();
  one.systems.resize(1);
  EXPECT_THAT(BuildAdvice(one).table.rows, IsEmpty());
}

TEST(CostNotes, NameTheBasisAndTheBreakEven) {
  cap::RunSummary summary = SampleSummary();
  EXPECT_THAT(CostNotes(summary), testing::Contains("Owning is cheaper than renting from a utilisation of 37 % on."));
  EXPECT_THAT(CostNotes(summary), testing::Contains("A useful hour owned: USD 0.223 (low 0.112, high 0.410)."));
  summary.host.break_even_utilisation = 1.2;
  EXPECT_THAT(CostNotes(summary), testing::Contains("Renting is cheaper than owning at any utilisation."));
  summary.host.own_usd_per_useful_h = {0.2, 0.2, 0.2};
  EXPECT_THAT(CostNotes(summary), testing::Contains("A useful hour owned: USD 0.200; the prices have no range."));
  EXPECT_THAT(CostNotes({}), IsEmpty());
}

// A server does not tell what it runs: that is not a dense model of no parameters.
TEST(DescribeSystems, NothingIsKnownOfAServersModel) {
  cap::RunSummary summary = SampleSummary();
  summary.systems[0].total_params = summary.systems[0].active_params = 0;
  summary.systems[0].weight_bytes = summary.systems[0].moe_layers = 0;
  const SystemRow row = DescribeSystems(summary)[0];
  for (const std::string& text : {row.weights, row.parameters, row.active, row.size, row.experts}) EXPECT_EQ(text, kMissing);
  EXPECT_THAT(MissingNotes(summary), testing::Contains(HasSubstr("a server does not tell")));
  EXPECT_THAT(MissingNotes(summary), testing::Not(testing::Contains(HasSubstr("dense"))));
  const Json system = SummaryToJson(summary).at("systems").at(0);
  for (const char* key : {"total_params", "active_params", "weight_bytes", "moe_layers", "experts", "top_k"})
    EXPECT_TRUE(system.at(key).is_null()) << key;
  EXPECT_TRUE(SummaryFromJson(SummaryToJson(summary)).ok());
}

TEST(Charts, LeaveOutWhatHasNoData) {
  EXPECT_THAT(AllCharts({}, SvgMode::kFragment), IsEmpty());
  cap::RunSummary summary = SampleSummary();
  summary.systems.resize(1);
  summary.systems[0].cells.resize(1);
  summary.systems[0].expert_share.clear();
  summary.cap.clear();
  summary.cap_axes.clear();
  summary.cap_concurrency = 1;
  std::vector<std::string> names;
  for (const auto& chart : AllCharts(summary, SvgMode::kFragment)) names.push_back(chart.name);
  EXPECT_THAT(names, ElementsAre("accuracy", "cost", "tpot", "roofline"));
}

TEST(Charts, LargeHeatMapsStaySmall) {
  HeatMap map{{"h", "t", "s", "d"}, "layer", "expert", {}};
  for (int layer = 0; layer < 94; ++layer) {
    auto& row = map.ratios.emplace_back();
    for (int expert = 0; expert < 256; ++expert) row.push_back(((expert * 37 + layer * 101) % 97) / 40.0);
  }
  const std::string svg = DrawHeatMap(map, SvgMode::kFragment);
  EXPECT_EQ(XmlFault(svg), "");
  EXPECT_LT(svg.size(), 900'000u);
}

TEST(Html, IsWellFormedAndSelfContained) {
  for (const auto& summary : {SampleSummary(), AwkwardSummary(), cap::RunSummary{}}) {
    const std::string page = RenderHtml(summary);
    EXPECT_EQ(XmlFault(page), "");
    EXPECT_LT(page.size(), 2'000'000u);
    EXPECT_THAT(page, StartsWith("<!DOCTYPE html>"));
    for (const char* forbidden : {"src=", "<script", "<link", "@import", "url(", "http://", "https://"})
      EXPECT_EQ(Count(page, forbidden), 0u) << forbidden;
    EXPECT_THAT(page, HasSubstr("width=device-width"));
    EXPECT_THAT(page, HasSubstr("prefers-color-scheme:dark"));
    EXPECT_THAT(page, HasSubstr("@media print"));
  }
}

TEST(Html, EveryChartHasAReadingAndItsFigures) {
  const std::string page = RenderHtml(SampleSummary());
  const size_t figures = Count(page, "<figure>");
  EXPECT_EQ(figures, AllCharts(SampleSummary(), SvgMode::kFragment).size());
  EXPECT_EQ(Count(page, "<figcaption>"), figures);
  EXPECT_EQ(Count(page, "<summary>figures</summary>"), figures);
  for (const char* section : {"id=\"cap\"", "id=\"trade-offs\"", "id=\"advice\"", "id=\"cost-inputs\"", "Against the limits"})
    EXPECT_EQ(Count(page, section), 1u) << section;
}

TEST(Html, IdsAreUnique) {
  const std::string page = RenderHtml(SampleSummary());
  std::vector<std::string> ids;
  for (size_t at = page.find(" id=\""); at != std::string::npos; at = page.find(" id=\"", at + 1))
    ids.push_back(page.substr(at + 5, page.find('"', at + 5) - at - 5));
  EXPECT_GT(ids.size(), 20u);
  std::ranges::sort(ids);
  EXPECT_EQ(std::ranges::adjacent_find(ids), ids.end());
}

TEST(Html, EscapesNamesAndMarksTrouble) {
  const std::string page = RenderHtml(AwkwardSummary());
  EXPECT_THAT(page, HasSubstr("mo&lt;e&gt; &amp; &quot;x&quot; &#39;y&#39;"));
  EXPECT_THAT(page, Not(HasSubstr("mo<e>")));
  EXPECT_THAT(page, Not(HasSubstr("\x1b")));
  EXPECT_THAT(page, HasSubstr("INCOMPLETE RUN"));
  EXPECT_THAT(page, HasSubstr("client lag of 12 ms"));
  EXPECT_THAT(page, HasSubstr(">4!<"));
  EXPECT_THAT(RenderHtml(SampleSummary()), Not(HasSubstr("INCOMPLETE")));
}

TEST(Html, NamesHeatMapsThatWouldMakeThePageTooBig) {
  cap::RunSummary summary = SampleSummary();
  summary.systems.resize(1);
  auto& system = summary.systems[0];
  system.expert_share.assign(94, std::vector<double>(512, 0));
  for (size_t layer = 0; layer < 94; ++layer) {
    for (size_t expert = 0; expert < 512; ++expert)
      system.expert_share[layer][expert] = static_cast<double>((expert * 37 + layer * 101) % 97) / (48.0 * 512);
  }
  summary.systems.assign(6, SystemSummary(system));
  const std::string page = RenderHtml(summary);
  EXPECT_LT(page.size(), 2'000'000u);
  EXPECT_THAT(page, HasSubstr("Not drawn, to keep the page small"));
}

TEST(Markdown, HasTablesAndEscapes) {
  const std::string text = RenderMarkdown(AwkwardSummary());
  EXPECT_THAT(text, HasSubstr("mo&lt;e>"));
  EXPECT_THAT(text, HasSubstr("a\\|b"));
  EXPECT_THAT(text, HasSubstr("| 4 **!** |"));
  EXPECT_THAT(text, HasSubstr("INCOMPLETE RUN"));
  // Every row of a table has as many cells as its header.
  std::istringstream lines(RenderMarkdown(SampleSummary()));
  size_t cells = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.empty() || line[0] != '|') {
      cells = 0;
      continue;
    }
    if (cells == 0) cells = Count(line, "|");
    EXPECT_EQ(Count(line, "|"), cells) << line;
  }
}

TEST(Csv, HeaderIsStable) {
  const std::string text = Csv(SampleSummary());
  const std::string header = text.substr(0, text.find('\n'));
  EXPECT_THAT(
      header,
      StartsWith(
          "run_id,started_at,complete,dataset,system,model_id,weight_type,concurrency,repeats,requests,failed,"
          "ttft_mean_s,ttft_p50_s,ttft_p90_s,ttft_p99_s,tpot_mean_s,tpot_p50_s,tpot_p90_s,tpot_p99_s,"
          "itl_mean_s,itl_p50_s,itl_p90_s,itl_p99_s,e2e_mean_s,e2e_p50_s,e2e_p90_s,e2e_p99_s,"
          "input_mean_tokens,input_p50_tokens,input_p90_tokens,input_p99_tokens,"
          "output_mean_tokens,output_p50_tokens,output_p90_tokens,output_p99_tokens,"
          "output_rate_mean_tokens_per_s,output_rate_min_tokens_per_s,output_rate_max_tokens_per_s,output_rate_stderr_tokens_"
          "per_s,"
          "request_rate_mean_requests_per_s,request_rate_min_requests_per_s,request_rate_max_requests_per_s,"
          "request_rate_stderr_requests_per_s,prefill_passes,prefill_latency_s,prefill_tokens,prefill_bytes,prefill_kv_bytes,"
          "prefill_flops,prefill_s_mbu,prefill_s_mfu,prefill_s_mbu_paper,prefill_s_mfu_paper,prefill_mbu,prefill_mfu,"
          "decode_passes,"));
  EXPECT_THAT(header, HasSubstr(",decode_distinct_experts_mean,experts,top_k,peak_flops_per_s,kv_mean_bytes,kv_max_bytes,"
                                "accuracy,accuracy_stderr,answered,scored,"
                                "usd_per_million_input_tokens,usd_per_million_output_tokens,joules_per_output_token,energy_is_"
                                "measured,cap_cost_score,cap_accuracy_score,"
                                "cap_performance_score,cap_class,valid,invalid_reasons,"
                                "goodput_mean_requests_per_s,goodput_min_requests_per_s,goodput_max_requests_per_s,"
                                "goodput_stderr_requests_per_s,power_w,purchase_usd,cap_scenario,cap_class_support,"
                                "robust_score_usd_per_million_output_tokens,"));
  EXPECT_TRUE(header.ends_with(
      ",usd_per_million_output_tokens_all_in,usd_per_million_tokens_all_in,usd_per_request,energy_wh,joules_per_token,"
      "joules_per_request,chip_joules_per_output_token,kg_co2_per_million_tokens"))
      << "new columns are appended";
  EXPECT_EQ(Count(text, "\n"), 10u);
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) EXPECT_EQ(Count(line, ","), Count(header, ","));
}

TEST(Csv, QuotesAndLeavesNullsEmpty) {
  const std::string text = Csv(AwkwardSummary());
  EXPECT_THAT(text, HasSubstr("\"a|b <c> & \"\"d\"\"\""));
  EXPECT_THAT(text, HasSubstr(",1,1,4,4,,,,"));
  EXPECT_THAT(text, HasSubstr("client lag of 12 ms exceeds 10 % of TPOT; decode S-MBU"));
}

// Replaces every number of `json` by `number`.
void Overwrite(Json& json, const Json& number) {
  if (json.is_number()) {
    json = number;
  } else if (json.is_structured()) {
    for (auto& item : json) Overwrite(item, number);
  }
}

TEST(Renderers, SurviveFiguresThatNoMeasurementYields) {
  for (const Json& number : {Json(0), Json(-1), Json(2147483647)}) {
    Json json = SummaryToJson(SampleSummary());
    Overwrite(json, number);
    json["schema"] = kSummarySchema;
    const auto summary = SummaryFromJson(json);
    ASSERT_TRUE(summary.ok());
    EXPECT_EQ(XmlFault(RenderHtml(*summary)), "");
    EXPECT_THAT(RenderTerminal(*summary, {}), Not(IsEmpty()));
    EXPECT_THAT(Csv(*summary) + RenderMarkdown(*summary), Not(IsEmpty()));
  }
  for (const double number : {1e308, -1e308, 1e-308, 1e14, 1e-13, std::numeric_limits<double>::infinity(), std::nan("")}) {
    cap::RunSummary summary = SampleSummary();
    for (auto& system : summary.systems) {
      system.weight_bytes = number;
      system.peak_flops_per_s = number;
      for (auto& layer : system.expert_share) layer[1] = number;
      for (auto& cell : system.cells) {
        cell.ttft_s = cell.tpot_s = cell.itl_s = stats::Distribution{3, number, number, number, number, number, number, number};
        cell.output_tokens_per_s = cell.requests_per_s = stats::Spread{3, number, number, number, number};
        cell.accuracy = cell.accuracy_stderr = cell.usd_per_million_output_tokens = cell.joules_per_output_token = number;
        cell.utilization.decode.s_mbu = cell.utilization.decode.mbu = number;
        cell.utilization.decode.mean_distinct_experts = {number};
      }
    }
    for (auto& scores : summary.cap) scores.cost = scores.accuracy = scores.performance = number;
    const std::string page = RenderHtml(summary);
    EXPECT_EQ(XmlFault(page), "");
    EXPECT_THAT(page, Not(HasSubstr("=\"nan"))) << number;
    std::istringstream lines(RenderTerminal(summary, {}));
    for (std::string line; std::getline(lines, line);) EXPECT_LE(DisplayWidth(line), 80u) << line;
    EXPECT_THAT(Csv(summary) + RenderMarkdown(summary), Not(IsEmpty()));
  }
}

TEST(Verdict, GroupsWinsAndKeepsToTheNoise) {
  cap::RunSummary summary = SampleSummary();
  EXPECT_EQ(MakeVerdict(summary).headline, "Q4_0 is the fastest and the cheapest; F16 and Q8_0 are the most accurate.");
  for (auto& system : summary.systems) {
    for (auto& cell : system.cells) cell.accuracy_stderr = 0.05;
  }
  EXPECT_EQ(MakeVerdict(summary).headline, "Q4_0 is the fastest and the cheapest; accuracy does not separate the systems.");
  // An invalid cell wins nothing.
  summary.systems[2].cells[1].invalid = {"broken"};
  EXPECT_THAT(MakeVerdict(summary).headline, StartsWith("Q8_0 is the fastest"));
  EXPECT_EQ(MakeVerdict({}).headline, "No verdict: there is no valid measurement at concurrency 0.");
  summary.systems.resize(1);
  EXPECT_THAT(MakeVerdict(summary).headline, StartsWith("F16 serves 79.5 output tokens per second"));
}

TEST(Readings, AreEmptyWithoutFigures) {
  const cap::RunSummary none;
  EXPECT_THAT((std::vector<std::string>{ReadRadar(none), ReadCostBars(none), ReadTpotBars(none), ReadThroughput(none),
                                        ReadTpot(none), ReadUtilization(none), ReadDistinctExperts(none), ReadAccuracy(none),
                                        ReadExpertShare({}), ReadRobustRadar(none), ReadPareto({}), ReadRoofline({}),
                                        ReadHardwareMap({}), ReadSparsityCurve({})}),
              Each(IsEmpty()));
}

}  // namespace
}  // namespace moecap::report
