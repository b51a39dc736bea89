// YAML text as a tree of plain values that know their lines, and a reader of mappings whose complaints name key, line and
// remedy.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace moecap {

struct YamlNode {
  enum class Kind { kNull, kScalar, kList, kMap };
  Kind kind = Kind::kNull;
  int line = 0;                 // counted from 1
  std::string key;              // of an entry of a mapping
  int key_line = 0;             // of that key
  std::string scalar;           // kScalar
  bool quoted = false;          // kScalar: in quotes, so text whatever it spells
  std::vector<YamlNode> items;  // kList and kMap, in the order of the file
};

// Anchors count as often as they are used.
inline constexpr int kMostYamlNodes = 20000;
inline constexpr int kMostYamlDepth = 32;

// Errors: kBadInput "FILE:LINE: what is wrong" for text that is not YAML, gives a key twice, is too large or nests too deep.
Result<YamlNode> ParseYaml(std::string_view text, const std::string& file);

// The same document, an entry of its uppermost mapping a line: ParseYaml reads the same tree from it but for lines.
std::string FormatYaml(const YamlNode& root);

// Keeps the first complaint about one file.
class YamlErrors {
 public:
  explicit YamlErrors(std::string file) : file_(std::move(file)) {}

  void Add(int line, const std::string& message);
  // Of a module that knows no lines.
  void Add(int line, const Error& error) { Add(line, error.message); }
  bool empty() const { return !first_.has_value(); }
  // Requires !empty(): "FILE:LINE: message", kBadInput.
  const Error& first() const;

 private:
  std::string file_;
  std::optional<Error> first_;
};

// One mapping: hands out values by key and complains about keys that nobody asked for. After a complaint the values are null or
// empty; the caller reads on and looks at the errors once, at the end. `node` and `errors` must outlive it.
class YamlMap {
 public:
  // `where` names the mapping in messages: "a system". A node that is no mapping is a complaint, and reads as an empty one.
  YamlMap(const YamlNode& node, std::string where, YamlErrors& errors);

  // Null when the key is absent.
  const YamlNode* Child(std::string_view key);
  std::optional<std::string> String(std::string_view key);
  std::optional<double> Number(std::string_view key);  // finite
  std::optional<int64_t> Integer(std::string_view key, int64_t least, int64_t most);
  std::optional<bool> Boolean(std::string_view key);
  // A list that is not empty; empty when the key is absent.
  std::vector<int64_t> Integers(std::string_view key, int64_t least, int64_t most);
  // The index in `choices` of the value.
  std::optional<size_t> Choice(std::string_view key, std::initializer_list<std::string_view> choices);

  // The line of the key's value, of the mapping when it is absent.
  int LineOf(std::string_view key) const;
  int line() const { return node_.line; }
  const std::string& where() const { return where_; }
  void Complain(std::string_view key, const std::string& message) { errors_.Add(LineOf(key), message); }

  // Call after every key was asked for.
  void RefuseUnknownKeys() const;

 private:
  const YamlNode* Scalar(std::string_view key, std::string_view type_name);

  const YamlNode& node_;
  std::string where_;
  YamlErrors& errors_;
  std::set<std::string> known_;
};

// Block style, in the order of the keys; lists of plain values on one line. Reads back to the same values.
std::string ToYaml(const Json& value);

// The number that `text` spells, without anything around it; null for infinities and NaN.
std::optional<double> ParseNumber(std::string_view text);

}  // namespace moecap
