#include "hardware/probe/energy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/fs.h"

namespace moecap::hardware {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

// GPUs whose counters tests set; null = the GPU has none.
class FakeGpus final : public GpuManager {
 public:
  explicit FakeGpus(std::vector<std::optional<double>>* joules) : joules_(joules) {}
  std::vector<Accelerator> Devices() override { return std::vector<Accelerator>(joules_->size()); }
  std::optional<double> TotalJoules(size_t index) override { return (*joules_)[index]; }
  std::optional<double> PowerW(size_t) override { return std::nullopt; }

 private:
  std::vector<std::optional<double>>* joules_;
};

class EnergyReaderTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    root_ = fs::temp_directory_path() / ("moecap-energy-" + std::to_string(::getpid()) + "-" + info->name());
    fs::remove_all(root_);
  }
  void TearDown() override { fs::remove_all(root_); }

  void PutZone(const std::string& folder, const std::string& name, const std::string& energy_uj) {
    const fs::path zone = root_ / "sys/class/powercap" / folder;
    fs::create_directories(zone);
    ASSERT_TRUE(WriteFileAtomically(zone / "name", name + "\n").ok());
    ASSERT_TRUE(WriteFileAtomically(zone / "max_energy_range_uj", "262143328850\n").ok());
    if (energy_uj.empty()) return;
    ASSERT_TRUE(WriteFileAtomically(zone / "energy_uj", energy_uj + "\n").ok());
  }

  fs::path root_;
};

TEST_F(EnergyReaderTest, SumsPackagesAndMemoryOnce) {
  PutZone("intel-rapl:0", "package-0", "1000000");
  PutZone("intel-rapl:0:0", "core", "900000");
  PutZone("intel-rapl:0:1", "dram", "500000");
  PutZone("intel-rapl:1", "package-1", "2000000");
  PutZone("intel-rapl:2", "psys", "99");
  PutZone("intel-rapl-mmio:0", "package-0", "1000000");
  auto reader = EnergyReader::Open(root_);
  ASSERT_TRUE(reader.ok()) << reader.error().message;
  EXPECT_EQ(reader->Describe({}), "RAPL: package-0, dram, package-1");
  EXPECT_EQ(reader->SinceOpen().cpu_j, 0.0);
  PutZone("intel-rapl:0", "package-0", "3000000");  // + 2 J
  PutZone("intel-rapl:0:0", "core", "2900000");     // inside the package
  PutZone("intel-rapl:0:1", "dram", "1000000");     // + 0.5 J
  PutZone("intel-rapl:1", "package-1", "6000000");  // + 4 J
  for (int again = 0; again < 2; ++again) {
    EXPECT_DOUBLE_EQ(reader->SinceOpen().cpu_j.value(), 6);
    EXPECT_DOUBLE_EQ(reader->SinceOpen().dram_j.value(), 0.5);
  }
}

TEST_F(EnergyReaderTest, SeesACounterStartAgain) {
  PutZone("intel-rapl:0", "package-0", "262143000000");
  auto reader = EnergyReader::Open(root_);
  ASSERT_TRUE(reader.ok());
  PutZone("intel-rapl:0", "package-0", "671150");
  EXPECT_NEAR(reader->SinceOpen().cpu_j.value(), 1.0, 1e-9);
  EXPECT_EQ(reader->SinceOpen().dram_j, std::nullopt) << "this machine does not count it apart";
}

TEST_F(EnergyReaderTest, ACounterThatVanishesIsNotZero) {
  PutZone("intel-rapl:0", "package-0", "1");
  auto reader = EnergyReader::Open(root_);
  ASSERT_TRUE(reader.ok());
  fs::remove_all(root_);
  EXPECT_FALSE(reader->SinceOpen().cpu_j.has_value());
}

TEST_F(EnergyReaderTest, ExplainsWhyThereIsNone) {
  const auto none = EnergyReader::Open(root_);
  ASSERT_FALSE(none.ok());
  EXPECT_THAT(none.error().message, HasSubstr("no energy counters"));
  PutZone("intel-rapl:0", "package-0", "1");
  PutZone("intel-rapl:1", "package-1", "");
  const auto half = EnergyReader::Open(root_);
  ASSERT_FALSE(half.ok());
  EXPECT_THAT(half.error().message, HasSubstr("intel-rapl:1"));
}

TEST_F(EnergyReaderTest, GpusAreAPartOfTheirOwn) {
  PutZone("intel-rapl:0", "package-0", "1000000");
  std::vector<std::optional<double>> joules = {1000.0, 50.0};
  auto reader = EnergyReader::Open(root_, std::make_unique<FakeGpus>(&joules));
  ASSERT_TRUE(reader.ok()) << reader.error().message;
  EXPECT_EQ(reader->Describe({}), "RAPL: package-0") << "the GPUs idle";
  EXPECT_EQ(reader->Describe({true, {0, 1}}), "RAPL: package-0; NVML: GPU 0, GPU 1");
  PutZone("intel-rapl:0", "package-0", "3000000");  // + 2 J
  joules = {1700.0, 80.0};                          // + 700 J + 30 J
  const EnergyReading energy = reader->SinceOpen();
  EXPECT_DOUBLE_EQ(energy.cpu_j.value(), 2.0);
  EXPECT_THAT(energy.gpus_j, testing::ElementsAre(700.0, 30.0));
}

TEST_F(EnergyReaderTest, AVirtualMachineWithAGpuCountsTheGpuOnly) {
  std::vector<std::optional<double>> joules = {5.0};
  auto reader = EnergyReader::Open(root_, std::make_unique<FakeGpus>(&joules));
  ASSERT_TRUE(reader.ok());
  joules[0] = 9.0;
  EXPECT_FALSE(reader->SinceOpen().cpu_j.has_value());
  EXPECT_THAT(reader->SinceOpen().gpus_j, testing::ElementsAre(4.0));
  EXPECT_EQ(reader->Describe({}), "");
  EXPECT_EQ(reader->Describe({true, {0}}), "NVML: GPU 0");
  joules[0] = std::nullopt;
  EXPECT_THAT(reader->SinceOpen().gpus_j, testing::ElementsAre(std::nullopt));
  joules[0] = 1.0;  // the driver was loaded again
  EXPECT_THAT(reader->SinceOpen().gpus_j, testing::ElementsAre(std::nullopt));
}

TEST_F(EnergyReaderTest, AGpuWithoutACounterIsNullBesideOthers) {
  std::vector<std::optional<double>> joules = {5.0, std::nullopt};
  auto reader = EnergyReader::Open(root_, std::make_unique<FakeGpus>(&joules));
  ASSERT_TRUE(reader.ok());
  EXPECT_EQ(reader->Describe({true, {0, 1}}), "NVML: GPU 0");
  joules = {7.0, 1.0};
  EXPECT_THAT(reader->SinceOpen().gpus_j, testing::ElementsAre(2.0, std::nullopt));
  joules = {std::nullopt, std::nullopt};
  EXPECT_FALSE(EnergyReader::Open(root_, std::make_unique<FakeGpus>(&joules)).ok());
}

TEST(EnergyOf, AnIdleGpuIsNotChargedToAProcessorsWork) {
  const EnergyReading reading{100.0, 10.0, {80.0, 400.0}};
  const CountedEnergy cpu = EnergyOf(reading, {});
  EXPECT_EQ(cpu.joules, 110.0);
  EXPECT_EQ(cpu.counted, "processor, memory");
  EXPECT_TRUE(cpu.complete());
  const CountedEnergy gpu = EnergyOf(reading, {true, {1}});
  EXPECT_EQ(gpu.joules, 510.0);
  EXPECT_EQ(gpu.counted, "processor, memory, GPU 1");
  EXPECT_EQ(gpu.gpus_j, 400.0);
  EXPECT_EQ(cpu.gpus_j, std::nullopt);
}

// A GPU server in a virtual machine: nothing counts its processor.
TEST(EnergyOf, TheGpusAloneAreToldApart) {
  const CountedEnergy gpus = EnergyOf({std::nullopt, std::nullopt, {80.0, 400.0}}, {true, {0, 1}});
  EXPECT_EQ(gpus.gpus_j, 480.0);
  EXPECT_EQ(gpus.missing, "processor");
}

TEST(EnergyOf, APartWithoutACounterIsTold) {
  const CountedEnergy none = EnergyOf({std::nullopt, std::nullopt, {80.0}}, {});
  EXPECT_EQ(none.joules, std::nullopt) << "an idle GPU is all that counts here";
  EXPECT_EQ(none.missing, "processor");
  const CountedEnergy part = EnergyOf({std::nullopt, std::nullopt, {80.0}}, {true, {0, 1}});
  EXPECT_EQ(part.joules, 80.0);
  EXPECT_EQ(part.gpus_j, std::nullopt) << "one of two GPUs is not the GPUs";
  EXPECT_EQ(part.missing, "processor, GPU 1");
  EXPECT_FALSE(part.complete());
}

TEST(EnergyReading, DifferencesAndJsonKeepNulls) {
  const EnergyReading difference = Difference({1.0, std::nullopt, {5.0, 6.0, 7.0}}, {4.0, 2.0, {9.0, std::nullopt}});
  EXPECT_EQ(difference.cpu_j, 3.0);
  EXPECT_EQ(difference.dram_j, std::nullopt);
  EXPECT_THAT(difference.gpus_j, testing::ElementsAre(4.0, std::nullopt));
  const auto back = EnergyReadingFromJson(ToJson(difference));
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(back->cpu_j, 3.0);
  EXPECT_EQ(back->dram_j, std::nullopt);
  EXPECT_THAT(back->gpus_j, testing::ElementsAre(4.0, std::nullopt));
}

}  // namespace
}  // namespace moecap::hardware
