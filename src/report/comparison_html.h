// A comparison as one HTML page that needs nothing else: no network, no script, no external font. Light, dark, phone and print.
#pragma once

#include <string>

#include "cap/comparison.h"
#include "report/svg.h"

namespace moecap::report {

// The radar in the chosen normalisation; empty when no system has a score.
std::string DrawComparisonRadar(const cap::Comparison& comparison, SvgMode mode);

std::string RenderComparisonHtml(const cap::Comparison& comparison);

}  // namespace moecap::report
