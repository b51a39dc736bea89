#include "experiment/scoring.h"

#include <string_view>
#include <unordered_map>
#include <utility>

#include "accuracy/contract.h"
#include "accuracy/reasoning.h"
#include "base/check.h"

namespace moecap::experiment {

void Score(const ProblemSet& set, std::span<const workload::Problem> problems, std::span<const std::string> stop,
           std::vector<record::RequestRecord>& requests) {
  if (!set.scoring) return;
  std::unordered_map<std::string_view, const workload::Problem*> by_id;
  for (const workload::Problem& problem : problems) by_id.emplace(problem.id, &problem);
  for (record::RequestRecord& request : requests) {
    const auto problem = by_id.find(request.id);
    if (request.finish == record::FinishReason::kCancelled || problem == by_id.end()) continue;
    accuracy::Verdict verdict;
    if (request.ok()) {
      std::string_view answer = accuracy::SeparateReasoning(request.text).answer;
      if (set.reasoning) answer = accuracy::CutAtStop(answer, stop);
      const auto gold = accuracy::ReadGold(*set.scoring->task, problem->second->answer);
      CHECK(gold.ok());  // PrepareProblems has read them all
      verdict = accuracy::Score(*set.scoring->filter, {answer, *gold, problem->second->choices});
    }
    request.score = verdict.correct ? 1.0 : 0.0;
    request.extracted = std::move(verdict.extracted);
  }
}

}  // namespace moecap::experiment
