#include "app/cli/interrupt.h"

#include <atomic>
#include <csignal>

namespace moecap::app {
namespace {

std::atomic<bool> interrupted = false;  // set by the signal handler, which can reach nothing else

}  // namespace

void InstallInterruptHandler() {
  struct sigaction action {};
  action.sa_handler = [](int) { interrupted = true; };
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

bool InterruptRequested() { return interrupted; }

}  // namespace moecap::app
