#include "experiment/speculation_config.h"

namespace moecap::experiment {
namespace {

constexpr int64_t kMostDrafts = 64;
constexpr int64_t kLongestLookup = 16;

}  // namespace

SpeculationConfig ReadSpeculation(const YamlNode& node, YamlErrors& errors) {
  YamlMap map(node, "speculation", errors);
  SpeculationConfig config;
  if (!map.Choice("drafts", {"ngram"})) map.Complain("drafts", "\"speculation\" needs drafts: ngram, the only kind there is");
  const auto length = map.Integer("length", 1, kMostDrafts);
  if (!length) map.Complain("length", "\"speculation\" needs the number of drafted tokens, e.g. length: 4");
  config.length = static_cast<int>(length.value_or(1));
  config.lookup_max = static_cast<int>(map.Integer("lookup_max", 1, kLongestLookup).value_or(config.lookup_max));
  config.lookup_min = static_cast<int>(map.Integer("lookup_min", 1, kLongestLookup).value_or(config.lookup_min));
  if (config.lookup_min > config.lookup_max) map.Complain("lookup_min", "\"lookup_min\" must not exceed \"lookup_max\"");
  map.RefuseUnknownKeys();
  return config;
}

}  // namespace moecap::experiment
