// A stored run as tables: a row a request, pass and cell, with the values that its own readers give.
#include "analysis/record_tables.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "analysis/testing/run_test_folder.h"
#include "base/json.h"
#include "experiment/summarize.h"

namespace moecap::analysis {
namespace {

using experiment::Results;

using Rows = std::vector<std::vector<Json>>;

RowVisitor Into(Rows& rows) {
  return [&rows](const std::vector<Json>& row) -> Status {
    rows.push_back(row);
    return {};
  };
}

Rows RowsOf(const Results& results, FactTable table, const std::vector<bool>& wanted = {}) {
  Rows rows;
  const Status status = VisitFacts(results, table, wanted, Into(rows));
  EXPECT_TRUE(status.ok()) << (status.ok() ? "" : status.error().message);
  return rows;
}

size_t At(const std::vector<TableColumn>& columns, std::string_view name) {
  const auto found = std::ranges::find(columns, name, &TableColumn::name);
  EXPECT_NE(found, columns.end()) << name;
  return static_cast<size_t>(found - columns.begin());
}

class RecordTables : public testing::Test {
 protected:
  Results Open(const TestRun& run) { return Results::Open(dir_.Write(run)).value(); }
  RunTestFolder dir_;
};

// Three requests at 0, 1 and 2 s, of ten tokens of 0.01 s each; the first one of each repetition fails.
TEST_F(RecordTables, HaveARowForEachRequestOfEachMeasurement) {
  TestRun run;
  run.systems = {{.name = "A", .failed = 1}, {.name = "B"}};
  run.repeats = 2;
  const Results results = Open(run);
  const auto& columns = ColumnsOf(FactTable::kRequests);
  const Rows rows = RowsOf(results, FactTable::kRequests);
  ASSERT_EQ(rows.size(), 12u);
  const auto value = [&](size_t row, std::string_view name) { return rows[row][At(columns, name)]; };
  for (const auto& row : rows) ASSERT_EQ(row.size(), columns.size());
  EXPECT_EQ(value(0, "system"), "A");
  EXPECT_EQ(value(0, "level_kind"), "clients");
  EXPECT_EQ(value(0, "level"), 4.0);
  EXPECT_EQ(value(0, "whole_measurement"), true);
  EXPECT_EQ(value(0, "finish"), "error");
  EXPECT_EQ(value(0, "error_kind"), "http_5xx");
  EXPECT_EQ(value(0, "first_token_s"), nullptr) << "it had none";
  EXPECT_EQ(value(0, "token_s"), nullptr);
  EXPECT_EQ(value(2, "id"), "3");
  EXPECT_EQ(value(2, "send_s"), 2.0);
  EXPECT_DOUBLE_EQ(value(2, "first_token_s").get<double>(), 2.01);
  EXPECT_DOUBLE_EQ(value(2, "last_token_s").get<double>(), 2.1);
  EXPECT_EQ(value(2, "token_s").size(), 10u);
  EXPECT_EQ(value(2, "input_tokens"), 5);
  EXPECT_EQ(value(2, "cached_input_tokens"), nullptr) << "not told is not 0";
  EXPECT_EQ(value(11, "system"), "B");
  EXPECT_EQ(value(11, "repeat"), 1);
}

TEST_F(RecordTables, LeaveOutWhatNobodyWants) {
  const Results results = Open({});
  const auto& columns = ColumnsOf(FactTable::kRequests);
  std::vector<bool> wanted(columns.size(), false);
  wanted[At(columns, "id")] = true;
  for (const auto& row : RowsOf(results, FactTable::kRequests, wanted)) {
    EXPECT_FALSE(row[At(columns, "id")].is_null());
    EXPECT_TRUE(row[At(columns, "token_s")].is_null());
  }
  const Status stopped =
      VisitFacts(results, FactTable::kRequests, wanted, [](const std::vector<Json>&) { return Status(Failed("enough")); });
  EXPECT_EQ(stopped.error().message, "enough");
}

TEST_F(RecordTables, GiveEveryFactOfAPass) {
  Results results = Open({.complete = false});
  experiment::Measurement measurement = results.manifest().measurements.front();
  measurement.repeat = 1;
  measurement.name = results.Begin(measurement, {}).value();
  load::LoadResult records;
  record::PassRecord& pass = records.passes.emplace_back();
  pass.pass = 7;
  pass.kind = record::PassKind::kMixed;
  pass.start_s = 0.5;
  pass.latency_s = 0.025;
  pass.sequences = {{100, 1, 3}, {0, 64, 1}};
  pass.distinct_experts = {8, 12.5};
  pass.distinct_experts_source = record::Source::kEstimated;
  std::filesystem::copy_file(results.EventLogFile("A-clients-4-0", 0), results.EventLogFile(measurement.name, 0));
  ASSERT_TRUE(results.End(measurement, records).ok());
  const Rows rows = RowsOf(results, FactTable::kPasses);
  ASSERT_EQ(rows.size(), 1u);
  const auto value = [&](std::string_view name) { return rows[0][At(ColumnsOf(FactTable::kPasses), name)]; };
  EXPECT_EQ(value("repeat"), 1);
  EXPECT_EQ(value("kind"), "mixed");
  EXPECT_EQ(value("latency_s"), 0.025);
  EXPECT_EQ(value("sequences"), 4);
  EXPECT_EQ(value("context_tokens"), 300);
  EXPECT_EQ(value("new_tokens"), 67);
  EXPECT_EQ(value("slices")[1], (Json{{"context_tokens", 0}, {"new_tokens", 64}, {"count", 1}}));
  EXPECT_EQ(value("distinct_experts"), (Json{8.0, 12.5}));
  EXPECT_EQ(value("distinct_experts_source"), "estimated");
  EXPECT_EQ(value("expert_disk_bytes"), nullptr);
}

TEST_F(RecordTables, HaveAColumnForEachFigureOfACell) {
  TestRun run;
  run.load = "load: {clients: [4, 8]}";
  const Results results = Open(run);
  const auto summary = experiment::Summarize(results);
  ASSERT_TRUE(summary.ok());
  Rows rows;
  ASSERT_TRUE(VisitCells(*summary, Into(rows)).ok());
  ASSERT_EQ(rows.size(), 2u);
  const auto& columns = CellColumns();
  EXPECT_EQ(columns.size(), 7 + cap::Figures().size());
  EXPECT_EQ(rows[1][At(columns, "label")], "8 clients");
  for (const cap::Figure& figure : cap::Figures()) {
    const auto& known = summary->systems[0].cells[1].figures[figure.id];
    EXPECT_EQ(rows[1][At(columns, figure.key)], known ? Json(*known) : Json(nullptr)) << figure.key;
  }
}

}  // namespace
}  // namespace moecap::analysis
