// Reports of experiments and comparisons, from one hand-made sample.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "base/json.h"
#include "base/table.h"
#include "report/comparison_document.h"
#include "report/comparison_json.h"
#include "report/experiment_csv.h"
#include "report/experiment_document.h"
#include "report/experiment_json.h"
#include "report/render.h"
#include "report/svg_inspect.h"
#include "report/testing/sample_experiment.h"

namespace moecap::report {
namespace {

using cap::FigureId;
using testing::AllOf;
using testing::ContainsRegex;
using testing::Each;
using testing::HasSubstr;
using testing::IsSupersetOf;
using testing::Le;
using testing::Not;

std::vector<std::string> Fields(const std::string& line) {
  std::vector<std::string> fields(1);
  bool quoted = false;
  for (const char c : line) {
    if (c == '"') quoted = !quoted;
    if (c == ',' && !quoted) {
      fields.emplace_back();
    } else {
      fields.back() += c;
    }
  }
  return fields;
}

std::string Terminal(const Document& document, bool all) {
  return RenderTerminal(document, {.width = 80, .color = false, .unicode = true, .all = all});
}

std::string LineWith(const std::string& text, const std::string& part) {
  for (const std::string& line : Lines(text)) {
    if (line.find(part) != std::string::npos) return line;
  }
  return "";
}

std::set<std::string> PlotNames(const Document& document) {
  std::set<std::string> names;
  for (const auto& [name, svg] : RenderSvgs(document)) names.insert(name);
  return names;
}

TEST(ExperimentReport, FirstScreenHasTheVerdictAndOneTableAndFits) {
  const cap::JudgedExperiment experiment = SampleExperiment();
  const std::string text = Terminal(ExperimentDocument(experiment), false);
  EXPECT_THAT(Widths(text), Each(Le(80u)));
  EXPECT_LE(Lines(text).size(), 50u);
  EXPECT_THAT(text, HasSubstr(experiment.judgement.verdicts.headline.front()));
  EXPECT_THAT(text, HasSubstr("other processes took 31 %"));
  EXPECT_THAT(text, Not(HasSubstr("Gates")));
  EXPECT_LT(text.find("Not valid"), text.find("fastest")) << "a disturbed machine is said first";
}

TEST(ExperimentReport, EverythingIsInTheFullReport) {
  const std::string text = Terminal(ExperimentDocument(SampleExperiment()), true);
  EXPECT_THAT(Widths(text), Each(Le(80u)));
  for (const char* heading :
       {"Figures", "Verdicts", "Highest load", "Latency", "Requests and errors", "Steady part", "Utilisation", "Accuracy",
        "Cost and energy", "Gates", "Measurements", "Systems", "Notes", "How to reproduce"})
    EXPECT_THAT(text, HasSubstr(heading));
  EXPECT_THAT(text, HasSubstr("503: overloaded"));
  EXPECT_THAT(text, HasSubstr("life: 4 years (estimate)"));
  EXPECT_THAT(text, HasSubstr("moecap run sample.yaml"));
}

// What a server did otherwise, requests that could not be judged, and who may dominate whom: each has its place, once.
TEST(ExperimentReport, SaysWhatServersDidOtherwise) {
  cap::JudgedExperiment experiment = SampleExperiment();
  cap::SystemVerdict& first = experiment.judgement.verdicts.systems[0];
  first.domination = cap::Domination::kUndecided;
  first.dominated_by = {};
  first.may_be_dominated_by = 1;
  const std::string text = Terminal(ExperimentDocument(experiment), true);
  EXPECT_THAT(text, HasSubstr("perhaps dominated by Q8_0"));
  EXPECT_THAT(text, AllOf(HasSubstr("Completed requests whose tokens have no times"), HasSubstr("stream ignored"),
                          HasSubstr("one burst"), Not(HasSubstr("uneven chunks"))));
  EXPECT_THAT(LineWith(text, "15 (4.8 %)"), AllOf(HasSubstr("vllm-h100"), HasSubstr("5 (1.6 %)"))) << "of 310 completed";
  EXPECT_THAT(LineWith(text, "finish reason \"STOP\""), AllOf(HasSubstr("vllm-h100, 1 client"), HasSubstr("10")));
}

// A terminal shows a line for each cell and figure; everything is in the page.
TEST(ExperimentReport, TheTerminalLeavesDistributionsToThePage) {
  const Document document = ExperimentDocument(SampleExperiment());
  const std::string text = Terminal(document, true);
  EXPECT_THAT(text, Not(HasSubstr("All distributions")));
  EXPECT_THAT(text, Not(HasSubstr("TTFT by percentile")));
  EXPECT_THAT(text, Not(HasSubstr("Whole measurement and its busy part")));
  EXPECT_THAT(text, ContainsRegex("F16, 1 client +TTFT +130 \\(122–139\\) +191 \\(180–204\\)"));
  EXPECT_THAT(text, HasSubstr("vllm-h100, 4 clients: TPOT drifts in 5 of 5 measurements (last third +8.0 %"));
  EXPECT_THAT(LineWith(text, "machine was not quiet:"), Not(HasSubstr("passed")));
  EXPECT_THAT(text, HasSubstr("pacing lag p99: a closed loop has none"));
  for (const std::string& full : {RenderHtml(document), RenderMarkdown(document)})
    EXPECT_THAT(full, AllOf(HasSubstr("All distributions"), HasSubstr("Whole measurement and its busy part")));
  EXPECT_THAT(RenderCsv(document), AllOf(HasSubstr(",distributions,"), HasSubstr(",steady,"), HasSubstr(",gates,")));
}

TEST(ExperimentReport, MarksWhatMustNotBeTakenAtItsFaceValue) {
  const std::string text = Terminal(ExperimentDocument(SampleExperiment()), true);
  EXPECT_THAT(LineWith(text, "4 clients !"), HasSubstr("84.0"));
  EXPECT_THAT(text, HasSubstr("n/a (662)"));
  EXPECT_THAT(text, HasSubstr("above 100 %: MBU is vanilla")) << "where it stands";
  EXPECT_THAT(text, HasSubstr("interrupted: in no figure"));
  const std::string markdown = RenderMarkdown(ExperimentDocument(SampleExperiment()));
  EXPECT_THAT(markdown, HasSubstr("each chunk was taken for one token"));
  EXPECT_THAT(LineWith(markdown, "| vllm-h100 | 1 client |"), HasSubstr("\\~2.78 ±0.11")) << "an estimate";
}

TEST(ExperimentReport, MeteredGpusAreToldFromTheEstimateOfTheWhole) {
  cap::JudgedExperiment experiment = SampleExperiment();
  EXPECT_THAT(RenderMarkdown(ExperimentDocument(experiment)), Not(HasSubstr("GPU")));
  for (auto& system : experiment.summary.systems) {
    for (auto& cell : system.cells) {
      cell.energy_is_metered = false;
      cell.figures[FigureId::kGpuPower] = 451;
      cell.figures[FigureId::kGpuJoulesPerToken] = 0.77;
    }
  }
  const Document document = ExperimentDocument(experiment);
  EXPECT_THAT(Terminal(document, false), HasSubstr("0.770")) << "on the first screen";
  EXPECT_THAT(Terminal(document, true), AllOf(HasSubstr("GPUs alone, metered"), HasSubstr("whole machine is an estimate")));
  EXPECT_THAT(Widths(Terminal(document, true)), Each(Le(80u)));
}

TEST(ExperimentReport, SpreadsAreThoseOfTheRepetitions) {
  // Repetitions at 0.96 to 1.04 of the time a token takes: half of the range is 4 %.
  const cap::JudgedExperiment experiment = SampleExperiment();
  const auto& cell = experiment.summary.systems[1].cells[0];
  const double mean_ms = *cell.figures[FigureId::kTimePerToken] * 1e3;
  const std::string csv = RenderCsv(ExperimentDocument(experiment));
  const std::string line = LineWith(csv, "Figures,cells,Q8_0,1 client,output ms/token,");
  EXPECT_THAT(line, ContainsRegex(fmt::format("{:.1f} ±{:.1f}", mean_ms, mean_ms * 0.04)));
}

TEST(ExperimentReport, NullIsADashAndNoColumnIsWithoutFigures) {
  cap::JudgedExperiment experiment = SampleExperiment();
  for (auto& system : experiment.summary.systems) {
    for (auto& cell : system.cells) cell.figures[FigureId::kGoodput] = std::nullopt;
  }
  experiment.summary.systems[0].cells[0].figures[FigureId::kOutputRate] = std::nullopt;
  const std::string csv = RenderCsv(ExperimentDocument(experiment));
  EXPECT_EQ(LineWith(csv, "Figures,cells,F16,1 client,goodput"), "");
  EXPECT_THAT(LineWith(csv, "Figures,cells,F16,1 client,output tokens/s,"), HasSubstr("tokens/s,,,"));
}

TEST(ExperimentReport, OneSystemHasNoRadarAndNoClass) {
  cap::JudgedExperiment experiment = SampleExperiment();
  experiment.summary.systems.resize(1);
  experiment.judgement.evidence.resize(1);
  experiment.judgement.verdicts = {};
  experiment.judgement.verdicts.systems = {{.label = "F16"}};
  experiment.judgement.paper_scores.reset();
  const Document document = ExperimentDocument(experiment);
  EXPECT_EQ(PlotNames(document).count("cap-radar"), 0u);
  EXPECT_THAT(RenderMarkdown(document), AllOf(Not(HasSubstr("Classes")), Not(HasSubstr("Keeps"))));
}

TEST(ExperimentReport, DrawsItsPlots) {
  const Document document = ExperimentDocument(SampleExperiment());
  EXPECT_THAT(PlotNames(document), IsSupersetOf({"cap-radar",
                                                 "performance",
                                                 "cost",
                                                 "accuracy",
                                                 "pareto-cost-accuracy",
                                                 "pareto-performance-accuracy",
                                                 "pareto-cost-performance",
                                                 "search-2",
                                                 "ttft",
                                                 "itl",
                                                 "throughput-by-level",
                                                 "time-per-token-by-level",
                                                 "ttft-by-level",
                                                 "tpot-by-level",
                                                 "throughput-speed",
                                                 "in-flight-0",
                                                 "roofline",
                                                 "bandwidth-use-by-level",
                                                 "distinct-experts-by-level",
                                                 "expert-share-0",
                                                 "expert-share-1"}));
  for (const auto& [name, svg] : RenderSvgs(document)) EXPECT_EQ(XmlFault(svg), "") << name;
  EXPECT_EQ(XmlFault(RenderHtml(document)), "");
}

TEST(ExperimentReport, HostileNamesStayText) {
  const Document document = ExperimentDocument(AwkwardExperiment());
  const std::string html = RenderHtml(document);
  EXPECT_EQ(XmlFault(html), "");
  EXPECT_THAT(html, AllOf(Not(HasSubstr("<script>")), Not(HasSubstr("<b>&amp;amp;")), Not(HasSubstr("\x1b"))));
  const std::string text = Terminal(document, true);
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
  EXPECT_THAT(text, AllOf(HasSubstr("Not complete"), HasSubstr("Nothing whole was measured")));
}

TEST(ExperimentJson, ComesBackAsItWas) {
  for (const cap::JudgedExperiment& experiment : {SampleExperiment(), AwkwardExperiment()}) {
    const std::string text = DumpJson(ExperimentToJson(experiment));
    const auto again = ExperimentFromJson(*ParseJson(text));
    ASSERT_TRUE(again.ok()) << again.error().message;
    EXPECT_EQ(DumpJson(ExperimentToJson(*again)), text);
    EXPECT_EQ(RenderCsv(ExperimentDocument(*again)), RenderCsv(ExperimentDocument(*ExperimentFromJson(*ParseJson(text)))));
  }
}

TEST(ExperimentJson, HasEveryFigureAndNullWhereNothingIsKnown) {
  const Json json = ExperimentToJson(SampleExperiment());
  EXPECT_EQ(json["schema"], 2);
  const Json& cell = json["systems"][0]["cells"][0];
  for (const cap::Figure& figure : cap::Figures()) {
    EXPECT_TRUE(cell["figures"].contains(figure.key)) << figure.key;
    EXPECT_TRUE(cell["measurements"][0]["figures"].contains(figure.key)) << figure.key;
  }
  EXPECT_EQ(cell["figures"].size(), cap::kFigureCount);
  EXPECT_TRUE(cell["figures"]["ttft_p99_s"].is_null());
  EXPECT_THAT(cell["estimates"].get<std::vector<std::string>>(), testing::Contains("power_w"));
  EXPECT_EQ(json["systems"][2]["cells"][2]["measurements"][5]["complete"], false);
  EXPECT_EQ(json["judgement"]["verdicts"]["pairs"][0]["cost"]["outcome"], "worse");
}

TEST(ExperimentJson, RefusesWhatItDoesNotKnow) {
  EXPECT_THAT(ExperimentFromJson(*ParseJson("{\"schema\":1}")).error().message, HasSubstr("schema 2"));
  EXPECT_FALSE(ExperimentFromJson(*ParseJson("[]")).ok());
  Json json = ExperimentToJson(SampleExperiment());
  json["systems"][0]["cells"][0]["figures"]["tpot_mean_s"] = "fast";
  EXPECT_THAT(ExperimentFromJson(json).error().message,
              HasSubstr("systems[0].cells[0].figures.tpot_mean_s: expected a number"));
}

TEST(ExperimentCsv, HasALineACellAndOneAMeasurement) {
  const cap::JudgedExperiment experiments[] = {SampleExperiment(), SampleExperiment()};
  const std::vector<std::string> lines = Lines(ExperimentsToCsv(experiments));
  // Nine cells of five repetitions, and an interrupted one.
  ASSERT_EQ(lines.size(), 1u + 2 * (9 + 45 + 1));
  const std::vector<std::string> head = Fields(lines[0]);
  for (const cap::Figure& figure : cap::Figures()) EXPECT_THAT(head, testing::Contains(std::string(figure.key)));
  for (const std::string& line : lines) EXPECT_EQ(Fields(line).size(), head.size()) << line;
  const auto at = [&](const std::string& line, const std::string& column) {
    return Fields(line)[static_cast<size_t>(std::ranges::find(head, column) - head.begin())];
  };
  EXPECT_EQ(at(lines[1], "system"), "F16");
  EXPECT_EQ(at(lines[1], "repetition"), "");
  EXPECT_EQ(at(lines[1], "repetitions"), "5");
  EXPECT_EQ(at(lines[2], "repetition"), "1");
  EXPECT_EQ(at(lines[1], "ttft_p99_s"), "");
  EXPECT_EQ(std::stod(at(lines[1], "accuracy")), 0.84);
  EXPECT_EQ(at(lines[7], "valid"), "false");
  EXPECT_THAT(at(lines[7], "invalid_reasons"), HasSubstr("other processes"));
}

TEST(ExperimentCsv, QuotesWhatNeedsIt) {
  const cap::JudgedExperiment experiments[] = {AwkwardExperiment()};
  EXPECT_THAT(ExperimentsToCsv(experiments), HasSubstr(",\"a,b \"\"quoted\"\" | pipe\nnew line\","));
}

TEST(ComparisonReport, ShowsCellsVerdictsAndDifferences) {
  const Document document = ComparisonDocument(SampleComparison());
  const std::string screen = Terminal(document, false);
  EXPECT_THAT(Widths(screen), Each(Le(80u)));
  EXPECT_THAT(screen,
              AllOf(HasSubstr("vllm-h100 is the fastest"), HasSubstr("The hardware differs"), HasSubstr("baseline: Q8_0")));
  const std::string all = Terminal(document, true);
  EXPECT_THAT(all, AllOf(HasSubstr("first / second"), HasSubstr("20260201-120000-other"), HasSubstr("Where they differ")));
  EXPECT_THAT(PlotNames(document), IsSupersetOf({"cap-radar", "pareto-cost-accuracy", "roofline"}));
  EXPECT_EQ(XmlFault(RenderHtml(document)), "");
  const Json json = ComparisonToJson(SampleComparison());
  EXPECT_EQ(json["cells"][1]["label"], "vllm-h100");
  EXPECT_EQ(json["cells"][1]["system"]["cells"].size(), 1u);
  EXPECT_EQ(json["mismatches"][0]["intended"], true);
}

// docs/formats/summary.md lists the figures as they are in the code.
TEST(SummaryDocs, TableOfFiguresIsTheTable) {
  std::ifstream file(std::string(MOECAP_SOURCE_DIR) + "/docs/formats/summary.md");
  std::stringstream docs;
  docs << file.rdbuf();
  std::string expected;
  for (const cap::Figure& figure : cap::Figures()) {
    const char* better = figure.better == cap::Better::kNone ? "" : figure.better == cap::Better::kLower ? "lower" : "higher";
    expected +=
        fmt::format("| `{}` | {} | {} | {} | {} |\n", figure.key, figure.unit, better, figure.definition, figure.null_when);
  }
  EXPECT_NE(docs.str().find(expected), std::string::npos) << "the table of figures must be:\n" << expected;
}

}  // namespace
}  // namespace moecap::report
