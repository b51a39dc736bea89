#include "live/reading.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "base/gauge_page.h"

namespace moecap::live {
namespace {

void AddTo(std::optional<double>& sum, const std::optional<double>& term) {
  if (term) sum = sum.value_or(0) + *term;
}

void AddTo(std::optional<Banded>& sum, const std::optional<Banded>& term) {
  if (!term) return;
  const Banded before = sum.value_or(Banded());
  sum = Banded{before.value + term->value, before.low + term->low, before.high + term->high};
}

std::optional<double> Ratio(const std::optional<double>& of, const std::optional<double>& to) {
  return of && to && *to > 0 ? std::optional(*of / *to) : std::nullopt;
}

std::optional<Banded> Ratio(const std::optional<Banded>& of, const std::optional<double>& to) {
  if (!of || !to || !(*to > 0)) return std::nullopt;
  return Banded{of->value / *to, of->low / *to, of->high / *to};
}

Json BandJson(const std::optional<Banded>& figure) {
  return figure ? Json{{"value", figure->value}, {"low", figure->low}, {"high", figure->high}} : Json(nullptr);
}

using Figure = std::optional<double> Reading::*;
struct NamedFigure {
  const char* name;
  Figure figure;
  const char* help;
};
// The plain figures, in the order of both forms.
constexpr std::array<NamedFigure, 13> kFigures = {{
    {"tokens_per_s", &Reading::tokens_per_s, "generated tokens a second"},
    {"prompt_tokens_per_s", &Reading::prompt_tokens_per_s, "prompt tokens a second, those from the prefix cache too"},
    {"requests_per_s", &Reading::requests_per_s, "finished requests a second"},
    {"running_requests", &Reading::running, "requests that run"},
    {"waiting_requests", &Reading::waiting, "requests that wait"},
    {"kv_used_share", &Reading::kv_used_share, "share of the KV cache in use"},
    {"passes_per_s", &Reading::passes_per_s, "forward passes a second"},
    {"busy_share", &Reading::busy_share, "share of the time in passes"},
    {"mean_batch", &Reading::mean_batch, "sequences of a pass"},
    {"s_mfu", &Reading::s_mfu, "sparsity-aware utilisation of compute, of the time in passes"},
    {"bandwidth_bytes_per_s", &Reading::bandwidth_bytes_per_s, "bytes a second that passes must have moved"},
    {"power_w", &Reading::power_w, "power of the devices that have counters on this machine"},
    {"joules_per_token", &Reading::joules_per_token, "their energy for a generated token"},
}};

}  // namespace

Sums& Sums::operator+=(const Sums& other) {
  duration_s += other.duration_s;
  for (const auto field : {&Sums::generated_tokens, &Sums::prompt_tokens, &Sums::finished, &Sums::running_s, &Sums::waiting_s,
                           &Sums::kv_used_share_s, &Sums::passes, &Sums::busy_s, &Sums::busy_of_s, &Sums::sequences,
                           &Sums::bytes_busy_s, &Sums::bytes_passes, &Sums::flops, &Sums::energy_j, &Sums::energy_tokens})
    AddTo(this->*field, other.*field);
  AddTo(bytes, other.bytes);
  AddTo(experts, other.experts);
  return *this;
}

void Sums::ForgetExperts() {
  bytes = experts = std::nullopt;
  bytes_busy_s = bytes_passes = flops = std::nullopt;
}

void FillFigures(const Sums& sums, const metrics::Peaks& peaks, Reading& reading) {
  const std::optional<double> duration(sums.duration_s);
  reading.duration_s = sums.duration_s;
  reading.tokens_per_s = Ratio(sums.generated_tokens, duration);
  reading.prompt_tokens_per_s = Ratio(sums.prompt_tokens, duration);
  reading.requests_per_s = Ratio(sums.finished, duration);
  reading.running = Ratio(sums.running_s, duration);
  reading.waiting = Ratio(sums.waiting_s, duration);
  reading.kv_used_share = Ratio(sums.kv_used_share_s, duration);
  reading.passes_per_s = Ratio(sums.passes, duration);
  reading.busy_share = Ratio(sums.busy_s, sums.busy_of_s);
  reading.mean_batch = Ratio(sums.sequences, sums.passes);
  reading.distinct_experts = Ratio(sums.experts, sums.bytes_passes);
  const std::optional<Banded> rate = Ratio(sums.bytes, sums.bytes_busy_s);
  if (rate) reading.bandwidth_bytes_per_s = rate->value;
  const auto all = [&](const std::optional<double>& peak) {
    return peak ? std::optional(*peak * peaks.devices) : std::nullopt;
  };
  reading.s_mbu = Ratio(rate, all(peaks.bandwidth_bytes_per_s));
  reading.s_mfu = Ratio(Ratio(sums.flops, sums.bytes_busy_s), all(peaks.flops_per_s));
  reading.power_w = Ratio(sums.energy_j, duration);
  reading.joules_per_token = Ratio(sums.energy_j, sums.energy_tokens);
}

namespace {

using Weight = std::optional<double> (*)(const Reading&);

// Null where one of the readings does not have it.
std::optional<double> SumOf(std::span<const Reading> readings, Figure figure) {
  double sum = 0;
  for (const Reading& reading : readings) {
    if (!(reading.*figure)) return std::nullopt;
    sum += *(reading.*figure);
  }
  return sum;
}

// Weighted; null where one of the readings lacks the figure or its weight, but for those that weigh nothing.
template <typename Get>
std::optional<double> MeanOf(std::span<const Reading> readings, Weight weight, const Get& get) {
  double sum = 0, weights = 0;
  for (const Reading& reading : readings) {
    const std::optional<double> share = weight(reading);
    if (share == 0.0) continue;
    const std::optional<double> value = get(reading);
    if (!share || !value) return std::nullopt;
    sum += *share * *value;
    weights += *share;
  }
  return weights > 0 ? std::optional(sum / weights) : std::nullopt;
}

std::optional<Banded> MeanOf(std::span<const Reading> readings, Weight weight, std::optional<Banded> Reading::*figure) {
  const auto end = [&](double Banded::*part) {
    return MeanOf(readings, weight, [&](const Reading& reading) {
      return reading.*figure ? std::optional(*(reading.*figure).*part) : std::nullopt;
    });
  };
  const auto value = end(&Banded::value);
  if (!value) return std::nullopt;
  return Banded{*value, *end(&Banded::low), *end(&Banded::high)};
}

}  // namespace

Reading Together(std::span<const Reading> readings) {
  std::vector<Reading> there;
  std::ranges::copy_if(readings, std::back_inserter(there), [](const Reading& reading) { return reading.duration_s > 0; });
  Reading all;
  all.server = fmt::format("{} of {} servers", there.size(), readings.size());
  if (there.empty()) {
    all.missing.emplace("all", "no server told anything in this window");
    return all;
  }
  if (there.size() < readings.size()) all.events.push_back(fmt::format("only {} answer", all.server));
  all.model = there.front().model;
  all.pass_origin = there.front().pass_origin;
  all.busy_origin = there.front().busy_origin;
  all.experts = there.front().experts;
  for (const Reading& reading : there) {
    all.start_s = &reading == there.data() ? reading.start_s : std::min(all.start_s, reading.start_s);
    all.duration_s = std::max(all.duration_s, reading.duration_s);
    if (reading.model != all.model) all.model = "several models";
    if (reading.pass_origin != all.pass_origin) all.pass_origin = Origin::kNone;
    if (reading.busy_origin != all.busy_origin) all.busy_origin = Origin::kNone;
    all.sampled_answers += reading.sampled_answers;
    all.sampled_tokens += reading.sampled_tokens;
    all.probes.sent += reading.probes.sent;
    all.probes.answered += reading.probes.answered;
    all.probes.tokens += reading.probes.tokens;
    all.expert_source = &reading == there.data() ? reading.expert_source : std::min(all.expert_source, reading.expert_source);
  }
  for (const Figure figure :
       {&Reading::tokens_per_s, &Reading::prompt_tokens_per_s, &Reading::requests_per_s, &Reading::running, &Reading::waiting,
        &Reading::passes_per_s, &Reading::bandwidth_bytes_per_s, &Reading::power_w})
    all.*figure = SumOf(there, figure);
  if (const auto seen = SumOf(there, &Reading::seen_tokens); seen > 0.0)
    all.probe_tokens_share = static_cast<double>(all.probes.tokens) / *seen;
  const Weight each = [](const Reading&) { return std::optional(1.0); };
  const Weight busy = [](const Reading& reading) { return reading.busy_share; };
  const Weight passes = [](const Reading& reading) { return reading.passes_per_s; };
  const Weight tokens = [](const Reading& reading) { return reading.tokens_per_s; };
  const auto plain = [](Figure figure) { return [=](const Reading& reading) { return reading.*figure; }; };
  all.kv_used_share = MeanOf(there, each, plain(&Reading::kv_used_share));
  all.busy_share = MeanOf(there, each, plain(&Reading::busy_share));
  all.mean_batch = MeanOf(there, passes, plain(&Reading::mean_batch));
  all.s_mfu = MeanOf(there, busy, plain(&Reading::s_mfu));
  all.joules_per_token = MeanOf(there, tokens, plain(&Reading::joules_per_token));
  all.distinct_experts = MeanOf(there, passes, &Reading::distinct_experts);
  all.s_mbu = MeanOf(there, busy, &Reading::s_mbu);
  if (std::ranges::any_of(there, [&](const Reading& reading) { return reading.experts != all.experts; })) {
    all.experts = 0;
    all.distinct_experts.reset();
    all.missing.emplace("distinct_experts", "the servers have models of different numbers of experts");
  }
  for (const Reading& reading : there) {
    for (const auto& [figure, why] : reading.missing) all.missing.emplace(figure, fmt::format("{}: {}", reading.url, why));
  }
  return all;
}

Json ToJson(const Reading& reading) {
  Json json = {{"schema", 1},
               {"url", reading.url},
               {"start_s", reading.start_s},
               {"duration_s", reading.duration_s},
               {"server", reading.server},
               {"model", reading.model},
               {"events", reading.events}};
  for (const NamedFigure& named : kFigures) json[named.name] = OrNull(reading.*named.figure);
  json["pass_origin"] = Name(reading.pass_origin);
  json["busy_origin"] = Name(reading.busy_origin);
  json["distinct_experts"] = BandJson(reading.distinct_experts);
  json["expert_source"] = Name(reading.expert_source);
  json["sampled_answers"] = reading.sampled_answers;
  json["sampled_tokens"] = reading.sampled_tokens;
  json["s_mbu"] = BandJson(reading.s_mbu);
  json["probes"] = {{"sent", reading.probes.sent},
                    {"answered", reading.probes.answered},
                    {"tokens", reading.probes.tokens},
                    {"tokens_share", OrNull(reading.probe_tokens_share)}};
  json["missing"] = Json::object();
  for (const auto& [figure, why] : reading.missing) json["missing"][figure] = why;
  return json;
}

std::string PrometheusPage(std::span<const Reading> readings) {
  GaugePage page;
  // Of each reading what `value` finds in it.
  const auto add = [&](std::string_view name, const char* help, const auto& value) {
    page.Begin(name, help);
    for (const Reading& reading : readings) {
      const std::optional<double> found = value(reading);
      GaugePage::Labels labels;
      if (readings.size() > 1) labels.emplace_back("url", reading.url);
      if (found) page.Add(labels, *found);
    }
  };
  const auto add_band = [&](const std::string& name, const char* help, std::optional<Banded> Reading::*figure) {
    const auto part = [&](double Banded::*end) {
      return [=](const Reading& reading) { return reading.*figure ? std::optional(*(reading.*figure).*end) : std::nullopt; };
    };
    add(name, help, part(&Banded::value));
    add(name + "_low", "lower end of its band", part(&Banded::low));
    add(name + "_high", "upper end of its band", part(&Banded::high));
  };
  add("watch_up", "1 while the server answers", [](const Reading& reading) { return reading.duration_s > 0 ? 1. : 0.; });
  for (const NamedFigure& named : kFigures)
    add(named.name, named.help, [&](const Reading& reading) { return reading.*named.figure; });
  add_band("s_mbu", "sparsity-aware utilisation of memory bandwidth, of the time in passes", &Reading::s_mbu);
  add_band("distinct_experts", "distinct routed experts of a pass, mean over its MoE layers", &Reading::distinct_experts);
  add("sampled_answers", "answers whose experts are known",
      [](const Reading& reading) { return static_cast<double>(reading.sampled_answers); });
  add("probe_tokens_share", "of the server's tokens, those of probes",
      [](const Reading& reading) { return reading.probe_tokens_share; });
  return page.text();
}

}  // namespace moecap::live
