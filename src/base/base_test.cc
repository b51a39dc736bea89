#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"

namespace moecap {
namespace {
namespace fs = std::filesystem;

class TempDir {
 public:
  TempDir() {
    std::string pattern = (fs::temp_directory_path() / "moecap-base-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~TempDir() { fs::remove_all(path_); }
  fs::path operator/(const std::string& name) const { return path_ / name; }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

TEST(Fs, WritesWholeFilesAndReadsThemBack) {
  TempDir dir;
  ASSERT_TRUE(WriteFileAtomically(dir / "a", "one\ntwo\n\nlast").ok());
  EXPECT_EQ(*ReadFile(dir / "a"), "one\ntwo\n\nlast");
  EXPECT_THAT(*ReadLines(dir / "a"), testing::ElementsAre("one", "two", "", "last"));
  ASSERT_TRUE(WriteFileAtomically(dir / "a", "new\n").ok());
  EXPECT_THAT(*ReadLines(dir / "a"), testing::ElementsAre("new"));
  EXPECT_EQ(std::distance(fs::directory_iterator(dir.path()), fs::directory_iterator()), 1) << "no temporary file stays";
}

TEST(Fs, ErrorsNameThePathAndTheReason) {
  TempDir dir;
  const auto missing = ReadFile(dir / "missing");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().kind, ErrorKind::kBadInput);
  EXPECT_THAT(missing.error().message, testing::AllOf(testing::HasSubstr("missing"), testing::HasSubstr("No such file")));
  EXPECT_THAT(ReadFile(dir.path()).error().message, testing::HasSubstr("Is a directory"));
  ASSERT_TRUE(WriteFileAtomically(dir / "file", "x").ok());
  EXPECT_FALSE(MakeWritableDir(dir / "file").ok());
  EXPECT_TRUE(MakeWritableDir(dir / "new/deep").ok());
  EXPECT_TRUE(fs::is_empty(dir / "new/deep"));
}

TEST(Fs, NearestWordHelpsWithTypos) {
  EXPECT_EQ(NearestWord("concurency", {"model", "concurrency", "repeats"}), "concurrency");
  EXPECT_EQ(NearestWord("zzzzzzzz", {"model", "concurrency"}), "");
}

TEST(Json, KeepsKeyOrderAndReportsThePlaceOfErrors) {
  const auto value = ParseJson(R"({"b":1,"a":[1.5,null]})");
  ASSERT_TRUE(value.ok());
  EXPECT_EQ(DumpJson(*value), R"({"b":1,"a":[1.5,null]})");
  const auto broken = ParseJson("{\"a\":\n oops}");
  ASSERT_FALSE(broken.ok());
  EXPECT_THAT(broken.error().message, testing::HasSubstr("line 2"));
}

TEST(Clock, SteadyClockDoesNotGoBack) {
  const SteadyClock clock;
  const int64_t first = clock.NowNs();
  EXPECT_GE(clock.NowNs(), first);
  EXPECT_THAT(WallTimeIso8601(), testing::MatchesRegex("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"));
}

}  // namespace
}  // namespace moecap
