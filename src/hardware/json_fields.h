// Reading and writing JSON keys. Internal to hardware/.
#pragma once

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <optional>

#include "base/json.h"
#include "base/result.h"

namespace moecap::hardware {

template <typename T>
Json OrNull(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

// Copies `json[key]` into `out`; the library's exceptions end here.
template <typename T>
Status Read(const Json& json, const char* key, T& out) {
  const auto found = json.find(key);
  if (found == json.end()) return BadInput(fmt::format("the key '{}' is missing", key));
  try {
    out = found->get<T>();
  } catch (const Json::exception&) {
    return BadInput(fmt::format("the key '{}' holds {}, which has the wrong type", key, DumpJson(*found)));
  }
  return {};
}

template <typename T>
Status Read(const Json& json, const char* key, std::optional<T>& out) {
  const auto found = json.find(key);
  out.reset();
  if (found == json.end() || found->is_null()) return {};
  T value{};
  RETURN_IF_ERROR(Read(json, key, value));
  out = std::move(value);
  return {};
}

}  // namespace moecap::hardware
