// Which tokens each event of a stream carries, from the most exact source that the server offers.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "load/system_under_test.h"
#include "system/openai/event_reader.h"

namespace moecap::openai {

// One stream from its first event to its end. Knows nothing of time and transport.
class TokenAccount {
 public:
  // `whole`: the answer comes as one event. `most_tokens`: as many as were asked for.
  void Reset(bool keep_text, bool whole, int64_t most_tokens);

  // What an event adds. `tokens` 0 = nothing to report.
  struct Added {
    int32_t tokens = 0;
    std::span<const int32_t> token_ids;  // into the facts
    bool reasoning = false;
  };
  Added Take(const EventFacts& facts);

  // What the server did otherwise than the interface says; each once.
  void AddQuirk(std::string quirk);
  // Whether any event was about output.
  bool saw_output() const { return saw_output_; }

  // `done`: the interface's mark of the end came ("[DONE]").
  void Conclude(bool done, load::Completion& completion);

 private:
  int32_t CountTokens(const EventFacts& facts, bool has_text, std::span<const int32_t>& new_ids);
  void TakeText(const EventFacts& facts);

  // kNone: the answer is not whole.
  FinishKind FinishOf(bool done);

  bool keep_text_ = true, whole_ = false, saw_output_ = false;
  int64_t most_tokens_ = 0;
  std::string text_;
  bool incremental_ = false;   // a server of cumulative events was told to send what is new only
  size_t cumulative_ids_ = 0;  // how many ids were counted
  int64_t counted_ = 0;
  record::TokensSource source_ = record::TokensSource::kTokenIds;
  bool reasoning_seen_ = false, answer_seen_ = false;
  FinishKind finish_ = FinishKind::kNone;
  std::string abort_reason_;
  std::string response_id_;
  std::vector<std::string> quirks_;
  std::optional<int64_t> input_tokens_, output_tokens_, cached_input_tokens_, reasoning_tokens_;
  std::optional<double> server_prefill_s_, server_decode_s_;
};

}  // namespace moecap::openai
