// How long the pages of `moecap serve` take over many stored runs: copies of SOURCE, each with an id, a time and a tag of its
// own.
//
//   serve_listing RUNS DIR SOURCE...     copies into DIR and indexes them, unless DIR has an index already
//
// The files of a copy but for its manifest are links to those of the source, so that 10,000 take minutes and little room.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "analysis/imported.h"
#include "analysis/transfer.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "store/run_store.h"
#include "web/site.h"

namespace {

using namespace moecap;
namespace fs = std::filesystem;

Result<analysis::DerivedFigures> FiguresOf(const experiment::Results& results) {
  ASSIGN_OR_RETURN(cap::ExperimentSummary summary, analysis::SummarizeStored(results));
  return analysis::DerivedFigures{std::move(summary), "{}"};
}

Status CopyRun(const fs::path& source, const fs::path& dir, int i) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(source / "manifest.json"));
  ASSIGN_OR_RETURN(Json manifest, ParseJson(text));
  const std::string run_id = fmt::format("20260101-{:06}-run", i);
  manifest["run_id"] = run_id;
  manifest["started_at"] = fmt::format("2026-{:02}-{:02}T12:00:00Z", 1 + i % 12, 1 + i % 28);
  fs::copy(source, dir / run_id, fs::copy_options::recursive | fs::copy_options::create_hard_links);
  fs::remove(dir / run_id / "manifest.json");
  return WriteFile(dir / run_id / "manifest.json", DumpJson(manifest));
}

Status Fill(const fs::path& dir, int runs, const std::vector<fs::path>& sources) {
  fs::create_directories(dir);
  for (int i = 0; i < runs; ++i) RETURN_IF_ERROR(CopyRun(sources[static_cast<size_t>(i) % sources.size()], dir, i));
  ASSIGN_OR_RETURN(const analysis::RebuiltIndex rebuilt, analysis::RebuildIndex(dir, FiguresOf));
  if (rebuilt.runs == runs) return {};
  return Failed(fmt::format("{} of {} runs are indexed; {}", rebuilt.runs, runs, rebuilt.notes.front()));
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
  const int runs = argc > 3 ? std::atoi(argv[1]) : 0;
  if (runs <= 0) {
    fmt::print(stderr, "serve_listing RUNS DIR SOURCE...\n");
    return 2;
  }
  const fs::path dir = argv[2];
  if (!store::RunStore::Exists(dir)) {
    const Status filled = Fill(dir, runs, {argv + 3, argv + argc});
    if (!filled.ok()) {
      fmt::print(stderr, "serve_listing: {}\n", filled.error().message);
      return 1;
    }
  }
  const auto site = web::MakeSite({.results_dir = dir, .summarize = analysis::SummarizeStored});
  Measure(*site, fmt::format("all {} runs, JSON", runs).c_str(), fmt::format("/api/runs?limit={}", runs));
  Measure(*site, "runs, first page", "/runs");
  Measure(*site, "runs, last page", fmt::format("/runs?offset={}", runs - 100));
  Measure(*site, "cells, first page", "/");
  Measure(*site, "cells, sorted by TPOT", "/?sort=tpot_mean_s");
  Measure(*site, "cells, two words, sorted by TTFT", "/?q=qwen+run&sort=ttft_mean_s");
  Measure(*site, "cells, a late page", fmt::format("/?all=1&offset={}", 2 * runs - 50));
  Measure(*site, "20,000 cells with six figures, JSON", "/api/cells?all=1&limit=20000");
  Measure(*site, "what is live", "/api/live");
  return 0;
}
