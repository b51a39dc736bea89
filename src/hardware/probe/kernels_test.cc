#include "hardware/probe/kernels.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <numeric>

#include "hardware/probe/probe.h"

namespace moecap::hardware::kernels {
namespace {

struct FreeDeleter {
  void operator()(uint64_t* memory) const { std::free(memory); }
};
using AlignedWords = std::unique_ptr<uint64_t[], FreeDeleter>;

AlignedWords Allocate(size_t words) {
  return AlignedWords(static_cast<uint64_t*>(std::aligned_alloc(64, words * sizeof(uint64_t))));
}

TEST(ReadKernels, EachSumsEveryWordOnce) {
  constexpr size_t kWords = 8 * kWordsPerBlock;
  const AlignedWords data = Allocate(kWords);
  // No two words, and hence no two sets of left-out or repeated words, that are likely to give the same sum.
  for (size_t i = 0; i < kWords; ++i) data[i] = (i + 1) * 0x9e3779b97f4a7c15ULL ^ (i << 40);
  const uint64_t expected = std::accumulate(data.get(), data.get() + kWords, uint64_t{0});
  const auto kernels = ReadKernelsFor(DetectHost());
  ASSERT_FALSE(kernels.empty());
  for (const ReadKernel& kernel : kernels) EXPECT_EQ(kernel.run(data.get(), kWords), expected) << kernel.name;
}

TEST(CopyKernels, EachCopiesEveryWordAndNoMore) {
  constexpr size_t kWords = 4 * kWordsPerBlock;
  const AlignedWords from = Allocate(kWords);
  std::iota(from.get(), from.get() + kWords, uint64_t{7});
  for (const CopyKernel& kernel : CopyKernelsFor(DetectHost())) {
    const AlignedWords to = Allocate(kWords + kWordsPerBlock);
    std::fill(to.get(), to.get() + kWords + kWordsPerBlock, uint64_t{99});
    kernel.run(to.get(), from.get(), kWords);
    EXPECT_TRUE(std::equal(from.get(), from.get() + kWords, to.get())) << kernel.name;
    EXPECT_EQ(to[kWords], 99u) << kernel.name;
  }
}

TEST(ComputeKernels, EachChecksItsAnswerForAnyCount) {
  const HostInfo host = DetectHost();
  for (const Operation operation : {Operation::kFp32, Operation::kBf16, Operation::kInt8}) {
    for (const ComputeKernel& kernel : ComputeKernelsFor(host, operation)) {
      EXPECT_GT(kernel.operations_per_iteration, 0) << kernel.name;
      // Around the count at which the sums are reset, and the degenerate ones.
      for (const int64_t iterations : {int64_t{0}, int64_t{1}, int64_t{7}, (int64_t{1} << 18) + 1, (int64_t{1} << 20) + 3}) {
        EXPECT_TRUE(kernel.run(iterations)) << kernel.name << " x " << iterations;
      }
    }
  }
}

TEST(Kernels, AHostWithoutExtensionsStillHasBandwidthAndFp32) {
  HostInfo host;
  host.allowed_cpus = {0};
  EXPECT_EQ(ReadKernelsFor(host).size(), 1u);
  EXPECT_EQ(CopyKernelsFor(host).size(), 1u);
  EXPECT_EQ(ComputeKernelsFor(host, Operation::kFp32).size(), 1u);
  EXPECT_TRUE(ComputeKernelsFor(host, Operation::kInt8).empty());
  EXPECT_TRUE(ComputeKernelsFor(host, Operation::kBf16).empty());
}

}  // namespace
}  // namespace moecap::hardware::kernels
