#include "planner/fit.h"

#include <gtest/gtest.h>

#include <cmath>

#include "hardware/catalogue.h"
#include "model/catalogue.h"

namespace moecap::planner {
namespace {

// Rows that a known set of multipliers would give.
class FitTest : public testing::Test {
 protected:
  FitTest()
      : devices_(*hardware::Catalogue::Builtin()),
        h100_(*devices_.FindDevice("h100-sxm")),
        b200_(*devices_.FindDevice("b200-sxm")),
        work_(MakeModelWork(
            *model::SpecOf(*model::ModelCatalogue::Builtin()->Find("Qwen/Qwen3-30B-A3B"), "Qwen/Qwen3-30B-A3B"))) {}

  std::vector<Observation> RowsOf(const Multipliers& truth) const {
    std::vector<Observation> rows;
    for (const hardware::Device* device : {&h100_, &b200_}) {
      for (const int tensor : {1, 2, 4}) {
        for (const double clients : {1.0, 8.0, 64.0, 256.0}) {
          for (const double input : {512.0, 8192.0}) {
            Observation row{&work_, device, {tensor, 1, 1, 1}, FabricOf(*device, devices_), "vllm"};
            row.load.clients = clients;
            row.load.input_tokens = input;
            row.most_sequences = 1e6;
            const Serving serving = Predict(row, truth.FactorsOf("vllm", *device));
            row.tpot_s = serving.tpot_s;
            row.ttft_s = serving.ttft_s;
            rows.push_back(row);
          }
        }
      }
    }
    return rows;
  }

  hardware::Catalogue devices_;
  hardware::Device h100_, b200_;
  ModelWork work_;
};

TEST_F(FitTest, FindsTheMultipliersThatMadeTheRows) {
  const Multipliers prior = Multipliers::Builtin()->AtPriors();
  Multipliers truth = prior;
  truth.Set("layer_s", 7e-5, 0, "");
  truth.Set("interference_time", 2, 0, "");
  truth.Set("expert_stream", 1.3, 0, "");
  const std::vector<Observation> rows = RowsOf(truth);
  const std::vector<std::string> keys = {"layer_s", "interference_time", "expert_stream"};
  const Multipliers fitted = Fit(prior, rows, keys, {.ridge = 1e-7});
  for (const std::string& key : keys) {
    EXPECT_NEAR(fitted.Find(key)->value / truth.Find(key)->value, 1, 0.02) << key;
    EXPECT_GT(fitted.Find(key)->rows, 5) << key;
  }
  EXPECT_DOUBLE_EQ(fitted.Find("kv_stream")->value, prior.Find("kv_stream")->value);
}

TEST_F(FitTest, StaysAtThePriorWithoutRowsAndAboveTheCeiling) {
  const Multipliers prior = Multipliers::Builtin()->AtPriors();
  const std::vector<std::string> keys = {"expert_stream"};
  EXPECT_DOUBLE_EQ(Fit(prior, {}, keys, {}).Find("expert_stream")->value, prior.Find("expert_stream")->value);
  std::vector<Observation> rows = RowsOf(prior);
  for (Observation& row : rows) *row.tpot_s *= 0.3;  // faster than the memory allows
  EXPECT_GE(Fit(prior, rows, keys, {}).Find("expert_stream")->value, 1);
}

TEST_F(FitTest, ShrinksToThePriorWithFewRows) {
  const Multipliers prior = Multipliers::Builtin()->AtPriors();
  Multipliers truth = prior;
  truth.Set("layer_s", 12e-5, 0, "");
  const std::vector<Observation> rows = RowsOf(truth);
  const std::vector<std::string> keys = {"layer_s"};
  const double loose = Fit(prior, rows, keys, {.ridge = 1e-6}).Find("layer_s")->value;
  const double tight = Fit(prior, rows, keys, {.ridge = 0.5}).Find("layer_s")->value;
  EXPECT_GT(loose, tight);
  EXPECT_GT(tight, prior.Find("layer_s")->value);
}

TEST_F(FitTest, MeasuredRunningIsLittlesLaw) {
  Observation row{&work_, &h100_, {1, 1, 1, 1}, {}, "vllm"};
  row.load.clients = 100;
  row.load.output_tokens = 100;
  row.tpot_s = 0.01;  // 1 s of decoding
  row.ttft_s = 3;
  EXPECT_DOUBLE_EQ(MeasuredRunning(row), 25);
}

}  // namespace
}  // namespace moecap::planner
