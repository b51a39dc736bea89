#include "cap/figures.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "cap/scenario.h"

namespace moecap::cap {
namespace {

TEST(Figures, KeysAreUniqueAndSpellTheirUnit) {
  std::set<std::string_view> keys;
  for (const Figure& figure : Figures()) {
    EXPECT_TRUE(keys.insert(figure.key).second) << figure.key;
    EXPECT_FALSE(figure.definition.empty() || figure.null_when.empty()) << figure.key;
    if (figure.unit == "s") {
      EXPECT_TRUE(figure.key.ends_with("_s")) << figure.key;
    }
    if (figure.unit == "B") {
      EXPECT_TRUE(figure.key.ends_with("_bytes")) << figure.key;
    }
    if (figure.unit == "USD") {
      EXPECT_TRUE(figure.key.find("usd") != figure.key.npos) << figure.key;
    }
    if (figure.unit == "tokens/s" || figure.unit == "requests/s") {
      EXPECT_TRUE(figure.key.ends_with("_per_s")) << figure.key;
    }
  }
}

TEST(Figures, TheTableIsIndexedById) {
  for (const Figure& figure : Figures()) EXPECT_EQ(FigureOf(figure.id).key, figure.key);
}

TEST(Figures, AreFoundByKeyAndShortName) {
  EXPECT_EQ(FindFigure("tpot_mean_s").value(), FigureId::kTpotMean);
  EXPECT_EQ(FindFigure("tpot_s").value(), FigureId::kTpotMean);
  EXPECT_EQ(FindFigure("usd_per_million_tokens", Dimension::kCost).value(), FigureId::kUsdPerMillionTokens);
  const auto wrong = FindFigure("tpot_maen_s");
  ASSERT_FALSE(wrong.ok());
  EXPECT_NE(wrong.error().message.find("tpot_mean_s"), std::string::npos) << wrong.error().message;
}

TEST(Figures, AnAxisHasADirectionAndItsDimension) {
  EXPECT_FALSE(FindFigure("accuracy", Dimension::kCost).ok());
  EXPECT_FALSE(FindFigure("accuracy_low", Dimension::kAccuracy).ok()) << "an end of an interval is no axis";
  EXPECT_FALSE(FindFigure("decode_mbu", Dimension::kPerformance).ok());
}

TEST(Scenarios, OnlineFeelsTheQueueAndTakesGoodputWithObjectives) {
  EXPECT_EQ(ResolveView({}, false).performance, FigureId::kTimePerToken);
  EXPECT_EQ(ResolveView({}, true).performance, FigureId::kGoodput);
  EXPECT_EQ(ResolveView({"paper", {}, {}, {}}, true).performance, FigureId::kTpotMean);
  EXPECT_EQ(ResolveView({}, false).cost, FigureId::kUsdPerMillionTokens);
  EXPECT_EQ(ResolveView({"online", FigureId::kPurchase, {}, {}}, false).cost, FigureId::kPurchase);
  EXPECT_FALSE(FindScenario("onlime").ok());
  for (const Scenario& scenario : Scenarios()) {
    EXPECT_TRUE(FindFigure(FigureOf(scenario.cost).key, Dimension::kCost).ok()) << scenario.name;
    EXPECT_TRUE(FindFigure(FigureOf(scenario.performance).key, Dimension::kPerformance).ok()) << scenario.name;
  }
}

}  // namespace
}  // namespace moecap::cap
