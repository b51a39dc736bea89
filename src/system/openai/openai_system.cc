#include "system/openai/openai_system.h"

#include <fmt/format.h>

#include <unordered_map>
#include <utility>
#include <vector>

#include "system/openai/event_template.h"
#include "system/openai/secrets.h"
#include "system/openai/token_account.h"

namespace moecap::openai {
namespace {

using record::RequestError;

constexpr size_t kMostErrorBody = size_t{64} << 10;

RequestError KindOf(net::NetErrorKind kind) {
  switch (kind) {
    case net::NetErrorKind::kNone:
    case net::NetErrorKind::kAborted:
      return RequestError::kNone;
    case net::NetErrorKind::kConnectRefused:
      return RequestError::kConnectRefused;
    case net::NetErrorKind::kConnectFailed:
      return RequestError::kConnectFailed;
    case net::NetErrorKind::kConnectTimeout:
      return RequestError::kConnectTimeout;
    case net::NetErrorKind::kTls:
      return RequestError::kTls;
    case net::NetErrorKind::kSendFailed:
      return RequestError::kSendFailed;
    case net::NetErrorKind::kHeaderTimeout:
      return RequestError::kHeaderTimeout;
    case net::NetErrorKind::kFirstProgressTimeout:
      return RequestError::kFirstTokenTimeout;
    case net::NetErrorKind::kIdleTimeout:
      return RequestError::kIdleTimeout;
    case net::NetErrorKind::kTotalTimeout:
      return RequestError::kTotalTimeout;
    case net::NetErrorKind::kResetBeforeHeaders:
      return RequestError::kResetBeforeHeaders;
    case net::NetErrorKind::kResetMidstream:
      return RequestError::kResetMidstream;
    case net::NetErrorKind::kBadResponse:
      return RequestError::kBadResponse;
  }
  CHECK(false);
}

RequestError KindOfStatus(int status) {
  if (status == 429) return RequestError::kHttp429;
  if (status >= 500) return RequestError::kHttp5xx;
  return status >= 400 ? RequestError::kHttp4xx : RequestError::kHttpRedirect;
}

std::string StatusRemedy(int status, const std::string& location, const std::string& retry_after) {
  if (status >= 300 && status < 400)
    return fmt::format("; redirects are not followed, give the final URL{}", location.empty() ? "" : ": " + location);
  if (status == 401 || status == 403) return "; give the key by api_key_env or api_key_file";
  if (status == 404 || status == 405) return "; check the URL, the api and the model's name";
  if (status == 429 || status == 503)
    return retry_after.empty() ? "" : "; the server asks to retry after " + retry_after + " s";
  return "";
}

load::Deadlines Combined(load::Deadlines deadlines, const load::Deadlines& fallback) {
  const auto fill = [](int64_t& limit_ns, int64_t fallback_ns) {
    if (limit_ns == load::kNever) limit_ns = fallback_ns;
  };
  fill(deadlines.connect_ns, fallback.connect_ns);
  fill(deadlines.headers_ns, fallback.headers_ns);
  fill(deadlines.first_token_ns, fallback.first_token_ns);
  fill(deadlines.idle_ns, fallback.idle_ns);
  fill(deadlines.total_ns, fallback.total_ns);
  return deadlines;
}

load::Timings TimingsOf(const net::ExchangeTimings& timings) {
  return {.connect_start_ns = timings.connect_start_ns,
          .connected_ns = timings.connected_ns,
          .sent_ns = timings.sent_ns,
          .headers_ns = timings.head_ns,
          .first_byte_ns = timings.first_byte_ns,
          .end_ns = timings.end_ns};
}

}  // namespace

struct OpenAiSystem::Impl {
  // A request in flight. Reused from request to request.
  class Exchange final : public net::ExchangeHandler {
   public:
    explicit Exchange(Impl& impl) : impl_(impl), parser_(net::StreamFormat::kServerSentEvents, impl.options.max_event_bytes) {}

    void Begin(const load::RequestSpec& request, uint64_t ticket, bool stream) {
      ticket_ = ticket;
      stream_ = stream;
      whole_ = !stream;
      page_ = false;
      done_ = false;
      status_ = 0;
      prompt_ids_ = static_cast<int64_t>(request.prompt_token_ids.size());
      account_.Reset(impl_.options.keep_text, !stream);
      template_.Reset();
      body_.clear();
      error_kind_ = RequestError::kNone;
      error_.clear();
      location_.clear();
      retry_after_.clear();
    }
    void OnHead(const net::ResponseHead& head) override;
    net::BodyVerdict OnBody(std::string_view bytes, const net::Arrival& arrival) override;
    void OnEnd(const net::ExchangeResult& result) override;

    uint64_t ticket() const { return ticket_; }
    net::ExchangeId id = 0;

   private:
    net::BodyVerdict Collect(std::string_view bytes, const net::Arrival& arrival);
    bool TakeEvent(std::string_view data, const net::Arrival& arrival);
    void Count(const EventFacts& facts, const net::Arrival& arrival);
    net::BodyVerdict Abort(RequestError kind, std::string why) {
      error_kind_ = kind;
      error_ = std::move(why);
      return net::BodyVerdict::kAbort;
    }

    Impl& impl_;
    uint64_t ticket_ = 0;
    bool stream_ = true;
    bool whole_ = false;  // the answer is one JSON object
    bool page_ = false;   // the answer is for a browser
    bool done_ = false;   // [DONE] came
    int status_ = 0;
    int64_t prompt_ids_ = 0;
    net::StreamParser parser_;
    TokenAccount account_;
    EventTemplate template_;
    std::string body_;  // of a whole answer or an error response
    net::Arrival last_arrival_;
    RequestError error_kind_ = RequestError::kNone;
    std::string error_;
    std::string location_, retry_after_;
  };

  Impl(OpenAiOptions system_options)
      : options(std::move(system_options)), secrets(options.api_key, options.http), reader(options.profile.api) {}

  void Release(Exchange& exchange) {
    const auto found = in_flight.find(exchange.ticket());
    free.push_back(std::move(found->second));
    in_flight.erase(found);
  }

  OpenAiOptions options;
  Secrets secrets;
  std::vector<std::string> origins;  // of the URLs
  std::unique_ptr<net::HttpClient> client;
  EventReader reader;
  EventFacts facts;
  std::string request_body;
  std::unordered_map<uint64_t, std::unique_ptr<Exchange>> in_flight;
  std::vector<std::unique_ptr<Exchange>> free;
  load::Observer* observer = nullptr;
  int64_t observations = 0;
};

void OpenAiSystem::Impl::Exchange::OnHead(const net::ResponseHead& head) {
  status_ = head.status();
  location_ = head.Field("location").substr(0, 300);
  retry_after_ = head.Field("retry-after").substr(0, 40);
  const std::string_view type = head.Field("content-type");
  page_ = type.starts_with("text/html");
  net::StreamFormat format = Format(impl_.options.profile.api);
  if (type.starts_with("text/event-stream")) format = net::StreamFormat::kServerSentEvents;
  if (type.starts_with("application/x-ndjson")) format = net::StreamFormat::kNdjson;
  // An interface of server-sent events that answers with JSON has not streamed.
  if (stream_ && type.starts_with("application/json") && format == net::StreamFormat::kServerSentEvents) {
    whole_ = true;
    account_.Reset(impl_.options.keep_text, true);
  }
  parser_.Reset(format);
}

// Gathers an answer that is read at its end only.
net::BodyVerdict OpenAiSystem::Impl::Exchange::Collect(std::string_view bytes, const net::Arrival& arrival) {
  last_arrival_ = arrival;
  if (status_ != 200) {
    body_.append(bytes.substr(0, kMostErrorBody - body_.size()));
    // An error without end says no more.
    return body_.size() < kMostErrorBody ? net::BodyVerdict::kProgress : net::BodyVerdict::kAbort;
  }
  if (body_.size() + bytes.size() > impl_.options.max_event_bytes)
    return Abort(RequestError::kParseError, fmt::format("the answer is larger than {} bytes", impl_.options.max_event_bytes));
  body_.append(bytes);
  return net::BodyVerdict::kProgress;
}

// False when the stream cannot be read on.
bool OpenAiSystem::Impl::Exchange::TakeEvent(std::string_view data, const net::Arrival& arrival) {
  EventFacts& facts = impl_.facts;
  if (!impl_.reader.Read(data, template_, facts)) {
    Abort(RequestError::kParseError, impl_.reader.why());
    return false;
  }
  if (facts.is_error) {
    Abort(RequestError::kStreamErrorObject, "the server sent an error in the stream: " + facts.error.substr(0, 500));
    return false;
  }
  Count(facts, arrival);
  return true;
}

void OpenAiSystem::Impl::Exchange::Count(const EventFacts& facts, const net::Arrival& arrival) {
  const TokenAccount::Added added = account_.Take(facts);
  if (added.tokens == 0) return;
  ++impl_.observations;
  impl_.observer->OnChunk(ticket_, {.arrival_ns = arrival.arrival_ns,
                                    .tokens = added.tokens,
                                    .token_ids = added.token_ids,
                                    .reasoning = added.reasoning,
                                    .kernel_delay_ns = arrival.kernel_delay_ns});
}

net::BodyVerdict OpenAiSystem::Impl::Exchange::OnBody(std::string_view bytes, const net::Arrival& arrival) {
  if (page_ && status_ == 200)
    return Abort(RequestError::kBadResponse, "the answer is a web page; check the URL, its port and the api");
  if (whole_ || status_ != 200) return Collect(bytes, arrival);
  const int64_t before = impl_.observations;
  parser_.Push(bytes);
  net::StreamEvent event;
  for (;;) {
    // An event like the last ones needs no search for its end.
    const size_t size = done_ ? 0 : template_.Match(parser_.Ahead(), impl_.facts);
    if (size > 0 && parser_.TakeAhead(size)) {
      Count(impl_.facts, arrival);
      continue;
    }
    switch (parser_.Next(event)) {
      case net::StreamParser::Step::kNeedBytes:
        return impl_.observations == before ? net::BodyVerdict::kNoProgress : net::BodyVerdict::kProgress;
      case net::StreamParser::Step::kTooLarge:
        return Abort(RequestError::kParseError,
                     fmt::format("an event is larger than {} bytes, or has no end", impl_.options.max_event_bytes));
      case net::StreamParser::Step::kEvent:
        if (event.data == "[DONE]") {
          done_ = true;
        } else if (!done_ && !event.data.empty() && !TakeEvent(event.data, arrival)) {
          return net::BodyVerdict::kAbort;
        }
        break;
    }
  }
}

void OpenAiSystem::Impl::Exchange::OnEnd(const net::ExchangeResult& result) {
  if (whole_ && status_ == 200 && result.error.kind == net::NetErrorKind::kNone) TakeEvent(body_, last_arrival_);
  const std::string& origin = impl_.origins[result.url];
  load::Completion completion;
  completion.input_tokens = prompt_ids_;
  completion.http_status = result.status;
  completion.retries = result.retries;
  completion.timings = TimingsOf(result.timings);
  if (result.error.kind != net::NetErrorKind::kNone && result.error.kind != net::NetErrorKind::kAborted) {
    completion.error_kind = KindOf(result.error.kind);
    completion.error = result.error.message;
  } else if (error_kind_ != RequestError::kNone) {
    completion.error_kind = error_kind_;
    completion.error = fmt::format("{}: {}", origin, error_);
  } else if (result.status != 200) {
    completion.error_kind = KindOfStatus(result.status);
    const std::string said = ErrorMessage(body_);
    completion.error = fmt::format("{}: status {}: {}{}", origin, result.status, said.empty() ? "without a message" : said,
                                   StatusRemedy(result.status, location_, retry_after_));
  }
  const bool ours = completion.error_kind == RequestError::kNone;
  account_.Conclude(completion);
  if (ours && !completion.error.empty()) completion.error = fmt::format("{}: {}", origin, completion.error);
  completion.error = impl_.secrets.CutOutOf(std::move(completion.error));
  ++impl_.observations;
  const uint64_t ticket = ticket_;
  Impl& impl = impl_;
  impl.Release(*this);
  impl.observer->OnFinish(ticket, std::move(completion));
}

OpenAiSystem::OpenAiSystem(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
OpenAiSystem::~OpenAiSystem() = default;

Result<std::unique_ptr<OpenAiSystem>> OpenAiSystem::Create(OpenAiOptions options, const Clock& clock) {
  if (NeedsModelName(options.profile.api) && options.profile.model.empty())
    return BadInput(fmt::format("api {} needs the model's name as the server knows it (GET /v1/models lists them)",
                                Name(options.profile.api)));
  auto impl = std::make_unique<Impl>(std::move(options));
  net::HttpClientOptions http = impl->options.http;
  if (!impl->options.api_key.empty()) http.headers.emplace_back("Authorization", "Bearer " + impl->options.api_key);
  ASSIGN_OR_RETURN(impl->client, net::HttpClient::Create(std::move(http), clock));
  for (const net::Url& url : impl->options.http.urls) impl->origins.push_back(url.Origin());
  return std::unique_ptr<OpenAiSystem>(new OpenAiSystem(std::move(impl)));
}

Status OpenAiSystem::WarmUp(size_t connections, int64_t limit_ns) { return impl_->client->WarmUp(connections, limit_ns); }

Status OpenAiSystem::Validate(const load::RequestSpec& request) {
  const RequestProfile& profile = impl_->options.profile;
  const auto refuse = [&](std::string_view why) { return BadInput(fmt::format("problem {}: {}", request.id, why)); };
  if (request.max_output_tokens < 1) return refuse("max_output_tokens must be 1 or more");
  if (!request.messages.empty() && !IsChat(profile.api))
    return refuse(fmt::format("api {} takes no messages; use chat or ollama-chat", Name(profile.api)));
  if (!request.prompt_token_ids.empty() && !TakesTokenIds(profile.api, profile.server)) {
    return refuse(fmt::format("api {} of server {} takes no token ids; use api completions, sglang or llama-server",
                              Name(profile.api), Name(profile.server)));
  }
  if (request.prompt.empty() && request.messages.empty() && request.prompt_token_ids.empty())
    return refuse("the prompt is empty");
  if (request.ignore_end_token && !CanIgnoreEndToken(profile.api, profile.server)) {
    return refuse(
        fmt::format("api {} of server {} cannot be told to ignore the end token; fixed lengths are not possible there",
                    Name(profile.api), Name(profile.server)));
  }
  return {};
}

Status OpenAiSystem::Submit(const load::RequestSpec& request, uint64_t ticket) {
  Impl& impl = *impl_;
  const bool stream = request.stream && impl.options.stream;
  WriteRequestBody(impl.options.profile, request, stream, impl.request_body);
  if (impl.free.empty()) impl.free.push_back(std::make_unique<Impl::Exchange>(impl));
  std::unique_ptr<Impl::Exchange> exchange = std::move(impl.free.back());
  impl.free.pop_back();
  exchange->Begin(request, ticket, stream);
  const load::Deadlines limits = Combined(request.deadlines, impl.options.default_deadlines);
  exchange->id = impl.client->Start({.path = Path(impl.options.profile.api, stream), .body = impl.request_body},
                                    {.connect_ns = limits.connect_ns,
                                     .headers_ns = limits.headers_ns,
                                     .first_progress_ns = limits.first_token_ns,
                                     .idle_ns = limits.idle_ns,
                                     .total_ns = limits.total_ns},
                                    *exchange);
  const bool inserted = impl.in_flight.emplace(ticket, std::move(exchange)).second;
  CHECK(inserted);
  return {};
}

Status OpenAiSystem::Advance(load::Observer& observer, int64_t until_ns) {
  Impl& impl = *impl_;
  impl.observer = &observer;
  const int64_t before = impl.observations;
  while (impl.client->Poll(until_ns) && impl.observations == before) {
  }
  impl.observer = nullptr;
  return {};
}

void OpenAiSystem::Cancel(uint64_t ticket) {
  const auto found = impl_->in_flight.find(ticket);
  if (found == impl_->in_flight.end()) return;
  impl_->client->Cancel(found->second->id);
  impl_->Release(*found->second);
}

void OpenAiSystem::CancelAll() {
  while (!impl_->in_flight.empty()) Cancel(impl_->in_flight.begin()->first);
}

const net::HttpClient::Counters& OpenAiSystem::counters() const { return impl_->client->counters(); }

}  // namespace moecap::openai
