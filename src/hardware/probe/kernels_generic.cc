#include <array>
#include <cstring>

#include "hardware/probe/kernels.h"

namespace moecap::hardware::kernels {
namespace {

using Words = uint64_t __attribute__((vector_size(16)));
using Floats = float __attribute__((vector_size(16)));

constexpr int kAccumulators = 8;
// fp32 counts exactly up to 2^24; the accumulators are reset before.
constexpr int64_t kExactIterations = int64_t{1} << 20;

uint64_t ReadGeneric(const uint64_t* data, size_t words) {
  std::array<Words, kAccumulators> sums{};
  for (size_t i = 0; i < words; i += 2 * kAccumulators) {
#pragma GCC unroll 8
    for (size_t k = 0; k < kAccumulators; ++k) {
      Words value;
      std::memcpy(&value, data + i + 2 * k, sizeof(value));
      sums[k] += value;
    }
  }
  uint64_t total = 0;
  for (const Words& sum : sums) total += sum[0] + sum[1];
  return total;
}

void CopyGeneric(uint64_t* to, const uint64_t* from, size_t words) { std::memcpy(to, from, words * sizeof(uint64_t)); }

bool Fp32Generic(int64_t iterations) {
  volatile float one_source = 1;
  const float one = one_source;
  const Floats ones = {one, one, one, one};
  bool right = true;
  while (iterations > 0) {
    const int64_t count = iterations < kExactIterations ? iterations : kExactIterations;
    std::array<Floats, kAccumulators> sums;
#pragma GCC unroll 8
    for (int k = 0; k < kAccumulators; ++k) sums[k] = ones * static_cast<float>(k);
    for (int64_t i = 0; i < count; ++i) {
#pragma GCC unroll 8
      for (int k = 0; k < kAccumulators; ++k) sums[k] = sums[k] * ones + ones;
    }
#pragma GCC unroll 8
    for (int k = 0; k < kAccumulators; ++k) {
      for (int lane = 0; lane < 4; ++lane) right &= sums[k][lane] == static_cast<float>(count + k);
    }
    iterations -= count;
  }
  return right;
}

}  // namespace

std::span<const ReadKernel> GenericReads() {
  static const std::array<ReadKernel, 1> kTable = {{{"128-bit loads", {}, ReadGeneric}}};
  return kTable;
}

std::span<const CopyKernel> GenericCopies() {
  static const std::array<CopyKernel, 1> kTable = {{{"memcpy", {}, CopyGeneric}}};
  return kTable;
}

std::span<const ComputeKernel> GenericComputes() {
  static const std::array<ComputeKernel, 1> kTable = {
      {{Operation::kFp32, "128-bit multiply-add, fp32", {}, 2.0 * 4 * kAccumulators, Fp32Generic}}};
  return kTable;
}

}  // namespace moecap::hardware::kernels
