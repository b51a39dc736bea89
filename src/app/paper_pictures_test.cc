#include "app/paper_pictures.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace moecap::app {
namespace {
using cap::FigureId;
using testing::ElementsAre;
using testing::Field;
using testing::HasSubstr;

// 10 parameters outside the experts and 16 experts of 5 each, of which a token uses 2.
cap::SystemSummary System(const std::string& name, double tpot_s) {
  cap::SystemSummary system;
  system.name = name;
  system.total_params = 90;
  system.active_params = 20;
  system.experts = 16;
  system.top_k = 2;
  system.machine.peak_bandwidth_bytes_per_s = 4.8e12;
  for (const double clients : {1.0, 16.0}) {
    cap::CellSummary& cell = system.cells.emplace_back();
    cell.level = {record::LoadKind::kClients, clients};
    cell.repeats = 1;
    cell.figures[FigureId::kDistinctExperts] = clients == 1 ? 2 : 12;
    cell.figures[FigureId::kTpotMean] = tpot_s;
    cell.figures[FigureId::kDecodeSMbu] = 0.3;
    cell.figures[FigureId::kUsdPerMillionTokens] = tpot_s * 100;
  }
  return system;
}

TEST(PaperPictures, AnActivatedShareCountsTheExpertsThatAreUsed) {
  const cap::SystemSummary system = System("a", 0.01);
  EXPECT_DOUBLE_EQ(*ActivatedShare(system, 2), 20.0 / 90);
  EXPECT_DOUBLE_EQ(*ActivatedShare(system, 12), 70.0 / 90);
  EXPECT_DOUBLE_EQ(*ActivatedShare(system, 16), 1);
  cap::SystemSummary dense = system;
  dense.experts = dense.top_k = 0;
  EXPECT_FALSE(ActivatedShare(dense, 0));
}

TEST(PaperPictures, AreDrawnOverAllRuns) {
  std::vector<cap::ExperimentSummary> runs(2);
  runs[0].systems = {System("a", 0.01)};
  runs[1].systems = {System("b", 0.02)};
  const auto catalogue = hardware::Catalogue::Builtin().value();
  const auto pictures = DrawPaperPictures(runs, catalogue, 0.05, 16);
  ASSERT_THAT(pictures,
              ElementsAre(Field(&PaperPicture::file, "activated-share.svg"),
                          Field(&PaperPicture::file, "required-bandwidth.svg"), Field(&PaperPicture::file, "radar.svg")));
  EXPECT_THAT(pictures[0].svg, HasSubstr("a, measured"));
  EXPECT_THAT(pictures[1].svg, HasSubstr("TPOT of 50.0 ms"));
  EXPECT_THAT(pictures[1].svg, HasSubstr("4090")) << "1,008 GB/s beside 960 and 1,920 that are needed";
  EXPECT_THAT(pictures[2].svg, HasSubstr("16 clients"));

  EXPECT_EQ(DrawPaperPictures(std::span(runs).first(1), catalogue, 0.05, 16).size(), 2u) << "one system has no score";
  EXPECT_TRUE(DrawPaperPictures({}, catalogue, 0.05, 1).empty());
}

}  // namespace
}  // namespace moecap::app
