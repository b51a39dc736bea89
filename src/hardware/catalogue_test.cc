#include "hardware/catalogue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace moecap::hardware {
namespace {

using testing::HasSubstr;

constexpr double kGib = 1024.0 * 1024 * 1024;
constexpr double kMib = 1024.0 * 1024;

Catalogue Builtin() {
  auto catalogue = Catalogue::Builtin();
  EXPECT_TRUE(catalogue.ok()) << catalogue.error().message;
  return *std::move(catalogue);
}

std::string IdOf(const std::optional<Device>& device) { return device ? device->id : "none"; }

TEST(BuiltinCatalogue, IsLargeAndEveryEntryHasSourceAndDate) {
  const Catalogue catalogue = Builtin();
  EXPECT_GE(catalogue.devices().size(), 100u);
  EXPECT_GE(catalogue.links().size(), 45u);
  for (const Device& device : catalogue.devices()) {
    EXPECT_GE(device.source.size(), 4u) << device.id;
    EXPECT_EQ(device.date.size(), 7u) << device.id;
    EXPECT_TRUE(device.memory_bytes || device.device_class == "phone") << device.id << ": phones differ in their memory";
    EXPECT_TRUE(device.bandwidth_bytes_per_s.has_value()) << device.id;
  }
}

TEST(BuiltinCatalogue, ValuesAreInPlausibleRanges) {
  const Catalogue catalogue = Builtin();
  for (const Device& device : catalogue.devices()) {
    const bool phone = device.device_class == "phone";
    EXPECT_GE(device.memory_bytes.value_or(8 * kGib), (phone ? 4 : 8) * kGib) << device.id;
    EXPECT_LE(device.memory_bytes.value_or(8 * kGib), 2048 * kGib) << device.id;
    EXPECT_GE(*device.bandwidth_bytes_per_s, phone ? 30e9 : 50e9) << device.id;
    EXPECT_LE(*device.bandwidth_bytes_per_s, 30e12) << device.id;
    for (const char* dtype : {"fp32", "tf32", "bf16", "fp16", "fp8", "fp4", "int8"}) {
      const auto peak = DensePeak(device, dtype);
      EXPECT_TRUE(!peak || (*peak >= 0.1e12 && *peak <= 50e15)) << device.id << " " << dtype;
    }
    EXPECT_TRUE(!device.tdp_w || (*device.tdp_w >= (phone ? 3 : 10) && *device.tdp_w <= 3000)) << device.id;
    EXPECT_GE(device.year, 2015) << device.id;
    EXPECT_LE(device.year, 2027) << device.id;
  }
}

// The peaks of a type never fall when its width halves, unless the maker cut the unit.
TEST(BuiltinCatalogue, NarrowerTypesAreNotSlower) {
  const Catalogue catalogue = Builtin();
  for (const Device& device : catalogue.devices()) {
    const DensePeaks& peaks = device.peaks;
    EXPECT_TRUE(!peaks.bf16 || !peaks.fp8 || *peaks.fp8 >= *peaks.bf16) << device.id;
    EXPECT_TRUE(!peaks.fp8 || !peaks.fp4 || *peaks.fp4 >= *peaks.fp8) << device.id;
    EXPECT_TRUE(!peaks.bf16 || !peaks.fp32 || *peaks.bf16 >= *peaks.fp32) << device.id;
  }
}

// Halving a dense operand doubles the rate at most: a larger step means that one of the two is a rate for 2:4 sparsity.
TEST(BuiltinCatalogue, NoPeakIsMoreThanTwiceThe16BitOne) {
  constexpr double kTwice = 2.05;
  const Catalogue catalogue = Builtin();
  for (const Device& device : catalogue.devices()) {
    const DensePeaks& peaks = device.peaks;
    const auto wide = peaks.bf16 ? peaks.bf16 : peaks.fp16;
    if (!wide) continue;
    // AWS documents 2517 MXFP8 against 671 bf16 dense TFLOPS.
    const double fp8_limit = device.id == "trainium3" ? 3.76 : kTwice;
    // GeForce cards halve the 16-bit rate when they sum in fp32, which is what the catalogue holds; integers are not cut.
    const bool halved = device.vendor == "NVIDIA" && (device.device_class == "consumer" || device.id == "rtx-pro-5000");
    EXPECT_TRUE(!peaks.fp8 || *peaks.fp8 <= fp8_limit * *wide) << device.id;
    EXPECT_TRUE(!peaks.int8 || *peaks.int8 <= (halved ? 2 : 1) * kTwice * *wide) << device.id;
  }
}

TEST(BuiltinCatalogue, PeaksAreDense) {
  const Catalogue catalogue = Builtin();
  // What upstream holds with 2:4 sparsity, or vector rates for matrix rates.
  EXPECT_DOUBLE_EQ(*catalogue.FindDevice("a100-80-sxm")->peaks.bf16, 312e12);
  EXPECT_DOUBLE_EQ(*catalogue.FindDevice("h100-sxm")->peaks.fp8, 1979e12);
  EXPECT_DOUBLE_EQ(*catalogue.FindDevice("b200-sxm")->peaks.bf16, 2250e12);
  EXPECT_DOUBLE_EQ(*catalogue.FindDevice("mi300x")->peaks.bf16, 1307e12);
  EXPECT_DOUBLE_EQ(*catalogue.FindDevice("rtx-a6000")->peaks.int8, 309.7e12);
  EXPECT_FALSE(catalogue.FindDevice("a100-80-sxm")->peaks.fp8.has_value());
  EXPECT_FALSE(catalogue.FindDevice("h100-sxm")->peaks.fp4.has_value());
}

TEST(FindDevice, TakesIdsNamesAndAliasesHoweverWritten) {
  const Catalogue catalogue = Builtin();
  for (const char* name : {"h100-sxm", "H100-SXM", "H100 SXM5", "NVIDIA H100 80GB HBM3", "h100"}) {
    const auto device = catalogue.FindDevice(name);
    ASSERT_TRUE(device.ok()) << name;
    EXPECT_EQ(device->id, "h100-sxm") << name;
  }
}

TEST(FindDevice, SuggestsTheNearest) {
  const auto device = Builtin().FindDevice("h100-smx");
  ASSERT_FALSE(device.ok());
  EXPECT_EQ(device.error().kind, ErrorKind::kBadInput);
  EXPECT_THAT(device.error().message, HasSubstr("did you mean 'h100-sxm', 'h100-pcie', 'h100-nvl'?"));
  EXPECT_THAT(device.error().message, HasSubstr("moecap hardware probe"));
  EXPECT_THAT(Builtin().FindLink("pcie5-x17").error().message, HasSubstr("pcie5-x16"));
}

TEST(FindDevice, KnowsEveryKeyOfTheUpstreamTable) {
  const Catalogue catalogue = Builtin();
  for (const char* key : {"NVIDIA-A100-PCIe-80GB",
                          "NVIDIA-A100-PCIe-40GB",
                          "NVIDIA-A100-SXM4-80GB",
                          "NVIDIA-A100-SXM4-40GB",
                          "NVIDIA-H100-PCIe-80GB",
                          "NVIDIA-RTX-A5000-24GB",
                          "NVIDIA-RTX-A6000-48GB",
                          "NVIDIA-H100-HBM3-80GB",
                          "NVIDIA-H200-141GB",
                          "NVIDIA-H200-140GB",
                          "NVIDIA-B200-183GB",
                          "NVIDIA-GH200-96GB",
                          "NVIDIA-RTX-PRO-6000-Blackwell-Server-Edition-96GB",
                          "NVIDIA-GB10-UnknownGB",
                          "NVIDIA-GB10-128GB",
                          "AMD-Instinct-MI355X-288GB",
                          "AMD-Instinct-MI300X-192GB",
                          "AMD-Instinct-MI325X-256GB",
                          "AMD-Instinct-MI250X-128GB",
                          "NVIDIA-H100-80GB-HBM3"}) {
    EXPECT_TRUE(catalogue.FindDevice(key).ok()) << key;
  }
}

TEST(MatchAccelerator, KnowsWhatDriversReport) {
  const Catalogue catalogue = Builtin();
  EXPECT_EQ(IdOf(catalogue.MatchAccelerator("NVIDIA H200", 143771 * kMib)), "h200-sxm");
  EXPECT_EQ(IdOf(catalogue.MatchAccelerator("NVIDIA B200", 183359 * kMib)), "b200-sxm");
  EXPECT_EQ(IdOf(catalogue.MatchAccelerator("NVIDIA H100 80GB HBM3", 81559 * kMib)), "h100-sxm");
  EXPECT_EQ(IdOf(catalogue.MatchAccelerator("NVIDIA A100-SXM4-40GB", 40960 * kMib)), "a100-40-sxm");
  EXPECT_EQ(IdOf(catalogue.MatchAccelerator("NVIDIA A100 80GB PCIe", 81920 * kMib)), "a100-80-pcie");
  EXPECT_EQ(IdOf(catalogue.MatchAccelerator("NVIDIA GeForce RTX 4090", 24564 * kMib)), "rtx-4090");
  EXPECT_EQ(IdOf(catalogue.MatchAccelerator("NVIDIA GeForce RTX 4080 SUPER", std::nullopt)), "rtx-4080-super");
  EXPECT_EQ(IdOf(catalogue.MatchAccelerator("AMD Instinct MI300X OAM", 192 * kGib)), "mi300x");
  EXPECT_EQ(IdOf(catalogue.MatchAccelerator("NVIDIA H20", 97871 * kMib)), "h20");
  EXPECT_EQ(IdOf(catalogue.MatchAccelerator("NVIDIA L40S", 46068 * kMib)), "l40s");
}

TEST(MatchAccelerator, EveryNameLeadsBackToItsDevice) {
  const Catalogue catalogue = Builtin();
  for (const Device& device : catalogue.devices()) {
    EXPECT_EQ(IdOf(catalogue.MatchAccelerator(device.name, device.memory_bytes)), device.id);
    for (const std::string& alias : device.aliases) {
      EXPECT_EQ(IdOf(catalogue.MatchAccelerator(alias, device.memory_bytes)), device.id) << alias;
    }
  }
}

TEST(MatchAccelerator, TellsBoardsOfOneNameApartByMemory) {
  const Catalogue catalogue = Builtin();
  EXPECT_EQ(IdOf(catalogue.MatchAccelerator("NVIDIA GeForce RTX 4060 Ti", 16380 * kMib)), "rtx-4060ti-16");
  EXPECT_EQ(IdOf(catalogue.MatchAccelerator("NVIDIA GeForce RTX 4060 Ti", 8188 * kMib)), "rtx-4060ti-8");
  EXPECT_EQ(IdOf(catalogue.MatchAccelerator("NVIDIA A100-SXM4-80GB", std::nullopt)), "a100-80-sxm");
  EXPECT_EQ(IdOf(catalogue.MatchAccelerator("NVIDIA A100-SXM4-40GB", std::nullopt)), "a100-40-sxm");
  EXPECT_EQ(IdOf(catalogue.MatchAccelerator("NVIDIA GH200 480GB", 97871 * kMib)), "gh200-96");
}

// As nvidia-smi and rocm-smi print them, with the memory they report.
TEST(MatchAccelerator, KnowsWhatDriversPrint) {
  const std::tuple<const char*, double, const char*> kReports[] = {
      {"NVIDIA H200", 143771, "h200-sxm"},
      {"NVIDIA B200", 183359, "b200-sxm"},
      {"NVIDIA B300 SXM6 AC", 275040, "b300-sxm"},
      {"NVIDIA GB200", 189471, "gb200"},
      {"NVIDIA H100 80GB HBM3", 81559, "h100-sxm"},
      {"NVIDIA H100 PCIe", 81559, "h100-pcie"},
      {"NVIDIA H100 NVL", 95830, "h100-nvl"},
      {"NVIDIA H20", 97871, "h20"},
      {"NVIDIA H800", 81559, "h800-sxm"},
      {"NVIDIA A100-PCIE-40GB", 40960, "a100-40-pcie"},
      {"NVIDIA A100-SXM4-40GB", 40960, "a100-40-sxm"},
      {"NVIDIA A100 80GB PCIe", 81920, "a100-80-pcie"},
      {"NVIDIA A100-SXM4-80GB", 81920, "a100-80-sxm"},
      {"NVIDIA L40S", 46068, "l40s"},
      {"NVIDIA L4", 23034, "l4"},
      {"NVIDIA A10", 23028, "a10"},
      {"Tesla T4", 15360, "t4"},
      {"Tesla V100-SXM2-32GB", 32768, "v100-sxm2-32"},
      {"NVIDIA RTX A6000", 49140, "rtx-a6000"},
      {"NVIDIA RTX 6000 Ada Generation", 49140, "rtx-6000-ada"},
      {"NVIDIA GeForce RTX 4090", 24564, "rtx-4090"},
      {"NVIDIA GeForce RTX 5090", 32607, "rtx-5090"},
      {"NVIDIA GeForce RTX 3090", 24576, "rtx-3090"},
      {"AMD Instinct MI300X", 196592, "mi300x"},
      {"AMD Instinct MI300X OAM", 196592, "mi300x"},
      {"AMD Instinct MI250X", 65520, "mi250x-gcd"},
      {"AMD Instinct MI250X/MI250", 65520, "mi250x-gcd"},
      {"Aqua Vanjaram [Instinct MI325X]", 262128, "mi325x"},
      {"AMD Radeon RX 7900 XTX", 24560, "rx-7900xtx"},
  };
  const Catalogue catalogue = Builtin();
  for (const auto& [name, mib, id] : kReports) EXPECT_EQ(IdOf(catalogue.MatchAccelerator(name, mib * kMib)), id) << name;
}

TEST(MatchPciId, TellsBoardsOfOneChipApartByMemory) {
  const Catalogue catalogue = Builtin();
  EXPECT_EQ(IdOf(catalogue.MatchPciId("10de:2330", std::nullopt)), "h100-sxm");
  EXPECT_EQ(IdOf(catalogue.MatchPciId("1002:744c", 20 * kGib)), "rx-7900xt");
  EXPECT_EQ(IdOf(catalogue.MatchPciId("1002:744c", 24 * kGib)), "rx-7900xtx");
  EXPECT_EQ(IdOf(catalogue.MatchPciId("1002:744c", std::nullopt)), "none");
  EXPECT_EQ(IdOf(catalogue.MatchPciId("10de:2330", 10 * kGib)), "none");
  EXPECT_EQ(IdOf(catalogue.MatchPciId("10de:0000", std::nullopt)), "none");
  EXPECT_EQ(catalogue.FindDevice("10de:2335")->id, "h200-sxm");
}

TEST(Search, FindsEveryWordAnywhereInTheNames) {
  const Catalogue catalogue = Builtin();
  const auto ids = [&](std::string_view words) {
    std::vector<std::string> found;
    for (const Device& device : catalogue.Search(words)) found.push_back(device.id);
    return found;
  };
  EXPECT_THAT(ids("h100"), testing::ElementsAre("h100-pcie", "h100-sxm", "h100-nvl"));
  EXPECT_THAT(ids("amd 7900"), testing::ElementsAre("w7900", "rx-7900xt", "rx-7900xtx"));
  EXPECT_THAT(ids("10de:2684"), testing::ElementsAre("rtx-4090"));
  EXPECT_THAT(ids("no such card"), testing::IsEmpty());
  EXPECT_THAT(ids(" - "), testing::IsEmpty());
}

TEST(MatchAccelerator, RatherNoneThanTheWrongOne) {
  const Catalogue catalogue = Builtin();
  EXPECT_EQ(IdOf(catalogue.MatchAccelerator("NVIDIA GeForce RTX 4090 D", 24564 * kMib)), "none");
  EXPECT_EQ(IdOf(catalogue.MatchAccelerator("NVIDIA GeForce RTX 4090 Laptop GPU", std::nullopt)), "none");
  EXPECT_EQ(IdOf(catalogue.MatchAccelerator("NVIDIA H100 80GB HBM3 MIG 1g.10gb", 9856 * kMib)), "none");
  EXPECT_EQ(IdOf(catalogue.MatchAccelerator("NVIDIA GeForce RTX 3060", 8192 * kMib)), "none");
  EXPECT_EQ(IdOf(catalogue.MatchAccelerator("NVIDIA", std::nullopt)), "none");
  EXPECT_EQ(IdOf(catalogue.MatchAccelerator("", std::nullopt)), "none");
}

TEST(MatchProcessor, ReadsModelNumbers) {
  const Catalogue catalogue = Builtin();
  EXPECT_EQ(IdOf(catalogue.MatchProcessor("AMD EPYC 9654 96-Core Processor")), "epyc-9654");
  EXPECT_EQ(IdOf(catalogue.MatchProcessor("Intel(R) Xeon(R) Platinum 8480+")), "xeon-8480p");
  EXPECT_EQ(IdOf(catalogue.MatchProcessor("13th Gen Intel(R) Core(TM) i9-13900K")), "i9-13900k");
  EXPECT_EQ(IdOf(catalogue.MatchProcessor("Apple M1 Ultra")), "m1-ultra");
  EXPECT_EQ(IdOf(catalogue.MatchProcessor("Apple M1")), "m1");
  EXPECT_EQ(IdOf(catalogue.MatchProcessor("AMD EPYC")), "none");
  EXPECT_EQ(IdOf(catalogue.MatchProcessor("NVIDIA H100")), "none");
}

TEST(UserLayer, OverridesKeyByKeyAndAddsDevices) {
  const auto catalogue = Catalogue::BuiltinWith({"mine.json", R"({
    "devices": [
      {"id": "h100-sxm", "price_usd": {"typical": 25000, "high": 26000}, "tdp_w": null},
      {"id": "my-card", "vendor": "ACME", "name": "Card", "class": "datacenter", "memory_gib": 64, "bandwidth_gb_per_s": 2000,
       "dense_tflops": {"bf16": 400}, "host_link": "my-link", "confidence": "low", "source": "bench", "date": "2026-09"}],
    "links": [{"id": "my-link", "class": "host", "name": "cable", "gb_per_s": 10, "source": "bench", "date": "2026-09"}]})"});
  ASSERT_TRUE(catalogue.ok()) << catalogue.error().message;
  const Catalogue builtin = Builtin();
  const auto device = catalogue->FindDevice("h100-sxm");
  EXPECT_EQ(device->price_usd.typical, 25000);
  EXPECT_FALSE(device->tdp_w.has_value());
  EXPECT_EQ(device->bandwidth_bytes_per_s, 3350e9);
  EXPECT_EQ(catalogue->FindDevice("ACME Card").ok(), false);
  EXPECT_EQ(catalogue->FindDevice("my-card")->peaks.bf16, 400e12);
  EXPECT_EQ(catalogue->FindLink("my-link")->bytes_per_s, 10e9);
  EXPECT_EQ(catalogue->devices().size(), builtin.devices().size() + 1);
}

TEST(UserLayer, ErrorsNameFileEntryAndKey) {
  const auto message = [](const char* text) {
    const auto catalogue = Catalogue::BuiltinWith({"mine.json", text});
    return catalogue.ok() ? "accepted" : catalogue.error().message;
  };
  EXPECT_THAT(message("{"), HasSubstr("mine.json: not valid JSON"));
  EXPECT_THAT(message("[]"), HasSubstr("mine.json"));
  EXPECT_THAT(message(R"({"device": []})"), HasSubstr("unknown key 'device'"));
  EXPECT_THAT(message(R"({"schema": 2})"), HasSubstr("schema 1"));
  EXPECT_THAT(message(R"({"devices": [{"name": "x"}]})"), HasSubstr("devices[0] has no 'id'"));
  EXPECT_THAT(message(R"({"devices": [{"id": "h100-sxm", "bandwith_gb_per_s": 1}]})"),
              HasSubstr("mine.json: device h100-sxm: unknown key 'bandwith_gb_per_s'; did you mean 'bandwidth_gb_per_s'?"));
  EXPECT_THAT(message(R"({"devices": [{"id": "h100-sxm", "tdp_w": -1}]})"), HasSubstr("'tdp_w' is negative"));
  EXPECT_THAT(message(R"({"devices": [{"id": "h100-sxm", "tdp_w": "700"}]})"), HasSubstr("'tdp_w' is not a number"));
  EXPECT_THAT(message(R"({"devices": [{"id": "h100-sxm", "price_usd": {"low": 9, "typical": 1}}]})"), HasSubstr("price_usd"));
  EXPECT_THAT(message(R"({"devices": [{"id": "h100-sxm", "host_link": "wire"}]})"), HasSubstr("'wire', which does not exist"));
  EXPECT_THAT(message(R"({"devices": [{"id": "h100-sxm", "aliases": ["NVIDIA H200"]}]})"), HasSubstr("names two devices"));
  EXPECT_THAT(message(R"({"devices": [{"id": "h100-sxm", "pci_ids": ["10DE:2330"]}]})"), HasSubstr("has '10DE:2330'"));
  EXPECT_THAT(message(R"({"devices": [{"id": "new"}]})"), HasSubstr("device new: 'vendor' is missing"));
  EXPECT_THAT(message(R"({"links": [{"id": "pcie5-x16", "gb_per_s": 0}]})"), HasSubstr("link pcie5-x16: 'gb_per_s'"));
}

TEST(ToJson, UsesSiUnits) {
  const Catalogue catalogue = Builtin();
  const Json device = ToJson(*catalogue.FindDevice("h100-sxm"));
  EXPECT_EQ(device["bandwidth_bytes_per_s"], 3350e9);
  EXPECT_EQ(device["memory_bytes"], 80 * kGib);
  EXPECT_EQ(device["dense_flops_per_s"]["bf16"], 989e12);
  EXPECT_TRUE(device["dense_flops_per_s"]["fp4"].is_null());
  EXPECT_EQ(ToJson(*catalogue.FindLink("pcie5-x16"))["bytes_per_s"], 63e9);
}

TEST(Catalogue, EveryClassOfDeploymentHasAtLeastTenDevices) {
  const auto catalogue = *Catalogue::Builtin();
  for (const std::string_view wanted : kDeploymentClasses) {
    int devices = 0, with_bandwidth = 0;
    for (const Device& device : catalogue.devices()) {
      devices += DeploymentClass(device) == wanted;
      with_bandwidth += DeploymentClass(device) == wanted && device.bandwidth_bytes_per_s;
    }
    EXPECT_GE(devices, 10) << wanted;
    EXPECT_EQ(devices, with_bandwidth) << wanted;
  }
  EXPECT_EQ(DeploymentClass(*catalogue.FindDevice("m4-max")), "laptop");
  EXPECT_EQ(DeploymentClass(*catalogue.FindDevice("m3-ultra")), "workstation");
  EXPECT_EQ(DeploymentClass(*catalogue.FindDevice("epyc-9755")), "");
}

}  // namespace
}  // namespace moecap::hardware
