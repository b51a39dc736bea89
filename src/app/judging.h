// A judge asked about games of Arena-Hard, over any interface of system/openai.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "accuracy/arena_judging.h"
#include "base/clock.h"
#include "base/result.h"
#include "experiment/server_config.h"
#include "load/system_under_test.h"

namespace moecap::app {

// A game to be judged.
struct JudgeQuestion {
  std::string uid;
  int round = 0;
  std::vector<load::Message> messages;
  int64_t max_output_tokens = 0;
  std::string shown;  // Judgement::shown
};

struct JudgingOptions {
  experiment::ServerConfig server;  // its `model` is the judge
  int clients = 8;                  // requests in flight; >= 1
  std::filesystem::path file;       // each judgement is a line added to it in one write, as it comes
  std::function<bool()> stop_requested;
  std::function<void(int64_t done, int64_t all)> on_progress;
};

struct Judged {
  int64_t asked = 0;  // requests that ended
  int64_t failed = 0;
  std::string first_failure;
  bool interrupted = false;  // stopped by the user, or given up because more than half of them failed
};

// Asks all of `questions`, which are not empty. A request that fails leaves no line. Errors: the connection's; kFailed where
// the file cannot be written.
Result<Judged> AskJudge(const JudgingOptions& options, std::span<const JudgeQuestion> questions, const Clock& clock);

}  // namespace moecap::app
