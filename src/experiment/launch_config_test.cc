// Servers that an experiment starts itself: what a configuration may say, and in which order they are measured.
#include "experiment/launch_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "base/testing/temp_dir.h"
#include "experiment/config.h"
#include "experiment/order.h"
#include "experiment/resume.h"

namespace moecap::experiment {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

constexpr const char* kAsked = "workload: {requests: 4}\n";

Result<Config> Parse(const std::string& text) { return ParseConfig(text + kAsked, "c.yaml", "/base"); }
LaunchConfig LaunchOf(const std::string& text) {
  const auto config = Parse(text);
  EXPECT_TRUE(config.ok()) << (config.ok() ? "" : config.error().message);
  return config.ok() ? config->systems.at(0).launch.value_or(LaunchConfig()) : LaunchConfig();
}
std::string ErrorOf(const std::string& text) {
  const auto config = Parse(text);
  EXPECT_FALSE(config.ok()) << text;
  return config.ok() ? "" : config.error().message;
}

TEST(LaunchConfig, ACommandIsTextOrAListOfWords) {
  const LaunchConfig text = LaunchOf("launch: \"A=1 B='x y' server 'a model' --port {port}\"\n");
  EXPECT_THAT(text.command, ElementsAre("server", "a model", "--port", "{port}"));
  EXPECT_THAT(text.env, ElementsAre(Pair("A", "1"), Pair("B", "x y")));
  const LaunchConfig list = LaunchOf("systems: [{name: s, launch: [server, 'a model', --port, '8000']}]\n");
  EXPECT_THAT(list.command, ElementsAre("server", "a model", "--port", "8000"));
  const LaunchConfig map = LaunchOf(
      "launch: {command: server --port 1, env: {C: d}, ready: /up, start_timeout_s: 5, capture_flags: --routes --all}\n");
  EXPECT_THAT(map.env, ElementsAre(Pair("C", "d")));
  EXPECT_EQ(map.ready, "/up");
  EXPECT_EQ(map.start_timeout_s, 5);
  EXPECT_THAT(*map.capture_flags, ElementsAre("--routes", "--all"));
  EXPECT_FALSE(text.capture_flags.has_value()) << "those of its kind";
}

TEST(LaunchConfig, AKnownSystemIsNamedWithItsModel) {
  const TempDir temp;
  const auto config = ParseConfig(
      "systems: [{launch: {system: vllm, model: m, gpus: 2, batch: 8, context: 512, flags: [--x, '1']}}]\n"
      "workload: {requests: 1}\n",
      "c.yaml", temp.path());
  ASSERT_TRUE(config.ok()) << config.error().message;
  const SystemConfig& system = config->systems.front();
  EXPECT_EQ(system.name, "vllm");
  EXPECT_EQ(system.launch->model, "m") << "no such path: an id";
  EXPECT_EQ(system.launch->gpus, 2);
  EXPECT_THAT(system.launch->flags, ElementsAre("--x", "1"));
  EXPECT_TRUE(system.server->urls.empty()) << "a port is chosen";
}

TEST(LaunchConfig, WhatDoesNotGoTogetherIsNamed) {
  EXPECT_THAT(ErrorOf("launch: server\n"), HasSubstr("--port {port}"));
  EXPECT_TRUE(Parse("launch: server\nserver: {url: http://127.0.0.1:1}\n").ok());
  EXPECT_THAT(ErrorOf("launch: server | tee log\n"), HasSubstr("sh, -c"));
  EXPECT_THAT(ErrorOf("launch: ''\n"), HasSubstr("empty"));
  EXPECT_THAT(ErrorOf("launch: {ready: /x}\n"), HasSubstr("system: NAME"));
  EXPECT_THAT(ErrorOf("launch: {command: s --port 1, system: vllm, model: m}\n"), HasSubstr("one of"));
  EXPECT_THAT(ErrorOf("launch: {command: s --port 1, gpus: 2}\n"), HasSubstr("gpus"));
  EXPECT_THAT(ErrorOf("launch: {system: vllm}\n"), HasSubstr("model"));
  EXPECT_THAT(ErrorOf("launch: {command: s --port 1, ready: up}\n"), HasSubstr("/ping"));
  EXPECT_THAT(ErrorOf("launch: {command: s --port 1, start_timeout_s: 0}\n"), HasSubstr("above 0"));
  EXPECT_THAT(ErrorOf("launch: {command: s --port 1, together: true}\n"), HasSubstr("together"));
  EXPECT_THAT(ErrorOf("systems: [{name: a, launch: s --port 1, threads: 2}]\n"), HasSubstr("threads"));
}

TEST(LaunchConfig, SecretsStayOutOfFiles) {
  EXPECT_THAT(ErrorOf("launch: HF_TOKEN=abc s --port 1\n"), HasSubstr("HF_TOKEN"));
  EXPECT_THAT(ErrorOf("launch: {command: s --port 1, env: {MY_API_KEY: abc}}\n"), HasSubstr("$NAME"));
  EXPECT_THAT(ErrorOf("launch: s --port 1 --api-key abc\n"), HasSubstr("key"));
  EXPECT_TRUE(Parse("launch: {command: s --port 1, env: {MY_API_KEY: $OTHER, TOKENIZERS_PARALLELISM: false}}\n").ok());
}

TEST(LaunchConfig, AServerThatIsLaunchedTakesItsTurnWithAllItsLevels) {
  const std::string systems = "systems: [{name: a, launch: s --port 1}, {name: b, launch: s --port 2}]\n";
  const std::string levels = "load: {clients: [1, 2, 4]}\nrepeats: 4\n";
  const Config turns = Parse(systems + levels).value();
  EXPECT_TRUE(MeasuresInTurn(turns));
  const std::vector<Planned> order = OrderOf(turns);
  ASSERT_EQ(order.size(), 24u);
  std::set<size_t> first;
  for (size_t block = 0; block < order.size(); block += 3) {
    std::set<double> seen;
    for (size_t i = block; i < block + 3; ++i) {
      EXPECT_EQ(order[i].system, order[block].system);
      EXPECT_EQ(order[i].repeat, static_cast<int>(block / 6));
      seen.insert(order[i].level.value);
    }
    EXPECT_EQ(seen.size(), 3u);
    if (block % 6 == 0) first.insert(order[block].system);
  }
  EXPECT_EQ(first.size(), 2u) << "not always the same one first";
  EXPECT_FALSE(MeasuresInTurn(Parse(systems + levels + "launch_together: true\n").value()));
  EXPECT_FALSE(MeasuresInTurn(Parse("launch: s --port 1\n" + levels).value())) << "alone, it needs no turns";
}

TEST(LaunchConfig, AnotherPortOfALaunchedServerIsNoChangeForAResume) {
  Manifest stored;
  stored.config = Parse("systems: [{name: a, launch: s --port 1}]\n").value();
  stored.systems.emplace_back().description.name = "a";
  Manifest now = stored;
  stored.systems[0].description.url = "http://127.0.0.1:20001";
  now.systems[0].description.url = "http://127.0.0.1:20002";
  EXPECT_THAT(ChangesSince(stored, now), testing::IsEmpty());
  stored.config = now.config = Parse("systems: [{name: a, server: {url: http://h}}]\n").value();
  EXPECT_THAT(ChangesSince(stored, now), ElementsAre(HasSubstr("address")));
}

TEST(LaunchConfig, ThePapersRadarIsThreeServersInTurn) {
  const auto config = ReadConfig(MOECAP_SOURCE_DIR "/examples/paper_radar.yaml");
  ASSERT_TRUE(config.ok()) << config.error().message;
  ASSERT_EQ(config->systems.size(), 3u);
  EXPECT_EQ(config->systems[1].launch->system, "ktransformers");
  EXPECT_FALSE(config->systems[2].server->stream);
  EXPECT_TRUE(MeasuresInTurn(*config));
  for (const SystemConfig& system : config->systems) EXPECT_TRUE(system.machine.machine.has_value()) << system.name;
}

}  // namespace
}  // namespace moecap::experiment
