// moecap report of load tests.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "app/cli/output.h"
#include "app/cli/report_compat.h"
#include "base/result.h"

namespace moecap::app {

// Those that load tests have.
std::vector<ReportFormat> LoadReportFormats();

// Prints the only format (none: terminal), or writes one folder a load test into `write_to`. Errors: kBadInput for a format
// that load tests do not have, and for several on stdout.
Status ReportLoadTests(const std::vector<std::filesystem::path>& dirs, std::vector<ReportFormat> formats, const VllmFlags& vllm,
                       const std::string& write_to);

}  // namespace moecap::app
