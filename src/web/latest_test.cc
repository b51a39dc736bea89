#include "web/latest.h"

#include <gtest/gtest.h>

#include <future>
#include <thread>

namespace moecap::web {
namespace {

constexpr int64_t kSlowNs = 10'000'000'000;

TEST(Latest, IsDatedWhenTheLookHasEnded) {
  FakeClock clock;
  Latest<int> latest(clock);
  int looks = 0;
  const auto look = [&] {
    clock.AdvanceNs(kSlowNs);
    return ++looks;
  };
  EXPECT_EQ(*latest.Get(look), 1);
  EXPECT_EQ(*latest.Get(look), 1) << "it took longer than it is good for, but has just ended";
  clock.AdvanceNs(Latest<int>::kForNs - 1);
  EXPECT_EQ(*latest.Get(look), 1);
  clock.AdvanceNs(1);
  EXPECT_EQ(*latest.Get(look), 2);
}

TEST(Latest, TwoWhoAskShareOneSlowLook) {
  FakeClock clock;
  Latest<int> latest(clock);
  int looks = 0;
  std::promise<void> looking, asked;
  std::shared_ptr<const int> first, second;
  std::thread one([&] {
    first = latest.Get([&] {
      looking.set_value();
      asked.get_future().wait();
      clock.AdvanceNs(kSlowNs);
      return ++looks;
    });
  });
  looking.get_future().wait();
  std::thread other([&] {
    asked.set_value();
    second = latest.Get([&] { return ++looks; });
  });
  one.join();
  other.join();
  EXPECT_EQ(looks, 1);
  EXPECT_EQ(first, second);
}

}  // namespace
}  // namespace moecap::web
