#include "model/python_json.h"

#include <nlohmann/json.hpp>
#include <string>

namespace moecap::model {

Result<Json> ParsePythonJson(std::string_view text) {
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
    size_t length = 0;
    for (const std::string_view word : {"-Infinity", "Infinity", "NaN"}) {
      if (length == 0 && text.substr(i).starts_with(word)) length = word.size();
    }
    if (length == 0) {
      plain += text[i];
      continue;
    }
    plain += "null";
    i += length - 1;
  }
  return ParseJson(plain);
}

}  // namespace moecap::model
