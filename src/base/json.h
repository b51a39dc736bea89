// JSON text to value and back without exceptions. Include <nlohmann/json.hpp> only in .cc files.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace moecap {

// Keys keep the order in which they were written, so that what we print reads well.
using Json = nlohmann::ordered_json;

inline constexpr int kMostJsonDepth = 512;

// Error: kBadInput with the parser's place and reason; also when arrays and objects nest deeper than kMostJsonDepth.
Result<Json> ParseJson(std::string_view text);

// One line without spaces. Invalid UTF-8 becomes U+FFFD; NaN and infinities become null.
std::string DumpJson(const Json& value);
// Indented by two spaces, ending in a newline.
std::string DumpJsonPretty(const Json& value);

// The value, or JSON's null for what is not known. A template of the document's type too, which is not complete here.
template <typename T, typename Document = Json>
Document OrNull(const std::optional<T>& value) {
  return value ? Document(*value) : Document(nullptr);
}

}  // namespace moecap
