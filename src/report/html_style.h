// The style sheet of the pages.
#pragma once

#include <string_view>

namespace moecap::report {

// Without that of the charts (svg.h) and without <style> tags.
std::string_view PageStyle();

}  // namespace moecap::report
