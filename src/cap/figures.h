// The figures of a measurement and of a cell: one table, figures.inc. JSON both ways, CSV, SQL columns, the axes on which
// systems are compared and the tables of docs/metrics.md are loops over it.
#pragma once

#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "cap/dimension.h"

namespace moecap::cap {

enum class FigureId : uint8_t {
#define MOECAP_FIGURE(id, ...) id,
#include "cap/figures.inc"
#undef MOECAP_FIGURE
  kCount
};
inline constexpr size_t kFigureCount = static_cast<size_t>(FigureId::kCount);

enum class Better : uint8_t { kNone, kLower, kHigher };

struct Figure {
  FigureId id;
  std::string_view key;         // "tpot_mean_s"
  std::string_view unit;        // "s", "USD", "tokens/s", "requests"; empty for a share of 1
  std::string_view name;        // in words, for tables and sentences: "TPOT"
  Better better;                // direction; kNone: neither end is better
  Dimension dimension;          // on which axis of CAP it may stand
  std::string_view definition;  // one sentence
  std::string_view null_when;   // why it may be null, in words
};

// Indexed by FigureId.
std::span<const Figure> Figures();
const Figure& FigureOf(FigureId id);
// By key, or by the short names "ttft_s", "tpot_s", "e2e_s" (their means), "s_mbu" and "s_mfu" (of decode). Error: kBadInput
// with the nearest key. With `dimension`, a figure of another one, or without a direction, is refused.
Result<FigureId> FindFigure(std::string_view key, std::optional<Dimension> dimension = std::nullopt);

// One value a figure; null = not measured or not applicable, never 0.
class FigureValues {
 public:
  std::optional<double>& operator[](FigureId id) { return values_[static_cast<size_t>(id)]; }
  const std::optional<double>& operator[](FigureId id) const { return values_[static_cast<size_t>(id)]; }
  friend bool operator==(const FigureValues&, const FigureValues&) = default;

 private:
  std::array<std::optional<double>, kFigureCount> values_{};
};

// Some of the figures, e.g. those that are estimates.
class FigureSet {
 public:
  void Add(FigureId id) { bits_.set(static_cast<size_t>(id)); }
  bool Has(FigureId id) const { return bits_.test(static_cast<size_t>(id)); }
  friend bool operator==(const FigureSet&, const FigureSet&) = default;

 private:
  std::bitset<kFigureCount> bits_;
};

}  // namespace moecap::cap
