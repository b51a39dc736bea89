// A tokenizer that any engine accepts for any vocabulary size.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "model/gguf_writer.h"

namespace moecap::synth {

// Byte-level BPE in GPT-2's alphabet without useful merges: every byte is a token, then one end token, then unused placeholders
// up to `vocab`. Error kBadInput for fewer than 258 tokens.
Status AddTokenizer(int64_t vocab, model::GgufWriter& writer);

}  // namespace moecap::synth
