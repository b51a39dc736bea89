// Small run folders for tests: one system A, one repetition of one request and one pass.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "base/testing/temp_dir.h"
#include "run/results.h"

namespace moecap::run {

class RunTestFolder {
 public:
  std::filesystem::path operator/(const std::string& name) const { return dir_ / name; }

  // A run in the folder `below`; returns its own folder.
  std::filesystem::path WriteRun(const std::string& run_id, bool complete = true, const std::string& below = "results",
                                 const std::string& started_at = "2026-01-31T12:00:00Z") const {
    Manifest manifest;
    manifest.run_id = run_id;
    manifest.started_at = started_at;
    manifest.moecap_version = "0.1.0";
    manifest.config.dataset = "d.jsonl";
    manifest.config.systems = {{"A", "a.gguf", {}, 1}};
    manifest.config.concurrency = {4};
    manifest.problems = 3;
    manifest.host.cpu_model = "CPU";
    manifest.host.allowed_cpus = {0};
    manifest.cost.pue = cost::Input{1.25, "survey", "2026-06"};
    SystemDescription system;
    system.name = "A";
    system.engine = "scripted";
    system.model.id = "small";
    system.model.weight_type = "F16";
    manifest.systems = {system};
    Results results = Results::Create(dir_ / below, manifest).value();
    const record::CellId cell{"A", 4, 0};
    load::LoadResult unit;
    unit.requests.resize(1);
    unit.requests[0].cell = cell;
    unit.requests[0].id = "1";
    unit.requests[0].token_s = {0.5, 0.75};
    unit.requests[0].input_tokens = 5;
    unit.requests[0].output_tokens = 2;
    unit.passes.resize(1);
    unit.passes[0].cell = cell;
    unit.passes[0].kind = record::PassKind::kDecode;
    unit.passes[0].latency_s = 0.25;
    unit.passes[0].sequences = {{5, 1, 1}};
    EXPECT_TRUE(results.AppendUnit(unit, cell).ok());
    EXPECT_TRUE(!complete || results.MarkComplete().ok());
    return results.dir();
  }

 private:
  TempDir dir_;
};

}  // namespace moecap::run
