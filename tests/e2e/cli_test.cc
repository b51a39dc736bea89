// The program as its users run it: the built binary, the shipped model, real files.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <thread>

#include "base/fs.h"
#include "base/json.h"
#include "base/table.h"
#include "base/testing/temp_dir.h"
#include "dense_model.h"
#include "program.h"

namespace moecap::e2e {
namespace {
namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

class Cli : public testing::Test {
 protected:
  pid_t Start(const std::vector<std::string>& args) const { return StartProgram(dir_, args); }
  Outcome Finish(pid_t child) const { return FinishProgram(dir_, child); }
  Outcome Call(const std::vector<std::string>& args) const { return Finish(Start(args)); }

  fs::path Write(const std::string& name, const std::string& text) const {
    std::ofstream(dir_ / name) << text;
    return dir_ / name;
  }
  // A small experiment on the shipped model; `extra` are further top-level lines.
  static std::string Config(const std::string& extra = "",
                            const std::string& systems = "[{name: F16}, {name: Q4_0, weights: Q4_0}]") {
    return "model: " + TinyMoe().string() + "\nthreads: 1\nsystems: " + systems + "\ndataset: {path: " + Dataset().string() +
           ", problems: 6}\nconcurrency: [1, 3]\nrepeats: 2\nwarmup_requests: 1\n" + extra;
  }
  static fs::path TinyMoe() { return fs::path(MOECAP_SOURCE_DIR) / "models/tiny-moe/tiny-moe-f16.gguf"; }
  static fs::path Dataset() { return fs::path(MOECAP_SOURCE_DIR) / "datasets/tinymath/test.jsonl"; }

  fs::path OnlyRun() const {
    std::vector<fs::path> runs;
    for (const auto& entry : fs::directory_iterator(dir_ / "results")) {
      if (entry.is_directory()) runs.push_back(entry.path());
    }
    EXPECT_EQ(runs.size(), 1u);
    return runs.at(0);
  }
  // Bad input: exit code 2, one line that holds `parts`, nothing stored.
  void ExpectRefused(const std::vector<std::string>& args, const std::vector<std::string>& parts) const {
    const Outcome outcome = Call(args);
    EXPECT_EQ(outcome.exit_code, 2) << outcome.err;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    for (const std::string& part : parts) EXPECT_THAT(outcome.err, HasSubstr(part));
    EXPECT_EQ(outcome.out, "");
    EXPECT_FALSE(fs::exists(dir_ / "results")) << "nothing is half-written";
  }

  TempDir temp_;
  const fs::path dir_ = temp_.path();
};

// What must not change between two runs: tokens, routing, verdicts.
std::vector<std::string> Essence(const fs::path& run) {
  std::set<fs::path> measurements;
  for (const auto& entry : fs::directory_iterator(run / "measurements")) measurements.insert(entry.path());
  std::vector<std::string> essence;
  for (const fs::path& measurement : measurements) {
    essence.push_back(measurement.filename());
    for (const std::string& line : ReadLines(measurement / "answers.jsonl").value()) essence.push_back(line);
    for (const std::string& line : ReadLines(measurement / "passes.jsonl").value()) {
      const Json pass = ParseJson(line).value();
      essence.push_back(DumpJson({pass["kind"], pass["sequences"], pass["distinct_experts"]}));
    }
    if (fs::exists(measurement / "routing.moetrace")) essence.push_back(ReadFile(measurement / "routing.moetrace").value());
  }
  return essence;
}

TEST_F(Cli, RunsReportsAndRepeatsIdentically) {
  Write("c.yaml", Config());
  const Outcome first = Call({"run", "c.yaml", "--json"});
  ASSERT_EQ(first.exit_code, 0) << first.err;
  const fs::path run = OnlyRun();
  for (const char* file : {"manifest.json", "measurements/F16-clients-3-0/plan.jsonl",
                           "measurements/F16-clients-3-0/answers.jsonl", "measurements/Q4_0-clients-1-1/passes.jsonl",
                           "measurements/Q4_0-clients-1-0/routing.moetrace", "measurements/Q4_0-clients-1-1/events.0.bin",
                           "summary.json", "report.html", "cap-radar.svg", "report.md", "report.csv"}) {
    EXPECT_TRUE(fs::exists(run / file)) << file;
  }
  const Json summary = ParseJson(first.out).value();
  ASSERT_EQ(summary["systems"].size(), 2u);
  const Json& cell = summary["systems"][0]["cells"][1];
  EXPECT_EQ(cell["level"]["value"], 3);
  EXPECT_EQ(cell["repeats"], 2);
  const Json& figures = cell["figures"];
  EXPECT_GT(figures["output_tokens_per_s"].get<double>(), 0);
  EXPECT_GT(figures["decode_s_mbu"].get<double>(), 0);
  EXPECT_LT(figures["decode_s_mbu"].get<double>(), figures["decode_mbu"].get<double>());
  EXPECT_GT(figures["usd_per_million_output_tokens"].get<double>(), 0);

  const Outcome report = Call({"report", run.filename().string(), "--json"});
  ASSERT_EQ(report.exit_code, 0) << report.err;
  EXPECT_EQ(report.out, first.out) << "every figure is recomputed from the facts";

  fs::rename(dir_ / "results", dir_ / "first");
  ASSERT_EQ(Call({"run", "c.yaml"}).exit_code, 0);
  EXPECT_EQ(Essence(OnlyRun()), Essence(dir_ / "first" / run.filename()));
}

// Experts on disk change what a system needs and how long it takes, not what it says.
TEST_F(Cli, ExpertsOnDiskAnswerAndRouteAsThoseInMemory) {
  Write(
      "c.yaml",
      Config(
          "cap: {cost: memory_usd}\n",
          "[{name: all, kv: q8_0}, {name: disk, kv: q8_0, meant_as: CA, experts: {budget: 25 %, prefetch: previous_layer}}]"));
  const Outcome run = Call({"run", "c.yaml", "--json"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const fs::path measurements = OnlyRun() / "measurements";
  for (const char* level : {"1", "3"}) {
    const fs::path all = measurements / fmt::format("all-clients-{}-0", level);
    const fs::path disk = measurements / fmt::format("disk-clients-{}-0", level);
    const auto passes = ReadLines(all / "passes.jsonl").value();
    const auto answers = ReadLines(all / "answers.jsonl").value();
    EXPECT_EQ(answers, ReadLines(disk / "answers.jsonl").value());
    const auto on_disk = ReadLines(disk / "passes.jsonl").value();
    ASSERT_EQ(on_disk.size(), passes.size());
    for (size_t i = 0; i < passes.size(); ++i) {
      const Json pass = ParseJson(on_disk[i]).value();
      EXPECT_EQ(pass["distinct_experts"], ParseJson(passes[i]).value()["distinct_experts"]);
      int64_t distinct = 0;
      for (const Json& layer : pass["distinct_experts"]) distinct += layer.get<int64_t>();
      EXPECT_EQ(pass["expert_reads"]["hits"].get<int64_t>() + pass["expert_reads"]["misses"].get<int64_t>(), distinct);
    }
  }
  const Json summary = ParseJson(run.out).value();
  const Json& all = summary["systems"][0]["cells"][0]["figures"];
  const Json& disk = summary["systems"][1]["cells"][0]["figures"];
  EXPECT_TRUE(all["expert_hit_share"].is_null());
  EXPECT_GT(disk["expert_hit_share"].get<double>(), 0);
  EXPECT_LT(disk["expert_hit_share"].get<double>(), 1);
  EXPECT_GT(disk["disk_per_token_bytes"].get<double>(), 0);
  // Three quarters of 18,874,368 bytes of experts are not in memory.
  EXPECT_DOUBLE_EQ(all["memory_bytes"].get<double>() - disk["memory_bytes"].get<double>(), 14155776);
  EXPECT_LT(disk["memory_usd"].get<double>(), all["memory_usd"].get<double>());
  const Outcome report = Call({"report", OnlyRun().filename().string(), "--json"});
  EXPECT_EQ(report.out, run.out) << "every figure is recomputed from the facts";
}

TEST_F(Cli, DraftsChangeThePassesAndNotTheAnswers) {
  Write("c.yaml", Config("", "[{name: plain}, {name: drafts, speculation: {drafts: ngram, length: 3}}]"));
  const Outcome run = Call({"run", "c.yaml", "--json"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const fs::path measurements = OnlyRun() / "measurements";
  for (const char* level : {"1", "3"}) {
    EXPECT_EQ(ReadLines(measurements / fmt::format("plain-clients-{}-0", level) / "answers.jsonl").value(),
              ReadLines(measurements / fmt::format("drafts-clients-{}-0", level) / "answers.jsonl").value());
  }
  const Json summary = ParseJson(run.out).value();
  const Json& plain = summary["systems"][0]["cells"][0]["figures"];
  const Json& drafts = summary["systems"][1]["cells"][0]["figures"];
  EXPECT_TRUE(plain["draft_acceptance"].is_null());
  EXPECT_GT(drafts["draft_acceptance"].get<double>(), 0);
  EXPECT_GT(drafts["tokens_per_decode_pass"].get<double>(), 1);
  EXPECT_GT(drafts["decode_distinct_experts"].get<double>(), plain["decode_distinct_experts"].get<double>());
  EXPECT_NEAR(drafts["speculation_speed_up"].get<double>(),
              plain["tpot_mean_s"].get<double>() / drafts["tpot_mean_s"].get<double>(), 1e-9);
  const Outcome report = Call({"report", OnlyRun().filename().string(), "--json"});
  EXPECT_EQ(report.out, run.out) << "every figure is recomputed from the facts";
}

TEST_F(Cli, AnInterruptKeepsWhatWasMeasuredAndAResumeFinishesIt) {
  Write("c.yaml", Config("results_dir: results\n", "[{name: F16}]") + "# long enough to be interrupted\n");
  std::string text = ReadFile(dir_ / "c.yaml").value();
  text.replace(text.find("repeats: 2"), 10, "repeats: 20");
  Write("c.yaml", text);
  const pid_t child = Start({"run", "c.yaml"});
  const auto measured = [](const fs::path& run) {
    int64_t whole = 0;
    if (!fs::exists(run / "manifest.json")) return whole;
    const Json manifest = ParseJson(ReadFile(run / "manifest.json").value()).value();
    for (const Json& measurement : manifest["measurements"]) whole += measurement["complete"].get<bool>();
    return whole;
  };
  const auto begun = [&] {
    if (!fs::exists(dir_ / "results")) return false;
    for (const auto& entry : fs::directory_iterator(dir_ / "results")) {
      if (measured(entry.path()) > 0) return true;
    }
    return false;
  };
  while (!begun()) {
    ASSERT_EQ(::waitpid(child, nullptr, WNOHANG), 0) << "it ended: " << ReadFile(dir_ / "err").value();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  ::kill(child, SIGINT);
  const Outcome outcome = Finish(child);
  EXPECT_EQ(outcome.exit_code, 130) << outcome.err;
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("interrupted"), HasSubstr("--resume")));
  EXPECT_THAT(outcome.out, HasSubstr("Not complete"));
  const fs::path run = OnlyRun();
  Json manifest = ParseJson(ReadFile(run / "manifest.json").value()).value();
  EXPECT_EQ(manifest["complete"], false);
  EXPECT_GE(measured(run), 1);

  const Outcome resumed = Call({"run", "--resume", run.filename().string()});
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  manifest = ParseJson(ReadFile(run / "manifest.json").value()).value();
  EXPECT_EQ(manifest["complete"], true);
  EXPECT_EQ(measured(run), 2 * 20);
  size_t answers = 0;
  for (const auto& measurement : fs::directory_iterator(run / "measurements"))
    answers += ReadLines(measurement.path() / "answers.jsonl").value().size();
  EXPECT_EQ(answers, 2u * 20u * 6u);
  EXPECT_THAT(Call({"run", "--resume", run.filename().string()}).err, HasSubstr("is complete"));
}

TEST_F(Cli, ADenseModelWorksWithItsMoeFieldsNull) {
  WriteDenseModel(TinyMoe(), dir_ / "dense.gguf");
  Write("c.yaml", "model: dense.gguf\nthreads: 1\nsystems: [{name: dense}]\ndataset: {path: " + Dataset().string() +
                      ", problems: 2}\nmax_output_tokens: 8\nwarmup_requests: 0\n");
  const Outcome outcome = Call({"run", "c.yaml", "--json"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const Json system = ParseJson(outcome.out).value()["systems"][0];
  EXPECT_EQ(system["moe_layers"], 0);
  EXPECT_TRUE(system["expert_share"].empty());
  const Json& decode = system["cells"][0]["utilization"]["decode"];
  EXPECT_TRUE(decode["mean_distinct_experts"].empty());
  EXPECT_EQ(decode["s_mbu"], decode["mbu"]) << "nothing is sparse";
  EXPECT_GT(decode["s_mbu"].get<double>(), 0);
  EXPECT_EQ(Call({"report", OnlyRun().string()}).exit_code, 0);
}

TEST_F(Cli, BadInputIsOneLineWithARemedy) {
  const std::string model = TinyMoe().string();
  Write("c.yaml", Config());
  ExpectRefused({"run", "missing.yaml"}, {"missing.yaml", "No such file"});
  Write("bad.yaml", Config("concurency: [1]\n"));
  ExpectRefused({"run", "bad.yaml"}, {"bad.yaml:8", "concurency", "did you mean \"concurrency\"?"});
  Write("bad.yaml", Config("cost: {machine: {accelerators: [{id: h100-xsm}]}}\n"));
  ExpectRefused({"run", "bad.yaml"}, {"h100-xsm", "h100-sxm"});
  Write("bad.yaml", Config("cost: {price_book: absent.json}\n"));
  ExpectRefused({"run", "bad.yaml"}, {"absent.json", "No such file"});
  Write("bad.yaml", Config("max_output_tokens: lots\n"));
  ExpectRefused({"run", "bad.yaml"}, {"bad.yaml:8", "max_output_tokens", "whole number"});
  Write("bad.yaml", "model: no.gguf\nsystems: [{}]\ndataset: {path: " + Dataset().string() + "}\n");
  ExpectRefused({"run", "bad.yaml"}, {"no.gguf", "No such file"});
  fs::copy_file(TinyMoe(), dir_ / "cut.gguf");
  fs::resize_file(dir_ / "cut.gguf", fs::file_size(dir_ / "cut.gguf") - 1000);
  Write("bad.yaml", "model: cut.gguf\nsystems: [{}]\ndataset: {path: " + Dataset().string() + "}\n");
  ExpectRefused({"run", "bad.yaml"}, {"cut.gguf", "cut off", "ownload"});
  Write("no.jsonl", "{\"question\":\"q\",\"answer\":\"a\"}\nhello\n");
  Write("bad.yaml", "model: " + model + "\nsystems: [{}]\ndataset: {path: no.jsonl}\n");
  ExpectRefused({"run", "bad.yaml"}, {"no.jsonl:2", "not valid JSON"});
  Write("bad.yaml", "model: " + model + "\nsystems: [{}]\ndataset: {path: " + Dataset().string() + ", problems: 0}\n");
  ExpectRefused({"run", "bad.yaml"}, {"bad.yaml:3", "\"problems\" is 0"});
  Write("bad.yaml", "model: " + model + "\nsystems: [{}]\ndataset: {path: " + Dataset().string() + "}\nconcurrency: 0\n");
  ExpectRefused({"run", "bad.yaml"}, {"bad.yaml:4", "concurrency"});
  Write("bad.yaml", "model: " + model + "\nsystems: [{}]\ndataset: {path: " + Dataset().string() + "}\nconcurrency: [0]\n");
  ExpectRefused({"run", "bad.yaml"}, {"bad.yaml:4", "\"concurrency\" must be a whole number from 1"});
  Write("bad.yaml", Config("context_tokens: 16\n"));
  ExpectRefused({"run", "bad.yaml"}, {"does not fit a context of 16", "set context_tokens to"});
  Write("bad.yaml", Config("context_tokens: 100000\n"));
  ExpectRefused({"run", "bad.yaml"}, {"context_tokens is 100000", "or less"});
  Write("bad.yaml", Config("", "[{weights: Q4_O}]"));
  ExpectRefused({"run", "bad.yaml"}, {"Q4_O", "did you mean \"Q4_0\""});
  Write("bad.yaml", Config("", "[{kv: q3_k}]"));
  ExpectRefused({"run", "bad.yaml"}, {"no KV cache of type \"q3_k\"", "q8_0"});
  Write("bad.yaml", Config("", "[{experts: {budget: 100 kB}}]"));
  ExpectRefused({"run", "bad.yaml"}, {"100 kB holds no expert", "give 294912 or more"});
  Write("bad.yaml", Config("", "[{experts: {budget: 600 kB}}]"));
  ExpectRefused({"run", "bad.yaml"}, {"3 requests at once", "enough for 2"});
  Write("bad.yaml", Config("results_dir: /proc/moecap\n"));
  ExpectRefused({"run", "bad.yaml"}, {"/proc/moecap", "choose another folder"});
  ExpectRefused({"report", "nothing"}, {"nothing", "not a stored run"});
}

// Golden vector g01 of MoE-CAP's formulas: one decode step of Qwen3-30B-A3B on an H100, context 4096 with the new token.
TEST_F(Cli, MetricsOfForeignPassesFollowThePaper) {
  Write(
      "p.jsonl",
      R"({"schema":1,"kind":"decode","start_s":0,"latency_s":0.004,"sequences":[{"context_tokens":4095,"new_tokens":1}],"distinct_experts":8})"
      "\n");
  const Outcome outcome = Call({"metrics", "p.jsonl", "--model", "Qwen/Qwen3-30B-A3B", "--bandwidth-bytes-per-s", "3.35e12",
                                "--flops-per-s", "9.895e14", "--json"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const Json decode = ParseJson(outcome.out).value()["phases"]["decode"];
  EXPECT_NEAR(decode["s_mbu_paper"].get<double>() / 0.4357068035820896, 1, 1e-9);
  EXPECT_NEAR(decode["s_mfu_paper"].get<double>() / 0.0021935849621020718, 1, 1e-9);
  EXPECT_GT(decode["s_mbu"].get<double>(), decode["s_mbu_paper"].get<double>()) << "the head counts";

  // All 128 experts of a layer would not have passed in that time: what is above 100 % is explained.
  EXPECT_GT(decode["mbu"].get<double>(), 1);
  const auto explains = [&](const char* bandwidth) {
    const Outcome table = Call({"metrics", "p.jsonl", "--model", "Qwen/Qwen3-30B-A3B", "--bandwidth-bytes-per-s", bandwidth,
                                "--flops-per-s", "9.895e14"});
    return table.out.find("above 100 %: they are vanilla") != std::string::npos;
  };
  EXPECT_TRUE(explains("3.35e12"));
  EXPECT_FALSE(explains("3.35e14"));

  // The same pass as MoE-CAP's SGLang recorder writes it.
  Write(
      "u.jsonl",
      R"({"batch_size":1,"latency":0.004,"seq_lens_sum":4096,"scheduled_tokens":1,"forward_mode":"decode","expert_activation":8.0,"gpu_num":1,"gpu_raw_type":"x"})"
      "\n");
  const Outcome upstream = Call({"metrics", "u.jsonl", "--model", "Qwen/Qwen3-30B-A3B", "--bandwidth-bytes-per-s", "3.35e12",
                                 "--flops-per-s", "9.895e14", "--json"});
  ASSERT_EQ(upstream.exit_code, 0) << upstream.err;
  EXPECT_NEAR(ParseJson(upstream.out).value()["phases"]["decode"]["s_mbu_paper"].get<double>() / 0.4357068035820896, 1, 1e-9);

  ExpectRefused({"metrics", "p.jsonl", "--model", "Qwen/Qwen3-31B"}, {"Qwen/Qwen3-31B"});
  ExpectRefused({"metrics", "p.jsonl", "--model", "Qwen/Qwen3-30B-A3B"}, {"--device"});
  ExpectRefused({"metrics", "p.jsonl", "--model", "Qwen/Qwen3-30B-A3B", "--device", "h1000"}, {"h1000"});
  Write("bad.jsonl", "{\"kind\":\"decode\"}\n");
  ExpectRefused({"metrics", "bad.jsonl", "--model", "Qwen/Qwen3-30B-A3B", "--device", "h100-sxm"},
                {"bad.jsonl:1", "latency_s"});
}

// docs/metrics.md, "Deployments": eight tensor ranks copy the 4 KV heads twice, norms and routers eight times.
TEST_F(Cli, MetricsOfADeploymentCountWhatEachDeviceHolds) {
  Write(
      "p.jsonl",
      R"({"kind":"decode","start_s":0,"latency_s":0.004,"sequences":[{"context_tokens":4095,"new_tokens":1}],"distinct_experts":8})"
      "\n");
  const std::vector<std::string> call = {"metrics", "p.jsonl", "--model", "Qwen/Qwen3-30B-A3B", "--bandwidth-bytes-per-s",
                                         "1e12",    "--json"};
  const auto with = [&](const std::vector<std::string>& more) {
    std::vector<std::string> all = call;
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  const Json plain = ParseJson(Call(with({"--devices", "8"})).out).value();
  EXPECT_EQ(plain["devices"], 8);
  EXPECT_TRUE(plain["deployment"].is_null());
  EXPECT_EQ(plain["mla_form"], "expanded");
  EXPECT_EQ(plain["phases"]["decode"]["bytes"], 6486392832.0);
  const Json tensor = ParseJson(Call(with({"--tp", "8", "--mla", "absorbed"})).out).value();
  EXPECT_EQ(tensor["devices"], 8);
  EXPECT_EQ(tensor["deployment"]["tensor"], 8);
  EXPECT_EQ(tensor["mla_form"], "absorbed");
  EXPECT_EQ(tensor["phases"]["decode"]["bytes"], 7068160000.0);
  EXPECT_EQ(tensor["phases"]["decode"]["s_mbu_paper"], plain["phases"]["decode"]["s_mbu_paper"]);
  ExpectRefused(with({"--tp", "8", "--devices", "4"}), {"--devices 4", "= 8 devices"});
  ExpectRefused(with({"--tp", "2", "--ep", "4"}), {"does not divide the 2 ranks"});
}

TEST_F(Cli, ModelSaysWhatOneDeviceHolds) {
  const Outcome outcome =
      Call({"model", "deepseek-ai/DeepSeek-V3", "--tp", "8", "--ep", "8", "--batch", "64", "--device", "h200", "--json"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const Json json = *ParseJson(outcome.out);
  const Json& device = json["per_device"];
  EXPECT_EQ(device["devices"], 8);
  EXPECT_DOUBLE_EQ(device["kv_bytes"].get<double>(), 64 * json["kv_bytes_at_context"].get<double>())
      << "the latent is on every rank";
  EXPECT_NEAR(device["routed_expert_bytes"].get<double>(), json["bytes_by_class"]["routed_expert"].get<double>() * 59 / 58 / 8,
              1)
      << "58 layers with experts, and the multi-token-prediction layer, which is loaded like them";
  EXPECT_LT(device["total_bytes"]["low"], device["total_bytes"]["high"]);
  EXPECT_EQ(json["weights_source"], "config");
  const Outcome text = Call({"model", "deepseek-ai/DeepSeek-V3", "--tp", "8", "--ep", "8"});
  EXPECT_THAT(text.out, AllOf(HasSubstr("weights, replicated"), HasSubstr("workspace (estimate)")));
}

TEST_F(Cli, ValidateRefusesWhatMemoryCannotHold) {
  ExpectRefused({"validate", TinyMoe().string(), "--contexts", "2000000000"}, {"--contexts of at most", "free"});
}

TEST_F(Cli, ValidateTakesChunksOnAGpuOnly) {
  const Outcome outcome = Call({"validate", TinyMoe().string(), "--chunk", "8"});
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("--chunk requires --gpu"));
}

TEST_F(Cli, MetricsEstimateTheExpertsThatNobodyRecorded) {
  Write(
      "p.jsonl",
      R"({"schema":1,"kind":"decode","start_s":0,"latency_s":0.004,"sequences":[{"context_tokens":4095,"new_tokens":1,"count":4}],"distinct_experts":null,"rank":0})"
      "\n");
  const Outcome outcome = Call({"metrics", "p.jsonl", "--model", "Qwen/Qwen3-30B-A3B", "--device", "h100-sxm", "--json"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const Json json = *ParseJson(outcome.out);
  const double share = json["phases"]["decode"]["s_mbu"].get<double>();
  EXPECT_EQ(json["distinct_experts_estimate"]["passes"], 1);
  const Json& band = json["distinct_experts_estimate"]["s_mbu"]["decode"];
  EXPECT_LT(band["low"].get<double>(), share);
  EXPECT_GT(band["high"].get<double>(), share);
  EXPECT_THAT(json["notes"].dump(), HasSubstr("estimated"));
  EXPECT_THAT(Call({"metrics", "p.jsonl", "--model", "Qwen/Qwen3-30B-A3B", "--device", "h100-sxm"}).out, HasSubstr("~"));
}

TEST_F(Cli, MetricsEstimateFromTheModelsActivationSheet) {
  Write(
      "p.jsonl",
      R"({"schema":1,"kind":"decode","start_s":0,"latency_s":0.004,"sequences":[{"context_tokens":4095,"new_tokens":1,"count":4}],"distinct_experts":null,"rank":0})"
      "\n");
  // Eight experts take every token.
  Json sheet = {{"schema", 1}, {"kind", "activation_sheet"}, {"experts", 128}, {"top_k", 8}, {"layers", Json::array()}};
  for (int layer = 0; layer < 48; ++layer) {
    std::vector<double> popularity(128, 0.0);
    std::fill_n(popularity.begin(), 8, 0.125);
    sheet["layers"].push_back(
        {{"layer", layer}, {"cv", 1}, {"entropy_bits", 3}, {"split_half_tv", 0.01}, {"popularity", popularity}});
  }
  Write("sheet.json", sheet.dump());
  const std::vector<std::string> call = {"metrics",  "p.jsonl", "--model", "Qwen/Qwen3-30B-A3B", "--device",
                                         "h100-sxm", "--json",  "--sheet", "sheet.json"};
  const Outcome outcome = Call(call);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const Json json = *ParseJson(outcome.out);
  EXPECT_NEAR(json["phases"]["decode"]["mean_distinct_experts"][47].get<double>(), 8, 1e-9);
  EXPECT_EQ(json["distinct_experts_estimate"]["activation_sheet"], true);
  EXPECT_TRUE(json["distinct_experts_estimate"]["popularity_cv"].is_null());
  const Json& band = json["distinct_experts_estimate"]["s_mbu"]["decode"];
  EXPECT_LE(band["low"].get<double>(), json["phases"]["decode"]["s_mbu"].get<double>());
  EXPECT_GT(band["high"].get<double>(), json["phases"]["decode"]["s_mbu"].get<double>());
  sheet["layers"].erase(47);
  Write("sheet.json", sheet.dump());
  ExpectRefused(call, {"sheet.json", "47 layers", "48 with experts"});
}

// A name that the system cannot even look at ends no program.
TEST_F(Cli, ImpossiblePathsAreRefusedInWords) {
  const std::string name(5000, 'x');
  for (const std::vector<std::string>& args : {std::vector<std::string>{"report", name},
                                               {"compare", name, name},
                                               {"runs", "show", name},
                                               {"trace", name},
                                               {"run", name},
                                               {"load", name},
                                               {"metrics", name, "--model", "Qwen/Qwen3-30B-A3B", "--device", "h100-sxm"},
                                               {"model", name},
                                               {"load", "http://127.0.0.1:1", "--serves", name}}) {
    const Outcome outcome = Call(args);
    EXPECT_TRUE(outcome.exit_code == 1 || outcome.exit_code == 2) << args[0] << " " << outcome.exit_code;
    EXPECT_THAT(outcome.err, testing::Not(testing::AnyOf(HasSubstr("terminate"), HasSubstr("filesystem error")))) << args[0];
  }
}

TEST_F(Cli, ModelDescribesTheCatalogueOffline) {
  const Outcome outcome =
      Call({"model", "Qwen/Qwen3-235B-A22B", "--batch", "1,8", "--json", "--svg", "m.svg", "--device", "h200"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const Json model = ParseJson(outcome.out).value();
  EXPECT_EQ(model["total_params"], 235093634560);
  EXPECT_EQ(model["kv_elements_per_token"], 2.0 * 4 * 128 * 94);
  EXPECT_EQ(model["batches"].size(), 2u);
  EXPECT_EQ(model["batches"][0]["distinct_experts"], 8.0);
  EXPECT_THAT(ReadFile(dir_ / "m.svg").value(), HasSubstr("<svg"));
  EXPECT_THAT(Call({"model", "Qwen/Qwen3-235B-A22B"}).out, HasSubstr("routed_expert"));
  ExpectRefused({"model", "Qwen/Qwen3-235B-A22B", "--kv", "fp8_bogus"}, {"fp8_bogus", "fp8_e4m3"});
  ExpectRefused({"model", "Qwen/Qwen3-235B-A22B", "--context", "99999999999999999999"}, {"--context"});
  ExpectRefused({"model", "Qwen/Qwen3-235B-A22B", "--batch", "9999999999"}, {"9999999999"});
  ExpectRefused({"model", "Qwen/Qwen3-235B-A22B", "--tp", "8", "--ep", "3"}, {"3"});
  ExpectRefused({"model", "Qwen/Qwen3-235B-A22B", "--precision", "fp9"}, {"fp9", "fp8"});
}

// Every verb and sub-verb that the program's own help lists.
TEST_F(Cli, HelpFitsATerminal) {
  std::vector<std::vector<std::string>> open = {{}};
  size_t seen = 0;
  while (!open.empty()) {
    std::vector<std::string> args = std::move(open.back());
    open.pop_back();
    std::vector<std::string> call = args;
    call.push_back("--help");
    const Outcome help = Call(call);
    ASSERT_EQ(help.exit_code, 0) << fmt::format("{}", fmt::join(call, " ")) << help.err;
    ++seen;
    std::istringstream lines(help.out);
    bool in_verbs = false;
    for (std::string line; std::getline(lines, line);) {
      EXPECT_LE(DisplayWidth(line), 80u) << fmt::format("{}", fmt::join(call, " ")) << ": " << line;
      if (line.empty()) in_verbs = false;
      if (in_verbs && line[2] != ' ') {
        open.push_back(args);
        open.back().push_back(line.substr(2, line.find(' ', 2) - 2));
      }
      in_verbs = in_verbs || line == "Subcommands:";
    }
  }
  EXPECT_GT(seen, 20u);
}

// Tables by fmt, by stdio and by streams, help by CLI11.
TEST_F(Cli, AnOutputThatIsCutOffIsAFailure) {
  for (const char* verb :
       {"runs", "systems", "hardware", "datasets --json", "doctor", "model Qwen/Qwen3-30B-A3B", "run --help"}) {
    const std::string line = fmt::format("{} {} >/dev/full 2>'{}'", MOECAP_BINARY, verb, (dir_ / "said").string());
    EXPECT_EQ(WEXITSTATUS(std::system(line.c_str())), 1) << verb;
    if (!std::string_view(verb).ends_with("--help")) {
      EXPECT_THAT(ReadFile(dir_ / "said").value(), HasSubstr("the output could not be written as a whole")) << verb;
    }
  }
}

TEST_F(Cli, HelpAndUsage) {
  const Outcome help = Call({"run", "--help"});
  EXPECT_EQ(help.exit_code, 0);
  EXPECT_THAT(help.out, HasSubstr("Example:"));
  EXPECT_EQ(Call({"--version"}).exit_code, 0);
  EXPECT_EQ(Call({"fly"}).exit_code, 2);
  EXPECT_EQ(Call({}).exit_code, 2);
  EXPECT_EQ(Call({"run", "--no-such-flag"}).exit_code, 2);
}

}  // namespace
}  // namespace moecap::e2e
