#include "workload/dataset_catalogue.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/nearest_word.h"
#include "base/yaml.h"
#include "workload/builtin_catalogue.h"
#include "workload/yaml_texts.h"

namespace moecap::workload {
namespace {

DatasetFile ReadFileEntry(const YamlNode& node, YamlErrors& errors) {
  YamlMap map(node, "an entry of files", errors);
  DatasetFile file;
  file.split = RequireText(map, "split");
  file.path = RequireText(map, "path");
  file.except = map.String("except").value_or("");
  file.rows = map.Integer("rows", 1, std::numeric_limits<int64_t>::max());
  file.sha256 = map.String("sha256").value_or("");
  map.RefuseUnknownKeys();
  return file;
}

DatasetField ReadField(const YamlNode& node, YamlErrors& errors) {
  DatasetField field;
  if (node.kind != YamlNode::Kind::kMap) {
    field.columns = ReadTexts(&node, errors);
    return field;
  }
  YamlMap map(node, "a field", errors);
  field.columns = ReadTexts(map.Child("column"), errors);
  field.drop = map.String("drop").value_or("");
  map.RefuseUnknownKeys();
  return field;
}

void ReadGold(const YamlNode& node, YamlErrors& errors, DatasetInfo& info) {
  YamlMap map(node, "gold", errors);
  const auto rule = map.Choice("is", {"text", "hashes", "boxed", "choice", "first_shuffled", "integer", "list", "none"});
  if (!rule) map.Complain("is", "\"is\" is missing in gold");
  info.gold = static_cast<GoldRule>(rule.value_or(static_cast<size_t>(GoldRule::kNone)));
  info.gold_columns = ReadTexts(map.Child("column"), errors);
  if (info.gold != GoldRule::kNone && info.gold_columns.empty()) map.Complain("column", "\"column\" is missing in gold");
  info.when_missing = static_cast<WhenMissing>(map.Choice("when_missing", {"error", "skip"}).value_or(0));
  map.RefuseUnknownKeys();
}

void ReadLists(YamlMap& map, YamlErrors& errors, DatasetInfo& info) {
  info.hubs = ReadTexts(map.Child("hubs"), errors);
  info.folders = ReadTexts(map.Child("folders"), errors);
  info.columns = ReadTexts(map.Child("columns"), errors);
  info.optional = ReadTexts(map.Child("optional"), errors);
  info.id = ReadTexts(map.Child("id"), errors);
  info.facts = ReadTexts(map.Child("facts"), errors);
  info.prompts = ReadTexts(map.Child("prompts"), errors);
  if (const YamlNode* files = map.Child("files")) {
    for (const YamlNode& node : files->items) info.files.push_back(ReadFileEntry(node, errors));
  }
  if (const YamlNode* fields = map.Child("fields")) {
    for (const YamlNode& node : fields->items) info.fields[node.key] = ReadField(node, errors);
  }
  if (const YamlNode* choices = map.Child("choices")) {
    for (const YamlNode& node : choices->items) info.choices.push_back(ReadTexts(&node, errors));
  }
  if (const YamlNode* sources = map.Child("sources")) {
    for (const YamlNode& node : sources->items) info.sources[node.key] = node.scalar;
  }
}

}  // namespace

Result<DatasetInfo> ParseDatasetInfo(std::string_view text, const std::string& file) {
  ASSIGN_OR_RETURN(const YamlNode root, ParseYaml(text, file));
  YamlErrors errors(file);
  YamlMap map(root, "the data set", errors);
  DatasetInfo info;
  info.name = RequireText(map, "name");
  info.title = RequireText(map, "title");
  info.licence = RequireText(map, "licence");
  info.home = map.String("home").value_or("");
  info.get = RequireText(map, "get");
  info.split = RequireText(map, "split");
  info.shots_split = map.String("shots").value_or("");
  info.group = map.String("group").value_or("");
  info.task = RequireText(map, "task");
  ReadLists(map, errors, info);
  if (const YamlNode* gold = map.Child("gold")) ReadGold(*gold, errors, info);
  if (!info.fields.contains("question")) map.Complain("fields", "\"question\" is missing in fields");
  if (!info.group.empty() && !info.fields.contains(info.group))
    map.Complain("group", fmt::format("\"group\" is {}, which is none of the fields", info.group));
  if (info.files.empty()) map.Complain("files", "\"files\" is missing in the data set");
  if (info.prompts.empty()) map.Complain("prompts", "\"prompts\" is missing in the data set");
  map.RefuseUnknownKeys();
  if (!errors.empty()) return errors.first();
  return info;
}

Result<std::vector<DatasetInfo>> BuiltinDatasets() {
  std::vector<DatasetInfo> all;
  for (const BuiltinText& builtin : BuiltinDatasetTexts()) {
    ASSIGN_OR_RETURN(DatasetInfo info, ParseDatasetInfo(builtin.text, std::string(builtin.file)));
    all.push_back(std::move(info));
  }
  std::ranges::sort(all, {}, &DatasetInfo::name);
  return all;
}

Result<DatasetInfo> FindDataset(const std::string& name) {
  std::vector<std::string> names;
  for (const BuiltinText& builtin : BuiltinDatasetTexts()) {
    names.push_back(NameOf(builtin));
    if (names.back() == name) return ParseDatasetInfo(builtin.text, std::string(builtin.file));
  }
  const std::string nearest = NearestWord(name, names);
  return BadInput(fmt::format("no data set is named \"{}\"; {}`moecap datasets` lists them", name,
                              nearest.empty() ? "" : fmt::format("did you mean {}? ", nearest)));
}

bool IsDatasetName(const std::string& name) {
  return std::ranges::any_of(BuiltinDatasetTexts(), [&](const BuiltinText& builtin) { return NameOf(builtin) == name; });
}

std::vector<std::string> SplitsOf(const DatasetInfo& info) {
  std::vector<std::string> splits;
  for (const DatasetFile& file : info.files) {
    if (std::ranges::count(splits, file.split) == 0) splits.push_back(file.split);
  }
  return splits;
}

std::optional<int64_t> RowsOf(const DatasetInfo& info, const std::string& split) {
  for (const DatasetFile& file : info.files) {
    if (file.split == split && file.rows) return file.rows;
  }
  return std::nullopt;
}

}  // namespace moecap::workload
