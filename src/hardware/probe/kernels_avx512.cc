#if defined(__x86_64__)

#include <immintrin.h>

#include <array>
#include <cstring>
#include <numeric>

#include "hardware/probe/kernels.h"

#define MOECAP_AVX512 __attribute__((target("avx512f,avx512bw")))
#define MOECAP_AVX512_BF16 __attribute__((target("avx512f,avx512bw,avx512bf16")))
#define MOECAP_AVX512_VNNI __attribute__((target("avx512f,avx512bw,avx512vnni")))

namespace moecap::hardware::kernels {
namespace {

// Of 32 registers. Every loop over the sums is unrolled, the ones outside the hot loop too: an array that is indexed by a
// variable anywhere lives in memory, and the stores would be what is measured.
constexpr int kSums = 24;
constexpr int64_t kExactIterations = int64_t{1} << 20;
constexpr size_t kPrefetchWords = 128;  // 1 KiB ahead

// __m512i is a vector of 64-bit words to the compiler: an array of it that 32-bit instructions use stays in memory.
using Ints = int __attribute__((vector_size(64)));

// Reads kStreams equal parts side by side; with kPrefetch it asks ahead for lines that need not stay in the caches.
template <size_t kStreams, bool kPrefetch>
MOECAP_AVX512 uint64_t ReadAvx512(const uint64_t* data, size_t words) {
  constexpr size_t kUnroll = 8 / kStreams;
  const size_t part = words / kStreams;
  __m512i sums[8];
  for (__m512i& sum : sums) sum = _mm512_setzero_si512();
  for (size_t i = 0; i < part; i += 8 * kUnroll) {
#pragma GCC unroll 8
    for (size_t stream = 0; stream < kStreams; ++stream) {
#pragma GCC unroll 8
      for (size_t k = 0; k < kUnroll; ++k) {
        const uint64_t* from = data + stream * part + i + 8 * k;
        if constexpr (kPrefetch) _mm_prefetch(from + kPrefetchWords, _MM_HINT_NTA);
        __m512i& sum = sums[stream * kUnroll + k];
        sum = _mm512_add_epi64(sum, _mm512_load_si512(from));
      }
    }
  }
  for (int k = 1; k < 8; ++k) sums[0] = _mm512_add_epi64(sums[0], sums[k]);
  std::array<uint64_t, 8> lanes;
  std::memcpy(lanes.data(), &sums[0], sizeof(lanes));
  return std::accumulate(lanes.begin(), lanes.end(), uint64_t{0});
}

MOECAP_AVX512 void CopyAvx512(uint64_t* to, const uint64_t* from, size_t words) {
  for (size_t i = 0; i < words; i += 32) {
#pragma GCC unroll 4
    for (size_t k = 0; k < 32; k += 8) {
      _mm512_stream_si512(reinterpret_cast<__m512i*>(to + i + k), _mm512_load_si512(from + i + k));
    }
  }
  _mm_sfence();
}

// The sums start at different values: equal ones would be computed once.
// Whether all lanes of sum k equal `first` + k x `step` (the second form: x 1).
MOECAP_AVX512 inline bool AllEqual(const __m512* sums, float first, float step) {
  bool equal = true;
#pragma GCC unroll 24
  for (int k = 0; k < kSums; ++k) {
    const __m512 expected = _mm512_set1_ps(first + step * static_cast<float>(k));
    equal &= _mm512_cmp_ps_mask(sums[k], expected, _CMP_EQ_OQ) == 0xffff;
  }
  return equal;
}

MOECAP_AVX512 inline bool AllEqual(const Ints* sums, int32_t first) {
  bool equal = true;
#pragma GCC unroll 24
  for (int k = 0; k < kSums; ++k) equal &= _mm512_cmpeq_epi32_mask((__m512i)sums[k], _mm512_set1_epi32(first + k)) == 0xffff;
  return equal;
}

MOECAP_AVX512 bool Fp32Fma(int64_t iterations) {
  volatile float one = 1;  // the compiler must not know the operands
  const __m512 ones = _mm512_set1_ps(one);
  bool right = true;
  while (iterations > 0) {
    const int64_t count = iterations < kExactIterations ? iterations : kExactIterations;
    __m512 sums[kSums];
#pragma GCC unroll 24
    for (int k = 0; k < kSums; ++k) sums[k] = _mm512_set1_ps(static_cast<float>(k));
    for (int64_t i = 0; i < count; ++i) {
#pragma GCC unroll 24
      for (int k = 0; k < kSums; ++k) sums[k] = _mm512_fmadd_ps(sums[k], ones, ones);
    }
    right &= AllEqual(sums, static_cast<float>(count), 1);
    iterations -= count;
  }
  return right;
}

MOECAP_AVX512_BF16 bool Bf16Dot(int64_t iterations) {
  volatile int16_t one = 0x3f80;  // 1.0 in bf16
  const __m512bh ones = (__m512bh)_mm512_set1_epi16(one);
  bool right = true;
  while (iterations > 0) {
    const int64_t count = iterations < kExactIterations ? iterations : kExactIterations;
    __m512 sums[kSums];
#pragma GCC unroll 24
    for (int k = 0; k < kSums; ++k) sums[k] = _mm512_set1_ps(static_cast<float>(2 * k));
    for (int64_t i = 0; i < count; ++i) {
#pragma GCC unroll 24
      for (int k = 0; k < kSums; ++k) sums[k] = _mm512_dpbf16_ps(sums[k], ones, ones);
    }
    right &= AllEqual(sums, static_cast<float>(2 * count), 2);
    iterations -= count;
  }
  return right;
}

MOECAP_AVX512_VNNI bool Int8Vnni(int64_t iterations) {
  volatile int8_t left = 3;
  volatile int8_t right_value = -2;
  const __m512i a = _mm512_set1_epi8(left);
  const __m512i b = _mm512_set1_epi8(right_value);
  bool right = true;
  while (iterations > 0) {
    const int64_t count = iterations < kExactIterations ? iterations : kExactIterations;
    Ints sums[kSums];
#pragma GCC unroll 24
    for (int k = 0; k < kSums; ++k) sums[k] = (Ints)_mm512_set1_epi32(k);
    for (int64_t i = 0; i < count; ++i) {
#pragma GCC unroll 24
      for (int k = 0; k < kSums; ++k) sums[k] = (Ints)_mm512_dpbusd_epi32((__m512i)sums[k], a, b);
    }
    right &= AllEqual(sums, static_cast<int32_t>(count * 4 * 3 * -2));
    iterations -= count;
  }
  return right;
}

}  // namespace

std::span<const ReadKernel> Avx512Reads() {
  static const std::array<ReadKernel, 3> kTable = {
      {{"AVX-512 loads, 1 stream", {"avx512f", "avx512bw"}, ReadAvx512<1, false>},
       {"AVX-512 loads, 4 streams", {"avx512f", "avx512bw"}, ReadAvx512<4, false>},
       {"AVX-512 loads, 1 stream, non-temporal prefetch", {"avx512f", "avx512bw"}, ReadAvx512<1, true>}}};
  return kTable;
}

std::span<const CopyKernel> Avx512Copies() {
  static const std::array<CopyKernel, 1> kTable = {{{"AVX-512 non-temporal stores", {"avx512f", "avx512bw"}, CopyAvx512}}};
  return kTable;
}

std::span<const ComputeKernel> Avx512Computes() {
  static const std::array<ComputeKernel, 3> kTable = {
      {{Operation::kFp32, "AVX-512 FMA, fp32", {"avx512f", "avx512bw"}, 2.0 * 16 * kSums, Fp32Fma},
       {Operation::kBf16, "AVX-512 dot, bf16", {"avx512f", "avx512bw", "avx512_bf16"}, 2.0 * 32 * kSums, Bf16Dot},
       {Operation::kInt8, "AVX-512 VNNI, int8", {"avx512f", "avx512bw", "avx512_vnni"}, 2.0 * 64 * kSums, Int8Vnni}}};
  return kTable;
}

}  // namespace moecap::hardware::kernels

#endif  // __x86_64__
