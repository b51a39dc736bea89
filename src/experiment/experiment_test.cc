// The whole of an experiment against systems in fake time: what is sent, stored, resumed, found and computed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "base/fs.h"
#include "base/testing/temp_dir.h"
#include "experiment/model_json.h"
#include "experiment/resume.h"
#include "experiment/runner.h"
#include "experiment/summarize.h"
#include "experiment/testing/fake_driver.h"

namespace moecap::experiment {
namespace {

namespace fs = std::filesystem;
using cap::FigureId;
using testing::DoubleNear;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kEngines =
    "systems: [{name: A, model: a.gguf}, {name: B, model: b.gguf}]\ndataset: {path: d.jsonl}\nwarmup_requests: 1\n";

class ExperimentTest : public testing::Test {
 protected:
  void SetUp() override {
    std::ofstream(dir_ / "d.jsonl") << "{\"id\":\"1\",\"question\":\"a\",\"answer\":\"#### 7\"}\n"
                                    << "{\"id\":\"2\",\"question\":\"b\",\"answer\":\"#### 7\"}\n"
                                    << "{\"id\":\"3\",\"question\":\"c\",\"answer\":\"#### 8\"}\n";
  }

  DriverFactory Factory() {
    return [this](const SystemConfig& system, const Config&) -> Result<std::unique_ptr<SystemDriver>> {
      return std::unique_ptr<SystemDriver>(new FakeDriver(system, clock, log));
    };
  }
  Config Parse(const std::string& text) {
    auto config = ParseConfig(text, "c.yaml", dir_);
    EXPECT_TRUE(config.ok()) << (config.ok() ? "" : config.error().message);
    return std::move(config).value();
  }
  Experiment Prepare(const Config& config) {
    auto experiment = Experiment::Prepare(config, Factory(), clock);
    EXPECT_TRUE(experiment.ok()) << (experiment.ok() ? "" : experiment.error().message);
    return std::move(experiment).value();
  }
  Results Create(const Config& config, Experiment& experiment) {
    Manifest manifest;
    manifest.run_id = "run";
    manifest.config = config;
    EXPECT_TRUE(experiment.Describe(manifest).ok());
    hardware::Ceilings ceilings;
    ceilings.read_bytes_per_s = hardware::Ceiling{1e6, 1e6, 1e6, 1, "read"};
    ceilings.fp32_flops_per_s = hardware::Ceiling{1e6, 1e6, 1e6, 1, "fma"};
    manifest.ceilings = ceilings;
    change_manifest(manifest);
    return Results::Create(dir_ / "results", manifest).value();
  }
  // Measures a configuration from its text to its summary, read from the files.
  cap::ExperimentSummary Measure(const std::string& text) {
    const Config config = Parse(text);
    Experiment experiment = Prepare(config);
    Results results = Create(config, experiment);
    const Status status = experiment.Execute(results, hooks);
    EXPECT_TRUE(status.ok()) << (status.ok() ? "" : status.error().message);
    return SummaryOf(results.dir());
  }
  static cap::ExperimentSummary SummaryOf(const fs::path& dir) {
    const auto opened = Results::Open(dir);
    EXPECT_TRUE(opened.ok()) << (opened.ok() ? "" : opened.error().message);
    auto summary = Summarize(*opened);
    EXPECT_TRUE(summary.ok()) << (summary.ok() ? "" : summary.error().message);
    return std::move(summary).value();
  }

  TempDir temp_;
  const fs::path dir_ = temp_.path();
  FakeClock clock;
  DriverLog log;
  Hooks hooks;
  std::function<void(Manifest&)> change_manifest = [](Manifest&) {};
};

TEST_F(ExperimentTest, MeasuresEveryCellAndSharesTheRoutingOfEqualRepetitions) {
  std::vector<ProgressUpdate> updates;
  hooks.on_progress = [&](const ProgressUpdate& update) { updates.push_back(update); };
  const Config config = Parse(std::string(kEngines) + "concurrency: [1, 2]\nrepeats: 2\n");
  Experiment experiment = Prepare(config);
  Results results = Create(config, experiment);
  ASSERT_TRUE(experiment.Execute(results, hooks).ok());
  EXPECT_EQ(results.manifest().measurements.size(), 8u);
  EXPECT_TRUE(results.manifest().complete);
  EXPECT_EQ(log.routings, 4) << "one a cell, not one a repetition";
  EXPECT_EQ(updates.back().done, 3);
  EXPECT_EQ(updates.back().planned, 3);
  EXPECT_EQ(updates.back().measurements, 8);
  EXPECT_EQ(updates.back().measured, 7) << "the eighth goes on";

  const Results opened = Results::Open(results.dir()).value();
  for (const Measurement& measurement : opened.manifest().measurements) {
    const auto facts = opened.ReadFacts(measurement);
    ASSERT_TRUE(facts.ok()) << facts.error().message;
    EXPECT_EQ(facts->records.requests.size(), 3u);
    ASSERT_FALSE(facts->records.passes.empty());
    for (const auto& pass : facts->records.passes) {
      EXPECT_THAT(pass.distinct_experts, ElementsAre(2, 3));
      EXPECT_EQ(pass.expert_counts.size(), 2u) << "stored once, read for every repetition";
    }
  }
}

TEST_F(ExperimentTest, EverySystemMeetsEveryLevelInEachRepetitionInAnOrderOfTheSeed) {
  const Config config = Parse(std::string(kEngines) + "concurrency: [1, 2, 4]\nrepeats: 4\nseed: 3\n");
  const std::vector<Planned> order = OrderOf(config);
  ASSERT_EQ(order.size(), 24u);
  std::set<std::string> orders;
  for (size_t repeat = 0; repeat < 4; ++repeat) {
    std::set<std::pair<size_t, double>> seen;
    std::string text;
    for (size_t i = 6 * repeat; i < 6 * (repeat + 1); ++i) {
      EXPECT_EQ(order[i].repeat, static_cast<int>(repeat));
      seen.emplace(order[i].system, order[i].level.value);
      text += std::to_string(order[i].system) + Label(order[i].level);
    }
    for (size_t pair = 6 * repeat; pair < 6 * (repeat + 1); pair += 2)
      EXPECT_EQ(order[pair].level, order[pair + 1].level) << "systems meet a level one right after the other";
    EXPECT_EQ(seen.size(), 6u);
    orders.insert(text);
  }
  EXPECT_GT(orders.size(), 1u) << "not the same order in every repetition";
  const auto same = OrderOf(config);
  for (size_t i = 0; i < order.size(); ++i) EXPECT_EQ(order[i].system, same[i].system);
}

TEST_F(ExperimentTest, SummaryEqualsHandComputation) {
  const auto summary = Measure("systems: [{name: A, model: a.gguf}]\ndataset: {path: d.jsonl}\nrepeats: 2\n");
  ASSERT_EQ(summary.systems.size(), 1u);
  const cap::CellSummary& cell = summary.systems[0].cells.at(0);
  const auto figure = [&](FigureId id) { return cell.figures[id].value(); };

  // Each request: prefill 20 ms, then two decode steps of 10 ms.
  EXPECT_EQ(figure(FigureId::kRequests), 6);
  EXPECT_EQ(cell.repeats, 2);
  EXPECT_NEAR(figure(FigureId::kTtftMean), 0.020, 1e-12);
  EXPECT_NEAR(figure(FigureId::kTpotMean), 0.010, 1e-12);
  EXPECT_NEAR(figure(FigureId::kItlMean), 0.010, 1e-12);
  EXPECT_NEAR(figure(FigureId::kE2eMean), 0.040, 1e-12);
  EXPECT_NEAR(figure(FigureId::kTimePerToken), 0.040 / 3, 1e-12);
  EXPECT_NEAR(figure(FigureId::kOutputRate), 18 / 0.240, 1e-9);
  EXPECT_FALSE(cell.figures[FigureId::kTtftP99].has_value()) << "six requests know no p99";
  EXPECT_FALSE(cell.figures[FigureId::kGoodput].has_value());
  ASSERT_EQ(cell.measurements.size(), 2u);
  EXPECT_NEAR(cell.measurements[1].figures[FigureId::kOutputRate].value(), 9 / 0.120, 1e-9);

  // Problem 1 is answered rightly, 2 not at all, 3 wrongly.
  EXPECT_EQ(figure(FigureId::kScored), 3);
  EXPECT_EQ(figure(FigureId::kAnswered), 2);
  EXPECT_NEAR(figure(FigureId::kAccuracy), 1.0 / 3, 1e-12);
  ASSERT_EQ(cell.items.size(), 3u);
  EXPECT_EQ(cell.items[0].id, "1");
  EXPECT_EQ(cell.items[0].score, 1);
  EXPECT_EQ(cell.items[0].repeats, 2);

  // Decode bytes, complete: per layer 100 attention + distinct x 10, head 50; KV reads 2 B x context and writes 2 B a layer.
  // Contexts are 5 and 6. Embedding: none in this model, so no row.
  const double weights = 2 * 100 + (2 + 3) * 10 + 50;
  const double step5 = weights + 2 * (2 * 5 + 2), step6 = weights + 2 * (2 * 6 + 2);
  EXPECT_EQ(cell.utilization.decode.passes, 12);
  EXPECT_NEAR(*cell.utilization.decode.bytes, 6 * (step5 + step6), 1e-9);
  EXPECT_NEAR(figure(FigureId::kDecodeSMbu), 6 * (step5 + step6) / 0.12 / 1e6, 1e-12);
  EXPECT_NEAR(figure(FigureId::kDistinctExperts), 2.5, 1e-12);
  // Resident after the steps: 6 and 7 tokens, 2 layers, 2 B.
  EXPECT_NEAR(figure(FigureId::kKvMean), 2 * 2 * 6.5, 1e-9);
  EXPECT_NEAR(figure(FigureId::kKvMax), 2 * 2 * 7, 1e-9);
  EXPECT_FALSE(cell.figures[FigureId::kUsdPerMillionTokens].has_value()) << "no price, no cost";
  EXPECT_THAT(summary.systems[0].expert_share[1],
              ElementsAre(DoubleNear(1.0 / 3, 1e-12), 0, DoubleNear(1.0 / 3, 1e-12), DoubleNear(1.0 / 3, 1e-12)));
}

TEST_F(ExperimentTest, AnOpenLoopScoresAnswersAndHoldsQueueing) {
  const auto summary = Measure(
      "systems: [{name: A, model: a.gguf}]\ndataset: {path: d.jsonl}\nload: {rates_per_s: 1000, arrivals: constant}\n"
      "objectives: {ttft_s: 0.03}\nwarmup_requests: 0\n");
  const cap::CellSummary& cell = summary.systems[0].cells.at(0);
  EXPECT_NEAR(cell.figures[FigureId::kAccuracy].value(), 1.0 / 3, 1e-12);
  EXPECT_GT(cell.figures[FigureId::kTimePerToken].value(), 0.040 / 3) << "two of three waited for the others' prefill";
  EXPECT_EQ(cell.figures[FigureId::kGoodShare].value(), 1.0 / 3);
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

constexpr const char* kOneEngine = "systems: [{name: A, model: a.gguf}]\ndataset: {path: d.jsonl}\nrepeats: 2\n";

TEST_F(ExperimentTest, MeteredEnergyReplacesTheNameplate) {
  change_manifest = [](Manifest& manifest) {
    manifest.energy_source = "RAPL: package-0";
    manifest.systems[0].pay = cost::Pay::kBuy;
    for (const auto& [key, value] : std::map<std::string, double>{{"cpu_usd", 8760},
                                                                  {"life_years", 1},
                                                                  {"discount_rate", 0},
                                                                  {"utilisation", 1},
                                                                  {"energy_usd_per_kwh", 1},
                                                                  {"nameplate_w", 400},
                                                                  {"wall_factor", 1.5},
                                                                  {"pue", 2},
                                                                  {"grid_kg_co2_per_kwh", 0.5}}) {
      ASSERT_TRUE(cost::SetCostInput(manifest.systems[0].cost, key, {value, "test", ""}).ok());
    }
  };
  ScriptedMeter meter(clock);
  hooks.energy = &meter;
  const auto summary = Measure(kOneEngine);
  const cap::CellSummary& cell = summary.systems[0].cells.at(0);
  const auto figure = [&](FigureId id) { return cell.figures[id].value(); };
  // Three requests of 40 ms a repetition; the warm-up and the replay are not in it. 12 J of chips, 18 J at the wall, 18 output
  // and 30 input tokens, 6 requests.
  EXPECT_TRUE(cell.energy_is_metered);
  EXPECT_FALSE(cell.estimates.Has(FigureId::kJoulesPerOutput));
  EXPECT_NEAR(figure(FigureId::kChipJoulesPerOutput), 12.0 / 18, 1e-9);
  EXPECT_NEAR(figure(FigureId::kJoulesPerOutput), 18.0 / 18, 1e-9);
  EXPECT_NEAR(figure(FigureId::kJoulesPerToken), 18.0 / 48, 1e-9);
  EXPECT_NEAR(figure(FigureId::kJoulesPerRequest), 3, 1e-9);
  EXPECT_NEAR(figure(FigureId::kEnergy), 18.0 / 3600, 1e-12);
  EXPECT_NEAR(figure(FigureId::kPower), 75, 1e-6);
  EXPECT_NEAR(figure(FigureId::kCo2), 18.0 / 48 * 1e6 / 3.6e6 * 2 * 0.5, 1e-9);
  const cap::MachineSummary& machine = summary.systems[0].machine;
  EXPECT_NEAR(*machine.power_w, 75, 1e-6);
  EXPECT_THAT(machine.power_source, testing::AllOf(HasSubstr("RAPL: package-0"), HasSubstr("estimate")));
  // 1 USD/h of capital and 0.075 kW x 2 x 1 USD/kWh, over 0.24 s.
  EXPECT_NEAR(figure(FigureId::kUsdPerRequest) * 6, 1.15 * 0.24 / 3600, 1e-12);
  EXPECT_NEAR(figure(FigureId::kUsdPerMillionInput) * 30 + figure(FigureId::kUsdPerMillionOutput) * 18,
              figure(FigureId::kUsdPerRequest) * 6 * 1e6, 1e-6);
  EXPECT_NEAR(figure(FigureId::kUsdPerMillionTokens) * 48, figure(FigureId::kUsdPerRequest) * 6 * 1e6, 1e-6);
  EXPECT_EQ(machine.pay, "buy");
  EXPECT_NEAR(*machine.own_usd_per_useful_h.typical, 1.15, 1e-6);
  EXPECT_EQ(machine.rent_usd_per_useful_h.typical, std::nullopt);
}

TEST_F(ExperimentTest, WithoutCountersTheNameplateStandsAndSaysSo) {
  change_manifest = [](Manifest& manifest) {
    ASSERT_TRUE(cost::SetCostInput(manifest.systems[0].cost, "nameplate_w", {400, "test", ""}).ok());
  };
  ScriptedMeter meter(clock);
  meter.broken = true;
  hooks.energy = &meter;
  const auto summary = Measure(kOneEngine);
  const cap::CellSummary& cell = summary.systems[0].cells.at(0);
  EXPECT_FALSE(cell.energy_is_metered);
  EXPECT_TRUE(cell.estimates.Has(FigureId::kJoulesPerOutput));
  EXPECT_FALSE(cell.figures[FigureId::kChipJoulesPerOutput].has_value());
  EXPECT_NEAR(cell.figures[FigureId::kJoulesPerOutput].value(), 400 * 0.24 / 18, 1e-9);
  EXPECT_FALSE(cell.figures[FigureId::kCo2].has_value()) << "no factor is known";
  EXPECT_EQ(summary.systems[0].machine.pay, "");
}

TEST_F(ExperimentTest, WeightsAreMeasuredAgainstThePeakOfTheTypeTheyAreMultipliedIn) {
  std::string weights, compute;
  change_manifest = [&](Manifest& manifest) {
    manifest.systems[0].description.model.weight_type = weights;
    manifest.systems[0].description.model.compute_type = compute;
    manifest.ceilings->fp32_flops_per_s = hardware::Ceiling{1e9, 1e9, 1e9, 1, "fma"};
    manifest.ceilings->bf16_flops_per_s = hardware::Ceiling{2e9, 2e9, 2e9, 1, "dot bf16"};
    manifest.ceilings->int8_ops_per_s = hardware::Ceiling{4e9, 4e9, 4e9, 1, "dot int8"};
  };
  const auto peak = [&](const char* weight_type, const char* compute_type) {
    weights = weight_type;
    compute = compute_type;
    return Measure(kOneEngine).systems[0].machine.peak_flops_per_s;
  };
  EXPECT_EQ(peak("BF16", "bf16"), 2e9);
  EXPECT_EQ(peak("BF16", "fp32"), 1e9) << "a processor without BF16 products widens them";
  EXPECT_EQ(peak("Q4_0", "int8"), 4e9);
  EXPECT_EQ(peak("Q4_0", ""), 4e9) << "runs of 0.1 do not tell";
}

TEST_F(ExperimentTest, AnUnknownCacheIsSaidAndNotTakenForNone) {
  std::optional<double> cache;
  change_manifest = [&](Manifest& manifest) { manifest.host.last_level_cache_bytes = cache; };
  EXPECT_THAT(Measure(kOneEngine).notes, testing::Contains(HasSubstr("last-level cache is not known")));
  cache = 1e9;
  EXPECT_THAT(Measure(kOneEngine).notes, testing::Contains(HasSubstr("fit into the last-level cache")));
  cache = 1;
  EXPECT_THAT(Measure(kOneEngine).notes, testing::Not(testing::Contains(HasSubstr("last-level cache"))));
}

// A machine that others use is said by the cell's gates, and such a cell is not valid.
TEST_F(ExperimentTest, ADisturbedMeasurementIsMarked) {
  const Config config = Parse(kOneEngine);
  Experiment experiment = Prepare(config);
  Results results = Create(config, experiment);
  ASSERT_TRUE(experiment.Execute(results, hooks).ok());
  Measurement measurement = results.manifest().measurements.at(1);
  hardware::MachineUse use;
  use.wall_s = 1;
  use.allowed_cpus = 2;
  use.others_cpu_s = 0.6;
  measurement.machine_use = use;
  const auto facts = results.ReadFacts(measurement);
  ASSERT_TRUE(facts.ok() && results.End(measurement, facts->records).ok());
  const auto summary = SummaryOf(results.dir());
  const cap::CellSummary& cell = summary.systems[0].cells.at(0);
  EXPECT_FALSE(cell.IsValid());
  EXPECT_THAT(metrics::TrippedWords(cell.gates), testing::Contains(HasSubstr("30 %")));
  EXPECT_TRUE(cell.figures[FigureId::kOutputRate].has_value()) << "the figures stay";
}

TEST_F(ExperimentTest, TheMeterOfThisMachineIsNotThatOfAServer) {
  ScriptedMeter meter(clock);
  hooks.energy = &meter;
  const auto summary = Measure("server: {url: http://h}\nworkload: {input_tokens: 8, output_tokens: 2, requests: 5}\n");
  const cap::CellSummary& cell = summary.systems[0].cells.at(0);
  EXPECT_FALSE(cell.figures[FigureId::kChipJoulesPerOutput].has_value());
  EXPECT_FALSE(cell.figures[FigureId::kJoulesPerOutput].has_value()) << "nobody said what the server runs on";
}

// Two servers with machines of their own are priced as what they are, whatever this host is.
TEST_F(ExperimentTest, CostBelongsToTheSystem) {
  change_manifest = [](Manifest& manifest) {
    for (size_t i = 0; i < 2; ++i) {
      ASSERT_TRUE(cost::SetCostInput(manifest.systems[i].cost, "rent_usd_per_h", {i == 0 ? 2.0 : 8.0, "test", ""}).ok());
      ASSERT_TRUE(cost::SetCostInput(manifest.systems[i].cost, "utilisation", {1, "test", ""}).ok());
    }
  };
  const auto summary = Measure(
      "systems: [{name: A, server: {url: http://a}}, {name: B, server: {url: http://b}}]\n"
      "workload: {input_tokens: 8, output_tokens: 2, requests: 5}\n");
  const auto cost = [&](size_t i) { return summary.systems[i].cells[0].figures[FigureId::kUsdPerMillionTokens].value(); };
  EXPECT_NEAR(cost(1) / cost(0), 4, 1e-9);
  EXPECT_EQ(summary.systems[0].machine.usd_per_h, 2.0);
  EXPECT_EQ(summary.systems[1].machine.usd_per_h, 8.0);
}

TEST_F(ExperimentTest, AnInterruptIsListedEntersNoFigureAndAResumeFinishes) {
  const Config config = Parse(std::string(kEngines) + "concurrency: [1, 2]\nrepeats: 2\n");
  Experiment experiment = Prepare(config);
  Results results = Create(config, experiment);
  int64_t done = 0, last = 0;
  hooks.on_progress = [&](const ProgressUpdate& update) {
    done += std::max<int64_t>(0, update.done - last);
    last = update.done;
  };
  hooks.stop_requested = [&] { return done >= 4; };
  const Status stopped = experiment.Execute(results, hooks);
  ASSERT_FALSE(stopped.ok());
  EXPECT_EQ(stopped.error().kind, ErrorKind::kInterrupted);
  ASSERT_EQ(results.manifest().measurements.size(), 2u);
  EXPECT_TRUE(results.manifest().measurements[0].complete);
  const Measurement stump = results.manifest().measurements[1];
  EXPECT_FALSE(stump.complete);
  const auto partial = SummaryOf(results.dir());
  EXPECT_FALSE(partial.complete);
  int listed = 0;
  for (const cap::SystemSummary& system : partial.systems) {
    for (const cap::CellSummary& cell : system.cells) {
      for (const cap::MeasurementSummary& measurement : cell.measurements) {
        if (measurement.complete) continue;
        ++listed;
        EXPECT_EQ(measurement.ended_by, "interrupt");
        EXPECT_FALSE(cell.figures[FigureId::kOutputRate].has_value()) << "a stump is no repetition";
        EXPECT_EQ(cell.repeats, 0);
      }
    }
  }
  EXPECT_EQ(listed, 1);

  auto reopened = Results::Open(results.dir());
  ASSERT_TRUE(reopened.ok() && reopened->PrepareResume().ok());
  log = {};
  hooks = {};
  Experiment again = Prepare(config);
  ASSERT_TRUE(again.Execute(*reopened, hooks).ok());
  EXPECT_EQ(reopened->manifest().measurements.size(), 8u);
  EXPECT_EQ(log.routings, 3) << "the finished cell serves as reference";
  EXPECT_TRUE(SummaryOf(results.dir()).complete);
}

TEST_F(ExperimentTest, AResumeNamesWhatChanged) {
  const Config config = Parse(kEngines);
  Experiment experiment = Prepare(config);
  const Manifest stored = Create(config, experiment).manifest();
  EXPECT_THAT(ChangesSince(stored, stored), testing::IsEmpty());
  Manifest now = stored;
  now.systems[0].description.engine = "scripted 2";
  now.systems[1].description.model_file_bytes = 7;
  now.host.cpu_model = "another";
  now.config.text += "seed: 2\n";
  const auto changes = ChangesSince(stored, now);
  ASSERT_EQ(changes.size(), 4u);
  EXPECT_THAT(changes[0], HasSubstr("host"));
  EXPECT_THAT(changes[1], HasSubstr("configuration"));
  EXPECT_THAT(changes[2], HasSubstr("system A, engine: it was scripted, now it is scripted 2"));
  EXPECT_THAT(changes[3], HasSubstr("system B, size"));
  Manifest other = stored;
  other.systems[1].description.model_file_xxh3 = "00";
  EXPECT_THAT(ChangesSince(stored, other), ElementsAre(HasSubstr("content of")));
}

TEST_F(ExperimentTest, MeasuresEveryLevelOfAServerAndFindsItAgainInTheFiles) {
  const auto summary = Measure(
      "server: {url: http://h}\nworkload: {input_tokens: 16, output_tokens: 4, requests: 50}\nload: {clients: [1, 4]}\n"
      "repeats: 2\nwarmup_requests: 3\nflush_cache: true\n");
  EXPECT_EQ(log.flushes, 4);
  EXPECT_EQ(log.head_room_streams, 4);
  EXPECT_EQ(log.seen.size(), 4u * 53);
  EXPECT_TRUE(summary.complete);
  const auto& cells = summary.systems.at(0).cells;
  ASSERT_EQ(cells.size(), 2u);
  EXPECT_EQ(cells[1].label, "4 clients");
  EXPECT_EQ(cells[1].repeats, 2);
  EXPECT_EQ(cells[1].measurements[0].load.whole.completed, 50);
  EXPECT_NEAR(cells[1].measurements[0].load.concurrency.mean, 4, 0.3);
  for (const cap::CellSummary& cell : cells) {
    EXPECT_NEAR(cell.figures[FigureId::kRequestRate].value(), 100, 1) << "what the system can do, whatever the concurrency";
    for (const metrics::Gate& gate : cell.gates) EXPECT_FALSE(gate.tripped()) << gate.name << ": " << gate.explanation;
  }
}

// No prompt of one measurement, warm-up included, is one of another: nothing can be answered from a cache.
TEST_F(ExperimentTest, NeverSendsAPromptTwice) {
  Measure(
      "server: {url: http://h}\nworkload: {input_tokens: 16, output_tokens: 1, requests: 40}\nload: {clients: 2}\nrepeats: "
      "3\n");
  std::set<std::vector<int32_t>> prompts;
  std::set<std::string> salts;
  for (const load::RequestSpec& spec : log.seen) {
    prompts.insert(spec.prompt_token_ids);
    salts.insert(spec.cache_salt);
  }
  EXPECT_EQ(prompts.size(), log.seen.size());
  EXPECT_EQ(salts.size(), log.seen.size());
}

// A data set's prompts are the same in every repetition; salts keep them apart, and the warm-up takes other problems.
TEST_F(ExperimentTest, ADataSetMeetsAColdCacheInEveryMeasurement) {
  Measure(
      "server: {url: http://h}\ndataset: {path: d.jsonl, problems: 2}\nload: {clients: 2}\nrepeats: 3\nwarmup_requests: 2\n");
  std::set<std::string> salts, prompts;
  for (const load::RequestSpec& spec : log.seen) {
    salts.insert(spec.cache_salt);
    if (spec.prompt.find("Question: c") != std::string::npos) prompts.insert(spec.prompt);
    for (const char c : spec.cache_salt) EXPECT_TRUE(std::isalnum(c) || c == '.' || c == '_' || c == '-') << spec.cache_salt;
    EXPECT_LE(spec.cache_salt.size(), 128u);
  }
  EXPECT_EQ(salts.size(), log.seen.size());
  EXPECT_EQ(prompts.size(), 1u) << "the third problem is not measured: it warms up";
}

TEST_F(ExperimentTest, SystemsGetTheSamePromptsAtTheSameTimes) {
  Measure(
      "systems: [{name: A, server: {url: http://a}}, {name: B, server: {url: http://b}}]\n"
      "workload: {input_tokens: 8, output_tokens: 1, requests: 4}\nwarmup_requests: 0\n");
  ASSERT_EQ(log.seen.size(), 8u);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(log.seen[i].prompt_token_ids, log.seen[i + 4].prompt_token_ids);
    EXPECT_NE(log.seen[i].cache_salt, log.seen[i + 4].cache_salt);
  }
}

TEST_F(ExperimentTest, KeepsTheScheduleItStores) {
  const Config config =
      Parse("server: {url: http://h}\nworkload: {input_tokens: 8, output_tokens: 1}\nload: {rates_per_s: 40}\nduration_s: 5\n");
  Experiment experiment = Prepare(config);
  Results results = Create(config, experiment);
  ASSERT_TRUE(experiment.Execute(results, hooks).ok());
  const auto facts = results.ReadFacts(results.manifest().measurements.at(0));
  ASSERT_TRUE(facts.ok()) << facts.error().message;
  const auto& requests = facts->records.requests;
  ASSERT_GT(requests.size(), 150u);
  ASSERT_LE(requests.size(), facts->plan.size());
  EXPECT_GT(*facts->plan.at(requests.size()).at_s, 5) << "the plan goes on where the duration ends";
  for (size_t i = 0; i < requests.size(); ++i) {
    EXPECT_EQ(requests[i].id, facts->plan[i].id);
    EXPECT_NEAR(requests[i].intended_send_s, *facts->plan[i].at_s, 1e-9);
  }
}

// 100 requests/s can be served; the search finds that and can be computed again from the files alone.
TEST_F(ExperimentTest, FindsTheHighestRateAndRecomputesTheSearch) {
  const auto summary = Measure(
      "server: {url: http://h}\nworkload: {input_tokens: 8, output_tokens: 1, requests: 400}\n"
      "load: {rates_per_s: 1, arrivals: constant}\nobjectives: {ttft_s: 0.05}\nsearch: {start: 10, target_share: 0.9}\n"
      "warmup_requests: 0\n");
  const auto& search = summary.systems.at(0).search;
  ASSERT_TRUE(search && search->passes && search->fails);
  EXPECT_LE(*search->passes, 102);
  EXPECT_GE(*search->fails, 98);
  EXPECT_GT(*search->passes, 90);
  EXPECT_EQ(summary.systems[0].cells.size(), search->probes.size());
}

TEST_F(ExperimentTest, RefusesIdsWhereTheServerTakesText) {
  log.takes_ids = false;
  const Config config = Parse("server: {url: http://h}\nworkload: {requests: 3}\n");
  const auto experiment = Experiment::Prepare(config, Factory(), clock);
  ASSERT_FALSE(experiment.ok());
  EXPECT_THAT(experiment.error().message, HasSubstr("text: true"));
}

TEST_F(ExperimentTest, BadInputIsFoundBeforeAnythingIsWritten) {
  const auto prepare = [&](const std::string& text) { return Experiment::Prepare(Parse(text), Factory(), clock); };
  EXPECT_THAT(prepare("systems: [{name: A, model: a}]\ndataset: {path: d.jsonl, problems: 9}\n").error().message,
              HasSubstr("has 3"));
  std::ofstream(dir_ / "long.jsonl") << "{\"question\":\"" << std::string(300, 'x') << "\",\"answer\":\"1\"}\n";
  EXPECT_THAT(prepare("systems: [{name: A, model: a}, {name: B, model: b}]\ndataset: {path: long.jsonl}\n").error().message,
              HasSubstr("system A: the prompt does not fit"));
  EXPECT_FALSE(fs::exists(dir_ / "results"));
}

TEST_F(ExperimentTest, ASecondRunOfTheSameIdGetsAFolderOfItsOwn) {
  const Config config = Parse(kEngines);
  Experiment experiment = Prepare(config);
  EXPECT_EQ(Create(config, experiment).manifest().run_id, "run");
  const Results second = Create(config, experiment);
  EXPECT_EQ(second.manifest().run_id, "run-2");
  EXPECT_EQ(second.dir(), dir_ / "results" / "run-2");
}

TEST_F(ExperimentTest, NamesADamagedFolder) {
  const Config config = Parse(kEngines);
  Experiment experiment = Prepare(config);
  Results results = Create(config, experiment);
  ASSERT_TRUE(experiment.Execute(results, hooks).ok());
  const Measurement measurement = results.manifest().measurements.at(0);
  const fs::path answers = results.dir() / "measurements" / measurement.name / "answers.jsonl";
  const std::string text = ReadFile(answers).value();
  ASSERT_TRUE(WriteFileAtomically(answers, text.substr(0, text.find('\n') + 1)).ok());
  EXPECT_THAT(results.ReadFacts(measurement).error().message, HasSubstr("answers.jsonl is cut off"));
  ASSERT_TRUE(WriteFileAtomically(results.dir() / kManifestName, "{\"schema\": 9}").ok());
  EXPECT_THAT(Results::Open(results.dir()).error().message, HasSubstr("schema 9"));
  EXPECT_THAT(Results::Open(dir_ / "nothing").error().message, HasSubstr("not a stored run"));
}

// Folders of version 0.1, with the figures that version printed.
TEST(Version01, ARunOpens) {
  const auto results = Results::Open(fs::path(MOECAP_SOURCE_DIR) / "tests/golden/run-0.1");
  ASSERT_TRUE(results.ok()) << results.error().message;
  EXPECT_EQ(results->manifest().measurements.size(), 4u);
  const auto summary = Summarize(*results);
  ASSERT_TRUE(summary.ok()) << summary.error().message;
  ASSERT_EQ(summary->systems.size(), 2u);
  const cap::CellSummary& cell = summary->systems[0].cells.at(0);
  EXPECT_EQ(cell.label, "2 clients");
  EXPECT_EQ(cell.figures[FigureId::kRequests].value(), 4);
  EXPECT_EQ(cell.figures[FigureId::kAccuracy].value(), 0);
  EXPECT_NEAR(cell.figures[FigureId::kTtftMean].value(), 1.0646254405, 1e-9);
  EXPECT_NEAR(cell.figures[FigureId::kTpotMean].value(), 0.1579547223369565, 1e-9);
  EXPECT_NEAR(cell.figures[FigureId::kDecodeSMbu].value(), 0.002058166845189413, 1e-12);
  EXPECT_TRUE(cell.figures[FigureId::kGoodput].has_value()) << "its service level";
  auto resumed = Results::Open(fs::path(MOECAP_SOURCE_DIR) / "tests/golden/run-0.1");
  EXPECT_THAT(resumed->PrepareResume().error().message, HasSubstr("version 0.1.0"));
}

TEST(Version01, ALoadTestOpens) {
  const auto results = Results::Open(fs::path(MOECAP_SOURCE_DIR) / "tests/golden/load-0.1");
  ASSERT_TRUE(results.ok()) << results.error().message;
  const auto summary = Summarize(*results);
  ASSERT_TRUE(summary.ok()) << summary.error().message;
  ASSERT_EQ(summary->systems.size(), 1u);
  EXPECT_FALSE(summary->systems[0].in_process);
  ASSERT_EQ(summary->systems[0].cells.size(), 2u);
  EXPECT_EQ(summary->systems[0].cells[1].label, "2 clients");
  EXPECT_EQ(summary->systems[0].cells[1].figures[FigureId::kCompleted].value(), 4);
  EXPECT_EQ(summary->objectives.ttft_s, 1);
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
  EXPECT_THAT(ModelSpecFromJson(Json::object()).error().message, HasSubstr("id"));
}

}  // namespace
}  // namespace moecap::experiment
