#include "experiment/experts_config.h"

#include <fmt/format.h>

#include <array>
#include <string_view>
#include <utility>

namespace moecap::experiment {
namespace {

// "4 MiB", "50 %", "1500000" (bytes).
void ReadBudget(YamlMap& map, ExpertsConfig& config) {
  constexpr std::array kUnits{std::pair{"", 1.0},       std::pair{"B", 1.0},      std::pair{"kB", 1e3},
                              std::pair{"MB", 1e6},     std::pair{"GB", 1e9},     std::pair{"KiB", 0x1p10},
                              std::pair{"MiB", 0x1p20}, std::pair{"GiB", 0x1p30}, std::pair{"%", 1e-2}};
  const auto text = map.String("budget");
  if (!text) {
    map.Complain("budget", "\"experts\" needs a budget of memory, e.g. budget: 4 MiB, or budget: 50 %");
    return;
  }
  const size_t end = std::min(text->find_first_not_of("0123456789.eE+"), text->size());
  const auto number = ParseNumber(text->substr(0, end));
  const std::string_view rest = std::string_view(*text).substr(end);
  const std::string_view unit = rest.substr(std::min(rest.find_first_not_of(' '), rest.size()));
  for (const auto& [name, factor] : kUnits) {
    if (unit != name || !number || !(*number > 0)) continue;
    const double value = *number * factor;
    const bool is_share = unit == "%";
    if (is_share && value > 1) break;
    (is_share ? config.budget_share : config.budget_bytes) = value;
    return;
  }
  map.Complain("budget",
               fmt::format("budget \"{}\" is no amount of memory; write bytes with a unit of B, kB, MB, GB, KiB, MiB or "
                           "GiB, or a share of all experts up to 100 %",
                           *text));
}

}  // namespace

ExpertsConfig ReadExperts(const YamlNode& node, YamlErrors& errors) {
  YamlMap map(node, "experts", errors);
  ExpertsConfig config;
  ReadBudget(map, config);
  if (const auto policy = map.Choice("policy", {"lru", "lfu", "activation"}))
    config.policy = static_cast<ExpertPolicy>(*policy);
  if (const auto prefetch = map.Choice("prefetch", {"none", "previous_token", "previous_layer"}))
    config.prefetch = static_cast<ExpertPrefetch>(*prefetch);
  map.RefuseUnknownKeys();
  return config;
}

std::string Name(ExpertPolicy policy) {
  return policy == ExpertPolicy::kLru   ? "least recently used"
         : policy == ExpertPolicy::kLfu ? "least frequently used"
                                        : "by activation";
}

std::string Name(ExpertPrefetch prefetch) {
  return prefetch == ExpertPrefetch::kNone            ? "none"
         : prefetch == ExpertPrefetch::kPreviousToken ? "previous token"
                                                      : "previous layer";
}

}  // namespace moecap::experiment
