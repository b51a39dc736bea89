#include "base/progress.h"

#include <gtest/gtest.h>

#include <string>

namespace moecap {
namespace {

// What `updates` calls, 1 s of fake time apart, write to the stream.
std::string Written(bool is_terminal, int updates) {
  char* text = nullptr;
  size_t size = 0;
  std::FILE* stream = open_memstream(&text, &size);
  {
    FakeClock clock;
    Progress progress(clock, stream, is_terminal, "requests");
    for (int i = 0; i <= updates; ++i) {
      progress.Update(i, 20, "F16");
      clock.AdvanceNs(1'000'000'000);
    }
  }
  std::fclose(stream);
  std::string result(text, size);
  std::free(text);
  return result;
}

TEST(Progress, ShowsShareRateAndTimeLeft) {
  EXPECT_EQ(Progress::Line(54, 128, 2.0, "requests", "F16", false), " 42 %  54/128 requests  2.0/s  37.0 s left  F16");
  EXPECT_EQ(Progress::Line(0, 128, 0, "requests", "F16", true), "[--------------------]   0 %  0/128 requests  F16");
}

TEST(Progress, WritesPlainLinesNowAndThenWithoutATerminal) {
  const std::string text = Written(false, 10);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 3) << text;
  EXPECT_EQ(text.find('\r'), std::string::npos);
}

TEST(Progress, RateAndTimeLeftAreThoseOfTheActivity) {
  char* text = nullptr;
  size_t size = 0;
  std::FILE* stream = open_memstream(&text, &size);
  {
    FakeClock clock;
    Progress progress(clock, stream, false, "requests");
    progress.Update(0, 10, "A");
    clock.AdvanceNs(600'000'000'000);  // A took ten minutes
    progress.Update(0, 10, "B", "; measurement 2 of 3");
    clock.AdvanceNs(5'000'000'000);
    progress.Update(5, 10, "B", "; measurement 2 of 3");
  }
  std::fclose(stream);
  EXPECT_EQ(std::string(text, size),
            "  0 %  0/10 requests  A\n"
            "  0 %  0/10 requests  B; measurement 2 of 3\n"
            " 50 %  5/10 requests  1.0/s  5.00 s left  B; measurement 2 of 3\n");
  std::free(text);
}

TEST(Progress, RedrawsOneLineOnATerminalAndClearsIt) {
  const std::string text = Written(true, 10);
  EXPECT_EQ(text.find('\n'), std::string::npos);
  EXPECT_EQ(text.substr(text.size() - 4), "\r\033[K");
}

}  // namespace
}  // namespace moecap
