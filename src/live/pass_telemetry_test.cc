#include "live/pass_telemetry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace moecap::live {
namespace {

using record::PassKind;
using record::SequenceSlice;
using testing::ElementsAre;

std::string Packed(const nlohmann::json& message) {
  const std::vector<uint8_t> bytes = nlohmann::json::to_msgpack(message);
  return {bytes.begin(), bytes.end()};
}

nlohmann::json Scheduled() {
  return {{"num_prefill_requests", 3},   {"sum_prefill_tokens", 200}, {"var_prefill_length", 1.5},
          {"sum_prefill_kv_tokens", 30}, {"num_decode_requests", 31}, {"sum_decode_kv_tokens", 3100},
          {"var_decode_kv_tokens", 12.5}};
}

nlohmann::json Message(double wall_s) {
  return {{"version", 1},
          {"worker_id", "w"},
          {"dp_rank", 0},
          {"counter_id", 5},
          {"wall_time", wall_s},
          {"scheduled_requests", Scheduled()},
          {"queued_requests", nlohmann::json::object()}};
}

TEST(PassTelemetry, AMapIsAPassOfItsSums) {
  const auto pass = ReadForwardPass(Packed(Message(0.0123)));
  ASSERT_TRUE(pass.ok() && *pass) << pass.error().message;
  EXPECT_EQ((*pass)->kind, PassKind::kMixed);
  EXPECT_EQ((*pass)->latency_s, 0.0123);
  EXPECT_EQ((*pass)->source, record::Source::kServerReported);
  EXPECT_THAT((*pass)->sequences, ElementsAre(SequenceSlice{10, 67, 2}, SequenceSlice{10, 66, 1}, SequenceSlice{100, 1, 31}));
}

TEST(PassTelemetry, AListIsInTheOrderOfTheSchema) {
  const nlohmann::json scheduled = {0, 0, 0.0, 0, 2, 50, 0.0};
  for (const nlohmann::json& list : {nlohmann::json{1, "w", 0, 7, 0.5, scheduled, nlohmann::json::array()},
                                     nlohmann::json{"w", 0, 0.5, scheduled, nlohmann::json::array()}}) {
    const auto pass = ReadForwardPass(Packed(list));
    ASSERT_TRUE(pass.ok() && *pass) << list.dump();
    EXPECT_EQ((*pass)->kind, PassKind::kDecode);
    EXPECT_THAT((*pass)->sequences, ElementsAre(SequenceSlice{25, 1, 2}));
  }
}

TEST(PassTelemetry, AnIdleEngineHasNoPass) {
  const auto pass = ReadForwardPass(Packed(Message(0)));
  ASSERT_TRUE(pass.ok());
  EXPECT_FALSE(pass->has_value());
}

TEST(PassTelemetry, WhatIsNoMessageIsRefused) {
  nlohmann::json negative = Message(1);
  negative["scheduled_requests"]["num_decode_requests"] = -1;
  for (const std::string& bytes :
       {std::string(), std::string("\xc1"), Packed(5), Packed(nlohmann::json::object()), Packed(negative)})
    EXPECT_FALSE(ReadForwardPass(bytes).ok());
}

TEST(PassTelemetry, MissingNumbersAreLostPasses) {
  PassTelemetry telemetry;
  const auto frames = [](uint64_t number) {
    std::string bytes(8, '\0');
    for (int i = 0; i < 8; ++i) bytes[static_cast<size_t>(7 - i)] = static_cast<char>(number >> (8 * i));
    return std::vector<std::string>{"", bytes, Packed(Message(0.01))};
  };
  ASSERT_TRUE(telemetry.Add(frames(254)).ok()) << "it begins where we come in";
  ASSERT_TRUE(telemetry.Add(frames(255)).ok());
  ASSERT_TRUE(telemetry.Add(frames(256)).ok());
  PassTelemetry::Taken taken = telemetry.Take();
  EXPECT_EQ(taken.passes.size(), 3u);
  EXPECT_FALSE(taken.lost);
  ASSERT_TRUE(telemetry.Add(frames(258)).ok());
  taken = telemetry.Take();
  EXPECT_EQ(taken.passes.size(), 1u);
  EXPECT_TRUE(taken.lost);
  EXPECT_FALSE(telemetry.Add(std::vector<std::string>{"x"}).ok());
}

}  // namespace
}  // namespace moecap::live
