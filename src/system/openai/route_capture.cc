#include "system/openai/route_capture.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/json.h"
#include "system/openai/error_message.h"
#include "system/openai/route_decoder.h"
#include "system/openai/secrets.h"

namespace moecap::openai {
namespace {

constexpr int64_t kSliceNs = 50'000'000;  // between two looks at `stop`
constexpr int kMostFailuresInARow = 20;
constexpr size_t kMostErrorBody = size_t{64} << 10;

Result<std::unique_ptr<net::HttpClient>> MakeClient(const OpenAiOptions& options, const Clock& clock) {
  net::HttpClientOptions http = options.http;
  if (!options.api_key.empty()) http.headers.push_back(KeyHeader(options.profile.api, options.api_key_header, options.api_key));
  return net::HttpClient::Create(std::move(http), clock);
}

// vLLM tells for every request when its flag is set, SGLang when it is asked besides.
RequestProfile AskingProfile(RequestProfile profile) {
  if (profile.server == ServerKind::kSglang) profile.body.push_back({"return_routed_experts", "true"});
  return profile;
}

// Sends the requests and reads their answers.
class Receiver {
 public:
  Receiver(const OpenAiOptions& options, std::span<const load::RequestSpec> requests, const CaptureOptions& capture,
           const Clock& clock, net::HttpClient& client, RouteDecoder& decoder)
      : options_(options),
        secrets_(options.api_key, options.http),
        profile_(AskingProfile(options.profile)),
        path_(RequestPath(profile_, false)),
        requests_(requests),
        capture_(capture),
        clock_(clock),
        client_(client),
        decoder_(decoder) {
    const size_t slots = std::min(requests.size(), static_cast<size_t>(std::max(capture.concurrency, 1)));
    for (size_t i = 0; i < slots; ++i) free_.push_back(exchanges_.emplace_back(std::make_unique<Exchange>(*this)).get());
  }

  // Until every request has ended or was given up. Error: kInterrupted.
  Status Run() {
    while (free_.size() < exchanges_.size() || MoreToSend()) {
      if (capture_.stop && capture_.stop()) {
        CancelAll();
        return Error{ErrorKind::kInterrupted, "interrupted while the experts were asked for"};
      }
      while (MoreToSend() && !free_.empty() && decoder_.HasRoom()) Send();
      client_.Poll(clock_.NowNs() + kSliceNs);
    }
    return {};
  }

  // Why the server seems to have been restarted; "" = it does not.
  const std::string& restart() const { return restart_; }
  int64_t longest_hold_ns() const { return longest_hold_ns_; }

 private:
  class Exchange final : public net::ExchangeHandler {
   public:
    explicit Exchange(Receiver& receiver) : receiver_(receiver) {}

    void OnHead(const net::ResponseHead& head) override { status_ = head.status(); }
    net::BodyVerdict OnBody(std::string_view bytes, const net::Arrival& arrival) override {
      const size_t most = status_ == 200 ? receiver_.capture_.max_answer_bytes : kMostErrorBody;
      too_large = body.size() + bytes.size() > most;
      if (!too_large) body.append(bytes);
      receiver_.HeldSince(arrival.arrival_ns);
      return too_large ? net::BodyVerdict::kAbort : net::BodyVerdict::kProgress;
    }
    void OnEnd(const net::ExchangeResult& result) override {
      receiver_.OnEnd(*this, result);
      receiver_.HeldSince(result.timings.end_ns);
    }

    size_t index = 0;  // of the request
    net::ExchangeId id = 0;
    std::string body;
    bool too_large = false;

   private:
    Receiver& receiver_;
    int status_ = 0;
  };

  bool MoreToSend() const { return next_ < requests_.size(); }
  void HeldSince(int64_t since_ns) { longest_hold_ns_ = std::max(longest_hold_ns_, clock_.NowNs() - since_ns); }

  void Send() {
    if (decoder_.is_full()) {
      return LeaveOut(
          fmt::format("not asked for: the experts of other answers take {} bytes already; capture fewer or shorter "
                      "requests",
                      capture_.max_kept_bytes));
    }
    if (failures_in_a_row_ >= kMostFailuresInARow) {
      return LeaveOut(fmt::format("not sent: {} requests had failed one after the other, the last with: {}",
                                  kMostFailuresInARow, last_error_));
    }
    Exchange& exchange = *free_.back();
    free_.pop_back();
    exchange.index = next_++;
    exchange.too_large = false;
    exchange.body.clear();
    WriteRequestBody(profile_, requests_[exchange.index], false, request_body_);
    exchange.id = client_.Start({.path = path_, .body = request_body_},
                                {.connect_ns = capture_.connect_limit_ns, .total_ns = capture_.answer_limit_ns}, exchange);
  }

  void LeaveOut(const std::string& why) {
    for (; MoreToSend(); ++next_) decoder_.Miss(next_, why);
  }

  void CancelAll() {
    for (const auto& exchange : exchanges_) {
      if (std::ranges::find(free_, exchange.get()) == free_.end()) client_.Cancel(exchange->id);
    }
  }

  void OnEnd(Exchange& exchange, const net::ExchangeResult& result) {
    std::string error = WhyFailed(exchange, result);
    if (error.empty()) {
      failures_in_a_row_ = 0;
      if (restart_.empty()) restart_ = std::exchange(lost_, "");
      decoder_.Push(exchange.index, std::exchange(exchange.body, {}));
    } else {
      ++failures_in_a_row_;
      if (IsLost(result.error.kind)) lost_ = error;
      last_error_ = error;
      decoder_.Miss(exchange.index, std::move(error), result.status);
    }
    free_.push_back(&exchange);
  }

  // The server went away, rather than refuse or be slow.
  static bool IsLost(net::NetErrorKind kind) {
    return kind == net::NetErrorKind::kConnectRefused || kind == net::NetErrorKind::kSendFailed ||
           kind == net::NetErrorKind::kResetBeforeHeaders || kind == net::NetErrorKind::kResetMidstream;
  }

  // "" = it did not.
  std::string WhyFailed(const Exchange& exchange, const net::ExchangeResult& result) const {
    if (exchange.too_large) {
      return fmt::format("the answer is larger than {} bytes; ask for shorter answers, whose experts take less",
                         capture_.max_answer_bytes);
    }
    if (result.error.kind != net::NetErrorKind::kNone) return secrets_.CutOutOf(result.error.message);
    if (result.status == 200) return "";
    return secrets_.CutOutOf(fmt::format("{}: {} answers status {}: {}", options_.http.urls[result.url].Origin(), path_,
                                         result.status, ErrorMessage(exchange.body)));
  }

  const OpenAiOptions& options_;
  Secrets secrets_;
  RequestProfile profile_;
  std::string path_;
  std::span<const load::RequestSpec> requests_;
  const CaptureOptions& capture_;
  const Clock& clock_;
  net::HttpClient& client_;
  RouteDecoder& decoder_;
  std::vector<std::unique_ptr<Exchange>> exchanges_;
  std::vector<Exchange*> free_;
  std::string request_body_;
  size_t next_ = 0;
  int failures_in_a_row_ = 0;
  std::string last_error_, lost_, restart_;
  int64_t longest_hold_ns_ = 0;
};

// Takes the experts of an answer back.
void Refuse(CapturedAnswer& answer, std::string why) {
  answer.experts = {};
  answer.missing = std::move(why);
}

// Answers must come from one model: what differs from the first one's is left out.
void CheckOrigins(std::vector<CapturedAnswer>& answers, const std::vector<AnswerOrigin>& origins,
                  std::vector<std::string>& findings) {
  const AnswerOrigin* first = nullptr;
  std::string change;
  for (size_t i = 0; i < answers.size(); ++i) {
    if (answers[i].experts.empty()) continue;
    if (first == nullptr) first = &origins[i];
    if (origins[i].model == first->model && origins[i].fingerprint == first->fingerprint) continue;
    change = origins[i].model != first->model
                 ? fmt::format("the server answered as model \"{}\", then as \"{}\"", first->model, origins[i].model)
                 : fmt::format("the server answered as build or weights \"{}\", then as \"{}\"", first->fingerprint,
                               origins[i].fingerprint);
    Refuse(answers[i], change);
  }
  if (!change.empty()) findings.push_back(change + ": the experts of the others are left out");
}

void Examine(CapturedRoutes& routes) {
  routing::RoutedSurvey survey;
  std::string first_missing;
  for (CapturedAnswer& answer : routes.answers) {
    if (!answer.experts.empty()) {
      if (const Status added = survey.Add(answer.experts); !added.ok()) Refuse(answer, added.error().message);
    }
    routes.told += !answer.experts.empty();
    if (first_missing.empty()) first_missing = answer.missing;
  }
  const auto all = static_cast<int64_t>(routes.answers.size());
  if (routes.told > 0 && routes.told < all) {
    routes.findings.push_back(fmt::format("{} of {} answers brought no experts, the first of them because: {}",
                                          all - routes.told, all, first_missing));
  }
  if (survey.missing_rows() > 0) {
    routes.findings.push_back(fmt::format(
        "{} times a token has no valid choice in an MoE layer (a repeated id, or none): such tokens do not count there",
        survey.missing_rows()));
  }
  if (survey.layers_alike()) {
    routes.findings.emplace_back(
        "all layers chose the same experts, which no trained model does: dummy weights that are equal in every layer?");
  }
}

}  // namespace

Result<CapturedRoutes> CaptureRoutes(const OpenAiOptions& options, std::span<const load::RequestSpec> requests,
                                     const CaptureOptions& capture, const Clock& clock) {
  RETURN_IF_ERROR(CheckProfile(options.profile));
  ASSIGN_OR_RETURN(const auto client, MakeClient(options, clock));
  RouteDecoder decoder(requests.size(), capture, clock);
  Receiver receiver(options, requests, capture, clock, *client, decoder);
  RETURN_IF_ERROR(receiver.Run());
  RouteDecoder::Results results = decoder.Finish();
  CapturedRoutes routes;
  routes.answers = std::move(results.answers);
  routes.decode_ns = results.decode_ns;
  routes.longest_hold_ns = receiver.longest_hold_ns();
  if (!receiver.restart().empty()) {
    routes.findings.push_back(
        fmt::format("the server went away and came back ({}): after a restart its experts may be those of other settings",
                    receiver.restart()));
  }
  CheckOrigins(routes.answers, results.origins, routes.findings);
  Examine(routes);
  return routes;
}

namespace {

// SGLang's own word. Releases before /server_info have /get_server_info; one that does not tell is asked for an answer.
Result<std::optional<bool>> SglangSays(net::HttpClient& client, int64_t limit_ns) {
  for (const char* page : {"/server_info", "/get_server_info"}) {
    ASSIGN_OR_RETURN(const auto response, client.Fetch({.method = "GET", .path = page}, limit_ns));
    if (response.status != 200) continue;
    const auto json = ParseJson(response.body);
    if (!json.ok() || !json->is_object()) continue;
    const auto flag = json->find("enable_return_routed_experts");
    return std::optional<bool>(flag != json->end() && flag->is_boolean() && flag->get<bool>());
  }
  return std::optional<bool>();
}

Result<ExpertsOffer> AskForAnswer(const OpenAiOptions& options, int64_t limit_ns, const Clock& clock) {
  load::RequestSpec probe;
  probe.id = "probe";
  probe.prompt = "1 + 1 =";
  probe.max_output_tokens = 2;
  CaptureOptions capture;
  capture.connect_limit_ns = capture.answer_limit_ns = limit_ns;
  ASSIGN_OR_RETURN(const CapturedRoutes routes, CaptureRoutes(options, std::span(&probe, 1), capture, clock));
  const CapturedAnswer& answer = routes.answers.front();
  if (answer.http_status == 0) return Failed(answer.missing);
  return ExpertsOffer{answer.missing.empty(), answer.missing};
}

}  // namespace

Result<ExpertsOffer> TellsExperts(const OpenAiOptions& options, int64_t limit_ns, const Clock& clock) {
  const ServerKind kind = options.profile.server;
  if (!MayTellExperts(kind))
    return ExpertsOffer{false, fmt::format("servers of kind {} put no experts into their answers", Name(kind))};
  if (kind == ServerKind::kSglang) {
    ASSIGN_OR_RETURN(const auto client, MakeClient(options, clock));
    ASSIGN_OR_RETURN(const std::optional<bool> says, SglangSays(*client, limit_ns));
    if (says) return ExpertsOffer{*says, *says ? "" : "this SGLang was started without --enable-return-routed-experts"};
  }
  return AskForAnswer(options, limit_ns, clock);
}

}  // namespace moecap::openai
