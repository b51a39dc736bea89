#include <fmt/format.h>
#include <pthread.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <cerrno>
#include <cstring>
#include <functional>
#include <thread>

#include "hardware/probe/kernels.h"
#include "hardware/probe/probe.h"

namespace moecap::hardware {
namespace {

using kernels::Operation;

constexpr double kMinBufferBytes = 256.0 * 1024 * 1024;
constexpr double kCachesPerBuffer = 8;
constexpr int kMinRepetitions = 3;
constexpr int64_t kTrialIterations = 100;
constexpr int kMaxRepetitions = 200;

// Anonymous memory in huge pages where the kernel grants them; zero until touched.
class Buffer {
 public:
  explicit Buffer(size_t words) : words_(words) {
    void* memory = ::mmap(nullptr, Bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return;
    ::madvise(memory, Bytes(), MADV_HUGEPAGE);
    data_ = static_cast<uint64_t*>(memory);
  }
  ~Buffer() {
    if (data_ != nullptr) ::munmap(data_, Bytes());
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  uint64_t* data() const { return data_; }
  size_t words() const { return words_; }
  size_t Bytes() const { return words_ * sizeof(uint64_t); }

 private:
  size_t words_;
  uint64_t* data_ = nullptr;
};

// The sum of the words first, first + 1, ... first + count - 1 modulo 2^64: what a slice holds after FillSlice.
uint64_t SumOfRange(uint64_t first, uint64_t count) {
  const uint64_t pairs = count % 2 == 0 ? (count / 2) * (count - 1) : count * ((count - 1) / 2);
  return first * count + pairs;
}

void PinTo(int cpu) {
  if (cpu < 0 || cpu >= CPU_SETSIZE) return;
  cpu_set_t mask;
  CPU_ZERO(&mask);
  CPU_SET(static_cast<size_t>(cpu), &mask);
  // Where pinning is refused the threads float: the figure is then lower at worst.
  (void)::pthread_setaffinity_np(::pthread_self(), sizeof(mask), &mask);
}

// Threads that repeat a piece of work together; each repetition is timed from the first start to the last finish. Every thread
// stamps itself: a thread that the kernel wakes late would else start the clock after the others have begun, and the rate would
// be too high.
class Team {
 public:
  Team(int threads, const HostInfo& host, const Clock& clock) : threads_(threads), host_(host), clock_(clock) {}

  // Seconds of each repetition: at least `min_repetitions`, then until `budget_s` is spent.
  std::vector<double> Time(double budget_s, int min_repetitions, const std::function<void(int)>& work) const {
    std::vector<double> times;
    std::vector<Stamps> stamps(static_cast<size_t>(threads_));
    const double begin_s = clock_.NowS();
    bool stop = false;  // written while all threads wait at the barrier
    const auto on_finish = [&]() noexcept {
      times.push_back(Span(stamps));
      const auto done = static_cast<int>(times.size());
      stop = done >= kMaxRepetitions || (done >= min_repetitions && clock_.NowS() - begin_s >= budget_s);
    };
    std::barrier start(threads_);
    std::barrier finish(threads_, on_finish);
    const auto run = [&](int thread) {
      PinTo(host_.allowed_cpus[static_cast<size_t>(thread) % host_.allowed_cpus.size()]);
      while (!stop) {
        start.arrive_and_wait();
        Stamps& mine = stamps[static_cast<size_t>(thread)];
        mine.start_s = clock_.NowS();
        work(thread);
        mine.end_s = clock_.NowS();
        finish.arrive_and_wait();
      }
    };
    std::vector<std::jthread> workers;
    for (int thread = 0; thread < threads_; ++thread) workers.emplace_back(run, thread);
    workers.clear();
    return times;
  }

  int threads() const { return threads_; }

 private:
  struct alignas(64) Stamps {
    double start_s = 0;
    double end_s = 0;
  };

  static double Span(const std::vector<Stamps>& stamps) {
    double start_s = stamps.front().start_s;
    double end_s = stamps.front().end_s;
    for (const Stamps& stamp : stamps) {
      start_s = std::min(start_s, stamp.start_s);
      end_s = std::max(end_s, stamp.end_s);
    }
    return end_s - start_s;
  }

  int threads_;
  const HostInfo& host_;
  const Clock& clock_;
};

// Rates of the repetitions; fails when the clock stood still.
Result<Ceiling> ToCeiling(std::vector<double> times_s, double amount, std::string_view kernel) {
  std::erase_if(times_s, [](double time_s) { return time_s <= 0; });
  if (times_s.empty()) return Failed(fmt::format("{}: the clock did not advance during the measurement", kernel));
  std::sort(times_s.begin(), times_s.end());
  Ceiling ceiling;
  ceiling.best = amount / times_s.front();
  ceiling.median = amount / times_s[times_s.size() / 2];
  ceiling.worst = amount / times_s.back();
  ceiling.repetitions = static_cast<int>(times_s.size());
  ceiling.kernel = kernel;
  return ceiling;
}

Error WrongAnswer(std::string_view kernel) {
  return Failed(
      fmt::format("the measurement '{}' computed a wrong result: the memory or the processor of this machine errs, or the "
                  "virtual machine announces instructions that it does not execute faithfully",
                  kernel));
}

// Words a thread owns: whole blocks, the same for all, so that no thread waits for another one's longer part.
size_t WordsPerThread(size_t words, int threads) {
  return words / static_cast<size_t>(threads) / kernels::kWordsPerBlock * kernels::kWordsPerBlock;
}

class Measurement {
 public:
  Measurement(const HostInfo& host, int threads, size_t words, const CeilingOptions& options, const Clock& clock)
      : host_(host),
        team_(threads, host, clock),
        clock_(clock),
        buffer_(words),
        slice_(WordsPerThread(words, threads)),
        budget_s_(options.budget_s / 5),  // five figures
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
      if (!best || ceiling.best > best->best) best = std::move(ceiling);
    }
    return best;
  }

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
  std::vector<std::string> notes_;
};

double ChooseBufferBytes(const HostInfo& host, const CeilingOptions& options, std::vector<std::string>& notes) {
  if (options.buffer_bytes > 0) return options.buffer_bytes;
  const double wanted = std::max(kMinBufferBytes, kCachesPerBuffer * host.last_level_cache_bytes);
  const double bytes = host.available_bytes > 0 ? std::min(wanted, host.available_bytes / 2) : wanted;
  if (bytes < wanted) {
    notes.push_back(
        fmt::format("free memory allowed a buffer of {:.0f} MiB only, {:.1f} times the last-level cache: part of the "
                    "bandwidth may be the cache's",
                    bytes / 1048576, bytes / std::max(1.0, host.last_level_cache_bytes)));
  }
  if (host.last_level_cache_bytes <= 0) notes.emplace_back("the system does not tell the size of the last-level cache");
  return bytes;
}

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
  Measurement measurement(host, threads, words, options, clock);
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
  ceilings.threads = threads;
  ceilings.buffer_bytes = bytes;
  ceilings.measured_at = WallTimeIso8601();
  ceilings.fingerprint = HostFingerprint(host);
  AddTrustNotes(host, threads, ceilings);
  return ceilings;
}

}  // namespace moecap::hardware
