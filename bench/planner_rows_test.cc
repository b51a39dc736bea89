#include "planner_rows.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <string>

#include "base/fs.h"
#include "base/testing/temp_dir.h"
#include "planner_catalogue.h"
#include "published_rows.h"

namespace moecap::bench {
namespace {

constexpr const char* kHeader =
    "id,silicon_data_source,backend,model_path,system,precision,mode,isl,osl,tp_size,attention_dp_size,moe_tp_size,moe_ep_size,"
    "silicon_ttft_ms,silicon_tpot_ms\n";

// A row of DeepSeek-R1 in fp8 with its layout's columns; `time` sets its measurement apart.
std::string RowOf(const char* id, const char* source, const char* system, const char* columns, int time) {
  return std::string(id) + "," + source + "; silicon_concurrency=64; wip=False," + system +
         ",deepseek-ai/DeepSeek-R1,b200_sxm,fp8,agg,1000,2000," + columns + "," + std::to_string(time) + ",20.5\n";
}

class PlannerRows : public ::testing::Test {
 protected:
  std::string Write(const char* name, const std::string& text) { return temp_.Write(name, text).string(); }
  SiliconSample Read(const std::string& rows) {
    SiliconSample sample{*hardware::Catalogue::Builtin(), *model::ModelCatalogue::Builtin()};
    const Status status = ReadSiliconSample(Write("rows.csv", kHeader + rows), {}, sample);
    EXPECT_TRUE(status.ok()) << (status.ok() ? "" : status.error().message);
    return sample;
  }
  TempDir temp_;
};

TEST_F(PlannerRows, LayoutsAreThoseThatWereLaunched) {
  const char* const file = "source_file=2026-04-06.csv";
  const SiliconSample sample =
      Read(RowOf("as-run", file, "trtllm", "8,1,1,8", 1) + RowOf("squared", file, "trtllm", "64,1,8,8", 2) +
           RowOf("vllm", file, "vllm", "4,4,1,16", 3) + RowOf("plain", file, "trtllm", "8,1,8,1", 4) +
           RowOf("attention", file, "trtllm", "1,64,8,8", 5) + RowOf("parallel", "config_id=727", "vllm", "2,2,1,4", 6) +
           RowOf("shared", file, "trtllm", "1,4,4,1", 7) +
           RowOf("literal", "source_file=/home/a/data/b200", "trtllm", "4,1,2,2", 8) +
           RowOf("contradicts", file, "vllm", "1,1,4,1", 9) + RowOf("cluster", file, "sglang", "72,1,72,1", 10));
  using Layout = metrics::Deployment;
  ASSERT_EQ(sample.rows.size(), 5u);
  EXPECT_EQ(sample.rows[0].observation.deployment, (Layout{8, 8, 1, 1}));
  EXPECT_EQ(sample.rows[1].observation.deployment, (Layout{8, 8, 1, 1}));
  EXPECT_EQ(sample.rows[2].observation.deployment, (Layout{4, 4, 1, 1}));
  EXPECT_EQ(sample.rows[3].observation.deployment, (Layout{8, 1, 1, 1}));
  EXPECT_EQ(sample.rows[4].observation.deployment, (Layout{4, 2, 1, 1}));
  ASSERT_EQ(sample.wide.size(), 3u);
  EXPECT_EQ(sample.wide[0].observation.deployment, (Layout{1, 8, 1, 8}));
  EXPECT_EQ(sample.wide[1].observation.deployment, (Layout{1, 2, 1, 2}));
  EXPECT_EQ(sample.wide[2].observation.deployment, (Layout{1, 4, 1, 4}));
  EXPECT_EQ(sample.left_out, 2);
  EXPECT_EQ(sample.wide[0].observation.poll_steps, 60);  // kept back until every rank has a prompt
  EXPECT_EQ(sample.rows[0].observation.poll_steps, 1);
}

TEST_F(PlannerRows, AMeasurementCountsOnceWithItsMeanLengths) {
  const SiliconSample sample =
      Read(RowOf("a", "source_file=2026-04-06.csv", "sglang", "8,1,8,1", 1) + RowOf("b", "db-dump", "sglang", "8,1,8,1", 1) +
           RowOf("c", "source_file=/home/a/data/b200", "sglang", "8,1,8,1", 2));
  ASSERT_EQ(sample.rows.size(), 2u);
  EXPECT_EQ(sample.repeated, 1);
  EXPECT_DOUBLE_EQ(sample.rows[0].observation.load.input_tokens, 900);  // drawn from 800 to 1,000
  EXPECT_DOUBLE_EQ(sample.rows[0].observation.load.output_tokens, 1800);
  EXPECT_DOUBLE_EQ(sample.rows[1].observation.load.input_tokens, 1000);
  EXPECT_EQ(sample.rows[0].observation.poll_steps, 30);  // SGLang on Blackwell, 64 clients
}

TEST_F(PlannerRows, PublishedRowsNameTheFaultyLine) {
  const std::string header = "# remark\nsource,...\n";
  const std::string good = "s,p,Qwen/Qwen3-30B-A3B,,bf16,h200-sxm,vllm,1,2,2,1,1,8,100,200,0.05,0.004,,\n";
  PublishedSet set{*hardware::Catalogue::Builtin(), *model::ModelCatalogue::Builtin(), *planner::SystemSupport::Builtin()};
  ASSERT_TRUE(ReadPublishedRows(Write("good.csv", header + good), set).ok());
  ASSERT_EQ(set.rows.size(), 1u);
  EXPECT_EQ(set.rows[0].observation.deployment, (metrics::Deployment{2, 2, 1, 1}));
  EXPECT_EQ(*set.rows[0].observation.tpot_s, 0.004);
  EXPECT_FALSE(set.rows[0].output_tokens_per_s);
  for (const auto& [bad, word] :
       {std::pair(std::string("s,p\n"), "19 are needed"),
        std::pair(std::string("s,p,Qwen/Qwen3-30B-A3B,,bf16,h2000,vllm,1,1,1,1,1,8,1,2,,,5,\n"), "h2000"),
        std::pair(std::string("s,p,Qwen/Qwen3-30B-A3B,soft,bf16,h200-sxm,vllm,1,1,1,1,1,8,1,2,,,5,\n"), "soft")}) {
    const Status status = ReadPublishedRows(Write("bad.csv", header + good + bad), set);
    ASSERT_FALSE(status.ok());
    EXPECT_NE(status.error().message.find("line 4"), std::string::npos) << status.error().message;
    EXPECT_NE(status.error().message.find(word), std::string::npos) << status.error().message;
  }
}

// Ten servers, 2 to 11 times as slow as predicted: of eleven equal weights, one of them for the server to come and half of it
// on a side, 1.1 lie outside on a side, where 1 does at the first server and 2 at the second; half of ten are reached with the
// fifth.
TEST_F(PlannerRows, ADefaultLaunchIsTheMedianAndTheBandOfDeployments) {
  const auto multipliers = *planner::Multipliers::Builtin();
  std::string text = "source,...\n";
  const auto row = [](int i, double ttft_s, double tpot_s, const char* source = "sgl-cookbook") {
    constexpr const char* kModels[] = {"Qwen/Qwen3-30B-A3B", "openai/gpt-oss-120b"};
    constexpr const char* kDevices[] = {"h100-sxm", "h200-sxm", "b200-sxm", "b300-sxm", "h20"};
    return std::string(source) + ",p," + kModels[i % 2] + ",,bf16," + kDevices[i / 2] + ",sglang,1,2,1,1,1,8,100,200," +
           std::to_string(ttft_s) + "," + std::to_string(tpot_s) + ",,\n";
  };
  for (int i = 0; i < 10; ++i) text += row(i, 1, 1);
  PublishedSet set{*hardware::Catalogue::Builtin(), *model::ModelCatalogue::Builtin(), *planner::SystemSupport::Builtin()};
  ASSERT_TRUE(ReadPublishedRows(Write("set.csv", text + row(0, 9, 9, "elsewhere")), set).ok());
  for (size_t i = 0; i < 10; ++i) {
    planner::Observation& o = set.rows[i].observation;
    const planner::Serving tuned = Predict(o, multipliers.FactorsOf(o.system, *o.device));
    o.tpot_s = tuned.tpot_s * static_cast<double>(i + 2);
    o.ttft_s = tuned.ttft_s * 3;
  }
  const DefaultLaunch launch = DefaultLaunchOf(set, multipliers);
  EXPECT_EQ(launch.rows, 10);
  EXPECT_EQ(launch.deployments, 10);
  EXPECT_NEAR(launch.effect.tpot_time, 6, 1e-9);
  EXPECT_NEAR(launch.effect.tpot.low, 2 * std::pow(1.5, 0.1), 1e-9);
  EXPECT_NEAR(launch.effect.tpot.high, 11 * std::pow(10.0 / 11, 0.1), 1e-9);
  EXPECT_NEAR(launch.effect.ttft_time, 3, 1e-9);
  const DefaultLaunch blind = DefaultLaunchOf(set, multipliers, "openai/gpt-oss-120b");
  EXPECT_EQ(blind.deployments, 5);
  EXPECT_TRUE(std::isnan(blind.effect.tpot.low));  // five say nothing at that level

  // Written, read again; what is no number is not written.
  const Bands bands = {{0.8, 1.5}, {0.7, 1.6}, {0.5, 1.2}, {0.6, 2.2}};
  const std::string path = (temp_.path() / "multipliers.json").string();
  ASSERT_TRUE(WriteMultipliers(path, multipliers, bands, launch, 1).ok());
  const auto again = planner::Multipliers::Parse(*ReadFile(path));
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_EQ(again->DefaultLaunch().tpot_time, 6);
  EXPECT_EQ(again->DefaultLaunch().tpot.high, 10.9);
  EXPECT_EQ(again->CalibratedBand().high, 1.5);
  const Status refused = WriteMultipliers((temp_.path() / "none.json").string(), multipliers, bands, blind, 1);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message.find("launches.default.tpot_low"), std::string::npos) << refused.error().message;
  EXPECT_FALSE(std::filesystem::exists(temp_.path() / "none.json"));
}

}  // namespace
}  // namespace moecap::bench
