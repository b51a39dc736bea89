#include "analysis/judge.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "analysis/compare.h"
#include "analysis/testing/run_test_folder.h"

namespace moecap::analysis {
namespace {

using cap::FigureId;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

cap::JudgedExperiment Judged(const RunTestFolder& dir, const TestRun& run, const JudgeChoice& choice = {}) {
  const auto judged = JudgeStored(experiment::Results::Open(dir.Write(run)).value(), choice);
  EXPECT_TRUE(judged.ok()) << (judged.ok() ? "" : judged.error().message);
  return *judged;
}

TestRun TwoSystems() {
  TestRun run;
  run.systems = {{.name = "slow", .tpot_s = 0.02, .usd_per_h = 3.6}, {.name = "fast", .tpot_s = 0.01, .usd_per_h = 7.2}};
  run.repeats = 5;
  return run;
}

std::vector<std::string> Labels(const cap::Judgement& judgement) {
  std::vector<std::string> labels;
  for (const cap::Evidence& evidence : judgement.evidence) labels.push_back(evidence.label);
  return labels;
}

// Three servers with prices of their own, each made to give up one of the three. They are as long in use, so the price decides.
TEST(Judge, ServersWithPricesAreClassedAsTheyWereMade) {
  const RunTestFolder dir;
  TestRun run;
  run.repeats = 5;
  run.requests = 400;
  const std::vector<double> right(400, 1);
  std::vector<double> wrong = right;
  std::fill_n(wrong.begin(), 100, 0);
  run.systems = {{.name = "dear", .tpot_s = 0.01, .scores = right, .usd_per_h = 20},
                 {.name = "rash", .tpot_s = 0.01, .scores = wrong, .usd_per_h = 3.6},
                 {.name = "slow", .tpot_s = 0.02, .scores = right, .usd_per_h = 3.6}};
  const auto judged = Judged(dir, run);
  const cap::Verdicts& verdicts = judged.judgement.verdicts;
  ASSERT_TRUE(verdicts.letters_apply) << verdicts.letters_reason;
  EXPECT_EQ(verdicts.systems[0].letters, "PA");
  EXPECT_EQ(verdicts.systems[1].letters, "PC");
  EXPECT_EQ(verdicts.systems[2].letters, "CA");
}

// The key of the configuration and the flag are one choice; of several runs in view, one that asks for it prices all alike.
TEST(Judge, PricesByMemoryWhereTheConfigurationSaysSo) {
  const RunTestFolder dir;
  const TestRun plain = TwoSystems();
  TestRun asks = plain;
  asks.run_id = "20260131-130000-asks";
  asks.more = "cap: {price_by_memory: true}\n";
  const auto says = testing::Contains(HasSubstr("slow: the memory that it needs is not known"));
  EXPECT_THAT(Judged(dir, plain).summary.notes, testing::Not(says));
  EXPECT_THAT(Judged(dir, plain, {.price_by_memory = true}).summary.notes, says);
  EXPECT_THAT(Judged(dir, asks).summary.notes, says);

  std::vector<StoredExperiment> both;
  for (const TestRun* run : {&plain, static_cast<const TestRun*>(&asks)})
    both.push_back(ReadStored(experiment::Results::Open(dir.Write(*run)).value(), run->run_id, {}, {}).value());
  const auto comparison = Compare(both, {.force = true});
  ASSERT_TRUE(comparison.ok()) << comparison.error().message;
  EXPECT_THAT(comparison->warnings, testing::Contains(HasSubstr("PRICES: slow: the memory")).Times(2));
}

TEST(Judge, EvidenceIsTheCellsFiguresByRepetition) {
  const RunTestFolder dir;
  TestRun run = TwoSystems();
  run.systems[0].scores = {1, 0, 1};
  run.systems[1].scores = {1, 1, 1};
  const auto judged = Judged(dir, run);
  const cap::Judgement& judgement = judged.judgement;
  EXPECT_EQ(judgement.level, "4 clients");
  EXPECT_EQ(judgement.view.performance, FigureId::kTimePerToken);
  EXPECT_EQ(judgement.options.performance.name, cap::FigureOf(FigureId::kTimePerToken).name);
  EXPECT_FALSE(judgement.options.performance.higher_is_better);
  ASSERT_THAT(Labels(judgement), ElementsAre("slow", "fast"));
  const cap::Evidence& slow = judgement.evidence[0];
  EXPECT_EQ(slow.experiment, run.run_id);
  ASSERT_EQ(slow.performance.by_repetition.size(), 5u);
  for (const auto& value : slow.performance.by_repetition) EXPECT_NEAR(*value, 0.02, 1e-9);
  EXPECT_FALSE(slow.performance.exact);
  EXPECT_NEAR(*slow.accuracy, 2. / 3, 1e-12);
  ASSERT_EQ(slow.items.size(), 3u);
  EXPECT_EQ(slow.items[1].id, "2");
  EXPECT_EQ(slow.items[1].score, 0);
  EXPECT_NEAR(*slow.usd_per_h, 3.6, 1e-9);
  ASSERT_TRUE(judgement.paper_scores.has_value());
  EXPECT_EQ(judgement.paper_scores->size(), 2u);
  const auto verdict = cap::Between(judgement.verdicts, 1, 0, cap::Dimension::kPerformance);
  EXPECT_NEAR(*verdict.estimate, 0.5, 1e-6);
}

TEST(Judge, MarginsAndAxesAreThoseOfTheConfiguration) {
  const RunTestFolder dir;
  TestRun run = TwoSystems();
  run.more = "cap: {cost: usd_per_h, performance: output_tokens_per_s, margins: {ratio: 0.1, accuracy: 0.02}}\n";
  const cap::Judgement judgement = Judged(dir, run).judgement;
  EXPECT_EQ(judgement.options.ratio_margin, 0.1);
  EXPECT_EQ(judgement.options.accuracy_margin, 0.02);
  EXPECT_TRUE(judgement.options.performance.higher_is_better);
  EXPECT_TRUE(judgement.evidence[0].cost.exact) << "what an hour costs is not measured";
  EXPECT_NEAR(*judgement.evidence[1].cost.value, 7.2, 1e-9);
}

TEST(Judge, OneSystemAloneGetsNoScoresAndNoLetters) {
  const RunTestFolder dir;
  const cap::Judgement judgement = Judged(dir, {}).judgement;
  EXPECT_EQ(judgement.paper_scores, std::nullopt);
  EXPECT_THAT(judgement.verdicts.pairs, IsEmpty());
  ASSERT_EQ(judgement.verdicts.systems.size(), 1u);
  EXPECT_EQ(judgement.verdicts.systems[0].letters, "");
  EXPECT_THAT(judgement.limits, IsEmpty()) << "the server does not tell what it runs";
}

TEST(Judge, ATrippedGateTakesNoPartUnlessAskedFor) {
  const RunTestFolder dir;
  TestRun run = TwoSystems();
  run.systems[0].failed = 2;
  const cap::Judgement judgement = Judged(dir, run).judgement;
  ASSERT_THAT(Labels(judgement), ElementsAre("slow", "fast")) << "it stays in view";
  EXPECT_THAT(judgement.evidence[0].tripped, ElementsAre("errors"));
  EXPECT_TRUE(judgement.evidence[0].performance.value.has_value());
  EXPECT_THAT(judgement.evidence[0].performance.by_repetition, IsEmpty());
  EXPECT_EQ((*judgement.paper_scores)[0].performance, std::nullopt);
  EXPECT_EQ(cap::Between(judgement.verdicts, 0, 1, cap::Dimension::kPerformance).outcome, cap::Outcome::kNotJudged);

  run.run_id += "-again";
  const cap::Judgement all = Judged(dir, run, {.include_invalid = true}).judgement;
  EXPECT_EQ(all.evidence[0].performance.by_repetition.size(), 5u);
  EXPECT_NE(cap::Between(all.verdicts, 0, 1, cap::Dimension::kPerformance).outcome, cap::Outcome::kNotJudged);
}

// Levels and validity by hand: the rule itself.
cap::CellSummary Cell(double clients, bool valid = true, int64_t repeats = 1) {
  cap::CellSummary cell;
  cell.level.value = clients;
  cell.repeats = repeats;
  cell.gates = {metrics::Judge(metrics::MakeGate("errors", 0.5, "share"), valid ? 0 : 1, "too many")};
  return cell;
}

TEST(Judge, SystemsMeetWhereMostAreValid) {
  cap::SystemSummary a, b;
  const cap::SystemSummary* systems[] = {&a, &b};
  cap::View view;
  const auto level = [&](bool include_invalid = false) {
    const auto met = MeetingLevel(systems, view, include_invalid);
    return met ? met->value : -1;
  };
  EXPECT_EQ(level(), -1);
  a.cells = {Cell(1), Cell(8), Cell(16), Cell(32, true, 0)};
  b.cells = {Cell(1), Cell(8), Cell(16, false)};
  EXPECT_EQ(level(), 8);
  EXPECT_EQ(level(true), 16);
  view.rule = cap::LevelRule::kLowest;
  EXPECT_EQ(level(), 1);
  b.cells = {Cell(16, false)};
  EXPECT_EQ(level(), 16) << "one is valid at each of three levels; here both were measured";
  b.cells = {Cell(64, false)};
  EXPECT_EQ(level(), 1);
}

TEST(Judge, TheGivenLevelIsKept) {
  const RunTestFolder dir;
  TestRun run = TwoSystems();
  run.load = "concurrency: [2, 4]";
  run.more = "cap: {level: 2}\n";
  EXPECT_EQ(Judged(dir, run).judgement.level, "2 clients");
  run.run_id += "-highest";
  run.more = "";
  EXPECT_EQ(Judged(dir, run).judgement.level, "4 clients");
}

TEST(Judge, AnInterruptedRunIsJudgedByWhatIsWhole) {
  const RunTestFolder dir;
  TestRun run = TwoSystems();
  run.complete = false;
  auto results = experiment::Results::Open(dir.Write(run)).value();
  experiment::Measurement stump;
  stump.system = "slow";
  stump.level.value = 4;
  stump.repeat = 5;
  const std::string name = results.Begin(stump, {}).value();
  std::filesystem::copy_file(results.EventLogFile(results.manifest().measurements.front().name, 0),
                             results.EventLogFile(name, 0));
  const auto judged = JudgeStored(results);
  ASSERT_TRUE(judged.ok()) << judged.error().message;
  EXPECT_FALSE(judged->summary.complete);
  EXPECT_EQ(judged->summary.systems[0].cells[0].measurements.size(), 6u);
  EXPECT_EQ(judged->judgement.evidence[0].performance.by_repetition.size(), 5u);
}

TEST(Judge, WhereNothingWasMeasuredNothingIsSaid) {
  const RunTestFolder dir;
  const experiment::Manifest manifest = experiment::Results::Open(dir.Write("r")).value().manifest();
  const cap::JudgedExperiment judged = JudgeExperiment({}, manifest);
  EXPECT_THAT(judged.judgement.evidence, IsEmpty());
  EXPECT_EQ(judged.judgement.level, "");
  EXPECT_EQ(judged.judgement.paper_scores, std::nullopt);
}

// A search of each system: it is seen at the highest level that passed, and one that never passed is not seen.
TEST(Judge, SearchedSystemsAreSeenWhereTheyPass) {
  const RunTestFolder dir;
  const experiment::Manifest manifest = experiment::Results::Open(dir.Write("r")).value().manifest();
  cap::ExperimentSummary summary;
  for (const auto& [name, passes] :
       {std::pair{"a", std::optional(8.)}, {"b", std::optional(1.)}, {"c", std::optional<double>()}}) {
    cap::SystemSummary system;
    system.name = name;
    system.cells = {Cell(1), Cell(8), Cell(16)};
    for (cap::CellSummary& cell : system.cells) cell.label = record::Label(cell.level);
    system.search.emplace();
    system.search->passes = passes;
    summary.systems.push_back(system);
  }
  const cap::Judgement judgement = JudgeExperiment(summary, manifest).judgement;
  EXPECT_THAT(Labels(judgement), ElementsAre("a", "b"));
  EXPECT_EQ(judgement.level, "") << "they meet nowhere";
}

// A folder of each layout of version 0.1 is judged like one of today's.
TEST(Judge, FoldersOfVersion01AreJudged) {
  const RunTestFolder dir;
  const auto old_run = experiment::Results::Open(dir.WriteRun01("old-run"));
  ASSERT_TRUE(old_run.ok()) << old_run.error().message;
  const auto run = JudgeStored(*old_run);
  ASSERT_TRUE(run.ok()) << run.error().message;
  EXPECT_EQ(run->judgement.level, "4 clients");
  EXPECT_NEAR(*run->judgement.evidence.front().performance.value, 0.375, 1e-9) << "0.75 s over two tokens";
  const auto old_load = experiment::Results::Open(dir.WriteLoad01("old-load"));
  ASSERT_TRUE(old_load.ok()) << old_load.error().message;
  const auto load = JudgeStored(*old_load);
  ASSERT_TRUE(load.ok()) << load.error().message;
  EXPECT_EQ(load->judgement.level, "2 requests/s");
  EXPECT_THAT(load->summary.systems.front().engine, HasSubstr("vLLM"));
}

}  // namespace
}  // namespace moecap::analysis
