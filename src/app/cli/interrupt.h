// Ctrl-C for the verbs that measure.
#pragma once

namespace moecap::app {

// From here on the first SIGINT or SIGTERM only sets what InterruptRequested returns; a second one ends the process.
void InstallInterruptHandler();
bool InterruptRequested();

}  // namespace moecap::app
