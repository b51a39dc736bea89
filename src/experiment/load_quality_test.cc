#include "experiment/load_quality.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "experiment/testing/experiment_fixture.h"
#include "stats/paired_scores.h"

namespace moecap::experiment {
namespace {

using cap::FigureId;
using metrics::Gate;
using testing::Contains;
using testing::HasSubstr;

constexpr double kMargin = 0.01;

// A level at which the first `right` of `problems` are answered correctly and those from `changed_from` on in other words.
struct LevelFacts {
  LevelFacts(const record::Level& level, int problems, int right, int changed_from) {
    measurement.complete = true;
    cell.level = level;
    cell.label = record::Label(level);
    cell.repeats = 1;
    for (int i = 0; i < problems; ++i) {
      const std::string id = std::to_string(i);
      cell.items.push_back({id, i < right ? 1.0 : 0.0, 1, 1});
      record::RequestRecord request;
      request.id = id;
      request.text = i < changed_from ? "as ever" : "otherwise";
      facts.records.requests.push_back(request);
    }
  }
  const Gate& Judged(LoadQuality& quality) {
    const MeasuredFacts measured[] = {{&measurement, facts}};
    quality.Judge(measured, cell);
    return cell.gates.back();
  }

  Measurement measurement;
  Facts facts;
  cap::CellSummary cell;
};

record::Level Clients(double count) { return {record::LoadKind::kClients, count}; }

TEST(LoadQuality, ADropThatChanceDoesNotExplainTrips) {
  LoadQuality quality(kMargin, true);
  LevelFacts alone(Clients(1), 100, 90, 100), same(Clients(4), 100, 90, 100), slight(Clients(8), 100, 88, 95),
      worse(Clients(16), 100, 60, 60);
  EXPECT_EQ(alone.Judged(quality).state, Gate::State::kNotMeasured);
  EXPECT_FALSE(alone.cell.figures[FigureId::kChangedShare].has_value());

  EXPECT_EQ(same.Judged(quality).state, Gate::State::kPassed);
  EXPECT_EQ(same.cell.figures[FigureId::kAccuracyDrop], 0);
  EXPECT_EQ(same.cell.figures[FigureId::kChangedShare], 0);
  EXPECT_THAT(same.cell.notes, testing::IsEmpty());

  // Two of two discordant problems: McNemar's p is 1/2.
  const Gate& small = slight.Judged(quality);
  EXPECT_EQ(small.state, Gate::State::kPassed) << "two points are more than the margin, and chance";
  EXPECT_NEAR(*small.value, 0.02, 1e-12);
  EXPECT_GE(small.bound, 0.02);
  EXPECT_THAT(slight.cell.notes, Contains(HasSubstr("5 of 100 answers (5.0 %) are not those of 1 client")));
  EXPECT_THAT(slight.cell.notes, Contains(HasSubstr("changes by -2.0 points")));

  const Gate& large = worse.Judged(quality);
  EXPECT_TRUE(large.tripped());
  EXPECT_FALSE(worse.cell.IsValid());
  EXPECT_NEAR(*large.value, 0.3, 1e-12);
  // A second way to the bound: the interval of the same pairs.
  std::vector<double> before(100, 0), after(100, 0);
  std::fill_n(before.begin(), 90, 1);
  std::fill_n(after.begin(), 60, 1);
  const stats::Interval interval = stats::ScoreDifferences(before, after).ScoreInterval(0.95);
  EXPECT_NEAR(large.bound, 0.3 - interval.low, 1e-12);
  EXPECT_THAT(large.explanation, HasSubstr("30.0 points"));
  EXPECT_THAT(large.explanation, HasSubstr("30 right at one client only, 0 here only"));
  EXPECT_EQ(worse.cell.figures[FigureId::kAccuracyDropLow], interval.low);
  EXPECT_EQ(worse.cell.figures[FigureId::kChangedShare], 0.4);
}

TEST(LoadQuality, ACertainDropWithinTheMarginPasses) {
  LoadQuality quality(0.05, true);
  LevelFacts alone(Clients(1), 1000, 900, 1000), other(Clients(2), 1000, 870, 1000);
  alone.Judged(quality);
  const Gate& gate = other.Judged(quality);
  EXPECT_GT(*other.cell.figures[FigureId::kAccuracyDropLow], 0) << "30 discordant problems of one kind";
  EXPECT_EQ(gate.state, Gate::State::kPassed);
  EXPECT_EQ(gate.bound, 0.05);
}

TEST(LoadQuality, WithoutOneClientNothingIsHeldAgainstIt) {
  LoadQuality quality(kMargin, false);
  LevelFacts few(Clients(2), 40, 40, 40), many(Clients(8), 40, 0, 0), rate({record::LoadKind::kRate, 1}, 40, 40, 40);
  EXPECT_THAT(few.Judged(quality).explanation, HasSubstr("add 1 to load.clients"));
  EXPECT_EQ(many.Judged(quality).state, Gate::State::kNotMeasured);
  EXPECT_EQ(many.cell.figures[FigureId::kChangedShare], 1) << "against the lowest level all the same";
  EXPECT_THAT(many.cell.notes, testing::IsEmpty()) << "a temperature may change answers";
  LoadQuality open(kMargin, true);
  EXPECT_EQ(rate.Judged(open).state, Gate::State::kNotMeasured);
}

TEST(LoadQuality, OnlyProblemsOfBothLevelsCount) {
  LoadQuality quality(kMargin, true);
  LevelFacts alone(Clients(1), 30, 30, 30), other(Clients(2), 60, 30, 60);
  alone.Judged(quality);
  other.Judged(quality);
  EXPECT_EQ(other.cell.figures[FigureId::kAccuracyDrop], 0) << "a duration ended the first level early";
}

// From a server's answers to the gate of the summary.
TEST_F(ExperimentTest, AServerThatAnswersWorseUnderLoadIsFlagged) {
  std::ofstream data(dir_ / "d.jsonl");
  for (int i = 0; i < 30; ++i) data << "{\"question\":\"q" << i << "\",\"answer\":\"#### 7\"}\n";
  data.close();
  log.say = [](const load::RequestSpec& request) {
    return request.cache_salt.find("clients-4") == std::string::npos ? "#### 7" : "#### 8";
  };
  const auto summary =
      Measure("server: {url: http://h}\ndataset: {path: d.jsonl}\nload: {clients: [1, 2, 4]}\nwarmup_requests: 0\n");
  const auto gate = [&](size_t cell) {
    return *std::ranges::find(summary.systems[0].cells.at(cell).gates, "accuracy under load", &Gate::name);
  };
  EXPECT_EQ(gate(0).state, Gate::State::kNotMeasured);
  EXPECT_EQ(gate(1).state, Gate::State::kPassed);
  EXPECT_TRUE(gate(2).tripped());
  EXPECT_EQ(summary.systems[0].cells[2].figures[FigureId::kChangedShare], 1);
  EXPECT_THAT(summary.notes, Contains(HasSubstr("30 of 30 answers")));
}

TEST_F(ExperimentTest, PromptsWithoutRightAnswersHaveNoAccuracyToLose) {
  const auto summary = Measure("server: {url: http://h}\nworkload: {input_tokens: 8, output_tokens: 2, requests: 5}\n");
  const auto& gates = summary.systems[0].cells.at(0).gates;
  EXPECT_EQ(std::ranges::count(gates, "accuracy under load", &Gate::name), 0);
}

}  // namespace
}  // namespace moecap::experiment
