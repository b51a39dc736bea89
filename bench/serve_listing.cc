// How long the pages of `moecap serve` take over an index of many runs, of four cells each with the figures that a run has.
//
//   serve_listing [RUNS [DIR]]     10,000 runs, in a folder that is removed again unless one is given
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>

#include "analysis/imported.h"
#include "base/clock.h"
#include "base/paths.h"
#include "cap/figures.h"
#include "store/run_store.h"
#include "web/site.h"

namespace {

using namespace moecap;

constexpr const char* kModels[] = {"Qwen/Qwen3-30B-A3B", "deepseek-ai/DeepSeek-V3", "openai/gpt-oss-120b",
                                   "mistralai/Mixtral-8x7B"};
constexpr const char* kMachines[] = {"8 x h100-sxm", "8 x h200-sxm", "4 x b200-sxm", "1 x rtx-4090"};

store::StoredRun RunOf(int i) {
  store::StoredRun run;
  run.info = {fmt::format("20260101-{:06}-run", i),
              fmt::format("20260101-{:06}-run", i),
              store::RunStatus::kComplete,
              fmt::format("2026-{:02}-{:02}T12:00:00Z", 1 + i % 12, 1 + i % 28),
              "0.3.0",
              "128 problems of gsm8k",
              "gsm8k.jsonl",
              128,
              "AMD EPYC 9755"};
  run.manifest_json = "{}";
  run.tags = {fmt::format("week-{}", i % 52)};
  for (const char* name : {"vllm", "sglang"}) {
    run.systems.push_back({name, name, kModels[i % 4], "fp8", kMachines[i / 4 % 4]});
    for (const double level : {8., 64.}) {
      store::StoredCell cell{name, "clients", level, fmt::format("{:g} clients", level), 5, i % 9 != 0, {}};
      int k = 0;
      for (const cap::Figure& figure : cap::Figures())
        cell.figures.push_back({std::string(figure.key), 0.001 * ((i * 7919 + ++k * 104729) % 1000 + 1), false});
      std::ranges::sort(cell.figures, {}, &store::StoredFigure::key);
      run.cells.push_back(std::move(cell));
    }
  }
  return run;
}

Status Fill(const std::filesystem::path& dir, int runs) {
  std::filesystem::create_directories(dir);
  ASSIGN_OR_RETURN(store::RunStore index, store::RunStore::Open(dir, store::Access::kCreate));
  RETURN_IF_ERROR(index.database().Execute("PRAGMA synchronous = OFF"));
  for (int i = 0; i < runs; ++i) RETURN_IF_ERROR(index.Put(RunOf(i)));
  return {};
}

void Measure(web::Service& site, const char* what, const std::string& target) {
  double best_s = 1e9, best_cpu_s = 1e9;
  size_t bytes = 0;
  int status = 0;
  for (int round = 0; round < 3; ++round) {
    const auto start = std::chrono::steady_clock::now();
    const int64_t cpu_ns = ThreadCpuNs();
    const web::Response response = site.Answer({{"GET", target, {{"host", "localhost"}}}, ""});
    best_s = std::min(best_s, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    best_cpu_s = std::min(best_cpu_s, static_cast<double>(ThreadCpuNs() - cpu_ns) * 1e-9);
    bytes = response.body.size();
    status = response.status;
  }
  fmt::print("{:42} {:4} {:8.3f} s {:8.3f} s of CPU {:9.0f} kB\n", what, status, best_s, best_cpu_s,
             static_cast<double>(bytes) / 1e3);
}

}  // namespace

int main(int argc, char** argv) {
  const int runs = argc > 1 ? std::atoi(argv[1]) : 10000;
  const std::filesystem::path dir = argc > 2 ? argv[2] : TemporaryDir() / fmt::format("moecap-serve-listing-{}", runs);
  if (!store::RunStore::Exists(dir)) {
    const Status filled = Fill(dir, runs);
    if (!filled.ok()) {
      fmt::print(stderr, "serve_listing: {}\n", filled.error().message);
      return 1;
    }
  }
  const auto site = web::MakeSite({.results_dir = dir, .summarize = analysis::SummarizeStored});
  Measure(*site, fmt::format("all {} runs, JSON", runs).c_str(), fmt::format("/api/runs?limit={}", runs));
  Measure(*site, "runs, first page", "/runs");
  Measure(*site, "cells, first page", "/");
  Measure(*site, "cells, sorted by TPOT", "/?sort=tpot_mean_s");
  Measure(*site, "cells, two words, sorted by cost", "/?q=qwen+h200&sort=usd_per_million_tokens");
  Measure(*site, "cells, last page", fmt::format("/?all=1&offset={}", 4 * runs - 50));
  Measure(*site, "20,000 cells with six figures, JSON", "/api/cells?all=1&limit=20000");
  if (argc <= 2) std::filesystem::remove_all(dir);
  return 0;
}
