// How many sentences and words a text has for the tokenisers of NLTK, as far as that can be known without their trained model.
#pragma once

#include <cstdint>
#include <string_view>

namespace moecap::accuracy {

// The number of sentences lies between both.
struct SentenceCount {
  int64_t least = 0, most = 0;
};

// For NLTK's punkt (Kiss and Strunk 2006), English. A sentence ends at a '?' or '!', and at a '.' behind an ordinary word;
// whether a '.' behind a number, an initial, a possible abbreviation or another '.' ends one is up to punkt's model, which is
// not here: such places count in `most` alone. `text` must be well-formed.
SentenceCount CountSentences(std::string_view text);

// The number of words in capital letters among those of nltk.word_tokenize (NLTKWordTokenizer of nltk 3.9): IT'S counts as two,
// a hyphenated word as one. `text` must be well-formed.
int64_t CountCapitalWords(std::string_view text);

}  // namespace moecap::accuracy
