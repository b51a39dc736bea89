// What the measurements share: memory, threads that work in step, and rates from their times. Internal to hardware/probe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "hardware/host.h"

namespace moecap::hardware {

// Anonymous memory in huge pages where the kernel grants them; zero until touched. data() is null when it cannot be had.
class Buffer {
 public:
  explicit Buffer(size_t words);
  ~Buffer();
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  uint64_t* data() const { return data_; }
  size_t words() const { return words_; }
  size_t Bytes() const { return words_ * sizeof(uint64_t); }

 private:
  size_t words_;
  uint64_t* data_ = nullptr;
};

// Threads that repeat a piece of work together, each pinned to a CPU; each repetition is timed from the first start to the last
// finish. Every thread stamps itself: a thread that the kernel wakes late would else start the clock after the others have
// begun, and the rate would be too high.
class Team {
 public:
  Team(int threads, const HostInfo& host, const Clock& clock) : threads_(threads), host_(host), clock_(clock) {}

  // Seconds of each repetition: at least `min_repetitions`, then until `budget_s` is spent or there are `most_repetitions`.
  std::vector<double> Time(double budget_s, int min_repetitions, const std::function<void(int)>& work,
                           int most_repetitions = 200) const;

  int threads() const { return threads_; }

 private:
  int threads_;
  const HostInfo& host_;
  const Clock& clock_;
};

// `amount` per repetition over the times of the repetitions. Error: kFailed when the clock stood still.
Result<Ceiling> ToCeiling(std::vector<double> times_s, double amount, std::string_view kernel);

// What a measurement whose answer is wrong returns.
Error WrongAnswer(std::string_view kernel);

// The sum of the words first, first + 1, ... first + count - 1 modulo 2^64.
uint64_t SumOfRange(uint64_t first, uint64_t count);

// Words a thread owns of `words`: whole blocks of the kernels, the same for all, so that no thread waits for another one's
// longer part.
size_t WordsPerThread(size_t words, int threads);

}  // namespace moecap::hardware
