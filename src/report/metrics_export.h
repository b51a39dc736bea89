// The figures of experiments for monitoring systems: one gauge a figure, one sample a cell, with its run, system and level as
// labels. Figures that are not known are left out. docs/report.md, "For monitoring".
#pragma once

#include <span>
#include <string>

#include "cap/judgement.h"

namespace moecap::report {

// Prometheus's text format 0.0.4: moecap_ttft_mean_s{run_id="...",system="...",level_kind="clients",level="8",...} 0.02.
std::string ToPrometheus(std::span<const cap::JudgedExperiment> experiments);

// The body of an OTLP/HTTP request to /v1/metrics in JSON; each run is a resource, stamped with its start.
std::string ToOtlpJson(std::span<const cap::JudgedExperiment> experiments);

}  // namespace moecap::report
