#include "system/openai/likelihoods.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "system/openai/testing/scripted_api.h"

namespace moecap::openai {
namespace {

using net::ScriptedServer;
using net::WholeResponse;
using record::RequestError;
using testing::HasSubstr;

// As vLLM 0.30 answers, shortened: the prompt has three tokens, then come the choices out of order.
constexpr const char* kAnswer = R"({"id":"cmpl-1","object":"text_completion","model":"m","choices":[
 {"index":0,"text":"a b c d","logprobs":{"text_offset":[0,1,3,5],"token_logprobs":[null,-1.0,-2.0,-0.5],"tokens":["a"," b"," c"," d"]},"finish_reason":"length"},
 {"index":2,"text":"a b c y z","logprobs":{"token_logprobs":[null,-1.0,-2.0,-0.25,-4.0,-9.0]},"finish_reason":"length"},
 {"index":1,"text":"a b c x","logprobs":{"token_logprobs":[null,-1.0,-2.0,-1.5,-9.0]},"finish_reason":"length"}],
 "usage":{"prompt_tokens":12,"total_tokens":15,"completion_tokens":3}})";

load::RequestSpec Choices() {
  load::RequestSpec request = Request();
  request.prompt = "a b c";
  request.continuations = {" x", " y z"};
  return request;
}

TEST(Likelihoods, AreSumsBehindThePrompt) {
  const auto told = ReadLikelihoods(kAnswer, 2);
  ASSERT_TRUE(told.ok()) << told.error().message;
  EXPECT_THAT(*told, testing::ElementsAre(-1.5, -4.25));
}

TEST(Likelihoods, AnswersWithoutThemSayWhatToDo) {
  for (const char* body :
       {"{}", R"({"choices":[{"index":0,"text":"x"},{"index":1,"text":"y"}]})",
        R"({"choices":[{"index":0,"logprobs":null},{"index":1,"logprobs":null}]})",
        R"({"choices":[{"index":0,"logprobs":{"token_logprobs":[-1]}},{"index":1,"logprobs":{"token_logprobs":[-1]}}]})",
        R"({"choices":[{"index":0,"logprobs":{"token_logprobs":[null,-1]}},
                                          {"index":1,"logprobs":{"token_logprobs":[null,-1]}}]})",
        R"({"choices":[{"index":0,"logprobs":{"token_logprobs":[null,-1]}},
                                          {"index":1,"logprobs":{"token_logprobs":[null,"x",-1]}}]})"}) {
    const auto told = ReadLikelihoods(body, 1);
    ASSERT_FALSE(told.ok()) << body;
    EXPECT_THAT(told.error().message, HasSubstr("echo with logprobs"));
  }
}

TEST(Likelihoods, ARequestAsksForTheEchoOfAll) {
  std::string body;
  WriteRequestBody({Api::kCompletions, ServerKind::kVllm, "m"}, Choices(), true, body);
  EXPECT_EQ(body,
            R"({"model":"m","prompt":["a b c","a b c x","a b c y z"],"max_tokens":1,"temperature":0,"echo":true,"logprobs":1,)"
            R"("stream":false})");
}

TEST(Likelihoods, ComeFromAServer) {
  ScriptedServer server(Answer(WholeResponse(200, kAnswer, "Content-Type: application/json\r\n")));
  const auto record = Measure(Options(server, Api::kCompletions), Choices());
  EXPECT_EQ(record.error, "");
  EXPECT_EQ(record.text, "[-1.500000,-4.250000]");
  EXPECT_EQ(record.output_tokens, 1);
  EXPECT_EQ(record.token_s.size(), 1u);
  EXPECT_EQ(record.input_tokens, 12);
  EXPECT_FALSE(record.failed());
}

TEST(Likelihoods, AServerWithoutThemFailsTheRequest) {
  ScriptedServer server(Answer(WholeResponse(200, R"({"choices":[{"index":0,"text":"x","finish_reason":"length"}]})",
                                             "Content-Type: application/json\r\n")));
  const auto record = Measure(Options(server, Api::kCompletions), Choices());
  EXPECT_TRUE(record.failed());
  EXPECT_EQ(record.error_kind, RequestError::kBadResponse);
  EXPECT_THAT(record.error, HasSubstr("no log-probabilities for text 1 of 3"));
  ScriptedServer refusing(Answer(WholeResponse(400, R"({"error":{"message":"echo is not supported"}})")));
  EXPECT_THAT(Measure(Options(refusing, Api::kCompletions), Choices()).error,
              testing::AllOf(HasSubstr("echo is not supported"), HasSubstr(kLikelihoodRemedy)));
}

TEST(Likelihoods, KnownInterfacesWithoutThemAreRefusedBefore) {
  const SteadyClock clock;
  ScriptedServer server(Answer(""));
  const auto refused = [&](Api api, ServerKind kind) {
    const auto system = OpenAiSystem::Create(Options(server, api, kind), clock);
    const Status valid = (*system)->Validate(Choices());
    return valid.ok() ? "" : valid.error().message;
  };
  EXPECT_EQ(refused(Api::kCompletions, ServerKind::kVllm), "");
  EXPECT_EQ(refused(Api::kCompletions, ServerKind::kUnknown), "");
  EXPECT_THAT(refused(Api::kChat, ServerKind::kVllm), HasSubstr("api chat tells no log-likelihoods"));
  EXPECT_THAT(refused(Api::kCompletions, ServerKind::kOllama), HasSubstr("Ollama has no echo"));
}

}  // namespace
}  // namespace moecap::openai
