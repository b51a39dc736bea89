#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "record/jsonl.h"

namespace moecap::record {
namespace {

PassRecord SamplePass() {
  PassRecord pass;
  pass.cell = {"Q4_0", 16, 2};
  pass.pass = 41;
  pass.kind = PassKind::kPrefill;
  pass.start_s = 0.1234567890123;
  pass.latency_s = 1.0 / 3.0;
  pass.sequences = {{4095, 1, 32}, {0, 77, 1}};
  pass.distinct_experts = {2, 3.25};
  pass.expert_counts = {{1, 0, 2}, {0, 3, 0}};
  pass.accepted_drafts.assign(pass.sequences.size(), 0);
  pass.expert_reads = {.hits = 3, .foreseen = 1, .misses = 2, .disk_bytes = 294912, .stall_s = 0.0007};
  return pass;
}

TEST(PassRecord, CountsTokensAndSequences) {
  EXPECT_EQ(SamplePass().NewTokens(), 32 + 77);
  EXPECT_EQ(SamplePass().SequenceCount(), 33);
}

TEST(PassJson, SurvivesARoundTripExactly) {
  const std::string line = ToJsonLine(SamplePass());
  const auto parsed = ParsePassLine(line);
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_EQ(parsed->cell, SamplePass().cell);
  EXPECT_EQ(parsed->kind, PassKind::kPrefill);
  EXPECT_EQ(parsed->start_s, SamplePass().start_s);
  EXPECT_EQ(parsed->latency_s, SamplePass().latency_s);
  EXPECT_EQ(parsed->sequences, SamplePass().sequences);
  EXPECT_EQ(parsed->distinct_experts, SamplePass().distinct_experts);
  EXPECT_EQ(parsed->expert_counts, SamplePass().expert_counts);
  EXPECT_EQ(parsed->expert_reads, SamplePass().expert_reads);
  EXPECT_EQ(parsed->accepted_drafts, SamplePass().accepted_drafts);
  EXPECT_EQ(ToJsonLine(*parsed), line);
}

TEST(PassJson, ReadsTheDocumentedMinimum) {
  const auto pass = ParsePassLine(
      R"({"schema":1,"kind":"decode","start_s":0,"latency_s":0.025,"sequences":[{"context_tokens":4095,"new_tokens":1,"count":32}],"distinct_experts":92})");
  ASSERT_TRUE(pass.ok()) << pass.error().message;
  EXPECT_THAT(pass->distinct_experts, testing::ElementsAre(92));
  EXPECT_EQ(pass->SequenceCount(), 32);
  EXPECT_EQ(ParsePassLine(R"({"kind":"decode","latency_s":1,"sequences":[],"distinct_experts":null})")->distinct_experts.size(),
            0u);
}

TEST(PassJson, FiguresThatAreNoCountSurvive) {
  const auto pass = ParsePassLine(R"({"kind":"decode","latency_s":1,"sequences":[],"distinct_experts":[1e300,-1e300,0.5]})");
  ASSERT_TRUE(pass.ok());
  EXPECT_EQ(ParsePassLine(ToJsonLine(*pass))->distinct_experts, (std::vector<double>{1e300, -1e300, 0.5}));
}

TEST(PassJson, ErrorsNameTheKey) {
  const auto message = [](const char* line) { return ParsePassLine(line).error().message; };
  EXPECT_THAT(message(R"({"kind":"decode","sequences":[]})"), testing::HasSubstr("latency_s"));
  EXPECT_THAT(message(R"({"kind":"warm","latency_s":1,"sequences":[]})"), testing::HasSubstr("prefill, decode, mixed"));
  EXPECT_THAT(message(R"({"kind":"decode","latency_s":1,"sequences":[{"context_tokens":-1,"new_tokens":1}]})"),
              testing::HasSubstr("context_tokens >= 0"));
  EXPECT_THAT(
      message(
          R"({"kind":"decode","latency_s":1,"sequences":[{"context_tokens":1,"new_tokens":4294967296,"count":4294967296}]})"),
      testing::HasSubstr("more tokens than can be"));
  EXPECT_THAT(message(R"({"kind":"decode","latency_s":1,"sequences":[],"expert_counts":[[1,1e300]]})"),
              testing::HasSubstr("\"expert_counts\" must be a whole number"));
  EXPECT_THAT(message(R"({"kind":"decode","latency_s":1,"sequences":[],"rank":4294967296})"), testing::HasSubstr("\"rank\""));
  EXPECT_THAT(message(R"({"schema":2,"kind":"decode","latency_s":1,"sequences":[]})"), testing::HasSubstr("newer"));
  EXPECT_THAT(message("[1]"), testing::Not(testing::IsEmpty()));
}

TEST(RequestJson, SurvivesARoundTripExactly) {
  RequestRecord request;
  request.cell = {"F16", 4, 0};
  request.id = "tinymath-17";
  request.client = 3;
  request.intended_send_s = 0.5;
  request.send_s = 0.50001;
  request.token_s = {0.6, 0.7, 1.0 / 7.0};
  request.input_tokens = 60;
  request.output_tokens = 3;
  request.finish = FinishReason::kLength;
  request.token_ids = {5, 6, 7};
  request.text = "3+4=7\n#### 7 \"é\"";
  request.extracted = "7";
  request.score = 1.0;
  const std::string line = ToJsonLine(request);
  const auto parsed = ParseRequestLine(line);
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_EQ(ToJsonLine(*parsed), line);
  EXPECT_EQ(parsed->text, request.text);
  EXPECT_EQ(parsed->token_s, request.token_s);
  EXPECT_EQ(*parsed->score, 1.0);
}

TEST(RequestJson, WhatAServerReportsSurvives) {
  RequestRecord request;
  request.id = "a";
  request.connect_s = 0.0015;
  request.sent_s = 0.51;
  request.headers_s = 0.6;
  request.first_byte_s = 0.61;
  request.end_s = 0.9;
  request.token_s = {0.7, 0.7, 0.8};
  request.chunk_tokens = {2, 1};
  request.first_answer_s = 0.8;
  request.output_tokens = 3;
  request.reasoning_tokens = 2;
  request.cached_input_tokens = 0;
  request.tokens_source = TokensSource::kContinuousUsage;
  request.server_prefill_s = 0.1;
  request.server_decode_s = 0.2;
  request.finish = FinishReason::kError;
  request.error = "reset";
  request.error_kind = RequestError::kResetMidstream;
  request.http_status = 200;
  request.retries = 1;
  const std::string line = ToJsonLine(request);
  const auto parsed = ParseRequestLine(line);
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_EQ(ToJsonLine(*parsed), line);
  EXPECT_EQ(parsed->chunk_tokens, request.chunk_tokens);
  EXPECT_EQ(parsed->connect_s, request.connect_s);
  EXPECT_EQ(parsed->first_byte_s, request.first_byte_s);
  EXPECT_EQ(parsed->first_answer_s, request.first_answer_s);
  EXPECT_EQ(parsed->cached_input_tokens, 0);
  EXPECT_EQ(parsed->tokens_source, TokensSource::kContinuousUsage);
  EXPECT_EQ(parsed->error_kind, RequestError::kResetMidstream);
  EXPECT_EQ(parsed->retries, 1);
}

TEST(RequestJson, ReadsFilesOfTheFirstRelease) {
  const auto parsed = ParseRequestLine(
      R"({"schema":1,"id":"a","client":0,"intended_send_s":0,"send_s":0,"token_s":[0.5],"input_tokens":3,"output_tokens":1,"tokens_source":"measured","finish":"stop","token_ids":[7],"text":"x","extracted":null,"score":null})");
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_EQ(parsed->tokens_source, TokensSource::kTokenIds);
  EXPECT_FALSE(parsed->connect_s.has_value());
  EXPECT_EQ(parsed->error_kind, RequestError::kNone);
  const auto unknown = ParseRequestLine(
      R"({"id":"a","send_s":0,"token_s":[],"input_tokens":3,"output_tokens":1,"finish":"stop","error_kind":"gremlins"})");
  EXPECT_THAT(unknown.error().message, testing::HasSubstr("connect_refused"));
}

TEST(RequestJson, AnUnscoredRequestStaysNull) {
  RequestRecord request;
  request.id = "a";
  const auto parsed = ParseRequestLine(ToJsonLine(request));
  ASSERT_TRUE(parsed.ok());
  EXPECT_FALSE(parsed->score.has_value());
  EXPECT_FALSE(parsed->extracted.has_value());
}

}  // namespace
}  // namespace moecap::record
