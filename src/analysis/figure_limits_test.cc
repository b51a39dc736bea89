#include "analysis/figure_limits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace moecap::analysis {
namespace {

using cap::FigureId;
using testing::HasSubstr;

// Two devices: "fast" has the memory and the peak, "cheap" sells its FLOPs for less, in money and energy.
hardware::Catalogue TwoDevices() {
  const hardware::CatalogueLayer layer{"test", R"({"schema": 1, "links": [], "devices": [
    {"id": "fast", "vendor": "v", "name": "Fast", "class": "datacenter", "year": 2025, "aliases": [], "memory_type": "HBM3",
     "memory_gib": 80, "bandwidth_gb_per_s": 4000, "dense_tflops": {"fp16": 500, "fp8": 1000}, "tdp_w": 1000,
     "price_usd": {"typical": 30000}, "rent_usd_per_h": {"typical": 4}, "date": "2026-01", "confidence": "low", "source": "s"},
    {"id": "cheap", "vendor": "v", "name": "Cheap", "class": "consumer", "year": 2025, "aliases": [], "memory_type": "GDDR6",
     "memory_gib": 16, "bandwidth_gb_per_s": 500, "dense_tflops": {"fp16": 200}, "tdp_w": 100,
     "price_usd": {"low": 400, "typical": 500}, "rent_usd_per_h": {"low": 0.2, "typical": 0.5}, "date": "2026-01",
     "confidence": "low", "source": "s"}]})"};
  auto catalogue = hardware::Catalogue::Parse(std::span(&layer, 1));
  EXPECT_TRUE(catalogue.ok()) << catalogue.error().message;
  return *catalogue;
}

const cap::FigureLimit* FindLimit(const std::vector<cap::FigureLimit>& limits, FigureId figure) {
  const auto found = std::ranges::find(limits, figure, &cap::FigureLimit::figure);
  return found != limits.end() ? &*found : nullptr;
}

double Limit(const std::vector<cap::FigureLimit>& limits, FigureId figure) {
  const cap::FigureLimit* limit = FindLimit(limits, figure);
  EXPECT_NE(limit, nullptr);
  return limit != nullptr ? limit->value : 0;
}

TEST(FigureLimits, FollowFromModelAndCatalogue) {
  const ModelWork work{"m", 3e9, 30e9};  // 6e9 FLOPs a token
  const auto limits = ComputeLimits(work, TwoDevices());
  EXPECT_DOUBLE_EQ(Limit(limits, FigureId::kTpotMean), 3e9 * 0.5 / 4e12);
  EXPECT_DOUBLE_EQ(Limit(limits, FigureId::kTtftMean), 3e9 * 0.5 / 4e12);
  EXPECT_DOUBLE_EQ(Limit(limits, FigureId::kOutputRate), 1e15 / 6e9);
  // A dollar rents Cheap for 5 hours at its low price: 2e14 x 3600 / 0.2 = 3.6e18 FLOPs; Fast gives 9e17.
  EXPECT_DOUBLE_EQ(Limit(limits, FigureId::kUsdPerMillionOutput), 1e6 * 6e9 / 3.6e18);
  EXPECT_DOUBLE_EQ(Limit(limits, FigureId::kJoulesPerOutput), 6e9 * 100 / 2e14);
  EXPECT_DOUBLE_EQ(Limit(limits, FigureId::kPower), 100);
  EXPECT_DOUBLE_EQ(Limit(limits, FigureId::kPurchase), 400);
  EXPECT_DOUBLE_EQ(Limit(limits, FigureId::kMemory), 15e9);
  EXPECT_EQ(FindLimit(limits, FigureId::kAccuracy), nullptr);
  EXPECT_THAT(FindLimit(limits, FigureId::kTpotMean)->source, HasSubstr("4.00 TB/s (Fast,"));
}

// The second way: no device of the shipped catalogue beats them, and the axes of every scenario have one.
TEST(FigureLimits, NoDeviceOfTheCatalogueBeatsThem) {
  const auto limits = BuiltinLimits(ReferenceWork());
  for (const cap::Scenario& scenario : cap::Scenarios()) {
    EXPECT_NE(FindLimit(limits, scenario.cost), nullptr) << scenario.name;
    EXPECT_NE(FindLimit(limits, scenario.performance), nullptr) << scenario.name;
  }
  const auto catalogue = hardware::Catalogue::Builtin();
  ASSERT_TRUE(catalogue.ok());
  for (const hardware::Device& device : catalogue->devices()) {
    EXPECT_GE(0.5e9 / device.bandwidth_bytes_per_s.value_or(1), Limit(limits, FigureId::kTpotMean)) << device.id;
    EXPECT_LE(device.peaks.fp8.value_or(0) / 2e9, Limit(limits, FigureId::kOutputRate)) << device.id;
    EXPECT_GE(device.tdp_w.value_or(1e9), Limit(limits, FigureId::kPower)) << device.id;
  }
}

TEST(FigureLimits, AnEmptyCatalogueLeavesOnlyWhatTheModelGives) {
  const hardware::CatalogueLayer layer{"empty", R"({"schema": 1, "devices": [], "links": []})"};
  const auto catalogue = hardware::Catalogue::Parse(std::span(&layer, 1));
  ASSERT_TRUE(catalogue.ok()) << catalogue.error().message;
  const auto limits = ComputeLimits(ReferenceWork(), *catalogue);
  ASSERT_EQ(limits.size(), 1u);
  EXPECT_EQ(limits[0].figure, FigureId::kMemory);
}

model::ModelSpec Named(const std::string& id, int64_t params = 10) {
  model::ModelSpec spec;
  spec.id = id;
  spec.model_type = "moe";
  spec.layers.resize(1);
  spec.ends[model::TensorClass::kHead] = {params, 20, params, 20};
  return spec;
}

TEST(ModelIdentity, LeavesThePrecisionOut) {
  const std::string base = ModelIdentity(Named("tiny-moe-f16.gguf"));
  for (const char* id : {"tiny-moe.gguf", "tiny-moe-Q4_0.gguf", "org/Tiny-MoE-Q4_K_M.gguf", "tiny-moe-FP8", "tiny-moe-AWQ",
                         "tiny_moe_bf16", "tiny-moe-IQ2_XS.gguf"})
    EXPECT_EQ(ModelIdentity(Named(id)), base) << id;
  for (const char* id : {"tiny-moe-v2.gguf", "big-moe-f16.gguf", "tiny-moe-instruct"})
    EXPECT_NE(ModelIdentity(Named(id)), base) << id;
  EXPECT_NE(ModelIdentity(Named("tiny-moe", 12)), ModelIdentity(Named("tiny-moe"))) << "another shape";
  model::ModelSpec as_gguf = Named("tiny-moe.gguf");
  as_gguf.model_type = "llama";
  EXPECT_EQ(ModelIdentity(as_gguf), base) << "a GGUF file and a config.json name families differently";
}

TEST(CommonWork, IsTheReferenceWhereModelsDiffer) {
  const auto a = Named("a-f16"), quantised = Named("a-q8_0"), b = Named("b");
  const model::ModelSpec* same[] = {&a, &quantised};
  EXPECT_EQ(CommonWork(same)->active_params, 10);
  const model::ModelSpec* different[] = {&a, &b};
  EXPECT_EQ(CommonWork(different)->active_params, 1e9);
}

// A server that does not tell what it runs has no model of one parameter.
TEST(CommonWork, LeavesOutModelsThatAreNotTold) {
  model::ModelSpec untold;
  untold.id = "served-name";
  const auto a = Named("a-f16");
  const model::ModelSpec* both[] = {&untold, &a};
  EXPECT_EQ(CommonWork(both)->active_params, 10);
  const model::ModelSpec* none[] = {&untold};
  EXPECT_EQ(CommonWork(none), std::nullopt);
}

}  // namespace
}  // namespace moecap::analysis
