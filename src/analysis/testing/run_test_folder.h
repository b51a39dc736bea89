// Small stored experiments for tests: systems of which each request takes as long as the test says.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "base/testing/temp_dir.h"
#include "experiment/results.h"

namespace moecap::analysis {

struct TestSystem {
  std::string name = "A";
  double tpot_s = 0.01;         // of each token, the first one included
  std::vector<double> scores;   // of the problems; empty: nothing is scored
  std::string machine;          // of a server
  double usd_per_h = 0;         // 0 = no price
  std::string model = "small";  // its id; without layers
  bool is_server = true;
  int failed = 0;  // of the requests of each measurement
};

struct TestRun {
  std::string run_id = "20260131-120000-test";
  bool complete = true;
  std::string below = "results";
  std::string started_at = "2026-01-31T12:00:00Z";
  std::string load = "concurrency: [4]";  // YAML
  std::string more;                       // YAML
  std::vector<TestSystem> systems = {{}};
  int repeats = 1;
  int requests = 3;
};

class RunTestFolder {
 public:
  std::filesystem::path operator/(const std::string& name) const { return dir_ / name; }
  const std::filesystem::path& path() const { return dir_.path(); }

  // Writes the experiment below `run.below`; returns its folder.
  std::filesystem::path Write(const TestRun& run) const;
  std::filesystem::path Write(const std::string& run_id, bool complete = true) const {
    TestRun run;
    run.run_id = run_id;
    run.complete = complete;
    return Write(run);
  }
  // A run and a load test as version 0.1 left them; return their folders.
  std::filesystem::path WriteRun01(const std::string& run_id) const;
  std::filesystem::path WriteLoad01(const std::string& run_id) const;

 private:
  TempDir dir_;
};

}  // namespace moecap::analysis
