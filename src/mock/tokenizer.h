// Text to token ids and back without a vocabulary file, the same everywhere. An output token `id` reads " w4711" (every
// eighth id begins with a two-byte letter, every sixteenth with a three-byte one). In a text each word with the white space
// before it, and each other character, is one token; a word of that form is its own id, any other is hashed to one. So the
// mock's own text has exactly the tokens it was made of, and foreign text about as many as words and punctuation marks.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace moecap::mock {

// The texts of the tokens of `text`, in order.
std::vector<std::string_view> SplitText(std::string_view text);
// The id of one of these. Requires vocab >= 4.
int32_t TokenOf(std::string_view piece, int64_t vocab);
// Requires vocab >= 4.
std::vector<int32_t> Tokenize(std::string_view text, int64_t vocab);
// The text of a token; empty for ids below kFirstWordToken (engine.h). Needs no escaping in JSON.
void AppendTokenText(int32_t id, std::string& out);
std::string Detokenize(std::span<const int32_t> ids);

}  // namespace moecap::mock
