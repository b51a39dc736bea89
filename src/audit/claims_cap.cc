// Claims about scores, classes, money and power, and those that are plain arithmetic.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <limits>

#include "audit/evaluators.h"
#include "base/units.h"
#include "cap/paper_scores.h"
#include "cost/machine.h"
#include "cost/ownership.h"

namespace moecap::audit {
namespace {

void AddScore(const std::string& system, const char* axis, const std::optional<Printed>& published,
              const std::optional<double>& computed, ClaimReport& report) {
  if (!published) return;
  Figure figure;
  figure.quantity = fmt::format("{}, {}", system, axis);
  figure.unit = Unit::kScore;
  figure.published = published;
  figure.computed = computed;
  report.figures.push_back(std::move(figure));
}

struct Sacrifice {
  const char* name;
  std::optional<double> cap::PaperScore::*score;
  const char* cap_class;  // what is kept
};
constexpr Sacrifice kSacrifices[] = {{"performance", &cap::PaperScore::performance, "CA"},
                                     {"cost", &cap::PaperScore::cost, "PA"},
                                     {"accuracy", &cap::PaperScore::accuracy, "PC"}};

// Upstream's: the second-last tick of the cost axis.
double CostAtBaseline(const CapRadar& inputs) { return inputs.cost_ticks_usd[inputs.cost_ticks_usd.size() - 2]; }

// What a figure of the radar shows of a system: the one of three that it gives up has the lowest score. These are not the
// letters of moecap's own reports, which need repetitions and the answers to each problem (docs/cap.md). Null when two are
// lowest.
std::optional<Sacrifice> LowestOf(const cap::PaperScore& score) {
  if (!score.performance || !score.cost || !score.accuracy) return std::nullopt;
  const double lowest = std::min({*score.performance, *score.cost, *score.accuracy});
  std::optional<Sacrifice> found;
  for (const Sacrifice& candidate : kSacrifices) {
    if (*(score.*candidate.score) > lowest) continue;
    if (found) return std::nullopt;
    found = candidate;
  }
  return found;
}

void AddClass(const CapRadar::Row& row, const cap::PaperScore& score, ClaimReport& report) {
  const auto given_up = LowestOf(score);
  Figure figure;
  figure.quantity = fmt::format("{}, class", row.system);
  figure.published_text = row.cap_class;
  figure.computed_text = given_up ? given_up->cap_class : "";
  report.figures.push_back(std::move(figure));
  report.reasons.push_back(given_up ? fmt::format("{} gives up {}: the lowest of its three scores.", row.system, given_up->name)
                                    : fmt::format("{}: none of its three scores alone is the lowest.", row.system));
}

// What a GiB would have to cost for the sum to be the published one.
std::string DramRemark(const ServerCost& inputs, double computed_usd, double usd_per_gib) {
  const double fitting = usd_per_gib + (inputs.cost_usd.value - computed_usd) / inputs.dram_gib;
  return fmt::format("With DRAM at {:.1f} USD/GiB instead of {:g} the sum would be the published one.", fitting, usd_per_gib);
}

}  // namespace

std::vector<cap::PaperScore> RadarScores(const CapRadar& inputs) {
  std::vector<cap::Evidence> systems;
  for (const CapRadar::Row& row : inputs.rows) {
    cap::Evidence system;
    system.label = row.system;
    system.cost.value = row.cost_usd;
    system.accuracy = row.accuracy;
    system.performance.value = row.tpot_s;
    systems.push_back(std::move(system));
  }
  cap::PaperScoreOptions options;
  options.cost_at_baseline = CostAtBaseline(inputs);
  if (auto scores = cap::PaperScores(systems, options)) return *std::move(scores);
  std::vector<cap::PaperScore> alone;
  for (const CapRadar::Row& row : inputs.rows) alone.push_back({row.system, {}, {}, {}});
  return alone;
}

Status Fill(const CapRadar& inputs, const Claim&, const Sources&, ClaimReport& report) {
  const std::vector<cap::PaperScore> scores = RadarScores(inputs);
  for (size_t i = 0; i < scores.size(); ++i) {
    const CapRadar::Row& row = inputs.rows[i];
    AddScore(row.system, "performance", row.performance_score, scores[i].performance, report);
    AddScore(row.system, "cost", row.cost_score, scores[i].cost, report);
    AddScore(row.system, "accuracy", row.accuracy_score, scores[i].accuracy, report);
    if (!row.cap_class.empty()) AddClass(row, scores[i], report);
    if (row.cost_usd > CostAtBaseline(inputs)) {
      report.reasons.push_back(fmt::format("{}: its {:g} USD are cut to {:g}, the second-last tick of the cost axis.",
                                           row.system, row.cost_usd, CostAtBaseline(inputs)));
    }
  }
  if (scores.size() < 2) report.missing.emplace_back("a second system: scores are relative to the systems in view");
  return {};
}

Status Fill(const ServerCost& inputs, const Claim& claim, const Sources& sources, ClaimReport& report) {
  if (const auto processor = FindDevice(inputs.processor, claim, sources); !processor.ok()) return processor.error();
  cost::MachineSpec machine;
  machine.accelerators = {{inputs.device.text, inputs.devices}};
  machine.processors = {{inputs.processor.text, inputs.processors}};
  machine.dram_gib = inputs.dram_gib;
  const auto priced = cost::PriceMachine(machine, sources.devices, sources.prices);
  if (!priced.ok()) return Annotate(fmt::format("{}:{}", claim.file, inputs.device.line), priced.error());
  const cost::Range usd = cost::PurchaseUsd(priced->inputs);
  Figure figure;
  figure.quantity = "purchase";
  figure.unit = Unit::kUsd;
  figure.published = inputs.cost_usd;
  figure.computed = usd.typical;
  figure.low = usd.low;
  figure.high = usd.high;
  figure.estimated = true;
  // Prices are those of the catalogue at its dates, and parts that nobody lists (disks, network, chassis) have one, too.
  figure.possible_low = 0;
  figure.possible_high = std::numeric_limits<double>::infinity();
  if (Judge(figure) == Verdict::kNotComputable)
    report.missing.emplace_back("the list of parts, and what each cost at that time");
  if (usd.typical && usd.low && usd.high) {
    report.reasons.push_back(fmt::format("At the catalogue's low and high prices: {} to {}.",
                                         FormatFigure(*usd.low, Unit::kUsd), FormatFigure(*usd.high, Unit::kUsd)));
  }
  if (usd.typical && inputs.dram_gib > 0 && priced->inputs.dram_usd_per_gib)
    report.reasons.push_back(DramRemark(inputs, *usd.typical, priced->inputs.dram_usd_per_gib->value));
  for (const cost::BillLine& line : priced->lines) {
    const std::string amount = line.usd.typical ? FormatFigure(*line.usd.typical, Unit::kUsd) : "price not known, left out";
    report.reasons.push_back(
        fmt::format("{}{}: {}", line.part, line.item.empty() ? "" : fmt::format(" ({})", line.item), amount));
  }
  if (const auto hardware = cost::PriceHardware(priced->inputs); hardware && !hardware->missing.empty())
    report.reasons.push_back(fmt::format("Left out, price or size not known: {}.", fmt::join(hardware->missing, ", ")));
  report.figures.push_back(std::move(figure));
  return {};
}

Status Fill(const Ratio& inputs, const Claim&, const Sources&, ClaimReport& report) {
  const auto of = [&](double numerator, double denominator) {
    const double ratio = numerator / denominator;
    switch (inputs.form) {
      case Ratio::Form::kRatio:
        return ratio;
      case Ratio::Form::kSaving:
        return 1 - ratio;
      case Ratio::Form::kIncrease:
        return ratio - 1;
    }
    CHECK(false);
  };
  constexpr const char* kQuantities[] = {"ratio", "saving", "increase"};
  Figure figure;
  figure.quantity = kQuantities[static_cast<size_t>(inputs.form)];
  figure.unit = inputs.form == Ratio::Form::kRatio ? Unit::kRatio : Unit::kShare;
  figure.published = inputs.ratio;
  figure.computed = of(inputs.numerator.value, inputs.denominator.value);
  report.reasons.push_back(fmt::format("From {:g} and {:g}.", inputs.numerator.value, inputs.denominator.value));
  report.figures.push_back(std::move(figure));
  return {};
}

Status Fill(const DevicePower& inputs, const Claim& claim, const Sources& sources, ClaimReport& report) {
  ASSIGN_OR_RETURN(const hardware::Device device, FindDevice(inputs.device, claim, sources));
  Figure figure;
  figure.quantity = inputs.devices > 1 ? fmt::format("power of {} x {}", inputs.devices, device.name)
                                       : fmt::format("power of {}", device.name);
  figure.unit = Unit::kWatts;
  figure.published = inputs.tdp_w;
  if (device.tdp_w) {
    figure.computed = static_cast<double>(inputs.devices) * *device.tdp_w;
    report.reasons.push_back("Nameplate power of the accelerators alone.");
    // Several in one box need processors, memory and fans besides: their sum is the least that such a system draws.
    if (inputs.devices > 1) {
      figure.possible_low = figure.computed;
      figure.possible_high = std::numeric_limits<double>::infinity();
      if (Judge(figure) == Verdict::kNotComputable)
        report.missing.emplace_back("whether this is a whole system, and the power of its other parts");
    }
  } else {
    report.missing.push_back(fmt::format("the catalogue has no power of {}", device.name));
  }
  report.figures.push_back(std::move(figure));
  return {};
}

Status Fill(const NotComputable& inputs, const Claim&, const Sources&, ClaimReport& report) {
  Figure figure;
  figure.quantity = inputs.published;
  figure.published_text = "stated";
  report.figures.push_back(std::move(figure));
  report.missing = inputs.missing;
  return {};
}

}  // namespace moecap::audit
