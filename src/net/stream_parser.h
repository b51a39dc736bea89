// Events out of a byte stream: server-sent events (WHATWG HTML, section 9.2.6) and newline-delimited JSON. Any split of the
// stream into pushes gives the same events.
//
// One deviation: an event whose data so far is one whole JSON object ends with its line, since some servers put one line end
// instead of two between events. What follows could not be a part of it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace moecap::net {

enum class StreamFormat { kServerSentEvents, kNdjson };

struct StreamEvent {
  std::string_view data;  // the data lines joined by '\n'; of NDJSON the line without its end
  std::string_view type;  // of the `event:` field; "" = a message
};

// One stream. Allocates only when an event that comes in several pieces or lines is longer than any before.
class StreamParser {
 public:
  static constexpr size_t kDefaultMaxEventBytes = size_t{64} << 20;

  explicit StreamParser(StreamFormat format = StreamFormat::kServerSentEvents, size_t max_event_bytes = kDefaultMaxEventBytes);

  // Forgets everything, for the next stream.
  void Reset(StreamFormat format);

  // The next bytes of the stream. Requires that Next said kNeedBytes; `bytes` must stay unchanged until it does again.
  void Push(std::string_view bytes);

  enum class Step {
    kEvent,      // `event` is filled; its views hold until the next call
    kNeedBytes,  // everything pushed is used up
    kTooLarge,   // an event longer than max_event_bytes; the stream cannot be read on
  };
  Step Next(StreamEvent& event);

  // For a caller who may know the next event without looking for its end: the bytes behind its "data: ", when a server-sent
  // event begins here; else empty. More than this event may follow.
  std::string_view Ahead() const;
  // Takes the event whose data are the first `size` > 0 bytes of Ahead(), among which there is no line end. False, and nothing
  // is taken, when these are not the whole event.
  bool TakeAhead(size_t size);

  // Whether the stream could end here; false = an incomplete event is pending. (A stream's end completes no event.)
  bool AtBoundary() const { return (line_.empty() || line_taken_) && !has_data_; }

  // At the stream's end, after Next said kNeedBytes: the event or line that lacks nothing but its end, which the specification
  // drops. False = there is none.
  bool TakeRest(StreamEvent& event);

  // Whether an event began without an empty line before it.
  bool lacks_empty_lines() const { return lacks_empty_lines_; }

 private:
  bool IsPending() const;
  bool TakeWholeEvent(StreamEvent& event);
  bool TakeLine(std::string_view& line, bool& copied);
  void TakeField(std::string_view line, bool copied);
  Step NextNdjson(StreamEvent& event);
  void KeepView();
  void Dispatch(StreamEvent& event);
  void ForgetDispatched();

  StreamFormat format_;
  size_t max_event_bytes_;
  std::string_view input_;
  bool skip_line_feed_ = false;  // the last byte was the CR of what may be a CRLF
  bool first_line_ = true;       // may start with a byte order mark
  bool line_taken_ = false;      // `line_` was handed out by TakeLine and is to be cleared
  std::string line_;             // beginning of a line whose end was not pushed yet

  bool has_data_ = false;
  bool data_is_view_ = false;  // the event's only data line is `view_`, inside the bytes pushed
  bool dispatched_ = false;    // the last event's data is to be cleared
  bool ended_early_ = false;   // the last event's empty line has not come yet
  bool lacks_empty_lines_ = false;
  // How far the data is one JSON object.
  struct ObjectScan {
    void Feed(std::string_view line);
    int depth = 0;
    bool in_string = false, began = false, whole = false, broken = false;
  } scan_;
  std::string_view view_;
  std::string data_;
  std::string type_;
};

}  // namespace moecap::net
