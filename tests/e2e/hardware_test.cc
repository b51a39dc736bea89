// `moecap hardware` as its users run it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/fs.h"
#include "base/json.h"
#include "base/table.h"
#include "program.h"

namespace moecap::e2e {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class HardwareCli : public testing::Test {
 protected:
  void SetUp() override {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    dir_ = fs::temp_directory_path() / ("moecap-hardware-" + std::to_string(::getpid()) + "-" + info->name());
    fs::remove_all(dir_);
    fs::create_directories(dir_ / "scratch");
  }
  void TearDown() override { fs::remove_all(dir_); }

  Outcome Call(const std::string& arguments) const {
    return ShellProgram(dir_, "hardware " + arguments, "XDG_CACHE_HOME=\"$PWD/cache\" XDG_CONFIG_HOME=\"$PWD/config\"");
  }
  Json CallJson(const std::string& arguments) const {
    const Outcome outcome = Call(arguments + " --json");
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    const auto json = ParseJson(outcome.out);
    EXPECT_TRUE(json.ok()) << outcome.out;
    return json.ok() ? *json : Json();
  }
  void Put(const std::string& path, const std::string& text) const {
    fs::create_directories((dir_ / path).parent_path());
    ASSERT_TRUE(WriteFileAtomically(dir_ / path, text).ok());
  }
  static void ExpectNarrow(const std::string& text) {
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) EXPECT_LE(DisplayWidth(line), 80u) << line;
  }

  fs::path dir_;
};

TEST_F(HardwareCli, ListsFiltersAndSorts) {
  const Outcome all = Call("list");
  ASSERT_EQ(all.exit_code, 0) << all.err;
  EXPECT_THAT(all.out, HasSubstr("h100-sxm"));
  ExpectNarrow(all.out);
  ExpectNarrow(Call("list --kind links").out);
  const Json devices = CallJson("list --class Datacenter --vendor nvidia --sort bandwidth")["devices"];
  ASSERT_GE(devices.size(), 20u);
  double last = 1e99;
  for (const Json& device : devices) {
    EXPECT_EQ(device["class"], "datacenter");
    EXPECT_EQ(device["vendor"], "NVIDIA");
    EXPECT_LE(device["bandwidth_bytes_per_s"].get<double>(), last);
    last = device["bandwidth_bytes_per_s"];
  }
  EXPECT_GE(CallJson("list")["devices"].size(), 100u);
  EXPECT_GE(CallJson("list --kind links")["links"].size(), 45u);
}

TEST_F(HardwareCli, RefusesWhatListDoesNotKnow) {
  EXPECT_EQ(Call("list --sort speed").exit_code, 2);
  EXPECT_THAT(Call("list --class gpu").err, HasSubstr("known are datacenter"));
  EXPECT_THAT(Call("list --vendor 3dfx").err, HasSubstr("known are NVIDIA"));
  EXPECT_EQ(Call("list --kind links --vendor NVIDIA").exit_code, 2);
  EXPECT_EQ(Call("lists").exit_code, 2);
}

TEST_F(HardwareCli, ShowsADeviceWithWhatFollowsFromIt) {
  const Json device = CallJson("show 'NVIDIA H100 80GB HBM3'");
  EXPECT_EQ(device["id"], "h100-sxm");
  // 989 TFLOP/s over 3.35 TB/s; 700 W and 30000 USD over the same.
  EXPECT_NEAR(device["ridge_flop_per_byte"]["bf16"].get<double>(), 295.2, 0.1);
  EXPECT_TRUE(device["ridge_flop_per_byte"]["fp4"].is_null());
  EXPECT_NEAR(device["power_w_per_tb_per_s"].get<double>(), 208.96, 0.01);
  EXPECT_NEAR(device["price_usd_per_tb_per_s"].get<double>(), 8955.2, 0.1);
  EXPECT_NEAR(device["price_usd_per_gb"].get<double>(), 30000 / 85.899, 0.1);
  const Outcome text = Call("show h100-sxm");
  for (const char* part : {"ridge point", "bf16 295.2", "W per TB/s", "10de:2330", "confidence", "source", "pcie5-x16"})
    EXPECT_THAT(text.out, HasSubstr(part));
  ExpectNarrow(text.out);
  EXPECT_EQ(CallJson("show nvme-gen4")["class"], "ssd");
  EXPECT_EQ(CallJson("show 10de:2335")["id"], "h200-sxm");
}

TEST_F(HardwareCli, AnUnknownDeviceIsAnErrorWithWaysOut) {
  const Outcome unknown = Call("show rtx-4090d");
  EXPECT_EQ(unknown.exit_code, 2);
  for (const char* part : {"'rtx-4090d'", "rtx-4090", "moecap hardware probe", "file of your own"})
    EXPECT_THAT(unknown.err, HasSubstr(part));
  EXPECT_EQ(Call("search no such device").exit_code, 2);
  EXPECT_EQ(CallJson("search amd 7900")["devices"].size(), 3u);
}

TEST_F(HardwareCli, AUsersFileAddsAndOverrides) {
  const char* const kMine = R"({"devices": [{"id": "h100-sxm", "price_usd": {"typical": 25000}},
    {"id": "my-card", "vendor": "ACME", "name": "X1", "class": "datacenter", "memory_gib": 64, "bandwidth_gb_per_s": 2000,
     "dense_tflops": {"bf16": 400}, "confidence": "low", "source": "own measurement", "date": "2026-09"}]})";
  Put("mine.json", kMine);
  EXPECT_EQ(CallJson("show my-card --catalogue mine.json")["memory_bytes"], 64.0 * (1 << 30));
  EXPECT_EQ(CallJson("--catalogue mine.json show h100-sxm")["price_usd"]["typical"], 25000);
  EXPECT_EQ(Call("show my-card").exit_code, 2);
  Put("config/moecap/hardware.json", kMine);
  EXPECT_EQ(CallJson("show my-card")["id"], "my-card");
  Put("bad.json", R"({"devices": [{"id": "h100-sxm", "tdp_w": -1}]})");
  const Outcome bad = Call("list --catalogue bad.json");
  EXPECT_EQ(bad.exit_code, 2);
  EXPECT_THAT(bad.err, HasSubstr("bad.json: device h100-sxm: 'tdp_w' is negative"));
  EXPECT_THAT(Call("list --catalogue none.json").err, HasSubstr("none.json"));
}

TEST_F(HardwareCli, DetectsThisMachine) {
  const Json machine = CallJson("detect");
  EXPECT_GT(machine["host"]["dram_bytes"].get<double>(), 0);
  for (const char* key : {"memory", "accelerators", "disks", "network_ports", "notes"})
    EXPECT_TRUE(machine.contains(key)) << key;
  const Outcome text = Call("detect");
  EXPECT_EQ(text.exit_code, 0) << text.err;
  EXPECT_THAT(text.out, HasSubstr("limits"));
  ExpectNarrow(text.out);
}

TEST_F(HardwareCli, ProbesAndKeepsTheMeasurement) {
  const Json probed = CallJson("probe --no-gpu --threads 1 --ssd scratch");
  EXPECT_TRUE(fs::is_empty(dir_ / "scratch"));
  const Json& ceilings = probed["ceilings"];
  ASSERT_EQ(ceilings["by_threads"].size(), 1u);
  EXPECT_GT(ceilings["by_threads"][0]["read_bytes_per_s"]["best"].get<double>(), 0);
  EXPECT_FALSE(ceilings["disk"].is_null());
  EXPECT_FALSE(ceilings["kernels"].empty());
  EXPECT_TRUE(probed["datasheet"].contains("processor"));
  const Json again = CallJson("");
  EXPECT_EQ(again["ceilings"]["probed_at"], ceilings["probed_at"]);
  EXPECT_EQ(again["ceilings"]["disk"], ceilings["disk"]);
  const Outcome text = Call("");
  EXPECT_THAT(text.out, HasSubstr("memory read"));
  ExpectNarrow(text.out);
}

TEST_F(HardwareCli, ProbeRefusesBadFlags) {
  EXPECT_EQ(Call("probe --threads 0").exit_code, 2);
  EXPECT_EQ(Call("probe --threads 1000000").exit_code, 2);
  EXPECT_EQ(Call("probe --ssd . --no-ssd").exit_code, 2);
  EXPECT_FALSE(fs::exists(dir_ / "cache"));
  const Outcome missing = Call("probe --no-gpu --threads 1 --ssd nowhere");
  EXPECT_EQ(missing.exit_code, 2);
  EXPECT_THAT(missing.err, HasSubstr("nowhere"));
}

}  // namespace
}  // namespace moecap::e2e
