// Numbers of flags: what they may be, said where they are refused.
#pragma once

#include <CLI/CLI.hpp>

namespace moecap::app {

// Refuses what is no number from `least` to `most`.
CLI::Validator Within(double least, double most);

// A byte or FLOP a second of one device, as a flag gives it.
CLI::Validator RateOfDevice();

// Lets no option of `app` and its verbs that takes a number take one that is not finite: NaN is outside no range for CLI11, and
// would go through every sum that follows. Call after all options are added.
void RefuseNonFinite(CLI::App& app);

}  // namespace moecap::app
