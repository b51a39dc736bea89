#include "metrics/shared_pause.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace moecap::metrics {
namespace {

using testing::HasSubstr;

// Sent at `send_s`, its first token `ttft_s` later, then one each `gap_s`; nothing comes in [from, to): what was due then comes
// that much later.
record::RequestRecord Answer(double send_s, double ttft_s, int tokens, double gap_s, double from = 0, double to = 0) {
  record::RequestRecord request;
  request.intended_send_s = request.send_s = send_s;
  double late_s = 0;
  for (int i = 0; i < tokens; ++i) {
    double at_s = send_s + ttft_s + i * gap_s + late_s;
    if (late_s == 0 && at_s >= from && at_s < to) {
      late_s = to - at_s;
      at_s = to;
    }
    request.token_s.push_back(at_s);
  }
  request.output_tokens = tokens;
  return request;
}

TEST(SharedPause, IsFoundWhereNoStreamBringsAToken) {
  std::vector<record::RequestRecord> requests;
  for (int i = 0; i < 4; ++i) requests.push_back(Answer(0.001 * i, 0.1, 200, 0.01, 1.0, 2.3));
  const auto found = FindSharedPauses(requests);
  ASSERT_TRUE(found);
  EXPECT_DOUBLE_EQ(found->bound_s, 0.3) << "3 x 0.1";
  ASSERT_EQ(found->pauses.size(), 1u);
  EXPECT_EQ(found->pauses[0].streams, 4);
  EXPECT_NEAR(found->pauses[0].end_s - found->pauses[0].begin_s, 1.3, 0.011);
  EXPECT_NEAR(found->share, 1.3 / 3.39, 0.01) << "0.1 s, 199 gaps of 0.01 s and the pause";
  const Gate gate = SharedPauseGate(requests);
  EXPECT_TRUE(gate.tripped());
  EXPECT_THAT(gate.explanation, HasSubstr("1 time no stream brought a token, for up to 1.3"));
}

TEST(SharedPause, OneStreamThatWaitsAloneIsNone) {
  std::vector<record::RequestRecord> requests = {Answer(0, 0.1, 300, 0.01, 1.0, 2.0), Answer(0, 0.1, 300, 0.01)};
  EXPECT_TRUE(FindSharedPauses(requests)->pauses.empty());
  EXPECT_EQ(SharedPauseGate(requests).state, Gate::State::kPassed);
}

TEST(SharedPause, NothingIsMissedBetweenAnswers) {
  // A server without a request for two seconds.
  std::vector<record::RequestRecord> requests = {Answer(0, 0.1, 50, 0.01), Answer(3, 0.1, 50, 0.01)};
  EXPECT_TRUE(FindSharedPauses(requests)->pauses.empty());
}

TEST(SharedPause, APromptThatIsComputedAloneIsNone) {
  // The others stop for as long as a prompt takes, 0.8 s, each time that one is sent.
  std::vector<record::RequestRecord> requests;
  for (int i = 0; i < 6; ++i) requests.push_back(Answer(i, 0.8, 60, 0.02, i + 1.0, i + 1.8));
  EXPECT_TRUE(FindSharedPauses(requests)->pauses.empty());
}

TEST(SharedPause, TooFewTokensAreNotJudged) {
  EXPECT_FALSE(FindSharedPauses({}));
  record::RequestRecord whole = Answer(0, 1, 100, 0);
  whole.timing_gap = record::TimingGap::kCameWhole;
  const std::vector<record::RequestRecord> requests = {whole, Answer(0, 0.1, 10, 0.01)};
  EXPECT_EQ(SharedPauseGate(requests).state, Gate::State::kNotMeasured);
}

}  // namespace
}  // namespace moecap::metrics
