// What the JSON library threw, in our own words: users see no name of a library and no number of its errors.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace moecap {

// "the key \"kind\" is missing", "a string is expected where a number stands", "line 1, column 2".
std::string ReasonOf(const nlohmann::detail::exception& error);

}  // namespace moecap
