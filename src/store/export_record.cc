#include "store/export_record.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "base/json.h"
#include "base/json_error.h"

namespace moecap::store {
namespace {

constexpr int kExportSchema = 1;

bool HasControlCharacter(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

// Only names below the folder, written in one way.
Status CheckFileName(const std::string& name) {
  const std::filesystem::path path(name);
  bool good = !name.empty() && name.size() <= 1000 && path.is_relative() && path.lexically_normal().string() == name &&
              !HasControlCharacter(name) && name.back() != '/' && name != kExportRecordName;
  for (const auto& part : path) good = good && part != ".." && part != ".";
  if (good) return {};
  return BadInput(fmt::format("\"files\" names \"{}\", which is no file below the folder", name));
}

Result<ExportedFile> ParseFile(const Json& json) {
  ExportedFile file;
  json.at("name").get_to(file.name);
  RETURN_IF_ERROR(CheckFileName(file.name));
  const Json& bytes = json.at("bytes");
  if (!bytes.is_number_unsigned()) return BadInput(fmt::format("\"bytes\" of {} is not a whole number", file.name));
  bytes.get_to(file.bytes);
  json.at("xxh3_64").get_to(file.xxh3_64);
  if (file.xxh3_64.size() != 16 || file.xxh3_64.find_first_not_of("0123456789abcdef") != std::string::npos)
    return BadInput(fmt::format("\"xxh3_64\" of {} is not 16 hex digits", file.name));
  return file;
}

Result<ExportRecord> FromJson(const Json& json) {
  ExportRecord record;
  const Json& schema = json.at("schema");
  if (schema != kExportSchema)
    return BadInput(fmt::format("schema {} is not known to this program (it knows {})", DumpJson(schema), kExportSchema));
  json.at("run_id").get_to(record.run_id);
  RETURN_IF_ERROR(CheckRunId(record.run_id));
  ASSIGN_OR_RETURN(record.status, ParseRunStatus(json.at("status").get<std::string>()));
  for (const Json& tag : json.at("tags")) {
    record.tags.push_back(tag.get<std::string>());
    RETURN_IF_ERROR(CheckTag(record.tags.back()));
  }
  std::set<std::string> names;
  for (const Json& entry : json.at("files")) {
    ASSIGN_OR_RETURN(ExportedFile file, ParseFile(entry));
    if (!names.insert(file.name).second) return BadInput(fmt::format("\"files\" names {} twice", file.name));
    record.files.push_back(std::move(file));
  }
  return record;
}

}  // namespace

Status CheckRunId(std::string_view run_id) {
  if (!run_id.empty() && run_id.size() <= 200 && run_id.find('/') == std::string_view::npos && !HasControlCharacter(run_id) &&
      run_id.front() != '.')
    return {};
  return BadInput(
      fmt::format("\"{}\" cannot be the id of a run: it names a folder, so 1 to 200 bytes without \"/\" and control "
                  "characters, not starting with \".\"",
                  run_id));
}

std::string WriteExportRecord(const ExportRecord& record) {
  Json files = Json::array();
  for (const ExportedFile& file : record.files) {
    files.push_back({{"name", file.name}, {"bytes", file.bytes}, {"xxh3_64", file.xxh3_64}});
  }
  return DumpJsonPretty({{"schema", kExportSchema},
                         {"run_id", record.run_id},
                         {"status", RunStatusName(record.status)},
                         {"tags", record.tags},
                         {"files", std::move(files)}});
}

Result<ExportRecord> ParseExportRecord(std::string_view text) {
  ASSIGN_OR_RETURN(const Json json, ParseJson(text));
  try {
    return FromJson(json);
  } catch (const Json::exception& error) {
    return BadInput(fmt::format("not the record of an exported run: {}", ReasonOf(error)));
  }
}

}  // namespace moecap::store
