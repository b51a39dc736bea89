// The index of runs: what is stored comes back, filters select, changes are whole.
#include "store/run_store.h"

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <set>

#include "store/store_test_files.h"

namespace moecap::store {
namespace {
namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::vector<std::string> Ids(const RunStore& store, const RunFilter& filter) {
  std::vector<std::string> ids;
  const auto runs = store.List(filter);
  EXPECT_TRUE(runs.ok());
  for (const RunListing& run : *runs) ids.push_back(run.info.run_id);
  return ids;
}

TEST(RunStore, EveryFieldComesBack) {
  const TempDir dir;
  StoredRun run = SampleRun("20260131-120000-quickstart");
  run.info.dataset = "data 'quoted' \"and\" \xc3\xa9";
  run.tags = {"b", "a"};
  ASSERT_TRUE(OpenStore(dir.path()).Put(run).ok());
  run.tags = {"a", "b"};
  EXPECT_EQ(OpenStore(dir.path(), Access::kRead).Find(run.info.run_id).value(), run);
  run.info.status = RunStatus::kRunning;
  run.summary_json = std::nullopt;
  run.cells = {};
  run.info.run_id = "b";
  ASSERT_TRUE(OpenStore(dir.path()).Put(run).ok());
  EXPECT_EQ(OpenStore(dir.path()).Find("b").value(), run);
}

// A figure needs no column, so that one more is a row more.
TEST(RunStore, AFigureIsARow) {
  const TempDir dir;
  RunStore store = OpenStore(dir.path());
  StoredRun run = SampleRun("r");
  run.cells.resize(1);
  run.cells[0].figures = {{"a_new_figure_s", 1.5, true}, {"another", 0, false}};
  ASSERT_TRUE(store.Put(run).ok());
  EXPECT_EQ(store.Find("r").value(), run);
  EXPECT_EQ(store.database().QueryInt("SELECT count(*) FROM figures WHERE estimate").value(), 1);
  run.cells[0].figures.push_back({"another", 1, false});
  EXPECT_FALSE(store.Put(run).ok()) << "a figure has one value in a cell";
}

// Levels of every kind, in the order of their values.
TEST(RunStore, LevelsAreOfAnyKind) {
  const TempDir dir;
  RunStore store = OpenStore(dir.path());
  StoredRun run = SampleRun("r");
  run.cells = {{"F16", "rates_per_s", 0.5, "0.5 requests/s", 1, true, {}},
               {"F16", "rates_per_s", 12, "12 requests/s", 1, true, {}}};
  ASSERT_TRUE(store.Put(run).ok());
  EXPECT_EQ(store.Find("r").value(), run);
  const RunListing listed = store.List({})->front();
  EXPECT_EQ(listed.level_kind, "rates_per_s");
  EXPECT_EQ(listed.min_level, 0.5);
  EXPECT_EQ(listed.max_level, 12);
  run.cells[0].level_kind = "guesses";
  EXPECT_FALSE(store.Put(run).ok());
}

TEST(RunStore, PutReplacesAndKeepsTheTags) {
  const TempDir dir;
  RunStore store = OpenStore(dir.path());
  StoredRun run = SampleRun("r");
  ASSERT_TRUE(store.Put(run).ok());
  ASSERT_TRUE(store.Tag("r", std::vector<std::string>{"paper"}).ok());
  run.systems.pop_back();
  run.cells.resize(1);
  run.files = {{"manifest.json", 1, "ffffffffffffffff"}};
  run.cost_inputs = {};
  ASSERT_TRUE(store.Put(run).ok());
  run.tags = {"paper"};
  EXPECT_EQ(store.Find("r").value(), run);
  EXPECT_THAT(store.CheckIntegrity().value(), IsEmpty());
}

TEST(RunStore, AddRefusesAnIdThatIsThere) {
  const TempDir dir;
  RunStore store = OpenStore(dir.path());
  ASSERT_TRUE(store.Add(SampleRun("r", 1)).ok());
  const Status again = store.Add(SampleRun("r", 2));
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().kind, ErrorKind::kBadInput);
  EXPECT_EQ(store.Find("r").value(), SampleRun("r", 1));
}

TEST(RunStore, ARunThatCannotBeStoredWholeIsNotStoredAtAll) {
  const TempDir dir;
  RunStore store = OpenStore(dir.path());
  ASSERT_TRUE(store.Put(SampleRun("r", 1)).ok());
  StoredRun broken = SampleRun("r", 2);
  broken.cells[3].system = "no such system";
  EXPECT_FALSE(store.Put(broken).ok()) << "the foreign key";
  EXPECT_EQ(store.Find("r").value(), SampleRun("r", 1));
  broken.info.run_id = "s";
  EXPECT_FALSE(store.Put(broken).ok());
  EXPECT_FALSE(store.Find("s").ok());
  broken = SampleRun("t");
  broken.tags = {"good", "not good"};
  EXPECT_FALSE(store.Put(broken).ok());
  EXPECT_THAT(Ids(store, {}), ElementsAre("r"));
}

TEST(RunStore, StatusTagsAndDeletion) {
  const TempDir dir;
  RunStore store = OpenStore(dir.path());
  ASSERT_TRUE(store.Put(SampleRun("r")).ok());
  ASSERT_TRUE(store.SetStatus("r", RunStatus::kInterrupted).ok());
  EXPECT_EQ(store.Find("r")->info.status, RunStatus::kInterrupted);
  const std::vector<std::string> tags = {"b", "a", "b"};
  ASSERT_TRUE(store.Tag("r", tags).ok());
  EXPECT_THAT(store.Find("r")->tags, ElementsAre("a", "b"));
  EXPECT_THAT(store.Untag("r", std::vector<std::string>{"a", "c"}).error().message, HasSubstr("no tag \"c\""));
  EXPECT_THAT(store.Find("r")->tags, ElementsAre("a", "b")) << "none was taken away";
  ASSERT_TRUE(store.Untag("r", std::vector<std::string>{"a"}).ok());
  EXPECT_THAT(store.Find("r")->tags, ElementsAre("b"));

  for (const Status& status :
       {store.SetStatus("x", RunStatus::kComplete), store.Tag("x", tags), store.Untag("x", tags), store.Delete("x", {})}) {
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().kind, ErrorKind::kBadInput);
    EXPECT_THAT(status.error().message, HasSubstr("no run x"));
  }
  EXPECT_FALSE(store.Delete("r", [] { return Status(Failed("no")); }).ok());
  EXPECT_TRUE(store.Find("r").ok()) << "what belongs to the deletion failed";
  ASSERT_TRUE(store.Delete("r", {}).ok());
  EXPECT_FALSE(store.Find("r").ok());
  for (const char* table : {"documents", "systems", "cells", "figures", "files", "tags", "cost_inputs"}) {
    EXPECT_EQ(store.database().QueryInt(fmt::format("SELECT count(*) FROM {}", table)).value(), 0) << table;
  }
}

TEST(RunStore, TagsThatReadBadlyAreRefused) {
  for (const char* tag : {"", "-x", "a b", "a,b", "\xc3\xa9", "a\n"}) EXPECT_FALSE(CheckTag(tag).ok()) << tag;
  EXPECT_FALSE(CheckTag(std::string(65, 'a')).ok());
  for (const char* tag : {"paper", "v1.2", "a/b:c=d@e", "_"}) EXPECT_TRUE(CheckTag(tag).ok()) << tag;
}

class Filters : public testing::Test {
 protected:
  void SetUp() override {
    // Started on the 2nd, 3rd, 4th of January; output rates and accuracies rise with the seed.
    for (const auto& [id, seed] : {std::pair{"b-old", 1}, std::pair{"a-mid", 2}, std::pair{"c-new", 3}}) {
      StoredRun run = SampleRun(id, seed);
      if (seed == 2) {
        run.systems[0].model_id = "Qwen/Qwen3-30B_A3B";
        run.info.dataset = "gsm8k.jsonl";
        run.info.status = RunStatus::kInterrupted;
        run.tags = {"paper", "x"};
      }
      if (seed == 3) {
        run.tags = {"paper"};
        for (StoredCell& cell : run.cells) cell.valid = false;
      }
      ASSERT_TRUE(store_.Put(run).ok());
    }
  }
  TempDir dir_;
  RunStore store_ = OpenStore(dir_.path());
};

TEST_F(Filters, SelectByWhatIsAsked) {
  EXPECT_THAT(Ids(store_, {}), ElementsAre("c-new", "a-mid", "b-old")) << "latest first";
  EXPECT_THAT(store_.Paths().value(), ElementsAre("a-mid", "b-old", "c-new"));
  RunFilter filter;
  filter.model = "qwen3-30b_a";
  EXPECT_THAT(Ids(store_, filter), ElementsAre("a-mid"));
  filter.model = "qwen3-30b%a";
  EXPECT_THAT(Ids(store_, filter), IsEmpty()) << "no wildcards";
  filter = {};
  filter.system = "q4";
  EXPECT_EQ(Ids(store_, filter).size(), 3u);
  filter.dataset = "GSM8K";
  EXPECT_THAT(Ids(store_, filter), ElementsAre("a-mid"));
  filter = {};
  filter.tags = {"paper"};
  EXPECT_THAT(Ids(store_, filter), ElementsAre("c-new", "a-mid"));
  filter.tags = {"paper", "x"};
  EXPECT_THAT(Ids(store_, filter), ElementsAre("a-mid"));
  filter = {};
  filter.status = RunStatus::kInterrupted;
  EXPECT_THAT(Ids(store_, filter), ElementsAre("a-mid"));
  filter = {};
  filter.since = "2026-01-03";
  EXPECT_THAT(Ids(store_, filter), ElementsAre("c-new", "a-mid"));
  filter.limit = 1;
  EXPECT_THAT(Ids(store_, filter), ElementsAre("c-new"));
  filter = {};
  filter.id_begin = "a-";
  EXPECT_THAT(Ids(store_, filter), ElementsAre("a-mid"));
  filter.id_begin = "A-";
  EXPECT_THAT(Ids(store_, filter), IsEmpty());
  filter.id_begin = "' OR 1=1 --";
  EXPECT_THAT(Ids(store_, filter), IsEmpty());
}

TEST_F(Filters, OrderAndFiguresOfTheList) {
  RunFilter filter;
  filter.order = RunOrder::kRunId;
  EXPECT_THAT(Ids(store_, filter), ElementsAre("a-mid", "b-old", "c-new"));
  filter.order = RunOrder::kOutputRate;
  EXPECT_THAT(Ids(store_, filter), ElementsAre("a-mid", "b-old", "c-new")) << "figures of invalid cells do not count";
  filter.order = RunOrder::kAccuracy;
  EXPECT_THAT(Ids(store_, filter), ElementsAre("a-mid", "b-old", "c-new"));
  const auto runs = store_.List(filter).value();
  EXPECT_EQ(runs[0].min_level, 1);
  EXPECT_EQ(runs[0].max_level, 16);
  // The third figure of the cell Q4_0 x 16 with seed 2: 2 + 1.6 + 0.02 + 3.
  EXPECT_NEAR(runs[0].best_output_rate_tokens_per_s.value(), 6.62, 1e-12);
  EXPECT_EQ(runs[2].best_accuracy, std::nullopt);
  EXPECT_THAT(runs[0].tags, ElementsAre("paper", "x"));
  ASSERT_EQ(runs[0].systems.size(), 2u);
  EXPECT_EQ(runs[0].systems[0].model_id, "Qwen/Qwen3-30B_A3B");
}

// A user who may read a folder but not write it can list it, and leaves no trace.
TEST(RunStore, AFolderThatCannotBeWrittenIsRead) {
  const TempDir dir;
  { ASSERT_TRUE(OpenStore(dir.path()).Put(SampleRun("r", 1)).ok()); }
  fs::permissions(dir.path(), fs::perms(0555));
  fs::permissions(dir / "moecap.db", fs::perms(0444));
  const pid_t child = ::fork();
  if (child == 0) {
    if (::getuid() == 0 && (::setgid(65534) != 0 || ::setuid(65534) != 0)) ::_exit(90);
    auto store = RunStore::Open(dir.path(), Access::kRead);
    if (!store.ok()) ::_exit(1);
    const auto run = store->Find("r");
    if (!run.ok() || !(*run == SampleRun("r", 1))) ::_exit(2);
    const Status put = store->Put(SampleRun("s"));
    if (put.ok() || put.error().kind != ErrorKind::kBadInput) ::_exit(3);
    if (put.error().message.find("cannot be written") == std::string::npos) ::_exit(4);
    auto writing = RunStore::Open(dir.path(), Access::kReadWrite);
    if (writing.ok() && writing->Put(SampleRun("s")).ok()) ::_exit(5);
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0) << WEXITSTATUS(status);
  fs::permissions(dir.path(), fs::perms(0755));
  EXPECT_EQ(std::distance(fs::directory_iterator(dir.path()), fs::directory_iterator()), 1) << "only moecap.db";
}

TEST(RunStore, StatusNames) {
  for (const RunStatus status : {RunStatus::kRunning, RunStatus::kComplete, RunStatus::kInterrupted}) {
    EXPECT_EQ(ParseRunStatus(RunStatusName(status)).value(), status);
  }
  EXPECT_THAT(ParseRunStatus("done").error().message, HasSubstr("running, complete or interrupted"));
}

}  // namespace
}  // namespace moecap::store
