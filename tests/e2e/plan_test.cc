// moecap plan from the outside: answers, refusals, exit codes, files.
#include <gtest/gtest.h>

#include <filesystem>
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
  EXPECT_EQ(plan["schema"], 1);
  EXPECT_TRUE(plan["answered"].get<bool>());
  const Json& best = plan["best"];
  EXPECT_LE(best["tpot_s"].get<double>() * best["margin"].get<double>(), 0.05);
  EXPECT_LT(best["tpot_band_s"]["low"].get<double>(), best["tpot_s"].get<double>());
  EXPECT_GT(best["tpot_band_s"]["high"].get<double>(), best["tpot_s"].get<double>());
  EXPECT_FALSE(plan["runner_up"].is_null());
  EXPECT_NE(plan["launch"].get<std::string>().find("Qwen3-235B"), std::string::npos);
  EXPECT_EQ(plan["why_not"].size(), 1);
  EXPECT_GE(plan["changes"].size(), 5);
  EXPECT_GE(plan["curve"].size(), 5);
}

TEST_F(PlanCli, AnImpossibleTargetIsMissedByTheNearest) {
  const Outcome ran = Call("--model openai/gpt-oss-120b --clients 64 --tpot 0.01ms --no-changes");
  EXPECT_EQ(ran.exit_code, 3);
  EXPECT_NE(ran.out.find("nearest"), std::string::npos);
  EXPECT_NE(ran.out.find("TPOT"), std::string::npos);
}

TEST_F(PlanCli, RefusesContradictionsAndUnknownWords) {
  EXPECT_EQ(Call("--model openai/gpt-oss-120b --budget 10k --pay rent").exit_code, 2);
  EXPECT_NE(Call("--model openai/gpt-oss-120b --budget 10k --pay rent").err.find("contradict"), std::string::npos);
  EXPECT_EQ(Call("--clients 4").exit_code, 2);
  EXPECT_NE(Call("--model openai/gpt-oss-120b --device h1000").err.find("h100"), std::string::npos);
}

TEST_F(PlanCli, WritesItsFiles) {
  const std::filesystem::path dir = temp_.path() / "plan";
  const Outcome ran = Call("--model openai/gpt-oss-120b --scenario chat --no-changes --write-to " + dir.string());
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  for (const char* name : {"plan.json", "report.html", "report.md", "report.csv"})
    EXPECT_TRUE(ReadFile(dir / name).ok()) << name;
  EXPECT_NE(ReadFile(dir / "report.html")->find("plan-pareto"), std::string::npos);
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

}  // namespace
}  // namespace moecap::e2e
