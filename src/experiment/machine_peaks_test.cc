#include "experiment/machine_peaks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace moecap::experiment {
namespace {

// What a driver tells of a machine's GPUs, in the order in which it counts them.
hardware::MachineInfo MachineWith(const std::vector<std::string>& names) {
  hardware::MachineInfo machine;
  for (const std::string& name : names) {
    hardware::Accelerator& gpu = machine.accelerators.emplace_back();
    gpu.vendor = "NVIDIA";
    gpu.name = name;
    gpu.source = "NVML";
  }
  const auto catalogue = hardware::Catalogue::Builtin();
  EXPECT_TRUE(catalogue.ok());
  hardware::MatchCatalogue(*catalogue, machine);
  return machine;
}

TEST(MachineOfGpus, IsWhatTheDriverCallsThem) {
  const hardware::MachineInfo two = MachineWith({"NVIDIA H200", "NVIDIA H200"});
  const std::vector<std::string> first = {"CUDA0 (NVIDIA H200)"}, both = {"CUDA0 (NVIDIA H200)", "CUDA1 (NVIDIA H200)"};
  const auto one = MachineOfGpus(first, two);
  ASSERT_TRUE(one);
  EXPECT_EQ(one->name, "h200-sxm");
  ASSERT_EQ(one->accelerators.size(), 1u);
  EXPECT_EQ(one->accelerators[0].id, "h200-sxm");
  EXPECT_EQ(one->accelerators[0].count, 1);
  EXPECT_EQ(MachineOfGpus(both, two)->name, "2 x h200-sxm");
  EXPECT_EQ(MachineOfGpus(both, two)->accelerators[0].count, 2);
}

TEST(MachineOfGpus, IsNotGuessed) {
  const std::vector<std::string> unknown = {"CUDA0 (NVIDIA Unheard-of 9000)"},
                                 mixed = {"CUDA0 (NVIDIA H200)", "CUDA1 (NVIDIA L4)"};
  EXPECT_FALSE(MachineOfGpus(unknown, MachineWith({"NVIDIA Unheard-of 9000"})));
  EXPECT_FALSE(MachineOfGpus(unknown, MachineWith({"NVIDIA H200"}))) << "not in the driver's list";
  EXPECT_FALSE(MachineOfGpus(mixed, MachineWith({"NVIDIA H200", "NVIDIA L4"}))) << "two kinds are no machine of one";
  EXPECT_FALSE(MachineOfGpus({}, MachineWith({"NVIDIA H200"}))) << "a system on the processor";
}

TEST(SameAccelerators, ByTheCataloguesIdsAndTheirNumber) {
  const auto catalogue = hardware::Catalogue::Builtin();
  ASSERT_TRUE(catalogue.ok());
  const auto machine = [](const char* id, int64_t count, int64_t nodes = 1) {
    cost::MachineSpec spec;
    spec.nodes = nodes;
    spec.accelerators.push_back({id, count});
    return spec;
  };
  const cost::MachineSpec here = machine("h200-sxm", 2);
  EXPECT_TRUE(SameAccelerators(machine("h200-sxm", 2), here, *catalogue));
  EXPECT_TRUE(SameAccelerators(machine("NVIDIA H200", 2), here, *catalogue)) << "what the driver calls it";
  EXPECT_FALSE(SameAccelerators(machine("h200-sxm", 1), here, *catalogue));
  EXPECT_FALSE(SameAccelerators(machine("h200-sxm", 2, 2), here, *catalogue));
  EXPECT_FALSE(SameAccelerators(machine("h100-sxm", 2), here, *catalogue));
  EXPECT_FALSE(SameAccelerators(machine("no such device", 2), here, *catalogue));
  EXPECT_FALSE(SameAccelerators({}, here, *catalogue)) << "a processor";
}

TEST(TakeProbedBandwidth, OfAllGpusOrNone) {
  MachinePeaks peaks;
  peaks.bandwidth_bytes_per_s = 9.6e12;
  peaks.flops_per_s = 1.979e15;
  peaks.source = "datasheet of 2 x h200-sxm";
  const std::vector<std::string> both = {"CUDA0 (NVIDIA H200)", "CUDA1 (NVIDIA H200)"};
  hardware::GpuCeilings probed;
  probed.name = "NVIDIA H200";
  probed.measured_at = "2026-11-30T12:00:00Z";
  TakeProbedBandwidth(both, std::vector{probed}, peaks);
  EXPECT_EQ(peaks.bandwidth_bytes_per_s, 9.6e12) << "its memory was not measured";
  probed.read_bytes_per_s.emplace().best = 4.3e12;
  TakeProbedBandwidth(both, std::vector{probed}, peaks);
  EXPECT_EQ(peaks.bandwidth_bytes_per_s, 8.6e12);
  EXPECT_EQ(peaks.flops_per_s, 1.979e15) << "a probe measures no products";
  EXPECT_THAT(peaks.source, testing::AllOf(testing::HasSubstr("measured 2026-11-30T12:00:00Z"),
                                           testing::HasSubstr("FLOPs of the datasheet")));
}

}  // namespace
}  // namespace moecap::experiment
