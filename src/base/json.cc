#include "base/json.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/json_error.h"

namespace moecap {

namespace {

// How deep arrays and objects nest in `text`, at most; brackets in strings do not count. Stops at `limit`.
int Depth(std::string_view text, int limit) {
  int depth = 0, deepest = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size() && deepest < limit; ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      deepest = std::max(deepest, ++depth);
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return deepest;
}

}  // namespace

Result<Json> ParseJson(std::string_view text) {
  // The parser itself keeps no stack, but writing and copying a value recurse.
  if (Depth(text, kMostJsonDepth + 1) > kMostJsonDepth) {
    return BadInput(fmt::format("not usable JSON: arrays and objects nest deeper than {} levels", kMostJsonDepth));
  }
  try {
    return Json::parse(text);
  } catch (const Json::exception& error) {
    return BadInput("not valid JSON: " + ReasonOf(error));
  }
}

std::string DumpJson(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

std::string DumpJsonPretty(const Json& value) { return value.dump(2, ' ', false, Json::error_handler_t::replace) + "\n"; }

}  // namespace moecap
