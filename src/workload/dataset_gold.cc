#include "workload/dataset_gold.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "base/hash.h"
#include "base/rng.h"
#include "base/words.h"

namespace moecap::workload {
namespace {

constexpr size_t kMostChoices = 26;  // letters

std::string_view WithoutBlanks(std::string_view text) {
  const size_t from = text.find_first_not_of(" \t\r\n");
  if (from == std::string_view::npos) return {};
  return text.substr(from, text.find_last_not_of(" \t\r\n") - from + 1);
}

std::string LetterOf(size_t index) { return std::string(1, static_cast<char>('A' + index)); }

// "1,234", "-5", "0.5": digits with thousands commas.
bool IsNumber(std::string_view text) {
  std::string plain;
  for (const char c : text) {
    if (c != ',') plain += c;
  }
  double value = 0;
  const auto [end, error] = std::from_chars(plain.data(), plain.data() + plain.size(), value);
  return error == std::errc() && end == plain.data() + plain.size();
}

Status ReadChoices(const DatasetInfo& info, const Json& row, Problem& problem) {
  for (const std::vector<std::string>& columns : info.choices) {
    std::vector<std::string> choices;
    for (const std::string& column : columns) {
      const Json* value = ColumnOfRow(row, column);
      if (value == nullptr) break;
      if (!value->is_array()) {
        choices.push_back(TextOf(*value));
        continue;
      }
      for (const Json& choice : *value) choices.push_back(TextOf(choice));
    }
    const bool is_list = columns.size() == 1 && !choices.empty();
    if (!is_list && choices.size() != columns.size()) continue;
    if (choices.size() > kMostChoices)
      return BadInput(fmt::format("{} choices; at most {} have letters", choices.size(), kMostChoices));
    problem.choices = std::move(choices);
    return {};
  }
  return BadInput(fmt::format("the columns with the choices are missing: {}", fmt::join(info.choices.front(), ", ")));
}

Result<std::string> ReadChoice(const Json& value, size_t choices) {
  if (value.is_number_integer()) {
    const auto index = value.get<int64_t>();
    if (index >= 0 && index < static_cast<int64_t>(choices)) return LetterOf(static_cast<size_t>(index));
    return BadInput(fmt::format("the right answer is {}, and there are {} choices, counted from 0", index, choices));
  }
  const std::string text = TextOf(value);
  const std::string_view letter = WithoutBlanks(text);
  if (letter.size() == 1 && letter[0] >= 'A' && static_cast<size_t>(letter[0] - 'A') < choices) return std::string(letter);
  return BadInput(fmt::format("the right answer is \"{}\", which is no letter of the {} choices", text, choices));
}

// The order depends on the problem and the seed alone.
std::string ShuffleChoices(uint64_t seed, Problem& problem) {
  std::vector<size_t> order(problem.choices.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  Rng(HashOf(problem.id, seed)).Shuffle(order);
  std::vector<std::string> choices;
  for (const size_t i : order) choices.push_back(problem.choices[i]);
  problem.choices = std::move(choices);
  return LetterOf(static_cast<size_t>(std::ranges::find(order, size_t{0}) - order.begin()));
}

Status ReadList(const Json& value, Problem& problem) {
  if (!value.is_array()) problem.answers = {TextOf(value)};
  for (const Json& answer : value.is_array() ? value : Json::array()) problem.answers.push_back(TextOf(answer));
  if (problem.answers.empty()) return BadInput("the list of right answers is empty");
  problem.answer = problem.answers.front();
  return {};
}

// A right answer that is written as a text.
Result<std::string> ReadTextGold(GoldRule rule, const Json& value) {
  const std::string text = TextOf(value);
  if (rule == GoldRule::kHashes) {
    const size_t at = text.rfind("####");
    if (at == std::string::npos || !IsNumber(WithoutBlanks(std::string_view(text).substr(at + 4))))
      return BadInput("no number stands behind \"####\" in the solution");
  } else if (rule == GoldRule::kInteger) {
    const std::string_view digits = WithoutBlanks(text);
    if (digits.empty() || digits.find_first_not_of("0123456789") != std::string_view::npos)
      return BadInput(fmt::format("the right answer is \"{}\", which is no whole number", text));
  } else if (WithoutBlanks(text).empty()) {
    return BadInput("the right answer is empty");
  }
  return text;
}

}  // namespace

const Json* ColumnOfRow(const Json& row, std::string_view column) {
  const auto found = row.find(column);
  if (found != row.end()) return found->is_null() ? nullptr : &*found;
  const Json* at = &row;
  while (!column.empty()) {
    const size_t end = std::min(column.find('.'), column.size());
    const std::string key(column.substr(0, end));
    column.remove_prefix(std::min(end + 1, column.size()));
    if (at->is_array()) {
      size_t index = 0;
      const auto [stop, error] = std::from_chars(key.data(), key.data() + key.size(), index);
      if (error != std::errc() || stop != key.data() + key.size() || index >= at->size()) return nullptr;
      at = &(*at)[index];
    } else {
      if (!at->is_object() || !at->contains(key)) return nullptr;
      at = &(*at)[key];
    }
  }
  return at == &row || at->is_null() ? nullptr : at;
}

const Json* ColumnOfRow(const Json& row, const std::vector<std::string>& columns) {
  for (const std::string& column : columns) {
    if (const Json* value = ColumnOfRow(row, column)) return value;
  }
  return nullptr;
}

std::string TextOf(const Json& value) { return value.is_string() ? value.get<std::string>() : DumpJson(value); }

std::string LastBoxed(std::string_view text) {
  size_t at = text.rfind("\\boxed");
  size_t length = 6;
  if (at == std::string_view::npos) {
    at = text.rfind("\\fbox");
    length = 5;
  }
  if (at == std::string_view::npos) return "";
  std::string_view rest = text.substr(at + length);
  // "\boxed 5$", as TeX allows it.
  if (rest.starts_with(' ')) return std::string(WithoutBlanks(rest.substr(0, rest.find('$'))));
  if (!rest.starts_with('{')) return "";
  int depth = 0;
  for (size_t i = 0; i < rest.size(); ++i) {
    if (rest[i] == '{') ++depth;
    if (rest[i] == '}' && --depth == 0) return std::string(rest.substr(1, i - 1));
  }
  return "";
}

Result<bool> ReadGold(const DatasetInfo& info, const Json& row, uint64_t seed, Problem& problem) {
  if (!info.choices.empty()) RETURN_IF_ERROR(ReadChoices(info, row, problem));
  if (info.gold == GoldRule::kNone) return true;
  const Json* value = ColumnOfRow(row, info.gold_columns);
  if (value == nullptr) return BadInput(fmt::format("the column \"{}\" is missing", fmt::join(info.gold_columns, "\" or \"")));
  switch (info.gold) {
    case GoldRule::kChoice: {
      ASSIGN_OR_RETURN(problem.answer, ReadChoice(*value, problem.choices.size()));
      return true;
    }
    case GoldRule::kFirstShuffled:
      problem.answer = ShuffleChoices(seed, problem);
      return true;
    case GoldRule::kList:
      RETURN_IF_ERROR(ReadList(*value, problem));
      return true;
    case GoldRule::kBoxed:
      problem.answer = LastBoxed(TextOf(*value));
      if (!problem.answer.empty()) return true;
      if (info.when_missing == WhenMissing::kSkip) return false;
      return BadInput("the solution has no \\boxed{} with balanced braces");
    default:
      ASSIGN_OR_RETURN(problem.answer, ReadTextGold(info.gold, *value));
      return true;
  }
}

}  // namespace moecap::workload
