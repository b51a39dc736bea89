// `moecap trace` as its users run it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/fs.h"
#include "base/json.h"
#include "program.h"
#include "routing/activation_sheet.h"
#include "trace/moetrace.h"
#include "trace/trace_test_files.h"

namespace moecap::e2e {
namespace {

using testing::HasSubstr;

class TraceCli : public testing::Test {
 protected:
  Outcome Call(const std::string& arguments) const { return ShellProgram(dir_.path(), "trace " + arguments); }

  // Two decode passes of two sequences through two layers of four experts.
  void WriteTrace(const std::string& name) const {
    trace::TraceHeader header;
    header.experts = 4;
    header.top_k = 2;
    header.layer_numbers = {1, 2};
    header.origin = "test";
    auto writer = trace::MoetraceWriter::Create(dir_ / name, header);
    ASSERT_TRUE(writer.ok());
    trace::TracePass pass;
    pass.kind = record::PassKind::kDecode;
    pass.tokens = 2;
    pass.sequences = {0, 1};
    pass.ids = {0, 1, 0, 2, 0, 1, 0, 1};
    ASSERT_TRUE(writer->Write(pass).ok());
    pass.ids = {1, 0, 3, 1, 2, 3, 0, 1};
    ASSERT_TRUE(writer->Write(pass).ok());
    ASSERT_TRUE(writer->Close().ok());
  }

  TempDir dir_;
};

// What a real server answered, with the model whose shape the answer lacks.
TEST_F(TraceCli, AnswersOfRealServers) {
  const std::string source = MOECAP_SOURCE_DIR;
  const std::string model = " --model " + source + "/models/tiny-moe/tiny-moe-f16.gguf";
  for (const char* name : {"vllm-0.30.0-completions.json", "sglang-0.5.23-completions.json", "sglang-0.5.23-generate.json"}) {
    const Outcome told = Call(source + "/tests/golden/routed_experts/" + name + model + " --json");
    ASSERT_EQ(told.exit_code, 0) << told.err;
    const auto json = ParseJson(told.out);
    ASSERT_TRUE(json.ok());
    EXPECT_EQ((*json)["experts"], 16);
    EXPECT_EQ((*json)["tokens"], 16);
    EXPECT_EQ((*json)["layers"].size(), 8u);
  }
  const Outcome unknown = Call(source + "/tests/golden/routed_experts/sglang-0.5.23-chat.json");
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_THAT(unknown.err, HasSubstr("--model"));
}

TEST_F(TraceCli, StatisticsCachesSheetAndPictures) {
  WriteTrace("t.moetrace");
  const Outcome text =
      Call("t.moetrace --cache --sheet s.json --svg heat.svg --coverage-svg coverage.svg --write copy.moetrace");
  ASSERT_EQ(text.exit_code, 0) << text.err;
  EXPECT_THAT(text.out, HasSubstr("recorded by test, 2 layers x 4 experts, top-2"));
  EXPECT_THAT(text.out, HasSubstr("2 passes (2 decode), 4 tokens"));
  EXPECT_THAT(text.out, HasSubstr("optimal"));
  const auto sheet = routing::ParseActivationSheet(ReadFile(dir_ / "s.json").value());
  ASSERT_TRUE(sheet.ok()) << sheet.error().message;
  EXPECT_EQ(sheet->layers.size(), 2u);
  EXPECT_THAT(ReadFile(dir_ / "heat.svg").value(), HasSubstr("<svg"));
  EXPECT_THAT(ReadFile(dir_ / "coverage.svg").value(), HasSubstr("Beta-binomial"));
  const Outcome first = Call("t.moetrace --cache --json");
  const Outcome copy = Call("copy.moetrace --cache --json");
  EXPECT_EQ(first.out, copy.out);
  const auto json = ParseJson(first.out);
  ASSERT_TRUE(json.ok());
  EXPECT_EQ((*json)["tokens"], 4);
  EXPECT_EQ((*json)["cache"]["accesses"], 12);
  EXPECT_EQ((*json)["layers"][0]["layer"], 1);
}

TEST_F(TraceCli, RecordsOfMoeCap) {
  dir_.Write(
      "r.jsonl",
      R"({"batch_size":2,"latency":0.02,"seq_lens_sum":200,"forward_mode":"decode","expert_activation":12.5,"gpu_num":8,"gpu_raw_type":"H200"})"
      "\n");
  const Outcome text = Call("r.jsonl");
  ASSERT_EQ(text.exit_code, 0) << text.err;
  EXPECT_THAT(text.out, HasSubstr("12.50"));
  const auto json = ParseJson(Call("r.jsonl --json").out);
  ASSERT_TRUE(json.ok());
  EXPECT_EQ((*json)["phases"]["decode"]["mean_distinct_experts"], 12.5);
  EXPECT_TRUE((*json)["phases"]["prefill"]["mean_distinct_experts"].is_null());
  EXPECT_EQ(Call("r.jsonl --cache").exit_code, 2);
}

// gpu_num and gpu_raw_type are the devices, unless flags say otherwise.
TEST_F(TraceCli, MetricsTakeTheDevicesOfTheRecords) {
  dir_.Write("r.jsonl",
             R"({"batch_size":1,"latency":0.004,"seq_lens_sum":1000,"forward_mode":"decode","expert_activation":8,"gpu_num":8,)"
             R"("gpu_raw_type":"NVIDIA-H100-HBM3-80GB","per_req_info":[{"req_pool_idx":0,"extend_len":1,"total_len":1000}]})"
             "\n");
  const auto share = [this](const std::string& flags) {
    const Outcome outcome =
        ShellProgram(dir_.path(), "metrics r.jsonl --model Qwen/Qwen3-30B-A3B --flavour sglang --json " + flags);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    const Json json = ParseJson(outcome.out).value();
    return json["phases"]["decode"]["s_mbu"].get<double>();
  };
  const double eight = share("");
  EXPECT_NEAR(share("--device h100-sxm --devices 1"), 8 * eight, 1e-9);
  EXPECT_NEAR(share("--device h100-sxm"), eight, 1e-12);
}

TEST_F(TraceCli, FilesOfRanksAreOneRecording) {
  for (const int rank : {0, 2}) {
    trace::TraceHeader header;
    header.grain = trace::Grain::kPassCounts;
    header.experts = 4;
    header.top_k = 2;
    header.layer_numbers = {0};
    header.origin = "test";
    header.share.ranks = {rank};
    header.share.whole = false;
    auto writer = trace::MoetraceWriter::Create(dir_ / ("r" + std::to_string(rank) + ".moetrace"), header);
    ASSERT_TRUE(writer.ok());
    trace::TracePass pass;
    pass.counts = rank == 0 ? std::vector<int64_t>{3, 5, 0, 0} : std::vector<int64_t>{0, 0, 2, 6};
    ASSERT_TRUE(writer->Write(pass).ok());
    ASSERT_TRUE(writer->Close().ok());
  }
  const Json both = ParseJson(Call("r0.moetrace r2.moetrace --json").out).value();
  EXPECT_EQ(both["share"]["ranks"], Json({0, 2}));
  EXPECT_EQ(both["share"]["missing_ranks"], Json({1}));
  EXPECT_TRUE(both["tokens"].is_null());
  EXPECT_EQ(both["layers"][0]["distinct_experts"], 4);
  const Outcome sheet = Call("r0.moetrace r2.moetrace --sheet s.json");
  EXPECT_EQ(sheet.exit_code, 2);
  EXPECT_THAT(sheet.err, HasSubstr("a part"));
  EXPECT_THAT(Call("r0.moetrace --ranks 4").out, HasSubstr("rank 0 of 4"));
}

TEST_F(TraceCli, BadInputIsExitCode2AndNamesTheFile) {
  dir_.Write("noise", "hello");
  EXPECT_EQ(Call("noise").exit_code, 2);
  EXPECT_THAT(Call("noise").err, HasSubstr("noise: not a trace of a known format"));
  EXPECT_EQ(Call("absent").exit_code, 2);
  EXPECT_EQ(Call("noise --import other").exit_code, 2);
  EXPECT_THAT(Call("noise --import sglang").err, HasSubstr("not a ZIP"));
  WriteTrace("t.moetrace");
  EXPECT_EQ(Call("t.moetrace --write t.moetrace").exit_code, 2);
  EXPECT_EQ(Call("t.moetrace").exit_code, 0) << "still whole";
}

}  // namespace
}  // namespace moecap::e2e
