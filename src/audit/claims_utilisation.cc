// Claims about S-MBU, S-MFU and the cost of recording them: tables of measured figures.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "audit/evaluators.h"
#include "base/units.h"
#include "metrics/estimate.h"
#include "metrics/pass_cost.h"

namespace moecap::audit {
namespace {

struct Range {
  double value = 0, low = 0, high = 0;
};

Range RangeOf(const Printed& printed) {
  return {printed.value, printed.value - printed.half_digit, printed.value + printed.half_digit};
}

// a / b - 1 with the rounding of both; b is positive over its whole range.
Range Increase(const Printed& a, const Printed& b) {
  const Range over = RangeOf(a), under = RangeOf(b);
  return {over.value / under.value - 1, over.low / under.high - 1, over.high / under.low - 1};
}

Range Minus(const Printed& a, const Printed& b) {
  const double rounding = a.half_digit + b.half_digit;
  return {a.value - b.value, a.value - b.value - rounding, a.value - b.value + rounding};
}

// |range|: 0 is the least when the range crosses it.
Range Magnitude(const Range& range) {
  const double a = std::abs(range.low), b = std::abs(range.high);
  return {std::abs(range.value), range.low <= 0 && range.high >= 0 ? 0 : std::min(a, b), std::max(a, b)};
}

Range Largest(const Range& a, const Range& b) {
  return {std::max(a.value, b.value), std::max(a.low, b.low), std::max(a.high, b.high)};
}

Figure RangeFigure(std::string quantity, Unit unit, const std::optional<Printed>& most, const Range& range) {
  Figure figure;
  figure.quantity = std::move(quantity);
  figure.unit = unit;
  figure.published = most;
  figure.relation = Relation::kAtMost;
  figure.computed = range.value;
  figure.low = range.low;
  figure.high = range.high;
  return figure;
}

double PaperFlopsPerToken(const model::ModelSpec& spec, int64_t context_tokens) {
  return metrics::PassFlops(spec, DecodePass(1, context_tokens), metrics::Convention::kPaper);
}

// With `tokens_apart` of the batch choosing experts of their own; null: the estimate.
double PaperBytes(const model::ModelSpec& spec, int64_t batch, int64_t context_tokens,
                  std::optional<double> tokens_apart = std::nullopt) {
  record::PassRecord pass = DecodePass(batch, context_tokens);
  pass.distinct_experts = metrics::EstimateDistinctExperts(spec, pass);
  if (tokens_apart) pass.distinct_experts = {std::min<double>(spec.Experts(), *tokens_apart * spec.TopK())};
  return metrics::PassBytes(spec, pass, metrics::Convention::kPaper).value();
}

std::optional<double> ComputePeak(const hardware::Device& device, const model::ModelSpec& spec) {
  const auto peak = hardware::DensePeak(device, spec.compute_type);
  return peak ? peak : hardware::DensePeak(device, "fp16");
}

void AddSMfu(const Utilisation& inputs, const model::ModelSpec& spec, double peak_flops_per_s, ClaimReport& report) {
  const double flops = PaperFlopsPerToken(spec, inputs.context_tokens.value_or(0));
  Figure figure;
  figure.quantity = inputs.context_tokens ? "S-MFU" : "S-MFU, linear part";
  figure.unit = Unit::kShare;
  figure.published = inputs.s_mfu;
  figure.computed = inputs.tokens_per_s * flops / peak_flops_per_s;
  if (!inputs.context_tokens && spec.max_context) {
    figure.possible_low = figure.computed;
    figure.possible_high = inputs.tokens_per_s * PaperFlopsPerToken(spec, *spec.max_context) / peak_flops_per_s;
  }
  report.reasons.push_back(fmt::format("Eq. 5 counts {} a token; x {:g} tokens/s over {} dense.", FormatSi(flops, "FLOP"),
                                       inputs.tokens_per_s, FormatSi(peak_flops_per_s, "FLOP/s")));
  if (!inputs.context_tokens) {
    constexpr int64_t kStep = 1000;
    report.reasons.push_back(
        fmt::format("Attention scores are left out, contexts are not published: each {} tokens of context add {}.", kStep,
                    FormatPercent(PaperFlopsPerToken(spec, kStep) / flops - 1, 1)));
  }
  if (inputs.s_mfu) {
    const double implied = inputs.s_mfu->value * peak_flops_per_s / inputs.tokens_per_s;
    report.reasons.push_back(fmt::format("The published S-MFU means {} a token; every expert for every token would be {}.",
                                         FormatSi(implied, "FLOP"),
                                         FormatSi(2 * static_cast<double>(spec.TotalParams()), "FLOP")));
  }
  report.figures.push_back(std::move(figure));
}

void AddSMbu(const Utilisation& inputs, const model::ModelSpec& spec, double peak_bytes_per_s, ClaimReport& report) {
  Figure figure;
  figure.quantity = "S-MBU";
  figure.unit = Unit::kShare;
  figure.published = inputs.s_mbu;
  figure.estimated = true;
  if (inputs.batch && inputs.context_tokens) {
    const double steps_per_s = inputs.tokens_per_s / static_cast<double>(*inputs.batch);
    figure.computed = steps_per_s * PaperBytes(spec, *inputs.batch, *inputs.context_tokens) / peak_bytes_per_s;
    const auto at = [&](double apart) {
      return steps_per_s * PaperBytes(spec, *inputs.batch, *inputs.context_tokens, apart) / peak_bytes_per_s;
    };
    figure.possible_low = at(1);
    figure.possible_high = at(static_cast<double>(*inputs.batch));
    if (Judge(figure) == Verdict::kNotComputable) report.missing.push_back("distinct experts of a step");
  } else {
    if (!inputs.batch) report.missing.push_back("batch size");
    if (!inputs.context_tokens) report.missing.push_back("context lengths");
    report.missing.push_back("distinct experts of a step");
    report.reasons.push_back(fmt::format("The published S-MBU means {} for each token; one sequence alone reads {} a token.",
                                         FormatBytes(inputs.s_mbu->value * peak_bytes_per_s / inputs.tokens_per_s),
                                         FormatBytes(PaperBytes(spec, 1, 0))));
  }
  report.figures.push_back(std::move(figure));
}

// What as many rows as possible allow together within their rounding, and how many rows those are.
std::pair<Range, size_t> CommonRange(const std::vector<Range>& rows) {
  std::pair<Range, size_t> best;
  for (const Range& candidate : rows) {
    Range common{candidate.low, candidate.low, candidate.high};
    size_t fits = 0;
    for (const Range& row : rows) {
      if (candidate.low < row.low || candidate.low > row.high) continue;
      common = {common.value, std::max(common.low, row.low), std::min(common.high, row.high)};
      ++fits;
    }
    if (fits > best.second) best = {common, fits};
  }
  return best;
}

}  // namespace

Status Fill(const ErrorTable& inputs, const Claim&, const Sources&, ClaimReport& report) {
  std::optional<Range> points, relative;
  for (const ErrorTable::Row& row : inputs.rows) {
    const Range error = Magnitude(Increase(row.ours, row.profiled));
    const Range difference = Magnitude(Minus(row.ours, row.profiled));
    relative = relative ? Largest(*relative, error) : error;
    points = points ? Largest(*points, difference) : difference;
  }
  // "Within 1 %" can mean the value or the points; where both readings stand in the file, either is kept when it holds.
  Figure in_points = RangeFigure("largest difference, points", Unit::kShare, inputs.most_points, *points);
  Figure in_value = RangeFigure("largest relative error", Unit::kShare, inputs.most_relative, *relative);
  const bool both = inputs.most_points && inputs.most_relative;
  const bool points_hold = both && Judge(in_points) == Verdict::kAgrees;
  const bool value_holds = both && !points_hold && Judge(in_value) == Verdict::kAgrees;
  for (const ErrorTable::Row& row : inputs.rows)
    report.figures.push_back(RangeFigure(fmt::format("relative error at batch {}", row.batch), Unit::kShare,
                                         points_hold ? std::nullopt : inputs.most_relative,
                                         Magnitude(Increase(row.ours, row.profiled))));
  if (value_holds) in_points.published.reset();
  report.figures.push_back(std::move(in_points));
  if (points_hold || value_holds)
    report.reasons.push_back(fmt::format("The words can mean points or a share of the value; {} hold.",
                                         points_hold ? "points" : "shares of the value"));
  report.reasons.push_back(fmt::format(
      "Formula against profiler as printed: at most {} of the value, or {} percentage points. Where only the rounding of "
      "the printed digits would keep a bound, it is left open.",
      FormatPercent(relative->value, 1), FormatFixed(100 * points->value, 2)));
  report.missing = inputs.flops ? std::vector<std::string>{"token throughput at each batch", "context lengths"}
                                : std::vector<std::string>{"latency of a step at each batch", "context lengths",
                                                           "distinct experts of a step"};
  return {};
}

Status Fill(const Utilisation& inputs, const Claim& claim, const Sources& sources, ClaimReport& report) {
  ASSIGN_OR_RETURN(const model::ModelSpec spec, FindModel(inputs.model, claim, sources));
  ASSIGN_OR_RETURN(const hardware::Device device, FindDevice(inputs.device, claim, sources));
  const auto devices = static_cast<double>(inputs.devices);
  if (inputs.s_mfu) {
    const auto peak = ComputePeak(device, spec);
    if (!peak) return LacksValue(inputs.device, claim, "dense peak");
    AddSMfu(inputs, spec, devices * *peak, report);
  }
  if (inputs.s_mbu) {
    if (!device.bandwidth_bytes_per_s) return LacksValue(inputs.device, claim, "memory bandwidth");
    AddSMbu(inputs, spec, devices * *device.bandwidth_bytes_per_s, report);
  }
  return {};
}

Status Fill(const ProfilingOverhead& inputs, const Claim&, const Sources&, ClaimReport& report) {
  std::optional<Range> ttft_s, tpot_s;
  for (const ProfilingOverhead::Row& row : inputs.rows) {
    report.figures.push_back(RangeFigure(fmt::format("{}, TTFT", row.system), Unit::kShare, inputs.most_ttft_increase,
                                         Increase(row.ttft_after_s, row.ttft_before_s)));
    report.figures.push_back(RangeFigure(fmt::format("{}, TPOT", row.system), Unit::kShare, inputs.most_tpot_increase,
                                         Increase(row.tpot_after_s, row.tpot_before_s)));
    const Range ttft = Minus(row.ttft_after_s, row.ttft_before_s), tpot = Minus(row.tpot_after_s, row.tpot_before_s);
    ttft_s = ttft_s ? Largest(*ttft_s, ttft) : ttft;
    tpot_s = tpot_s ? Largest(*tpot_s, tpot) : tpot;
    if (!row.ttft_increase_s) continue;
    Figure listed = RangeFigure(fmt::format("{}, listed TTFT", row.system), Unit::kSeconds, row.ttft_increase_s, ttft);
    listed.relation = Relation::kEqual;
    report.figures.push_back(std::move(listed));
  }
  report.figures.push_back(RangeFigure("largest TTFT increase", Unit::kSeconds, inputs.most_ttft_increase_s, *ttft_s));
  report.figures.push_back(RangeFigure("largest TPOT increase", Unit::kSeconds, inputs.most_tpot_increase_s, *tpot_s));
  report.reasons.push_back(
      "After / before - 1 of the printed times; where only their rounding would keep a bound, it is left open.");
  return {};
}

Status Fill(const PrefillTable& inputs, const Claim&, const Sources&, ClaimReport& report) {
  std::vector<Range> tokens;
  for (const PrefillTable::Row& row : inputs.rows) {
    const Range ttft = RangeOf(row.ttft_s), rate = RangeOf(row.tokens_per_s);
    tokens.push_back({ttft.value * rate.value, ttft.low * rate.low, ttft.high * rate.high});
    Figure figure;
    figure.quantity = row.name;
    figure.unit = Unit::kTokens;
    figure.computed = tokens.back().value;
    figure.low = tokens.back().low;
    figure.high = tokens.back().high;
    report.figures.push_back(std::move(figure));
  }
  const auto [common, rows] = CommonRange(tokens);
  report.reasons.push_back(fmt::format(
      "TTFT x tokens/s is the number of tokens that one TTFT stands for. Within their rounding {} of {} rows stand for the "
      "same number ({:.1f} to {:.1f}), whatever their batch size and data set.",
      rows, inputs.rows.size(), common.low, common.high));
  report.missing = {"prompt lengths", "requests in a prefill pass"};
  return {};
}

}  // namespace moecap::audit
