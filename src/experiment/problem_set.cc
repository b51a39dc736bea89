#include "experiment/problem_set.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>
#include <utility>

#include "accuracy/log_likelihood.h"
#include "experiment/scoring.h"

namespace moecap::experiment {
namespace {

namespace fs = std::filesystem;

Result<workload::Prompter> MakePrompter(const ProblemSet& set, const workload::DatasetInfo& info, const fs::path& base_dir,
                                        int64_t rows) {
  ASSIGN_OR_RETURN(workload::PromptTemplate prompt, workload::FindPromptTemplate(set.prompt, base_dir));
  std::vector<workload::Problem> examples;
  if (prompt.shots > 0) {
    if (set.shots_path.empty() && (prompt.shots_are_given || info.shots_split.empty())) {
      return BadInput(
          fmt::format("the prompt {} has {} worked examples, which {} does not have; give shots_path: a JSON-lines file "
                      "with question and answer",
                      prompt.name, prompt.shots, info.name));
    }
    // They lie beside the problems where those are in a folder, or where the problems' file lies.
    fs::path place = set.shots_path;
    std::error_code none;
    if (place.empty()) place = fs::is_regular_file(set.path, none) ? set.path.parent_path() : set.path;
    auto source = prompt.shots_are_given ? workload::FindDataset("jsonl") : Result<workload::DatasetInfo>(info);
    if (!source.ok()) return source.error();
    const std::string split = prompt.shots_are_given ? source->split : info.shots_split;
    ASSIGN_OR_RETURN(workload::LoadedDataset loaded, workload::LoadDataset(*source, split, place, set.seed.value_or(0)));
    examples = std::move(loaded.problems);
    if (prompt.shots_are_given) {
      for (workload::Problem& example : examples) example.fields["solution"] = example.answer;
    }
  }
  return workload::Prompter::Create(std::move(prompt), std::move(examples), rows);
}

Status KeepSubset(const ProblemSet& set, std::vector<workload::Problem>& problems) {
  std::set<std::string> groups;
  for (const workload::Problem& problem : problems) groups.insert(problem.group);
  for (const std::string& group : set.subset) {
    if (!groups.contains(group))
      return BadInput(fmt::format("subset: {} has no \"{}\"; it has {}", set.Name(), group, fmt::join(groups, ", ")));
  }
  std::erase_if(problems, [&](const auto& problem) { return std::ranges::count(set.subset, problem.group) == 0; });
  return {};
}

// Rows and hash against what was published.
Result<std::string> CompareWithPublished(const workload::DatasetInfo& info, const ProblemSet& set,
                                         const workload::LoadedDataset& loaded) {
  const auto& files = loaded.found.files;
  std::string text =
      fmt::format("Data set {}, split {}: {} rows of {}", info.name, set.split, loaded.rows,
                  files.size() == 1 ? files.front().path.filename().string() : fmt::format("{} files", files.size()));
  if (const auto rows = workload::RowsOf(info, set.split))
    text += loaded.rows == *rows ? ", as many as published" : fmt::format(", where {} were published", *rows);
  if (!loaded.found.entry.sha256.empty()) {
    ASSIGN_OR_RETURN(const std::string hash, workload::Sha256Of(loaded.found));
    text += hash == loaded.found.entry.sha256 ? "; the SHA-256 is that of the published file"
                                              : "; the SHA-256 is not that of the published file";
  }
  if (loaded.skipped > 0) text += fmt::format("; {} rows without a right answer are left out", loaded.skipped);
  return text;
}

// What a prompt asks for and what a scoring reads are the same: a written answer, or likelihoods of the choices.
Status CheckLikelihood(const Scoring& scoring, const workload::PromptTemplate& prompt) {
  const bool reads_likelihoods = scoring.task->name == accuracy::kLikelihoodTask;
  if (reads_likelihoods && prompt.choice.empty())
    return BadInput(
        fmt::format("{} scores log-likelihoods, and with the prompt {} the model writes its answer; take a prompt that has "
                    "\"choice\", such as mmlu-likelihood, or another scoring",
                    ScoringName(scoring), prompt.name));
  if (!reads_likelihoods && !prompt.choice.empty())
    return BadInput(
        fmt::format("the prompt {} asks for log-likelihoods, which {} does not read; take lm-eval/multiple_choice/acc or "
                    "acc_norm",
                    prompt.name, ScoringName(scoring)));
  if (scoring.filter->name == "acc_norm" && reads_likelihoods && prompt.choice != "{{option}}")
    return BadInput(
        fmt::format("acc_norm divides by the length of an option's text, and the prompt {} compares \"{}\"; take acc",
                    prompt.name, prompt.choice));
  return {};
}

Status CheckGolds(const Scoring& scoring, std::span<const workload::Problem> problems) {
  for (const workload::Problem& problem : problems) {
    if (const auto reference = ReferenceOf(*scoring.task, problem); !reference.ok())
      return BadInput(fmt::format("{} (it cannot be scored by {})", reference.error().message, ScoringName(scoring)));
  }
  return {};
}

// Why answers to a task are kept and not scored.
std::string WhyNotScored(const workload::DatasetInfo& info) {
  if (const auto usual = UsualScoring(info.task); usual && usual->task->RunsCode())
    return "they are programs, which are run only where the data set has run_code: true";
  if (info.task == "arena_hard") return "a judge compares them with a baseline's: moecap judge";
  return "there is no scorer for the task " + info.task + " here";
}

}  // namespace

Result<PreparedProblems> PrepareProblems(const ProblemSet& set, const fs::path& base_dir) {
  ASSIGN_OR_RETURN(const workload::DatasetInfo info, workload::FindDataset(set.dataset));
  ASSIGN_OR_RETURN(workload::LoadedDataset loaded, workload::LoadDataset(info, set.split, set.path, set.seed.value_or(0)));
  PreparedProblems prepared;
  if (set.is_named) {
    ASSIGN_OR_RETURN(std::string note, CompareWithPublished(info, set, loaded));
    prepared.notes.push_back(std::move(note));
  }
  ASSIGN_OR_RETURN(prepared.prompter, MakePrompter(set, info, base_dir, loaded.rows));
  if (set.scoring) RETURN_IF_ERROR(CheckLikelihood(*set.scoring, prepared.prompter->prompt()));
  std::vector<workload::Problem>& all = loaded.problems;
  if (!set.subset.empty()) RETURN_IF_ERROR(KeepSubset(set, all));
  const int64_t wanted = set.problems == 0 ? std::ssize(all) : set.problems;
  // All of a named set are sent in its order; a part of it is never its beginning.
  const bool samples = set.is_named && wanted != std::ssize(all);
  auto chosen = samples        ? workload::SampleProblems(all, wanted, *set.seed)
                : set.is_named ? workload::SelectProblems(all, wanted, std::nullopt)
                               : workload::SelectProblems(all, wanted, set.seed);
  if (!chosen.ok()) return Annotate(set.Name(), chosen.error());
  prepared.problems = std::move(chosen).value();
  if (samples) {
    prepared.notes.push_back(fmt::format("{} of its {} problems were drawn by seed {}{}", wanted, all.size(), *set.seed,
                                         info.group.empty() ? "" : ", each " + info.group + " with its share"));
  }
  if (set.scoring) RETURN_IF_ERROR(CheckGolds(*set.scoring, prepared.problems));
  if (!set.scoring) prepared.notes.push_back(fmt::format("Answers are kept and not scored: {}", WhyNotScored(info)));
  std::set<std::string> ids;
  for (const workload::Problem& problem : prepared.problems) ids.insert(problem.id);
  std::erase_if(all, [&](const workload::Problem& problem) { return ids.contains(problem.id); });
  prepared.others = std::move(all);
  return prepared;
}

}  // namespace moecap::experiment
