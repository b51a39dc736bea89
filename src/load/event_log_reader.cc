#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <unordered_map>
#include <utility>

#include "base/json.h"
#include "base/json_error.h"
#include "load/event_log.h"
#include "load/event_log_format.h"
#include "load/recorder.h"

namespace moecap::load {
namespace {

template <typename T>
std::optional<T> UnlessNegative(T value) {
  return value < 0 ? std::nullopt : std::optional(value);
}

Result<EventLogHeader> HeaderFromJson(const std::string& text) {
  ASSIGN_OR_RETURN(const Json json, ParseJson(text));
  try {
    EventLogHeader header;
    json.at("system").get_to(header.cell.system);
    json.at("concurrency").get_to(header.cell.concurrency);
    json.at("repeat").get_to(header.cell.repeat);
    json.at("origin_ns").get_to(header.origin_ns);
    json.at("started_at").get_to(header.started_at);
    return header;
  } catch (const Json::exception& error) {
    return BadInput(fmt::format("its header is not complete: {}", ReasonOf(error)));
  }
}

// Whether all are times that a clock can have shown: differences of such times stay within 64 bits.
bool AreInstants(std::initializer_list<int64_t> times_ns) {
  constexpr int64_t kMost = int64_t{1} << 61;
  return std::ranges::all_of(times_ns, [](int64_t ns) { return ns >= -kMost && ns <= kMost; });
}

Status CheckInstants(std::initializer_list<int64_t> times_ns) {
  return AreInstants(times_ns) ? Status() : BadInput("an event's time makes no sense");
}

using Visitor = std::function<void(const record::RequestRecord&)>;

// Feeds events to the same recorder that a run uses.
class Replay {
 public:
  // `visit` takes what has ended; where it is empty all is kept.
  Replay(const EventLogHeader& header, int64_t most_unseen, const Visitor& visit)
      : most_unseen_(most_unseen), visit_(visit), recorder_(header.cell, header.origin_ns, nullptr, visit != nullptr) {}

  Status Frame(std::string_view payload) {
    while (!payload.empty()) {
      Head head;
      RETURN_IF_ERROR(Peek(payload, head));
      RETURN_IF_ERROR(CheckTicket(head));
      RETURN_IF_ERROR(One(head, payload));
      if (visit_) ShowWhatEnded();
    }
    return {};
  }

  LoadResult Finish() && { return std::move(recorder_).Finish(); }

 private:
  template <typename T>
  static Status Peek(std::string_view payload, T& value) {
    if (payload.size() < sizeof(T)) return BadInput("an event is cut off");
    std::memcpy(&value, payload.data(), sizeof(T));
    return {};
  }
  template <typename T>
  static Status Take(std::string_view& payload, T& value) {
    RETURN_IF_ERROR(Peek(payload, value));
    payload.remove_prefix(sizeof(T));
    return {};
  }
  static Result<std::string> TakeText(std::string_view& payload, size_t size) {
    if (payload.size() < size || size > kMostTextBytes) return BadInput("a text is cut off or too long");
    std::string text(payload.substr(0, size));
    payload.remove_prefix(size);
    return text;
  }

  void ShowWhatEnded() {
    for (const uint64_t ticket : recorder_.TakeEnded()) {
      visit_(recorder_.request(ticket));
      recorder_.Forget(ticket);
    }
  }

  Status CheckTicket(const Head& head) const {
    const auto sent = static_cast<uint64_t>(recorder_.sent());
    if (head.kind == kSend || head.kind == kNotIssued) {
      return head.ticket == sent ? Status() : BadInput(fmt::format("request {} is sent when {} is next", head.ticket, sent));
    }
    if (head.ticket >= sent) return BadInput(fmt::format("request {} of {} does not exist", head.ticket, sent));
    if (recorder_.HasEnded(head.ticket)) return BadInput(fmt::format("request {} goes on after its end", head.ticket));
    return {};
  }

  Status One(const Head& head, std::string_view& payload) {
    switch (head.kind) {
      case kSend: {
        SendEvent event;
        RETURN_IF_ERROR(Take(payload, event));
        RETURN_IF_ERROR(CheckInstants({event.intended_ns, event.at_ns}));
        ASSIGN_OR_RETURN(std::string id, TakeText(payload, head.value));
        recorder_.OnSend(std::move(id), 0, static_cast<int>(event.client), event.intended_ns, event.at_ns);
        return {};
      }
      case kNotIssued: {
        NotIssuedEvent event;
        RETURN_IF_ERROR(Take(payload, event));
        RETURN_IF_ERROR(CheckInstants({event.intended_ns}));
        ASSIGN_OR_RETURN(std::string id, TakeText(payload, head.value));
        recorder_.OnNotIssued(std::move(id), static_cast<int>(event.client), event.intended_ns);
        return {};
      }
      case kChunk:
        return OneChunk(head, payload);
      case kGivenUp: {
        GivenUpEvent event;
        RETURN_IF_ERROR(Take(payload, event));
        ASSIGN_OR_RETURN(const auto error, ErrorOf(head.value));
        recorder_.OnGivenUp(head.ticket, error);
        return {};
      }
      case kDetails:
        return Details(head, payload);
      case kFinish:
        return Finished(head, payload);
      default:
        return BadInput(fmt::format("an event of kind {} is not known", head.kind));
    }
  }

  Status OneChunk(const Head& head, std::string_view& payload) {
    ChunkEvent event;
    RETURN_IF_ERROR(Take(payload, event));
    RETURN_IF_ERROR(CheckInstants({event.at_ns}));
    RETURN_IF_ERROR(CountUnseen(head.value - 1));
    Chunk chunk;
    chunk.arrival_ns = event.at_ns;
    chunk.tokens = head.value;
    chunk.reasoning = (head.flags & kReasoning) != 0;
    if ((head.flags & kHasDelay) != 0) RETURN_IF_ERROR(Take(payload, chunk.kernel_delay_ns));
    recorder_.OnChunk(head.ticket, chunk);
    return {};
  }

  Status Details(const Head& head, std::string_view& payload) {
    DetailsEvent event;
    RETURN_IF_ERROR(Take(payload, event));
    if (head.value > static_cast<uint16_t>(record::TimingGap::kOneBurst))
      return BadInput("the details of a request make no sense");
    Completion& completion = details_[head.ticket];
    completion.timing_gap = static_cast<record::TimingGap>(head.value);
    completion.first_event_ns = event.first_event_ns;
    ASSIGN_OR_RETURN(completion.request_id, TakeText(payload, static_cast<size_t>(event.request_id_bytes)));
    ASSIGN_OR_RETURN(completion.response_id, TakeText(payload, static_cast<size_t>(event.response_id_bytes)));
    ASSIGN_OR_RETURN(const std::string quirks, TakeText(payload, static_cast<size_t>(event.quirks_bytes)));
    for (size_t at = 0, end; (end = quirks.find('\n', at)) != std::string::npos; at = end + 1)
      completion.quirks.push_back(quirks.substr(at, end - at));
    return {};
  }

  Status Finished(const Head& head, std::string_view& payload) {
    constexpr auto kLastFinish = static_cast<int32_t>(record::FinishReason::kCancelled);
    constexpr auto kLastSource = static_cast<int32_t>(record::TokensSource::kChunks);
    FinishEvent event;
    RETURN_IF_ERROR(Take(payload, event));
    if (event.finish < 0 || event.finish > kLastFinish || event.tokens_source < 0 || event.tokens_source > kLastSource ||
        event.output_tokens > kMostUnseenTokens) {
      return BadInput("the end of a request makes no sense");
    }
    const Timings& timings = event.timings;
    RETURN_IF_ERROR(CheckInstants({timings.connect_start_ns, timings.connected_ns, timings.sent_ns, timings.headers_ns,
                                   timings.first_byte_ns, timings.end_ns}));
    RETURN_IF_ERROR(CountUnseen(std::max<int64_t>(event.output_tokens, 0) - recorder_.request(head.ticket).output_tokens));
    Completion completion;
    if (const auto details = details_.find(head.ticket); details != details_.end()) {
      completion = std::move(details->second);
      details_.erase(details);
    }
    ASSIGN_OR_RETURN(completion.error, TakeText(payload, static_cast<size_t>(event.error_bytes)));
    completion.finish = static_cast<record::FinishReason>(event.finish);
    ASSIGN_OR_RETURN(completion.error_kind, ErrorOf(head.value));
    completion.http_status = event.http_status;
    completion.tokens_source = static_cast<record::TokensSource>(event.tokens_source);
    completion.retries = event.retries;
    completion.input_tokens = event.input_tokens;
    completion.output_tokens = UnlessNegative(event.output_tokens);
    completion.reasoning_tokens = UnlessNegative(event.reasoning_tokens);
    completion.cached_input_tokens = UnlessNegative(event.cached_input_tokens);
    completion.server_prefill_s = UnlessNegative(event.server_prefill_s);
    completion.server_decode_s = UnlessNegative(event.server_decode_s);
    completion.timings = event.timings;
    recorder_.OnFinish(head.ticket, std::move(completion));
    return {};
  }

  static Result<record::RequestError> ErrorOf(uint16_t value) {
    if (value > static_cast<uint16_t>(record::RequestError::kNotIssued))
      return BadInput(fmt::format("error {} is not known", value));
    return static_cast<record::RequestError>(value);
  }

  Status CountUnseen(int64_t tokens) {
    unseen_ += std::max<int64_t>(tokens, 0);
    return unseen_ <= most_unseen_
               ? Status()
               : BadInput(fmt::format("it tells of more than {} tokens without an event of their own", most_unseen_));
  }

  int64_t most_unseen_;
  const Visitor& visit_;
  int64_t unseen_ = 0;
  std::unordered_map<uint64_t, Completion> details_;  // by ticket, until the request ends
  Recorder recorder_;
};

// The bytes of a log, from the front.
class Bytes {
 public:
  virtual ~Bytes() = default;
  // The next `size` bytes, fewer where the log ends; valid until the next call.
  virtual std::string_view Take(uint64_t size) = 0;
  virtual uint64_t left() const = 0;
};

class TextBytes final : public Bytes {
 public:
  explicit TextBytes(std::string_view text) : text_(text) {}
  std::string_view Take(uint64_t size) override {
    const std::string_view taken = text_.substr(0, size);
    text_.remove_prefix(taken.size());
    return taken;
  }
  uint64_t left() const override { return text_.size(); }

 private:
  std::string_view text_;
};

// A frame at a time: a log of hours does not fit into memory beside what is made of it.
class FileBytes final : public Bytes {
 public:
  FileBytes(std::ifstream& file, uint64_t size) : file_(file), left_(size) {}
  std::string_view Take(uint64_t size) override {
    buffer_.resize(std::min(size, left_));
    file_.read(buffer_.data(), std::ssize(buffer_));
    buffer_.resize(static_cast<size_t>(file_.gcount()));
    left_ = file_ ? left_ - buffer_.size() : 0;
    return buffer_;
  }
  uint64_t left() const override { return left_; }

 private:
  std::ifstream& file_;
  uint64_t left_;
  std::string buffer_;
};

Status CheckFileHead(std::string_view head) {
  if (head.size() < kFileHeadBytes || !head.starts_with(kMagic)) return BadInput("this is no event log (events.bin) of moecap");
  uint32_t version = 0;
  std::memcpy(&version, head.data() + kMagic.size(), sizeof(version));
  if (version >= kOldestVersion && version <= kVersion) return {};
  return BadInput(
      fmt::format("version {} is not known to this program (it knows {} to {})", version, kOldestVersion, kVersion));
}

// The log then lacks what `visit`, where it is not empty, was shown.
Result<EventLog> Parse(Bytes& bytes, int64_t most_unseen, const Visitor& visit) {
  RETURN_IF_ERROR(CheckFileHead(bytes.Take(kFileHeadBytes)));
  EventLog log;
  std::optional<Replay> replay;
  while (bytes.left() > 0) {
    FrameHead head;
    log.damaged_bytes = bytes.left();
    const std::string_view taken = bytes.Take(sizeof(head));
    if (taken.size() < sizeof(head)) break;
    std::memcpy(&head, taken.data(), sizeof(head));
    const std::string_view payload = bytes.Take(head.bytes);
    if (payload.size() < head.bytes || Checksum(head.type, payload) != head.checksum) break;
    if (head.type == kHeaderFrame && !replay) {
      ASSIGN_OR_RETURN(log.header, HeaderFromJson(std::string(payload)));
      RETURN_IF_ERROR(CheckInstants({log.header.origin_ns}));
      replay.emplace(log.header, most_unseen, visit);
    } else if (head.type == kEventFrame && replay) {
      RETURN_IF_ERROR(replay->Frame(payload));
    } else {
      return BadInput(fmt::format("a frame of type {} stands where it cannot", head.type));
    }
    log.damaged_bytes = 0;
  }
  if (!replay) return BadInput("it ends within its header");
  log.result = std::move(*replay).Finish();
  return log;
}

// Errors name the file.
Result<EventLog> ParseFile(const std::filesystem::path& path, const Visitor& visit) {
  std::error_code error;
  const uint64_t size = std::filesystem::file_size(path, error);
  if (error) return BadInput(fmt::format("cannot read {}: {}", path.string(), error.message()));
  std::ifstream file(path, std::ios::binary);
  if (!file) return BadInput(fmt::format("cannot read {}: {}", path.string(), std::strerror(errno)));
  FileBytes bytes(file, size);
  auto log = Parse(bytes, kMostUnseenTokens, visit);
  if (file.bad()) return BadInput(fmt::format("cannot read {}: {}", path.string(), std::strerror(EIO)));
  if (!log.ok()) return Annotate(path.string(), log.error());
  return log;
}

}  // namespace

Result<EventLog> ParseEventLog(std::string_view text, int64_t most_unseen) {
  TextBytes bytes(text);
  return Parse(bytes, most_unseen, {});
}

Result<EventLog> ReadEventLog(const std::filesystem::path& path) { return ParseFile(path, {}); }

Status VisitRequests(const std::filesystem::path& path, const Visitor& visit) {
  ASSIGN_OR_RETURN(const EventLog rest, ParseFile(path, visit));
  for (const record::RequestRecord& request : rest.result.requests) visit(request);
  return {};
}

}  // namespace moecap::load
