// The files of the Python implementation, against an experiment small enough to count by hand.
#include "report/upstream_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "base/json.h"

namespace moecap::report {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> Keys(const Json& json) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : json.items()) keys.push_back(key);
  return keys;
}

class UpstreamFilesTest : public testing::Test {
 protected:
  UpstreamFilesTest() {
    summary_.run_id = "r";
    summary_.started_at = "2026-01-31T12:00:00Z";
    summary_.dataset = "data/gsm8k/test.jsonl";
    summary_.host.cpu_model = "Example CPU";
    cap::SystemSummary system;
    system.name = "A/B";
    system.model_id = "org/model";
    system.engine = "llama.cpp v0.5.0 (CPU)";
    system.weight_type = "F16";
    system.machine.is_this_host = true;
    system.moe_layers = 3;
    cap::CellSummary cell;
    cell.level = {record::LoadKind::kClients, 2};
    cell.figures[cap::FigureId::kTtftMean] = 0.15;
    cell.figures[cap::FigureId::kAccuracy] = 0.5;
    cell.figures[cap::FigureId::kScored] = 2;
    cell.figures[cap::FigureId::kAnswered] = 1;
    cell.figures[cap::FigureId::kKvMean] = 2.5e6;
    cell.utilization.decode.s_mbu_paper = 0.25;
    cell.utilization.decode.s_mbu = 0.3;
    cell.utilization.decode.tokens = 30;
    cell.utilization.decode.latency_s = 1.5;
    system.cells = {cell};
    summary_.systems = {system};

    // Two requests answered, one failed; the first token of the second after 0.2 s. Another level does not count.
    facts_.layers = {4};
    facts_.requested_output_tokens = 64;
    facts_.measurements = {{"A/B", {record::LoadKind::kClients, 4}, {}, {}}};
    AddRequest(0.0, {5.0}, 99, 1);
    facts_.measurements.push_back({"A/B", {record::LoadKind::kClients, 2}, {}, {}});
    AddRequest(0.0, {0.1, 0.5}, 10, 2);
    AddRequest(0.0, {0.2, 1.0}, 20, 3);
    AddRequest(0.1, {}, 30, 0, "timeout");
    AddPass(record::PassKind::kPrefill, 0.1, {{0, 10, 1}, {5, 20, 1}}, {4, 8, 6});
    AddPass(record::PassKind::kDecode, 0.02, {{10, 1, 1}, {25, 1, 1}}, {2, 4, 3});
    AddPass(record::PassKind::kDecode, 0.04, {{26, 1, 1}}, {});
    AddPass(record::PassKind::kMixed, 0.3, {{27, 1, 1}, {0, 7, 2}}, {6, 6, 6});
    facts_.measurements.back().passes.back().distinct_experts_source = record::Source::kEstimated;
  }

  void AddRequest(double send_s, std::vector<double> token_s, int64_t input, int64_t output, std::string error = "") {
    record::RequestRecord request;
    request.send_s = send_s;
    request.token_s = std::move(token_s);
    request.input_tokens = input;
    request.output_tokens = output;
    request.text = "t";
    if (!error.empty()) request.finish = record::FinishReason::kError;
    request.error = std::move(error);
    facts_.measurements.back().requests.push_back(request);
  }

  void AddPass(record::PassKind kind, double latency_s, std::vector<record::SequenceSlice> sequences,
               std::vector<double> experts) {
    record::PassRecord pass;
    pass.kind = kind;
    pass.latency_s = latency_s;
    pass.sequences = std::move(sequences);
    pass.distinct_experts = std::move(experts);
    facts_.measurements.back().passes.push_back(pass);
  }

  std::vector<NamedText> Files() const { return UpstreamFiles(summary_, facts_); }

  Json File(const std::string& name) const {
    for (const auto& file : Files()) {
      if (file.path.find("/" + name + "_") != std::string::npos) return ParseJson(file.text).value();
    }
    return nullptr;
  }

  std::vector<Json> Lines(const std::string& name) const {
    std::vector<Json> lines;
    for (const auto& file : Files()) {
      if (file.path.find("/" + name + "_") == std::string::npos) continue;
      std::istringstream text(file.text);
      for (std::string line; std::getline(text, line);) lines.push_back(ParseJson(line).value());
    }
    return lines;
  }

  cap::ExperimentSummary summary_;
  UpstreamFacts facts_;
};

TEST_F(UpstreamFilesTest, NamesFollowTheModelTheDatasetAndTheStart) {
  std::vector<std::string> paths;
  for (const auto& file : Files()) paths.push_back(file.path);
  const std::string folder = "0-A_B-c2/org/model/";
  EXPECT_THAT(paths, ElementsAre(folder + "metrics_gsm8k_20260131_120000.json", folder + "metadata_gsm8k_20260131_120000.json",
                                 folder + "output_data_gsm8k_20260131_120000.jsonl",
                                 folder + "detailed_results_gsm8k_20260131_120000.jsonl",
                                 folder + "moecap_extra_gsm8k_20260131_120000.json"));
}

TEST_F(UpstreamFilesTest, MetricsHaveTheKeysAndTheFiguresCountedByHand) {
  const Json json = File("metrics");
  EXPECT_THAT(Keys(json), ElementsAre("performance", "expert_activation", "batch_token_profile", "quality"));
  const Json& performance = json["performance"];
  EXPECT_THAT(Keys(performance), ElementsAre("e2e_s", "request/s", "ttft", "prefill_pass_latency_s", "tpot",
                                             "prefill_forwarded_tokens", "prefill_step_elapsed_s"));
  // From 0 to 1.0 s two requests were completed.
  EXPECT_DOUBLE_EQ(performance["e2e_s"], 0.5);
  EXPECT_DOUBLE_EQ(performance["request/s"], 2);
  EXPECT_DOUBLE_EQ(performance["ttft"], 0.15);
  EXPECT_DOUBLE_EQ(performance["prefill_pass_latency_s"], 0.2);  // the mixed step counts as prefill
  EXPECT_DOUBLE_EQ(performance["tpot"], 0.03);
  EXPECT_EQ(performance["prefill_forwarded_tokens"], 10 + 20 + 1 + 14);
  EXPECT_DOUBLE_EQ(performance["prefill_step_elapsed_s"], 0.4);
  // (4 + 8 + 6) over 4 layers; the estimate of the mixed step and the pass without a record do not count.
  EXPECT_DOUBLE_EQ(json["expert_activation"]["avg_expert_activation_prefill"], 4.5);
  EXPECT_DOUBLE_EQ(json["expert_activation"]["avg_expert_activation_decode"], 2.25);
  const Json& profile = json["batch_token_profile"];
  EXPECT_THAT(Keys(profile), ElementsAre("prefill_tokens", "prefill_tokens_per_request", "prefill_avg_batch_size",
                                         "decode_generated_tokens", "decode_generated_tokens_per_request",
                                         "decode_avg_batch_size", "prefill_tokens_attempted", "prefill_tokens_completed"));
  EXPECT_EQ(profile["prefill_tokens"], 30);
  EXPECT_EQ(profile["prefill_tokens_attempted"], 60);
  EXPECT_DOUBLE_EQ(profile["prefill_avg_batch_size"], 2.5);
  EXPECT_EQ(profile["decode_generated_tokens"], 5);
  EXPECT_DOUBLE_EQ(profile["decode_avg_batch_size"], 1.5);
  EXPECT_EQ(DumpJson(json["quality"]), R"({"acc":0.5,"total":2,"attempted":3,"served":2,"completed":2})");
}

TEST_F(UpstreamFilesTest, MetadataNamesTheEngineAndLeavesUnknownsNull) {
  EXPECT_EQ(
      DumpJson(File("metadata")),
      R"({"hardware":{"gpu_type":"Example CPU","num_gpus":null},"model_config":{"model_name":"org/model","precision":"F16"},)"
      R"j("system_environment":{"inference_engine":"llama.cpp","inference_engine_version":"v0.5.0 (CPU)","batch_size":2,)j"
      R"("avg_batch_size_prefill":2.5,"avg_batch_size_decode":1.5}})");
}

TEST_F(UpstreamFilesTest, RequestsAndPassesAreLines) {
  const auto requests = Lines("output_data");
  ASSERT_EQ(requests.size(), 3u);
  EXPECT_EQ(DumpJson(requests[1]),
            R"({"index":1,"input_tokens":20,"output_tokens":"t","input_token_count":20,"output_token_count":3,)"
            R"("requested_output_tokens":64,"success":true,"latency_s":1.0,"ttft_s":0.2})");
  EXPECT_EQ(requests[2]["success"], false);
  EXPECT_TRUE(requests[2]["ttft_s"].is_null());
  EXPECT_EQ(requests[2]["error"], "timeout");

  const auto passes = Lines("detailed_results");
  ASSERT_EQ(passes.size(), 4u);
  EXPECT_EQ(DumpJson(passes[1]),
            R"({"index":1,"forward_mode":"decode","expert_activation":2.25,"batch_size":2,"seq_lens_sum":37,"tpot":0.02,)"
            R"("scheduled_tokens":2})");
  EXPECT_TRUE(passes[2]["expert_activation"].is_null()) << "not recorded is not 0";
  EXPECT_TRUE(passes[3]["expert_activation"].is_null()) << "an estimate is no observation";
  EXPECT_EQ(passes[3]["forward_mode"], "prefill");
  EXPECT_EQ(passes[3]["per_req_info"].size(), 3u);
  EXPECT_EQ(DumpJson(passes[0]["per_req_info"][1]), R"({"req_pool_idx":null,"req_id":null,"extend_len":20,"total_len":25})");
}

TEST_F(UpstreamFilesTest, ExtraHoldsWhatUpstreamDrops) {
  const Json json = File("moecap_extra");
  EXPECT_EQ(json["decoding_smbu"], 0.25);
  EXPECT_EQ(json["moecap"]["complete_convention"]["decode"]["s_mbu"], 0.3);
  EXPECT_TRUE(json["prefill_smbu"].is_null());
  EXPECT_DOUBLE_EQ(json["kv_size"], 2.5);
  EXPECT_DOUBLE_EQ(json["decoding_throughput"], 20);
  EXPECT_TRUE(json["prefill_tp"].is_null());
  EXPECT_EQ(json["correct"], 1);
  EXPECT_EQ(json["no_answer"], 1);
  EXPECT_EQ(json["profiling_only"], false);
  EXPECT_TRUE(json["cost"].is_null());
}

TEST(PathComponent, CannotLeaveTheFolder) {
  EXPECT_EQ(PathComponent("Qwen3-30B.A3B"), "Qwen3-30B.A3B");
  EXPECT_EQ(PathComponent(".."), "_..");
  EXPECT_EQ(PathComponent(""), "_");
  EXPECT_EQ(PathComponent("../a b"), ".._a_b");
  EXPECT_EQ(PathComponent(std::string(500, 'x')).size(), 100u);
}

}  // namespace
}  // namespace moecap::report
