// What is sent, in which order, stored, resumed and found.
#include "experiment/runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <tuple>

#include "experiment/testing/experiment_fixture.h"

namespace moecap::experiment {
namespace {

namespace fs = std::filesystem;
using cap::FigureId;
using testing::ElementsAre;
using testing::HasSubstr;

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

TEST_F(ExperimentTest, MeasuresEveryLevelOfAServerAndFindsItAgainInTheFiles) {
  const auto summary = Measure(
      "server: {url: http://h}\nworkload: {input_tokens: 16, output_tokens: 4, requests: 50}\nload: {clients: [1, 4]}\n"
      "repeats: 2\nwarmup_requests: 3\nflush_cache: true\n");
  EXPECT_EQ(log.flushes, 4);
  EXPECT_EQ(log.head_room_streams, 4);
  EXPECT_EQ(log.seen.size(), 4u * (50 + 3 + 3)) << "with the control questions";
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
constexpr const char* kServerOfAModel =
    "systems: [{name: S, server: {url: 'http://h:1'}, model: m, machine: here}]\ndataset: {path: d.jsonl}\n"
    "concurrency: [1, 2]\nrepeats: 2\nwarmup_requests: 0\n";

TEST_F(ExperimentTest, AServersPassesFollowFromItsTokensAndItsExpertsFromASecondRun) {
  const auto summary = Measure(kServerOfAModel);
  EXPECT_EQ(log.asked_for_experts, 3) << "each problem once an experiment";
  const Results stored = Results::Open(dir_ / "results" / "run").value();
  for (const Measurement& measurement : stored.manifest().measurements) {
    ASSERT_TRUE(measurement.server_passes.has_value());
    EXPECT_EQ(measurement.server_passes->missing, "");
    EXPECT_EQ(measurement.server_passes->told, 1);
    EXPECT_EQ(measurement.server_passes->same_tokens, 1);
    const Facts facts = stored.ReadFacts(measurement).value();
    ASSERT_FALSE(facts.records.passes.empty());
    const record::PassRecord& prompt = facts.records.passes.front();
    EXPECT_EQ(prompt.kind, record::PassKind::kPrefill);
    EXPECT_EQ(prompt.source, record::Source::kEstimated);
    EXPECT_THAT(prompt.sequences, ElementsAre(record::SequenceSlice{0, 5, 1}));
    EXPECT_THAT(prompt.distinct_experts, ElementsAre(4, 4));
    EXPECT_EQ(prompt.distinct_experts_source, record::Source::kServerReported);
    EXPECT_NEAR(prompt.latency_s, 0.02, 1e-9);
    // Of one request at a time: a prompt and two more tokens, and so the experts of the rows 5 and 6.
    if (measurement.level.value == 1) {
      ASSERT_EQ(facts.records.passes.size(), 9u);
      EXPECT_THAT(facts.records.passes[1].distinct_experts, ElementsAre(2, 2));
      EXPECT_NEAR(facts.records.passes[1].latency_s, 0.01, 1e-9);
    }
  }
  const cap::CellSummary& cell = summary.systems[0].cells[0];
  // 400 bytes that every token reads, two experts of 20 B in both layers, the keys and values of 6 and 7 tokens: by the engine
  // in this process with the same passes.
  ASSERT_TRUE(cell.figures[FigureId::kDecodeSMbu].has_value());
  EXPECT_TRUE(cell.estimates.Has(FigureId::kDecodeSMbu));
  EXPECT_EQ(cell.figures[FigureId::kDistinctExperts], 2);
  EXPECT_THAT(cell.notes, testing::Contains(HasSubstr("the server told the experts of 100.0 % of them")));
}

TEST_F(ExperimentTest, AServerThatMustBeStartedAnewIsAskedForExpertsWhenAllIsTimed) {
  log.capture_flags = "--tell";
  const auto summary = Measure(kServerOfAModel);
  EXPECT_EQ(log.asked_for_experts, 3);
  EXPECT_EQ(log.starts_when_asked, log.starts) << "after the last measurement";
  const Results stored = Results::Open(dir_ / "results" / "run").value();
  for (const Measurement& measurement : stored.manifest().measurements) {
    EXPECT_FALSE(measurement.server_passes->experts_due);
    EXPECT_EQ(measurement.server_passes->told, 1);
    EXPECT_EQ(measurement.server_passes->same_tokens, 1) << "held against what the timed one chose";
  }
  EXPECT_THAT(summary.systems[0].cells[0].notes,
              testing::Contains(HasSubstr("in a second run of a server started with --tell, which gave the same tokens")));
}

TEST_F(ExperimentTest, AResumeAsksForTheExpertsThatAreDue) {
  log.capture_flags = "--tell";
  log.interrupts_capture = true;
  const Config config = Parse(kServerOfAModel);
  Experiment experiment = Prepare(config);
  Results results = Create(config, experiment);
  const Status stopped = experiment.Execute(results, hooks);
  ASSERT_FALSE(stopped.ok());
  EXPECT_EQ(stopped.error().kind, ErrorKind::kInterrupted);
  for (const Measurement& measurement : results.manifest().measurements) {
    EXPECT_TRUE(measurement.complete);
    EXPECT_TRUE(measurement.server_passes->experts_due);
  }
  EXPECT_THAT(SummaryOf(results.dir()).systems[0].cells[0].notes, testing::Contains(HasSubstr("asked for later")));

  auto reopened = Results::Open(results.dir());
  ASSERT_TRUE(reopened.ok() && reopened->PrepareResume().ok());
  log = {};
  log.capture_flags = "--tell";
  Experiment again = Prepare(config);
  ASSERT_TRUE(again.Execute(*reopened, hooks).ok());
  EXPECT_EQ(log.asked_for_experts, 3);
  const Results stored = Results::Open(results.dir()).value();
  for (const Measurement& measurement : stored.manifest().measurements) {
    EXPECT_FALSE(measurement.server_passes->experts_due);
    EXPECT_EQ(measurement.server_passes->told, 1);
  }
}

TEST_F(ExperimentTest, ExpertsOfAnotherModelCostNoMeasurement) {
  log.experts = {7, 5, 2, std::vector<uint16_t>(7 * 5 * 2, 1)};
  const auto summary = Measure(kServerOfAModel);
  EXPECT_TRUE(summary.complete);
  const cap::CellSummary& cell = summary.systems[0].cells[0];
  EXPECT_TRUE(cell.figures[FigureId::kDecodeSMbu].has_value());
  EXPECT_THAT(cell.notes, testing::Contains(HasSubstr("experts of 5 layers")));
}

TEST_F(ExperimentTest, WithoutToldExpertsTheyAreEstimated) {
  log.tells_experts = false;
  const auto summary = Measure(kServerOfAModel);
  const cap::CellSummary& cell = summary.systems[0].cells[0];
  EXPECT_TRUE(cell.figures[FigureId::kDecodeSMbu].has_value());
  EXPECT_TRUE(cell.estimates.Has(FigureId::kDistinctExperts));
  EXPECT_THAT(cell.notes, testing::Contains(HasSubstr("start the server with --enable-experts")));
  EXPECT_EQ(log.questions_for_experts, 1) << "four measurements, one answer for all of them";
  EXPECT_THAT(summary.systems[0].cells[1].notes, testing::Contains(HasSubstr("start the server with --enable-experts")));
}

// The sheet of SmallMoe: two experts of its layers take most tokens.
std::string SmallSheet(int experts) {
  routing::ActivationSheet sheet{"small", "sglang", experts, 2, {}};
  for (int layer = 0; layer < 2; ++layer) {
    routing::SheetLayer row;
    row.layer = layer;
    row.popularity.assign(static_cast<size_t>(experts), 0.1);
    row.popularity[0] = row.popularity[1] = 0.4;
    row.split_half_tv = 0.05;
    sheet.layers.push_back(row);
  }
  return ToJsonText(sheet);
}

constexpr const char* kServerWithASheet =
    "systems: [{name: S, server: {url: 'http://h:1'}, model: m, activation_sheet: s.json, machine: here}]\n"
    "dataset: {path: d.jsonl}\nconcurrency: [2]\nrepeats: 2\nwarmup_requests: 0\n";

TEST_F(ExperimentTest, AnActivationSheetGivesTheEstimateAndItsBand) {
  log.tells_experts = false;
  std::ofstream(dir_ / "s.json") << SmallSheet(4);
  const auto shape = Measure(kServerOfAModel).systems[0].cells[1].figures;
  const auto summary = Measure(kServerWithASheet);
  const cap::CellSummary& cell = summary.systems[0].cells[0];
  const auto figure = [&](FigureId id) { return cell.figures[id].value(); };
  EXPECT_LT(figure(FigureId::kDistinctExperts), shape[FigureId::kDistinctExperts].value()) << "two experts take most tokens";
  for (const auto& [low, middle, high] :
       {std::tuple{FigureId::kDecodeSMbuLow, FigureId::kDecodeSMbu, FigureId::kDecodeSMbuHigh},
        {FigureId::kPrefillSMbuLow, FigureId::kPrefillSMbu, FigureId::kPrefillSMbuHigh},
        {FigureId::kDistinctExpertsLow, FigureId::kDistinctExperts, FigureId::kDistinctExpertsHigh}}) {
    EXPECT_LT(figure(low), figure(middle));
    EXPECT_LT(figure(middle), figure(high));
    EXPECT_TRUE(cell.estimates.Has(low) && cell.estimates.Has(middle) && cell.estimates.Has(high));
  }
  EXPECT_LT(figure(FigureId::kDistinctExpertsHigh), shape[FigureId::kDistinctExpertsHigh].value());
  EXPECT_THAT(cell.notes, testing::Contains(testing::AllOf(HasSubstr("activation sheet (recorded by sglang)"),
                                                           HasSubstr("S-MBU in decode lies between"))));
  // The run holds it, whatever becomes of the file.
  std::filesystem::remove(dir_ / "s.json");
  const Results stored = Results::Open(dir_ / "results" / "run-2").value();
  ASSERT_TRUE(stored.manifest().systems[0].sheet.has_value());
  const auto files = stored.Files();
  ASSERT_TRUE(files.ok());
  EXPECT_TRUE(std::ranges::any_of(*files, [](const Results::File& file) { return file.name == "activation_sheets/0-S.json"; }));
  std::filesystem::remove(stored.dir() / "activation_sheets/0-S.json");
  EXPECT_FALSE(Results::Open(stored.dir()).ok());
}

TEST_F(ExperimentTest, ASheetOfAnotherModelStopsTheExperimentBeforeItBegins) {
  const auto refused = [&] {
    const Config config = Parse(kServerWithASheet);
    Experiment experiment = Prepare(config);
    Manifest manifest;
    const Status status = experiment.Describe(manifest);
    return status.ok() ? "" : status.error().message;
  };
  EXPECT_THAT(refused(), HasSubstr("s.json"));
  std::ofstream(dir_ / "s.json") << SmallSheet(6);
  EXPECT_THAT(refused(), HasSubstr("6 experts a layer, but small has 4"));
}

TEST_F(ExperimentTest, ToldExpertsHaveNoBand) {
  const auto summary = Measure(kServerOfAModel);
  EXPECT_FALSE(summary.systems[0].cells[0].figures[FigureId::kDecodeSMbuLow].has_value());
}

TEST_F(ExperimentTest, NeverSendsAPromptTwice) {
  Measure(
      "server: {url: http://h}\nworkload: {input_tokens: 16, output_tokens: 1, requests: 40}\nload: {clients: 2}\nrepeats: "
      "3\n");
  std::set<std::vector<int32_t>> prompts;
  std::set<std::string> salts;
  size_t questions = 0;  // equal by design, and kept apart by their salts
  for (const load::RequestSpec& spec : log.seen) {
    if (spec.id.starts_with("control-")) ++questions;
    prompts.insert(spec.prompt_token_ids);
    salts.insert(spec.cache_salt);
  }
  EXPECT_EQ(questions, 9u);
  EXPECT_EQ(prompts.size(), log.seen.size() - questions + 1);
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
  const Config config = Parse("server: {url: http://h}\nworkload: {requests: 3, vocabulary: [1000, 30000]}\n");
  const auto experiment = Experiment::Prepare(config, Factory(), clock);
  ASSERT_FALSE(experiment.ok());
  EXPECT_THAT(experiment.error().message, HasSubstr("takes no token ids"));
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

}  // namespace
}  // namespace moecap::experiment
