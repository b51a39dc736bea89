#include "system/llamacpp/vocabulary.h"

#include <algorithm>

namespace moecap::llamacpp {

std::vector<llama_token> Tokenize(const llama_vocab* vocab, const std::string& text) {
  const auto size = static_cast<int32_t>(text.size());
  std::vector<llama_token> tokens(text.size() + 8);
  int32_t count = llama_tokenize(vocab, text.data(), size, tokens.data(), static_cast<int32_t>(tokens.size()), true, true);
  if (count < 0) {
    tokens.resize(static_cast<size_t>(-count));
    count = llama_tokenize(vocab, text.data(), size, tokens.data(), static_cast<int32_t>(tokens.size()), true, true);
  }
  tokens.resize(static_cast<size_t>(std::max(count, 0)));
  return tokens;
}

std::string Piece(const llama_vocab* vocab, llama_token token) {
  std::string piece(32, '\0');
  int32_t size = llama_token_to_piece(vocab, token, piece.data(), static_cast<int32_t>(piece.size()), 0, false);
  if (size < 0) {
    piece.resize(static_cast<size_t>(-size));
    size = llama_token_to_piece(vocab, token, piece.data(), static_cast<int32_t>(piece.size()), 0, false);
  }
  piece.resize(static_cast<size_t>(std::max(size, 0)));
  return piece;
}

}  // namespace moecap::llamacpp
