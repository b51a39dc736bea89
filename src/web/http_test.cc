#include "web/http.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "web/guard.h"

namespace moecap::web {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> Segments(std::string_view target) {
  return PathSegments(target).value_or(std::vector<std::string>{"(bad)"});
}

TEST(Http, PathsAreTakenApartBeforeTheyAreDecoded) {
  EXPECT_THAT(Segments("/"), ElementsAre());
  EXPECT_THAT(Segments("/runs/a%20b?x=/y"), ElementsAre("runs", "a b"));
  EXPECT_THAT(Segments("/runs/%C3%A9"), ElementsAre("runs", "é"));
}

TEST(Http, PathsThatAFileSystemWouldActOnAreNone) {
  for (const char* bad : {"", "runs", "*", "http://a/b", "//", "/a//b", "/a/", "/..", "/a/../b", "/%2e%2e/b", "/a%2fb", "/a%00",
                          "/a%0ab", "/%", "/%4", "/%zz", "/.", "/a/%2E"})
    EXPECT_FALSE(PathSegments(bad)) << bad;
}

TEST(Http, QueriesBothWays) {
  Query query = Query::Of("/?q=a+b%26c&cell=1&cell=2&empty=&=x&bad=%zz&flag");
  EXPECT_EQ(query.Get("q"), "a b&c");
  EXPECT_THAT(query.All("cell"), ElementsAre("1", "2"));
  EXPECT_TRUE(query.Has("flag"));
  EXPECT_FALSE(query.Has("bad"));
  query = {};
  query.Add("a", "x y&z");
  query.Add("b", "é");
  EXPECT_EQ(query.Text(), "?a=x%20y%26z&b=%C3%A9");
  query.Set("a", "");
  EXPECT_EQ(query.Text(), "?b=%C3%A9");
  EXPECT_EQ(Query::Of("/?n=12").Whole("n", 0, 20, 5), 12);
  for (const char* bad : {"/?n=21", "/?n=-1", "/?n=1x", "/?n=", "/"}) EXPECT_EQ(Query::Of(bad).Whole("n", 0, 20, 5), 5) << bad;
}

Head Get(const std::string& host, const std::string& target = "/") { return {"GET", target, {{"host", host}}}; }

int StatusOf(const Head& head, const GuardOptions& options = {}) {
  const auto refusal = Refuse(head, options);
  return refusal ? refusal->status : 200;
}

TEST(Guard, OnlyNamesThatNoNameServiceCanRedirect) {
  for (const char* good : {"127.0.0.1:7070", "localhost", "LOCALHOST:1", "[::1]:7070", "192.168.1.5:80"})
    EXPECT_EQ(StatusOf(Get(good)), 200) << good;
  for (const char* bad :
       {"evil.example", "localhost.evil.example", "127.0.0.1.evil.example:7070", "1.2.3", "[::1", "[evil]:7070"})
    EXPECT_EQ(StatusOf(Get(bad)), 421) << bad;
  EXPECT_EQ(StatusOf(Get("Bench.Example.org:443"), {.hosts = {"bench.example.org"}}), 200);
  EXPECT_EQ(StatusOf({"GET", "/", {}}), 400);
  EXPECT_EQ(StatusOf({"GET", "/", {{"host", "localhost"}, {"host", "evil.example"}}}), 400);
}

TEST(Guard, MethodsAndPaths) {
  EXPECT_EQ(StatusOf({"DELETE", "/", {{"host", "localhost"}}}), 405);
  EXPECT_EQ(StatusOf({"OPTIONS", "*", {{"host", "localhost"}}}), 405);
  EXPECT_EQ(StatusOf(Get("localhost", "/../../etc/passwd")), 400);
  EXPECT_EQ(StatusOf(Get("localhost", "/runs/..%2f..%2fetc")), 400);
}

TEST(Guard, WritingNeedsTheTokenAndNoOtherOrigin) {
  const GuardOptions options{.token = "0123456789abcdef"};
  const auto post = [](std::vector<std::pair<std::string, std::string>> fields) {
    fields.emplace_back("host", "localhost:7070");
    return Head{"POST", "/api/imports/a", std::move(fields)};
  };
  const std::pair<std::string, std::string> token{"authorization", "Bearer 0123456789abcdef"};
  EXPECT_EQ(StatusOf(post({token})), 403) << "a server that only reads";
  EXPECT_EQ(StatusOf(post({token}), options), 200);
  EXPECT_EQ(StatusOf(post({token, {"origin", "http://localhost:7070"}}), options), 200);
  EXPECT_EQ(StatusOf(post({}), options), 401);
  EXPECT_EQ(StatusOf(post({{"authorization", "Bearer 0123456789abcdeX"}}), options), 401);
  EXPECT_EQ(StatusOf(post({{"authorization", "Basic 0123456789abcdef"}}), options), 401);
  EXPECT_EQ(StatusOf(post({{"authorization", "Bearer "}}), options), 401);
  for (const char* origin : {"http://evil.example", "http://localhost:1", "null", "http://127.0.0.1:7070"})
    EXPECT_EQ(StatusOf(post({token, {"origin", origin}}), options), 403) << origin;
  EXPECT_EQ(StatusOf(post({token, {"sec-fetch-site", "cross-site"}}), options), 403);
  EXPECT_EQ(StatusOf(post({token, {"sec-fetch-site", "same-origin"}}), options), 200);
}

TEST(Guard, AnswersLoadNothingFromElsewhereAndFilesRunNothing) {
  Response page;
  AddSecurityFields(page);
  EXPECT_THAT(page.fields,
              testing::Contains(testing::Pair("Content-Security-Policy", HasSubstr("default-src 'none'; script-src 'self'"))));
  Response file = Download("text/html", "", "a\"b\r\nX: y-report.html");
  AddSecurityFields(file);
  EXPECT_THAT(file.fields,
              testing::Contains(testing::Pair("Content-Disposition", "attachment; filename=\"a_b__X__y-report.html\"")));
  EXPECT_THAT(file.fields, testing::Contains(testing::Pair("Content-Security-Policy", HasSubstr("sandbox"))));
  EXPECT_NE(MakeToken().value(), MakeToken().value());
}

}  // namespace
}  // namespace moecap::web
