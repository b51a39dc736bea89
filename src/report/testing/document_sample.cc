#include "report/testing/document_sample.h"

#include "report/format.h"

namespace moecap::report {
namespace {

constexpr const char* kHostile = "<script>alert('x')</script>|a,\"b\"\n# c\x1b[31m";

Table Levels() {
  Table table{.name = "levels", .title = "Speed by level", .group_header = "system"};
  table.columns = {{.header = "clients", .kind = ColumnKind::kKey}};
  for (const char* group : {"vLLM FP8", kHostile}) {
    for (const char* clients : {"1", "16", "64"}) {
      Row row({clients});
      row.group = group;
      row.marker = group == kHostile ? 1 : 0;
      row.invalid = group == kHostile && row.cells.front().text == "64";
      table.rows.push_back(std::move(row));
    }
  }
  const std::string few = "Too few requests for this percentile; the number in parentheses would do.";
  AddColumn(table, {"p50", "TTFT", "ms"}, {"81.2", "102", "240", "79.5", "98.1", "233"});
  AddColumn(table, {"p99", "TTFT", "ms"}, {WithNote("n/a (662)", few), "310", "811", WithNote("n/a (662)", few), "298", ""});
  AddColumn(table, {"p50", "TPOT", "ms"}, {"8.1", "11.9", "24.4", Best("7.7"), Best("11.2"), "23.9"});
  AddColumn(table, {"p99", "TPOT", "ms"}, {"9.0", "14.1", "31.7", "8.8", "13.6", Invalid("29.9")});
  AddColumn(table, {"output", "", "tokens/s"}, {"121", "1310", "2570", "128", "1402", "2650"});
  AddColumn(table, {"energy", "", "J/token"}, {Estimate("3.1"), Estimate("0.44"), Estimate("0.21"), "", "", ""});
  AddColumn(table, {"from intended send", "", "s"}, {"0.1", "0.2", "0.9", "0.1", "0.2", "0.8"});
  table.notes = {"~ is an estimate: power of the data sheet, not metered.", "! tripped a validity gate and decides nothing."};
  return table;
}

Table Gates() {
  Table table{.title = "Validity gates"};
  table.columns = {{.header = "gate", .kind = ColumnKind::kKey},
                   {.header = "state", .kind = ColumnKind::kWord},
                   {.header = "value"},
                   {.header = "what to do", .kind = ColumnKind::kText}};
  table.rows = {{"client lag", "passed", "0.3 %", ""},
                {"cached tokens", Invalid("TRIPPED"), "79.0 %",
                 "The server answered from its prefix cache: start it with prefix caching off, or give every request its own "
                 "salt, so that the prompt is really computed."}};
  return table;
}

std::vector<Block> Charts() {
  const auto frame = [](const char* id, const char* title) {
    return PlotFrame{id, title, "unit of it", std::string("What ") + title + " shows"};
  };
  LinePlot lines{frame("ttft-by-clients", "TTFT by clients"), "clients", {}, {{500, "objective"}}};
  lines.series = {{0, "vLLM FP8", {{1, 81.2, 75., 90.}, {16, 102}, {64, 240}}},
                  {1, kHostile, {{1, 79.5}, {16, 98.1}, {64, 233, {}, {}, false}}}};
  BarPlot bars{
      frame("accuracy", "Accuracy"), {{0, "vLLM FP8", 71, 65., 76., "71.0 %"}, {1, kHostile, 69, 63., 74., "69.0 %"}}, 100.};
  ParetoPlot pareto{
      frame("cost-accuracy", "Cost and accuracy"), {"cost, USD per 1M tokens", true}, {"accuracy, %", false, true}, {}};
  pareto.marks = {{0, "vLLM FP8", 0.31, 71}, {1, kHostile, 0.29, 69}};
  RadarPlot radar{frame("cap-radar", "CAP radar"),
                  {"performance", "cost", "accuracy"},
                  {{0, "vLLM FP8", {80., 92., 71.}}, {1, "other", {84., 100., {}}}}};
  HeatMap heat{frame("experts", "Tokens by expert"), "layer", "expert", {{1, 0.5, 2, 0.5}, {0, 1, 1, 2}}};
  RooflinePlot roofline{frame("roofline", "Roofline"), 3.35e12, {{"FP8", 1.98e15}}, {{0, "vLLM FP8", 3e13, 2e11, 0.12}}};
  HardwareMap map{frame("hardware-map", "Bandwidth and power"),
                  {"GPU", "CPU"},
                  {{"H200", 0, 4.8e12, 700, true, ""}, {"EPYC", 1, 4.6e11, 400, false, ""}},
                  {{1e12, "TPOT 0.1 s"}}};
  SparsityCurve sparsity{frame("sparsity", "Experts by batch"),
                         "experts, %",
                         {{0, "model", {{1, 0.06, 0.06}, {16, 0.4, 0.6}, {64, 0.8, 0.98}}}},
                         {}};
  PercentilePlot percentiles{
      frame("ttft-distribution", "TTFT"),
      "TTFT, ms",
      {{0, "16 clients", {{0.5, 102, true, {}, {}}, {0.9, 200, true, {}, {}}, {0.99, 310, false, {}, {}}}}}};
  StepPlot steps{
      frame("in-flight", "Requests in flight"), "s", "requests", {{0, "16 clients", {0, 1, 2, 3}, {1, 16, 16, 0}}}, {}};
  return {Figure{radar, "Outer is better.", PlotWidth::kHalf},
          Notes{"How to read it",
                {"Scores are relative to the best in view.", "A side is missing where a score is not known."},
                Notes::Kind::kNote},
          Figure{pareto, "vLLM FP8 is more accurate, the other cheaper.", PlotWidth::kHalf},
          Figure{lines, "", PlotWidth::kHalf},
          Figure{bars, "", PlotWidth::kThird},
          Figure{sparsity, "", PlotWidth::kThird},
          Figure{percentiles, "", PlotWidth::kThird},
          Figure{roofline, "", PlotWidth::kHalf},
          Figure{steps, "", PlotWidth::kHalf},
          Figure{map, "", PlotWidth::kFull},
          Figure{heat, "", PlotWidth::kFull}};
}

}  // namespace

Document SampleDocument() {
  Document document;
  document.kind = "comparison";
  document.title = kHostile;
  document.subtitle = "Two systems on the same machine at three levels, five repetitions each";
  document.warnings = {"The machine was busy: 12 % of its CPU time went to other processes."};
  document.headline = {"vLLM FP8 and the other are equally fast.",
                       "Output tokens/s: " + WithInterval(TimesText(1.03), IntervalText(0.99, 1.07)) + ", undecided.",
                       "Accuracy differs by " + PointsText(0.02) + ": undecided; 1,200 problems would decide it."};
  document.about = {"", {{"model", "Qwen3-30B-A3B"}, {"host", kHostile}, {"note", ""}}};
  document.footer = "moecap 0.2.0, 2026-11-29";
  document.sections.push_back({.heading = "Results", .detail = Detail::kFirstScreen, .blocks = {Levels()}});
  document.sections.push_back({.heading = "Trade-offs", .blocks = Charts()});
  document.sections.push_back({.heading = "Empty", .blocks = {Table{.title = "Nothing"}, Paragraph{}}});
  Section method{.heading = "Method", .detail = Detail::kFolded};
  method.blocks = {Paragraph{{"Systems alternate in random order.", "The seed is 7 < 8."}},
                   Notes{"Mind", {"One request failed."}, Notes::Kind::kWarning},
                   KeyValues{"Ceilings", {{"bandwidth", RateText(4.8e12, "B/s")}, {"compute", RateText(1.98e15, "FLOP/s")}}},
                   Code{"The same again", "moecap run experiment.yaml \\\n  --seed 7 <in >out\n", "sh"}};
  method.parts.push_back({.heading = "16 clients", .detail = Detail::kFolded, .blocks = {Gates()}});
  document.sections.push_back(std::move(method));
  return document;
}

}  // namespace moecap::report
