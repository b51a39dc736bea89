#include "mock/routed_experts.h"

#include <fmt/format.h>

#include "mock/engine.h"

namespace moecap::mock {
namespace {

void AppendLittleEndian(int64_t value, int bytes, std::string& out) {
  for (int i = 0; i < bytes; ++i) out += static_cast<char>((value >> (8 * i)) & 0xff);
}

// Version 1.0: magic, header length, a Python dict padded so that the data begins at a multiple of 64.
std::string NpyHeader(std::string_view type, int64_t rows, int64_t layers, int64_t top_k) {
  std::string dict =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}, {}, {}), }}", type, rows, layers, top_k);
  while ((10 + dict.size() + 1) % 64 != 0) dict += ' ';
  dict += '\n';
  std::string header = "\x93NUMPY\x01";
  header += '\0';
  AppendLittleEndian(static_cast<int64_t>(dict.size()), 2, header);
  return header + dict;
}

}  // namespace

std::string Base64(std::string_view bytes) {
  static constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    const size_t count = std::min<size_t>(3, bytes.size() - i);
    for (size_t k = 0; k < 3; ++k) group = group << 8 | (k < count ? static_cast<unsigned char>(bytes[i + k]) : 0u);
    for (size_t k = 0; k < 4; ++k) text += k <= count ? kDigits[(group >> (18 - 6 * k)) & 63] : '=';
  }
  return text;
}

std::string EncodeRoutedExperts(Dialect dialect, const model::ModelSpec& model, const SampledRouter& router,
                                const RoutedSpan& span) {
  const auto prompt = static_cast<int64_t>(span.prompt.size());
  const int64_t end = prompt + span.output_tokens - 1;
  const int64_t rows = std::max<int64_t>(0, end - span.start);
  const auto layers = static_cast<int64_t>(model.layers.size());
  const bool npy = dialect == Dialect::kVllm;
  const bool wide = model.Experts() > 256;
  const int item = npy ? (wide ? 2 : 1) : 4;
  std::string bytes = npy ? NpyHeader(wide ? "<u2" : "|u1", rows, layers, model.TopK()) : std::string();
  std::vector<int32_t> experts;
  for (int64_t position = span.start; position < end; ++position) {
    const int32_t id =
        position < prompt ? span.prompt[static_cast<size_t>(position)] : OutputToken(span.seed, position - prompt, model.vocab);
    int moe_layer = 0;
    for (const model::LayerSpec& layer : model.layers) {
      experts.assign(static_cast<size_t>(model.TopK()), 0);
      if (layer.ffn.moe()) router.Experts(moe_layer++, {id, position}, experts);
      for (const int32_t expert : experts) AppendLittleEndian(expert, item, bytes);
    }
  }
  return Base64(bytes);
}

}  // namespace moecap::mock
