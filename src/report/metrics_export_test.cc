// Figures for monitoring systems.
#include "report/metrics_export.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/json.h"
#include "base/wall_clock.h"
#include "report/testing/sample_experiment.h"

namespace moecap::report {
namespace {

using cap::FigureId;
using testing::HasSubstr;
using testing::Not;

cap::JudgedExperiment Small() {
  cap::JudgedExperiment experiment;
  experiment.summary.run_id = "r1";
  experiment.summary.started_at = "2026-01-31T12:00:00Z";
  experiment.summary.moecap_version = "9";
  cap::SystemSummary system;
  system.name = "a \"b\"\\\n";
  cap::CellSummary cell;
  cell.level = {record::LoadKind::kRate, 2.5};
  cell.repeats = 1;
  cell.figures[FigureId::kTtftMean] = 0.25;
  cell.figures[FigureId::kRequests] = 12;
  system.cells.push_back(cell);
  experiment.summary.systems.push_back(system);
  return experiment;
}

TEST(MetricsExport, PrometheusHasAGaugeAFigureAndASampleACell) {
  const cap::JudgedExperiment experiment = Small();
  const std::string text = ToPrometheus(std::span(&experiment, 1));
  EXPECT_THAT(text,
              HasSubstr("# TYPE moecap_ttft_mean_s gauge\nmoecap_ttft_mean_s{run_id=\"r1\",system=\"a \\\"b\\\"\\\\\\n\","));
  EXPECT_THAT(text, HasSubstr("level_kind=\"rates_per_s\",level=\"2.5\",valid=\"true\"} 0.25\n"));
  EXPECT_THAT(text, HasSubstr("# HELP moecap_requests "));
  EXPECT_THAT(text, Not(HasSubstr("moecap_accuracy"))) << "what is not known is absent, not 0";
  const std::vector<cap::JudgedExperiment> both = {experiment, experiment};
  const std::string twice = ToPrometheus(both);
  EXPECT_EQ(twice.find("# TYPE moecap_requests"), twice.rfind("# TYPE moecap_requests")) << "one head for all runs";
}

TEST(MetricsExport, OtlpHasAResourceARunWithTimesAsText) {
  const cap::JudgedExperiment experiment = Small();
  const Json body = ParseJson(ToOtlpJson(std::span(&experiment, 1))).value();
  const Json& resource = body.at("resourceMetrics").at(0);
  EXPECT_EQ(resource.at("resource").at("attributes").at(1).at("value").at("stringValue"), "r1");
  const Json& metrics = resource.at("scopeMetrics").at(0).at("metrics");
  ASSERT_EQ(metrics.size(), 2u);
  EXPECT_EQ(metrics.at(0).at("name"), "moecap.requests");
  EXPECT_EQ(metrics.at(0).at("unit"), "{requests}");
  EXPECT_EQ(metrics.at(1).at("unit"), "s");
  const Json& point = metrics.at(1).at("gauge").at("dataPoints").at(0);
  EXPECT_EQ(point.at("asDouble"), 0.25);
  EXPECT_EQ(point.at("timeUnixNano"), std::to_string(ParseIso8601("2026-01-31T12:00:00Z").value()))
      << "64 bits are text in JSON";
}

}  // namespace
}  // namespace moecap::report
