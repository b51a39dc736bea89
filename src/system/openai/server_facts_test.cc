#include "system/openai/server_facts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "net/testing/scripted_server.h"

namespace moecap::openai {
namespace {

using net::ScriptedConnection;
using net::ScriptedServer;
using net::WholeResponse;

// The facts of a server with these pages; any other one answers 404.
ServerFacts FactsOf(ServerKind kind, const std::vector<std::pair<std::string, std::string>>& pages) {
  ScriptedServer server([pages](ScriptedConnection& connection, int) {
    for (std::string request; !(request = connection.ReadRequest()).empty();) {
      EXPECT_TRUE(request.starts_with("GET ")) << request;
      std::string answer = WholeResponse(404, "no");
      for (const auto& [path, body] : pages) {
        if (request.starts_with("GET " + path + " ")) answer = WholeResponse(200, body);
      }
      connection.Send(answer);
    }
  });
  const SteadyClock clock;
  net::HttpClientOptions options;
  options.urls = {net::ParseUrl(server.Url()).value()};
  const auto client = net::HttpClient::Create(options, clock).value();
  const auto facts = ReadServerFacts(*client, {.kind = kind}, "/v1", net::kPatienceNs);
  EXPECT_TRUE(facts.ok()) << facts.error().message;
  return facts.ok() ? *facts : ServerFacts();
}

TEST(ServerFacts, LlamaServerTellsItsVocabulary) {
  const ServerFacts facts =
      FactsOf(ServerKind::kLlamaServer,
              {{"/v1/models", R"({"data":[{"id":"t","owned_by":"llamacpp","meta":{"n_vocab":1024,"n_ctx_train":512}}]})"},
               {"/props", R"({"default_generation_settings":{"n_ctx":512},"total_slots":4,"model_path":"/m/t.gguf"})"}});
  EXPECT_EQ(facts.vocabulary, 1024);
  EXPECT_EQ(facts.vocabulary_page, "n_vocab of /v1/models");
  EXPECT_EQ(facts.context_tokens, 512);
  EXPECT_EQ(facts.max_running, 4);
  EXPECT_EQ(facts.model_path, "/m/t.gguf");
  EXPECT_EQ(facts.has_metrics, false);
}

TEST(ServerFacts, SglangTellsItsResolvedSettings) {
  const ServerFacts facts = FactsOf(
      ServerKind::kSglang,
      {{"/v1/models", R"({"data":[{"id":"t","owned_by":"sglang","root":"t","max_model_len":512}]})"},
       {"/server_info",
        R"({"model_path":"/m/t","tp_size":2,"dp_size":1,"ep_size":2,"pp_size":1,"dtype":"float32","kv_cache_dtype":"auto",
            "quantization":null,"device":"cpu","chunked_prefill_size":2048,"max_running_requests":null,
            "enable_return_routed_experts":true,"enable_cache_report":false,"expert_distribution_recorder_mode":null,
            "internal_states":[{"effective_max_running_requests_per_dp":32,
                                "forward_pass_metrics_ipc_name":"ipc:///tmp/fpm"}]})"}});
  EXPECT_EQ(facts.model_path, "/m/t") << "not the name it is served under";
  EXPECT_EQ(facts.tensor_parallel, 2);
  EXPECT_EQ(facts.expert_parallel, 2);
  EXPECT_EQ(facts.max_running, 32);
  EXPECT_EQ(facts.pass_metrics_address, "ipc:///tmp/fpm.0");
  EXPECT_EQ(facts.returns_experts, true);
  EXPECT_EQ(facts.tells_cached_tokens, false);
  EXPECT_EQ(facts.recorder_mode, "") << "it is off: its pages must not be asked";
  EXPECT_EQ(facts.vocabulary, std::nullopt);
}

constexpr const char* kVllmMetrics =
    "# HELP vllm:cache_config_info Information\n# TYPE vllm:cache_config_info gauge\n"
    "vllm:cache_config_info{block_size=\"16\",cache_dtype=\"fp8\",engine=\"0\"} 1.0\n"
    "# TYPE vllm:prefix_cache_hits_total counter\n"
    "vllm:prefix_cache_hits_total{engine=\"0\",model_name=\"t {x}\"} 7936.0\n"
    "vllm:prefix_cache_hits_total{engine=\"1\",model_name=\"t\"} 64\n"
    "vllm:prefix_cache_hits_created{engine=\"0\"} 1.7e+09\n";

TEST(ServerFacts, VllmNamesTheFolderAndTheTypeOfItsCache) {
  const ServerFacts facts = FactsOf(
      ServerKind::kVllm, {{"/v1/models", R"({"data":[{"id":"t","owned_by":"vllm","root":"/m/t","max_model_len":512}]})"},
                          {"/metrics", kVllmMetrics}});
  EXPECT_EQ(facts.model_path, "/m/t");
  EXPECT_EQ(facts.context_tokens, 512);
  EXPECT_EQ(facts.has_metrics, true);
  EXPECT_EQ(facts.kv_dtype, "fp8");
}

TEST(ServerFacts, PagesThatAreNoneTellNothing) {
  const ServerFacts facts = FactsOf(ServerKind::kSglang, {{"/v1/models", "[1,2]"}, {"/server_info", "\"x\""}});
  EXPECT_EQ(facts.tensor_parallel, std::nullopt);
  EXPECT_EQ(facts.recorder_mode, std::nullopt);
  EXPECT_EQ(FactsOf(ServerKind::kTransformers, {{"/v1/models", R"({"data":[{"id":"/m/t","owned_by":"local"}]})"}}).model_path,
            "/m/t");
}

}  // namespace
}  // namespace moecap::openai
