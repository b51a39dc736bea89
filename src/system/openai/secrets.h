// Keeps keys out of messages: servers like to quote the key that they refuse.
#pragma once

#include <string>
#include <vector>

#include "net/http_client.h"

namespace moecap::openai {

class Secrets {
 public:
  Secrets() = default;
  // The key, the value of every header, and a proxy's password.
  Secrets(const std::string& api_key, const net::HttpClientOptions& http);

  // `text` with "***" for each of them; also for their beginnings of 8 characters and more, as a message that was cut holds.
  std::string CutOutOf(std::string text) const;

 private:
  void Add(const std::string& secret);

  std::vector<std::string> secrets_;
};

}  // namespace moecap::openai
