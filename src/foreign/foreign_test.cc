// Small result files after what each tool's own writer puts into them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/testing/temp_dir.h"
#include "foreign/result_file.h"

namespace moecap::foreign {
namespace {

using cap::FigureId;
using testing::Contains;
using testing::HasSubstr;

ResultFile Read(std::string_view text, std::string_view metadata = {}) {
  auto file = ParseResultFile(text, metadata);
  EXPECT_TRUE(file.ok()) << (file.ok() ? "" : file.error().message);
  return file.ok() ? *std::move(file) : ResultFile();
}

void ExpectFigure(const Cell& cell, FigureId id, double value) {
  ASSERT_TRUE(cell.figures[id].has_value()) << cap::FigureOf(id).key;
  EXPECT_NEAR(*cell.figures[id], value, 1e-9 * std::abs(value) + 1e-12) << cap::FigureOf(id).key;
}

constexpr const char* kVllm =
    R"({"date": "20260428-105748", "backend": "openai", "model_id": "openai/gpt-oss-120b", "num_prompts": 40, "request_rate": "inf",
"burstiness": 1.0, "max_concurrency": 4, "duration": 89.2, "completed": 38, "total_input_tokens": 38912, "total_output_tokens": 19456,
"request_throughput": 0.448, "request_goodput:": null, "output_throughput": 459.2, "total_token_throughput": 918.4,
"mean_ttft_ms": 330.8, "median_ttft_ms": 124.3, "p99_ttft_ms": 987.5, "mean_tpot_ms": 8.387, "median_tpot_ms": 8.39,
"p90_tpot_ms": 8.41, "p99_tpot_ms": 8.42, "mean_itl_ms": 8.386, "median_itl_ms": 8.4, "p99_itl_ms": 8.5, "mean_e2el_ms": 8910.3})";

TEST(ResultFiles, VllmBenchServe) {
  const ResultFile file = Read(kVllm);
  EXPECT_EQ(file.tool, Tool::kVllmBench);
  ASSERT_EQ(file.cells.size(), 1u);
  const Cell& cell = file.cells[0];
  EXPECT_EQ(cell.model, "openai/gpt-oss-120b");
  EXPECT_EQ(cell.started_at, "2026-04-28T10:57:48Z");
  EXPECT_EQ(cell.level, (record::Level{record::LoadKind::kClients, 4}));
  ExpectFigure(cell, FigureId::kTtftMean, 0.3308);
  ExpectFigure(cell, FigureId::kTpotP99, 0.00842);
  ExpectFigure(cell, FigureId::kFailed, 2);
  ExpectFigure(cell, FigureId::kInputTokens, 1024);
  ExpectFigure(cell, FigureId::kE2eMean, 8.9103);
  EXPECT_FALSE(cell.figures[FigureId::kE2eP99].has_value()) << "not told, so not known";
  EXPECT_FALSE(cell.figures[FigureId::kGoodput].has_value());
  EXPECT_FALSE(DefinitionsOf(file.tool).empty());
}

TEST(ResultFiles, SeveralRunsAndOpenLoops) {
  std::string open = kVllm;
  open.replace(open.find("\"inf\""), 5, "2.5");
  const ResultFile list = Read("[" + std::string(kVllm) + "," + open + "]");
  ASSERT_EQ(list.cells.size(), 2u);
  EXPECT_EQ(list.cells[1].level, (record::Level{record::LoadKind::kRate, 2.5}));
  EXPECT_THAT(list.cells[1].notes, Contains(HasSubstr("at most 4 requests in flight")));
  std::string at_once = kVllm;
  at_once.replace(at_once.find("\"max_concurrency\": 4"), 20, "\"max_concurrency\": null");
  EXPECT_EQ(Read(at_once).cells[0].label, "all 40 at once");
}

TEST(ResultFiles, SglangBenchServingAsPythonWritesIt) {
  const ResultFile file = Read(
      R"({"tag": "base", "backend": "sglang", "dataset_name": "random", "request_rate": Infinity, "max_concurrency": 16, "duration": 10.0, "completed": 2,
"total_input_tokens": 200, "total_output_tokens": 100, "total_output_tokens_retokenized": 99, "request_throughput": 0.2,
"output_throughput": 10.0, "mean_e2e_latency_ms": 900.0, "median_e2e_latency_ms": 800.0, "p99_e2e_latency_ms": 990.0, "mean_ttft_ms": 50.0,
"mean_tpot_ms": NaN, "mean_itl_ms": 9.0, "accept_length": 2.5, "server_info": {"model_path": "deepseek-ai/DeepSeek-R1"}, "errors": ["", "timeout", ""]})"
      "\n");
  EXPECT_EQ(file.tool, Tool::kSglangBench);
  const Cell& cell = file.cells.at(0);
  EXPECT_EQ(cell.model, "deepseek-ai/DeepSeek-R1");
  EXPECT_EQ(cell.level.value, 16);
  EXPECT_FALSE(cell.figures[FigureId::kTpotMean].has_value()) << "NaN is no figure";
  ExpectFigure(cell, FigureId::kE2eP99, 0.99);
  ExpectFigure(cell, FigureId::kRequests, 3);
  EXPECT_THAT(cell.notes, Contains(HasSubstr("2.5 tokens a step")));
}

TEST(ResultFiles, AiPerfAndGenAiPerf) {
  const std::string body =
      R"("request_throughput":{"unit":"requests/sec","avg":5.0},"request_latency":{"unit":"ms","avg":200.0,"p50":190.0,"p99":400.0},
"time_to_first_token":{"unit":"ms","avg":20.0,"p90":25.0},"inter_token_latency":{"unit":"ms","avg":10.0},"output_token_throughput":{"unit":"tokens/sec","avg":95.0},
"request_count":{"unit":"requests","avg":50.0},"output_sequence_length":{"unit":"tokens","avg":19.0})";
  const ResultFile aiperf = Read(
      R"({"schema_version":"1.1","aiperf_version":"0.14.0","input_config":{"endpoint":{"model_names":["m"]},"loadgen":{"concurrency":8}},)" +
      body + R"(,"error_request_count":{"unit":"requests","avg":3.0},"was_cancelled":true})");
  EXPECT_EQ(aiperf.tool, Tool::kAiPerf);
  EXPECT_EQ(aiperf.version, "0.14.0");
  const Cell& cell = aiperf.cells.at(0);
  EXPECT_EQ(cell.model, "m");
  EXPECT_EQ(cell.level.value, 8);
  ExpectFigure(cell, FigureId::kTpotMean, 0.01);
  ExpectFigure(cell, FigureId::kE2eP99, 0.4);
  ExpectFigure(cell, FigureId::kRequests, 53);
  EXPECT_FALSE(cell.figures[FigureId::kItlMean].has_value()) << "what it calls inter token latency is a TPOT";
  EXPECT_THAT(cell.notes, Contains(HasSubstr("cancelled")));
  const ResultFile genai = Read("{" + body + R"(,"input_config":{"perf_analyzer":{"stimulus":{"concurrency":2}}}})");
  EXPECT_EQ(genai.tool, Tool::kGenAiPerf);
  EXPECT_EQ(genai.cells.at(0).level.value, 2);
}

TEST(ResultFiles, GuideLlm) {
  const auto metric = [](double mean) {
    return "{\"successful\":{\"mean\":" + std::to_string(mean) + ",\"median\":" + std::to_string(mean) +
           ",\"percentiles\":{\"p90\":" + std::to_string(2 * mean) + ",\"p99\":" + std::to_string(3 * mean) + "}}}";
  };
  const std::string metrics = "\"metrics\":{\"time_to_first_token_ms\":" + metric(30) +
                              ",\"inter_token_latency_ms\":" + metric(7) + ",\"time_per_output_token_ms\":" + metric(8) +
                              ",\"request_latency\":" + metric(1.5) + ",\"output_tokens_per_second\":" + metric(900) +
                              ",\"request_totals\":{\"successful\":9,\"errored\":1,\"incomplete\":2,\"total\":12}}";
  const ResultFile file = Read(
      "{\"metadata\":{\"guidellm_version\":\"0.8.1\"},\"args\":{\"model\":\"m\"},\"benchmarks\":[{\"config\":{\"strategy\":{"
      "\"type_\":\"concurrent\","
      "\"streams\":4}}," +
      metrics + "},{\"config\":{\"strategy\":{\"type_\":\"constant\",\"rate\":3.5}}," + metrics + "}]}");
  EXPECT_EQ(file.tool, Tool::kGuideLlm);
  ASSERT_EQ(file.cells.size(), 2u);
  EXPECT_EQ(file.cells[0].level, (record::Level{record::LoadKind::kClients, 4}));
  EXPECT_EQ(file.cells[1].level, (record::Level{record::LoadKind::kRate, 3.5}));
  ExpectFigure(file.cells[0], FigureId::kTtftP99, 0.09);
  ExpectFigure(file.cells[0], FigureId::kTpotMean, 0.007);
  ExpectFigure(file.cells[0], FigureId::kE2eMean, 1.5);
  ExpectFigure(file.cells[0], FigureId::kCancelled, 2);
}

TEST(ResultFiles, LlamaBench) {
  const auto row = [](int prompt, int generated, double rate) {
    return "{\"build_commit\":\"abc\",\"cpu_info\":\"EPYC\",\"gpu_info\":\"\",\"backends\":\"CPU\",\"model_filename\":\"/m/"
           "tiny.gguf\",\"model_type\":"
           "\"qwen3moe Q4_0\",\"n_depth\":0,\"n_threads\":8,\"n_prompt\":" +
           std::to_string(prompt) + ",\"n_gen\":" + std::to_string(generated) + ",\"avg_ts\":" + std::to_string(rate) +
           ",\"stddev_ts\":1.0,\"test_time\":\"2026-01-31T12:00:00Z\"}";
  };
  const ResultFile file = Read("[" + row(512, 0, 900) + "," + row(0, 128, 40) + "]");
  EXPECT_EQ(file.tool, Tool::kLlamaBench);
  ASSERT_EQ(file.cells.size(), 1u) << "prompt and generation of the same settings";
  const Cell& cell = file.cells[0];
  EXPECT_EQ(cell.model, "tiny.gguf");
  EXPECT_EQ(cell.machine, "EPYC");
  EXPECT_EQ(cell.variant, "threads 8");
  ExpectFigure(cell, FigureId::kOutputRate, 40);
  ExpectFigure(cell, FigureId::kTpotMean, 1.0 / 40);
  EXPECT_FALSE(cell.figures[FigureId::kTtftMean].has_value());
  EXPECT_THAT(cell.notes, Contains(HasSubstr("pp512: 900.00")));
  const ResultFile csv = Read(
      "build_commit,backends,model_filename,n_prompt,n_gen,avg_ts,stddev_ts\n\"abc\",\"CPU\",\"a, "
      "b.gguf\",\"0\",\"64\",\"12.5\",\"0.1\"\n");
  EXPECT_EQ(csv.cells.at(0).model, "a, b.gguf");
  ExpectFigure(csv.cells[0], FigureId::kOutputRate, 12.5);
}

TEST(ResultFiles, MoeCapWithItsMetadata) {
  const TempDir dir;
  dir.Write(
      "metrics_gsm8k_1.json",
      R"({"performance":{"e2e_s":1.2,"request/s":0.8,"ttft":0.1,"tpot":0.02},"expert_activation":{"avg_expert_activation_decode":0},
"batch_token_profile":{"decode_generated_tokens_per_request":300.0},"quality":{"acc":0.91,"total":100,"attempted":100,"completed":99}})");
  dir.Write(
      "metadata_gsm8k_1.json",
      R"({"hardware":{"gpu_type":"NVIDIA-H100-HBM3-80GB","num_gpus":8},"model_config":{"model_name":"Qwen/Qwen3-235B-A22B","precision":"fp8"},
"system_environment":{"inference_engine":"sglang","inference_engine_version":"0.5.9","batch_size":64}})");
  for (const auto& path : {dir.path(), dir / "metrics_gsm8k_1.json"}) {
    const auto file = ReadResultFile(path);
    ASSERT_TRUE(file.ok()) << file.error().message;
    EXPECT_EQ(file->tool, Tool::kMoeCap);
    const Cell& cell = file->cells.at(0);
    EXPECT_EQ(cell.model, "Qwen/Qwen3-235B-A22B");
    EXPECT_EQ(cell.machine, "8 x NVIDIA-H100-HBM3-80GB");
    EXPECT_EQ(cell.level.value, 64);
    ExpectFigure(cell, FigureId::kAccuracy, 0.91);
    EXPECT_FALSE(cell.figures[FigureId::kDistinctExperts].has_value()) << "0 is what it writes when it recorded nothing";
    EXPECT_FALSE(cell.figures[FigureId::kE2eMean].has_value()) << "its e2e_s is the time of the run over the requests";
  }
}

TEST(ResultFiles, OthersAreRefusedByWhatIsKnown) {
  const auto error = [](std::string_view text) { return ParseResultFile(text).error().message; };
  EXPECT_THAT(error(""), HasSubstr("empty"));
  EXPECT_THAT(error("hello"), HasSubstr("vllm bench serve"));
  EXPECT_THAT(error("{\"a\":1}"), HasSubstr("not of a tool that is known"));
  EXPECT_THAT(error("{\"a\":"), HasSubstr("line 1"));
  EXPECT_THAT(error("[]"), HasSubstr("not of a tool"));
}

}  // namespace
}  // namespace moecap::foreign
