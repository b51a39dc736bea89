// base/yaml.h with what claims need on top: keys that must be there, numbers as printed, and units that are checked. Internal
// to audit/. After a complaint reads return defaults; the caller looks at the errors once, at the end.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "audit/claim.h"
#include "base/yaml.h"

namespace moecap::audit {

// The largest batch, context or number of devices: products of two of them still fit an int64_t.
inline constexpr double kMostCount = 1e9;

class ClaimMap {
 public:
  // `where` names the mapping in messages: "the claim file". `node` and `errors` must outlive it.
  ClaimMap(const YamlNode& node, std::string where, YamlErrors& errors);

  bool Has(std::string_view key);
  // Each asks for `key`; the ones without "Optional" complain when it is absent.
  std::string Text(std::string_view key);
  std::string OptionalText(std::string_view key);
  Name NameOf(std::string_view key);
  // A number as printed; at least `least`.
  Printed Number(std::string_view key, double least = 0);
  std::optional<Printed> OptionalNumber(std::string_view key, double least = 0);
  // More than 0.
  double Positive(std::string_view key);
  int64_t Integer(std::string_view key, int64_t least, int64_t otherwise);
  std::optional<int64_t> OptionalInteger(std::string_view key, int64_t least);
  // Numbers of at least `least`, ascending, `fewest` or more.
  std::vector<double> Ascending(std::string_view key, double least, size_t fewest);
  std::vector<std::string> Texts(std::string_view key);
  ClaimMap Map(std::string_view key);
  // Calls `read` with each mapping of the list, then refuses its other keys. Complains when it is absent, empty or no list.
  void ForEach(std::string_view key, const std::function<void(ClaimMap&)>& read);

  // After every key was asked for: refuses unknown and repeated ones, and names the unit that a key should have had.
  void RefuseUnknownKeys();

  int line() const { return map_.line(); }
  void Complain(int line, const std::string& message) { errors_.Add(line, message); }

 private:
  const YamlNode* Child(std::string_view key);
  const YamlNode* Required(std::string_view key);  // null after the complaint that it is absent
  Printed Convert(const YamlNode& node, std::string_view key, double least);
  void RefuseOtherUnits();

  const YamlNode& node_;
  YamlMap map_;
  YamlErrors& errors_;
  std::set<std::string> known_;
};

}  // namespace moecap::audit
