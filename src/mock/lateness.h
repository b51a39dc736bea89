// How late tokens were written.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace moecap::mock {

// How far after their time streamed tokens were written; of several in one write the last counts.
struct Lateness {
  int64_t tokens = 0;
  double p50_us = 0, p99_us = 0, max_us = 0;
};

// Counts of lateness, in steps of 1/16 octave from 64 ns.
class LatenessHistogram {
 public:
  void Add(int64_t late_ns);
  void AddTo(LatenessHistogram& sum) const;
  Lateness Summarize() const;

 private:
  static constexpr size_t kSteps = 16 * 34;
  std::array<int64_t, kSteps> counts_{};
  int64_t total_ = 0;
  int64_t max_ns_ = 0;
};

}  // namespace moecap::mock
