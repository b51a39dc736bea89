// Names that are a plain part of a path on every machine, and of a shell's line without quotes.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

namespace moecap {

inline constexpr size_t kLongestPlainName = 100;
// What a user is told.
inline constexpr const char* kPlainNameRule = "use letters, digits, \"_\", \".\" and \"-\", 100 at most, and no \".\" first";

inline bool IsPlainNameChar(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
}

// 1 to 100 letters, digits, "_", "." and "-", the first no ".".
inline bool IsPlainName(std::string_view name) {
  return !name.empty() && name.size() <= kLongestPlainName && name.front() != '.' && std::ranges::all_of(name, IsPlainNameChar);
}

// The first 100 characters with "-" for each that does not belong there; empty for an empty one.
inline std::string PlainNameOf(std::string_view text) {
  std::string name(text.substr(0, kLongestPlainName));
  std::ranges::replace_if(
      name, [](char c) { return !IsPlainNameChar(c); }, '-');
  if (name.starts_with('.')) name.front() = '-';
  return name;
}

}  // namespace moecap
