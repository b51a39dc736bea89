// A run as one HTML page that needs nothing else: no network, no script, no external font. Light, dark, phone and print.
#pragma once

#include <string>

#include "cap/summary.h"
#include "report/html_style.h"

namespace moecap::report {

// The whole document. Stays under 2 MB: expert heat maps that would not fit are named instead of drawn.
std::string RenderHtml(const cap::RunSummary& summary);

}  // namespace moecap::report
