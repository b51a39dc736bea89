#include "run/measured_system.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "run/cap_config.h"
#include "run/request_figures.h"

namespace moecap::run {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

record::RequestRecord Request(const std::string& id, int repeat, std::vector<double> token_s,
                              std::optional<double> score = 1.0) {
  record::RequestRecord request;
  request.cell = {"s", 4, repeat};
  request.id = id;
  request.send_s = 1;
  request.token_s = std::move(token_s);
  request.output_tokens = static_cast<int64_t>(request.token_s.size());
  request.score = score;
  return request;
}

TEST(RequestFigures, AreThoseOfTheRequest) {
  const auto request = Request("a", 0, {1.5, 1.6, 1.9});
  EXPECT_DOUBLE_EQ(*TtftOf(request), 0.5);
  EXPECT_DOUBLE_EQ(*TpotOf(request), 0.2);
  EXPECT_DOUBLE_EQ(*E2eOf(request), 0.9);
  EXPECT_FALSE(TpotOf(Request("a", 0, {1.5})).has_value());
  auto failed = request;
  failed.finish = record::FinishReason::kError;
  EXPECT_FALSE(TtftOf(failed).has_value());
}

TEST(RequestFigures, GoodputCountsWhatKeepsEveryLimit) {
  const auto request = Request("a", 0, {1.5, 1.6, 1.9});  // 0.5 s, 0.2 s, 0.9 s
  EXPECT_TRUE(Keeps(request, {}));
  EXPECT_TRUE(Keeps(request, {0.5, 0.21, 1.0}));
  EXPECT_FALSE(Keeps(request, {0.4, std::nullopt, std::nullopt}));
  EXPECT_FALSE(Keeps(request, {std::nullopt, 0.19, std::nullopt}));
  EXPECT_FALSE(Keeps(request, {std::nullopt, std::nullopt, 0.8}));
  EXPECT_TRUE(Keeps(Request("a", 0, {1.5}), {std::nullopt, 0.01, std::nullopt}))
      << "a single token has no TPOT to miss it with";
  const auto other = Request("b", 0, {2.5, 3.0});
  const record::RequestRecord* both[] = {&request, &other};
  const RepeatTotals totals = TotalsByRepeat(both, {0.5, std::nullopt, std::nullopt}).at(0);
  EXPECT_EQ(totals.requests, 2);
  EXPECT_EQ(totals.good_requests, 1);
  EXPECT_DOUBLE_EQ(totals.Seconds(), 2);
}

TEST(MeasureSystem, GroupsByProblemAndByRepetition) {
  cap::RunSummary run;
  run.service_level.ttft_s = 0.5;
  cap::SystemSummary system;
  system.name = "s";
  cap::CellSummary cell;
  cell.concurrency = 4;
  cell.accuracy = 0.5;
  const std::vector<record::RequestRecord> requests = {Request("a", 0, {1.5, 1.6}), Request("b", 0, {1.7, 1.9}, 0.0),
                                                       Request("a", 1, {1.4, 1.8}), Request("warm-up", -1, {1.1})};
  const cap::MeasuredSystem measured = MeasureSystem(run, system, &cell, requests);
  EXPECT_EQ(measured.Figure(cap::AxisId::kAccuracy), 0.5);
  ASSERT_EQ(measured.problems.size(), 2u);
  EXPECT_EQ(measured.problems[0].tpot_s.size(), 2u);
  EXPECT_THAT(cap::ItemScores(measured), ElementsAre(1, 0));
  ASSERT_EQ(measured.repeats.size(), 2u);
  EXPECT_DOUBLE_EQ(measured.repeats[0].seconds, 0.9);
  EXPECT_NEAR(*measured.repeats[0].tpot_s, 0.15, 1e-12);
  EXPECT_EQ(measured.repeats[0].good_requests, 1);
  cell.invalid = {"a gate"};
  EXPECT_FALSE(MeasureSystem(run, system, &cell, requests).Figure(cap::AxisId::kAccuracy).has_value());
  EXPECT_TRUE(MeasureSystem(run, system, nullptr, requests).problems.empty());
}

cap::RunSummary RunWith(std::vector<std::vector<int>> cells_of_systems) {
  cap::RunSummary run;
  for (const auto& cells : cells_of_systems) {
    cap::SystemSummary system;
    for (const int concurrency : cells) {
      system.cells.emplace_back();
      system.cells.back().concurrency = concurrency;
    }
    run.systems.push_back(std::move(system));
  }
  return run;
}

TEST(ChooseConcurrency, TakesWhatEverySystemWasMeasuredAt) {
  const auto choose = [](const cap::RunSummary& run, const char* scenario) {
    cap::CapChoice choice;
    choice.scenario = scenario;
    const cap::RunSummary* runs[] = {&run};
    return ChooseConcurrency(runs, cap::ResolveView(choice));
  };
  EXPECT_EQ(choose(RunWith({{1, 4, 16}, {1, 4}}), "online"), 4);
  EXPECT_EQ(choose(RunWith({{2, 4, 16}, {1, 2, 4}}), "single-user"), 2);
  EXPECT_EQ(choose(RunWith({{1}, {4}}), "online"), 4) << "none in common";
  EXPECT_EQ(choose(RunWith({{1, 4}, {}}), "online"), 4) << "a system without any cell does not count";
  EXPECT_EQ(choose(RunWith({}), "online"), 0);
}

Result<CapConfig> Parse(const std::string& text) {
  const auto node = ParseYaml(text, "c.yaml");
  EXPECT_TRUE(node.ok());
  YamlErrors errors("c.yaml");
  const int measured[] = {1, 4};
  CapConfig config = ReadCap(*node, measured, errors);
  if (!errors.empty()) return errors.first();
  return config;
}

TEST(CapConfig, ReadsEveryKeyAndSurvivesTheManifest) {
  const auto config = Parse(
      "scenario: offline\ncost: power_w\nperformance: goodput_requests_per_s\nconcurrency: 4\naxes: [s_mbu, ttft_s]\n"
      "service_level: {ttft_s: 0.5, tpot_s: 0.05}\n");
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->choice.scenario, "offline");
  EXPECT_EQ(config->choice.cost, cap::AxisId::kPowerW);
  EXPECT_EQ(config->choice.performance, cap::AxisId::kGoodput);
  EXPECT_EQ(config->choice.concurrency, 4);
  EXPECT_THAT(config->choice.more_axes, ElementsAre(cap::AxisId::kSMbu, cap::AxisId::kTtft));
  EXPECT_EQ(config->service_level.tpot_s, 0.05);
  const int measured[] = {1, 4};
  const auto back = CapConfigFromJson(ToJson(*config), measured);
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(ToJson(*back), ToJson(*config));
  EXPECT_TRUE(CapConfigFromJson(ToJson(CapConfig()), measured).ok());
}

TEST(CapConfig, ErrorsNameLineKeyAndRemedy) {
  const auto message = [](const std::string& text) {
    const auto config = Parse(text);
    return config.ok() ? "" : config.error().message;
  };
  EXPECT_THAT(message("cost: power_w\nscenario: onlin\n"),
              HasSubstr("c.yaml:2: \"onlin\" is no scenario; did you mean \"online\"?"));
  EXPECT_THAT(message("cost: tpot_s\n"), HasSubstr("\"tpot_s\" is no cost axis"));
  EXPECT_THAT(message("concurrency: 8\n"), HasSubstr("concurrency 8 is not measured; choose one of 1, 4"));
  EXPECT_THAT(message("axes: s_mbu\n"), HasSubstr("must be a list of axes"));
  EXPECT_THAT(message("axes: [s_mub]\n"), HasSubstr("did you mean \"s_mbu\"?"));
  EXPECT_THAT(message("performance: goodput_requests_per_s\n"), HasSubstr("service_level"));
  EXPECT_THAT(message("service_level: {ttft_s: 0}\n"), HasSubstr("must be above 0"));
  EXPECT_THAT(message("scenarios: online\n"), HasSubstr("scenario"));
}

}  // namespace
}  // namespace moecap::run
