#include "experiment/iteration_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace moecap::experiment {
namespace {

using testing::ElementsAre;

std::string Line(int prompts, int prompt_tokens, int answers, const char* engine = "000") {
  return "(EngineCore pid=7) INFO 11-30 02:04:22 [loggers.py:1] Engine " + std::string(engine) +
         ": Iteration(12): " + std::to_string(prompts) + " context requests, " + std::to_string(prompt_tokens) +
         " context tokens, " + std::to_string(answers) + " generation requests, " + std::to_string(answers) +
         " generation tokens, iteration elapsed time: 0.07 ms, GPU KV cache usage: 0.0%\n";
}

record::PassRecord Pass(std::vector<record::SequenceSlice> sequences) {
  record::PassRecord pass;
  pass.sequences = std::move(sequences);
  return pass;
}

TEST(IterationLog, IsReadLineByLine) {
  EXPECT_THAT(ReadIterationLog("INFO: GET /v1/models\n" + Line(2, 64, 0) + Line(1, 32, 2) + Line(0, 0, 0) +
                               "Iteration(x): 1\n" + Line(0, 0, 3)),
              ElementsAre(LoggedPass{2, 64}, LoggedPass{3, 34}, LoggedPass{3, 3}));
  EXPECT_TRUE(ReadIterationLog("").empty());
  EXPECT_TRUE(ReadIterationLog(Line(1, 1, 0) + Line(1, 1, 0, "001")).empty()) << "who served whom is not told";
  EXPECT_TRUE(ReadIterationLog("Iteration(1): 99999999999999999999 context requests, 1 context tokens").empty());
}

TEST(IterationLog, PassesAreComparedInOrder) {
  const std::vector<LoggedPass> logged = {{1, 32}, {2, 33}, {2, 2}, {2, 2}, {1, 1}};
  const std::vector<record::PassRecord> same = {Pass({{0, 32, 1}}), Pass({{32, 1, 1}, {0, 32, 1}}), Pass({{32, 1, 2}}),
                                                Pass({{33, 1, 2}}), Pass({{34, 1, 1}})};
  EXPECT_EQ(CountAlike(logged, same), 5);
  std::vector<record::PassRecord> missing = same;
  missing.erase(missing.begin() + 1);
  EXPECT_EQ(CountAlike(logged, missing), 4) << "one is missing, those behind it count";
  std::vector<record::PassRecord> other = same;
  other[2] = Pass({{32, 1, 3}});
  EXPECT_EQ(CountAlike(logged, other), 4);
  EXPECT_EQ(CountAlike(logged, {}), 0);
  EXPECT_EQ(CountAlike({}, same), 0);
}

}  // namespace
}  // namespace moecap::experiment
