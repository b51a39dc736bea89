#include "peer_wire.h"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

#include "base/json.h"

namespace moecap::peer {
namespace {

constexpr int64_t kLimitNs = 60'000'000'000;
const std::string kProblem = "Question: Tom has 12 apples and buys 30 more. How many apples does Tom have?\nAnswer:";

struct Answer {
  int status = 0;
  std::string body;
  Json json;                 // the whole body; null when it is not JSON
  std::vector<Json> events;  // of a stream
  bool done = false;         // ended with [DONE]

  const Json& last() const { return events.back(); }
};

// Independent of net/stream_parser.h: one event is a line here.
void TakeEvents(Answer& answer) {
  for (size_t begin = 0; begin < answer.body.size();) {
    const size_t end = std::min(answer.body.find('\n', begin), answer.body.size());
    const std::string_view line = std::string_view(answer.body).substr(begin, end - begin);
    begin = end + 1;
    if (!line.starts_with("data: ")) continue;
    if (line == "data: [DONE]") {
      answer.done = true;
    } else if (auto event = ParseJson(line.substr(6)); event.ok()) {
      answer.events.push_back(std::move(event).value());
    }
  }
}

class Server {
 public:
  Server(net::HttpClient& client, std::string model) : client_(client), model_(std::move(model)) {}

  // Answers of the last call; a transport error ends the probing.
  const Answer& Get(const std::string& path) { return Ask("GET", path, ""); }
  const Answer& Post(const std::string& path, const Json& body) { return Ask("POST", path, DumpJson(body)); }

  // A request for `tokens` tokens on one of the three interfaces, with `more` fields.
  const Answer& Complete(const std::string& path, bool stream, int tokens, Json more = Json::object()) {
    Json body = {{"model", model_}, {"temperature", 0}, {"stream", stream}, {"cache_prompt", false}};
    if (path == "/v1/chat/completions") {
      body["messages"] = Json::array({{{"role", "user"}, {"content", kProblem}}});
    } else {
      body["prompt"] = kProblem;
    }
    body[path == "/completion" ? "n_predict" : "max_tokens"] = tokens;
    if (stream && path != "/completion") body["stream_options"] = {{"include_usage", true}};
    body.update(more);
    return Post(path, body);
  }

  const Status& status() const { return status_; }

 private:
  const Answer& Ask(const char* method, const std::string& path, const std::string& body) {
    answer_ = {};
    if (!status_.ok()) return answer_;
    auto response = client_.Fetch({.method = method, .path = path, .body = body}, kLimitNs);
    if (!response.ok()) {
      status_ = response.error();
      return answer_;
    }
    answer_.status = response->status;
    answer_.body = response->body;
    if (auto json = ParseJson(answer_.body); json.ok()) answer_.json = std::move(json).value();
    TakeEvents(answer_);
    return answer_;
  }

  net::HttpClient& client_;
  std::string model_;
  Answer answer_;
  Status status_;
};

// A member by its path, null when there is none.
Json At(const Json& object, const char* path) {
  const Json::json_pointer pointer(path);
  return object.is_structured() && object.contains(pointer) ? object.at(pointer) : Json(nullptr);
}

int64_t Count(const Json& object, const char* path) {
  const Json value = At(object, path);
  return value.is_number_integer() ? value.get<int64_t>() : -1;
}

bool TimingsHold(const Json& timings, int64_t output_tokens, int64_t input_tokens) {
  const int64_t predicted = Count(timings, "/predicted_n");
  const double per_token_ms =
      At(timings, "/predicted_per_token_ms").is_number() ? timings["predicted_per_token_ms"].get<double>() : -1;
  const double predicted_ms = At(timings, "/predicted_ms").is_number() ? timings["predicted_ms"].get<double>() : -1;
  return predicted == output_tokens && predicted > 1 && input_tokens > 0 &&
         Count(timings, "/prompt_n") + Count(timings, "/cache_n") == input_tokens &&
         std::abs(per_token_ms * static_cast<double>(predicted - 1) - predicted_ms) < 1e-6 * predicted_ms;
}

struct Assumption {
  const char* claim;
  std::function<bool(Server&)> holds;
};

void AddPages(std::vector<Assumption>& list) {
  list.push_back(
      {"/health: {\"status\":\"ok\"}", [](Server& server) { return At(server.Get("/health").json, "/status") == "ok"; }});
  list.push_back({"/v1/models: data[].id, owned_by \"llamacpp\"",
                  [](Server& server) { return At(server.Get("/v1/models").json, "/data/0/owned_by") == "llamacpp"; }});
  list.push_back({"/props: total_slots, build_info, default_generation_settings.n_ctx", [](Server& server) {
                    const Json& props = server.Get("/props").json;
                    return Count(props, "/total_slots") > 0 && At(props, "/build_info").is_string() &&
                           Count(props, "/default_generation_settings/n_ctx") > 0;
                  }});
  list.push_back({"/slots: one object a slot with id, is_processing", [](Server& server) {
                    const int64_t slots = Count(server.Get("/props").json, "/total_slots");
                    const Json& page = server.Get("/slots").json;
                    return page.is_array() && static_cast<int64_t>(page.size()) == slots &&
                           At(page, "/0/is_processing").is_boolean() && Count(page, "/0/id") == 0;
                  }});
  list.push_back(
      {"/tokenize and /detokenize: {\"content\"} to {\"tokens\"} and back", [](Server& server) {
         const Json tokens = At(server.Post("/tokenize", {{"content", kProblem}}).json, "/tokens");
         return tokens.is_array() && At(server.Post("/detokenize", {{"tokens", tokens}}).json, "/content") == kProblem;
       }});
  list.push_back({"/metrics: llamacpp:prompt_tokens_total, tokens_predicted_total, requests_processing", [](Server& server) {
                    const std::string page = server.Get("/metrics").body;
                    for (const char* name : {"prompt_tokens_total", "prompt_tokens_cached_total", "prompt_seconds_total",
                                             "tokens_predicted_total", "tokens_predicted_seconds_total", "n_decode_total",
                                             "n_busy_slots_per_decode", "requests_processing", "requests_deferred"}) {
                      if (page.find(fmt::format("\nllamacpp:{} ", name)) == std::string::npos) return false;
                    }
                    return true;
                  }});
}

void AddCounts(std::vector<Assumption>& list) {
  list.push_back({"/completion: tokens_predicted = predicted_n, tokens_evaluated = prompt_n + cache_n; per token over n - 1",
                  [](Server& server) {
                    const Json& json = server.Complete("/completion", false, 20, {{"ignore_eos", true}}).json;
                    return Count(json, "/tokens_predicted") == 20 && At(json, "/stop_type") == "limit" &&
                           TimingsHold(At(json, "/timings"), 20, Count(json, "/tokens_evaluated"));
                  }});
  for (const char* path : {"/v1/completions", "/v1/chat/completions"}) {
    list.push_back(
        {path == std::string("/v1/completions") ? "/v1/completions: usage = timings" : "/v1/chat/completions: usage = timings",
         [path](Server& server) {
           const Json& json = server.Complete(path, false, 20, {{"ignore_eos", true}}).json;
           return At(json, "/choices/0/finish_reason") == "length" && Count(json, "/usage/completion_tokens") == 20 &&
                  TimingsHold(At(json, "/timings"), 20, Count(json, "/usage/prompt_tokens"));
         }});
  }
  list.push_back({"return_tokens: all ids, the end token among them; stop_type \"eos\"", [](Server& server) {
                    const Json& json = server.Complete("/completion", false, 200, {{"return_tokens", true}}).json;
                    return At(json, "/stop_type") == "eos" && Count(json, "/timings/predicted_n") > 1 &&
                           static_cast<int64_t>(At(json, "/tokens").size()) == Count(json, "/timings/predicted_n");
                  }});
  list.push_back({"cache_prompt false: cache_n 0 twice; true: the second has it cached", [](Server& server) {
                    const Json slot = {{"id_slot", 3}};
                    Json cached = slot;
                    cached["cache_prompt"] = true;
                    server.Complete("/completion", false, 4, slot);
                    const int64_t without = Count(server.Complete("/completion", false, 4, slot).json, "/timings/cache_n");
                    return without == 0 && Count(server.Complete("/completion", false, 4, cached).json, "/timings/cache_n") > 0;
                  }});
  list.push_back({"id_slot: that slot answers", [](Server& server) {
                    return Count(server.Complete("/completion", false, 4, {{"id_slot", 5}}).json, "/id_slot") == 5;
                  }});
}

// A letter of two bytes of which the bias allows only the first: no token ever ends a character.
bool UnfinishedCharacters(Server& server) {
  const Json tokens = At(server.Post("/tokenize", {{"content", "\u00e9"}}).json, "/tokens");
  if (!tokens.is_array() || tokens.size() != 2) return false;
  const Json bias = Json::array({Json::array({tokens[0], 100})});
  const Answer& answer = server.Complete("/completion", true, 5, {{"logit_bias", bias}});
  return answer.events.size() == 1 && Count(answer.last(), "/tokens_predicted") == 5;
}

void AddStreams(std::vector<Assumption>& list) {
  list.push_back({"/completion stream: an event a token with its id, then stop with timings; no [DONE]", [](Server& server) {
                    const Answer& answer = server.Complete("/completion", true, 20, {{"ignore_eos", true}});
                    if (answer.done || answer.events.size() != 21) return false;
                    for (size_t i = 0; i < 20; ++i) {
                      const Json& event = answer.events[i];
                      if (At(event, "/tokens").size() != 1 || Count(event, "/tokens_predicted") != static_cast<int64_t>(i) + 1)
                        return false;
                    }
                    return At(answer.last(), "/stop") == true &&
                           TimingsHold(At(answer.last(), "/timings"), 20, Count(answer.last(), "/tokens_evaluated"));
                  }});
  list.push_back(
      {"return_progress: prompt_progress{total,cache,processed,time_ms} before the first token, with a token 0 that is none",
       [](Server& server) {
         const Answer& answer = server.Complete("/completion", true, 4, {{"return_progress", true}});
         if (answer.events.size() < 3) return false;
         const Json& first = answer.events.front();
         return At(first, "/tokens") == Json::array({0}) && Count(first, "/prompt_progress/processed") == 0 &&
                Count(first, "/prompt_progress/total") > 0 && Count(first, "/prompt_progress/cache") == 0 &&
                Count(first, "/prompt_progress/time_ms") >= 0;
       }});
  list.push_back({"/v1/completions stream: finish, usage and timings in one last event, then [DONE]", [](Server& server) {
                    const Answer& answer = server.Complete("/v1/completions", true, 20, {{"ignore_eos", true}});
                    return answer.done && answer.events.size() == 21 &&
                           At(answer.last(), "/choices/0/finish_reason") == "length" &&
                           TimingsHold(At(answer.last(), "/timings"), 20, Count(answer.last(), "/usage/prompt_tokens"));
                  }});
  list.push_back({"chat stream: role, tokens, finish, then usage with timings and no choice, then [DONE]", [](Server& server) {
                    const Answer& answer = server.Complete("/v1/chat/completions", true, 20, {{"ignore_eos", true}});
                    if (!answer.done || answer.events.size() < 4) return false;
                    const Json& role = answer.events.front();
                    const Json& finish = answer.events[answer.events.size() - 2];
                    return At(role, "/choices/0/delta/role") == "assistant" && At(role, "/choices/0/delta/content").is_null() &&
                           At(finish, "/choices/0/finish_reason") == "length" && At(answer.last(), "/choices").empty() &&
                           TimingsHold(At(answer.last(), "/timings"), 20, Count(answer.last(), "/usage/prompt_tokens"));
                  }});
  list.push_back({"chat stream: no event for the end token, but it is counted", [](Server& server) {
                    const Answer& answer = server.Complete("/v1/chat/completions", true, 300, {{"timings_per_token", true}});
                    if (answer.events.size() < 4) return false;
                    const Json& token = answer.events[answer.events.size() - 3];
                    const Json& finish = answer.events[answer.events.size() - 2];
                    return At(finish, "/choices/0/finish_reason") == "stop" && At(finish, "/timings").is_null() &&
                           Count(token, "/timings/predicted_n") + 1 == Count(answer.last(), "/timings/predicted_n");
                  }});
  list.push_back({"/completion stream: no event for a token that leaves a character unfinished", UnfinishedCharacters});
  list.push_back({"timings_per_token: predicted_n counts up with the text", [](Server& server) {
                    const Answer& answer =
                        server.Complete("/v1/completions", true, 20, {{"ignore_eos", true}, {"timings_per_token", true}});
                    for (size_t i = 0; i + 1 < answer.events.size(); ++i) {
                      if (Count(answer.events[i], "/timings/predicted_n") != static_cast<int64_t>(i) + 1) return false;
                    }
                    return answer.events.size() == 21;
                  }});
}

void AddErrors(std::vector<Assumption>& list) {
  list.push_back(
      {"a prompt larger than a slot: 400, exceed_context_size_error with n_prompt_tokens and n_ctx", [](Server& server) {
         const Answer& answer = server.Complete("/completion", true, 4, {{"prompt", std::string(4000, '7')}});
         return answer.status == 400 && At(answer.json, "/error/type") == "exceed_context_size_error" &&
                Count(answer.json, "/error/n_prompt_tokens") == 4000 && Count(answer.json, "/error/n_ctx") > 0;
       }});
  list.push_back({"a field of the wrong type: 400 with error{code,message,type}", [](Server& server) {
                    const Answer& answer = server.Complete("/completion", false, 4, {{"temperature", "hot"}});
                    return answer.status == 400 && Count(answer.json, "/error/code") == 400 &&
                           At(answer.json, "/error/message").is_string();
                  }});
  list.push_back({"an unknown field and an unknown model are ignored", [](Server& server) {
                    return server.Complete("/v1/completions", false, 4, {{"model", "nobody"}, {"unheard_of", 1}}).status == 200;
                  }});
  list.push_back({"an unknown route: 404 with an error object", [](Server& server) {
                    const Answer& answer = server.Get("/nowhere");
                    return answer.status == 404 && At(answer.json, "/error/message").is_string();
                  }});
}

}  // namespace

Result<std::string> WaitUntilReady(net::HttpClient& client, const Clock& clock, const std::function<bool()>& running) {
  const int64_t end_ns = clock.NowNs() + kLimitNs;
  std::string loading, last;
  while (clock.NowNs() < end_ns) {
    if (!running()) return Failed("the server ended before it was ready; start it by hand to see why");
    const auto response = client.Fetch({.method = "GET", .path = "/health"}, 1'000'000'000);
    if (response.ok() && response->status == 200) return loading;
    if (response.ok() && response->status == 503) loading = response->body;
    last = response.ok() ? response->body : response.error().message;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return Failed("the server was not ready within a minute: " + last);
}

Result<bool> CheckWire(net::HttpClient& client, const std::string& model, const std::string& loading) {
  std::vector<Assumption> list;
  AddPages(list);
  AddCounts(list);
  AddStreams(list);
  AddErrors(list);
  Server server(client, model);
  bool all = true;
  const auto print = [&all](const char* verdict, const char* claim) { fmt::print("{:9} {}\n", verdict, claim); };
  const auto error = ParseJson(loading);
  const bool unavailable =
      error.ok() && Count(*error, "/error/code") == 503 && At(*error, "/error/type") == "unavailable_error";
  print(loading.empty() ? "not met"
        : unavailable   ? "holds"
                        : "DIFFERS",
        "503 while loading: error{code 503, type unavailable_error}");
  all = loading.empty() || unavailable;
  for (const Assumption& assumption : list) {
    const bool holds = assumption.holds(server);
    RETURN_IF_ERROR(server.status());
    print(holds ? "holds" : "DIFFERS", assumption.claim);
    all = all && holds;
  }
  return all;
}

}  // namespace moecap::peer
