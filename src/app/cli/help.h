// Help texts that fit a terminal.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace CLI {
class FormatterBase;
}

namespace moecap::app {

// `help` with every line at most `width` characters wide: descriptions continue below their first word (`column` is where the
// library starts them), example commands ("  moecap ...") with a backslash, so that they can still be copied.
std::string FitHelp(std::string_view help, size_t column, size_t width);

// The library's formatter with 80 columns.
std::shared_ptr<CLI::FormatterBase> MakeHelpFormatter();

}  // namespace moecap::app
