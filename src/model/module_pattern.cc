#include "model/module_pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/format.h>
#include <pcre2.h>

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

}  // namespace

Result<ModulePattern> ModulePattern::Parse(std::string text) {
  ModulePattern pattern;
  std::string regex;
  if (text.starts_with("re:")) {
    regex = text.substr(3);
  } else if (text.find('*') != std::string::npos) {
    regex = GlobToRegex(text);
  }
  if (!regex.empty()) {
    int error = 0;
    PCRE2_SIZE offset = 0;
    pcre2_code* code =
        pcre2_compile(reinterpret_cast<PCRE2_SPTR>(regex.data()), regex.size(), PCRE2_ANCHORED, &error, &offset, nullptr);
    if (code == nullptr) return BadInput(fmt::format("'{}' is not a regular expression we can read", text));
    pattern.code_ = std::shared_ptr<pcre2_code>(code, pcre2_code_free);
  }
  pattern.text_ = std::move(text);
  return pattern;
}

bool ModulePattern::Matches(std::string_view module) const {
  if (code_ == nullptr) return ("." + std::string(module) + ".").find("." + text_ + ".") != std::string::npos;
  pcre2_match_data* data = pcre2_match_data_create_from_pattern(code_.get(), nullptr);
  if (data == nullptr) return false;
  // The library's own match limit ends runaway expressions; such a pattern then does not match.
  const int found = pcre2_match(code_.get(), reinterpret_cast<PCRE2_SPTR>(module.data()), module.size(), 0, 0, data, nullptr);
  pcre2_match_data_free(data);
  return found >= 0;
}

}  // namespace moecap::model
