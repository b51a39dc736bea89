#include "app/cli/command_model.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iterator>
#include <utility>

namespace moecap::app {
namespace {

CommandFlag DescribeFlag(const CLI::Option& option) {
  CommandFlag flag;
  flag.is_argument = !option.nonpositional();
  if (flag.is_argument) {
    flag.names.push_back(option.get_name(true));
  } else {
    for (const std::string& name : option.get_snames()) flag.names.push_back("-" + name);
    for (const std::string& name : option.get_lnames()) flag.names.push_back("--" + name);
  }
  flag.value = option.get_type_size_max() > 0 ? option.get_type_name() : "";
  // "INT:INT in [1 - 9]": a type and what checks it.
  if (const size_t check = flag.value.find(':'); check != std::string::npos && flag.value.find(" in [") != std::string::npos)
    flag.value.erase(0, check + 1);
  flag.description = option.get_description();
  if (!option.get_default_str().empty()) flag.description += " (default: " + option.get_default_str() + ")";
  std::ranges::replace(flag.description, '\n', ' ');
  flag.required = option.get_required();
  flag.repeats = option.get_items_expected_max() > 1;
  return flag;
}

Command Describe(const CLI::App& app, std::vector<std::string> words) {
  Command command{std::move(words), app.get_description(), app.get_footer(), {}, {}, {}};
  for (const CLI::Option* option : app.get_options()) {
    if (!option->get_group().empty()) command.flags.push_back(DescribeFlag(*option));
  }
  for (const CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (sub->get_group().empty()) continue;
    std::vector<std::string> path = command.words;
    path.push_back(sub->get_name());
    Command& described = command.commands.emplace_back(Describe(*sub, std::move(path)));
    if (!sub->get_fallthrough()) continue;
    std::ranges::copy_if(command.flags, std::back_inserter(described.inherited), [&](const CommandFlag& flag) {
      return !flag.is_argument && std::ranges::find(described.flags, flag.names, &CommandFlag::names) == described.flags.end();
    });
  }
  return command;
}

}  // namespace

Command DescribeCommand(const CLI::App& app) { return Describe(app, {app.get_name()}); }

}  // namespace moecap::app
