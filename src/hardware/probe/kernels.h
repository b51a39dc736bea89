// Measurement kernels of hardware/probe: small loops that do nothing but the one thing being measured, each checking its
// answer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "hardware/host.h"

namespace moecap::hardware::kernels {

// Words that every bandwidth kernel handles at a time, over all its streams: slices must be a multiple of this.
inline constexpr size_t kWordsPerBlock = 1024;  // 8 KiB

// Reads `words` words and returns their sum modulo 2^64. `data` is aligned to 64 bytes; `words` is a multiple of
// kWordsPerBlock.
using ReadFunction = uint64_t (*)(const uint64_t* data, size_t words);
// Copies with non-temporal stores where the instruction set has them; same alignment and size rules; the ranges do not overlap.
using CopyFunction = void (*)(uint64_t* to, const uint64_t* from, size_t words);
// Runs `iterations` iterations and returns whether the arithmetic came out right. Any count >= 0.
using ComputeFunction = bool (*)(int64_t iterations);

enum class Operation { kFp32, kBf16, kInt8 };

// `isa` lists the flags of HostInfo::isa that the host must have.
struct ReadKernel {
  std::string_view name;
  std::vector<std::string_view> isa;
  ReadFunction run;
};
struct CopyKernel {
  std::string_view name;
  std::vector<std::string_view> isa;
  CopyFunction run;
};
struct ComputeKernel {
  Operation operation;
  std::string_view name;
  std::vector<std::string_view> isa;
  double operations_per_iteration;  // a multiply and an add count 2
  ComputeFunction run;
};

// What the host can run, in no particular order: the fastest is found by measuring, since the widest registers are not always
// the fastest. `reads` and `copies` are never empty.
std::vector<ReadKernel> ReadKernelsFor(const HostInfo& host);
std::vector<CopyKernel> CopyKernelsFor(const HostInfo& host);
std::vector<ComputeKernel> ComputeKernelsFor(const HostInfo& host, Operation operation);

// One table for each instruction set; kernels.cc joins them.
std::span<const ReadKernel> GenericReads();
std::span<const CopyKernel> GenericCopies();
std::span<const ComputeKernel> GenericComputes();
#if defined(__x86_64__)
std::span<const ReadKernel> Avx2Reads();
std::span<const CopyKernel> Avx2Copies();
std::span<const ComputeKernel> Avx2Computes();
std::span<const ReadKernel> Avx512Reads();
std::span<const CopyKernel> Avx512Copies();
std::span<const ComputeKernel> Avx512Computes();
std::span<const ComputeKernel> AmxComputes();
// Asks the kernel for the AMX tile registers, once for the process; false where it refuses.
bool EnableAmx();
#endif

}  // namespace moecap::hardware::kernels
