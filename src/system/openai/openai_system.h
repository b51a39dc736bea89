// A server that speaks one of the HTTP interfaces of dialect.h, as a system under test. One event loop: one thread, many
// requests in flight.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "base/clock.h"
#include "base/result.h"
#include "load/system_under_test.h"
#include "net/http_client.h"
#include "system/openai/request_body.h"

namespace moecap::openai {

struct OpenAiOptions {
  net::HttpClientOptions http;
  RequestProfile profile;
  std::string api_key;                // a secret: cut out of every message, as the headers' values are
  std::string api_key_header;         // where it is sent; "" = the interface's usual header (KeyHeader)
  std::string request_id_prefix;      // of the x-request-id of requests that name none; "" = "moecap"
  bool keep_text = true;              // false: count tokens only
  bool stream = true;                 // false: no request is streamed, whatever it says
  load::Deadlines default_deadlines;  // where a request sets none
  size_t max_event_bytes = net::StreamParser::kDefaultMaxEventBytes;  // also of a response that comes whole
};

// The header that carries the key, name and value: "Authorization" as a bearer, any other name as it is. Anthropic's interface
// usually takes "x-api-key".
std::pair<std::string, std::string> KeyHeader(Api api, const std::string& header, const std::string& key);

class OpenAiSystem final : public load::SystemUnderTest {
 public:
  // Sends nothing. `clock` must outlive the system. Errors: kBadInput as of net::HttpClient::Create and CheckProfile.
  static Result<std::unique_ptr<OpenAiSystem>> Create(OpenAiOptions options, const Clock& clock);
  ~OpenAiSystem() override;

  // Opens connections ahead, so that no request has to wait for one. Error: kFailed with the remedy.
  Status WarmUp(size_t connections, int64_t limit_ns);

  Status Validate(const load::RequestSpec& request) override;
  Status Submit(const load::RequestSpec& request, uint64_t ticket) override;
  Status Advance(load::Observer& observer, int64_t until_ns) override;
  void Cancel(uint64_t ticket) override;
  void CancelAll() override;

  const net::HttpClient::Counters& counters() const;

 private:
  struct Impl;
  explicit OpenAiSystem(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace moecap::openai
