// Patterns of quantization_config that name modules: "lm_head", "model.layers.*.self_attn", "re:.*mlp\\.gate$".
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

struct pcre2_real_code_8;

namespace moecap::model {

// A plain name matches a module when it is a run of whole components of its path; '*' stands for any text, from the start of
// the path on; "re:" introduces a regular expression that must match from the start, as Python's re.match. Copies share it.
class ModulePattern {
 public:
  // Error kBadInput: not a regular expression.
  static Result<ModulePattern> Parse(std::string text);

  bool Matches(std::string_view module) const;

 private:
  std::string text_;
  std::shared_ptr<pcre2_real_code_8> code_;  // null for a plain name
};

}  // namespace moecap::model
