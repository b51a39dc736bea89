#include "system/openai/base_url.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace moecap::openai {
namespace {

// "origin and path | version | api | query"
std::string Split(std::string_view text) {
  const auto base = ParseBaseUrl(text);
  if (!base.ok()) return base.error().message;
  return fmt::format("{}{} | {} | {} | {}", base->url.Origin(), base->url.path, base->version,
                     base->api ? Name(*base->api) : "-", base->query);
}

TEST(BaseUrl, OriginsAndVersions) {
  EXPECT_EQ(Split("http://h:8000"), "http://h:8000 | /v1 | - | ");
  EXPECT_EQ(Split("http://h:8000/"), "http://h:8000 | /v1 | - | ");
  EXPECT_EQ(Split("http://h:8000/v1"), "http://h:8000 | /v1 | - | ");
  EXPECT_EQ(Split("http://h:8000/v1/"), "http://h:8000 | /v1 | - | ");
  EXPECT_EQ(Split("http://h:8000/proxy/model-a/v1"), "http://h:8000/proxy/model-a | /v1 | - | ");
  EXPECT_EQ(Split("http://h:8000/proxy/model-a"), "http://h:8000/proxy/model-a | /v1 | - | ");
  EXPECT_EQ(Split("https://h/api/paas/v4"), "https://h:443/api/paas | /v4 | - | ");
  EXPECT_EQ(Split("http://h:8000/v1/models"), "http://h:8000 | /v1 | - | ");
  EXPECT_EQ(Split("http://h:8000/vision"), "http://h:8000/vision | /v1 | - | ");
}

TEST(BaseUrl, WholePaths) {
  EXPECT_EQ(Split("http://h:1/v1/chat/completions"), "http://h:1 | /v1 | chat | ");
  EXPECT_EQ(Split("http://h:1/v1/completions/"), "http://h:1 | /v1 | completions | ");
  EXPECT_EQ(Split("http://h:1/p/v1/responses"), "http://h:1/p | /v1 | responses | ");
  EXPECT_EQ(Split("http://h:1/v1/messages"), "http://h:1 | /v1 | messages | ");
  EXPECT_EQ(Split("http://h:1/generate"), "http://h:1 | /v1 | sglang | ");
  EXPECT_EQ(Split("http://h:1/generate_stream"), "http://h:1 | /v1 | tgi | ");
  EXPECT_EQ(Split("http://h:1/api/generate"), "http://h:1 | /v1 | ollama | ");
  EXPECT_EQ(Split("http://h:1/api/chat"), "http://h:1 | /v1 | ollama-chat | ");
  EXPECT_EQ(Split("http://h:1/completion"), "http://h:1 | /v1 | llama-server | ");
  EXPECT_EQ(Split("http://h:1/api/paas/v4/chat/completions"), "http://h:1/api/paas | /v4 | chat | ");
  EXPECT_EQ(Split("https://n.example/openai/deployments/d/chat/completions?api-version=2024-10-21"),
            "https://n.example:443/openai/deployments/d |  | chat | api-version=2024-10-21");
  EXPECT_THAT(Split("h:8000/v1"), testing::HasSubstr("scheme"));
}

}  // namespace
}  // namespace moecap::openai
