// Reading what a machine is built of, from copies of its files, and measuring disks.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <nlohmann/json.hpp>

#include "base/fs.h"
#include "hardware/probe/async_reads.h"
#include "hardware/probe/disk_probe.h"
#include "hardware/probe/probe.h"

namespace moecap::hardware {
namespace {

namespace fs = std::filesystem;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr double kGib = 1024.0 * 1024 * 1024;

class MachineTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    root_ = fs::temp_directory_path() / ("moecap-machine-" + std::to_string(::getpid()) + "-" + info->name());
    fs::remove_all(root_);
    fs::create_directories(root_);
  }
  void TearDown() override { fs::remove_all(root_); }

  void Put(const std::string& path, const std::string& content) {
    fs::create_directories((root_ / path).parent_path());
    ASSERT_TRUE(WriteFileAtomically(root_ / path, content).ok());
  }
  void PutPci(const std::string& address, const char* pci_class, const char* vendor, const char* device) {
    const std::string folder = "sys/bus/pci/devices/" + address;
    Put(folder + "/class", std::string(pci_class) + "\n");
    Put(folder + "/vendor", std::string(vendor) + "\n");
    Put(folder + "/device", std::string(device) + "\n");
  }
  MachineInfo Detect(GpuManager* gpus = nullptr) { return DetectMachineAt(root_, {0}, gpus); }

  fs::path root_;
};

class OneGpu final : public GpuManager {
 public:
  std::vector<Accelerator> Devices() override {
    Accelerator gpu;
    gpu.vendor = "NVIDIA";
    gpu.name = "NVIDIA H200";
    gpu.pci_address = "0000:1b:00.0";
    gpu.source = "NVML";
    return {gpu};
  }
  std::optional<double> TotalJoules(size_t) override { return std::nullopt; }
  std::optional<double> PowerW(size_t) override { return std::nullopt; }
};

TEST_F(MachineTest, AnAmdGpuTellsItsMemoryLinkAndPowerCap) {
  PutPci("0000:c1:00.0", "0x120000", "0x1002", "0x74a1");
  const std::string folder = "sys/bus/pci/devices/0000:c1:00.0";
  Put(folder + "/mem_info_vram_total", "206141652992\n");
  Put(folder + "/product_name", "AMD Instinct MI300X\n");
  Put(folder + "/current_link_speed", "32.0 GT/s PCIe\n");
  Put(folder + "/current_link_width", "16\n");
  Put(folder + "/max_link_speed", "32.0 GT/s PCIe\n");
  Put(folder + "/max_link_width", "16\n");
  Put(folder + "/hwmon/hwmon3/power1_cap", "750000000\n");
  MachineInfo machine = Detect();
  ASSERT_THAT(machine.accelerators, SizeIs(1));
  MatchCatalogue(*Catalogue::Builtin(), machine);
  const Accelerator& gpu = machine.accelerators.front();
  EXPECT_EQ(gpu.vendor, "AMD");
  EXPECT_EQ(gpu.name, "AMD Instinct MI300X");
  EXPECT_EQ(gpu.pci_id, "1002:74a1");
  EXPECT_EQ(gpu.memory_bytes, 206141652992.0);
  EXPECT_EQ(gpu.pcie, (PcieLink{5, 16, 5, 16}));
  EXPECT_EQ(gpu.power_limit_w, 750);
  EXPECT_EQ(gpu.catalogue_id, "mi300x");
}

TEST_F(MachineTest, ListsOtherDevicesOnceAndLeavesConsolesOut) {
  PutPci("0000:1b:00.0", "0x030200", "0x10de", "0x2335");  // NVML tells of it
  PutPci("0000:1c:00.0", "0x030200", "0x10de", "0x2335");  // not in NVML: another driver has it
  PutPci("0000:02:00.0", "0x030000", "0x1a03", "0x2000");  // the board's console
  PutPci("0000:1b:00.1", "0x040300", "0x10de", "0x1234");  // audio
  PutPci("0000:03:00.0", "0x120000", "0x1da3", "0x1060");
  OneGpu gpus;
  const MachineInfo machine = Detect(&gpus);
  ASSERT_THAT(machine.accelerators, SizeIs(3));
  EXPECT_EQ(machine.accelerators[0].source, "NVML");
  EXPECT_EQ(machine.accelerators[1].pci_id, "1da3:1060");
  EXPECT_EQ(machine.accelerators[2].pci_address, "0000:1c:00.0");
  EXPECT_FALSE(machine.accelerators[2].memory_bytes.has_value());
}

TEST_F(MachineTest, ReadsDisksAndPorts) {
  Put("sys/block/nvme0n1/size", "1953525168\n");
  Put("sys/block/nvme0n1/queue/rotational", "0\n");
  Put("sys/block/nvme0n1/device/model", "Samsung SSD 990 PRO 1TB                 \n");
  Put("sys/block/nvme0n1/device/device/current_link_speed", "16.0 GT/s PCIe\n");
  Put("sys/block/nvme0n1/device/device/current_link_width", "4\n");
  Put("sys/block/loop0/size", "8\n");
  Put("sys/block/sda/size", "0\n");
  Put("sys/block/vda/size", "2048\n");
  Put("sys/block/vda/queue/rotational", "1\n");
  Put("sys/class/net/eth0/type", "1\n");
  Put("sys/class/net/eth0/device/vendor", "0x15b3\n");
  Put("sys/class/net/eth0/speed", "100000\n");
  Put("sys/class/net/lo/type", "772\n");
  Put("sys/class/net/docker0/type", "1\n");
  Put("sys/class/infiniband/mlx5_0/ports/1/rate", "400 Gb/sec (4X NDR)\n");
  Put("sys/class/infiniband/mlx5_0/ports/1/state", "4: ACTIVE\n");
  Put("sys/class/infiniband/mlx5_0/ports/1/link_layer", "InfiniBand\n");
  const MachineInfo machine = Detect();
  ASSERT_THAT(machine.disks, SizeIs(2));
  EXPECT_EQ(machine.disks[0].model, "Samsung SSD 990 PRO 1TB");
  EXPECT_EQ(machine.disks[0].bytes, 1953525168.0 * 512);
  EXPECT_EQ(machine.disks[0].rotational, false);
  EXPECT_EQ(machine.disks[0].transport, "nvme");
  EXPECT_EQ(machine.disks[0].pcie, (PcieLink{4, 4, std::nullopt, std::nullopt}));
  EXPECT_EQ(machine.disks[1].name, "vda");
  EXPECT_FALSE(machine.disks[1].rotational.has_value());  // virtio does not know
  ASSERT_THAT(machine.network_ports, SizeIs(2));
  EXPECT_EQ(machine.network_ports[0].bytes_per_s, 12.5e9);
  EXPECT_EQ(machine.network_ports[1].name, "mlx5_0/1");
  EXPECT_EQ(machine.network_ports[1].bytes_per_s, 50e9);
}

TEST_F(MachineTest, TheMemoryControllerTellsItsChannels) {
  for (int channel = 0; channel < 8; ++channel) {
    const std::string dimm = "sys/devices/system/edac/mc/mc0/dimm" + std::to_string(channel);
    Put(dimm + "/size", "65536\n");
    Put(dimm + "/dimm_mem_type", "Registered-DDR5\n");
    Put(dimm + "/dimm_label", "A" + std::to_string(channel) + "\n");
    Put(dimm + "/dimm_location",
        "memory 0 channel " + std::to_string(channel / 2) + " slot " + std::to_string(channel % 2) + "\n");
  }
  const MemoryLayout memory = Detect().memory;
  ASSERT_THAT(memory.modules, SizeIs(8));
  EXPECT_EQ(memory.modules.front().type, "DDR5");
  EXPECT_EQ(memory.modules.front().bytes, 64 * kGib);
  EXPECT_EQ(memory.channels, 4);
  EXPECT_EQ(memory.source, "EDAC");
  EXPECT_FALSE(memory.peak_bytes_per_s.has_value());  // it does not tell the speed
}

TEST_F(MachineTest, TheFirmwareTellsModulesAndTheirSpeed) {
  std::string table;
  for (const char* bank : {"P0 CHANNEL A", "P0 CHANNEL B"}) {
    std::string module(0x28, '\0');
    module[0x00] = 17;
    module[0x01] = 0x28;
    module[0x0a] = 64;
    module[0x0d] = 0x40;  // 16 GiB
    module[0x11] = 1;
    module[0x12] = 0x22;
    module[0x20] = static_cast<char>(0xc0);  // 4800 MT/s
    module[0x21] = 0x12;
    table += module + bank + std::string(2, '\0');
  }
  Put("sys/firmware/dmi/tables/DMI", table);
  const MemoryLayout memory = Detect().memory;
  ASSERT_THAT(memory.modules, SizeIs(2));
  EXPECT_EQ(memory.channels, 2);
  EXPECT_EQ(memory.source, "SMBIOS");
  EXPECT_EQ(memory.peak_bytes_per_s, 2 * 4800e6 * 8);
  Put("sys/firmware/dmi/tables/DMI", table.substr(0, 50));
  EXPECT_THAT(Detect().notes, Contains(HasSubstr("cut off")));
}

TEST_F(MachineTest, AnEmptySystemHasNothing) {
  const MachineInfo machine = Detect();
  EXPECT_THAT(machine.accelerators, IsEmpty());
  EXPECT_THAT(machine.disks, IsEmpty());
  EXPECT_THAT(machine.notes, ElementsAre(HasSubstr("memory modules")));
}

TEST_F(MachineTest, CacheLevelsAreSummedOverTheirInstances) {
  for (int cpu = 0; cpu < 2; ++cpu) {
    const std::string caches = "sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/cache/index";
    const char* const kSizes[] = {"48K\n", "32K\n", "1024K\n", "32M\n"};
    const char* const kTypes[] = {"Data\n", "Instruction\n", "Unified\n", "Unified\n"};
    const char* const kLevels[] = {"1\n", "1\n", "2\n", "3\n"};
    for (int i = 0; i < 4; ++i) {
      Put(caches + std::to_string(i) + "/level", kLevels[i]);
      Put(caches + std::to_string(i) + "/type", kTypes[i]);
      Put(caches + std::to_string(i) + "/size", kSizes[i]);
      Put(caches + std::to_string(i) + "/shared_cpu_list", i == 3 ? "0-1\n" : std::to_string(cpu) + "\n");
    }
  }
  const auto levels = ReadCacheLevels(root_, {0, 1});
  ASSERT_THAT(levels, SizeIs(3));
  EXPECT_EQ(levels[0].bytes, 2 * 48.0 * 1024);
  EXPECT_EQ(levels[1].bytes, 2 * 1024.0 * 1024);
  EXPECT_EQ(levels[2].bytes, 32.0 * 1024 * 1024);
}

TEST(MeasureCaches, ReadsInsideEachLevelThatIsApart) {
  const std::vector<CacheLevel> levels = {
      {1, 96.0 * 1024}, {2, 2.0 * 1024 * 1024}, {3, 2.1 * 1024 * 1024}, {4, 32.0 * 1024 * 1024}};
  HostInfo host = DetectHost();
  host.allowed_cpus.resize(1);
  const auto caches = MeasureCaches(host, levels, 0.005, SteadyClock());
  ASSERT_TRUE(caches.ok()) << caches.error().message;
  ASSERT_THAT(*caches, SizeIs(2));  // the third level could not be told from the second
  EXPECT_EQ(caches->front().level, 2);
  EXPECT_EQ(caches->front().buffer_bytes, 1.0 * 1024 * 1024);
  EXPECT_EQ(caches->back().level, 4);
  EXPECT_GT(caches->back().read_bytes_per_s.worst, 0);
}

TEST(MeasureBandwidth, TakesAnyNumberOfThreads) {
  const HostInfo host = DetectHost();
  CeilingOptions options;
  options.buffer_bytes = 16.0 * 1024 * 1024;
  options.budget_s = 0.01;
  const auto point = MeasureBandwidth(host, 1, options, SteadyClock());
  ASSERT_TRUE(point.ok()) << point.error().message;
  EXPECT_EQ(point->threads, 1);
  EXPECT_GT(point->copy_bytes_per_s.worst, 0);
  EXPECT_FALSE(MeasureBandwidth(host, 0, options, SteadyClock()).ok());
}

DiskOptions SmallFile() {
  DiskOptions options;
  options.most_bytes = 64.0 * 1024 * 1024;
  options.figure_s = 0.01;
  return options;
}

TEST_F(MachineTest, MeasuresADiskAndLeavesNothingBehind) {
  const auto disk = MeasureDisk(root_, SmallFile(), DetectHost(), SteadyClock());
  ASSERT_TRUE(disk.ok()) << disk.error().message;
  EXPECT_TRUE(fs::is_empty(root_));
  if (!disk->sequential_read_bytes_per_s) {  // the test's folder is in memory, or its disk full
    EXPECT_FALSE(disk->notes.empty());
    return;
  }
  EXPECT_GT(disk->file_bytes, 0);
  EXPECT_LE(disk->file_bytes, SmallFile().most_bytes);
  for (const auto& figure :
       {disk->sequential_write_bytes_per_s, disk->random_1mib_read_bytes_per_s, disk->random_4kib_read_bytes_per_s}) {
    ASSERT_TRUE(figure.has_value());
    EXPECT_GT(figure->worst, 0);
  }
}

TEST_F(MachineTest, ARateAboveTheDisksLinkIsDropped) {
  // The folder's disk, as this machine numbers it, becomes one on a PCIe 1.0 lane of 250 MB/s.
  const std::string disk = DiskOf(root_);
  if (disk.empty()) GTEST_SKIP() << "no block device below the test's folder";
  const fs::path fake = root_ / "machine";
  std::error_code error;
  for (fs::directory_iterator entry("/sys/dev/block", error), end; !error && entry != end; entry.increment(error)) {
    fs::create_directories(fake / "sys/dev/block" / entry->path().filename() / "nvme9n1");
    const fs::path number = fake / "sys/dev/block" / entry->path().filename();
    fs::remove_all(number);
    fs::create_directories(fake / "sys/block/nvme9n1/device/device");
    fs::create_directory_symlink(fake / "sys/block/nvme9n1", number);
  }
  Put("machine/sys/block/nvme9n1/size", "2048\n");
  Put("machine/sys/block/nvme9n1/device/device/max_link_speed", "2.5 GT/s PCIe\n");
  Put("machine/sys/block/nvme9n1/device/device/max_link_width", "1\n");
  DiskOptions options = SmallFile();
  options.sys_root = fake;
  const auto measured = MeasureDisk(root_, options, DetectHost(), SteadyClock());
  ASSERT_TRUE(measured.ok()) << measured.error().message;
  EXPECT_EQ(measured->disk, "nvme9n1");
  for (const auto& figure : {measured->sequential_read_bytes_per_s, measured->random_1mib_read_bytes_per_s}) {
    EXPECT_TRUE(!figure || figure->best <= 250e6);
  }
}

TEST_F(MachineTest, SaysWhatKeepsADiskFromBeingMeasured) {
  const auto missing = MeasureDisk(root_ / "none", SmallFile(), DetectHost(), SteadyClock());
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().kind, ErrorKind::kBadInput);
  DiskOptions tiny = SmallFile();
  tiny.most_bytes = 1e6;
  const auto small = MeasureDisk(root_, tiny, DetectHost(), SteadyClock());
  ASSERT_TRUE(small.ok());
  EXPECT_FALSE(small->sequential_read_bytes_per_s.has_value());
  EXPECT_FALSE(small->notes.empty());
  if (fs::is_directory("/dev/shm")) {
    const auto memory = MeasureDisk("/dev/shm", SmallFile(), DetectHost(), SteadyClock());
    ASSERT_TRUE(memory.ok());
    EXPECT_FALSE(memory->sequential_read_bytes_per_s.has_value());
    EXPECT_THAT(memory->notes, Contains(HasSubstr("in memory")));
  }
}

TEST_F(MachineTest, AsynchronousReadsDeliverEveryPieceOnce) {
  constexpr size_t kPiece = 512;
  std::string content;
  for (int i = 0; i < 100; ++i) content += std::string(kPiece, static_cast<char>(i));
  Put("pieces", content);
  auto reads = AsyncReads::Create(8);
  if (!reads) GTEST_SKIP() << "no asynchronous I/O here";
  const int fd = ::open((root_ / "pieces").c_str(), O_RDONLY);
  ASSERT_GE(fd, 0);
  std::vector<char> memory(8 * kPiece);
  std::vector<int> seen(100, 0);
  uint64_t next = 0;
  const auto offset = [&] { return next++ * kPiece; };
  const auto count = [&](const char* data, uint64_t at) {
    const auto piece = static_cast<int>(at / kPiece);
    if (data[0] == static_cast<char>(piece) && data[kPiece - 1] == static_cast<char>(piece)) ++seen[static_cast<size_t>(piece)];
  };
  EXPECT_EQ(reads->Run(fd, memory.data(), kPiece, 100, offset, count), 0);
  EXPECT_THAT(seen, testing::Each(1));
  EXPECT_EQ(reads->Run(fd, memory.data(), kPiece, 1, offset, count), ENODATA);  // behind the end
  ::close(fd);
}

class ProbeCacheTest : public MachineTest {
 protected:
  ProbeOptions Quick() {
    ProbeOptions options;
    options.ceilings.buffer_bytes = 16.0 * 1024 * 1024;
    options.ceilings.budget_s = 0.02;
    options.ceilings.repetition_s = 0.001;
    options.point_s = 0.005;
    options.disk = SmallFile();
    options.gpu.cuda_library = "libno-such-driver.so.1";
    options.on_step = [this](std::string_view what) { steps_.emplace_back(what); };
    return options;
  }
  CachedCeilings Get(const ProbeOptions& options) {
    auto result = LoadOrProbe(host_, options, SteadyClock(), root_ / "cache");
    EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.error().message);
    return *std::move(result);
  }

  HostInfo host_ = DetectHost();
  std::vector<std::string> steps_;
};

TEST_F(ProbeCacheTest, KeepsTheWholeProbeAndARunDoesNotLoseIt) {
  const CachedCeilings first = Get(Quick());
  EXPECT_TRUE(first.measured_now);
  EXPECT_FALSE(first.ceilings.probed_at.empty());
  ASSERT_FALSE(first.ceilings.by_threads.empty());
  EXPECT_EQ(first.ceilings.by_threads.front().threads, 1);
  EXPECT_EQ(first.ceilings.by_threads.back().threads, host_.UsableThreads());
  EXPECT_TRUE(first.ceilings.disk.has_value());
  EXPECT_THAT(steps_, Contains(HasSubstr("1 thread")));
  // A measurement for a run, of the processor alone.
  const auto run = LoadOrMeasureCeilings(host_, Quick().ceilings, SteadyClock(), root_ / "cache", 0);
  ASSERT_TRUE(run.ok());
  EXPECT_TRUE(run->measured_now);
  EXPECT_EQ(run->ceilings.probed_at, first.ceilings.probed_at);
  EXPECT_TRUE(run->ceilings.disk.has_value());
  steps_.clear();
  (void)Get(Quick());
  EXPECT_THAT(steps_, testing::Not(Contains(HasSubstr("caches"))));
  ProbeOptions other = Quick();
  other.thread_counts = {1, 1};  // other points than the usual ones, also on one core
  steps_.clear();
  EXPECT_THAT(Get(other).ceilings.by_threads, SizeIs(2));
  EXPECT_THAT(steps_, Contains(HasSubstr("caches")));
}

TEST_F(ProbeCacheTest, ADiskFolderThatWasNamedMustExist) {
  ProbeOptions options = Quick();
  options.disk_folder = root_ / "none";
  const auto result = LoadOrProbe(host_, options, SteadyClock(), root_ / "cache");
  ASSERT_FALSE(result.ok());
  EXPECT_THAT(result.error().message, HasSubstr("none"));
  options.measure_disk = false;
  EXPECT_FALSE(Get(options).ceilings.disk.has_value());
}

}  // namespace
}  // namespace moecap::hardware
