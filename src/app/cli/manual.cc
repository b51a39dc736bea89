#include "app/cli/manual.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string_view>

namespace moecap::app {
namespace {

// As roff prints it unchanged: no escape, no hyphenated dash, no request at the beginning of a line.
std::string Roff(std::string_view text) {
  std::string out;
  bool line_begins = true;
  for (const char c : text) {
    if (line_begins && (c == '.' || c == '\'')) out += "\\&";
    line_begins = c == '\n';
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out += c;
    }
  }
  return out;
}

std::string Words(const Command& command) { return fmt::format("{}", fmt::join(command.words, " ")); }

void AppendFlag(std::string& out, const CommandFlag& flag) {
  std::string names;
  for (const std::string& name : flag.names) names += fmt::format("{}\\fB{}\\fR", names.empty() ? "" : ", ", Roff(name));
  const std::string value = flag.is_argument || flag.value.empty() ? "" : fmt::format(" \\fI{}\\fR", Roff(flag.value));
  out += fmt::format(".TP\n{}{}{}\n{}\n", names, value, flag.repeats ? " ..." : "",
                     flag.description.empty() ? "\\&" : Roff(flag.description));
}

void AppendFlags(std::string& out, const Command& command, bool arguments) {
  for (const CommandFlag& flag : command.flags) {
    if (flag.is_argument == arguments) AppendFlag(out, flag);
  }
}

bool Has(const Command& command, bool arguments) {
  for (const CommandFlag& flag : command.flags) {
    if (flag.is_argument == arguments) return true;
  }
  return false;
}

std::string Synopsis(const Command& command) {
  std::string out = fmt::format("\\fB{}\\fR [\\fIOPTIONS\\fR]", Roff(Words(command)));
  for (const CommandFlag& flag : command.flags) {
    if (!flag.is_argument) continue;
    const std::string name = fmt::format("\\fI{}\\fR{}", Roff(flag.names.front()), flag.repeats ? "..." : "");
    out += flag.required ? " " + name : " [" + name + "]";
  }
  if (!command.commands.empty()) out += " [\\fICOMMAND\\fR]";
  return out;
}

void AppendSub(std::string& out, const Command& command) {
  out += fmt::format(".SS \"{}\"\n{}\n", Roff(Words(command)), Roff(command.description));
  out += fmt::format(".PP\n{}\n", Synopsis(command));
  AppendFlags(out, command, true);
  AppendFlags(out, command, false);
  if (!command.footer.empty()) out += fmt::format(".PP\n.nf\n{}\n.fi\n", Roff(command.footer));
  for (const Command& sub : command.commands) AppendSub(out, sub);
}

void AppendFooter(std::string& out, const std::string& footer) {
  if (!footer.empty()) out += fmt::format(".SH NOTES\n.nf\n{}\n.fi\n", Roff(footer));
}

constexpr std::string_view kExitStatus =
    ".SH EXIT STATUS\n.TP\n0\nall went well\n.TP\n1\nthe run failed\n.TP\n2\nusage, or bad input\n"
    ".TP\n3\na target was missed\n.TP\n130\ninterrupted\n";

std::string Page(const Command& command, const std::string& name, const std::string& version) {
  std::string out = fmt::format(".TH \"{}\" 1 \"\" \"{}\" \"User Commands\"\n", Roff(name), version);
  out += fmt::format(".SH NAME\n{} \\- {}\n.SH SYNOPSIS\n{}\n", Roff(name), Roff(command.description), Synopsis(command));
  if (Has(command, true)) {
    out += ".SH ARGUMENTS\n";
    AppendFlags(out, command, true);
  }
  out += ".SH OPTIONS\n";
  AppendFlags(out, command, false);
  return out;
}

// What may follow after the words of `command`.
std::vector<std::string> Next(const Command& command) {
  std::vector<std::string> words;
  for (const Command& sub : command.commands) words.push_back(sub.words.back());
  for (const CommandFlag& flag : command.flags) {
    if (!flag.is_argument) words.insert(words.end(), flag.names.begin(), flag.names.end());
  }
  for (const CommandFlag& flag : command.inherited) words.insert(words.end(), flag.names.begin(), flag.names.end());
  return words;
}

template <typename Visit>
void ForEachCommand(const Command& command, const Visit& visit) {
  visit(command);
  for (const Command& sub : command.commands) ForEachCommand(sub, visit);
}

std::string SingleQuoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

// The lines of a case statement over the verbs given so far, for shells in which it reads so.
std::string PathPatterns(const Command& program) {
  std::string patterns;
  ForEachCommand(program, [&](const Command& command) {
    if (command.words.size() > 1) patterns += fmt::format("{}\"{}\"", patterns.empty() ? "" : " | ", Words(command));
  });
  return patterns;
}

}  // namespace

std::vector<report::NamedText> ManPages(const Command& program, const std::string& version) {
  const std::string& name = program.words.front();
  const std::string source = name + " " + version;
  std::vector<report::NamedText> pages;
  std::string main = Page(program, name, source) + ".SH COMMANDS\n";
  for (const Command& verb : program.commands) {
    const std::string page_name = name + "-" + verb.words.back();
    main += fmt::format(".TP\n\\fB{}\\fR(1)\n{}\n", Roff(page_name), Roff(verb.description));
    std::string page = Page(verb, page_name, source);
    if (!verb.commands.empty()) page += ".SH COMMANDS\n";
    for (const Command& sub : verb.commands) AppendSub(page, sub);
    AppendFooter(page, verb.footer);
    pages.push_back({page_name + ".1", page + std::string(kExitStatus) + fmt::format(".SH SEE ALSO\n\\fB{}\\fR(1)\n", name)});
  }
  pages.push_back({name + ".1", main + std::string(kExitStatus)});
  return pages;
}

std::string BashCompletion(const Command& program) {
  const std::string& name = program.words.front();
  std::string out = fmt::format(
      "# bash completion of {0}\n_{0}() {{\n  local cur=${{COMP_WORDS[COMP_CWORD]}} path={0} i\n"
      "  for ((i = 1; i < COMP_CWORD; i++)); do\n    case \"$path ${{COMP_WORDS[i]}}\" in\n      {1}) path+=\" "
      "${{COMP_WORDS[i]}}\" ;;\n"
      "    esac\n  done\n  local words=\n  case $path in\n",
      name, PathPatterns(program));
  ForEachCommand(program, [&](const Command& command) {
    out += fmt::format("    \"{}\") words=\"{}\" ;;\n", Words(command), fmt::join(Next(command), " "));
  });
  out += fmt::format(
      "  esac\n  mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n}}\ncomplete -o default -F _{0} {0}\n", name);
  return out;
}

std::string ZshCompletion(const Command& program) {
  const std::string& name = program.words.front();
  std::string out = fmt::format(
      "#compdef {0}\n_{0}() {{\n  local path_so_far={0} i\n  local -a words_here\n  for ((i = 2; i < CURRENT; i++)); do\n"
      "    case \"$path_so_far ${{words[i]}}\" in\n      {1}) path_so_far+=\" ${{words[i]}}\" ;;\n    esac\n  done\n"
      "  case $path_so_far in\n",
      name, PathPatterns(program));
  const auto described = [](std::string word, const std::string& description) {
    return SingleQuoted(std::move(word) + ":" + description) + " ";
  };
  ForEachCommand(program, [&](const Command& command) {
    std::string words;
    for (const Command& sub : command.commands) words += described(sub.words.back(), sub.description);
    for (const CommandFlag& flag : command.flags) {
      for (const std::string& flag_name : flag.names) words += flag.is_argument ? "" : described(flag_name, flag.description);
    }
    for (const CommandFlag& flag : command.inherited) {
      for (const std::string& flag_name : flag.names) words += described(flag_name, flag.description);
    }
    out += fmt::format("    \"{}\") words_here=({}) ;;\n", Words(command), words);
  });
  return out + fmt::format("  esac\n  _describe {0} words_here\n  _files\n}}\n_{0} \"$@\"\n", name);
}

std::string FishCompletion(const Command& program) {
  const std::string& name = program.words.front();
  std::string out = fmt::format("# fish completion of {}\n", name);
  ForEachCommand(program, [&](const Command& command) {
    // Where the words given so far are just this command's.
    std::string here = command.words.size() == 1 ? "__fish_use_subcommand" : "";
    for (size_t i = 1; i < command.words.size(); ++i)
      here += fmt::format("{}__fish_seen_subcommand_from {}", here.empty() ? "" : "; and ", command.words[i]);
    for (const Command& sub : command.commands) {
      out += fmt::format("complete -c {} -n {} -a {} -d {}\n", name, SingleQuoted(here), sub.words.back(),
                         SingleQuoted(sub.description));
    }
    for (const CommandFlag& flag : command.flags) {
      if (flag.is_argument) continue;
      std::string names;
      for (const std::string& flag_name : flag.names)
        names += flag_name.starts_with("--") ? " -l " + flag_name.substr(2) : " -s " + flag_name.substr(1);
      out += fmt::format("complete -c {} -n {}{}{} -d {}\n", name, SingleQuoted(here), names, flag.value.empty() ? "" : " -r",
                         SingleQuoted(flag.description));
    }
  });
  return out;
}

}  // namespace moecap::app
