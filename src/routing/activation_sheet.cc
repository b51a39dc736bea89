#include "routing/activation_sheet.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "base/json.h"
#include "base/json_error.h"

namespace moecap::routing {
namespace {

constexpr const char* kKind = "activation_sheet";

template <typename T>
std::optional<T> Optional(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return std::nullopt;
  return found->get<T>();
}

Json LayerToJson(const SheetLayer& layer) {
  return {{"layer", layer.layer},
          {"tokens", OrNull(layer.tokens)},
          {"cv", layer.cv},
          {"entropy_bits", layer.entropy_bits},
          {"in_sequence_exponent", OrNull(layer.in_sequence_exponent)},
          {"split_half_tv", OrNull(layer.split_half_tv)},
          {"expected_split_half_tv", OrNull(layer.expected_split_half_tv)},
          {"stability", layer.stability ? Json(std::string(Name(*layer.stability))) : Json(nullptr)},
          {"popularity", layer.popularity}};
}

Result<SheetLayer> LayerFromJson(const Json& json, size_t experts) {
  SheetLayer layer;
  layer.layer = json.at("layer").get<int>();
  layer.tokens = Optional<int64_t>(json, "tokens");
  layer.cv = json.at("cv").get<double>();
  layer.entropy_bits = json.at("entropy_bits").get<double>();
  layer.in_sequence_exponent = Optional<double>(json, "in_sequence_exponent");
  layer.split_half_tv = Optional<double>(json, "split_half_tv");
  layer.expected_split_half_tv = Optional<double>(json, "expected_split_half_tv");
  json.at("popularity").get_to(layer.popularity);
  if (layer.popularity.size() != experts ||
      !std::ranges::all_of(layer.popularity, [](double part) { return std::isfinite(part) && part >= 0; })) {
    return BadInput(fmt::format("layer {}: \"popularity\" must be {} numbers of 0 or more", layer.layer, experts));
  }
  if (const auto name = Optional<std::string>(json, "stability")) {
    for (const Stability known : {Stability::kStable, Stability::kMoreData, Stability::kShifting}) {
      if (*name == Name(known)) layer.stability = known;
    }
    if (!layer.stability) return BadInput(fmt::format("layer {}: unknown \"stability\" \"{}\"", layer.layer, *name));
  }
  return layer;
}

Result<ActivationSheet> SheetFromJson(const Json& json) {
  if (!json.is_object() || json.value("kind", "") != kKind)
    return BadInput("not an activation sheet: \"kind\" is not \"activation_sheet\"");
  if (const int schema = json.at("schema").get<int>(); schema != kActivationSheetSchema) {
    return BadInput(fmt::format("activation sheet of schema {}; this program reads {}", schema, kActivationSheetSchema));
  }
  ActivationSheet sheet;
  sheet.model = json.value("model", "");
  sheet.origin = json.value("origin", "");
  sheet.experts = json.at("experts").get<int>();
  sheet.top_k = Optional<int>(json, "top_k").value_or(0);
  if (sheet.experts < 1 || sheet.top_k < 0 || sheet.top_k > sheet.experts) {
    return BadInput(fmt::format("\"experts\" {} and \"top_k\" {} cannot be", sheet.experts, sheet.top_k));
  }
  for (const Json& entry : json.at("layers")) {
    ASSIGN_OR_RETURN(SheetLayer layer, LayerFromJson(entry, static_cast<size_t>(sheet.experts)));
    sheet.layers.push_back(std::move(layer));
  }
  return sheet;
}

// Indices by share, ascending.
std::vector<size_t> Ascending(std::span<const double> share) {
  std::vector<size_t> order(share.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, {}, [&](size_t i) { return share[i]; });
  return order;
}

// The least popular experts lose `moved` to the most popular ones, which take up to `most` each.
void Sharpen(std::vector<double>& share, double moved, double most) {
  const std::vector<size_t> order = Ascending(share);
  size_t from = 0, to = order.size() - 1;
  while (moved > 0 && from < to) {
    double& source = share[order[from]];
    double& target = share[order[to]];
    const double part = std::max(0.0, std::min({source, most - target, moved}));
    source -= part;
    target += part;
    moved -= part;
    if (source <= 0) {
      ++from;
    } else if (moved > 0) {
      --to;
    }
  }
}

// The level to which `amount` fills `ascending` up.
double FilledTo(std::span<const double> ascending, double amount) {
  double below = 0;
  for (size_t i = 0; i < ascending.size(); ++i) {
    below += ascending[i];
    const double level = (below + amount) / static_cast<double>(i + 1);
    if (i + 1 == ascending.size() || level <= ascending[i + 1]) return level;
  }
  return 0;
}

// The most popular experts lose `moved`, down to a common ceiling, to the least popular ones, up to a common floor.
void Level(std::vector<double>& share, double moved) {
  std::vector<double> sorted = share;
  std::ranges::sort(sorted);
  const double mean = std::accumulate(sorted.begin(), sorted.end(), 0.0) / static_cast<double>(sorted.size());
  const double floor = std::min(mean, FilledTo(sorted, moved));
  for (double& part : sorted) part = -part;
  std::ranges::reverse(sorted);
  const double ceiling = std::max(mean, -FilledTo(sorted, moved));
  for (double& part : share) part = std::clamp(part, floor, ceiling);
}

}  // namespace

bool ActivationSheet::Stable() const {
  return !layers.empty() &&
         std::ranges::all_of(layers, [](const SheetLayer& layer) { return layer.stability == Stability::kStable; });
}

SheetLayer MakeSheetLayer(int layer, const LayerProfile& profile) {
  SheetLayer result;
  result.layer = layer;
  result.popularity = profile.load.popularity;
  result.cv = profile.load.cv;
  result.entropy_bits = profile.load.entropy_bits;
  result.in_sequence_exponent = profile.in_sequence_exponent;
  result.tokens = profile.tokens;
  if (profile.halves) {
    result.split_half_tv = profile.halves->total_variation;
    result.expected_split_half_tv = profile.halves->expected_total_variation;
    result.stability = profile.halves->verdict;
  }
  return result;
}

std::optional<std::vector<double>> PopularityAt(const SheetLayer& layer, double top_k, SheetEnd end) {
  std::vector<double> share = layer.popularity;
  if (end == SheetEnd::kExpected) return share;
  if (!layer.split_half_tv) return std::nullopt;
  const double sum = std::accumulate(share.begin(), share.end(), 0.0);
  const double moved = std::clamp(*layer.split_half_tv, 0.0, 1.0) * sum;
  if (end == SheetEnd::kMost) {
    Level(share, moved);
  } else {
    Sharpen(share, moved, sum / top_k);
  }
  return share;
}

std::string ToJsonText(const ActivationSheet& sheet) {
  Json layers = Json::array();
  for (const SheetLayer& layer : sheet.layers) layers.push_back(LayerToJson(layer));
  return DumpJsonPretty({{"schema", kActivationSheetSchema},
                         {"kind", kKind},
                         {"model", sheet.model},
                         {"origin", sheet.origin},
                         {"experts", sheet.experts},
                         {"top_k", sheet.top_k > 0 ? Json(sheet.top_k) : Json(nullptr)},
                         {"stable", sheet.Stable()},
                         {"layers", std::move(layers)}});
}

Result<ActivationSheet> ParseActivationSheet(std::string_view text) {
  ASSIGN_OR_RETURN(const Json json, ParseJson(text));
  try {
    return SheetFromJson(json);
  } catch (const Json::exception& error) {
    return BadInput(fmt::format("activation sheet: {}", ReasonOf(error)));
  }
}

}  // namespace moecap::routing
