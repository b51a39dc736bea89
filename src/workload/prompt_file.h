// Files of prompts to send: conversations, plain prompts, or problems.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace moecap::workload {

struct PromptTurn {
  std::string message;  // what the user says; not empty
  std::string answer;   // what was answered when the file was recorded; empty = it does not tell
};

struct PromptEntry {
  std::string id;                        // unique within the file; the entry's number, from 1, when the file gives none
  std::vector<PromptTurn> turns;         // at least one
  std::optional<int64_t> output_tokens;  // of each answer, >= 1, as the file says
};

struct PromptFile {
  std::vector<PromptEntry> entries;  // not empty
  int64_t skipped = 0;               // conversations in which the user says nothing
};

// A JSON array of entries, JSON lines of them, or a JSON object with such an array under "data", "rows", "examples" or
// "prompts". An entry is recognised by its members:
// - "conversations", "messages": turns of {"from", "value"} (ShareGPT) or {"role", "content"}, whose content is a text or a
// list
//   of parts; the user's are sent, the assistant's are the recorded answers, others are left out;
// - "turns": the same, or texts of the user (MT-Bench);
// - "prompt" (or such turns under this name), "question", "instruction" with "input" behind it, "text": one turn, with the
//   recorded answer under "output", "completion" or "response".
// Each may have "output_tokens" and an "id" ("question_id", "conversation_id"); repeated ids get the entry's number behind.
// Errors: kBadInput with file and line or entry.
Result<PromptFile> ReadPromptFile(const std::filesystem::path& path);

}  // namespace moecap::workload
