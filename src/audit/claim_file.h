// Claim files: YAML, described in docs/audit.md.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "audit/claim.h"
#include "base/result.h"

namespace moecap::audit {

// `file` is the name for messages. Errors: kBadInput with file, line and key, and the known kinds, keys or the key with the
// right unit. Names of models and devices are checked by Evaluate.
Result<ClaimFile> ParseClaimFile(std::string_view text, const std::string& file);
Result<ClaimFile> ReadClaimFile(const std::filesystem::path& file);

}  // namespace moecap::audit
