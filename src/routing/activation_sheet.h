// The activation sheet of a model: what a trace says about its routing, small enough to keep beside the model and to estimate
// with where no trace is at hand. JSON form in docs/formats/activation_sheet.md.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "routing/layer_trace.h"

namespace moecap::routing {

inline constexpr int kActivationSheetSchema = 1;

struct SheetLayer {
  int layer = 0;                   // number in the model; the position among the MoE layers when the trace does not say
  std::vector<double> popularity;  // share of the assignments per expert, summing to 1
  double cv = 0;
  double entropy_bits = 0;
  std::optional<double> in_sequence_exponent;  // null: the trace has no sequences of tokens
  std::optional<int64_t> tokens;               // null: not known
  std::optional<double> split_half_tv, expected_split_half_tv;
  std::optional<Stability> stability;
};

struct ActivationSheet {
  std::string model;   // empty = not known
  std::string origin;  // of the trace, e.g. "sglang"
  int experts = 0;
  int top_k = 0;  // 0 = not known
  std::vector<SheetLayer> layers;

  // Every layer is stable; false when a layer could not be judged.
  bool Stable() const;
};

SheetLayer MakeSheetLayer(int layer, const LayerProfile& profile);

// The popularity at an end of what the sheet leaves open: of those whose total variation from the recorded one is at most that
// between the halves of the recording (split_half_tv), and in which no expert takes more than all tokens (a share of 1 /
// top_k). kFewest moves that much from the least popular experts to the most popular ones, kMost from the most to the least
// popular. Null at the ends where the sheet does not know its halves. Requires top_k > 0.
enum class SheetEnd : uint8_t { kFewest, kExpected, kMost };
std::optional<std::vector<double>> PopularityAt(const SheetLayer& layer, double top_k, SheetEnd end);

std::string ToJsonText(const ActivationSheet& sheet);
// Errors kBadInput name the key: another schema, popularities that are negative, not numbers, or of another length than
// `experts`.
Result<ActivationSheet> ParseActivationSheet(std::string_view text);

}  // namespace moecap::routing
