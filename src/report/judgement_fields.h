// The fields of what the judge says, for json_fields.h. docs/formats/summary.md explains them. Internal to report/ and heavy:
// include it in .cc files only.
#pragma once

#include "report/summary_fields.h"

namespace moecap::cap {

void Fields(auto& archive, JsonFieldsOf<View> auto& view) {
  archive("scenario", view.scenario);
  archive("cost", view.cost);
  archive("performance", view.performance);
  archive("level", view.level);
  archive("rule", view.rule);
}

void Fields(auto& archive, JsonFieldsOf<AxisWords> auto& axis) {
  archive("name", axis.name);
  archive("unit", axis.unit);
  archive("higher_is_better", axis.higher_is_better);
}

void Fields(auto& archive, JsonFieldsOf<JudgeOptions> auto& options) {
  archive("cost", options.cost);
  archive("performance", options.performance);
  archive("ratio_margin", options.ratio_margin);
  archive("accuracy_margin", options.accuracy_margin);
  archive("confidence", options.confidence);
  archive("least_repetitions", options.least_repetitions);
  archive("include_invalid", options.include_invalid);
}

void Fields(auto& archive, JsonFieldsOf<Series> auto& series) {
  archive("value", series.value);
  archive("by_repetition", series.by_repetition);
  archive("exact", series.exact);
}

void Fields(auto& archive, JsonFieldsOf<ItemScore> auto& item) {
  archive("id", item.id);
  archive("score", item.score);
}

void Fields(auto& archive, JsonFieldsOf<Evidence> auto& evidence) {
  archive("label", evidence.label);
  archive("experiment", evidence.experiment);
  archive("cost", evidence.cost);
  archive("performance", evidence.performance);
  archive("accuracy", evidence.accuracy);
  archive("items", evidence.items);
  archive("usd_per_h", evidence.usd_per_h);
  archive("purchase_usd", evidence.purchase_usd);
  archive("tripped", evidence.tripped);
}

void Fields(auto& archive, JsonFieldsOf<DimensionVerdict> auto& verdict) {
  archive("dimension", verdict.dimension);
  archive("outcome", verdict.outcome);
  archive("estimate", verdict.estimate);
  archive("interval", verdict.interval);
  archive("range", verdict.range);
  archive("p_value", verdict.p_value);
  archive("first_not_inferior", verdict.first_not_inferior);
  archive("second_not_inferior", verdict.second_not_inferior);
  archive("holds_over_all", verdict.holds_over_all);
  archive("test", verdict.test);
  archive("n", verdict.n);
  archive("n_would_decide", verdict.n_would_decide);
  archive("reason", verdict.reason);
}

// Indices are written as such: they are those of `systems`.
void Fields(auto& archive, JsonFieldsOf<PairVerdict> auto& pair) {
  archive("first", pair.first);
  archive("second", pair.second);
  for (size_t i = 0; i < kJudgedDimensions.size(); ++i) archive(DimensionName(kJudgedDimensions[i]).data(), pair.dimensions[i]);
}

void Fields(auto& archive, JsonFieldsOf<SystemVerdict> auto& system) {
  archive("label", system.label);
  archive("domination", system.domination);
  archive("dominated_by", system.dominated_by);
  archive("may_be_dominated_by", system.may_be_dominated_by);
  archive("letters", system.letters);
  archive("reason", system.reason);
}

void Fields(auto& archive, JsonFieldsOf<Verdicts> auto& verdicts) {
  archive("headline", verdicts.headline);
  archive("systems", verdicts.systems);
  archive("pairs", verdicts.pairs);
  archive("dimensions", verdicts.dimensions);
  archive("letters_apply", verdicts.letters_apply);
  archive("letters_reason", verdicts.letters_reason);
}

void Fields(auto& archive, JsonFieldsOf<PaperScore> auto& score) {
  archive("label", score.label);
  archive("cost", score.cost);
  archive("accuracy", score.accuracy);
  archive("performance", score.performance);
}

void Fields(auto& archive, JsonFieldsOf<FigureLimit> auto& limit) {
  archive("figure", limit.figure);
  archive("value", limit.value);
  archive("source", limit.source);
}

void Fields(auto& archive, JsonFieldsOf<Judgement> auto& judgement) {
  archive("view", judgement.view);
  archive("level", judgement.level);
  archive("options", judgement.options);
  archive("verdicts", judgement.verdicts);
  archive("evidence", judgement.evidence);
  archive("paper_scores", judgement.paper_scores);
  archive("limits", judgement.limits);
}

}  // namespace moecap::cap
