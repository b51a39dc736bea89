// A load test as one HTML page that needs nothing else: no network, no script, no external font. Light, dark, phone and print.
#pragma once

#include <string>

#include "metrics/load_summary.h"

namespace moecap::report {

std::string RenderLoadHtml(const metrics::LoadTestSummary& summary);

}  // namespace moecap::report
