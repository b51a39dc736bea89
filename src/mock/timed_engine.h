// Tokens at drawn times instead of a model's: a time to the first token and one between tokens, whatever else runs.
#pragma once

#include <deque>
#include <queue>
#include <unordered_map>

#include "mock/engine.h"
#include "mock/sampling.h"

namespace moecap::mock {

struct TimedEngineOptions {
  Spread ttft_s;  // from admission to the first token
  Spread tpot_s;  // between two tokens
  int64_t max_running = INT64_MAX;
  int64_t vocab = 32000;
};

// Token k of a request is due at admission + TTFT + the k gaps before it, on an absolute schedule. Draws depend on the
// request's seed only. A request is admitted on arrival, or when one of max_running ends.
class TimedEngine final : public Engine {
 public:
  explicit TimedEngine(const TimedEngineOptions& options) : options_(options) {}

  bool Submit(EngineRequest request) override;
  void Cancel(uint64_t request, int64_t now_ns) override;
  void Advance(int64_t now_ns, EngineOutput& out) override;
  std::optional<int64_t> NextNs() const override;
  EngineState State() const override;

 private:
  struct Stream {
    EngineRequest request;
    Rng rng{0};
    int64_t produced = 0;
    double due_s = 0;  // after admission
    int64_t admission_ns = 0;
  };
  struct Due {
    int64_t time_ns;
    uint64_t request;
    bool operator>(const Due& other) const {
      return time_ns != other.time_ns ? time_ns > other.time_ns : request > other.request;
    }
  };

  void Start(EngineRequest request, int64_t time_ns);
  void AdmitWaiting(int64_t time_ns);

  TimedEngineOptions options_;
  std::deque<EngineRequest> waiting_;
  std::unordered_map<uint64_t, Stream> streams_;
  std::priority_queue<Due, std::vector<Due>, std::greater<>> due_;  // one entry a stream; those of cancelled ones are skipped
  std::vector<Admission> admissions_;                               // not yet handed out
};

}  // namespace moecap::mock
