// Which language a text is in, where that is plain to see.
#pragma once

#include <optional>
#include <string_view>

namespace moecap::accuracy {

// The ISO 639-1 code, from the script of most letters and, where several languages share it, from the share of words that each
// uses most. Null when that does not decide: short texts, mixtures, languages without a list here (docs/accuracy_metrics.md
// names those that have one). Letter case does not matter. Like langdetect it reads the first
// 10,000 characters. `text` must be well-formed.
std::optional<std::string_view> LanguageOf(std::string_view text);

}  // namespace moecap::accuracy
