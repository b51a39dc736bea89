// A progress line on stderr: a bar with rate and time left on a terminal, one plain line now and then otherwise.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>

#include "base/clock.h"

namespace moecap {

class Progress {
 public:
  // `unit` is what is counted, e.g. "requests". `clock` must outlive it; `stream` stays open.
  Progress(const Clock& clock, std::FILE* stream, bool is_terminal, std::string unit);
  // Ends the bar's line.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // Redraws at most ten times a second on a terminal and once in five seconds otherwise. Rate and time left are those of
  // `activity`: a new one begins anew. `rest` stands at the end of the line.
  void Update(int64_t done, int64_t total, const std::string& activity, const std::string& rest = "");

  // The text of one update; without rate and time left when rate_per_s is 0: "[####----]  42 %
  // 54/128 requests  31.2/s  2.00 s left  F16". Pure; for tests.
  static std::string Line(int64_t done, int64_t total, double rate_per_s, const std::string& unit, const std::string& activity,
                          bool bar);

 private:
  const Clock& clock_;
  std::FILE* stream_;
  bool is_terminal_;
  std::string unit_;
  std::string activity_;
  int64_t started_ns_ = 0;  // of the activity
  int64_t first_done_ = 0;  // when it began; not part of the rate
  int64_t last_ns_ = 0;
  bool drawn_ = false;
};

}  // namespace moecap
