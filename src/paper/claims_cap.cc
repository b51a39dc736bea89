// Claims about scores, classes, money and power, and those that are plain arithmetic.
#include <fmt/format.h>

#include <algorithm>

#include "base/units.h"
#include "cap/cap_scores.h"
#include "cost/ownership.h"
#include "paper/evaluators.h"

namespace moecap::paper {
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

// Upstream's: the second-last tick of the cost axis.
double CostAtBaseline(const CapRadar& inputs) { return inputs.cost_ticks_usd[inputs.cost_ticks_usd.size() - 2]; }

enum class End { kLow, kTypical, kHigh };

std::optional<double> At(End end, const std::optional<double>& low, const std::optional<double>& typical,
                         const std::optional<double>& high) {
  if (end == End::kLow && low) return low;
  if (end == End::kHigh && high) return high;
  return typical;
}

std::optional<double> At(End end, const hardware::PriceRange& range) { return At(end, range.low, range.typical, range.high); }

std::optional<double> At(End end, const cost::PriceBook& book, std::string_view key) {
  const auto& prices = book.prices();
  const auto found = std::find_if(prices.begin(), prices.end(), [&](const cost::Price& price) { return price.key == key; });
  if (found == prices.end()) return std::nullopt;
  return At(end, found->low, found->typical, found->high);
}

constexpr const char* kBoardKey = "server_board_usd_per_core";
constexpr const char* kDramKey = "server_dram_usd_per_gib";

// Null prices stay unset: PriceHardware lists them as missing.
Result<cost::CostInputs> MachineAt(End end, const ServerCost& inputs, const hardware::Device& device,
                                   const hardware::Device& processor, const Sources& sources) {
  cost::CostInputs machine;
  const auto set = [&](const char* key, const std::optional<double>& each, double count, std::string source, std::string date) {
    if (!each) return Status();
    return cost::SetCostInput(machine, key, {*each * count, std::move(source), std::move(date)});
  };
  const auto processors = static_cast<double>(inputs.processors);
  RETURN_IF_ERROR(set("accelerators_usd", At(end, device.price_usd), static_cast<double>(inputs.devices),
                      fmt::format("{} x {}", inputs.devices, device.name), device.date));
  RETURN_IF_ERROR(set("cpu_usd", At(end, processor.price_usd), processors,
                      fmt::format("{} x {}", inputs.processors, processor.name), processor.date));
  if (processor.cores)
    RETURN_IF_ERROR(
        set("board_usd", At(end, sources.prices, kBoardKey), processors * *processor.cores, "price book, by core", ""));
  RETURN_IF_ERROR(set("dram_gib", inputs.dram_gib, 1, "published", ""));
  const auto dram = sources.prices.Find(kDramKey);
  RETURN_IF_ERROR(set("dram_usd_per_gib", At(end, sources.prices, kDramKey), 1, "price book", dram ? dram->date : ""));
  return machine;
}

std::optional<double> KnownUsd(const cost::CostInputs& machine) {
  const auto priced = cost::PriceHardware(machine);
  return priced ? std::optional(priced->known_usd) : std::nullopt;
}

// What a GiB would have to cost for the sum to be the published one.
std::string DramRemark(const ServerCost& inputs, double computed_usd, double usd_per_gib) {
  if (inputs.dram_gib <= 0) return "";
  const double fitting = usd_per_gib + (inputs.cost_usd.value - computed_usd) / inputs.dram_gib;
  return fmt::format("With DRAM at {:.1f} USD/GiB instead of {:g} the sum would be the published one.", fitting, usd_per_gib);
}

}  // namespace

std::vector<cap::CapScores> RadarScores(const CapRadar& inputs) {
  std::vector<cap::CapInput> systems;
  for (const CapRadar::Row& row : inputs.rows) {
    cap::CapInput system;
    system.system = row.system;
    system.cost = row.cost_usd;
    system.accuracy = row.accuracy;
    system.performance = row.tpot_s;
    systems.push_back(std::move(system));
  }
  cap::ScoreOptions options;
  options.cost_at_baseline = CostAtBaseline(inputs);
  return cap::ScoreSystems(systems, options);
}

Status Fill(const CapRadar& inputs, const Claim&, const Sources&, ClaimReport& report) {
  const std::vector<cap::CapScores> scores = RadarScores(inputs);
  for (size_t i = 0; i < scores.size(); ++i) {
    const CapRadar::Row& row = inputs.rows[i];
    AddScore(row.system, "performance", row.performance_score, scores[i].performance, report);
    AddScore(row.system, "cost", row.cost_score, scores[i].cost, report);
    AddScore(row.system, "accuracy", row.accuracy_score, scores[i].accuracy, report);
    if (!row.cap_class.empty()) {
      Figure figure;
      figure.quantity = fmt::format("{}, class", row.system);
      figure.published_text = row.cap_class;
      figure.computed_text = cap::CapClassName(scores[i].cap_class);
      report.figures.push_back(std::move(figure));
    }
    report.reasons.push_back(fmt::format("{}: {}", row.system, scores[i].reason));
    if (row.cost_usd > CostAtBaseline(inputs)) {
      report.reasons.push_back(fmt::format("{}: its {:g} USD are cut to {:g}, the second-last tick of the cost axis.",
                                           row.system, row.cost_usd, CostAtBaseline(inputs)));
    }
  }
  return {};
}

Status Fill(const ServerCost& inputs, const Claim& claim, const Sources& sources, ClaimReport& report) {
  ASSIGN_OR_RETURN(const hardware::Device device, FindDevice(inputs.device, claim, sources));
  ASSIGN_OR_RETURN(const hardware::Device processor, FindDevice(inputs.processor, claim, sources));
  ASSIGN_OR_RETURN(const cost::CostInputs typical, MachineAt(End::kTypical, inputs, device, processor, sources));
  ASSIGN_OR_RETURN(const cost::CostInputs low, MachineAt(End::kLow, inputs, device, processor, sources));
  ASSIGN_OR_RETURN(const cost::CostInputs high, MachineAt(End::kHigh, inputs, device, processor, sources));
  Figure figure;
  figure.quantity = "purchase";
  figure.unit = Unit::kUsd;
  figure.published = inputs.cost_usd;
  figure.computed = KnownUsd(typical);
  figure.low = KnownUsd(low);
  figure.high = KnownUsd(high);
  figure.estimated = true;
  if (figure.computed) {
    report.reasons.push_back(fmt::format("At the catalogue's low and high prices: {} to {}.",
                                         FormatFigure(*figure.low, Unit::kUsd), FormatFigure(*figure.high, Unit::kUsd)));
    if (typical.dram_usd_per_gib)
      report.reasons.push_back(DramRemark(inputs, *figure.computed, typical.dram_usd_per_gib->value));
    for (const std::string& line : cost::DescribeInputs(typical)) report.reasons.push_back(line);
  }
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

}  // namespace moecap::paper
