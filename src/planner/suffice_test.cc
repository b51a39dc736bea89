#include "planner/suffice.h"

#include <gtest/gtest.h>

#include <array>

#include "metrics/batch_curve.h"
#include "model/catalogue.h"
#include "model/weight_format.h"
#include "planner/serving.h"

namespace moecap::planner {
namespace {

TEST(Suffice, NeedsAndClassesOfASmallModel) {
  const auto models = *model::ModelCatalogue::Builtin();
  const model::ModelSpec spec = *model::SpecOf(*models.Find("openai/gpt-oss-20b"), "openai/gpt-oss-20b");
  const std::array<int64_t, 2> batches = {1, 64};
  const auto needs = NeedsOf(spec, batches, 4096, 0.1);
  ASSERT_EQ(needs.size(), 2u);
  const auto curve = metrics::DecodeCurve(spec, batches, {.context_tokens = 4096});
  EXPECT_DOUBLE_EQ(needs[0].bandwidth_bytes_per_s, curve[0].bytes_per_step * 10);
  EXPECT_DOUBLE_EQ(needs[1].memory_bytes, spec.WeightBytes() + 64 * spec.ResidentKvBytes(4096));
  const auto catalogue = *hardware::Catalogue::Builtin();
  const auto classes = WhichSuffice(catalogue, needs);
  ASSERT_EQ(classes.size(), 4u);
  for (const DeploymentClassSuffices& one : classes) {
    EXPECT_GE(one.devices, 10) << one.name;
    EXPECT_GE(one.needs[0].fast_enough, one.needs[1].fast_enough) << "a larger batch needs more";
    for (const ClassSuffices& at : one.needs) {
      EXPECT_LE(at.holding, at.fast_enough);
      EXPECT_EQ(at.least != nullptr, at.holding > 0);
    }
  }
  EXPECT_GT(classes[3].needs[0].fast_enough, 0) << "a phone reads 3.6 billion parameters in time";
  EXPECT_EQ(classes[3].needs[0].holding, 0) << "and holds 20 billion nowhere";
  EXPECT_GT(classes[2].needs[0].holding, 0);
  // Nothing that needs no bandwidth and no memory is too much for any device.
  const std::array<StepNeed, 1> nothing = {StepNeed{1, 0, 0}};
  for (const DeploymentClassSuffices& one : WhichSuffice(catalogue, nothing)) EXPECT_EQ(one.needs[0].holding, one.devices);
}

// A phone gives an app half of its memory: 24 GiB of the largest with a Snapdragon 8 Elite hold 8 billion parameters in 4 bits,
// 4.7 GB, and so do 12 GiB; 6 and 8 GiB do not.
TEST(Suffice, SomePhonesHoldASmallModel) {
  const auto models = *model::ModelCatalogue::Builtin();
  model::ModelSpec spec = *model::SpecOf(*models.Find("LiquidAI/LFM2-8B-A1B"), "LiquidAI/LFM2-8B-A1B");
  model::ApplyWeightChoice(spec, *model::WeightChoiceByName("int4"));
  const auto catalogue = *hardware::Catalogue::Builtin();
  EXPECT_DOUBLE_EQ(UsableMemory(*catalogue.FindDevice("snapdragon-8-elite")), 12.0 * 1073741824);
  EXPECT_EQ(UsableMemory(*catalogue.FindDevice("dimensity-8020")), 0) << "not known";
  const std::array<int64_t, 1> batches = {1};
  const auto classes = WhichSuffice(catalogue, NeedsOf(spec, batches, 4096, 0.1));
  const ClassSuffices& phones = classes[3].needs[0];
  int with_room = 0;
  for (const hardware::Device& device : catalogue.devices()) {
    with_room += device.device_class == "phone" && device.memory_bytes && *device.memory_bytes >= 12.0 * 1073741824;
  }
  EXPECT_GE(with_room, 5);
  EXPECT_EQ(phones.holding, with_room);
  EXPECT_EQ(phones.fast_enough, classes[3].devices);
}

}  // namespace
}  // namespace moecap::planner
