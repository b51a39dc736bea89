// A dense model file for tests, as none ships with the project.
#pragma once

#include <filesystem>

namespace moecap::e2e {

// Writes a Qwen3 model with the tokenizer, attention and norms of `moe` (a qwen3moe file) and a dense FFN of small random
// weights in place of the experts. It generates nonsense, but it loads and runs. Aborts on failure.
void WriteDenseModel(const std::filesystem::path& moe, const std::filesystem::path& dense);

}  // namespace moecap::e2e
