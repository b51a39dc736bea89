#include "experiment/load_quality.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <unordered_map>

#include "base/hash.h"
#include "metrics/gate.h"
#include "stats/paired_scores.h"

namespace moecap::experiment {
namespace {

using cap::FigureId;

constexpr double kConfidence = 0.95;

// The scores of the problems that both have, in the order of `alone`.
struct PairedScores {
  std::vector<double> alone, loaded;
};
PairedScores PairUp(std::span<const cap::ProblemScore> alone, std::span<const cap::ProblemScore> loaded) {
  std::unordered_map<std::string_view, double> scores;
  for (const cap::ProblemScore& item : loaded) scores.emplace(item.id, item.score);
  PairedScores paired;
  for (const cap::ProblemScore& item : alone) {
    const auto found = scores.find(item.id);
    if (found == scores.end()) continue;
    paired.alone.push_back(item.score);
    paired.loaded.push_back(found->second);
  }
  return paired;
}

std::string DropInWords(const stats::ScoreDifferences& drop, const stats::Interval& interval) {
  return fmt::format("{:.1f} points (95 % interval {:.1f} to {:.1f}; {} problems, {} right at one client only, {} here only)",
                     100 * drop.mean(), 100 * interval.low, 100 * interval.high, drop.problems(), drop.first_better(),
                     drop.second_better());
}

}  // namespace

LoadQuality::Texts LoadQuality::TextsOf(std::span<const MeasuredFacts> measurements) const {
  Texts texts;
  for (const MeasuredFacts& measured : measurements) {
    if (!measured.measurement->complete) continue;
    for (const record::RequestRecord& request : measured.facts.records.requests) {
      if (!request.ok()) continue;
      const std::string answer = by_choice_ ? request.extracted.value_or("") : request.text;
      texts.emplace(std::pair(request.id, measured.measurement->repeat), HashOf(answer));
    }
  }
  return texts;
}

LoadQuality::Changed LoadQuality::Compare(const Texts& texts) const {
  Changed changed;
  for (const auto& [problem, text] : texts) {
    const auto before = texts_->find(problem);
    if (before == texts_->end()) continue;
    ++changed.compared;
    if (before->second != text) ++changed.changed;
  }
  return changed;
}

void LoadQuality::JudgeAccuracy(cap::CellSummary& cell) const {
  metrics::Gate gate = metrics::MakeGate("accuracy under load", margin_, "share");
  const auto refuse = [&](const char* why) { cell.gates.push_back(metrics::NotMeasured(gate, why)); };
  if (cell.items.empty()) return refuse("the answers have no score");
  if (record::ClientsOf(cell.level) == 1) return refuse("other levels are held against this one");
  if (!alone_) return refuse("no level of one client was measured to hold it against: add 1 to load.clients");
  const PairedScores paired = PairUp(*alone_, cell.items);
  if (paired.alone.empty()) return refuse("no problem was answered at one client, too");
  const stats::ScoreDifferences drop(paired.alone, paired.loaded);
  const stats::Interval interval = drop.ScoreInterval(kConfidence);
  cell.figures[FigureId::kAccuracyDrop] = drop.mean();
  cell.figures[FigureId::kAccuracyDropLow] = interval.low;
  cell.figures[FigureId::kAccuracyDropHigh] = interval.high;
  gate.bound = std::max(margin_, drop.mean() - interval.low);
  cell.gates.push_back(metrics::Judge(
      gate, drop.mean(),
      fmt::format(
          "the accuracy falls under load, by {}: what is measured here is the speed of worse answers. Look at answers that "
          "failed, were cut short or changed; a lower level, or a server that preempts, truncates or quantises less",
          DropInWords(drop, interval))));
}

void LoadQuality::Judge(std::span<const MeasuredFacts> measurements, cap::CellSummary& cell) {
  if (cell.repeats == 0) return;
  JudgeAccuracy(cell);
  if (!alone_ && record::ClientsOf(cell.level) == 1 && !cell.items.empty()) alone_ = cell.items;
  Texts texts = TextsOf(measurements);
  if (!texts_) {
    texts_ = std::move(texts);
    lowest_ = cell.label;
    return;
  }
  const auto [compared, changed] = Compare(texts);
  if (compared == 0) return;
  const double share = static_cast<double>(changed) / static_cast<double>(compared);
  cell.figures[FigureId::kChangedShare] = share;
  if (changed == 0 || !is_greedy_) return;
  std::string note = fmt::format(
      "{} of {} answers ({:.1f} %) are not those of {}, although decoding is greedy: sums that depend on the batch tip "
      "near-ties; a large share has another cause",
      changed, compared, 100 * share, lowest_);
  if (const auto& drop = cell.figures[FigureId::kAccuracyDrop]) {
    note += fmt::format(". The accuracy changes by {:+.1f} points, 95 % interval {:+.1f} to {:+.1f}", -100 * *drop,
                        -100 * *cell.figures[FigureId::kAccuracyDropHigh], -100 * *cell.figures[FigureId::kAccuracyDropLow]);
  }
  cell.notes.push_back(std::move(note));
}

}  // namespace moecap::experiment
