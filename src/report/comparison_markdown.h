// A comparison as Markdown.
#pragma once

#include <string>

#include "cap/comparison.h"

namespace moecap::report {

std::string RenderComparisonMarkdown(const cap::Comparison& comparison);

}  // namespace moecap::report
