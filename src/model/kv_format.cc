#include "model/kv_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/nearest_word.h"
#include "model/json_at.h"

namespace moecap::model {
namespace {

struct Layout {
  std::string_view name;
  double bits;
  double bits_per_head_key = 0;
  bool latent_slots = false;
};
// Sorted by name. GGUF types: llama.cpp's choice for its cache.
constexpr std::array kLayouts = {
    Layout{"bf16", 16},
    Layout{"bfloat16", 16},
    Layout{"f16", 16},
    Layout{"f32", 32},
    Layout{"float16", 16},
    Layout{"float32", 32},
    Layout{"fp16", 16},
    Layout{"fp32", 32},
    Layout{"fp4_e2m1", 4.5},
    Layout{"fp8", 8},
    Layout{"fp8_ds_mla", 8, 0, true},
    Layout{"fp8_e4m3", 8},
    Layout{"fp8_e5m2", 8},
    Layout{"fp8_inc", 8},
    Layout{"fp8_per_token_head", 8, 32},
    Layout{"int8", 8, 32},
    Layout{"int8_per_token_head", 8, 32},
    Layout{"iq4_nl", 4.5},
    Layout{"mxfp4", 4.25},
    Layout{"nvfp4", 4.5},
    Layout{"q4_0", 4.5},
    Layout{"q4_1", 5},
    Layout{"q5_0", 5.5},
    Layout{"q5_1", 6},
    Layout{"q8_0", 8.5},
};

// Bytes of one entry where it is not elements x bits.
double EntryBytes(const AttentionSpec& attention, const KvCacheSpec& cache, const KvFormat& format) {
  const auto elements = static_cast<double>(cache.elements);
  if (format.latent_slots && attention.kind == AttentionKind::kMla) {
    const auto rope = static_cast<double>(cache.rope_elements);
    const double quantised = elements - rope;
    // 32 bits per 128 elements, or, of a latent that those do not fill (DeepSeek-V4), 8 bits per 64 padded to 8 bytes.
    const bool fills = std::fmod(quantised, 128) == 0;
    const double scales = fills ? quantised / 128 * 4 : std::ceil(quantised / 64 / 8) * 8;
    return quantised + scales + 2 * rope;
  }
  if (format.bits_per_head_key <= 0) return 0;
  // A latent, an indexer key or a compressed entry is one vector.
  const double vectors = attention.kind == AttentionKind::kGqa && !cache.index_keys ? 2.0 * std::max(attention.kv_heads, 1) : 1;
  return (elements * format.bits + vectors * format.bits_per_head_key) / 8;
}

}  // namespace

std::optional<KvFormat> KvFormatByName(std::string_view name) {
  const std::string lower = LowerCase(name);
  const auto* found = std::ranges::find(kLayouts, lower, &Layout::name);
  if (found == kLayouts.end()) return std::nullopt;
  return KvFormat{lower, found->bits, found->bits_per_head_key, found->latent_slots};
}

std::vector<std::string> KnownKvFormats() {
  std::vector<std::string> names;
  for (const Layout& layout : kLayouts) names.emplace_back(layout.name);
  return names;
}

Status ApplyKvFormat(ModelSpec& spec, const KvFormat& format) {
  const bool has_latents = std::ranges::any_of(spec.layers, [](const LayerSpec& layer) {
    return layer.attention.kind == AttentionKind::kMla && !layer.attention.caches.empty();
  });
  if (format.latent_slots && !has_latents)
    return BadInput(fmt::format("the KV type {} is a layout of MLA latents; {} has none", format.name, spec.id));
  spec.kv_type = format.name;
  spec.kv_bits = format.bits;
  for (LayerSpec& layer : spec.layers) {
    for (KvCacheSpec& cache : layer.attention.caches) cache.entry_bytes = EntryBytes(layer.attention, cache, format);
  }
  return {};
}

Status ApplyKvFormat(ModelSpec& spec, std::string_view name) {
  const std::optional<KvFormat> format = KvFormatByName(name);
  if (format) return ApplyKvFormat(spec, *format);
  const std::string nearest = NearestWord(name, KnownKvFormats());
  return BadInput(fmt::format("the KV type '{}' is not known{}; known are {}", name,
                              nearest.empty() ? "" : fmt::format(" (did you mean '{}'?)", nearest),
                              fmt::join(KnownKvFormats(), ", ")));
}

}  // namespace moecap::model
