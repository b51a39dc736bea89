#include "system/openai/token_account.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace moecap::openai {
namespace {

using record::TokensSource;

constexpr size_t kMostIdBytes = 200, kMostReasonBytes = 60;

template <typename T>
void Update(std::optional<T>& value, const std::optional<T>& news) {
  if (news) value = news;
}

}  // namespace

void TokenAccount::Reset(bool keep_text, bool whole, int64_t most_tokens) {
  keep_text_ = keep_text;
  whole_ = whole;
  saw_output_ = false;
  most_tokens_ = most_tokens;
  response_id_.clear();
  quirks_.clear();
  incremental_ = false;
  text_.clear();
  cumulative_ids_ = 0;
  counted_ = 0;
  source_ = TokensSource::kTokenIds;
  reasoning_seen_ = answer_seen_ = false;
  finish_ = FinishKind::kNone;
  abort_reason_.clear();
  input_tokens_ = output_tokens_ = cached_input_tokens_ = reasoning_tokens_ = std::nullopt;
  server_prefill_s_ = server_decode_s_ = std::nullopt;
}

void TokenAccount::AddQuirk(std::string quirk) {
  constexpr size_t kMostQuirks = 8;
  if (quirks_.size() < kMostQuirks && std::ranges::find(quirks_, quirk) == quirks_.end()) quirks_.push_back(std::move(quirk));
}

// The event's own tokens. The stream is as exact as its least exact event.
int32_t TokenAccount::CountTokens(const EventFacts& facts, bool has_text, std::span<const int32_t>& new_ids) {
  if (facts.has_token_ids) {
    // llama-server has no event for a token that leaves a character unfinished; its counter knows of it.
    const int64_t behind = facts.cumulative ? 0 : facts.native_tokens.value_or(0) - counted_;
    if (behind > static_cast<int64_t>(facts.token_ids.size())) {
      source_ = std::max(source_, TokensSource::kNativeCounter);
      return static_cast<int32_t>(behind);
    }
    new_ids = facts.token_ids;
    if (facts.native_tokens.value_or(-1) != static_cast<int64_t>(new_ids.size())) incremental_ = true;
    if (facts.cumulative && !incremental_) new_ids = new_ids.subspan(std::min(cumulative_ids_, new_ids.size()));
    cumulative_ids_ += new_ids.size();
    return static_cast<int32_t>(new_ids.size());
  }
  if (facts.single_token) return 1;
  // A running count beside output; at the end, without output, it is the final usage.
  const bool native = facts.native_tokens.has_value();
  std::optional<int64_t> running = native ? facts.native_tokens : facts.output_tokens;
  // A count of nothing beside text is none.
  if (running == 0 && has_text) running.reset();
  // llama-server has none for the end token of a chat either: the count at the end includes it.
  const bool counts_natively = source_ == TokensSource::kNativeCounter;
  if (running && (facts.has_output || has_text || (native && counts_natively))) {
    const int64_t added = std::max<int64_t>(*running - counted_, 0);
    // Behind events that were not counted: the total is known now, and a single missing one is the end token.
    if (source_ == TokensSource::kChunks) return has_text || added == 1 ? 1 : 0;
    if (added > 0) source_ = std::max(source_, native ? TokensSource::kNativeCounter : TokensSource::kContinuousUsage);
    return static_cast<int32_t>(added);
  }
  // Of several events for one token only the last one carries the count.
  if (!has_text || counts_natively) return 0;
  source_ = TokensSource::kChunks;
  return 1;
}

void TokenAccount::TakeText(const EventFacts& facts) {
  if (!keep_text_ || facts.text.empty()) return;
  // Cumulative text may be shorter than before when a stop string was cut off its end.
  if (facts.cumulative && !incremental_) {
    text_.assign(facts.text);
  } else {
    text_.append(facts.text);
  }
}

TokenAccount::Added TokenAccount::Take(const EventFacts& facts) {
  Update(input_tokens_, facts.input_tokens);
  Update(output_tokens_, facts.output_tokens);
  Update(cached_input_tokens_, facts.cached_input_tokens);
  Update(reasoning_tokens_, facts.reasoning_tokens);
  Update(server_prefill_s_, facts.server_prefill_s);
  Update(server_decode_s_, facts.server_decode_s);
  if (response_id_.empty() && !facts.id.empty()) response_id_ = facts.id.substr(0, kMostIdBytes);
  saw_output_ = saw_output_ || facts.has_output;
  if (facts.finish != FinishKind::kNone) {
    finish_ = facts.finish;
    if (finish_ == FinishKind::kAbort) abort_reason_ = facts.finish_text;
    if (facts.odd_finish) AddQuirk(fmt::format("finish reason \"{}\"", facts.finish_text.substr(0, kMostReasonBytes)));
  }

  const bool has_answer = !facts.text.empty() || facts.tool_call;
  Added added;
  added.tokens = CountTokens(facts, has_answer || !facts.reasoning.empty(), added.token_ids);
  counted_ += added.tokens;
  TakeText(facts);
  if (!facts.reasoning.empty()) reasoning_seen_ = true;
  if (has_answer) answer_seen_ = true;
  // Delimiters of the thinking are tokens without text.
  added.reasoning = reasoning_seen_ && !answer_seen_;
  return added;
}

FinishKind TokenAccount::FinishOf(bool done) {
  if (finish_ != FinishKind::kNone) return finish_;
  // The field's clients read on where the server forgot the reason, and so do we where it is sure that nothing is missing.
  if (counted_ == 0 || !(whole_ ? saw_output_ : done && output_tokens_)) return FinishKind::kNone;
  AddQuirk("no finish reason");
  return output_tokens_.value_or(counted_) >= most_tokens_ ? FinishKind::kLength : FinishKind::kStop;
}

void TokenAccount::Conclude(bool done, load::Completion& completion) {
  using record::FinishReason;
  using record::RequestError;
  completion.input_tokens = input_tokens_.value_or(completion.input_tokens);
  completion.text = text_;
  if (output_tokens_ == 0 && counted_ > 0) {
    output_tokens_.reset();
    AddQuirk("usage counts no output tokens");
  }
  if (!response_id_.empty()) completion.response_id = response_id_;
  completion.cached_input_tokens = cached_input_tokens_;
  completion.output_tokens = output_tokens_;
  completion.reasoning_tokens = reasoning_tokens_;
  completion.server_prefill_s = server_prefill_s_;
  completion.server_decode_s = server_decode_s_;
  const bool from_total = source_ == TokensSource::kChunks || (whole_ && source_ != TokensSource::kTokenIds);
  completion.tokens_source = from_total && output_tokens_ ? TokensSource::kFinalUsage : source_;
  if (completion.error_kind != RequestError::kNone) {
    completion.finish = FinishReason::kError;
    completion.quirks = quirks_;
    return;
  }
  const FinishKind finish = FinishOf(done);
  completion.quirks = quirks_;
  completion.finish = finish == FinishKind::kLength ? FinishReason::kLength : FinishReason::kStop;
  if (finish == FinishKind::kNone) {
    completion.error_kind = RequestError::kTruncated;
    completion.error = fmt::format("the answer ended after {} tokens without a finish reason; {}", counted_,
                                   counted_ > 0 ? "the server's log may say why" : "is this the api that the server speaks?");
  } else if (finish == FinishKind::kAbort) {
    completion.error_kind = RequestError::kAbortFinish;
    completion.error = fmt::format("the server ended the request with \"{}\"; its log may say why", abort_reason_);
  } else if (counted_ == 0) {
    completion.error_kind = RequestError::kZeroTokens;
    completion.error = "the server reported success, but not one token came; may the prompt end the answer at once?";
  }
  if (completion.error_kind != RequestError::kNone) completion.finish = FinishReason::kError;
}

}  // namespace moecap::openai
