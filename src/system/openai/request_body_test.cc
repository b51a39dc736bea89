#include "system/openai/request_body.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/json.h"

namespace moecap::openai {
namespace {

Json Body(Api api, ServerKind server, const load::RequestSpec& request) {
  std::string out = "old";
  WriteRequestBody({api, server, "m", ""}, request, request.stream, out);
  const auto json = ParseJson(out);
  EXPECT_TRUE(json.ok()) << out;
  return json.ok() ? *json : Json();
}

load::RequestSpec Fixed() {
  load::RequestSpec request;
  request.prompt_token_ids = {1, 2, 300};
  request.max_output_tokens = 7;
  request.ignore_end_token = true;
  request.stop = {"Question:", "\n\n"};
  request.cache_salt = "s1";
  return request;
}

std::vector<std::string> Keys(const Json& object) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : object.items()) keys.push_back(key);
  return keys;
}

TEST(RequestBody, CompletionsCarryWhatTheServerKnows) {
  const Json vllm = Body(Api::kCompletions, ServerKind::kVllm, Fixed());
  EXPECT_EQ(
      vllm.dump(),
      R"({"model":"m","prompt":[1,2,300],"max_tokens":7,"temperature":0,"stream":true,"stop":["Question:","\n\n"],)"
      R"("stream_options":{"include_usage":true,"continuous_usage_stats":true},"return_token_ids":true,"ignore_eos":true,)"
      R"("min_tokens":7,"cache_salt":"s1"})");
  // trtllm-serve refuses any field it does not know.
  EXPECT_THAT(Keys(Body(Api::kCompletions, ServerKind::kTensorRtLlm, Fixed())),
              testing::ElementsAre("model", "prompt", "max_tokens", "temperature", "stream", "stop", "stream_options",
                                   "ignore_eos", "min_tokens", "cache_salt"));
  EXPECT_THAT(Keys(Body(Api::kCompletions, ServerKind::kLlamaServer, Fixed())),
              testing::ElementsAre("model", "prompt", "max_tokens", "temperature", "stream", "stop", "stream_options",
                                   "ignore_eos", "timings_per_token", "cache_prompt"));
  load::RequestSpec plain;
  plain.prompt = "hi";
  EXPECT_THAT(Keys(Body(Api::kCompletions, ServerKind::kUnknown, plain)),
              testing::ElementsAre("model", "prompt", "max_tokens", "temperature", "stream", "stream_options"));
  EXPECT_FALSE(Body(Api::kCompletions, ServerKind::kTgi, plain).contains("temperature"));
  plain.stream = false;
  EXPECT_THAT(Keys(Body(Api::kCompletions, ServerKind::kVllm, plain)),
              testing::ElementsAre("model", "prompt", "max_tokens", "temperature", "stream", "return_token_ids"));
}

TEST(RequestBody, ChatsCarryMessages) {
  load::RequestSpec request;
  request.prompt = "hi";
  EXPECT_EQ(Body(Api::kChat, ServerKind::kUnknown, request)["messages"].dump(), R"([{"role":"user","content":"hi"}])");
  request.messages = {{"system", "be brief"}, {"user", "why?"}};
  EXPECT_EQ(
      Body(Api::kOllamaChat, ServerKind::kOllama, request).dump(),
      R"({"model":"m","messages":[{"role":"system","content":"be brief"},{"role":"user","content":"why?"}],"stream":true,)"
      R"("options":{"num_predict":256,"temperature":0}})");
}

TEST(RequestBody, NativeInterfaces) {
  EXPECT_EQ(Body(Api::kSglangGenerate, ServerKind::kSglang, Fixed()).dump(),
            R"({"input_ids":[1,2,300],"sampling_params":{"max_new_tokens":7,"temperature":0,"stop":["Question:","\n\n"],)"
            R"("ignore_eos":true,"min_new_tokens":7},"stream":true,"extra_key":"s1"})");
  EXPECT_EQ(
      Body(Api::kLlamaServer, ServerKind::kLlamaServer, Fixed()).dump(),
      R"({"prompt":[1,2,300],"n_predict":7,"temperature":0,"stream":true,"return_tokens":true,"stop":["Question:","\n\n"],)"
      R"("ignore_eos":true,"cache_prompt":false})");
  load::RequestSpec text;
  text.prompt = "hi";
  EXPECT_EQ(
      Body(Api::kTgiGenerate, ServerKind::kTgi, text).dump(),
      R"({"inputs":"hi","parameters":{"max_new_tokens":256,"do_sample":false,"details":true,"decoder_input_details":false}})");
  EXPECT_EQ(Body(Api::kOllamaGenerate, ServerKind::kOllama, text).dump(),
            R"({"model":"m","prompt":"hi","raw":true,"stream":true,"options":{"num_predict":256,"temperature":0}})");
}

TEST(RequestBody, TextSurvives) {
  load::RequestSpec request;
  request.prompt = "a\"b\\c\n\t\x01 \xe2\x82\xac \xf0\x9f\x98\x80 \xc3(\xff\xed\xa0\x80\xc0\x80\xf4\x90\x80\x80";
  const std::string prompt = Body(Api::kCompletions, ServerKind::kUnknown, request)["prompt"];
  const std::string bad = "\xef\xbf\xbd";
  EXPECT_EQ(prompt, "a\"b\\c\n\t\x01 \xe2\x82\xac \xf0\x9f\x98\x80 " + bad + "(" + bad + bad + bad + bad + bad + bad + bad +
                        bad + bad + bad);
}

TEST(RequestBody, FurtherMembersComeLast) {
  std::string out;
  RequestProfile profile{Api::kTgiGenerate, ServerKind::kTgi, "", ""};
  profile.body = {{"seed", "1"}};
  WriteRequestBody(profile, {}, true, out);
  EXPECT_TRUE(out.ends_with(R"(,"seed":1})")) << out;
}

TEST(Dialect, NamesAreReadBack) {
  EXPECT_EQ(*ParseApi("ollama-chat"), Api::kOllamaChat);
  EXPECT_THAT(ParseApi("openai").error().message, testing::HasSubstr("completions, chat, responses, messages, sglang"));
  EXPECT_EQ(*ParseServerKind("VLLM"), ServerKind::kVllm);
  EXPECT_THAT(ParseServerKind("x").error().message, testing::HasSubstr("TensorRT-LLM"));
}

Json BodyOf(RequestProfile profile, const load::RequestSpec& request, bool stream = true) {
  profile.model = "m";
  std::string out;
  WriteRequestBody(profile, request, stream, out);
  const auto json = ParseJson(out);
  EXPECT_TRUE(json.ok()) << out;
  return json.ok() ? *json : Json();
}

// SGLang answers 400: "return_token_ids is not supported for streaming chat".
TEST(RequestBody, SglangsStreamedChatIsNotAskedForIds) {
  load::RequestSpec request;
  request.prompt = "hi";
  EXPECT_FALSE(Body(Api::kChat, ServerKind::kSglang, request).contains("return_token_ids"));
  EXPECT_TRUE(Body(Api::kCompletions, ServerKind::kSglang, request).contains("return_token_ids"));
  EXPECT_TRUE(Body(Api::kChat, ServerKind::kVllm, request).contains("return_token_ids"));
  request.stream = false;
  EXPECT_TRUE(Body(Api::kChat, ServerKind::kSglang, request).contains("return_token_ids"));
}

TEST(RequestBody, TheUsersFieldsAreAMergePatch) {
  load::RequestSpec request;
  request.prompt = "a \"quoted\\ , } text";
  RequestProfile profile;
  profile.api = Api::kChat;
  profile.server = ServerKind::kVllm;
  profile.body = {{"max_tokens", "null"},
                  {"model", "null"},
                  {"temperature", "0.7"},
                  {"stream_options", R"({"continuous_usage_stats":null,"x":1})"},
                  {"chat_template_kwargs", R"({"enable_thinking":false,"gone":null})"},
                  {"absent", "null"}};
  const Json body = BodyOf(profile, request);
  EXPECT_EQ(
      body.dump(),
      R"({"messages":[{"role":"user","content":"a \"quoted\\ , } text"}],"temperature":0.7,"stream":true,)"
      R"("stream_options":{"include_usage":true,"x":1},"return_token_ids":true,"chat_template_kwargs":{"enable_thinking":false}})");
  request.prompt_token_ids = {1, 2};
  profile.api = Api::kCompletions;
  EXPECT_EQ(BodyOf(profile, request)["prompt"].dump(), "[1,2]");
}

TEST(RequestBody, ReasoningModelsTakeAnotherLimitAndNoTemperature) {
  load::RequestSpec request;
  request.prompt = "hi";
  request.max_output_tokens = 9;
  RequestProfile profile;
  profile.api = Api::kChat;
  profile.max_tokens_field = "max_completion_tokens";
  profile.temperature.reset();
  EXPECT_THAT(Keys(BodyOf(profile, request)),
              testing::ElementsAre("model", "messages", "max_completion_tokens", "stream", "stream_options"));
  profile.temperature = 0.5;
  EXPECT_EQ(BodyOf(profile, request)["temperature"], 0.5);
  for (const Api api : {Api::kSglangGenerate, Api::kTgiGenerate, Api::kOllamaGenerate, Api::kLlamaServer}) {
    RequestProfile native;
    native.api = api;
    native.temperature = 0.5;
    EXPECT_NE(BodyOf(native, request).dump().find("0.5"), std::string::npos) << Name(api);
    native.temperature.reset();
    EXPECT_EQ(BodyOf(native, request).dump().find("temperature"), std::string::npos) << Name(api);
    native.max_tokens_field = "x";
    native.model = "m";
    EXPECT_FALSE(CheckProfile(native).ok());
  }
}

TEST(RequestBody, ResponsesAndMessages) {
  load::RequestSpec request;
  request.prompt = "hi";
  request.max_output_tokens = 9;
  RequestProfile profile;
  profile.api = Api::kResponses;
  EXPECT_EQ(BodyOf(profile, request).dump(),
            R"({"model":"m","input":"hi","max_output_tokens":9,"temperature":0,"stream":true})");
  request.messages = {{"system", "be brief"}, {"user", "hi"}};
  EXPECT_EQ(BodyOf(profile, request)["input"].dump(),
            R"([{"role":"system","content":"be brief"},{"role":"user","content":"hi"}])");
  profile.api = Api::kMessages;
  request.stop = {"END"};
  EXPECT_EQ(BodyOf(profile, request, false).dump(),
            R"({"model":"m","system":"be brief","messages":[{"role":"user","content":"hi"}],"max_tokens":9,"temperature":0,)"
            R"("stream":false,"stop_sequences":["END"]})");
  request.messages.clear();
  EXPECT_EQ(BodyOf(profile, request)["messages"].dump(), R"([{"role":"user","content":"hi"}])");
}

}  // namespace
}  // namespace moecap::openai
