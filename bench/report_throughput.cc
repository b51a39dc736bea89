// How fast reports are rendered: many runs, from the value type to the text of each format, every run different. Prints a JSON
// line a format and checks that every text is about its run.
//   report_throughput [RUNS]
#include <fmt/format.h>
#include <sys/resource.h>

#include <cstdlib>
#include <functional>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/clock.h"
#include "base/json.h"
#include "report/experiment_csv.h"
#include "report/experiment_document.h"
#include "report/experiment_json.h"
#include "report/render.h"
#include "report/testing/sample_experiment.h"

namespace moecap {
namespace {

double CpuSeconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         1e-6 * static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

// Three systems at three concurrencies with heat maps, each run with figures of its own.
std::vector<cap::JudgedExperiment> MakeRuns(int count) {
  std::vector<cap::JudgedExperiment> runs;
  for (int i = 0; i < count; ++i) {
    cap::JudgedExperiment run = report::SampleExperiment();
    run.summary.run_id = fmt::format("20260131-120000-run-{}", i);
    for (auto& system : run.summary.systems) {
      for (auto& cell : system.cells) {
        *cell.figures[cap::FigureId::kTpotMean] *= 1 + 1e-3 * i;
        *cell.figures[cap::FigureId::kOutputRate] /= 1 + 1e-3 * i;
      }
    }
    runs.push_back(std::move(run));
  }
  return runs;
}

void Measure(const char* name, const std::vector<cap::JudgedExperiment>& runs, const Clock& clock,
             const std::function<std::string(const cap::JudgedExperiment&)>& render) {
  const double cpu_start = CpuSeconds();
  const int64_t start = clock.NowNs();
  size_t bytes = 0;
  for (const auto& run : runs) {
    const std::string text = render(run);
    CHECK(text.find(run.summary.run_id) != std::string::npos);
    bytes += text.size();
  }
  fmt::print("{{\"bench\":\"report\",\"format\":\"{}\",\"runs\":{},\"seconds\":{:.3f},\"cpu_seconds\":{:.3f},\"bytes\":{}}}\n",
             name, runs.size(), static_cast<double>(clock.NowNs() - start) * 1e-9, CpuSeconds() - cpu_start, bytes);
}

}  // namespace
}  // namespace moecap

int main(int argc, char** argv) {
  using namespace moecap;
  const int count = argc > 1 ? std::atoi(argv[1]) : 1000;
  CHECK(count > 0);
  const SteadyClock clock;
  const auto runs = MakeRuns(count);
  const auto document = [](const auto& run) { return report::ExperimentDocument(run); };
  Measure("terminal", runs, clock, [&](const auto& run) { return report::RenderTerminal(document(run), {}); });
  Measure("terminal, all", runs, clock, [&](const auto& run) { return report::RenderTerminal(document(run), {.all = true}); });
  Measure("markdown", runs, clock, [&](const auto& run) { return report::RenderMarkdown(document(run)); });
  Measure("json", runs, clock, [](const auto& run) { return DumpJsonPretty(report::ExperimentToJson(run)); });
  Measure("csv", runs, clock, [](const auto& run) { return report::ExperimentsToCsv(std::span(&run, 1)); });
  Measure("html", runs, clock, [&](const auto& run) { return report::RenderHtml(document(run)); });
  Measure("svg", runs, clock, [&](const auto& run) {
    std::string all = run.summary.run_id;  // a picture does not name its run
    for (const auto& [name, svg] : report::RenderSvgs(document(run))) all += svg;
    return all;
  });
  return 0;
}
