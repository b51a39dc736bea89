#include "workload/prompt_template.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "base/fs.h"
#include "base/nearest_word.h"
#include "base/yaml.h"
#include "workload/builtin_catalogue.h"
#include "workload/yaml_texts.h"

namespace moecap::workload {
namespace {

constexpr int64_t kMostOutputTokens = 10'000'000;
constexpr int64_t kMostShots = 1000;

PromptVariant ReadVariant(const YamlNode& node, YamlErrors& errors) {
  YamlMap map(node, "a variant", errors);
  PromptVariant variant;
  variant.group = RequireText(map, "group");
  variant.system = map.String("system");
  variant.question = map.String("question");
  variant.max_output_tokens = map.Integer("max_output_tokens", 1, kMostOutputTokens);
  variant.stop = ReadTexts(map.Child("stop"), errors);
  map.RefuseUnknownKeys();
  return variant;
}

void ReadShots(YamlMap& map, PromptTemplate& prompt) {
  prompt.answer = map.String("answer").value_or("");
  prompt.delimiter = map.String("delimiter").value_or(prompt.delimiter);
  prompt.separator = map.String("separator").value_or(prompt.separator);
  prompt.shots = static_cast<int>(map.Integer("shots", 1, kMostShots).value_or(0));
  prompt.choose = static_cast<ShotChoice>(map.Choice("choose", {"first", "random"}).value_or(0));
  prompt.shots_of_same_group = map.Boolean("shots_of_same_group").value_or(false);
  prompt.shots_are_given = map.Boolean("shots_are_given").value_or(false);
  if (prompt.shots > 0 && prompt.answer.empty()) map.Complain("answer", "\"answer\" is missing: how a worked example ends");
  if (prompt.shots_of_same_group && prompt.choose == ShotChoice::kRandom)
    map.Complain("choose", "\"choose\" must be first where shots_of_same_group is true");
}

// What Python's str.strip takes off: Unicode's white space and the four separators of ASCII, in UTF-8.
constexpr std::array<std::string_view, 29> kBlanks = {
    " ",      "\n",     "\r",     "\t",     "\v",     "\f",     "\x1c",   "\x1d",   "\x1e",   "\x1f",
    "\u0085", "\u00a0", "\u1680", "\u2000", "\u2001", "\u2002", "\u2003", "\u2004", "\u2005", "\u2006",
    "\u2007", "\u2008", "\u2009", "\u200a", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000"};

std::string Stripped(std::string_view text) {
  const auto cut = [&](bool in_front) {
    return std::ranges::any_of(kBlanks, [&](std::string_view blank) {
      if (in_front ? !text.starts_with(blank) : !text.ends_with(blank)) return false;
      in_front ? text.remove_prefix(blank.size()) : text.remove_suffix(blank.size());
      return true;
    });
  };
  while (cut(true)) {
  }
  while (cut(false)) {
  }
  return std::string(text);
}

// Replaces what stands in {{}} by what `value` gives for it.
template <typename Value>
Result<std::string> Replace(std::string_view text, const Value& value) {
  std::string out;
  while (!text.empty()) {
    const size_t open = std::min(text.find("{{"), text.size());
    out += text.substr(0, open);
    text.remove_prefix(open);
    if (text.empty()) break;
    const size_t close = text.find("}}");
    if (close == std::string_view::npos) return BadInput("a \"{{\" of the prompt has no \"}}\"");
    std::string name = Stripped(text.substr(2, close - 2));
    const bool strip = name.ends_with("|strip");
    if (strip) name.resize(name.size() - 6);
    const auto filled = value(name);
    if (!filled.ok()) return filled.error();
    out += strip ? Stripped(*filled) : *filled;
    text.remove_prefix(close + 2);
  }
  return out;
}

// `key`: of the template, which `text` is.
Result<std::string> OptionOf(std::string_view text, const char* key, const Problem& problem, size_t index) {
  return Replace(text, [&](const std::string& name) -> Result<std::string> {
    if (name == "letter") return std::string(1, static_cast<char>('A' + index));
    if (name == "option") return problem.choices[index];
    return BadInput(fmt::format("\"{}\" of the prompt names {{{{{}}}}}; it has letter and option", key, name));
  });
}

Result<std::string> OptionsOf(const PromptTemplate& prompt, const Problem& problem) {
  std::string all;
  for (size_t i = 0; i < problem.choices.size(); ++i) {
    if (i > 0) all += prompt.between_options;
    ASSIGN_OR_RETURN(const std::string option, OptionOf(prompt.option, "option", problem, i));
    all += option;
  }
  return all;
}

}  // namespace

Result<PromptTemplate> ParsePromptTemplate(std::string_view text, const std::string& file) {
  ASSIGN_OR_RETURN(const YamlNode root, ParseYaml(text, file));
  YamlErrors errors(file);
  YamlMap map(root, "the prompt", errors);
  PromptTemplate prompt;
  prompt.name = RequireText(map, "name");
  prompt.source = map.String("source").value_or("");
  const auto form = map.Choice("form", {"completion", "chat"});
  if (!form) map.Complain("form", "\"form\" is missing in the prompt; give chat or completion");
  prompt.is_chat = form == 1;
  prompt.system = map.String("system").value_or("");
  prompt.description = map.String("description").value_or("");
  prompt.question = RequireText(map, "question");
  prompt.option = map.String("option").value_or("");
  prompt.between_options = map.String("between_options").value_or("");
  prompt.choice = map.String("choice").value_or("");
  if (!prompt.choice.empty() && prompt.is_chat)
    map.Complain("choice", "\"choice\" is for prompts of form completion: what is likely in a chat, servers do not tell");
  prompt.begin_answer = map.String("begin_answer").value_or("");
  ReadShots(map, prompt);
  prompt.stop = ReadTexts(map.Child("stop"), errors);
  prompt.max_output_tokens = map.Integer("max_output_tokens", 1, kMostOutputTokens).value_or(prompt.max_output_tokens);
  prompt.scoring = map.String("scoring").value_or("");
  if (const YamlNode* variants = map.Child("variants")) {
    for (const YamlNode& node : variants->items) prompt.variants.push_back(ReadVariant(node, errors));
  }
  map.RefuseUnknownKeys();
  if (!errors.empty()) return errors.first();
  return prompt;
}

Result<std::vector<PromptTemplate>> BuiltinPromptTemplates() {
  std::vector<PromptTemplate> all;
  for (const BuiltinText& builtin : BuiltinPromptTexts()) {
    ASSIGN_OR_RETURN(PromptTemplate prompt, ParsePromptTemplate(builtin.text, std::string(builtin.file)));
    all.push_back(std::move(prompt));
  }
  std::ranges::sort(all, {}, &PromptTemplate::name);
  return all;
}

Result<PromptTemplate> FindPromptTemplate(const std::string& name, const std::filesystem::path& base_dir) {
  if (name.ends_with(".yaml") || name.ends_with(".yml")) {
    const std::filesystem::path path = (base_dir / name).lexically_normal();
    ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
    return ParsePromptTemplate(text, path.string());
  }
  std::vector<std::string> names;
  for (const BuiltinText& builtin : BuiltinPromptTexts()) {
    names.push_back(NameOf(builtin));
    if (names.back() == name) return ParsePromptTemplate(builtin.text, std::string(builtin.file));
  }
  const std::string nearest = NearestWord(name, names);
  return BadInput(fmt::format("no prompt is named \"{}\"; {}give one of {}, or a file that ends in .yaml", name,
                              nearest.empty() ? "" : fmt::format("did you mean {}? ", nearest), fmt::join(names, ", ")));
}

Result<std::string> FillIn(std::string_view text, const PromptTemplate& prompt, const Problem& problem) {
  return Replace(text, [&](const std::string& name) -> Result<std::string> {
    if (name == "question") return problem.question;
    if (name == "options") return OptionsOf(prompt, problem);
    if (const auto field = problem.fields.find(name); field != problem.fields.end()) return field->second;
    if (name == "gold") return problem.answer;
    return BadInput(fmt::format("the prompt {} names {{{{{}}}}}, which the row does not have", prompt.name, name));
  });
}

Result<std::vector<std::string>> ChoiceTexts(const PromptTemplate& prompt, const Problem& problem) {
  std::vector<std::string> texts;
  for (size_t i = 0; i < problem.choices.size(); ++i) {
    ASSIGN_OR_RETURN(std::string text, OptionOf(prompt.choice, "choice", problem, i));
    texts.push_back(std::move(text));
  }
  return texts;
}

}  // namespace moecap::workload
