#include "system/openai/secrets.h"

#include <algorithm>

namespace moecap::openai {
namespace {

constexpr size_t kTelling = 8;  // so many characters of a secret are not there by chance

}  // namespace

Secrets::Secrets(const std::string& api_key, const net::HttpClientOptions& http) {
  Add(api_key);
  for (const auto& header : http.headers) {
    const std::string& value = header.second;
    // "Bearer KEY": the server may quote the key alone.
    if (const size_t space = value.rfind(' '); space != std::string::npos && value.size() - space > kTelling)
      Add(value.substr(space + 1));
    if (value.size() >= kTelling) Add(value);
  }
  if (http.proxy) Add(http.proxy->userinfo);
}

void Secrets::Add(const std::string& secret) {
  if (!secret.empty()) secrets_.push_back(secret);
}

std::string Secrets::CutOutOf(std::string text) const {
  for (const std::string& secret : secrets_) {
    const std::string begin = secret.substr(0, kTelling);
    for (size_t at = 0; (at = text.find(begin, at)) != std::string::npos; at += 3) {
      const auto differs = std::mismatch(secret.begin(), secret.end(), text.begin() + static_cast<long>(at), text.end());
      text.replace(at, static_cast<size_t>(differs.first - secret.begin()), "***");
    }
  }
  return text;
}

}  // namespace moecap::openai
