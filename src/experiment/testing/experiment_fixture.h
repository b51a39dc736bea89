// An experiment against systems in fake time, from the text of its configuration to the files that it leaves.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "base/testing/temp_dir.h"
#include "experiment/runner.h"
#include "experiment/summarize.h"
#include "experiment/testing/fake_driver.h"

namespace moecap::experiment {

// Two engines that answer the three problems of d.jsonl.
inline constexpr const char* kEngines =
    "systems: [{name: A, model: a.gguf}, {name: B, model: b.gguf}]\ndataset: {path: d.jsonl}\nwarmup_requests: 1\n";

class ExperimentTest : public testing::Test {
 protected:
  void SetUp() override {
    std::ofstream(dir_ / "d.jsonl") << "{\"id\":\"1\",\"question\":\"a\",\"answer\":\"#### 7\"}\n"
                                    << "{\"id\":\"2\",\"question\":\"b\",\"answer\":\"#### 7\"}\n"
                                    << "{\"id\":\"3\",\"question\":\"c\",\"answer\":\"#### 8\"}\n";
  }

  DriverFactory Factory() {
    return [this](const SystemConfig& system, const Config&) -> Result<std::unique_ptr<SystemDriver>> {
      return std::unique_ptr<SystemDriver>(new FakeDriver(system, clock, log));
    };
  }
  Config Parse(const std::string& text) {
    auto config = ParseConfig(text, "c.yaml", dir_);
    EXPECT_TRUE(config.ok()) << (config.ok() ? "" : config.error().message);
    return std::move(config).value();
  }
  Experiment Prepare(const Config& config) {
    auto experiment = Experiment::Prepare(config, Factory(), clock);
    EXPECT_TRUE(experiment.ok()) << (experiment.ok() ? "" : experiment.error().message);
    return std::move(experiment).value();
  }
  Results Create(const Config& config, Experiment& experiment) {
    Manifest manifest;
    manifest.run_id = "run";
    manifest.config = config;
    EXPECT_TRUE(experiment.Describe(manifest).ok());
    hardware::Ceilings ceilings;
    ceilings.read_bytes_per_s = hardware::Ceiling{1e6, 1e6, 1e6, 1, "read"};
    ceilings.fp32_flops_per_s = hardware::Ceiling{1e6, 1e6, 1e6, 1, "fma"};
    manifest.ceilings = ceilings;
    change_manifest(manifest);
    return Results::Create(dir_ / "results", manifest).value();
  }
  // Measures a configuration from its text to its summary, read from the files.
  cap::ExperimentSummary Measure(const std::string& text) {
    const Config config = Parse(text);
    Experiment experiment = Prepare(config);
    Results results = Create(config, experiment);
    const Status status = experiment.Execute(results, hooks);
    EXPECT_TRUE(status.ok()) << (status.ok() ? "" : status.error().message);
    return SummaryOf(results.dir());
  }
  static cap::ExperimentSummary SummaryOf(const std::filesystem::path& dir) {
    const auto opened = Results::Open(dir);
    EXPECT_TRUE(opened.ok()) << (opened.ok() ? "" : opened.error().message);
    auto summary = Summarize(*opened);
    EXPECT_TRUE(summary.ok()) << (summary.ok() ? "" : summary.error().message);
    return std::move(summary).value();
  }

  TempDir temp_;
  const std::filesystem::path dir_ = temp_.path();
  FakeClock clock;
  DriverLog log;
  Hooks hooks;
  std::function<void(Manifest&)> change_manifest = [](Manifest&) {};
};

}  // namespace moecap::experiment
