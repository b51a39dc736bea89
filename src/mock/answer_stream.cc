#include "mock/answer_stream.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include "base/check.h"

namespace moecap::mock {
namespace {

using After = AnswerBytes::After;

constexpr std::string_view kServer = "server: moecap-mock\r\n";

constexpr int64_t kHourNs = 3'600'000'000'000;

int64_t ToNs(double seconds) { return std::llround(seconds * 1e9); }

std::string_view ContentTypeOf(Framing framing) {
  return framing == Framing::kNdjson ? "application/x-ndjson" : "text/event-stream; charset=utf-8";
}

}  // namespace

void AnswerBytes::Clear() {
  bytes.clear();
  cuts.clear();
  byte_gap_ns.reset();
  filler_bytes = 0;
  after = After::kGoOn;
  tokens = 0;
}

void AnswerBytes::Append(AnswerBytes&& other) {
  for (const Cut& cut : other.cuts) cuts.push_back({bytes.size() + cut.offset, cut.pause_ns});
  bytes += other.bytes;
  if (other.byte_gap_ns) byte_gap_ns = other.byte_gap_ns;
  if (other.filler_bytes > 0) {
    filler = other.filler;
    filler_bytes = other.filler_bytes;
  }
  after = other.after;
  tokens += other.tokens;
  other.Clear();
}

std::string_view ReasonPhrase(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 413:
      return "Content Too Large";
    case 422:
      return "Unprocessable Content";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    default:
      return "Unknown";
  }
}

std::string PlainAnswer(int status, std::string_view content_type, std::string_view body, bool keep_alive,
                        std::string_view extra_headers) {
  return fmt::format("HTTP/1.1 {} {}\r\n{}{}{}{}content-length: {}\r\n{}\r\n{}", status, ReasonPhrase(status), kServer,
                     content_type.empty() ? "" : "content-type: ", content_type, content_type.empty() ? "" : "\r\n",
                     body.size(), fmt::format("{}{}", extra_headers, keep_alive ? "" : "connection: close\r\n"), body);
}

AnswerStream::AnswerStream(Dialect dialect, ApiRequest request, AnswerFacts facts, FaultSet faults,
                           const AnswerOptions& options, std::function<std::string()> routed)
    : dialect_(dialect),
      subject_(new Subject{std::move(request), std::move(facts)}),
      faults_(std::move(faults)),
      options_(options),
      routed_(std::move(routed)),
      format_(MakeFormat(dialect, subject_->request, subject_->facts)) {
  CHECK(options.tokens_per_chunk >= 1 && options.events_per_write >= 1);
}

std::string AnswerStream::Headers(std::string_view content_type) const {
  return fmt::format("HTTP/1.1 200 OK\r\n{}content-type: {}\r\n{}{}\r\n", kServer, content_type,
                     options_.chunked ? "transfer-encoding: chunked\r\n" : "",
                     options_.keep_alive && options_.chunked ? "" : "connection: close\r\n");
}

void AnswerStream::Begin(AnswerBytes& out) {
  if (const auto lines = faults_.Value(FaultKind::kHeaderFlood)) {
    held_.bytes = fmt::format("HTTP/1.1 200 OK\r\n{}", kServer);
    held_.filler = "x-flood: " + std::string(89, 'a') + "\r\n";
    held_.filler_bytes = static_cast<int64_t>(*lines) * static_cast<int64_t>(held_.filler.size());
    Break(After::kClose);
  } else if (subject_->request.stream) {
    BeginStream();
  } else {
    StrikeWhole(held_);
  }
  HandOut(out);
}

void AnswerStream::BeginStream() {
  held_.bytes = Headers(ContentTypeOf(format_->framing()));
  if (const auto size = faults_.Value(FaultKind::kLongLine)) {
    const auto bytes = static_cast<int64_t>(*size);
    constexpr std::string_view kPrefix = "data: ";
    if (options_.chunked) held_.bytes += fmt::format("{:x}\r\n", bytes + static_cast<int64_t>(kPrefix.size()));
    held_.bytes += kPrefix;
    held_.filler = "a";
    held_.filler_bytes = bytes;
    return Break(After::kClose);
  }
  if (faults_.Has(FaultKind::kEarlyRole)) EmitRole();
  if (faults_.Has(FaultKind::kNoTokens)) {
    EmitRole();
    return EmitEnd("stop", {});
  }
  Strike({});
}

void AnswerStream::EmitRole() {
  if (role_sent_) return;
  role_sent_ = true;
  for (int i = 0; i < (faults_.Has(FaultKind::kDoubleRole) ? 2 : 1); ++i) {
    json_.clear();
    if (format_->RoleEvent(json_)) Emit(json_);
  }
}

void AnswerStream::Token(int32_t id, std::string_view finish, const Progress& progress, AnswerBytes& out) {
  CHECK(!ended_);
  ++tokens_;
  if (!subject_->request.stream) {
    all_.push_back(id);
    if (!finish.empty()) {
      EmitWhole(finish, progress, held_);
    } else {
      StrikeWhole(held_);
    }
    return HandOut(out);
  }
  pending_.push_back(id);
  const bool full = static_cast<int64_t>(pending_.size()) >= options_.tokens_per_chunk;
  if (full || !finish.empty() || !faults_.empty()) EmitTokens(finish, progress);
  if (!ended_) Strike(progress);
  if (!ended_ && !finish.empty()) EmitEnd(finish, progress);
  if (ended_ || held_events_ >= options_.events_per_write || !faults_.empty()) HandOut(out);
}

void AnswerStream::EmitTokens(std::string_view finish, const Progress& progress) {
  EmitRole();
  if (!progress_sent_) {
    progress_sent_ = true;
    json_.clear();
    if (format_->ProgressEvent(progress, json_)) Emit(json_);
  }
  if (faults_.Has(FaultKind::kEmptyDeltas)) {
    json_.clear();
    if (format_->EmptyEvent(json_)) Emit(json_);
  }
  const bool abort = StrikesNow(FaultKind::kAbort);
  const std::string_view shown = abort ? "abort" : faults_.Has(FaultKind::kNoFinish) ? "" : finish;
  json_.clear();
  format_->TokenEvent({pending_, tokens_ - static_cast<int64_t>(pending_.size()), shown}, progress, json_);
  if (!json_.empty()) Emit(json_);
  held_.tokens += static_cast<int64_t>(pending_.size());
  ++held_events_;
  pending_.clear();
  if (abort) EmitEnd("abort", progress);
}

void AnswerStream::EmitFinish(std::string_view finish, const Progress& progress) {
  if (format_->FinishEvent(finish, progress, json_)) return Emit(json_);
  // Where the last token's event says it, an answer without tokens needs an event for it.
  const Route route = subject_->request.route;
  if (tokens_ > 0 || (route != Route::kCompletions && route != Route::kChat && route != Route::kSglangGenerate)) return;
  json_.clear();
  format_->TokenEvent({{}, 0, finish}, progress, json_);
  Emit(json_);
}

void AnswerStream::EmitEnd(std::string_view finish, const Progress& progress) {
  json_.clear();
  if (!faults_.Has(FaultKind::kNoFinish)) EmitFinish(finish, progress);
  json_.clear();
  const std::string routed = routed_ ? routed_() : std::string();
  // Of a native stream the last event is the finish.
  const bool native = subject_->request.route != Route::kCompletions && subject_->request.route != Route::kChat;
  if (!(native && faults_.Has(FaultKind::kNoFinish)) && format_->FinalEvent(finish, progress, routed, json_)) {
    if (const auto delay = faults_.Value(FaultKind::kUsageDelay)) held_.cuts.push_back({held_.bytes.size(), ToNs(*delay)});
    Emit(json_);
  }
  if (format_->ends_with_done() && !faults_.Has(FaultKind::kNoDone)) Emit("[DONE]");
  if (options_.chunked) held_.bytes += "0\r\n\r\n";
  held_.after = options_.keep_alive && options_.chunked && !faults_.Has(FaultKind::kCloseAfter) ? After::kDone : After::kClose;
  ended_ = true;
}

void AnswerStream::Emit(const std::string& json) {
  const std::string_view end = faults_.Has(FaultKind::kCrlf) ? "\r\n" : "\n";
  event_.clear();
  if (format_->framing() == Framing::kNdjson) {
    event_ += json;
    event_ += end;
  } else {
    if (faults_.Has(FaultKind::kComments)) {
      event_ += ": ping";
      event_ += end;
    }
    event_ += format_->framing() == Framing::kSseWithoutSpace && json != "[DONE]" ? "data:" : "data: ";
    event_ += json;
    event_ += end;
    event_ += end;
  }
  EmitChunk(event_);
}

void AnswerStream::EmitChunk(std::string_view payload) {
  std::string& bytes = held_.bytes;
  if (std::exchange(stall_next_, false)) held_.cuts.push_back({bytes.size(), kHourNs});
  if (options_.chunked) {
    char digits[20];
    bytes.append(digits, std::to_chars(digits, digits + sizeof digits, payload.size(), 16).ptr);
    bytes += "\r\n";
  }
  if (const auto pause = faults_.Value(FaultKind::kSplitUtf8)) {
    const auto lead =
        std::find_if(payload.begin(), payload.end(), [](char c) { return static_cast<unsigned char>(c) >= 0xc2; });
    if (lead != payload.end()) {
      held_.cuts.push_back({bytes.size() + static_cast<size_t>(lead - payload.begin()) + 1, ToNs(*pause)});
    }
  }
  bytes += payload;
  if (options_.chunked) bytes += "\r\n";
}

bool AnswerStream::StrikesNow(FaultKind kind) const {
  const auto after = faults_.Value(kind);
  return after && static_cast<int64_t>(*after) == tokens_;
}

void AnswerStream::Break(After after) {
  held_.after = after;
  ended_ = broken_ = true;
}

void AnswerStream::Strike(const Progress& progress) {
  if (faults_.empty()) return;
  if (StrikesNow(FaultKind::kReset)) return Break(After::kReset);
  if (StrikesNow(FaultKind::kTruncate)) return Break(After::kClose);
  if (StrikesNow(FaultKind::kStall)) stall_next_ = true;
  if (StrikesNow(FaultKind::kAbort) && tokens_ == 0) return EmitEnd("abort", progress);
  if (StrikesNow(FaultKind::kBadJson)) Emit("{\"choices\":[{\"index\":0,");
  if (StrikesNow(FaultKind::kBadChunk)) {
    held_.bytes += "zz\r\ndata: \r\n";
    return Break(After::kClose);
  }
  if (StrikesNow(FaultKind::kErrorObject)) {
    json_.clear();
    format_->ErrorEvent("injected fault", json_);
    Emit(json_);
    if (format_->ends_with_done()) Emit("[DONE]");
    if (options_.chunked) held_.bytes += "0\r\n\r\n";
    held_.after = options_.keep_alive && options_.chunked ? After::kDone : After::kClose;
    ended_ = broken_ = true;
  }
}

void AnswerStream::StrikeWhole(AnswerBytes& out) {
  if (faults_.empty()) return;
  if (StrikesNow(FaultKind::kReset)) return Break(After::kReset);
  if (StrikesNow(FaultKind::kErrorObject)) {
    out.bytes += PlainAnswer(500, "application/json", ErrorBody(dialect_, 500, "injected fault"), options_.keep_alive);
    Break(options_.keep_alive ? After::kDone : After::kClose);
  } else if (StrikesNow(FaultKind::kTruncate) || StrikesNow(FaultKind::kBadChunk) || StrikesNow(FaultKind::kBadJson)) {
    const bool bad_chunk = faults_.Has(FaultKind::kBadChunk);
    const std::string_view body = bad_chunk ? "zz\r\n{}\r\n" : "{\"choices\":[{\"index\":0,";
    // A body that is whole for HTTP and broken as JSON; or one shorter than promised.
    const size_t promised = faults_.Has(FaultKind::kBadJson) ? body.size() : body.size() + 100;
    out.bytes +=
        fmt::format("HTTP/1.1 200 OK\r\n{}content-type: application/json\r\n{}\r\n{}", kServer,
                    bad_chunk ? "transfer-encoding: chunked\r\n" : fmt::format("content-length: {}\r\n", promised), body);
    Break(After::kClose);
  }
}

void AnswerStream::EmitWhole(std::string_view finish, const Progress& progress, AnswerBytes& out) {
  StrikeWhole(out);
  if (ended_) return;
  const std::string routed = routed_ ? routed_() : std::string();
  const std::string_view shown = StrikesNow(FaultKind::kAbort) ? "abort" : finish;
  const std::string body = format_->Whole(all_, shown, progress, routed);
  const bool keep = options_.keep_alive;
  out.bytes += PlainAnswer(200, "application/json", body, keep);
  out.tokens = tokens_;
  out.after = keep && !faults_.Has(FaultKind::kCloseAfter) ? After::kDone : After::kClose;
  ended_ = true;
}

void AnswerStream::HandOut(AnswerBytes& out) {
  if (const auto gap = faults_.Value(FaultKind::kDrip)) held_.byte_gap_ns = ToNs(*gap);
  out.Append(std::move(held_));
  held_.Clear();
  held_events_ = 0;
}

}  // namespace moecap::mock
