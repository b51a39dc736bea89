// A run as one HTML page that needs nothing else: no network, no script, no external font. Light, dark, phone and print.
#pragma once

#include <string>
#include <string_view>

#include "cap/summary.h"

namespace moecap::report {

// The whole document. Stays under 2 MB: expert heat maps that would not fit are named instead of drawn.
std::string RenderHtml(const cap::RunSummary& summary);

// The style sheet of the page (without that of the charts).
std::string_view PageStyle();

}  // namespace moecap::report
