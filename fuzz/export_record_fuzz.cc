// Records of exported runs: one that was read is written and read again as the same, and names no file outside its folder.
#include <filesystem>

#include "fuzz/fuzz.h"
#include "store/export_record.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moecap;
  const auto record = store::ParseExportRecord(fuzz::Text(data, size));
  if (!record.ok()) return 0;
  const auto again = store::ParseExportRecord(store::WriteExportRecord(*record));
  CHECK(again.ok() && *again == *record);
  CHECK(record->run_id.find('/') == std::string::npos && record->run_id.front() != '.');
  for (const store::ExportedFile& file : record->files) {
    const std::filesystem::path path = (std::filesystem::path("/run") / file.name).lexically_normal();
    CHECK(path.string() == "/run/" + file.name);
  }
  return 0;
}
