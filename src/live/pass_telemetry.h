// The engine's own record of each forward pass: forward-pass metrics as SGLang publishes them over ZeroMQ, three frames of
// which the last is msgpack (a map; a list in the order of its schema from builds that encode so):
//
//   version, worker_id, dp_rank, counter_id, wall_time (s; 0: idle), scheduled_requests, queued_requests
//   scheduled_requests: num_prefill_requests, sum_prefill_tokens, var_prefill_length, sum_prefill_kv_tokens,
//                       num_decode_requests, sum_decode_kv_tokens, var_decode_kv_tokens
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "record/pass_record.h"

namespace moecap::live {

// The pass of one message's last frame; null when the engine was idle. Its sequences have the message's sums, each request an
// equal share; start_s is left to the caller. Error kBadInput: not such a message.
Result<std::optional<record::PassRecord>> ReadForwardPass(std::string_view msgpack);

// The passes of a publisher's messages, in order.
class PassTelemetry {
 public:
  // Frames of one message: topic, number (8 bytes, big-endian), payload. Error kBadInput as above; the message is left out.
  Status Add(std::span<const std::string> frames);

  struct Taken {
    std::vector<record::PassRecord> passes;
    bool lost = false;  // numbers were left out
  };
  // Since the last call.
  Taken Take();

 private:
  Taken taken_;
  std::optional<uint64_t> last_;
};

}  // namespace moecap::live
