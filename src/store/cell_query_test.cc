#include "store/cell_query.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/store_test_files.h"

namespace moecap::store {
namespace {

using testing::ElementsAre;

std::vector<std::string> Names(const CellPage& page) {
  std::vector<std::string> names;
  for (const CellListing& listing : page.cells)
    names.push_back(fmt::format("{}:{}@{}", listing.run.run_id, listing.system.name, listing.cell.level));
  return names;
}

TEST(CellQuery, EveryCellLatestRunFirst) {
  const TempDir dir;
  RunStore store = OpenStore(dir.path());
  ASSERT_TRUE(store.Put(SampleRun("a", 0)).ok());
  ASSERT_TRUE(store.Put(SampleRun("b", 1)).ok());
  const CellPage page = ListCells(store, {.limit = 5}).value();
  EXPECT_EQ(page.total, 8);
  EXPECT_THAT(Names(page), ElementsAre("b:F16@1", "b:F16@16", "b:Q4_0@1", "b:Q4_0@16", "a:F16@1"));
  EXPECT_EQ(page.cells[0].cell.label, "1 clients");
  EXPECT_EQ(page.cells[0].Hardware(), "AMD EPYC");
  EXPECT_EQ(page.cells[2].Hardware(), "1 x h");
  EXPECT_TRUE(page.cells[0].cell.figures.empty());
}

TEST(CellQuery, SortsByAFigureBothWaysAndCellsWithoutItLast) {
  const TempDir dir;
  RunStore store = OpenStore(dir.path());
  StoredRun run = SampleRun("a", 0);
  run.cells[1].figures.clear();
  ASSERT_TRUE(store.Put(run).ok());
  CellFilter filter{.sort = "tpot_mean_s", .figures = {"tpot_mean_s", "joules_per_token", "none"}};
  EXPECT_THAT(Names(ListCells(store, filter).value()), ElementsAre("a:Q4_0@16", "a:Q4_0@1", "a:F16@1", "a:F16@16"));
  filter.descending = false;
  const CellPage page = ListCells(store, filter).value();
  EXPECT_THAT(Names(page), ElementsAre("a:F16@1", "a:Q4_0@1", "a:Q4_0@16", "a:F16@16"));
  EXPECT_THAT(page.cells[0].cell.figures, ElementsAre(run.cells[0].figures[3], run.cells[0].figures[1]));
  filter.offset = 3;
  EXPECT_THAT(Names(ListCells(store, filter).value()), ElementsAre("a:F16@16"));
  EXPECT_EQ(ListCells(store, filter)->total, 4);
}

TEST(CellQuery, ConditionsHoldTogether) {
  const TempDir dir;
  RunStore store = OpenStore(dir.path());
  StoredRun run = SampleRun("a", 0);
  run.cells[2].valid = false;
  run.tags = {"Paper"};
  ASSERT_TRUE(store.Put(run).ok());
  ASSERT_TRUE(store.Put(SampleRun("b", 1)).ok());
  EXPECT_EQ(ListCells(store, {.words = {"paper"}})->total, 4);
  EXPECT_EQ(ListCells(store, {.words = {"PAPER", "q4_0"}})->total, 2);
  EXPECT_EQ(ListCells(store, {.words = {"paper", "q4_0"}, .valid_only = true})->total, 1);
  EXPECT_EQ(ListCells(store, {.model = "tiny-moe"})->total, 8);
  EXPECT_EQ(ListCells(store, {.model = "tiny"})->total, 0);
  EXPECT_EQ(ListCells(store, {.hardware = "1 x h"})->total, 4);
  EXPECT_EQ(ListCells(store, {.words = {"' OR 1 --"}})->total, 0);
}

TEST(CellQuery, Choices) {
  const TempDir dir;
  RunStore store = OpenStore(dir.path());
  ASSERT_TRUE(store.Put(SampleRun("a", 0)).ok());
  const CellChoices choices = ListChoices(store).value();
  EXPECT_THAT(choices.models, ElementsAre("tiny-moe"));
  EXPECT_THAT(choices.hardware, ElementsAre("1 x h", "AMD EPYC"));
}

}  // namespace
}  // namespace moecap::store
