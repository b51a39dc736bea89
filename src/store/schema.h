// The schema of moecap.db by version (docs/formats/database.md), and the way from each version to the next.
#pragma once

#include <cstdint>
#include <filesystem>

#include "base/result.h"
#include "store/database.h"

namespace moecap::store {

inline constexpr int kSchemaVersion = 3;
// PRAGMA application_id: "moec" in ASCII.
inline constexpr int64_t kApplicationId = 0x6d6f6563;

enum class Access {
  kRead,       // the file must exist; it is brought to the current version if it can be written
  kReadWrite,  // the file must exist
  kCreate,     // made if it does not exist
};

// Opens the database and brings it to kSchemaVersion, all in one transaction. Errors: kBadInput for a file that is no database,
// is another program's, is damaged, or has a newer version; nothing is changed then.
Result<Database> OpenSchema(const std::filesystem::path& path, Access access);

// Brings a database to `version`, the current one or an older one for tests. Requires a database of ours or an empty one.
Status Migrate(Database& database, int version);

}  // namespace moecap::store
