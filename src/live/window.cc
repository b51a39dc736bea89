#include "live/window.h"

#include <algorithm>
#include <cmath>

namespace moecap::live {
namespace {

using load::EngineSnapshot;

std::optional<double> Growth(std::optional<double> before, std::optional<double> after) {
  return before && after && *after >= *before ? std::optional(*after - *before) : std::nullopt;
}

std::optional<double> MeanOfEnds(std::optional<double> before, std::optional<double> after) {
  return before && after ? std::optional((*before + *after) / 2) : after;
}

// Whether what a counter grew by is lost in the digits with which the server prints it. `factors`: of how many numbers it is
// the product.
bool IsTooCoarse(const EngineSnapshot& page, std::optional<double> before, std::optional<double> after, int factors = 1) {
  constexpr double kLeastSteps = 20, kDigits = 6;
  const auto growth = Growth(before, after);
  if (!page.is_six_digits || !growth || *after < std::pow(10, kDigits)) return false;
  const double last_digit = std::pow(10, std::floor(std::log10(*after)) + 1 - kDigits);
  const double step = factors > 1 ? *after * std::pow(10, 1 - kDigits) : last_digit;
  const bool idle = *growth == 0 && page.running.value_or(0) == 0;
  return !idle && *growth < kLeastSteps * step;
}

double WithoutFirst(std::optional<double> generated, std::optional<double> first) {
  return std::max(0.0, generated.value_or(0) - first.value_or(0));
}

// Tokens in the KV cache of a request that decodes.
std::optional<double> MeanContext(const EngineSnapshot& before, const EngineSnapshot& after) {
  const double running = before.running.value_or(0) + after.running.value_or(0);
  const bool has_kv = before.kv_used_tokens && after.kv_used_tokens;
  if (has_kv && running > 0) return (*before.kv_used_tokens + *after.kv_used_tokens) / running;
  // Half of the mean answer is there, as far as answers have ended.
  const load::ServerCounters& counted = after.counters;
  if (counted.prompt_tokens && counted.generated_tokens && counted.finished.value_or(0) > 0)
    return (*counted.prompt_tokens + *counted.generated_tokens / 2) / *counted.finished;
  return std::nullopt;
}

// Passes of `low` to `high` tokens.
struct SizeClass {
  double low = 0, high = 0, passes = 0;
};

// The sums from which the passes' shapes follow.
struct Work {
  double passes = 0, decode_tokens = 0, prompt_tokens = 0;
  double prompts = 0;         // that were computed, > 0 where prompt_tokens > 0
  double prefill_passes = 0;  // likewise
  double context = 0, cached = 0;
  bool apart = false;
  double largest = 0;              // requests that ran at a time
  std::vector<SizeClass> classes;  // of passes without prompt tokens; empty = not told
};

int64_t Rounded(double value) { return static_cast<int64_t>(std::llround(value)); }

void AddDecoding(const Work& work, double passes, double batch, std::vector<TypicalPass>& all) {
  if (passes <= 0 || batch <= 0) return;
  const auto context = Rounded(work.context);
  const double low = std::floor(batch);
  const auto add = [&](double sequences, double count) {
    if (count <= 0 || sequences < 1) return;
    TypicalPass typical;
    typical.count = count;
    typical.pass.kind = record::PassKind::kDecode;
    typical.pass.sequences = {{context, 1, Rounded(sequences)}};
    all.push_back(std::move(typical));
  };
  add(low, passes * (low + 1 - batch));
  add(low + 1, passes * (batch - low));
}

double PromptsOfAPass(const Work& work) {
  return work.prefill_passes > 0 ? std::max(1.0, std::round(work.prompts / work.prefill_passes)) : 0;
}

// Of a pass with prompts, the sequences that decode beside them.
double DecodingBeside(const Work& work) {
  if (work.apart || work.prefill_passes <= 0) return 0;
  const double room = std::max(0.0, std::round(work.largest) - PromptsOfAPass(work));
  return std::min(room, std::floor(work.decode_tokens / work.prefill_passes));
}

void AddPrefill(const Work& work, std::vector<TypicalPass>& all) {
  if (work.prompt_tokens <= 0 || work.prefill_passes <= 0) return;
  const double each = PromptsOfAPass(work);
  TypicalPass typical;
  typical.count = work.prefill_passes;
  const double chunk = work.prompt_tokens / (work.prefill_passes * each);
  // A prompt of several chunks has half of itself in the cache on average.
  const double whole = work.prompt_tokens / work.prompts;
  const double before = std::max(0.0, (whole - chunk) / 2) + work.cached / work.prompts;
  typical.pass.sequences = {{Rounded(before), std::max<int64_t>(1, Rounded(chunk)), Rounded(each)}};
  const int64_t decoding = Rounded(DecodingBeside(work));
  typical.pass.kind = decoding > 0 ? record::PassKind::kMixed : record::PassKind::kPrefill;
  if (decoding > 0) typical.pass.sequences.push_back({Rounded(work.context), 1, decoding});
  all.push_back(std::move(typical));
}

// Passes sorted by their tokens: where in its bucket each lies is one number for all, from the sum of their tokens.
void AddClasses(const Work& work, double tokens, std::vector<TypicalPass>& all) {
  double least = 0, room = 0;
  for (const SizeClass& size : work.classes) {
    least += size.passes * size.low;
    room += size.passes * (size.high - size.low);
  }
  const double place = room > 0 ? std::clamp((tokens - least) / room, 0.0, 1.0) : 0;
  for (const SizeClass& size : work.classes) AddDecoding(work, size.passes, size.low + place * (size.high - size.low), all);
}

std::vector<TypicalPass> PassesOf(const Work& work) {
  std::vector<TypicalPass> all;
  AddPrefill(work, all);
  const double passes = work.passes - work.prefill_passes;
  const double tokens = work.decode_tokens - work.prefill_passes * DecodingBeside(work);
  if (tokens <= 0 || passes <= 0) return all;
  if (!work.classes.empty()) {
    AddClasses(work, tokens, all);
  } else {
    // Fewer tokens than passes: the others decoded nothing.
    const double batch = std::max(1.0, tokens / passes);
    AddDecoding(work, std::min(passes, tokens / batch), batch, all);
  }
  return all;
}

// The passes of at most `most` tokens, where the engine sorts them and a bucket ends there or above; else none. Those that
// decode alone have `largest` at most, or one more than the bucket below, where a request came and went between the looks.
std::vector<SizeClass> ClassesUpTo(double most, double largest, const EngineSnapshot& before, const EngineSnapshot& after) {
  std::vector<SizeClass> classes;
  if (before.pass_sizes.size() != after.pass_sizes.size()) return classes;
  double below = 0, first = 1;
  for (size_t i = 0; i < after.pass_sizes.size(); ++i) {
    const double bound = after.pass_sizes[i].up_to_tokens;
    const double passes = after.pass_sizes[i].passes - before.pass_sizes[i].passes;
    classes.push_back({first, std::max(first, std::min(bound, largest)), std::max(0.0, passes - below)});
    if (bound >= most) return classes;
    below = passes;
    first = bound + 1;
  }
  return {};
}

double CountOf(const std::vector<SizeClass>& classes) {
  double passes = 0;
  for (const SizeClass& size : classes) passes += size.passes;
  return passes;
}

// Where nobody counts them. `gap`: mean between two tokens of a request; 0 = not known.
void EstimatePasses(double decode_tokens, double gap, double engines, Window& window) {
  if (gap > 0) {
    window.pass_count = *window.busy_s / gap * engines;
    window.pass_origin = Origin::kTokenGaps;
  } else if (window.running.value_or(0) > 0) {
    window.pass_count = decode_tokens / *window.running * engines;
    window.pass_origin = Origin::kRunning;
  } else if (window.generated_tokens && *window.generated_tokens == 0) {
    window.pass_count = 0;
    window.pass_origin = Origin::kRunning;
  } else {
    window.busy_s = std::nullopt;
    window.busy_origin = Origin::kNone;
    window.missing = "nothing tells how many passes there were: no count of them, no gaps between tokens, no running requests";
  }
}

// Passes and busy time, as far as counters tell.
void CountPasses(const EngineSnapshot& before, const EngineSnapshot& after, double decode_tokens, Window& window) {
  const bool ran = before.running.value_or(0) > 0 && after.running.value_or(0) > 0;
  const auto gaps = Growth(before.token_gaps, after.token_gaps), gap_s = Growth(before.token_gap_s, after.token_gap_s);
  const double gap = gaps && gap_s && *gaps > 0 ? *gap_s / *gaps : 0;  // 0 = not known
  const double engines = std::max(1, after.engines);
  window.pass_count = Growth(before.passes, after.passes);
  if (window.pass_count) window.pass_origin = Origin::kCounted;
  if (const auto busy = Growth(before.busy_s, after.busy_s); busy && *busy > 0) {
    window.busy_s = std::min(*busy / engines, window.duration_s);
    window.busy_origin = Origin::kCounted;
  } else if (window.pass_count && !ran && gap > 0) {
    window.busy_s = std::min(*window.pass_count / engines * gap, window.duration_s);
    window.busy_origin = Origin::kTokenGaps;
  } else {
    window.busy_s = window.duration_s;
    window.busy_origin = Origin::kWhole;
  }
  if (!window.pass_count) EstimatePasses(decode_tokens, ran ? gap : 0, engines, window);
  if (window.busy_origin != Origin::kWhole || ran || window.pass_count.value_or(0) == 0) return;
  window.busy_s = std::nullopt;
  window.busy_origin = Origin::kNone;
  window.busy_missing = "requests ran in a part of the window only, and the server does not tell how long";
}

Window CountersOf(const EngineSnapshot& before, const EngineSnapshot& after, double duration_s) {
  Window window;
  window.duration_s = duration_s;
  window.generated_tokens = Growth(before.counters.generated_tokens, after.counters.generated_tokens);
  window.prompt_tokens = Growth(before.counters.prompt_tokens, after.counters.prompt_tokens);
  window.cached_tokens = Growth(before.counters.cached_tokens, after.counters.cached_tokens);
  window.finished = load::GrowthOf(before.counters, after.counters).finished;
  window.running = MeanOfEnds(before.running, after.running);
  window.waiting = MeanOfEnds(before.waiting, after.waiting);
  window.kv_used_share = MeanOfEnds(before.kv_used_share, after.kv_used_share);
  return window;
}

}  // namespace

std::string_view Name(Origin origin) {
  switch (origin) {
    case Origin::kTelemetry:
      return "telemetry";
    case Origin::kCounted:
      return "counted";
    case Origin::kTokenGaps:
      return "token gaps";
    case Origin::kRunning:
      return "running requests";
    case Origin::kWhole:
      return "whole window";
    case Origin::kNone:
      return "none";
  }
  return "none";
}

Window WindowOf(const EngineSnapshot& before, const EngineSnapshot& after, double duration_s) {
  Window window = CountersOf(before, after, duration_s);
  if (!window.generated_tokens) {
    window.missing = "the server's /metrics hold no count of generated tokens";
    return window;
  }
  const bool tokens_are_coarse = IsTooCoarse(after, before.counters.generated_tokens, after.counters.generated_tokens);
  if (tokens_are_coarse || IsTooCoarse(after, before.passes, after.passes)) {
    if (tokens_are_coarse) window.generated_tokens = std::nullopt;
    window.missing =
        "the server prints its counters with six digits, and in so short a time they grew by a few of their steps "
        "only: watch with a longer --interval";
    return window;
  }
  const auto first = Growth(before.first_tokens, after.first_tokens);
  Work work;
  work.decode_tokens = WithoutFirst(window.generated_tokens, first);
  const auto decoded = Growth(before.decode_tokens, after.decode_tokens);
  if (decoded && !IsTooCoarse(after, before.decode_tokens, after.decode_tokens, 2)) work.decode_tokens = *decoded;
  CountPasses(before, after, work.decode_tokens, window);
  if (!window.pass_count) return window;
  work.passes = *window.pass_count;
  work.apart = after.prefill_apart;
  work.cached = window.cached_tokens.value_or(0);
  work.prompt_tokens = std::max(0.0, window.prompt_tokens.value_or(0) - work.cached);
  work.prompts = std::max(1.0, first.value_or(window.finished.value_or(1)));
  const double batch = work.passes > 0 ? work.decode_tokens / work.passes : 0;
  const double most_running = std::max(before.running.value_or(0), after.running.value_or(0));
  work.largest = std::max(batch, most_running / std::max(1, after.engines));
  // A pass with a whole prompt has more tokens than half of the mean prompt, whatever runs beside it.
  const double most = std::max(work.largest, work.prompt_tokens / work.prompts / 2);
  if (!work.apart) work.classes = ClassesUpTo(most, work.largest, before, after);
  const auto counted = Growth(before.prefill_passes, after.prefill_passes);
  const double larger = work.classes.empty() ? work.prompts : work.passes - CountOf(work.classes);
  if (work.prompt_tokens > 0)
    work.prefill_passes = std::clamp(counted.value_or(larger), std::min(1.0, work.passes), work.passes);
  const auto context = MeanContext(before, after);
  window.context_known = context.has_value();
  work.context = context.value_or(0);
  window.passes = PassesOf(work);
  return window;
}

Window WindowOf(const EngineSnapshot& before, const EngineSnapshot& after, double duration_s,
                std::span<const record::PassRecord> recorded) {
  Window window = CountersOf(before, after, duration_s);
  window.pass_origin = window.busy_origin = Origin::kTelemetry;
  window.pass_count = static_cast<double>(recorded.size());
  double busy_s = 0;
  for (const record::PassRecord& pass : recorded) {
    busy_s += pass.latency_s;
    window.passes.push_back({pass, 1});
  }
  window.busy_s = std::min(busy_s, duration_s);
  return window;
}

}  // namespace moecap::live
