#if defined(__x86_64__)

#include <immintrin.h>

#include <array>
#include <cstring>

#include "hardware/probe/kernels.h"

#define MOECAP_AVX2 __attribute__((target("avx2,fma")))
#define MOECAP_AVX_VNNI __attribute__((target("avx2,fma,avxvnni")))

namespace moecap::hardware::kernels {
namespace {

// Two fused multiply-add pipes of four cycles need 8 independent sums; 12 leave registers for the operands. Every loop
// over the sums is unrolled, since an array that is indexed by a variable anywhere lives in memory instead of registers.
constexpr int kSums = 12;
// fp32 counts exactly up to 2^24, and int32 sums stay far from overflow; the sums are reset before.
constexpr int64_t kExactIterations = int64_t{1} << 20;

// __m256i is a vector of 64-bit words to the compiler: an array of it that 32-bit instructions use stays in memory.
using Ints = int __attribute__((vector_size(32)));

// Reads kStreams equal parts side by side: more pages and DRAM banks are open at once.
template <size_t kStreams>
MOECAP_AVX2 uint64_t ReadAvx2(const uint64_t* data, size_t words) {
  constexpr size_t kUnroll = 8 / kStreams;
  const size_t part = words / kStreams;
  __m256i sums[8];
  for (__m256i& sum : sums) sum = _mm256_setzero_si256();
  for (size_t i = 0; i < part; i += 4 * kUnroll) {
#pragma GCC unroll 8
    for (size_t stream = 0; stream < kStreams; ++stream) {
#pragma GCC unroll 8
      for (size_t k = 0; k < kUnroll; ++k) {
        const auto* from = reinterpret_cast<const __m256i*>(data + stream * part + i + 4 * k);
        __m256i& sum = sums[stream * kUnroll + k];
        sum = _mm256_add_epi64(sum, _mm256_load_si256(from));
      }
    }
  }
  for (int k = 1; k < 8; ++k) sums[0] = _mm256_add_epi64(sums[0], sums[k]);
  std::array<uint64_t, 4> lanes;
  std::memcpy(lanes.data(), &sums[0], sizeof(lanes));
  return lanes[0] + lanes[1] + lanes[2] + lanes[3];
}

MOECAP_AVX2 void CopyAvx2(uint64_t* to, const uint64_t* from, size_t words) {
  for (size_t i = 0; i < words; i += 16) {
#pragma GCC unroll 4
    for (size_t k = 0; k < 16; k += 4) {
      const __m256i value = _mm256_load_si256(reinterpret_cast<const __m256i*>(from + i + k));
      _mm256_stream_si256(reinterpret_cast<__m256i*>(to + i + k), value);
    }
  }
  _mm_sfence();
}

MOECAP_AVX2 bool Fp32Fma(int64_t iterations) {
  volatile float one = 1;  // the compiler must not know the operands
  const __m256 ones = _mm256_set1_ps(one);
  bool right = true;
  while (iterations > 0) {
    const int64_t count = iterations < kExactIterations ? iterations : kExactIterations;
    __m256 sums[kSums];
#pragma GCC unroll 12
    for (int k = 0; k < kSums; ++k) sums[k] = _mm256_set1_ps(static_cast<float>(k));
    for (int64_t i = 0; i < count; ++i) {
#pragma GCC unroll 12
      for (int k = 0; k < kSums; ++k) sums[k] = _mm256_fmadd_ps(sums[k], ones, ones);
    }
#pragma GCC unroll 12
    for (int k = 0; k < kSums; ++k) {
      const __m256 expected = _mm256_set1_ps(static_cast<float>(count + k));
      right &= _mm256_movemask_ps(_mm256_cmp_ps(sums[k], expected, _CMP_EQ_OQ)) == 0xff;
    }
    iterations -= count;
  }
  return right;
}

// The sums start at different values: equal ones would be computed once. Whether all lanes of sum k equal `first` + k.
MOECAP_AVX2 inline bool AllEqual(const Ints* sums, int32_t first) {
  bool equal = true;
#pragma GCC unroll 12
  for (int k = 0; k < kSums; ++k) {
    equal &= _mm256_movemask_epi8(_mm256_cmpeq_epi32((__m256i)sums[k], _mm256_set1_epi32(first + k))) == -1;
  }
  return equal;
}

// Without VNNI a dot product of bytes takes three instructions: multiply and add pairs to 16 bits, widen to 32 bits, add.
MOECAP_AVX2 bool Int8Maddubs(int64_t iterations) {
  volatile int8_t left = 3;
  volatile int8_t right_value = -2;
  volatile int16_t one = 1;
  const __m256i a = _mm256_set1_epi8(left);
  const __m256i ones = _mm256_set1_epi16(one);
  bool right = true;
  while (iterations > 0) {
    const int64_t count = iterations < kExactIterations ? iterations : kExactIterations;
    Ints sums[kSums];
#pragma GCC unroll 12
    for (int k = 0; k < kSums; ++k) sums[k] = (Ints)_mm256_set1_epi32(k);
    __m256i b = _mm256_set1_epi8(right_value);
    for (int64_t i = 0; i < count; ++i) {
#pragma GCC unroll 12
      for (int k = 0; k < kSums; ++k) {
        // The empty statement hides that the product is the same every time; else it would be computed once.
        asm volatile("" : "+x"(b));
        sums[k] = (Ints)_mm256_add_epi32((__m256i)sums[k], _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), ones));
      }
    }
    right &= AllEqual(sums, static_cast<int32_t>(count * 4 * 3 * -2));
    iterations -= count;
  }
  return right;
}

MOECAP_AVX_VNNI bool Int8AvxVnni(int64_t iterations) {
  volatile int8_t left = 3;
  volatile int8_t right_value = -2;
  const __m256i a = _mm256_set1_epi8(left);
  const __m256i b = _mm256_set1_epi8(right_value);
  bool right = true;
  while (iterations > 0) {
    const int64_t count = iterations < kExactIterations ? iterations : kExactIterations;
    Ints sums[kSums];
#pragma GCC unroll 12
    for (int k = 0; k < kSums; ++k) sums[k] = (Ints)_mm256_set1_epi32(k);
    for (int64_t i = 0; i < count; ++i) {
#pragma GCC unroll 12
      for (int k = 0; k < kSums; ++k) sums[k] = (Ints)_mm256_dpbusd_avx_epi32((__m256i)sums[k], a, b);
    }
    right &= AllEqual(sums, static_cast<int32_t>(count * 4 * 3 * -2));
    iterations -= count;
  }
  return right;
}

}  // namespace

std::span<const ReadKernel> Avx2Reads() {
  static const std::array<ReadKernel, 2> kTable = {
      {{"AVX2 loads, 1 stream", {"avx2", "fma"}, ReadAvx2<1>}, {"AVX2 loads, 4 streams", {"avx2", "fma"}, ReadAvx2<4>}}};
  return kTable;
}

std::span<const CopyKernel> Avx2Copies() {
  static const std::array<CopyKernel, 1> kTable = {{{"AVX2 non-temporal stores", {"avx2", "fma"}, CopyAvx2}}};
  return kTable;
}

std::span<const ComputeKernel> Avx2Computes() {
  constexpr double kInt8Operations = 2.0 * 32 * kSums;
  static const std::array<ComputeKernel, 3> kTable = {
      {{Operation::kFp32, "AVX2 FMA, fp32", {"avx2", "fma"}, 2.0 * 8 * kSums, Fp32Fma},
       {Operation::kInt8, "AVX2 maddubs, int8", {"avx2", "fma"}, kInt8Operations, Int8Maddubs},
       {Operation::kInt8, "AVX-VNNI, int8", {"avx2", "fma", "avx_vnni"}, kInt8Operations, Int8AvxVnni}}};
  return kTable;
}

}  // namespace moecap::hardware::kernels

#endif  // __x86_64__
