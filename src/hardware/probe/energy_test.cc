#include "hardware/probe/energy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

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
  EXPECT_EQ(reader->Describe(), "RAPL: package-0, dram, package-1");
  EXPECT_EQ(reader->JoulesSinceOpen(), 0.0);
  PutZone("intel-rapl:0", "package-0", "3000000");  // + 2 J
  PutZone("intel-rapl:0:0", "core", "2900000");     // inside the package
  PutZone("intel-rapl:0:1", "dram", "1000000");     // + 0.5 J
  PutZone("intel-rapl:1", "package-1", "6000000");  // + 4 J
  EXPECT_DOUBLE_EQ(*reader->JoulesSinceOpen(), 6.5);
  EXPECT_DOUBLE_EQ(*reader->JoulesSinceOpen(), 6.5);
}

TEST_F(EnergyReaderTest, SeesACounterStartAgain) {
  PutZone("intel-rapl:0", "package-0", "262143000000");
  auto reader = EnergyReader::Open(root_);
  ASSERT_TRUE(reader.ok());
  PutZone("intel-rapl:0", "package-0", "671150");
  EXPECT_NEAR(*reader->JoulesSinceOpen(), 1.0, 1e-9);
}

TEST_F(EnergyReaderTest, ACounterThatVanishesIsNotZero) {
  PutZone("intel-rapl:0", "package-0", "1");
  auto reader = EnergyReader::Open(root_);
  ASSERT_TRUE(reader.ok());
  fs::remove_all(root_);
  EXPECT_FALSE(reader->JoulesSinceOpen().has_value());
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
  EXPECT_EQ(reader->Describe(), "RAPL: package-0; NVML: 2 GPUs");
  PutZone("intel-rapl:0", "package-0", "3000000");  // + 2 J
  joules = {1700.0, 80.0};                          // + 700 J + 30 J
  const Energy energy = reader->SinceOpen();
  EXPECT_DOUBLE_EQ(*energy.processor_j, 2.0);
  EXPECT_DOUBLE_EQ(*energy.gpu_j, 730.0);
  EXPECT_DOUBLE_EQ(*reader->JoulesSinceOpen(), 732.0);
}

TEST_F(EnergyReaderTest, AVirtualMachineWithAGpuCountsTheGpuOnly) {
  std::vector<std::optional<double>> joules = {5.0};
  auto reader = EnergyReader::Open(root_, std::make_unique<FakeGpus>(&joules));
  ASSERT_TRUE(reader.ok());
  joules[0] = 9.0;
  EXPECT_FALSE(reader->SinceOpen().processor_j.has_value());
  EXPECT_DOUBLE_EQ(*reader->JoulesSinceOpen(), 4.0);
  EXPECT_EQ(reader->Describe(), "NVML: 1 GPU");
  joules[0] = std::nullopt;
  EXPECT_FALSE(reader->JoulesSinceOpen().has_value());
  joules[0] = 1.0;  // the driver was loaded again
  EXPECT_FALSE(reader->SinceOpen().gpu_j.has_value());
}

TEST_F(EnergyReaderTest, SomeOfTheGpusAreNotAllOfThem) {
  std::vector<std::optional<double>> joules = {5.0, std::nullopt};
  EXPECT_FALSE(EnergyReader::Open(root_, std::make_unique<FakeGpus>(&joules)).ok());
  PutZone("intel-rapl:0", "package-0", "1");
  const auto reader = EnergyReader::Open(root_, std::make_unique<FakeGpus>(&joules));
  ASSERT_TRUE(reader.ok());
  EXPECT_FALSE(reader->CountsGpus());
  EXPECT_TRUE(reader->CountsProcessor());
}

}  // namespace
}  // namespace moecap::hardware
