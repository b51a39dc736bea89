// moecap report --compat and --format vllm: the requests of stored runs by the definitions of other tools.
#pragma once

#include <string>
#include <vector>

#include "app/cli/output.h"
#include "base/result.h"
#include "run/results.h"

namespace moecap::app {

struct VllmFlags {
  bool save_detailed = false;
  std::vector<std::string> percentile_metrics = {"ttft", "tpot", "itl"};
  std::vector<double> percentiles = {99};
};

// The tables of `tools` ("all" stands for every one) for each system, concurrency and repetition of the runs. Error: kBadInput
// for an unknown tool or a format other than terminal, markdown and json.
Result<std::string> CompatText(const std::vector<const run::Results*>& runs, const std::vector<std::string>& tools,
                               ReportFormat format);

// One file of `vllm bench serve` for each system, concurrency and repetition, named as it names them.
Result<std::vector<report::NamedText>> VllmFiles(const run::Results& results, const VllmFlags& flags);

}  // namespace moecap::app
