#include "app/measured_levels.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/fs.h"
#include "base/testing/temp_dir.h"

namespace moecap::app {
namespace {

// A stored run of vLLM, as it is and as if its pages had told how many requests it lets run.
TEST(MeasuredLevels, KnowHowManyTheServerLetRun) {
  const hardware::Catalogue devices = *hardware::Catalogue::Builtin();
  const TempDir temp;
  const std::filesystem::path run = temp.path() / "run";
  std::filesystem::copy(MOECAP_SOURCE_DIR "/results/reference/h200-vllm-qwen3-30b-a3b", run,
                        std::filesystem::copy_options::recursive);
  MeasuredLevels untold(devices), told(devices);
  ASSERT_TRUE(untold.Add(run).ok());
  ASSERT_FALSE(untold.levels().empty());
  for (const MeasuredLevel& level : untold.levels()) EXPECT_EQ(level.observation.running_limit, planner::kNoRunningLimit);
  std::string manifest = ReadFile(run / "manifest.json").value();
  const std::string fact = "\"context\":\"2048 tokens\"";
  ASSERT_NE(manifest.find(fact), std::string::npos);
  manifest.replace(manifest.find(fact), fact.size(), "\"batch limit\":\"8 requests\"," + fact);
  ASSERT_TRUE(WriteFileAtomically(run / "manifest.json", manifest).ok());
  ASSERT_TRUE(told.Add(run).ok());
  ASSERT_EQ(told.levels().size(), untold.levels().size());
  for (const MeasuredLevel& level : told.levels()) {
    EXPECT_EQ(level.observation.running_limit, 8);
    EXPECT_EQ(level.observation.deployment.tensor, 1);
    const auto factors = planner::Multipliers::Builtin()->FactorsOf("vllm", *level.observation.device);
    EXPECT_LE(Predict(level.observation, factors).running, 8 + 1e-3);
  }
}

}  // namespace
}  // namespace moecap::app
