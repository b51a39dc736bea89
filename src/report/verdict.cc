// MakeVerdict and the readings of words.h.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "base/units.h"
#include "report/figures.h"
#include "report/words.h"

namespace moecap::report {
namespace {

struct Known {
  const SystemSummary* system = nullptr;
  const CellSummary* cell = nullptr;
  double value = 0;
};

// The valid cells at `concurrency` where the figure is known, ascending.
std::vector<Known> Ranking(const RunSummary& summary, int concurrency, const Getter& get) {
  std::vector<Known> known;
  for (const auto& system : summary.systems) {
    const auto* cell = FindCell(system, concurrency);
    if (cell == nullptr || !IsValid(*cell)) continue;
    if (const auto value = get(system, *cell)) known.push_back({&system, cell, *value});
  }
  std::ranges::stable_sort(known, {}, &Known::value);
  return known;
}

std::optional<double> Tpot(const SystemSummary&, const CellSummary& cell) {
  return cell.tpot_s ? std::optional(cell.tpot_s->mean) : std::nullopt;
}
std::optional<double> Throughput(const SystemSummary&, const CellSummary& cell) {
  return cell.output_tokens_per_s ? std::optional(cell.output_tokens_per_s->mean) : std::nullopt;
}
std::optional<double> Cost(const SystemSummary&, const CellSummary& cell) { return cell.usd_per_million_output_tokens; }
std::optional<double> Accuracy(const SystemSummary&, const CellSummary& cell) { return cell.accuracy; }
std::optional<double> DecodeSMbu(const SystemSummary&, const CellSummary& cell) { return cell.utilization.decode.s_mbu; }

std::string Times(double ratio) { return FormatSignificant(ratio, ratio < 10 ? 2 : 3) + "×"; }
std::string Usd(double value) { return "USD " + FormatSignificant(value, 3); }

std::string AccuracyText(const Known& known) {
  const std::string error =
      known.cell->accuracy_stderr ? fmt::format(" ± {}", FormatFixed(*known.cell->accuracy_stderr * 100, 1)) : "";
  return fmt::format("{}{} %", FormatFixed(known.value * 100, 1), error);
}

// What counts as different, as for the CAP classes.
double MeaningfulRatio() { return cap::ScoreOptions{}.meaningful_ratio; }

// The standard error of the difference of two accuracies: paired by problem where the run computed it, else from both errors as
// if they were independent, which is cautious.
std::optional<double> DifferenceError(const RunSummary& summary, const Known& low, const Known& high) {
  for (const auto& pair : summary.accuracy_differences) {
    const bool same = (pair.first == low.system->name && pair.second == high.system->name) ||
                      (pair.first == high.system->name && pair.second == low.system->name);
    if (same && pair.std_error) return pair.std_error;
  }
  if (!low.cell->accuracy_stderr || !high.cell->accuracy_stderr) return std::nullopt;
  return std::hypot(*low.cell->accuracy_stderr, *high.cell->accuracy_stderr);
}

// Whether two accuracies differ by more than noise.
bool Separated(const RunSummary& summary, const Known& low, const Known& high) {
  const cap::ScoreOptions options;
  const double difference = high.value - low.value;
  const auto error = DifferenceError(summary, low, high);
  if (!error) return difference >= options.accuracy_step_without_error;
  return difference > 0 && difference >= options.significant_errors * *error;
}

// The systems that are as low as the lowest; empty when fewer than two are known or all are equal.
std::vector<std::string> Lowest(const std::vector<Known>& ranking) {
  std::vector<std::string> names;
  for (const auto& known : ranking) {
    if (known.value <= ranking.front().value * MeaningfulRatio()) names.push_back(known.system->name);
  }
  if (names.size() == ranking.size()) names.clear();
  return names;
}

// What each winner wins, in order of first win.
struct Grouped {
  std::vector<std::pair<std::string, std::vector<std::string>>> items;

  void Add(const std::string& who, const char* what) {
    auto found = std::ranges::find(items, who, &std::pair<std::string, std::vector<std::string>>::first);
    if (found == items.end()) found = items.insert(items.end(), {who, {}});
    found->second.emplace_back(what);
  }
};

std::string Headline(const RunSummary& summary, const std::vector<Known>& tpot, const std::vector<Known>& cost,
                     const std::vector<Known>& accuracy) {
  Grouped wins;
  const auto add = [&wins](const std::vector<std::string>& names, const char* what) {
    if (names.empty()) return;
    const auto count = names.size();
    wins.Add(count <= 3 ? JoinWords(names) : fmt::format("{}, {} and {} more", names[0], names[1], count - 2), what);
  };
  add(Lowest(tpot), "the fastest");
  add(Lowest(cost), "the cheapest");
  // Everyone whose distance to the best is within the noise is as good as the best.
  std::vector<std::string> most_accurate;
  for (auto known = accuracy.rbegin(); known != accuracy.rend(); ++known) {
    if (!Separated(summary, *known, accuracy.back())) most_accurate.push_back(known->system->name);
  }
  const bool separated = most_accurate.size() < accuracy.size();
  if (separated) add(most_accurate, "the most accurate");
  std::vector<std::string> clauses;
  for (const auto& [who, what] : wins.items) {
    clauses.push_back(fmt::format("{} {} {}", who, who.find(" and ") == std::string::npos ? "is" : "are", JoinWords(what)));
  }
  if (accuracy.size() >= 2 && !separated) clauses.emplace_back("accuracy does not separate the systems");
  return clauses.empty() ? "" : fmt::format("{}.", fmt::join(clauses, "; "));
}

std::string SpeedFinding(const std::vector<Known>& tpot, int concurrency) {
  if (tpot.empty() || tpot.front().value <= 0) return "";
  const auto& best = tpot.front();
  const auto& worst = tpot.back();
  if (tpot.size() == 1)
    return fmt::format("Performance: {} at a mean TPOT of {}, concurrency {}.", best.system->name, FormatSeconds(best.value),
                       concurrency);
  return fmt::format("Performance: mean TPOT from {} ({}) to {} ({}), {} apart, at concurrency {}.", FormatSeconds(best.value),
                     best.system->name, FormatSeconds(worst.value), worst.system->name, Times(worst.value / best.value),
                     concurrency);
}

std::string CostFinding(const std::vector<Known>& cost) {
  if (cost.empty()) return "";
  const auto& best = cost.front();
  const auto& worst = cost.back();
  if (cost.size() == 1) return fmt::format("Cost: {} per 1M output tokens ({}).", Usd(best.value), best.system->name);
  return fmt::format("Cost: from {} ({}) to {} ({}) per 1M output tokens.", Usd(best.value), best.system->name,
                     Usd(worst.value), worst.system->name);
}

std::string AccuracyFinding(const RunSummary& summary, const std::vector<Known>& accuracy) {
  if (accuracy.empty()) return "";
  const auto& low = accuracy.front();
  const auto& high = accuracy.back();
  if (accuracy.size() == 1) return fmt::format("Accuracy: {} ({}).", AccuracyText(high), high.system->name);
  std::string judgement = "without standard errors the difference cannot be judged";
  if (DifferenceError(summary, low, high)) {
    judgement =
        fmt::format("{} points apart, {} two standard errors of the difference", FormatFixed((high.value - low.value) * 100, 1),
                    Separated(summary, low, high) ? "more than" : "within");
  }
  return fmt::format("Accuracy: {} ({}) against {} ({}); {}.", AccuracyText(high), high.system->name, AccuracyText(low),
                     low.system->name, judgement);
}

std::string LimitFinding(const std::vector<Known>& s_mbu) {
  if (s_mbu.empty()) return "";
  const auto& low = s_mbu.front();
  const auto& high = s_mbu.back();
  if (s_mbu.size() == 1) {
    return fmt::format("Hardware limit: decoding uses {} of the memory bandwidth (S-MBU).", FormatPercent(high.value, 1));
  }
  return fmt::format("Hardware limit: decoding uses {} ({}) to {} ({}) of the memory bandwidth (S-MBU).",
                     FormatPercent(low.value, 1), low.system->name, FormatPercent(high.value, 1), high.system->name);
}

// First and last valid cell of a system where the figure is known and positive; null cells when there are fewer than two.
std::pair<Known, Known> Ends(const SystemSummary& system, const Getter& get) {
  std::vector<Known> known;
  for (const auto& cell : system.cells) {
    const auto value = get(system, cell);
    if (value && *value > 0 && IsValid(cell)) known.push_back({&system, &cell, *value});
  }
  if (known.size() < 2) return {};
  return {known.front(), known.back()};
}

}  // namespace

Verdict MakeVerdict(const RunSummary& summary) {
  const int concurrency = summary.cap_concurrency;
  const auto tpot = Ranking(summary, concurrency, Tpot);
  const auto cost = Ranking(summary, concurrency, Cost);
  const auto accuracy = Ranking(summary, concurrency, Accuracy);
  Verdict verdict;
  for (auto& finding : {SpeedFinding(tpot, concurrency), CostFinding(cost), AccuracyFinding(summary, accuracy),
                        LimitFinding(Ranking(summary, concurrency, DecodeSMbu))}) {
    if (!finding.empty()) verdict.findings.push_back(finding);
  }
  verdict.headline = Headline(summary, tpot, cost, accuracy);
  if (!verdict.headline.empty()) return verdict;
  if (verdict.findings.empty()) {
    verdict.headline = fmt::format("No verdict: there is no valid measurement at concurrency {}.", concurrency);
  } else if (const auto throughput = Ranking(summary, concurrency, Throughput); throughput.size() == 1) {
    verdict.headline = fmt::format("{} serves {} output tokens per second at concurrency {}.", throughput[0].system->name,
                                   FormatSignificant(throughput[0].value, 3), concurrency);
  } else {
    verdict.headline = "The systems do not differ.";
  }
  return verdict;
}

std::string ReadRadar(const RunSummary& summary) {
  using Scores = cap::CapScores;
  static constexpr std::pair<const char*, std::optional<double> Scores::*> kAxes[] = {
      {"cost", &Scores::cost}, {"accuracy", &Scores::accuracy}, {"performance", &Scores::performance}};
  Grouped outermost;
  for (const auto& [axis, score] : kAxes) {
    std::vector<const Scores*> known;
    for (const auto& scores : summary.cap) {
      if (scores.*score) known.push_back(&scores);
    }
    if (known.size() < 2) continue;
    const auto best = std::ranges::max_element(known, {}, [score = score](const Scores* scores) { return *(scores->*score); });
    outermost.Add((*best)->system, axis);
  }
  std::vector<std::string> parts;
  for (const auto& [who, axes] : outermost.items) parts.push_back(fmt::format("{} on {}", who, JoinWords(axes)));
  return parts.empty() ? "" : fmt::format("Outermost: {}.", fmt::join(parts, "; "));
}

std::string ReadCostBars(const RunSummary& summary) {
  const auto ranking = Ranking(summary, summary.cap_concurrency, Cost);
  if (ranking.size() < 2 || ranking.front().value <= 0) return "";
  return fmt::format("{} costs {} as much as {}.", ranking.back().system->name,
                     Times(ranking.back().value / ranking.front().value), ranking.front().system->name);
}

std::string ReadTpotBars(const RunSummary& summary) {
  const auto ranking = Ranking(summary, summary.cap_concurrency, Tpot);
  if (ranking.size() < 2 || ranking.front().value <= 0) return "";
  return fmt::format("A token of {} takes {} as long as one of {}.", ranking.back().system->name,
                     Times(ranking.back().value / ranking.front().value), ranking.front().system->name);
}

std::string ReadThroughput(const RunSummary& summary) {
  Known best_first;
  Known best_last;
  for (const auto& system : summary.systems) {
    const auto [first, last] = Ends(system, Throughput);
    if (last.cell != nullptr && last.value > best_last.value) {
      best_first = first;
      best_last = last;
    }
  }
  if (best_last.cell == nullptr) return "";
  return fmt::format("{} reaches the most, {} tok/s at concurrency {}: {} its rate at {}.", best_last.system->name,
                     FormatSignificant(best_last.value, 3), best_last.cell->concurrency,
                     Times(best_last.value / best_first.value), best_first.cell->concurrency);
}

std::string ReadTpot(const RunSummary& summary) {
  std::vector<double> growth;
  Known first_end;
  Known last_end;
  for (const auto& system : summary.systems) {
    const auto [first, last] = Ends(system, Tpot);
    if (last.cell == nullptr) continue;
    growth.push_back(last.value / first.value);
    first_end = first;
    last_end = last;
  }
  if (growth.empty()) return "";
  const auto [low, high] = std::ranges::minmax(growth);
  const std::string range = Times(low) == Times(high) ? Times(low) : fmt::format("{} to {}", Times(low), Times(high));
  return fmt::format("From concurrency {} to {} a token takes {} as long.", first_end.cell->concurrency,
                     last_end.cell->concurrency, range);
}

std::string ReadUtilization(const RunSummary& summary) {
  // The cell where counting idle experts misleads most.
  Known worst;
  double ratio = 1;
  for (const auto& system : summary.systems) {
    for (const auto& cell : system.cells) {
      const auto& decode = cell.utilization.decode;
      if (!IsValid(cell) || !decode.s_mbu || !decode.mbu || *decode.s_mbu <= 0 || *decode.mbu / *decode.s_mbu <= ratio)
        continue;
      ratio = *decode.mbu / *decode.s_mbu;
      worst = {&system, &cell, *decode.s_mbu};
    }
  }
  if (worst.cell == nullptr) return "";
  return fmt::format(
      "Counting every expert overstates bandwidth use most for {} at concurrency {}: MBU {}, S-MBU {}, a factor of {}.",
      worst.system->name, worst.cell->concurrency, FormatPercent(*worst.cell->utilization.decode.mbu, 1),
      FormatPercent(worst.value, 1), FormatSignificant(ratio, 2));
}

std::string ReadDistinctExperts(const RunSummary& summary) {
  for (const auto& system : summary.systems) {
    const auto [first, last] =
        Ends(system, [](const SystemSummary&, const CellSummary& cell) { return MeanDistinctExperts(cell); });
    if (last.cell == nullptr || system.experts == 0) continue;
    return fmt::format("A decode pass of {} reads {} of {} experts a layer at concurrency {} and {} ({}) at {}.", system.name,
                       FormatSignificant(first.value, 2), system.experts, first.cell->concurrency,
                       FormatSignificant(last.value, 3), FormatPercent(last.value / system.experts, 0), last.cell->concurrency);
  }
  return "";
}

std::string ReadAccuracy(const RunSummary& summary) {
  const auto ranking = Ranking(summary, summary.cap_concurrency, Accuracy);
  if (ranking.size() < 2 || !DifferenceError(summary, ranking.front(), ranking.back())) return "";
  return fmt::format("{} and {} are {} points apart, {} two standard errors of the difference.", ranking.back().system->name,
                     ranking.front().system->name, FormatFixed((ranking.back().value - ranking.front().value) * 100, 1),
                     Separated(summary, ranking.front(), ranking.back()) ? "more than" : "within");
}

std::string ReadExpertShare(const SystemSummary& system) {
  double highest = -1;
  size_t layer = 0;
  size_t expert = 0;
  int64_t unused = 0;
  for (size_t l = 0; l < system.expert_share.size(); ++l) {
    const auto& shares = system.expert_share[l];
    for (size_t e = 0; e < shares.size(); ++e) {
      const double ratio = shares[e] * static_cast<double>(shares.size());
      if (shares[e] == 0) ++unused;
      if (ratio <= highest) continue;
      highest = ratio;
      layer = l;
      expert = e;
    }
  }
  if (highest < 0) return "";
  const std::string idle = unused == 0 ? "every expert was used" : fmt::format("{} were never used", unused);
  return fmt::format("The busiest is expert {} of MoE layer {}, with {} its uniform share; {}.", expert, layer, Times(highest),
                     idle);
}

}  // namespace moecap::report
