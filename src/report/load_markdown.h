// A load test as Markdown (GitHub tables), for issues and pull requests.
#pragma once

#include <string>

#include "metrics/load_summary.h"
#include "report/load_tables.h"

namespace moecap::report {

// Everything that the terminal shows, the tables of each load included. Texts of the test are escaped.
std::string RenderLoadMarkdown(const metrics::LoadTestSummary& summary);

// One table under a heading; empty without rows.
std::string MarkdownTable(const LoadTable& table);

}  // namespace moecap::report
