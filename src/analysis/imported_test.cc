#include "analysis/imported.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "analysis/judge.h"
#include "analysis/transfer.h"
#include "base/testing/temp_dir.h"

namespace moecap::analysis {
namespace {

using testing::Contains;
using testing::HasSubstr;

std::string ServeResult(int clients, double tpot_ms) {
  return R"({"date":"20260428-105748","model_id":"org/m:tag","num_prompts":8,"request_rate":"inf","duration":2.0,"completed":8,"output_throughput":50.0,)"
         "\"max_concurrency\":" +
         std::to_string(clients) + ",\"mean_ttft_ms\":100.0,\"mean_tpot_ms\":" + std::to_string(tpot_ms) + "}";
}

TEST(Imported, ResultFilesAreStoredRuns) {
  const TempDir dir;
  const auto a = dir.Write("a.json", ServeResult(4, 10)), b = dir.Write("b.json", ServeResult(8, 20)),
             again = dir.Write("c.json", ServeResult(8, 30));
  const auto stored = StoreResultFiles({a, b, again}, dir / "results");
  ASSERT_TRUE(stored.ok()) << stored.error().message;
  EXPECT_THAT(stored->filename().string(), HasSubstr("20260428-vllm-bench-serve-"));
  EXPECT_TRUE(IsImported(*stored));
  const auto results = experiment::Results::Open(*stored);
  ASSERT_TRUE(results.ok()) << results.error().message;
  const auto judged = JudgeStored(*results);
  ASSERT_TRUE(judged.ok()) << judged.error().message;
  const cap::ExperimentSummary& summary = judged->summary;
  ASSERT_EQ(summary.systems.size(), 1u);
  EXPECT_EQ(summary.systems[0].name, "org/m-tag (vllm bench serve)");
  EXPECT_THAT(summary.notes, Contains(HasSubstr("under that tool's definition")));
  ASSERT_EQ(summary.systems[0].cells.size(), 2u);
  const cap::CellSummary& cell = summary.systems[0].cells[1];
  EXPECT_EQ(cell.repeats, 2);
  EXPECT_NEAR(*cell.figures[cap::FigureId::kTpotMean], 0.025, 1e-12);
  EXPECT_NEAR(*cell.figures[cap::FigureId::kCompleted], 16, 1e-12);
  // The same files are the same run.
  EXPECT_EQ(*StoreResultFiles({a, b, again}, dir / "results"), *stored);
}

TEST(Imported, TheIndexHoldsThem) {
  const TempDir dir;
  const auto stored = StoreResultFiles({dir.Write("a.json", ServeResult(4, 10))}, dir / "results");
  ASSERT_TRUE(stored.ok()) << stored.error().message;
  const auto make = [](const experiment::Results& results) -> Result<DerivedFigures> {
    ASSIGN_OR_RETURN(cap::ExperimentSummary summary, SummarizeStored(results));
    return DerivedFigures{std::move(summary), "{}"};
  };
  const auto imported = ImportRuns({*stored}, dir / "results", make);
  ASSERT_TRUE(imported.ok()) << imported.error().message;
  const auto store = store::RunStore::Open(dir / "results", store::Access::kRead);
  ASSERT_TRUE(store.ok());
  const auto run = store->Find(imported->front().run_id);
  ASSERT_TRUE(run.ok());
  EXPECT_EQ(run->cells.size(), 1u);
  ASSERT_EQ(run->files.size(), 2u) << "the manifest and the imported file";
  EXPECT_EQ(run->files[1].name, "imported/000/a.json");
  const auto report = VerifyRuns(*store, dir / "results");
  ASSERT_TRUE(report.ok());
  EXPECT_TRUE(report->problems.empty());
}

TEST(Imported, RefusesWhatIsNoResult) {
  const TempDir dir;
  EXPECT_THAT(StoreResultFiles({dir.Write("x", "hello")}, dir / "results").error().message, HasSubstr("no result file"));
  const auto llama = dir.Write("l.json", R"([{"model_filename":"m","avg_ts":1.0,"n_gen":1,"n_prompt":0}])");
  EXPECT_THAT(StoreResultFiles({dir.Write("a.json", ServeResult(1, 1)), llama}, dir / "results").error().message,
              HasSubstr("one tool at a time"));
}

}  // namespace
}  // namespace moecap::analysis
