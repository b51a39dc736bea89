#include "experiment/gates.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "load/quirks.h"

namespace moecap::experiment {
namespace {

using metrics::Gate;
using testing::HasSubstr;

record::RequestRecord Ended(const std::string& id, double intended_s, double send_s) {
  record::RequestRecord request;
  request.id = id;
  request.intended_send_s = intended_s;
  request.send_s = send_s;
  request.token_s = {send_s + 0.1, send_s + 0.2};
  request.output_tokens = 2;
  request.input_tokens = 10;
  return request;
}

PlanEntry Planned(const std::string& id) {
  PlanEntry entry;
  entry.id = id;
  entry.input_tokens = 10;
  entry.output_tokens = 2;
  entry.exact_output = true;
  entry.shared_tokens = 0;
  return entry;
}

class GatesTest : public testing::Test {
 protected:
  void SetUp() override {
    for (int i = 0; i < 10; ++i) {
      records.requests.push_back(Ended("p" + std::to_string(i), i, i));
      plan.push_back(Planned("p" + std::to_string(i)));
    }
    records.cpu_s = 1;
    records.loop_s = 10;
  }

  Gate Find(const std::string& name) {
    for (const Gate& gate : All()) {
      if (gate.name == name) return gate;
    }
    ADD_FAILURE() << "no gate " << name;
    return {};
  }
  std::vector<Gate> All() {
    measurement.level.kind = kind;
    system.description.in_process = false;
    system.description.on_this_machine = on_this_machine;
    system.head_room = head_room;
    const metrics::LoadFigures load = metrics::DescribeLoad(records.requests, {});
    const Facts facts{records, plan};
    return JudgeMeasurement({measurement, system, facts, load});
  }
  Gate::State StateOf(const std::string& name) { return Find(name).state; }

  record::LoadKind kind = record::LoadKind::kRate;
  Measurement measurement;
  PricedSystem system;
  load::LoadResult records;
  std::vector<PlanEntry> plan;
  std::optional<HeadRoom> head_room;
  bool on_this_machine = false;
};

TEST_F(GatesTest, ACleanRunTripsNone) {
  records.receive_delay_s = {1e-5F};
  head_room = {1000, 1};  // 20 tokens in 9.2 s
  for (record::RequestRecord& request : records.requests) request.cached_input_tokens = 0;
  measurement.server_counters = load::ServerCounters{.prompt_tokens = 100, .generated_tokens = 20, .finished = 10};
  for (const Gate& gate : All()) EXPECT_EQ(gate.state, Gate::State::kPassed) << gate.name << ": " << gate.explanation;
}

TEST_F(GatesTest, JudgesWhetherItWasOneServer) {
  EXPECT_EQ(StateOf("one server throughout"), Gate::State::kPassed);
  records.requests[4].error_kind = record::RequestError::kConnectRefused;
  records.requests[4].finish = record::FinishReason::kError;
  EXPECT_EQ(StateOf("one server throughout"), Gate::State::kTripped) << "nobody listened, and later somebody did";
  records.requests.resize(5);
  EXPECT_EQ(StateOf("one server throughout"), Gate::State::kPassed) << "it only ended";
  records.requests[3].quirks = {std::string(load::kOtherModelQuirk) + ": b, not a"};
  EXPECT_EQ(StateOf("one server throughout"), Gate::State::kTripped);
  EXPECT_EQ(StateOf("counts of client and server"), Gate::State::kNotMeasured) << "no counters, and a request that failed";
}

TEST_F(GatesTest, JudgesTheClient) {
  for (record::RequestRecord& request : records.requests) request.send_s += 0.006;
  EXPECT_EQ(StateOf("pacing lag p99"), Gate::State::kTripped);
  EXPECT_NEAR(*Find("pacing lag p99").value, 0.006, 1e-9);
  records.receive_delay_s = {1e-5F, 12e-3F};
  EXPECT_EQ(StateOf("receive delay p99"), Gate::State::kTripped);
  records.cpu_s = 8;
  EXPECT_EQ(StateOf("client CPU per thread"), Gate::State::kTripped);
  head_room = {10, 1};
  EXPECT_EQ(StateOf("head-room"), Gate::State::kTripped);
  EXPECT_THAT(Find("head-room").explanation, HasSubstr("client"));
}

// A lag matters relative to what it distorts: late reading only when the next request goes out, which is after a whole answer.
TEST_F(GatesTest, LagsAreJudgedByWhatTheyDistort) {
  records.receive_delay_s = {1e-5F, 2e-3F};
  EXPECT_EQ(StateOf("receive delay p99"), Gate::State::kPassed);
  EXPECT_NEAR(Find("receive delay p99").bound, 0.01, 1e-9);
  EXPECT_NEAR(Find("pacing lag p99").bound, 0.005, 1e-9);
  for (record::RequestRecord& request : records.requests) request.token_s = {request.send_s + 0.004, request.send_s + 0.008};
  EXPECT_EQ(StateOf("receive delay p99"), Gate::State::kTripped) << "a quarter of an answer";
  EXPECT_NEAR(Find("receive delay p99").bound, 0.0005, 1e-9) << "never below what an idle machine shows";
  EXPECT_NEAR(Find("pacing lag p99").bound, 0.001, 1e-9);
}

// What helps is named as the user writes it, in a file or on the command line; what cannot help is not.
TEST_F(GatesTest, RemediesFitWhereTheServerRuns) {
  for (record::RequestRecord& request : records.requests) request.send_s += 0.006;
  records.receive_delay_s = {12e-3F};
  records.cpu_s = 8;
  for (const char* name : {"pacing lag p99", "receive delay p99", "client CPU per thread"})
    EXPECT_THAT(Find(name).explanation, HasSubstr("(client_threads, --threads)")) << name;
  on_this_machine = true;
  for (const char* name : {"pacing lag p99", "receive delay p99"})
    EXPECT_THAT(Find(name).explanation, HasSubstr("server and client share this machine")) << name;
}

TEST_F(GatesTest, WhatWeCancelledIsNoError) {
  records.requests[0].finish = record::FinishReason::kCancelled;
  records.requests[0].token_s = {};
  EXPECT_EQ(*Find("errors").value, 0);
}

// One failure among many is said and voids nothing.
TEST_F(GatesTest, AFailureAmongManyIsNoFault) {
  for (int i = 10; i < 200; ++i) records.requests.push_back(Ended("p" + std::to_string(i), i, i));
  records.requests[3].finish = record::FinishReason::kError;
  records.requests[3].error_kind = record::RequestError::kHttp5xx;
  EXPECT_EQ(StateOf("errors"), Gate::State::kPassed);
  EXPECT_DOUBLE_EQ(*Find("errors").value, 0.005);
}

// Of an engine in this process; a server's answers may differ from repetition to repetition.
TEST(JudgeRepetitions, CountsRequestsWithOtherTokens) {
  Facts first, second;
  for (Facts* facts : {&first, &second}) {
    for (const char* id : {"a", "b", "c"}) {
      facts->records.requests.push_back(Ended(id, 0, 0));
      facts->records.requests.back().token_ids = {1, 2};
    }
  }
  const Facts* both[] = {&first, &second};
  EXPECT_FALSE(JudgeRepetitions(std::span(both, 1)).has_value());
  EXPECT_EQ(JudgeRepetitions(both)->state, Gate::State::kPassed);
  second.records.requests[1].token_ids = {1, 3};
  EXPECT_EQ(JudgeRepetitions(both)->state, Gate::State::kTripped);
  EXPECT_EQ(JudgeRepetitions(both)->value, 1);
}

TEST(WorstOf, KeepsTheWorstOfEachName) {
  const Gate good = metrics::Judge(metrics::MakeGate("errors", 0.01, "share"), 0, "");
  const Gate bad = metrics::Judge(metrics::MakeGate("errors", 0.01, "share"), 0.5, "bad");
  const Gate worse = metrics::Judge(metrics::MakeGate("errors", 0.01, "share"), 0.7, "worse");
  const Gate unknown = metrics::NotMeasured(metrics::MakeGate("errors", 0.01, "share"), "why");
  EXPECT_EQ(WorstOf(std::vector<std::vector<Gate>>{{good}, {unknown}}).at(0).state, Gate::State::kPassed);
  EXPECT_EQ(WorstOf(std::vector<std::vector<Gate>>{{good}, {bad}, {worse}, {good}}).at(0).explanation, "worse");
}

TEST_F(GatesTest, JudgesWhatWasOffered) {
  records.requests.back().error_kind = record::RequestError::kNotIssued;
  records.requests.back().finish = record::FinishReason::kCancelled;
  EXPECT_DOUBLE_EQ(*Find("achieved of offered").value, 0.9);
  EXPECT_EQ(StateOf("achieved of offered"), Gate::State::kTripped);
  records.held_back = 3;
  EXPECT_EQ(StateOf("held back"), Gate::State::kTripped);
  EXPECT_EQ(StateOf("pacing lag p99"), Gate::State::kNotMeasured) << "the limit, not the client, was late";
}

TEST_F(GatesTest, JudgesWhatTheServerDid) {
  records.requests[0].input_tokens = 11;
  records.requests[1].output_tokens = 1;
  records.requests[2].cached_input_tokens = 8;
  records.requests[3].tokens_source = record::TokensSource::kChunks;
  EXPECT_EQ(*Find("input tokens as planned").value, 1);
  EXPECT_EQ(*Find("output tokens as planned").value, 1);
  EXPECT_EQ(*Find("cached more than planned").value, 1);
  EXPECT_EQ(*Find("tokens counted by the server").value, 1);
  records.requests[4].finish = record::FinishReason::kError;
  records.requests[4].error_kind = record::RequestError::kHttp5xx;
  EXPECT_DOUBLE_EQ(*Find("errors").value, 0.1);
  EXPECT_EQ(StateOf("errors"), Gate::State::kTripped);
}

TEST_F(GatesTest, SaysWhyItCannotJudge) {
  kind = record::LoadKind::kClients;
  for (PlanEntry& entry : plan) entry.input_tokens.reset();
  for (const char* name : {"pacing lag p99", "receive delay p99", "achieved of offered", "held back", "head-room",
                           "input tokens as planned", "cached more than planned"}) {
    EXPECT_EQ(StateOf(name), Gate::State::kNotMeasured) << name;
    EXPECT_FALSE(Find(name).explanation.empty()) << name;
    EXPECT_FALSE(Find(name).value.has_value()) << name;
  }
}

}  // namespace
}  // namespace moecap::experiment
