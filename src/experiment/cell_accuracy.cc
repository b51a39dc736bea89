#include "experiment/cell_accuracy.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <unordered_map>

#include "accuracy/code_answer.h"
#include "accuracy/group_score.h"
#include "stats/shares.h"

namespace moecap::experiment {
namespace {

using cap::FigureId;

// Pass@k of the repetitions of each problem, where the scoring is of programs. False: there are too few repetitions.
bool TakePassAt(int64_t k, std::vector<cap::ProblemScore>& items) {
  if (k == 1) return true;
  if (std::ranges::any_of(items, [&](const auto& item) { return item.repeats < k; })) return false;
  for (cap::ProblemScore& item : items) {
    const auto passed = static_cast<int64_t>(std::llround(item.score * static_cast<double>(item.repeats)));
    item.score = accuracy::PassAtK(item.repeats, passed, k);
  }
  return true;
}

void NoteParts(std::span<const cap::ProblemScore> items, cap::CellSummary& cell) {
  std::map<std::string, std::vector<accuracy::ItemScore>> parts;
  for (const cap::ProblemScore& item : items) {
    if (!item.part.empty()) parts[item.part].push_back({item.score, item.score_parts, item.part});
  }
  std::vector<std::string> words;
  for (const auto& [part, scores] : parts)
    words.push_back(fmt::format("{} {:.2f} % of {}", part, 100 * accuracy::MeanOfItems(scores)->mean, scores.size()));
  if (!words.empty()) cell.notes.push_back(fmt::format("accuracy is the mean over parts: {}", fmt::join(words, ", ")));
}

void NoteNotJudged(std::span<const MeasuredFacts* const> whole, cap::CellSummary& cell) {
  int64_t answers = 0, left_open = 0;
  for (const MeasuredFacts* measured : whole) {
    for (const record::RequestRecord& request : measured->facts.records.requests) {
      answers += request.ok() ? 1 : 0;
      left_open += request.ok() && !request.score ? 1 : 0;
    }
  }
  if (left_open > 0)
    cell.notes.push_back(
        fmt::format("{} of {} answers are not judged and in no mean (docs/accuracy_metrics.md)", left_open, answers));
}

}  // namespace

std::vector<cap::ProblemScore> ScoreProblems(std::span<const MeasuredFacts* const> whole) {
  std::vector<cap::ProblemScore> items;
  std::unordered_map<std::string_view, size_t> index;
  for (const MeasuredFacts* measured : whole) {
    for (const record::RequestRecord& request : measured->facts.records.requests) {
      if (!request.score) continue;
      const auto [entry, is_new] = index.try_emplace(request.id, items.size());
      if (is_new) items.push_back({request.id, 0, 0, 0, request.score_parts, request.part});
      cap::ProblemScore& item = items[entry->second];
      item.score += *request.score;
      ++item.repeats;
      if (request.extracted) ++item.answered;
    }
  }
  for (cap::ProblemScore& item : items) item.score /= static_cast<double>(item.repeats);
  return items;
}

void FillAccuracy(std::span<const cap::ProblemScore> items, cap::FigureValues& figures) {
  if (items.empty()) return;
  std::vector<accuracy::ItemScore> scores;
  double answered = 0;
  bool alike = false;
  for (const cap::ProblemScore& item : items) {
    scores.push_back({item.score, item.score_parts, item.part});
    if (item.answered > 0) ++answered;
    alike = alike || !item.part.empty();
  }
  const accuracy::MeanScore mean = alike ? *accuracy::MeanOfParts(scores) : *accuracy::MeanOfItems(scores);
  figures[FigureId::kScored] = static_cast<double>(items.size());
  figures[FigureId::kAnswered] = answered;
  figures[FigureId::kAccuracy] = mean.mean;
  const stats::Interval interval = stats::WilsonIntervalOfMean(mean.mean, mean.std_error, mean.items, 0.95);
  figures[FigureId::kAccuracyLow] = interval.low;
  figures[FigureId::kAccuracyHigh] = interval.high;
}

void FillCellAccuracy(const CellContext& context, std::span<const MeasuredFacts* const> whole, cap::CellSummary& cell) {
  const auto& problems = context.manifest.config.problems;
  cell.items = ScoreProblems(whole);
  if (!problems || !problems->scoring) return FillAccuracy(cell.items, cell.figures);
  NoteNotJudged(whole, cell);
  if (!TakePassAt(problems->pass_at, cell.items)) {
    cell.notes.push_back(fmt::format("pass@{} needs as many whole repetitions", problems->pass_at));
    return;
  }
  FillAccuracy(cell.items, cell.figures);
  NoteParts(cell.items, cell);
}

}  // namespace moecap::experiment
