// Well-formed UTF-8 (RFC 3629).
#pragma once

#include <cstddef>
#include <string_view>

namespace moecap::openai {

// Length of the well-formed sequence at the beginning of a text that is not empty; 0 = none.
size_t Utf8Length(std::string_view text);

}  // namespace moecap::openai
