// Prompt files: ShareGPT conversations, plain prompts, problems.
#include <algorithm>
#include <set>
#include <string>

#include "fuzz/fuzz.h"
#include "workload/prompt_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moecap;
  const fuzz::MemoryFile memory(data, size);
  const auto file = workload::ReadPromptFile(memory.path());
  if (!file.ok()) return 0;
  CHECK(!file->entries.empty() && file->skipped >= 0);
  std::set<std::string> ids;
  for (const workload::PromptEntry& entry : file->entries) {
    CHECK(ids.insert(entry.id).second);
    CHECK(!entry.turns.empty());
    CHECK(std::ranges::none_of(entry.turns, [](const workload::PromptTurn& turn) { return turn.message.empty(); }));
    CHECK(entry.output_tokens.value_or(1) >= 1);
  }
  return 0;
}
