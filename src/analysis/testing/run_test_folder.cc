#include "analysis/testing/run_test_folder.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/fs.h"
#include "base/json.h"
#include "experiment/model_json.h"
#include "load/event_log.h"

namespace moecap::analysis {
namespace fs = std::filesystem;
namespace {

using experiment::Manifest;

constexpr int64_t kTokens = 10;  // of each answer
constexpr double kNsPerS = 1e9;

std::string ConfigText(const TestRun& run) {
  std::string text = "systems:\n";
  bool scored = false;
  for (const TestSystem& system : run.systems) {
    text += system.is_server ? fmt::format("  - name: {}\n    server: {{url: \"http://127.0.0.1:1\"}}\n", system.name)
                             : fmt::format("  - name: {}\n    model: a.gguf\n", system.name);
    scored = scored || !system.scores.empty();
  }
  text += scored ? "dataset: {path: d.jsonl}\n" : "workload: {input_tokens: 5, output_tokens: 10}\n";
  return text + run.load + "\n" + fmt::format("repeats: {}\n", run.repeats) + run.more;
}

experiment::PricedSystem Priced(const TestSystem& system) {
  experiment::PricedSystem priced;
  priced.description.name = system.name;
  priced.description.engine = "scripted";
  priced.description.in_process = !system.is_server;
  priced.description.model.id = system.model;
  priced.description.model.weight_type = "F16";
  priced.machine = system.machine;
  if (system.usd_per_h > 0) {
    priced.cost.rent_usd_per_h = cost::Input{system.usd_per_h, "test", "2026-06"};
    priced.cost.utilisation = cost::Input{1, "test", "2026-06"};
    priced.pay = cost::Pay::kRent;
  }
  return priced;
}

// Writes the log as the load does; its reader makes the records.
void WriteEvents(const TestRun& run, const TestSystem& system, const record::CellId& cell, const fs::path& file) {
  FakeClock clock;
  auto log = load::EventLogWriter::Create(file, {cell, 0, run.started_at}, clock).value();
  for (int i = 0; i < run.requests; ++i) {
    const auto ticket = static_cast<uint64_t>(i);
    const auto start_ns = static_cast<int64_t>(i * 1e9);
    log.OnSend(ticket, std::to_string(i + 1), 0, start_ns, start_ns);
    load::Completion completion;
    completion.input_tokens = 5;
    if (i < system.failed) {
      completion.finish = record::FinishReason::kError;
      completion.error_kind = record::RequestError::kHttp5xx;
    } else {
      for (int64_t token = 1; token <= kTokens; ++token)
        log.OnChunk(ticket,
                    {.arrival_ns = start_ns + static_cast<int64_t>(static_cast<double>(token) * system.tpot_s * kNsPerS)});
    }
    completion.timings.end_ns = start_ns + static_cast<int64_t>(kTokens * system.tpot_s * kNsPerS);
    log.OnFinish(ticket, completion);
  }
  EXPECT_TRUE(log.Close().ok());
}

void WriteMeasurement(const TestRun& run, const TestSystem& system, const record::Level& level, int repeat,
                      experiment::Results& results) {
  experiment::Measurement measurement;
  measurement.system = system.name;
  measurement.level = level;
  measurement.repeat = repeat;
  measurement.started_at = run.started_at;
  std::vector<experiment::PlanEntry> plan;
  for (int i = 0; i < run.requests; ++i) plan.push_back({.id = std::to_string(i + 1), .output_tokens = kTokens});
  measurement.name = results.Begin(measurement, plan).value();
  const fs::path file = results.EventLogFile(measurement.name, 0);
  WriteEvents(run, system, {system.name, static_cast<int>(level.value), repeat}, file);
  load::LoadResult records = load::ReadEventLog(file).value().result;
  for (size_t i = 0; i < records.requests.size() && i < system.scores.size(); ++i) records.requests[i].score = system.scores[i];
  measurement.complete = true;
  measurement.ended_by = load::EndedBy::kAllSent;
  EXPECT_TRUE(results.End(measurement, records).ok());
}

}  // namespace

fs::path RunTestFolder::Write(const TestRun& run) const {
  Manifest manifest;
  manifest.run_id = run.run_id;
  manifest.started_at = run.started_at;
  manifest.moecap_version = "0.2.0";
  auto config = experiment::ParseConfig(ConfigText(run), "test.yaml", dir_.path());
  EXPECT_TRUE(config.ok()) << (config.ok() ? "" : config.error().message);
  manifest.config = *std::move(config);
  manifest.workload = "5 tokens in, 10 out";
  manifest.host.cpu_model = "CPU";
  manifest.host.allowed_cpus = {0};
  for (const TestSystem& system : run.systems) {
    manifest.systems.push_back(Priced(system));
    if (!system.scores.empty()) manifest.problems = std::ssize(system.scores);
  }
  auto results = experiment::Results::Create(dir_ / run.below, manifest).value();
  const experiment::LoadConfig& load = results.manifest().config.load;
  const std::vector<double> levels = load.levels;
  for (int repeat = 0; repeat < run.repeats; ++repeat) {
    for (const double level : levels) {
      for (const TestSystem& system : run.systems) WriteMeasurement(run, system, {load.kind, level}, repeat, results);
    }
  }
  EXPECT_TRUE(!run.complete || results.MarkComplete().ok());
  return results.dir();
}

// One system A at concurrency 4, one request and one pass.
fs::path RunTestFolder::WriteRun01(const std::string& run_id) const {
  const std::string request =
      R"({"system":"A","concurrency":4,"repeat":0,"id":"1","client":0,"intended_send_s":0,"send_s":0,"token_s":[0.5,0.75],)"
      R"("input_tokens":5,"output_tokens":2,"finish":"stop","text":""})"
      "\n";
  const std::string pass =
      R"({"schema":1,"system":"A","concurrency":4,"repeat":0,"kind":"decode","start_s":0.5,"latency_s":0.25,)"
      R"("sequences":[{"context_tokens":5,"new_tokens":1}]})"
      "\n";
  hardware::HostInfo host;
  host.cpu_model = "CPU";
  host.allowed_cpus = {0};
  model::ModelSpec model;
  model.id = "small";
  model.weight_type = "F16";
  const std::string manifest = fmt::format(
      R"({{"schema": 1, "run_id": "{}", "started_at": "2026-01-31T12:00:00Z", "moecap_version": "0.1.0", "complete": true,
 "command": ["moecap", "run"], "problems": 3, "ceilings": null,
 "config": {{"name": "old", "dataset": "d.jsonl", "scoring": "gsm8k-strict-match", "systems": [{{"name": "A", "model": "a.gguf"}}],
  "concurrency": [4], "repeats": 1, "cost": {{}}}},
 "host": {},
 "cost_inputs": {{"pue": {{"value": 1.25, "low": 1.1, "source": "survey", "date": "2026-06"}}}},
 "systems": [{{"name": "A", "engine": "scripted", "model": {}}}],
 "units": [{{"system": "A", "concurrency": 4, "repeat": 0, "complete": true, "requests_end_bytes": {}, "passes_end_bytes": {}}}]}})",
      run_id, DumpJson(hardware::ToJson(host)), DumpJson(experiment::ToJson(model)), request.size(), pass.size());
  const fs::path folder = dir_ / "results" / run_id;
  fs::create_directories(folder);
  EXPECT_TRUE(WriteFileAtomically(folder / "manifest.json", manifest).ok());
  EXPECT_TRUE(WriteFileAtomically(folder / "requests.jsonl", request).ok());
  EXPECT_TRUE(WriteFileAtomically(folder / "passes.jsonl", pass).ok());
  return folder;
}

// Three requests at 2 requests/s.
fs::path RunTestFolder::WriteLoad01(const std::string& run_id) const {
  const std::string manifest = fmt::format(
      R"({{"schema": 1, "run_id": "{}", "started_at": "2026-02-01T12:00:00Z", "moecap_version": "0.1.0", "complete": true,
 "command": ["moecap", "load"], "config": {{"name": "load", "server": {{"urls": ["http://127.0.0.1:1"], "model": "served"}},
  "load": {{"rates_per_s": [2]}}, "workload": {{"input_tokens": 5, "output_tokens": 10}}}},
 "target": {{"server": "vLLM 0.11.0", "url": "http://127.0.0.1:1", "api": "completions", "model": "served"}},
 "workload": "5 tokens in, 10 out", "notes": [], "head_room": null,
 "measurements": [{{"name": "rate-2-0", "level": 2, "repeat": 0, "complete": true, "ended_by": "all requests sent", "held_back": 0,
  "client_cpu_s": 0.1, "client_loop_s": 3}}]}})",
      run_id);
  const fs::path folder = dir_ / "results" / run_id;
  fs::create_directories(folder / "events");
  EXPECT_TRUE(WriteFileAtomically(folder / "load.json", manifest).ok());
  WriteEvents({}, {}, {"", 2, 0}, folder / "events/rate-2-0.0.bin");
  std::string plan;
  for (int i = 1; i <= 3; ++i)
    plan += fmt::format(R"({{"id":"{}","at_s":null,"input_tokens":5,"shared_tokens":0,"shared_share":null,"output_tokens":10,)"
                        R"("exact_output":true}})"
                        "\n",
                        i);
  EXPECT_TRUE(WriteFileAtomically(folder / "events/rate-2-0.plan.jsonl", plan).ok());
  return folder;
}

}  // namespace moecap::analysis
