// Command lines as lists of words, as a POSIX shell divides and quotes them, but without one.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace moecap {

// 'single' and "double" quotes and backslashes as in a shell. What only a shell can do (pipes, redirections, $VARIABLES,
// `commands`, ~, several commands) is refused. Error: kBadInput naming it, and how to write it.
Result<std::vector<std::string>> SplitWords(std::string_view line);

// Of a word that sets a variable before a command, NAME=VALUE, how long the name is; 0 for any other.
size_t AssignmentName(std::string_view word);

// As it can be given to a shell again.
std::string ShellWord(std::string_view word);
std::string ShellLine(std::span<const std::string> words);

}  // namespace moecap
