#include "system/openai/pass_limit.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <string_view>

namespace moecap::openai {
namespace {

constexpr double kGib = 1024.0 * 1024 * 1024;

// "--flag N" or "--flag=N"; the last one counts.
std::optional<int64_t> ValueOf(std::string_view flag, std::span<const std::string> words) {
  std::optional<int64_t> value;
  for (size_t i = 0; i < words.size(); ++i) {
    std::string_view text;
    if (words[i] == flag && i + 1 < words.size()) text = words[i + 1];
    if (words[i].starts_with(flag) && words[i].size() > flag.size() && words[i][flag.size()] == '=')
      text = std::string_view(words[i]).substr(flag.size() + 1);
    int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (!text.empty() && error == std::errc() && end == text.data() + text.size()) value = number;
  }
  return value;
}

struct Row {
  ServerKind kind;
  std::string_view flag, page;
};
constexpr Row kRows[] = {
    {ServerKind::kVllm, "--max-num-batched-tokens", "max_num_batched_tokens of /server_info"},
    {ServerKind::kSglang, "--chunked-prefill-size", "chunked_prefill_size of /server_info"},
    {ServerKind::kTensorRtLlm, "--max_num_tokens", ""},
    {ServerKind::kLlamaServer, "--batch-size", ""},
    {ServerKind::kTransformers, "--cb-max-batch-tokens", ""},
};

std::optional<PassLimit> VllmDefault(const ServerFacts& facts, std::span<const std::string> words, double memory_bytes) {
  int64_t tokens = memory_bytes >= 160 * kGib ? 16384 : memory_bytes >= 70 * kGib ? 8192 : 2048;
  const auto sequences = facts.max_running ? facts.max_running : ValueOf("--max-num-seqs", words);
  if (sequences && facts.context_tokens) tokens = std::min(tokens, *sequences * *facts.context_tokens);
  const std::string device = memory_bytes > 0 ? fmt::format("a GPU of {:.0f} GiB", memory_bytes / kGib) : "a processor";
  return PassLimit{tokens, "vLLM's default on " + device, true};
}

}  // namespace

std::optional<PassLimit> FindPassLimit(ServerKind kind, const ServerFacts& facts, std::span<const std::string> words,
                                       std::optional<double> device_memory_bytes) {
  const Row* row = std::ranges::find(kRows, kind, &Row::kind);
  if (row == std::end(kRows)) return std::nullopt;
  if (facts.prefill_chunk) return PassLimit{*facts.prefill_chunk, std::string(row->page), false};
  if (const auto tokens = ValueOf(row->flag, words)) {
    // -1 switches SGLang's chunks off.
    return *tokens > 0 ? std::optional(PassLimit{*tokens, std::string(row->flag), false}) : std::nullopt;
  }
  if (kind != ServerKind::kVllm || !device_memory_bytes) return std::nullopt;
  return VllmDefault(facts, words, *device_memory_bytes);
}

}  // namespace moecap::openai
