// The one matcher of patterns that name modules in a quantization_config: "lm_head", "model.layers.*.self_attn",
// "re:.*mlp\\.gate$". Names are compared in their canonical spelling (module_names.h), whatever wraps the text model.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "model/module_names.h"

struct pcre2_real_code_8;

namespace moecap::model {

// Patterns, each with a value, and which of them matched something. A plain name matches a module when it is a run of whole
// components of its path; '*' stands for any text, from the start of the path on; "re:" introduces a regular expression that
// must match from the start, as Python's re.match.
class ModulePatterns {
 public:
  // Error kBadInput: not a regular expression.
  Status Add(std::string_view pattern, int value = 0);

  // The value of the pattern that matches a module given by its canonical name: the longest plain name, else the first
  // expression. Null: none does.
  std::optional<int> Find(const std::string& canonical);
  // A plain name below "experts.N" with N > 0 is among them: experts may differ.
  bool names_single_experts() const { return names_single_experts_; }

  // Patterns that no Find has matched, as written.
  std::vector<std::string> Unmatched() const;

 private:
  struct Pattern {
    std::string text;
    int value = 0;
    bool matched = false;
  };
  struct Expression {
    size_t pattern = 0;
    std::shared_ptr<pcre2_real_code_8> code;
    std::vector<ModuleSynonym> synonyms;
    std::vector<std::string_view> prefixes;  // what may stand before a canonical name
  };

  bool Matches(const Expression& expression, const std::vector<std::string>& spellings) const;

  std::vector<Pattern> patterns_;
  std::unordered_map<std::string, size_t> names_;
  std::vector<Expression> expressions_;
  bool names_single_experts_ = false;
};

}  // namespace moecap::model
