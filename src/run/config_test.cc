#include "run/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace moecap::run {
namespace {

constexpr const char* kGood = R"(name: quick
model: moe.gguf
threads: 2
systems:
  - name: F16
  - weights: Q4_0
    threads: 1
dataset: {path: data/test.jsonl, problems: 128, seed: 7, scoring: gsm8k-flexible-extract}
concurrency: [16, 1, 4, 4]
repeats: 3
cost: {energy_usd_per_kwh: 0.3, pue: 1.2}
)";

std::string ErrorOf(const std::string& text) {
  const auto config = ParseRunConfig(text, "c.yaml", "/base");
  EXPECT_FALSE(config.ok()) << text;
  if (config.ok()) return "";
  EXPECT_EQ(config.error().kind, ErrorKind::kBadInput);
  EXPECT_EQ(config.error().message.find('\n'), std::string::npos) << "one line";
  return config.error().message;
}

constexpr const char* kServer = R"(systems:
  - name: remote
    server:
      url: [https://a:8000, https://b:8000]
      api: chat
      kind: vLLM
      model: Qwen/Qwen3-30B-A3B
      api_key_env: MODEL_KEY
      ca: ca.pem
      headers: {X-Team: bench, X-Api-Key: $TEAM_KEY}
      timeout_s: 30
dataset: {path: data/test.jsonl}
)";

TEST(RunConfig, ReadsAServer) {
  const auto config = ParseRunConfig(kServer, "c.yaml", "/base");
  ASSERT_TRUE(config.ok()) << config.error().message;
  ASSERT_TRUE(config->systems[0].server.has_value());
  const ServerConfig& server = *config->systems[0].server;
  EXPECT_THAT(server.urls, testing::ElementsAre("https://a:8000", "https://b:8000"));
  EXPECT_EQ(server.api, "chat");
  EXPECT_EQ(server.ca, "/base/ca.pem");
  EXPECT_EQ(server.headers.at("X-Team"), "bench");
  EXPECT_EQ(server.timeout_s, 30);
  EXPECT_FALSE(server.insecure);
  const auto again = RunConfigFromJson(ToJson(*config));
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_EQ(ToJson(*again).dump(), ToJson(*config).dump());
}

TEST(RunConfig, ServersNeedAUrlAndKeepSecretsOut) {
  const auto with = [](const std::string& server) {
    return ErrorOf("systems: [{server: {" + server + "}}]\ndataset: {path: d.jsonl}\n");
  };
  EXPECT_THAT(with("api: chat"), testing::HasSubstr("\"url\" is missing"));
  EXPECT_THAT(with("url: http://a, headers: {Authorization: Bearer abc}"),
              testing::AllOf(testing::HasSubstr("api_key_env"), testing::Not(testing::HasSubstr("abc"))));
  EXPECT_THAT(with("url: http://a, timeout_s: 0"), testing::HasSubstr("above 0"));
  EXPECT_THAT(with("url: http://a, api_key: abc"), testing::HasSubstr("api_key_env"));
  EXPECT_THAT(ErrorOf("systems: [{model: x.gguf, server: {url: http://a}}]\ndataset: {path: d.jsonl}\n"),
              testing::HasSubstr("no meaning beside"));
}

TEST(RunConfig, ReadsEveryPart) {
  const auto config = ParseRunConfig(kGood, "c.yaml", "/base");
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->name, "quick");
  ASSERT_EQ(config->systems.size(), 2u);
  EXPECT_EQ(config->systems[0].model, "/base/moe.gguf");
  EXPECT_EQ(config->systems[0].threads, 2);
  EXPECT_EQ(config->systems[1].name, "Q4_0") << "named after its weights";
  EXPECT_EQ(config->systems[1].threads, 1);
  EXPECT_EQ(config->dataset, "/base/data/test.jsonl");
  EXPECT_EQ(config->problems, 128);
  EXPECT_EQ(config->scoring, Scoring::kGsm8kFlexibleExtract);
  EXPECT_THAT(config->concurrency, testing::ElementsAre(1, 4, 16));
  EXPECT_EQ(config->repeats, 3);
  EXPECT_EQ(config->cost.at("pue"), 1.2);
}

constexpr const char* kPriced = R"(model: m
systems: [{}]
dataset: {path: d}
cost:
  utilisation: 0.5
  pay: rent
  price_book: prices.json
  machine:
    name: two kinds
    accelerators: [{id: h100-sxm, count: 4}, {id: l40s}]
    dram_gib: 1024
    cost: {rent_usd_per_h: 12.5}
)";

TEST(RunConfig, ReadsWhatTheRunIsPricedAs) {
  const auto config = ParseRunConfig(kPriced, "c.yaml", "/base");
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->pay, cost::Pay::kRent);
  EXPECT_EQ(config->price_book, "/base/prices.json");
  ASSERT_TRUE(config->machine.has_value());
  EXPECT_EQ(config->machine->accelerators.at(1).id, "l40s");
  EXPECT_EQ(config->machine->given.at("rent_usd_per_h"), 12.5);
  const auto again = RunConfigFromJson(ToJson(*config));
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_EQ(ToJson(*again), ToJson(*config));
  const std::string text = kPriced;
  EXPECT_THAT(ErrorOf(text + "    dram_gb: 5\n"),
              testing::AllOf(testing::HasSubstr("c.yaml:13:"), testing::HasSubstr("did you mean \"dram_gib\"?")));
  EXPECT_THAT(ErrorOf("model: m\nsystems: [{}]\ndataset: {path: d}\ncost: {pay: loan}\n"),
              testing::HasSubstr("known: buy, rent"));
}

TEST(RunConfig, SurvivesTheManifest) {
  const auto config = ParseRunConfig(kGood, "c.yaml", "/base");
  const auto again = RunConfigFromJson(ToJson(*config));
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_EQ(ToJson(*again), ToJson(*config));
  EXPECT_FALSE(RunConfigFromJson(Json::object()).ok());
}

TEST(RunConfig, ErrorsNameKeyLineAndRemedy) {
  const std::string good = kGood;
  EXPECT_THAT(ErrorOf(good + "concurency: [1]\n"),
              testing::AllOf(testing::HasSubstr("c.yaml:12:"), testing::HasSubstr("\"concurency\""),
                             testing::HasSubstr("did you mean \"concurrency\"?")));
  EXPECT_THAT(ErrorOf(good + "max_output_tokens: many\n"),
              testing::AllOf(testing::HasSubstr("c.yaml:12"), testing::HasSubstr("whole number"), testing::HasSubstr("many")));
  EXPECT_THAT(ErrorOf(good + "warmup_requests: [1]\n"), testing::HasSubstr("\"warmup_requests\" must be a whole number"));
  EXPECT_THAT(ErrorOf(good + "repeats: 2\n"),
              testing::AllOf(testing::HasSubstr("c.yaml:12"), testing::HasSubstr("given twice")));
  EXPECT_THAT(ErrorOf("model: m\nsystems: [{}]\ndataset: {path: d}\nconcurrency: []\n"), testing::HasSubstr("e.g. [1, 4, 16]"));
  EXPECT_THAT(ErrorOf("model: m\nsystems: [{}]\ndataset: {path: d}\nconcurrency: [0]\n"),
              testing::AllOf(testing::HasSubstr("c.yaml:4"), testing::HasSubstr("\"concurrency\" is 0"),
                             testing::HasSubstr("between 1 and")));
  EXPECT_THAT(ErrorOf("model: m\nsystems: [{}]\ndataset: {path: d, problems: 0}\n"), testing::HasSubstr("\"problems\" is 0"));
  EXPECT_THAT(ErrorOf("model: m\nsystems: [{}]\ndataset: {path: d, scoring: gsm9k}\n"),
              testing::HasSubstr("gsm8k-strict-match"));
  EXPECT_THAT(ErrorOf("model: m\nsystems: [{}]\ndataset: {path: d}\ncost: {pue: 0.5}\n"),
              testing::AllOf(testing::HasSubstr("c.yaml:4"), testing::HasSubstr("pue")));
  EXPECT_THAT(ErrorOf("model: m\nsystems: [{}]\ndataset: {path: d}\ncost: {pui: 1.5}\n"), testing::HasSubstr("\"pue\""));
  EXPECT_THAT(ErrorOf("systems: [{name: a}]\ndataset: {path: d}\n"), testing::HasSubstr("\"model\" is missing"));
  EXPECT_THAT(ErrorOf("model: m\nsystems: [{name: a}, {name: a}]\ndataset: {path: d}\n"),
              testing::HasSubstr("names must differ"));
  EXPECT_THAT(ErrorOf("model: m\ndataset: {path: d}\n"), testing::HasSubstr("\"systems\""));
  EXPECT_THAT(ErrorOf("model: m\nsystems: [{}]\n"), testing::HasSubstr("\"dataset\" is missing"));
  EXPECT_THAT(ErrorOf("- a\n- b\n"), testing::HasSubstr("mapping"));
  EXPECT_THAT(ErrorOf(""), testing::HasSubstr("empty"));
  EXPECT_THAT(ErrorOf("name: [unclosed\n"), testing::HasSubstr("not valid YAML"));
}

Result<RunConfig> WithSystem(const std::string& system) {
  return ParseRunConfig("systems: [{model: m.gguf" + system + "}]\ndataset: {path: d.jsonl}\n", "c.yaml", "");
}

TEST(RunConfig, ASystemComputesOnTheProcessorUnlessToldOtherwise) {
  EXPECT_EQ(WithSystem("")->systems[0].device, Device::kCpu);
  const auto config = WithSystem(", device: gpu, gpu_layers: 12");
  ASSERT_TRUE(config.ok()) << config.error().message;
  const auto back = RunConfigFromJson(ToJson(*config));
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(back->systems[0].device, Device::kGpu);
  EXPECT_EQ(back->systems[0].gpu_layers, 12);
  EXPECT_EQ(WithSystem(", device: auto")->systems[0].device, Device::kAuto);
  EXPECT_THAT(WithSystem(", gpu_layers: 12").error().message, testing::HasSubstr("no meaning without a GPU"));
  EXPECT_THAT(WithSystem(", device: tpu").error().message, testing::HasSubstr("cpu"));
}

}  // namespace
}  // namespace moecap::run
