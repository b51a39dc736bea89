// tinymath_generate: writes problems as JSON lines to stdout. See README.md.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "problem.h"

namespace {

using moecap::tinymath::MakeProblem;
using moecap::tinymath::Split;
using moecap::tinymath::ToJsonLine;

struct Options {
  Split split = Split::kTest;
  std::uint64_t count = 512;
  std::uint64_t seed = 1;
  std::uint64_t threads = 1;
};

bool ParseOptions(int argc, char** argv, Options& options) {
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string flag = argv[i];
    const char* value = argv[i + 1];
    if (flag == "--split" && std::strcmp(value, "train") == 0) {
      options.split = Split::kTrain;
    } else if (flag == "--split" && std::strcmp(value, "test") == 0) {
      options.split = Split::kTest;
    } else if (flag == "--count") {
      options.count = std::strtoull(value, nullptr, 10);
    } else if (flag == "--seed") {
      options.seed = std::strtoull(value, nullptr, 10);
    } else if (flag == "--threads") {
      options.threads = std::max<std::uint64_t>(1, std::strtoull(value, nullptr, 10));
    } else {
      return false;
    }
  }
  return argc % 2 == 1;
}

// The output does not depend on the number of threads: problem i is a function of (split, seed, i), and the slices
// of a block are written in order.
void Generate(const Options& options) {
  constexpr std::uint64_t kSlice = 4096;
  for (std::uint64_t start = 0; start < options.count; start += kSlice * options.threads) {
    std::vector<std::string> slices(options.threads);
    std::vector<std::thread> workers;
    for (std::uint64_t t = 0; t < options.threads; ++t) {
      workers.emplace_back([&options, &slices, start, t] {
        const std::uint64_t first = start + t * kSlice;
        const std::uint64_t last = std::min(options.count, first + kSlice);
        for (std::uint64_t i = first; i < last; ++i) {
          slices[t] += ToJsonLine(MakeProblem(options.split, options.seed, i)) + "\n";
        }
      });
    }
    for (std::thread& worker : workers) worker.join();
    for (const std::string& slice : slices) std::fwrite(slice.data(), 1, slice.size(), stdout);
  }
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (!ParseOptions(argc, argv, options)) {
    std::fputs("usage: tinymath_generate --split test|train --count N --seed S [--threads T] > problems.jsonl\n", stderr);
    return 2;
  }
  Generate(options);
  return 0;
}
