#include "net/stream_parser.h"

#include <cstring>

#include "base/check.h"

namespace moecap::net {
namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

// First CR or LF, or npos.
size_t FindLineEnd(std::string_view text) {
  const void* line_feed = std::memchr(text.data(), '\n', text.size());
  const size_t length =
      line_feed == nullptr ? text.size() : static_cast<size_t>(static_cast<const char*>(line_feed) - text.data());
  const void* carriage_return = std::memchr(text.data(), '\r', length);
  if (carriage_return != nullptr) return static_cast<size_t>(static_cast<const char*>(carriage_return) - text.data());
  return line_feed == nullptr ? std::string_view::npos : length;
}

}  // namespace

void StreamParser::ObjectScan::Feed(std::string_view line) {
  bool escaped = false;
  for (const char c : line) {
    if (in_string) {
      in_string = escaped || c != '"';
      escaped = !escaped && c == '\\';
      continue;
    }
    if (c == ' ' || c == '\t') continue;
    broken = broken || whole || (!began && c != '{');
    began = true;
    if (c == '"') in_string = true;
    if (c == '{' || c == '[') ++depth;
    if ((c == '}' || c == ']') && --depth == 0) whole = true;
  }
}

StreamParser::StreamParser(StreamFormat format, size_t max_event_bytes) : format_(format), max_event_bytes_(max_event_bytes) {
  constexpr size_t kUsualEventBytes = 1024;
  line_.reserve(kUsualEventBytes);
  data_.reserve(kUsualEventBytes);
}

void StreamParser::Reset(StreamFormat format) {
  format_ = format;
  input_ = {};
  skip_line_feed_ = line_taken_ = has_data_ = data_is_view_ = dispatched_ = ended_early_ = lacks_empty_lines_ = false;
  scan_ = {};
  first_line_ = true;
  line_.clear();
  data_.clear();
  type_.clear();
}

void StreamParser::Push(std::string_view bytes) {
  CHECK(input_.empty());
  input_ = bytes;
}

// The next whole line without its end; false when it is not complete yet (its beginning is then in `line_`).
bool StreamParser::TakeLine(std::string_view& line, bool& copied) {
  if (line_taken_) {
    line_.clear();
    line_taken_ = false;
  }
  if (skip_line_feed_ && !input_.empty()) {
    if (input_.front() == '\n') input_.remove_prefix(1);
    skip_line_feed_ = false;
  }
  if (input_.empty()) return false;
  // A CR ends a line of server-sent events, but is only white space in JSON.
  const size_t end = format_ == StreamFormat::kNdjson ? input_.find('\n') : FindLineEnd(input_);
  if (end == std::string_view::npos) {
    line_.append(input_);
    input_ = {};
    return false;
  }
  copied = !line_.empty();
  if (copied) {
    line_.append(input_.substr(0, end));
    line = line_;
    line_taken_ = true;
  } else {
    line = input_.substr(0, end);
  }
  const bool carriage_return = input_[end] == '\r';
  input_.remove_prefix(end + 1);
  if (carriage_return) {
    if (input_.empty()) {
      skip_line_feed_ = true;
    } else if (input_.front() == '\n') {
      input_.remove_prefix(1);
    }
  }
  if (first_line_) {
    first_line_ = false;
    if (line.starts_with(kByteOrderMark)) line.remove_prefix(kByteOrderMark.size());
  }
  return true;
}

// Copies the pending data line out of the bytes that are about to go.
void StreamParser::KeepView() {
  if (!data_is_view_) return;
  data_.assign(view_);
  data_is_view_ = false;
}

void StreamParser::TakeField(std::string_view line, bool copied) {
  const size_t colon = line.find(':');
  const std::string_view name = line.substr(0, colon);
  std::string_view value = colon == std::string_view::npos ? std::string_view() : line.substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (name == "data") {
    lacks_empty_lines_ = lacks_empty_lines_ || ended_early_;
    scan_.Feed(value);
    if (!has_data_ && !copied) {
      view_ = value;
      data_is_view_ = true;
    } else {
      KeepView();
      if (has_data_) data_ += '\n';
      data_ += value;
    }
    has_data_ = true;
  } else if (name == "event") {
    type_.assign(value);
  }
}

// Whether what comes next depends on what came before.
bool StreamParser::IsPending() const {
  const bool in_event = !dispatched_ && (has_data_ || !type_.empty());
  return in_event || first_line_ || skip_line_feed_ || (!line_.empty() && !line_taken_);
}

std::string_view StreamParser::Ahead() const {
  constexpr std::string_view kData = "data: ";
  if (IsPending() || format_ != StreamFormat::kServerSentEvents || !input_.starts_with(kData)) return {};
  return input_.substr(kData.size());
}

bool StreamParser::TakeAhead(size_t size) {
  const std::string_view rest = Ahead().substr(size);
  if (size > max_event_bytes_ || !rest.starts_with("\n\n")) return false;
  input_ = rest.substr(2);
  return true;
}

// The usual case at once: nothing is pending, and the bytes hold one data line and the empty line behind it.
bool StreamParser::TakeWholeEvent(StreamEvent& event) {
  constexpr std::string_view kData = "data:";
  if (IsPending() || !input_.starts_with(kData)) return false;
  const size_t end = FindLineEnd(input_);
  if (end > max_event_bytes_ || end + 1 >= input_.size() || input_[end] != '\n' || input_[end + 1] != '\n') return false;
  event.data = input_.substr(kData.size(), end - kData.size());
  if (event.data.starts_with(' ')) event.data.remove_prefix(1);
  event.type = {};
  input_.remove_prefix(end + 2);
  return true;
}

StreamParser::Step StreamParser::Next(StreamEvent& event) {
  if (format_ == StreamFormat::kNdjson) return NextNdjson(event);
  ForgetDispatched();
  if (input_.empty() && !IsPending()) return Step::kNeedBytes;
  if (TakeWholeEvent(event)) return Step::kEvent;
  std::string_view line;
  bool copied = false;
  while (TakeLine(line, copied)) {
    if (!line.empty()) {
      if (line.size() + (data_is_view_ ? view_.size() : data_.size()) > max_event_bytes_) return Step::kTooLarge;
      TakeField(line, copied);
      if (!scan_.whole || scan_.broken) continue;
      Dispatch(event);
      ended_early_ = true;
      // The usual empty line at once, so that the next event can be taken as a whole.
      if (!skip_line_feed_ && input_.starts_with('\n')) {
        input_.remove_prefix(1);
        ended_early_ = false;
      }
      return Step::kEvent;
    }
    ended_early_ = false;
    if (!has_data_) {
      type_.clear();
      if (TakeWholeEvent(event)) return Step::kEvent;
      continue;
    }
    Dispatch(event);
    return Step::kEvent;
  }
  KeepView();
  return line_.size() + data_.size() > max_event_bytes_ ? Step::kTooLarge : Step::kNeedBytes;
}

void StreamParser::Dispatch(StreamEvent& event) {
  event.data = data_is_view_ ? view_ : std::string_view(data_);
  event.type = type_;
  dispatched_ = true;
}

void StreamParser::ForgetDispatched() {
  if (!dispatched_) return;
  dispatched_ = has_data_ = data_is_view_ = false;
  data_.clear();
  type_.clear();
  scan_ = {};
}

bool StreamParser::TakeRest(StreamEvent& event) {
  CHECK(input_.empty());
  if (line_taken_) line_.clear();
  line_taken_ = true;
  if (format_ == StreamFormat::kNdjson) {
    event = {line_, {}};
    return line_.find_first_not_of(" \t\r") != std::string::npos;
  }
  ForgetDispatched();
  if (!line_.empty()) TakeField(line_, /*copied=*/true);
  if (!has_data_) return false;
  Dispatch(event);
  return true;
}

StreamParser::Step StreamParser::NextNdjson(StreamEvent& event) {
  std::string_view line;
  bool copied = false;
  while (TakeLine(line, copied)) {
    if (line.size() > max_event_bytes_) return Step::kTooLarge;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    event.data = line;
    event.type = {};
    return Step::kEvent;
  }
  return line_.size() > max_event_bytes_ ? Step::kTooLarge : Step::kNeedBytes;
}

}  // namespace moecap::net
