#include "system/llamacpp/likelihood.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <numeric>

#include "base/clock.h"
#include "load/closed_loop.h"
#include "system/llamacpp/llamacpp_system.h"

namespace moecap::llamacpp {
namespace {

using testing::ElementsAre;
using Texts = std::vector<std::vector<int32_t>>;

// A model of 8 tokens in which token t is followed by token u with a logit of (t + 2u) % 5, whatever comes before.
std::vector<float> LogitsAfter(int32_t token) {
  std::vector<float> logits;
  for (int next = 0; next < 8; ++next) logits.push_back(static_cast<float>((token + 2 * next) % 5));
  return logits;
}

double Expected(const std::vector<int32_t>& text, size_t prompt) {
  double sum = 0;
  for (size_t i = prompt; i < text.size(); ++i) {
    const std::vector<float> logits = LogitsAfter(text[i - 1]);
    double all = 0;
    for (const double logit : logits) all += std::exp(logit);
    sum += logits[static_cast<size_t>(text[i])] - std::log(all);
  }
  return sum;
}

struct Scored {
  std::vector<double> sums;
  std::vector<std::pair<int32_t, size_t>> passes;  // what was kept, how much was computed
};

// `forgets_all`: a cache of which no part can be forgotten.
Scored Score(const Texts& whole, size_t prompt, size_t most = 100, bool forgets_all = false) {
  ContinuationScorer scorer(whole, prompt);
  std::vector<int32_t> cache;
  Scored run;
  while (!scorer.done()) {
    ContinuationScorer::Step step = scorer.Next(3, most);
    if (step.forgets && forgets_all) {
      cache.clear();
      scorer.StartOver();
      step = scorer.Next(3, most);
    }
    EXPECT_TRUE(step.forgets || cache.size() == static_cast<size_t>(step.kept));
    cache.resize(static_cast<size_t>(step.kept));
    std::vector<std::vector<float>> rows;
    for (const BatchToken& token : step.tokens) {
      EXPECT_EQ(token.position, static_cast<int32_t>(cache.size()));
      EXPECT_EQ(token.slot, 3);
      cache.push_back(token.token);
      if (token.output) rows.push_back(LogitsAfter(token.token));
    }
    EXPECT_LE(step.tokens.size(), most);
    run.passes.emplace_back(step.kept, step.tokens.size());
    scorer.Take(step, std::vector<std::span<const float>>(rows.begin(), rows.end()));
  }
  run.sums = scorer.log_likelihoods();
  return run;
}

void ExpectScores(const Texts& whole, size_t prompt, const Scored& run) {
  ASSERT_EQ(run.sums.size(), whole.size());
  for (size_t i = 0; i < whole.size(); ++i) EXPECT_NEAR(run.sums[i], Expected(whole[i], prompt), 1e-12) << i;
}

TEST(LogProbability, IsThatOfTheSoftmax) {
  const float logits[] = {0, std::log(2.0F), std::log(5.0F)};
  EXPECT_NEAR(LogProbability(logits, 1), std::log(0.25), 1e-7);
  const float large[] = {1000, 1000};
  EXPECT_NEAR(LogProbability(large, 0), std::log(0.5), 1e-12);
}

TEST(ContinuationScorer, LettersTakeThePromptsPassAlone) {
  const Texts whole = {{1, 2, 3, 4}, {1, 2, 3, 5}, {1, 2, 3, 6}};
  const Scored run = Score(whole, 3);
  ExpectScores(whole, 3, run);
  EXPECT_THAT(run.passes, ElementsAre(std::pair(0, 3u)));
}

TEST(ContinuationScorer, LongerOnesAreComputedBehindWhatAllShare) {
  const Texts whole = {{1, 2, 3, 4, 5, 6}, {1, 2, 3, 7}, {1, 2, 3, 4, 6}};
  const Scored run = Score(whole, 3);
  ExpectScores(whole, 3, run);
  EXPECT_THAT(run.passes, ElementsAre(std::pair(0, 3u), std::pair(3, 2u), std::pair(3, 1u)));
}

// The last token of the prompt joins with what follows.
TEST(ContinuationScorer, APromptThatIsTokenisedOtherwiseIsComputedForEach) {
  const Texts whole = {{1, 2, 7, 4}, {1, 2, 6, 5, 3}};
  const Scored run = Score(whole, 3);
  ExpectScores(whole, 3, run);
  EXPECT_THAT(run.passes, ElementsAre(std::pair(0, 2u), std::pair(2, 1u), std::pair(2, 2u)));
  const Texts apart = {{1, 2, 3}, {2, 2, 4}};
  ExpectScores(apart, 2, Score(apart, 2));
}

TEST(ContinuationScorer, LimitedPassesAndCachesThatCannotForget) {
  const Texts whole = {{1, 2, 3, 4, 5, 6}, {1, 2, 3, 7, 1}, {1, 2, 3, 4}};
  for (const size_t most : {1, 2, 3, 100}) {
    for (const bool forgets_all : {false, true}) ExpectScores(whole, 3, Score(whole, 3, most, forgets_all));
  }
}

class LikelihoodEngine : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    library_ = EngineLibrary::Load().value().release();
    model_ =
        LoadedModel::Load(*library_, std::filesystem::path(MOECAP_SOURCE_DIR) / "models/tiny-moe/tiny-moe-f16.gguf").value();
  }
  static void TearDownTestSuite() {
    model_.reset();
    delete library_;
  }
  std::unique_ptr<LlamaCppSystem> Create(int slots, int batch_tokens, bool float32_attention = false) {
    EngineOptions options;
    options.float32_attention = float32_attention;
    if (float32_attention) options.kv_type = "f32";
    options.slots = slots;
    options.batch_tokens = batch_tokens;
    return LlamaCppSystem::Create(*library_, model_, options, clock_).value();
  }
  static load::RequestSpec Question(int a, int b) {
    load::RequestSpec request;
    request.id = std::to_string(a);
    request.prompt =
        "Question: Yara fills " + std::to_string(a) + " boxes with " + std::to_string(b) +
        " bottles in each box. There are also 17 loose bottles in a bag. How many bottles are there in all?\nAnswer:";
    const std::string step = " " + std::to_string(a) + "*" + std::to_string(b) + "=";
    for (const int said : {a * b, a * b + 1, a * b + 20, 3}) request.continuations.push_back(step + std::to_string(said));
    return request;
  }
  std::vector<std::string> Answers(LlamaCppSystem& system, int clients) {
    std::vector<load::RequestSpec> requests;
    for (int i = 0; i < 6; ++i) requests.push_back(Question(11 + 7 * i, 5 + i));
    for (const load::RequestSpec& request : requests) EXPECT_TRUE(system.Validate(request).ok());
    load::ClosedLoopOptions options;
    options.clients = clients;
    const auto result = load::RunClosedLoop(system, requests, options, clock_);
    EXPECT_TRUE(result.ok());
    std::vector<std::string> answers(requests.size());
    for (const record::RequestRecord& request : result->requests) {
      EXPECT_FALSE(request.failed());
      EXPECT_EQ(request.output_tokens, 1);
      for (size_t i = 0; i < requests.size(); ++i) {
        if (requests[i].id == request.id) answers[i] = request.text;
      }
    }
    return answers;
  }

  static EngineLibrary* library_;
  static std::shared_ptr<const LoadedModel> model_;
  SteadyClock clock_;
};
EngineLibrary* LikelihoodEngine::library_ = nullptr;
std::shared_ptr<const LoadedModel> LikelihoodEngine::model_;

std::vector<double> NumbersOf(const std::string& text) {
  std::vector<double> numbers;
  for (size_t at = 1; at < text.size(); at = text.find_first_of(",]", at) + 1) numbers.push_back(std::stod(text.substr(at)));
  return numbers;
}

TEST_F(LikelihoodEngine, IsTheSameInOnePassAndInMany) {
  const auto whole = Create(1, 512), pieces = Create(3, 5);
  const std::vector<std::string> at_once = Answers(*whole, 1), in_pieces = Answers(*pieces, 3);
  int right = 0;
  for (size_t i = 0; i < at_once.size(); ++i) {
    const std::vector<double> a = NumbersOf(at_once[i]), b = NumbersOf(in_pieces[i]);
    ASSERT_EQ(a.size(), 4u) << at_once[i];
    ASSERT_EQ(b.size(), 4u);
    for (size_t choice = 0; choice < 4; ++choice) {
      EXPECT_LT(a[choice], 0);
      EXPECT_NEAR(a[choice], b[choice], 2e-2) << "F16 products round; " << at_once[i] << " " << in_pieces[i];
    }
    right += std::ranges::max_element(a) == a.begin() ? 1 : 0;
  }
  EXPECT_GE(right, 5) << "the model has learned this kind of problem";
}

TEST_F(LikelihoodEngine, AttentionInSinglePrecisionRoundsOtherwise) {
  const std::vector<std::string> usual = Answers(*Create(1, 512), 1), exact = Answers(*Create(1, 512, true), 1);
  EXPECT_NE(usual, exact);
  for (size_t i = 0; i < usual.size(); ++i) {
    const std::vector<double> a = NumbersOf(usual[i]), b = NumbersOf(exact[i]);
    for (size_t choice = 0; choice < 4; ++choice) EXPECT_NEAR(a[choice], b[choice], 2);
  }
}

TEST_F(LikelihoodEngine, RoutingIsReplayedPassByPass) {
  const auto system = Create(2, 16);
  system->StartPassLog();
  Answers(*system, 2);
  const PassLog log = system->TakePassLog();
  const auto replayed = system->ReplayRouting(log);
  ASSERT_TRUE(replayed.ok()) << replayed.error().message;
  EXPECT_EQ(replayed->passes.size(), log.size());
  EXPECT_EQ(replayed->differing, 0);
}

TEST_F(LikelihoodEngine, BadContinuationsAreNamed) {
  const auto system = Create(1, 512);
  load::RequestSpec request = Question(1, 2);
  request.continuations.push_back("");
  EXPECT_THAT(system->Validate(request).error().message, testing::HasSubstr("adds no token"));
  request.continuations.back() = std::string(4000, 'x');
  EXPECT_THAT(system->Validate(request).error().message, testing::HasSubstr("does not fit a context"));
}

}  // namespace
}  // namespace moecap::llamacpp
