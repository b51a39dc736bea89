// The device catalogue as the user has it: what ships with the program, with a file of the user's own laid over it.
#pragma once

#include <string>

#include "base/result.h"
#include "hardware/catalogue.h"

namespace moecap::app {

// `file` when it is not empty; else $XDG_CONFIG_HOME/moecap/hardware.json (or ~/.config/moecap/hardware.json) where it exists;
// else the built-in catalogue alone. Errors: kBadInput when a named file cannot be read, or either file is wrong.
Result<hardware::Catalogue> OpenCatalogue(const std::string& file);

}  // namespace moecap::app
