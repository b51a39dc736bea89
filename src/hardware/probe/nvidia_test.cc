// The code that calls NVIDIA's libraries, against a stand-in for them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "hardware/probe/gpu_probe.h"
#include "hardware/probe/nvml.h"

namespace moecap::hardware {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class NvidiaTest : public testing::Test {
 protected:
  void TearDown() override { ::unsetenv("FAKE_NVIDIA_FAULT"); }
  static void Break(const char* what) { ::setenv("FAKE_NVIDIA_FAULT", what, 1); }

  static GpuOptions Quick() {
    GpuOptions options;
    options.figure_s = 0.001;
    options.most_bytes = 64.0 * 1024 * 1024;
    options.cuda_library = MOECAP_FAKE_NVIDIA;
    return options;
  }
};

TEST_F(NvidiaTest, NvmlTellsOfEveryGpu) {
  auto nvml = OpenNvml(MOECAP_FAKE_NVIDIA);
  ASSERT_TRUE(nvml.ok()) << nvml.error().message;
  const auto gpus = (*nvml)->Devices();
  ASSERT_THAT(gpus, SizeIs(2));
  EXPECT_EQ(gpus[1].name, "NVIDIA H200");
  EXPECT_EQ(gpus[1].driver, "NVIDIA 580.1");
  EXPECT_EQ(gpus[1].pci_address, "0000:2b:00.0");
  EXPECT_EQ(gpus[1].pci_id, "10de:2335");
  EXPECT_EQ(gpus[1].memory_bytes, 143771.0 * 1024 * 1024);
  EXPECT_EQ(gpus[1].power_limit_w, 700);
  EXPECT_EQ(gpus[1].nvlinks, 17);
  EXPECT_EQ(gpus[1].pcie, (PcieLink{5, 16, std::nullopt, std::nullopt}));
  EXPECT_EQ((*nvml)->PowerW(0), 75.5);
  EXPECT_GT((*nvml)->TotalJoules(1).value(), 0);
  EXPECT_FALSE((*nvml)->PowerW(2).has_value());
  EXPECT_FALSE((*nvml)->TotalJoules(2).has_value());
}

TEST_F(NvidiaTest, NvmlSaysWhyItDoesNotAnswer) {
  EXPECT_THAT(OpenNvml("libno-such-driver.so.1").error().message, HasSubstr("libno-such-driver.so.1"));
  Break("init");
  EXPECT_THAT(OpenNvml(MOECAP_FAKE_NVIDIA).error().message, HasSubstr("version mismatch"));
}

TEST_F(NvidiaTest, MeasuresAndChecksEveryFigure) {
  auto nvml = OpenNvml(MOECAP_FAKE_NVIDIA);
  ASSERT_TRUE(nvml.ok());
  const auto gpus = MeasureGpus(Quick(), nvml->get());
  ASSERT_TRUE(gpus.ok()) << gpus.error().message;
  ASSERT_THAT(*gpus, SizeIs(1));
  const GpuCeilings& gpu = gpus->front();
  EXPECT_THAT(gpu.notes, IsEmpty());
  EXPECT_EQ(gpu.name, "NVIDIA H200");
  EXPECT_EQ(gpu.pci_address, "0000:2b:00.0");
  for (const auto& figure :
       {gpu.read_bytes_per_s, gpu.copy_bytes_per_s, gpu.host_to_device_bytes_per_s, gpu.device_to_host_bytes_per_s}) {
    ASSERT_TRUE(figure.has_value());
    EXPECT_GE(figure->repetitions, 5);
    EXPECT_GT(figure->worst, 0);
  }
  EXPECT_EQ(gpu.idle_w, 75.5);
  ASSERT_TRUE(gpu.busy_w.has_value());
  EXPECT_NEAR(*gpu.busy_w, 500, 5);
}

TEST_F(NvidiaTest, AWrongAnswerIsANoteAndNoFigure) {
  Break("copy");
  auto gpus = MeasureGpus(Quick(), nullptr);
  ASSERT_TRUE(gpus.ok());
  EXPECT_THAT(gpus->front().notes, Contains(HasSubstr("came back wrong")));
  EXPECT_FALSE(gpus->front().host_to_device_bytes_per_s.has_value());
  Break("sum");
  gpus = MeasureGpus(Quick(), nullptr);
  EXPECT_THAT(gpus->front().notes, Contains(HasSubstr("sums of the GPU's memory came back wrong")));
  EXPECT_FALSE(gpus->front().read_bytes_per_s.has_value());
  EXPECT_TRUE(gpus->front().copy_bytes_per_s.has_value());
}

TEST_F(NvidiaTest, ARateThatNothingReachesIsRefused) {
  Break("clock");
  const auto gpus = MeasureGpus(Quick(), nullptr);
  ASSERT_TRUE(gpus.ok());
  EXPECT_THAT(gpus->front().notes, Contains(HasSubstr("not possible")));
  EXPECT_FALSE(gpus->front().host_to_device_bytes_per_s.has_value());
}

TEST_F(NvidiaTest, TooLittleFreeMemoryAndNoDriver) {
  Break("memory");
  const auto gpus = MeasureGpus(Quick(), nullptr);
  ASSERT_TRUE(gpus.ok());
  EXPECT_THAT(gpus->front().notes, Contains(HasSubstr("free")));
  Break("init");
  EXPECT_THAT(MeasureGpus(Quick(), nullptr).error().message, HasSubstr("cuInit"));
  GpuOptions options = Quick();
  options.cuda_library = "libno-such-driver.so.1";
  EXPECT_FALSE(MeasureGpus(options, nullptr).ok());
}

}  // namespace
}  // namespace moecap::hardware
