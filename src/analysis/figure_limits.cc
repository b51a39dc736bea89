#include "analysis/figure_limits.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <functional>
#include <optional>
#include <vector>

#include "base/check.h"
#include "base/units.h"

namespace moecap::analysis {
namespace {

using cap::FigureId;

constexpr double kBytesPerParam = 0.5;  // 4 bits, the narrowest type in common use
constexpr double kMillion = 1e6;

// The best of the catalogue in one respect.
struct Extreme {
  double value = 0;
  std::string device;
};

// The largest (sign 1) or smallest (sign -1) value of `figure` over the devices that have it; values of 0 are no figures.
std::optional<Extreme> Find(const hardware::Catalogue& catalogue, int sign,
                            const std::function<std::optional<double>(const hardware::Device&)>& figure) {
  std::optional<Extreme> best;
  for (const hardware::Device& device : catalogue.devices()) {
    const auto value = figure(device);
    if (value && *value > 0 && (!best || sign * *value > sign * best->value)) best = Extreme{*value, device.name};
  }
  return best;
}

std::optional<double> DensestPeak(const hardware::Device& device) {
  std::optional<double> densest;
  const auto& peaks = device.peaks;
  for (const auto& peak : {peaks.fp32, peaks.tf32, peaks.bf16, peaks.fp16, peaks.fp8, peaks.fp4, peaks.int8}) {
    if (peak && *peak > densest.value_or(0)) densest = peak;
  }
  return densest;
}

std::optional<double> Lowest(const hardware::PriceRange& price) { return price.low ? price.low : price.typical; }

struct Extremes {
  std::optional<Extreme> bandwidth_bytes_per_s, flops_per_s, flops_per_usd, joules_per_flop, power_w, price_usd;
};

Extremes FindExtremes(const hardware::Catalogue& catalogue) {
  using hardware::Device;
  Extremes best;
  best.bandwidth_bytes_per_s = Find(catalogue, 1, [](const Device& device) { return device.bandwidth_bytes_per_s; });
  best.flops_per_s = Find(catalogue, 1, DensestPeak);
  best.flops_per_usd = Find(catalogue, 1, [](const Device& device) -> std::optional<double> {
    const auto peak = DensestPeak(device);
    const auto rent = Lowest(device.rent_usd_per_h);
    if (!peak || !rent || *rent <= 0) return std::nullopt;
    return *peak * kSecondsPerHour / *rent;
  });
  best.joules_per_flop = Find(catalogue, -1, [](const Device& device) -> std::optional<double> {
    const auto peak = DensestPeak(device);
    if (!peak || !device.tdp_w) return std::nullopt;
    return *device.tdp_w / *peak;
  });
  best.power_w = Find(catalogue, -1, [](const Device& device) { return device.tdp_w; });
  best.price_usd = Find(catalogue, -1, [](const Device& device) { return Lowest(device.price_usd); });
  return best;
}

std::vector<cap::FigureLimit> LimitsOf(const ModelWork& work, const Extremes& best) {
  CHECK(work.active_params > 0 && work.total_params > 0);
  const double flops = 2 * work.active_params;
  const std::string active = FormatParams(static_cast<int64_t>(work.active_params)) + " active parameters";
  const std::string token = fmt::format("2 x {} a token", active);
  std::vector<cap::FigureLimit> limits;
  const auto add = [&](std::initializer_list<FigureId> figures, double value, const std::string& source) {
    for (const FigureId figure : figures) limits.push_back({figure, value, source});
  };
  if (best.bandwidth_bytes_per_s) {
    add({FigureId::kTimePerToken, FigureId::kTtftMean, FigureId::kTtftP50, FigureId::kTtftP90, FigureId::kTtftP99,
         FigureId::kTpotMean, FigureId::kTpotP50, FigureId::kTpotP90, FigureId::kTpotP99, FigureId::kE2eMean, FigureId::kE2eP50,
         FigureId::kE2eP90, FigureId::kE2eP99},
        work.active_params * kBytesPerParam / best.bandwidth_bytes_per_s->value,
        fmt::format("{} x 0.5 B read once at {} ({}, the fastest memory of the catalogue)", active,
                    FormatSi(best.bandwidth_bytes_per_s->value, "B/s"), best.bandwidth_bytes_per_s->device));
  }
  if (best.flops_per_s) {
    add({FigureId::kOutputRate, FigureId::kRequestRate, FigureId::kGoodput}, best.flops_per_s->value / flops,
        fmt::format("{} / ({}) ({}, the highest dense peak of the catalogue)", FormatSi(best.flops_per_s->value, "FLOP/s"),
                    token, best.flops_per_s->device));
  }
  if (best.flops_per_usd) {
    add({FigureId::kUsdPerMillionTokens, FigureId::kUsdPerMillionOutput, FigureId::kUsdPerMillionOutputAllIn},
        kMillion * flops / best.flops_per_usd->value,
        fmt::format("1M x ({}) / {} ({}, the cheapest rented peak of the catalogue)", token,
                    FormatSi(best.flops_per_usd->value, "FLOP per USD"), best.flops_per_usd->device));
  }
  if (best.joules_per_flop) {
    add({FigureId::kJoulesPerOutput, FigureId::kJoulesPerToken}, flops * best.joules_per_flop->value,
        fmt::format("{} x {:.3g} J per FLOP ({}, the most frugal peak of the catalogue)", token, best.joules_per_flop->value,
                    best.joules_per_flop->device));
  }
  if (best.power_w) add({FigureId::kPower}, best.power_w->value, fmt::format("TDP of {}, the lowest", best.power_w->device));
  if (best.price_usd)
    add({FigureId::kPurchase}, best.price_usd->value, fmt::format("price of {}, the lowest", best.price_usd->device));
  add({FigureId::kMemory}, work.total_params * kBytesPerParam,
      fmt::format("{} parameters x 0.5 B", FormatParams(static_cast<int64_t>(work.total_params))));
  for (cap::FigureLimit& limit : limits) limit.source += work.name.empty() ? "" : "; model: " + work.name;
  return limits;
}

bool NamesPrecision(const std::string& word) {
  static constexpr std::string_view kWords[] = {"gguf",  "f16",   "f32",   "fp32",    "fp16",     "bf16", "fp8",
                                                "fp4",   "mxfp4", "nvfp4", "int8",    "int4",     "awq",  "gptq",
                                                "w4a16", "w8a8",  "w8a16", "imatrix", "quantized"};
  if (std::find(std::begin(kWords), std::end(kWords), word) != std::end(kWords)) return true;
  // GGUF's types: q4_0, q4, iq2, k, m, s, xl after the split at the underscore.
  const size_t q = word.find('q');
  return word.size() >= 2 && word.size() <= 3 && (q == 0 || (q == 1 && word[0] == 'i')) && std::isdigit(word.back()) != 0;
}

}  // namespace

std::string BaseName(const std::string& id) {
  std::string base;
  std::string word;
  bool after_type = false;  // "0", "1", "k", "m", ... belong to the type in front of them
  const auto flush = [&] {
    const bool suffix = after_type && word.size() <= 2;
    const bool type = NamesPrecision(word);
    if (!word.empty() && !type && !suffix) base += (base.empty() ? "" : "-") + word;
    after_type = type || (after_type && suffix);
    word.clear();
  };
  for (const char c : id.substr(id.find_last_of('/') + 1)) {
    if (c == '-' || c == '_' || c == '.' || c == ' ') {
      flush();
    } else {
      word += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
  }
  flush();
  return base;
}

ModelWork WorkOf(const model::ModelSpec& model) {
  return {BaseName(model.id), std::max(1.0, static_cast<double>(model.ActiveParamsNoInputEmbedding())),
          std::max(1.0, static_cast<double>(model.TotalParams()))};
}

ModelWork ReferenceWork() { return {"reference, as the models differ", 1e9, 1e9}; }

std::vector<cap::FigureLimit> ComputeLimits(const ModelWork& work, const hardware::Catalogue& catalogue) {
  return LimitsOf(work, FindExtremes(catalogue));
}

std::vector<cap::FigureLimit> BuiltinLimits(const ModelWork& work) {
  static const Extremes kExtremes = [] {
    const auto catalogue = hardware::Catalogue::Builtin();
    CHECK(catalogue.ok());
    return FindExtremes(*catalogue);
  }();
  return LimitsOf(work, kExtremes);
}

std::string ModelIdentity(const model::ModelSpec& model) {
  return fmt::format("{} ({} parameters, {} layers, {} of {} experts)", BaseName(model.id), FormatParams(model.TotalParams()),
                     model.layers.size(), model.TopK(), model.Experts());
}

std::optional<ModelWork> CommonWork(std::span<const model::ModelSpec* const> models) {
  const model::ModelSpec* first = nullptr;
  bool same = true;
  for (const model::ModelSpec* model : models) {
    if (model->layers.empty()) continue;
    if (first == nullptr) first = model;
    same = same && ModelIdentity(*model) == ModelIdentity(*first);
  }
  if (first == nullptr) return std::nullopt;
  return same ? WorkOf(*first) : ReferenceWork();
}

}  // namespace moecap::analysis
