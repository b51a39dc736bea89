#include "live/watcher.h"

#include <fmt/format.h>

#include <utility>

#include "metrics/pass_cost.h"

namespace moecap::live {
namespace {

using metrics::Convention;

double Mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return values.empty() ? 0 : sum / static_cast<double>(values.size());
}

std::optional<double> OverTime(const std::optional<double>& value, double seconds) {
  return value ? std::optional(*value * seconds) : std::nullopt;
}

void SayMissing(Reading& reading, const char* figure, bool is_missing, const std::string& why) {
  if (is_missing && !why.empty()) reading.missing.emplace(figure, why);
}

}  // namespace

Watcher::Watcher(WatcherOptions options)
    : options_(std::move(options)), listed_{options_.model_name, options_.model_name}, model_name_(options_.model_name) {
  if (options_.model) experts_.emplace(*options_.model, options_.sheet);
}

// Why the windows before and after do not belong together; "" = they do.
std::string Watcher::WhatChanged(const load::EngineSnapshot& engine, const Look& look) {
  std::string change;
  const auto compare = [&](const std::string& name, Served& served) {
    if (name.empty() || name == served.last) return;
    if (served.first.empty()) {
      served.first = name;
    } else {
      change = fmt::format("the server now serves {} instead of {}", name, served.last);
      model_name_ = name;
    }
    served.last = name;
  };
  compare(engine.model, labelled_);
  compare(look.model_name, listed_);
  if (change.empty() && last_ && last_->engine) {
    if (const std::string why = load::WhyRestarted(last_->engine->counters, engine.counters); !why.empty())
      change = fmt::format("the server was started anew: {}", why);
  }
  if (model_name_.empty()) model_name_ = listed_.last.empty() ? labelled_.last : listed_.last;
  return change;
}

void Watcher::AddPasses(const Window& window, Sums& sums) {
  const auto& model = *options_.model;
  Banded bytes, distinct;
  double flops = 0, passes = 0;
  std::vector<double> variant_bytes, variant_distinct;
  for (const TypicalPass& typical : window.passes) {
    if (typical.pass.NewTokens() <= 0) continue;
    const Experts::Distinct experts = experts_->Of(typical.pass);
    record::PassRecord pass = typical.pass;
    pass.distinct_experts = experts.expected;
    bytes.value += typical.count * metrics::PassBytes(model, pass, Convention::kComplete).value_or(0);
    distinct.value += typical.count * Mean(experts.expected);
    flops += typical.count * metrics::PassFlops(model, pass, Convention::kComplete);
    passes += typical.count;
    variant_bytes.resize(experts.variants.size(), 0);
    variant_distinct.resize(experts.variants.size(), 0);
    for (size_t i = 0; i < experts.variants.size(); ++i) {
      pass.distinct_experts = experts.variants[i];
      variant_bytes[i] += typical.count * metrics::PassBytes(model, pass, Convention::kComplete).value_or(0);
      variant_distinct[i] += typical.count * Mean(experts.variants[i]);
    }
  }
  if (passes <= 0) return;
  const stats::Interval byte_band = experts_->Band(bytes.value, variant_bytes);
  const stats::Interval distinct_band = experts_->Band(distinct.value, variant_distinct);
  if (experts_->source() != ExpertSource::kNone) sums.experts = Banded{distinct.value, distinct_band.low, distinct_band.high};
  sums.bytes_passes = passes;
  if (!window.busy_s) return;
  sums.bytes = Banded{bytes.value, byte_band.low, byte_band.high};
  sums.flops = flops;
  sums.bytes_busy_s = window.busy_s;
}

Sums Watcher::SumsOf(const Window& window, const Look& look) {
  Sums sums;
  sums.duration_s = window.duration_s;
  sums.generated_tokens = window.generated_tokens;
  sums.prompt_tokens = window.prompt_tokens;
  sums.finished = window.finished;
  sums.running_s = OverTime(window.running, window.duration_s);
  sums.waiting_s = OverTime(window.waiting, window.duration_s);
  sums.kv_used_share_s = OverTime(window.kv_used_share, window.duration_s);
  sums.passes = window.pass_count;
  sums.busy_s = window.pass_count.value_or(0) > 0 ? window.busy_s : window.pass_count;
  if (sums.busy_s) sums.busy_of_s = window.duration_s;
  double sequences = 0;
  for (const TypicalPass& typical : window.passes)
    sequences += typical.count * static_cast<double>(typical.pass.SequenceCount());
  if (window.pass_count) sums.sequences = sequences;
  if (options_.model && options_.model->computes && !model_changed()) AddPasses(window, sums);
  if (look.energy_j && last_->energy_j && *look.energy_j >= *last_->energy_j) {
    sums.energy_j = *look.energy_j - *last_->energy_j;
    sums.energy_tokens = window.generated_tokens;
  }
  return sums;
}

void Watcher::SayWho(Reading& reading) const {
  reading.url = options_.url;
  reading.server = options_.server;
  reading.model = model_name_;
  reading.experts = options_.model ? options_.model->Experts() : 0;
}

// What a reading says besides its ratios.
void Watcher::Finish(const Look& look, Reading& reading) const {
  SayWho(reading);
  reading.probes = look.probes;
  if (seen_tokens_ > 0) {
    reading.seen_tokens = seen_tokens_;
    reading.probe_tokens_share = static_cast<double>(look.probes.tokens) / seen_tokens_;
  }
  SayMissing(reading, "probe_tokens_share", !reading.probe_tokens_share,
             "the server has told of no token since the watch began");
  if (experts_) {
    reading.expert_source = experts_->source();
    reading.sampled_answers = experts_->answers();
    reading.sampled_tokens = experts_->tokens();
  }
  const std::string without_model = model_changed()   ? "the model that was given is not the one that is served now"
                                    : !options_.model ? options_.model_missing
                                    : !options_.model->computes
                                        ? "the model is known by its tensors alone, not by what it computes"
                                    : !passes_missing_.empty() ? passes_missing_
                                                               : busy_missing_;
  const bool idle = reading.passes_per_s == 0.0;
  const std::string none = without_model.empty() && idle ? "no pass ran" : without_model;
  const auto needs = [&](const std::string& ceiling, bool has) {
    return none.empty() && !has ? fmt::format("no {} is known; name a --device, or give the flag", ceiling) : none;
  };
  SayMissing(reading, "s_mbu", !reading.s_mbu,
             needs("peak bandwidth (--bandwidth-bytes-per-s)", options_.peaks.bandwidth_bytes_per_s.has_value()));
  SayMissing(reading, "s_mfu", !reading.s_mfu,
             needs("peak of the compute type (--flops-per-s)", options_.peaks.flops_per_s.has_value()));
  const bool dense = experts_ && experts_->source() == ExpertSource::kNone;
  SayMissing(reading, "distinct_experts", !reading.distinct_experts, dense ? "the model has no experts" : none);
  SayMissing(reading, "kv_bytes", reading.s_mbu && !context_known_,
             "the context of requests is not told: bytes and S-MBU are without reads of the KV cache");
  SayMissing(reading, "bandwidth_bytes_per_s", !reading.bandwidth_bytes_per_s, none);
  SayMissing(reading, "passes_per_s", !reading.passes_per_s, passes_missing_);
  SayMissing(reading, "mean_batch", !reading.mean_batch, idle ? "no pass ran" : passes_missing_);
  SayMissing(reading, "busy_share", !reading.busy_share, passes_missing_.empty() ? busy_missing_ : passes_missing_);
  const std::string unsaid = "the server's /metrics do not tell";
  SayMissing(reading, "tokens_per_s", !reading.tokens_per_s, passes_missing_.empty() ? unsaid : passes_missing_);
  SayMissing(reading, "prompt_tokens_per_s", !reading.prompt_tokens_per_s, unsaid);
  SayMissing(reading, "requests_per_s", !reading.requests_per_s, unsaid);
  SayMissing(reading, "running_requests", !reading.running, unsaid);
  SayMissing(reading, "waiting_requests", !reading.waiting, unsaid);
  SayMissing(reading, "kv_used_share", !reading.kv_used_share, unsaid);
  SayMissing(reading, "power_w", !reading.power_w, look.energy_missing);
  SayMissing(reading, "joules_per_token", !reading.joules_per_token,
             look.energy_j ? "no token was generated" : look.energy_missing);
}

Reading Watcher::Take(const Look& look) {
  Reading reading;
  reading.start_s = last_ ? last_->time_s : look.time_s;
  if (!look.engine) {
    if (!was_away_) reading.events.push_back(look.why_none);
    was_away_ = true;
    SayWho(reading);
    reading.missing.emplace("all", look.why_none);
    return newest_ = reading;
  }
  const std::string change = WhatChanged(*look.engine, look);
  if (was_away_) reading.events.emplace_back("the server answers again");
  if (!change.empty()) {
    reading.events.push_back(change);
    if (experts_) experts_->ForgetAnswers();
  }
  if (look.passes_lost && !passes_were_lost_)
    reading.events.emplace_back("telemetry of passes was lost; such windows are from counters");
  passes_were_lost_ = look.passes_lost;
  const bool follows = last_ && change.empty() && look.time_s > last_->time_s;
  if (follows) {
    const double duration_s = look.time_s - last_->time_s;
    const bool recorded = look.passes && !look.passes_lost && !was_away_;
    const Window window = recorded ? WindowOf(*last_->engine, *look.engine, duration_s, *look.passes)
                                   : WindowOf(*last_->engine, *look.engine, duration_s);
    passes_missing_ = window.missing;
    busy_missing_ = window.busy_missing;
    context_known_ = window.context_known;
    const Sums sums = SumsOf(window, look);
    if (total_.duration_s == 0) first_s_ = last_->time_s;
    if (experts_ && experts_->source() != total_source_) {
      total_.ForgetExperts();
      total_source_ = experts_->source();
    }
    total_ += sums;
    seen_requests_ += window.finished.value_or(0);
    seen_tokens_ += window.generated_tokens.value_or(0) + window.prompt_tokens.value_or(0);
    FillFigures(sums, options_.peaks, reading);
    reading.pass_origin = window.pass_origin;
    reading.busy_origin = window.busy_origin;
    Finish(look, reading);
  } else {
    Finish(look, reading);
    reading.missing = {{"all", last_ ? "the server changed since the last look" : "the first look"}};
  }
  was_away_ = false;
  last_ = look;
  last_->passes.reset();
  return newest_ = reading;
}

Reading Watcher::Summary() const {
  Reading reading = newest_;
  reading.events.clear();
  reading.missing.clear();
  reading.start_s = first_s_;
  FillFigures(total_, options_.peaks, reading);
  if (last_) Finish(*last_, reading);
  return reading;
}

}  // namespace moecap::live
