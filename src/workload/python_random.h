// Python's random.Random(seed).sample, so that few-shot examples are those that tools written in Python choose. Internal to the
// folder.
#pragma once

#include <cstdint>
#include <vector>

namespace moecap::workload {

// Mersenne Twister as CPython seeds it: init_by_array with the digits of the seed (Modules/_randommodule.c), not as
// std::mt19937 is seeded by a number.
class PythonRandom {
 public:
  explicit PythonRandom(uint32_t seed);

  // `count` different numbers in [0, population), in the order drawn: random.sample of CPython 3.11 and later
  // (Lib/random.py). Requires count <= population.
  std::vector<uint32_t> Sample(uint32_t population, uint32_t count);

 private:
  uint32_t Next();
  // Uniform in [0, bound): as many bits as the bound has, drawn again until it is below.
  uint32_t Below(uint32_t bound);

  std::vector<uint32_t> state_;
  size_t at_;
};

}  // namespace moecap::workload
