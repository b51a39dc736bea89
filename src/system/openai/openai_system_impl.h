// The insides of OpenAiSystem: openai_system.cc sends requests, exchange.cc reads their answers.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "system/openai/event_template.h"
#include "system/openai/openai_system.h"
#include "system/openai/secrets.h"
#include "system/openai/token_account.h"

namespace moecap::openai {

using record::RequestError;

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
      known_ = false;
      saw_event_ = false;
      saw_model_ = false;
      status_ = 0;
      most_tokens_ = request.max_output_tokens;
      continuations_ = request.continuations.size();
      gap_ = stream ? record::TimingGap::kNone : record::TimingGap::kCameWhole;
      first_event_ns_ = 0;
      SetEcho(request);
      likelihoods_.clear();
      begin_.clear();
      prompt_ids_ = static_cast<int64_t>(request.prompt_token_ids.size());
      keep_text_ = impl_.options.keep_text || request.keep_text;
      account_.Reset(keep_text_, !stream, most_tokens_);
      template_.Reset();
      body_.clear();
      error_kind_ = RequestError::kNone;
      error_.clear();
      location_.clear();
      retry_after_.clear();
      response_id_.clear();
    }
    void OnHead(const net::ResponseHead& head) override;
    net::BodyVerdict OnBody(std::string_view bytes, const net::Arrival& arrival) override;
    void OnEnd(const net::ExchangeResult& result) override;

    uint64_t ticket() const { return ticket_; }
    net::ExchangeId id = 0;
    std::string request_id;

   private:
    net::BodyVerdict Collect(std::string_view bytes, const net::Arrival& arrival);
    void Recognise(std::string_view bytes);
    void SetEcho(const load::RequestSpec& request);
    bool IsEcho(const EventFacts& facts);
    void ComesWhole();
    net::BodyVerdict ReadStream(std::string_view bytes, const net::Arrival& arrival);
    bool OnEvent(const net::StreamEvent& event);
    bool TakeEvent(std::string_view data, const net::Arrival& arrival);
    void CheckModel(std::string_view data);
    void TakeWhole();
    void TakeLikelihoods();
    void TakeRest();
    void Explain(const net::ExchangeResult& result, load::Completion& completion) const;
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
    bool labelled_json_ = false;
    net::StreamFormat format_ = net::StreamFormat::kServerSentEvents;
    bool known_ = false;      // what kind of answer it is, by its first byte
    bool saw_event_ = false;  // in a stream
    bool saw_model_ = false;  // or looked for it
    int64_t most_tokens_ = 0;
    size_t continuations_ = 0;  // that are scored; 0 = an answer is generated
    std::string likelihoods_;   // of them, as the answer's text
    bool keep_text_ = true;
    record::TimingGap gap_ = record::TimingGap::kNone;
    int64_t first_event_ns_ = 0;
    std::string echo_;   // how the prompt of a chat begins, until the first text came; "" = it is too short to be recognised
    std::string begin_;  // of a stream's body, until its first event
    int status_ = 0;
    int64_t prompt_ids_ = 0;
    net::StreamParser parser_;
    TokenAccount account_;
    EventTemplate template_;
    std::string body_;  // of a whole answer or an error response
    net::Arrival last_arrival_;
    RequestError error_kind_ = RequestError::kNone;
    std::string error_;
    std::string location_, retry_after_, response_id_;
  };

  Impl(OpenAiOptions system_options)
      : options(std::move(system_options)), secrets(options.api_key, options.http), reader(options.profile.api) {}

  // Gives the request its own id, and the header line that carries it.
  void Name(const load::RequestSpec& request, Exchange& exchange);

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
  std::string request_body, request_fields;
  std::string stream_path, whole_path;
  std::string id_prefix;       // of the requests' ids
  bool names_requests = true;  // false: the configuration sets the header itself
  int64_t named_requests = 0;
  std::string first_model;  // that an answer named; "" = none yet
  std::unordered_map<uint64_t, std::unique_ptr<Exchange>> in_flight;
  std::vector<std::unique_ptr<Exchange>> free;
  load::Observer* observer = nullptr;
  int64_t observations = 0;
};

}  // namespace moecap::openai
