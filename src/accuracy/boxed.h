// Where mathematical answers stand in a reply.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace moecap::accuracy {

// Inside the last `\boxed{...}` by hendrycks/math's rule (last_boxed_only_string, remove_boxed): where "\boxed " occurs, what
// follows the last of these up to "$"; else from the last `\boxed` to the brace that closes its first one. Null without, where
// the braces do not close, and for `\fbox`.
std::optional<std::string> LastBoxed(std::string_view text);

// Inside the last `\boxed{`, stripped (MLPerf's parse_boxed_math). Null where it does not close.
std::optional<std::string> LastBoxedInBraces(std::string_view text);

// From the first to the last "$"; the whole text where there are not two.
std::string_view BetweenDollars(std::string_view text);

// Minerva's form: "Final Answer: The final answer is ... I hope it is correct.", the closing sentence being added to the text.
// Null without.
std::optional<std::string> MinervaAnswer(std::string_view text);

}  // namespace moecap::accuracy
