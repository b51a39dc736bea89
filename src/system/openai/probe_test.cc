#include "system/openai/probe.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>

#include "base/json.h"
#include "system/openai/testing/scripted_api.h"

namespace moecap::openai {
namespace {

using net::ScriptedConnection;
using net::ScriptedServer;
using net::WholeResponse;
using testing::HasSubstr;
using testing::Not;

// What a server makes of a request.
struct Manners {
  std::string path = "/v1/completions";
  bool refuses_strangers = false;   // 422 for a member that it does not know
  std::set<std::string> obeys;      // of what is beyond OpenAI's own members
  bool takes_ids = false;           // else 400
  bool always_tells_usage = false;  // in the chunk with the finish reason
  bool wants_uuids = false;         // 400 without a word for another x-request-id
  int64_t natural_end = 5;          // tokens
};

// Answers one request after the other by its manners, and keeps their bodies.
class Mannered {
 public:
  explicit Mannered(Manners manners)
      : manners_(std::move(manners)), server_([this](ScriptedConnection& connection, int) { Serve(connection); }) {}
  OpenAiOptions Options(Api api = Api::kCompletions, ServerKind kind = ServerKind::kUnknown) const {
    return openai::Options(server_, api, kind);
  }
  std::set<std::string> sent() const {
    const std::lock_guard lock(mutex_);
    return sent_;
  }

 private:
  void Serve(ScriptedConnection& connection) {
    for (std::string request; !(request = connection.ReadRequest()).empty();) {
      const size_t body = request.find("\r\n\r\n");
      static const std::regex kUuid("x-request-id: [0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\r\n");
      if (manners_.wants_uuids && !std::regex_search(request, kUuid)) {
        connection.Send(WholeResponse(400, ""));
        continue;
      }
      connection.Send(request.starts_with("POST " + manners_.path + " ") ? Answer(ParseJson(request.substr(body + 4)).value())
                                                                         : WholeResponse(404, R"({"detail":"Not Found"})"));
    }
  }
  std::string Answer(const Json& body) {
    static const std::set<std::string> kOwn = {"model",       "prompt", "messages", "max_tokens",
                                               "temperature", "stream", "stop",     "stream_options"};
    for (const auto& [key, value] : body.items()) {
      {
        const std::lock_guard lock(mutex_);
        sent_.insert(key);
      }
      if (manners_.refuses_strangers && !kOwn.contains(key) && !manners_.obeys.contains(key))
        return WholeResponse(422, fmt::format(R"({{"detail":"Unexpected keys in the request: {{'{}'}}"}})", key));
    }
    const bool ids = body.contains("prompt") && body["prompt"].is_array();
    if (ids && !manners_.takes_ids) return WholeResponse(400, R"({"error":"prompt must be a string"})");
    const bool forced = manners_.obeys.contains("ignore_eos") && body.contains("ignore_eos");
    const int64_t most = body["max_tokens"];
    const int64_t tokens = forced ? most : std::min(most, manners_.natural_end);
    const bool shows_ids = manners_.obeys.contains("return_token_ids") && body.contains("return_token_ids");
    std::vector<std::string> events;
    for (int64_t i = 0; i < tokens; ++i) {
      const std::string text = body.contains("messages") ? R"("delta":{"content":"a"})" : R"("text":"a")";
      events.push_back(fmt::format(R"({{"choices":[{{"index":0,{}{},"finish_reason":null}}]}})", text,
                                   shows_ids ? fmt::format(R"(,"token_ids":[{}])", i) : ""));
    }
    const std::string usage =
        fmt::format(R"("usage":{{"prompt_tokens":{},"completion_tokens":{}}})", ids ? body["prompt"].size() : 7, tokens);
    const char* reason = tokens < most ? "stop" : "length";
    events.push_back(fmt::format(R"({{"choices":[{{"index":0,"text":"","delta":{{}},"finish_reason":"{}"}}]{}}})", reason,
                                 manners_.always_tells_usage ? "," + usage : ""));
    if (manners_.obeys.contains("stream_options") && body.contains("stream_options"))
      events.push_back(fmt::format(R"({{"choices":[],{}}})", usage));
    return Stream(events);
  }

  Manners manners_;
  mutable std::mutex mutex_;
  std::set<std::string> sent_;
  ScriptedServer server_;
};

ProbeResult Learn(const OpenAiOptions& options, const std::vector<int32_t>& ids = {11, 12, 13, 14, 15, 16, 17, 18}) {
  const SteadyClock clock;
  const ServerFacts facts;
  const auto result = LearnFields({options, facts, ids, net::kPatienceNs}, clock);
  EXPECT_TRUE(result.ok()) << result.error().message;
  return result.ok() ? *result : ProbeResult();
}

Support SupportOf(const ProbeResult& result, Feature feature) {
  const Capability* capability = Find(result.capabilities, feature);
  return capability == nullptr ? Support::kNotAsked : capability->support;
}

// transformers serve.
TEST(LearnFields, AServerThatRefusesWhatItDoesNotKnowGetsThePlainRequest) {
  Mannered server({.refuses_strangers = true, .always_tells_usage = true});
  const ProbeResult result = Learn(server.Options(Api::kCompletions, ServerKind::kTransformers));
  EXPECT_EQ(result.api, Api::kCompletions);
  EXPECT_FALSE(result.fields.ignore_end);
  EXPECT_FALSE(result.fields.return_token_ids);
  EXPECT_FALSE(result.fields.cache_salt);
  EXPECT_FALSE(result.fields.token_ids);
  EXPECT_EQ(SupportOf(result, Feature::kUsage), Support::kYes) << "it comes unasked";
  EXPECT_EQ(SupportOf(result, Feature::kIgnoreEnd), Support::kNo);
  EXPECT_THAT(Find(result.capabilities, Feature::kIgnoreEnd)->detail, HasSubstr("ignore_eos"));
  EXPECT_THAT(Find(result.capabilities, Feature::kIdsIn)->detail, HasSubstr("prompt must be a string"));
}

TEST(LearnFields, FieldsAreAskedForOneAtATime) {
  Mannered server(
      {.refuses_strangers = true, .obeys = {"ignore_eos", "stream_options", "return_token_ids"}, .takes_ids = true});
  const ProbeResult result = Learn(server.Options());
  EXPECT_TRUE(result.fields.ignore_end) << "though the salt was refused";
  EXPECT_TRUE(result.fields.usage);
  EXPECT_TRUE(result.fields.return_token_ids);
  EXPECT_TRUE(result.fields.token_ids);
  EXPECT_FALSE(result.fields.cache_salt);
  EXPECT_FALSE(result.fields.running_usage);
  EXPECT_EQ(SupportOf(result, Feature::kIgnoreEnd), Support::kYes) << "it went on past the end";
}

// fastllm and llama-cpp-python take every member and obey few.
TEST(LearnFields, WhatIsIgnoredIsNotUsed) {
  Mannered server({.takes_ids = true});
  const ProbeResult result = Learn(server.Options());
  EXPECT_EQ(SupportOf(result, Feature::kIgnoreEnd), Support::kIgnored);
  EXPECT_EQ(SupportOf(result, Feature::kUsage), Support::kIgnored);
  EXPECT_EQ(SupportOf(result, Feature::kIdsOut), Support::kIgnored);
  EXPECT_EQ(SupportOf(result, Feature::kCacheSalt), Support::kTaken) << "nothing shows whether it does";
  EXPECT_FALSE(result.fields.ignore_end);
  EXPECT_FALSE(result.fields.usage);
}

TEST(LearnFields, AServerOfChatsIsAskedForOne) {
  Mannered server({.path = "/v1/chat/completions", .always_tells_usage = true});
  const ProbeResult result = Learn(server.Options());
  EXPECT_EQ(result.api, Api::kChat);
  EXPECT_EQ(SupportOf(result, Feature::kIdsIn), Support::kNo);
}

// llama-cpp-python's middleware.
TEST(LearnFields, AServerThatTakesOnlyUuidsAsRequestIdsGetsThem) {
  Mannered server({.wants_uuids = true});
  const ProbeResult result = Learn(server.Options());
  EXPECT_TRUE(result.fields.uuid_request_id);
  EXPECT_EQ(SupportOf(result, Feature::kIdsIn), Support::kNo);
  EXPECT_TRUE(FieldsOf(Api::kCompletions, ServerKind::kLlamaCppPython).uuid_request_id) << "known by its name";
}

// An id outside the vocabulary ends some servers.
TEST(LearnFields, NoIdIsSentThatIsNotKnownToExist) {
  Mannered server({.takes_ids = true});
  const ProbeResult result = Learn(server.Options(), {});
  EXPECT_FALSE(result.fields.token_ids);
  EXPECT_EQ(SupportOf(result, Feature::kIdsIn), Support::kNotAsked);
}

TEST(LearnFields, SaysWhatAServerAnswersThatAnswersNothing) {
  ScriptedServer server([](ScriptedConnection& connection, int) {
    while (!connection.ReadRequest().empty()) connection.Send(WholeResponse(503, R"({"error":"loading"})"));
  });
  const SteadyClock clock;
  const OpenAiOptions options = openai::Options(server, Api::kCompletions, ServerKind::kUnknown);
  const auto result = LearnFields({options, {}, {}, net::kPatienceNs}, clock);
  ASSERT_FALSE(result.ok());
  EXPECT_THAT(result.error().message, testing::AllOf(HasSubstr("plain request"), HasSubstr("503"), HasSubstr("loading")));
}

// llama-cpp-python refuses a whole answer with a sentence; a stream it would end without a word.
TEST(AskForContext, TheRefusalOfALongPromptTellsIt) {
  const auto ask = [](int status, const std::string& answer) {
    ScriptedServer server([&](ScriptedConnection& connection, int) {
      for (std::string request; !(request = connection.ReadRequest()).empty();) {
        const Json body = ParseJson(request.substr(request.find("\r\n\r\n") + 4)).value();
        EXPECT_FALSE(body.value("stream", false));
        EXPECT_LE(std::ranges::count(body["prompt"].get<std::string>(), ' '), 512);
        connection.Send(WholeResponse(status, answer));
      }
    });
    const OpenAiOptions options = openai::Options(server, Api::kCompletions, ServerKind::kLlamaCppPython);
    return AskForContext(options, 512, net::kPatienceNs, SteadyClock());
  };
  const auto refused = ask(
      400, R"({"error":{"message":"This model's maximum context length is 512 tokens, however you requested 1410 tokens"}})");
  ASSERT_TRUE(refused.ok()) << refused.error().message;
  EXPECT_EQ(*refused, 512);
  EXPECT_EQ(*ask(400, R"({"error":{"message":"Requested tokens (1332) exceed context window of 2048"}})"), 2048);
  EXPECT_EQ(*ask(400, R"({"error":{"message":"prompt too long: 1332"}})"), std::nullopt);
  EXPECT_EQ(
      *ask(
          200,
          R"({"choices":[{"index":0,"text":"a","finish_reason":"length"}],"usage":{"prompt_tokens":600,"completion_tokens":1}})"),
      std::nullopt)
      << "it takes the prompt";
}

// fastllm says "prompt too long" and no number.
TEST(AskForContext, AServerThatNamesNoNumberIsAskedForShorterPrompts) {
  std::atomic<int> asked = 0;
  ScriptedServer server([&](ScriptedConnection& connection, int) {
    for (std::string request; !(request = connection.ReadRequest()).empty();) {
      ++asked;
      const Json body = ParseJson(request.substr(request.find("\r\n\r\n") + 4)).value();
      const auto tokens = 3 * std::ranges::count(body["messages"][0]["content"].get<std::string>(), ' ');
      connection.Send(tokens > 511
                          ? WholeResponse(400, R"({"error":{"message":"prompt too long"}})")
                          : WholeResponse(200, fmt::format(R"({{"choices":[{{"index":0,"message":{{"role":"assistant",)"
                                                           R"("content":"a"}},"finish_reason":"length"}}],"usage":)"
                                                           R"({{"prompt_tokens":{},"completion_tokens":1}}}})",
                                                           tokens)));
    }
  });
  const OpenAiOptions options = openai::Options(server, Api::kChat, ServerKind::kFastllm);
  const auto context = AskForContext(options, 512, net::kPatienceNs, SteadyClock());
  ASSERT_TRUE(context.ok()) << context.error().message;
  EXPECT_EQ(*context, 481) << "160 of the 170 words that fit";
  EXPECT_EQ(asked, 5);
}

TEST(ProbeCapabilities, AKnownServerIsAskedOnceAndItsFlagsAreNamed) {
  Mannered server({.obeys = {"stream_options", "return_token_ids", "ignore_eos"}, .takes_ids = true});
  const SteadyClock clock;
  const OpenAiOptions options = server.Options(Api::kCompletions, ServerKind::kVllm);
  const auto result = ProbeCapabilities({options, {}, {1, 2, 3, 4, 5, 6, 7, 8}, net::kPatienceNs}, clock);
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(SupportOf(*result, Feature::kIdsIn), Support::kYes);
  EXPECT_EQ(SupportOf(*result, Feature::kIdsOut), Support::kYes);
  EXPECT_EQ(SupportOf(*result, Feature::kCachedTokens), Support::kNo);
  EXPECT_EQ(SupportOf(*result, Feature::kExperts), Support::kNo);
  EXPECT_EQ(SupportOf(*result, Feature::kTokenize), Support::kNo) << "the page answers 404";
  EXPECT_THAT(Remedy(ServerKind::kVllm, Feature::kCachedTokens), HasSubstr("--enable-prompt-tokens-details"));
  EXPECT_THAT(Remedy(ServerKind::kSglang, Feature::kCachedTokens), HasSubstr("--enable-cache-report"));
  EXPECT_EQ(Remedy(ServerKind::kUnknown, Feature::kCachedTokens), "");
}

// SGLang's pages of the recorder end a server that has none.
TEST(ProbeCapabilities, ARecorderIsReadFromItsFlagAndNeverTried) {
  ScriptedServer server([](ScriptedConnection& connection, int) {
    for (std::string request; !(request = connection.ReadRequest()).empty();) {
      EXPECT_THAT(request, Not(HasSubstr("expert_distribution")));
      const std::string answer =
          R"({"text":"a","output_ids":[1],"meta_info":{"completion_tokens":1,"finish_reason":{"type":"length"}}})";
      connection.Send(request.starts_with("POST /generate ") ? Stream({answer}) : WholeResponse(404, "no"));
    }
  });
  const SteadyClock clock;
  const OpenAiOptions options = openai::Options(server, Api::kSglangGenerate, ServerKind::kSglang);
  ServerFacts facts;
  facts.recorder_mode = "";
  facts.returns_experts = true;
  const auto result = ProbeCapabilities({options, facts, {}, net::kPatienceNs}, clock);
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(SupportOf(*result, Feature::kRecorder), Support::kNo);
  EXPECT_EQ(SupportOf(*result, Feature::kExperts), Support::kYes);
}

}  // namespace
}  // namespace moecap::openai
