#include "experiment/speculation_figures.h"

#include <gtest/gtest.h>

namespace moecap::experiment {
namespace {

using cap::FigureId;

record::PassRecord Verify(std::vector<record::SequenceSlice> sequences, std::vector<int64_t> accepted) {
  record::PassRecord pass;
  pass.kind = record::PassKind::kDecode;
  pass.sequences = std::move(sequences);
  pass.accepted_drafts = std::move(accepted);
  return pass;
}

TEST(SpeculationFigures, CountDraftsAndTokensOfEachSequence) {
  // 4 + 4 drafts of which 3 and 0 are accepted, then a pass of one sequence without drafts; a prefill tells none.
  record::PassRecord prefill;
  prefill.kind = record::PassKind::kPrefill;
  prefill.sequences = {{0, 50, 1}};
  const std::vector passes = {prefill, Verify({{50, 5, 1}, {70, 5, 1}}, {3, 0}), Verify({{54, 1, 1}}, {0})};
  cap::FigureValues figures;
  FillSpeculation(passes, figures);
  EXPECT_DOUBLE_EQ(*figures[FigureId::kDraftAcceptance], 3.0 / 8);
  EXPECT_DOUBLE_EQ(*figures[FigureId::kTokensPerPass], 6.0 / 3);

  cap::FigureValues plain;
  FillSpeculation({&prefill, 1}, plain);
  EXPECT_FALSE(plain[FigureId::kDraftAcceptance]);
  EXPECT_FALSE(plain[FigureId::kTokensPerPass]) << "nothing drafts";
}

TEST(SpeculationFigures, TheSpeedUpIsOverTheSystemThatIsTheSameOtherwise) {
  Config config;
  config.systems.resize(3);
  config.systems[0].name = "quantised";
  config.systems[0].weights = "Q4_0";
  config.systems[1].name = "plain";
  config.systems[2].name = "drafted";
  config.systems[2].speculation.emplace().length = 4;
  std::vector<cap::SystemSummary> systems(3);
  for (size_t i = 0; i < systems.size(); ++i) {
    systems[i].name = config.systems[i].name;
    for (const double level : {1.0, 4.0}) {
      systems[i].cells.emplace_back().level = {record::LoadKind::kClients, level};
      systems[i].cells.back().figures[FigureId::kTpotMean] = (i == 0 ? 0.001 : i == 1 ? 0.006 : 0.004) * level;
    }
  }
  systems[1].cells.pop_back();
  FillSpeedUps(config, systems);
  EXPECT_DOUBLE_EQ(*systems[2].cells[0].figures[FigureId::kSpeculationSpeedUp], 1.5);
  EXPECT_FALSE(systems[2].cells[1].figures[FigureId::kSpeculationSpeedUp]) << "the other was not measured there";
  EXPECT_FALSE(systems[1].cells[0].figures[FigureId::kSpeculationSpeedUp]);
}

}  // namespace
}  // namespace moecap::experiment
