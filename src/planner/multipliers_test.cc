#include "planner/multipliers.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "hardware/catalogue.h"

namespace moecap::planner {
namespace {

TEST(Multipliers, BuiltinHasMeaningSourceAndUnitOfEach) {
  const auto multipliers = Multipliers::Builtin();
  ASSERT_TRUE(multipliers.ok()) << multipliers.error().message;
  for (const Multiplier& entry : multipliers->entries()) {
    EXPECT_FALSE(entry.meaning.empty()) << entry.key;
    EXPECT_FALSE(entry.source.empty()) << entry.key;
    EXPECT_GE(entry.value, entry.least) << entry.key;
    EXPECT_TRUE(!entry.key.ends_with("_s") || entry.unit == "s") << entry.key;
  }
}

TEST(Multipliers, NamesTheFaultyEntry) {
  EXPECT_NE(Multipliers::Parse(R"({"multipliers": [{"key": "speed", "value": 1}]})").error().message.find("'speed'"),
            std::string::npos);
  EXPECT_NE(Multipliers::Parse(R"({"multipliers": [{"key": "expert_stream", "value": 0.5, "least": 1}]})")
                .error()
                .message.find("expert_stream"),
            std::string::npos);
  EXPECT_NE(Multipliers::Parse(R"({"multipliers": []})").error().message.find("expert_stream is missing"), std::string::npos);
}

TEST(Multipliers, KnowsWhatWasMeasured) {
  const auto devices = hardware::Catalogue::Builtin();
  const auto multipliers = Multipliers::Builtin();
  ASSERT_TRUE(devices.ok() && multipliers.ok());
  const auto hopper = *devices->FindDevice("h100-sxm"), mac = *devices->FindDevice("m3-ultra");
  EXPECT_EQ(multipliers->GenerationOf(hopper), "hopper");
  EXPECT_EQ(multipliers->GenerationOf(mac), "");
  EXPECT_FALSE(multipliers->Calibrated(mac));
  for (const char* id : {"h100-sxm", "h200-sxm", "b200-sxm", "b300-sxm", "gb200"})
    EXPECT_TRUE(multipliers->Calibrated(*devices->FindDevice(id))) << id;
  for (const char* id : {"a100-80-sxm", "mi300x", "rtx-4090"})
    EXPECT_FALSE(multipliers->Calibrated(*devices->FindDevice(id))) << id;
  const auto sibling = *devices->FindDevice("h20");
  EXPECT_TRUE(multipliers->Measured(hopper));
  EXPECT_TRUE(multipliers->Calibrated(sibling) && !multipliers->Measured(sibling));
  EXPECT_GT(multipliers->BandOf("vllm", sibling, false).high, multipliers->BandOf("vllm", hopper, false).high);
  EXPECT_GT(multipliers->BandOf("vllm", mac, false).high, multipliers->BandOf("vllm", hopper, false).high);
  // An uncalibrated device reads more slowly than its peak by the factor of its class.
  const double fitted = multipliers->FactorsOf("vllm", hopper).expert_stream;
  EXPECT_DOUBLE_EQ(multipliers->FactorsOf("vllm", mac).expert_stream,
                   multipliers->Find("expert_stream")->value * multipliers->Find("stream_time.unified")->value);
  EXPECT_DOUBLE_EQ(fitted, multipliers->Find("expert_stream")->value);
}

// llama.cpp's CUDA backend has kernels of its own; what they take on any device of NVIDIA no other system has.
TEST(Multipliers, KernelsAreThoseOfABackend) {
  const auto devices = hardware::Catalogue::Builtin();
  const auto multipliers = Multipliers::Builtin();
  ASSERT_TRUE(devices.ok() && multipliers.ok());
  const auto h200 = *devices->FindDevice("h200-sxm"), mac = *devices->FindDevice("m3-ultra");
  EXPECT_EQ(Multipliers::KernelsOf("llama-server", h200), "llama-cuda");
  EXPECT_EQ(Multipliers::KernelsOf("llama-server", mac), "llama-server");
  const auto grace = *devices->FindDevice("grace-480"),
             epyc = *devices->FindDevice("epyc-9654");  // NVIDIA's is a processor, too
  for (const hardware::Device& processor : {grace, epyc}) {
    EXPECT_EQ(Multipliers::KernelsOf("llama-server", processor), "llama-cpu");
    const StepFactors vectors = multipliers->FactorsOf("llama-server", processor);
    EXPECT_GT(vectors.vector_time, vectors.packed_time);
    EXPECT_GT(vectors.packed_time, 1);
    EXPECT_EQ(vectors.weight_stream, vectors.expert_stream);
    EXPECT_EQ(multipliers->FactorsOf("vllm", processor).vector_time, 0);
  }
  EXPECT_EQ(multipliers->FactorsOf("llama-server", epyc).replay_s, 0);
  EXPECT_LT(multipliers->FactorsOf("llama-server", h200).replay_time, 1);
  EXPECT_EQ(multipliers->FactorsOf("vllm", h200).prompt_waves, 0);
  EXPECT_EQ(Multipliers::KernelsOf("vllm", h200), "vllm");
  const StepFactors cuda = multipliers->FactorsOf("llama-server", h200), vllm = multipliers->FactorsOf("vllm", h200);
  EXPECT_GT(cuda.tile_operations, 0);
  EXPECT_EQ(vllm.tile_operations, 0);
  EXPECT_EQ(multipliers->FactorsOf("llama-server", mac).tile_operations, 0);
  EXPECT_EQ(cuda.weight_only_time, 1);
  EXPECT_NEAR(cuda.kv_stream / vllm.kv_stream, multipliers->Find("kv_time.llama-cuda")->value, 1e-12);
  EXPECT_NEAR(cuda.layer_s / vllm.layer_s,
              multipliers->Find("layer_time.llama-cuda")->value / multipliers->Find("layer_time.vllm")->value, 1e-12);
  EXPECT_EQ(multipliers->AtPriors().Find("layer_s")->rows, 0);
}

// What a launch with default settings takes lies on top of what is not known of the device; a band of either holds both.
TEST(Multipliers, BandsOfALaunch) {
  const auto devices = hardware::Catalogue::Builtin();
  auto multipliers = Multipliers::Builtin();
  ASSERT_TRUE(devices.ok() && multipliers.ok());
  const auto h200 = *devices->FindDevice("h200-sxm"), mi300x = *devices->FindDevice("mi300x");
  multipliers->SetDefaultLaunch({1.5, 2, {0.9, 3, "cookbook"}, {0.5, 6, "cookbook"}});
  const ErrorBand tuned = multipliers->BandOf("vllm", h200, false), unknown = multipliers->BandOf("vllm", mi300x, false);
  const ErrorBand measured = multipliers->BandOf("vllm", h200, false, false, Launch::kDefault);
  EXPECT_NEAR(measured.low, 0.6, 1e-12);  // 0.9 of what a tuned launch takes, of which 1.5 are predicted
  EXPECT_NEAR(measured.high, 2, 1e-12);
  EXPECT_EQ(measured.basis, "cookbook");
  const ErrorBand ttft = multipliers->TtftBandOf("vllm", h200, false, false, Launch::kDefault);
  EXPECT_NEAR(ttft.low, 0.25, 1e-12);
  EXPECT_NEAR(ttft.high, 3, 1e-12);
  const ErrorBand wider = multipliers->BandOf("vllm", mi300x, false, false, Launch::kDefault);
  EXPECT_NEAR(wider.low, 0.6 * unknown.low / tuned.low, 1e-12);
  EXPECT_NEAR(wider.high, 2 * unknown.high / tuned.high, 1e-12);
  EXPECT_NE(wider.basis.find("assumed"), std::string::npos);
  for (const hardware::Device& device : {h200, mi300x}) {
    for (const bool wide : {false, true}) {
      const ErrorBand either = multipliers->BandOf("vllm", device, false, wide, Launch::kEither);
      const ErrorBand alone = multipliers->BandOf("vllm", device, false, wide),
                      slow = multipliers->BandOf("vllm", device, false, wide, Launch::kDefault);
      EXPECT_LE(either.low, std::min(alone.low, 1.5 * slow.low) + 1e-12);
      EXPECT_GE(either.high, std::max(alone.high, 1.5 * slow.high) - 1e-12);
    }
    EXPECT_EQ(multipliers->BandOf("llama-server", device, false, false, Launch::kEither).basis,
              "assumption: no public measurement of this system was fitted");
    EXPECT_EQ(multipliers->BandOf("llama-server", device, false).high, multipliers->BandOf("vllm", mi300x, false).high);
    EXPECT_EQ(multipliers->BandOf("vllm", device, true, false, Launch::kDefault).high,
              multipliers->BandOf("vllm", device, true).high);
  }
}

TEST(Multipliers, OnlySystemsWithTunedRowsTellLaunches) {
  const auto devices = hardware::Catalogue::Builtin();
  const auto multipliers = Multipliers::Builtin();
  ASSERT_TRUE(devices.ok() && multipliers.ok());
  const auto h200 = *devices->FindDevice("h200-sxm");
  for (const char* system : {"vllm", "sglang", "trtllm"}) {
    EXPECT_EQ(multipliers->FactorsOf(system, h200, Launch::kDefault).tpot_time, multipliers->DefaultLaunch().tpot_time)
        << system;
    EXPECT_EQ(multipliers->FactorsOf(system, h200, Launch::kEither).tpot_time, 1) << system;
  }
  EXPECT_EQ(multipliers->FactorsOf("llama-server", h200, Launch::kDefault).tpot_time, 1);
  std::string text = BuiltinMultipliersText();
  const size_t at = text.find("\"tpot_time\"");
  ASSERT_NE(at, std::string::npos);
  text.replace(at, 11, "\"tpot_tame\"");
  EXPECT_NE(Multipliers::Parse(text).error().message.find("launches.default needs tpot_low"), std::string::npos);
}

}  // namespace
}  // namespace moecap::planner
