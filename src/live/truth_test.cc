// The whole watch against an engine that knows the truth, in virtual time: the counters that vLLM shows, once a second, and the
// experts of one request of its own for each hundred of the clients'.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <optional>

#include "base/rng.h"
#include "live/watcher.h"
#include "metrics/utilization.h"
#include "mock/counters.h"
#include "mock/engine_model.h"

namespace moecap::live {
namespace {

constexpr int kClients = 16;
constexpr int64_t kSecond = 1'000'000'000;
constexpr uint64_t kFirstProbe = uint64_t{1} << 32;  // ids of the watch's own requests

model::Weights HalfMatrix(int64_t params) {
  return {params, 2.0 * static_cast<double>(params), params, 2.0 * static_cast<double>(params)};
}

// Six MoE layers of 64 experts, top-4; a decode step of 16 sequences takes some 7 ms.
model::ModelSpec ServedModel() {
  model::ModelSpec spec;
  spec.id = "m";
  spec.vocab = 1000;
  spec.ends[model::TensorClass::kHead] = HalfMatrix(1'000'000);
  for (int i = 0; i < 6; ++i) {
    model::LayerSpec layer;
    layer.weights[model::TensorClass::kAttention] = HalfMatrix(1'000'000);
    layer.weights[model::TensorClass::kRoutedExpert] = HalfMatrix(64 * 200'000);
    layer.ffn.experts = 64;
    layer.ffn.top_k = 4;
    layer.attention.kind = model::AttentionKind::kGqa;
    model::KvCacheSpec cache;
    cache.elements = 1024;
    layer.attention.caches.push_back(cache);
    spec.layers.push_back(layer);
  }
  return spec;
}

mock::EngineModelOptions EngineOptions() {
  mock::EngineModelOptions options;
  options.roofline.bandwidth_bytes_per_s = 20e9;
  options.roofline.flops_per_s = 100e12;
  options.roofline.memory_bytes = 1e9;
  options.roofline.bandwidth_efficiency = 0.75;
  options.roofline.compute_efficiency = 1;
  options.prefix_cache = false;
  return options;
}

struct Truth {
  std::vector<record::PassRecord> passes;
  int64_t client_tokens = 0, probe_tokens = 0, requests = 0, probes = 0;
};

class Simulation {
 public:
  Simulation(double sample, uint64_t seed)
      : sample_(sample), rng_(seed), engine_(mock::EngineModel::Create(ServedModel(), EngineOptions()).value()) {}

  void Run(int64_t end_ns, const std::function<void(double)>& each_second) {
    for (int client = 0; client < kClients; ++client) Submit(0);
    for (int64_t second = 0; second * kSecond < end_ns; ++second) {
      each_second(static_cast<double>(second));
      while (engine_->NextNs().value_or(INT64_MAX) < (second + 1) * kSecond) Step(*engine_->NextNs());
      if (probing_ || static_cast<double>(truth.probes + 1) > sample_ * static_cast<double>(truth.requests)) continue;
      Submit((second + 1) * kSecond, true);
    }
  }

  load::EngineSnapshot Look() const {
    const mock::EngineState state = engine_->State();
    load::EngineSnapshot look;
    look.counters.generated_tokens = static_cast<double>(truth.client_tokens + truth.probe_tokens);
    look.counters.prompt_tokens = prompt_tokens_;
    look.counters.cached_tokens = 0;
    look.counters.finished = static_cast<double>(truth.requests);
    look.first_tokens = first_tokens_;
    look.passes = static_cast<double>(truth.passes.size());
    double cumulative = 0;
    for (size_t i = 0; i < mock::kPassBounds.size(); ++i) {
      cumulative += sizes_[i];
      look.pass_sizes.push_back({static_cast<double>(mock::kPassBounds[i]), cumulative});
    }
    look.running = static_cast<double>(state.running);
    look.kv_used_tokens = static_cast<double>(state.kv_used_tokens);
    return look;
  }

  Truth truth;
  std::vector<routing::RoutedExperts> answers;  // of the probes, not yet taken

 private:
  void Submit(int64_t now_ns, bool probe = false) {
    mock::EngineRequest request;
    request.id = probe ? kFirstProbe + static_cast<uint64_t>(++truth.probes) : ++next_id_;
    request.arrival_ns = now_ns;
    for (int i = 0; i < (probe ? 16 : 128); ++i) request.prompt.push_back(static_cast<int32_t>(3 + rng_.Below(900)));
    request.output_tokens = probe ? 32 : 64 + static_cast<int64_t>(rng_.Below(128));
    request.seed = request.id;
    if (probe) probing_ = request;
    running_[request.id] = request;
    ASSERT_TRUE(engine_->Submit(request));
  }

  void Step(int64_t now_ns) {
    out_.Clear();
    engine_->Advance(now_ns, out_);
    for (record::PassRecord& pass : out_.passes) {
      const auto bound = std::ranges::lower_bound(mock::kPassBounds, pass.NewTokens());
      sizes_[static_cast<size_t>(bound - mock::kPassBounds.begin())] += 1;
      truth.passes.push_back(std::move(pass));
    }
    for (const mock::TokenEvent& event : out_.tokens) {
      const bool probe = event.request >= kFirstProbe;
      ++(probe ? truth.probe_tokens : truth.client_tokens);
      if (event.index == 0) {
        ++first_tokens_;
        prompt_tokens_ += static_cast<double>(running_.at(event.request).prompt.size());
      }
      if (!event.last) continue;
      if (probe) {
        answers.push_back(Routes(*probing_));
        probing_.reset();
      } else {
        ++truth.requests;
        Submit(event.due_ns);
      }
      running_.erase(event.request);
    }
  }

  // As a server tells them: of every token but the last.
  routing::RoutedExperts Routes(const mock::EngineRequest& request) const {
    routing::RoutedExperts experts;
    experts.layers = engine_->router().layers();
    experts.top_k = engine_->router().top_k(0);
    experts.rows = static_cast<int64_t>(request.prompt.size()) + request.output_tokens - 1;
    std::vector<int32_t> chosen;
    for (int64_t row = 0; row < experts.rows; ++row) {
      const auto prompt = static_cast<int64_t>(request.prompt.size());
      const int32_t id = row < prompt ? request.prompt[static_cast<size_t>(row)]
                                      : mock::OutputToken(request.seed, row - prompt, ServedModel().vocab);
      for (int layer = 0; layer < experts.layers; ++layer) {
        chosen.clear();
        engine_->router().Experts(layer, {id, row}, chosen);
        for (const int32_t expert : chosen) experts.ids.push_back(static_cast<uint16_t>(expert));
      }
    }
    return experts;
  }

  double sample_;
  Rng rng_;  // of what is asked
  std::unique_ptr<mock::EngineModel> engine_;
  mock::EngineOutput out_;
  std::map<uint64_t, mock::EngineRequest> running_;
  std::optional<mock::EngineRequest> probing_;
  uint64_t next_id_ = 0;
  double prompt_tokens_ = 0, first_tokens_ = 0;
  std::array<double, mock::kPassBounds.size() + 1> sizes_{};
};

struct Found {
  Reading summary;
  metrics::PhaseUtilization truth;  // of the passes in the summary's windows
  Truth all;
};

constexpr uint64_t kSeed = 3;

Found Watch(double sample, int64_t seconds, const std::function<void(load::EngineSnapshot&)>& hide = {},
            uint64_t seed = kSeed) {
  WatcherOptions options;
  options.model = ServedModel();
  options.peaks = {20e9, 100e12, 1};
  const metrics::Peaks peaks = options.peaks;
  Watcher watcher(std::move(options));
  Simulation simulation(sample, seed);
  size_t first_pass = 0, last_pass = 0;
  ExpertSource source = ExpertSource::kNone;
  simulation.Run(seconds * kSecond, [&](double now_s) {
    for (const routing::RoutedExperts& answer : std::exchange(simulation.answers, {}))
      ASSERT_TRUE(watcher.experts()->AddAnswer(answer).ok());
    Look look;
    look.time_s = now_s;
    look.engine = simulation.Look();
    if (hide) hide(*look.engine);
    const Reading reading = watcher.Take(look);
    if (std::exchange(source, reading.expert_source) != reading.expert_source) first_pass = last_pass;
    last_pass = simulation.truth.passes.size();
  });
  Found found;
  found.summary = watcher.Summary();
  found.all = std::move(simulation.truth);
  const std::span<const record::PassRecord> passes(found.all.passes);
  found.truth = metrics::ComputeUtilization(ServedModel(), passes.subspan(first_pass, last_pass - first_pass), peaks).all;
  return found;
}

double Mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

double Off(double said, double truth) { return std::abs(said / truth - 1); }

TEST(WatchAgainstTruth, OnePercentOfTheRequestsGivesTwoPercentOfFullCapture) {
  const Found found = Watch(0.01, 90);
  ASSERT_EQ(found.summary.expert_source, ExpertSource::kSampled);
  EXPECT_LE(found.all.probes, found.all.requests / 100);
  ASSERT_TRUE(found.summary.s_mbu && found.truth.s_mbu);
  EXPECT_LT(Off(found.summary.s_mbu->value, *found.truth.s_mbu), 0.02)
      << found.summary.s_mbu->value << " for " << *found.truth.s_mbu;
  EXPECT_LT(Off(found.summary.distinct_experts->value, Mean(found.truth.mean_distinct_experts)), 0.02)
      << found.summary.distinct_experts->value << " for " << Mean(found.truth.mean_distinct_experts);
  EXPECT_LT(Off(*found.summary.s_mfu, *found.truth.s_mfu), 0.02);
}

// Watches of other requests each: the band says 95 %. In it is what the sample leaves open, not that counters give sums.
TEST(WatchAgainstTruth, TheBandHoldsTheTruthAboutAsOftenAsItSays) {
  constexpr int kWatches = 60;
  int experts = 0, bandwidth = 0;
  double width = 0;
  for (uint64_t seed = 1; seed <= kWatches; ++seed) {
    const Found found = Watch(0.05, 24, {}, seed);
    ASSERT_EQ(found.summary.expert_source, ExpertSource::kSampled);
    const auto holds = [](const Banded& band, double truth) { return band.low <= truth && truth <= band.high; };
    experts += holds(*found.summary.distinct_experts, Mean(found.truth.mean_distinct_experts));
    bandwidth += holds(*found.summary.s_mbu, *found.truth.s_mbu);
    width += (found.summary.s_mbu->high - found.summary.s_mbu->low) / 2 / found.summary.s_mbu->value / kWatches;
  }
  RecordProperty("experts", experts);
  RecordProperty("s_mbu", bandwidth);
  RecordProperty("half_band_ppm", static_cast<int>(1e6 * width));
  EXPECT_GE(experts, kWatches * 88 / 100);
  EXPECT_GT(bandwidth, kWatches / 2) << "less often: what counters leave open is not in the band, and as large as it";
  EXPECT_LT(width, 0.05) << "and it is narrow";
}

TEST(WatchAgainstTruth, ItTakesAtMostHalfAPercentOfTheThroughput) {
  const Found without = Watch(0, 90), with = Watch(0.01, 90);
  EXPECT_GT(with.all.probe_tokens, 0);
  const double taken = 1 - static_cast<double>(with.all.client_tokens) / static_cast<double>(without.all.client_tokens);
  EXPECT_LT(taken, 0.005) << with.all.client_tokens << " of " << without.all.client_tokens;
}

// As a server that tells neither its passes nor their sizes.
TEST(WatchAgainstTruth, WithoutACountOfPassesItIsNear) {
  const Found found = Watch(0.01, 90, [](load::EngineSnapshot& look) {
    look.passes.reset();
    look.pass_sizes.clear();
  });
  EXPECT_EQ(found.summary.pass_origin, Origin::kRunning);
  EXPECT_LT(Off(found.summary.s_mbu->value, *found.truth.s_mbu), 0.10)
      << found.summary.s_mbu->value << " for " << *found.truth.s_mbu;
}

}  // namespace
}  // namespace moecap::live
