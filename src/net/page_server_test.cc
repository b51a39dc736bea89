#include "net/page_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/clock.h"
#include "net/http_client.h"
#include "net/testing/scripted_server.h"

namespace moecap::net {
namespace {

TEST(PageServer, ServesTheNewestPage) {
  auto server = PageServer::Listen("0");
  ASSERT_TRUE(server.ok()) << server.error().message;
  EXPECT_THAT((*server)->url(), testing::MatchesRegex("http://127\\.0\\.0\\.1:[0-9]+/metrics"));
  const SteadyClock clock;
  HttpClientOptions options;
  options.urls = {ParseUrl((*server)->url().substr(0, (*server)->url().rfind('/'))).value()};
  auto client = HttpClient::Create(options, clock);
  ASSERT_TRUE(client.ok());
  for (const char* page : {"a 1\n", "a 2\n"}) {
    (*server)->SetPage(page);
    const auto response = (*client)->Fetch({.method = "GET", .path = "/metrics"}, kPatienceNs);
    ASSERT_TRUE(response.ok()) << response.error().message;
    EXPECT_EQ(response->status, 200);
    EXPECT_EQ(response->body, page);
  }
  EXPECT_EQ((*client)->Fetch({.method = "GET", .path = "/"}, kPatienceNs)->status, 404);
  EXPECT_EQ((*client)->Fetch({.method = "POST", .path = "/metrics", .body = "{}"}, kPatienceNs)->status, 405);
}

TEST(PageServer, AddressesThatAreNone) {
  for (const char* address : {"", "x", "65536", "example.com:80", "127.0.0.1:", "127.0.0.1:80x"})
    EXPECT_FALSE(PageServer::Listen(address).ok()) << address;
  const auto first = PageServer::Listen("127.0.0.1:0");
  ASSERT_TRUE(first.ok());
  const std::string url = (*first)->url();
  const std::string taken = url.substr(7, url.rfind('/') - 7);
  EXPECT_THAT(PageServer::Listen(taken).error().message, testing::HasSubstr("cannot listen"));
}

}  // namespace
}  // namespace moecap::net
