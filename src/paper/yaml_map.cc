#include "paper/yaml_map.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <cmath>
#include <string_view>

#include "base/fs.h"

namespace moecap::paper {
namespace {

int LineOf(const YAML::Node& node) { return node.Mark().line + 1; }

// Units that end a key, the longer ones of equal endings first.
constexpr std::array<std::string_view, 17> kUnitSuffixes = {
    "_bytes_per_s", "_gb_per_s", "_tb_per_s", "_tokens_per_s", "_percent", "_bytes", "_gib", "_gb", "_usd",
    "_eur",         "_kw",       "_w",        "_ms",           "_us",      "_min",   "_s",   "_h"};

std::string_view UnitOf(std::string_view key) {
  for (const std::string_view suffix : kUnitSuffixes) {
    if (key.ends_with(suffix)) return suffix;
  }
  return "";
}

std::string_view WithoutUnit(std::string_view key) { return key.substr(0, key.size() - UnitOf(key).size()); }

}  // namespace

void FirstError::Add(int line, std::string message) {
  if (!message_.empty()) return;
  line_ = line;
  message_ = std::move(message);
}

YamlMap::YamlMap(const YAML::Node& node, std::string where, FirstError& errors)
    : node_(YAML::NodeType::Map), where_(std::move(where)), errors_(&errors) {
  if (node.IsDefined()) line_ = LineOf(node);
  if (node.IsDefined() && node.IsMap()) {
    node_.reset(node);
  } else {
    errors.Add(line_, fmt::format("{} must be a mapping of keys to values", where_));
  }
}

YAML::Node YamlMap::Child(const char* key) {
  known_.insert(key);
  const YAML::Node& node = node_;  // the const operator does not insert the key
  return node[key];
}

YAML::Node YamlMap::Required(const char* key) {
  const YAML::Node child = Child(key);
  if (child.IsDefined() && !child.IsNull()) return child;
  for (const auto& entry : node_) {  // a near miss says more than "missing"
    const std::string other = entry.first.IsScalar() ? entry.first.Scalar() : "";
    if (other != key && WithoutUnit(other) == WithoutUnit(key)) AddUnknown(other, LineOf(entry.first));
  }
  errors_->Add(line_, fmt::format("\"{}\" is missing in {}", key, where_));
  return YAML::Node();
}

bool YamlMap::Has(const char* key) {
  const YAML::Node child = Child(key);
  return child.IsDefined() && !child.IsNull();
}

std::string YamlMap::Text(const char* key) {
  const YAML::Node child = Required(key);
  if (child.IsNull()) return "";
  if (child.IsScalar() && !child.Scalar().empty()) return child.Scalar();
  errors_->Add(LineOf(child), fmt::format("\"{}\" must be text", key));
  return "";
}

std::string YamlMap::OptionalText(const char* key) { return Has(key) ? Text(key) : ""; }

Name YamlMap::NameOf(const char* key) {
  const YAML::Node child = Child(key);
  return {Text(key), child.IsDefined() ? LineOf(child) : line_};
}

Printed YamlMap::Convert(const YAML::Node& node, const char* key, double least) {
  if (node.IsNull()) return {};
  const auto printed = node.IsScalar() ? ParsePrinted(node.Scalar()) : Result<Printed>(BadInput("a list or mapping"));
  if (!printed.ok()) {
    const std::string_view unit = UnitOf(key);
    errors_->Add(LineOf(node),
                 fmt::format("\"{}\" must be a plain number{}, not {}", key,
                             unit.empty() ? "" : fmt::format(" (its unit, \"{}\", is in the key)", unit.substr(1)),
                             node.IsScalar() ? fmt::format("\"{}\"", node.Scalar()) : "a list or mapping"));
    return {};
  }
  if (printed->value < least) {
    errors_->Add(LineOf(node), fmt::format("\"{}\" is {}; it must be at least {:g}", key, node.Scalar(), least));
    return {};
  }
  return *printed;
}

Printed YamlMap::Number(const char* key, double least) { return Convert(Required(key), key, least); }

std::optional<Printed> YamlMap::OptionalNumber(const char* key, double least) {
  if (!Has(key)) return std::nullopt;
  return Number(key, least);
}

double YamlMap::Positive(const char* key) {
  const YAML::Node child = Required(key);
  const double value = Convert(child, key, 0).value;
  if (!child.IsNull() && !(value > 0)) errors_->Add(LineOf(child), fmt::format("\"{}\" must be more than 0", key));
  return value > 0 ? value : 1;
}

std::optional<int64_t> YamlMap::OptionalInteger(const char* key, int64_t least) {
  if (!Has(key)) return std::nullopt;
  const YAML::Node child = Child(key);
  const double value = Convert(child, key, static_cast<double>(least)).value;
  if (value != std::floor(value) || value > kMostCount) {
    errors_->Add(LineOf(child),
                 fmt::format("\"{}\" must be a whole number of at most {:g}, not {}", key, kMostCount, child.Scalar()));
    return least;
  }
  return static_cast<int64_t>(value);
}

int64_t YamlMap::Integer(const char* key, int64_t least, int64_t otherwise) {
  return OptionalInteger(key, least).value_or(otherwise);
}

std::vector<double> YamlMap::Ascending(const char* key, double least, size_t fewest) {
  const YAML::Node child = Required(key);
  std::vector<double> values;
  if (child.IsNull()) return values;
  if (!child.IsSequence() || child.size() < fewest) {
    errors_->Add(LineOf(child), fmt::format("\"{}\" must be a list of at least {} numbers", key, fewest));
    return values;
  }
  for (const YAML::Node& entry : child) {
    values.push_back(Convert(entry, key, least).value);
    if (values.size() > 1 && !(values.back() > values[values.size() - 2]))
      errors_->Add(LineOf(entry), fmt::format("\"{}\" must be in ascending order", key));
  }
  return values;
}

std::vector<std::string> YamlMap::Texts(const char* key) {
  const YAML::Node child = Required(key);
  std::vector<std::string> texts;
  if (child.IsNull()) return texts;
  if (!child.IsSequence() || child.size() == 0) {
    errors_->Add(LineOf(child), fmt::format("\"{}\" must be a list of texts", key));
    return texts;
  }
  for (const YAML::Node& entry : child) {
    if (!entry.IsScalar()) errors_->Add(LineOf(entry), fmt::format("\"{}\" must be a list of texts", key));
    texts.push_back(entry.IsScalar() ? entry.Scalar() : "");
  }
  return texts;
}

YamlMap YamlMap::Map(const char* key) { return {Required(key), fmt::format("\"{}\" of {}", key, where_), *errors_}; }

void YamlMap::ForEach(const char* key, const std::function<void(YamlMap&)>& read) {
  const YAML::Node child = Required(key);
  if (child.IsNull()) return;
  if (!child.IsSequence() || child.size() == 0) {
    errors_->Add(LineOf(child), fmt::format("\"{}\" must be a list with at least one entry", key));
    return;
  }
  for (const YAML::Node& entry : child) {
    YamlMap map(entry, fmt::format("an entry of \"{}\"", key), *errors_);
    read(map);
    map.RefuseUnknownKeys();
  }
}

void YamlMap::AddUnknown(const std::string& key, int line) {
  for (const std::string& known : known_) {
    if (WithoutUnit(known) != WithoutUnit(key)) continue;
    errors_->Add(line, fmt::format("\"{}\" in {} has another unit than this program reads; give \"{}\"", key, where_, known));
    return;
  }
  const std::string nearest = NearestWord(key, {known_.begin(), known_.end()});
  errors_->Add(line, fmt::format("unknown key \"{}\" in {}; {}", key, where_,
                                 nearest.empty() ? fmt::format("known keys: {}", fmt::join(known_, ", "))
                                                 : fmt::format("did you mean \"{}\"?", nearest)));
}

void YamlMap::RefuseUnknownKeys() {
  std::set<std::string> seen;
  for (const auto& entry : node_) {
    const std::string key = entry.first.IsScalar() ? entry.first.Scalar() : "";
    if (!seen.insert(key).second) errors_->Add(LineOf(entry.first), fmt::format("\"{}\" is given twice in {}", key, where_));
    if (!known_.contains(key)) AddUnknown(key, LineOf(entry.first));
  }
}

}  // namespace moecap::paper
