// The HTTP client against the simulated server, in one process: every fault at every interface of every server kind, streamed
// and not; and the control pages. Every request ends with the right outcome, and the server goes on.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "load/closed_loop.h"
#include "mock/server.h"
#include "mock/test_model.h"
#include "system/openai/control.h"
#include "system/openai/openai_system.h"

namespace moecap {
namespace {

using mock::Dialect;
using openai::Api;
using openai::ServerKind;
using record::RequestError;
using testing::HasSubstr;

constexpr int64_t kMs = 1'000'000;
constexpr int64_t kPatienceNs = 300'000 * kMs;  // for what must come: it only ends a test that would hang
constexpr int64_t kOutputTokens = 6;

struct Interface {
  Dialect dialect;
  ServerKind kind;
  Api api;
};

constexpr Interface kInterfaces[] = {
    {Dialect::kVllm, ServerKind::kVllm, Api::kCompletions},
    {Dialect::kVllm, ServerKind::kVllm, Api::kChat},
    {Dialect::kSglang, ServerKind::kSglang, Api::kCompletions},
    {Dialect::kSglang, ServerKind::kSglang, Api::kChat},
    {Dialect::kSglang, ServerKind::kSglang, Api::kSglangGenerate},
    {Dialect::kTrtllm, ServerKind::kTensorRtLlm, Api::kCompletions},
    {Dialect::kTrtllm, ServerKind::kTensorRtLlm, Api::kChat},
    {Dialect::kLlamaServer, ServerKind::kLlamaServer, Api::kCompletions},
    {Dialect::kLlamaServer, ServerKind::kLlamaServer, Api::kChat},
    {Dialect::kLlamaServer, ServerKind::kLlamaServer, Api::kLlamaServer},
    {Dialect::kTgi, ServerKind::kTgi, Api::kCompletions},
    {Dialect::kTgi, ServerKind::kTgi, Api::kChat},
    {Dialect::kTgi, ServerKind::kTgi, Api::kTgiGenerate},
    {Dialect::kOllama, ServerKind::kOllama, Api::kCompletions},
    {Dialect::kOllama, ServerKind::kOllama, Api::kChat},
    {Dialect::kOllama, ServerKind::kOllama, Api::kOllamaGenerate},
    {Dialect::kOllama, ServerKind::kOllama, Api::kOllamaChat},
};

struct Expectation {
  const char* fault;
  std::vector<RequestError> streamed;  // any of these
  std::vector<RequestError> whole;     // of an answer that is not streamed
};

// What is harmless must leave no trace.
const std::vector<RequestError> kWell = {RequestError::kNone};
const std::vector<RequestError> kGone = {RequestError::kResetBeforeHeaders, RequestError::kResetMidstream,
                                         RequestError::kSendFailed};

const Expectation kExpectations[] = {
    {"", kWell, kWell},
    {"refuse", kGone, kGone},
    {"status=400", {RequestError::kHttp4xx}, {RequestError::kHttp4xx}},
    {"status=401", {RequestError::kHttp4xx}, {RequestError::kHttp4xx}},
    {"status=429", {RequestError::kHttp429}, {RequestError::kHttp429}},
    {"status=500", {RequestError::kHttp5xx}, {RequestError::kHttp5xx}},
    {"status=503", {RequestError::kHttp5xx}, {RequestError::kHttp5xx}},
    {"stall-headers=3600", {RequestError::kHeaderTimeout}, {RequestError::kHeaderTimeout}},
    {"stall=0", {RequestError::kFirstTokenTimeout}, kWell},
    {"stall=2", {RequestError::kIdleTimeout}, kWell},
    {"reset=0", kGone, kGone},
    {"reset=2", kGone, kGone},
    {"truncate=0", kGone, kGone},
    {"truncate=2", kGone, kGone},
    {"error-object=0", {RequestError::kStreamErrorObject}, {RequestError::kHttp5xx}},
    {"error-object=2", {RequestError::kStreamErrorObject}, {RequestError::kHttp5xx}},
    {"abort=0", {RequestError::kAbortFinish}, kWell},
    {"abort=2", {RequestError::kAbortFinish}, kWell},
    {"bad-chunk=2", {RequestError::kBadResponse}, {RequestError::kBadResponse}},
    {"bad-json=2", {RequestError::kParseError}, {RequestError::kParseError}},
    {"drip=0", kWell, kWell},
    {"split-utf8=0", kWell, kWell},
    {"no-done", kWell, kWell},
    // Whole where a final count and [DONE] say so.
    {"no-finish", {RequestError::kNone, RequestError::kTruncated}, kWell},
    {"double-role", kWell, kWell},
    {"early-role", kWell, kWell},
    {"empty-deltas", kWell, kWell},
    {"no-tokens", {RequestError::kZeroTokens}, kWell},
    {"usage-delay=0.001", kWell, kWell},
    {"comments", kWell, kWell},
    {"crlf", kWell, kWell},
    {"long-line=3000000", {RequestError::kParseError}, kWell},
    {"header-flood=100", kGone, kGone},
    {"header-flood=100000", {RequestError::kBadResponse}, {RequestError::kBadResponse}},
    {"close-after", kWell, kWell},
};

class FaultMatrix : public testing::TestWithParam<Interface> {
 protected:
  void SetUp() override {
    mock::ServerOptions options;
    options.dialect = GetParam().dialect;
    options.model = mock::SmallMoe();
    options.model_name = "m";
    options.simulated.emplace();
    options.simulated->roofline = {1e7, 1e15, 1e9, 2, 0.5, 0.9, 0};
    auto server = mock::Server::Start(options);
    ASSERT_TRUE(server.ok()) << server.error().message;
    server_ = std::move(server).value();
  }

  openai::OpenAiOptions Options(const char* fault = "") const {
    openai::OpenAiOptions options;
    options.http.urls = {net::ParseUrl(server_->url()).value()};
    if (*fault != '\0') options.http.headers = {{"x-mock-fault", fault}};
    options.profile = {GetParam().api, GetParam().kind, "m", ""};
    options.max_event_bytes = 1 << 20;
    return options;
  }

  const std::vector<RequestError>& Expected(const Expectation& expectation, bool stream) const {
    static const std::vector<RequestError> truncated = {RequestError::kTruncated};
    const std::string_view fault = expectation.fault;
    // TGI can say nothing without a token.
    if (stream && GetParam().api == Api::kTgiGenerate && (fault == "abort=0" || fault == "no-tokens")) return truncated;
    return stream ? expectation.streamed : expectation.whole;
  }

  // Short only for what never comes.
  static load::Deadlines DeadlinesFor(std::string_view fault) {
    load::Deadlines deadlines{.total_ns = kPatienceNs};
    if (fault.starts_with("stall-headers")) deadlines.headers_ns = 100 * kMs;
    if (fault == "stall=0") deadlines.first_token_ns = 100 * kMs;
    if (fault == "stall=2") deadlines.idle_ns = 100 * kMs;
    return deadlines;
  }

  // One request after the other over the same client.
  std::vector<record::RequestRecord> Run(const openai::OpenAiOptions& options, bool stream, size_t count = 1,
                                         const load::Deadlines& deadlines = DeadlinesFor("")) const {
    auto system = openai::OpenAiSystem::Create(options, clock_);
    EXPECT_TRUE(system.ok()) << system.error().message;
    load::RequestSpec request;
    request.prompt =
        "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen";
    request.max_output_tokens = kOutputTokens;
    request.stream = stream;
    request.deadlines = deadlines;
    const std::vector<load::RequestSpec> requests(count, request);
    const auto result = load::RunClosedLoop(**system, requests, {}, clock_);
    EXPECT_TRUE(result.ok()) << result.error().message;
    return result.ok() ? result->requests : std::vector<record::RequestRecord>(count);
  }

  SteadyClock clock_;
  std::unique_ptr<mock::Server> server_;
};

TEST_P(FaultMatrix, EveryFaultEndsAsItShould) {
  for (const bool stream : {true, false}) {
    const record::RequestRecord plain = Run(Options(), stream).at(0);
    ASSERT_EQ(plain.error, "");
    EXPECT_EQ(plain.output_tokens, kOutputTokens);
    for (const Expectation& expectation : kExpectations) {
      const std::string where = fmt::format("{}{}", expectation.fault, stream ? ", streamed" : "");
      // What is not stalled when it is not streamed keeps the long limits.
      const load::Deadlines deadlines = DeadlinesFor(stream || expectation.whole != kWell ? expectation.fault : "");
      // The second request may find the first one's connection closed.
      for (const record::RequestRecord& record : Run(Options(expectation.fault), stream, 2, deadlines)) {
        EXPECT_THAT(Expected(expectation, stream), testing::Contains(record.error_kind)) << where << ": " << record.error;
        EXPECT_EQ(record.ok(), record.error_kind == RequestError::kNone) << where;
        if (record.ok()) {
          EXPECT_EQ(record.output_tokens, plain.output_tokens) << where;
          EXPECT_EQ(record.text, plain.text) << where;
          EXPECT_EQ(record.input_tokens, plain.input_tokens) << where;
          EXPECT_EQ(record.tokens_source, plain.tokens_source) << where;
        } else {
          EXPECT_THAT(record.error, HasSubstr(server_->url())) << where;
        }
      }
    }
  }
  EXPECT_EQ(Run(Options(), true).at(0).error, "");
}

// A flushed cache is empty; where it cannot be flushed, that is said.
TEST_P(FaultMatrix, ControlPages) {
  const openai::OpenAiOptions options = Options();
  const auto control = openai::ServerControl::Create(options, kPatienceNs, clock_).value();
  const Status flushed = control->FlushPrefixCache();
  EXPECT_EQ(flushed.ok(), openai::CanFlushPrefixCache(GetParam().kind));
  const auto cached = [&] { return Run(options, true).at(0).cached_input_tokens; };
  const auto first = cached(), second = cached();
  if (first) {
    EXPECT_EQ(*first, 0);
    EXPECT_EQ(*second, 16) << "one block of the prompt";
  }
  if (flushed.ok()) {
    ASSERT_TRUE(first.has_value());
    EXPECT_TRUE(control->FlushPrefixCache().ok());
    EXPECT_EQ(*cached(), 0);
  }
  const auto tokens = control->Tokenize(" w7 w8, x");
  EXPECT_EQ(tokens.ok(), openai::CanTokenize(GetParam().kind));
  if (tokens.ok()) {
    EXPECT_EQ(tokens->count, 4);
  }
}

INSTANTIATE_TEST_SUITE_P(Interfaces, FaultMatrix, testing::ValuesIn(kInterfaces), [](const auto& interface) {
  std::string name = fmt::format("{}_{}", mock::Name(interface.param.dialect), openai::Name(interface.param.api));
  std::erase(name, '-');
  return name;
});

}  // namespace
}  // namespace moecap
