#include "load/event_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <limits>

#include "base/check.h"
#include "base/fs.h"
#include "load/open_loop.h"
#include "load/recorder.h"
#include "load/scripted_system.h"
#include "record/jsonl.h"

namespace moecap::load {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

fs::path TestFile() {
  return fs::path(testing::TempDir()) /
         (std::string(testing::UnitTest::GetInstance()->current_test_info()->name()) + "-" + std::to_string(::getpid()));
}

// What a log cannot hold.
record::RequestRecord WithoutTexts(record::RequestRecord request) {
  request.token_ids.clear();
  request.text.clear();
  return request;
}

void ExpectSame(const LoadResult& logged, const LoadResult& recorded) {
  ASSERT_EQ(logged.requests.size(), recorded.requests.size());
  for (size_t i = 0; i < recorded.requests.size(); ++i)
    EXPECT_EQ(record::ToJsonLine(logged.requests[i]), record::ToJsonLine(WithoutTexts(recorded.requests[i])));
}

// A run with completions, a cancellation and a drain that ends.
LoadResult RunWithLog(const fs::path& path, FakeClock& clock, bool logged_only = false) {
  ScriptedSystem system(clock);
  const std::vector<RequestSpec> specs = Requests({5, 90, 2, 1000});
  const std::vector<PlannedRequest> plan = {
      {&specs[0], 0, {}}, {&specs[1], 0.1, 0.25}, {&specs[2], 0.7, {}}, {&specs[3], 0.9, {}}};
  auto writer = EventLogWriter::Create(path, {{"S", 4, 1}, clock.NowNs(), "2026-01-31T12:00:00Z"}, clock);
  CHECK(writer.ok());
  OpenLoopOptions options;
  options.cell = {"S", 4, 1};
  options.drain_s = 1;
  options.events = &*writer;
  options.logged_only = logged_only;
  auto result = RunOpenLoop(system, plan, options, clock);
  CHECK(result.ok() && writer->Close().ok());
  return *std::move(result);
}

TEST(EventLog, GivesTheRecordsOfTheRunAgain) {
  FakeClock clock;
  clock.AdvanceNs(123'456'789);
  const LoadResult recorded = RunWithLog(TestFile(), clock);
  const auto log = ReadEventLog(TestFile());
  ASSERT_TRUE(log.ok()) << log.error().message;
  EXPECT_EQ(log->damaged_bytes, 0u);
  EXPECT_EQ(log->header.started_at, "2026-01-31T12:00:00Z");
  ExpectSame(log->result, recorded);
}

TEST(EventLog, HoldsAloneWhatIsLeftToIt) {
  FakeClock clock, same_clock;
  const LoadResult recorded = RunWithLog(TestFile(), clock);
  const std::string kept = ReadFile(TestFile()).value();
  const LoadResult left = RunWithLog(TestFile(), same_clock, true);
  EXPECT_EQ(ReadFile(TestFile()).value(), kept);
  EXPECT_THAT(left.requests, testing::IsEmpty()) << "all of them had ended";
  EXPECT_EQ(left.ended_by, recorded.ended_by);
  EXPECT_EQ(left.passes.size(), recorded.passes.size());
  const auto log = ReadEventLog(TestFile());
  ASSERT_TRUE(log.ok()) << log.error().message;
  ExpectSame(log->result, recorded);
}

TEST(EventLog, ShowsEachRequestWhenItHasEnded) {
  FakeClock clock;
  RunWithLog(TestFile(), clock);
  LoadResult shown;
  ASSERT_TRUE(VisitRequests(TestFile(), [&](const record::RequestRecord& request) { shown.requests.push_back(request); }).ok());
  EXPECT_THAT(shown.requests, testing::SizeIs(4));
  std::ranges::sort(shown.requests, {}, &record::RequestRecord::send_s);
  ExpectSame(shown, ReadEventLog(TestFile())->result);

  // Of one that was killed what is left comes last.
  const std::string text = ReadFile(TestFile()).value();
  ASSERT_TRUE(WriteFileAtomically(TestFile(), text.substr(0, text.size() - 1)).ok());
  shown.requests.clear();
  ASSERT_TRUE(VisitRequests(TestFile(), [&](const record::RequestRecord& request) { shown.requests.push_back(request); }).ok());
  std::ranges::sort(shown.requests, {}, &record::RequestRecord::send_s);
  ExpectSame(shown, ReadEventLog(TestFile())->result);
  EXPECT_THAT(VisitRequests(TestFile() / "none", {}).error().message, HasSubstr("cannot read"));
}

// A long load leaves as many events as tokens, however many; tokens without one are what a broken file claims.
TEST(EventLog, RefusesTokensThatNoEventCanHaveBrought) {
  SteadyClock clock;
  auto writer = EventLogWriter::Create(TestFile(), {}, clock);
  Completion claimed;
  claimed.tokens_source = record::TokensSource::kFinalUsage;
  claimed.output_tokens = 60'000'000;
  for (uint64_t ticket = 0; ticket < 2; ++ticket) {
    writer->OnSend(ticket, "a", 0, 0, 0);
    writer->OnFinish(ticket, claimed);
  }
  ASSERT_TRUE(writer->Close().ok());
  EXPECT_THAT(ReadEventLog(TestFile()).error().message, HasSubstr("more than 100000000 tokens without an event of their own"));
}

// The limit counts what has no event of its own, in chunks and in totals: the eleven tokens of one request that each have
// theirs are read where no more than ten others are.
TEST(EventLog, CountsTokensWithAnEventOfTheirOwnForNothing) {
  constexpr int64_t kMostUnseen = 10;
  const auto read = [](const std::vector<int64_t>& chunks, int64_t total) {
    SteadyClock clock;
    auto writer = EventLogWriter::Create(TestFile(), {}, clock);
    writer->OnSend(0, "a", 0, 0, 0);
    for (const int64_t tokens : chunks) writer->OnChunk(0, {.arrival_ns = 1, .tokens = static_cast<int32_t>(tokens)});
    Completion completion;
    completion.tokens_source = record::TokensSource::kFinalUsage;
    completion.output_tokens = total;
    writer->OnFinish(0, completion);
    CHECK(writer->Close().ok());
    const auto log = ParseEventLog(ReadFile(TestFile()).value(), kMostUnseen);
    return log.ok() ? log->result.requests[0].output_tokens : -1;
  };
  EXPECT_EQ(read(std::vector<int64_t>(1000, 1), 1000), 1000);
  EXPECT_EQ(read(std::vector<int64_t>(1000, 1), 1010), 1010) << "ten in the total";
  EXPECT_EQ(read(std::vector<int64_t>(1000, 1), 1011), -1);
  EXPECT_EQ(read({11}, 11), 11) << "ten in the chunk";
  EXPECT_EQ(read({12}, 12), -1);
  EXPECT_EQ(read({6, 6}, 12), 12) << "five in each chunk";
  EXPECT_EQ(read({6, 6}, 13), -1);
}

TEST(EventLog, ReadsAFileAsItReadsItsText) {
  FakeClock clock;
  RunWithLog(TestFile(), clock);
  const std::string text = ReadFile(TestFile()).value();
  for (const size_t size : {size_t{0}, size_t{11}, size_t{12}, size_t{20}, size_t{40}, text.size() - 1, text.size()}) {
    ASSERT_TRUE(WriteFileAtomically(TestFile(), text.substr(0, size)).ok());
    const auto parsed = ParseEventLog(std::string_view(text).substr(0, size));
    const auto read = ReadEventLog(TestFile());
    ASSERT_EQ(read.ok(), parsed.ok()) << size;
    if (!read.ok()) {
      EXPECT_THAT(read.error().message, HasSubstr(parsed.error().message));
      continue;
    }
    EXPECT_EQ(read->damaged_bytes, parsed->damaged_bytes) << size;
    ExpectSame(read->result, parsed->result);
  }
  EXPECT_THAT(ReadEventLog(TestFile() / "none").error().message, HasSubstr("cannot read"));
  EXPECT_THAT(ReadEventLog(testing::TempDir()).error().message, HasSubstr("cannot read"));
}

TEST(EventLog, KeepsEverythingThatARequestCanReport) {
  SteadyClock clock;
  const EventLogHeader header{{"S", 1, 0}, 1000, ""};
  auto writer = EventLogWriter::Create(TestFile(), header, clock);
  Recorder recorder(header.cell, header.origin_ns, &*writer);
  recorder.OnSend("a", 3, 3, 2000, 5000);
  recorder.OnChunk(0, {.arrival_ns = 9000, .tokens = 2, .reasoning = true});
  recorder.OnChunk(0, {.arrival_ns = 11000, .tokens = 1, .kernel_delay_ns = 700});
  Completion whole;
  whole.finish = record::FinishReason::kLength;
  whole.input_tokens = 77;
  whole.http_status = 200;
  whole.tokens_source = record::TokensSource::kFinalUsage;
  whole.output_tokens = 9;
  whole.reasoning_tokens = 4;
  whole.cached_input_tokens = 64;
  whole.timings = {5500, 6000, 6500, 8000, 8500, 12000};
  whole.retries = 1;
  whole.server_prefill_s = 0.5;
  whole.server_decode_s = 0.25;
  whole.timing_gap = record::TimingGap::kStreamIgnored;
  whole.first_event_ns = 8700;
  whole.request_id = "run-1-a";
  whole.response_id = "cmpl-7";
  whole.quirks = {"finish reason \"STOP\"", "no [DONE]"};
  recorder.OnFinish(0, whole);
  recorder.OnSend("b", 1, 0, 3000, 6000);
  Completion broken;
  broken.finish = record::FinishReason::kError;
  broken.error_kind = record::RequestError::kResetMidstream;
  broken.error = "the server closed the connection";
  recorder.OnFinish(1, broken);
  recorder.OnNotIssued("c", 2, 9000);
  ASSERT_TRUE(writer->Close().ok());
  const auto log = ReadEventLog(TestFile());
  ASSERT_TRUE(log.ok()) << log.error().message;
  ExpectSame(log->result, std::move(recorder).Finish());
  EXPECT_EQ(log->result.requests[0].output_tokens, 9);
  EXPECT_EQ(log->result.requests[0].timing_gap, record::TimingGap::kStreamIgnored);
  EXPECT_DOUBLE_EQ(*log->result.requests[0].first_event_s, 7.7e-6);
  EXPECT_EQ(log->result.requests[0].request_id, "run-1-a");
  EXPECT_EQ(log->result.requests[0].response_id, "cmpl-7");
  EXPECT_THAT(log->result.requests[0].quirks, testing::ElementsAre("finish reason \"STOP\"", "no [DONE]"));
  EXPECT_EQ(log->result.requests[1].error_kind, record::RequestError::kResetMidstream);
  EXPECT_EQ(log->result.requests[1].error, "the server closed the connection");
  EXPECT_EQ(log->result.requests[2].error_kind, record::RequestError::kNotIssued);
  EXPECT_THAT(log->result.receive_delay_s, testing::ElementsAre(7e-7F));
}

TEST(Recorder, TokensAreStampedWhenTheKernelHadThem) {
  Recorder recorder({"S", 1, 0}, 1'000'000'000);
  recorder.OnSend("a", 3, 0, 1'000'000'000, 1'001'000'000);
  recorder.OnChunk(0, {.arrival_ns = 1'010'000'000, .kernel_delay_ns = 4'000'000});
  recorder.OnChunk(0, {.arrival_ns = 1'020'000'000});
  // Somebody set the wall clock, by which the kernel stamps: time does not go back.
  recorder.OnChunk(0, {.arrival_ns = 1'030'000'000, .kernel_delay_ns = 60'000'000'000});
  recorder.OnFinish(0, {});
  const LoadResult result = std::move(recorder).Finish();
  EXPECT_THAT(result.requests[0].token_s,
              testing::ElementsAre(testing::DoubleEq(0.006), testing::DoubleEq(0.02), testing::DoubleEq(0.02)));
}

TEST(RecorderDeathTest, NothingIsToldOfARequestThatWasForgotten) {
  FakeClock clock;
  auto writer = EventLogWriter::Create(TestFile(), {}, clock);
  Recorder recorder({}, 0, &*writer, /*logged_only=*/true);
  const uint64_t ticket = recorder.OnSend("a", 4, 0, 0, 0);
  recorder.OnFinish(ticket, {});
  recorder.Forget(ticket);
  EXPECT_DEATH(recorder.OnChunk(ticket, {.arrival_ns = 1}), "requests_\\[ticket\\] != nullptr");
  EXPECT_DEATH(recorder.OnFinish(ticket, {}), "requests_\\[ticket\\] != nullptr");
  EXPECT_DEATH(recorder.OnGivenUp(ticket, record::RequestError::kTotalTimeout), "requests_\\[ticket\\] != nullptr");
}

TEST(EventLog, SplitsWhatOneEventCannotHold) {
  SteadyClock clock;
  auto writer = EventLogWriter::Create(TestFile(), {}, clock);
  writer->OnSend(0, "a", 0, 0, 0);
  writer->OnChunk(0, {.arrival_ns = 1, .tokens = 150'000});
  ASSERT_TRUE(writer->Close().ok());
  EXPECT_EQ(ReadEventLog(TestFile())->result.requests[0].output_tokens, 150'000);
}

// Cut anywhere, a log is the beginning of the run; never garbage, never an error once its header is whole.
TEST(EventLog, RefusesTimesThatNoClockShows) {
  const FakeClock clock;
  constexpr int64_t kFar = std::numeric_limits<int64_t>::min() + 7;
  const auto error = [&](const EventLogHeader& header, int64_t send_ns, int64_t chunk_ns, int64_t connect_ns) {
    auto writer = EventLogWriter::Create(TestFile(), header, clock);
    writer->OnSend(0, "p", 0, send_ns, send_ns);
    writer->OnChunk(0, {.arrival_ns = chunk_ns});
    Completion completion;
    completion.timings.connect_start_ns = connect_ns;
    completion.timings.connected_ns = 1;
    writer->OnFinish(0, completion);
    CHECK(writer->Close().ok());
    const auto log = ReadEventLog(TestFile());
    return log.ok() ? "" : log.error().message;
  };
  EXPECT_EQ(error({}, 1, 2, 1), "");
  EXPECT_THAT(error({{}, kFar, ""}, 1, 2, 1), HasSubstr("time makes no sense"));
  EXPECT_THAT(error({}, kFar, 2, 1), HasSubstr("time makes no sense"));
  EXPECT_THAT(error({}, 1, kFar, 1), HasSubstr("time makes no sense"));
  EXPECT_THAT(error({}, 1, 2, kFar), HasSubstr("time makes no sense"));
}

TEST(EventLog, CutAnywhereItIsAPrefix) {
  FakeClock clock;
  const LoadResult recorded = RunWithLog(TestFile(), clock);
  const std::string whole = *ReadFile(TestFile());
  size_t readable = 0;
  for (size_t size = 0; size < whole.size(); ++size) {
    const auto log = ParseEventLog(std::string_view(whole).substr(0, size));
    if (!log.ok()) continue;
    ++readable;
    ASSERT_LE(log->result.requests.size(), recorded.requests.size());
    for (size_t i = 0; i < log->result.requests.size(); ++i) {
      const auto& part = log->result.requests[i].token_s;
      const auto& full = recorded.requests[i].token_s;
      ASSERT_LE(part.size(), full.size());
      EXPECT_TRUE(std::equal(part.begin(), part.end(), full.begin()));
    }
  }
  EXPECT_GT(readable, whole.size() / 2);
}

TEST(EventLog, NoticesEveryDamagedByte) {
  FakeClock clock;
  RunWithLog(TestFile(), clock);
  const std::string whole = *ReadFile(TestFile());
  for (size_t i = 0; i < whole.size(); i += 7) {
    std::string damaged = whole;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x40);
    const auto log = ParseEventLog(damaged);
    EXPECT_TRUE(!log.ok() || log->damaged_bytes > 0) << "byte " << i;
  }
}

// A killed process leaves everything that is older than the flush interval.
TEST(EventLog, SurvivesAKill) {
  const fs::path path = TestFile();
  const pid_t child = ::fork();
  if (child == 0) {
    FakeClock clock;
    auto writer = EventLogWriter::Create(path, {}, clock);
    writer->OnSend(0, "a", 0, 0, 0);
    for (int i = 1; i <= 1000; ++i) {
      clock.AdvanceNs(EventLogWriter::kFlushNs / 100);
      writer->OnChunk(0, {.arrival_ns = clock.NowNs()});
      if (!writer->Flush(clock.NowNs()).ok()) ::_exit(1);
    }
    ::raise(SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  const auto log = ReadEventLog(path);
  ASSERT_TRUE(log.ok()) << log.error().message;
  EXPECT_GE(log->result.requests[0].output_tokens, 900);
  EXPECT_EQ(log->damaged_bytes, 0u);
}

TEST(EventLog, NamesWhatIsWrong) {
  EXPECT_THAT(ParseEventLog("hello, this is no log").error().message, HasSubstr("no event log"));
  EXPECT_THAT(ParseEventLog({"MOECAPEV\x03\0\0\0", 12}).error().message, HasSubstr("version 3"));
  EXPECT_THAT(ParseEventLog({"MOECAPEV\x01\0\0\0", 12}).error().message, HasSubstr("header"));
  EXPECT_THAT(ReadEventLog("/nonexistent/events.bin").error().message, HasSubstr("/nonexistent"));
  SteadyClock clock;
  EXPECT_THAT(EventLogWriter::Create("/nonexistent/events.bin", {}, clock).error().message, HasSubstr("/nonexistent"));
}

}  // namespace
}  // namespace moecap::load
