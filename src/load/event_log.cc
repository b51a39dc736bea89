#include "load/event_log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <type_traits>
#include <unordered_map>
#include <utility>

#include "base/fs.h"
#include "base/json.h"
#include "base/json_error.h"
#include "load/recorder.h"

namespace moecap::load {
namespace {

static_assert(std::endian::native == std::endian::little, "events are written as they lie in memory");

constexpr std::string_view kMagic = "MOECAPEV";
constexpr uint32_t kVersion = 2;
constexpr uint32_t kOldestVersion = 1;  // without events of kind 6
constexpr size_t kFileHeadBytes = 12;
// Written out when it is full: small enough that the write does not hold up the loop.
constexpr size_t kBufferBytes = size_t{1} << 16;
constexpr uint32_t kHeaderFrame = 1, kEventFrame = 2;

struct FrameHead {
  uint32_t type = 0;
  uint32_t bytes = 0;
  uint64_t checksum = 0;  // xxh3 of the payload, seeded with type and size
};
static_assert(sizeof(FrameHead) == 16);

enum Kind : uint8_t { kSend = 1, kChunk = 2, kGivenUp = 3, kFinish = 4, kNotIssued = 5, kDetails = 6 };
enum ChunkFlags : uint8_t { kReasoning = 1, kHasDelay = 2 };

// What every event starts with.
struct Head {
  uint8_t kind = 0;
  uint8_t flags = 0;
  uint16_t value = 0;  // tokens of a chunk; kind of error; bytes of an id
  uint32_t ticket = 0;
};
struct SendEvent {  // then the id
  Head head;
  int64_t at_ns = 0, intended_ns = 0;
  int64_t client = 0;
};
struct NotIssuedEvent {  // then the id
  Head head;
  int64_t intended_ns = 0;
  int64_t client = 0;
};
struct ChunkEvent {  // then, with kHasDelay, the receive delay, i64
  Head head;
  int64_t at_ns = 0;
};
struct GivenUpEvent {
  Head head;
};
struct DetailsEvent {  // of the request that ends next; then the texts, the quirks each with a line end
  Head head;           // its value: the TimingGap that the system told
  int64_t first_event_ns = 0;
  int32_t request_id_bytes = 0, response_id_bytes = 0, quirks_bytes = 0, reserved = 0;
};
struct FinishEvent {  // then the error's message
  Head head;
  int32_t finish = 0, http_status = 0, tokens_source = 0, retries = 0;
  int64_t error_bytes = 0;
  int64_t input_tokens = 0;
  int64_t output_tokens = -1, reasoning_tokens = -1, cached_input_tokens = -1;  // -1 = not told
  double server_prefill_s = -1, server_decode_s = -1;                           // -1 = not told
  Timings timings;
};
static_assert(sizeof(ChunkEvent) == 16 && sizeof(SendEvent) == 32 && sizeof(FinishEvent) == 128);
static_assert(std::is_trivially_copyable_v<FinishEvent>);

constexpr int64_t kMostChunkTokens = UINT16_MAX;
constexpr size_t kMostTextBytes = 4096;

uint64_t Checksum(uint32_t type, std::string_view payload) {
  return XXH3_64bits_withSeed(payload.data(), payload.size(), (uint64_t{type} << 32) | payload.size());
}

Head HeadOf(Kind kind, uint64_t ticket, uint16_t value = 0, uint8_t flags = 0) {
  return {kind, flags, value, static_cast<uint32_t>(ticket)};
}

template <typename T>
T OrMinusOne(const std::optional<T>& value) {
  return value.value_or(T{-1});
}
template <typename T>
std::optional<T> UnlessNegative(T value) {
  return value < 0 ? std::nullopt : std::optional(value);
}

Json ToJson(const EventLogHeader& header) {
  return {{"system", header.cell.system},
          {"concurrency", header.cell.concurrency},
          {"repeat", header.cell.repeat},
          {"origin_ns", header.origin_ns},
          {"started_at", header.started_at}};
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

// Feeds events to the same recorder that a run uses.
class Replay {
 public:
  explicit Replay(const EventLogHeader& header) : recorder_(header.cell, header.origin_ns) {}

  Status Frame(std::string_view payload) {
    while (!payload.empty()) {
      Head head;
      RETURN_IF_ERROR(Peek(payload, head));
      RETURN_IF_ERROR(CheckTicket(head));
      RETURN_IF_ERROR(One(head, payload));
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
    RETURN_IF_ERROR(Count(head.value));
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
        event.output_tokens > kMostTokens) {
      return BadInput("the end of a request makes no sense");
    }
    const Timings& timings = event.timings;
    RETURN_IF_ERROR(CheckInstants({timings.connect_start_ns, timings.connected_ns, timings.sent_ns, timings.headers_ns,
                                   timings.first_byte_ns, timings.end_ns}));
    RETURN_IF_ERROR(Count(event.output_tokens));
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

  // Bounds what a hostile file can make the reader allocate: 800 MB.
  static constexpr int64_t kMostTokens = 100'000'000;
  Status Count(int64_t tokens) {
    tokens_ += std::max<int64_t>(tokens, 0);
    return tokens_ <= kMostTokens ? Status() : BadInput(fmt::format("it tells of more than {} tokens", kMostTokens));
  }

  int64_t tokens_ = 0;
  std::unordered_map<uint64_t, Completion> details_;  // by ticket, until the request ends
  Recorder recorder_;
};

}  // namespace

EventLogWriter::EventLogWriter(int fd, std::string name, int64_t now_ns)
    : fd_(fd), name_(std::move(name)), flushed_ns_(now_ns) {
  buffer_.reserve(2 * kBufferBytes);
}

EventLogWriter::EventLogWriter(EventLogWriter&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      name_(std::move(other.name_)),
      buffer_(std::move(other.buffer_)),
      flushed_ns_(other.flushed_ns_) {}

EventLogWriter::~EventLogWriter() { static_cast<void>(Close()); }

Result<EventLogWriter> EventLogWriter::Create(const std::filesystem::path& path, const EventLogHeader& header,
                                              const Clock& clock) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return BadInput(fmt::format("cannot write {}: {}", path.string(), std::strerror(errno)));
  EventLogWriter writer(fd, path.string(), clock.NowNs());
  std::string head(kMagic);
  head.append(reinterpret_cast<const char*>(&kVersion), sizeof(kVersion));
  if (::write(fd, head.data(), head.size()) != std::ssize(head))
    return Failed(fmt::format("cannot write {}: {}", writer.name_, std::strerror(errno)));
  RETURN_IF_ERROR(writer.WriteFrame(kHeaderFrame, DumpJson(ToJson(header))));
  return writer;
}

template <typename Event>
void EventLogWriter::Append(const Event& event) {
  buffer_.append(reinterpret_cast<const char*>(&event), sizeof(event));
}

void EventLogWriter::AppendText(std::string_view text) { buffer_.append(text); }

void EventLogWriter::OnSend(uint64_t ticket, std::string_view id, int client, int64_t intended_ns, int64_t now_ns) {
  id = id.substr(0, kMostTextBytes);
  Append(SendEvent{HeadOf(kSend, ticket, static_cast<uint16_t>(id.size())), now_ns, intended_ns, client});
  AppendText(id);
}

void EventLogWriter::OnNotIssued(uint64_t ticket, std::string_view id, int client, int64_t intended_ns) {
  id = id.substr(0, kMostTextBytes);
  Append(NotIssuedEvent{HeadOf(kNotIssued, ticket, static_cast<uint16_t>(id.size())), intended_ns, client});
  AppendText(id);
}

void EventLogWriter::OnGivenUp(uint64_t ticket, record::RequestError kind) {
  Append(GivenUpEvent{HeadOf(kGivenUp, ticket, static_cast<uint16_t>(kind))});
}

void EventLogWriter::OnChunk(uint64_t ticket, const Chunk& chunk) {
  const bool has_delay = chunk.kernel_delay_ns >= 0;
  uint8_t flags = (chunk.reasoning ? kReasoning : 0) | (has_delay ? kHasDelay : 0);
  int64_t tokens = chunk.tokens;
  do {  // an answer that came whole may hold more tokens than an event can
    const int64_t part = std::min(tokens, kMostChunkTokens);
    Append(ChunkEvent{HeadOf(kChunk, ticket, static_cast<uint16_t>(part), flags), chunk.arrival_ns});
    if ((flags & kHasDelay) != 0) Append(chunk.kernel_delay_ns);
    flags &= static_cast<uint8_t>(~kHasDelay);
    tokens -= part;
  } while (tokens > 0);
}

void EventLogWriter::AppendDetails(uint64_t ticket, const Completion& completion) {
  const std::string_view request_id = std::string_view(completion.request_id).substr(0, kMostTextBytes);
  const std::string_view response_id = std::string_view(completion.response_id).substr(0, kMostTextBytes);
  size_t quirks_bytes = 0, quirks = 0;
  for (const std::string& quirk : completion.quirks) {
    if (quirks_bytes + quirk.size() + 1 > kMostTextBytes) break;
    quirks_bytes += quirk.size() + 1;
    ++quirks;
  }
  DetailsEvent event;
  event.head = HeadOf(kDetails, ticket, static_cast<uint16_t>(completion.timing_gap));
  event.first_event_ns = completion.first_event_ns;
  event.request_id_bytes = static_cast<int32_t>(request_id.size());
  event.response_id_bytes = static_cast<int32_t>(response_id.size());
  event.quirks_bytes = static_cast<int32_t>(quirks_bytes);
  Append(event);
  AppendText(request_id);
  AppendText(response_id);
  for (size_t i = 0; i < quirks; ++i) {
    AppendText(completion.quirks[i]);
    AppendText("\n");
  }
}

void EventLogWriter::OnFinish(uint64_t ticket, const Completion& completion) {
  AppendDetails(ticket, completion);
  const std::string_view error = std::string_view(completion.error).substr(0, kMostTextBytes);
  FinishEvent event;
  event.error_bytes = std::ssize(error);
  event.head = HeadOf(kFinish, ticket, static_cast<uint16_t>(completion.error_kind));
  event.finish = static_cast<int32_t>(completion.finish);
  event.http_status = completion.http_status;
  event.tokens_source = static_cast<int32_t>(completion.tokens_source);
  event.retries = completion.retries;
  event.input_tokens = completion.input_tokens;
  event.output_tokens = OrMinusOne(completion.output_tokens);
  event.reasoning_tokens = OrMinusOne(completion.reasoning_tokens);
  event.cached_input_tokens = OrMinusOne(completion.cached_input_tokens);
  event.server_prefill_s = OrMinusOne(completion.server_prefill_s);
  event.server_decode_s = OrMinusOne(completion.server_decode_s);
  event.timings = completion.timings;
  Append(event);
  AppendText(error);
}

Status EventLogWriter::Flush(int64_t now_ns) {
  if (buffer_.empty() || (buffer_.size() < kBufferBytes && now_ns - flushed_ns_ < kFlushNs)) return {};
  flushed_ns_ = now_ns;
  const Status written = WriteFrame(kEventFrame, buffer_);
  buffer_.clear();
  return written;
}

Status EventLogWriter::Close() {
  if (fd_ < 0) return {};
  Status written;
  if (!buffer_.empty()) written = WriteFrame(kEventFrame, buffer_);
  buffer_.clear();
  const bool synced = ::fsync(fd_) == 0 || errno == EINVAL;  // a pipe cannot be synced
  const int error_number = errno;
  ::close(std::exchange(fd_, -1));
  RETURN_IF_ERROR(written);
  return synced ? Status() : Failed(fmt::format("cannot write {}: {}", name_, std::strerror(error_number)));
}

Status EventLogWriter::WriteFrame(uint32_t type, std::string_view payload) {
  const FrameHead head{type, static_cast<uint32_t>(payload.size()), Checksum(type, payload)};
  for (std::string_view piece : {std::string_view(reinterpret_cast<const char*>(&head), sizeof(head)), payload}) {
    while (!piece.empty()) {
      const ssize_t written = ::write(fd_, piece.data(), piece.size());
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) return Failed(fmt::format("cannot write {}: {}", name_, std::strerror(errno)));
      piece.remove_prefix(static_cast<size_t>(written));
    }
  }
  return {};
}

Result<EventLog> ParseEventLog(std::string_view bytes) {
  if (bytes.size() < kFileHeadBytes || !bytes.starts_with(kMagic))
    return BadInput("this is no event log (events.bin) of moecap");
  uint32_t version = 0;
  std::memcpy(&version, bytes.data() + kMagic.size(), sizeof(version));
  if (version < kOldestVersion || version > kVersion) {
    return BadInput(
        fmt::format("version {} is not known to this program (it knows {} to {})", version, kOldestVersion, kVersion));
  }
  bytes.remove_prefix(kFileHeadBytes);
  EventLog log;
  std::optional<Replay> replay;
  while (!bytes.empty()) {
    FrameHead head;
    log.damaged_bytes = bytes.size();
    if (bytes.size() < sizeof(head)) break;
    std::memcpy(&head, bytes.data(), sizeof(head));
    const std::string_view payload = bytes.substr(sizeof(head), head.bytes);
    if (payload.size() < head.bytes || Checksum(head.type, payload) != head.checksum) break;
    if (head.type == kHeaderFrame && !replay) {
      ASSIGN_OR_RETURN(log.header, HeaderFromJson(std::string(payload)));
      RETURN_IF_ERROR(CheckInstants({log.header.origin_ns}));
      replay.emplace(log.header);
    } else if (head.type == kEventFrame && replay) {
      RETURN_IF_ERROR(replay->Frame(payload));
    } else {
      return BadInput(fmt::format("a frame of type {} stands where it cannot", head.type));
    }
    bytes.remove_prefix(sizeof(head) + head.bytes);
    log.damaged_bytes = 0;
  }
  if (!replay) return BadInput("it ends within its header");
  log.result = std::move(*replay).Finish();
  return log;
}

Result<EventLog> ReadEventLog(const std::filesystem::path& path) {
  ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path));
  auto log = ParseEventLog(bytes);
  if (!log.ok()) return Annotate(path.string(), log.error());
  return log;
}

}  // namespace moecap::load
