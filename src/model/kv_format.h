// KV-cache layouts by the names that engines give them: bits of an element, with scales, and entries whose parts differ.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/model_spec.h"

namespace moecap::model {

struct KvFormat {
  std::string name;
  double bits = 16;              // per cached element, block scales included
  double bits_per_head_key = 0;  // besides, for each key and each value vector of a head: its own scale
  // vLLM's fp8_ds_mla: the latent in fp8 with a 32-bit scale per 128 elements, the rotary part in bf16; indexer keys in fp8
  // with a 32-bit scale each. 656 bytes a token and layer for a latent of 512 + 64, 132 for an indexer key of 128.
  bool latent_slots = false;
};

// Case does not matter. Null: unknown.
std::optional<KvFormat> KvFormatByName(std::string_view name);
// Every name that it knows, sorted.
std::vector<std::string> KnownKvFormats();

// Sets what a cached entry of each layer takes. Error kBadInput: a layout of latents for a model that has none.
Status ApplyKvFormat(ModelSpec& spec, const KvFormat& format);
// The same by name. Error kBadInput: an unknown name, with the known ones.
Status ApplyKvFormat(ModelSpec& spec, std::string_view name);

}  // namespace moecap::model
