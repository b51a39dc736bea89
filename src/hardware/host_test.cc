#include "hardware/host.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace moecap::hardware {
namespace {

HostInfo SmallHost() {
  HostInfo host;
  host.architecture = "x86_64";
  host.cpu_vendor = "AuthenticAMD";
  host.cpu_model = "AMD EPYC";
  host.physical_cores = 4;
  host.logical_cpus = 8;
  host.allowed_cpus = {0, 1, 2, 5};
  host.isa = {"avx2", "fma"};
  host.last_level_cache_bytes = 32 << 20;
  host.dram_bytes = 16e9;
  host.available_bytes = 8e9;
  host.kernel = "Linux 6.1";
  return host;
}

TEST(HostInfo, UsableThreadsRespectAffinityAndQuota) {
  HostInfo host = SmallHost();
  EXPECT_EQ(host.UsableThreads(), 4);
  host.cpu_quota = 2.5;
  EXPECT_EQ(host.UsableThreads(), 2);
  host.cpu_quota = 0.4;
  EXPECT_EQ(host.UsableThreads(), 1);
  host.cpu_quota = 64;
  EXPECT_EQ(host.UsableThreads(), 4);
}

TEST(HostInfo, ZerosOfOlderFilesMeantUnknown) {
  Json json = ToJson(SmallHost());
  for (const char* key : {"last_level_cache_bytes", "dram_bytes", "available_bytes", "cpu_family", "cpu_model_number"})
    json[key] = 0;
  const auto host = HostInfoFromJson(json);
  ASSERT_TRUE(host.ok()) << host.error().message;
  EXPECT_EQ(host->last_level_cache_bytes, std::nullopt);
  EXPECT_EQ(host->dram_bytes, std::nullopt);
  EXPECT_EQ(host->available_bytes, std::nullopt);
  EXPECT_EQ(host->cpu_family, std::nullopt);
  EXPECT_TRUE(ToJson(*host)["last_level_cache_bytes"].is_null());
}

TEST(HostInfo, SurvivesJson) {
  HostInfo host = SmallHost();
  host.cpu_quota = 2.5;
  host.hypervisor = "kvm";
  const auto back = HostInfoFromJson(ToJson(host));
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(DumpJson(ToJson(*back)), DumpJson(ToJson(host)));
  EXPECT_FALSE(back->memory_limit_bytes.has_value());
}

TEST(HostFingerprint, ChangesWithWhatChangesTheCeilings) {
  const HostInfo host = SmallHost();
  HostInfo other = host;
  other.available_bytes = 1;
  other.kernel = "Linux 7.0";
  EXPECT_EQ(HostFingerprint(other), HostFingerprint(host));
  other.cpu_quota = 1;
  EXPECT_NE(HostFingerprint(other), HostFingerprint(host));
}

Ceilings Sample() {
  Ceilings ceilings;
  ceilings.read_bytes_per_s = Ceiling{50e9, 48e9, 40e9, 7, "AVX2 loads"};
  ceilings.threads = 2;
  ceilings.buffer_bytes = 268435456;
  ceilings.measured_at = "2026-01-31T12:00:00Z";
  ceilings.fingerprint = "host";
  ceilings.notes = {"a note"};
  return ceilings;
}

TEST(Ceilings, SurviveJson) {
  const auto back = CeilingsFromJson(ToJson(Sample()));
  ASSERT_TRUE(back.ok()) << back.error().message;
  ASSERT_TRUE(back->read_bytes_per_s);
  EXPECT_EQ(back->read_bytes_per_s->best, 50e9);
  EXPECT_DOUBLE_EQ(back->read_bytes_per_s->Spread(), 0.2);
  EXPECT_FALSE(back->bf16_flops_per_s.has_value());
  EXPECT_EQ(DumpJson(ToJson(*back)), DumpJson(ToJson(Sample())));
}

Ceilings Probed() {
  Ceilings ceilings = Sample();
  const Ceiling ceiling{50e9, 48e9, 40e9, 7, "kernel"};
  ceilings.kernels = {{"fp32", ceiling}, {"int8", ceiling}};
  ceilings.probed_at = "2026-01-31T12:00:05Z";
  ceilings.by_threads = {{1, ceiling, ceiling}, {2, ceiling, ceiling}};
  ceilings.caches = {{3, 32e6, 16e6, ceiling}};
  ceilings.disk.emplace();
  ceilings.disk->disk = "nvme0n1";
  ceilings.disk->random_1mib_read_bytes_per_s = ceiling;
  ceilings.disk->notes = {"a note"};
  ceilings.gpus.resize(1);
  ceilings.gpus[0].name = "NVIDIA H200";
  ceilings.gpus[0].read_bytes_per_s = ceiling;
  ceilings.gpus[0].busy_w = 500;
  return ceilings;
}

TEST(Ceilings, AWholeProbeSurvivesJson) {
  const Json json = ToJson(Probed());
  const auto back = CeilingsFromJson(json);
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(DumpJson(ToJson(*back)), DumpJson(json));
  EXPECT_EQ(json["kernels"][1]["ops_per_s"]["best"], 50e9);
  EXPECT_TRUE(json["disk"]["sequential_read_bytes_per_s"].is_null());
  EXPECT_TRUE(json["gpus"][0]["idle_w"].is_null());
  EXPECT_EQ(back->by_threads[1].threads, 2);
}

// Manifests and cache files of before the whole probe.
TEST(Ceilings, OlderFilesLackTheProbe) {
  Json json = ToJson(Probed());
  for (const char* key : {"kernels", "probed_at", "by_threads", "caches", "disk", "gpus"}) json.erase(key);
  const auto back = CeilingsFromJson(json);
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(DumpJson(ToJson(*back)), DumpJson(ToJson(Sample())));
}

TEST(Ceilings, ErrorsInTheProbeNameTheirPlace) {
  const auto message = [](const char* pointer, const Json& value) {
    Json json = ToJson(Probed());
    json[Json::json_pointer(pointer)] = value;
    const auto result = CeilingsFromJson(json);
    return result.ok() ? "accepted" : result.error().message;
  };
  EXPECT_THAT(message("/by_threads", 1), testing::HasSubstr("'by_threads' is not a list"));
  EXPECT_THAT(message("/by_threads/0", 1), testing::HasSubstr("by_threads"));
  EXPECT_THAT(message("/caches/0/read_bytes_per_s", nullptr),
              testing::HasSubstr("caches: the key 'read_bytes_per_s' is missing"));
  EXPECT_THAT(message("/disk/random_1mib_read_bytes_per_s/best", -1), testing::HasSubstr("disk: random_1mib"));
  EXPECT_THAT(message("/disk", "vda"), testing::HasSubstr("'disk' is not an object"));
  EXPECT_THAT(message("/gpus/0/name", 7), testing::HasSubstr("gpus: the key 'name'"));
}

TEST(KeepProbe, KeepsWhatOnlyTheOlderHolds) {
  const Ceilings kept = KeepProbe(Probed(), Sample());
  EXPECT_EQ(kept.by_threads.size(), 2u);
  EXPECT_TRUE(kept.disk.has_value());
  EXPECT_EQ(kept.probed_at, "2026-01-31T12:00:05Z");
  Ceilings newer = Probed();
  newer.disk->disk = "sda";
  EXPECT_EQ(KeepProbe(Probed(), newer).disk->disk, "sda");
}

TEST(Ceilings, RefuseWhatCannotBeAMeasurement) {
  Json json = ToJson(Sample());
  json["read_bytes_per_s"]["best"] = -1;
  auto result = CeilingsFromJson(json);
  ASSERT_FALSE(result.ok());
  EXPECT_THAT(result.error().message, testing::HasSubstr("read_bytes_per_s"));
  json = ToJson(Sample());
  json["threads"] = "two";
  result = CeilingsFromJson(json);
  ASSERT_FALSE(result.ok());
  EXPECT_THAT(result.error().message, testing::HasSubstr("threads"));
  json = ToJson(Sample());
  json["schema"] = 99;
  EXPECT_FALSE(CeilingsFromJson(json).ok());
  EXPECT_FALSE(CeilingsFromJson(Json::array()).ok());
}

TEST(Ceilings, ADisturbedMeasurementIsNoisy) {
  Ceilings ceilings = Sample();
  EXPECT_FALSE(ceilings.Noisy());
  ceilings.int8_ops_per_s = Ceiling{100, 74, 10, 3, "dot"};
  EXPECT_TRUE(ceilings.Noisy());
}

TEST(HigherOf, KeepsTheBetterFigureOfEach) {
  Ceilings older = Sample();
  older.fp32_flops_per_s = Ceiling{5, 5, 5, 3, "old"};
  Ceilings newer = Sample();
  newer.measured_at = "2026-02-01T12:00:00Z";
  newer.read_bytes_per_s->best = 60e9;
  newer.fp32_flops_per_s = Ceiling{4, 4, 4, 3, "new"};
  newer.int8_ops_per_s = Ceiling{1, 1, 1, 3, "new"};
  const Ceilings merged = HigherOf(older, newer);
  EXPECT_EQ(merged.read_bytes_per_s->best, 60e9);
  EXPECT_EQ(merged.fp32_flops_per_s->kernel, "old");
  EXPECT_EQ(merged.int8_ops_per_s->kernel, "new");
  EXPECT_FALSE(merged.bf16_flops_per_s.has_value());
  EXPECT_EQ(merged.measured_at, "2026-02-01T12:00:00Z");
}

}  // namespace
}  // namespace moecap::hardware
