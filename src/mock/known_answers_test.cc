#include "mock/known_answers.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mock/server.h"
#include "mock/test_client.h"
#include "mock/test_model.h"
#include "mock/tokenizer.h"

namespace moecap::mock {
namespace {

using testing::HasSubstr;

constexpr int64_t kVocab = 4000;

Result<KnownAnswers> Parse(std::string_view text) { return KnownAnswers::Parse(text, "a.jsonl", kVocab); }

std::string Joined(const KnownText& text) {
  std::string joined;
  for (const std::string& piece : text.pieces) joined += piece;
  return joined;
}

TEST(KnownAnswers, AreFoundByPromptAndById) {
  const auto known = Parse(
      R"({"prompt": "2+2?", "prediction": "It is\n\"4\", é.", "gold": "4"})"
      "\n\n"
      R"({"id": "q-7", "messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}], "prediction": ""})"
      "\n"
      R"({"id": 8, "prediction": null})");
  ASSERT_TRUE(known.ok()) << known.error().message;
  const KnownAnswer* four = known->Find("2+2?", "");
  ASSERT_NE(four, nullptr);
  EXPECT_EQ(Joined(four->inline_), "It is\\u000a\\\"4\\\", é.");
  EXPECT_EQ(four->inline_.ids, Tokenize("It is\n\"4\", é.", kVocab));
  EXPECT_EQ(four->apart.reasoning, 0);
  const KnownAnswer* empty = known->Find("b", "");
  ASSERT_NE(empty, nullptr);
  EXPECT_TRUE(empty->apart.pieces.empty());
  EXPECT_EQ(known->Find("else", "q-7"), empty);
  EXPECT_EQ(known->Find("else", "run-1-34-q-7"), empty) << "as moecap names its requests";
  EXPECT_TRUE(known->Find("", "8")->failed);
  EXPECT_EQ(known->Find("a", "7"), nullptr);
}

TEST(KnownAnswers, ReasoningStandsApartOrInTheText) {
  const auto known = Parse(R"({"id": "a", "reasoning": "so 3", "prediction": "3"})");
  const KnownAnswer& answer = *known->Find("", "a");
  EXPECT_EQ(Joined(answer.apart), "so 33");
  EXPECT_EQ(answer.apart.reasoning, 2);
  EXPECT_EQ(Joined(answer.inline_), "<think>\\u000aso 3\\u000a</think>\\u000a\\u000a3");
  EXPECT_EQ(answer.inline_.reasoning, 0);
}

TEST(KnownAnswers, NameFileAndLineOfBadInput) {
  const auto refused = [](const std::string& text) { return Parse(text).error().message; };
  const std::string good = R"({"id": "a", "prompt": "x", "prediction": "3"})";
  EXPECT_THAT(refused(good + "\n" + R"({"prompt": "y"})"), HasSubstr("a.jsonl:2: no field \"prediction\""));
  EXPECT_THAT(refused(good + "\n" + R"({"prediction": "y"})"), HasSubstr("a.jsonl:2: none of \"prompt\""));
  EXPECT_THAT(refused(good + "\n" + R"({"prompt": "x", "prediction": "y"})"), HasSubstr("answers the same prompt"));
  EXPECT_THAT(refused(good + "\n" + R"({"id": "a", "prediction": "y"})"), HasSubstr("id \"a\" is in an earlier line"));
  EXPECT_THAT(refused(R"({"id": "a", "prediction": 3})"), HasSubstr("\"prediction\" must be a text"));
  EXPECT_THAT(refused("[1]"), HasSubstr("a.jsonl:1: not a JSON object"));
  EXPECT_THAT(refused("\n"), HasSubstr("a.jsonl: no answers"));
}

struct Served {
  explicit Served(const std::string& lines, Dialect dialect = Dialect::kVllm, double tpot_s = 0) {
    ServerOptions options;
    options.model = SmallMoe();
    options.model_name = "m";
    options.dialect = dialect;
    options.timed.tpot_s = {tpot_s, 0};
    options.known_answers = std::make_shared<const KnownAnswers>(KnownAnswers::Parse(lines, "a.jsonl", kVocab).value());
    server = Server::Start(options).value();
  }
  std::string Ask(const std::string& path, const std::string& body, const std::string& headers = "") const {
    Client client(server->port());
    client.Post(path, body, headers + "connection: close\r\n");
    return client.ReadAll();
  }
  std::unique_ptr<Server> server;
};

TEST(KnownAnswers, AreSaidInEveryDialect) {
  const std::string lines = R"({"prompt": "q", "reasoning": "so", "prediction": "It is \"4\"."})"
                            "\n";
  struct Case {
    Dialect dialect;
    const char *path, *body, *part;
  };
  for (const Case& c : {
           Case{Dialect::kVllm, "/v1/completions", R"({"prompt":"q","max_tokens":99})",
                R"("text":"<think>\u000aso\u000a</think>\u000a\u000aIt is \"4\".")"},
           Case{Dialect::kVllm, "/v1/chat/completions", R"({"messages":[{"role":"user","content":"q"}]})",
                R"("content":"It is \"4\".","reasoning":"so")"},
           Case{Dialect::kTgi, "/v1/chat/completions", R"({"messages":[{"role":"user","content":"q"}]})", R"(</think>\u000a)"},
           Case{Dialect::kSglang, "/generate", R"({"text":"q"})", R"(It is \"4\".","output_ids")"},
           Case{Dialect::kLlamaServer, "/completion", R"({"prompt":"q"})", R"(It is \"4\".","tokens")"},
           Case{Dialect::kTgi, "/generate", R"({"inputs":"q"})", R"(It is \"4\".","details")"},
           Case{Dialect::kOllama, "/api/chat", R"({"messages":[{"role":"user","content":"q"}],"stream":false})",
                R"("content":"It is \"4\".","thinking":"so")"},
       }) {
    EXPECT_THAT(Served(lines, c.dialect).Ask(c.path, c.body), HasSubstr(c.part)) << c.path;
  }
}

TEST(KnownAnswers, EndByThemselvesOrAtTheLimit) {
  const Served served(R"({"prompt": "q", "prediction": "one two three"})");
  const auto ask = [&](int limit) {
    return served.Ask("/v1/completions", fmt::format(R"({{"prompt":"q","max_tokens":{},"ignore_eos":true}})", limit));
  };
  EXPECT_THAT(ask(50), HasSubstr(R"("text":"one two three","logprobs":null,"finish_reason":"stop")"));
  EXPECT_THAT(ask(50), HasSubstr("\"completion_tokens\":4"));
  EXPECT_THAT(ask(2), HasSubstr(R"("text":"one two","logprobs":null,"finish_reason":"length")"));
}

TEST(KnownAnswers, OtherPromptsAreRefusedWithTheFile) {
  const Served served("{\"prompt\": \"q\", \"prediction\": \"p\"}\n{\"id\": \"x\", \"prediction\": null}\n");
  const std::string other = served.Ask("/v1/completions", R"({"prompt":"Who? Who else?","max_tokens":9})");
  EXPECT_THAT(other, HasSubstr("HTTP/1.1 404"));
  EXPECT_THAT(other, HasSubstr(R"(a.jsonl holds no answer for the prompt \"Who? Who else?\" of 14 bytes)"));
  EXPECT_THAT(served.Ask("/v1/completions", R"({"prompt":[5,6],"max_tokens":9})"), HasSubstr("came as token ids"));
  EXPECT_THAT(served.Ask("/v1/completions", R"({"prompt":[5,6],"max_tokens":9})", "x-request-id: run-2-x\r\n"),
              HasSubstr("HTTP/1.1 500"));
}

TEST(KnownAnswers, AreDegradedAboveSoManyInFlight) {
  std::string endless = "long";
  for (int word = 0; word < 10000; ++word) endless += " word";
  const Served served(R"({"prompt": "q", "prediction": "one two three"})"
                      "\n"
                      R"({"prompt": "r", "prediction": ")" +
                          endless + "\"}",
                      Dialect::kVllm, 0.05);
  const std::string body = R"({"prompt":"q","max_tokens":50})";
  const std::string fault = "x-mock-fault: degrade=1\r\n";
  EXPECT_THAT(served.Ask("/v1/completions", body, fault), HasSubstr("one two three"));

  Client first(served.server->port());
  first.Post("/v1/completions", R"({"prompt":"r","max_tokens":20000,"stream":true})", fault);
  std::string begun;
  for (std::string more = first.Read(); !more.empty(); more = first.Read()) {
    begun += more;
    if (begun.find(" word") != std::string::npos) break;
  }
  EXPECT_THAT(begun, HasSubstr("long"));
  const std::string second = served.Ask("/v1/completions", body, fault);
  EXPECT_THAT(second, testing::Not(HasSubstr("one")));
  EXPECT_THAT(second, HasSubstr("\"completion_tokens\":4"));
}

}  // namespace
}  // namespace moecap::mock
