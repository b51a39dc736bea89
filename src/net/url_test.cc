#include "net/url.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "net/proxy.h"

namespace moecap::net {
namespace {

TEST(Url, ReadsItsParts) {
  const auto url = ParseUrl("HTTPS://Example.com:8443/api/v1/");
  ASSERT_TRUE(url.ok()) << url.error().message;
  EXPECT_TRUE(url->tls);
  EXPECT_EQ(url->host, "example.com");
  EXPECT_EQ(url->port, 8443);
  EXPECT_EQ(url->path, "/api/v1");
  EXPECT_EQ(url->Origin(), "https://example.com:8443");
  EXPECT_EQ(ParseUrl("http://localhost")->port, 80);
  EXPECT_EQ(ParseUrl("https://localhost/")->port, 443);
  EXPECT_EQ(ParseUrl("http://[::1]:8000")->HostPort(), "[::1]:8000");
  EXPECT_EQ(ParseUrl("http://[::1]")->host, "::1");
  EXPECT_EQ(ParseUrl("http://user:p%40ss@proxy:3128")->userinfo, "user:p@ss");
}

TEST(Url, ErrorsNameTheRemedyAndKeepSecrets) {
  for (const char* bad :
       {"", "localhost:8000", "ftp://x", "http://", "http://:80", "http://a:0", "http://a:70000", "http://a:8x", "http://a b",
        "http://[::1", "http://[::1]x", "http://a/?q=1", "http://a#f", "http://a/\nb", "http://a<b"}) {
    const auto url = ParseUrl(bad);
    ASSERT_FALSE(url.ok()) << bad;
    EXPECT_EQ(url.error().kind, ErrorKind::kBadInput);
    EXPECT_THAT(url.error().message, testing::HasSubstr("http://127.0.0.1:8000"));
  }
  EXPECT_THAT(ParseUrl("http://user:secret@host:99999").error().message, testing::Not(testing::HasSubstr("secret")));
  EXPECT_THAT(ParseUrl("http://user:secret@host").value().Origin(), testing::Not(testing::HasSubstr("secret")));
}

std::string Chosen(const char* target, const ProxyEnvironment& environment) {
  const auto proxy = ChooseProxy(ParseUrl(target).value(), environment);
  if (!proxy.ok()) return "error: " + proxy.error().message;
  return *proxy ? (*proxy)->HostPort() : "direct";
}

TEST(Url, LoopbackIsAHostNotABeginning) {
  for (const char* here : {"http://localhost:8000", "http://LOCALHOST", "https://a.localhost", "http://127.0.0.1",
                           "http://127.9.8.7:1", "http://[::1]:80"}) {
    EXPECT_TRUE(IsLoopback(ParseUrl(here).value().host)) << here;
  }
  for (const char* far : {"http://localhost.example", "http://localhosts", "http://127.0.0.1.example", "http://127.example",
                          "http://128.0.0.1", "http://[::2]"}) {
    EXPECT_FALSE(IsLoopback(ParseUrl(far).value().host)) << far;
  }
}

TEST(Proxy, IsChosenBySchemeAndExclusion) {
  const ProxyEnvironment environment{"http://plain:3128", "tunnel:8080", "example.com, .corp"};
  EXPECT_EQ(Chosen("http://server", environment), "plain:3128");
  EXPECT_EQ(Chosen("https://server", environment), "tunnel:8080");
  EXPECT_EQ(Chosen("http://example.com", environment), "direct");
  EXPECT_EQ(Chosen("http://www.example.com", environment), "direct");
  EXPECT_EQ(Chosen("http://notexample.com", environment), "plain:3128");
  EXPECT_EQ(Chosen("http://gpu.corp", environment), "direct");
  EXPECT_EQ(Chosen("http://127.0.0.1:8000", environment), "direct");
  EXPECT_EQ(Chosen("http://[::1]:8000", environment), "direct");
  EXPECT_EQ(Chosen("http://localhost:8000", environment), "direct");
  EXPECT_EQ(Chosen("http://server", {"http://plain:3128", "", "*"}), "direct");
  EXPECT_EQ(Chosen("http://server", {}), "direct");
  EXPECT_THAT(Chosen("https://server", {"", "https://u:hidden@p", ""}),
              testing::AllOf(testing::HasSubstr("https_proxy"), testing::Not(testing::HasSubstr("hidden"))));
  EXPECT_THAT(Chosen("http://server", {"ftp://p", "", ""}), testing::HasSubstr("http_proxy"));
}

TEST(Proxy, IsOneForAllUrlsOfASystem) {
  const auto choose = [](const std::vector<std::string>& texts, const ProxyEnvironment& environment) {
    std::vector<Url> urls;
    for (const std::string& text : texts) urls.push_back(ParseUrl(text).value());
    const auto proxy = ChooseProxy(urls, environment);
    return !proxy.ok() ? proxy.error().message : *proxy ? (*proxy)->Origin() : "none";
  };
  const ProxyEnvironment environment{"http://p:1", "http://q:2", "inside"};
  EXPECT_EQ(choose({"http://a", "http://b"}, environment), "http://p:1");
  EXPECT_EQ(choose({"http://inside", "http://127.0.0.1"}, environment), "none");
  EXPECT_THAT(choose({"http://inside", "http://a"}, environment),
              testing::AllOf(testing::HasSubstr("http://a:80"), testing::HasSubstr("no_proxy")));
  EXPECT_THAT(choose({"http://a", "https://b"}, environment), testing::HasSubstr("http://q:2"));
  EXPECT_EQ(choose({}, environment), "none");
}

}  // namespace
}  // namespace moecap::net
