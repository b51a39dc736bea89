#include "experiment/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/testing/temp_dir.h"

namespace moecap::experiment {
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
  const auto config = ParseConfig(text, "c.yaml", "/base");
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

TEST(Config, ReadsAServer) {
  const auto config = ParseConfig(kServer, "c.yaml", "/base");
  ASSERT_TRUE(config.ok()) << config.error().message;
  ASSERT_TRUE(config->systems[0].server.has_value());
  const ServerConfig& server = *config->systems[0].server;
  EXPECT_THAT(server.urls, testing::ElementsAre("https://a:8000", "https://b:8000"));
  EXPECT_EQ(server.api, "chat");
  EXPECT_EQ(server.ca, "/base/ca.pem");
  EXPECT_EQ(server.headers.at("X-Team"), "bench");
  EXPECT_EQ(server.timeout_s, 30);
  EXPECT_FALSE(server.insecure);
}

TEST(Config, ServersNeedAUrlAndKeepSecretsOut) {
  const auto with = [](const std::string& server) {
    return ErrorOf("systems: [{server: {" + server + "}}]\ndataset: {path: d.jsonl}\n");
  };
  EXPECT_THAT(with("api: chat"), testing::HasSubstr("\"url\" is missing"));
  EXPECT_THAT(with("url: http://a, headers: {Authorization: Bearer abc}"),
              testing::AllOf(testing::HasSubstr("api_key_env"), testing::Not(testing::HasSubstr("abc"))));
  EXPECT_THAT(with("url: http://a, timeout_s: 0"), testing::HasSubstr("above 0"));
  EXPECT_THAT(with("url: http://a, api_key: abc"), testing::HasSubstr("api_key_env"));
  EXPECT_THAT(ErrorOf("systems: [{weights: Q4_0, server: {url: http://a}}]\ndataset: {path: d.jsonl}\n"),
              testing::HasSubstr("no meaning beside"));
}

TEST(Config, AServersModelAndMachine) {
  const TempDir temp;
  std::ofstream(temp.path() / "config.json") << "{}";
  const auto config = ParseConfig(
      "systems:\n"
      "- {name: a, server: {url: http://a}, model: config.json, machine: here}\n"
      "- {name: b, server: {url: http://a}, model: mistralai/Mixtral-8x7B-v0.1, machine: 2 x h100-sxm}\n"
      "- {name: c, server: {url: http://a}}\n",
      "c.yaml", temp.path());
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->systems[0].served, (temp.path() / "config.json").string());
  EXPECT_TRUE(config->systems[0].machine.here);
  EXPECT_FALSE(config->systems[0].machine.machine.has_value());
  EXPECT_EQ(config->systems[1].served, "mistralai/Mixtral-8x7B-v0.1");
  EXPECT_EQ(config->systems[1].machine.machine->accelerators.front().count, 2);
  EXPECT_EQ(config->systems[2].served, "");
  EXPECT_FALSE(config->systems[2].machine.here);
}

TEST(Config, ReadsEveryPart) {
  const auto config = ParseConfig(kGood, "c.yaml", "/base");
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->name, "quick");
  ASSERT_EQ(config->systems.size(), 2u);
  EXPECT_EQ(config->systems[0].model, "/base/moe.gguf");
  EXPECT_EQ(config->systems[0].threads, 2);
  EXPECT_EQ(config->systems[1].name, "Q4_0") << "named after its weights";
  EXPECT_EQ(config->systems[1].threads, 1);
  ASSERT_TRUE(config->problems.has_value());
  EXPECT_EQ(config->problems->path, "/base/data/test.jsonl");
  EXPECT_EQ(config->problems->problems, 128);
  EXPECT_EQ(config->problems->scoring, *FindScoring("gsm8k-flexible-extract", "gsm8k"));
  EXPECT_EQ(config->load.kind, record::LoadKind::kClients);
  EXPECT_THAT(config->load.levels, testing::ElementsAre(1, 4, 16));
  EXPECT_EQ(config->repeats, 3);
  EXPECT_EQ(config->systems[0].machine.given.at("pue"), 1.2) << "the default of every system";
  EXPECT_EQ(config->text, kGood) << "kept for the manifest";
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

TEST(Config, ReadsWhatTheRunIsPricedAs) {
  const auto config = ParseConfig(kPriced, "c.yaml", "/base");
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->price_book, "/base/prices.json");
  const MachineConfig& machine = config->systems[0].machine;
  EXPECT_EQ(machine.pay, cost::Pay::kRent);
  ASSERT_TRUE(machine.machine.has_value());
  EXPECT_EQ(machine.machine->accelerators.at(1).id, "l40s");
  EXPECT_EQ(machine.machine->given.at("rent_usd_per_h"), 12.5);
  EXPECT_EQ(machine.given.at("utilisation"), 0.5);
  const std::string text = kPriced;
  EXPECT_THAT(ErrorOf(text + "    dram_gb: 5\n"),
              testing::AllOf(testing::HasSubstr("c.yaml:13:"), testing::HasSubstr("did you mean \"dram_gib\"?")));
  EXPECT_THAT(ErrorOf("model: m\nsystems: [{}]\ndataset: {path: d}\ncost: {pay: loan}\n"),
              testing::HasSubstr("known: buy, rent"));
}

TEST(Config, ErrorsNameKeyLineAndRemedy) {
  const std::string good = kGood;
  EXPECT_THAT(ErrorOf(good + "concurency: [1]\n"),
              testing::AllOf(testing::HasSubstr("c.yaml:12:"), testing::HasSubstr("\"concurency\""),
                             testing::HasSubstr("did you mean \"concurrency\"?")));
  EXPECT_THAT(ErrorOf(good + "max_output_tokens: many\n"),
              testing::AllOf(testing::HasSubstr("c.yaml:12"), testing::HasSubstr("whole number"), testing::HasSubstr("many")));
  EXPECT_THAT(ErrorOf(good + "warmup_requests: [1]\n"), testing::HasSubstr("\"warmup_requests\" must be a whole number"));
  EXPECT_THAT(ErrorOf(good + "repeats: 2\n"),
              testing::AllOf(testing::HasSubstr("c.yaml:12"), testing::HasSubstr("given twice")));
  EXPECT_THAT(ErrorOf("model: m\nsystems: [{}]\ndataset: {path: d}\nconcurrency: []\n"), testing::HasSubstr("is empty"));
  EXPECT_THAT(ErrorOf("model: m\nsystems: [{}]\ndataset: {path: d}\nconcurrency: [0]\n"),
              testing::AllOf(testing::HasSubstr("c.yaml:4"), testing::HasSubstr("\"concurrency\""),
                             testing::HasSubstr("whole number from 1")));
  EXPECT_THAT(ErrorOf("model: m\nsystems: [{}]\ndataset: {path: d, problems: 0}\n"), testing::HasSubstr("\"problems\" is 0"));
  EXPECT_THAT(ErrorOf("model: m\nsystems: [{}]\ndataset: {path: d, scoring: gsm9k}\n"),
              testing::AllOf(testing::HasSubstr("c.yaml:3"), testing::HasSubstr("lm-eval/strict-match")));
  EXPECT_THAT(ErrorOf("model: m\nsystems: [{}]\ndataset: {path: d}\ncost: {pue: 0.5}\n"),
              testing::AllOf(testing::HasSubstr("c.yaml:4"), testing::HasSubstr("pue")));
  EXPECT_THAT(ErrorOf("model: m\nsystems: [{}]\ndataset: {path: d}\ncost: {pui: 1.5}\n"), testing::HasSubstr("\"pue\""));
  EXPECT_THAT(ErrorOf("systems: [{name: a}]\ndataset: {path: d}\n"), testing::HasSubstr("\"model\" is missing"));
  EXPECT_THAT(ErrorOf("model: m\nsystems: [{name: a}, {name: a}]\ndataset: {path: d}\n"),
              testing::HasSubstr("names must differ"));
  EXPECT_THAT(ErrorOf("model: m\ndataset: {path: d}\n"), testing::HasSubstr("\"systems\""));
  EXPECT_THAT(ErrorOf("model: m\nsystems: [{}]\n"), testing::HasSubstr("say what is asked"));
  EXPECT_THAT(ErrorOf("- a\n- b\n"), testing::HasSubstr("mapping"));
  EXPECT_THAT(ErrorOf(""), testing::HasSubstr("empty"));
  EXPECT_THAT(ErrorOf("name: [unclosed\n"), testing::HasSubstr("not valid YAML"));
}

TEST(Config, ASystemComputesOnTheProcessorUnlessToldOtherwise) {
  const auto with = [](const std::string& system) {
    return ParseConfig("systems: [{model: m.gguf" + system + "}]\ndataset: {path: d.jsonl}\n", "c.yaml", "/base");
  };
  EXPECT_EQ(with("")->systems[0].device, Device::kCpu);
  const auto config = with(", device: gpu, gpu_layers: 12");
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->systems[0].device, Device::kGpu);
  EXPECT_EQ(config->systems[0].gpu_layers, 12);
  EXPECT_EQ(with(", device: auto")->systems[0].device, Device::kAuto);
  EXPECT_THAT(with(", gpu_layers: 12").error().message, testing::HasSubstr("no meaning without a GPU"));
  EXPECT_FALSE(config->systems[0].float32_attention);
  EXPECT_TRUE(with(", float32_attention: true")->systems[0].float32_attention);
  EXPECT_EQ(config->systems[0].cpu_experts, 0);
  EXPECT_EQ(with(", device: gpu, cpu_experts: 12")->systems[0].cpu_experts, 12);
  EXPECT_EQ(with(", device: gpu, cpu_experts: all")->systems[0].cpu_experts, kAllLayers);
  EXPECT_THAT(with(", cpu_experts: all").error().message, testing::HasSubstr("add device: gpu"));
  EXPECT_THAT(with(", device: auto, cpu_experts: 3").error().message, testing::HasSubstr("add device: gpu"));
  EXPECT_THAT(with(", device: gpu, cpu_experts: some").error().message, testing::HasSubstr("cpu_experts"));
  EXPECT_THAT(with(", device: tpu").error().message, testing::HasSubstr("cpu"));
}

TEST(Config, AnEngineDraftsNothingUnlessItIsToldHowMuch) {
  const auto with = [](const std::string& system) {
    return ParseConfig("systems: [{model: m.gguf" + system + "}]\ndataset: {path: d.jsonl}\n", "c.yaml", "/base");
  };
  EXPECT_FALSE(with("")->systems[0].speculation);
  const auto config = with(", speculation: {drafts: ngram, length: 4, lookup_max: 5, lookup_min: 2}");
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->systems[0].speculation->length, 4);
  EXPECT_EQ(config->systems[0].speculation->lookup_max, 5);
  EXPECT_EQ(config->systems[0].speculation->lookup_min, 2);
  EXPECT_EQ(with(", speculation: {drafts: ngram, length: 1}")->systems[0].speculation->lookup_max, 3);
  const auto wrong = [&](const std::string& keys) { return with(", speculation: {" + keys + "}").error().message; };
  EXPECT_THAT(wrong("drafts: ngram"), testing::HasSubstr("length: 4"));
  EXPECT_THAT(wrong("length: 4"), testing::HasSubstr("drafts: ngram"));
  EXPECT_THAT(wrong("drafts: eagle, length: 4"), testing::HasSubstr("ngram"));
  EXPECT_THAT(wrong("drafts: ngram, length: 0"), testing::HasSubstr("1"));
  EXPECT_THAT(wrong("drafts: ngram, length: 2, lookup_max: 2, lookup_min: 3"), testing::HasSubstr("must not exceed"));
  EXPECT_THAT(ParseConfig("systems: [{server: {url: http://h}, speculation: {drafts: ngram, length: 2}}]\n", "c.yaml", "/base")
                  .error()
                  .message,
              testing::HasSubstr("no meaning beside"));
}

TEST(Config, AnEngineKeepsItsExpertsInMemoryUnlessTheyHaveABudget) {
  const auto with = [](const std::string& system) {
    return ParseConfig("systems: [{model: m.gguf" + system + "}]\ndataset: {path: d.jsonl}\n", "c.yaml", "/base");
  };
  EXPECT_FALSE(with("")->systems[0].experts);
  const auto config = with(", experts: {budget: 4 MiB, policy: activation, prefetch: previous_layer}, meant_as: CA");
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->systems[0].experts->budget_bytes, 4 * 1024 * 1024);
  EXPECT_EQ(config->systems[0].experts->policy, ExpertPolicy::kActivation);
  EXPECT_EQ(config->systems[0].experts->prefetch, ExpertPrefetch::kPreviousLayer);
  EXPECT_EQ(config->systems[0].meant_as, "CA");
  EXPECT_DOUBLE_EQ(with(", experts: {budget: 12.5 %}")->systems[0].experts->budget_share, 0.125);
  EXPECT_DOUBLE_EQ(with(", experts: {budget: 1.5GB}")->systems[0].experts->budget_bytes, 1.5e9);
  EXPECT_DOUBLE_EQ(with(", experts: {budget: 4000000}")->systems[0].experts->budget_bytes, 4e6);
  for (const char* wrong : {"lots", "-3 MB", "0", "120 %", "4 TB", "4 mb", "."}) {
    EXPECT_THAT(with(fmt::format(", experts: {{budget: {}}}", wrong)).error().message,
                testing::AllOf(testing::HasSubstr("c.yaml:1"), testing::HasSubstr("no amount of memory")))
        << wrong;
  }
  EXPECT_THAT(with(", experts: {policy: lru}").error().message, testing::HasSubstr("needs a budget"));
  EXPECT_THAT(with(", experts: {budget: 1 MB, policy: fifo}").error().message, testing::HasSubstr("activation"));
  EXPECT_THAT(with(", device: gpu, experts: {budget: 1 MB}").error().message, testing::HasSubstr("leave out device"));
  EXPECT_THAT(with(", meant_as: PCA").error().message, testing::HasSubstr("PA"));
}

TEST(Config, WeightTypesAreWrittenInAnyCase) {
  const auto config =
      ParseConfig("systems: [{model: m.gguf, weights: q4_k_m, kv: q8_0}]\ndataset: {path: d.jsonl}\n", "c.yaml", "/base");
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->systems[0].weights, "Q4_K_M");
  EXPECT_EQ(config->systems[0].name, "Q4_K_M");
  EXPECT_EQ(config->systems[0].kv, "q8_0");
}

// Systems on machines of their own.
constexpr const char* kMachines = R"(systems:
  - {name: a, server: {url: http://a}, machine: 8 x h100-sxm, pay: rent}
  - {name: b, server: {url: http://b}, machine: l40s, cost: {rent_usd_per_h: 1.5}}
  - {name: c, server: {url: http://c}}
cost: {machine: a100-80g-sxm, utilisation: 0.7}
)";

TEST(Config, EachSystemHasItsMachine) {
  const auto config = ParseConfig(kMachines, "c.yaml", "/base");
  ASSERT_TRUE(config.ok()) << config.error().message;
  const auto& systems = config->systems;
  EXPECT_EQ(systems[0].machine.machine->accelerators.at(0).id, "h100-sxm");
  EXPECT_EQ(systems[0].machine.machine->accelerators.at(0).count, 8);
  EXPECT_EQ(systems[0].machine.pay, cost::Pay::kRent);
  EXPECT_FALSE(systems[0].machine.given.contains("utilisation")) << "it was said of another machine";
  EXPECT_EQ(systems[1].machine.given.at("rent_usd_per_h"), 1.5);
  EXPECT_EQ(systems[2].machine.machine->name, "a100-80g-sxm");
  EXPECT_EQ(systems[2].machine.given.at("utilisation"), 0.7);
  EXPECT_THAT(ErrorOf("systems: [{server: {url: http://a}, machine: 0 x h100-sxm}]\n"), testing::HasSubstr("8 x h100-sxm"));
  EXPECT_THAT(ErrorOf("systems: [{server: {url: http://a}, machine: none.yaml}]\n"), testing::HasSubstr("none.yaml"));
}

TEST(Config, ReadsTheView) {
  const std::string base = "model: m\nsystems: [{}]\ndataset: {path: d}\nconcurrency: [1, 4]\n";
  const auto config = ParseConfig(base +
                                      "cap: {scenario: offline, performance: tpot_s, concurrency: 4, margins: {ratio: 0.1, "
                                      "accuracy: 0.02}, service_level: {ttft_s: 1}, price_by_memory: true}\n",
                                  "c.yaml", "/base");
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->view.scenario, "offline");
  EXPECT_EQ(config->view.performance, cap::FigureId::kTpotMean);
  EXPECT_EQ(config->view.level, 4);
  EXPECT_EQ(config->judge.ratio_margin, 0.1);
  EXPECT_EQ(config->judge.accuracy_margin, 0.02);
  EXPECT_TRUE(config->judge.price_by_memory);
  EXPECT_EQ(config->objectives.ttft_s, 1);
  EXPECT_THAT(ErrorOf(base + "cap: {level: 2}\n"), testing::HasSubstr("choose one of 1, 4"));
  EXPECT_THAT(ErrorOf(base + "cap: {scenario: onlin}\n"), testing::HasSubstr("did you mean \"online\"?"));
  EXPECT_THAT(ErrorOf(base + "cap: {cost: tpot_s}\n"), testing::HasSubstr("no axis of cost"));
  EXPECT_THAT(ErrorOf(base + "cap: {performance: goodput_requests_per_s}\n"), testing::HasSubstr("objectives"));
}

constexpr const char* kLoad = R"(
name: chat
server: {url: http://127.0.0.1:8000, api: completions}
workload: {input_tokens: 512, output_tokens: 128, requests: 100}
load:
  rates_per_s: [4.5, 2]
  arrivals: gamma
  shape: 0.5
  burst: 2
  ramp: [{duration_s: 10, from_per_s: 0, to_per_s: 2}]
  most_in_flight: 100
  cancel_share: 0.1
  cancel_after_s: 3
warmup_requests: 4
duration_s: 60
drain_s: 5
most_error_share: 0.2
deadlines: {first_token_s: 10, idle_s: 2}
objectives: {ttft_s: 1, tpot_s: 0.05}
repeats: 3
threads: 2
seed: 7
flush_cache: true
)";

TEST(Config, ReadsALoad) {
  const auto config = ParseConfig(kLoad, "load.yaml", "/base");
  ASSERT_TRUE(config.ok()) << config.error().message;
  ASSERT_EQ(config->systems.size(), 1u);
  EXPECT_EQ(config->systems[0].name, "http://127.0.0.1:8000");
  EXPECT_FALSE(config->problems.has_value());
  EXPECT_EQ(config->load.kind, record::LoadKind::kRate);
  EXPECT_THAT(config->load.levels, testing::ElementsAre(2, 4.5));
  EXPECT_EQ(config->load.arrivals.gaps, workload::GapShape::kGamma);
  EXPECT_EQ(config->load.arrivals.burst, 2);
  ASSERT_EQ(config->load.arrivals.ramp.size(), 1u);
  EXPECT_EQ(config->load.arrivals.ramp[0].to_per_s, 2);
  EXPECT_EQ(config->load.most_in_flight, 100);
  EXPECT_EQ(config->load.cancel_share, 0.1);
  EXPECT_EQ(config->warmup_requests, 4);
  EXPECT_EQ(config->duration_s, 60);
  EXPECT_EQ(config->deadlines.idle_s, 2);
  EXPECT_FALSE(config->deadlines.headers_s.has_value());
  EXPECT_EQ(config->objectives.tpot_s, 0.05);
  EXPECT_EQ(config->client_threads, 2) << "beside one server, threads are the client's";
  EXPECT_TRUE(config->flush_cache);
  EXPECT_EQ(DescribeLoad(*config),
            "open loop, gamma gaps of shape 0.5, bursts of 2, with a ramp, seed 7, 60 s, 10 % cancelled after 3 s");
}

TEST(Config, NamesWhatIsWrongInALoad) {
  const auto error = [](const std::string& text) { return ErrorOf("server: {url: http://h}\n" + text); };
  EXPECT_THAT(ErrorOf("load: {clients: 1}\n"), testing::HasSubstr("server: {url:"));
  EXPECT_THAT(error("systems: [{server: {url: http://a}}]\n"), testing::HasSubstr("give one of"));
  EXPECT_THAT(error("dataset: {path: d}\nworkload: {requests: 2}\n"), testing::HasSubstr("give one of"));
  EXPECT_THAT(error("load: {clients: 1, rates_per_s: 2}\n"), testing::HasSubstr("give one of clients"));
  EXPECT_THAT(error("load: {clients: 1}\nconcurrency: [2]\n"), testing::HasSubstr("give one of"));
  EXPECT_THAT(error("load: {clients: [1, 2.5]}\n"), testing::HasSubstr("whole number"));
  EXPECT_THAT(error("load: {rates_per_s: -1}\n"), testing::HasSubstr("rates_per_s"));
  EXPECT_THAT(error("load: {rates_per_s: 1, shape: 0}\n"), testing::HasSubstr("above 0"));
  EXPECT_THAT(error("load: {users: 2}\n"), testing::HasSubstr("conversations"));
  EXPECT_THAT(error("load: {replay: true}\n"), testing::HasSubstr("trace"));
  EXPECT_THAT(error("load: {clients: 2, cancel_share: 0.5}\n"), testing::HasSubstr("open loop"));
  EXPECT_THAT(error("load: {clients: 2}\nthreads: 4\n"), testing::HasSubstr("use fewer (client_threads, --threads)"));
  EXPECT_THAT(error("load: {rates_per_s: 1}\nsearch: {}\n"), testing::HasSubstr("objectives"));
  EXPECT_THAT(error("objectives: {ttft_s: 0}\n"), testing::HasSubstr("c.yaml:2"));
  EXPECT_THAT(error("duration_s: 0\n"), testing::HasSubstr("above 0"));
  EXPECT_THAT(error("clientz: 1\n"), testing::HasSubstr("clientz"));
}

TEST(Config, AnActivationSheetIsOfAServersModel) {
  const auto parse = [](const std::string& system) {
    return ParseConfig("systems: [" + system + "]\nworkload: {requests: 1}\n", "c.yaml", "/base");
  };
  const auto server = parse("{name: S, server: {url: 'http://h:1'}, model: m, activation_sheet: s/x.json}");
  ASSERT_TRUE(server.ok()) << server.error().message;
  EXPECT_EQ(server->systems[0].activation_sheet, "/base/s/x.json");
  const auto engine = parse("{name: A, model: a.gguf, activation_sheet: x.json}");
  ASSERT_FALSE(engine.ok());
  EXPECT_THAT(engine.error().message, testing::HasSubstr("whose experts are recorded"));
}

}  // namespace
}  // namespace moecap::experiment
