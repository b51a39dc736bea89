// moecap report --compat and --format vllm: the requests of stored experiments by the definitions of other tools.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "app/cli/output.h"
#include "base/result.h"
#include "experiment/results.h"
#include "report/vllm_bench_json.h"

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

// Each whole measurement, in the order in which they were made. Errors: those of reading the files.
Result<std::vector<MeasuredRequests>> MeasuredOf(const experiment::Results& results);

// A table of `tools` ("all" stands for every one) for each. Error: kBadInput for an unknown tool or a format other than
// terminal, html, markdown, csv and json.
Result<std::string> CompatText(std::span<const MeasuredRequests> measured, const std::vector<std::string>& tools,
                               ReportFormat format);

// One file of `vllm bench serve` for each, named as it names them.
Result<std::vector<report::NamedText>> VllmFiles(std::span<const MeasuredRequests> measured, const VllmFlags& flags);

}  // namespace moecap::app
