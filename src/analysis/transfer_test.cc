// Import, export, deletion, verification and the index made anew, on real folders.
#include "analysis/transfer.h"

#include <gmock/gmock.h>

#include <fstream>
#include <map>

#include "analysis/testing/run_test_folder.h"
#include "base/folder_lock.h"
#include "base/fs.h"
#include "experiment/summarize.h"

namespace moecap::analysis {
namespace {
namespace fs = std::filesystem;
using experiment::Results;
using store::Access;
using store::RunStatus;
using store::RunStore;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Result<DerivedFigures> Figures(const Results& results) {
  ASSIGN_OR_RETURN(cap::ExperimentSummary summary, experiment::Summarize(results));
  return DerivedFigures{std::move(summary), "{\"schema\":1}"};
}

const fs::path kPlan = "measurements/A-clients-4-0/plan.jsonl", kEvents = "measurements/A-clients-4-0/events.0.bin";

// Every file below a folder with its bytes.
std::map<std::string, std::string> Content(const fs::path& dir) {
  std::map<std::string, std::string> content;
  for (const auto& entry : fs::recursive_directory_iterator(dir)) {
    if (entry.is_regular_file()) content[entry.path().lexically_relative(dir).string()] = ReadFile(entry.path()).value();
  }
  return content;
}

class Transfer : public testing::Test {
 protected:
  fs::path WriteRun(const std::string& run_id, bool complete = true, const std::string& below = "results",
                    const std::string& started_at = "2026-01-31T12:00:00Z") {
    TestRun run;
    run.run_id = run_id;
    run.complete = complete;
    run.below = below;
    run.started_at = started_at;
    return dir_.Write(run);
  }
  Status Import(const std::vector<fs::path>& dirs, const std::string& into = "results") {
    auto imported = ImportRuns(dirs, dir_ / into, Figures);
    if (!imported.ok()) return imported.error();
    imported_ = *imported;
    return {};
  }
  RunStore Open(const std::string& results = "results") { return RunStore::Open(dir_ / results, Access::kReadWrite).value(); }
  // The whole folder as it is, for "nothing was changed".
  void ExpectRefused(const std::vector<fs::path>& dirs, const std::string& part) {
    const auto before = Content(dir_ / "");
    const Status imported = Import(dirs);
    ASSERT_FALSE(imported.ok()) << part;
    EXPECT_EQ(imported.error().kind, ErrorKind::kBadInput);
    EXPECT_THAT(imported.error().message, HasSubstr(part));
    EXPECT_EQ(Content(dir_ / ""), before);
  }
  void Edit(const fs::path& file, const std::string& from, const std::string& to) {
    std::string text = ReadFile(file).value();
    ASSERT_NE(text.find(from), std::string::npos);
    std::ofstream(file, std::ios::binary) << text.replace(text.find(from), from.size(), to);
  }

  RunTestFolder dir_;
  std::vector<ImportedRun> imported_;
};

TEST_F(Transfer, ImportsInPlaceAndFromElsewhereAndTwice) {
  const fs::path here = WriteRun("here"), there = WriteRun("there", false, "elsewhere");
  ASSERT_TRUE(Import({here, there / ""}).ok());
  EXPECT_EQ(imported_[0].dir, here);
  EXPECT_EQ(imported_[1].dir, dir_ / "results/there");
  EXPECT_EQ(Content(dir_ / "results/there"), Content(there));
  {
    const RunStore store = Open();
    EXPECT_EQ(store.Find("here")->info.status, RunStatus::kComplete);
    EXPECT_EQ(store.Find("there")->info.status, RunStatus::kInterrupted);
    ASSERT_EQ(store.Find("here")->cells.size(), 1u);
    EXPECT_EQ(store.Find("here")->cells[0].label, "4 clients");
    EXPECT_THAT(VerifyRuns(store, dir_ / "results")->problems, IsEmpty());
  }
  const auto before = Content(dir_ / "results");
  ASSERT_TRUE(Import({here, there}).ok());
  EXPECT_TRUE(imported_[0].was_there && imported_[1].was_there);
  EXPECT_EQ(Content(dir_ / "results"), before) << "the second time changes nothing";
}

TEST_F(Transfer, WhatIsNoWholeRunIsRefusedAndNothingChanges) {
  const fs::path good = WriteRun("good", true, "elsewhere");
  fs::create_directory(dir_ / "empty");
  ExpectRefused({good, dir_ / "empty"}, "empty is not a stored run");
  ExpectRefused({good, dir_ / "nothing"}, "nothing is not a stored run");
  const fs::path newer = WriteRun("newer", true, "elsewhere");
  Edit(newer / "manifest.json", "\"schema\": 2", "\"schema\": 9");
  ExpectRefused({good, newer}, "newer/manifest.json: schema 9 is not known");
  const fs::path lost = WriteRun("lost", true, "elsewhere");
  fs::remove(lost / kPlan);
  ExpectRefused({good, lost}, "A-clients-4-0/plan.jsonl");
  const fs::path cut = WriteRun("cut", true, "elsewhere");
  fs::resize_file(cut / kEvents, 4);
  ExpectRefused({good, cut}, "A-clients-4-0/events.0.bin");
  const fs::path broken = WriteRun("broken", true, "elsewhere");
  Edit(broken / kPlan, "\"id\"", "}id\"");
  ExpectRefused({good, broken}, "broken");
  const fs::path evil = WriteRun("evil", true, "elsewhere");
  Edit(evil / "manifest.json", "\"run_id\": \"evil\"", "\"run_id\": \"../evil\"");
  ExpectRefused({good, evil}, "\"../evil\" cannot be the id");
  const fs::path linked = WriteRun("linked", true, "elsewhere");
  fs::create_symlink("/etc/passwd", linked / "passwd");
  ExpectRefused({good, linked}, "neither a file nor a folder");
  const fs::path busy = WriteRun("busy", false, "elsewhere");
  const auto lock = FolderLock::Acquire(busy);
  ExpectRefused({good, busy}, "busy is being measured");
  EXPECT_FALSE(fs::exists(dir_ / "results"));
}

TEST_F(Transfer, AnIdThatIsTakenIsRefused) {
  WriteRun("r");
  const fs::path other = WriteRun("r", true, "elsewhere", "2026-02-01T12:00:00Z");
  ExpectRefused({other}, "another run of the same id");
  ASSERT_TRUE(Import({dir_ / "results/r"}).ok());
  fs::rename(dir_ / "results/r", dir_ / "results/renamed");
  ExpectRefused({dir_ / "results/renamed"}, "indexed already, in the folder r");
  fs::remove_all(dir_ / "results/renamed");
  ExpectRefused({other}, "the index holds another run of the same id");
}

TEST_F(Transfer, AnExportComesBackBitForBit) {
  const fs::path run = WriteRun("r");
  fs::create_directories(run / "deep");
  std::ofstream(run / "deep/notes") << std::string("a\0b", 3);
  ASSERT_TRUE(Import({run}).ok());
  {
    RunStore store = Open();
    ASSERT_TRUE(store.Tag("r", std::vector<std::string>{"paper", "v1"}).ok());
    ASSERT_TRUE(ExportRun(store, dir_ / "results", "r", dir_ / "export").ok());
    EXPECT_THAT(ExportRun(store, dir_ / "results", "r", dir_ / "export").error().message, HasSubstr("exists already"));
    EXPECT_FALSE(ExportRun(store, dir_ / "results", "none", dir_ / "export2").ok());
  }
  ASSERT_TRUE(Import({dir_ / "export"}, "second").ok());
  EXPECT_EQ(Content(dir_ / "second/r"), Content(run));
  const RunStore first = Open(), second = Open("second");
  EXPECT_EQ(second.Find("r").value(), first.Find("r").value());
  EXPECT_THAT(second.Find("r")->tags, ElementsAre("paper", "v1"));
  ASSERT_TRUE(ExportRun(second, dir_ / "second", "r", dir_ / "again").ok());
  EXPECT_EQ(Content(dir_ / "again"), Content(dir_ / "export"));
}

TEST_F(Transfer, ACompactExportHoldsFiguresAndSaysSo) {
  ASSERT_TRUE(Import({WriteRun("r"), WriteRun("half", false)}).ok());
  ASSERT_TRUE(ExportRun(Open(), dir_ / "results", "r", dir_ / "small", ExportForm::kCompact).ok());
  std::vector<std::string> names;
  for (const auto& [name, bytes] : Content(dir_ / "small")) names.push_back(name);
  EXPECT_THAT(names, ElementsAre("manifest.json", "moecap-export.json", "summary.json"));
  EXPECT_EQ(Content(dir_ / "small")["summary.json"], "{\"schema\":1}\n");
  const Results results = Results::Open(dir_ / "small").value();
  EXPECT_TRUE(results.manifest().figures_only);
  EXPECT_THAT(results.ReadFacts(results.manifest().measurements.at(0)).error().message, HasSubstr("figures of its run only"));
  // An index takes it, with the figures that whoever reads its summary makes of it.
  const auto from_summary = [](const Results& run) {
    return Result<DerivedFigures>(DerivedFigures{{}, "{\"from\":\"" + run.manifest().run_id + "\"}"});
  };
  ASSERT_TRUE(ImportRuns({dir_ / "small"}, dir_ / "second", from_summary).ok());
  EXPECT_TRUE(VerifyRuns(Open("second"), dir_ / "second")->problems.empty());
  EXPECT_THAT(ExportRun(Open(), dir_ / "results", "half", dir_ / "h", ExportForm::kCompact).error().message,
              HasSubstr("not complete"));
}

TEST_F(Transfer, AnExportWhoseBytesChangedIsRefused) {
  ASSERT_TRUE(Import({WriteRun("r")}).ok());
  ASSERT_TRUE(ExportRun(Open(), dir_ / "results", "r", dir_ / "export").ok());
  fs::remove_all(dir_ / "results");
  const auto with = [&](const std::function<void(const fs::path&)>& change, const std::string& part) {
    fs::remove_all(dir_ / "changed");
    fs::copy(dir_ / "export", dir_ / "changed", fs::copy_options::recursive);
    change(dir_ / "changed");
    ExpectRefused({dir_ / "changed"}, part);
  };
  with([&](const fs::path& dir) { Edit(dir / kPlan, "10", "11"); }, "plan.jsonl is not the file that was exported");
  with([](const fs::path& dir) { std::ofstream(dir / "more") << "x"; }, "more is not part of this export");
  with([&](const fs::path& dir) { Edit(dir / "moecap-export.json", "\"run_id\": \"r\"", "\"run_id\": \"s\""); }, "of run s");
  with([](const fs::path& dir) { std::ofstream(dir / "moecap-export.json") << "{}"; }, "moecap-export.json: not the record");
  with([](const fs::path& dir) { fs::remove(dir / kEvents); }, "events.0.bin is missing from this export");
}

TEST_F(Transfer, DeletionKeepsOrRemovesTheFolderAndNothingElse) {
  const fs::path kept = WriteRun("kept"), gone = WriteRun("gone"), outside = WriteRun("outside", true, "elsewhere");
  ASSERT_TRUE(Import({kept, gone}).ok());
  RunStore store = Open();
  ASSERT_TRUE(DeleteRun(store, dir_ / "results", "kept", false).ok());
  EXPECT_TRUE(fs::exists(kept / "manifest.json"));
  ASSERT_TRUE(DeleteRun(store, dir_ / "results", "gone", true).ok());
  EXPECT_FALSE(fs::exists(gone));
  EXPECT_THAT(store.List({}).value(), IsEmpty());
  EXPECT_FALSE(DeleteRun(store, dir_ / "results", "kept", false).ok()) << "no such row";

  // A row that points out of the results folder, as a foreign database may hold.
  for (const char* path : {"../elsewhere/outside", "..", "."}) {
    store::StoredRun row = ToStoredRun(Results::Open(outside).value(), RunStatus::kComplete, std::nullopt).value();
    row.info.path = path;
    ASSERT_TRUE(store.Put(row).ok());
    EXPECT_FALSE(DeleteRun(store, dir_ / "results", "outside", true).ok()) << path;
    EXPECT_TRUE(store.Find("outside").ok()) << "the row stays";
  }
  // One that points to the folder of another run.
  store::StoredRun row = store.Find("outside").value();
  row.info.path = "kept";
  ASSERT_TRUE(store.Put(row).ok());
  EXPECT_THAT(DeleteRun(store, dir_ / "results", "outside", true).error().message, HasSubstr("holds run kept"));
  EXPECT_TRUE(fs::exists(outside / "manifest.json") && fs::exists(kept / "manifest.json"));
}

TEST_F(Transfer, ARunThatIsBeingMeasuredIsNotDeletedNorRebuilt) {
  const fs::path run = WriteRun("r", false);
  ASSERT_TRUE(Import({run}).ok());
  const auto lock = FolderLock::Acquire(run);
  RunStore store = Open();
  EXPECT_THAT(DeleteRun(store, dir_ / "results", "r", true).error().message, HasSubstr("still being measured"));
  EXPECT_THAT(RebuildIndex(dir_ / "results", Figures).error().message, HasSubstr("still being measured"));
  EXPECT_THAT(ExportRun(store, dir_ / "results", "r", dir_ / "x").error().message, HasSubstr("still being measured"));
  EXPECT_TRUE(fs::exists(run / "manifest.json"));
}

TEST_F(Transfer, VerifyFindsWhatChanged) {
  const std::vector<std::string> ids = {"fine", "changed", "cut", "lost", "longer"};
  std::vector<fs::path> dirs;
  for (const std::string& id : ids) dirs.push_back(WriteRun(id));
  ASSERT_TRUE(Import(dirs).ok());
  WriteRun("new");
  fs::create_directory(dir_ / "results/.copy.tmp123");
  std::ofstream(dirs[0] / "manifest.json.tmp456") << "{";
  Edit(dirs[1] / kPlan, "10", "11");
  fs::resize_file(dirs[2] / kEvents, 10);
  fs::remove(dirs[3] / kPlan);
  std::ofstream(dirs[4] / kPlan, std::ios::app) << "{\"half\":";
  const VerifyReport report = VerifyRuns(Open(), dir_ / "results").value();
  EXPECT_EQ(report.runs, 5);
  EXPECT_EQ(report.files, 15);
  EXPECT_THAT(report.problems,
              testing::UnorderedElementsAre(HasSubstr("plan.jsonl has other content"), HasSubstr("events.0.bin has 10 bytes"),
                                            AllOf(HasSubstr("lost: "), HasSubstr("plan.jsonl: No such")), HasSubstr("longer: "),
                                            HasSubstr("new is not indexed"), HasSubstr(".copy.tmp123 was left by"),
                                            HasSubstr("fine/manifest.json.tmp456 was left by")));
}

// Every layout is a row: load tests, too. What a killed 0.1 process left behind the last whole measurement does not count.
TEST_F(Transfer, FoldersOfEveryKindAreIndexed) {
  const fs::path run = dir_.WriteRun01("old-run"), load = dir_.WriteLoad01("old-load");
  TestRun open;
  open.run_id = "open-loop";
  open.load = "load: {rates_per_s: [2]}";
  ASSERT_TRUE(Import({run, load, dir_.Write(open)}).ok());
  std::ofstream(run / "passes.jsonl", std::ios::app) << "{\"half\":";
  const RunStore store = Open();
  EXPECT_THAT(VerifyRuns(store, dir_ / "results")->problems, IsEmpty());
  EXPECT_EQ(store.Find("old-run")->cells.at(0).label, "4 clients");
  EXPECT_EQ(store.Find("old-load")->cells.at(0).level_kind, "rates_per_s");
  EXPECT_EQ(store.Find("open-loop")->cells.at(0).level_kind, "rates_per_s");
  EXPECT_EQ(store.Find("old-load")->info.workload, "5 tokens in, 10 out");
  EXPECT_EQ(store.Find("old-load")->files.at(0).name, "load.json");
  EXPECT_EQ(RebuildIndex(dir_ / "results", Figures)->runs, 3);
  ASSERT_TRUE(ExportRun(store, dir_ / "results", "old-load", dir_ / "export").ok());
  ASSERT_TRUE(Import({dir_ / "export"}, "second").ok());
  EXPECT_EQ(Content(dir_ / "second/old-load"), Content(load));
}

TEST_F(Transfer, TheIndexIsMadeAnewFromTheFolders) {
  const fs::path a = WriteRun("a"), b = WriteRun("b", false), c = WriteRun("c");
  ASSERT_TRUE(Import({a, c}).ok());
  ASSERT_TRUE(Open().Tag("a", std::vector<std::string>{"paper"}).ok());
  ASSERT_TRUE(Open().Tag("c", std::vector<std::string>{"lost"}).ok());
  fs::remove_all(c);
  const fs::path broken = WriteRun("broken");
  fs::remove(broken / kEvents);
  const RebuiltIndex rebuilt = RebuildIndex(dir_ / "results", Figures).value();
  EXPECT_EQ(rebuilt.runs, 2);
  EXPECT_EQ(rebuilt.old_database, dir_ / "results/moecap.db.old1");
  EXPECT_THAT(rebuilt.notes, testing::UnorderedElementsAre(HasSubstr("broken"), HasSubstr("run c has no folder")));
  EXPECT_THAT(Open().Find("a")->tags, ElementsAre("paper"));
  EXPECT_EQ(Open().Find("b")->info.status, RunStatus::kInterrupted);
  EXPECT_TRUE(fs::exists(dir_ / "results/moecap.db.old1"));
  for (const auto& entry : fs::directory_iterator(dir_ / "results")) EXPECT_NE(entry.path().filename().string().front(), '.');

  std::ofstream(dir_ / "results/moecap.db", std::ios::binary) << "not a database";
  const RebuiltIndex again = RebuildIndex(dir_ / "results", Figures).value();
  EXPECT_EQ(again.runs, 2);
  EXPECT_EQ(again.old_database, dir_ / "results/moecap.db.old2");
  EXPECT_EQ(ReadFile(dir_ / "results/moecap.db.old2").value(), "not a database");
  EXPECT_THAT(again.notes, testing::Contains(HasSubstr("tags of the old database could not be read")));
  EXPECT_THAT(Open().Find("a")->tags, IsEmpty());
}

TEST_F(Transfer, ARowWhoseProcessDiedIsSettled) {
  const fs::path run = WriteRun("r", false), gone = WriteRun("gone"), done = WriteRun("done");
  ASSERT_TRUE(Import({run, gone, done}).ok());
  RunStore store = Open();
  for (const char* id : {"r", "gone", "done"}) ASSERT_TRUE(store.SetStatus(id, RunStatus::kRunning).ok());
  fs::remove_all(gone);
  {
    const auto lock = FolderLock::Acquire(run);
    ASSERT_TRUE(SettleRunning(store, dir_ / "results").ok());
    EXPECT_EQ(store.Find("r")->info.status, RunStatus::kRunning);
  }
  ASSERT_TRUE(SettleRunning(store, dir_ / "results").ok());
  EXPECT_EQ(store.Find("r")->info.status, RunStatus::kInterrupted);
  EXPECT_EQ(store.Find("gone")->info.status, RunStatus::kInterrupted);
  EXPECT_EQ(store.Find("done")->info.status, RunStatus::kComplete);
}

}  // namespace
}  // namespace moecap::analysis
