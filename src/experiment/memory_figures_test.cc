#include "experiment/memory_figures.h"

#include <gtest/gtest.h>

namespace moecap::experiment {
namespace {

using cap::FigureId;

// One layer with 1,000 B of weights and 4 B of cache a token.
PricedSystem System() {
  PricedSystem system;
  model::ModelSpec& model = system.description.model;
  model.layers.resize(1);
  model.layers[0].weights[model::TensorClass::kAttention] = {.params = 500, .bytes = 1000};
  model.layers[0].attention.caches.push_back({.elements = 2});
  system.description.model_file_bytes = 5'000'000'000;
  return system;
}

record::PassRecord Pass(record::PassKind kind, double latency_s, std::optional<record::ExpertReads> reads) {
  record::PassRecord pass;
  pass.kind = kind;
  pass.latency_s = latency_s;
  pass.sequences = {{9, 1, 2}};
  pass.expert_reads = reads;
  return pass;
}

TEST(MemoryFigures, AreThoseOfWhatIsInMemory) {
  PricedSystem system = System();
  const std::vector passes = {Pass(record::PassKind::kDecode, 1, {})};
  cap::FigureValues figures;
  FillMemory(system, passes, figures);
  EXPECT_DOUBLE_EQ(*figures[FigureId::kMemory], 1000 + 2 * 10 * 4);
  EXPECT_FALSE(figures[FigureId::kMemoryUsd]) << "memory has no price";

  system.cost.dram_usd_per_gib = cost::Input{32, "", ""};
  FillMemory(system, passes, figures);
  EXPECT_DOUBLE_EQ(*figures[FigureId::kMemoryUsd], 1080 / 1073741824.0 * 32);

  PricedSystem on_gpu = system;
  on_gpu.cost.accelerators_usd = cost::Input{0, "none", ""};
  FillMemory(on_gpu, passes, figures);
  EXPECT_TRUE(figures[FigureId::kMemoryUsd]) << "a host without accelerators";
  on_gpu.cost.accelerators_usd = cost::Input{32000, "", ""};
  FillMemory(on_gpu, passes, figures);
  EXPECT_FALSE(figures[FigureId::kMemoryUsd]) << "a GPU's memory is not bought as DRAM";

  // Of 800 B of experts 200 B are in memory; the file lies on a disk at 0.1 USD a GB.
  system.description.experts_on_disk = ExpertsOnDisk{.budget_bytes = 200, .total_bytes = 800};
  FillMemory(system, passes, figures);
  EXPECT_DOUBLE_EQ(*figures[FigureId::kMemory], 400 + 80);
  EXPECT_DOUBLE_EQ(*figures[FigureId::kDiskNeeded], 5e9);
  EXPECT_FALSE(figures[FigureId::kMemoryUsd]) << "the disk has no price";
  system.cost.ssd_usd_per_gb = cost::Input{0.1, "", ""};
  FillMemory(system, passes, figures);
  EXPECT_DOUBLE_EQ(*figures[FigureId::kMemoryUsd], 480 / 1073741824.0 * 32 + 0.5);
  system.description.experts_on_disk->budget_bytes = 900;
  EXPECT_DOUBLE_EQ(system.description.ResidentWeightBytes(), 1000) << "a budget for all of them leaves none on disk";
}

TEST(ExpertReads, BecomeSharesOfWhatWasUsedAndOfTheTime) {
  PricedSystem system = System();
  cap::FigureValues figures;
  FillExpertReads(system, std::vector{Pass(record::PassKind::kDecode, 1, {})}, figures);
  EXPECT_FALSE(figures[FigureId::kExpertHits]) << "all experts are in memory";

  system.description.experts_on_disk = ExpertsOnDisk{.budget_bytes = 200, .total_bytes = 800};
  const std::vector passes = {
      Pass(record::PassKind::kPrefill, 2, record::ExpertReads{.hits = 1, .misses = 5, .disk_bytes = 5000, .stall_s = 1}),
      Pass(record::PassKind::kDecode, 1,
           record::ExpertReads{.hits = 3, .foreseen = 1, .misses = 1, .disk_bytes = 1000, .stall_s = 0.2}),
      Pass(record::PassKind::kDecode, 1,
           record::ExpertReads{.hits = 2, .foreseen = 1, .misses = 0, .disk_bytes = 500, .stall_s = 0})};
  FillExpertReads(system, passes, figures);
  EXPECT_DOUBLE_EQ(*figures[FigureId::kExpertHits], 6.0 / 12);
  EXPECT_DOUBLE_EQ(*figures[FigureId::kExpertsForeseen], 2.0 / 12);
  EXPECT_DOUBLE_EQ(*figures[FigureId::kExpertStall], 1.2 / 4);
  EXPECT_DOUBLE_EQ(*figures[FigureId::kDiskBytesPerToken], 6500.0 / 6);
  EXPECT_DOUBLE_EQ(*figures[FigureId::kDecodeDiskRate], 1500.0 / 2);
  EXPECT_FALSE(figures[FigureId::kDecodeDiskSMbu]) << "the disk was not measured";
  system.description.experts_on_disk->disk_bytes_per_s = 3000;
  FillExpertReads(system, passes, figures);
  EXPECT_DOUBLE_EQ(*figures[FigureId::kDecodeDiskSMbu], 0.25);
}

}  // namespace
}  // namespace moecap::experiment
