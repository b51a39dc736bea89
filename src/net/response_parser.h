// HTTP/1.x responses (RFC 9112) out of a byte stream, for a client that never pipelines. Any split of the stream into pushes
// gives the same head and the same body bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace moecap::net {

// Status line and header fields of a response.
class ResponseHead {
 public:
  int status() const { return status_; }
  // Value of the first field of this name (compared without case); "" when there is none. Valid until the next response.
  std::string_view Field(std::string_view name) const;

 private:
  friend class ResponseParser;
  struct Span {
    uint32_t begin, size;
  };
  int status_ = 0;
  std::string text_;
  std::vector<std::pair<Span, Span>> fields_;
};

// One connection's responses, one after the other. Allocates nothing in a body.
class ResponseParser {
 public:
  static constexpr size_t kDefaultMaxHeadBytes = size_t{64} << 10;

  explicit ResponseParser(size_t max_head_bytes = kDefaultMaxHeadBytes) : max_head_bytes_(max_head_bytes) {}

  // Starts the next response. `head_only`: none has a body (the answer to CONNECT).
  void Reset(bool head_only = false);

  // The next bytes of the connection. Requires that Next said kNeedBytes (or Reset); `bytes` must stay until it does again.
  void Push(std::string_view bytes);

  enum class Step {
    kHead,       // head() is filled
    kBody,       // `body` is a non-empty piece of the body; valid until the next Push
    kEnd,        // the response is complete; what was pushed beyond it is in Rest()
    kNeedBytes,  // everything pushed is used up
    kError,      // error() says why; the connection cannot be read on
  };
  Step Next(std::string_view& body);

  // The peer closed the connection: kEnd when that ends the body, else kError.
  Step PushEnd();

  const ResponseHead& head() const { return head_; }
  const std::string& error() const { return error_; }
  bool started() const { return started_; }        // any byte of the response was pushed
  bool head_done() const { return head_done_; }    // kHead was returned
  bool keep_alive() const { return keep_alive_; }  // after kEnd: the connection can take the next request
  std::string_view Rest() const { return input_; }

 private:
  enum class State { kHead, kFixed, kUntilClose, kChunkSize, kChunkData, kChunkEnd, kTrailers, kDone, kFailed };

  Step Fail(std::string why);
  bool CollectHead();
  bool ParseHead();
  bool ParseStatusLine(std::string_view line);
  bool ParseField(std::string_view line, size_t line_begin);
  bool ChooseFraming();
  Step TakeBytes(std::string_view& body);
  bool TakePlainChunkSize();
  Step TakeChunkSize();
  Step TakeChunkEnd();
  Step TakeTrailers();

  size_t max_head_bytes_;
  State state_ = State::kHead;
  bool head_only_ = false;
  bool started_ = false;
  bool head_done_ = false;
  bool keep_alive_ = false;
  std::string_view input_;
  ResponseHead head_;
  std::string error_;
  int interim_responses_ = 0;
  size_t head_bytes_ = 0;      // of this response, interim ones and trailers included
  size_t line_bytes_ = 0;      // of the head's or trailers' current line
  uint64_t remaining_ = 0;     // of the body or the chunk
  int size_digits_ = 0;        // of the chunk's size so far
  bool in_extension_ = false;  // behind the size, up to the line's end
};

}  // namespace moecap::net
