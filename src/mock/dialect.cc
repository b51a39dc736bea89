#include "mock/dialect.h"

#include <fmt/format.h>

#include <array>
#include <utility>

namespace moecap::mock {
namespace {

constexpr std::array kNames{std::pair{Dialect::kVllm, "vllm"},     std::pair{Dialect::kSglang, "sglang"},
                            std::pair{Dialect::kTrtllm, "trtllm"}, std::pair{Dialect::kLlamaServer, "llama-server"},
                            std::pair{Dialect::kTgi, "tgi"},       std::pair{Dialect::kOllama, "ollama"}};

}  // namespace

std::string_view Name(Dialect dialect) { return kNames[static_cast<size_t>(dialect)].second; }

Result<Dialect> ParseDialect(std::string_view name) {
  std::string known;
  for (const auto& [dialect, text] : kNames) {
    if (name == text) return dialect;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", text);
  }
  return BadInput(fmt::format("unknown dialect \"{}\"; known are {}", name, known));
}

}  // namespace moecap::mock
