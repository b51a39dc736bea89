#include "app/cli/runs_merge.h"

#include <gtest/gtest.h>

namespace moecap::app {
namespace {

TEST(MergedExperts, AreNamedByWhatWasToldBeforeAskingFailed) {
  experiment::Manifest manifest;
  manifest.measurements.resize(3);
  EXPECT_EQ(ExpertsInWords(manifest), "with estimated experts");
  for (experiment::Measurement& measurement : manifest.measurements) measurement.server_passes.emplace();
  EXPECT_EQ(ExpertsInWords(manifest), "with estimated experts");
  manifest.measurements[0].server_passes->told = 0.9;
  EXPECT_EQ(ExpertsInWords(manifest), "with the experts that were told of 1 of 3 measurements and estimates for the others");
  for (experiment::Measurement& measurement : manifest.measurements) measurement.server_passes->told = 1;
  EXPECT_EQ(ExpertsInWords(manifest), "with the experts that were told");
}

}  // namespace
}  // namespace moecap::app
