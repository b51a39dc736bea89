#include "audit/claim_map.h"

#include <fmt/format.h>

#include <array>
#include <cmath>

namespace moecap::audit {
namespace {

// Units that end a key, the longer ones of equal endings first.
constexpr std::array<std::string_view, 17> kUnitSuffixes = {
    "_tokens_per_s", "_bytes_per_s", "_gb_per_s", "_tb_per_s", "_percent", "_bytes", "_gib", "_gb", "_usd",
    "_eur",          "_kw",          "_w",        "_ms",       "_us",      "_min",   "_s",   "_h"};

std::string_view UnitOf(std::string_view key) {
  for (const std::string_view suffix : kUnitSuffixes) {
    if (key.ends_with(suffix)) return suffix;
  }
  return "";
}

std::string_view WithoutUnit(std::string_view key) { return key.substr(0, key.size() - UnitOf(key).size()); }

const YamlNode& Nothing() {
  static const YamlNode nothing;
  return nothing;
}

}  // namespace

ClaimMap::ClaimMap(const YamlNode& node, std::string where, YamlErrors& errors)
    : node_(node), map_(node, std::move(where), errors), errors_(errors) {}

const YamlNode* ClaimMap::Child(std::string_view key) {
  known_.emplace(key);
  const YamlNode* child = map_.Child(key);
  return child != nullptr && child->kind != YamlNode::Kind::kNull ? child : nullptr;
}

const YamlNode* ClaimMap::Required(std::string_view key) {
  const YamlNode* child = Child(key);
  if (child != nullptr) return child;
  RefuseOtherUnits();  // says more than "missing"
  errors_.Add(line(), fmt::format("\"{}\" is missing in {}", key, map_.where()));
  return nullptr;
}

bool ClaimMap::Has(std::string_view key) { return Child(key) != nullptr; }

std::string ClaimMap::Text(std::string_view key) {
  const YamlNode* child = Required(key);
  if (child == nullptr) return "";
  if (child->kind != YamlNode::Kind::kScalar || child->scalar.empty())
    errors_.Add(child->line, fmt::format("\"{}\" must be text", key));
  return child->scalar;
}

std::string ClaimMap::OptionalText(std::string_view key) { return Has(key) ? Text(key) : ""; }

Name ClaimMap::NameOf(std::string_view key) { return {Text(key), map_.LineOf(key)}; }

Printed ClaimMap::Convert(const YamlNode& node, std::string_view key, double least) {
  const auto printed =
      node.kind == YamlNode::Kind::kScalar ? ParsePrinted(node.scalar) : Result<Printed>(BadInput("a list or mapping"));
  if (!printed.ok()) {
    const std::string_view unit = UnitOf(key);
    const std::string place = unit.empty() ? "" : fmt::format(" (its unit, \"{}\", is in the key)", unit.substr(1));
    const std::string given = node.kind == YamlNode::Kind::kScalar ? fmt::format("\"{}\"", node.scalar) : "a list or mapping";
    errors_.Add(node.line, fmt::format("\"{}\" must be a plain number{}, not {}", key, place, given));
    return {};
  }
  if (printed->value < least) {
    errors_.Add(node.line, fmt::format("\"{}\" is {}; it must be at least {:g}", key, node.scalar, least));
    return {};
  }
  return *printed;
}

Printed ClaimMap::Number(std::string_view key, double least) {
  const YamlNode* child = Required(key);
  return child != nullptr ? Convert(*child, key, least) : Printed();
}

std::optional<Printed> ClaimMap::OptionalNumber(std::string_view key, double least) {
  const YamlNode* child = Child(key);
  return child != nullptr ? std::optional(Convert(*child, key, least)) : std::nullopt;
}

double ClaimMap::Positive(std::string_view key) {
  const double value = Number(key).value;
  if (!(value > 0)) errors_.Add(map_.LineOf(key), fmt::format("\"{}\" must be more than 0", key));
  return value > 0 ? value : 1;
}

std::optional<int64_t> ClaimMap::OptionalInteger(std::string_view key, int64_t least) {
  const auto number = OptionalNumber(key, static_cast<double>(least));
  if (!number) return std::nullopt;
  if (number->value != std::floor(number->value) || number->value > kMostCount) {
    errors_.Add(map_.LineOf(key), fmt::format("\"{}\" must be a whole number of at most {:g}", key, kMostCount));
    return least;
  }
  return static_cast<int64_t>(number->value);
}

int64_t ClaimMap::Integer(std::string_view key, int64_t least, int64_t otherwise) {
  return OptionalInteger(key, least).value_or(otherwise);
}

std::vector<double> ClaimMap::Ascending(std::string_view key, double least, size_t fewest) {
  const YamlNode* child = Required(key);
  std::vector<double> values;
  if (child == nullptr) return values;
  if (child->kind != YamlNode::Kind::kList || child->items.size() < fewest) {
    errors_.Add(child->line, fmt::format("\"{}\" must be a list of at least {} numbers", key, fewest));
    return values;
  }
  for (const YamlNode& entry : child->items) {
    values.push_back(Convert(entry, key, least).value);
    if (values.size() > 1 && !(values.back() > values[values.size() - 2]))
      errors_.Add(entry.line, fmt::format("\"{}\" must be in ascending order", key));
  }
  return values;
}

std::vector<std::string> ClaimMap::Texts(std::string_view key) {
  const YamlNode* child = Required(key);
  std::vector<std::string> texts;
  if (child == nullptr) return texts;
  bool valid = child->kind == YamlNode::Kind::kList && !child->items.empty();
  for (const YamlNode& entry : child->items) {
    valid = valid && entry.kind == YamlNode::Kind::kScalar;
    texts.push_back(entry.scalar);
  }
  if (!valid) errors_.Add(child->line, fmt::format("\"{}\" must be a list of texts", key));
  return texts;
}

ClaimMap ClaimMap::Map(std::string_view key) {
  const YamlNode* child = Required(key);
  return {child != nullptr ? *child : Nothing(), fmt::format("\"{}\" of {}", key, map_.where()), errors_};
}

void ClaimMap::ForEach(std::string_view key, const std::function<void(ClaimMap&)>& read) {
  const YamlNode* child = Required(key);
  if (child == nullptr) return;
  if (child->kind != YamlNode::Kind::kList || child->items.empty()) {
    errors_.Add(child->line, fmt::format("\"{}\" must be a list with at least one entry", key));
    return;
  }
  for (const YamlNode& entry : child->items) {
    ClaimMap map(entry, fmt::format("an entry of \"{}\"", key), errors_);
    read(map);
    map.RefuseUnknownKeys();
  }
}

void ClaimMap::RefuseOtherUnits() {
  if (node_.kind != YamlNode::Kind::kMap) return;
  for (const YamlNode& item : node_.items) {
    if (known_.contains(item.key)) continue;
    for (const std::string& known : known_) {
      if (WithoutUnit(known) != WithoutUnit(item.key)) continue;
      errors_.Add(item.key_line, fmt::format("\"{}\" in {} has another unit than this program reads; give \"{}\"", item.key,
                                             map_.where(), known));
    }
  }
}

void ClaimMap::RefuseUnknownKeys() {
  RefuseOtherUnits();
  map_.RefuseUnknownKeys();
}

}  // namespace moecap::audit
