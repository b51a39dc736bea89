#include "cap/figures.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "base/check.h"
#include "base/nearest_word.h"

namespace moecap::cap {
namespace {

constexpr Figure kFigures[] = {
#define MOECAP_FIGURE(id, key, unit, name, better, dimension, definition, null_when) \
  {FigureId::id, key, unit, name, Better::better, Dimension::dimension, definition, null_when},
#include "cap/figures.inc"
#undef MOECAP_FIGURE
};

constexpr std::pair<std::string_view, FigureId> kShortNames[] = {{"ttft_s", FigureId::kTtftMean},
                                                                 {"tpot_s", FigureId::kTpotMean},
                                                                 {"e2e_s", FigureId::kE2eMean},
                                                                 {"s_mbu", FigureId::kDecodeSMbu},
                                                                 {"s_mfu", FigureId::kDecodeSMfu}};

bool Fits(const Figure& figure, std::optional<Dimension> dimension) {
  return !dimension || (figure.dimension == *dimension && figure.better != Better::kNone);
}

}  // namespace

std::string_view DimensionName(Dimension dimension) {
  constexpr std::string_view kNames[] = {"performance", "cost", "accuracy", "other"};
  return kNames[static_cast<size_t>(dimension)];
}

std::span<const Figure> Figures() { return kFigures; }

const Figure& FigureOf(FigureId id) {
  CHECK(static_cast<size_t>(id) < kFigureCount);
  return kFigures[static_cast<size_t>(id)];
}

Result<FigureId> FindFigure(std::string_view key, std::optional<Dimension> dimension) {
  std::optional<FigureId> found;
  for (const auto& [name, id] : kShortNames) {
    if (name == key) found = id;
  }
  std::vector<std::string> keys;
  for (const Figure& figure : kFigures) {
    if (figure.key == key) found = figure.id;
    if (Fits(figure, dimension)) keys.emplace_back(figure.key);
  }
  if (found && Fits(FigureOf(*found), dimension)) return *found;
  std::string choices;
  for (const std::string& each : keys) choices += (choices.empty() ? "" : ", ") + each;
  if (found) {
    return BadInput(fmt::format("\"{}\" is no axis of {}; choose one of {}", key, DimensionName(*dimension), choices));
  }
  const std::string nearest = NearestWord(key, keys);
  const std::string hint = nearest.empty() ? "" : fmt::format("did you mean \"{}\"? ", nearest);
  return BadInput(fmt::format("\"{}\" is not known; {}there are {}", key, hint, choices));
}

}  // namespace moecap::cap
