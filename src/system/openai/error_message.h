// The server's own words in whatever it sent instead of an answer.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace moecap::openai {

// The message inside an error response's body or event: JSON in one of the servers' shapes (an `error`, `detail`, `message`, of
// text, objects or lists), also inside server-sent events, else the text itself; at most 300 bytes of one line, without a full
// stop, so that a remedy can follow.
std::string ErrorMessage(std::string_view body);

// The message of a JSON object that has one of those members; null when it has none, or is no JSON object or list of them.
std::optional<std::string> MessageIn(std::string_view json);

// At most 300 bytes in one line.
std::string OneLine(std::string_view text);

}  // namespace moecap::openai
