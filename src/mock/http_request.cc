#include "mock/http_request.h"

#include <algorithm>
#include <charconv>

namespace moecap::mock {
namespace {

using State = HttpParse::State;

HttpParse Bad(int status, std::string message) { return {State::kBad, 0, status, std::move(message)}; }

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return lower;
}

std::optional<size_t> ReadSize(std::string_view text, int base) {
  size_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

bool ReadRequestLine(std::string_view line, HttpRequest& request) {
  const size_t first = line.find(' ');
  const size_t last = line.rfind(' ');
  if (first == std::string_view::npos || last <= first + 1) return false;
  const std::string_view version = line.substr(last + 1);
  if (version != "HTTP/1.1" && version != "HTTP/1.0") return false;
  std::string_view target = line.substr(first + 1, last - first - 1);
  // A proxy's client names the whole address.
  if (target.starts_with("http://")) target = target.substr(std::min(target.find('/', 7), target.size()));
  request.method = line.substr(0, first);
  request.path = target.substr(0, target.find('?'));
  if (request.path.empty()) request.path = "/";
  request.http10 = version == "HTTP/1.0";
  return true;
}

bool ReadHeaders(std::string_view head, HttpRequest& request) {
  size_t begin = head.find("\r\n");
  if (!ReadRequestLine(head.substr(0, begin), request)) return false;
  request.headers.clear();
  while (begin < head.size()) {
    begin += 2;
    const size_t end = std::min(head.find("\r\n", begin), head.size());
    const std::string_view line = head.substr(begin, end - begin);
    begin = end;
    if (line.empty()) continue;
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos || colon == 0) return false;
    request.headers.emplace_back(Lower(line.substr(0, colon)), Trim(line.substr(colon + 1)));
  }
  const std::string connection = Lower(request.Header("connection"));
  request.keep_alive = request.http10 ? connection == "keep-alive" : connection != "close";
  return true;
}

// The chunked body that begins at `begin`.
HttpParse ReadChunks(std::string_view buffer, size_t begin, std::string& body) {
  body.clear();
  for (;;) {
    const size_t line_end = buffer.find("\r\n", begin);
    if (line_end == std::string_view::npos) return buffer.size() - begin > 1024 ? Bad(400, "bad chunk size") : HttpParse{};
    const std::string_view line = buffer.substr(begin, line_end - begin);
    const auto size = ReadSize(Trim(line.substr(0, line.find(';'))), 16);
    if (!size) return Bad(400, "bad chunk size");
    if (body.size() + *size > kMostBodyBytes) return Bad(413, "the body is too large");
    begin = line_end + 2;
    if (*size == 0) break;
    if (buffer.size() < begin + *size + 2) return {};
    body += buffer.substr(begin, *size);
    begin += *size;
    if (buffer.substr(begin, 2) != "\r\n") return Bad(400, "bad chunk end");
    begin += 2;
  }
  // Trailers end with an empty line.
  for (;;) {
    const size_t line_end = buffer.find("\r\n", begin);
    if (line_end == std::string_view::npos)
      return buffer.size() - begin > kMostHeaderBytes ? Bad(431, "trailers") : HttpParse{};
    const bool last = line_end == begin;
    begin = line_end + 2;
    if (last) return {State::kComplete, begin, 0, {}};
  }
}

}  // namespace

std::string_view HttpRequest::Header(std::string_view name) const {
  const auto found = std::find_if(headers.begin(), headers.end(), [name](const auto& header) { return header.first == name; });
  return found == headers.end() ? std::string_view() : std::string_view(found->second);
}

HttpParse ParseHttpRequest(std::string_view buffer, HttpRequest& request) {
  const size_t head_end = buffer.find("\r\n\r\n");
  if (head_end == std::string_view::npos || head_end > kMostHeaderBytes) {
    // TLS begins with byte 22, which no method does.
    if (!buffer.empty() && (buffer[0] < 'A' || buffer[0] > 'Z')) return Bad(400, "this is no HTTP request");
    return buffer.size() > kMostHeaderBytes ? Bad(431, "the headers are too long") : HttpParse{};
  }
  if (!ReadHeaders(buffer.substr(0, head_end), request)) return Bad(400, "malformed request");
  const size_t body_begin = head_end + 4;
  const bool waits = Lower(request.Header("expect")) == "100-continue";
  HttpParse parse;
  if (Lower(request.Header("transfer-encoding")) == "chunked") {
    parse = ReadChunks(buffer, body_begin, request.body);
  } else {
    const std::string_view length = request.Header("content-length");
    const auto size = length.empty() ? 0 : ReadSize(length, 10);
    if (!size) return Bad(400, "malformed Content-Length");
    if (*size > kMostBodyBytes) return Bad(413, "the body is too large");
    if (buffer.size() >= body_begin + *size) {
      request.body = buffer.substr(body_begin, *size);
      parse = {State::kComplete, body_begin + *size, 0, {}};
    }
  }
  if (parse.state == State::kIncomplete && waits && buffer.size() == body_begin) parse.state = State::kNeedsContinue;
  return parse;
}

}  // namespace moecap::mock
