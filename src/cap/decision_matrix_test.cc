#include "cap/decision_matrix.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace moecap::cap {
namespace {

using testing::HasSubstr;

std::vector<std::string> Systems(const std::vector<DecisionRow>& rows) {
  std::vector<std::string> systems;
  for (const DecisionRow& row : rows) systems.push_back(row.system + ", " + row.configuration);
  return systems;
}

TEST(DecisionMatrix, HoldsTheSixRowsOfThePaper) {
  const DecisionMatrix matrix = BuiltinDecisionMatrix();
  EXPECT_EQ(matrix.rows.size(), 6u);
  EXPECT_THAT(matrix.source, HasSubstr("Table 7"));
}

TEST(DecisionMatrix, LooksUpTierBatchAndGoal) {
  const DecisionMatrix matrix = BuiltinDecisionMatrix();
  EXPECT_THAT(Systems(FindDecisions(matrix, "workstation", 4, "accuracy")),
              testing::ElementsAre("MoE-Infinity, expert offload", "K-Transformers, quantised"));
  EXPECT_THAT(Systems(FindDecisions(matrix, "workstation", 4, "cost")),
              testing::ElementsAre("K-Transformers, quantised", "MoE-Infinity, expert offload"));
  EXPECT_THAT(Systems(FindDecisions(matrix, "workstation", 64, "latency")), testing::ElementsAre("SGLang or vLLM, FP16"));
  EXPECT_THAT(Systems(FindDecisions(matrix, "datacenter", 64, "accuracy")),
              testing::ElementsAre("SGLang or vLLM, FP16", "SGLang or vLLM, FP8, mixed precision"));
  EXPECT_EQ(FindDecisions(matrix, "datacenter", 16, "throughput").size(), 3u) << "16 belongs to both ranges";
  EXPECT_TRUE(FindDecisions(matrix, "", 16, "throughput").empty());
}

TEST(DecisionMatrix, NamesWhatIsWrong) {
  const auto message = [](const char* row) {
    const auto matrix = ParseDecisionMatrix(std::string(R"({"source":"s","rows":[)") + row + "]}");
    return matrix.ok() ? "" : matrix.error().message;
  };
  const char* good = R"({"tier":"t","hardware":"h","primary":"cost","secondary":"power","system":"s","configuration":"c",
                        "reason":"r","use_case":"u"})";
  EXPECT_EQ(message(good), "");
  EXPECT_THAT(message(R"({"tier":"t"})"), HasSubstr("rows[0]: \"hardware\" is missing"));
  EXPECT_THAT(message(R"({"tier":"t","hardware":"h","primary":"speed"})"),
              HasSubstr("\"primary\" is \"speed\"; choose one of"));
  std::string wrong = good;
  wrong.insert(1, R"("least_batch":9,"largest_batch":8,)");
  EXPECT_THAT(message(wrong.c_str()), HasSubstr("\"largest_batch\" is below"));
  EXPECT_THAT(message("3"), HasSubstr("rows[0]: not an object"));
  EXPECT_THAT(ParseDecisionMatrix("[]").error().message, HasSubstr("not a decision matrix"));
}

TEST(GoalOf, SpeaksTheMatrixLanguage) {
  EXPECT_EQ(GoalOf(AxisId::kTpot), "latency");
  EXPECT_EQ(GoalOf(AxisId::kGoodput), "throughput");
  EXPECT_EQ(GoalOf(AxisId::kPowerW), "power");
  EXPECT_EQ(GoalOf(AxisId::kPurchaseUsd), "cost");
  EXPECT_EQ(GoalOf(AxisId::kSMbu), "");
}

}  // namespace
}  // namespace moecap::cap
