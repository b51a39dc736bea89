#include "report/vllm_bench_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>

#include "report/compat_report.h"
#include "report/render.h"

namespace moecap::report {
namespace {

using record::RequestRecord;
using testing::AllOf;
using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::HasSubstr;

// One in fifty fails.
std::vector<RequestRecord> SampleRequests(int requests, double gap_s, double ttft_s, double tpot_s, unsigned seed) {
  std::mt19937 random(seed);
  std::lognormal_distribution<double> noise(0, 0.25);
  std::vector<RequestRecord> records;
  for (int i = 0; i < requests; ++i) {
    RequestRecord request;
    request.id = std::to_string(i);
    request.intended_send_s = gap_s * i;
    request.send_s = request.intended_send_s + 20e-6 * noise(random);
    request.input_tokens = 512;
    if (i % 50 == 49) {
      request.finish = record::FinishReason::kError;
      request.error_kind = i % 100 == 99 ? record::RequestError::kHttp5xx : record::RequestError::kResetMidstream;
      request.error = i % 100 == 99 ? "HTTP 503: no free slot" : "the server closed the connection after 12 tokens";
      records.push_back(std::move(request));
      continue;
    }
    double at_s = request.send_s + ttft_s * noise(random);
    for (int token = 0; token < 32; ++token) {
      request.token_s.push_back(at_s);
      at_s += tpot_s * noise(random);
    }
    request.end_s = request.token_s.back();
    request.output_tokens = 32;
    records.push_back(std::move(request));
  }
  return records;
}

// Meant for 0.0, sent at 0.5 after a wait for a free slot: connected after 0.1 s, an empty first chunk at 1.0, two tokens
// at 1.1, two more at 1.3. Then one of a single token from 1.25 to 1.5, and a failure.
std::vector<RequestRecord> ThreeRequests() {
  RequestRecord first;
  first.intended_send_s = 0;
  first.send_s = 0.5;
  first.connect_s = 0.1;
  first.first_byte_s = 1.0;
  first.token_s = {1.1, 1.1, 1.3, 1.3};
  first.chunk_tokens = {2, 2};
  first.end_s = 1.5;
  first.input_tokens = 10;
  first.output_tokens = 4;
  first.text = "four tokens";
  RequestRecord second;
  second.intended_send_s = second.send_s = 1.25;
  second.token_s = {1.5};
  second.end_s = 2.5;
  second.input_tokens = 6;
  second.output_tokens = 1;
  RequestRecord third;
  third.intended_send_s = third.send_s = 1.5;
  third.input_tokens = 5;
  third.finish = record::FinishReason::kError;
  third.error_kind = record::RequestError::kHttp5xx;
  third.error = "HTTP 500";
  return {first, second, third};
}

VllmBenchInputs Inputs() {
  VllmBenchInputs inputs;
  inputs.date = "20260131-120000";
  inputs.model_id = "org/model";
  inputs.request_rate = 2;
  inputs.max_concurrency = 1;
  return inputs;
}

std::vector<std::string> KeysOf(const Json& object) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : object.items()) keys.push_back(key);
  return keys;
}

const std::vector<std::string> kBefore = {"date",
                                          "endpoint_type",
                                          "backend",
                                          "label",
                                          "model_id",
                                          "tokenizer_id",
                                          "num_prompts",
                                          "request_rate",
                                          "burstiness",
                                          "max_concurrency",
                                          "duration",
                                          "completed",
                                          "failed",
                                          "total_input_tokens",
                                          "total_output_tokens",
                                          "request_throughput",
                                          "request_goodput",
                                          "output_throughput",
                                          "total_token_throughput"};
const std::vector<std::string> kAfter = {"max_output_tokens_per_s",
                                         "max_concurrent_requests",
                                         "rtfx",
                                         "mean_ttft_ms",
                                         "median_ttft_ms",
                                         "std_ttft_ms",
                                         "p99_ttft_ms",
                                         "mean_tpot_ms",
                                         "median_tpot_ms",
                                         "std_tpot_ms",
                                         "p99_tpot_ms",
                                         "mean_itl_ms",
                                         "median_itl_ms",
                                         "std_itl_ms",
                                         "p99_itl_ms"};

std::vector<std::string> Joined(const std::vector<std::vector<std::string>>& parts) {
  std::vector<std::string> all;
  for (const auto& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

TEST(VllmBenchJson, HasItsKeysInItsOrder) {
  VllmBenchInputs inputs = Inputs();
  EXPECT_THAT(KeysOf(*VllmBenchJson(ThreeRequests(), inputs)),
              ElementsAreArray(Joined({kBefore, {"latencies", "queue_times"}, kAfter})));
  inputs.save_detailed = true;
  EXPECT_THAT(KeysOf(*VllmBenchJson(ThreeRequests(), inputs)),
              ElementsAreArray(Joined({kBefore,
                                       {"input_lens", "output_lens", "ttfts", "itls", "latencies", "start_times", "queue_times",
                                        "generated_texts", "errors"},
                                       kAfter})));
}

TEST(VllmBenchJson, ByHand) {
  VllmBenchInputs inputs = Inputs();
  inputs.save_detailed = true;
  inputs.percentile_metrics = {"ttft", "tpot", "itl", "e2el", "client_queue_time", "e2el_including_client_queue"};
  inputs.percentiles = {50, 99.9};
  inputs.goodput.ttft_s = 0.3;
  inputs.goodput.tpot_s = 0.05;
  const Json json = *VllmBenchJson(ThreeRequests(), inputs);
  EXPECT_EQ(json["endpoint_type"], "openai");
  EXPECT_EQ(json["label"], nullptr);
  EXPECT_EQ(json["tokenizer_id"], nullptr);
  EXPECT_EQ(json["num_prompts"], 3);
  EXPECT_EQ(json["request_rate"], 2);
  EXPECT_EQ(json["completed"], 2);
  EXPECT_EQ(json["failed"], 1);
  EXPECT_EQ(json["total_input_tokens"], 16) << "of those completed";
  EXPECT_EQ(json["total_output_tokens"], 5);
  const auto near = [&](const char* key, double value) { EXPECT_NEAR(json[key].get<double>(), value, 1e-9) << key; };
  near("duration", 2.0);  // 0.5 to 2.5
  near("request_throughput", 1);
  near("output_throughput", 2.5);
  near("total_token_throughput", 10.5);
  near("request_goodput", 0.5);  // the second: 0.25 s, and one token counts as TPOT 0
  EXPECT_THAT(json["input_lens"], ElementsAre(10, 6, 5));
  EXPECT_THAT(json["output_lens"], ElementsAre(4, 1, 0));
  // First: empty chunk 0.5 s after the send; gaps 0.1 and 0.2; the last chunk 0.8 s after it.
  near("mean_ttft_ms", (500 + 250) / 2.0);
  near("std_ttft_ms", 125);
  near("mean_tpot_ms", 100);  // (0.8 - 0.5) / 3
  near("mean_itl_ms", 150);
  near("p50_itl_ms", 150);
  near("p99.9_itl_ms", 100 + 0.999 * 100);
  near("mean_e2el_ms", (800 + 250) / 2.0);
  near("mean_client_queue_time_ms", 250);
  near("mean_e2el_including_client_queue_ms", (1300 + 250) / 2.0);
  ASSERT_EQ(json["itls"][0].size(), 2u);
  EXPECT_NEAR(json["itls"][0][0].get<double>(), 0.1, 1e-9);
  EXPECT_NEAR(json["itls"][0][1].get<double>(), 0.2, 1e-9);
  EXPECT_TRUE(json["itls"][1].empty());
  EXPECT_NEAR(json["latencies"][0].get<double>(), 0.8, 1e-9);
  EXPECT_EQ(json["latencies"][2], 0);
  EXPECT_EQ(json["ttfts"][2], 0);
  EXPECT_NEAR(json["queue_times"][0].get<double>(), 0.5, 1e-9);
  EXPECT_THAT(json["errors"], ElementsAre("", "", "HTTP 500"));
  EXPECT_THAT(json["generated_texts"], ElementsAre("four tokens", "", ""));
  // Seconds since 0.5: chunks at 0.5, 0.6, 0.8 and 1.0; in flight 0.5..1.3 and 1.25..1.5.
  EXPECT_EQ(json["max_output_tokens_per_s"], 3);
  EXPECT_EQ(json["max_concurrent_requests"], 2);
  EXPECT_EQ(json["rtfx"], 0);
}

TEST(VllmBenchJson, IsNullWhereNothingWasMeasured) {
  VllmBenchInputs inputs = Inputs();
  inputs.request_rate.reset();
  inputs.max_concurrency.reset();
  const Json json = *VllmBenchJson({}, inputs);
  EXPECT_EQ(json["request_rate"], "inf");
  EXPECT_EQ(json["max_concurrency"], nullptr);
  EXPECT_EQ(json["request_throughput"], nullptr);
  EXPECT_EQ(json["mean_ttft_ms"], nullptr);
  EXPECT_EQ(json["p99_itl_ms"], nullptr);
  EXPECT_EQ(json["request_goodput"], nullptr);
  EXPECT_EQ(json["completed"], 0);
}

TEST(VllmBenchJson, RefusesUnknownMetrics) {
  VllmBenchInputs inputs = Inputs();
  inputs.percentile_metrics = {"ttft", "latency"};
  EXPECT_THAT(VllmBenchJson({}, inputs).error().message, HasSubstr("no percentile metric 'latency'; known are ttft"));
  inputs = Inputs();
  inputs.percentiles = {101};
  EXPECT_THAT(VllmBenchJson({}, inputs).error().message, HasSubstr("percentile 101 must lie between 0 and 100"));
}

TEST(VllmBenchJson, NamesItsFileAsVllm) {
  VllmBenchInputs inputs = Inputs();
  EXPECT_EQ(VllmBenchFileName(inputs), "openai-2qps-concurrency1-model-20260131-120000.json");
  inputs.request_rate.reset();
  inputs.max_concurrency.reset();
  inputs.label = "F16";
  EXPECT_EQ(VllmBenchFileName(inputs), "F16-infqps-model-20260131-120000.json");
}

// Without the views: straight from the records, as vLLM's loop adds them up.
TEST(VllmBenchJson, AgreesWithAnIndependentCount) {
  const auto requests = SampleRequests(300, 0.02, 0.05, 0.01, 5);
  const Json json = *VllmBenchJson(requests, Inputs());
  std::vector<double> ttft, tpot;
  std::vector<int64_t> seconds(100);
  double first_s = 1e9;
  int64_t most = 0;
  for (const auto& request : requests) first_s = request.ok() ? std::min(first_s, request.send_s) : first_s;
  for (const auto& request : requests) {
    if (!request.ok()) continue;
    ttft.push_back(request.token_s.front() - request.send_s);
    tpot.push_back((request.token_s.back() - request.token_s.front()) / 31);
    for (const double at_s : request.token_s) ++seconds[static_cast<size_t>(at_s - first_s)];
    int64_t now = 0;
    for (const auto& other : requests)
      now += other.ok() && other.send_s <= request.send_s && other.token_s.back() > request.send_s ? 1 : 0;
    most = std::max(most, now);
  }
  double sum = 0, squares = 0;
  for (const double value : ttft) sum += value;
  const double mean = sum / static_cast<double>(ttft.size());
  for (const double value : ttft) squares += (value - mean) * (value - mean);
  EXPECT_NEAR(json["mean_ttft_ms"].get<double>(), 1000 * mean, 1e-6);
  EXPECT_NEAR(json["std_ttft_ms"].get<double>(), 1000 * std::sqrt(squares / static_cast<double>(ttft.size())), 1e-6);
  std::ranges::nth_element(tpot, tpot.begin() + 146);
  EXPECT_EQ(tpot.size(), 294u);
  EXPECT_GE(json["median_tpot_ms"].get<double>(), 1000 * tpot[146] - 1e-6) << "between the 147th and the 148th";
  EXPECT_EQ(json["max_output_tokens_per_s"], std::ranges::max(seconds));
  EXPECT_EQ(json["max_concurrent_requests"], most);
}

TEST(CompatReport, SideBySide) {
  CompatCell cell;
  cell.label = "8 clients";
  for (const std::string& tool : metrics::CompatTools()) cell.views.push_back(*metrics::ViewAs(tool, ThreeRequests()));
  const std::vector<CompatCell> cells = {cell};
  const Document document = CompatDocument(cells);
  const auto& table = std::get<Table>(document.sections.at(0).blocks.at(0));
  ASSERT_EQ(table.rows.size(), 6u);
  EXPECT_EQ(table.rows[0].cells[1].text, "375.0") << "moecap: (0.5 + 0.25) / 2: the token 0.5 s after the connection was open";
  EXPECT_EQ(table.rows[1].cells[1].text, "375.0") << "vllm: the empty chunk 0.5 s after the send";
  EXPECT_EQ(table.rows[2].cells[1].text, "425.0") << "sglang: the token 0.6 s after the send";
  EXPECT_EQ(table.rows[5].cells[1].text, "675.0") << "mlperf: 1.1 s after the scheduled time";
  EXPECT_EQ(table.rows[5].cells[7].text, "") << "no ITL";
  EXPECT_THAT(RenderTerminal(document, {}), AllOf(HasSubstr("Why they differ"), HasSubstr("guidellm  TPOT is E2E / n")));
  const Json json = CompatToJson(cells);
  EXPECT_EQ(json["cells"][0]["views"][1]["tool"], "vllm");
  EXPECT_NEAR(json["cells"][0]["views"][1]["figures"]["ttft_s"]["mean"].get<double>(), 0.375, 1e-12);
  EXPECT_FALSE(json["cells"][0]["views"][5]["figures"].contains("itl_s"));
}

TEST(VllmBenchJson, BurstinessIsInfiniteForConstantGapsAndNullForOthers) {
  VllmBenchInputs inputs = Inputs();
  inputs.burstiness = std::numeric_limits<double>::infinity();
  EXPECT_EQ((*VllmBenchJson(ThreeRequests(), inputs))["burstiness"], "inf");
  inputs.burstiness.reset();
  EXPECT_TRUE((*VllmBenchJson(ThreeRequests(), inputs))["burstiness"].is_null());
}

TEST(VllmBenchJson, BackendsHaveVllmsNames) {
  EXPECT_EQ(VllmBackend("completions", "vLLM 0.99.0"), "vllm");
  EXPECT_EQ(VllmBackend("completions", "unknown"), "openai");
  EXPECT_EQ(VllmBackend("chat", "vLLM 0.11.0"), "openai-chat");
  EXPECT_EQ(VllmBackend("sglang", "SGLang 0.5.1"), "sglang");
  EXPECT_EQ(VllmBackend("tgi", "TGI 3.0"), "tgi");
  EXPECT_EQ(VllmBackend("chat", "TensorRT-LLM"), "openai-chat");
  EXPECT_EQ(VllmBackend("llama-server", "llama-server b1"), "llama.cpp");
  EXPECT_EQ(VllmBackend("", "llama.cpp b9999"), "llama.cpp");
}

TEST(VllmBenchJson, AnAnswerThatCameWholeHasNoTtft) {
  auto requests = ThreeRequests();
  requests[0].timing_gap = record::TimingGap::kStreamIgnored;
  VllmBenchInputs inputs = Inputs();
  inputs.save_detailed = true;
  inputs.goodput.tpot_s = 10;
  const Json json = *VllmBenchJson(requests, inputs);
  EXPECT_TRUE(json["ttfts"][0].is_null());
  EXPECT_NEAR(json["mean_ttft_ms"].get<double>(), 250, 1e-9) << "of the second request alone";
  EXPECT_TRUE(json["mean_tpot_ms"].is_null());
  EXPECT_NEAR(json["request_goodput"].get<double>() * json["duration"].get<double>(), 1, 1e-9);
}

}  // namespace
}  // namespace moecap::report
