// What tests of the interfaces share: scripted answers, and the record of a request to them.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "load/closed_loop.h"
#include "net/testing/scripted_server.h"
#include "system/openai/openai_system.h"

namespace moecap::openai {

inline constexpr int64_t kMs = 1'000'000;

inline OpenAiOptions Options(const net::ScriptedServer& server, Api api, ServerKind kind = ServerKind::kVllm) {
  OpenAiOptions options;
  options.http.urls = {net::ParseUrl(server.Url()).value()};
  options.profile = {api, kind, "m", ""};
  return options;
}

inline load::RequestSpec Request() {
  load::RequestSpec request;
  request.id = "p1";
  request.prompt = "hi";
  request.deadlines.total_ns = net::kPatienceNs;
  return request;
}

inline record::RequestRecord Measure(const OpenAiOptions& options, const load::RequestSpec& request = Request()) {
  const SteadyClock clock;
  auto system = OpenAiSystem::Create(options, clock);
  EXPECT_TRUE(system.ok()) << system.error().message;
  const auto result = load::RunClosedLoop(**system, std::span(&request, 1), {}, clock);
  EXPECT_TRUE(result.ok()) << result.error().message;
  return result.ok() ? result->requests.at(0) : record::RequestRecord();
}

inline net::ScriptedServer::Script Answer(const std::string& response, size_t piece = 0) {
  return [=](net::ScriptedConnection& connection, int) {
    while (!connection.ReadRequest().empty()) {
      if (piece == 0) {
        connection.Send(response);
      } else {
        connection.SendInPieces(response, piece, 20);
      }
    }
  };
}

// A streamed answer of these events.
inline std::string Stream(const std::vector<std::string>& events,
                          std::string_view prefix = "data: ", std::string_view end = "\n\n",
                          std::string_view type = "text/event-stream") {
  std::string body;
  for (const std::string& event : events) body += fmt::format("{}{}{}", prefix, event, end);
  return net::StreamHead(type) + net::ChunkOf(body) + net::ChunkOf("");
}

// The record of one streamed answer, the same whether it comes at once or byte by byte.
inline record::RequestRecord RunStream(Api api, const std::vector<std::string>& events, ServerKind kind = ServerKind::kVllm) {
  const bool ndjson = Format(api) == net::StreamFormat::kNdjson;
  const std::string answer = ndjson ? Stream(events, "", "\n", "application/x-ndjson") : Stream(events);
  net::ScriptedServer at_once(Answer(answer)), in_pieces(Answer(answer, 13));
  const record::RequestRecord whole = Measure(Options(at_once, api, kind));
  const record::RequestRecord split = Measure(Options(in_pieces, api, kind));
  EXPECT_EQ(whole.text, split.text);
  EXPECT_EQ(whole.output_tokens, split.output_tokens);
  EXPECT_EQ(whole.chunk_tokens, split.chunk_tokens);
  EXPECT_EQ(whole.error_kind, split.error_kind);
  EXPECT_EQ(whole.token_s.size(), static_cast<size_t>(whole.output_tokens));
  return whole;
}

inline std::string TextChoice(std::string_view text, std::string_view rest = R"("finish_reason":null)") {
  return fmt::format(R"({{"id":"cmpl-1","choices":[{{"index":0,"text":"{}",{}}}],"usage":null}})", text, rest);
}
inline constexpr const char* kFinish = R"("finish_reason":"stop")";

// How an interface words one answer of two tokens, "a" and the euro sign.
struct Wording {
  Api api;
  ServerKind server;
  const char* first;
  const char* last;
  const char* error;
};

inline constexpr Wording kWordings[] = {
    {Api::kCompletions, ServerKind::kVllm, R"({"choices":[{"index":0,"text":"a","finish_reason":null}]})",
     R"({"choices":[{"index":0,"text":"€","finish_reason":"stop"}]})", R"({"error":{"message":"out of memory","code":500}})"},
    {Api::kChat, ServerKind::kVllm, R"({"choices":[{"index":0,"delta":{"role":"assistant","content":"a"}}]})",
     R"({"choices":[{"index":0,"delta":{"content":"€"},"finish_reason":"stop"}]})",
     R"({"object":"error","message":"out of memory"})"},
    {Api::kSglangGenerate, ServerKind::kSglang, R"({"text":"a","output_ids":[1],"meta_info":{"completion_tokens":1}})",
     R"({"text":"a€","output_ids":[1,2],"meta_info":{"completion_tokens":2,"finish_reason":{"type":"stop"}}})",
     R"({"error":{"message":"out of memory"}})"},
    {Api::kTgiGenerate, ServerKind::kTgi,
     R"({"token":{"id":1,"text":"a","special":false},"generated_text":null,"details":null})",
     R"({"token":{"id":2,"text":"€","special":false},"generated_text":"a€","details":{"finish_reason":"eos_token"}})",
     R"({"error":"out of memory","error_type":"generation"})"},
    {Api::kOllamaGenerate, ServerKind::kOllama, R"({"response":"a","done":false})",
     R"({"response":"€","done":true,"done_reason":"stop"})", R"({"error":"out of memory"})"},
    {Api::kOllamaChat, ServerKind::kOllama, R"({"message":{"role":"assistant","content":"a"},"done":false})",
     R"({"message":{"content":"€"},"done":true,"done_reason":"stop"})", R"({"error":"out of memory"})"},
    {Api::kLlamaServer, ServerKind::kLlamaServer, R"({"content":"a","tokens":[1],"stop":false})",
     R"({"content":"€","tokens":[2],"stop":true,"stop_type":"eos"})", R"({"error":{"code":500,"message":"out of memory"}})"},
};

}  // namespace moecap::openai
