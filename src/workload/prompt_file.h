// Files of prompts to send: ShareGPT conversations, plain prompts, or problems.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace moecap::workload {

struct PromptEntry {
  std::string id;                        // unique within the file; the entry's number, from 1, when the file gives none
  std::vector<std::string> messages;     // what the user says, one a turn; at least one, none empty
  std::optional<int64_t> output_tokens;  // of the answer, >= 1
};

struct PromptFile {
  std::vector<PromptEntry> entries;  // not empty
  int64_t skipped = 0;               // ShareGPT conversations in which the user says nothing
};

// Recognises the format by the file's beginning:
// - ShareGPT: a JSON array (or JSON lines) of {"conversations": [{"from": "human" | "user" | other, "value": text}]},
// optionally
//   with "id"; repeated ids get the entry's number behind;
// - JSON lines of {"prompt": text}, optionally "output_tokens" and "id";
// - JSON lines of {"question": text, "answer": text} (workload/dataset.h).
// Errors: kBadInput with file and line or entry.
Result<PromptFile> ReadPromptFile(const std::filesystem::path& path);

}  // namespace moecap::workload
