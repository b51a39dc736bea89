#include "base/json.h"

#include <nlohmann/json.hpp>

namespace moecap {

Result<Json> ParseJson(std::string_view text) {
  try {
    return Json::parse(text);
  } catch (const Json::exception& error) {
    std::string reason = error.what();
    // "[json.exception.parse_error.101] parse error at line 1, column 2: ..." -> from "parse error" on.
    if (const size_t close = reason.find("] "); close != std::string::npos) reason.erase(0, close + 2);
    return BadInput("not valid JSON: " + reason);
  }
}

std::string DumpJson(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

std::string DumpJsonPretty(const Json& value) { return value.dump(2, ' ', false, Json::error_handler_t::replace) + "\n"; }

}  // namespace moecap
