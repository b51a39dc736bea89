// The servers whose wire formats the mock speaks.
#pragma once

#include <string_view>

#include "base/result.h"

namespace moecap::mock {

enum class Dialect { kVllm, kSglang, kTrtllm, kLlamaServer, kTgi, kOllama };

// "vllm", "sglang", "trtllm", "llama-server", "tgi", "ollama".
std::string_view Name(Dialect dialect);
// Error kBadInput lists the names.
Result<Dialect> ParseDialect(std::string_view name);

}  // namespace moecap::mock
