// S-MBU and S-MFU in the paper's convention against an independent evaluation of Eq. 4-6.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/fs.h"
#include "base/json.h"
#include "metrics/pass_cost.h"
#include "metrics/utilization.h"
#include "model/hf_config.h"
#include "model/open_model.h"

namespace moecap::metrics {
namespace {

using model::TensorClass;

std::vector<record::PassRecord> PassesOf(const Json& vector) {
  std::vector<record::PassRecord> passes;
  for (const Json& physical : vector["physical_passes"]) {
    record::PassRecord pass;
    pass.kind = physical["mode"] == "decode" ? record::PassKind::kDecode : record::PassKind::kPrefill;
    pass.latency_s = physical["lat"].get<double>();
    pass.distinct_experts = {physical["a"].get<double>()};
    for (const Json& request : physical["reqs"]) {
      pass.sequences.push_back({request[0].get<int64_t>(), request[1].get<int64_t>(), request[2].get<int64_t>()});
    }
    passes.push_back(pass);
  }
  return passes;
}

model::ModelSpec SpecOf(const Json& config, const Json& vector) {
  auto spec = model::SpecFromConfig(config, vector["model_id"].get<std::string>());
  EXPECT_TRUE(spec.ok()) << (spec.ok() ? "" : spec.error().message);
  const double weight_bits = 8 * vector["weight_bytes"].get<double>();
  SetWeightPrecision(*spec, TensorClass::kAttention, "golden", 8 * vector["attn_weight_bytes"].get<double>());
  for (const TensorClass c : {TensorClass::kRoutedExpert, TensorClass::kSharedExpert, TensorClass::kDenseFfn}) {
    SetWeightPrecision(*spec, c, "golden", weight_bits);
  }
  spec->kv_bits = 8 * vector["kv_bytes"].get<double>();
  return *std::move(spec);
}

void ExpectNear(const Json& paper, const std::string& key, std::optional<double> value, const std::string& id) {
  if (!paper.contains(key)) return;
  const double expected = paper[key].get<double>();
  ASSERT_TRUE(value.has_value()) << id << " " << key;
  EXPECT_NEAR(*value / expected, 1, 1e-9) << id << " " << key;
}

int CheckFile(const std::string& path) {
  const auto text = ReadFile(path);
  EXPECT_TRUE(text.ok()) << text.error().message;
  const auto golden = ParseJson(*text);
  EXPECT_TRUE(golden.ok());
  int checked = 0;
  for (const Json& vector : (*golden)["vectors"]) {
    if (!vector.contains("paper") || vector["paper"].is_null()) continue;
    const auto id = vector["id"].get<std::string>();
    const model::ModelSpec spec = SpecOf((*golden)["model_configs"][vector["model_id"].get<std::string>()], vector);
    Peaks peaks;
    peaks.bandwidth_bytes_per_s = vector["peak_bw"].get<double>();
    peaks.flops_per_s = vector["peak_flops_dense"].get<double>();
    peaks.devices = vector["n_gpus"].get<int>();
    const Utilization use = ComputeUtilization(spec, PassesOf(vector), peaks);
    EXPECT_TRUE(use.invalid.empty()) << id << ": " << use.invalid.front();
    const Json& paper = vector["paper"];
    ExpectNear(paper, "decoding_smbu", use.decode.s_mbu_paper, id);
    ExpectNear(paper, "decoding_smfu", use.decode.s_mfu_paper, id);
    ExpectNear(paper, "decoding_time_s", *use.decode.latency_s, id);
    ExpectNear(paper, "prefill_smbu", use.prefill.s_mbu_paper, id);
    ExpectNear(paper, "prefill_smfu", use.prefill.s_mfu_paper, id);
    ExpectNear(paper, "prefill_time_s", *use.prefill.latency_s, id);
    const double peak = *peaks.bandwidth_bytes_per_s * peaks.devices;
    if (use.decode.s_mbu_paper)
      ExpectNear(paper, "decoding_bytes", *use.decode.s_mbu_paper * use.decode.latency_s.value() * peak, id);
    if (use.prefill.s_mbu_paper)
      ExpectNear(paper, "prefill_bytes", *use.prefill.s_mbu_paper * use.prefill.latency_s.value() * peak, id);
    // The complete convention adds the head, norms and router, so it is never below the paper's.
    for (const PhaseUtilization* phase : {&use.decode, &use.prefill}) {
      if (phase->passes == 0) continue;
      EXPECT_GE(*phase->s_mbu, *phase->s_mbu_paper) << id;
      EXPECT_GE(*phase->s_mfu, *phase->s_mfu_paper) << id;
      EXPECT_GE(*phase->mbu, *phase->s_mbu) << id;
      EXPECT_GE(*phase->mfu, *phase->s_mfu) << id;
    }
    ++checked;
  }
  return checked;
}

TEST(Golden, PaperValuesToOneInABillion) { EXPECT_EQ(CheckFile(MOECAP_SOURCE_DIR "/tests/golden/metrics_paper.json"), 12); }

// The worked example of docs/metrics.md.
TEST(Golden, WorkedExampleOfTheDocumentation) {
  const auto model = model::OpenModel("Qwen/Qwen3-30B-A3B");
  ASSERT_TRUE(model.ok()) << model.error().message;
  record::PassRecord pass;
  pass.sequences = {{4095, 1, 1}};
  pass.distinct_experts = {8};
  EXPECT_EQ(PassBytes(*model, pass, Convention::kPaper), 5838471168.0);
  EXPECT_EQ(PassFlops(*model, pass, Convention::kPaper), 8682209280.0);
  EXPECT_EQ(PassBytes(*model, pass, Convention::kComplete), 5838471168.0 + 2.0 * (311164928 + 12582912 + 210944 + 2048));
  EXPECT_EQ(PassFlops(*model, pass, Convention::kComplete), 8682209280.0 + 2.0 * 311164928);
}

// A longer list of the same form, if one lies beside the checkout.
TEST(Golden, LongerListWhenPresent) {
  const std::string path = MOECAP_SOURCE_DIR "/../shared/data/golden_metrics.json";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "no such file";
  EXPECT_GE(CheckFile(path), 12);
}

}  // namespace
}  // namespace moecap::metrics
