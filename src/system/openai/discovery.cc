#include "system/openai/discovery.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/json.h"
#include "system/openai/error_message.h"

namespace moecap::openai {
namespace {

class Prober {
 public:
  Prober(net::HttpClient& client, std::string url, int64_t limit_ns)
      : client_(client), url_(std::move(url)), limit_ns_(limit_ns) {}

  // The JSON object at `path`; null when there is none. Remembers what every page answered.
  Result<Json> Ask(const std::string& path) {
    ASSIGN_OR_RETURN(const auto response, client_.Fetch({.method = "GET", .path = path}, limit_ns_));
    // The first page with its whole address and the server's own words: that is what a user can look at.
    answers_ += answers_.empty() ? fmt::format("{}{} answers {}: {}", url_, path, response.status, ErrorMessage(response.body))
                                 : fmt::format(", {} {}", path, response.status);
    last_status_ = response.status;
    if (response.status != 200) return Json(nullptr);
    auto parsed = ParseJson(response.body);
    if (!parsed.ok() || !parsed->is_object()) return Json(nullptr);
    return std::move(parsed).value();
  }

  const std::string& answers() const { return answers_; }
  int last_status() const { return last_status_; }

 private:
  net::HttpClient& client_;
  std::string url_;
  int64_t limit_ns_;
  std::string answers_;
  int last_status_ = 0;
};

std::string Text(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

ServerKind KindOfOwner(const std::string& owner) {
  if (owner == "vllm") return ServerKind::kVllm;
  if (owner == "sglang") return ServerKind::kSglang;
  if (owner == "tensorrt_llm" || owner == "trtllm") return ServerKind::kTensorRtLlm;
  if (owner == "llamacpp") return ServerKind::kLlamaServer;
  if (owner == "fastllm") return ServerKind::kFastllm;
  return ServerKind::kUnknown;
}

void TakeModels(const Json& page, ServerIdentity& identity) {
  if (!page.is_object() || !page.contains("data") || !page["data"].is_array()) return;
  for (const Json& model : page["data"]) {
    if (!model.is_object()) continue;
    identity.models.push_back(Text(model, "id"));
    if (identity.kind == ServerKind::kUnknown) identity.kind = KindOfOwner(Text(model, "owned_by"));
    // Nobody else's list has this owner and these.
    if (Text(model, "owned_by") == "me" && model.contains("permissions")) identity.kind = ServerKind::kLlamaCppPython;
  }
}

struct Page {
  const char* path;
  const char* key;  // shows that it is that server's page
  ServerKind kind;
  const char* version_key;
};

// The servers' own pages, the most telling first.
constexpr Page kPages[] = {
    {"/props", "total_slots", ServerKind::kLlamaServer, "build_info"},
    {"/server_info", "tp_size", ServerKind::kSglang, "version"},
    {"/get_server_info", "tp_size", ServerKind::kSglang, "version"},
    {"/api/version", "version", ServerKind::kOllama, "version"},
    {"/info", "model_id", ServerKind::kTgi, "version"},
    {"/info", "server", ServerKind::kLitGpt, ""},
    {"/openapi.json", "paths", ServerKind::kTransformers, ""},
    {"/openapi.json", "info", ServerKind::kLlamaCppPython, ""},
    {"/version", "version", ServerKind::kVllm, "version"},
};

// Whether a page whose key many servers have is that kind's.
bool Fits(ServerKind kind, const Json& answer) {
  // Of transformers, which tells neither name nor version, only its list of routes can be recognised.
  if (kind == ServerKind::kTransformers) return answer["paths"].is_object() && answer["paths"].contains("/load_model");
  if (kind == ServerKind::kLitGpt) return answer["server"].is_object() && answer["server"].contains("workers_per_device");
  return true;
}

std::string VersionOf(const Page& page, const Json& answer) {
  // The document's version is that of the package.
  if (page.kind == ServerKind::kLlamaCppPython && answer["info"].is_object()) return Text(answer["info"], "version");
  return Text(answer, page.version_key);
}

}  // namespace

Result<ServerIdentity> IdentifyServer(net::HttpClient& client, const std::string& url, int64_t limit_ns,
                                      const Question& question) {
  Prober prober(client, url, limit_ns);
  ServerIdentity identity;
  const std::string models_path = question.version + "/models";
  ASSIGN_OR_RETURN(const Json models, prober.Ask(models_path));
  if (!question.is_known && (prober.last_status() == 401 || prober.last_status() == 403)) {
    return BadInput(fmt::format("{}: {} answers {}; give the key by api_key_env (--api-key-env) or api_key_file", url,
                                models_path, prober.last_status()));
  }
  TakeModels(models, identity);
  const ServerKind owner = identity.kind;
  for (const Page& page : kPages) {
    // Without the owner that TakeModels knows it by, the last one's page is anybody's.
    if (owner == ServerKind::kUnknown && page.kind == ServerKind::kLlamaCppPython) continue;
    if (owner != ServerKind::kUnknown && page.kind != owner &&
        !(owner == ServerKind::kTensorRtLlm && page.kind == ServerKind::kVllm))
      continue;
    ASSIGN_OR_RETURN(const Json answer, prober.Ask(page.path));
    if (!answer.is_object() || !answer.contains(page.key) || !Fits(page.kind, answer)) continue;
    // Several servers have a page /version; vLLM also says who owns its models.
    const bool telling = page.kind != ServerKind::kVllm || identity.models.empty();
    if (owner == ServerKind::kUnknown && telling) identity.kind = page.kind;
    identity.version = VersionOf(page, answer);
    if (page.kind == ServerKind::kTgi && identity.models.empty()) identity.models.push_back(Text(answer, "model_id"));
    break;
  }
  if (identity.kind == ServerKind::kUnknown && identity.models.empty() && !question.is_known) {
    return BadInput(
        fmt::format("{}: nothing there looks like an LLM server ({}); check the URL, or whether the server is ready; if it has "
                    "no such page, say what it is: kind (--kind, it may be \"unknown\") or model (--model)",
                    url, prober.answers()));
  }
  return identity;
}

Result<ServerIdentity> IdentifyServers(const net::HttpClientOptions& options, int64_t limit_ns, const Clock& clock,
                                       const Question& question) {
  std::optional<ServerIdentity> common;
  for (const net::Url& url : options.urls) {
    net::HttpClientOptions http = options;
    http.urls = {url};
    ASSIGN_OR_RETURN(const auto client, net::HttpClient::Create(std::move(http), clock));
    ASSIGN_OR_RETURN(ServerIdentity identity, IdentifyServer(*client, url.Origin() + url.path, limit_ns, question));
    if (!common) {
      common = std::move(identity);
      continue;
    }
    const std::string first = options.urls.front().Origin();
    if (identity.kind != common->kind) {
      return BadInput(fmt::format("{} is {}, but {} is {}; the URLs of one system must be servers of one kind", first,
                                  Name(common->kind), url.Origin(), Name(identity.kind)));
    }
    if (identity.models.empty() || common->models.empty()) continue;
    std::erase_if(common->models, [&](const std::string& model) {
      return std::find(identity.models.begin(), identity.models.end(), model) == identity.models.end();
    });
    if (common->models.empty())
      return BadInput(
          fmt::format("{} and {} serve no model in common; the URLs of one system must serve the same", first, url.Origin()));
  }
  if (!common) return BadInput("no URL is given; give one like http://127.0.0.1:8000");
  return std::move(*common);
}

}  // namespace moecap::openai
