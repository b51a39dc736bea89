#include "workload/dataset_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/csv.h"
#include "base/fs.h"
#include "base/lines.h"
#include "parquet/parquet.h"

namespace moecap::workload {
namespace {

namespace fs = std::filesystem;

Status VisitObject(Json& row, const std::string& place, int64_t number, const RowVisitor& visit) {
  if (!row.is_object()) return BadInput(fmt::format("{}: the row is not a JSON object", place));
  return visit(row, place, number);
}

Status ReadJsonLines(const fs::path& path, const RowVisitor& visit) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  std::string_view rest = WithoutBom(text);
  for (int64_t number = 1; !rest.empty(); ++number) {
    const std::string_view line = TakeLine(rest);
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::string place = fmt::format("{}:{}", path.string(), number);
    auto row = ParseJson(line);
    if (!row.ok()) return Annotate(place, row.error());
    RETURN_IF_ERROR(VisitObject(*row, place, number, visit));
  }
  return {};
}

// The list of rows in a document, or null when it is one row.
Json* ListIn(Json& document) {
  if (document.is_array()) return &document;
  for (const char* key : {"data", "rows", "examples"}) {
    if (const auto found = document.find(key); found != document.end() && found->is_array()) return &*found;
  }
  return nullptr;
}

Status ReadJsonDocument(const fs::path& path, const RowVisitor& visit) {
  auto document = Result<Json>(Json());
  {
    ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
    document = ParseJson(WithoutBom(text));
  }
  if (!document.ok()) return Annotate(path.string(), document.error());
  if (!document->is_structured()) return BadInput(fmt::format("{}: neither an array nor an object", path.string()));
  Json* list = ListIn(*document);
  if (list == nullptr) return VisitObject(*document, path.string(), 1, visit);
  int64_t number = 0;
  for (Json& entry : *list) {
    const std::string place = fmt::format("{}: row {}", path.string(), ++number);
    const auto inner = entry.is_object() ? entry.find("row") : entry.end();
    const bool is_viewer = entry.is_object() && inner != entry.end() && inner->is_object();
    RETURN_IF_ERROR(VisitObject(is_viewer ? *inner : entry, place, number, visit));
    entry = nullptr;  // its memory is needed no more
  }
  return {};
}

Status ReadCsv(const fs::path& path, std::vector<std::string> columns, const RowVisitor& visit) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  CsvReader reader(text, CsvBlanks::kKept);
  std::vector<std::string> record;
  for (int64_t number = 1;;) {
    const auto more = reader.Next(record);
    if (!more.ok()) return Annotate(path.string(), more.error());
    if (!*more) return {};
    if (columns.empty()) {
      columns = record;
      continue;
    }
    const std::string place = fmt::format("{}:{}", path.string(), reader.line_number());
    if (record.size() != columns.size())
      return BadInput(fmt::format("{}: {} fields, where {} are expected", place, record.size(), columns.size()));
    Json row = Json::object();
    for (size_t i = 0; i < record.size(); ++i) row[columns[i]] = std::move(record[i]);
    RETURN_IF_ERROR(visit(row, place, number++));
  }
}

Status ReadParquet(const fs::path& path, const RowVisitor& visit) {
  return parquet::ReadRows(path, [&](std::string_view text, int64_t number) -> Status {
    const std::string place = fmt::format("{}: row {}", path.string(), number);
    auto row = ParseJson(text);
    if (!row.ok()) return Annotate(place, row.error());
    return VisitObject(*row, place, number, visit);
  });
}

}  // namespace

Status ReadRows(const fs::path& path, const std::vector<std::string>& columns, const RowVisitor& visit) {
  const std::string ending = path.extension().string();
  if (ending == ".json") return ReadJsonDocument(path, visit);
  if (ending == ".csv") return ReadCsv(path, columns, visit);
  if (ending == ".parquet") return ReadParquet(path, visit);
  if (ending == ".gz" || ending == ".zip" || ending == ".zst" || ending == ".tar")
    return BadInput(fmt::format("{}: compressed; unpack it and name what was in it", path.string()));
  return ReadJsonLines(path, visit);
}

}  // namespace moecap::workload
