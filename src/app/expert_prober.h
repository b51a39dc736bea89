// Requests of our own at a low rate, for the experts that the server tells in its answers.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "app/server_connection.h"
#include "base/clock.h"
#include "live/reading.h"
#include "model/model_spec.h"
#include "routing/routed_experts.h"

namespace moecap::app {

// Sends one request at a time, on a thread of its own.
class ExpertProber {
 public:
  // `prompts` are taken in turn, at least one; `shape` of the model. `clock` must outlive it.
  ExpertProber(const ServerConnection& connection, std::vector<std::string> prompts, int64_t answer_tokens,
               const routing::RoutedShape& shape, const Clock& clock);
  ~ExpertProber();  // a request in flight is given up

  struct Progress {
    live::Probes probes;
    std::vector<routing::RoutedExperts> answers;  // since the last call
    std::string problem;                          // of the last answer without experts, one sentence; "" = none
  };
  // Never waits.
  Progress Take();
  // Sends the next request, unless one is in flight.
  void Send();
  int64_t tokens_of_next() const;

 private:
  void Run();
  load::RequestSpec NextRequest();
  void Ask();

  ServerConnection connection_;
  std::vector<std::string> prompts_;
  int64_t answer_tokens_;
  routing::RoutedShape shape_;
  const Clock& clock_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool wanted_ = false, stop_ = false;
  int64_t number_ = 0;
  Progress progress_;
  std::thread thread_;
};

// Prompts of many kinds that ship with the program.
std::vector<std::string> ProbePrompts();

}  // namespace moecap::app
