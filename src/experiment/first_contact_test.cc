// What an experiment does so that the first requests to a strange server neither end it nor are taken for more than they are.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/testing/temp_dir.h"
#include "experiment/runner.h"
#include "experiment/summarize.h"
#include "experiment/testing/fake_driver.h"

namespace moecap::experiment {
namespace {

using cap::FigureId;
using testing::AllOf;
using testing::HasSubstr;

class FirstContact : public testing::Test {
 protected:
  Config Parse(const std::string& text) {
    auto config = ParseConfig("server: {url: \"http://far:1\"}\n" + text, "c.yaml", temp_.path());
    EXPECT_TRUE(config.ok()) << (config.ok() ? "" : config.error().message);
    return std::move(config).value();
  }
  Result<Experiment> Prepare(const Config& config) {
    return Experiment::Prepare(
        config,
        [this](const SystemConfig& system, const Config&) -> Result<std::unique_ptr<SystemDriver>> {
          return std::unique_ptr<SystemDriver>(new FakeDriver(system, clock, log));
        },
        clock);
  }
  // Measured and read back.
  Result<Results> Measure(const std::string& text) {
    const Config config = Parse(text);
    ASSIGN_OR_RETURN(Experiment experiment, Prepare(config));
    Manifest manifest;
    manifest.run_id = "run-1";
    manifest.config = config;
    RETURN_IF_ERROR(experiment.Describe(manifest));
    ASSIGN_OR_RETURN(Results results, Results::Create(temp_.path() / "results", std::move(manifest)));
    RETURN_IF_ERROR(experiment.Execute(results, {}));
    return Results::Open(results.dir());
  }
  static metrics::Gate GateOf(const Results& results, const std::string& name) {
    const auto summary = Summarize(results);
    EXPECT_TRUE(summary.ok());
    for (const metrics::Gate& gate : summary->systems.at(0).cells.at(0).gates) {
      if (gate.name == name) return gate;
    }
    ADD_FAILURE() << "no gate " << name;
    return {};
  }

  TempDir temp_;
  FakeClock clock;
  DriverLog log;
};

constexpr const char* kSmall = "workload: {requests: 8, input_tokens: 16, output_tokens: 4}\nwarmup_requests: 4\n";

TEST_F(FirstContact, NoIdIsSentThatTheModelDoesNotHave) {
  log.vocabulary = Vocabulary{1024, {}, "n_vocab of /v1/models"};
  const auto results = Measure(kSmall);
  ASSERT_TRUE(results.ok()) << results.error().message;
  for (const load::RequestSpec& request : log.seen) {
    for (const int32_t id : request.prompt_token_ids) {
      EXPECT_GE(id, 128);
      EXPECT_LT(id, 1024);
    }
  }
  EXPECT_THAT(results->manifest().notes, testing::Contains(HasSubstr("n_vocab of /v1/models")));
}

TEST_F(FirstContact, AServerThatTellsNothingGetsWords) {
  log.vocabulary.reset();
  const auto results = Measure(kSmall);
  ASSERT_TRUE(results.ok()) << results.error().message;
  for (const load::RequestSpec& request : log.seen) EXPECT_TRUE(request.prompt_token_ids.empty());
  EXPECT_THAT(results->manifest().notes, testing::Contains(HasSubstr("--vocabulary")));
}

TEST_F(FirstContact, AServerThatEndsDuringTheWarmUpIsToldWithWhatItWasSent) {
  log.fail = [](const load::RequestSpec& request) {
    return request.prompt_token_ids.empty() ? record::RequestError::kNone : record::RequestError::kResetMidstream;
  };
  const auto results = Measure(kSmall);
  ASSERT_FALSE(results.ok());
  EXPECT_THAT(results.error().message, AllOf(HasSubstr("stopped answering during the warm-up"), HasSubstr("16 token ids from"),
                                             HasSubstr("4 tokens to generate"), HasSubstr("--vocabulary")));
}

TEST_F(FirstContact, EqualQuestionsAreAskedInEveryMeasurement) {
  log.say = [](const load::RequestSpec& request) { return request.prompt.empty() ? "" : " 7."; };
  const auto results = Measure(std::string(kSmall) + "load: {clients: [1, 2]}\n");
  ASSERT_TRUE(results.ok()) << results.error().message;
  std::set<std::string> questions, salts;
  for (const load::RequestSpec& request : log.seen) {
    if (!request.id.starts_with("control-")) continue;
    questions.insert(request.prompt);
    salts.insert(request.cache_salt);
    EXPECT_TRUE(request.keep_text);
  }
  EXPECT_EQ(questions.size(), 1u);
  EXPECT_EQ(salts.size(), 6u) << "none is answered from another's cache";
  for (const Measurement& measurement : results->manifest().measurements) EXPECT_EQ(measurement.control_answers.size(), 3u);
  const auto summary = Summarize(*results);
  for (const cap::CellSummary& cell : summary->systems.at(0).cells) EXPECT_EQ(cell.figures[FigureId::kUnequalShare], 0);
}

// As transformers with continuous batching does when its first request, of whomever, was a sampled one.
TEST_F(FirstContact, AnswersThatDifferAreCountedAndSaid) {
  int said = 0;
  log.say = [&](const load::RequestSpec& request) {
    return request.id.starts_with("control-") && ++said > 4 ? " no " + std::to_string(said) : " 7.";
  };
  const auto results = Measure(std::string(kSmall) + "load: {clients: [1, 2]}\n");
  ASSERT_TRUE(results.ok()) << results.error().message;
  const auto summary = Summarize(*results);
  ASSERT_TRUE(summary.ok());
  double unequal = 0;
  for (const cap::CellSummary& cell : summary->systems.at(0).cells)
    unequal += 3 * cell.figures[FigureId::kUnequalShare].value_or(0);
  EXPECT_NEAR(unequal, 2, 1e-9);
  EXPECT_THAT(summary->notes, testing::Contains(HasSubstr("2 of 3 answers to the same question differ")));
}

TEST_F(FirstContact, NoQuestionWithoutAWarmUpOrGreedyDecoding) {
  const auto none = Measure("workload: {requests: 8, input_tokens: 16, output_tokens: 4}\nwarmup_requests: 0\n");
  ASSERT_TRUE(none.ok()) << none.error().message;
  EXPECT_FALSE(std::ranges::any_of(log.seen, [](const auto& request) { return request.id.starts_with("control-"); }));
  EXPECT_EQ(Summarize(*none)->systems.at(0).cells.at(0).figures[FigureId::kUnequalShare], std::nullopt);
}

// Two readings of a server's own counters around a measurement of 8 requests with 16 tokens in and 4 out.
std::deque<load::ServerCounters> Readings(double cached, double prompt, double generated, double finished) {
  load::ServerCounters before{1000, 1000, 1000, 1000, 0, 1.7e9}, after = before;
  *after.cached_tokens += cached;
  *after.prompt_tokens += prompt;
  *after.generated_tokens += generated;
  *after.finished += finished;
  return {before, after};
}

TEST_F(FirstContact, WhatTheServerCountsIsHeldAgainstTheClient) {
  log.counters = Readings(0, 128, 32, 8);
  const auto same = Measure(kSmall);
  ASSERT_TRUE(same.ok()) << same.error().message;
  EXPECT_EQ(same->manifest().measurements.at(0).server_counters->generated_tokens, 32);
  EXPECT_EQ(GateOf(*same, "counts of client and server").state, metrics::Gate::State::kPassed);
  EXPECT_EQ(GateOf(*same, "one server throughout").state, metrics::Gate::State::kPassed);
}

TEST_F(FirstContact, OthersTrafficTripsAGate) {
  log.counters = Readings(0, 128, 48, 9);
  const auto results = Measure(kSmall);
  ASSERT_TRUE(results.ok()) << results.error().message;
  const metrics::Gate gate = GateOf(*results, "counts of client and server");
  EXPECT_TRUE(gate.tripped());
  EXPECT_NEAR(*gate.value, 16.0 / 48, 1e-9) << "the worst of the three";
  EXPECT_THAT(gate.explanation, AllOf(HasSubstr("48 generated tokens, this client 32"), HasSubstr("others may use")));
}

TEST_F(FirstContact, WithoutMetricsTheFlagIsNamed) {
  log.capabilities = {{"metrics", "no", "", "start it with --enable-metrics"}};
  const auto results = Measure(kSmall);
  ASSERT_TRUE(results.ok()) << results.error().message;
  const metrics::Gate gate = GateOf(*results, "counts of client and server");
  EXPECT_EQ(gate.state, metrics::Gate::State::kNotMeasured);
  EXPECT_THAT(gate.explanation, HasSubstr("--enable-metrics"));
}

TEST_F(FirstContact, ARestartOnTheWayVoidsTheMeasurement) {
  log.counters = Readings(0, 128, 32, 8);
  log.counters.back().process_start_s = 1.8e9;
  const auto results = Measure(kSmall);
  ASSERT_TRUE(results.ok()) << results.error().message;
  const metrics::Gate gate = GateOf(*results, "one server throughout");
  EXPECT_TRUE(gate.tripped());
  EXPECT_THAT(gate.explanation, HasSubstr("start of its process"));
  EXPECT_EQ(results->manifest().measurements.at(0).cached_tokens, std::nullopt) << "of two counters";
  EXPECT_EQ(GateOf(*results, "counts of client and server").state, metrics::Gate::State::kNotMeasured);
  EXPECT_FALSE(Summarize(*results)->systems.at(0).cells.at(0).IsValid());
}

TEST_F(FirstContact, AnotherModelOnTheWayVoidsTheMeasurement) {
  log.change = "it serves \"b\" now, and served \"a\" before";
  const auto results = Measure(kSmall);
  ASSERT_TRUE(results.ok()) << results.error().message;
  EXPECT_TRUE(GateOf(*results, "one server throughout").tripped());
}

TEST_F(FirstContact, TheServersOwnCounterTellsWhatCameFromTheCache) {
  log.counters = Readings(20, 128, 32, 8);
  const auto clean = Measure(kSmall);
  ASSERT_TRUE(clean.ok()) << clean.error().message;
  EXPECT_EQ(clean->manifest().measurements.at(0).cached_tokens, 20);
  const metrics::Gate passed = GateOf(*clean, "cached more than planned");
  EXPECT_EQ(passed.state, metrics::Gate::State::kPassed) << "8 requests may share 4 tokens each by chance";
  EXPECT_EQ(passed.unit, "tokens");
}

TEST_F(FirstContact, ACounterThatRoseTripsTheGate) {
  log.counters = Readings(120, 128, 32, 8);
  const auto results = Measure(kSmall);
  ASSERT_TRUE(results.ok()) << results.error().message;
  const metrics::Gate gate = GateOf(*results, "cached more than planned");
  EXPECT_TRUE(gate.tripped());
  EXPECT_THAT(gate.explanation, HasSubstr("/metrics"));
  EXPECT_NEAR(Summarize(*results)->systems.at(0).cells.at(0).figures[FigureId::kCachedShare].value_or(0), 120.0 / 128, 1e-9);
}

TEST_F(FirstContact, WhatNothingTellsIsNotMeasuredAndTheFlagIsNamed) {
  log.capabilities = {{"cached tokens", "no", "", "start it with --enable-prompt-tokens-details"}};
  const auto results = Measure(kSmall);
  ASSERT_TRUE(results.ok()) << results.error().message;
  const metrics::Gate gate = GateOf(*results, "cached more than planned");
  EXPECT_EQ(gate.state, metrics::Gate::State::kNotMeasured);
  EXPECT_THAT(gate.explanation, HasSubstr("--enable-prompt-tokens-details"));
  EXPECT_EQ(results->manifest().systems.at(0).description.capabilities.at(0).support, "no");
}

constexpr const char* kUnsaid = "workload: {requests: 8, input_tokens: 16, output_tokens: 4}\n";

TEST_F(FirstContact, TheWarmUpEndsWhenTwoWavesAgree) {
  const auto results = Measure(kUnsaid);
  ASSERT_TRUE(results.ok()) << results.error().message;
  EXPECT_EQ(results->manifest().measurements.at(0).warmup_waves, 2);
  EXPECT_LE(*results->manifest().measurements.at(0).warmup_difference, 0.1);
  EXPECT_EQ(log.seen.size(), 3 + 2 * 16 + 8u);
}

TEST_F(FirstContact, AServerThatIsStillSlowGetsAnotherWave) {
  log.service_ns = [](size_t index) { return index < 19 ? 100 * kMs : 10 * kMs; };
  const auto results = Measure(kUnsaid);
  ASSERT_TRUE(results.ok()) << results.error().message;
  EXPECT_EQ(results->manifest().measurements.at(0).warmup_waves, 3);
}

TEST_F(FirstContact, AWarmUpThatNeverAgreesEndsAndSaysSo) {
  log.service_ns = [](size_t index) { return static_cast<int64_t>(1 + index / 17 % 2) * 10 * kMs; };
  const auto results = Measure(kUnsaid);
  ASSERT_TRUE(results.ok()) << results.error().message;
  EXPECT_EQ(results->manifest().measurements.at(0).warmup_waves, 4);
  EXPECT_THAT(Summarize(*results)->notes, testing::Contains(HasSubstr("ended at its limit after 4 waves")));
}

// Two waves take 2 x 16 x 2 s one after the other: the second would end after a minute.
TEST_F(FirstContact, NoWaveBeginsThatWouldEndAfterTheLimit) {
  log.service_ns = [](size_t) { return 2000 * kMs; };
  const auto results = Measure(kUnsaid);
  ASSERT_TRUE(results.ok()) << results.error().message;
  EXPECT_EQ(results->manifest().measurements.at(0).warmup_waves, 1);
  EXPECT_EQ(log.seen.size(), 3 + 16 + 8u);
  EXPECT_THAT(Summarize(*results)->notes, testing::Contains(HasSubstr("was a single wave")));
}

TEST_F(FirstContact, ASlowWaveEndsAtTheLimit) {
  log.service_ns = [](size_t) { return 20000 * kMs; };
  const auto results = Measure(kUnsaid);
  ASSERT_TRUE(results.ok()) << results.error().message;
  EXPECT_EQ(results->manifest().measurements.at(0).warmup_waves, 1);
  EXPECT_EQ(log.seen.size(), 1 + 4 + 8u) << "the question, what was sent within a minute, the measured ones";
}

TEST_F(FirstContact, AWarmUpOfAGivenLengthIsSentWhole) {
  log.service_ns = [](size_t) { return 20000 * kMs; };
  const auto results = Measure(kSmall);
  ASSERT_TRUE(results.ok()) << results.error().message;
  EXPECT_EQ(log.seen.size(), 3 + 4 + 8u);
}

TEST_F(FirstContact, BurstsMeetEveryNumberOfPromptsAtOnce) {
  const auto results = Measure(std::string(kSmall) + "load: {clients: [3]}\nwarmup_bursts: true\n");
  ASSERT_TRUE(results.ok()) << results.error().message;
  EXPECT_EQ(results->manifest().measurements.at(0).warmup_bursts, 3);
  EXPECT_EQ(results->manifest().measurements.at(0).warmup_waves, 1);
  std::vector<size_t> bursts;  // by their place among what was sent
  std::set<std::string> salts;
  for (size_t i = 0; i < log.seen.size(); ++i) {
    if (log.seen[i].max_output_tokens == 1) bursts.push_back(i);
    salts.insert(log.seen[i].cache_salt);
  }
  EXPECT_THAT(bursts, testing::ElementsAre(1, 2, 3, 4, 5, 6)) << "1 + 2 + 3, behind the question that is asked alone";
  EXPECT_EQ(log.seen.size(), 3 + 6 + 4 + 8u);
  EXPECT_EQ(salts.size(), log.seen.size()) << "no prompt is another's";
}

TEST_F(FirstContact, NoBurstBeginsBehindTheLimit) {
  log.service_ns = [](size_t) { return 40000 * kMs; };
  const auto results = Measure(std::string(kSmall) + "load: {clients: [4]}\nwarmup_bursts: true\n");
  ASSERT_TRUE(results.ok()) << results.error().message;
  EXPECT_EQ(results->manifest().measurements.at(0).warmup_bursts, 2) << "at 0 and 40 s, not at 80";
}

TEST_F(FirstContact, NoBurstsUnlessAskedForNorInAnOpenLoop) {
  for (const char* level : {"load: {clients: [3]}\n", "load: {rates_per_s: [3]}\nwarmup_bursts: true\n"}) {
    const auto results = Measure(std::string(kSmall) + level);
    ASSERT_TRUE(results.ok()) << results.error().message;
    EXPECT_EQ(results->manifest().measurements.at(0).warmup_bursts, 0) << level;
  }
}

TEST_F(FirstContact, AWarmUpOfAGivenLengthIsOneWave) {
  const auto results = Measure(kSmall);
  ASSERT_TRUE(results.ok()) << results.error().message;
  EXPECT_EQ(results->manifest().measurements.at(0).warmup_waves, 1);
  EXPECT_EQ(results->manifest().measurements.at(0).warmup_difference, std::nullopt);
}

}  // namespace
}  // namespace moecap::experiment
