#include "hardware/probe/process_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/fs.h"

namespace moecap::hardware {
namespace {

namespace fs = std::filesystem;

class ProcessStateTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    root_ = fs::temp_directory_path() / ("moecap-process-" + std::to_string(::getpid()) + "-" + info->name());
    fs::remove_all(root_);
  }
  void TearDown() override { fs::remove_all(root_); }

  void Put(const std::string& file, const std::string& text) {
    fs::create_directories((root_ / file).parent_path());
    ASSERT_TRUE(WriteFileAtomically(root_ / file, text).ok());
  }

  fs::path root_;
};

// A clock that takes 30 ns to read.
class SlowClock final : public Clock {
 public:
  int64_t NowNs() const override { return now_ns_ += 30; }

 private:
  mutable int64_t now_ns_ = 0;
};

TEST_F(ProcessStateTest, ReadsWhatTheKernelCountsTimeWith) {
  Put("sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet\n");
  Put("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n");
  const ClockState state = ReadClockState(SlowClock(), root_);
  EXPECT_EQ(state.source, "hpet");
  EXPECT_EQ(state.governor, "powersave");
  EXPECT_NEAR(state.read_s, 30e-9, 1e-12);
  EXPECT_EQ(ReadClockState(FakeClock(), root_ / "nothing").source, "");
}

TEST_F(ProcessStateTest, TheTightestLimitOfThreadsCounts) {
  Put("proc/sys/kernel/threads-max", "100000\n");
  Put("proc/self/cgroup", "0::/user/run\n");
  Put("sys/fs/cgroup/user/pids.max", "70\n");
  Put("sys/fs/cgroup/user/run/pids.max", "max\n");
  EXPECT_EQ(ReadProcessLimits(root_).threads, 70);
  Put("proc/self/cgroup", "4:pids:/batch\n");
  Put("sys/fs/cgroup/pids/batch/pids.max", "40\n");
  EXPECT_EQ(ReadProcessLimits(root_).threads, 40);
}

TEST_F(ProcessStateTest, OpenFilesAreWhatTheProcessMayRaiseItselfTo) {
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  const auto files = ReadProcessLimits(root_).open_files;
  if (limit.rlim_max == RLIM_INFINITY) {
    EXPECT_EQ(files, std::nullopt);
  } else {
    EXPECT_EQ(files, static_cast<double>(limit.rlim_max));
  }
}

}  // namespace
}  // namespace moecap::hardware
