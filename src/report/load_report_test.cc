// Reports of load tests: what each format shows, and that no renderer loses or invents a figure.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/json.h"
#include "base/table.h"
#include "report/load_json.h"
#include "report/load_tables.h"
#include "report/load_terminal.h"
#include "report/sample_load.h"

namespace moecap::report {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

size_t WidestLine(const std::string& text) {
  size_t widest = 0;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) widest = std::max(widest, DisplayWidth(line));
  return widest;
}

TEST(LoadTerminal, ASweepHasOneTableOfLoads) {
  const std::string text = RenderLoadTerminal(SampleLoadTest(), {});
  EXPECT_LE(WidestLine(text), 80u) << text;
  EXPECT_THAT(text, HasSubstr("vLLM 0.11.0, http://localhost:8000, completions"));
  EXPECT_THAT(text, HasSubstr("TTFT at most 200 ms, TPOT at most 20.0 ms, from the intended send"));
  EXPECT_THAT(text, HasSubstr("64 clients !")) << "the mark of the tripped gate";
  EXPECT_THAT(text, HasSubstr("NOT VALID: 64 clients: client CPU share is 128.0 %, bound 70.0 %"));
  EXPECT_THAT(text, HasSubstr("http_5xx"));
  EXPECT_THAT(text, HasSubstr("HTTP 503: no free slot"));
  EXPECT_THAT(text, Not(HasSubstr("Latency at"))) << "whole tables of latencies are for a single load";
  EXPECT_THAT(text, HasSubstr("tokens/s at 16 clients")) << "the headline does not rest on the invalid cell";
}

TEST(LoadTerminal, ASingleLoadShowsEverything) {
  const std::string text = RenderLoadTerminal(SampleSingleLoad(800), {});
  EXPECT_LE(WidestLine(text), 80u) << text;
  for (const char* part : {"Latency at 20 requests/s", "Whole run and steady part", "Validity gates", "not measured", "TRIPPED",
                           "Search for the highest load", "from intended send", "n/a (6636)", "Failed requests", "head-room",
                           "3 requests were held back", "18 requests/s keep the objectives"})
    EXPECT_THAT(text, HasSubstr(part));
  // 784 answers: p99 is supported by 662, but not in the 49 of the steady part.
  for (const LoadRow& row : LoadLatencyTable(SampleSingleLoad(800).cells.front()).rows)
    EXPECT_THAT(row.values, Not(Contains("n/a (662)"))) << row.name;
  EXPECT_THAT(text, HasSubstr("TTFT p99 (ms)              107          107"));
}

TEST(LoadTerminal, UnsupportedPercentilesAreNoNumbers) {
  const std::string text = RenderLoadTerminal(SampleSingleLoad(100), {});
  EXPECT_THAT(text, HasSubstr("n/a (662)"));
  EXPECT_THAT(text, HasSubstr("n/a (130)"));
  EXPECT_THAT(text, Not(HasSubstr("n/a (64)"))) << "98 answers support p90";
}

TEST(LoadTerminal, FitsNarrowAndPlainTerminals) {
  for (const size_t width : {40u, 60u, 80u, 132u}) {
    for (const bool unicode : {false, true}) {
      TerminalOptions options;
      options.width = width;
      options.unicode = unicode;
      options.color = unicode;
      for (const auto& summary : {SampleLoadTest(), SampleSingleLoad(700), metrics::LoadTestSummary{}}) {
        const std::string text = RenderLoadTerminal(summary, options);
        EXPECT_LE(WidestLine(text), width) << text;
        if (!unicode) {
          EXPECT_TRUE(std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 128; }));
        }
        EXPECT_TRUE(text.ends_with('\n'));
      }
    }
  }
}

TEST(LoadTerminal, TextOfTheServerCannotSteerTheTerminal) {
  metrics::LoadTestSummary summary = SampleSingleLoad(100);
  summary.server = "evil\x1b[2J";
  summary.cells[0].errors[0].messages[0] = "\x1b]0;title\a";
  EXPECT_THAT(RenderLoadTerminal(summary, {}), Not(HasSubstr("\x1b")));
}

TEST(LoadTables, NamesRepeatsOfALoad) {
  metrics::LoadTestSummary summary;
  summary.cells.resize(3);
  summary.cells[0].label = summary.cells[1].label = "8 clients";
  summary.cells[1].repeat = 1;
  summary.cells[2].label = "16 clients";
  EXPECT_EQ(LoadCellName(summary, 0), "8 clients #1");
  EXPECT_EQ(LoadCellName(summary, 1), "8 clients #2");
  EXPECT_EQ(LoadCellName(summary, 2), "16 clients");
  EXPECT_EQ(LoadHeadline(summary), "No load of this test passed its validity gates with an answer");
}

TEST(LoadTables, PercentilesByHand) {
  std::vector<double> samples;
  for (int i = 1; i <= 701; ++i) samples.push_back(i * 1e-3);
  const auto figure = metrics::DescribeLatency("ttft_s", samples);
  EXPECT_EQ(PercentileText(*FindQuantile(&*figure, 0.5), 1e-3), "351");
  EXPECT_EQ(PercentileText(*FindQuantile(&*figure, 0.99), 1e-3), "694");
  EXPECT_EQ(PercentileText(*FindQuantile(&*figure, 0.999), 1e-3), "n/a (6636)");
  EXPECT_EQ(FindQuantile(&*figure, 0.42), nullptr);
  EXPECT_EQ(QuantileName(0.999), "p99.9");
  EXPECT_EQ(QuantileName(0.99), "p99");
  EXPECT_EQ(QuantileName(0.01), "p1");
}

std::vector<std::string> Keys(const Json& object) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : object.items()) keys.push_back(key);
  return keys;
}

TEST(LoadJson, HasTheKeysOfTheSchema) {
  const Json json = LoadTestToJson(SampleSingleLoad(800));
  EXPECT_THAT(Keys(json),
              ElementsAre("schema", "kind", "run_id", "started_at", "moecap_version", "name", "server", "url", "api", "model",
                          "workload", "load", "client", "complete", "valid", "objectives", "cells", "search", "notes"));
  const Json& cell = json["cells"][0];
  EXPECT_THAT(Keys(cell), ElementsAre("label", "clients", "rate_per_s", "repeat", "valid", "ended_by", "whole", "steady",
                                      "concurrency", "receive_delay_s", "errors", "token_sources", "retries", "held_back",
                                      "gates", "client_cpu_s", "threads"));
  EXPECT_THAT(Keys(cell["whole"]),
              ElementsAre("from_s", "to_s", "duration_s", "offered", "completed", "failed", "cancelled", "input_tokens",
                          "output_tokens", "reasoning_tokens", "cached_input_tokens", "offered_requests_per_s",
                          "achieved_share", "completed_requests_per_s", "output_tokens_per_s", "met", "goodput_requests_per_s",
                          "good_share", "latencies"));
  EXPECT_THAT(Keys(cell["whole"]["latencies"]["ttft_s"]["percentiles"]),
              ElementsAre("p1", "p5", "p10", "p25", "p50", "p75", "p90", "p95", "p99", "p99_9"));
  EXPECT_THAT(Keys(cell["whole"]["latencies"]["ttft_s"]["percentiles"]["p99"]),
              ElementsAre("value", "low", "high", "supported", "samples_needed"));
  EXPECT_EQ(cell["clients"], nullptr);
  EXPECT_EQ(cell["rate_per_s"], 20);
  EXPECT_EQ(cell["valid"], false);
  EXPECT_EQ(json["valid"], false);
  EXPECT_EQ(cell["gates"][1]["state"], "not_measured");
  EXPECT_EQ(cell["gates"][1]["value"], nullptr);
  EXPECT_EQ(json["search"]["passes"], 18);
}

// From the records, without the value types.
TEST(LoadJson, AgreesWithTheRecords) {
  auto requests = SampleRequests(700, 0.05, 0.06, 0.008, 3);
  metrics::LoadTestSummary summary;
  summary.cells.push_back(metrics::DescribeLoadCell(requests, {}));
  const Json cell = LoadTestToJson(summary)["cells"][0];
  std::vector<double> ttft;
  int64_t tokens = 0, failed = 0;
  for (const auto& request : requests) {
    failed += request.ok() ? 0 : 1;
    if (!request.ok()) continue;
    ttft.push_back(request.token_s.front() - request.send_s);
    tokens += static_cast<int64_t>(request.token_s.size());
  }
  std::ranges::sort(ttft);
  double sum = 0;
  for (const double value : ttft) sum += value;
  const Json& whole = cell["whole"];
  const Json& latency = whole["latencies"]["ttft_s"];
  EXPECT_NEAR(latency["mean"].get<double>(), sum / static_cast<double>(ttft.size()), 1e-12);
  EXPECT_EQ(whole["failed"], failed);
  EXPECT_EQ(whole["output_tokens"], tokens);
  EXPECT_NEAR(whole["output_tokens_per_s"].get<double>() * whole["duration_s"].get<double>(), static_cast<double>(tokens),
              1e-6);
  // R type 7: between the order statistics around 0.99 (n - 1).
  const double place = 0.99 * static_cast<double>(ttft.size() - 1);
  const auto below = static_cast<size_t>(place);
  const double p99 = ttft[below] + (place - static_cast<double>(below)) * (ttft[below + 1] - ttft[below]);
  EXPECT_NEAR(latency["percentiles"]["p99"]["value"].get<double>(), p99, 1e-12);
  EXPECT_EQ(latency["percentiles"]["p99_9"]["value"], nullptr) << "686 answers are too few";
  EXPECT_EQ(latency["percentiles"]["p99_9"]["samples_needed"], 6636);
  EXPECT_LE(cell["concurrency"]["curve"].size(), 400u);
  EXPECT_EQ(cell["whole"]["met"], nullptr) << "no objectives";
}

}  // namespace
}  // namespace moecap::report
