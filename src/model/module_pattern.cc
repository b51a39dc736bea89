#include "model/module_pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/format.h>
#include <pcre2.h>

#include <algorithm>
#include <cctype>
#include <utility>

namespace moecap::model {
namespace {

// "a.*.b" as an expression for a module or the start of its path.
std::string GlobToRegex(std::string_view glob) {
  std::string regex;
  for (const char c : glob) {
    if (c == '*') {
      regex += ".*";
    } else if (std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_') {
      regex += c;
    } else {
      regex += '\\';
      regex += c;
    }
  }
  return regex + "(?:\\.|$)";
}

Result<std::shared_ptr<pcre2_code>> Compile(const std::string& regex, std::string_view written) {
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(regex.data()), regex.size(), PCRE2_ANCHORED, &error, &offset, nullptr);
  if (code == nullptr) return BadInput(fmt::format("'{}' is not a regular expression we can read", written));
  return std::shared_ptr<pcre2_code>(code, pcre2_code_free);
}

bool Finds(pcre2_code* code, const std::string& subject) {
  pcre2_match_data* data = pcre2_match_data_create_from_pattern(code, nullptr);
  if (data == nullptr) return false;
  // The library's own match limit ends runaway expressions; such a pattern then does not match.
  const int found = pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(subject.data()), subject.size(), 0, 0, data, nullptr);
  pcre2_match_data_free(data);
  return found >= 0;
}

// The wrappers that an expression may expect before "layers.0": those it names, else the plain ones.
std::vector<std::string_view> PrefixesOf(std::string_view regex) {
  std::vector<std::string_view> prefixes = {"model.", ""};
  if (regex.find("language_model") != std::string_view::npos) {
    prefixes = {"language_model.model.", "model.language_model.", "language_model."};
  } else if (regex.find("backbone") != std::string_view::npos) {
    prefixes = {"backbone."};
  } else if (regex.find("transformer") != std::string_view::npos) {
    prefixes = {"transformer."};
  }
  return prefixes;
}

// Every whole component `from` of `name` as `to`.
std::string Replaced(const std::string& name, std::string_view from, std::string_view to) {
  std::string result;
  for (const std::string_view component : ModuleComponents(name)) {
    if (!result.empty()) result += '.';
    result += component == from ? to : component;
  }
  return result;
}

}  // namespace

Status ModulePatterns::Add(std::string_view pattern, int value) {
  const size_t index = patterns_.size();
  patterns_.push_back({std::string(pattern), value, false});
  const bool is_regex = pattern.starts_with("re:");
  if (!is_regex && pattern.find('*') == std::string_view::npos) {
    const std::string name = CanonicalModule(pattern);
    const size_t experts = name.find("experts.");
    const size_t number = experts == std::string::npos ? name.size() : experts + std::string_view("experts.").size();
    if (number < name.size() && name[number] >= '1' && name[number] <= '9') names_single_experts_ = true;
    names_.try_emplace(name, index);
    return {};
  }
  Expression expression;
  expression.pattern = index;
  const std::string regex = is_regex ? std::string(pattern.substr(3)) : GlobToRegex(CanonicalModule(pattern));
  ASSIGN_OR_RETURN(expression.code, Compile(regex, pattern));
  expression.prefixes = {""};
  if (is_regex) {
    expression.synonyms = SynonymsIn(regex);
    expression.prefixes = PrefixesOf(regex);
  }
  expressions_.push_back(std::move(expression));
  return {};
}

bool ModulePatterns::Matches(const Expression& expression, const std::vector<std::string>& spellings) const {
  for (const std::string& spelling : spellings) {
    std::vector<std::string> subjects = {spelling};
    // As a checkpoint writes it that numbers the blocks of multi-token prediction alone.
    constexpr std::string_view kMtpLayers = "mtp.layers.";
    if (spelling.starts_with(kMtpLayers)) subjects.push_back("mtp." + spelling.substr(kMtpLayers.size()));
    for (const ModuleSynonym& synonym : expression.synonyms) {
      const std::string other = Replaced(subjects.back(), synonym.canonical, synonym.other);
      if (other != subjects.back()) subjects.push_back(other);
      if (const std::string alone = Replaced(spelling, synonym.canonical, synonym.other); alone != spelling && alone != other)
        subjects.push_back(alone);
    }
    for (const std::string& subject : subjects) {
      for (const std::string_view prefix : expression.prefixes) {
        if (Finds(expression.code.get(), std::string(prefix) + subject)) return true;
      }
    }
  }
  return false;
}

std::optional<int> ModulePatterns::Find(const std::string& canonical) {
  if (patterns_.empty()) return std::nullopt;
  const std::vector<std::string> spellings = FusedSpellings(canonical);
  std::optional<size_t> best;
  size_t best_length = 0;
  for (const std::string& spelling : spellings) {
    if (names_.empty()) break;
    // Every run of whole components.
    for (size_t begin = 0; begin != std::string::npos;) {
      for (size_t end = spelling.find('.', begin);; end = spelling.find('.', end + 1)) {
        const std::string run = spelling.substr(begin, end == std::string::npos ? end : end - begin);
        if (const auto found = names_.find(run); found != names_.end()) {
          patterns_[found->second].matched = true;
          if (run.size() > best_length) best = found->second;
          best_length = std::max(best_length, run.size());
        }
        if (end == std::string::npos) break;
      }
      begin = spelling.find('.', begin);
      if (begin != std::string::npos) ++begin;
    }
  }
  if (best) return patterns_[*best].value;
  std::optional<int> value;
  for (const Expression& expression : expressions_) {
    Pattern& pattern = patterns_[expression.pattern];
    // One match is enough to know both the value and that a later pattern is of use.
    if ((value && pattern.matched) || !Matches(expression, spellings)) continue;
    pattern.matched = true;
    if (!value) value = pattern.value;
  }
  return value;
}

std::vector<std::string> ModulePatterns::Unmatched() const {
  std::vector<std::string> texts;
  for (const Pattern& pattern : patterns_) {
    if (!pattern.matched) texts.push_back(pattern.text);
  }
  return texts;
}

}  // namespace moecap::model
