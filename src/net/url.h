// Absolute http and https URLs, as far as a client needs them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace moecap::net {

struct Url {
  bool tls = false;      // https
  std::string host;      // lower case; an IPv6 address without its brackets
  uint16_t port = 80;    // the scheme's when the URL names none
  std::string path;      // "" or "/prefix", without a '/' at the end
  std::string userinfo;  // "name:password", percent-decoded; a secret: never part of a message

  // "host:8000", "[::1]:8000".
  std::string HostPort() const;
  // "https://host:8000", for messages: without path and userinfo.
  std::string Origin() const;
};

// Whether `host`, written as in Url::host, names this machine: localhost and what ends in .localhost (RFC 6761), 127.0.0.0/8,
// ::1. Nothing is looked up: another name or address of this machine is not known as one.
bool IsLoopback(const std::string& host);

// Error: kBadInput with the place and a remedy. Query and fragment are refused. The message never repeats userinfo.
Result<Url> ParseUrl(std::string_view text);

}  // namespace moecap::net
