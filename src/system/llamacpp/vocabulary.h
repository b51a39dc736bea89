// Text to a model's tokens and back.
#pragma once

#include <llama.h>

#include <string>
#include <vector>

namespace moecap::llamacpp {

// With the tokens that the model's vocabulary sets before and behind a text; special tokens are read as such.
std::vector<llama_token> Tokenize(const llama_vocab* vocab, const std::string& text);

// Empty for special tokens. Its bytes may end within a character.
std::string Piece(const llama_vocab* vocab, llama_token token);

}  // namespace moecap::llamacpp
