// Which tokens each event of a stream carries, from the most exact source that the server offers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "load/system_under_test.h"
#include "system/openai/event_reader.h"

namespace moecap::openai {

// One stream from its first event to its end. Knows nothing of time and transport.
class TokenAccount {
 public:
  // `whole`: the answer comes as one event.
  void Reset(bool keep_text, bool whole);

  // What an event adds. `tokens` 0 = nothing to report.
  struct Added {
    int32_t tokens = 0;
    std::span<const int32_t> token_ids;  // into the facts
    bool reasoning = false;
  };
  Added Take(const EventFacts& facts);

  bool finished() const { return finish_ != FinishKind::kNone; }

  void Conclude(load::Completion& completion) const;

 private:
  int32_t CountTokens(const EventFacts& facts, bool has_text, std::span<const int32_t>& new_ids);
  void TakeText(const EventFacts& facts);

  bool keep_text_ = true, whole_ = false;
  std::string text_;
  bool incremental_ = false;   // a server of cumulative events was told to send what is new only
  size_t cumulative_ids_ = 0;  // how many ids were counted
  int64_t counted_ = 0;
  record::TokensSource source_ = record::TokensSource::kTokenIds;
  bool reasoning_seen_ = false, answer_seen_ = false;
  FinishKind finish_ = FinishKind::kNone;
  std::string abort_reason_;
  std::optional<int64_t> input_tokens_, output_tokens_, cached_input_tokens_, reasoning_tokens_;
  std::optional<double> server_prefill_s_, server_decode_s_;
};

}  // namespace moecap::openai
