#include "hardware/probe/machine_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/fs.h"

namespace moecap::hardware {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

// A machine of three CPUs, of which this process may use 0 and 2.
class MachineWatchTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    root_ = fs::temp_directory_path() / ("moecap-watch-" + std::to_string(::getpid()) + "-" + info->name());
    fs::remove_all(root_);
    fs::create_directories(root_ / "proc/pressure");
    sources_.root = root_;
    sources_.allowed_cpus = {0, 2};
    sources_.own = [this] { return own_; };
  }
  void TearDown() override { fs::remove_all(root_); }

  void Put(const std::string& file, const std::string& text) {
    fs::create_directories((root_ / file).parent_path());
    ASSERT_TRUE(WriteFileAtomically(root_ / file, text).ok());
  }
  //                user nice system idle iowait irq softirq steal guest guest_nice, in hundredths of a second
  void PutStart() {
    Put("proc/stat",
        "cpu  600 0 0 9000 0 0 0 0 0 0\n"
        "cpu0 100 10 20 3000 5 1 2 3 50 0\n"
        "cpu1 400 0 0 3000 0 0 0 0 0 0\n"
        "cpu2 100 0 0 3000 0 0 0 0 0 0\n"
        "intr 12345\n");
    Put("proc/pressure/cpu", "some avg10=1.00 avg60=1.00 avg300=1.00 total=1000000\nfull avg10=0.00 total=0\n");
  }
  // Ten seconds later: cpu0 worked 6 s and lost 1 s to other guests, cpu2 worked 4 s; tasks had waited for 0.5 s.
  void PutTenSecondsLater() {
    Put("proc/stat",
        "cpu  600 0 0 9000 0 0 0 0 0 0\n"
        "cpu0 400 110 120 3300 5 51 52 103 50 0\n"
        "cpu1 1400 0 0 3000 0 0 0 0 0 0\n"
        "cpu2 500 0 0 3600 0 0 0 0 0 0\n");
    Put("proc/pressure/cpu", "some avg10=1.00 avg60=1.00 avg300=1.00 total=1500000\n");
    clock_.AdvanceNs(10'000'000'000);
  }

  fs::path root_;
  FakeClock clock_;
  OwnUse own_{5, 100};
  MachineSources sources_;
};

TEST_F(MachineWatchTest, WhatOthersDidIsWhatWasBusyAndNotOurs) {
  PutStart();
  const MachineWatch watch = MachineWatch::Begin(clock_, sources_);
  PutTenSecondsLater();
  own_ = {12, 140};
  const MachineUse use = watch.End();
  EXPECT_DOUBLE_EQ(use.wall_s, 10);
  EXPECT_EQ(use.allowed_cpus, 2);
  EXPECT_DOUBLE_EQ(use.cpu_s, 7);
  EXPECT_EQ(use.involuntary_switches, 40);
  EXPECT_DOUBLE_EQ(use.others_cpu_s.value(), 6 + 4 - 7)
      << "the CPU that we may not use does not count, idle and iowait neither";
  EXPECT_DOUBLE_EQ(use.steal_s.value(), 1);
  EXPECT_DOUBLE_EQ(use.pressure_s.value(), 0.5);
  EXPECT_EQ(use.throttled_s, std::nullopt) << "no control group tells";
  EXPECT_DOUBLE_EQ(use.OthersShare().value(), 0.15);
  EXPECT_DOUBLE_EQ(use.StealShare().value(), 0.05);
  EXPECT_DOUBLE_EQ(use.PressureShare().value(), 0.05);
  EXPECT_DOUBLE_EQ(use.SwitchesPerS().value(), 4);
  EXPECT_DOUBLE_EQ(use.FreeCpus().value(), 2 * 0.8);
}

TEST_F(MachineWatchTest, TicksThatLagBehindOurOwnTimeMakeNoNegativeOthers) {
  PutStart();
  const MachineWatch watch = MachineWatch::Begin(clock_, sources_);
  PutTenSecondsLater();
  own_.cpu_s += 10.02;
  EXPECT_EQ(watch.End().others_cpu_s, 0.0);
}

TEST_F(MachineWatchTest, WhatTheSystemDoesNotTellIsNull) {
  const MachineWatch watch = MachineWatch::Begin(clock_, sources_);
  clock_.AdvanceNs(1'000'000'000);
  own_.cpu_s += 1;
  const MachineUse use = watch.End();
  EXPECT_DOUBLE_EQ(use.cpu_s, 1);
  EXPECT_EQ(use.others_cpu_s, std::nullopt);
  EXPECT_EQ(use.steal_s, std::nullopt);
  EXPECT_EQ(use.pressure_s, std::nullopt);
  EXPECT_EQ(use.OthersShare(), std::nullopt);
  EXPECT_EQ(use.FreeCpus(), std::nullopt);
  EXPECT_EQ(BusyWords(use), std::nullopt);
}

TEST_F(MachineWatchTest, ACpuThatIsNotListedMakesOthersUnknown) {
  PutStart();
  sources_.allowed_cpus = {0, 2, 7};
  const MachineWatch watch = MachineWatch::Begin(clock_, sources_);
  PutTenSecondsLater();
  EXPECT_EQ(watch.End().others_cpu_s, std::nullopt);
}

TEST_F(MachineWatchTest, CountersThatWentBackAreUnknown) {
  PutTenSecondsLater();
  const MachineWatch watch = MachineWatch::Begin(clock_, sources_);
  PutStart();
  clock_.AdvanceNs(1'000'000'000);
  const MachineUse use = watch.End();
  EXPECT_EQ(use.others_cpu_s, std::nullopt);
  EXPECT_EQ(use.pressure_s, std::nullopt);
}

TEST_F(MachineWatchTest, AFileThatDoesNotCountOurOwnWorkTellsNothing) {
  PutStart();
  const MachineWatch watch = MachineWatch::Begin(clock_, sources_);
  clock_.AdvanceNs(10'000'000'000);
  own_.cpu_s += 8;
  const MachineUse use = watch.End();
  EXPECT_EQ(use.others_cpu_s, std::nullopt) << "a sandbox whose /proc/stat stands still";
  EXPECT_EQ(use.steal_s, std::nullopt);
}

TEST_F(MachineWatchTest, ThrottlingOfTheGroupOrItsParentsIsCounted) {
  Put("proc/self/cgroup", "0::/pod/box\n");
  Put("sys/fs/cgroup/pod/cpu.stat", "usage_usec 10\nthrottled_usec 2000000\n");
  Put("sys/fs/cgroup/pod/box/cpu.stat", "usage_usec 5\n");
  const MachineWatch watch = MachineWatch::Begin(clock_, sources_);
  clock_.AdvanceNs(10'000'000'000);
  Put("sys/fs/cgroup/pod/cpu.stat", "usage_usec 10\nthrottled_usec 2750000\n");
  EXPECT_DOUBLE_EQ(watch.End().throttled_s.value(), 0.75);
}

TEST_F(MachineWatchTest, ThisProcessIsReadWithoutFixtures) {
  sources_ = MachineSources();
  const SteadyClock clock;
  const MachineWatch watch = MachineWatch::Begin(clock, sources_);
  // Work until the process's own clock has moved, however slow the machine.
  while (watch.End().cpu_s < 0.02) {
  }
  const MachineUse use = watch.End();
  EXPECT_GE(use.allowed_cpus, 1);
  EXPECT_GE(use.wall_s, 0.02) << "one thread cannot use more CPU time than passes";
  EXPECT_GE(use.involuntary_switches.value(), 0);
}

TEST(MachineUse, ABusyMachineIsToldInOneSentence) {
  MachineUse use;
  use.wall_s = 0.5;
  use.allowed_cpus = 2;
  use.others_cpu_s = 0.04;
  use.steal_s = 0;
  EXPECT_EQ(BusyWords(use), std::nullopt);
  use.others_cpu_s = 0.5;
  EXPECT_THAT(BusyWords(use).value(), HasSubstr("other programs take 50 % of its CPU time"));
  use.others_cpu_s = 0;
  use.steal_s = 0.25;
  EXPECT_THAT(BusyWords(use).value(), HasSubstr("hypervisor take 25 %"));
}

TEST(MachineUse, NoMoreThreadsThanCpusAreFree) {
  MachineUse use;
  use.wall_s = 1;
  use.allowed_cpus = 4;
  EXPECT_EQ(ThreadsForFreeCpus(4, use), 4) << "not told";
  use.others_cpu_s = 0.2;
  EXPECT_EQ(ThreadsForFreeCpus(4, use), 4) << "a little of one CPU takes none away";
  use.others_cpu_s = 0.3;
  EXPECT_EQ(ThreadsForFreeCpus(4, use), 3);
  use.steal_s = 1;
  EXPECT_EQ(ThreadsForFreeCpus(4, use), 2);
  EXPECT_EQ(ThreadsForFreeCpus(1, use), 1) << "never more than asked for";
  use.others_cpu_s = 4;
  EXPECT_EQ(ThreadsForFreeCpus(4, use), 1);
}

TEST(MachineUse, JsonKeepsNullsApartFromZeros) {
  MachineUse use;
  use.wall_s = 2;
  use.allowed_cpus = 4;
  use.cpu_s = 3;
  use.others_cpu_s = 0;
  use.involuntary_switches = 7;
  const auto back = MachineUseFromJson(ToJson(use));
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(back->others_cpu_s, 0.0);
  EXPECT_EQ(back->steal_s, std::nullopt);
  EXPECT_EQ(back->involuntary_switches, 7);
  EXPECT_EQ(back->allowed_cpus, 4);
  EXPECT_THAT(MachineUseFromJson(Json::parse(R"({"cpu_s":1})")).error().message, HasSubstr("wall_s"));
}

}  // namespace
}  // namespace moecap::hardware
