#include "load/recorder.h"

#include <algorithm>
#include <utility>

#include "load/event_log.h"
#include "load/token_spread.h"

namespace moecap::load {
namespace {

// One provisional token a chunk becomes the total the server reported.
void Respread(const Completion& completion, record::RequestRecord& request) {
  if (request.token_s.empty() || *completion.output_tokens == request.output_tokens) return;
  const std::vector<double> chunk_s = std::move(request.token_s);
  const auto reasoning_chunks = static_cast<size_t>(std::clamp(request.reasoning_tokens, int64_t{0}, std::ssize(chunk_s)));
  TokenSpread spread = SpreadAnswer({.total = *completion.output_tokens,
                                     .reasoning = completion.reasoning_tokens,
                                     .reasoning_chunks = reasoning_chunks,
                                     .answer_chunks = chunk_s.size() - reasoning_chunks,
                                     .ended_by_end_token = completion.finish == record::FinishReason::kStop});
  request.chunk_tokens = std::move(spread.chunk_tokens);
  if (!spread.fits && request.timing_gap == record::TimingGap::kNone) request.timing_gap = record::TimingGap::kUnevenChunks;
  request.token_s.clear();
  for (size_t i = 0; i < chunk_s.size(); ++i) {
    request.token_s.insert(request.token_s.end(), static_cast<size_t>(request.chunk_tokens[i]), chunk_s[i]);
  }
  request.output_tokens = *completion.output_tokens;
}

// Reasoning that the server counts and no chunk showed came before the first chunk.
void AddHiddenReasoning(const Completion& completion, record::RequestRecord& request) {
  const int64_t hidden = completion.output_tokens.value_or(0) - request.output_tokens;
  const bool explained = completion.reasoning_tokens.value_or(0) >= hidden && request.reasoning_tokens == 0;
  if (hidden <= 0 || !explained || request.token_s.empty()) return;
  if (request.chunk_tokens.empty()) request.chunk_tokens.assign(request.token_s.size(), 1);
  request.chunk_tokens.front() += static_cast<int32_t>(hidden);
  request.token_s.insert(request.token_s.begin(), static_cast<size_t>(hidden), request.token_s.front());
  request.output_tokens += hidden;
}

// Memory set aside for one answer, so that none is allocated while tokens arrive.
constexpr int64_t kMostReservedTokens = 65'536;

std::string WhyGivenUp(record::RequestError kind) {
  switch (kind) {
    case record::RequestError::kCancelledByClient:
      return "the user gave up, as planned";
    case record::RequestError::kTotalTimeout:
      return "it had not ended when the time to drain was over";
    case record::RequestError::kNotIssued:
      return "it was due and had not been sent when the load ended";
    default:
      return {};
  }
}

}  // namespace

Recorder::Recorder(const record::CellId& cell, int64_t origin_ns, EventLogWriter* events, bool logged_only)
    : cell_(cell), origin_ns_(origin_ns), last_event_ns_(origin_ns), events_(events), logged_only_(logged_only) {}

uint64_t Recorder::OnSend(std::string id, int64_t expected_tokens, int client, int64_t intended_ns, int64_t now_ns) {
  const uint64_t ticket = requests_.size();
  if (events_ != nullptr) events_->OnSend(ticket, id, client, intended_ns, now_ns);
  record::RequestRecord& request = Add(std::move(id), client, intended_ns);
  request.send_s = SinceOrigin(now_ns);
  last_event_ns_ = now_ns;
  request.token_s.reserve(static_cast<size_t>(std::clamp(expected_tokens, int64_t{0}, kMostReservedTokens)));
  return ticket;
}

void Recorder::OnNotIssued(std::string id, int client, int64_t intended_ns) {
  const uint64_t ticket = requests_.size();
  if (events_ != nullptr) events_->OnNotIssued(ticket, id, client, intended_ns);
  record::RequestRecord& request = Add(std::move(id), client, intended_ns);
  request.send_s = request.intended_send_s;
  request.error_kind = record::RequestError::kNotIssued;
  request.error = WhyGivenUp(request.error_kind);
  End(ticket);
}

void Recorder::OnGivenUp(uint64_t ticket, record::RequestError kind) {
  record::RequestRecord& request = Kept(ticket);
  if (events_ != nullptr) events_->OnGivenUp(ticket, kind);
  request.error_kind = kind;
  request.error = WhyGivenUp(kind);
  End(ticket);
}

void Recorder::OnChunk(uint64_t ticket, const Chunk& chunk) {
  record::RequestRecord& request = Kept(ticket);
  if (events_ != nullptr) events_->OnChunk(ticket, chunk);
  // When the kernel had it, where that is known. Its wall clock may be set meanwhile: time stays ordered.
  const double earliest_s = request.token_s.empty() ? request.send_s : request.token_s.back();
  const double arrival_s = std::max(earliest_s, SinceOrigin(chunk.arrival_ns - std::max<int64_t>(chunk.kernel_delay_ns, 0)));
  last_event_ns_ = chunk.arrival_ns;
  if (chunk.kernel_delay_ns >= 0 && !logged_only_)
    receive_delay_s_.push_back(static_cast<float>(chunk.kernel_delay_ns) * 1e-9F);
  if (chunk.tokens != 1 && request.chunk_tokens.empty()) request.chunk_tokens.assign(request.token_s.size(), 1);
  if (chunk.tokens != 1 || !request.chunk_tokens.empty()) request.chunk_tokens.push_back(chunk.tokens);
  request.token_s.insert(request.token_s.end(), static_cast<size_t>(chunk.tokens), arrival_s);
  if (!chunk.token_ids.empty() && request.token_ids.empty()) request.token_ids.reserve(request.token_s.capacity());
  request.token_ids.insert(request.token_ids.end(), chunk.token_ids.begin(), chunk.token_ids.end());
  request.output_tokens += chunk.tokens;
  if (chunk.reasoning) request.reasoning_tokens += chunk.tokens;
  if (!chunk.reasoning && chunk.tokens > 0 && !request.first_answer_s) request.first_answer_s = arrival_s;
}

void Recorder::OnFinish(uint64_t ticket, Completion completion) {
  record::RequestRecord& request = Kept(ticket);
  if (events_ != nullptr) events_->OnFinish(ticket, completion);
  request.finish = completion.finish;
  request.input_tokens = completion.input_tokens;
  request.text = std::move(completion.text);
  request.error = std::move(completion.error);
  request.error_kind = completion.error_kind;
  request.http_status = completion.http_status;
  request.retries = completion.retries;
  request.tokens_source = completion.tokens_source;
  request.cached_input_tokens = completion.cached_input_tokens;
  request.server_prefill_s = completion.server_prefill_s;
  request.server_decode_s = completion.server_decode_s;
  CopyTimings(completion.timings, request);
  request.timing_gap = completion.timing_gap;
  request.request_id = std::move(completion.request_id);
  request.response_id = std::move(completion.response_id);
  request.quirks = std::move(completion.quirks);
  request.first_event_s = InstantSinceOrigin(completion.first_event_ns);
  const bool several_chunks = request.token_s.size() > 1 && request.chunk_tokens.size() != 1;
  if (completion.tokens_source == record::TokensSource::kFinalUsage && completion.output_tokens) {
    Respread(completion, request);
  } else {
    AddHiddenReasoning(completion, request);
  }
  if (request.timing_gap == record::TimingGap::kNone && several_chunks && request.token_s.front() == request.token_s.back())
    request.timing_gap = record::TimingGap::kOneBurst;
  if (completion.reasoning_tokens) request.reasoning_tokens = *completion.reasoning_tokens;
  const bool one_each = std::ranges::all_of(request.chunk_tokens, [](int tokens) { return tokens == 1; });
  if (one_each) request.chunk_tokens = {};
  request.token_s.shrink_to_fit();
  request.token_ids.shrink_to_fit();
  request.chunk_tokens.shrink_to_fit();
  End(ticket);
}

void Recorder::OnPass(record::PassRecord pass, int64_t start_ns) {
  pass.cell = cell_;
  pass.pass = static_cast<int64_t>(passes_.size());
  pass.start_s = SinceOrigin(start_ns);
  passes_.push_back(std::move(pass));
}

std::vector<uint64_t> Recorder::TakeEnded() { return std::exchange(newly_ended_, {}); }

Status Recorder::FlushEvents(int64_t now_ns) { return events_ != nullptr ? events_->Flush(now_ns) : Status(); }

LoadResult Recorder::Finish() && {
  LoadResult result;
  result.requests.reserve(
      static_cast<size_t>(std::ranges::count_if(requests_, [](const auto& kept) { return kept != nullptr; })));
  for (auto& kept : requests_) {
    if (kept != nullptr) result.requests.push_back(std::move(*kept));
    kept.reset();
  }
  result.receive_delay_s.assign(receive_delay_s_.begin(), receive_delay_s_.end());
  result.passes = std::move(passes_);
  return result;
}

std::optional<double> Recorder::InstantSinceOrigin(int64_t now_ns) const {
  return now_ns == 0 ? std::nullopt : std::optional(SinceOrigin(now_ns));
}

void Recorder::CopyTimings(const Timings& timings, record::RequestRecord& request) const {
  if (timings.connect_start_ns != 0 && timings.connected_ns != 0)
    request.connect_s = static_cast<double>(timings.connected_ns - timings.connect_start_ns) * 1e-9;
  request.sent_s = InstantSinceOrigin(timings.sent_ns);
  request.headers_s = InstantSinceOrigin(timings.headers_ns);
  request.first_byte_s = InstantSinceOrigin(timings.first_byte_ns);
  request.end_s = InstantSinceOrigin(timings.end_ns);
}

record::RequestRecord& Recorder::Add(std::string id, int client, int64_t intended_ns) {
  record::RequestRecord& request = *requests_.emplace_back(std::make_unique<record::RequestRecord>());
  request.id = std::move(id);
  request.cell = cell_;
  request.client = client;
  request.intended_send_s = SinceOrigin(intended_ns);
  request.finish = record::FinishReason::kCancelled;
  has_ended_.push_back(false);
  return request;
}

void Recorder::End(uint64_t ticket) {
  has_ended_[ticket] = true;
  newly_ended_.push_back(ticket);
  ++ended_;
}

}  // namespace moecap::load
