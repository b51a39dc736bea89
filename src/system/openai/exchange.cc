// One request's answer, from its head to its end.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "load/likelihood_text.h"
#include "load/quirks.h"
#include "system/openai/error_message.h"
#include "system/openai/likelihoods.h"
#include "system/openai/openai_system_impl.h"

namespace moecap::openai {
namespace {

constexpr size_t kMostErrorBody = size_t{64} << 10;
constexpr size_t kMostBegin = 1024;

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

// A number of seconds or a date (RFC 9110, 10.2.3).
std::string RetryAfter(const std::string& value) {
  const bool seconds = value.find_first_not_of("0123456789") == std::string::npos;
  return seconds ? fmt::format("the server asks to retry after {} s", value)
                 : fmt::format("the server asks to retry at {}", value);
}

std::string StatusRemedy(int status, const std::string& path, const std::string& location, const std::string& retry_after) {
  if (status >= 300 && status < 400)
    return fmt::format("; redirects are not followed, give the final URL{}", location.empty() ? "" : ": " + location);
  if (status == 401 || status == 403) return "; give the key by api_key_env (--api-key-env) or api_key_file";
  if (status == 404 || status == 405) return "; check the URL, the api and the model's name; asked was " + path;
  if ((status == 429 || status == 503) && !retry_after.empty()) return "; " + RetryAfter(retry_after);
  return "";
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

void OpenAiSystem::Impl::Exchange::OnHead(const net::ResponseHead& head) {
  status_ = head.status();
  location_ = head.Field("location").substr(0, 300);
  retry_after_ = head.Field("retry-after").substr(0, 40);
  response_id_ = head.Field("x-request-id").substr(0, 200);
  const std::string_view type = head.Field("content-type");
  page_ = type.starts_with("text/html");
  labelled_json_ = type.starts_with("application/json");
  net::StreamFormat format = Format(impl_.options.profile.api);
  if (type.starts_with("text/event-stream")) format = net::StreamFormat::kServerSentEvents;
  if (type.starts_with("application/x-ndjson")) format = net::StreamFormat::kNdjson;
  format_ = format;
  parser_.Reset(format);
}

// The answer is one JSON value although a stream was asked for.
void OpenAiSystem::Impl::Exchange::ComesWhole() {
  whole_ = true;
  gap_ = record::TimingGap::kStreamIgnored;
  account_.Reset(keep_text_, true, most_tokens_);
  account_.AddQuirk("the answer came whole although a stream was asked for");
}

// The first byte tells more than the label does: servers and proxies mislabel streams, and answers that are none.
void OpenAiSystem::Impl::Exchange::Recognise(std::string_view bytes) {
  const size_t begin = bytes.find_first_not_of(" \t\r\n\xef\xbb\xbf");
  if (begin == std::string_view::npos) return;
  known_ = true;
  const char first = bytes[begin];
  page_ = page_ && first == '<';
  if (!stream_) return;
  const bool json = first == '{' || first == '[';
  if (json && format_ == net::StreamFormat::kServerSentEvents) return ComesWhole();
  // Lines of JSON under the label of a stream, or the other way round.
  if (!json && format_ == net::StreamFormat::kNdjson && bytes.substr(begin).starts_with("data:")) {
    format_ = net::StreamFormat::kServerSentEvents;
    parser_.Reset(format_);
    account_.AddQuirk("server-sent events labelled as lines of JSON");
  } else if (labelled_json_ && format_ == net::StreamFormat::kServerSentEvents) {
    account_.AddQuirk("server-sent events labelled as JSON");
  }
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

// The first event of each answer names its model, by whatever name; it must be the same one in all. Within a text the quotes
// would be escaped.
void OpenAiSystem::Impl::Exchange::CheckModel(std::string_view data) {
  if (std::exchange(saw_model_, true)) return;
  constexpr std::string_view kMark = "\"model\":";
  size_t begin = data.find(kMark);
  if (begin == std::string_view::npos) return;
  begin = data.find_first_not_of(' ', begin + kMark.size());
  if (begin == std::string_view::npos || data[begin] != '"') return;
  const std::string_view model = data.substr(begin + 1, std::min(data.find('"', begin + 1), data.size()) - begin - 1);
  if (impl_.first_model.empty()) impl_.first_model = model;
  if (model == impl_.first_model) return;
  constexpr size_t kMost = 100;
  account_.AddQuirk(fmt::format("{}: \"{}\", not \"{}\"", load::kOtherModelQuirk, model.substr(0, kMost),
                                impl_.first_model.substr(0, kMost)));
}

// False when the stream cannot be read on.
bool OpenAiSystem::Impl::Exchange::TakeEvent(std::string_view data, const net::Arrival& arrival) {
  EventFacts& facts = impl_.facts;
  if (!impl_.reader.Read(data, template_, facts)) {
    Abort(RequestError::kParseError, impl_.reader.why());
    return false;
  }
  if (facts.is_error) {
    Abort(RequestError::kStreamErrorObject,
          fmt::format("the server sent an error {}: {}", whole_ ? "under status 200" : "in the stream",
                      facts.error.substr(0, 500)));
    return false;
  }
  CheckModel(data);
  Count(facts, arrival);
  return true;
}

void OpenAiSystem::Impl::Exchange::SetEcho(const load::RequestSpec& request) {
  constexpr size_t kLeast = 16, kMost = 64;
  echo_.clear();
  if (!stream_ || !IsChat(impl_.options.profile.api)) return;
  const std::string& said = request.messages.empty() ? request.prompt : request.messages.back().content;
  if (said.size() >= kLeast) echo_.assign(said, 0, kMost);
}

// transformers serve sends a chat's whole prompt, as its template wrote it, as the first piece of the answer, before the model
// has seen it.
bool OpenAiSystem::Impl::Exchange::IsEcho(const EventFacts& facts) {
  if (echo_.empty() || facts.text.empty()) return false;
  const bool is_echo = facts.text.find(echo_) != std::string_view::npos;
  echo_.clear();
  if (is_echo) account_.AddQuirk("the answer begins with the whole prompt; that piece is not counted");
  return is_echo;
}

void OpenAiSystem::Impl::Exchange::Count(const EventFacts& facts, const net::Arrival& arrival) {
  if (IsEcho(facts)) return;
  if (first_event_ns_ == 0 && facts.has_output) first_event_ns_ = arrival.arrival_ns;
  const TokenAccount::Added added = account_.Take(facts);
  if (added.tokens == 0) return;
  ++impl_.observations;
  impl_.observer->OnChunk(ticket_, {.arrival_ns = arrival.arrival_ns,
                                    .tokens = added.tokens,
                                    .token_ids = added.token_ids,
                                    .reasoning = added.reasoning,
                                    .kernel_delay_ns = arrival.kernel_delay_ns});
}

// False when the stream cannot be read on.
bool OpenAiSystem::Impl::Exchange::OnEvent(const net::StreamEvent& event) {
  saw_event_ = true;
  if (done_ || event.data.empty()) return true;
  if (event.data == "[DONE]") {
    done_ = true;
    return true;
  }
  if (event.type == "error") {
    Abort(RequestError::kStreamErrorObject, "the server sent an error in the stream: " + ErrorMessage(event.data));
    return false;
  }
  return TakeEvent(event.data, last_arrival_);
}

net::BodyVerdict OpenAiSystem::Impl::Exchange::OnBody(std::string_view bytes, const net::Arrival& arrival) {
  if (status_ == 200 && !known_) Recognise(bytes);
  if (page_ && status_ == 200)
    return Abort(RequestError::kBadResponse, "the answer is a web page; check the URL, its port and the api");
  if (whole_ || status_ != 200) return Collect(bytes, arrival);
  return ReadStream(bytes, arrival);
}

net::BodyVerdict OpenAiSystem::Impl::Exchange::ReadStream(std::string_view bytes, const net::Arrival& arrival) {
  last_arrival_ = arrival;
  if (!saw_event_ && begin_.size() < kMostBegin) begin_.append(bytes.substr(0, kMostBegin - begin_.size()));
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
        if (!OnEvent(event)) return net::BodyVerdict::kAbort;
        break;
    }
  }
}

// What a stream that ended well still holds: an event that lacks only its end, or no event but words.
void OpenAiSystem::Impl::Exchange::TakeRest() {
  net::StreamEvent event;
  if (parser_.lacks_empty_lines()) account_.AddQuirk("no empty line between events");
  if (parser_.TakeRest(event)) {
    const bool is_whole = event.data == "[DONE]" || impl_.reader.Read(event.data, impl_.facts);
    if (is_whole) {
      account_.AddQuirk("the last event has no end");
      OnEvent(event);
    }
    return;
  }
  if (saw_event_) return;
  std::string_view words = begin_;
  while (words.starts_with(':')) words.remove_prefix(std::min(words.find('\n'), words.size() - 1) + 1);
  if (words.find_first_not_of(" \t\r\n") == std::string_view::npos) return;
  Abort(RequestError::kStreamErrorObject,
        fmt::format("the server answered with no event but: {}; is this the api that it speaks?", ErrorMessage(words)));
}

// What the server says of its model, of errors and of usage is read as ever; the text that it echoes and the tokens that it had
// to generate are no answer.
void OpenAiSystem::Impl::Exchange::TakeLikelihoods() {
  EventFacts& facts = impl_.facts;
  if (!impl_.reader.Read(body_, template_, facts)) return (void)Abort(RequestError::kParseError, impl_.reader.why());
  if (facts.is_error)
    return (void)Abort(RequestError::kStreamErrorObject,
                       "the server sent an error under status 200: " + facts.error.substr(0, 500));
  CheckModel(body_);
  const auto told = ReadLikelihoods(body_, continuations_);
  if (!told.ok()) return (void)Abort(RequestError::kBadResponse, told.error().message);
  likelihoods_ = load::LikelihoodText(*told);
  facts.text = {};
  facts.output_tokens = 1;
  Count(facts, last_arrival_);
}

// An answer that came as one JSON value.
void OpenAiSystem::Impl::Exchange::TakeWhole() {
  if (continuations_ > 0) return TakeLikelihoods();
  if (!TakeEvent(body_, last_arrival_) || account_.saw_output()) return;
  Abort(RequestError::kStreamErrorObject, "the server answered without output: " + ErrorMessage(body_));
}

// Why the request failed, if it did.
void OpenAiSystem::Impl::Exchange::Explain(const net::ExchangeResult& result, load::Completion& completion) const {
  const std::string& origin = impl_.origins[result.url];
  if (result.error.kind != net::NetErrorKind::kNone && result.error.kind != net::NetErrorKind::kAborted) {
    completion.error_kind = KindOf(result.error.kind);
    completion.error = result.error.message;
  } else if (error_kind_ != RequestError::kNone) {
    completion.error_kind = error_kind_;
    completion.error = fmt::format("{}: {}", origin, error_);
  } else if (result.status != 200) {
    const std::string& path = stream_ ? impl_.stream_path : impl_.whole_path;
    completion.error_kind = KindOfStatus(result.status);
    const std::string said = ErrorMessage(body_);
    completion.error = fmt::format("{}: status {}: {}{}", origin, result.status, said.empty() ? "without a message" : said,
                                   StatusRemedy(result.status, path, location_, retry_after_));
  }
}

void OpenAiSystem::Impl::Exchange::OnEnd(const net::ExchangeResult& result) {
  if (status_ == 200 && result.error.kind == net::NetErrorKind::kNone) {
    if (whole_) {
      TakeWhole();
    } else {
      TakeRest();
    }
  }
  load::Completion completion;
  completion.input_tokens = prompt_ids_;
  completion.http_status = result.status;
  completion.retries = result.retries;
  completion.timings = TimingsOf(result.timings);
  completion.first_event_ns = first_event_ns_;
  completion.timing_gap = gap_;
  completion.request_id = request_id;
  completion.response_id = response_id_;
  Explain(result, completion);
  const bool ours = completion.error_kind == RequestError::kNone;
  if (ours && !whole_ && !done_ && EndsWithDone(impl_.options.profile.api)) account_.AddQuirk("no [DONE]");
  account_.Conclude(done_, completion);
  if (continuations_ > 0) completion.text = likelihoods_;
  if (continuations_ > 0 && (result.status == 400 || result.status == 422))
    completion.error += fmt::format("; {}", kLikelihoodRemedy);
  if (ours && !completion.error.empty()) completion.error = fmt::format("{}: {}", impl_.origins[result.url], completion.error);
  completion.error = impl_.secrets.CutOutOf(std::move(completion.error));
  ++impl_.observations;
  const uint64_t ticket = ticket_;
  Impl& impl = impl_;
  impl.Release(*this);
  impl.observer->OnFinish(ticket, std::move(completion));
}

}  // namespace moecap::openai
