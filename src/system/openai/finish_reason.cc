#include "system/openai/finish_reason.h"

#include <algorithm>
#include <cstdint>

namespace moecap::openai {
namespace {

// Interfaces that share their words.
enum Family : uint8_t { kOpenAi = 1, kSglang = 2, kTgi = 4, kOllama = 8, kLlama = 16, kResponses = 32, kMessages = 64 };

Family FamilyOf(Api api) {
  switch (api) {
    case Api::kCompletions:
    case Api::kChat:
      return kOpenAi;
    case Api::kResponses:
      return kResponses;
    case Api::kMessages:
      return kMessages;
    case Api::kSglangGenerate:
      return kSglang;
    case Api::kTgiGenerate:
      return kTgi;
    case Api::kOllamaGenerate:
    case Api::kOllamaChat:
      return kOllama;
    case Api::kLlamaServer:
      return kLlama;
  }
  CHECK(false);
}

struct Word {
  std::string_view word;  // lower case
  FinishKind kind;
  int usual_in;  // families
};

constexpr Word kWords[] = {
    {"stop", FinishKind::kStop, kOpenAi | kSglang | kOllama},
    {"length", FinishKind::kLength, kOpenAi | kSglang | kTgi | kOllama},
    {"tool_calls", FinishKind::kStop, kOpenAi},
    {"function_call", FinishKind::kStop, kOpenAi},
    {"eos_token", FinishKind::kStop, kTgi},
    {"stop_sequence", FinishKind::kStop, kTgi | kMessages},
    {"eos", FinishKind::kStop, kLlama},
    {"word", FinishKind::kStop, kLlama},
    {"limit", FinishKind::kLength, kLlama},
    {"completed", FinishKind::kStop, kResponses},
    {"max_output_tokens", FinishKind::kLength, kResponses},
    {"end_turn", FinishKind::kStop, kMessages},
    {"tool_use", FinishKind::kStop, kMessages},
    {"max_tokens", FinishKind::kLength, kMessages},
    {"model_context_window_exceeded", FinishKind::kLength, kMessages},
    {"max_new_tokens", FinishKind::kLength, 0},
    {"max_length", FinishKind::kLength, 0},
    {"model_length", FinishKind::kLength, 0},
    {"abort", FinishKind::kAbort, 0},
    {"aborted", FinishKind::kAbort, 0},
    {"cancel", FinishKind::kAbort, 0},
    {"cancelled", FinishKind::kAbort, 0},
    {"canceled", FinishKind::kAbort, 0},
    {"error", FinishKind::kAbort, 0},
    {"failed", FinishKind::kAbort, 0},
    {"timeout", FinishKind::kAbort, 0},
};

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

}  // namespace

FinishMeaning MeaningOf(Api api, std::string_view reason) {
  const auto* row =
      std::ranges::find_if(kWords, [&](const Word& word) { return std::ranges::equal(word.word, reason, {}, {}, Lower); });
  if (row == std::end(kWords)) return {FinishKind::kStop, false};
  return {row->kind, row->word == reason && (row->usual_in & FamilyOf(api)) != 0};
}

}  // namespace moecap::openai
