// Every fault on every generating route of every dialect, streamed and not: each exchange ends, and the server goes on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "mock/server.h"
#include "mock/test_client.h"
#include "mock/test_model.h"

namespace moecap::mock {
namespace {

struct Endpoint {
  Dialect dialect;
  const char* path;
  const char* body;  // without its closing brace
};

constexpr const char* kCompletion = R"({"prompt":"a b c","max_tokens":4)";
constexpr const char* kChat = R"({"messages":[{"role":"user","content":"a b c"}],"max_tokens":4)";

const Endpoint kEndpoints[] = {
    {Dialect::kVllm, "/v1/completions", kCompletion},
    {Dialect::kVllm, "/v1/chat/completions", kChat},
    {Dialect::kSglang, "/v1/completions", kCompletion},
    {Dialect::kSglang, "/v1/chat/completions", kChat},
    {Dialect::kSglang, "/generate", R"({"input_ids":[5,6],"sampling_params":{"max_new_tokens":4})"},
    {Dialect::kTrtllm, "/v1/completions", kCompletion},
    {Dialect::kTrtllm, "/v1/chat/completions", kChat},
    {Dialect::kLlamaServer, "/v1/completions", kCompletion},
    {Dialect::kLlamaServer, "/v1/chat/completions", kChat},
    {Dialect::kLlamaServer, "/completion", R"({"prompt":"a b c","n_predict":4)"},
    {Dialect::kTgi, "/v1/completions", kCompletion},
    {Dialect::kTgi, "/v1/chat/completions", kChat},
    {Dialect::kTgi, "/generate", R"({"inputs":"a b c","parameters":{"max_new_tokens":4})"},
    {Dialect::kTgi, "/generate_stream", R"({"inputs":"a b c","parameters":{"max_new_tokens":4})"},
    {Dialect::kOllama, "/v1/completions", kCompletion},
    {Dialect::kOllama, "/v1/chat/completions", kChat},
    {Dialect::kOllama, "/api/generate", R"({"prompt":"a b c","options":{"num_predict":4})"},
    {Dialect::kOllama, "/api/chat", R"({"messages":[{"role":"user","content":"a"}],"options":{"num_predict":4})"},
};

constexpr const char* kFaults[] = {
    "",          "refuse",      "status=429",       "status=500",       "stall-headers=0.001", "reset=0",
    "reset=2",   "truncate=0",  "truncate=2",       "error-object=0",   "error-object=2",      "abort=0",
    "abort=2",   "bad-chunk=2", "bad-json=2",       "drip=0",           "split-utf8=0",        "no-done",
    "no-finish", "double-role", "early-role",       "empty-deltas",     "no-tokens",           "usage-delay=0.001",
    "comments",  "crlf",        "long-line=100000", "header-flood=100", "close-after"};

TEST(FaultMatrix, EveryExchangeEndsAndTheServerGoesOn) {
  for (const Endpoint& endpoint : kEndpoints) {
    ServerOptions options;
    options.dialect = endpoint.dialect;
    options.model = SmallMoe();
    options.model_name = "m";
    const auto server = Server::Start(options);
    ASSERT_TRUE(server.ok()) << server.error().message;
    for (const bool stream : {true, false}) {
      for (const char* fault : kFaults) {
        Client client((*server)->port());
        client.Post(endpoint.path, std::string(endpoint.body) + R"(,"stream":)" + (stream ? "true}" : "false}"),
                    "connection: close\r\nx-mock-fault: " + std::string(fault) + "\r\n");
        const std::string answer = client.ReadAll();
        const std::string where = std::string(Name(endpoint.dialect)) + endpoint.path + " " + fault + (stream ? " stream" : "");
        EXPECT_TRUE(client.error == 0 || client.error == ECONNRESET) << where << ": " << std::strerror(client.error);
        if (*fault == '\0') {
          EXPECT_THAT(answer, testing::StartsWith("HTTP/1.1 200 OK\r\n")) << where;
        }
      }
    }
    Client after((*server)->port());
    after.Send("GET /v1/models HTTP/1.1\r\nconnection: close\r\n\r\n");
    EXPECT_THAT(after.ReadAll(), testing::HasSubstr("\"id\":\"m\"")) << Name(endpoint.dialect);
  }
}

}  // namespace
}  // namespace moecap::mock
