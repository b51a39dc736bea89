// "Did you mean": the known word nearest to one that is not known.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace moecap {

// The entry of `candidates` nearest to `word` by edit distance, for "did you mean"; empty when none is near.
std::string NearestWord(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace moecap
