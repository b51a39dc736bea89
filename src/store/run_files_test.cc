// Run folders as files, and the record of an export.
#include "store/run_files.h"

#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "base/fs.h"
#include "store/store_test_files.h"

namespace moecap::store {
namespace {
namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

fs::path Write(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
  return path;
}

TEST(RunFiles, HashesAPrefix) {
  const TempDir dir;
  const fs::path file = Write(dir / "f", "abcdef");
  // XXH3-64 of the empty text and of "abc", from xxHash's own command line tool.
  EXPECT_EQ(HashFile(file, 0).value(), "2d06800538d394c2");
  EXPECT_EQ(HashFile(file, 3).value(), "78af5f94892f3950");
  const std::string large(3'000'000, 'z');
  EXPECT_EQ(HashFile(Write(dir / "g", large + "more"), large.size()).value(),
            HashFile(Write(dir / "h", large), large.size()).value());
  EXPECT_THAT(HashFile(file, 10).error().message, HasSubstr("4 bytes shorter than the 10"));
  EXPECT_THAT(HashFile(dir / "no", 1).error().message, HasSubstr("No such file"));
}

TEST(RunFiles, ListsAndCopiesAFolderWhole) {
  const TempDir dir;
  Write(dir / "run/manifest.json", "{}");
  Write(dir / "run/deep/er/x", std::string("a\0b", 3));
  Write(dir / "run/moecap-export.json", "not part of the run");
  Write(dir / "run/manifest.json.tmp4711", "not finished");
  const auto files = ListFiles(dir / "run").value();
  ASSERT_EQ(files.size(), 2u);
  EXPECT_EQ(files[0].name, "deep/er/x");
  EXPECT_EQ(files[1], (ExportedFile{"manifest.json", 2, HashFile(dir / "run/manifest.json", 2).value()}));
  ASSERT_TRUE(CopyFolder(dir / "run", files, {{"extra", "e"}}, dir / "copy").ok());
  EXPECT_EQ(ListFiles(dir / "copy")->size(), 3u);
  EXPECT_EQ(ReadFile(dir / "copy/deep/er/x").value(), std::string("a\0b", 3));
  EXPECT_THAT(CopyFolder(dir / "run", files, {}, dir / "copy").error().message, HasSubstr("exists already"));
  EXPECT_EQ(std::distance(fs::directory_iterator(dir.path()), fs::directory_iterator()), 2) << "nothing temporary is left";
}

TEST(RunFiles, WhatIsNeitherFileNorFolderIsRefused) {
  const TempDir dir;
  Write(dir / "run/manifest.json", "{}");
  fs::create_symlink("/etc/passwd", dir / "run/link");
  EXPECT_THAT(ListFiles(dir / "run").error().message, HasSubstr("link is neither"));
  EXPECT_FALSE(ListFiles(dir / "nothing").ok());
}

TEST(RunFiles, ACopyThatFailsLeavesNothing) {
  const TempDir dir;
  Write(dir / "run/a", "first");
  Write(dir / "run/b", std::string(100'000, 'x'));
  const auto files = ListFiles(dir / "run").value();
  const pid_t child = ::fork();
  if (child == 0) {  // a file cannot grow beyond 50 kB: the second copy fails
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{50'000, 50'000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    const Status copied = CopyFolder(dir / "run", files, {}, dir / "copy");
    ::_exit(!copied.ok() && copied.error().message.find("File too large") != std::string::npos ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(std::distance(fs::directory_iterator(dir.path()), fs::directory_iterator()), 1) << "only run/";
}

TEST(RunFiles, OnlyFoldersRightBelowAreNamed) {
  const TempDir dir;
  Write(dir / "results/run/manifest.json", "{}");
  Write(dir / "results/file", "x");
  fs::create_directory_symlink(dir / "results/run", dir / "results/link");
  EXPECT_EQ(FolderBelow(dir / "results", "run").value(), dir / "results/run");
  for (const char* path : {"", ".", "..", "../results", "run/.", "run/../run", "/etc", "file", "link", "no", "run/"}) {
    EXPECT_FALSE(FolderBelow(dir / "results", path).ok()) << path;
  }
  const fs::path hidden = HideFolder(dir / "results/run").value();
  EXPECT_EQ(hidden.filename().string().front(), '.');
  EXPECT_TRUE(fs::exists(hidden / "manifest.json"));
  EXPECT_FALSE(fs::exists(dir / "results/run"));
  fs::create_directory(dir / "results/.git");
  fs::create_directory(dir / "results/.tmp");
  fs::create_directory(dir / "results/.copy.tmp12");
  Write(dir / "results/.copy.tmp12/plan.jsonl.tmp12", "is named with its folder");
  Write(dir / "results/other/measurements/0/plan.jsonl.tmp4711", "{");
  for (const char* whole : {"a.tmp", "tmp5", "a.deleted7", ".tmp9", "a.tmp7.json"})
    Write(dir / "results/other" / whole, "whole");
  Write(dir / "results/a-run.tmp1/manifest.json", "a folder whose name its user chose");
  EXPECT_THAT(LeftOvers(dir / "results"),
              testing::UnorderedElementsAre(hidden, dir / "results/.copy.tmp12",
                                            dir / "results/other/measurements/0/plan.jsonl.tmp4711"));
  EXPECT_THAT(LeftOvers(dir / "no"), testing::IsEmpty());
}

ExportRecord Sample() {
  return {"20260131-120000-quickstart",
          RunStatus::kInterrupted,
          {"paper", "v1"},
          {{"deep/x", 3, "00000000deadbeef"}, {"manifest.json", 57414, "0123456789abcdef"}}};
}

TEST(ExportRecord, ComesBack) { EXPECT_EQ(ParseExportRecord(WriteExportRecord(Sample())).value(), Sample()); }

TEST(ExportRecord, WhatCannotBeIsNamed) {
  const std::string good = WriteExportRecord(Sample());
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    EXPECT_NE(text.find(from), std::string::npos) << from;
    return text.replace(text.find(from), from.size(), to);
  };
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"{", "not valid JSON"},
      {"[]", "not the record"},
      {"{}", "schema"},
      {with("\"schema\": 1", "\"schema\": 2"), "schema 2"},
      {with("20260131-120000-quickstart", "../x"), "\"../x\" cannot be the id"},
      {with("20260131-120000-quickstart", ".x"), "cannot be the id"},
      {with("interrupted", "done"), "done"},
      {with("\"v1\"", "\"v 1\""), "\"v 1\""},
      {with("\"v1\"", "7"), "string is expected"},
      {with("deep/x", "../x"), "\"../x\""},
      {with("deep/x", "/etc/passwd"), "/etc/passwd"},
      {with("deep/x", "a//b"), "a//b"},
      {with("deep/x", "moecap-export.json"), "moecap-export.json"},
      {with("deep/x", "manifest.json"), "twice"},
      {with("57414", "-1"), "bytes"},
      {with("57414", "1.5"), "bytes"},
      {with("00000000deadbeef", "00000000DEADBEEF"), "xxh3_64"},
      {with("00000000deadbeef", "beef"), "xxh3_64"},
  };
  for (const auto& [text, part] : cases) {
    const auto record = ParseExportRecord(text);
    ASSERT_FALSE(record.ok()) << text;
    EXPECT_EQ(record.error().kind, ErrorKind::kBadInput);
    EXPECT_THAT(record.error().message, HasSubstr(part));
  }
}

}  // namespace
}  // namespace moecap::store
