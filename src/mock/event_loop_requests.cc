// What a loop does with one parsed request.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <ctime>

#include "base/check.h"
#include "base/hash.h"
#include "base/wall_clock.h"
#include "mock/event_loop.h"
#include "mock/routed_experts.h"
#include "mock/tokenizer.h"

namespace moecap::mock {
namespace {

constexpr size_t kMostCanned = 16;
constexpr int64_t kMostCannedTokens = 1 << 20;  // some hundred bytes each
constexpr int kCannedWritesPerTurn = 16;

std::string NoAnswer(const KnownAnswers& answers, const ApiRequest& api) {
  constexpr size_t kShown = 60;
  if (api.text.empty())
    return fmt::format("{} answers texts, and this prompt came as token ids; no id in it names the request either",
                       answers.file());
  // Not in the middle of a letter.
  size_t end = std::min(kShown, api.text.size());
  while (end < api.text.size() && (static_cast<unsigned char>(api.text[end]) & 0xc0) == 0x80) --end;
  return fmt::format("{} holds no answer for the prompt \"{}{}\" of {} bytes", answers.file(), api.text.substr(0, end),
                     end < api.text.size() ? "..." : "", api.text.size());
}

bool KnowsModelNames(Dialect dialect) { return dialect == Dialect::kVllm || dialect == Dialect::kOllama; }

}  // namespace

void EventLoop::HandleRequest(Connection& connection, const HttpRequest& request, int64_t arrival_ns) {
  counters_.requests.Add(1);
  if (Refused(connection, request)) return;
  const auto route = RouteOf(options_.dialect, request.path);
  if (route && request.method == "POST") {
    int64_t none = 0;
    shared_.first_request_ns.compare_exchange_strong(none, arrival_ns);
    return HandleGeneration(connection, request, *route, arrival_ns);
  }
  if (route) return AnswerError(connection, 405, "Method Not Allowed", request.keep_alive);
  Totals totals;
  for (const Counters* counters : shared_.counters) totals.Add(*counters);
  auto answer = AnswerInfo(info_, request.method, request.path, request.body, totals, shared_.passes);
  if (!answer) return AnswerError(connection, 404, "Not Found", request.keep_alive);
  // SGLang empties its cache only when nothing runs; vLLM forgets what no request uses.
  if (answer->clear_prefix_cache && options_.dialect == Dialect::kSglang && totals.running + totals.waiting > 0)
    return AnswerError(connection, 400, "Flush cache failed.", request.keep_alive);
  if (answer->clear_prefix_cache) engine_->ClearPrefixCache();
  AnswerPlain(connection, 200, answer->content_type, std::move(answer->body), request.keep_alive);
}

bool EventLoop::Refused(Connection& connection, const HttpRequest& request) {
  if (options_.api_key.empty()) return false;
  // vLLM and others leave health, metrics and the like open.
  if (!request.path.starts_with("/v1") && request.method != "POST") return false;
  if (request.Header("authorization") == "Bearer " + options_.api_key) return false;
  AnswerError(connection, 401, "Unauthorized", request.keep_alive);
  return true;
}

void EventLoop::AnswerPlain(Connection& connection, int status, std::string_view content_type, std::string body,
                            bool keep_alive, std::string_view extra_headers) {
  bytes_.Clear();
  bytes_.bytes = PlainAnswer(status, content_type, body, keep_alive, extra_headers);
  bytes_.after = keep_alive ? AnswerBytes::After::kDone : AnswerBytes::After::kClose;
  Send(connection, bytes_);
}

void EventLoop::AnswerError(Connection& connection, int status, std::string_view message, bool keep_alive) {
  const bool retry = status == 429 || status == 503;
  AnswerPlain(connection, status, "application/json", ErrorBody(options_.dialect, status, message), keep_alive,
              retry ? "retry-after: 1\r\n" : "");
}

FaultSet EventLoop::FaultsOf(const HttpRequest& request, const ApiRequest& api) {
  std::vector<Fault> of_requests = options_.faults;
  std::erase_if(of_requests, [](const Fault& fault) { return fault.kind == FaultKind::kRefuse; });  // strikes connections
  FaultSet faults = DrawFaults(of_requests, fault_rng_);
  for (const std::string_view specs : {request.Header("x-mock-fault"), std::string_view(api.faults)}) {
    const auto parsed = ParseFaults(specs);
    if (!parsed.ok()) continue;  // HandleGeneration has refused it
    for (const Fault& fault : parsed.value()) {
      if (fault.probability >= 1 || fault_rng_.Uniform() < fault.probability) faults.Add(fault);
    }
  }
  return faults;
}

void EventLoop::HandleGeneration(Connection& connection, const HttpRequest& request, Route route, int64_t arrival_ns) {
  const bool asks_for_faults = !request.Header("x-mock-fault").empty() || request.body.find("mock_fault") != std::string::npos;
  if (options_.null_server && !options_.known_answers && options_.faults.empty() && !asks_for_faults &&
      ServeCanned(connection, request, route))
    return;
  auto parsed = ParseApiRequest(options_.dialect, route, request.path, request.body, {info_.vocab, info_.max_context});
  if (const auto* error = std::get_if<ApiError>(&parsed)) {
    return AnswerError(connection, error->status, error->message, request.keep_alive);
  }
  auto& api = std::get<ApiRequest>(parsed);
  if (KnowsModelNames(options_.dialect) && !api.model.empty() && api.model != options_.model_name) {
    return AnswerError(connection, 404, fmt::format("The model `{}` does not exist.", api.model), request.keep_alive);
  }
  for (const std::string_view specs : {request.Header("x-mock-fault"), std::string_view(api.faults)}) {
    if (const auto faults = ParseFaults(specs); !faults.ok()) {
      return AnswerError(connection, 400, faults.error().message, request.keep_alive);
    }
  }
  const FaultSet faults = FaultsOf(request, api);
  if (faults.Has(FaultKind::kRefuse)) {
    AfterAnswer(connection, AnswerBytes::After::kReset);
    return;
  }
  if (const auto status = faults.Value(FaultKind::kStatus)) {
    return AnswerError(connection, static_cast<int>(*status), "injected fault", request.keep_alive);
  }
  const KnownAnswer* known = nullptr;
  if (options_.known_answers) {
    known = options_.known_answers->Find(api.text, request.Header("x-request-id"));
    if (known == nullptr) return AnswerError(connection, 404, NoAnswer(*options_.known_answers, api), request.keep_alive);
    if (known->failed)
      return AnswerError(connection, 500, "the file of answers says that this request failed", request.keep_alive);
  }
  StartExchange(connection, request, std::move(api), known, faults, arrival_ns);
}

AnswerFacts EventLoop::FactsOf(const ApiRequest& api) const {
  AnswerFacts facts;
  facts.id = fmt::format("{:016x}", shared_.next_answer.fetch_add(1, std::memory_order_relaxed));
  facts.created_s = static_cast<int64_t>(std::time(nullptr));
  facts.created_at = WallTimeIso8601();
  facts.model = options_.model_name;
  if (api.return_token_ids) facts.prompt = api.prompt;
  facts.prompt_tokens = static_cast<int64_t>(api.prompt.size());
  const bool chat = api.route == Route::kChat || api.route == Route::kOllamaChat;
  facts.reasoning_tokens = chat ? options_.reasoning_tokens : 0;
  return facts;
}

const KnownText* EventLoop::KnownTextOf(const ApiRequest& api, const KnownAnswer* answer) const {
  if (answer == nullptr) return nullptr;
  const bool chat = api.route == Route::kChat || api.route == Route::kOllamaChat;
  return chat && SeparatesReasoning(options_.dialect) ? &answer->apart : &answer->inline_;
}

EngineRequest EventLoop::PlanRequest(const ApiRequest& api, const KnownText* known, int64_t arrival_ns) const {
  EngineRequest planned;
  planned.arrival_ns = arrival_ns;
  planned.prompt = api.prompt;
  planned.cache_salt = api.cache_salt.empty() ? 0 : HashOf(api.cache_salt);
  planned.cache_prompt = api.cache_prompt;
  planned.seed = options_.seed;
  for (const int32_t id : api.prompt) planned.seed = Mix(planned.seed, static_cast<uint64_t>(id));
  const int64_t limit = api.max_tokens.value_or(INT64_MAX);
  if (known != nullptr) {
    const int64_t whole = std::ssize(known->pieces) + 1;
    planned.output_tokens = std::min(whole, limit);
    planned.ends_with_eos = whole <= limit;
    return planned;
  }
  if (api.ignore_eos || (!options_.output_tokens && api.max_tokens)) {
    planned.output_tokens = api.max_tokens.value_or(options_.default_output_tokens);
    return planned;
  }
  int64_t natural = options_.default_output_tokens;
  if (options_.output_tokens) {
    Rng rng(Mix(planned.seed, 0x6c656e677468));
    natural = std::max<int64_t>(1, std::llround(options_.output_tokens->Draw(rng)));
  }
  natural = std::max(natural, std::min(api.min_tokens, limit));
  if (options_.model.max_context)
    natural = std::min(natural, std::max<int64_t>(1, *options_.model.max_context - static_cast<int64_t>(api.prompt.size())));
  planned.output_tokens = std::min(natural, limit);
  planned.ends_with_eos = natural <= limit;
  return planned;
}

std::function<std::string()> EventLoop::RoutedProvider(const ApiRequest& api, const EngineRequest& planned) const {
  const bool wanted = options_.dialect == Dialect::kVllm ? !api.stream : api.return_routed_experts;
  if (!options_.routed_experts || simulated_ == nullptr || !wanted) return nullptr;
  RoutedSpan span{api.prompt, planned.seed, planned.output_tokens, api.routed_experts_start};
  return [this, span = std::move(span)] {
    return EncodeRoutedExperts(options_.dialect, options_.model, simulated_->router(), span);
  };
}

void EventLoop::StartExchange(Connection& connection, const HttpRequest& request, ApiRequest api, const KnownAnswer* answer,
                              const FaultSet& faults, int64_t arrival_ns) {
  const KnownText* known = KnownTextOf(api, answer);
  EngineRequest planned = PlanRequest(api, known, EngineTime(arrival_ns));
  planned.id = RequestId(connection.transport.fd(), next_request_++);
  AnswerFacts facts = FactsOf(api);
  if (const auto most = faults.Value(FaultKind::kDegrade);
      most && static_cast<double>(engine_->State().running + engine_->State().waiting + 1) > *most) {
    known = nullptr;
    planned.seed = Mix(planned.seed, planned.id);
  }
  facts.known = known;
  if (known != nullptr) facts.reasoning_tokens = known->reasoning;
  RequestLog log;
  log.id = planned.id;
  log.answer_id = facts.id;
  log.replica = replica_;
  log.path = request.path;
  log.stream = api.stream;
  log.cache_salt = api.cache_salt;
  log.arrival_ns = arrival_ns;
  log.prompt_tokens = facts.prompt_tokens;
  log.planned_tokens = planned.output_tokens;
  log.due_ns.reserve(static_cast<size_t>(std::min<int64_t>(planned.output_tokens, 1 << 16)));
  log.token_ns.reserve(log.due_ns.capacity());
  const AnswerOptions options{options_.tokens_per_chunk, options_.events_per_write, request.keep_alive, !request.http10};
  auto routed = RoutedProvider(api, planned);
  AnswerStream stream(options_.dialect, std::move(api), std::move(facts), faults, options, std::move(routed));
  connection.exchange.reset(new Exchange{planned.id, std::move(stream), std::move(log), {}, planned.arrival_ns});
  connection.exchange->ends_with_eos = planned.ends_with_eos;
  connection.exchange->known = known;
  connection.exchange->planned = std::move(planned);
  if (const auto silence = faults.Value(FaultKind::kStallHeaders)) {
    connection.stalled = true;
    timers_.push({Now() + std::llround(*silence * 1e9), connection.transport.fd(), connection.serial});
    return;
  }
  BeginExchange(connection);
}

void EventLoop::BeginExchange(Connection& connection) {
  Exchange& exchange = *connection.exchange;
  EngineRequest planned = std::move(*exchange.planned);
  exchange.planned.reset();
  planned.arrival_ns = std::max(planned.arrival_ns, last_submit_ns_);
  last_submit_ns_ = planned.arrival_ns;
  exchange.stream.Begin(bytes_);
  if (!exchange.stream.ended() && !engine_->Submit(std::move(planned))) {
    bytes_.Clear();
    EndExchange(connection, "status-400");
    return AnswerError(connection, 400, "the request needs more KV cache than there is", false);
  }
  if (!bytes_.bytes.empty() || exchange.stream.ended()) Send(connection, bytes_);
}

bool EventLoop::ServeCanned(Connection& connection, const HttpRequest& request, Route route) {
  const auto found = std::find_if(canned_.begin(), canned_.end(), [&](const auto& answer) {
    return answer->key.size() == request.path.size() + request.body.size() && answer->key.starts_with(request.path) &&
           answer->key.ends_with(request.body) && answer->keep_alive == request.keep_alive;
  });
  if (found != canned_.end()) {
    StartCanned(connection, **found);
    return true;
  }
  // What is being sent must stay; a client with many different requests gets them from the engine.
  if (canned_.size() == kMostCanned || request.http10) return false;
  auto answer = MakeCanned(request, route);
  if (answer == nullptr) return false;
  canned_.push_back(std::move(answer));
  StartCanned(connection, *canned_.back());
  return true;
}

std::unique_ptr<CannedAnswer> EventLoop::MakeCanned(const HttpRequest& request, Route route) const {
  auto parsed = ParseApiRequest(options_.dialect, route, request.path, request.body, {info_.vocab, info_.max_context});
  auto* api = std::get_if<ApiRequest>(&parsed);
  if (api == nullptr || (KnowsModelNames(options_.dialect) && !api->model.empty() && api->model != options_.model_name))
    return nullptr;
  const EngineRequest planned = PlanRequest(*api, nullptr, 0);
  if (planned.output_tokens > kMostCannedTokens) return nullptr;
  AnswerFacts facts = FactsOf(*api);
  const AnswerOptions options{options_.tokens_per_chunk, options_.events_per_write, request.keep_alive, true};
  AnswerStream stream(options_.dialect, std::move(*api), std::move(facts), {}, options);
  auto answer = std::make_unique<CannedAnswer>();
  answer->key = request.path + request.body;
  answer->keep_alive = request.keep_alive;
  const auto take = [&answer](AnswerBytes& bytes) {
    if (!bytes.bytes.empty()) {
      answer->bytes += bytes.bytes;
      answer->write_ends.push_back(answer->bytes.size());
    }
    bytes.Clear();
  };
  AnswerBytes bytes;
  stream.Begin(bytes);
  take(bytes);
  for (int64_t i = 0; i < planned.output_tokens; ++i) {
    const bool last = i + 1 == planned.output_tokens;
    const int32_t token = last && planned.ends_with_eos ? kEosToken : OutputToken(planned.seed, i, options_.model.vocab);
    Progress progress;
    progress.completion_tokens = i + 1;
    stream.Token(token, !last ? "" : token == kEosToken ? "stop" : "length", progress, bytes);
    take(bytes);
  }
  return answer;
}

void EventLoop::StartCanned(Connection& connection, const CannedAnswer& answer) {
  connection.canned = &answer;
  connection.canned_write = connection.canned_position = 0;
  if (WriteCanned(connection)) canned_ready_.emplace_back(connection.transport.fd(), connection.serial);
}

bool EventLoop::WriteCanned(Connection& connection) {
  const CannedAnswer& answer = *connection.canned;
  for (int i = 0; i < kCannedWritesPerTurn; ++i) {
    const size_t end = answer.write_ends[connection.canned_write];
    const long written =
        connection.transport.Write(answer.bytes.data() + connection.canned_position, end - connection.canned_position);
    if (written == Transport::kFailed) {
      Close(connection);
      return false;
    }
    if (written == Transport::kAgain) {
      SetWantsWrite(connection, true);
      return false;
    }
    connection.canned_position += static_cast<size_t>(written);
    if (connection.canned_position < end) continue;
    if (++connection.canned_write < answer.write_ends.size()) continue;
    connection.canned = nullptr;
    AfterAnswer(connection, answer.keep_alive ? AnswerBytes::After::kDone : AnswerBytes::After::kClose);
    return false;
  }
  return true;
}

}  // namespace moecap::mock
