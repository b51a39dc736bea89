#include "accuracy/reasoning.h"

#include <algorithm>
#include <array>
#include <utility>

namespace moecap::accuracy {
namespace {

constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kTags{{{"<think>", "</think>"},
                                                                              {"<thinking>", "</thinking>"},
                                                                              {"<reasoning>", "</reasoning>"},
                                                                              {"<thought>", "</thought>"},
                                                                              {"[THINK]", "[/THINK]"}}};
constexpr std::string_view kAnalysis = "analysis", kFinalWithoutTokens = "assistantfinal";
constexpr std::string_view kChannel = "<|channel|>", kFinalChannel = "<|channel|>final", kMessage = "<|message|>";
constexpr std::array<std::string_view, 3> kEndTokens = {"<|return|>", "<|end|>", "<|start|>"};

std::string_view WithoutBlanksInFront(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n\f\v"), text.size()));
  return text;
}

SeparatedText Divide(std::string_view reasoning, std::string_view answer) {
  return {reasoning, WithoutBlanksInFront(answer), false};
}

SeparatedText Truncated(std::string_view reasoning) { return {reasoning, {}, true}; }

// A text with harmony's channel tokens in it.
SeparatedText SeparateChannels(std::string_view text) {
  const size_t final = text.rfind(kFinalChannel);
  const size_t message = final == std::string_view::npos ? final : text.find(kMessage, final);
  if (message == std::string_view::npos) return Truncated(text);
  std::string_view answer = text.substr(message + kMessage.size());
  for (const std::string_view token : kEndTokens) answer = answer.substr(0, answer.find(token));
  return Divide(text.substr(0, final), answer);
}

// "analysisWe need..": harmony without its special tokens, which glue the words together. A text about an analysis has a blank
// behind the word.
bool BeginsAsAnalysis(std::string_view text) {
  if (!text.starts_with(kAnalysis) || text.size() == kAnalysis.size()) return false;
  const char next = text[kAnalysis.size()];
  return (next >= 'A' && next <= 'Z') || (next >= '0' && next <= '9') || (static_cast<unsigned char>(next) & 0x80) != 0;
}

}  // namespace

SeparatedText SeparateReasoning(std::string_view text) {
  const std::string_view begin = WithoutBlanksInFront(text);
  if (begin.starts_with(kChannel) || begin.starts_with("<|start|>assistant")) return SeparateChannels(begin);
  if (BeginsAsAnalysis(begin)) {
    const size_t final = begin.rfind(kFinalWithoutTokens);
    if (final == std::string_view::npos) return Truncated(begin.substr(kAnalysis.size()));
    return Divide(begin.substr(kAnalysis.size(), final - kAnalysis.size()), begin.substr(final + kFinalWithoutTokens.size()));
  }
  for (const auto& [open, close] : kTags) {
    const bool opens = begin.starts_with(open);
    const size_t end = begin.rfind(close);
    if (end != std::string_view::npos) {
      const size_t from = opens ? open.size() : 0;
      return Divide(begin.substr(from, end - from), begin.substr(end + close.size()));
    }
    if (opens) return Truncated(begin.substr(open.size()));
  }
  return {{}, text, false};
}

std::string_view CutAtStop(std::string_view answer, std::span<const std::string> stop) {
  size_t end = answer.size();
  for (const std::string& text : stop) {
    if (!text.empty()) end = std::min(end, answer.find(text));
  }
  return answer.substr(0, end);
}

}  // namespace moecap::accuracy
