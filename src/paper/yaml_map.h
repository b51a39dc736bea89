// Reading a YAML mapping whose every key is checked; internal to paper/. The first error of a file is kept, later reads return
// defaults, so that readers need no error handling of their own.
#pragma once

#include <yaml-cpp/yaml.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "paper/claim.h"

namespace moecap::paper {

// The largest batch, context or number of devices: products of two of them still fit an int64_t.
inline constexpr double kMostCount = 1e9;

class FirstError {
 public:
  void Add(int line, std::string message);
  bool empty() const { return message_.empty(); }
  int line() const { return line_; }
  const std::string& message() const { return message_; }

 private:
  int line_ = 0;
  std::string message_;
};

class YamlMap {
 public:
  // `where` names the mapping in messages: "the claim \"r1\"".
  YamlMap(const YAML::Node& node, std::string where, FirstError& errors);

  bool Has(const char* key);
  // Each asks for `key`; the ones without "Optional" add an error when it is absent.
  std::string Text(const char* key);
  std::string OptionalText(const char* key);
  Name NameOf(const char* key);
  // A number as printed; at least `least`.
  Printed Number(const char* key, double least = 0);
  std::optional<Printed> OptionalNumber(const char* key, double least = 0);
  // More than 0.
  double Positive(const char* key);
  int64_t Integer(const char* key, int64_t least, int64_t otherwise);
  std::optional<int64_t> OptionalInteger(const char* key, int64_t least);
  // Numbers of at least `least`, ascending, `fewest` or more.
  std::vector<double> Ascending(const char* key, double least, size_t fewest);
  std::vector<std::string> Texts(const char* key);
  YamlMap Map(const char* key);
  // Calls `read` with each mapping of the list; an error when it is absent, empty or no list.
  void ForEach(const char* key, const std::function<void(YamlMap&)>& read);

  // After every key was asked for: refuses unknown and repeated ones, and names the unit that a key should have had.
  void RefuseUnknownKeys();

  int line() const { return line_; }
  FirstError& errors() { return *errors_; }

 private:
  YAML::Node Child(const char* key);
  YAML::Node Required(const char* key);
  Printed Convert(const YAML::Node& node, const char* key, double least);
  void AddUnknown(const std::string& key, int line);

  YAML::Node node_;
  std::string where_;
  FirstError* errors_;
  std::set<std::string> known_;
  int line_ = 0;
};

}  // namespace moecap::paper
