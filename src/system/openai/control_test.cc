#include "system/openai/control.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>

#include "net/testing/scripted_server.h"

namespace moecap::openai {
namespace {

using net::ScriptedConnection;
using net::ScriptedServer;
using net::WholeResponse;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr int64_t kMs = 1'000'000;

// Gives the same answer to everything and keeps what was asked.
class Page {
 public:
  explicit Page(int status, const std::string& body = "", const std::string& fields = "")
      : server_([this, answer = WholeResponse(status, body, fields)](ScriptedConnection& connection, int) {
          for (std::string request; !(request = connection.ReadRequest()).empty();) {
            {
              const std::lock_guard lock(mutex_);
              asked_.push_back(request);
            }
            connection.Send(answer);
          }
        }) {}
  const ScriptedServer& server() const { return server_; }
  std::vector<std::string> asked() const {
    const std::lock_guard lock(mutex_);
    return asked_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> asked_;
  ScriptedServer server_;  // goes first: its scripts use the others
};

std::unique_ptr<ServerControl> Control(const std::vector<std::string>& urls, ServerKind kind,
                                       int64_t limit_ns = net::kPatienceNs) {
  static const SteadyClock clock;
  OpenAiOptions options;
  for (const std::string& url : urls) options.http.urls.push_back(net::ParseUrl(url).value());
  options.profile = {Api::kCompletions, kind, "m", ""};
  options.api_key = "sk-confidential";
  auto control = ServerControl::Create(options, limit_ns, clock);
  EXPECT_TRUE(control.ok()) << control.error().message;
  return std::move(control).value();
}

TEST(FlushPrefixCache, AsksEveryServerOnItsOwnPage) {
  for (const auto& [kind, begin] : {std::pair{ServerKind::kVllm, "POST /reset_prefix_cache HTTP/1.1\r\n"},
                                    std::pair{ServerKind::kSglang, "POST /flush_cache?timeout=30 HTTP/1.1\r\n"}}) {
    const Page one(200, "Cache flushed.\n"), other(200, R"({"success":true})");
    const auto control = Control({one.server().Url(), other.server().Url()}, kind);
    EXPECT_TRUE(CanFlushPrefixCache(kind));
    for (int i = 0; i < 2; ++i) {
      const Status flushed = control->FlushPrefixCache();
      EXPECT_TRUE(flushed.ok()) << flushed.error().message;
    }
    for (const Page* page : {&one, &other}) {
      ASSERT_EQ(page->asked().size(), 2u);
      EXPECT_THAT(page->asked()[0], testing::StartsWith(begin));
      EXPECT_THAT(page->asked()[0], HasSubstr("Authorization: Bearer sk-confidential\r\n"));
    }
  }
}

TEST(FlushPrefixCache, SaysWhyItIsNotPossible) {
  const auto error = [](ServerKind kind, int status, const std::string& body = "") {
    const Page page(status, body);
    const Status flushed = Control({page.server().Url()}, kind)->FlushPrefixCache();
    EXPECT_FALSE(flushed.ok());
    EXPECT_THAT(flushed.error().message, testing::AllOf(HasSubstr(page.server().Url()), Not(HasSubstr("confidential"))));
    return flushed.error();
  };
  for (const ServerKind kind :
       {ServerKind::kUnknown, ServerKind::kTensorRtLlm, ServerKind::kLlamaServer, ServerKind::kTgi, ServerKind::kOllama}) {
    EXPECT_FALSE(CanFlushPrefixCache(kind));
    const Error unsupported = error(kind, 200);
    EXPECT_EQ(unsupported.kind, ErrorKind::kBadInput);
    EXPECT_THAT(unsupported.message, testing::AllOf(HasSubstr(std::string(Name(kind))), HasSubstr("cache salt")));
  }
  const Error production = error(ServerKind::kVllm, 404, R"({"detail":"Not Found"})");
  EXPECT_EQ(production.kind, ErrorKind::kBadInput);
  EXPECT_THAT(production.message, HasSubstr("VLLM_SERVER_DEV_MODE=1"));
  const Error denied = error(ServerKind::kSglang, 401, R"({"error":"sk-confidential is wrong"})");
  EXPECT_EQ(denied.kind, ErrorKind::kBadInput);
  EXPECT_THAT(denied.message, testing::AllOf(HasSubstr("*** is wrong"), HasSubstr("api_key_env")));
  for (const Error& busy : {error(ServerKind::kSglang, 400, "Flush cache failed."), error(ServerKind::kVllm, 409, "no"),
                            error(ServerKind::kVllm, 200, R"({"success":false})")}) {
    EXPECT_EQ(busy.kind, ErrorKind::kFailed);
    EXPECT_THAT(busy.message, HasSubstr("in flight"));
  }
  EXPECT_EQ(error(ServerKind::kVllm, 500, "boom").kind, ErrorKind::kFailed);
}

TEST(ServerControl, EndsInTimeWithoutAnAnswer) {
  ScriptedServer silent([](ScriptedConnection& connection, int) { connection.Hold(); });
  const auto control = Control({silent.Url()}, ServerKind::kVllm, 50 * kMs);
  EXPECT_THAT(control->FlushPrefixCache().error().message, HasSubstr("0.05 s"));
  EXPECT_THAT(control->Tokenize("a").error().message, HasSubstr(silent.Url()));
  const auto closed = Control({fmt::format("http://127.0.0.1:{}", net::ClosedPort())}, ServerKind::kVllm);
  EXPECT_THAT(closed->FlushPrefixCache().error().message, HasSubstr("is the server running"));
}

struct Tokenizer {
  ServerKind kind;
  const char* body;    // asked
  const char* answer;  // of two tokens
};

TEST(Tokenize, ReadsEveryServersAnswer) {
  const Tokenizer tokenizers[] = {{ServerKind::kVllm, R"({"prompt":"a\n€\ufffd","model":"m","add_special_tokens":true})",
                                   R"({"count":2,"max_model_len":100,"tokens":[1,70000],"token_strs":null})"},
                                  {ServerKind::kSglang, R"({"prompt":"a\n€\ufffd","model":"m","add_special_tokens":true})",
                                   R"({"tokens":[1,70000],"count":2,"max_model_len":100})"},
                                  {ServerKind::kLlamaServer, R"({"content":"a\n€\ufffd","add_special":true})",
                                   R"({"tokens":[1,{"id":70000,"piece":"x"}]})"},
                                  {ServerKind::kTgi, R"({"inputs":"a\n€\ufffd"})",
                                   R"([{"id":1,"text":"a","start":0,"stop":1},{"id":70000,"text":"b","start":1,"stop":2}])"}};
  for (const Tokenizer& tokenizer : tokenizers) {
    const Page page(200, tokenizer.answer);
    const auto tokens = Control({page.server().Url()}, tokenizer.kind)->Tokenize("a\n\xe2\x82\xac\xff");
    ASSERT_TRUE(tokens.ok()) << tokens.error().message;
    EXPECT_EQ(tokens->count, 2);
    EXPECT_THAT(tokens->token_ids, ElementsAre(1, 70000));
    EXPECT_TRUE(CanTokenize(tokenizer.kind));
    std::string body(tokenizer.body);
    body.replace(body.find("\\ufffd"), 6, "\xef\xbf\xbd");
    EXPECT_THAT(page.asked().at(0),
                testing::AllOf(testing::StartsWith("POST /tokenize "), testing::EndsWith("\r\n\r\n" + body)));
  }
}

TEST(Tokenize, RefusesWhatIsNoListOfTokens) {
  const auto error = [](ServerKind kind, int status, const std::string& body) {
    const Page page(status, body);
    const auto tokens = Control({page.server().Url()}, kind)->Tokenize("a");
    EXPECT_FALSE(tokens.ok()) << body;
    return tokens.ok() ? Error() : tokens.error();
  };
  for (const char* body : {"", "no", "{}", "[1.5]", "[-1]", "[4294967296]", R"([{"text":"a"}])", R"(["a"])", R"({"tokens":7})",
                           R"({"tokens":[1],"count":2})", R"({"tokens":[1],"count":"1"})"}) {
    const Error wrong = error(ServerKind::kVllm, 200, body);
    EXPECT_EQ(wrong.kind, ErrorKind::kFailed);
    EXPECT_THAT(wrong.message, HasSubstr("/tokenize answers no list of tokens"));
  }
  for (const ServerKind kind : {ServerKind::kUnknown, ServerKind::kTensorRtLlm, ServerKind::kOllama}) {
    EXPECT_FALSE(CanTokenize(kind));
    EXPECT_EQ(error(kind, 200, "[1]").kind, ErrorKind::kBadInput);
  }
  EXPECT_EQ(error(ServerKind::kSglang, 404, "").kind, ErrorKind::kBadInput) << "an older release";
  EXPECT_EQ(error(ServerKind::kVllm, 400, R"({"message":"too long"})").kind, ErrorKind::kFailed);
}

TEST(Counters, AreAddedUpOverAllServers) {
  const Page one(200, "vllm:generation_tokens_total 5\nvllm:prompt_tokens_total 1\n"),
      other(200, "vllm:generation_tokens_total 7\n");
  const auto counters = Control({one.server().Url(), other.server().Url()}, ServerKind::kVllm)->Counters();
  ASSERT_TRUE(counters.has_value());
  EXPECT_EQ(counters->generated_tokens, 12);
  EXPECT_FALSE(counters->prompt_tokens.has_value()) << "one of them does not tell";
  const Page none(404);
  EXPECT_FALSE(Control({one.server().Url(), none.server().Url()}, ServerKind::kVllm)->Counters().has_value());
}

TEST(Models, AreToldApartByWhatStays) {
  const auto models = [](const std::string& body, int status = 200) {
    const Page page(status, body);
    auto list = Control({page.server().Url()}, ServerKind::kVllm)->Models();
    EXPECT_TRUE(list.ok());
    for (std::string& model : *list) model = model.substr(page.server().Url().size() + 2);
    return *list;
  };
  EXPECT_THAT(models(R"({"data":[{"id":"m","root":"/a","max_model_len":512,"created":1},{"id":"lora"}]})"),
              testing::ElementsAre("m, /a, 512"))
      << "others may come and go";
  EXPECT_THAT(models(R"({"data":[{"id":"n"},{"id":"o"}]})"), testing::ElementsAre("n", "o")) << "ours is gone";
  EXPECT_THAT(models("", 404), testing::IsEmpty());
  EXPECT_THAT(models(R"({"data":[1]})"), testing::IsEmpty());
}

TEST(Tokenize, AnAnswerWithoutEndIsCutOff) {
  ScriptedServer endless([](ScriptedConnection& connection, int) {
    connection.ReadRequest();
    connection.Send("HTTP/1.1 200 OK\r\n\r\n[");
    const std::string block(1 << 16, '1');
    for (int i = 0; i < 1024; ++i) connection.Send(block);
  });
  EXPECT_THAT(Control({endless.Url()}, ServerKind::kVllm)->Tokenize("a").error().message, HasSubstr("larger than"));
}

}  // namespace
}  // namespace moecap::openai
