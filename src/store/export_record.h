// moecap-export.json: what an exported run folder carries besides the run's own files, so that an import restores the run whole
// and knows that it is whole. Schema: docs/formats/database.md, "Exports".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/run_store.h"

namespace moecap::store {

inline constexpr const char* kExportRecordName = "moecap-export.json";

struct ExportedFile {
  std::string name;  // relative to the folder, parts separated by '/'
  uint64_t bytes = 0;
  std::string xxh3_64;  // of the whole file, 16 hex digits

  bool operator==(const ExportedFile&) const = default;
};

struct ExportRecord {
  std::string run_id;
  RunStatus status = RunStatus::kComplete;
  std::vector<std::string> tags;
  std::vector<ExportedFile> files;  // all of the folder but the record itself, by name

  bool operator==(const ExportRecord&) const = default;
};

std::string WriteExportRecord(const ExportRecord& record);

// Error: kBadInput naming the key: a wrong type or schema, a name that leads out of the folder or occurs twice, a tag or a hash
// that cannot be.
Result<ExportRecord> ParseExportRecord(std::string_view text);

// Whether `run_id` can name a folder: 1 to 200 bytes, no '/', no control character, not starting with '.'. Error: kBadInput.
Status CheckRunId(std::string_view run_id);

}  // namespace moecap::store
