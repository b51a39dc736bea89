#include "workload/dataset.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <unordered_set>

#include "base/fs.h"
#include "base/json.h"
#include "base/rng.h"

namespace moecap::workload {
namespace {

Result<std::string> StringField(const Json& line, const char* key) {
  const auto found = line.find(key);
  if (found == line.end()) return BadInput(fmt::format("the key \"{}\" is missing", key));
  if (!found->is_string()) return BadInput(fmt::format("\"{}\" must be a string", key));
  return found->get<std::string>();
}

Result<Problem> ParseProblem(const std::string& text, size_t line_number) {
  ASSIGN_OR_RETURN(const Json line, ParseJson(text));
  if (!line.is_object()) return BadInput("the line is not a JSON object");
  Problem problem;
  ASSIGN_OR_RETURN(problem.question, StringField(line, "question"));
  ASSIGN_OR_RETURN(problem.answer, StringField(line, "answer"));
  problem.id = std::to_string(line_number);
  if (const auto id = line.find("id"); id != line.end()) problem.id = id->is_string() ? id->get<std::string>() : DumpJson(*id);
  return problem;
}

}  // namespace

Result<std::vector<Problem>> ReadProblems(const std::filesystem::path& path) {
  ASSIGN_OR_RETURN(const std::vector<std::string> lines, ReadLines(path));
  std::vector<Problem> problems;
  std::unordered_set<std::string> ids;
  for (size_t i = 0; i < lines.size(); ++i) {
    if (lines[i].empty()) continue;
    auto problem = ParseProblem(lines[i], i + 1);
    if (!problem.ok()) {
      return BadInput(fmt::format("{}:{}: {}; each line must be a JSON object with \"question\" and \"answer\"", path.string(),
                                  i + 1, problem.error().message));
    }
    if (!ids.insert(problem->id).second) {
      return BadInput(
          fmt::format("{}:{}: the id \"{}\" was used before; ids must be unique", path.string(), i + 1, problem->id));
    }
    problems.push_back(std::move(problem).value());
  }
  if (problems.empty())
    return BadInput(fmt::format("{}: the data set has no problems; give a file with at least one line", path.string()));
  return problems;
}

Result<std::vector<Problem>> SelectProblems(std::vector<Problem> problems, int64_t count, std::optional<uint64_t> seed) {
  if (count < 1 || static_cast<uint64_t>(count) > problems.size()) {
    return BadInput(fmt::format("{} problems asked for, but the data set has {}; choose between 1 and {}", count,
                                problems.size(), problems.size()));
  }
  if (seed) Rng(*seed).Shuffle(problems);
  problems.resize(static_cast<size_t>(count));
  return problems;
}

std::string Gsm8kPrompt(const Problem& problem) { return fmt::format("Question: {}\nAnswer:", problem.question); }

}  // namespace moecap::workload
