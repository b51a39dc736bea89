#include "workload/python_random.h"

#include <bit>
#include <cmath>
#include <numeric>
#include <set>

#include "base/check.h"

namespace moecap::workload {
namespace {

// Matsumoto and Nishimura 1998: degree of recurrence and the middle word.
constexpr size_t kStateWords = 624, kMiddle = 397;

}  // namespace

PythonRandom::PythonRandom(uint32_t seed) : state_(kStateWords), at_(kStateWords) {
  state_[0] = 19650218;
  for (size_t i = 1; i < kStateWords; ++i)
    state_[i] = 1812433253u * (state_[i - 1] ^ (state_[i - 1] >> 30)) + static_cast<uint32_t>(i);
  // init_by_array with a key of one word.
  size_t i = 1;
  const auto advance = [&] {
    if (++i < kStateWords) return;
    state_[0] = state_[kStateWords - 1];
    i = 1;
  };
  for (size_t k = 0; k < kStateWords; ++k) {
    state_[i] = (state_[i] ^ ((state_[i - 1] ^ (state_[i - 1] >> 30)) * 1664525u)) + seed;
    advance();
  }
  for (size_t k = 0; k < kStateWords - 1; ++k) {
    state_[i] = (state_[i] ^ ((state_[i - 1] ^ (state_[i - 1] >> 30)) * 1566083941u)) - static_cast<uint32_t>(i);
    advance();
  }
  state_[0] = 0x80000000u;
}

uint32_t PythonRandom::Next() {
  if (at_ == kStateWords) {
    for (size_t i = 0; i < kStateWords; ++i) {
      const uint32_t y = (state_[i] & 0x80000000u) | (state_[(i + 1) % kStateWords] & 0x7fffffffu);
      state_[i] = state_[(i + kMiddle) % kStateWords] ^ (y >> 1) ^ ((y & 1) != 0 ? 0x9908b0dfu : 0u);
    }
    at_ = 0;
  }
  uint32_t y = state_[at_++];
  y ^= y >> 11;
  y ^= (y << 7) & 0x9d2c5680u;
  y ^= (y << 15) & 0xefc60000u;
  return y ^ (y >> 18);
}

uint32_t PythonRandom::Below(uint32_t bound) {
  const int bits = std::bit_width(bound);
  for (;;) {
    const uint32_t value = Next() >> (32 - bits);
    if (value < bound) return value;
  }
}

std::vector<uint32_t> PythonRandom::Sample(uint32_t population, uint32_t count) {
  CHECK(count <= population);
  // A list that shrinks where it is smaller than the set of what was chosen, with CPython's estimate of both.
  double set_size = 21;
  if (count > 5) set_size += std::pow(4, std::ceil(std::log(count * 3.0) / std::log(4.0)));
  std::vector<uint32_t> sample;
  if (population <= set_size) {
    std::vector<uint32_t> pool(population);
    std::iota(pool.begin(), pool.end(), 0u);
    for (uint32_t i = 0; i < count; ++i) {
      const uint32_t j = Below(population - i);
      sample.push_back(pool[j]);
      pool[j] = pool[population - i - 1];
    }
    return sample;
  }
  std::set<uint32_t> chosen;
  while (sample.size() < count) {
    const uint32_t j = Below(population);
    if (chosen.insert(j).second) sample.push_back(j);
  }
  return sample;
}

}  // namespace moecap::workload
