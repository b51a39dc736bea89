// The command line as values: what man pages and completions are made of. Taken from the parser itself, so that no flag is
// missing from them.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace moecap::app {

struct CommandFlag {
  std::vector<std::string> names;  // "-h", "--help"; of an argument its one name without dashes
  std::string value;               // "TEXT", "INT"; empty = the flag takes none
  std::string description;         // one line
  bool is_argument = false;
  bool required = false;
  bool repeats = false;
};

struct Command {
  std::vector<std::string> words;  // "moecap", "runs", "show"
  std::string description, footer;
  std::vector<CommandFlag> flags;      // in the order of --help, arguments among them
  std::vector<CommandFlag> inherited;  // of the command above it, which may stand behind this one, too
  std::vector<Command> commands;       // hidden ones are left out
};

Command DescribeCommand(const CLI::App& app);

}  // namespace moecap::app
