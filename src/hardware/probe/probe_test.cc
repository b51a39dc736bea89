#include "hardware/probe/probe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/fs.h"
#include "hardware/probe/cgroup.h"
#include "hardware/probe/cpuid_caches.h"

namespace moecap::hardware {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

// A folder of its own for each test, gone afterwards.
class ProbeTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    root_ = fs::temp_directory_path() / ("moecap-probe-" + std::to_string(::getpid()) + "-" + info->name());
    fs::remove_all(root_);
    fs::create_directories(root_);
  }
  void TearDown() override { fs::remove_all(root_); }

  void Put(const std::string& path, const std::string& content) {
    fs::create_directories((root_ / path).parent_path());
    ASSERT_TRUE(WriteFileAtomically(root_ / path, content).ok());
  }

  // Two cores of two threads, and a level-3 cache for each core.
  void PutTwoCores() {
    Put("proc/cpuinfo",
        "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 143\nmodel name\t: Intel(R) Xeon(R)  8480+\n"
        "flags\t\t: fpu hypervisor sse2 avx2 fma avx512f avx512bw avx512_vnni amx_bf16\n\nprocessor\t: 1\nmodel name\t: "
        "other\n");
    Put("proc/meminfo", "MemTotal:       16000000 kB\nMemFree:  1 kB\nMemAvailable:   12000000 kB\n");
    Put("proc/sys/kernel/osrelease", "6.1.0-test\n");
    Put("sys/devices/system/cpu/online", "0-3\n");
    Put("sys/devices/system/node/online", "0-1\n");
    for (int cpu = 0; cpu < 4; ++cpu) {
      const std::string folder = "sys/devices/system/cpu/cpu" + std::to_string(cpu);
      const std::string core = cpu < 2 ? "0-1" : "2-3";
      Put(folder + "/topology/physical_package_id", "0\n");
      Put(folder + "/topology/thread_siblings_list", core + "\n");
      Put(folder + "/cache/index0/level", "1\n");
      Put(folder + "/cache/index0/type", "Data\n");
      Put(folder + "/cache/index0/size", "48K\n");
      Put(folder + "/cache/index1/level", "3\n");
      Put(folder + "/cache/index1/type", "Unified\n");
      Put(folder + "/cache/index1/size", "32768K\n");
      Put(folder + "/cache/index1/shared_cpu_list", core + "\n");
    }
  }

  fs::path root_;
};

TEST_F(ProbeTest, ReadsAMachineFromItsFiles) {
  PutTwoCores();
  const HostInfo host = DetectHostAt(root_, {0, 1, 2});
  EXPECT_EQ(host.cpu_vendor, "GenuineIntel");
  EXPECT_EQ(host.cpu_model, "Intel(R) Xeon(R)  8480+");
  EXPECT_EQ(host.cpu_family, 6);
  EXPECT_EQ(host.cpu_model_number, 143);
  EXPECT_EQ(host.physical_cores, 2);
  EXPECT_EQ(host.logical_cpus, 4);
  EXPECT_EQ(host.sockets, 1);
  EXPECT_EQ(host.numa_nodes, 2);
  EXPECT_THAT(host.isa, ElementsAre("fma", "avx2", "avx512f", "avx512bw", "avx512_vnni", "amx_bf16"));
  EXPECT_EQ(host.last_level_cache_bytes, 2.0 * 32 * 1024 * 1024);
  EXPECT_EQ(host.dram_bytes, 16e6 * 1024);
  EXPECT_EQ(host.available_bytes, 12e6 * 1024);
  EXPECT_FALSE(host.memory_limit_bytes.has_value());
  EXPECT_FALSE(host.cpu_quota.has_value());
  EXPECT_EQ(host.hypervisor, "unknown");
  EXPECT_EQ(host.container, "");
  EXPECT_EQ(host.kernel, "Linux 6.1.0-test");
  EXPECT_EQ(host.UsableThreads(), 3);
}

TEST_F(ProbeTest, OnlyTheCachesOfTheAllowedCpusCount) {
  PutTwoCores();
  EXPECT_EQ(DetectHostAt(root_, {1}).last_level_cache_bytes, 32.0 * 1024 * 1024);
}

TEST_F(ProbeTest, AnEmptySystemTellsNothingAndFailsNowhere) {
  const HostInfo host = DetectHostAt(root_, {});
  EXPECT_THAT(host.allowed_cpus, ElementsAre(0));
  EXPECT_EQ(host.UsableThreads(), 1);
  EXPECT_EQ(host.last_level_cache_bytes, std::nullopt) << "unknown is not 0";
  EXPECT_EQ(host.dram_bytes, std::nullopt);
  EXPECT_EQ(host.available_bytes, std::nullopt);
  EXPECT_EQ(host.cpu_family, std::nullopt);
  EXPECT_TRUE(host.isa.empty());
}

TEST_F(ProbeTest, ControlGroupsVersion2LimitFromAnyParent) {
  PutTwoCores();
  Put("proc/self/cgroup", "0::/pod/container\n");
  Put("sys/fs/cgroup/pod/cpu.max", "150000 100000\n");
  Put("sys/fs/cgroup/pod/container/cpu.max", "max 100000\n");
  Put("sys/fs/cgroup/pod/container/memory.max", "4294967296\n");
  Put("sys/fs/cgroup/pod/container/memory.current", "1073741824\n");
  const HostInfo host = DetectHostAt(root_, {0, 1, 2, 3});
  ASSERT_TRUE(host.cpu_quota);
  EXPECT_DOUBLE_EQ(*host.cpu_quota, 1.5);
  EXPECT_EQ(host.UsableThreads(), 1);
  ASSERT_TRUE(host.memory_limit_bytes);
  EXPECT_EQ(*host.memory_limit_bytes, 4294967296.0);
  EXPECT_EQ(host.available_bytes, 3221225472.0);
}

TEST_F(ProbeTest, TheLimitOfAddressSpaceIsOneOfMemory) {
  PutTwoCores();
  const auto available = [&] { return DetectHostAt(root_, {0}).available_bytes; };
  Put("proc/self/status", "Name:\tmoecap\nVmSize:\t  500000 kB\n");
  EXPECT_EQ(available(), 12e6 * 1024);
  Put("proc/self/limits", "Limit  Soft Limit  Hard Limit  Units\nMax address space  unlimited  unlimited  bytes\n");
  EXPECT_EQ(available(), 12e6 * 1024);
  Put("proc/self/limits", "Limit  Soft Limit  Hard Limit  Units\nMax address space  1512000000  unlimited  bytes\n");
  EXPECT_EQ(available(), 1e9);
  Put("proc/self/limits", "Limit  Soft Limit  Hard Limit  Units\nMax address space  1000  unlimited  bytes\n");
  EXPECT_EQ(available(), 0);
}

TEST_F(ProbeTest, ControlGroupsVersion1) {
  Put("proc/self/cgroup", "4:memory:/job\n3:cpu,cpuacct:/job\n");
  Put("sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "400000\n");
  Put("sys/fs/cgroup/cpu/job/cpu.cfs_period_us", "100000\n");
  Put("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  Put("sys/fs/cgroup/memory/job/memory.limit_in_bytes", "2000000000\n");
  const CgroupLimits limits = ReadCgroupLimits(root_);
  EXPECT_EQ(limits.cpus, 4.0);
  EXPECT_EQ(limits.memory_bytes, 2e9);
  Put("sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "-1\n");
  EXPECT_FALSE(ReadCgroupLimits(root_).cpus.has_value());
}

TEST_F(ProbeTest, ANonsensicalCpuListDoesNoHarm) {
  PutTwoCores();
  Put("sys/devices/system/cpu/online", "0-4000000000,x,-3\n");
  EXPECT_GE(DetectHostAt(root_, {0}).logical_cpus, 1);
}

TEST(DetectHost, KnowsThisMachine) {
  const HostInfo host = DetectHost();
  EXPECT_FALSE(host.architecture.empty());
  EXPECT_FALSE(host.allowed_cpus.empty());
  EXPECT_GE(host.logical_cpus, static_cast<int>(host.allowed_cpus.size()));
  EXPECT_GT(host.dram_bytes.value(), 0);
  EXPECT_GT(host.available_bytes.value(), 0);
  EXPECT_LE(host.available_bytes, host.dram_bytes);
}

CeilingOptions Quick() {
  CeilingOptions options;
  options.buffer_bytes = 16.0 * 1024 * 1024;
  options.budget_s = 0.02;
  options.repetition_s = 0.001;
  return options;
}

TEST(MeasureCeilings, GivesEveryFigureOfTheHost) {
  const HostInfo host = DetectHost();
  const auto ceilings = MeasureCeilings(host, Quick(), SteadyClock());
  ASSERT_TRUE(ceilings.ok()) << ceilings.error().message;
  for (const auto& figure : {ceilings->read_bytes_per_s, ceilings->copy_bytes_per_s, ceilings->fp32_flops_per_s}) {
    ASSERT_TRUE(figure);
    EXPECT_GT(figure->worst, 0);
    EXPECT_GE(figure->median, figure->worst);
    EXPECT_GE(figure->best, figure->median);
    EXPECT_GE(figure->repetitions, 3);
    EXPECT_FALSE(figure->kernel.empty());
  }
  EXPECT_EQ(ceilings->bf16_flops_per_s.has_value(), host.HasIsa("avx512_bf16") || host.HasIsa("amx_bf16"));
  EXPECT_EQ(ceilings->threads, host.UsableThreads());
  EXPECT_EQ(ceilings->fingerprint, HostFingerprint(host));
  EXPECT_FALSE(ceilings->measured_at.empty());
}

TEST(MeasureCeilings, SaysSoWhenTheClockStandsStill) {
  const auto ceilings = MeasureCeilings(DetectHost(), Quick(), FakeClock());
  ASSERT_FALSE(ceilings.ok());
  EXPECT_THAT(ceilings.error().message, HasSubstr("clock"));
}

TEST(MeasureCeilings, RefusesAUselesslySmallBuffer) {
  CeilingOptions options = Quick();
  options.buffer_bytes = 100;
  EXPECT_FALSE(MeasureCeilings(DetectHost(), options, SteadyClock()).ok());
}

TEST(MeasureCeilings, TellsThatFreeMemoryWasShort) {
  HostInfo host = DetectHost();
  host.available_bytes = 32.0 * 1024 * 1024;
  CeilingOptions options = Quick();
  options.buffer_bytes = 0;
  const auto ceilings = MeasureCeilings(host, options, SteadyClock());
  ASSERT_TRUE(ceilings.ok()) << ceilings.error().message;
  EXPECT_EQ(ceilings->buffer_bytes, 16.0 * 1024 * 1024);
  EXPECT_THAT(ceilings->notes, testing::Contains(HasSubstr("free memory")));
}

TEST(MeasureCeilings, AnUnknownCacheGetsABufferAboveAnyCacheAndANote) {
  HostInfo host = DetectHost();
  host.last_level_cache_bytes.reset();
  host.available_bytes = 64.0 * 1024 * 1024;  // so that the test needs no 2 GiB; half of it is taken
  CeilingOptions options = Quick();
  options.buffer_bytes = 0;
  const auto ceilings = MeasureCeilings(host, options, SteadyClock());
  ASSERT_TRUE(ceilings.ok()) << ceilings.error().message;
  EXPECT_EQ(ceilings->buffer_bytes, 32.0 * 1024 * 1024);
  EXPECT_THAT(ceilings->notes, testing::IsSupersetOf({HasSubstr("does not tell the size of the last-level cache"),
                                                      HasSubstr("part of the bandwidth may be the cache's")}));
}

TEST(ProcessorCaches, LeavesOfCpuidAreRead) {
  // L1 data 32 KiB for one core; L3 32 MiB for 16 logical CPUs: EAX, EBX, ECX of leaf 4, as the manuals lay them out.
  const CpuidCaches::Leaf l1{0x1 | 1 << 5, (8 - 1) << 22 | (64 - 1), 64 - 1};
  const CpuidCaches::Leaf l3{0x3 | 3 << 5 | (16 - 1) << 14, (16 - 1) << 22 | (64 - 1), 32768 - 1};
  const CpuidCaches::Leaf none{0, 0, 0};
  const std::vector<CpuidCaches::Leaf> leaves = {l1, l3, none};
  const auto last = CpuidCaches::LastLevel(leaves);
  ASSERT_TRUE(last.has_value());
  EXPECT_EQ(last->bytes, 32.0 * 1024 * 1024);
  EXPECT_EQ(last->sharing_cpus, 16);
  EXPECT_EQ(CpuidCaches::LastLevel(std::vector<CpuidCaches::Leaf>{none}), std::nullopt);
}

class CeilingsCacheTest : public ProbeTest {
 protected:
  CachedCeilings Get(double max_age_s = kCeilingsMaxAgeS) {
    auto result = LoadOrMeasureCeilings(host_, Quick(), SteadyClock(), root_ / "cache", max_age_s);
    EXPECT_TRUE(result.ok());
    return *std::move(result);
  }
  fs::path File() const { return CeilingsCacheFile(root_ / "cache", HostFingerprint(host_)); }
  // Rewrites one key of the stored file.
  void Damage(const char* key, const Json& value) {
    Json json = *ParseJson(*ReadFile(File()));
    json[key] = value;
    ASSERT_TRUE(WriteFileAtomically(File(), DumpJson(json)).ok());
  }

  // Makes the stored measurement one of a quiet machine, whatever this one is.
  void CalmDown() {
    Json json = *ParseJson(*ReadFile(File()));
    for (auto& [key, value] : json.items()) {
      if (value.is_object()) value["median"] = value["worst"] = value["best"];
    }
    ASSERT_TRUE(WriteFileAtomically(File(), DumpJson(json)).ok());
  }

  HostInfo host_ = DetectHost();
};

TEST_F(CeilingsCacheTest, MeasuresOnceAndRemembers) {
  EXPECT_TRUE(Get().measured_now);
  CalmDown();
  const CachedCeilings second = Get();
  EXPECT_FALSE(second.measured_now);
  EXPECT_EQ(DumpJson(ToJson(second.ceilings)), DumpJson(*ParseJson(*ReadFile(File()))));
}

TEST_F(CeilingsCacheTest, RepeatsADisturbedMeasurementAndKeepsTheHigherFigure) {
  (void)Get();
  CalmDown();
  Json json = *ParseJson(*ReadFile(File()));
  json["read_bytes_per_s"] = {{"best", 1e18}, {"median", 1e17}, {"worst", 1e16}, {"repetitions", 3}, {"kernel", "disturbed"}};
  ASSERT_TRUE(WriteFileAtomically(File(), DumpJson(json)).ok());
  const CachedCeilings again = Get();
  EXPECT_TRUE(again.measured_now);
  EXPECT_EQ(again.ceilings.read_bytes_per_s->best, 1e18);
}

TEST_F(CeilingsCacheTest, MeasuresAgainWhatItCannotTrust) {
  (void)Get();
  ASSERT_TRUE(WriteFileAtomically(File(), "{\"schema\":1,").ok());
  EXPECT_TRUE(Get().measured_now);
  Damage("measured_at", "2001-01-01T00:00:00Z");
  EXPECT_TRUE(Get().measured_now);
  Damage("measured_at", "2999-01-01T00:00:00Z");
  EXPECT_TRUE(Get().measured_now);
  Damage("measured_at", "yesterday");
  EXPECT_TRUE(Get().measured_now);
  Damage("fingerprint", "another machine");
  EXPECT_TRUE(Get().measured_now);
  Damage("threads", 4096);
  EXPECT_TRUE(Get().measured_now);
  Damage("read_bytes_per_s", nullptr);
  EXPECT_TRUE(Get().measured_now);
}

TEST_F(CeilingsCacheTest, ACacheThatCannotBeWrittenIsNoError) {
  Put("cache", "a file where the folder should be");
  EXPECT_TRUE(Get().measured_now);
  EXPECT_TRUE(Get().measured_now);
}

}  // namespace
}  // namespace moecap::hardware
