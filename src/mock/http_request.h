// An HTTP/1.x request in a buffer of received bytes.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace moecap::mock {

struct HttpRequest {
  std::string method;
  std::string path;                                          // without the query
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  std::string body;
  bool keep_alive = true;
  bool http10 = false;

  // The first header of that name; empty when there is none.
  std::string_view Header(std::string_view name) const;
};

inline constexpr size_t kMostHeaderBytes = 64 << 10;
inline constexpr size_t kMostBodyBytes = 64 << 20;

struct HttpParse {
  enum class State {
    kIncomplete,     // read more
    kNeedsContinue,  // the same, and the client waits for "100 Continue"
    kComplete,
    kBad,  // answer with `status` and close
  };
  State state = State::kIncomplete;
  size_t consumed = 0;  // bytes of the buffer that the request takes; when complete
  int status = 0;
  std::string message;
};

// Fills `request` when complete. Bodies come with Content-Length or chunked.
HttpParse ParseHttpRequest(std::string_view buffer, HttpRequest& request);

}  // namespace moecap::mock
