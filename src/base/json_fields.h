// Structs as JSON objects, both ways, from one list of their fields. A struct takes part by a function in its own namespace
// (not an unnamed one, where nobody would look):
//
//   void Fields(auto& archive, JsonFieldsOf<Measurement> auto& value) {
//     archive("level", value.level);
//     archive("energy_j", value.energy_j);  // an optional: null, and may be absent when read
//   }
//
// and an enum by `constexpr auto JsonNames(Enum) -> std::array<std::pair<Enum, const char*>, N>`. Numbers, strings, paths,
// vectors, optionals and maps from strings nest. A reader leaves a field whose key is absent or null as the struct has it.
// Heavy: include it in .cc files only.
#pragma once

#include <fmt/format.h>

#include <concepts>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace moecap {

template <typename T, typename Struct>
concept JsonFieldsOf = std::same_as<std::remove_const_t<T>, Struct>;

namespace json_fields {

template <typename T>
concept Number = std::is_arithmetic_v<T>;
template <typename T>
concept Enum = std::is_enum_v<T>;

class Writer {
 public:
  void operator()(const char* key, const auto& field) { json_[key] = Write(field); }
  Json Take() && { return std::move(json_); }

  template <Number T>
  static Json Write(const T& value) {
    return value;
  }
  static Json Write(const std::string& value) { return value; }
  static Json Write(const std::filesystem::path& value) { return value.string(); }
  static Json Write(const Json& value) { return value; }
  template <Enum E>
  static Json Write(const E& value) {
    for (const auto& [known, name] : JsonNames(value)) {
      if (known == value) return name;
    }
    return nullptr;
  }
  template <typename T>
  static Json Write(const std::optional<T>& value) {
    return value ? Write(*value) : Json(nullptr);
  }
  template <typename T>
  static Json Write(const std::vector<T>& values) {
    Json json = Json::array();
    for (const auto& value : values) json.push_back(Write(value));
    return json;
  }
  template <typename T>
  static Json Write(const std::map<std::string, T>& values) {
    Json json = Json::object();
    for (const auto& [key, value] : values) json[key] = Write(value);
    return json;
  }
  template <typename T>
  static Json Write(const T& value) {
    Writer writer;
    Fields(writer, value);
    return std::move(writer).Take();
  }

 private:
  Json json_ = Json::object();
};

// Reads one object; the first error of the whole document is kept in `error`.
class Reader {
 public:
  Reader(const Json& json, std::string path, std::optional<Error>& error)
      : json_(json), path_(std::move(path)), error_(error) {}

  template <typename T>
  void operator()(const char* key, T& field) {
    if (error_) return;
    const auto found = json_.find(key);
    if (found == json_.end() || found->is_null()) return;
    Read(*found, path_.empty() ? key : path_ + "." + key, field);
  }

  void Read(const Json& value, const std::string& where, std::string& field) {
    if (!value.is_string()) return Fail(where, "a string", value);
    field = value.get<std::string>();
  }
  void Read(const Json& value, const std::string& where, std::filesystem::path& field) {
    std::string text;
    Read(value, where, text);
    field = text;
  }
  void Read(const Json& value, const std::string&, Json& field) { field = value; }
  void Read(const Json& value, const std::string& where, bool& field) {
    if (!value.is_boolean()) return Fail(where, "true or false", value);
    field = value.get<bool>();
  }
  template <std::floating_point T>
  void Read(const Json& value, const std::string& where, T& field) {
    if (!value.is_number()) return Fail(where, "a number", value);
    field = value.get<T>();
  }
  template <std::integral T>
  void Read(const Json& value, const std::string& where, T& field) {
    if (!value.is_number_integer()) return Fail(where, "an integer", value);
    const bool fits =
        value.is_number_unsigned() ? std::in_range<T>(value.get<uint64_t>()) : std::in_range<T>(value.get<int64_t>());
    if (!fits) return Fail(where, "an integer in range", value);
    field = value.get<T>();
  }
  template <Enum E>
  void Read(const Json& value, const std::string& where, E& field) {
    std::string choices;
    for (const auto& [known, name] : JsonNames(field)) {
      if (value == name) {
        field = known;
        return;
      }
      choices += (choices.empty() ? "" : ", ") + std::string(name);
    }
    Fail(where, "one of " + choices, value);
  }
  template <typename T>
  void Read(const Json& value, const std::string& where, std::optional<T>& field) {
    Read(value, where, field.emplace());
  }
  template <typename T>
  void Read(const Json& value, const std::string& where, std::vector<T>& field) {
    if (!value.is_array()) return Fail(where, "an array", value);
    field.clear();
    for (size_t i = 0; i < value.size(); ++i) Read(value[i], fmt::format("{}[{}]", where, i), field.emplace_back());
  }
  template <typename T>
  void Read(const Json& value, const std::string& where, std::map<std::string, T>& field) {
    if (!value.is_object()) return Fail(where, "an object", value);
    field.clear();
    for (const auto& [key, entry] : value.items()) Read(entry, where + "." + key, field[key]);
  }
  template <typename T>
  void Read(const Json& value, const std::string& where, T& field) {
    if (!value.is_object()) return Fail(where, "an object", value);
    Reader reader(value, where, error_);
    Fields(reader, field);
  }

 private:
  void Fail(const std::string& where, const std::string& expected, const Json& found) {
    if (!error_) error_ = BadInput(fmt::format("{}: expected {}, found {}", where, expected, found.type_name()));
  }

  const Json& json_;
  std::string path_;  // of this object: "systems[0].cells[1]"
  std::optional<Error>& error_;
};

}  // namespace json_fields

template <typename T>
Json ToJsonFields(const T& value) {
  return json_fields::Writer::Write(value);
}

// Error: kBadInput naming the first key that is wrong and what it should hold.
template <typename T>
Result<T> FromJsonFields(const Json& json, const std::string& where = "") {
  Result<T> result{T()};
  std::optional<Error> error;
  json_fields::Reader reader(json, where, error);
  reader.Read(json, where, result.value());
  if (error) return *error;
  return result;
}

}  // namespace moecap
