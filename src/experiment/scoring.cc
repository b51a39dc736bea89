#include "experiment/scoring.h"

#include <string_view>
#include <unordered_map>
#include <utility>

#include "accuracy/contract.h"
#include "accuracy/reasoning.h"
#include "accuracy/score.h"
#include "base/check.h"

namespace moecap::experiment {

Result<accuracy::Reference> ReferenceOf(const accuracy::Task& task, const workload::Problem& problem) {
  accuracy::RawReference raw;
  raw.golds = problem.answers;
  if (raw.golds.empty() && !problem.answer.empty()) raw.golds.push_back(problem.answer);
  raw.choices = problem.choices;
  raw.part = problem.group;
  raw.facts = problem.facts;
  auto reference = accuracy::ReadReference(task, std::move(raw));
  if (!reference.ok()) return Annotate(problem.place, reference.error());
  return reference;
}

Result<accuracy::Golds> GoldsOf(const accuracy::Task& task, std::span<const workload::Problem> problems) {
  accuracy::Golds golds;
  for (const workload::Problem& problem : problems) {
    ASSIGN_OR_RETURN(accuracy::Reference reference, ReferenceOf(task, problem));
    golds.by_id.emplace(problem.id, golds.rows.size());
    golds.rows.push_back(std::move(reference));
  }
  return golds;
}

Status Score(const ProblemSet& set, std::span<const workload::Problem> problems, std::span<const std::string> stop,
             const accuracy::ProgramRunner& run_code, std::vector<record::RequestRecord>& requests) {
  if (!set.scoring) return {};
  const auto& [task, filter] = *set.scoring;
  if (filter->runs_code && !run_code) return BadInput("answers cannot be scored: nothing runs the programs in them here");
  std::unordered_map<std::string_view, const workload::Problem*> by_id;
  for (const workload::Problem& problem : problems) by_id.emplace(problem.id, &problem);
  for (record::RequestRecord& request : requests) {
    const auto problem = by_id.find(request.id);
    if (request.finish == record::FinishReason::kCancelled || problem == by_id.end()) continue;
    const auto reference = ReferenceOf(*task, *problem->second);
    CHECK(reference.ok());  // PrepareProblems has read them all
    accuracy::Verdict verdict;
    if (!request.ok()) {
      verdict = accuracy::FailedVerdict(*filter, *reference);
    } else {
      std::string_view answer = accuracy::SeparateReasoning(request.text).answer;
      if (set.reasoning) answer = accuracy::CutAtStop(answer, stop);
      ASSIGN_OR_RETURN(verdict, accuracy::Judge(*filter, answer, *reference, run_code));
    }
    if (task->parts_count_alike) request.part = reference->part;
    if (!verdict.IsJudged()) continue;
    request.score = verdict.Score();
    request.score_parts = verdict.parts;
    request.extracted = std::move(verdict.extracted);
  }
  return {};
}

}  // namespace moecap::experiment
