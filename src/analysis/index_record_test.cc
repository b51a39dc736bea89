// From a run folder and its figures to a row of the index.
#include "run/store_record.h"

#include <gmock/gmock.h>

#include <fstream>

#include "base/folder_lock.h"
#include "base/fs.h"
#include "run/run_test_folder.h"

namespace moecap::run {
namespace {
namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(StoreRecord, ARunWithFiguresEqualsTheHandmadeRow) {
  const RunTestFolder dir;
  const Results results = Results::Open(dir.WriteRun("20260131-120000-test")).value();
  DerivedFigures figures;
  figures.summary_json = "{\"schema\":1}\n";
  figures.summary.systems.resize(1);
  figures.summary.systems[0].name = "A";
  cap::CellSummary cell;
  cell.concurrency = 4;
  cell.repeats = 2;
  cell.requests = 6;
  cell.failed = 1;
  cell.ttft_s = stats::Describe(std::vector{0.5, 1.5});
  cell.output_tokens_per_s = stats::Spread{};
  cell.output_tokens_per_s->mean = 75;
  cell.utilization.decode.s_mbu = 0.25;
  cell.utilization.prefill.s_mfu = 0.125;
  cell.accuracy = 0.75;
  cell.usd_per_million_output_tokens = 1.5;
  cell.energy_is_measured = true;
  figures.summary.systems[0].cells = {cell};
  cell.concurrency = 8;
  cell.utilization.invalid = {"S-MBU above 1"};
  figures.summary.systems[0].cells.push_back(cell);

  const store::StoredRun run = ToStoredRun(results, store::RunStatus::kComplete, figures).value();
  EXPECT_EQ(run.info, (store::RunInfo{"20260131-120000-test", "20260131-120000-test", store::RunStatus::kComplete,
                                      "2026-01-31T12:00:00Z", "0.1.0", "d.jsonl", 3, "CPU"}));
  EXPECT_EQ(run.manifest_json, ReadFile(results.dir() / "manifest.json").value());
  EXPECT_EQ(run.summary_json, "{\"schema\":1}\n");
  EXPECT_THAT(run.systems, ElementsAre(store::StoredSystem{"A", "scripted", "small", "F16"}));
  EXPECT_THAT(run.cost_inputs,
              ElementsAre(store::StoredCostInput{"pue", 1.25, std::nullopt, std::nullopt, "survey", "2026-06"}));
  ASSERT_EQ(run.files.size(), 3u);
  EXPECT_EQ(run.files[1].name, "requests.jsonl");
  EXPECT_EQ(run.files[1].bytes, fs::file_size(results.dir() / "requests.jsonl"));
  EXPECT_TRUE(run.files[1].xxh3_64.has_value());

  store::Cohort expected;
  expected.system = "A";
  expected.concurrency = 4;
  expected.repeats = 2;
  expected.requests = 6;
  expected.failed = 1;
  expected.ttft_mean_s = expected.ttft_p50_s = 1.0;
  expected.ttft_p99_s = cell.ttft_s->p99;
  expected.output_rate_mean_tokens_per_s = 75;
  expected.decode_s_mbu = 0.25;
  expected.prefill_s_mfu = 0.125;
  expected.accuracy = 0.75;
  expected.usd_per_million_output_tokens = 1.5;
  expected.energy_is_measured = true;
  ASSERT_EQ(run.cohorts.size(), 2u);
  EXPECT_EQ(run.cohorts[0], expected);
  expected.concurrency = 8;
  expected.valid = false;
  EXPECT_EQ(run.cohorts[1], expected);
}

TEST(StoreRecord, ARunThatGoesOnHasNeitherFiguresNorHashes) {
  const RunTestFolder dir;
  const Results results = Results::Open(dir.WriteRun("r", false)).value();
  EXPECT_EQ(StatusOf(results), store::RunStatus::kInterrupted);
  {
    const auto lock = FolderLock::Acquire(results.dir());
    EXPECT_EQ(StatusOf(results), store::RunStatus::kRunning);
  }
  const store::StoredRun run = ToStoredRun(results, store::RunStatus::kRunning, std::nullopt).value();
  EXPECT_TRUE(run.cohorts.empty());
  EXPECT_EQ(run.summary_json, std::nullopt);
  for (const store::StoredFile& file : run.files) EXPECT_EQ(file.xxh3_64, std::nullopt);
}

TEST(StoreRecord, AFileThatLacksRecordsIsNamed) {
  const RunTestFolder dir;
  const fs::path run = dir.WriteRun("r");
  const Results results = Results::Open(run).value();
  fs::resize_file(run / "passes.jsonl", 10);
  EXPECT_THAT(ToStoredRun(results, store::RunStatus::kComplete, std::nullopt).error().message,
              testing::AllOf(HasSubstr("passes.jsonl has 10 bytes"), HasSubstr("not whole")));
  fs::remove(run / "requests.jsonl");
  EXPECT_THAT(ToStoredRun(results, store::RunStatus::kInterrupted, std::nullopt).error().message,
              testing::AllOf(HasSubstr("requests.jsonl"), HasSubstr("No such file")));
}

TEST(StoreRecord, CostInputsAreThoseOfTheManifestWithTheirRanges) {
  const RunTestFolder dir;
  const fs::path run = dir.WriteRun("r");
  std::string text = ReadFile(run / "manifest.json").value();
  const std::string value = "\"value\": 1.25";
  ASSERT_NE(text.find(value), std::string::npos);
  std::ofstream(run / "manifest.json") << text.replace(text.find(value), value.size(), value + ", \"low\": 1.1");
  EXPECT_THAT(ToStoredRun(Results::Open(run).value(), store::RunStatus::kComplete, std::nullopt)->cost_inputs,
              ElementsAre(store::StoredCostInput{"pue", 1.25, 1.1, std::nullopt, "survey", "2026-06"}));
}

TEST(StoreRecord, TheFolderHasANameHoweverItIsWritten) {
  const RunTestFolder dir;
  const fs::path run = dir.WriteRun("r");
  for (const fs::path& written : {run / "", run / ".", run / "../r"}) {
    EXPECT_EQ(ToStoredRun(Results::Open(written).value(), store::RunStatus::kComplete, std::nullopt)->info.path, "r");
  }
}

}  // namespace
}  // namespace moecap::run
