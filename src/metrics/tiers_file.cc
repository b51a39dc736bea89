#include "metrics/tiers_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/yaml.h"

namespace moecap::metrics {
namespace {

constexpr int64_t kMostDevices = 100000;
constexpr double kBytesPerGib = 1024.0 * 1024 * 1024;

// Fills bandwidth and capacity from the catalogue.
void ReadParts(YamlMap& map, const hardware::Catalogue& catalogue, YamlErrors& errors, Tier& tier, TierParts& parts) {
  const auto device = map.String("device");
  const auto memory = map.String("memory");
  parts.count = map.Integer("count", 1, kMostDevices).value_or(1);
  if (device && memory) map.Complain("memory", "give \"device\" or \"memory\", not both");
  const auto count = static_cast<double>(parts.count);
  if (device) {
    auto found = catalogue.FindDevice(*device);
    if (!found.ok()) return map.Complain("device", found.error().message);
    parts.device = *found;
    if (found->bandwidth_bytes_per_s) tier.bandwidth_bytes_per_s = count * *found->bandwidth_bytes_per_s;
    if (found->memory_bytes) tier.capacity_bytes = count * *found->memory_bytes;
  } else if (memory) {
    auto found = catalogue.FindLink(*memory);
    if (!found.ok()) return map.Complain("memory", found.error().message);
    if (found->link_class != "dram" && found->link_class != "ssd")
      return map.Complain("memory", fmt::format("\"{}\" is no memory; links go under copy_over", *memory));
    parts.memory = *found;
    tier.bandwidth_bytes_per_s = count * found->bytes_per_s;
  }
  if (const auto given = map.Number("bandwidth_bytes_per_s")) tier.bandwidth_bytes_per_s = *given;
  if (const auto given = map.Number("capacity_gib")) {
    tier.capacity_bytes = *given * kBytesPerGib;
    if (*given < 0) map.Complain("capacity_gib", "\"capacity_gib\" is negative");
  }
  if (!device && !memory && tier.bandwidth_bytes_per_s == 0)
    errors.Add(map.line(), "a tier needs \"device\", \"memory\" or \"bandwidth_bytes_per_s\"");
}

void ReadLink(YamlMap& map, const hardware::Catalogue& catalogue, Tier& tier) {
  const auto id = map.String("copy_over");
  const auto given = map.Number("copy_bytes_per_s");
  if (id && given) map.Complain("copy_over", "give \"copy_over\" or \"copy_bytes_per_s\", not both");
  if (given) tier.link_bytes_per_s = *given;
  if (!id) return;
  const auto link = catalogue.FindLink(*id);
  if (!link.ok()) return map.Complain("copy_over", link.error().message);
  tier.link_bytes_per_s = link->bytes_per_s;
}

// Shares as the file gives them; null where it does not.
struct Shares {
  std::optional<double> routed, dense, kv;
};

Shares ReadTier(const YamlNode& node, const hardware::Catalogue& catalogue, YamlErrors& errors, TiersFile& file) {
  YamlMap map(node, "a tier", errors);
  Tier tier;
  TierParts parts;
  tier.name = map.String("name").value_or(fmt::format("tier {}", file.system.tiers.size() + 1));
  ReadParts(map, catalogue, errors, tier, parts);
  ReadLink(map, catalogue, tier);
  const Shares shares{map.Number("routed_share"), map.Number("dense_share"), map.Number("kv_share")};
  tier.read_share = map.Number("read_share");
  map.RefuseUnknownKeys();
  file.system.tiers.push_back(std::move(tier));
  file.parts.push_back(std::move(parts));
  return shares;
}

// The first tier holds what no tier claims; one that was given is left to Validate.
void FillFirst(const std::vector<Shares>& given, std::optional<double> Shares::*share, double Tier::*to, TierSystem& system) {
  double rest = 1;
  for (size_t i = 0; i < given.size(); ++i) {
    const auto& value = given[i].*share;
    system.tiers[i].*to = value.value_or(0);
    rest -= value.value_or(0);
  }
  if (!(given.front().*share) && rest > 0) system.tiers.front().*to = rest;
}

}  // namespace

Result<TiersFile> ParseTiersFile(std::string_view text, const std::string& file, const hardware::Catalogue& catalogue) {
  ASSIGN_OR_RETURN(const YamlNode root, ParseYaml(text, file));
  YamlErrors errors(file);
  TiersFile result;
  std::vector<Shares> shares;
  YamlMap top(root, "the tiers file", errors);
  if (const auto placement = top.Choice("placement", {"uniform", "static", "dynamic"}))
    result.system.placement = std::array{Placement::kUniform, Placement::kStatic, Placement::kDynamic}[*placement];
  const YamlNode* list = top.Child("tiers");
  if (list == nullptr || list->kind != YamlNode::Kind::kList || list->items.empty()) {
    errors.Add(top.LineOf("tiers"), "\"tiers\" must be a list, fastest memory first");
  } else {
    for (const YamlNode& node : list->items) shares.push_back(ReadTier(node, catalogue, errors, result));
  }
  top.RefuseUnknownKeys();
  if (!errors.empty()) return errors.first();
  FillFirst(shares, &Shares::routed, &Tier::routed_share, result.system);
  FillFirst(shares, &Shares::dense, &Tier::dense_share, result.system);
  FillFirst(shares, &Shares::kv, &Tier::kv_share, result.system);
  if (const Status valid = Validate(result.system); !valid.ok()) return Annotate(file, valid.error());
  return result;
}

}  // namespace moecap::metrics
