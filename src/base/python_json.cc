#include "base/python_json.h"

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

namespace moecap {

Result<Json> ParsePythonJson(std::string_view text, Infinity infinity) {
  std::string plain;
  plain.reserve(text.size());
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (in_string || text[i] == '"') {
      if (text[i] == '"') in_string = !in_string;
      plain += text[i];
      if (in_string && text[i] == '\\' && i + 1 < text.size()) plain += text[++i];
      continue;
    }
    const bool keeps = infinity == Infinity::kText;
    const std::pair<std::string_view, std::string_view> words[] = {
        {"NaN", "null"}, {"-Infinity", keeps ? "\"-inf\"" : "null"}, {"Infinity", keeps ? "\"inf\"" : "null"}};
    const auto* const found =
        std::ranges::find_if(words, [&](const auto& word) { return text.substr(i).starts_with(word.first); });
    if (found == std::end(words)) {
      plain += text[i];
      continue;
    }
    plain += found->second;
    i += found->first.size() - 1;
  }
  return ParseJson(plain);
}

}  // namespace moecap
