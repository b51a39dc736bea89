// JSON as Python's json module writes it, which writes every config.json.
#pragma once

#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace moecap::model {

// NaN, Infinity and -Infinity stand for values, and are read as null. Errors as of ParseJson.
Result<Json> ParsePythonJson(std::string_view text);

}  // namespace moecap::model
