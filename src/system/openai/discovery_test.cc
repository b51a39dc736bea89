#include "system/openai/discovery.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "net/testing/scripted_server.h"

namespace moecap::openai {
namespace {

using net::ScriptedConnection;
using net::ScriptedServer;
using net::WholeResponse;
using testing::HasSubstr;

constexpr int64_t kMillisecond = 1'000'000;

// Answers GET requests by path; everything else with 404.
ScriptedServer::Script Pages(const std::vector<std::pair<std::string, std::string>>& pages) {
  return [pages](ScriptedConnection& connection, int) {
    for (std::string request; !(request = connection.ReadRequest()).empty();) {
      std::string answer = WholeResponse(404, "no");
      for (const auto& [path, body] : pages) {
        if (request.starts_with("GET " + path + " ")) answer = WholeResponse(200, body);
      }
      connection.Send(answer);
    }
  };
}

Result<ServerIdentity> Identify(const ScriptedServer& server) {
  const SteadyClock clock;
  net::HttpClientOptions options;
  options.urls = {net::ParseUrl(server.Url()).value()};
  const auto client = net::HttpClient::Create(options, clock).value();
  return IdentifyServer(*client, server.Url(), net::kPatienceNs);
}

TEST(Discovery, KnowsTheServers) {
  const auto identify = [](const std::vector<std::pair<std::string, std::string>>& pages) {
    ScriptedServer server(Pages(pages));
    const auto identity = Identify(server);
    return identity.ok() ? fmt::format("{} {} {}", Name(identity->kind), identity->version, fmt::join(identity->models, ","))
                         : identity.error().message;
  };
  EXPECT_EQ(identify({{"/v1/models", R"({"data":[{"id":"a","owned_by":"vllm"}]})"}, {"/version", R"({"version":"0.31.0"})"}}),
            "vLLM 0.31.0 a");
  EXPECT_EQ(identify({{"/v1/models", R"({"data":[{"id":"a","owned_by":"sglang"}]})"},
                      {"/get_server_info", R"({"tp_size":1,"version":"0.5"})"}}),
            "SGLang 0.5 a");
  EXPECT_EQ(
      identify({{"/v1/models", R"({"data":[{"id":"a","owned_by":"tensorrt_llm"}]})"}, {"/version", R"({"version":"1.2"})"}}),
      "TensorRT-LLM 1.2 a");
  EXPECT_EQ(identify({{"/v1/models", R"({"data":[{"id":"a"}]})"},
                      {"/props", R"({"default_generation_settings":{},"total_slots":1,"build_info":"b1"})"}}),
            "llama-server b1 a");
  EXPECT_EQ(identify({{"/v1/models", R"({"data":[{"id":"a","owned_by":"library"}]})"},
                      {"/api/version", R"({"version":"0.30"})"},
                      {"/version", R"({"version":"x"})"}}),
            "Ollama 0.30 a");
  EXPECT_EQ(identify({{"/info", R"({"model_id":"t","version":"3.3"})"}}), "TGI 3.3 t");
  EXPECT_EQ(identify({{"/v1/models", R"({"data":[{"id":"a","owned_by":"me"}]})"}, {"/version", R"({"version":"1"})"}}),
            "unknown 1 a");
  EXPECT_EQ(identify({{"/v1/models", R"({"data":[{"id":"a"}]})"}}), "unknown  a");
  EXPECT_EQ(identify({{"/v1/models", R"({"data":[{"id":"/m/t","owned_by":"local"}]})"},
                      {"/openapi.json", R"({"info":{"version":"0.1.0"},"paths":{"/load_model":{},"/v1/completions":{}}})"}}),
            "transformers  /m/t");
  EXPECT_EQ(identify({{"/v1/models", R"({"data":[{"id":"a"}]})"},
                      {"/openapi.json", R"({"info":{"version":"0.1.0"},"paths":{"/v1/completions":{}}})"}}),
            "unknown  a");
  EXPECT_EQ(identify({{"/v1/models", R"({"data":[{"id":"t","owned_by":"fastllm"}]})"}}), "fastllm  t");
  EXPECT_EQ(identify({{"/v1/models", R"({"data":[{"id":"t.gguf","owned_by":"me","permissions":[]}]})"},
                      {"/openapi.json", R"({"info":{"title":"llama.cpp Python API","version":"0.3.36"},"paths":{}})"}}),
            "llama-cpp-python 0.3.36 t.gguf");
  EXPECT_EQ(identify({{"/info", R"({"model":null,"server":{"devices":["cpu"],"workers_per_device":1}})"}}), "LitGPT  ");
  EXPECT_THAT(identify({{"/", "hello"}}),
              testing::AllOf(HasSubstr("/v1/models answers 404: no"), HasSubstr("/version 404"),
                             HasSubstr("nothing there looks like an LLM server"), HasSubstr("kind")));
}

TEST(Discovery, ServersOfOneSystemAreOfOneKind) {
  ScriptedServer first(Pages({{"/v1/models", R"({"data":[{"id":"a","owned_by":"vllm"},{"id":"b","owned_by":"vllm"}]})"}}));
  ScriptedServer same(Pages({{"/v1/models", R"({"data":[{"id":"b","owned_by":"vllm"}]})"}}));
  ScriptedServer strange(Pages({{"/v1/models", R"({"data":[{"id":"b","owned_by":"sglang"}]})"}}));
  ScriptedServer foreign(Pages({{"/v1/models", R"({"data":[{"id":"c","owned_by":"vllm"}]})"}}));
  const auto identify = [](const std::vector<const ScriptedServer*>& servers) {
    const SteadyClock clock;
    net::HttpClientOptions options;
    for (const ScriptedServer* server : servers) options.urls.push_back(net::ParseUrl(server->Url()).value());
    return IdentifyServers(options, net::kPatienceNs, clock);
  };
  const auto common = identify({&first, &same});
  ASSERT_TRUE(common.ok()) << common.error().message;
  EXPECT_EQ(common->kind, ServerKind::kVllm);
  EXPECT_THAT(common->models, testing::ElementsAre("b"));
  EXPECT_THAT(identify({&first, &strange}).error().message,
              testing::AllOf(HasSubstr(first.Url()), HasSubstr(strange.Url()), HasSubstr("vLLM"), HasSubstr("SGLang")));
  EXPECT_THAT(identify({&same, &foreign}).error().message, HasSubstr("no model in common"));
  EXPECT_FALSE(identify({}).ok());
}

// openvino-openai-api and litgpt have no list of models.
TEST(Discovery, AKnownServerNeedsNoPages) {
  const auto identify = [](const ScriptedServer& server, const Question& question) {
    const SteadyClock clock;
    net::HttpClientOptions options;
    options.urls = {net::ParseUrl(server.Url() + "/proxy").value()};
    return IdentifyServers(options, 5000 * kMillisecond, clock, question);
  };
  ScriptedServer bare(Pages({}));
  EXPECT_EQ(identify(bare, {.is_known = true})->kind, ServerKind::kUnknown);
  EXPECT_THAT(identify(bare, {.version = "/v4"}).error().message, HasSubstr(bare.Url() + "/proxy/v4/models answers 404"));
  ScriptedServer forbidding([](ScriptedConnection& connection, int) {
    while (!connection.ReadRequest().empty()) connection.Send(WholeResponse(403, "{}"));
  });
  EXPECT_TRUE(identify(forbidding, {.is_known = true}).ok());
  EXPECT_FALSE(identify(forbidding, {}).ok());
}

TEST(Discovery, AsksForTheKey) {
  ScriptedServer server([](ScriptedConnection& connection, int) {
    while (!connection.ReadRequest().empty()) connection.Send(WholeResponse(401, "{}"));
  });
  EXPECT_THAT(Identify(server).error().message, HasSubstr("api_key_env"));
}

}  // namespace
}  // namespace moecap::openai
