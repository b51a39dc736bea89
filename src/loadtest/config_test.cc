#include "loadtest/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace moecap::loadtest {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Result<LoadTestConfig> Parse(const std::string& text) { return ParseLoadTestConfig(text, "load.yaml", "/base"); }
std::string ErrorOf(const std::string& text) {
  const auto config = Parse("server: {url: http://h}\n" + text);
  return config.ok() ? "" : config.error().message;
}

constexpr const char* kFull = R"(
name: chat
server: {url: http://127.0.0.1:8000, api: completions}
workload: {input_tokens: 512, output_tokens: 128, requests: 100}
load:
  rates_per_s: [2, 4.5]
  arrivals: gamma
  shape: 0.5
  burst: 2
  ramp: [{duration_s: 10, from_per_s: 0, to_per_s: 2}]
  most_in_flight: 100
  cancel_share: 0.1
  cancel_after_s: 3
warmup_requests: 4
duration_s: 60
drain_s: 5
most_error_share: 0.2
deadlines: {first_token_s: 10, idle_s: 2}
objectives: {ttft_s: 1, tpot_s: 0.05}
repeats: 3
threads: 2
seed: 7
flush_cache: true
)";

TEST(LoadTestConfig, ReadsEveryKey) {
  const auto config = Parse(kFull);
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->kind, LoadKind::kRate);
  EXPECT_THAT(config->levels, ElementsAre(2, 4.5));
  EXPECT_EQ(config->arrivals.gaps, workload::GapShape::kGamma);
  EXPECT_EQ(config->arrivals.burst, 2);
  ASSERT_EQ(config->arrivals.ramp.size(), 1u);
  EXPECT_EQ(config->arrivals.ramp[0].to_per_s, 2);
  EXPECT_EQ(config->most_in_flight, 100);
  EXPECT_EQ(config->cancel_share, 0.1);
  EXPECT_EQ(config->duration_s, 60);
  EXPECT_EQ(config->deadlines.idle_s, 2);
  EXPECT_FALSE(config->deadlines.headers_s.has_value());
  EXPECT_EQ(config->objectives.tpot_s, 0.05);
  EXPECT_EQ(config->repeats, 3);
  EXPECT_EQ(config->threads, 2);
  EXPECT_TRUE(config->flush_cache);
}

TEST(LoadTestConfig, SurvivesTheManifest) {
  for (const std::string& text :
       {std::string(kFull), std::string("server: {url: http://h}\nload: {clients: [1, 8]}\n"),
        std::string("server: {url: http://h, api: chat}\nworkload: {text: true, conversations: {turns: 3, think_s: 1}}\n"
                    "load: {users: 4, start_over_s: 2}\n"),
        std::string("server: {url: http://h}\nload: {rates_per_s: 1}\nobjectives: {e2e_s: 3}\nsearch: {highest: 50}\n")}) {
    const auto config = Parse(text);
    ASSERT_TRUE(config.ok()) << config.error().message;
    const auto again = ConfigFromJson(ToJson(*config));
    ASSERT_TRUE(again.ok()) << again.error().message;
    EXPECT_EQ(ToJson(*again), ToJson(*config));
  }
}

TEST(LoadTestConfig, NamesWhatIsWrong) {
  EXPECT_THAT(Parse("load: {clients: 1}\n").error().message, HasSubstr("\"server\" is missing"));
  EXPECT_THAT(ErrorOf("load: {clients: 1, rates_per_s: 2}\n"), HasSubstr("give one of clients"));
  EXPECT_THAT(ErrorOf("load: {clients: [1, 2.5]}\n"), HasSubstr("whole number"));
  EXPECT_THAT(ErrorOf("load: {rates_per_s: -1}\n"), HasSubstr("rates_per_s"));
  EXPECT_THAT(ErrorOf("load: {rates_per_s: 1, shape: 0}\n"), HasSubstr("above 0"));
  EXPECT_THAT(ErrorOf("load: {users: 2}\n"), HasSubstr("conversations"));
  EXPECT_THAT(ErrorOf("load: {replay: true}\n"), HasSubstr("trace"));
  EXPECT_THAT(ErrorOf("load: {clients: 2, cancel_share: 0.5}\n"), HasSubstr("open loop"));
  EXPECT_THAT(ErrorOf("load: {clients: 2}\nthreads: 4\n"), HasSubstr("fewer threads"));
  EXPECT_THAT(ErrorOf("load: {rates_per_s: 1}\nsearch: {}\n"), HasSubstr("objectives"));
  EXPECT_THAT(ErrorOf("objectives: {ttft_s: 0}\n"), HasSubstr("load.yaml:2"));
  EXPECT_THAT(ErrorOf("duration_s: 0\n"), HasSubstr("above 0"));
  EXPECT_THAT(ErrorOf("clientz: 1\n"), HasSubstr("clientz"));
}

}  // namespace
}  // namespace moecap::loadtest
