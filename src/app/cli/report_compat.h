// moecap report --compat and --format vllm: the requests of stored runs by the definitions of other tools.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "app/cli/output.h"
#include "base/result.h"
#include "loadtest/results.h"
#include "report/vllm_bench_json.h"
#include "run/results.h"

namespace moecap::app {

struct VllmFlags {
  bool save_detailed = false;
  std::vector<std::string> percentile_metrics = {"ttft", "tpot", "itl"};
  std::vector<double> percentiles = {99};
};

// The requests of one system at one level of load, once.
struct MeasuredRequests {
  std::string label;               // "F16, 4 clients, repetition 2"
  report::VllmBenchInputs inputs;  // what vLLM's file tells beside the requests
  std::vector<record::RequestRecord> requests;
};

// Of a run: each system in the manifest's order, ascending concurrency and repetition, without warm-ups. Of a load test: each
// measurement. Errors: those of reading the files.
Result<std::vector<MeasuredRequests>> MeasuredOf(const run::Results& results);
Result<std::vector<MeasuredRequests>> MeasuredOf(const loadtest::LoadResults& results);

// A table of `tools` ("all" stands for every one) for each. Error: kBadInput for an unknown tool or a format other than
// terminal, html, markdown, csv and json.
Result<std::string> CompatText(std::span<const MeasuredRequests> measured, const std::vector<std::string>& tools,
                               ReportFormat format);

// One file of `vllm bench serve` for each, named as it names them.
Result<std::vector<report::NamedText>> VllmFiles(std::span<const MeasuredRequests> measured, const VllmFlags& flags);

}  // namespace moecap::app
