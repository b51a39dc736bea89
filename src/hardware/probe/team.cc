#include "hardware/probe/team.h"

#include <fmt/format.h>
#include <pthread.h>
#include <sys/mman.h>

#include <algorithm>
#include <barrier>
#include <thread>

#include "hardware/probe/kernels.h"

namespace moecap::hardware {
namespace {

void PinTo(int cpu) {
  if (cpu < 0 || cpu >= CPU_SETSIZE) return;
  cpu_set_t mask;
  CPU_ZERO(&mask);
  CPU_SET(static_cast<size_t>(cpu), &mask);
  // Where pinning is refused the threads float: the figure is then lower at worst.
  (void)::pthread_setaffinity_np(::pthread_self(), sizeof(mask), &mask);
}

struct alignas(64) Stamps {
  double start_s = 0;
  double end_s = 0;
};

double Span(const std::vector<Stamps>& stamps) {
  double start_s = stamps.front().start_s;
  double end_s = stamps.front().end_s;
  for (const Stamps& stamp : stamps) {
    start_s = std::min(start_s, stamp.start_s);
    end_s = std::max(end_s, stamp.end_s);
  }
  return end_s - start_s;
}

}  // namespace

Buffer::Buffer(size_t words) : words_(words) {
  void* memory = ::mmap(nullptr, Bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return;
  ::madvise(memory, Bytes(), MADV_HUGEPAGE);
  data_ = static_cast<uint64_t*>(memory);
}

Buffer::~Buffer() {
  if (data_ != nullptr) ::munmap(data_, Bytes());
}

std::vector<double> Team::Time(double budget_s, int min_repetitions, const std::function<void(int)>& work,
                               int most_repetitions) const {
  std::vector<double> times;
  std::vector<Stamps> stamps(static_cast<size_t>(threads_));
  const double begin_s = clock_.NowS();
  bool stop = false;  // written while all threads wait at the barrier
  const auto on_finish = [&]() noexcept {
    times.push_back(Span(stamps));
    const auto done = static_cast<int>(times.size());
    stop = done >= most_repetitions || (done >= min_repetitions && clock_.NowS() - begin_s >= budget_s);
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

uint64_t SumOfRange(uint64_t first, uint64_t count) {
  const uint64_t pairs = count % 2 == 0 ? (count / 2) * (count - 1) : count * ((count - 1) / 2);
  return first * count + pairs;
}

size_t WordsPerThread(size_t words, int threads) {
  return words / static_cast<size_t>(threads) / kernels::kWordsPerBlock * kernels::kWordsPerBlock;
}

}  // namespace moecap::hardware
