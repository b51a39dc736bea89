// Figures, cost, energy and marks of cells, from the facts of experiments in fake time.
#include "experiment/summarize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "experiment/testing/experiment_fixture.h"

namespace moecap::experiment {
namespace {

using cap::FigureId;
using testing::DoubleNear;
using testing::ElementsAre;
using testing::HasSubstr;

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
    if (gpu_only) return {std::nullopt, std::nullopt, {Joules() - begin_j_}};
    return {broken ? std::nullopt : std::optional(Joules() - begin_j_), std::nullopt, {80.0}};
  }
  std::string Describe(const hardware::UsedDevices&) const override { return "RAPL: package-0"; }
  bool broken = false;
  bool gpu_only = false;  // the 50 W are GPU 0's, and the processor has no counter

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

// A GPU server whose processor nothing counts: what the GPU drew is metered, the whole machine an estimate from both.
TEST_F(ExperimentTest, MeteredGpusStandBesideTheEstimateOfTheWhole) {
  change_manifest = [](Manifest& manifest) {
    manifest.energy_source = "NVML: GPU 0";
    for (const auto& [key, value] : std::map<std::string, double>{{"all_in_w", 260}, {"pue", 1.3}, {"accelerators_w", 70}})
      ASSERT_TRUE(cost::SetCostInput(manifest.systems[0].cost, key, {value, "test", ""}).ok());
  };
  log.used = {true, {0}};
  ScriptedMeter meter(clock);
  meter.gpu_only = true;
  hooks.energy = &meter;
  const auto summary = Measure(kOneEngine);
  const cap::CellSummary& cell = summary.systems[0].cells.at(0);
  const auto figure = [&](FigureId id) { return cell.figures[id].value(); };
  // 0.24 s, 18 output and 30 input tokens.
  EXPECT_NEAR(figure(FigureId::kGpuPower), 50, 1e-6);
  EXPECT_NEAR(figure(FigureId::kGpuJoulesPerOutput), 12.0 / 18, 1e-9);
  EXPECT_NEAR(figure(FigureId::kGpuJoulesPerToken), 12.0 / 48, 1e-9);
  EXPECT_FALSE(cell.estimates.Has(FigureId::kGpuPower));
  EXPECT_FALSE(cell.figures[FigureId::kChipJoulesPerOutput].has_value()) << "the processor is a chip, too";
  EXPECT_FALSE(cell.energy_is_metered);
  EXPECT_NEAR(figure(FigureId::kPower), 50 + 200 - 70, 1e-6);
  EXPECT_TRUE(cell.estimates.Has(FigureId::kPower));
  EXPECT_NEAR(cell.measurements.at(1).figures[FigureId::kGpuPower].value(), 50, 1e-6);
  EXPECT_THAT(summary.systems[0].machine.power_source,
              testing::AllOf(HasSubstr("50 W, metered by NVML: GPU 0"), HasSubstr("estimate")));
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

// Of a system on a GPU the processor's ceilings say nothing.
TEST_F(ExperimentTest, APeakIsThatOfTheDevice) {
  change_manifest = [](Manifest& manifest) {
    manifest.systems[0].description.devices.gpus = {"CUDA0 (NVIDIA H200)"};
    manifest.systems[0].description.devices.gpu_layers = -1;
  };
  const auto summary = Measure(kOneEngine);
  EXPECT_FALSE(summary.systems[0].machine.peak_bandwidth_bytes_per_s.has_value());
  EXPECT_FALSE(summary.systems[0].machine.peak_flops_per_s.has_value());
  EXPECT_FALSE(summary.systems[0].cells.at(0).figures[FigureId::kDecodeSMbu].has_value());
}

// Experts that a GPU leaves in host memory are read from there.
TEST_F(ExperimentTest, EachMemoryHasItsOwnShareWhereExpertsLieOnTheHost) {
  change_manifest = [](Manifest& manifest) {
    manifest.systems[0].description.devices.gpus = {"CUDA0 (NVIDIA H200)"};
    manifest.systems[0].peaks = {1e9, 1e12, "bf16", "datasheet"};
  };
  const auto resident = Measure(kOneEngine).systems[0].cells.at(0).figures;
  EXPECT_FALSE(resident[FigureId::kHostMemory] || resident[FigureId::kDecodeHostSMbu] || resident[FigureId::kDecodeDeviceSMbu]);
  change_manifest = [](Manifest& manifest) {
    manifest.systems[0].description.devices.gpus = {"CUDA0 (NVIDIA H200)"};
    manifest.systems[0].description.devices.cpu_experts = kAllLayers;
    manifest.systems[0].peaks = {1e9, 1e12, "bf16", "datasheet"};
  };
  const auto split = Measure(kOneEngine).systems[0].cells.at(0).figures;
  ASSERT_TRUE(split[FigureId::kHostMemory] && split[FigureId::kDecodeHostSMbu] && split[FigureId::kDecodeDeviceSMbu]);
  EXPECT_EQ(*split[FigureId::kMemory] + *split[FigureId::kHostMemory], *resident[FigureId::kMemory]);
  // The host of these tests reads 1e6 bytes a second: both memories together delivered what one did.
  EXPECT_NEAR(*split[FigureId::kDecodeDeviceSMbu] * 1e9 + *split[FigureId::kDecodeHostSMbu] * 1e6,
              *resident[FigureId::kDecodeSMbu] * 1e9, 1e-3);
}

TEST_F(ExperimentTest, AnEngineHereHasTheCeilingsOfHereWhateverItIsPricedAs) {
  change_manifest = [](Manifest& manifest) {
    manifest.systems[0].machine = "h200-sxm";
    manifest.systems[0].peaks = {4.8e12, 9.89e14, "bf16", "datasheet of h200-sxm"};
  };
  EXPECT_EQ(Measure(kOneEngine).systems[0].machine.peak_bandwidth_bytes_per_s, 1e6);
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

// A GPU's kernels sum otherwise when they are watched: a few near-ties may tip, not the computation.
TEST_F(ExperimentTest, ExpertsOfAnotherComputationDoNotCount) {
  const auto gate = [&](double share) {
    log.replay_same_tokens = share;
    const auto summary = Measure(kOneEngine);
    return *std::ranges::find(summary.systems[0].cells.at(0).gates, "tokens as in the routing replay", &metrics::Gate::name);
  };
  EXPECT_EQ(gate(0.97).state, metrics::Gate::State::kPassed);
  EXPECT_EQ(gate(0.97).value, 0.97);
  EXPECT_TRUE(gate(0.9).tripped());
}

TEST_F(ExperimentTest, OnlyRepetitionsOfTheSamePromptsMustChooseTheSameTokens) {
  const auto compares = [&](const std::string& text) {
    const auto summary = Measure(text);
    return std::ranges::count(summary.systems[0].cells.at(0).gates, "same tokens in every repetition", &metrics::Gate::name) >
           0;
  };
  EXPECT_TRUE(compares(kOneEngine));
  EXPECT_FALSE(
      compares("systems: [{name: A, model: a.gguf}]\nworkload: {input_tokens: 8, output_tokens: 3, requests: 3}\nrepeats: 2\n"))
      << "generated prompts are others in each";
}

TEST_F(ExperimentTest, TheMeterOfThisMachineIsNotThatOfAServer) {
  ScriptedMeter meter(clock);
  hooks.energy = &meter;
  const auto summary = Measure("server: {url: http://h}\nworkload: {input_tokens: 8, output_tokens: 2, requests: 5}\n");
  const cap::CellSummary& cell = summary.systems[0].cells.at(0);
  EXPECT_FALSE(cell.figures[FigureId::kChipJoulesPerOutput].has_value());
  EXPECT_FALSE(cell.figures[FigureId::kJoulesPerOutput].has_value()) << "nobody said what the server runs on";
}

// The client reads 4 ms late what comes every 10 ms, then 12 ms late.
TEST_F(ExperimentTest, WhatTheClientReadLateIsInNoLatency) {
  constexpr const char* kServer = "systems: [{model: a.gguf, server: {url: http://h}}]\ndataset: {path: d.jsonl}\nrepeats: 2\n";
  log.kernel_delay_ns = 4'000'000;
  const cap::CellSummary late = Measure(kServer).systems[0].cells.at(0);
  EXPECT_NEAR(late.figures[FigureId::kTtftMean].value(), 0.016, 1e-9);
  EXPECT_NEAR(late.figures[FigureId::kItlP50].value(), 0.010, 1e-9);
  log.kernel_delay_ns = 12'000'000;
  const cap::CellSummary later = Measure(kServer).systems[0].cells.at(0);
  EXPECT_NEAR(later.figures[FigureId::kTtftMean].value(), 0.008, 1e-9);
  EXPECT_NEAR(later.figures[FigureId::kItlMean].value(), 0.010, 1e-9);
  EXPECT_FALSE(later.figures[FigureId::kItlP50].has_value());
  EXPECT_THAT(later.notes, testing::Contains(HasSubstr("no percentiles of ITL")));
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

}  // namespace
}  // namespace moecap::experiment
