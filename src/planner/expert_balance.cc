#include "planner/expert_balance.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/rng.h"

namespace moecap::planner {
namespace {

using routing::ExpertPlacement;

// Sums over passes and layers.
struct BalanceSums {
  double heaviest = 0, tokens = 0;         // the heaviest rank's tokens; all
  double most_distinct = 0, distinct = 0;  // the same of experts read
  double tile_rows = 0, seconds = 0;
};

// One layer's placement, made ready to count passes with.
class LayerRanks {
 public:
  LayerRanks(const BalanceQuestion& question, const ExpertPlacement& placement) : question_(question), placement_(placement) {
    const std::vector<int> replicas = placement.Replicas(question.experts);
    std::vector<int> seen(replicas.size());
    for (const int expert : placement.expert_of) {
      replicas_.push_back(static_cast<uint32_t>(replicas[static_cast<size_t>(expert)]));
      replica_.push_back(static_cast<uint32_t>(seen[static_cast<size_t>(expert)]++));
    }
  }

  void Add(const uint32_t* counts, BalanceSums& sums) const {
    const auto places = static_cast<size_t>(placement_.PlacesPerRank());
    const auto tile = static_cast<uint32_t>(question_.block_m);
    double heaviest = 0, most_distinct = 0, slowest = 0;
    for (size_t begin = 0; begin < placement_.expert_of.size(); begin += places) {
      double tokens = 0, distinct = 0, rows = 0;
      for (size_t place = begin; place < begin + places; ++place) {
        const uint32_t all = counts[placement_.expert_of[place]];
        const uint32_t own = all / replicas_[place] + (replica_[place] < all % replicas_[place]);
        if (own == 0) continue;
        tokens += own;
        distinct += 1;
        rows += (own + tile - 1) / tile * tile;
      }
      heaviest = std::max(heaviest, tokens);
      most_distinct = std::max(most_distinct, distinct);
      slowest = std::max({slowest, distinct * question_.bytes_per_expert / question_.bytes_per_s,
                          rows * 2 * question_.params_per_expert / question_.flops_per_s});
      sums.tokens += tokens;
      sums.distinct += distinct;
      sums.tile_rows += rows;
    }
    sums.heaviest += heaviest;
    sums.most_distinct += most_distinct;
    sums.seconds += slowest;
  }

 private:
  const BalanceQuestion& question_;
  const ExpertPlacement& placement_;
  std::vector<uint32_t> replicas_, replica_;  // [place]
};

BalanceSums SumsOf(const BalanceQuestion& question, std::span<const ExpertPlacement> placement,
                   std::span<const PassLoad> passes) {
  BalanceSums sums;
  for (size_t layer = 0; layer < placement.size(); ++layer) {
    const LayerRanks ranks(question, placement[layer]);
    for (const PassLoad& pass : passes) ranks.Add(pass.data() + layer * static_cast<size_t>(question.experts), sums);
  }
  return sums;
}

// [layer][expert]: tokens in all passes.
std::vector<std::vector<double>> TotalLoads(const BalanceQuestion& question, std::span<const PassLoad> passes) {
  std::vector<std::vector<double>> loads(static_cast<size_t>(question.layers),
                                         std::vector<double>(static_cast<size_t>(question.experts)));
  for (const PassLoad& pass : passes) {
    for (size_t i = 0; i < pass.size(); ++i)
      loads[i / static_cast<size_t>(question.experts)][i % static_cast<size_t>(question.experts)] += pass[i];
  }
  return loads;
}

std::vector<ExpertPlacement> FitPlacement(const BalanceQuestion& question, int redundant, std::span<const PassLoad> passes) {
  const routing::PlacementShape shape{question.ranks, question.experts + redundant, question.nodes, question.groups};
  std::vector<ExpertPlacement> placement;
  for (const std::vector<double>& load : TotalLoads(question, passes))
    placement.push_back(routing::BalanceExperts(load, shape));
  return placement;
}

double MeanDistance(const std::vector<std::vector<double>>& a, const std::vector<std::vector<double>>& b) {
  const auto total = [](const std::vector<double>& load) {
    double sum = 0;
    for (const double each : load) sum += each;
    return sum;
  };
  double distance = 0;
  for (size_t layer = 0; layer < a.size(); ++layer) {
    const double all_a = total(a[layer]), all_b = total(b[layer]);
    if (all_a <= 0 || all_b <= 0) continue;
    for (size_t expert = 0; expert < a[layer].size(); ++expert)
      distance += std::abs(a[layer][expert] / all_a - b[layer][expert] / all_b) / 2;
  }
  return distance / static_cast<double>(a.size());
}

// The passes of window `index` of `windows`.
std::span<const PassLoad> WindowOf(std::span<const PassLoad> passes, size_t index, size_t windows) {
  const size_t begin = passes.size() * index / windows, end = passes.size() * (index + 1) / windows;
  return passes.subspan(begin, end - begin);
}

// The middle 95 % of the ratio of sums over resampled windows.
void SetInterval(std::span<const double> today_s, std::span<const double> way_s, BalanceWay& way) {
  constexpr int kResamples = 2000;
  Rng rng(20240527);
  std::vector<double> ratios;
  for (int resample = 0; resample < kResamples; ++resample) {
    double today = 0, with = 0;
    for (size_t draw = 0; draw < today_s.size(); ++draw) {
      const auto window = static_cast<size_t>(rng.Below(today_s.size()));
      today += today_s[window];
      with += way_s[window];
    }
    ratios.push_back(with > 0 ? today / with : 1);
  }
  std::sort(ratios.begin(), ratios.end());
  way.gain_low = ratios[kResamples / 40];
  way.gain_high = ratios[kResamples - 1 - kResamples / 40];
}

BalanceVerdict VerdictOf(const BalanceWay& way) {
  if (way.gain_low >= kWorthwhileGain) return BalanceVerdict::kEnable;
  return way.gain_high < kWorthwhileGain ? BalanceVerdict::kLeave : BalanceVerdict::kUndecided;
}

Status CheckBalance(const BalanceQuestion& question, std::span<const int> redundant, size_t passes, size_t fitted) {
  for (const int extra : redundant) {
    RETURN_IF_ERROR(
        routing::CheckShape({question.ranks, question.experts + extra, question.nodes, question.groups}, question.experts));
  }
  if (question.today.size() != static_cast<size_t>(question.layers))
    return BadInput(fmt::format("a placement of {} layers for a model with {}", question.today.size(), question.layers));
  for (const ExpertPlacement& layer : question.today) {
    const std::vector<int> replicas = layer.Replicas(question.experts);
    if (layer.ranks != question.ranks || std::find(replicas.begin(), replicas.end(), 0) != replicas.end())
      return BadInput("a placement leaves an expert without a place, or is of another number of ranks");
  }
  constexpr size_t kLeast = 4;  // windows on either side
  if (fitted < kLeast || passes - fitted < kLeast) {
    return BadInput(
        fmt::format("the trace has {} passes; to fit a placement and judge it on later ones takes {} at least, better hundreds",
                    passes, 2 * kLeast));
  }
  return {};
}

}  // namespace

std::string_view Name(BalanceVerdict verdict) {
  switch (verdict) {
    case BalanceVerdict::kEnable:
      return "enable";
    case BalanceVerdict::kLeave:
      return "leave";
    case BalanceVerdict::kUndecided:
      return "undecided";
  }
  return "";
}

BalanceFigures FiguresOf(const BalanceQuestion& question, std::span<const ExpertPlacement> placement,
                         std::span<const PassLoad> passes) {
  const BalanceSums sums = SumsOf(question, placement, passes);
  BalanceFigures figures;
  if (sums.tokens <= 0) return figures;
  figures.tokens_max_over_mean = sums.heaviest * question.ranks / sums.tokens;
  figures.experts_max_over_mean = sums.most_distinct * question.ranks / sums.distinct;
  figures.padding = sums.tile_rows / sums.tokens;
  figures.seconds = sums.seconds;
  return figures;
}

Result<Balance> JudgeBalance(const BalanceQuestion& question, std::span<const PassLoad> passes) {
  std::vector<int> redundant = question.redundant;
  if (redundant.empty()) redundant = {0, question.ranks, 2 * question.ranks};
  const auto fitted = static_cast<size_t>(question.fitted_share * static_cast<double>(passes.size()));
  RETURN_IF_ERROR(CheckBalance(question, redundant, passes.size(), fitted));
  const auto first = passes.first(fitted), rest = passes.subspan(fitted);
  const size_t windows = std::clamp<size_t>(static_cast<size_t>(question.windows) / 2, 4, rest.size());
  const auto seconds_of = [&](std::span<const ExpertPlacement> placement) {
    std::vector<double> seconds;
    for (size_t i = 0; i < windows; ++i) seconds.push_back(SumsOf(question, placement, WindowOf(rest, i, windows)).seconds);
    return seconds;
  };
  Balance balance;
  balance.fitted_passes = static_cast<int64_t>(first.size());
  balance.later_passes = static_cast<int64_t>(rest.size());
  const std::vector<double> today_s = seconds_of(question.today);
  balance.ways.push_back({.name = "as today",
                          .fitted = FiguresOf(question, question.today, first),
                          .later = FiguresOf(question, question.today, rest)});
  std::vector<double> chosen_s;
  for (const int extra : redundant) {
    const std::vector<ExpertPlacement> placement = FitPlacement(question, extra, first);
    BalanceWay way{.name = fmt::format("EPLB, {} redundant", extra), .redundant = extra};
    way.fitted = FiguresOf(question, placement, first);
    way.later = FiguresOf(question, placement, rest);
    way.gain = way.later.seconds > 0 ? balance.ways.front().later.seconds / way.later.seconds : 1;
    way.extra_bytes = static_cast<double>(extra) / question.ranks * question.bytes_per_expert * question.layers;
    std::vector<double> way_s = seconds_of(placement);
    SetInterval(today_s, way_s, way);
    if (balance.chosen == 0 || way.fitted.seconds < balance.ways[balance.chosen].fitted.seconds) {
      balance.chosen = balance.ways.size();
      balance.placement = placement;
      chosen_s = std::move(way_s);
    }
    balance.ways.push_back(std::move(way));
  }
  const auto fitted_loads = TotalLoads(question, first);
  for (size_t i = 0; i < windows; ++i) {
    const auto window = WindowOf(rest, i, windows);
    balance.later.push_back({static_cast<int64_t>(window.size()), MeanDistance(fitted_loads, TotalLoads(question, window)),
                             chosen_s[i] > 0 ? today_s[i] / chosen_s[i] : 1});
  }
  const BalanceWay& chosen = balance.ways[balance.chosen];
  const auto own = FitPlacement(question, chosen.redundant, rest);
  if (const double own_s = FiguresOf(question, own, rest).seconds; own_s > 0)
    balance.own_gain = balance.ways.front().later.seconds / own_s;
  balance.verdict = VerdictOf(chosen);
  return balance;
}

}  // namespace moecap::planner
