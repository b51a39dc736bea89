#include "experiment/server_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace moecap::experiment {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::Pair;

struct Read {
  ServerConfig server;
  std::string error;
};

Read ReadText(const std::string& text) {
  const auto node = ParseYaml(text, "c.yaml");
  EXPECT_TRUE(node.ok()) << node.error().message;
  YamlErrors errors("c.yaml");
  Read read;
  read.server = ReadServer(*node, "/base", /*needs_url=*/true, errors);
  if (!errors.empty()) read.error = errors.first().message;
  return read;
}

TEST(ServerConfig, TheShapeOfRequests) {
  const Read read = ReadText(R"(
url: https://name.openai.azure.com
api: chat
kind: unknown
model: gpt
api_key_env: AZURE_KEY
api_key_header: api-key
path: /openai/deployments/gpt/chat/completions
query: {api-version: 2024-10-21, sig_token: $SIG}
max_tokens_field: max_completion_tokens
temperature: null
body:
  reasoning_effort: low
  chat_template_kwargs: {enable_thinking: false, depth: [1, 2.5, "3", null]}
  stream_options: null
  seed: 7
)");
  ASSERT_EQ(read.error, "");
  EXPECT_EQ(read.server.path, "/openai/deployments/gpt/chat/completions");
  EXPECT_THAT(read.server.query, ElementsAre(Pair("api-version", "2024-10-21"), Pair("sig_token", "$SIG")));
  EXPECT_EQ(read.server.max_tokens_field, "max_completion_tokens");
  EXPECT_EQ(read.server.temperature, std::nullopt);
  EXPECT_EQ(read.server.api_key_header, "api-key");
  EXPECT_THAT(read.server.body,
              ElementsAre(Pair("chat_template_kwargs", R"({"enable_thinking":false,"depth":[1,2.5,"3",null]})"),
                          Pair("reasoning_effort", "\"low\""), Pair("seed", "7"), Pair("stream_options", "null")));
}

TEST(ServerConfig, DefaultsAreThoseOfVersion01) {
  const Read read = ReadText("url: http://a");
  EXPECT_EQ(read.server.temperature, 0);
  EXPECT_TRUE(read.server.body.empty());
}

TEST(ServerConfig, WrongShapesAreRefused) {
  const auto error = [](const std::string& text) { return ReadText("{url: http://a, " + text + "}").error; };
  EXPECT_THAT(error("body: [1]"), HasSubstr("must be a mapping"));
  EXPECT_THAT(error("body: {stream: false}"), HasSubstr("use the key stream"));
  EXPECT_THAT(error("body: {messages: []}"), HasSubstr("comes from the workload"));
  EXPECT_THAT(error("temperature: hot"), HasSubstr("temperature"));
  EXPECT_THAT(error("temperature: -1"), HasSubstr("null to send none"));
  EXPECT_THAT(error("path: v1/chat"), HasSubstr("must be like /"));
  EXPECT_THAT(error("path: '/v1/chat?a=b'"), HasSubstr("goes into query"));
  EXPECT_THAT(error("max_tokens_field: a b"), HasSubstr("max_completion_tokens"));
  EXPECT_THAT(error("api_key_header: api-key"), HasSubstr("give one by api_key_env"));
  EXPECT_THAT(error("query: {api_key: abc}"), AllOf(HasSubstr("looks like a secret"), Not(HasSubstr("abc"))));
  EXPECT_THAT(ReadText("url: 'http://a/v1?key=abc'").error, AllOf(HasSubstr("looks like a secret"), Not(HasSubstr("abc"))));
  EXPECT_EQ(ReadText("url: 'http://a/v1?api-version=1'").error, "");
}

}  // namespace
}  // namespace moecap::experiment
