// Import, export, deletion, verification and the index made anew, on real folders.
#include "run/run_transfer.h"

#include <gmock/gmock.h>

#include <fstream>
#include <map>

#include "base/folder_lock.h"
#include "base/fs.h"
#include "run/run_test_folder.h"
#include "run/summarize.h"

namespace moecap::run {
namespace {
namespace fs = std::filesystem;
using store::Access;
using store::RunStatus;
using store::RunStore;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Result<DerivedFigures> Figures(const Results& results) {
  ASSIGN_OR_RETURN(cap::RunSummary summary, SummarizeStored(results));
  return DerivedFigures{std::move(summary), "{\"schema\":1}"};
}

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
  const fs::path here = dir_.WriteRun("here"), there = dir_.WriteRun("there", false, "elsewhere");
  ASSERT_TRUE(Import({here, there / ""}).ok());
  EXPECT_EQ(imported_[0].dir, here);
  EXPECT_EQ(imported_[1].dir, dir_ / "results/there");
  EXPECT_EQ(Content(dir_ / "results/there"), Content(there));
  {
    const RunStore store = Open();
    EXPECT_EQ(store.Find("here")->info.status, RunStatus::kComplete);
    EXPECT_EQ(store.Find("there")->info.status, RunStatus::kInterrupted);
    ASSERT_EQ(store.Find("here")->cohorts.size(), 1u);
    EXPECT_EQ(store.Find("here")->cohorts[0].tpot_mean_s, 0.25);
    EXPECT_THAT(VerifyRuns(store, dir_ / "results")->problems, IsEmpty());
  }
  const auto before = Content(dir_ / "results");
  ASSERT_TRUE(Import({here, there}).ok());
  EXPECT_TRUE(imported_[0].was_there && imported_[1].was_there);
  EXPECT_EQ(Content(dir_ / "results"), before) << "the second time changes nothing";
}

TEST_F(Transfer, WhatIsNoWholeRunIsRefusedAndNothingChanges) {
  const fs::path good = dir_.WriteRun("good", true, "elsewhere");
  fs::create_directory(dir_ / "empty");
  ExpectRefused({good, dir_ / "empty"}, "empty is not a stored run");
  ExpectRefused({good, dir_ / "nothing"}, "nothing is not a stored run");
  const fs::path newer = dir_.WriteRun("newer", true, "elsewhere");
  Edit(newer / "manifest.json", "\"schema\": 1", "\"schema\": 9");
  ExpectRefused({good, newer}, "newer/manifest.json: schema 9 is not known");
  const fs::path lost = dir_.WriteRun("lost", true, "elsewhere");
  fs::remove(lost / "passes.jsonl");
  ExpectRefused({good, lost}, "lost/passes.jsonl");
  const fs::path cut = dir_.WriteRun("cut", true, "elsewhere");
  fs::resize_file(cut / "requests.jsonl", 20);
  ExpectRefused({good, cut}, "cut/requests.jsonl");
  const fs::path broken = dir_.WriteRun("broken", true, "elsewhere");
  Edit(broken / "requests.jsonl", "\"id\"", "}id\"");
  ExpectRefused({good, broken}, "broken");
  const fs::path evil = dir_.WriteRun("evil", true, "elsewhere");
  Edit(evil / "manifest.json", "\"run_id\": \"evil\"", "\"run_id\": \"../evil\"");
  ExpectRefused({good, evil}, "\"../evil\" cannot be the id");
  const fs::path linked = dir_.WriteRun("linked", true, "elsewhere");
  fs::create_symlink("/etc/passwd", linked / "passwd");
  ExpectRefused({good, linked}, "neither a file nor a folder");
  const fs::path busy = dir_.WriteRun("busy", false, "elsewhere");
  const auto lock = FolderLock::Acquire(busy);
  ExpectRefused({good, busy}, "busy is being measured");
  EXPECT_FALSE(fs::exists(dir_ / "results"));
}

TEST_F(Transfer, AnIdThatIsTakenIsRefused) {
  dir_.WriteRun("r");
  const fs::path other = dir_.WriteRun("r", true, "elsewhere", "2026-02-01T12:00:00Z");
  ExpectRefused({other}, "another run of the same id");
  ASSERT_TRUE(Import({dir_ / "results/r"}).ok());
  fs::rename(dir_ / "results/r", dir_ / "results/renamed");
  ExpectRefused({dir_ / "results/renamed"}, "indexed already, in the folder r");
  fs::remove_all(dir_ / "results/renamed");
  ExpectRefused({other}, "the index holds another run of the same id");
}

TEST_F(Transfer, AnExportComesBackBitForBit) {
  const fs::path run = dir_.WriteRun("r");
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

TEST_F(Transfer, AnExportWhoseBytesChangedIsRefused) {
  ASSERT_TRUE(Import({dir_.WriteRun("r")}).ok());
  ASSERT_TRUE(ExportRun(Open(), dir_ / "results", "r", dir_ / "export").ok());
  fs::remove_all(dir_ / "results");
  const auto with = [&](const std::function<void(const fs::path&)>& change, const std::string& part) {
    fs::remove_all(dir_ / "changed");
    fs::copy(dir_ / "export", dir_ / "changed", fs::copy_options::recursive);
    change(dir_ / "changed");
    ExpectRefused({dir_ / "changed"}, part);
  };
  with([&](const fs::path& dir) { Edit(dir / "passes.jsonl", "0.25", "0.26"); },
       "passes.jsonl is not the file that was exported");
  with([](const fs::path& dir) { std::ofstream(dir / "more") << "x"; }, "more is not part of this export");
  with([&](const fs::path& dir) { Edit(dir / "moecap-export.json", "\"run_id\": \"r\"", "\"run_id\": \"s\""); }, "of run s");
  with([](const fs::path& dir) { std::ofstream(dir / "moecap-export.json") << "{}"; }, "moecap-export.json: not the record");
  with([](const fs::path& dir) { fs::remove(dir / "requests.jsonl"); }, "requests.jsonl is missing from this export");
}

TEST_F(Transfer, DeletionKeepsOrRemovesTheFolderAndNothingElse) {
  const fs::path kept = dir_.WriteRun("kept"), gone = dir_.WriteRun("gone"),
                 outside = dir_.WriteRun("outside", true, "elsewhere");
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
  const fs::path run = dir_.WriteRun("r", false);
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
  for (const std::string& id : ids) dirs.push_back(dir_.WriteRun(id));
  ASSERT_TRUE(Import(dirs).ok());
  dir_.WriteRun("new");
  fs::create_directory(dir_ / "results/.copy.tmp123");
  Edit(dirs[1] / "passes.jsonl", "0.25", "0.26");
  fs::resize_file(dirs[2] / "requests.jsonl", 10);
  fs::remove(dirs[3] / "passes.jsonl");
  std::ofstream(dirs[4] / "passes.jsonl", std::ios::app) << "{\"half\":";  // does not count
  const VerifyReport report = VerifyRuns(Open(), dir_ / "results").value();
  EXPECT_EQ(report.runs, 5);
  EXPECT_EQ(report.files, 15);
  EXPECT_THAT(report.problems, testing::UnorderedElementsAre(
                                   HasSubstr("changed: passes.jsonl has other content"),
                                   HasSubstr("cut: requests.jsonl has 10 bytes"), HasSubstr("lost: passes.jsonl: No such"),
                                   HasSubstr("new is not indexed"), HasSubstr(".copy.tmp123 was left by")));
}

TEST_F(Transfer, TheIndexIsMadeAnewFromTheFolders) {
  const fs::path a = dir_.WriteRun("a"), b = dir_.WriteRun("b", false), c = dir_.WriteRun("c");
  ASSERT_TRUE(Import({a, c}).ok());
  ASSERT_TRUE(Open().Tag("a", std::vector<std::string>{"paper"}).ok());
  ASSERT_TRUE(Open().Tag("c", std::vector<std::string>{"lost"}).ok());
  fs::remove_all(c);
  const fs::path broken = dir_.WriteRun("broken");
  fs::remove(broken / "requests.jsonl");
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
  const fs::path run = dir_.WriteRun("r", false), gone = dir_.WriteRun("gone"), done = dir_.WriteRun("done");
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
}  // namespace moecap::run
