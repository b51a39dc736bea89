#include "experiment/problem_config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "workload/prompt_template.h"

namespace moecap::experiment {
namespace {

namespace fs = std::filesystem;

std::optional<Scoring> ReadScoring(YamlMap& map, std::string_view task, std::optional<Scoring> usual) {
  const auto name = map.String("scoring");
  if (!name) return usual;
  const auto scoring = FindScoring(*name, task);
  if (scoring.ok()) return *scoring;
  map.Complain("scoring", scoring.error().message);
  return usual;
}

// Answers that are programs are scored only where the configuration says that they may be run.
void ReadCode(YamlMap& map, bool scoring_is_given, ProblemSet& problems) {
  problems.run_code = map.Boolean("run_code").value_or(false);
  problems.pass_at = map.Integer("pass_at", 1, INT64_MAX).value_or(1);
  const bool runs = problems.scoring && problems.scoring->filter->runs_code;
  if (!runs && (problems.run_code || problems.pass_at > 1))
    map.Complain(problems.run_code ? "run_code" : "pass_at",
                 "this scoring runs nothing; only HumanEval's answers are programs");
  if (!runs || problems.run_code) return;
  if (scoring_is_given)
    map.Complain("scoring",
                 fmt::format("{} runs what the model wrote, in a sandbox without network; allow it with run_code: true",
                             ScoringName(problems.scoring)));
  problems.scoring.reset();
}

bool IsFile(const std::string& prompt) { return prompt.ends_with(".yaml") || prompt.ends_with(".yml"); }

// What a data set of the catalogue brings with it.
void ReadNamed(YamlMap& map, YamlErrors& errors, ProblemSet& problems) {
  const auto info = workload::FindDataset(problems.dataset);
  if (!info.ok()) return errors.Add(map.line(), info.error());
  problems.is_named = true;
  problems.split = map.String("split").value_or(info->split);
  const std::vector<std::string> splits = workload::SplitsOf(*info);
  if (std::ranges::count(splits, problems.split) == 0)
    map.Complain("split",
                 fmt::format("{} has no split \"{}\"; it has {}", info->name, problems.split, fmt::join(splits, ", ")));
  problems.prompt = map.String("prompt").value_or(info->prompts.front());
  problems.task = info->task;
  problems.scoring = UsualScoring(info->task);
  if (!IsFile(problems.prompt)) {
    const auto prompt = workload::FindPromptTemplate(problems.prompt);
    if (!prompt.ok()) {
      map.Complain("prompt", prompt.error().message);
    } else if (const auto own = FindScoring(prompt->scoring, info->task); own.ok()) {
      problems.scoring = *own;
    }
  }
  if (!problems.seed) problems.seed = kUsualSeed;
}

std::vector<std::string> ReadSubset(YamlMap& map, YamlErrors& errors) {
  std::vector<std::string> groups;
  const YamlNode* node = map.Child("subset");
  if (node == nullptr) return groups;
  if (node->kind == YamlNode::Kind::kScalar) groups.push_back(node->scalar);
  for (const YamlNode& item : node->items) groups.push_back(item.scalar);
  if (groups.empty() || std::ranges::count(groups, std::string()) > 0)
    errors.Add(node->line, "\"subset\" must be a group of the data set, or a list of them");
  return groups;
}

int64_t ReadCount(YamlMap& map) {
  if (map.Child("problems") != nullptr && map.Child("samples") != nullptr)
    map.Complain("samples", "give one of \"problems\" and \"samples\", which mean the same");
  const auto problems = map.Integer("problems", 1, INT64_MAX);
  return map.Integer("samples", 1, INT64_MAX).value_or(problems.value_or(0));
}

}  // namespace

bool NamesDataset(const YamlNode& workload) {
  return std::ranges::any_of(workload.items, [](const YamlNode& item) {
    return item.key == "dataset" && item.kind == YamlNode::Kind::kScalar && workload::IsDatasetName(item.scalar);
  });
}

ProblemSet ReadProblemSet(const YamlNode& node, const fs::path& base_dir, YamlErrors& errors) {
  ProblemSet problems;
  if (node.kind == YamlNode::Kind::kScalar) {
    YamlNode map_node;
    map_node.kind = YamlNode::Kind::kMap;
    map_node.line = node.line;
    YamlMap none(map_node, "dataset", errors);
    problems.dataset = node.scalar;
    ReadNamed(none, errors, problems);
    ReadCode(none, false, problems);
    return problems;
  }
  YamlMap map(node, "dataset", errors);
  const auto path = map.String("path");
  if (path) problems.path = (base_dir / *path).lexically_normal();
  problems.problems = ReadCount(map);
  if (const auto seed = map.Integer("seed", 0, INT64_MAX)) problems.seed = static_cast<uint64_t>(*seed);
  problems.subset = ReadSubset(map, errors);
  problems.reasoning = map.Boolean("reasoning").value_or(false);
  problems.chat = map.Boolean("chat").value_or(false);
  problems.system_prompt = map.String("system_prompt").value_or("");
  if (problems.system_prompt == "default") problems.system_prompt = workload::kDefaultSystemPrompt;
  if (const auto shots = map.String("shots_path")) problems.shots_path = (base_dir / *shots).lexically_normal();
  const char* key = node.key == "workload" ? "dataset" : "name";
  if (const auto name = map.String(key)) {
    problems.dataset = *name;
    ReadNamed(map, errors, problems);
  } else {
    if (!path)
      errors.Add(map.line(), "\"path\" is missing in dataset; give a JSON-lines file with question and answer, or a name");
    problems.split = "test";
    problems.prompt = map.String("prompt").value_or(problems.prompt);
  }
  problems.scoring = ReadScoring(map, problems.task, problems.scoring);
  ReadCode(map, map.Child("scoring") != nullptr, problems);
  map.RefuseUnknownKeys();
  return problems;
}

int64_t UsualOutputTokens(const ProblemSet& problems, int64_t otherwise) {
  if (IsFile(problems.prompt)) return otherwise;
  const auto prompt = workload::FindPromptTemplate(problems.prompt);
  return prompt.ok() ? prompt->max_output_tokens : otherwise;
}

}  // namespace moecap::experiment
