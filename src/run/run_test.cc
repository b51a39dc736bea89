// The experiment, its storage and its summary around a scripted system: every time and every expert is known.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/fs.h"
#include "base/testing/temp_dir.h"
#include "run/experiment.h"
#include "run/model_json.h"
#include "run/summarize.h"

namespace moecap::run {
namespace {
namespace fs = std::filesystem;

constexpr int64_t kMs = 1'000'000;

// Two MoE layers of 4 experts, top-2: attention 100 B, each expert 10 B, head 50 B, one KV byte pair a token.
model::ModelSpec SmallMoe() {
  model::ModelSpec spec;
  spec.id = "small";
  spec.model_type = "test";
  spec.weight_type = "F16";
  spec.kv_bits = 8;
  spec.vocab = 10;
  spec.hidden = 4;
  model::LayerSpec layer;
  layer.attention.kind = model::AttentionKind::kGqa;
  layer.attention.caches = {{.elements = 2, .flops_per_entry = 4}};
  layer.ffn.experts = 4;
  layer.ffn.top_k = 2;
  layer.weights[model::TensorClass::kAttention] = {50, 100, 50, 100};
  layer.weights[model::TensorClass::kRoutedExpert] = {20, 40, 20, 40};
  spec.layers = {layer, layer};
  spec.ends[model::TensorClass::kHead] = {25, 50, 25, 50};
  return spec;
}

// Prefill takes 20 ms, a decode step 10 ms; every request generates 3 tokens. One request at a time prefills.
class ScriptedSystem final : public load::SystemUnderTest {
 public:
  explicit ScriptedSystem(FakeClock& clock) : clock_(clock) {}
  Status Validate(const load::RequestSpec& request) override {
    return request.prompt.size() > 200 ? Status(BadInput("the prompt does not fit")) : Status();
  }
  Status Submit(const load::RequestSpec& request, uint64_t ticket) override {
    waiting_.push_back({ticket, request.id, 0});
    return {};
  }
  Status Advance(load::Observer& observer, int64_t) override {
    record::PassRecord pass;
    const int64_t start_ns = clock_.NowNs();
    std::deque<Entry> batch;
    if (!waiting_.empty()) {
      pass.kind = record::PassKind::kPrefill;
      pass.sequences = {{0, 5, 1}};
      clock_.AdvanceNs(20 * kMs);
      batch.push_back(waiting_.front());
      waiting_.pop_front();
    } else {
      for (const Entry& entry : running_) pass.sequences.push_back({5 + entry.generated - 1, 1, 1});
      clock_.AdvanceNs(10 * kMs);
      std::swap(batch, running_);
    }
    pass.latency_s = static_cast<double>(clock_.NowNs() - start_ns) * 1e-9;
    observer.OnPass(pass, start_ns);
    for (Entry entry : batch) {
      const int32_t token_id = 100 + entry.generated;
      observer.OnChunk(entry.ticket, {.arrival_ns = clock_.NowNs(), .token_ids = {&token_id, 1}});
      if (++entry.generated == 3) {
        observer.OnFinish(entry.ticket, {record::FinishReason::kStop, 5, entry.id == "2" ? "no idea" : "#### 7", ""});
      } else {
        running_.push_back(entry);
      }
    }
    return {};
  }
  void Cancel(uint64_t) override {}
  void CancelAll() override {
    waiting_.clear();
    running_.clear();
  }

 private:
  struct Entry {
    uint64_t ticket;
    std::string id;
    int generated;
  };
  FakeClock& clock_;
  std::deque<Entry> waiting_, running_;
};

struct Counters {
  int routings = 0;
  int starts = 0;
  bool in_process = true;  // what the drivers say of themselves
};

class ScriptedDriver final : public SystemDriver {
 public:
  ScriptedDriver(std::string name, FakeClock& clock, Counters& counters) : clock_(clock), counters_(counters) {
    description_.name = std::move(name);
    description_.engine = "scripted";
    description_.model = SmallMoe();
  }
  const SystemDescription& description() const override { return description_; }
  bool in_process() const override { return counters_.in_process; }
  Result<std::unique_ptr<SystemInstance>> Start(int) override {
    ++counters_.starts;
    return std::unique_ptr<SystemInstance>(new Instance(clock_, counters_));
  }
  void Unload() override {}

 private:
  class Instance final : public SystemInstance {
   public:
    Instance(FakeClock& clock, Counters& counters) : system_(clock), counters_(counters) {}
    load::SystemUnderTest& system() override { return system_; }
    void BeginMeasurement() override {}
    Status AddRouting(std::vector<record::PassRecord>& passes) override {
      ++counters_.routings;
      for (auto& pass : passes) {
        pass.distinct_experts = {2, 3};
        pass.expert_counts = {{1, 1, 0, 0}, {1, 0, 1, 1}};
      }
      return {};
    }

   private:
    ScriptedSystem system_;
    Counters& counters_;
  };
  SystemDescription description_;
  FakeClock& clock_;
  Counters& counters_;
};

class RunTest : public testing::Test {
 protected:
  void SetUp() override {
    std::ofstream(dir_ / "d.jsonl") << R"({"question":"a","answer":"#### 7"})"
                                    << "\n"
                                    << R"({"question":"b","answer":"#### 7"})"
                                    << "\n"
                                    << R"({"question":"c","answer":"#### 8"})"
                                    << "\n";
    config_.dataset = dir_ / "d.jsonl";
    config_.systems = {{"A", "a.gguf", {}, 1}, {"B", "b.gguf", {}, 1}};
    config_.concurrency = {1, 2};
    config_.repeats = 2;
    config_.warmup_requests = 1;
  }

  DriverFactory Factory() {
    return [this](const SystemConfig& system, const RunConfig&) -> Result<std::unique_ptr<SystemDriver>> {
      return std::unique_ptr<SystemDriver>(new ScriptedDriver(system.name, clock_, counters_));
    };
  }
  Experiment Prepare() {
    auto experiment = Experiment::Prepare(config_, Factory(), clock_);
    EXPECT_TRUE(experiment.ok()) << (experiment.ok() ? "" : experiment.error().message);
    return std::move(experiment).value();
  }
  Results NewResults(const Experiment& experiment) {
    Manifest manifest;
    manifest.run_id = "run";
    manifest.config = config_;
    manifest.problems = experiment.problems();
    manifest.systems = experiment.Systems();
    hardware::Ceilings ceilings;
    ceilings.read_bytes_per_s = hardware::Ceiling{1e6, 1e6, 1e6, 1, "read"};
    ceilings.fp32_flops_per_s = hardware::Ceiling{1e6, 1e6, 1e6, 1, "fma"};
    manifest.ceilings = ceilings;
    return Results::Create(dir_ / "results", manifest).value();
  }

  TempDir temp_;
  const fs::path dir_ = temp_.path();
  RunConfig config_;
  FakeClock clock_;
  Counters counters_;
};

TEST_F(RunTest, MeasuresEveryCellAndSharesTheRoutingOfEqualRepetitions) {
  Experiment experiment = Prepare();
  Results results = NewResults(experiment);
  std::vector<ProgressUpdate> updates;
  ASSERT_TRUE(experiment.Execute(results, {nullptr, [&](const ProgressUpdate& update) { updates.push_back(update); }}).ok());
  EXPECT_EQ(results.manifest().units.size(), 8u);
  EXPECT_TRUE(results.manifest().complete);
  EXPECT_EQ(counters_.routings, 4) << "one a cell, not one a repetition";
  EXPECT_EQ(updates.back().done, 3 * 8);
  EXPECT_EQ(updates.back().total, 3 * 8);

  const auto passes = results.ReadPasses();
  ASSERT_TRUE(passes.ok());
  for (const auto& pass : *passes) EXPECT_THAT(pass.distinct_experts, testing::ElementsAre(2, 3));
  EXPECT_EQ(results.ReadRequests()->size(), 24u);
}

TEST_F(RunTest, SummaryEqualsHandComputation) {
  config_.systems.resize(1);
  config_.concurrency = {1};
  Experiment experiment = Prepare();
  Results results = NewResults(experiment);
  ASSERT_TRUE(experiment.Execute(results, {}).ok());
  const auto summary = SummarizeStored(results);
  ASSERT_TRUE(summary.ok()) << summary.error().message;
  ASSERT_EQ(summary->systems.size(), 1u);
  const cap::CellSummary& cell = summary->systems[0].cells.at(0);

  // Each request: prefill 20 ms, then two decode steps of 10 ms.
  EXPECT_EQ(cell.requests, 6);
  EXPECT_EQ(cell.repeats, 2);
  EXPECT_NEAR(cell.ttft_s->mean, 0.020, 1e-12);
  EXPECT_NEAR(cell.tpot_s->mean, 0.010, 1e-12);
  EXPECT_NEAR(cell.itl_s->p99, 0.010, 1e-12);
  EXPECT_EQ(cell.itl_s->count, 12);
  EXPECT_NEAR(cell.e2e_s->max, 0.040, 1e-12);
  EXPECT_NEAR(cell.output_tokens_per_s->mean, 9 / 0.120, 1e-9);
  EXPECT_NEAR(*cell.output_tokens_per_s->stderr_of_mean, 0, 1e-9);

  // Two of three answer "7", one of them wrongly; "no idea" is not an answer.
  EXPECT_EQ(cell.scored, 3);
  EXPECT_EQ(cell.answered, 2);
  const double expected_accuracy = cell.accuracy.value();
  EXPECT_TRUE(expected_accuracy == 1.0 / 3 || expected_accuracy == 2.0 / 3);

  // Decode bytes, complete: per layer 100 attention + distinct x 10, head 50; KV reads 2 B x context and writes 2 B a layer.
  // Contexts are 5 and 6. Embedding: none in this model, so no row.
  const double weights = 2 * 100 + (2 + 3) * 10 + 50;
  const double step5 = weights + 2 * (2 * 5 + 2), step6 = weights + 2 * (2 * 6 + 2);
  const auto& decode = cell.utilization.decode;
  EXPECT_EQ(decode.passes, 12);
  EXPECT_NEAR(*decode.bytes, 6 * (step5 + step6), 1e-9);
  EXPECT_NEAR(decode.latency_s.value(), 0.12, 1e-12);
  EXPECT_NEAR(*decode.s_mbu, 6 * (step5 + step6) / 0.12 / 1e6, 1e-12);
  EXPECT_THAT(decode.mean_distinct_experts, testing::ElementsAre(2, 3));
  // Resident after the steps: 6 and 7 tokens, 2 layers, 2 B.
  EXPECT_NEAR(*cell.kv_bytes_mean, 2 * 2 * 6.5, 1e-9);
  EXPECT_NEAR(*cell.kv_bytes_max, 2 * 2 * 7, 1e-9);
  EXPECT_FALSE(cell.usd_per_million_output_tokens.has_value()) << "no price, no cost";
  EXPECT_THAT(summary->systems[0].expert_share[1],
              testing::ElementsAre(testing::DoubleNear(1.0 / 3, 1e-12), 0, testing::DoubleNear(1.0 / 3, 1e-12),
                                   testing::DoubleNear(1.0 / 3, 1e-12)));
}

// 50 W of chips; the counter stands at 1000 J when it is opened.
class ScriptedMeter final : public EnergyMeter {
 public:
  explicit ScriptedMeter(FakeClock& clock) : clock_(clock) {}
  void Begin() override { begin_j_ = Joules(); }
  hardware::EnergyReading SinceBegin() override {
    // A GPU that idles beside the processor's work.
    return {broken ? std::nullopt : std::optional(Joules() - begin_j_), std::nullopt, {80.0}};
  }
  std::string Describe(const hardware::UsedDevices&) const override { return "RAPL: package-0"; }
  bool broken = false;

 private:
  double Joules() const { return 1000 + 50 * static_cast<double>(clock_.NowNs()) * 1e-9; }
  FakeClock& clock_;
  double begin_j_ = 0;
};

TEST_F(RunTest, MeasuredEnergyReplacesTheNameplate) {
  config_.systems.resize(1);
  config_.concurrency = {1};
  Experiment experiment = Prepare();
  Manifest manifest = NewResults(experiment).manifest();
  manifest.energy_source = "RAPL: package-0";
  manifest.pay = cost::Pay::kBuy;
  for (const auto& [key, value] : std::map<std::string, double>{{"cpu_usd", 8760},
                                                                {"life_years", 1},
                                                                {"discount_rate", 0},
                                                                {"utilisation", 1},
                                                                {"energy_usd_per_kwh", 1},
                                                                {"nameplate_w", 400},
                                                                {"wall_factor", 1.5},
                                                                {"pue", 2},
                                                                {"grid_kg_co2_per_kwh", 0.5}}) {
    ASSERT_TRUE(cost::SetCostInput(manifest.cost, key, {value, "test", ""}).ok());
  }
  auto results = Results::Create(dir_ / "measured", manifest);
  ASSERT_TRUE(results.ok());
  ScriptedMeter meter(clock_);
  ExperimentHooks hooks;
  hooks.energy = &meter;
  ASSERT_TRUE(experiment.Execute(*results, hooks).ok());
  // Three requests of 40 ms a repetition; the warm-up and the replay are not in it.
  for (const Unit& unit : results->manifest().units) EXPECT_NEAR(unit.energy_j.value(), 50 * 0.12, 1e-9);

  const auto reopened = Results::Open(results->dir());
  ASSERT_TRUE(reopened.ok()) << reopened.error().message;
  EXPECT_EQ(reopened->manifest().energy_source, "RAPL: package-0");
  const auto summary = SummarizeStored(*reopened);
  ASSERT_TRUE(summary.ok());
  const cap::CellSummary& cell = summary->systems[0].cells.at(0);
  // 12 J of chips, 18 J at the wall, 18 output and 30 input tokens, 6 requests.
  EXPECT_TRUE(cell.energy_is_measured);
  EXPECT_NEAR(*cell.chip_joules_per_output_token, 12.0 / 18, 1e-9);
  EXPECT_NEAR(*cell.joules_per_output_token, 18.0 / 18, 1e-9);
  EXPECT_NEAR(*cell.joules_per_token, 18.0 / 48, 1e-9);
  EXPECT_NEAR(*cell.joules_per_request, 3, 1e-9);
  EXPECT_NEAR(*cell.energy_wh, 18.0 / 3600, 1e-12);
  EXPECT_NEAR(*cell.kg_co2_per_million_tokens, 18.0 / 48 * 1e6 / 3.6e6 * 2 * 0.5, 1e-9);
  EXPECT_NEAR(*summary->host.power_w, 75, 1e-6);
  EXPECT_THAT(summary->host.power_source,
              testing::AllOf(testing::HasSubstr("RAPL: package-0"), testing::HasSubstr("estimate")));
  // 1 USD/h of capital and 0.075 kW x 2 x 1 USD/kWh, over 0.24 s.
  EXPECT_NEAR(*cell.usd_per_request * 6, 1.15 * 0.24 / 3600, 1e-12);
  EXPECT_NEAR(*cell.usd_per_million_input_tokens * 30 + *cell.usd_per_million_output_tokens * 18,
              *cell.usd_per_request * 6 * 1e6, 1e-6);
  EXPECT_EQ(summary->host.pay, "buy");
  EXPECT_NEAR(*summary->host.own_usd_per_useful_h.typical, 1.15, 1e-6);
  EXPECT_EQ(summary->host.rent_usd_per_useful_h.typical, std::nullopt);
}

TEST_F(RunTest, WithoutCountersTheNameplateStandsAndSaysSo) {
  config_.systems.resize(1);
  config_.concurrency = {1};
  Experiment experiment = Prepare();
  Manifest manifest = NewResults(experiment).manifest();
  ASSERT_TRUE(cost::SetCostInput(manifest.cost, "nameplate_w", {400, "test", ""}).ok());
  auto results = Results::Create(dir_ / "estimated", manifest);
  ScriptedMeter meter(clock_);
  meter.broken = true;
  ExperimentHooks hooks;
  hooks.energy = &meter;
  ASSERT_TRUE(experiment.Execute(*results, hooks).ok());
  const auto summary = SummarizeStored(*results);
  const cap::CellSummary& cell = summary->systems[0].cells.at(0);
  EXPECT_FALSE(cell.energy_is_measured);
  EXPECT_FALSE(cell.chip_joules_per_output_token.has_value());
  EXPECT_NEAR(*cell.joules_per_output_token, 400 * 0.24 / 18, 1e-9);
  EXPECT_FALSE(cell.kg_co2_per_million_tokens.has_value()) << "no factor is known";
  EXPECT_EQ(summary->host.pay, "");
}

TEST_F(RunTest, TheMeterOfThisMachineIsNotThatOfAServer) {
  counters_.in_process = false;
  Experiment experiment = Prepare();
  Results results = NewResults(experiment);
  ScriptedMeter meter(clock_);
  ExperimentHooks hooks;
  hooks.energy = &meter;
  ASSERT_TRUE(experiment.Execute(results, hooks).ok());
  ASSERT_FALSE(results.manifest().units.empty());
  for (const Unit& unit : results.manifest().units) EXPECT_FALSE(unit.energy_j.has_value());
}

// What a version without energy, machine and pay wrote.
TEST_F(RunTest, ManifestsOfOlderVersionsLoad) {
  Experiment experiment = Prepare();
  const Results results = NewResults(experiment);
  auto json = *ParseJson(*ReadFile(results.dir() / "manifest.json"));
  json.erase("pay");
  json.erase("energy_source");
  for (const char* key : {"machine", "price_book", "pay"}) json["config"].erase(key);
  json["cost_inputs"] = {{"rent_usd_per_h", {{"value", 2.0}, {"source", "s"}, {"date", ""}}},
                         {"utilisation", {{"value", 1.0}, {"source", "s"}, {"date", ""}}}};
  json["units"] = {{{"system", "A"},
                    {"concurrency", 1},
                    {"repeat", 0},
                    {"complete", true},
                    {"requests_end_bytes", 0},
                    {"passes_end_bytes", 0}}};
  ASSERT_TRUE(WriteFileAtomically(results.dir() / "manifest.json", DumpJson(json)).ok());
  const auto old = Results::Open(results.dir());
  ASSERT_TRUE(old.ok()) << old.error().message;
  EXPECT_FALSE(old->manifest().units.at(0).energy_j.has_value());
  EXPECT_EQ(Summarize(old->manifest(), {}, {}).host.pay, "rent") << "a rate that is set is what is paid";
}

TEST_F(RunTest, AnInterruptedRunIsKeptAndFinishedByAResume) {
  Experiment experiment = Prepare();
  Results results = NewResults(experiment);
  int64_t done = 0;
  ExperimentHooks hooks;
  hooks.on_progress = [&](const ProgressUpdate& update) { done = update.done; };
  hooks.stop_requested = [&] { return done >= 4; };
  const Status stopped = experiment.Execute(results, hooks);
  ASSERT_FALSE(stopped.ok());
  EXPECT_EQ(stopped.error().kind, ErrorKind::kInterrupted);
  EXPECT_FALSE(results.manifest().complete);
  ASSERT_EQ(results.manifest().units.size(), 2u);
  EXPECT_TRUE(results.manifest().units[0].complete);
  EXPECT_FALSE(results.manifest().units[1].complete);
  const auto partial = SummarizeStored(results);
  ASSERT_TRUE(partial.ok());
  EXPECT_FALSE(partial->complete);
  EXPECT_EQ(partial->systems[0].cells.size(), 2u);
  EXPECT_TRUE(partial->systems[1].cells.empty());

  auto reopened = Results::Open(results.dir());
  ASSERT_TRUE(reopened.ok()) << reopened.error().message;
  ASSERT_TRUE(reopened->PrepareResume().ok());
  counters_ = {};
  Experiment again = Prepare();
  ASSERT_TRUE(again.Execute(*reopened, {}).ok());
  EXPECT_EQ(reopened->manifest().units.size(), 8u);
  EXPECT_EQ(counters_.routings, 3) << "the finished cell serves as reference";
  EXPECT_EQ(reopened->ReadRequests()->size(), 24u);
}

TEST_F(RunTest, WhatLiesBehindTheManifestDoesNotCount) {
  Experiment experiment = Prepare();
  Results results = NewResults(experiment);
  ASSERT_TRUE(experiment.Execute(results, {}).ok());
  std::ofstream(results.dir() / "requests.jsonl", std::ios::app) << "{\"half\":";
  const auto reopened = Results::Open(results.dir());
  ASSERT_TRUE(reopened.ok());
  EXPECT_EQ(reopened->ReadRequests()->size(), 24u);
  EXPECT_FALSE(Results::Open(dir_ / "nothing").ok());
}

TEST_F(RunTest, ASecondRunOfTheSameIdGetsAFolderOfItsOwn) {
  Experiment experiment = Prepare();
  EXPECT_EQ(NewResults(experiment).manifest().run_id, "run");
  const Results second = NewResults(experiment);
  EXPECT_EQ(second.manifest().run_id, "run-2");
  EXPECT_EQ(second.dir(), dir_ / "results" / "run-2");
}

TEST_F(RunTest, BadInputIsFoundBeforeAnythingIsWritten) {
  config_.problems = 9;
  EXPECT_THAT(Experiment::Prepare(config_, Factory(), clock_).error().message, testing::HasSubstr("has 3"));
  config_.problems = 0;
  std::ofstream(dir_ / "d.jsonl") << "{\"question\":\"" << std::string(300, 'x') << "\",\"answer\":\"1\"}\n";
  EXPECT_THAT(Experiment::Prepare(config_, Factory(), clock_).error().message,
              testing::HasSubstr("system A: the prompt does not fit"));
  EXPECT_FALSE(fs::exists(dir_ / "results"));
}

Manifest OfOneSystem(const std::string& weight_type, const std::string& compute_type) {
  Manifest manifest;
  SystemDescription system;
  system.name = "A";
  system.model = SmallMoe();
  system.model.weight_type = weight_type;
  system.model.compute_type = compute_type;
  manifest.systems = {system};
  hardware::Ceilings ceilings;
  ceilings.fp32_flops_per_s = hardware::Ceiling{1e9, 1e9, 1e9, 1, "fma"};
  ceilings.bf16_flops_per_s = hardware::Ceiling{2e9, 2e9, 2e9, 1, "dot bf16"};
  ceilings.int8_ops_per_s = hardware::Ceiling{4e9, 4e9, 4e9, 1, "dot int8"};
  manifest.ceilings = ceilings;
  return manifest;
}

TEST(Summarize, WeightsAreMeasuredAgainstThePeakOfTheTypeTheyAreMultipliedIn) {
  const auto peak = [](const Manifest& manifest) { return Summarize(manifest, {}, {}).systems[0].peak_flops_per_s; };
  EXPECT_EQ(peak(OfOneSystem("BF16", "bf16")), 2e9);
  EXPECT_EQ(peak(OfOneSystem("BF16", "fp32")), 1e9) << "a processor without BF16 products widens them";
  EXPECT_EQ(peak(OfOneSystem("Q4_0", "int8")), 4e9);
  EXPECT_EQ(peak(OfOneSystem("Q4_0", "")), 4e9) << "runs of 0.1 do not tell";
  Manifest left_out = OfOneSystem("BF16", "bf16");
  left_out.ceilings->bf16_flops_per_s.reset();
  EXPECT_EQ(peak(left_out), std::nullopt) << "never against another type's";
}

TEST(Summarize, AnUnknownCacheIsSaidAndNotTakenForNone) {
  Manifest manifest = OfOneSystem("F16", "fp32");
  EXPECT_THAT(Summarize(manifest, {}, {}).notes, testing::ElementsAre(testing::HasSubstr("last-level cache is not known")));
  manifest.host.last_level_cache_bytes = 1e9;
  EXPECT_THAT(Summarize(manifest, {}, {}).notes, testing::ElementsAre(testing::HasSubstr("fit into the last-level cache")));
  manifest.host.last_level_cache_bytes = 1;
  EXPECT_THAT(Summarize(manifest, {}, {}).notes, testing::IsEmpty());
}

TEST(ModelJson, KeepsEveryFigure) {
  const model::ModelSpec spec = SmallMoe();
  const auto again = ModelSpecFromJson(ToJson(spec));
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_EQ(ToJson(*again), ToJson(spec));
  EXPECT_EQ(again->TotalParams(), spec.TotalParams());
  EXPECT_EQ(again->ActiveParams(), spec.ActiveParams());
  EXPECT_EQ(again->WeightBytes(), spec.WeightBytes());
  EXPECT_EQ(again->KvElementsPerToken(), spec.KvElementsPerToken());
  EXPECT_THAT(ModelSpecFromJson(Json::object()).error().message, testing::HasSubstr("id"));
}

}  // namespace
}  // namespace moecap::run
