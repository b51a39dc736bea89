// The end of the verbs that serve.
#pragma once

#include <signal.h>

namespace moecap::app {

// Blocks until SIGTERM or SIGINT, which every thread started later inherits as blocked.
class SignalWait {
 public:
  SignalWait() {
    ::sigemptyset(&signals_);
    ::sigaddset(&signals_, SIGTERM);
    ::sigaddset(&signals_, SIGINT);
    ::pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
  }
  void Wait() const {
    int number = 0;
    while (::sigwait(&signals_, &number) != 0) {
    }
  }

 private:
  sigset_t signals_{};
};

}  // namespace moecap::app
