// From the rows of a data set's files to problems.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "workload/dataset.h"
#include "workload/dataset_gold.h"
#include "workload/dataset_rows.h"

namespace moecap::workload {
namespace {

constexpr const char* kFileColumn = "@file";

class ProblemReader {
 public:
  ProblemReader(const DatasetInfo& info, uint64_t seed, LoadedDataset& loaded) : info_(info), seed_(seed), loaded_(loaded) {}

  Status Read(const FoundFile& file) {
    return ReadRows(file.path, info_.columns, [&](Json& row, const std::string& place, int64_t number) -> Status {
      const Status status = Add(file, row, place, number);
      if (status.ok()) return {};
      std::vector<std::string> names;
      for (const auto& [name, value] : row.items()) names.push_back(name);
      return BadInput(fmt::format("{}: {}; {} needs {}, and the row has {}", place, status.error().message, info_.name,
                                  fmt::join(NeededColumns(), ", "), fmt::join(names, ", ")));
    });
  }

 private:
  std::vector<std::string> NeededColumns() const {
    std::vector<std::string> names;
    for (const auto& [name, field] : info_.fields) {
      if (std::ranges::count(info_.optional, name) == 0) names.push_back(fmt::format("{}", fmt::join(field.columns, " or ")));
    }
    if (!info_.gold_columns.empty()) names.push_back(fmt::format("{}", fmt::join(info_.gold_columns, " or ")));
    std::ranges::sort(names);
    names.erase(std::unique(names.begin(), names.end()), names.end());
    return names;
  }

  Result<std::optional<std::string>> FieldOf(const std::string& name, const DatasetField& field, const FoundFile& file,
                                             const Json& row) const {
    for (const std::string& column : field.columns) {
      if (column == kFileColumn) return std::optional(SpacesFor(file));
      const Json* value = ColumnOfRow(row, column);
      if (value == nullptr) continue;
      if (value->is_structured()) return BadInput(fmt::format("\"{}\" must be a text", column));
      std::string text = TextOf(*value);
      if (!field.drop.empty() && text.starts_with(field.drop)) text.erase(0, field.drop.size());
      return std::optional(std::move(text));
    }
    if (std::ranges::count(info_.optional, name) > 0) return std::optional<std::string>();
    return BadInput(fmt::format("the column \"{}\" is missing", fmt::join(field.columns, "\" or \"")));
  }

  // "abstract algebra" of "abstract_algebra_test.csv"; names of tasks keep their underscores.
  std::string SpacesFor(const FoundFile& file) const {
    std::string text = file.captured;
    if (!info_.columns.empty()) std::ranges::replace(text, '_', ' ');
    return text;
  }

  std::string IdOf(const FoundFile& file, const Json& row, int64_t number) const {
    if (const Json* id = ColumnOfRow(row, info_.id)) return TextOf(*id);
    if (loaded_.found.files.size() == 1) return std::to_string(number);
    return fmt::format("{}/{}/{}", file.path.parent_path().filename().string(), file.path.stem().string(), number);
  }

  Status Add(const FoundFile& file, const Json& row, const std::string& place, int64_t number) {
    Problem problem;
    problem.index = loaded_.rows++;
    problem.place = place;
    problem.id = IdOf(file, row, number);
    for (const auto& [name, field] : info_.fields) {
      ASSIGN_OR_RETURN(std::optional<std::string> text, FieldOf(name, field, file, row));
      if (!text) text = "";
      if (name == info_.group) problem.group = *text;
      if (name == "question") {
        problem.question = std::move(*text);
      } else {
        problem.fields[name] = std::move(*text);
      }
    }
    auto gold = ReadGold(info_, row, seed_, problem);
    if (!gold.ok()) return gold.error();
    if (!*gold) {
      ++loaded_.skipped;
      return {};
    }
    RETURN_IF_ERROR(AddFacts(row, problem));
    AddOtherColumns(row, problem);
    const auto [before, is_new] = ids_.emplace(problem.id, place);
    if (!is_new)
      return BadInput(fmt::format("the id \"{}\" was used before, in {}; ids must be unique", problem.id, before->second));
    loaded_.problems.push_back(std::move(problem));
    return {};
  }

  Status AddFacts(const Json& row, Problem& problem) const {
    if (info_.facts.empty()) return {};
    Json facts = Json::object();
    for (const std::string& column : info_.facts) {
      const Json* value = ColumnOfRow(row, column);
      facts[column] = value == nullptr ? Json(nullptr) : *value;
    }
    problem.facts = DumpJson(facts);
    return {};
  }

  // Of a user's own lines every text may stand in a prompt.
  void AddOtherColumns(const Json& row, Problem& problem) const {
    if (info_.task != "text") return;
    for (const auto& [name, value] : row.items()) {
      if (!value.is_structured() && !value.is_null() && name != "question") problem.fields.emplace(name, TextOf(value));
    }
  }

  const DatasetInfo& info_;
  uint64_t seed_;
  LoadedDataset& loaded_;
  std::unordered_map<std::string, std::string> ids_;  // and where each was first
};

// That a whole split is not another one under its name.
Status CheckSplit(const DatasetInfo& info, const std::string& split, const LoadedDataset& loaded) {
  const std::optional<int64_t> expected = RowsOf(info, split);
  if (!expected || loaded.rows == *expected) return {};
  for (const std::string& other : SplitsOf(info)) {
    if (other == split || RowsOf(info, other) != loaded.rows) continue;
    return BadInput(fmt::format("{}: {} rows are those of the split {} of {}; {} has {}",
                                loaded.found.files.front().path.string(), loaded.rows, other, info.name, split, *expected));
  }
  return {};
}

}  // namespace

Result<LoadedDataset> LoadDataset(const DatasetInfo& info, const std::string& split, const std::filesystem::path& given,
                                  uint64_t seed) {
  LoadedDataset loaded;
  ASSIGN_OR_RETURN(loaded.found, FindSplit(info, split, given));
  ProblemReader reader(info, seed, loaded);
  for (const FoundFile& file : loaded.found.files) RETURN_IF_ERROR(reader.Read(file));
  RETURN_IF_ERROR(CheckSplit(info, split, loaded));
  if (loaded.problems.empty()) {
    return BadInput(fmt::format("{}: the data set has no problems; give a file with at least one row",
                                loaded.found.files.front().path.string()));
  }
  return loaded;
}

}  // namespace moecap::workload
