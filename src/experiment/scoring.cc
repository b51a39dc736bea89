#include "experiment/scoring.h"

#include <string_view>
#include <unordered_map>
#include <utility>

#include "accuracy/gsm8k.h"
#include "accuracy/reasoning.h"

namespace moecap::experiment {

void Score(const ProblemSet& set, std::span<const workload::Problem> problems, std::span<const std::string> stop,
           std::vector<record::RequestRecord>& requests) {
  if (!set.scoring) return;
  const auto filter = *set.scoring == Scoring::kGsm8kStrictMatch ? accuracy::Gsm8kFilter::kStrictMatch
                                                                 : accuracy::Gsm8kFilter::kFlexibleExtract;
  std::unordered_map<std::string_view, const workload::Problem*> by_id;
  for (const workload::Problem& problem : problems) by_id.emplace(problem.id, &problem);
  for (record::RequestRecord& request : requests) {
    const auto problem = by_id.find(request.id);
    if (request.finish == record::FinishReason::kCancelled || problem == by_id.end()) continue;
    accuracy::Verdict verdict;
    if (request.ok()) {
      std::string_view answer = accuracy::SeparateReasoning(request.text).answer;
      if (set.reasoning) answer = accuracy::CutAtStop(answer, stop);
      verdict = accuracy::ScoreGsm8k(answer, problem->second->answer, filter);
    }
    request.score = verdict.correct ? 1.0 : 0.0;
    request.extracted = std::move(verdict.extracted);
  }
}

}  // namespace moecap::experiment
