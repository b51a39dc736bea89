#include "run/axis_limits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace moecap::run {
namespace {

using cap::AxisId;
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

double Limit(const cap::AxisLimits& limits, AxisId axis) {
  const cap::AxisLimit* limit = cap::FindLimit(limits, axis);
  EXPECT_NE(limit, nullptr);
  return limit != nullptr ? limit->value : 0;
}

TEST(AxisLimits, FollowFromModelAndCatalogue) {
  const ModelWork work{"m", 3e9, 30e9};  // 6e9 FLOPs a token
  const auto limits = ComputeAxisLimits(work, TwoDevices());
  EXPECT_DOUBLE_EQ(Limit(limits, AxisId::kTpot), 3e9 * 0.5 / 4e12);
  EXPECT_DOUBLE_EQ(Limit(limits, AxisId::kTtft), 3e9 * 0.5 / 4e12);
  EXPECT_DOUBLE_EQ(Limit(limits, AxisId::kOutputTokensPerS), 1e15 / 6e9);
  // A dollar rents Cheap for 5 hours at its low price: 2e14 x 3600 / 0.2 = 3.6e18 FLOPs; Fast gives 9e17.
  EXPECT_DOUBLE_EQ(Limit(limits, AxisId::kUsdPerMillionOutputTokens), 1e6 * 6e9 / 3.6e18);
  EXPECT_DOUBLE_EQ(Limit(limits, AxisId::kJoulesPerOutputToken), 6e9 * 100 / 2e14);
  EXPECT_DOUBLE_EQ(Limit(limits, AxisId::kPowerW), 100);
  EXPECT_DOUBLE_EQ(Limit(limits, AxisId::kPurchaseUsd), 400);
  EXPECT_DOUBLE_EQ(Limit(limits, AxisId::kMemoryBytes), 15e9);
  EXPECT_EQ(cap::FindLimit(limits, AxisId::kAccuracy), nullptr);
  EXPECT_THAT(cap::FindLimit(limits, AxisId::kTpot)->source, HasSubstr("4.00 TB/s (Fast,"));
}

// The second way: the shipped catalogue gives every log axis a limit, and no device beats it.
TEST(AxisLimits, NoDeviceOfTheCatalogueBeatsThem) {
  const auto limits = BuiltinAxisLimits(ReferenceWork());
  for (const cap::Axis& axis : cap::Axes()) EXPECT_EQ(cap::FindLimit(limits, axis.id) != nullptr, axis.log_scale) << axis.key;
  const auto catalogue = hardware::Catalogue::Builtin();
  ASSERT_TRUE(catalogue.ok());
  for (const hardware::Device& device : catalogue->devices()) {
    EXPECT_GE(0.5e9 / device.bandwidth_bytes_per_s.value_or(1), Limit(limits, AxisId::kTpot)) << device.id;
    EXPECT_LE(device.peaks.fp8.value_or(0) / 2e9, Limit(limits, AxisId::kOutputTokensPerS)) << device.id;
    EXPECT_GE(device.tdp_w.value_or(1e9), Limit(limits, AxisId::kPowerW)) << device.id;
  }
}

TEST(AxisLimits, AnEmptyCatalogueLeavesOnlyWhatTheModelGives) {
  const hardware::CatalogueLayer layer{"empty", R"({"schema": 1, "devices": [], "links": []})"};
  const auto catalogue = hardware::Catalogue::Parse(std::span(&layer, 1));
  ASSERT_TRUE(catalogue.ok()) << catalogue.error().message;
  const auto limits = ComputeAxisLimits(ReferenceWork(), *catalogue);
  ASSERT_EQ(limits.size(), 1u);
  EXPECT_EQ(limits[0].axis, AxisId::kMemoryBytes);
}

model::ModelSpec Named(const std::string& id, int64_t params = 10) {
  model::ModelSpec spec;
  spec.id = id;
  spec.model_type = "moe";
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
}

TEST(CommonWork, IsTheReferenceWhereModelsDiffer) {
  const auto a = Named("a-f16"), quantised = Named("a-q8_0"), b = Named("b");
  const model::ModelSpec* same[] = {&a, &quantised};
  EXPECT_EQ(CommonWork(same).active_params, 10);
  const model::ModelSpec* different[] = {&a, &b};
  EXPECT_EQ(CommonWork(different).active_params, 1e9);
}

}  // namespace
}  // namespace moecap::run
