// moecap plan from the outside: answers, refusals, exit codes, files.
#include <gtest/gtest.h>
#include <pty.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "base/fs.h"
#include "base/json.h"
#include "base/testing/temp_dir.h"
#include "program.h"

namespace moecap::e2e {
namespace {

class PlanCli : public testing::Test {
 protected:
  Outcome Call(const std::string& arguments) const { return ShellProgram(temp_.path(), "plan " + arguments); }

  TempDir temp_;
};

TEST_F(PlanCli, AnswersWithBandRunnerUpAndLaunchLine) {
  const Outcome ran = Call("--model Qwen/Qwen3-235B-A22B --clients 200 --tpot 50ms --why-not rtx-4090 --json");
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  const Json plan = *ParseJson(ran.out);
  EXPECT_EQ(plan["schema"], 2);
  EXPECT_TRUE(plan["answered"].get<bool>());
  const Json& best = plan["best"];
  EXPECT_LE(best["tpot_s"].get<double>() * best["margin"].get<double>(), 0.05);
  EXPECT_LT(best["tpot_band_s"]["low"].get<double>(), best["tpot_s"].get<double>());
  EXPECT_GT(best["tpot_band_s"]["high"].get<double>(), best["tpot_s"].get<double>());
  EXPECT_FALSE(plan["runner_up"].is_null());
  EXPECT_NE(plan["start_command"].get<std::string>().find("Qwen3-235B"), std::string::npos);
  EXPECT_EQ(plan["why_not"].size(), 1);
  EXPECT_GE(plan["changes"].size(), 5);
  EXPECT_GE(plan["curve"].size(), 5);
}

// One machine, told to be tuned, to run with default settings, or not told: the same times with a band that reaches further.
TEST_F(PlanCli, ALaunchIsPartOfTheQuestion) {
  const std::string machine =
      "--model openai/gpt-oss-120b --scenario chat --own 1xh200-sxm --no-changes --json --tpot 1s --launch ";
  std::map<std::string, Json> best;
  for (const char* launch : {"tuned", "default", "either"}) {
    const Outcome ran = Call(machine + launch);
    ASSERT_EQ(ran.exit_code, 0) << ran.err;
    const Json plan = *ParseJson(ran.out);
    EXPECT_EQ(plan["question"]["launch"], launch);
    best[launch] = plan["best"];
  }
  EXPECT_GT(best["default"]["tpot_s"].get<double>(), best["tuned"]["tpot_s"].get<double>());
  EXPECT_EQ(best["either"]["tpot_s"], best["tuned"]["tpot_s"]);
  EXPECT_GT(best["either"]["tpot_band_s"]["high"].get<double>(), best["tuned"]["tpot_band_s"]["high"].get<double>());
  EXPECT_GT(best["either"]["default_launch_time"].get<double>(), 1);
  EXPECT_EQ(Call("--model openai/gpt-oss-120b --launch careful").exit_code, 2);
}

// How many a launch lets run, by flag and by file: in the answer, in what binds and in the line that starts the server.
TEST_F(PlanCli, ARunningLimitIsPartOfTheQuestion) {
  const std::string machine = "--model openai/gpt-oss-120b --clients 32 --own 1xh200-sxm --no-changes --json --tpot 1s ";
  const Outcome ran = Call(machine + "--max-running 6");
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_EQ(Call(machine + "--max-running 6 --ttft 100ms").exit_code, 3) << "the line is part of the time to the first token";
  const Json plan = *ParseJson(ran.out);
  EXPECT_EQ(plan["question"]["max_running_requests"], 6);
  const Json& best = plan["best"];
  EXPECT_EQ(best["running_limit_requests"], 6);
  EXPECT_NEAR(best["running_requests"].get<double>(), 6, 1e-4);
  EXPECT_LT(best["decoding_requests"].get<double>(), 6);
  EXPECT_EQ(best["most_running_requests"], 6);
  EXPECT_EQ(best["bound"], "running limit");
  EXPECT_TRUE(best["over_capacity"].get<bool>());
  const std::map<std::string, std::string> flags = {
      {"vllm", "--max-num-seqs 6 "}, {"sglang", "--max-running-requests 6 "}, {"trtllm", "--max_batch_size 6 "}};
  EXPECT_NE(plan["start_command"].get<std::string>().find(flags.at(best["system"])), std::string::npos);
  ASSERT_TRUE(WriteFileAtomically(temp_.path() / "question.yaml",
                                  "model: openai/gpt-oss-120b\nclients: 32\nown: 1xh200-sxm\n"
                                  "tpot: 1s\nmax_running: 6\n")
                  .ok());
  EXPECT_EQ(Call("question.yaml --no-changes --json").out, ran.out);
  EXPECT_TRUE((*ParseJson(Call(machine).out))["best"]["running_limit_requests"].is_null());
  const Outcome none = Call(machine + "--max-running 0");
  EXPECT_EQ(none.exit_code, 2);
  EXPECT_NE(none.err.find("leave it out"), std::string::npos) << none.err;
  const Outcome empty = Call(machine + "--max-running ''");
  EXPECT_EQ(empty.exit_code, 2);
  EXPECT_NE(empty.err.find("--max-running"), std::string::npos) << empty.err;
  EXPECT_NE(empty.err.find("is empty"), std::string::npos) << empty.err;
}

// The weights, the cache and the layout of the answer are what its line starts.
TEST_F(PlanCli, TheLineStartsWhatIsPlanned) {
  const auto line = [&](const std::string& flags) {
    const Outcome ran = Call(flags + " --clients 8 --tpot 1s --no-changes --json");
    EXPECT_EQ(ran.exit_code, 0) << ran.err;
    return (*ParseJson(ran.out))["start_command"].get<std::string>();
  };
  const auto has = [](const std::string& text, const char* part) {
    EXPECT_NE(text.find(part), std::string::npos) << part << " in " << text;
  };
  const std::string offloaded = line("--model openai/gpt-oss-120b --own 2xrtx-4090 --dram 256GB");
  has(offloaded, offloaded.starts_with("llama-server") ? " -m MODEL-mxfp4.gguf " : " --kt-method MXFP4 ");
  has(offloaded, offloaded.starts_with("llama-server") ? " --n-cpu-moe " : " --kt-num-gpu-experts ");
  const std::string amd = line("--model Qwen/Qwen3-30B-A3B --own 1xmi300x --precision fp8 --kv fp8");
  has(amd, " Qwen/Qwen3-30B-A3B ");
  has(amd, " --quantization fp8");
  has(amd, " --kv-cache-dtype fp8");
  const std::string stored = line("--model Qwen/Qwen3-30B-A3B --own 1xmi300x --precision bf16 --fidelity original --kv f16");
  EXPECT_EQ(stored.find("--quantization"), std::string::npos) << stored;
  EXPECT_EQ(stored.find("--kv-cache-dtype"), std::string::npos) << stored;
}

TEST_F(PlanCli, AnImpossibleTargetIsMissedByTheNearest) {
  const Outcome ran = Call("--model openai/gpt-oss-120b --clients 64 --tpot 0.01ms --no-changes");
  EXPECT_EQ(ran.exit_code, 3);
  EXPECT_NE(ran.out.find("nearest"), std::string::npos);
  EXPECT_NE(ran.out.find("TPOT"), std::string::npos);
}

// stdout is more than a buffer holds, and the message on stderr comes behind it.
TEST_F(PlanCli, BothOutputsInOneFileKeepTheirOrder) {
  const std::string command = "cd '" + temp_.path().string() +
                              "' && '" MOECAP_BINARY
                              "' plan --model openai/gpt-oss-120b --clients 64 --tpot 0.01ms >both 2>&1 </dev/null";
  ASSERT_EQ(WEXITSTATUS(std::system(command.c_str())), 3);
  const std::string text = ReadFile(temp_.path() / "both").value();
  EXPECT_GT(text.size(), 4096u);
  const std::string message = "moecap plan: no way keeps every target and limit; the nearest is shown\n";
  EXPECT_EQ(text.find("\n" + message), text.size() - message.size() - 1);
}

TEST_F(PlanCli, RefusesContradictionsAndUnknownWords) {
  EXPECT_EQ(Call("--model openai/gpt-oss-120b --budget 10k --pay rent").exit_code, 2);
  EXPECT_NE(Call("--model openai/gpt-oss-120b --budget 10k --pay rent").err.find("contradict"), std::string::npos);
  EXPECT_EQ(Call("--clients 4").exit_code, 2);
  EXPECT_NE(Call("--model openai/gpt-oss-120b --device h1000").err.find("h100"), std::string::npos);
}

// Two levels that are twice as slow as predicted: the refitted prediction comes nearer to them, and says what moved.
TEST_F(PlanCli, LearnsFromMeasurements) {
  const std::string level =
      R"({"date": "20260428-105748", "backend": "vllm", "model_id": "openai/gpt-oss-120b", "num_prompts": 40,
"request_rate": "inf", "max_concurrency": %C, "duration": 89.2, "completed": 40, "total_input_tokens": 40960,
"total_output_tokens": 20480, "request_throughput": 0.448, "output_throughput": 459.2, "total_token_throughput": 918.4,
"mean_ttft_ms": 200, "mean_tpot_ms": %T, "mean_itl_ms": 10, "p99_ttft_ms": 300, "p99_tpot_ms": 20})";
  const auto at = [&](const char* clients, const char* tpot) {
    std::string text = level;
    text.replace(text.find("%C"), 2, clients);
    text.replace(text.find("%T"), 2, tpot);
    return text;
  };
  ASSERT_TRUE(WriteFileAtomically(temp_.path() / "bench.json", "[" + at("4", "9.0") + "," + at("64", "24.0") + "]").ok());
  const std::string question =
      "--model openai/gpt-oss-120b --clients 4 --input 1024 --output 512 --device h100-sxm --most-devices 2 --offload no "
      "--tpot 1s --no-changes --json";
  const Outcome before = Call(question);
  const Outcome after = Call(question + " --calibrate bench.json --measured-on 2xh100-sxm --measured-with vllm");
  ASSERT_EQ(after.exit_code, 0) << after.err;
  EXPECT_NE(after.out.find("refitted to 2 measured levels"), std::string::npos);
  const auto tpot = [](const Outcome& outcome) { return (*ParseJson(outcome.out))["best"]["tpot_s"].get<double>(); };
  EXPECT_GT(tpot(after), 1.2 * tpot(before));
  EXPECT_EQ(Call("--model openai/gpt-oss-120b --calibrate bench.json").exit_code, 2) << "on which devices?";
}

// llama-bench tells the tokens/s of one client, and nothing of a first token.
TEST_F(PlanCli, LearnsFromLlamaBench) {
  ASSERT_TRUE(WriteFileAtomically(temp_.path() / "bench.json",
                                  R"([{"build_commit": "b6000", "cpu_info": "c", "gpu_info": "NVIDIA GeForce RTX 4090",
"backends": "CUDA", "model_filename": "gpt-oss-20b.gguf", "model_type": "gpt-oss 20B MXFP4 MoE", "n_prompt": 512, "n_gen": 0,
"test_time": "2026-11-01T10:00:00Z", "avg_ts": 9000.0, "stddev_ts": 10.0},
{"build_commit": "b6000", "cpu_info": "c", "gpu_info": "NVIDIA GeForce RTX 4090", "backends": "CUDA",
"model_filename": "gpt-oss-20b.gguf", "model_type": "gpt-oss 20B MXFP4 MoE", "n_prompt": 0, "n_gen": 128,
"test_time": "2026-11-01T10:00:10Z", "avg_ts": 60.0, "stddev_ts": 1.0}])")
                  .ok());
  const std::string question = "--model openai/gpt-oss-20b --clients 1 --own 1xrtx-4090 --tpot 1s --no-changes --json";
  const auto tpot = [](const Outcome& outcome) {
    const Json plan = *ParseJson(outcome.out);
    for (const Json& way : plan["candidates"]) {
      if (way["system"] == "llama-server") return way["tpot_s"].get<double>();
    }
    return 0.0;
  };
  const Outcome before = Call(question);
  const Outcome after = Call(question + " --calibrate bench.json --measured-on 1xrtx-4090 --measured-with llama-server");
  ASSERT_EQ(after.exit_code, 0) << after.err;
  EXPECT_NE(after.out.find("refitted to 1 measured levels"), std::string::npos);
  ASSERT_LT(tpot(before), 1 / 60.0) << "slower than predicted";
  EXPECT_GT(tpot(after), 1.05 * tpot(before));
  EXPECT_LE(tpot(after), 1 / 60.0 * 1.001) << "one level does not overdo it";
}

// A stored run knows model, devices and system itself; one whose cells are not valid calibrates nothing.
TEST_F(PlanCli, CalibratesToStoredRuns) {
  const std::string runs = MOECAP_SOURCE_DIR "/results/reference";
  const std::string question =
      "--model openai/gpt-oss-120b --clients 4 --device h200-sxm --tpot 1s --no-changes --json --calibrate ";
  const Outcome run = Call(question + runs + "/h200-vllm-qwen3-30b-a3b");
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_NE(run.out.find("refitted to 3 measured levels"), std::string::npos) << run.out.substr(0, 2000);
  EXPECT_NE(run.out.find("Levels left out: 1."), std::string::npos);
  const Outcome all = Call(question + runs);
  ASSERT_EQ(all.exit_code, 0) << all.err;
  EXPECT_NE(all.out.find("refitted to 81 measured levels"), std::string::npos) << all.out.substr(0, 2000);
  EXPECT_EQ(Call(question + runs + "/h200-transformers-qwen3-30b-a3b-graphs").exit_code, 2) << "a system that is not planned";
}

// A step of the shipped model's own training: models/tiny-moe/learning_curve.csv, 65,536 tokens in 26.01 ms on an H200.
TEST_F(PlanCli, TrainingTellsWhatAMeasuredStepReached) {
  const std::string question = "training --model '" MOECAP_SOURCE_DIR
                               "/models/tiny-moe/tiny-moe-f16.gguf' --on 1xh200-sxm --sequence 512 --tokens-per-step 65536 "
                               "--micro-batch 65536 --usd-per-h 3.6 --json";
  const Outcome measured = Call(question + " --step-s 0.02601");
  ASSERT_EQ(measured.exit_code, 0) << measured.err;
  const Json json = *ParseJson(measured.out);
  EXPECT_NEAR(json["s_mfu_low"].get<double>(), 0.063, 0.001);
  EXPECT_NEAR(json["usd_per_million_tokens_low"].get<double>(), 3.6 / 3600 * 0.02601 / 65536 * 1e6, 1e-9);
  const Outcome predicted = Call(question);
  ASSERT_EQ(predicted.exit_code, 0) << predicted.err;
  EXPECT_LT((*ParseJson(predicted.out))["step_high_s"].get<double>(), 0.02601);
  EXPECT_EQ(Call(question + " --device-hours 10").exit_code, 2) << "for how many tokens?";
}

TEST_F(PlanCli, WritesItsFiles) {
  const std::filesystem::path dir = temp_.path() / "plan";
  const Outcome ran = Call("--model openai/gpt-oss-120b --scenario chat --no-changes --write-to " + dir.string());
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  for (const char* name : {"plan.json", "report.html", "report.md", "report.csv"})
    EXPECT_TRUE(ReadFile(dir / name).ok()) << name;
  const std::string page = *ReadFile(dir / "report.html");
  for (const char* part :
       {"plan-pareto", "hardware-map", "decision matrix (Table 7)", "SGLang or vLLM, original weights on devices"})
    EXPECT_NE(page.find(part), std::string::npos) << part;
}

TEST_F(PlanCli, WhatIsOfOneModelIsRefusedForAll) {
  const auto refuses = [&](const std::string& flag, const std::string& rest) {
    const Outcome ran = Call("--model any --scenario single-user --own 2xrtx-4090 --dram 256GB " + flag + " " + rest);
    EXPECT_EQ(ran.exit_code, 2) << flag;
    EXPECT_NE(ran.err.find(flag + " is for one model"), std::string::npos) << ran.err;
  };
  refuses("--sheet", "sheet.json");
  refuses("--calibrate", "bench.json --measured-on 2xh100-sxm --measured-with vllm");
  refuses("--write-to", "plan");
  refuses("--precision", "fp8");
  EXPECT_FALSE(std::filesystem::exists(temp_.path() / "plan"));
}

TEST_F(PlanCli, ATrainingStepIsNoFasterThanItsMachine) {
  const std::string training = "training --model Qwen/Qwen3-30B-A3B ";
  const Outcome fast = Call(training + "--on 64xh100-sxm --step-s 0.001");
  EXPECT_EQ(fast.exit_code, 0);
  EXPECT_NE(fast.out.find("No such machine is that fast"), std::string::npos) << fast.out;
  const Json answer = *ParseJson(Call(training + "--on 64xh100-sxm --step-s 0.001 --json").out);
  EXPECT_TRUE(answer["faster_than_peaks"].get<bool>());
  const std::string slower = std::to_string(1.01 * answer["least_step_s"].get<double>());
  EXPECT_EQ(Call(training + "--on 64xh100-sxm --step-s " + slower).out.find("No such machine"), std::string::npos);
  EXPECT_NE(Call(training + "--on 8xa100-80-sxm --products fp8").out.find("multiplies nothing in fp8"), std::string::npos);
  const Outcome little = Call(training + "--on 64xh100-sxm --tokens-per-step 1");
  EXPECT_EQ(little.exit_code, 2) << little.out;
  EXPECT_NE(little.err.find("each of 64 replicas"), std::string::npos) << little.err;
}

// Words of a calibration without one, and systems that have no multipliers.
TEST_F(PlanCli, RefusesACalibrationOfNothing) {
  const std::string question = "--model openai/gpt-oss-20b --no-changes ";
  for (const char* flag : {"--measured-on 2xh100-sxm", "--measured-with vllm"}) {
    const Outcome ran = Call(question + flag);
    EXPECT_EQ(ran.exit_code, 2) << ran.out;
    EXPECT_NE(ran.err.find("name them with --calibrate"), std::string::npos) << ran.err;
  }
  const Outcome unknown = Call(question + "--calibrate x.json --measured-on 2xh100-sxm --measured-with tgi");
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_NE(unknown.err.find("tgi not in {vllm,sglang,trtllm,llama-server}"), std::string::npos) << unknown.err;
}

TEST_F(PlanCli, AQuestionGivesAKeyOnce) {
  ASSERT_TRUE(WriteFileAtomically(temp_.path() / "q.yaml", "model: openai/gpt-oss-20b\nclients: 4\nclients: 8\n").ok());
  const Outcome twice = Call("q.yaml");
  EXPECT_EQ(twice.exit_code, 2) << twice.out;
  EXPECT_NE(twice.err.find("q.yaml:3: \"clients\" is given twice; line 2"), std::string::npos) << twice.err;
}

// NaN is outside no range for a comparison that is not careful, and 0 is not "not given".
TEST_F(PlanCli, RefusesNumbersThatAreNone) {
  const std::string drafts = "drafts --model Qwen/Qwen3-30B-A3B ",
                    load = "load --model Qwen/Qwen3-30B-A3B --devices 1xh100-sxm ",
                    training = "training --model Qwen/Qwen3-30B-A3B --on 8xh100-sxm ", plan = "--model Qwen/Qwen3-30B-A3B ";
  struct Case {
    std::string verb, flag, value, range;
  };
  const Case cases[] = {{drafts, "--bandwidth-bytes-per-s", "nan", "[1e+06 - 1e+21]"},
                        {drafts, "--bandwidth-bytes-per-s", "0", "[1e+06 - 1e+21]"},
                        {drafts, "--bandwidth-bytes-per-s", "-5", "[1e+06 - 1e+21]"},
                        {drafts, "--flops-per-s", "1e-300", "[1e+06 - 1e+21]"},
                        {drafts, "--acceptance", "nan", "[0 - 1]"},
                        {drafts, "--pass-s", "nan", "[0 - 10]"},
                        {drafts, "--draft-s", "inf", "[0 - 10]"},
                        {training, "--sequence", "nan", "[1 - 1e+15]"},
                        {training, "--step-s", "nan", "[1e-09 - 1e+09]"},
                        {training, "--usd-per-h", "-1", "[0 - 1e+06]"},
                        {load, "--usd-per-h", "nan", "[0 - 1e+06]"},
                        {load, "--idle-power", "nan", "[0 - 1]"},
                        {load, "--rates", "nan", "[1e-09 - 1e+09]"},
                        {plan, "--tpot", "nan", "no number"},
                        {plan, "--clients", "1e308k", "too large"},
                        {plan, "--ttft", "-1", "a time above 0"},
                        {plan, "--budget", "-1", "an amount above 0"},
                        {plan, "--input", "0", "1 to 10,000,000"},
                        {plan, "--speed", "1e300", "at most 1e+06"},
                        {plan, "--rate", "-1", "requests_per_s: a load of -1"},
                        {plan, "--margin", "9", "from 1 to 4"}};
  for (const Case& one : cases) {
    const Outcome ran = Call(one.verb + one.flag + " " + one.value);
    EXPECT_EQ(ran.exit_code, 2) << one.flag << " " << one.value << "\n" << ran.out << ran.err;
    EXPECT_NE(ran.err.find(one.range), std::string::npos) << one.flag << " " << one.value << "\n" << ran.err;
    EXPECT_TRUE(one.verb == plan || ran.err.find(one.flag + ": " + one.value) != std::string::npos) << ran.err;
  }
  // Of any verb, with or without a range of its own.
  for (const char* call : {"mock --kv-gb nan", "load http://127.0.0.1:9 --timeout nan", "compare --level nan x"}) {
    const Outcome ran = ShellProgram(temp_.path(), call);
    EXPECT_EQ(ran.exit_code, 2) << call;
    EXPECT_NE(ran.err.find("nan is no finite number"), std::string::npos) << ran.err;
  }
  const Outcome free = Call(training + "--usd-per-h 0 --step-s 2 --json");
  EXPECT_EQ((*ParseJson(free.out))["usd_per_h"], 0) << "given, so not the catalogue's";
}

TEST_F(PlanCli, ListsTheModelsThatAMachineServes) {
  const Outcome ran = Call("--model any --scenario single-user --own 2xrtx-4090 --dram 256GB --speed 10 --fidelity any --json");
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  const Json plans = (*ParseJson(ran.out))["plans"];
  int answered = 0;
  for (const Json& plan : plans) answered += plan["answered"].get<bool>();
  EXPECT_GT(answered, 3);
  EXPECT_LT(answered, static_cast<int>(plans.size()));
}

std::string ReferenceTrace(const std::string& clients) {
  return MOECAP_SOURCE_DIR "/results/reference/h200-transformers-qwen3-30b-a3b-recorded/measurements/transformers-clients-" +
         clients + "-0/routing.moetrace";
}

TEST_F(PlanCli, SaysWhetherDraftsPay) {
  const Outcome ran = Call("drafts " + ReferenceTrace("1") + " --model Qwen/Qwen3-30B-A3B --acceptance 0.5 --most 3 --json");
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  const Json answer = *ParseJson(ran.out);
  EXPECT_EQ(answer["experts_source"], "decoded tokens");
  ASSERT_EQ(answer["drafts"].size(), 4u);
  EXPECT_DOUBLE_EQ(answer["drafts"][0]["distinct_experts"].get<double>(), 8);
  EXPECT_EQ(answer["drafts"][1]["windows"], 126);
  EXPECT_DOUBLE_EQ(answer["drafts"][3]["tokens_per_pass"].get<double>(), 1.875);
  const Outcome estimated = Call("drafts --model Qwen/Qwen3-30B-A3B");
  EXPECT_EQ(estimated.exit_code, 0) << estimated.err;
  EXPECT_NE(estimated.out.find("estimated"), std::string::npos);
  EXPECT_EQ(Call("drafts " + ReferenceTrace("1") + " --model Qwen/Qwen3-235B-A22B").exit_code, 2) << "another model's trace";
  EXPECT_EQ(Call("drafts " + ReferenceTrace("4") + " --model Qwen/Qwen3-30B-A3B").exit_code, 2) << "no single tokens";
}

TEST_F(PlanCli, SaysHowManyExpertsFit) {
  const std::string machine = " --model Qwen/Qwen3-30B-A3B --own 1xrtx-4090 --dram 64GB ";
  const Outcome ran = Call("experts " + ReferenceTrace("4") + machine + "--clients 4 --json");
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  const Json answer = *ParseJson(ran.out);
  EXPECT_EQ(answer["n_cpu_moe"].get<int>() + answer["layers_on_devices"].get<int>(), 48);
  EXPECT_TRUE(answer["cache_helps"].get<bool>());
  EXPECT_EQ(answer["ways"].size(), 3u);
  EXPECT_EQ(answer["hits"]["lru"].size(), 129u);
  const Outcome estimated = Call("experts" + machine);
  EXPECT_NE(estimated.out.find("--n-cpu-moe"), std::string::npos) << estimated.err;
  EXPECT_EQ(Call("experts --model Qwen/Qwen3-30B-A3B --own h1000").exit_code, 2);
  EXPECT_EQ(Call("experts --model Qwen/Qwen3-30B-A3B --own m3-ultra").exit_code, 2) << "unified memory has no host behind it";
}

TEST_F(PlanCli, SaysWhetherExpertsShouldMove) {
  const std::string question = "ranks " + ReferenceTrace("4") + " --model Qwen/Qwen3-30B-A3B ";
  const Outcome ran = Call(question + "--ep 8 --redundant 0,8 --write-placement p.json --json");
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  const Json answer = *ParseJson(ran.out);
  EXPECT_EQ(answer["placements"].size(), 3u);
  EXPECT_GT(answer["placements"][0]["later"]["tokens_max_over_mean"].get<double>(), 1.2);
  const Json& moved = answer["placements"][1];
  EXPECT_LT(moved["gain_low"].get<double>(), moved["gain"].get<double>());
  EXPECT_EQ(answer["fitted_passes"].get<int>() + answer["later_passes"].get<int>(), 129);
  // The placement that was written is today's of the next question: nothing is left to gain by moving.
  const Outcome again = Call(question + "--ep 8 --redundant 0 --placement p.json --json");
  ASSERT_EQ(again.exit_code, 0) << again.err;
  EXPECT_NEAR((*ParseJson(again.out))["placements"][1]["gain"].get<double>(), 1, 1e-9);
  EXPECT_EQ(Call(question + "--ep 7").exit_code, 2) << "128 experts on 7 ranks";
  EXPECT_EQ(Call(question + "--redundant 3").exit_code, 2);
  EXPECT_EQ(Call(question + "--placement missing.json").exit_code, 2);
}

TEST_F(PlanCli, SaysWhetherPromptsGetDevicesOfTheirOwn) {
  const std::string question = "apart --model openai/gpt-oss-120b --devices 16xh100-sxm ";
  const Outcome ran = Call(question + "--input 8000 --output 300 --ttft 3s --tpot 20ms --json");
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  const Json answer = *ParseJson(ran.out);
  EXPECT_GT(answer["apart_requests_per_s"].get<double>(), 0);
  EXPECT_GT(answer["kv_bytes"].get<double>(), 0);
  const Outcome loose = Call(question + "--input 500 --output 2000 --ttft 3s --tpot 1s");
  EXPECT_NE(loose.out.find("Not here, because"), std::string::npos) << loose.out;
  const Outcome one =
      Call("apart --model Qwen/Qwen3-30B-A3B --devices 2xh100-sxm --input 32000 --output 100 --tpot 10ms --ttft 5s");
  EXPECT_EQ(one.exit_code, 0);
  EXPECT_NE(one.out.find("measure before you divide"), std::string::npos)
      << "1.6 times as much, but not at the end of the band";
  EXPECT_EQ(one.out.find("Not here"), std::string::npos) << one.out;
  const Outcome none = Call("apart --model Qwen/Qwen3-30B-A3B --devices 2xh100-sxm --tpot 0.001ms");
  EXPECT_EQ(none.exit_code, 3);
  EXPECT_NE(none.out.find("Neither one pool nor two"), std::string::npos) << none.out;
  EXPECT_EQ(none.out.find("one pool of"), std::string::npos) << none.out;
  EXPECT_EQ(Call("apart --model openai/gpt-oss-120b --devices 1xh100-sxm").exit_code, 2);
  EXPECT_EQ(Call("apart --model openai/gpt-oss-120b --devices 8xh1000").exit_code, 2);
}

TEST_F(PlanCli, SaysWhatATokenCostsAtALoad) {
  const std::string question = "load --model Qwen/Qwen3-30B-A3B --devices 1xh100-sxm --input 512 --output 256 ";
  const Outcome ran = Call(question + "--tpot 30ms --usd-per-h 6.98 --rates 1,200 --write-to costs --json");
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  const Json answer = *ParseJson(ran.out);
  EXPECT_NEAR(answer["points"][0]["rent_usd_per_million_output_tokens"].get<double>(), 7.574, 0.001);
  EXPECT_TRUE(answer["points"][1]["saturated"].get<bool>());
  EXPECT_GT(answer["spread"].get<double>(), 17);
  EXPECT_EQ(answer["breaks"], "TPOT");
  EXPECT_NE(ReadFile(temp_.path() / "costs" / "report.html")->find("load-cost"), std::string::npos);
  const Outcome both = Call(question + "--json");
  EXPECT_FALSE((*ParseJson(both.out))["points"][0]["own_usd_per_million_output_tokens"].is_null()) << both.err;
  EXPECT_EQ(Call(question + "--rates 0").exit_code, 2);
  EXPECT_EQ(Call("load --model deepseek-ai/DeepSeek-V3 --devices 1xh100-sxm").exit_code, 2);
}

TEST_F(PlanCli, SaysWhichDevicesSuffice) {
  const Outcome ran = Call("devices --model openai/gpt-oss-20b --tpot 100ms --batch 64,1 --write-to map --json");
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  const Json answer = *ParseJson(ran.out);
  ASSERT_EQ(answer["classes"].size(), 4u);
  for (const Json& one : answer["classes"]) EXPECT_GE(one["devices"].get<int>(), 10) << one["class"];
  EXPECT_EQ(answer["needs"][0]["batch"], 1);
  EXPECT_LT(answer["needs"][0]["bandwidth_bytes_per_s"].get<double>(),
            answer["needs"][1]["bandwidth_bytes_per_s"].get<double>());
  EXPECT_NE(ReadFile(temp_.path() / "map" / "report.html")->find("hardware-map"), std::string::npos);
  EXPECT_EQ(Call("devices --model openai/gpt-oss-20b --batch 0").exit_code, 2);
}

// On a terminal of its own, all answers typed ahead: one that cannot be is asked again.
TEST_F(PlanCli, AsksOnATerminal) {
  int terminal = -1;
  const pid_t child = ::forkpty(&terminal, nullptr, nullptr, nullptr);
  ASSERT_GE(child, 0);
  if (child == 0) {
    if (::chdir(temp_.path().c_str()) != 0 || std::freopen("out", "w", stdout) == nullptr) ::_exit(99);
    ::execl(MOECAP_BINARY, MOECAP_BINARY, "plan", nullptr);
    ::_exit(98);
  }
  const std::string typed = "openai/gpt-oss-20b\nsingle-user\n\nlease\nrent\n\n50ms\n";
  ASSERT_EQ(::write(terminal, typed.data(), typed.size()), static_cast<ssize_t>(typed.size()));
  std::string shown;
  char buffer[4096];
  for (ssize_t size = ::read(terminal, buffer, sizeof buffer); size > 0; size = ::read(terminal, buffer, sizeof buffer))
    shown.append(buffer, static_cast<size_t>(size));
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ::close(terminal);
  EXPECT_NE(shown.find("'lease' is neither buy nor rent"), std::string::npos) << shown;
  EXPECT_NE(shown.find("moecap plan --model openai/gpt-oss-20b --scenario single-user"), std::string::npos) << shown;
}

}  // namespace
}  // namespace moecap::e2e
