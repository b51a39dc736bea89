// A run as Markdown (GitHub tables), for issues and pull requests.
#pragma once

#include <string>

#include "cap/summary.h"

namespace moecap::report {

// The header, the tables of figures.h, the CAP scores and the notes. Texts of the run are escaped.
std::string RenderMarkdown(const cap::RunSummary& summary);

// `text` with the characters escaped that Markdown or HTML would interpret.
std::string EscapeMarkdown(const std::string& text);

}  // namespace moecap::report
