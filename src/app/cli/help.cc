#include "app/cli/help.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "base/table.h"

namespace moecap::app {
namespace {

constexpr size_t kWidth = 80;

// Where the words of `line` that may wrap begin: behind the name of a flag or verb, else behind the indentation.
size_t HangOf(std::string_view line, size_t column) {
  size_t hang = 0;
  const size_t indentation = std::min(line.find_first_not_of(' '), line.size());
  for (size_t i = 2; i <= std::min(line.size() - 1, column); ++i) {
    if (line[i - 1] == ' ' && line[i - 2] == ' ' && line[i] != ' ') hang = i;
  }
  if (hang > indentation) return hang;
  // A name that ends right before the column of the descriptions.
  const bool long_name = indentation > 0 && line.size() > column && line[column - 1] == ' ' && line[column] != ' ';
  return long_name ? column : indentation;
}

std::string FitLine(std::string_view line, size_t column, size_t width) {
  constexpr std::string_view kCommand = "  moecap ";
  const bool command = line.starts_with(kCommand);
  const size_t hang = command ? 4 : HangOf(line, column);
  const std::string_view end = command ? " \\" : "";
  std::string out;
  size_t begin = command ? 2 : hang;
  out += line.substr(0, begin);
  for (const std::string& words : WrapText(line.substr(begin), width - hang - end.size())) {
    if (out.size() > begin) out += std::string(end) + "\n" + std::string(hang, ' ');
    out += words;
  }
  return out;
}

class HelpFormatter final : public CLI::Formatter {
 public:
  std::string make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const override {
    return FitHelp(CLI::Formatter::make_help(app, std::move(name), mode), column_width_, kWidth);
  }
};

}  // namespace

std::string FitHelp(std::string_view help, size_t column, size_t width) {
  std::string out;
  while (!help.empty()) {
    const size_t end = std::min(help.find('\n'), help.size());
    const std::string_view line = help.substr(0, end);
    out += DisplayWidth(line) <= width ? std::string(line) : FitLine(line, column, width);
    if (end < help.size()) out += '\n';
    help.remove_prefix(std::min(end + 1, help.size()));
  }
  return out;
}

std::shared_ptr<CLI::FormatterBase> MakeHelpFormatter() { return std::make_shared<HelpFormatter>(); }

}  // namespace moecap::app
