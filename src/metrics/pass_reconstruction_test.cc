#include "metrics/pass_reconstruction.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <vector>

#include "base/rng.h"

namespace moecap::metrics {
namespace {

using record::PassKind;
using record::RequestRecord;
using record::SequenceSlice;
using testing::ElementsAre;
using testing::HasSubstr;

RequestRecord Answer(double sent_s, int64_t input_tokens, std::vector<double> token_s) {
  RequestRecord request;
  request.send_s = sent_s;
  request.input_tokens = input_tokens;
  request.output_tokens = std::ssize(token_s);
  request.token_s = std::move(token_s);
  return request;
}

TEST(ReconstructPasses, ByHand) {
  // One runs alone; another joins the third pass and outlives it.
  const std::vector<RequestRecord> requests = {Answer(0.0, 10, {0.20, 0.30, 0.401, 0.50}),
                                               Answer(0.31, 20, {0.402, 0.50, 0.60})};
  const PassReconstruction result = ReconstructPasses(requests, {});
  ASSERT_EQ(result.missing, "");
  ASSERT_EQ(result.passes.size(), 5u);
  EXPECT_THAT(result.shares,
              ElementsAre(ElementsAre(PassShare{0, 0, 10}), ElementsAre(PassShare{0, 10, 1}),
                          ElementsAre(PassShare{0, 11, 1}, PassShare{1, 0, 20}),
                          ElementsAre(PassShare{0, 12, 1}, PassShare{1, 20, 1}), ElementsAre(PassShare{1, 21, 1})));
  EXPECT_EQ(result.passes[0].kind, PassKind::kPrefill);
  EXPECT_EQ(result.passes[2].kind, PassKind::kMixed);
  EXPECT_EQ(result.passes[3].kind, PassKind::kDecode);
  EXPECT_THAT(result.passes[2].sequences, ElementsAre(SequenceSlice{11, 1, 1}, SequenceSlice{0, 20, 1}));
  EXPECT_NEAR(result.passes[0].latency_s, 0.20, 1e-9);
  EXPECT_NEAR(result.passes[1].latency_s, 0.10, 1e-9);
  EXPECT_NEAR(result.passes[4].latency_s, 0.10, 1e-9);
  EXPECT_EQ(result.passes[0].source, record::Source::kEstimated);
  EXPECT_DOUBLE_EQ(result.fit, 1);
}

TEST(ReconstructPasses, PromptsGetPassesOfTheirOwnWhereTheServerSaysSo) {
  const std::vector<RequestRecord> requests = {Answer(0, 5, {0.02, 0.05, 0.06, 0.07, 0.08}),
                                               Answer(0, 5, {0.04, 0.05, 0.06, 0.07, 0.08})};
  const PassReconstruction result = ReconstructPasses(requests, {PrefillBatching::kAlone, std::nullopt});
  ASSERT_EQ(result.passes.size(), 6u);
  EXPECT_THAT(result.shares[1], ElementsAre(PassShare{1, 0, 5}));
  EXPECT_THAT(result.shares[2], ElementsAre(PassShare{0, 5, 1}, PassShare{1, 5, 1}));
}

TEST(ReconstructPasses, AnIdleServerIsNotBusy) {
  const std::vector<RequestRecord> requests = {Answer(0.0, 4, {0.1, 0.2}), Answer(5.0, 4, {5.1, 5.2})};
  const PassReconstruction result = ReconstructPasses(requests, {});
  ASSERT_EQ(result.passes.size(), 4u);
  EXPECT_NEAR(result.passes[2].start_s, 5.0, 1e-9);
  EXPECT_NEAR(result.passes[2].latency_s, 0.1, 1e-9);
}

TEST(ReconstructPasses, AnEventWithTwoTokensHidesAPass) {
  RequestRecord request = Answer(0, 4, {0.1, 0.3, 0.3, 0.4});
  request.chunk_tokens = {1, 2, 1};
  const PassReconstruction result = ReconstructPasses(std::vector{request}, {});
  ASSERT_EQ(result.passes.size(), 4u);
  for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(result.passes[i].latency_s, 0.1, 1e-9) << i;
  // A server process that is late hands out most tokens in twos: they still took the time of two.
  RequestRecord late = Answer(0, 4, {0.1, 0.3, 0.3, 0.5, 0.5, 0.6, 0.8, 0.8});
  late.chunk_tokens = {1, 2, 2, 1, 2};
  EXPECT_EQ(ReconstructPasses(std::vector{late}, {}).passes.size(), 8u);
}

// As vLLM answers with asynchronous scheduling: the second pass, with the prompts of the others, was ready when the first one's
// token came out.
TEST(ReconstructPasses, APassCannotEndRightAfterAPrompt) {
  const std::vector<RequestRecord> requests = {Answer(0, 128, {0.0850, 0.0886, 0.1050, 0.1220}),
                                               Answer(0, 128, {0.0886, 0.1050, 0.1220}),
                                               Answer(0, 128, {0.0886, 0.1050, 0.1220})};
  const PassReconstruction result = ReconstructPasses(requests, {});
  ASSERT_EQ(result.passes.size(), 4u);
  EXPECT_EQ(result.passes[1].kind, PassKind::kMixed);
  EXPECT_NEAR(result.passes[0].latency_s, 0.0443, 1e-9);
  EXPECT_NEAR(result.passes[1].latency_s, 0.0443, 1e-9);
  EXPECT_NEAR(result.passes[2].latency_s, 0.0164, 1e-9);
}

TEST(ReconstructPasses, CachedTokensAreNotComputed) {
  RequestRecord request = Answer(0, 100, {0.1});
  request.cached_input_tokens = 96;
  RequestRecord whole = Answer(0.2, 100, {0.3});
  whole.cached_input_tokens = 100;  // as a server says that counts the last token, which it computes nevertheless
  const PassReconstruction result = ReconstructPasses(std::vector{request, whole}, {});
  EXPECT_THAT(result.shares, ElementsAre(ElementsAre(PassShare{0, 96, 4}), ElementsAre(PassShare{1, 99, 1})));
}

TEST(ReconstructPasses, ALongPromptTakesSeveralPasses) {
  // A prompt of 100 beside one that runs, 40 tokens a pass: 39 + 39 beside its tokens, then the last 22 with the first token.
  const std::vector<RequestRecord> requests = {Answer(0, 10, {0.1, 0.2, 0.3, 0.4, 0.5}), Answer(0.11, 100, {0.4, 0.5})};
  const PassReconstruction result = ReconstructPasses(requests, {PrefillBatching::kMixed, 40});
  ASSERT_EQ(result.passes.size(), 5u);
  int64_t computed = 0;
  for (const auto& shares : result.shares) {
    int64_t tokens = 0;
    for (const PassShare& share : shares) {
      tokens += share.count;
      if (share.request == 1 && share.begin < 100) computed += share.count;
    }
    EXPECT_LE(tokens, 40);
  }
  EXPECT_EQ(computed, 100);
  EXPECT_THAT(result.shares[1], testing::Contains(PassShare{1, 0, 39}));
  EXPECT_THAT(result.shares[2], testing::Contains(PassShare{1, 39, 39}));
  EXPECT_THAT(result.shares[3], testing::Contains(PassShare{1, 78, 22})) << "what is left over comes last";
  // Nobody runs beside it: passes that no token tells of, in proportion. So vLLM logs them.
  const PassReconstruction alone = ReconstructPasses(std::vector{Answer(0, 100, {0.5})}, {PrefillBatching::kMixed, 40});
  EXPECT_THAT(alone.shares, ElementsAre(ElementsAre(PassShare{0, 0, 40}), ElementsAre(PassShare{0, 40, 40}),
                                        ElementsAre(PassShare{0, 80, 20})));
  EXPECT_NEAR(alone.passes[0].latency_s, 0.2, 1e-9);
}

// As transformers was seen to compute 16 prompts that came together, 512 tokens a pass.
TEST(ReconstructPasses, AQueueFillsEachPass) {
  const auto requests = [](double sent_s) {
    return std::vector<RequestRecord>{Answer(0, 10, {0.1, 0.2, 0.3, 0.4}), Answer(0.01, 25, {0.2, 0.3, 0.4}),
                                      Answer(sent_s, 30, {0.3, 0.4})};
  };
  const PassRule rule{PrefillBatching::kMixed, 40};
  const PassReconstruction queued = ReconstructPasses(requests(0.02), rule);
  EXPECT_THAT(queued.shares[1], testing::UnorderedElementsAre(PassShare{0, 10, 1}, PassShare{1, 0, 25}, PassShare{2, 0, 14}));
  EXPECT_THAT(queued.shares[2], testing::UnorderedElementsAre(PassShare{0, 11, 1}, PassShare{1, 25, 1}, PassShare{2, 14, 16}));
  EXPECT_THAT(ReconstructPasses(requests(0.12), rule).shares[2], testing::Contains(PassShare{2, 0, 30}))
      << "it came when that pass had begun";
}

TEST(ReconstructPasses, SaysWhyThereAreNone) {
  RequestRecord whole = Answer(0, 4, {0.5});
  whole.timing_gap = record::TimingGap::kCameWhole;
  EXPECT_THAT(ReconstructPasses(std::vector{whole}, {}).missing, HasSubstr("1 of 1 requests"));
  RequestRecord speculative = Answer(0, 4, {0.1, 0.2, 0.2, 0.2, 0.3, 0.4, 0.4, 0.4});
  speculative.chunk_tokens = {1, 3, 1, 3};
  EXPECT_THAT(ReconstructPasses(std::vector{speculative}, {}).missing, HasSubstr("several tokens"));
  EXPECT_THAT(ReconstructPasses(std::vector<RequestRecord>{}, {}).missing, HasSubstr("no token"));
}

// A server in virtual time that keeps the rule, its tokens delayed on their way by chance, the first of an answer by more.
struct Simulated {
  std::vector<RequestRecord> requests;
  std::vector<std::vector<PassShare>> shares;
};

Simulated Simulate(int clients, const PassRule& rule, uint64_t seed) {
  constexpr double kStep = 0.010, kJitter = 0.003, kFirstLater = 0.010;
  constexpr size_t kRequests = 200;
  struct Live {
    size_t request;
    int64_t left;
    int64_t computed = 0;  // of the prompt
  };
  Rng rng(seed);
  Simulated result;
  std::vector<Live> running, waiting;
  double now_s = 0;
  const auto send = [&](double at_s) {
    if (result.requests.size() == kRequests) return;
    waiting.push_back({result.requests.size(), 5 + static_cast<int64_t>(rng.Uniform() * 60)});
    result.requests.push_back(Answer(at_s, 10 + static_cast<int64_t>(rng.Uniform() * 90), {}));
  };
  for (int i = 0; i < clients; ++i) send(0);
  while (!running.empty() || !waiting.empty()) {
    std::vector<PassShare>& shares = result.shares.emplace_back();
    const auto sent_s = [&](const Live& live) { return result.requests[live.request].send_s; };
    if (running.empty()) now_s = std::max(now_s, sent_s(waiting.front()));
    const bool alone = rule.prefill == PrefillBatching::kAlone && !waiting.empty();
    // A pass of prompts alone is short: who comes meanwhile is taken in, too.
    const auto is_there = [&](const Live& live) { return alone || sent_s(live) <= now_s; };
    std::vector<Live> stepping;
    if (!alone) std::swap(stepping, running);
    for (Live& live : stepping) {
      const RequestRecord& request = result.requests[live.request];
      shares.push_back({live.request, request.input_tokens + std::ssize(request.token_s) - 1, 1});
    }
    int64_t room = rule.most_tokens.value_or(1'000'000) - std::ssize(stepping);
    while (room > 0 && !waiting.empty() && is_there(waiting.front())) {
      Live& live = waiting.front();
      const int64_t part = std::min(room, result.requests[live.request].input_tokens - live.computed);
      shares.push_back({live.request, live.computed, part});
      live.computed += part;
      room -= part;
      if (live.computed < result.requests[live.request].input_tokens) break;
      stepping.push_back(live);
      waiting.erase(waiting.begin());
    }
    now_s += kStep * (0.8 + 0.4 * rng.Uniform());
    for (Live& live : stepping) {
      std::vector<double>& token_s = result.requests[live.request].token_s;
      const double later_s = token_s.empty() && !alone ? kFirstLater * rng.Uniform() : 0;
      const double before_s = token_s.empty() ? 0 : token_s.back();  // a stream keeps its order
      token_s.push_back(std::max(before_s, now_s + later_s + kJitter * rng.Uniform()));
      if (--live.left > 0) {
        running.push_back(live);
      } else {
        send(now_s + kJitter);
      }
    }
  }
  for (RequestRecord& request : result.requests) request.output_tokens = std::ssize(request.token_s);
  return result;
}

using Composition = std::vector<std::tuple<size_t, int64_t, int64_t>>;
Composition Sorted(const std::vector<PassShare>& shares) {
  Composition composition;
  for (const PassShare& share : shares) composition.emplace_back(share.request, share.begin, share.count);
  std::ranges::sort(composition);
  return composition;
}

class Simulation : public testing::TestWithParam<std::tuple<int, PrefillBatching, std::optional<int64_t>>> {};

TEST_P(Simulation, EveryPassIsFound) {
  const auto& [clients, prefill, most_tokens] = GetParam();
  const PassRule rule{prefill, most_tokens};
  // A first token that is late by a pass puts the part of its prompt that came before into the wrong one, too.
  const double least = most_tokens ? 0.97 : 0.99;
  for (const uint64_t seed : {1, 2, 3}) {
    const Simulated simulated = Simulate(clients, rule, seed);
    const PassReconstruction result = ReconstructPasses(simulated.requests, rule);
    ASSERT_EQ(result.missing, "");
    std::map<Composition, int> truth;
    for (const auto& shares : simulated.shares) ++truth[Sorted(shares)];
    int right = 0;
    for (const auto& shares : result.shares) {
      const auto found = truth.find(Sorted(shares));
      if (found != truth.end() && found->second-- > 0) ++right;
    }
    EXPECT_GE(right, least * static_cast<double>(simulated.shares.size())) << clients << " clients, seed " << seed;
    EXPECT_NEAR(static_cast<double>(result.shares.size()), static_cast<double>(simulated.shares.size()),
                0.01 * static_cast<double>(simulated.shares.size()));
    EXPECT_GE(result.fit, 0.97);
  }
}

INSTANTIATE_TEST_SUITE_P(ReconstructPasses, Simulation,
                         testing::Combine(testing::Values(1, 4, 16),
                                          testing::Values(PrefillBatching::kMixed, PrefillBatching::kAlone),
                                          testing::Values(std::nullopt)));
// Of prompts of 10 to 100 tokens, where a pass often has room for a part of the last one only.
INSTANTIATE_TEST_SUITE_P(ReconstructChunkedPasses, Simulation,
                         testing::Combine(testing::Values(1, 4, 16), testing::Values(PrefillBatching::kMixed),
                                          testing::Values(std::optional<int64_t>(128))));

}  // namespace
}  // namespace moecap::metrics
