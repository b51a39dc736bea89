#include "load/event_log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/json.h"
#include "load/event_log_format.h"

namespace moecap::load {
namespace {

// Written out when it is full: small enough that the write does not hold up the loop.
constexpr size_t kBufferBytes = size_t{1} << 16;

Head HeadOf(Kind kind, uint64_t ticket, uint16_t value = 0, uint8_t flags = 0) {
  return {kind, flags, value, static_cast<uint32_t>(ticket)};
}

template <typename T>
T OrMinusOne(const std::optional<T>& value) {
  return value.value_or(T{-1});
}

Json ToJson(const EventLogHeader& header) {
  return {{"system", header.cell.system},
          {"concurrency", header.cell.concurrency},
          {"repeat", header.cell.repeat},
          {"origin_ns", header.origin_ns},
          {"started_at", header.started_at}};
}

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

}  // namespace moecap::load
