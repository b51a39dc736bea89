// MoE-CAP's own records, in the two forms of its recorder.
#include "trace/upstream.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/fs.h"
#include "base/json.h"
#include "trace/trace_test_files.h"

namespace moecap::trace {
namespace {

using record::PassKind;
using record::SequenceSlice;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

struct Imported {
  UpstreamReport report;
  std::vector<record::PassRecord> passes;
  std::vector<bool> context_known;
  std::string error;
};

Imported Import(const std::filesystem::path& path, const UpstreamOptions& options = {}) {
  Imported result;
  const auto report = ReadUpstream(path, options, [&](const record::PassRecord& pass, bool context_known) {
    result.passes.push_back(pass);
    result.context_known.push_back(context_known);
    return Status();
  });
  if (report.ok()) {
    result.report = *report;
  } else {
    result.error = report.error().message;
  }
  return result;
}

Imported ImportText(const std::string& text, const UpstreamOptions& options = {}) {
  const TempDir dir;
  return Import(dir.Write("r.jsonl", text), options);
}

TEST(Upstream, SglangDecodeHasTheSumOfContexts) {
  const Imported imported = ImportText(
      R"({"forward_pass_id":1,"batch_size":3,"latency":0.025,"seq_lens_sum":301,"forward_mode":"decode","expert_activation":12.5,"gpu_num":8,"gpu_raw_type":"NVIDIA-H200-140GB"})");
  ASSERT_EQ(imported.passes.size(), 1u) << imported.error;
  EXPECT_EQ(imported.report.flavour, UpstreamFlavour::kSglang);
  EXPECT_EQ(imported.report.devices, 8);
  EXPECT_EQ(imported.report.device, "NVIDIA-H200-140GB");
  const auto& pass = imported.passes[0];
  EXPECT_EQ(pass.kind, PassKind::kDecode);
  EXPECT_DOUBLE_EQ(pass.latency_s, 0.025);
  EXPECT_THAT(pass.distinct_experts, ElementsAre(12.5));
  EXPECT_EQ(pass.distinct_experts_source, record::Source::kServerReported);
  // 298 tokens of context in three sequences.
  EXPECT_THAT(pass.sequences, ElementsAre(SequenceSlice{100, 1, 1}, SequenceSlice{99, 1, 2}));
  EXPECT_THAT(imported.report.notes, Contains(HasSubstr("sums over their sequences")));
}

TEST(Upstream, DenseLayersAreTakenOutOfTheMean) {
  UpstreamOptions options;
  options.layers = 61;
  options.moe_layers = 58;
  const Imported imported = ImportText(
      R"({"batch_size":1,"latency":0.015,"seq_lens_sum":4096,"forward_mode":"decode","expert_activation":7.60655737704918})",
      options);
  ASSERT_EQ(imported.passes.size(), 1u);
  EXPECT_NEAR(imported.passes[0].distinct_experts[0], 8, 1e-12);
}

TEST(Upstream, SglangChunksOfAPrompt) {
  std::string text;
  for (int i = 0; i < 4; ++i) {
    text +=
        fmt::format(
            R"({{"batch_size":1,"latency":0.1,"seq_lens_sum":{0},"forward_mode":"prefill","expert_activation":128.0,"per_req_info":[{{"req_pool_idx":0,"req_id":"0_0","extend_len":4096,"total_len":{0},"is_last_chunk":false,"prompt_len":16384}}],"scheduled_tokens":4096}})",
            4096 * (i + 1)) +
        "\n";
  }
  const Imported imported = ImportText(text);
  ASSERT_EQ(imported.passes.size(), 4u) << imported.error;
  EXPECT_THAT(imported.passes[3].sequences, ElementsAre(SequenceSlice{12288, 4096, 1}));
  EXPECT_EQ(imported.report.flavour, UpstreamFlavour::kSglang);
}

TEST(Upstream, VllmContextsAreFollowedFromThePrefill) {
  const Imported imported = ImportText(
      R"({"batch_size":1,"latency":0.05,"seq_lens_sum":60,"forward_mode":"prefill","expert_activation":8,"per_req_info":[{"req_id":"a","extend_len":60,"total_len":100,"prompt_len":100,"is_last_chunk":false}],"scheduled_tokens":60}
{"batch_size":1,"latency":0.06,"seq_lens_sum":40,"forward_mode":"prefill","expert_activation":8,"per_req_info":[{"req_id":"a","extend_len":40,"total_len":100,"prompt_len":100,"is_last_chunk":true}],"scheduled_tokens":40}
{"batch_size":1,"latency":0.0312,"seq_lens_sum":1,"forward_mode":"decode","expert_activation":4,"req_ids":["a"],"scheduled_tokens":1}
{"batch_size":1,"latency":0.044,"seq_lens_sum":20,"forward_mode":"prefill","expert_activation":9,"per_req_info":[{"req_id":"b","extend_len":20,"total_len":50,"prompt_len":50,"is_last_chunk":true}],"scheduled_tokens":20}
{"batch_size":1,"latency":0.044,"seq_lens_sum":1,"forward_mode":"decode","expert_activation":9,"req_ids":["a"],"scheduled_tokens":1}
{"batch_size":2,"latency":0.03,"seq_lens_sum":2,"forward_mode":"decode","expert_activation":0,"req_ids":["a","b"],"scheduled_tokens":2}
{"batch_size":1,"latency":0.02,"seq_lens_sum":1,"forward_mode":"decode","expert_activation":4,"req_ids":["stranger"],"scheduled_tokens":1}
{"batch_size":1,"latency":0.02,"seq_lens_sum":1,"forward_mode":"unknown","expert_activation":4}
)");
  ASSERT_EQ(imported.error, "");
  EXPECT_EQ(imported.report.flavour, UpstreamFlavour::kVllm);
  ASSERT_EQ(imported.passes.size(), 6u);
  EXPECT_THAT(imported.passes[0].sequences, ElementsAre(SequenceSlice{0, 60, 1}));
  EXPECT_THAT(imported.passes[1].sequences, ElementsAre(SequenceSlice{60, 40, 1}));
  EXPECT_THAT(imported.passes[2].sequences, ElementsAre(SequenceSlice{100, 1, 1}));
  EXPECT_EQ(imported.passes[3].kind, PassKind::kMixed) << "two records, one step";
  EXPECT_THAT(imported.passes[3].sequences, ElementsAre(SequenceSlice{30, 20, 1}, SequenceSlice{101, 1, 1}))
      << "30 tokens of b were cached";
  EXPECT_THAT(imported.passes[4].sequences, ElementsAre(SequenceSlice{102, 1, 1}, SequenceSlice{50, 1, 1}));
  EXPECT_TRUE(imported.passes[4].distinct_experts.empty()) << "0 is not recorded";
  EXPECT_THAT(imported.context_known, ElementsAre(true, true, true, true, true, false));
  EXPECT_EQ(imported.report.mixed, 1);
  EXPECT_EQ(imported.report.without_context, 1);
  EXPECT_EQ(imported.report.without_experts, 1);
  EXPECT_EQ(imported.report.skipped, 1);
  EXPECT_EQ(imported.report.records, 8);
  EXPECT_THAT(imported.report.notes, Contains(HasSubstr("S-MBU and S-MFU are not known")));
}

TEST(Upstream, ErrorsNameTheLine) {
  const std::string good = R"({"batch_size":1,"latency":0.02,"seq_lens_sum":9,"forward_mode":"decode","expert_activation":4})"
                           "\n";
  EXPECT_THAT(ImportText(good + "{bad}\n").error, HasSubstr("r.jsonl:2: not valid JSON"));
  EXPECT_THAT(ImportText(good + R"({"batch_size":1,"seq_lens_sum":9,"forward_mode":"decode"})").error,
              HasSubstr(":2: \"latency\" is missing"));
  EXPECT_THAT(ImportText(good + R"({"batch_size":-1,"latency":1,"forward_mode":"decode"})").error, HasSubstr("\"batch_size\""));
  EXPECT_THAT(ImportText(good + R"({"batch_size":9,"latency":1,"seq_lens_sum":3,"forward_mode":"decode"})").error,
              HasSubstr("smaller than"));
  EXPECT_THAT(ImportText(good + "[1]\n").error, HasSubstr(":2:"));
  EXPECT_THAT(ImportText(good + good.substr(0, good.size() - 1) + " {}\n").error, HasSubstr("not valid JSON"));
  EXPECT_NE(ImportText(good + std::string(1'000'000, '[') + "\n").error, "");
  EXPECT_EQ(
      ImportText(
          good +
          R"({"gpu_num":"N/A","gpu_raw_type":null,"batch_size":1,"latency":1,"seq_lens_sum":9,"forward_mode":"decode","x":[{"y":1}]})")
          .error,
      "");
  EXPECT_THAT(Import("/nonexistent").error, HasSubstr("cannot read"));
}

// Where a list of golden records lies beside the checkout: every record in it gives the physical passes written beside it.
TEST(Upstream, GoldenRecordsGiveTheirPhysicalPasses) {
  const std::string path = MOECAP_SOURCE_DIR "/../shared/data/golden_metrics.json";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "no such file";
  const auto golden = ParseJson(*ReadFile(path));
  ASSERT_TRUE(golden.ok());
  int checked = 0;
  for (const Json& vector : (*golden)["vectors"]) {
    if (!vector.contains("physical_passes") || !vector.contains("records")) continue;
    const auto id = vector["id"].get<std::string>();
    std::string text;
    for (const Json& entry : vector["records"]) text += DumpJson(entry) + "\n";
    UpstreamOptions options;
    if (vector["model_id"] == "deepseek-ai/DeepSeek-R1") options = {std::nullopt, 61, 58};
    const Imported imported = ImportText(text, options);
    ASSERT_EQ(imported.error, "") << id;
    const Json& physical = vector["physical_passes"];
    if (imported.report.without_context > 0 || physical.empty()) continue;
    ASSERT_EQ(imported.passes.size(), physical.size()) << id;
    for (size_t i = 0; i < physical.size(); ++i) {
      int64_t context = 0, tokens = 0;
      for (const Json& request : physical[i]["reqs"]) {
        context += request[0].get<int64_t>() * request[2].get<int64_t>();
        tokens += request[1].get<int64_t>() * request[2].get<int64_t>();
      }
      int64_t imported_context = 0;
      for (const auto& slice : imported.passes[i].sequences) imported_context += slice.context_tokens * slice.count;
      EXPECT_EQ(imported_context, context) << id;
      EXPECT_EQ(imported.passes[i].NewTokens(), tokens) << id;
      EXPECT_DOUBLE_EQ(imported.passes[i].latency_s, physical[i]["lat"].get<double>()) << id;
      if (imported.passes[i].distinct_experts.empty()) continue;
      // Within the dense layers that the mean counts as zeros.
      EXPECT_NEAR(imported.passes[i].distinct_experts[0] / physical[i]["a"].get<double>(), 1, 0.06) << id;
    }
    ++checked;
  }
  EXPECT_GE(checked, 8);
}

}  // namespace
}  // namespace moecap::trace
