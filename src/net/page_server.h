// Serves one text to whoever asks for it, as monitoring does: GET /metrics over HTTP/1.1, a request a connection.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "base/result.h"

namespace moecap::net {

class PageServer {
 public:
  // `address`: "PORT" or "HOST:PORT" with a numeric IPv4 HOST, by itself 127.0.0.1; port 0: any free one. Errors kBadInput: not
  // such an address, or it cannot be listened at.
  static Result<std::unique_ptr<PageServer>> Listen(const std::string& address);
  ~PageServer();

  std::string url() const { return url_; }  // "http://127.0.0.1:9400/metrics"
  // From any thread: what is answered from now on.
  void SetPage(std::string page);

 private:
  PageServer(int listener, std::string url);
  void Run();
  void Answer(int connection);

  int listener_;
  std::string url_;
  std::mutex mutex_;
  std::string page_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace moecap::net
