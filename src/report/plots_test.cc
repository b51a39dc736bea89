// The generic plots: what is drawn where, and that no text covers another one.
#include "report/plots.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "report/plot_axis.h"
#include "report/svg_inspect.h"

namespace moecap::report {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

std::vector<std::string> Numbered(const PlotAxis& axis, int most) {
  std::vector<std::string> texts;
  for (const auto& tick : axis.Ticks(most)) {
    if (!tick.text.empty()) texts.push_back(tick.text);
  }
  return texts;
}

TEST(TextFault, SeesOverlapsAndClippedText) {
  Svg svg("a", 100, 50, "t", "d");
  svg.Text({10, 20}, "left");
  svg.Text({60, 20}, "right");
  EXPECT_EQ(TextFault(svg.Finish(SvgMode::kFragment)), "");
  svg.Text({20, 25}, "over");
  EXPECT_THAT(TextFault(svg.Finish(SvgMode::kFragment)), HasSubstr("'over' lies on 'left'"));
  Svg clipped("a", 100, 50, "t", "d");
  clipped.Text({80, 20}, "too long for this");
  EXPECT_THAT(TextFault(clipped.Finish(SvgMode::kFragment)), HasSubstr("leaves the drawing"));
}

TEST(PlotAxis, TicksAreRoundAndFit) {
  EXPECT_THAT(Numbered(PlotAxis({1, 10000}, AxisScale::kLog, 0, 100), 6), ElementsAre("1", "10", "100", "1000", "10k"));
  EXPECT_THAT(Numbered(PlotAxis({12, 75}, AxisScale::kLog, 0, 100), 6), ElementsAre("20", "50"));
  EXPECT_THAT(Numbered(PlotAxis({1, 128}, AxisScale::kLog2, 0, 100), 10),
              ElementsAre("1", "2", "4", "8", "16", "32", "64", "128"));
  EXPECT_THAT(Numbered(PlotAxis({1, 4096}, AxisScale::kLog2, 0, 100), 6), ElementsAre("1", "8", "64", "512", "4096"));
  EXPECT_THAT(Numbered(PlotAxis({0, 100}, AxisScale::kLinear, 0, 100, true), 5), ElementsAre("0", "25", "50", "75", "100"));
  EXPECT_THAT(Numbered(PlotAxis({0.81, 0.92}, AxisScale::kLinear, 0, 100), 5),
              ElementsAre("0.825", "0.850", "0.875", "0.900", "0.925"));
  for (const double scale : {1e-12, 1e-3, 1.0, 1e6, 1e14}) {
    for (const AxisScale kind : {AxisScale::kLinear, AxisScale::kLog, AxisScale::kLog2}) {
      const PlotAxis axis({scale, 37 * scale}, kind, 0, 300);
      EXPECT_LE(Numbered(axis, 6).size(), 8u) << scale;
      EXPECT_LT(axis.At(scale), axis.At(37 * scale));
      EXPECT_GT(axis.At(scale), 0);
      EXPECT_LT(axis.At(37 * scale), 300);
    }
  }
}

TEST(PlotAxis, OneValueStandsInsideTheFrame) {
  for (const AxisScale kind : {AxisScale::kLinear, AxisScale::kLog, AxisScale::kLog2}) {
    const PlotAxis axis({42}, kind, 0, 100);
    EXPECT_GT(axis.At(42), 0);
    EXPECT_LT(axis.At(42), 100);
  }
  // Halfway between 1 and 100 in logarithms is 10; the margins are equal.
  const PlotAxis axis({1, 100}, AxisScale::kLog, 0, 100);
  EXPECT_NEAR(axis.At(10), 50, 1e-9);
}

TEST(SpreadApart, KeepsOrderAndDistance) {
  EXPECT_THAT(SpreadApart({10, 11, 12}, 5, 100), ElementsAre(10, 15, 20));
  EXPECT_THAT(SpreadApart({10, 98, 99}, 5, 100), ElementsAre(10, 95, 100));
}

TEST(LabelPlacer, FindsFreeRoomOrNone) {
  LabelPlacer placer({0, 0, 200, 100});
  const auto first = placer.Find({100, 50}, 4, 40, 10, 0);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->anchor, Anchor::kStart);
  const auto second = placer.Find({100, 50}, 4, 40, 10, 0);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->anchor, Anchor::kEnd);
  LabelPlacer full({0, 0, 200, 100});
  full.Block({0, 0, 200, 100});
  EXPECT_FALSE(full.Find({100, 50}, 4, 40, 10, 100));
  EXPECT_FALSE(full.FindAlong(50, 0, 200, 40, 10));
}

ParetoPlot Three() {
  ParetoPlot plot{{"p", "Cost against accuracy", "one mark a system", "d"},
                  {"USD per 1M output tokens (log scale)", true},
                  {"accuracy, %", false, true, 0.01},
                  {}};
  plot.marks = {{0, "F16", 9, 0.9, {}, {}, 0.88, 0.92, true},
                {1, "Q8_0", 4, 0.89, {}, {}, 0.87, 0.91, true},
                {2, "bad", 12, 0.7, {}, {}, {}, {}, false}};
  return plot;
}

TEST(Pareto, FrontIsStepsAndDominatedMarksAreHollow) {
  const std::string svg = DrawPareto(Three(), SvgMode::kStandalone);
  EXPECT_EQ(XmlFault(svg), "");
  EXPECT_EQ(TextFault(svg), "");
  // From the bottom edge up to Q8_0, right, up to F16, right to the edge.
  EXPECT_EQ(Count(svg, "class=\"step\""), 1u);
  const size_t at = svg.rfind("points=\"", svg.find("class=\"step\"")) + 8;
  const std::string steps = svg.substr(at, svg.find('"', at) - at);
  EXPECT_EQ(Count(steps, ","), 5u) << steps;
  EXPECT_THAT(svg, HasSubstr("bad: 12.0, 70.0 (dominated)"));
  EXPECT_THAT(svg, HasSubstr("F16: 9.00, 90.0 (on the front)"));
  EXPECT_EQ(Count(svg, "class=\"hollow\""), 1u);
  EXPECT_THAT(svg, HasSubstr("better"));
  EXPECT_THAT(DrawPareto({}, SvgMode::kFragment), IsEmpty());
}

TEST(Pareto, EqualMarksAndZeroWidthRangesAreDrawn) {
  ParetoPlot plot = Three();
  for (auto& mark : plot.marks) {
    mark.x = 5;
    mark.y = 0.5;
    mark.y_low = mark.y_high = 0.5;
  }
  const std::string svg = DrawPareto(plot, SvgMode::kFragment);
  EXPECT_EQ(XmlFault(svg), "");
  EXPECT_EQ(TextFault(svg), "");
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
}

TEST(Roofline, MarksTheRidgesAndThePoints) {
  RooflinePlot plot{{"r", "Roofline", "filled: decode, hollow: prefill", "d"},
                    2e10,
                    {{"fp32", 1.4e11}, {"int8", 3.9e11}},
                    {{0, "F16", 2e9, 1e9, 0.1}, {0, "F16", 6e10, 2e9, 0.6, true}, {1, "Q4_0", 2e9, 4e8, 0.05}}};
  const std::string svg = DrawRoofline(plot, SvgMode::kStandalone);
  EXPECT_EQ(XmlFault(svg), "");
  EXPECT_EQ(TextFault(svg), "");
  // 140 GFLOP/s over 20 GB/s.
  EXPECT_THAT(svg, HasSubstr(">ridge 7.00<"));
  EXPECT_THAT(svg, HasSubstr(">ridge 19.5<"));
  EXPECT_THAT(svg, HasSubstr("F16, decode: 20.0 GFLOP/s at 2.00 FLOP/B"));
  EXPECT_THAT(svg, HasSubstr("F16, prefill: 100 GFLOP/s at 30.0 FLOP/B"));
  plot.roofs.clear();
  EXPECT_EQ(XmlFault(DrawRoofline(plot, SvgMode::kFragment)), "");
  plot.marks.clear();
  EXPECT_THAT(DrawRoofline(plot, SvgMode::kFragment), IsEmpty());
}

HardwareMap Crowd(size_t count) {
  HardwareMap map{{"h", "Memory bandwidth against power", "one mark a device", "d"},
                  {"datacentre", "workstation", "consumer", "unified", "edge", "cpu"},
                  {},
                  {{1.0e12, "all experts, TPOT 0.1 s"}, {1.05e12, "nearly the same"}, {2e10, "batch 1"}}};
  std::mt19937 random(7);
  for (size_t i = 0; i < count; ++i) {
    const double power = 5 * std::pow(200.0, static_cast<double>(random() % 1000) / 1000);
    const double bandwidth = 4e8 * power * (0.5 + static_cast<double>(random() % 1000) / 500);
    map.devices.push_back({"device number " + std::to_string(i), i % 6, bandwidth, power, i % 9 == 0, ""});
  }
  return map;
}

TEST(HardwareMap, LabelsNeverOverlapAndEveryDeviceHasATooltip) {
  const std::string svg = DrawHardwareMap(Crowd(110), SvgMode::kStandalone);
  EXPECT_EQ(XmlFault(svg), "");
  EXPECT_EQ(TextFault(svg), "");
  for (int i = 0; i < 110; ++i) EXPECT_THAT(svg, HasSubstr("<title>device number " + std::to_string(i) + ": "));
  EXPECT_THAT(svg, HasSubstr(">all experts, TPOT 0.1 s: 1000 GB/s<"));
  EXPECT_THAT(svg, HasSubstr(">nearly the same: 1050 GB/s<"));
  EXPECT_THAT(DrawHardwareMap({}, SvgMode::kFragment), IsEmpty());
}

TEST(HardwareMap, NamesTheFrontierAndTheChosen) {
  HardwareMap map = Crowd(0);
  map.requirements.clear();
  map.devices = {{"best", 0, 2e12, 300}, {"beaten", 0, 1e12, 400}, {"frugal", 1, 1e11, 20}, {"asked for", 1, 5e10, 500, true}};
  const std::string svg = DrawHardwareMap(map, SvgMode::kFragment);
  for (const char* name : {">best<", ">frugal<", ">asked for<"}) EXPECT_THAT(svg, HasSubstr(name));
  EXPECT_THAT(svg, Not(HasSubstr(">beaten<")));
  EXPECT_THAT(svg, HasSubstr("beaten: 1.00 TB/s, 400 W"));
}

TEST(SparsityCurve, BandsAndMeasuredPoints) {
  SparsityCurve curve{{"s", "Activated share", "band: estimate", "d"}, "activated parameters, %", {}, {}};
  ShareBand band{0, "R1", {}};
  for (double batch = 1; batch <= 256; batch *= 2)
    band.points.push_back({batch, 1 - std::pow(0.97, batch), 1 - std::pow(0.96, batch)});
  ShareBand close = band;
  close.system = 1;
  close.name = "a model with a rather long name";
  curve.bands = {band, close};
  curve.measured = {{0, "R1", 8, 0.1844}, {1, "other", 8, 0.53, 0.5, 0.56}};
  const std::string svg = DrawSparsityCurve(curve, SvgMode::kStandalone);
  EXPECT_EQ(XmlFault(svg), "");
  EXPECT_EQ(TextFault(svg), "");
  EXPECT_EQ(Count(svg, "class=\"band\""), 2u);
  EXPECT_THAT(svg, HasSubstr("R1 at batch 8: 18.4 % (measured)"));
  EXPECT_THAT(svg, HasSubstr("R1 at batch 1: 3.0 % to 4.0 % (estimate)"));
  EXPECT_THAT(svg, HasSubstr(">R1, measured<"));
  curve.bands.clear();
  EXPECT_EQ(TextFault(DrawSparsityCurve(curve, SvgMode::kFragment)), "");
  curve.measured.clear();
  EXPECT_THAT(DrawSparsityCurve(curve, SvgMode::kFragment), IsEmpty());
}

}  // namespace
}  // namespace moecap::report
