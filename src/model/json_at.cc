#include "model/json_at.h"

#include <cctype>
#include <nlohmann/json.hpp>

namespace moecap::model {

const Json* ValueAt(const Json& object, std::string_view key) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(std::string(key));
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

const Json* ObjectAt(const Json& object, std::string_view key) {
  const Json* value = ValueAt(object, key);
  return value != nullptr && value->is_object() ? value : nullptr;
}

std::string TextAt(const Json& object, std::string_view key, std::string_view fallback) {
  const Json* value = ValueAt(object, key);
  return value != nullptr && value->is_string() ? value->get<std::string>() : std::string(fallback);
}

int64_t IntAt(const Json& object, std::string_view key, int64_t fallback) {
  const Json* value = ValueAt(object, key);
  return value != nullptr && value->is_number_integer() ? value->get<int64_t>() : fallback;
}

bool FlagAt(const Json& object, std::string_view key, bool fallback) {
  const Json* value = ValueAt(object, key);
  return value != nullptr && value->is_boolean() ? value->get<bool>() : fallback;
}

std::string LowerCase(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return lower;
}

}  // namespace moecap::model
