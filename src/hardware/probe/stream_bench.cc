// Compares the measured bandwidth ceilings with plain loops in the manner of STREAM (McCalpin), in the same run on the same
// machine: prints the figures and their ratios. A ratio below 1 would mean that a ceiling is none.
#include <fmt/format.h>

#include <algorithm>
#include <thread>
#include <vector>

#include "hardware/probe/probe.h"

namespace moecap::hardware {
namespace {

struct Loop {
  const char* name;
  double bytes_per_element;
  double best_bytes_per_s = 0;
};

// STREAM counts what the program names: the line that a store reads first is not in it.
enum LoopIndex { kSum, kCopy, kTriad, kLoops };

constexpr int kSweeps = 4;  // starting threads takes time too

struct Arrays {
  std::vector<double> a, b, c;
};

double RunSlice(int loop, Arrays& arrays, size_t begin, size_t end) {
  double* a = arrays.a.data();
  const double* b = arrays.b.data();
  const double* c = arrays.c.data();
  double sums[8] = {};
  switch (loop) {
    case kSum:
      for (size_t i = begin; i + 8 <= end; i += 8) {
        for (size_t k = 0; k < 8; ++k) sums[k] += b[i + k];
      }
      break;
    case kCopy:
      for (size_t i = begin; i < end; ++i) a[i] = b[i];
      break;
    default:
      for (size_t i = begin; i < end; ++i) a[i] = b[i] + 3.0 * c[i];
  }
  double total = 0;
  for (const double sum : sums) total += sum;
  return total;
}

// Best of `repetitions`; returns false when a sum is wrong.
bool Measure(Loop& loop, int index, Arrays& arrays, int threads, int repetitions, const Clock& clock) {
  const size_t elements = arrays.a.size();
  const size_t slice = elements / static_cast<size_t>(threads) / 8 * 8;
  std::vector<double> sums(static_cast<size_t>(threads));
  for (int repetition = 0; repetition < repetitions; ++repetition) {
    const double start_s = clock.NowS();
    std::vector<std::jthread> workers;
    for (int thread = 0; thread < threads; ++thread) {
      workers.emplace_back([&, thread] {
        const size_t begin = static_cast<size_t>(thread) * slice;
        for (int sweep = 0; sweep < kSweeps; ++sweep) {
          sums[static_cast<size_t>(thread)] = RunSlice(index, arrays, begin, begin + slice);
        }
      });
    }
    workers.clear();
    const double rate = kSweeps * loop.bytes_per_element * static_cast<double>(slice) * threads / (clock.NowS() - start_s);
    loop.best_bytes_per_s = std::max(loop.best_bytes_per_s, rate);
  }
  if (index != kSum) return arrays.a[slice / 2] == (index == kCopy ? 2.0 : 2.0 + 3.0 * 0.5);
  return std::all_of(sums.begin(), sums.end(), [&](double sum) { return sum == 2.0 * static_cast<double>(slice); });
}

int Run() {
  const HostInfo host = DetectHost();
  const SteadyClock clock;
  const int threads = host.UsableThreads();
  const auto ceilings = MeasureCeilings(host, {}, clock);
  if (!ceilings) {
    fmt::print(stderr, "{}\n", ceilings.error().message);
    return 1;
  }
  const auto elements = static_cast<size_t>(ceilings->buffer_bytes / sizeof(double));
  Arrays arrays{std::vector<double>(elements, 1.0), std::vector<double>(elements, 2.0), std::vector<double>(elements, 0.5)};
  Loop loops[kLoops] = {{"plain sum", 8}, {"STREAM copy", 16}, {"STREAM triad", 24}};
  for (int index = 0; index < kLoops; ++index) {
    if (!Measure(loops[index], index, arrays, threads, 15, clock)) {
      fmt::print(stderr, "{} computed a wrong result\n", loops[index].name);
      return 1;
    }
  }
  const double read = ceilings->read_bytes_per_s->best;
  const double copy = ceilings->copy_bytes_per_s->best;
  fmt::print("{} threads, best of the repetitions, GB/s\n", threads);
  fmt::print("read ceiling {:8.1f}   ({})\n", read / 1e9, ceilings->read_bytes_per_s->kernel);
  fmt::print("copy ceiling {:8.1f}   ({})\n", copy / 1e9, ceilings->copy_bytes_per_s->kernel);
  for (int index = 0; index < kLoops; ++index) {
    const double ceiling = index == kSum ? read : copy;
    fmt::print("{:<12} {:8.1f}   ceiling / loop = {:.2f}\n", loops[index].name, loops[index].best_bytes_per_s / 1e9,
               ceiling / loops[index].best_bytes_per_s);
  }
  return 0;
}

}  // namespace
}  // namespace moecap::hardware

int main() { return moecap::hardware::Run(); }
