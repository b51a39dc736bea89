#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/nearest_word.h"
#include "base/real_time_priority.h"
#include "base/rng.h"
#include "base/testing/temp_dir.h"
#include "base/wall_clock.h"

namespace moecap {
namespace {
namespace fs = std::filesystem;

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

// XXH3-64 of the empty text and of "abc", from xxHash's own command line tool.
TEST(Hash, IsXxh3AndChains) {
  EXPECT_EQ(HashOf(""), 0x2d06800538d394c2u);
  EXPECT_EQ(HashOf("abc"), 0x78af5f94892f3950u);
  EXPECT_NE(HashOf("b", HashOf("a")), HashOf("a", HashOf("b")));
}

// The published sequence of SplitMix64 from the seed 1234567.
TEST(Rng, IsSplitMix64) {
  Rng rng(1234567);
  EXPECT_EQ(rng.Next(), 6457827717110365317u);
  EXPECT_EQ(rng.Next(), 3203168211198807973u);
  EXPECT_EQ(rng.Next(), 9817491932198370423u);
}

TEST(NearestWord, HelpsWithTypos) {
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

TEST(Json, RefusesAbsurdDepth) {
  const auto nested = [](size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  const auto deepest = ParseJson(nested(kMostJsonDepth));
  ASSERT_TRUE(deepest.ok()) << deepest.error().message;
  EXPECT_EQ(DumpJson(*deepest), nested(kMostJsonDepth));
  for (const size_t depth : {size_t{kMostJsonDepth} + 1, size_t{1'000'000}}) {
    const auto refused = ParseJson(nested(depth));
    ASSERT_FALSE(refused.ok());
    EXPECT_THAT(refused.error().message, testing::HasSubstr("deeper than 512 levels"));
  }
  EXPECT_TRUE(ParseJson("[\"" + std::string(1000, '[') + "\\\"{\"]").ok()) << "brackets in strings are text";
  EXPECT_TRUE(ParseJson("[" + nested(300) + "," + nested(300) + "]").ok()) << "width is not depth";
}

TEST(Clock, SteadyClockDoesNotGoBack) {
  const SteadyClock clock;
  const int64_t first = clock.NowNs();
  EXPECT_GE(clock.NowNs(), first);
  EXPECT_THAT(WallTimeIso8601(), testing::MatchesRegex("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"));
}

// A rename would put a file in the place of the device, for every program of the machine.
TEST(SpecialFile, IsWrittenInto) {
  const TempDir dir;
  const fs::path pipe = dir / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_TRUE(IsSpecialFile(pipe));
  EXPECT_TRUE(IsSpecialFile("/dev/null"));
  EXPECT_FALSE(IsSpecialFile(dir.path()));
  EXPECT_FALSE(IsSpecialFile(dir / "nothing"));
  const int reader = ::open(pipe.c_str(), O_RDONLY | O_NONBLOCK);
  ASSERT_GE(reader, 0);
  ASSERT_TRUE(WriteFileAtomically(pipe, "whole ").ok());
  auto writer = AtomicFileWriter::Create(pipe, 6);
  ASSERT_TRUE(writer.ok()) << writer.error().message;
  ASSERT_TRUE(writer->Append("pieces").ok());
  ASSERT_TRUE(writer->Commit().ok());
  std::string seen(64, '\0');
  seen.resize(static_cast<size_t>(std::max<ssize_t>(0, ::read(reader, seen.data(), seen.size()))));
  ::close(reader);
  EXPECT_EQ(seen, "whole pieces");
  EXPECT_TRUE(fs::is_fifo(pipe));
  EXPECT_EQ(std::distance(fs::directory_iterator(dir.path()), fs::directory_iterator()), 1) << "and nothing beside it";
  // An open file by its number, as /dev/stdout is when it is redirected.
  const int open_file = ::open((dir / "file").c_str(), O_RDWR | O_CREAT, 0600);
  ASSERT_GE(open_file, 0);
  const fs::path by_number = "/proc/self/fd/" + std::to_string(open_file);
  EXPECT_TRUE(IsSpecialFile(by_number));
  ASSERT_TRUE(WriteFileAtomically(by_number, "text").ok());
  ::close(open_file);
  EXPECT_EQ(ReadFile(dir / "file").value(), "text");
}

TEST(AtomicFileWriter, AppearsWholeOrNotAtAll) {
  const std::filesystem::path path = std::filesystem::temp_directory_path() / ("moecap-pieces-" + std::to_string(::getpid()));
  {
    auto writer = AtomicFileWriter::Create(path, 2);
    ASSERT_TRUE(writer.ok());
    ASSERT_TRUE(writer->Append("a").ok());
    EXPECT_FALSE(std::filesystem::exists(path));
  }
  EXPECT_FALSE(std::filesystem::exists(path.string() + ".tmp" + std::to_string(::getpid()))) << "given up: the pieces are gone";
  auto writer = AtomicFileWriter::Create(path, 2);
  ASSERT_TRUE(writer.ok());
  ASSERT_TRUE(writer->Append("a").ok() && writer->Append("b").ok() && writer->Commit().ok());
  EXPECT_EQ(*ReadFile(path), "ab");
  std::filesystem::remove(path);
  EXPECT_FALSE(AtomicFileWriter::Create(path, uint64_t{1} << 62).ok()) << "no volume is that large";
}

TEST(MakeNumberedDir, TakesTheNextFreeName) {
  const TempDir parent;
  EXPECT_EQ(MakeNumberedDir(parent.path() / "runs", "a").value(), parent.path() / "runs/a");
  EXPECT_EQ(MakeNumberedDir(parent.path() / "runs", "a").value(), parent.path() / "runs/a-2");
  EXPECT_EQ(MakeNumberedDir(parent.path() / "runs", "a").value(), parent.path() / "runs/a-3");
  EXPECT_FALSE(MakeNumberedDir("/proc", "a").ok());
}

// Whether it is granted is the machine's affair.
TEST(RealTimePriority, IsGivenBackAtTheEnd) {
  const int before = ::sched_getscheduler(0);
  {
    const RealTimePriority priority;
    const bool is_real_time = (::sched_getscheduler(0) & ~SCHED_RESET_ON_FORK) == SCHED_RR;
    EXPECT_EQ(is_real_time, priority.granted());
  }
  EXPECT_EQ(::sched_getscheduler(0), before);
}

}  // namespace
}  // namespace moecap
