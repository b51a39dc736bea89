// What decides when each token of each request exists. Time goes in as values; nothing here reads a clock.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "record/pass_record.h"

namespace moecap::mock {

struct EngineRequest {
  uint64_t id = 0;              // unique within an engine
  int64_t arrival_ns = 0;       // not before that of an earlier request
  std::vector<int32_t> prompt;  // token ids, at least one
  uint64_t cache_salt = 0;      // requests of different salts share no cached prefix
  bool cache_prompt = true;     // false: use no cached prefix
  int64_t output_tokens = 1;    // >= 1, an end token included
  uint64_t seed = 0;            // of the output (OutputToken) and of drawn times
  bool ends_with_eos = false;   // the last token is kEosToken
};

inline constexpr int32_t kEosToken = 2;
inline constexpr int32_t kFirstWordToken = 3;  // below it: padding, start, end

// The `index`-th output token of a request with that seed: a word token below `vocab` (at least 4).
int32_t OutputToken(uint64_t seed, int64_t index, int64_t vocab);

struct Admission {
  uint64_t request = 0;
  int64_t time_ns = 0;
  int64_t cached_tokens = 0;  // of the prompt, not computed again
};

struct TokenEvent {
  uint64_t request = 0;
  int64_t index = 0;  // 0, 1, ... output_tokens - 1
  int32_t token = 0;
  int64_t due_ns = 0;  // when the token exists
  bool last = false;
};

// In order of time. `passes` are filled by engines that have passes; their start_s counts from time 0.
struct EngineOutput {
  std::vector<Admission> admissions;
  std::vector<TokenEvent> tokens;
  std::vector<record::PassRecord> passes;

  void Clear();
};

struct EngineState {
  int64_t running = 0;
  int64_t waiting = 0;
  double kv_used_share = 0;        // of the KV memory, reserved by running requests
  int64_t kv_used_tokens = 0;      // in the KV cache of running requests
  int64_t kv_capacity_tokens = 0;  // 0 = not limited
  int64_t passes = 0;
};

class Engine {
 public:
  virtual ~Engine() = default;

  // False when the request can never run: it needs more KV memory than there is.
  [[nodiscard]] virtual bool Submit(EngineRequest request) = 0;
  // No token of it comes after this call, made at `now_ns`. Unknown and finished requests are ignored.
  virtual void Cancel(uint64_t request, int64_t now_ns) = 0;
  // What happens until `now_ns`, each event once. Appends to `out`, some thousand tokens at most; NextNs() <= now_ns says that
  // more is due.
  virtual void Advance(int64_t now_ns, EngineOutput& out) = 0;
  // When the next event is due; null when nothing will happen without a request.
  virtual std::optional<int64_t> NextNs() const = 0;
  virtual EngineState State() const = 0;
  virtual void ClearPrefixCache() {}
};

}  // namespace moecap::mock
