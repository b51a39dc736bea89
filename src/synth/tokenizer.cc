#include "synth/tokenizer.h"

#include <fmt/format.h>

#include <string>
#include <vector>

namespace moecap::synth {
namespace {

constexpr int kBytes = 256;
constexpr int32_t kNormal = 1;  // token types of the file format
constexpr int32_t kControl = 3;
constexpr int32_t kUnused = 5;

// Printable Latin-1 characters stand for themselves, the other bytes for code points from 256 on: GPT-2's alphabet.
bool StandsForItself(int byte) { return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174; }

std::string Utf8(int code_point) {
  if (code_point < 128) return {static_cast<char>(code_point)};
  return {static_cast<char>(0xc0 | (code_point >> 6)), static_cast<char>(0x80 | (code_point & 0x3f))};
}

}  // namespace

Status AddTokenizer(int64_t vocab, model::GgufWriter& writer) {
  if (vocab < kBytes + 2)
    return BadInput(fmt::format("vocab_size is {}; a byte-level tokenizer needs at least {}", vocab, kBytes + 2));
  std::vector<std::string> tokens;
  tokens.reserve(static_cast<size_t>(vocab));
  int next = kBytes;
  for (int byte = 0; byte < kBytes; ++byte) tokens.push_back(Utf8(StandsForItself(byte) ? byte : next++));
  tokens.push_back("<|end|>");
  tokens.push_back("ee");
  std::vector<int32_t> types(kBytes, kNormal);
  types.push_back(kControl);
  types.push_back(kNormal);
  while (static_cast<int64_t>(tokens.size()) < vocab) {
    tokens.push_back(fmt::format("<|unused_{}|>", tokens.size()));
    types.push_back(kUnused);
  }
  writer.SetString("tokenizer.ggml.model", "gpt2");
  writer.SetString("tokenizer.ggml.pre", "gpt-2");
  writer.SetStrings("tokenizer.ggml.tokens", tokens);
  writer.SetInts("tokenizer.ggml.token_type", types);
  writer.SetStrings("tokenizer.ggml.merges", {"e e"});  // the engine wants a list that is not empty
  writer.SetUint("tokenizer.ggml.bos_token_id", kBytes);
  writer.SetUint("tokenizer.ggml.eos_token_id", kBytes);
  writer.SetBool("tokenizer.ggml.add_bos_token", false);
  return {};
}

}  // namespace moecap::synth
