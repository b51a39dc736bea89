// JSON as Python's json module writes it, which writes every config.json and most results of benchmarks.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace moecap {

// How its infinities are read, which JSON has not; NaN is null always.
enum class Infinity : uint8_t { kNull, kText };  // kText: "inf" and "-inf", where they mean something

// Errors as of ParseJson.
Result<Json> ParsePythonJson(std::string_view text, Infinity infinity = Infinity::kNull);

}  // namespace moecap
