// Quirks of answers (record::RequestRecord::quirks) that others look for.
#pragma once

#include <string_view>

namespace moecap::load {

// How one begins that says that a server changed its model on the way.
inline constexpr std::string_view kOtherModelQuirk = "the answer names another model than the first one";

}  // namespace moecap::load
