#include "system/openai/secrets.h"

#include <gtest/gtest.h>

namespace moecap::openai {
namespace {

TEST(Secrets, AreCutOutWhereverTheyStand) {
  net::HttpClientOptions http;
  http.headers = {{"Authorization", "Basic dXNlcjpwYXNz"}, {"X-Team", "a b"}, {"X-Token", "token-of-ten"}};
  http.proxy = net::ParseUrl("http://me:hunter2@127.0.0.1:3128").value();
  const Secrets secrets("sk-hidden-key", http);
  EXPECT_EQ(secrets.CutOutOf("key sk-hidden-key, again sk-hidden-key"), "key ***, again ***");
  EXPECT_EQ(secrets.CutOutOf("dXNlcjpwYXNz|token-of-ten|me:hunter2"), "***|***|***");
  EXPECT_EQ(secrets.CutOutOf("sk-hidden-keysk-hidden-key"), "******");
  EXPECT_EQ(secrets.CutOutOf("a message that was cut at sk-hidden..."), "a message that was cut at ***...");
  EXPECT_EQ(secrets.CutOutOf("sk-hidd and a b and nothing else"), "sk-hidd and a b and nothing else");
  EXPECT_EQ(Secrets().CutOutOf("plain"), "plain");
}

TEST(Secrets, AShortKeyIsCutOutToo) {
  const Secrets secrets("k1", {});
  EXPECT_EQ(secrets.CutOutOf("k1 k2 k1"), "*** k2 ***");
  EXPECT_EQ(Secrets("", {}).CutOutOf("plain"), "plain");
}

// What stands for a secret is not searched again.
TEST(Secrets, AKeyOfStarsEnds) { EXPECT_EQ(Secrets("*", {}).CutOutOf("a*b"), "a***b"); }

}  // namespace
}  // namespace moecap::openai
