#include "model/hf_fields.h"

#include <fmt/format.h>

#include <charconv>
#include <nlohmann/json.hpp>

namespace moecap::model {
namespace {

constexpr int64_t kMost = int64_t{1} << 24;

const Json* FindIn(const Json& object, std::string_view name) {
  const Json* at = &object;
  while (true) {
    if (!at->is_object()) return nullptr;
    const size_t dot = name.find('.');
    const auto found = at->find(std::string(name.substr(0, dot)));
    if (found == at->end() || found->is_null()) return nullptr;
    at = &*found;
    if (dot == std::string_view::npos) return at;
    name.remove_prefix(dot + 1);
  }
}

}  // namespace

const Json* HfFields::Find(std::string_view name) const {
  if (const Json* found = FindIn(*text_, name)) return found;
  return FindIn(*root_, name);
}

void HfFields::Fail(std::string message) {
  if (!error_) error_ = BadInput(std::move(message));
}

int64_t HfFields::Checked(std::string_view name, const Json& value, int layer, int64_t least) {
  const Json* entry = &value;
  if (value.is_array()) {
    if (layer < 0 || static_cast<size_t>(layer) >= value.size()) {
      Fail(fmt::format("the field '{}' has {} entries, none for layer {}", name, value.size(), layer));
      return 1;
    }
    entry = &value[static_cast<size_t>(layer)];
  }
  if (!entry->is_number()) {
    Fail(fmt::format("the field '{}' is not a number", name));
    return 1;
  }
  const double number = entry->get<double>();
  if (!(number >= static_cast<double>(least)) || number > static_cast<double>(kMost) ||
      number != static_cast<double>(static_cast<int64_t>(number))) {
    Fail(fmt::format("the field '{}' is {}, not a whole number from {} to {}", name, number, least, kMost));
    return 1;
  }
  return static_cast<int64_t>(number);
}

int64_t HfFields::Need(Names names, int layer) {
  for (const std::string_view name : names) {
    if (const Json* value = Find(name)) return Checked(name, *value, layer, 1);
  }
  std::string known(*names.begin());
  for (const auto* name = names.begin() + 1; name != names.end(); ++name) known += fmt::format("' or '{}", *name);
  Fail(fmt::format("the field '{}' is missing", known));
  return 1;
}

int64_t HfFields::Optional(Names names, int64_t fallback, int layer) {
  for (const std::string_view name : names) {
    if (const Json* value = Find(name)) return Checked(name, *value, layer, 0);
  }
  return fallback;
}

bool HfFields::Flag(std::string_view name, bool fallback) const {
  const Json* value = Find(name);
  if (value == nullptr) return fallback;
  if (value->is_boolean()) return value->get<bool>();
  if (value->is_number()) return value->get<double>() != 0;
  return fallback;
}

std::string HfFields::Text(std::string_view name, std::string_view fallback) const {
  const Json* value = Find(name);
  return value != nullptr && value->is_string() ? value->get<std::string>() : std::string(fallback);
}

std::vector<int64_t> HfFields::Numbers(std::string_view name) {
  std::vector<int64_t> numbers;
  const Json* value = Find(name);
  if (value == nullptr) return numbers;
  if (value->is_string()) {
    const auto text = value->get<std::string>();
    for (const char* at = text.data(); at < text.data() + text.size();) {
      int64_t number = 0;
      const auto [end, error] = std::from_chars(at, text.data() + text.size(), number);
      if (error == std::errc()) numbers.push_back(number);
      at = error == std::errc() ? end : at + 1;
    }
    return numbers;
  }
  if (!value->is_array()) {
    Fail(fmt::format("the field '{}' is not a list", name));
    return numbers;
  }
  for (const Json& entry : *value) {
    if (entry.is_boolean()) {
      numbers.push_back(entry.get<bool>() ? 1 : 0);
    } else if (entry.is_number_integer()) {
      numbers.push_back(entry.get<int64_t>());
    } else {
      Fail(fmt::format("the field '{}' has an entry that is not a whole number", name));
      return numbers;
    }
  }
  return numbers;
}

std::vector<std::string> HfFields::Words(std::string_view name) {
  std::vector<std::string> words;
  const Json* value = Find(name);
  if (value == nullptr) return words;
  if (!value->is_array()) {
    Fail(fmt::format("the field '{}' is not a list", name));
    return words;
  }
  for (const Json& entry : *value) {
    if (!entry.is_string()) {
      Fail(fmt::format("the field '{}' has an entry that is not a string", name));
      return words;
    }
    words.push_back(entry.get<std::string>());
  }
  return words;
}

void HfFields::NeedLength(std::string_view name, size_t have, size_t size) {
  if (have < size) Fail(fmt::format("the field '{}' has {} entries for {} layers", name, have, size));
}

}  // namespace moecap::model
