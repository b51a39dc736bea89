#include "net/response_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/check.h"

namespace moecap::net {
namespace {

constexpr int kMostInterimResponses = 64;
constexpr size_t kMostFields = 512;

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

bool SameName(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return Lower(x) == Lower(y); });
}

std::string_view Trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r')) text.remove_suffix(1);
  return text;
}

bool IsTokenChar(char c) {
  constexpr std::string_view kOthers = "!#$%&'*+-.^_`|~";
  return (Lower(c) >= 'a' && Lower(c) <= 'z') || (c >= '0' && c <= '9') || kOthers.find(c) != std::string_view::npos;
}

bool HasToken(std::string_view list, std::string_view token) {
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    if (SameName(Trimmed(list.substr(0, comma)), token)) return true;
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return false;
}

std::optional<uint64_t> ParseLength(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// What a peer that does not speak HTTP may be.
std::string Guess(std::string_view line) {
  if (line.size() >= 2 && (line[0] == '\x15' || line[0] == '\x16') && line[1] == '\x03')
    return "the answer is not HTTP but looks like TLS; write https:// in the URL";
  std::string shown;
  for (const char c : line.substr(0, 12)) shown += c >= ' ' && c <= '~' ? c : '.';
  return fmt::format("the answer is not HTTP/1.x: it begins with \"{}\"; is this the right port?", shown);
}

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = Lower(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

}  // namespace

std::string_view ResponseHead::Field(std::string_view name) const {
  const std::string_view text = text_;
  for (const auto& [key, value] : fields_) {
    if (SameName(text.substr(key.begin, key.size), name)) return text.substr(value.begin, value.size);
  }
  return {};
}

void ResponseParser::Reset(bool head_only) {
  state_ = State::kHead;
  head_only_ = head_only;
  started_ = head_done_ = keep_alive_ = in_extension_ = false;
  input_ = {};
  head_.status_ = 0;
  head_.text_.clear();
  head_.fields_.clear();
  error_.clear();
  interim_responses_ = size_digits_ = 0;
  head_bytes_ = line_bytes_ = 0;
  remaining_ = 0;
}

void ResponseParser::Push(std::string_view bytes) {
  CHECK(input_.empty());
  input_ = bytes;
  started_ = started_ || !bytes.empty();
}

ResponseParser::Step ResponseParser::Fail(std::string why) {
  state_ = State::kFailed;
  error_ = std::move(why);
  return Step::kError;
}

// Appends to the head's text up to the empty line that ends it; false when it is not there yet.
bool ResponseParser::CollectHead() {
  size_t used = 0;
  bool complete = false;
  while (used < input_.size() && !complete && head_bytes_ + used <= max_head_bytes_) {
    const char c = input_[used++];
    if (c != '\n') {
      line_bytes_ += c == '\r' ? 0 : 1;
      continue;
    }
    // Empty lines before a status line are to be ignored (RFC 9112, 2.2).
    complete = line_bytes_ == 0 && head_.text_.size() + used > 2;
    line_bytes_ = 0;
  }
  head_.text_.append(input_.substr(0, used));
  head_bytes_ += used;
  input_.remove_prefix(used);
  return complete;
}

bool ResponseParser::ParseStatusLine(std::string_view line) {
  // HTTP/1.1 200 OK; the reason is optional.
  const bool shape = line.size() >= 12 && line.starts_with("HTTP/1.") && line[8] == ' ' && line[7] >= '0' && line[7] <= '9';
  const auto status = shape ? ParseLength(line.substr(9, 3)) : std::nullopt;
  if (!status || *status < 100 || *status > 599 || (line.size() > 12 && line[12] != ' ')) {
    Fail(Guess(line));
    return false;
  }
  head_.status_ = static_cast<int>(*status);
  keep_alive_ = line[7] != '0';
  return true;
}

bool ResponseParser::ParseField(std::string_view line, size_t line_begin) {
  const size_t colon = line.find(':');
  const std::string_view name = line.substr(0, colon);
  if (colon == std::string_view::npos || name.empty() || !std::all_of(name.begin(), name.end(), IsTokenChar)) {
    Fail(fmt::format("header line {} is not \"name: value\"", head_.fields_.size() + 1));
    return false;
  }
  if (head_.fields_.size() == kMostFields) {
    Fail(fmt::format("the response has more than {} header fields", kMostFields));
    return false;
  }
  const std::string_view value = Trimmed(line.substr(colon + 1));
  const size_t value_begin = value.empty() ? 0 : line_begin + static_cast<size_t>(value.data() - line.data());
  head_.fields_.push_back({{static_cast<uint32_t>(line_begin), static_cast<uint32_t>(name.size())},
                           {static_cast<uint32_t>(value_begin), static_cast<uint32_t>(value.size())}});
  return true;
}

bool ResponseParser::ParseHead() {
  const std::string_view text = head_.text_;
  size_t begin = 0;
  bool status_seen = false;
  while (begin < text.size()) {
    const size_t end = text.find('\n', begin);
    std::string_view line = text.substr(begin, end - begin);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!line.empty()) {
      if (!(status_seen ? ParseField(line, begin) : ParseStatusLine(line))) return false;
      status_seen = true;
    }
    begin = end + 1;
  }
  return true;
}

// How the body ends (RFC 9112, 6.3).
bool ResponseParser::ChooseFraming() {
  std::optional<uint64_t> length;
  std::string_view coding;
  const std::string_view text = head_.text_;
  for (const auto& [key, value] : head_.fields_) {
    const std::string_view name = text.substr(key.begin, key.size);
    const std::string_view content = text.substr(value.begin, value.size);
    if (SameName(name, "connection")) {
      if (HasToken(content, "close"))
        keep_alive_ = false;
      else if (HasToken(content, "keep-alive"))
        keep_alive_ = true;
    } else if (SameName(name, "transfer-encoding")) {
      coding = content;
    } else if (SameName(name, "content-length")) {
      const auto parsed = ParseLength(content);
      if (!parsed || (length && *length != *parsed)) {
        Fail("the response's content-length is not one number");
        return false;
      }
      length = parsed;
    }
  }
  if (head_only_ || head_.status_ == 204 || head_.status_ == 304) {
    state_ = State::kDone;
  } else if (!coding.empty() && !SameName(coding, "identity")) {
    if (!SameName(coding, "chunked")) {
      Fail(fmt::format("the response's transfer-encoding \"{}\" is not supported; only chunked is", coding));
      return false;
    }
    // Both lengths at once may be an attack on a proxy between: read this one, then let the connection go.
    if (length) keep_alive_ = false;
    state_ = State::kChunkSize;
  } else if (length) {
    remaining_ = *length;
    state_ = remaining_ == 0 ? State::kDone : State::kFixed;
  } else {
    keep_alive_ = false;
    state_ = State::kUntilClose;
  }
  return true;
}

ResponseParser::Step ResponseParser::TakeBytes(std::string_view& body) {
  const size_t size = static_cast<size_t>(std::min<uint64_t>(remaining_, input_.size()));
  body = input_.substr(0, size);
  input_.remove_prefix(size);
  remaining_ -= size;
  if (remaining_ == 0) {
    line_bytes_ = 0;
    state_ = state_ == State::kChunkData ? State::kChunkEnd : State::kDone;
  }
  return Step::kBody;
}

// The usual size line at once: up to 8 digits and CRLF, nothing of it taken yet.
bool ResponseParser::TakePlainChunkSize() {
  constexpr size_t kMostDigits = 8;
  if (line_bytes_ != 0) return false;
  uint64_t size = 0;
  size_t digits = 0;
  for (; digits < std::min(kMostDigits, input_.size()); ++digits) {
    const int value = HexValue(input_[digits]);
    if (value < 0) break;
    size = size * 16 + static_cast<uint64_t>(value);
  }
  if (digits == 0 || !input_.substr(digits).starts_with("\r\n")) return false;
  input_.remove_prefix(digits + 2);
  remaining_ = size;
  state_ = size == 0 ? State::kTrailers : State::kChunkData;
  return true;
}

ResponseParser::Step ResponseParser::TakeChunkSize() {
  if (TakePlainChunkSize()) return Step::kNeedBytes;
  while (!input_.empty()) {
    const char c = input_.front();
    input_.remove_prefix(1);
    if (++line_bytes_ > max_head_bytes_) return Fail("a chunk's size line is too long");
    if (c == '\n') {
      if (size_digits_ == 0) return Fail("a chunk has no size");
      size_digits_ = 0;
      in_extension_ = false;
      line_bytes_ = 0;
      state_ = remaining_ == 0 ? State::kTrailers : State::kChunkData;
      return Step::kNeedBytes;
    }
    if (in_extension_) continue;
    const int digit = HexValue(c);
    if (digit >= 0) {
      if (++size_digits_ > 15) return Fail("a chunk's size has too many digits");
      remaining_ = remaining_ * 16 + static_cast<uint64_t>(digit);
    } else if (c == ';' || c == ' ' || c == '\t' || c == '\r') {
      in_extension_ = true;
    } else {
      return Fail("a chunk's size is not a hexadecimal number");
    }
  }
  return Step::kNeedBytes;
}

// The CRLF behind a chunk's data.
ResponseParser::Step ResponseParser::TakeChunkEnd() {
  if (line_bytes_ == 0 && input_.starts_with("\r\n")) {
    input_.remove_prefix(2);
    state_ = State::kChunkSize;
    return Step::kNeedBytes;
  }
  while (!input_.empty()) {
    const char c = input_.front();
    input_.remove_prefix(1);
    if (c == '\n') {
      line_bytes_ = 0;
      state_ = State::kChunkSize;
      return Step::kNeedBytes;
    }
    if (c != '\r' || ++line_bytes_ > 1) return Fail("a chunk is longer than it says");
  }
  return Step::kNeedBytes;
}

ResponseParser::Step ResponseParser::TakeTrailers() {
  while (!input_.empty()) {
    const char c = input_.front();
    input_.remove_prefix(1);
    if (++head_bytes_ > max_head_bytes_) return Fail("the response's trailers are too large");
    if (c == '\n') {
      if (line_bytes_ == 0) {
        state_ = State::kDone;
        return Step::kNeedBytes;
      }
      line_bytes_ = 0;
    } else if (c != '\r') {
      ++line_bytes_;
    }
  }
  return Step::kNeedBytes;
}

ResponseParser::Step ResponseParser::Next(std::string_view& body) {
  for (;;) {
    switch (state_) {
      case State::kDone:
        return Step::kEnd;
      case State::kFailed:
        return Step::kError;
      case State::kHead:
        if (!CollectHead()) {
          if (head_bytes_ > max_head_bytes_)
            return Fail(fmt::format("the response's headers are larger than {} bytes", max_head_bytes_));
          // A peer that speaks something else may never end a line.
          if (head_.text_.size() >= 12 && head_.text_[0] != '\r' && head_.text_[0] != '\n' &&
              !head_.text_.starts_with("HTTP/1."))
            return Fail(Guess(head_.text_));
          return Step::kNeedBytes;
        }
        if (!ParseHead()) return Step::kError;
        if (head_.status_ == 101) return Fail("the server switched protocols, which was not asked for");
        if (head_.status_ < 200) {
          if (++interim_responses_ > kMostInterimResponses) return Fail("the server sends interim responses without end");
          head_.text_.clear();
          head_.fields_.clear();
          continue;
        }
        head_done_ = ChooseFraming();
        return head_done_ ? Step::kHead : Step::kError;
      case State::kUntilClose:
        if (input_.empty()) return Step::kNeedBytes;
        body = input_;
        input_ = {};
        return Step::kBody;
      case State::kChunkEnd:
        if (TakeChunkEnd() == Step::kError) return Step::kError;
        if (state_ != State::kChunkSize || input_.empty()) break;
        [[fallthrough]];
      case State::kChunkSize:
        if (TakeChunkSize() == Step::kError) return Step::kError;
        if (state_ != State::kChunkData) break;
        [[fallthrough]];
      case State::kFixed:
      case State::kChunkData:
        return input_.empty() ? Step::kNeedBytes : TakeBytes(body);
      case State::kTrailers:
        if (TakeTrailers() == Step::kError) return Step::kError;
        break;
    }
    if (input_.empty() && state_ != State::kDone) return Step::kNeedBytes;
  }
}

ResponseParser::Step ResponseParser::PushEnd() {
  if (state_ == State::kDone) return Step::kEnd;
  if (state_ == State::kFailed) return Step::kError;
  if (state_ == State::kUntilClose) {
    state_ = State::kDone;
    return Step::kEnd;
  }
  const bool in_head = state_ == State::kHead;
  const std::string guess = in_head && !head_.text_.empty() && !head_.text_.starts_with("HTTP/1.") ? Guess(head_.text_) : "";
  return Fail(!guess.empty() ? guess
              : in_head
                  ? "the server closed the connection before it answered; its log may say why, and if it speaks TLS, write "
                    "https:// in the URL"
                  : "the server closed the connection in the middle of the response; its log may say why");
}

}  // namespace moecap::net
