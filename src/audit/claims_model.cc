// Claims about a model's shape and the experts that a batch activates.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "audit/evaluators.h"
#include "metrics/estimate.h"
#include "metrics/pass_cost.h"
#include "routing/estimate.h"

namespace moecap::audit {
namespace {
using model::TensorClass;

Figure CountFigure(std::string quantity, const std::optional<Printed>& published, double computed) {
  Figure figure;
  figure.quantity = std::move(quantity);
  figure.published = published;
  figure.computed = computed;
  return figure;
}

const model::LayerSpec* FirstMoeLayer(const model::ModelSpec& spec) {
  const auto found = std::find_if(spec.layers.begin(), spec.layers.end(), [](const auto& layer) { return layer.ffn.moe(); });
  return found == spec.layers.end() ? nullptr : &*found;
}

// Shared experts are counted in widths of a routed expert: one module as wide as four is the same arithmetic as four modules.
void AddSharedExperts(const model::LayerSpec& layer, const Printed& published, ClaimReport& report) {
  const model::FfnSpec& ffn = layer.ffn;
  const double widths =
      ffn.expert_width > 0 ? static_cast<double>(ffn.shared_width) / static_cast<double>(ffn.expert_width) : 0;
  report.figures.push_back(CountFigure("shared experts (routed widths)", published, widths));
  if (ffn.shared_experts > 0 && widths != ffn.shared_experts) {
    report.reasons.push_back(
        fmt::format("The config has {} shared expert module{} of width {}, as wide as {:g} routed experts of {}.",
                    ffn.shared_experts, ffn.shared_experts == 1 ? "" : "s", ffn.shared_width, widths, ffn.expert_width));
  }
}

// "64 experts" may be the routed ones, or all of them: the shared ones besides, as modules or in routed widths.
void AddExperts(const model::ModelSpec& spec, const Printed& published, ClaimReport& report) {
  Figure figure = CountFigure("routed experts", published, spec.Experts());
  const model::LayerSpec* layer = FirstMoeLayer(spec);
  if (layer != nullptr && layer->ffn.shared_experts > 0) {
    const model::FfnSpec& ffn = layer->ffn;
    figure.readings.push_back(ffn.experts + ffn.shared_experts);
    if (ffn.expert_width > 0)
      figure.readings.push_back(ffn.experts + static_cast<double>(ffn.shared_width) / static_cast<double>(ffn.expert_width));
    if (published.value != spec.Experts() && Judge(figure) == Verdict::kAgrees)
      report.reasons.push_back(fmt::format("{:g} experts are {} routed ones and {:g} shared ones; either count is one.",
                                           published.value, spec.Experts(), published.value - spec.Experts()));
  }
  report.figures.push_back(std::move(figure));
}

void AddActiveParams(const model::ModelSpec& spec, const Printed& published, ClaimReport& report) {
  Figure figure;
  figure.quantity = "active parameters";
  figure.unit = Unit::kParams;
  figure.published = published;
  figure.computed = static_cast<double>(spec.ActiveParams());
  figure.low = static_cast<double>(spec.ActiveParamsNoEmbeddings());
  figure.high = figure.computed;
  report.reasons.push_back(fmt::format(
      "Active: {} with the embedding and head tables, {} without the input embedding, {} without both; each counts.",
      FormatFigure(*figure.computed, Unit::kParams),
      FormatFigure(static_cast<double>(spec.ActiveParamsNoInputEmbedding()), Unit::kParams),
      FormatFigure(*figure.low, Unit::kParams)));
  report.figures.push_back(std::move(figure));
}

// total x k / E of the published figures: what would be active if all parameters were experts.
void AddExpertShareRemark(const ModelParameters& inputs, ClaimReport& report) {
  if (!inputs.total_params || !inputs.active_params || !inputs.experts || !inputs.top_k || inputs.experts->value <= 0) return;
  const double share = inputs.total_params->value * inputs.top_k->value / inputs.experts->value;
  if (std::abs(share - inputs.active_params->value) > inputs.active_params->half_digit) return;
  report.reasons.push_back(fmt::format("The published active count is the published total x {:g} / {:g} = {}.",
                                       inputs.top_k->value, inputs.experts->value, FormatFigure(share, Unit::kParams)));
}

// What a share of activated parameters is taken of. The first is the literal reading, and is judged.
enum class Base { kWholeModel, kExperts, kRoutedExperts };
struct BaseRow {
  Base base;
  const char* name;
};
constexpr std::array kBases = {BaseRow{Base::kWholeModel, "whole model"}, BaseRow{Base::kExperts, "routed + shared"},
                               BaseRow{Base::kRoutedExperts, "routed experts"}};

// Parameters that a decode step of `tokens` independent tokens touches over all parameters of the base. `tokens` may be
// fractional.
double ActivatedShareOf(const model::ModelSpec& spec, Base base, double tokens, double cv) {
  double idle = 0, routed = 0, shared = 0;
  for (const model::LayerSpec& layer : spec.layers) {
    if (!layer.ffn.moe()) continue;
    const double experts = layer.ffn.experts;
    const double distinct = routing::DistinctExpertsBetaBinomial(experts, layer.ffn.ActiveExperts(), tokens, cv);
    const auto params = static_cast<double>(layer.weights[TensorClass::kRoutedExpert].params);
    routed += params;
    shared += static_cast<double>(layer.weights[TensorClass::kSharedExpert].params);
    idle += params * (1 - distinct / experts);
  }
  double total = routed;
  if (base == Base::kExperts) total = routed + shared;
  if (base == Base::kWholeModel) total = static_cast<double>(spec.TotalParams());
  return total > 0 ? 1 - idle / total : 1;
}

// The same when each layer uses `distinct(E, k)` of its experts, whatever chose them.
template <typename Distinct>
double ShareWith(const model::ModelSpec& spec, Distinct distinct) {
  double idle = 0;
  for (const model::LayerSpec& layer : spec.layers) {
    if (!layer.ffn.moe()) continue;
    const double experts = layer.ffn.experts;
    idle += static_cast<double>(layer.weights[TensorClass::kRoutedExpert].params) *
            (1 - std::min(experts, distinct(experts, layer.ffn.ActiveExperts())) / experts);
  }
  const auto total = static_cast<double>(spec.TotalParams());
  return total > 0 ? 1 - idle / total : 1;
}

// The popularity CV at which independent tokens activate `share` of the whole model; null when none up to 8 does.
std::optional<double> CvOf(const model::ModelSpec& spec, double tokens, double share) {
  double low = 0, high = 8;
  const auto at = [&](double cv) { return ActivatedShareOf(spec, Base::kWholeModel, tokens, cv); };
  if (at(low) < share || at(high) > share) return std::nullopt;
  for (int step = 0; step < 100; ++step) {
    const double middle = 0.5 * (low + high);
    (at(middle) > share ? low : high) = middle;
  }
  return low;
}

// The number of uniformly routed independent tokens that activates `share`; null when even one token or every expert does not.
std::optional<double> EffectiveBatch(const model::ModelSpec& spec, Base base, double share) {
  double low = 1, high = 1e6;
  if (ActivatedShareOf(spec, base, low, 0) > share || ActivatedShareOf(spec, base, high, 0) < share) return std::nullopt;
  for (int step = 0; step < 200; ++step) {
    const double middle = 0.5 * (low + high);
    (ActivatedShareOf(spec, base, middle, 0) < share ? low : high) = middle;
  }
  return low;
}

}  // namespace

Status Fill(const ModelParameters& inputs, const Claim& claim, const Sources& sources, ClaimReport& report) {
  ASSIGN_OR_RETURN(const model::ModelSpec spec, FindModel(inputs.model, claim, sources));
  if (inputs.total_params) {
    Figure total = CountFigure("total parameters", inputs.total_params, static_cast<double>(spec.TotalParams()));
    total.unit = Unit::kParams;
    report.figures.push_back(std::move(total));
  }
  if (inputs.active_params) AddActiveParams(spec, *inputs.active_params, report);
  AddExpertShareRemark(inputs, report);
  if (inputs.experts) AddExperts(spec, *inputs.experts, report);
  if (inputs.top_k) report.figures.push_back(CountFigure("experts per token", inputs.top_k, spec.TopK()));
  const model::LayerSpec* layer = FirstMoeLayer(spec);
  if (inputs.shared_experts && layer != nullptr) AddSharedExperts(*layer, *inputs.shared_experts, report);
  if (spec.layers.empty() || !spec.layers.front().encoder) return {};
  const auto encoders = std::count_if(spec.layers.begin(), spec.layers.end(), [](const auto& each) { return each.encoder; });
  report.reasons.push_back(fmt::format("The model is an encoder-decoder: {} of its {} layers run once per prompt only.",
                                       encoders, spec.layers.size()));
  return {};
}

Status Fill(const ActivatedShare& inputs, const Claim& claim, const Sources& sources, ClaimReport& report) {
  ASSIGN_OR_RETURN(const model::ModelSpec spec, FindModel(inputs.model, claim, sources));
  const auto batch = static_cast<double>(inputs.batch);
  std::string effective;
  for (const BaseRow& row : kBases) {
    Figure figure;
    figure.quantity = fmt::format("of the {}", row.name);
    figure.unit = Unit::kShare;
    if (row.base == Base::kWholeModel) {
      // Between one set of experts for all tokens and a set of its own for each: a trace can show anything there.
      figure.published = inputs.activated_share;
      figure.possible_low = ShareWith(spec, [](double, double k) { return k; });
      figure.possible_high = ShareWith(spec, [batch](double, double k) { return batch * k; });
    }
    figure.computed = ActivatedShareOf(spec, row.base, batch, routing::kDefaultPopularityCv);
    figure.low = ActivatedShareOf(spec, row.base, batch, kStrongCv);
    figure.high = ActivatedShareOf(spec, row.base, batch, kUniformCv);
    figure.estimated = true;
    report.reasons.push_back(fmt::format("Of the {}: {} with uniform routing, {} with popularity CV {:g}, {} with CV {:g}.",
                                         row.name, FormatFigure(*figure.high, Unit::kShare),
                                         FormatFigure(*figure.computed, Unit::kShare), routing::kDefaultPopularityCv,
                                         FormatFigure(*figure.low, Unit::kShare), kStrongCv));
    report.figures.push_back(std::move(figure));
    if (const auto tokens = EffectiveBatch(spec, row.base, inputs.activated_share.value))
      effective += fmt::format("{}{:.1f} ({})", effective.empty() ? "" : ", ", *tokens, row.name);
  }
  report.reasons.push_back(
      "The published share is traced on real prompts; ours is an estimate, which cannot contradict a trace. The denominator is "
      "not "
      "named: all parameters is the literal reading.");
  if (const auto cv = CvOf(spec, batch, inputs.activated_share.value))
    report.reasons.push_back(fmt::format("Independent tokens activate the published share at a popularity CV of {:.2f}.", *cv));
  if (Judge(report.figures.front()) == Verdict::kNotComputable) report.missing.emplace_back("the experts that the batch chose");
  if (!effective.empty()) {
    report.reasons.push_back(fmt::format(
        "Uniform routing activates the published share at an effective batch of {} instead of {}.", effective, inputs.batch));
  }
  return {};
}

Status Fill(const VanillaOverestimate& inputs, const Claim& claim, const Sources& sources, ClaimReport& report) {
  ASSIGN_OR_RETURN(const model::ModelSpec spec, FindModel(inputs.model, claim, sources));
  Figure largest;
  largest.quantity = "largest overestimate";
  largest.unit = Unit::kShare;
  largest.published = inputs.overestimate;
  largest.relation = Relation::kOver;
  for (const int64_t batch : inputs.batches) {
    record::PassRecord pass = DecodePass(batch, 0);
    pass.distinct_experts = metrics::EstimateDistinctExperts(spec, pass);
    const double vanilla = metrics::PassBytes(spec, pass, metrics::Convention::kVanilla).value();
    const double sparse = metrics::PassBytes(spec, pass, metrics::Convention::kComplete).value();
    Figure figure;
    figure.quantity = fmt::format("at batch {}", batch);
    figure.unit = Unit::kShare;
    figure.computed = vanilla / sparse - 1;
    figure.estimated = batch > 1;
    largest.computed = std::max(largest.computed.value_or(*figure.computed), *figure.computed);
    report.figures.push_back(std::move(figure));
  }
  report.figures.push_back(std::move(largest));
  report.reasons.push_back(
      "Bytes of the weights that a decode step reads, all experts against the distinct ones; contexts are left out.");
  return {};
}

}  // namespace moecap::audit
