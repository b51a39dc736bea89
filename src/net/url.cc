#include "net/url.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <optional>

namespace moecap::net {
namespace {

// What may be shown of a URL in a message.
std::string Shown(std::string_view text) {
  const size_t scheme = text.find("://");
  const size_t begin = scheme == std::string_view::npos ? 0 : scheme + 3;
  const size_t at = text.substr(0, text.find('/', begin)).rfind('@');
  std::string shown(text);
  if (at != std::string_view::npos && at >= begin) shown.replace(begin, at - begin, "***");
  return shown;
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string PercentDecoded(std::string_view text) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && HexDigit(text[i + 1]) >= 0 && HexDigit(text[i + 2]) >= 0) {
      result += static_cast<char>(HexDigit(text[i + 1]) * 16 + HexDigit(text[i + 2]));
      i += 2;
    } else {
      result += text[i];
    }
  }
  return result;
}

bool IsHostChar(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == ':' || c == '%';
}

std::optional<uint16_t> ParsePort(std::string_view text) {
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port == 0) return std::nullopt;
  return port;
}

}  // namespace

std::string Url::HostPort() const {
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port) : fmt::format("[{}]:{}", host, port);
}

std::string Url::Origin() const { return fmt::format("{}://{}", tls ? "https" : "http", HostPort()); }

bool IsLoopback(const std::string& host) {
  if (host == "localhost" || host.ends_with(".localhost")) return true;
  in_addr v4{};
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) return ntohl(v4.s_addr) >> 24 == IN_LOOPBACKNET;
  in6_addr v6{};
  return inet_pton(AF_INET6, host.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

Result<Url> ParseUrl(std::string_view text) {
  const auto bad = [&](std::string_view why) {
    return BadInput(fmt::format("URL \"{}\": {}; write it like http://127.0.0.1:8000", Shown(text), why));
  };
  for (const char c : text) {
    if (static_cast<unsigned char>(c) <= ' ' || c == '\x7f') return bad("spaces and control characters are not allowed");
  }
  Url url;
  const size_t scheme_end = text.find("://");
  if (scheme_end == std::string_view::npos) return bad("the scheme is missing");
  std::string scheme(text.substr(0, scheme_end));
  std::transform(scheme.begin(), scheme.end(), scheme.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
  if (scheme != "http" && scheme != "https") return bad("the scheme must be http or https");
  url.tls = scheme == "https";
  url.port = url.tls ? 443 : 80;

  std::string_view rest = text.substr(scheme_end + 3);
  if (rest.find_first_of("?#") != std::string_view::npos) return bad("a query or fragment is not allowed");
  const size_t path = std::min(rest.find('/'), rest.size());
  std::string_view authority = rest.substr(0, path);
  url.path = rest.substr(path);
  while (url.path.ends_with('/')) url.path.pop_back();
  if (const size_t at = authority.rfind('@'); at != std::string_view::npos) {
    url.userinfo = PercentDecoded(authority.substr(0, at));
    authority.remove_prefix(at + 1);
  }

  std::string_view host = authority, port;
  if (authority.starts_with('[')) {
    const size_t close = authority.find(']');
    if (close == std::string_view::npos) return bad("the ']' of the address is missing");
    host = authority.substr(1, close - 1);
    port = authority.substr(close + 1);
    if (!port.empty() && port.front() != ':') return bad("after ']' only a port may follow");
  } else if (const size_t colon = authority.find(':'); colon != std::string_view::npos) {
    host = authority.substr(0, colon);
    port = authority.substr(colon);
  }
  if (host.empty()) return bad("the host is missing");
  for (const char c : host) url.host += static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  if (!std::all_of(url.host.begin(), url.host.end(), IsHostChar)) return bad("the host has a character that none can have");
  if (!port.empty()) {
    const auto number = ParsePort(port.substr(1));
    if (!number) return bad("the port must be between 1 and 65535");
    url.port = *number;
  }
  return url;
}

}  // namespace moecap::net
