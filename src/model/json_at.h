// Fields of a JSON object with a fallback when they are absent or of another type. Private to the readers of configs.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/json.h"

namespace moecap::model {

std::string TextAt(const Json& object, std::string_view key, std::string_view fallback = "");
int64_t IntAt(const Json& object, std::string_view key, int64_t fallback);
bool FlagAt(const Json& object, std::string_view key, bool fallback);
// The value of `key`; null when `object` is no object, the key is absent or its value is null.
const Json* ValueAt(const Json& object, std::string_view key);
// The same, when it is an object.
const Json* ObjectAt(const Json& object, std::string_view key);

std::string LowerCase(std::string_view text);

}  // namespace moecap::model
