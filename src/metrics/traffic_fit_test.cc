#include "metrics/traffic_fit.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <vector>

#include "base/fs.h"
#include "metrics/counted_passes.h"

namespace moecap::metrics {
namespace {
namespace fs = std::filesystem;

CountedTraffic Pass(double again, double activations, double counted) {
  return {{0, 0, again, 0, activations, 0, 0, 0}, 100, counted};
}

TEST(TrafficFit, FindsTheScalesThatMadeTheCounts) {
  // again x 0.5, activations x 2; what no pass has stays as it is derived.
  const std::vector<CountedTraffic> passes = {Pass(40, 0, 120), Pass(0, 10, 120), Pass(20, 5, 120)};
  const TrafficScales scales = FitTraffic(passes);
  EXPECT_NEAR(scales.scale[2], 0.5, 1e-4);
  EXPECT_NEAR(scales.scale[4], 2, 1e-3);
  EXPECT_FALSE(scales.fitted[0] || scales.fitted[5]);
  EXPECT_EQ(scales.scale[0], 1);
  EXPECT_EQ(scales.scale[5], 1);
  EXPECT_NEAR(ErrorOf(scales, Pass(80, 0, 140)), 0, 1e-4);
  EXPECT_NEAR(ErrorOf(scales, Pass(80, 0, 280)), -0.5, 1e-4);
}

TEST(TrafficFit, AScaleIsNeverBelowNothing) {
  const std::vector<CountedTraffic> passes = {Pass(40, 0, 90), Pass(0, 10, 110)};
  EXPECT_EQ(FitTraffic(passes).scale[2], 0);
}

TEST(CountedPasses, SayWhatIsWrongWithAFile) {
  EXPECT_FALSE(ParseCountedShape("{}", "{}").ok());
  EXPECT_EQ(CountedShapeName("[1]").error().kind, ErrorKind::kBadInput);
  EXPECT_EQ(CountedShapeName(R"({"shape": "x"})").value(), "x");
}

std::vector<CountedTraffic> Reference(const std::string& shape, bool kernels) {
  const fs::path root = MOECAP_SOURCE_DIR;
  const auto counted = ParseCountedShape(*ReadFile(root / "results/reference/h200-counters" / (shape + ".json")),
                                         *ReadFile(root / "tools/gpu/shapes" / shape / "config.json"));
  EXPECT_TRUE(counted.ok()) << counted.error().message;
  std::vector<CountedTraffic> all;
  for (const CountedPass& pass : kernels ? counted->kernels_of_two_layers : counted->passes) {
    model::ModelSpec model = counted->model;
    if (kernels) model.layers.resize(2);
    all.push_back(MakeCountedTraffic(*TrafficOf(model, pass.pass), pass.formula_bytes, pass.counted_bytes));
  }
  return all;
}

// The table of docs/validation.md is made by `moecap validate --counters`; what it says holds: three shapes foretell the
// fourth, with the terms that only it has as they are derived.
TEST(TrafficFit, ThreeShapesPredictTheFourth) {
  const std::vector<std::string> shapes = {"mixtral-8x7b", "qwen3-30b-a3b", "deepseek-v2-lite", "gpt-oss-20b"};
  for (const std::string& held_out : shapes) {
    std::vector<CountedTraffic> others;
    for (const std::string& shape : shapes) {
      if (shape == held_out) continue;
      const auto own = Reference(shape, false);
      others.insert(others.end(), own.begin(), own.end());
    }
    const TrafficScales scales = FitTraffic(others);
    const std::vector<CountedTraffic> passes = Reference(held_out, false);
    for (size_t i = 0; i < passes.size(); ++i) {
      const bool large = i % 4 == 3;  // batches 1, 4, 16, 64
      EXPECT_NEAR(ErrorOf(scales, passes[i]), 0, large ? 0.06 : 0.03) << held_out << ", pass " << i;
    }
  }
}

}  // namespace
}  // namespace moecap::metrics
