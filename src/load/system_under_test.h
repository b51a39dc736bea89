// The interface between the load generator, which owns it, and a serving system. The generator knows neither the model nor how
// answers are scored; the system knows neither schedule nor data set.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "record/pass_record.h"
#include "record/request_record.h"

namespace moecap::load {

struct RequestSpec {
  std::string id;                         // of the problem; copied to the record
  std::string prompt;                     // text, tokenized by the system
  std::vector<int32_t> prompt_token_ids;  // sent instead of `prompt` when not empty
  int64_t max_output_tokens = 256;        // >= 1
  std::vector<std::string> stop;          // generation ends before the first of these; they are not part of the text
  bool ignore_end_token = false;          // generate exactly max_output_tokens
};

// What a finished request reports beside its tokens.
struct Completion {
  record::FinishReason finish = record::FinishReason::kStop;
  int64_t input_tokens = 0;
  std::string text;   // of the output, without end token and stop string
  std::string error;  // when finish == kError
};

// Receives what a system observes, on the thread that called Advance. Times are of the clock given to the system.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void OnToken(uint64_t ticket, int64_t arrival_ns, int32_t token_id) = 0;
  virtual void OnFinish(uint64_t ticket, Completion completion) = 0;
  // Only systems that see their own passes call it. `pass.start_s` is left to the observer.
  virtual void OnPass(record::PassRecord pass, int64_t start_ns) = 0;
};

class SystemUnderTest {
 public:
  virtual ~SystemUnderTest() = default;

  // Whether the system could take the request at all; called before anything is timed. Error: kBadInput with a remedy.
  virtual Status Validate(const RequestSpec& request) = 0;

  // Hands over one request; `ticket` names it in the observer's calls. Must not block on generation.
  virtual Status Submit(const RequestSpec& request, uint64_t ticket) = 0;

  // Works or waits until something was observed, then returns. An error ends the run.
  virtual Status Advance(Observer& observer) = 0;

  // Forgets all requests in flight without reporting them.
  virtual void CancelAll() = 0;
};

}  // namespace moecap::load
