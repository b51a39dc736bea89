#include "system/openai/control.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "base/json.h"
#include "system/openai/error_message.h"
#include "system/openai/secrets.h"
#include "system/openai/server_counters.h"

namespace moecap::openai {
namespace {

// Where the prefix cache is emptied; null = nowhere.
const char* FlushPath(ServerKind server) {
  if (server == ServerKind::kVllm) return "/reset_prefix_cache";
  // SGLang refuses while anything runs, cancelled requests too; with a timeout it waits for their end.
  return server == ServerKind::kSglang ? "/flush_cache?timeout=30" : nullptr;
}

constexpr const char* kBusy = "wait until the server has no request in flight";
constexpr const char* kOtherwise = "give every request its own cache salt, or prompts that share no prefix";

// The member of /tokenize that holds the text.
const char* TextKey(ServerKind server) {
  if (server == ServerKind::kLlamaServer) return "content";
  return server == ServerKind::kTgi ? "inputs" : "prompt";
}

std::string TokenizeBody(ServerKind server, const std::string& model, std::string_view text) {
  Json body = {{TextKey(server), std::string(text)}};
  if (server == ServerKind::kVllm || server == ServerKind::kSglang) {
    body["model"] = model;
    body["add_special_tokens"] = true;
  }
  if (server == ServerKind::kLlamaServer) body["add_special"] = true;
  return body.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// An id, or an object with one; nullopt for anything else.
std::optional<int32_t> IdOf(const Json& token) {
  const Json& id = token.is_object() && token.contains("id") ? token["id"] : token;
  if (!id.is_number_integer()) return std::nullopt;
  const auto value = id.get<int64_t>();
  if (value < 0 || value > INT32_MAX) return std::nullopt;
  return static_cast<int32_t>(value);
}

// A list of tokens, alone or as member `tokens`; nullopt when it is neither, or does not have its own `count`.
std::optional<TokenizedText> TokensOf(const Json& answer) {
  const bool member = answer.is_object() && answer.contains("tokens");
  const Json& list = member ? answer["tokens"] : answer;
  if (!list.is_array()) return std::nullopt;
  TokenizedText text;
  text.count = static_cast<int64_t>(list.size());
  if (member && answer.contains("count") && answer["count"] != text.count) return std::nullopt;
  for (const Json& token : list) {
    const auto id = IdOf(token);
    if (!id) return std::nullopt;
    text.token_ids.push_back(*id);
  }
  return text;
}

// What stays while a server serves the same model; others, as the time at which it was listed, do not.
std::string ModelInWords(const Json& model) {
  std::string words;
  for (const char* key : {"id", "root", "max_model_len"}) {
    const auto found = model.find(key);
    if (found == model.end() || found->is_null()) continue;
    words += fmt::format("{}{}", words.empty() ? "" : ", ", found->is_string() ? found->get<std::string>() : DumpJson(*found));
  }
  return words;
}

}  // namespace

bool CanFlushPrefixCache(ServerKind server) { return FlushPath(server) != nullptr; }

bool CanTokenize(ServerKind server) {
  return server == ServerKind::kVllm || server == ServerKind::kSglang || server == ServerKind::kLlamaServer ||
         server == ServerKind::kTgi;
}

struct ServerControl::Impl {
  struct Server {
    std::string origin;
    std::unique_ptr<net::HttpClient> client;
  };

  // The answer of status 200. What to do when the page is missing, when the server refuses.
  Result<std::string> Post(Server& server, const char* path, std::string_view body, std::string_view absent,
                           std::string_view refused) const {
    auto response = server.client->Fetch({.method = "POST", .path = path, .body = body}, limit_ns);
    if (!response.ok()) return Error{response.error().kind, secrets.CutOutOf(response.error().message)};
    if (response->status == 200) return std::move(response->body);
    std::string message = secrets.CutOutOf(
        fmt::format("{}: {} answers {}: {}", server.origin, path, response->status, ErrorMessage(response->body)));
    switch (response->status) {
      case 401:
      case 403:
        return BadInput(std::move(message) + "; give the key by api_key_env (--api-key-env) or api_key_file");
      case 404:
      case 405:
        return BadInput(fmt::format("{}; {}", message, absent));
      case 400:
      case 409:
        return Failed(fmt::format("{}; {}", message, refused));
      default:
        return Failed(std::move(message));
    }
  }

  ServerKind kind = ServerKind::kUnknown;
  std::string model, version;
  int64_t limit_ns = net::kNoLimit;
  Secrets secrets;
  std::vector<Server> servers;
};

ServerControl::ServerControl(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ServerControl::~ServerControl() = default;

Result<std::unique_ptr<ServerControl>> ServerControl::Create(const OpenAiOptions& options, int64_t limit_ns,
                                                             const Clock& clock) {
  auto impl = std::make_unique<Impl>();
  impl->kind = options.profile.server;
  impl->model = options.profile.model;
  impl->version = options.profile.version;
  impl->limit_ns = limit_ns;
  impl->secrets = Secrets(options.api_key, options.http);
  for (const net::Url& url : options.http.urls) {
    net::HttpClientOptions http = options.http;
    http.urls = {url};
    if (!options.api_key.empty())
      http.headers.push_back(KeyHeader(options.profile.api, options.api_key_header, options.api_key));
    Impl::Server server;
    server.origin = url.Origin();
    ASSIGN_OR_RETURN(server.client, net::HttpClient::Create(std::move(http), clock));
    impl->servers.push_back(std::move(server));
  }
  if (impl->servers.empty()) return BadInput("no URL is given; give one like http://127.0.0.1:8000");
  return std::unique_ptr<ServerControl>(new ServerControl(std::move(impl)));
}

Status ServerControl::FlushPrefixCache() {
  const char* path = FlushPath(impl_->kind);
  if (path == nullptr) {
    return BadInput(fmt::format("{}: a server of kind {} cannot be told to empty its prefix cache; {}",
                                impl_->servers.front().origin, Name(impl_->kind), kOtherwise));
  }
  const std::string absent = impl_->kind == ServerKind::kVllm
                                 ? fmt::format("start vLLM with VLLM_SERVER_DEV_MODE=1 to have this page, or {}", kOtherwise)
                                 : fmt::format("check the URL and the server's kind, or {}", kOtherwise);
  for (Impl::Server& server : impl_->servers) {
    ASSIGN_OR_RETURN(const std::string answer, impl_->Post(server, path, "", absent, kBusy));
    // Between the releases of vLLM that did not know and those that answer 409, some say it in the body.
    const auto json = ParseJson(answer);
    if (json.ok() && json->is_object() && json->value("success", Json(true)) == false)
      return Failed(fmt::format("{}: {} answers that the cache was not emptied; {}", server.origin, path, kBusy));
  }
  return {};
}

std::optional<load::ServerCounters> ServerControl::Counters() {
  std::optional<load::ServerCounters> all;
  for (Impl::Server& server : impl_->servers) {
    const auto page = server.client->Fetch({.method = "GET", .path = "/metrics"}, impl_->limit_ns);
    if (!page.ok() || page->status != 200) return std::nullopt;
    const load::ServerCounters own = CountersOnPage(impl_->kind, page->body);
    all = all ? load::SumOf(*all, own) : own;
  }
  return all;
}

Result<std::vector<std::string>> ServerControl::Models() {
  std::vector<std::string> ours, all;
  for (Impl::Server& server : impl_->servers) {
    const std::string path = impl_->version + "/models";
    ASSIGN_OR_RETURN(const auto page, server.client->Fetch({.method = "GET", .path = path}, impl_->limit_ns));
    const auto json = ParseJson(page.body);
    if (page.status != 200 || !json.ok() || !json->is_object() || !json->contains("data") || !(*json)["data"].is_array())
      continue;
    for (const Json& model : (*json)["data"]) {
      if (!model.is_object()) continue;
      all.push_back(fmt::format("{}: {}", server.origin, ModelInWords(model)));
      if (model.contains("id") && model["id"] == impl_->model) ours.push_back(all.back());
    }
  }
  return ours.empty() ? all : ours;
}

Result<TokenizedText> ServerControl::Tokenize(std::string_view text) {
  Impl::Server& server = impl_->servers.front();
  if (!CanTokenize(impl_->kind)) {
    return BadInput(
        fmt::format("{}: a server of kind {} does not tokenize texts; give the prompts as token ids, or do without "
                    "exact input lengths",
                    server.origin, Name(impl_->kind)));
  }
  ASSIGN_OR_RETURN(const std::string answer,
                   impl_->Post(server, "/tokenize", TokenizeBody(impl_->kind, impl_->model, text),
                               "check the URL and the server's kind, or give the prompts as token ids",
                               "is the model's name right, and the text within its context?"));
  const auto json = ParseJson(answer);
  std::optional<TokenizedText> tokens = json.ok() ? TokensOf(*json) : std::nullopt;
  if (!tokens) {
    return Failed(fmt::format("{}: /tokenize answers no list of tokens but: {}", server.origin,
                              impl_->secrets.CutOutOf(ErrorMessage(answer))));
  }
  return std::move(*tokens);
}

}  // namespace moecap::openai
