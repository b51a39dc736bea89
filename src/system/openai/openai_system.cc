#include "system/openai/openai_system.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <utility>

#include "base/hash.h"
#include "system/openai/likelihoods.h"
#include "system/openai/openai_system_impl.h"

namespace moecap::openai {
namespace {

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

// Tells the requests of this system from those of any other.
std::string RandomTag() {
  std::random_device device;
  return fmt::format("{:08x}{:08x}", device(), device());
}

// What a header line, and a server's log, can hold of an id.
void AppendId(std::string_view id, std::string& out) {
  constexpr size_t kMostBytes = 64;
  for (const char c : id.substr(0, kMostBytes)) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_';
    out += plain ? c : '-';
  }
}

// The id as a UUID made of its hash (RFC 9562, version 8).
std::string AsUuid(const std::string& id) {
  const std::string hex = fmt::format("{:016x}{:016x}", HashOf(id), HashOf(id, HashOf("uuid")));
  return fmt::format("{}-{}-8{}-8{}-{}", hex.substr(0, 8), hex.substr(8, 4), hex.substr(13, 3), hex.substr(17, 3),
                     hex.substr(20, 12));
}

bool HasHeader(const net::HttpClientOptions& http, std::string_view name) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::ranges::any_of(http.headers,
                             [&](const auto& header) { return std::ranges::equal(header.first, name, {}, lower, lower); });
}

}  // namespace

void OpenAiSystem::Impl::Name(const load::RequestSpec& request, Exchange& exchange) {
  request_fields.clear();
  exchange.request_id.clear();
  if (!names_requests) return;
  if (request.request_id.empty()) {
    fmt::format_to(std::back_inserter(exchange.request_id), "{}-{}-", id_prefix, named_requests++);
    AppendId(request.id, exchange.request_id);
  } else {
    AppendId(request.request_id, exchange.request_id);
  }
  if (options.profile.Fields().uuid_request_id) exchange.request_id = AsUuid(exchange.request_id);
  fmt::format_to(std::back_inserter(request_fields), "x-request-id: {}\r\n", exchange.request_id);
}

std::pair<std::string, std::string> KeyHeader(Api api, const std::string& header, const std::string& key) {
  const std::string name = !header.empty() ? header : api == Api::kMessages ? "x-api-key" : "Authorization";
  const bool bearer = name == "Authorization" || name == "authorization";
  return {name, bearer ? "Bearer " + key : key};
}

OpenAiSystem::OpenAiSystem(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
OpenAiSystem::~OpenAiSystem() = default;

Result<std::unique_ptr<OpenAiSystem>> OpenAiSystem::Create(OpenAiOptions options, const Clock& clock) {
  RETURN_IF_ERROR(CheckProfile(options.profile));
  auto impl = std::make_unique<Impl>(std::move(options));
  const RequestProfile& profile = impl->options.profile;
  net::HttpClientOptions http = impl->options.http;
  if (!impl->options.api_key.empty())
    http.headers.push_back(KeyHeader(profile.api, impl->options.api_key_header, impl->options.api_key));
  // The interface's documentation asks for its version.
  if (profile.api == Api::kMessages && !HasHeader(http, "anthropic-version"))
    http.headers.emplace_back("anthropic-version", "2023-06-01");
  impl->stream_path = RequestPath(profile, true);
  impl->whole_path = RequestPath(profile, false);
  const std::string& prefix = impl->options.request_id_prefix;
  AppendId(prefix.empty() ? "moecap" : prefix, impl->id_prefix);
  impl->id_prefix += "-" + RandomTag();
  impl->names_requests = !HasHeader(http, "x-request-id");
  ASSIGN_OR_RETURN(impl->client, net::HttpClient::Create(std::move(http), clock));
  for (const net::Url& url : impl->options.http.urls) impl->origins.push_back(url.Origin() + url.path);
  return std::unique_ptr<OpenAiSystem>(new OpenAiSystem(std::move(impl)));
}

Status OpenAiSystem::WarmUp(size_t connections, int64_t limit_ns) { return impl_->client->WarmUp(connections, limit_ns); }

Status OpenAiSystem::Validate(const load::RequestSpec& request) {
  const RequestProfile& profile = impl_->options.profile;
  const auto refuse = [&](std::string_view why) { return BadInput(fmt::format("problem {}: {}", request.id, why)); };
  if (request.max_output_tokens < 1) return refuse("max_output_tokens must be 1 or more");
  if (!request.messages.empty() && !IsChat(profile.api))
    return refuse(fmt::format("api {} takes no messages; use chat or ollama-chat", Name(profile.api)));
  if (!request.prompt_token_ids.empty() && !profile.Fields().token_ids) {
    return refuse(fmt::format("api {} of server {} takes no token ids; use api completions, sglang or llama-server",
                              Name(profile.api), Name(profile.server)));
  }
  if (request.prompt.empty() && request.messages.empty() && request.prompt_token_ids.empty())
    return refuse("the prompt is empty");
  if (!request.continuations.empty()) {
    if (const Status tells = CheckTellsLikelihoods(profile); !tells.ok()) return refuse(tells.error().message);
  }
  if (request.ignore_end_token && !profile.Fields().ignore_end) {
    return refuse(
        fmt::format("api {} of server {} cannot be told to ignore the end token; fixed lengths are not possible there",
                    Name(profile.api), Name(profile.server)));
  }
  return {};
}

Status OpenAiSystem::Submit(const load::RequestSpec& request, uint64_t ticket) {
  Impl& impl = *impl_;
  const bool stream = request.stream && impl.options.stream && request.continuations.empty();
  WriteRequestBody(impl.options.profile, request, stream, impl.request_body);
  if (impl.free.empty()) impl.free.push_back(std::make_unique<Impl::Exchange>(impl));
  std::unique_ptr<Impl::Exchange> exchange = std::move(impl.free.back());
  impl.free.pop_back();
  exchange->Begin(request, ticket, stream);
  const load::Deadlines limits = Combined(request.deadlines, impl.options.default_deadlines);
  impl.Name(request, *exchange);
  exchange->id = impl.client->Start(
      {.path = stream ? impl.stream_path : impl.whole_path, .body = impl.request_body, .fields = impl.request_fields},
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
