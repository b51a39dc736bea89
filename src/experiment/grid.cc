#include "experiment/grid.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "base/fs.h"
#include "base/paths.h"
#include "base/plain_name.h"
#include "base/yaml.h"
#include "experiment/shard.h"

namespace moecap::experiment {
namespace {

constexpr size_t kMostCells = 1000;

// Mappings are joined key by key; anything else is replaced.
void LayOver(const YamlNode& over, YamlNode& base) {
  if (over.kind != YamlNode::Kind::kMap || base.kind != YamlNode::Kind::kMap) {
    const std::string key = base.key;
    base = over;
    base.key = key;
    return;
  }
  for (const YamlNode& entry : over.items) {
    const auto same = std::ranges::find(base.items, entry.key, &YamlNode::key);
    if (same == base.items.end()) {
      base.items.push_back(entry);
    } else {
      LayOver(entry, *same);
    }
  }
}

struct Combination {
  std::string name;
  YamlNode config;
};

void CombineAxis(YamlMap& axes, const YamlNode& axis, std::vector<Combination>& cells) {
  if (axis.kind != YamlNode::Kind::kMap || axis.items.empty()) {
    axes.Complain(axis.key, fmt::format("the axis \"{}\" must be a mapping from names to keys of a configuration", axis.key));
    return;
  }
  if (cells.size() * axis.items.size() > kMostCells) {
    axes.Complain(axis.key, fmt::format("more than {} combinations", kMostCells));
    return;
  }
  std::vector<Combination> combined;
  for (const Combination& cell : cells) {
    for (const YamlNode& value : axis.items) {
      if (!IsPlainName(value.key)) {
        axes.Complain(axis.key, fmt::format("\"{}\" names a value: {}", value.key, kPlainNameRule));
        return;
      }
      Combination next{cell.name.empty() ? value.key : cell.name + "-" + value.key, cell.config};
      if (value.kind != YamlNode::Kind::kNull) LayOver(value, next.config);
      combined.push_back(std::move(next));
    }
  }
  cells = std::move(combined);
}

// What all cells share, and the folder that its paths are relative to.
struct Common {
  YamlNode config;
  std::filesystem::path base_dir;
};

Result<Common> ReadCommon(YamlMap& map, const std::filesystem::path& file) {
  const YamlNode* config = map.Child("config");
  Common common{{}, Absolute(file).parent_path()};
  if (config != nullptr && config->kind == YamlNode::Kind::kMap) {
    common.config = *config;
    common.config.key.clear();
    return common;
  }
  if (config == nullptr || config->kind != YamlNode::Kind::kScalar)
    return BadInput(
        fmt::format("{}:{}: `config` must name the configuration file of all cells, or hold it", file.string(), map.line()));
  const std::filesystem::path named = common.base_dir / config->scalar;
  ASSIGN_OR_RETURN(const std::string text, ReadFile(named));
  ASSIGN_OR_RETURN(common.config, ParseYaml(text, named.string()));
  common.base_dir = named.parent_path();
  return common;
}

std::vector<std::string> ReadWords(YamlMap& map, const char* key) {
  std::vector<std::string> words;
  const YamlNode* node = map.Child(key);
  if (node == nullptr) return words;
  if (node->kind != YamlNode::Kind::kList) map.Complain(key, fmt::format("\"{}\" must be a list", key));
  for (const YamlNode& item : node->items) words.push_back(item.scalar);
  return words;
}

// Runs are told apart by the names of their cells.
void SetName(const std::string& name, YamlNode& config) {
  auto entry = std::ranges::find(config.items, "name", &YamlNode::key);
  if (entry == config.items.end()) {
    entry = config.items.emplace(config.items.end());
    entry->key = "name";
  }
  entry->kind = YamlNode::Kind::kScalar;
  entry->scalar = name;
}

Result<GridCell> MakeCell(Combination combination, const Common& common, const Grid& grid, const std::string& file) {
  const std::string where = fmt::format("{}, cell {}", file, combination.name);
  SetName(combination.name, combination.config);
  ASSIGN_OR_RETURN(Config config, ParseConfig(FormatYaml(combination.config), where, common.base_dir));
  if (grid.shards > 1) {
    if (const Status divides = CheckShards(config, {0, grid.shards}); !divides.ok()) return Annotate(where, divides.error());
  }
  return GridCell{combination.name, std::move(config)};
}

}  // namespace

Result<Grid> ReadGrid(const std::filesystem::path& file) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(file));
  ASSIGN_OR_RETURN(const YamlNode root, ParseYaml(text, file.string()));
  YamlErrors errors(file.string());
  YamlMap map(root, "a sweep", errors);
  Grid grid;
  grid.name = map.String("name").value_or(file.stem().string());
  if (!IsPlainName(grid.name)) map.Complain("name", kPlainNameRule);
  grid.shards = static_cast<int>(map.Integer("shards", 1, 10000).value_or(1));
  grid.settle_s = map.Number("settle_s").value_or(grid.settle_s);
  if (!(grid.settle_s >= 0 && grid.settle_s <= 86'400)) map.Complain("settle_s", "\"settle_s\" is seconds, a day at most");
  grid.start_lead_s = map.Number("start_lead_s");
  if (!(grid.start_lead_s.value_or(1) > 0)) map.Complain("start_lead_s", "\"start_lead_s\" is seconds above 0");
  grid.at_once = static_cast<int>(map.Integer("at_once", 1, 1000).value_or(1));
  grid.scheduler = ReadWords(map, "slurm");
  ASSIGN_OR_RETURN(Common common, ReadCommon(map, file));
  std::vector<Combination> combinations = {{"", std::move(common.config)}};
  if (const YamlNode* node = map.Child("axes")) {
    YamlMap axes(*node, "axes", errors);
    for (const YamlNode& axis : node->items) CombineAxis(axes, axis, combinations);
  }
  map.RefuseUnknownKeys();
  if (!errors.empty()) return errors.first();
  if (combinations.front().name.empty()) combinations.front().name = grid.name;
  std::set<std::string> names;
  for (const Combination& combination : combinations) {
    if (!names.insert(combination.name).second)
      return BadInput(
          fmt::format("{}: two cells are named {}; name the values of the axes apart", file.string(), combination.name));
    if (!IsPlainName(combination.name))
      return BadInput(fmt::format("{}: the cell {} is named by its axes: {}", file.string(), combination.name, kPlainNameRule));
    ASSIGN_OR_RETURN(grid.cells.emplace_back(), MakeCell(combination, common, grid, file.string()));
  }
  return grid;
}

}  // namespace moecap::experiment
