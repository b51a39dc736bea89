#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "base/wall_clock.h"
#include "hardware/probe/kernels.h"
#include "hardware/probe/probe.h"
#include "hardware/probe/team.h"

namespace moecap::hardware {
namespace {

using kernels::Operation;

constexpr double kMinBufferBytes = 256.0 * 1024 * 1024;
constexpr double kCachesPerBuffer = 8;
constexpr int kMinRepetitions = 3;
constexpr int64_t kTrialIterations = 100;

const char* OperandsOf(Operation operation) {
  switch (operation) {
    case Operation::kFp32:
      return "fp32";
    case Operation::kBf16:
      return "bf16";
    case Operation::kInt8:
      break;
  }
  return "int8";
}

class Measurement {
 public:
  Measurement(const HostInfo& host, int threads, size_t words, const CeilingOptions& options, int figures, const Clock& clock)
      : host_(host),
        team_(threads, host, clock),
        clock_(clock),
        buffer_(words),
        slice_(WordsPerThread(words, threads)),
        budget_s_(options.budget_s / figures),
        repetition_s_(options.repetition_s) {}

  bool HasMemory() const { return buffer_.data() != nullptr; }

  // Each thread touches its own slice first, which places it on the thread's memory node.
  void Fill() {
    (void)team_.Time(0, 1, [&](int thread) {
      const size_t first = static_cast<size_t>(thread) * slice_;
      for (size_t i = first; i < first + slice_; ++i) buffer_.data()[i] = i;
    });
  }

  Result<Ceiling> Read() {
    std::optional<Ceiling> best;
    const auto candidates = kernels::ReadKernelsFor(host_);
    for (const auto& kernel : candidates) {
      std::atomic<bool> right = true;
      const auto times = team_.Time(budget_s_ / static_cast<double>(candidates.size()), kMinRepetitions, [&](int thread) {
        const size_t first = static_cast<size_t>(thread) * slice_;
        if (kernel.run(buffer_.data() + first, slice_) != SumOfRange(first, slice_)) right = false;
      });
      if (!right) {
        Distrust(kernel.name);
        continue;
      }
      const double bytes = 8.0 * static_cast<double>(slice_) * team_.threads();
      ASSIGN_OR_RETURN(Ceiling ceiling, ToCeiling(times, bytes, kernel.name));
      if (!best || ceiling.best > best->best) best = std::move(ceiling);
    }
    if (!best) return WrongAnswer(candidates.front().name);
    return *best;
  }

  // From the first half of each slice to the second.
  Result<Ceiling> Copy() {
    const auto kernel = kernels::CopyKernelsFor(host_).front();
    const size_t half = slice_ / 2 / kernels::kWordsPerBlock * kernels::kWordsPerBlock;
    const auto times = team_.Time(budget_s_, kMinRepetitions, [&](int thread) {
      uint64_t* from = buffer_.data() + static_cast<size_t>(thread) * slice_;
      kernel.run(from + half, from, half);
    });
    for (int thread = 0; thread < team_.threads(); ++thread) {
      const uint64_t* from = buffer_.data() + static_cast<size_t>(thread) * slice_;
      if (std::memcmp(from, from + half, half * sizeof(uint64_t)) != 0) return WrongAnswer(kernel.name);
    }
    return ToCeiling(times, 2 * 8.0 * static_cast<double>(half) * team_.threads(), kernel.name);
  }

  // Null when the host has no instruction for it, or none that computes right.
  Result<std::optional<Ceiling>> Compute(Operation operation) {
    std::optional<Ceiling> best;
    const auto candidates = kernels::ComputeKernelsFor(host_, operation);
    for (const auto& kernel : candidates) {
      if (!kernel.run(kTrialIterations)) {
        Distrust(kernel.name);
        continue;
      }
      ASSIGN_OR_RETURN(const int64_t iterations, IterationsFor(kernel));
      std::atomic<bool> right = true;
      const auto times = team_.Time(budget_s_ / static_cast<double>(candidates.size()), kMinRepetitions, [&](int) {
        if (!kernel.run(iterations)) right = false;
      });
      if (!right) {
        Distrust(kernel.name);
        continue;
      }
      const double operations = kernel.operations_per_iteration * static_cast<double>(iterations) * team_.threads();
      ASSIGN_OR_RETURN(Ceiling ceiling, ToCeiling(times, operations, kernel.name));
      rates_.push_back({OperandsOf(operation), ceiling});
      if (!best || ceiling.best > best->best) best = std::move(ceiling);
    }
    return best;
  }

  // Every kernel that Compute has measured.
  const std::vector<KernelRate>& rates() const { return rates_; }
  // Kernels that were left out because they computed a wrong result, in words.
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  void Distrust(std::string_view kernel) {
    notes_.push_back(fmt::format("'{}' computed a wrong result and was left out", kernel));
  }

  // As many as fill a repetition.
  Result<int64_t> IterationsFor(const kernels::ComputeKernel& kernel) const {
    for (int64_t iterations = 1 << 12; iterations < (int64_t{1} << 40); iterations *= 4) {
      const double begin_s = clock_.NowS();
      (void)kernel.run(iterations);
      const double elapsed_s = clock_.NowS() - begin_s;
      if (elapsed_s >= repetition_s_ / 10)
        return std::max<int64_t>(1, static_cast<int64_t>(static_cast<double>(iterations) * repetition_s_ / elapsed_s));
      if (elapsed_s <= 0 && iterations > (1 << 20)) break;
    }
    return Failed(fmt::format("{}: the clock did not advance during the measurement", kernel.name));
  }

  const HostInfo& host_;
  Team team_;
  const Clock& clock_;
  Buffer buffer_;
  size_t slice_;  // words a thread owns
  double budget_s_;
  double repetition_s_;
  std::vector<KernelRate> rates_;
  std::vector<std::string> notes_;
};

// More than the last-level cache of any socket on sale (1,152 MiB of an EPYC 9684X): a buffer of this size is DRAM's.
constexpr double kUnknownCacheBufferBytes = 2.0 * 1024 * 1024 * 1024;

double ChooseBufferBytes(const HostInfo& host, const CeilingOptions& options, std::vector<std::string>& notes) {
  if (options.buffer_bytes > 0) return options.buffer_bytes;
  const std::optional<double>& cache = host.last_level_cache_bytes;
  const double wanted = cache ? std::max(kMinBufferBytes, kCachesPerBuffer * *cache) : kUnknownCacheBufferBytes;
  const double bytes = host.available_bytes ? std::min(wanted, *host.available_bytes / 2) : wanted;
  if (!cache) notes.emplace_back("the system does not tell the size of the last-level cache");
  if (bytes < wanted) {
    const std::string times = cache ? fmt::format(" only, {:.1f} times the last-level cache", bytes / *cache) : " only";
    notes.push_back(fmt::format("free memory allowed a buffer of {:.0f} MiB{}: part of the bandwidth may be the cache's",
                                bytes / 1048576, times));
  }
  return bytes;
}

// Half of the cache: its other half is for what else runs, and for the few lines that a hash sends to a full set.
constexpr double kCacheShare = 0.5;
// A part of a level must not fit into the level below.
constexpr double kLeastOfLowerLevel = 1.5;
constexpr double kBytesPerCacheRepetition = 64.0 * 1024 * 1024;

void AddTrustNotes(const HostInfo& host, int threads, Ceilings& ceilings) {
  if (host.cpu_quota && *host.cpu_quota < static_cast<double>(host.allowed_cpus.size())) {
    ceilings.notes.push_back(
        fmt::format("the control group grants {:.2f} CPUs of time: measured with {} threads, and the kernel may "
                    "still pause them",
                    *host.cpu_quota, threads));
  }
  if (ceilings.Noisy()) {
    ceilings.notes.emplace_back(
        "other load shared this machine: the median repetition of a figure is more than a quarter below the best");
  }
}

// `words` a thread, over and over.
Result<Ceiling> ReadCacheRate(const HostInfo& host, int threads, size_t words, double budget_s, const Clock& clock) {
  const Team team(threads, host, clock);
  const Buffer buffer(words * static_cast<size_t>(threads));
  if (buffer.data() == nullptr) return Failed("cannot allocate the buffer that measuring the caches needs");
  (void)team.Time(0, 1, [&](int thread) {
    const size_t first = static_cast<size_t>(thread) * words;
    for (size_t i = first; i < first + words; ++i) buffer.data()[i] = i;
  });
  const int sweeps = std::max(1, static_cast<int>(kBytesPerCacheRepetition / (static_cast<double>(words) * sizeof(uint64_t))));
  std::optional<Ceiling> best;
  const auto candidates = kernels::ReadKernelsFor(host);
  for (const auto& kernel : candidates) {
    std::atomic<bool> right = true;
    const auto times = team.Time(budget_s / static_cast<double>(candidates.size()), kMinRepetitions, [&](int thread) {
      const size_t first = static_cast<size_t>(thread) * words;
      for (int sweep = 0; sweep < sweeps; ++sweep) {
        if (kernel.run(buffer.data() + first, words) != SumOfRange(first, words)) right = false;
      }
    });
    if (!right) continue;
    const double bytes = 8.0 * static_cast<double>(words) * sweeps * threads;
    ASSIGN_OR_RETURN(Ceiling ceiling, ToCeiling(times, bytes, kernel.name));
    if (!best || ceiling.best > best->best) best = std::move(ceiling);
  }
  if (!best) return WrongAnswer(candidates.front().name);
  return *best;
}

}  // namespace

Result<Ceilings> MeasureCeilings(const HostInfo& host, const CeilingOptions& options, const Clock& clock) {
  CHECK(!host.allowed_cpus.empty());
  Ceilings ceilings;
  const int threads = options.threads > 0 ? options.threads : host.UsableThreads();
  const double bytes = ChooseBufferBytes(host, options, ceilings.notes);
  const size_t words = static_cast<size_t>(bytes / sizeof(uint64_t));
  if (WordsPerThread(words, threads) < 2 * kernels::kWordsPerBlock) {
    return Failed(fmt::format("a buffer of {:.0f} bytes is too small to measure the bandwidth of {} threads", bytes, threads));
  }
  constexpr int kFigures = 5;
  Measurement measurement(host, threads, words, options, kFigures, clock);
  if (!measurement.HasMemory()) {
    return Failed(fmt::format("cannot allocate the {:.0f} MiB that measuring the memory bandwidth needs: {}", bytes / 1048576,
                              std::strerror(errno)));
  }
  measurement.Fill();
  ASSIGN_OR_RETURN(ceilings.read_bytes_per_s, measurement.Read());
  ASSIGN_OR_RETURN(ceilings.copy_bytes_per_s, measurement.Copy());
  ASSIGN_OR_RETURN(ceilings.fp32_flops_per_s, measurement.Compute(Operation::kFp32));
  ASSIGN_OR_RETURN(ceilings.bf16_flops_per_s, measurement.Compute(Operation::kBf16));
  ASSIGN_OR_RETURN(ceilings.int8_ops_per_s, measurement.Compute(Operation::kInt8));
  if (!ceilings.fp32_flops_per_s) return WrongAnswer("fp32");
  ceilings.notes.insert(ceilings.notes.end(), measurement.notes().begin(), measurement.notes().end());
  ceilings.kernels = measurement.rates();
  ceilings.threads = threads;
  ceilings.buffer_bytes = bytes;
  ceilings.measured_at = WallTimeIso8601();
  ceilings.fingerprint = HostFingerprint(host);
  AddTrustNotes(host, threads, ceilings);
  return ceilings;
}

Result<ThreadBandwidth> MeasureBandwidth(const HostInfo& host, int threads, const CeilingOptions& options, const Clock& clock) {
  std::vector<std::string> notes;  // those of MeasureCeilings hold here too
  const auto words = static_cast<size_t>(ChooseBufferBytes(host, options, notes) / sizeof(uint64_t));
  if (threads < 1 || WordsPerThread(words, threads) < 2 * kernels::kWordsPerBlock) {
    return Failed(fmt::format("the memory bandwidth of {} threads cannot be measured with a buffer of {} bytes", threads,
                              words * sizeof(uint64_t)));
  }
  constexpr int kReadAndCopy = 2;
  Measurement measurement(host, threads, words, options, kReadAndCopy, clock);
  if (!measurement.HasMemory()) return Failed("cannot allocate the buffer that measuring the memory bandwidth needs");
  measurement.Fill();
  ThreadBandwidth point;
  point.threads = threads;
  ASSIGN_OR_RETURN(point.read_bytes_per_s, measurement.Read());
  ASSIGN_OR_RETURN(point.copy_bytes_per_s, measurement.Copy());
  return point;
}

Result<std::vector<CacheBandwidth>> MeasureCaches(const HostInfo& host, std::span<const CacheLevel> levels, double budget_s,
                                                  const Clock& clock) {
  std::vector<CacheBandwidth> caches;
  const int threads = host.UsableThreads();
  double lower_bytes = 0;
  for (const CacheLevel& level : levels) {
    CacheBandwidth cache;
    cache.level = level.level;
    cache.cache_bytes = level.bytes;
    const size_t words = WordsPerThread(static_cast<size_t>(kCacheShare * level.bytes / sizeof(uint64_t)), threads);
    cache.buffer_bytes = static_cast<double>(words) * sizeof(uint64_t) * threads;
    const bool apart = level.level > 1 && words > 0 && cache.buffer_bytes >= kLeastOfLowerLevel * lower_bytes;
    lower_bytes = level.bytes;
    if (!apart) continue;
    ASSIGN_OR_RETURN(cache.read_bytes_per_s, ReadCacheRate(host, threads, words, budget_s, clock));
    caches.push_back(std::move(cache));
  }
  return caches;
}

}  // namespace moecap::hardware
