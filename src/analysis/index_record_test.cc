// From the folder of an experiment and its figures to a row of the index.
#include "analysis/index_record.h"

#include <gmock/gmock.h>

#include "analysis/testing/run_test_folder.h"
#include "base/folder_lock.h"
#include "base/fs.h"

namespace moecap::analysis {
namespace {
namespace fs = std::filesystem;
using experiment::Results;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(IndexRecord, ARunWithFiguresEqualsTheHandmadeRow) {
  const RunTestFolder dir;
  TestRun run;
  run.systems = {{.machine = "8 x h100-sxm", .usd_per_h = 4}};
  const Results results = Results::Open(dir.Write(run)).value();
  DerivedFigures figures;
  figures.summary_json = "{\"schema\":2}\n";
  figures.summary.systems.resize(1);
  figures.summary.systems[0].name = "A";
  cap::CellSummary cell;
  cell.level = {record::LoadKind::kRate, 2.5};
  cell.label = "2.5 requests/s";
  cell.repeats = 2;
  cell.figures[cap::FigureId::kOutputRate] = 75.0;
  cell.figures[cap::FigureId::kAccuracy] = 0.75;
  cell.figures[cap::FigureId::kFailed] = 0.0;
  cell.figures[cap::FigureId::kPower] = 300.0;
  cell.estimates.Add(cap::FigureId::kPower);
  figures.summary.systems[0].cells = {cell};
  cell.level.value = 5;
  cell.gates = {metrics::Judge(metrics::MakeGate("errors", 0.5, "share"), 1, "too many")};
  figures.summary.systems[0].cells.push_back(cell);

  const store::StoredRun stored = ToStoredRun(results, store::RunStatus::kComplete, figures).value();
  EXPECT_EQ(stored.info, (store::RunInfo{run.run_id, run.run_id, store::RunStatus::kComplete, "2026-01-31T12:00:00Z", "0.2.0",
                                         "5 tokens in, 10 out", "", 0, "CPU"}));
  EXPECT_EQ(stored.manifest_json, ReadFile(results.dir() / "manifest.json").value());
  EXPECT_EQ(stored.summary_json, "{\"schema\":2}\n");
  EXPECT_THAT(stored.systems, ElementsAre(store::StoredSystem{"A", "scripted", "small", "F16", "8 x h100-sxm"}));
  EXPECT_THAT(stored.cost_inputs,
              ElementsAre(store::StoredCostInput{"A", "rent_usd_per_h", 4, std::nullopt, std::nullopt, "test", "2026-06"},
                          store::StoredCostInput{"A", "utilisation", 1, std::nullopt, std::nullopt, "test", "2026-06"}));
  ASSERT_EQ(stored.files.size(), 3u);
  EXPECT_EQ(stored.files[1].name, "measurements/A-clients-4-0/events.0.bin");
  EXPECT_EQ(stored.files[1].bytes, fs::file_size(results.dir() / stored.files[1].name));
  EXPECT_TRUE(stored.files[1].xxh3_64.has_value());

  ASSERT_EQ(stored.cells.size(), 2u);
  EXPECT_EQ(
      stored.cells[0],
      (store::StoredCell{
          "A",
          "rates_per_s",
          2.5,
          "2.5 requests/s",
          2,
          true,
          {{"accuracy", 0.75, false}, {"failed", 0, false}, {"output_tokens_per_s", 75, false}, {"power_w", 300, true}}}));
  EXPECT_EQ(stored.cells[1].level, 5);
  EXPECT_FALSE(stored.cells[1].valid);
}

// The store knows figures by key only; these are the keys that it lists runs by.
TEST(IndexRecord, TheKeysOfListsAreFigures) {
  EXPECT_EQ(cap::FigureOf(cap::FigureId::kOutputRate).key, store::kOutputRateKey);
  EXPECT_EQ(cap::FigureOf(cap::FigureId::kAccuracy).key, store::kAccuracyKey);
}

TEST(IndexRecord, ARunThatGoesOnHasNeitherFiguresNorHashes) {
  const RunTestFolder dir;
  const Results results = Results::Open(dir.Write("r", false)).value();
  EXPECT_EQ(StatusOf(results), store::RunStatus::kInterrupted);
  {
    const auto lock = FolderLock::Acquire(results.dir());
    EXPECT_EQ(StatusOf(results), store::RunStatus::kRunning);
  }
  const store::StoredRun run = ToStoredRun(results, store::RunStatus::kRunning, std::nullopt).value();
  EXPECT_TRUE(run.cells.empty());
  EXPECT_EQ(run.summary_json, std::nullopt);
  for (const store::StoredFile& file : run.files) EXPECT_EQ(file.xxh3_64, std::nullopt);
}

TEST(IndexRecord, AFileThatLacksRecordsIsNamed) {
  const RunTestFolder dir;
  const fs::path run = dir.WriteRun01("r");
  const Results results = Results::Open(run).value();
  fs::resize_file(run / "passes.jsonl", 10);
  EXPECT_THAT(ToStoredRun(results, store::RunStatus::kComplete, std::nullopt).error().message,
              testing::AllOf(HasSubstr("passes.jsonl"), HasSubstr("cut off"), HasSubstr("10 bytes")));
  fs::remove(run / "requests.jsonl");
  EXPECT_THAT(ToStoredRun(results, store::RunStatus::kInterrupted, std::nullopt).error().message, HasSubstr("requests.jsonl"));
}

TEST(IndexRecord, CostInputsKeepTheirRanges) {
  const RunTestFolder dir;
  const Results results = Results::Open(dir.WriteRun01("r")).value();
  EXPECT_THAT(ToStoredRun(results, store::RunStatus::kComplete, std::nullopt)->cost_inputs,
              ElementsAre(store::StoredCostInput{"A", "pue", 1.25, 1.1, std::nullopt, "survey", "2026-06"}));
}

TEST(IndexRecord, TheFolderHasANameHoweverItIsWritten) {
  const RunTestFolder dir;
  const fs::path run = dir.Write("r");
  for (const fs::path& written : {run / "", run / ".", run / "../r"}) {
    EXPECT_EQ(ToStoredRun(Results::Open(written).value(), store::RunStatus::kComplete, std::nullopt)->info.path, "r");
  }
}

}  // namespace
}  // namespace moecap::analysis
