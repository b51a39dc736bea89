#include "base/json_error.h"

#include <fmt/format.h>

#include <string_view>

namespace moecap {
namespace {

std::string_view Between(std::string_view text, std::string_view before, std::string_view after) {
  const size_t at = text.find(before);
  if (at == std::string_view::npos) return {};
  text.remove_prefix(at + before.size());
  return text.substr(0, text.find(after));
}

}  // namespace

std::string ReasonOf(const nlohmann::detail::exception& error) {
  constexpr int kParseError = 101, kWrongType = 302, kMissingKey = 403;
  const std::string_view what = error.what();
  if (error.id == kParseError) {
    const std::string_view place = Between(what, "parse error at ", ":");
    return place.empty() ? "a value ends where none may end" : std::string(place);
  }
  if (error.id == kMissingKey) return fmt::format("the key \"{}\" is missing", Between(what, "key '", "' not found"));
  if (error.id == kWrongType) {
    const std::string_view expected = Between(what, "type must be ", ","), found = Between(what, "but is ", "\n");
    if (!expected.empty() && !found.empty()) return fmt::format("{} is expected where {} stands", expected, found);
  }
  return "a value is not of the kind that is expected";
}

}  // namespace moecap
