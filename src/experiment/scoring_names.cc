#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <vector>

#include "experiment/config.h"

namespace moecap::experiment {
namespace {

// As configurations of earlier versions have them.
constexpr std::array kShortNames{
    std::pair{std::string_view("gsm8k-strict-match"), std::string_view("lm-eval/gsm8k/strict-match")},
    std::pair{std::string_view("gsm8k-flexible-extract"), std::string_view("lm-eval/gsm8k/flexible-extract")}};

std::vector<std::string_view> PartsOf(std::string_view name) {
  std::vector<std::string_view> parts;
  for (size_t end = 0; end != std::string_view::npos; name.remove_prefix(std::min(end + 1, name.size()))) {
    end = name.find('/');
    parts.push_back(name.substr(0, end));
  }
  return parts;
}

bool IsContract(std::string_view word) { return std::ranges::count(accuracy::kContracts, word) > 0; }

Result<Scoring> FilterOf(const accuracy::Task& task, std::string_view name) {
  std::vector<std::string_view> names;
  for (const accuracy::Filter& filter : task.filters) {
    if (filter.name == name || name.empty()) return Scoring{&task, &filter};
    names.push_back(filter.name);
  }
  return BadInput(
      fmt::format("{} has no filter \"{}\" for {}; it has {}", task.contract, name, task.name, fmt::join(names, ", ")));
}

}  // namespace

Result<Scoring> FindScoring(std::string_view name, std::string_view task) {
  for (const auto& [known, whole] : kShortNames) {
    if (name == known) name = whole;
  }
  const std::vector<std::string_view> parts = PartsOf(name);
  if (name.empty() || parts.size() > 3)
    return BadInput(fmt::format("\"{}\" is no scoring; give CONTRACT/TASK/FILTER as moecap score --list has them", name));
  std::string_view contract = IsContract(parts[0]) ? parts[0] : std::string_view();
  if (parts.size() == 3) task = parts[1];
  if (parts.size() > 1 && contract.empty())
    return BadInput(fmt::format("\"{}\" is no contract; known: {}", parts[0], fmt::join(accuracy::kContracts, ", ")));
  const std::string_view filter = parts.size() > 1 ? parts.back() : contract.empty() ? parts[0] : std::string_view();
  if (!contract.empty()) {
    ASSIGN_OR_RETURN(const accuracy::Task* found, accuracy::FindTask(task, contract));
    return FilterOf(*found, filter);
  }
  std::vector<std::string> known;
  for (const char* each : accuracy::kContracts) {
    const auto found = accuracy::FindTask(task, each);
    if (!found.ok()) continue;
    if (const auto scoring = FilterOf(**found, filter); scoring.ok()) return scoring;
    for (const accuracy::Filter& own : (*found)->filters) known.push_back(fmt::format("{}/{}", each, own.name));
  }
  if (known.empty()) known.emplace_back("none");
  return BadInput(fmt::format("unknown scoring \"{}\"; the task {} has: {} (moecap score --list shows all)", name, task,
                              fmt::join(known, ", ")));
}

std::optional<Scoring> UsualScoring(std::string_view task) {
  for (const char* contract : accuracy::kContracts) {
    if (const auto found = accuracy::FindTask(task, contract); found.ok()) return Scoring{*found, &(*found)->filters.front()};
  }
  return std::nullopt;
}

std::string ScoringName(const Scoring& scoring) {
  const std::string whole = fmt::format("{}/{}/{}", scoring.task->contract, scoring.task->name, scoring.filter->name);
  for (const auto& [known, name] : kShortNames) {
    if (whole == name) return std::string(known);
  }
  return whole;
}

std::string ScoringName(const std::optional<Scoring>& scoring) { return scoring ? ScoringName(*scoring) : "not scored"; }

}  // namespace moecap::experiment
