// The records of MoE-CAP's recorder, parsed one by one. Private to this folder.
#pragma once

#include <cstdint>
#include <filesystem>
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
  bool textual_ids = false;               // one of them is no number
};

// The records of a file: JSON lines, or one document: a list of records, or an object that holds such a list under "records",
// as the recorder's HTTP interface answers.
class UpstreamFile {
 public:
  // Error kBadInput: the file cannot be read, or is none of these.
  static Result<UpstreamFile> Open(const std::filesystem::path& path);
  UpstreamFile(UpstreamFile&&) noexcept;
  ~UpstreamFile();

  // The next record; its memory is used again. False at the end. Error kBadInput naming the place: no JSON object, or a key of
  // another type.
  Result<bool> Next(UpstreamLine& line);
  // Of the record that Next gave last: "FILE:3", or "FILE, record 3".
  std::string where() const;

 private:
  struct Impl;
  explicit UpstreamFile(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace moecap::trace
