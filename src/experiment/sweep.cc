#include "experiment/sweep.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <utility>

#include "base/yaml.h"

namespace moecap::experiment {
namespace {

constexpr std::string_view kExample = "e.g. --sweep concurrency=1,2,4,...,128";
constexpr size_t kMostLevels = 1000;

constexpr std::array<std::pair<std::string_view, record::LoadKind>, 5> kKeys{{{"concurrency", record::LoadKind::kClients},
                                                                              {"clients", record::LoadKind::kClients},
                                                                              {"rate", record::LoadKind::kRate},
                                                                              {"rates_per_s", record::LoadKind::kRate},
                                                                              {"users", record::LoadKind::kUsers}}};

std::optional<double> LevelOf(std::string_view word) {
  double value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc() || end != word.data() + word.size() || !std::isfinite(value) || value <= 0) return std::nullopt;
  return value;
}

bool IsSame(double a, double b) { return std::abs(a - b) <= 1e-9 * std::abs(b); }

// The levels between two neighbours' continuation and `last`, by `next`; null where `last` is not met.
template <typename Next>
std::optional<std::vector<double>> Until(double level, double last, Next next) {
  std::vector<double> between;
  while (between.size() < kMostLevels) {
    level = next(level);
    if (IsSame(level, last)) return between;
    if (level > last) return std::nullopt;
    between.push_back(level);
  }
  return std::nullopt;
}

// Whether every step of `levels` is like the last one.
template <typename Step>
bool IsRegular(const std::vector<double>& levels, Step step) {
  for (size_t i = 2; i < levels.size(); ++i) {
    if (!IsSame(step(levels[i - 1], levels[i]), step(levels[i - 2], levels[i - 1]))) return false;
  }
  return true;
}

std::optional<std::vector<double>> Continued(const std::vector<double>& levels, double last) {
  if (levels.size() < 2) return std::nullopt;
  const double before = levels[levels.size() - 2], from = levels.back();
  if (from <= before) return std::nullopt;
  if (IsRegular(levels, [](double a, double b) { return b / a; })) {
    if (auto between = Until(from, last, [&](double level) { return level * (from / before); })) return between;
  }
  if (!IsRegular(levels, [](double a, double b) { return b - a; })) return std::nullopt;
  return Until(from, last, [&](double level) { return level + (from - before); });
}

Result<std::vector<double>> ParseLevels(std::string_view text) {
  std::vector<double> levels;
  bool goes_on = false;
  for (std::string_view rest = text;;) {
    const size_t comma = std::min(rest.find(','), rest.size());
    const std::string_view word = rest.substr(0, comma);
    if (word == "..." && !goes_on) {
      goes_on = true;
    } else {
      const auto level = LevelOf(word);
      if (!level) return BadInput(fmt::format("--sweep: '{}' is no level above 0; {}", word, kExample));
      if (goes_on) {
        const auto between = Continued(levels, *level);
        if (!between)
          return BadInput(fmt::format("--sweep: {},... does not meet {} by a factor or a difference; {}",
                                      fmt::join(levels, ","), *level, kExample));
        levels.insert(levels.end(), between->begin(), between->end());
        goes_on = false;
      }
      levels.push_back(*level);
    }
    if (comma == rest.size()) break;
    rest.remove_prefix(comma + 1);
  }
  if (goes_on) return BadInput(fmt::format("--sweep: nothing says where '...' ends; {}", kExample));
  if (levels.size() > kMostLevels) return BadInput(fmt::format("--sweep: more than {} levels", kMostLevels));
  std::ranges::sort(levels);
  if (std::ranges::adjacent_find(levels) != levels.end()) return BadInput("--sweep: a level is given twice");
  return levels;
}

YamlNode LevelsNode(const Sweep& sweep) {
  YamlNode node;
  node.kind = YamlNode::Kind::kList;
  node.key = record::Name(sweep.kind);
  for (const double level : sweep.levels) {
    YamlNode item;
    item.kind = YamlNode::Kind::kScalar;
    item.scalar = fmt::format("{}", level);
    node.items.push_back(std::move(item));
  }
  return node;
}

}  // namespace

Result<Sweep> ParseSweep(std::string_view text) {
  const size_t equals = text.find('=');
  const std::string_view key = text.substr(0, equals);
  const auto named = std::ranges::find(kKeys, key, &std::pair<std::string_view, record::LoadKind>::first);
  if (equals == text.npos || named == kKeys.end())
    return BadInput(fmt::format("--sweep: '{}' is none of concurrency, clients, rate, users; {}", key, kExample));
  ASSIGN_OR_RETURN(std::vector<double> levels, ParseLevels(text.substr(equals + 1)));
  return Sweep{named->second, std::move(levels)};
}

Result<Config> WithSweep(const Config& config, const Sweep& sweep, const std::string& file) {
  if (config.search) return BadInput(fmt::format("{}: --sweep gives levels, and this experiment searches one", file));
  if (config.load.kind == record::LoadKind::kReplay)
    return BadInput(fmt::format("{}: --sweep gives levels, and this experiment replays a trace", file));
  ASSIGN_OR_RETURN(YamlNode root, ParseYaml(config.text, file));
  auto load = std::ranges::find(root.items, "load", &YamlNode::key);
  if (load == root.items.end()) {
    load = root.items.emplace(root.items.end());
    load->key = "load";
  }
  load->kind = YamlNode::Kind::kMap;
  std::erase_if(load->items, [](const YamlNode& entry) {
    return entry.key == record::Name(record::LoadKind::kClients) || entry.key == record::Name(record::LoadKind::kRate) ||
           entry.key == record::Name(record::LoadKind::kUsers);
  });
  load->items.push_back(LevelsNode(sweep));
  ASSIGN_OR_RETURN(Config swept, ParseConfig(FormatYaml(root), file + " with --sweep", config.base_dir));
  return swept;
}

}  // namespace moecap::experiment
