// One line of MoE-CAP's recorder, parsed. Private to this folder.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace moecap::trace {

struct UpstreamRequest {
  std::string id;
  bool has_pool_index = false;  // only SGLang writes one
  int64_t new_tokens = 0;       // extend_len
  int64_t total_tokens = 0;     // SGLang: context with the new tokens; vLLM: the prompt
  bool last_chunk = true;
};

struct UpstreamLine {
  std::string mode;  // forward_mode
  std::optional<double> latency_s;
  int64_t batch_size = 0;
  int64_t seq_lens_sum = 0;
  std::optional<int64_t> scheduled_tokens;
  double expert_activation = 0;
  std::optional<int> devices;
  std::string device;
  std::vector<UpstreamRequest> requests;  // per_req_info
  std::vector<std::string> request_ids;   // req_ids
};

// Parses line after line; its memory and the line's are used again.
class UpstreamLineParser {
 public:
  // Bytes that must be readable behind a line.
  static size_t Slack();

  UpstreamLineParser();
  ~UpstreamLineParser();
  // Error kBadInput: not a JSON object, or a key of another type.
  Status Parse(std::string_view text, UpstreamLine& line);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace moecap::trace
