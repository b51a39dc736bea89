// Man pages (man(7)) and shell completions of a command line.
#pragma once

#include <string>
#include <vector>

#include "app/cli/command_model.h"
#include "report/upstream_files.h"

namespace moecap::app {

// PROGRAM.1 and PROGRAM-VERB.1 of each verb, whose own verbs are sections of its page.
std::vector<report::NamedText> ManPages(const Command& program, const std::string& version);

std::string BashCompletion(const Command& program);
std::string ZshCompletion(const Command& program);
std::string FishCompletion(const Command& program);

}  // namespace moecap::app
