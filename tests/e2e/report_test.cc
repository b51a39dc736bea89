// moecap report: every format, several runs, and what it refuses.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/fs.h"
#include "base/json.h"
#include "base/table.h"
#include "program.h"

namespace moecap::e2e {
namespace {
namespace fs = std::filesystem;
using testing::HasSubstr;

class ReportCli : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = fs::path(testing::TempDir()) / fmt::format("moecap-report-{}", ::getpid());
    fs::remove_all(dir_);
    fs::create_directories(dir_);
  }
  void TearDown() override { fs::remove_all(dir_); }

  Outcome Call(const std::vector<std::string>& args) const { return CallProgram(dir_, args); }

  static fs::path TinyMoe() { return fs::path(MOECAP_SOURCE_DIR) / "models/tiny-moe/tiny-moe-f16.gguf"; }

  // A small experiment on the shipped model; its summary.
  Json Run(const std::string& systems) const {
    std::ofstream(dir_ / "c.yaml") << "model: " << TinyMoe().string() << "\nthreads: 1\nsystems: " << systems
                                   << "\ndataset: {path: " << MOECAP_SOURCE_DIR
                                   << "/datasets/tinymath/test.jsonl, problems: 6}\nconcurrency: [1, 3]\nrepeats: 2\n"
                                      "warmup_requests: 1\n";
    const Outcome outcome = Call({"run", "c.yaml", "--json"});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return outcome.exit_code == 0 ? ParseJson(outcome.out).value() : Json();
  }

  fs::path dir_;
};

// One small experiment, reported in every way.
TEST_F(ReportCli, ReportsInEveryFormatAndForSeveralRuns) {
  const Json summary = Run("[{name: F16}, {name: Q4_0, weights: Q4_0}]");
  ASSERT_TRUE(summary.is_object());
  const std::string run = summary["run_id"];
  const fs::path results = dir_ / "results";
  const fs::path other = results / "other";
  fs::copy(results / run, other, fs::copy_options::recursive);
  Json manifest = ParseJson(ReadFile(other / "manifest.json").value()).value();
  manifest["run_id"] = "other";
  std::ofstream(other / "manifest.json") << DumpJsonPretty(manifest);

  const Outcome text = Call({"report", run, "other"});
  ASSERT_EQ(text.exit_code, 0) << text.err;
  EXPECT_THAT(text.out, testing::Not(HasSubstr("\x1b"))) << "no colours into a file";
  std::istringstream lines(text.out);
  for (std::string line; std::getline(lines, line);) EXPECT_LE(DisplayWidth(line), 80u) << line;

  const Outcome csv = Call({"report", run, "other", "--format", "csv"});
  ASSERT_EQ(csv.exit_code, 0) << csv.err;
  EXPECT_EQ(std::count(csv.out.begin(), csv.out.end(), '\n'), 1 + 2 * (4 + 8))
      << "one header; of each run two systems at two levels, and each of them measured twice";
  EXPECT_EQ(ParseJson(Call({"report", run, "other", "--json"}).out).value().size(), 2u);
  EXPECT_THAT(Call({"report", run, "--format", "html"}).out, testing::StartsWith("<!DOCTYPE html>"));
  EXPECT_THAT(Call({"report", run, "--format", "markdown"}).out, testing::StartsWith("# moecap experiment"));

  // Two systems, two concurrencies and two repetitions: eight loads.
  const Outcome vllm = Call({"report", run, "--format", "vllm", "--save-detailed", "--percentile-metrics", "ttft,e2el"});
  ASSERT_EQ(vllm.exit_code, 0) << vllm.err;
  std::istringstream objects(vllm.out);
  int loads = 0;
  for (std::string line; std::getline(objects, line); ++loads) {
    const Json json = ParseJson(line).value();
    EXPECT_EQ(json["completed"], 6);
    EXPECT_EQ(json["request_rate"], "inf");
    EXPECT_EQ(json["ttfts"].size(), 6u);
    EXPECT_TRUE(json.contains("p99_e2el_ms"));
    EXPECT_FALSE(json.contains("mean_tpot_ms"));
  }
  EXPECT_EQ(loads, 8);
  const Outcome compat = Call({"report", run, "--compat", "vllm,sglang"});
  ASSERT_EQ(compat.exit_code, 0) << compat.err;
  EXPECT_THAT(compat.out, HasSubstr("Q4_0, 3 clients, repetition 2"));
  const Json views = ParseJson(Call({"report", run, "--compat", "all", "--json"}).out).value();
  EXPECT_EQ(views["cells"].size(), 8u);
  EXPECT_EQ(views["cells"][0]["views"].size(), 6u);

  const Outcome all = Call({"report", run, "other", "--all", "--write-to", "written/new"});
  ASSERT_EQ(all.exit_code, 0) << all.err;
  for (const char* file : {"report.txt", "report.html", "report.md", "report.csv", "summary.json", "cap-radar.svg",
                           "tpot-by-level.svg", "expert-share-0.svg"})
    EXPECT_TRUE(fs::exists(dir_ / "written/new/other" / file)) << file;
  EXPECT_EQ(std::distance(fs::directory_iterator(dir_ / "written/new" / run / "vllm"), fs::directory_iterator()), 8);
  EXPECT_TRUE(fs::exists(dir_ / "written/new" / run / "upstream/0-F16-c1/tiny-moe-f16.gguf"));

  for (const auto& [args, parts] : std::vector<std::pair<std::vector<std::string>, std::vector<std::string>>>{
           {{"report", run, "--format", "htm"}, {"htm", "did you mean \"html\"", "markdown"}},
           {{"report", run, "missing", "--format", "csv", "--write-to", "bad"}, {"missing", "not a stored run"}},
           {{"report", run, run}, {"given twice"}},
           {{"report", run, "--format", "upstream"}, {"--write-to"}},
           {{"report", run, "--compat", "wrk"}, {"no view of 'wrk'", "vllm"}},
           {{"report", run, "--compat", "vllm", "--format", "svg"}, {"--compat has the formats"}},
           {{"report", run, "--format", "vllm", "--percentile-metrics", "x"}, {"no percentile metric 'x'"}},
           {{"report", run, "--format", "html,csv"}, {"--write-to"}},
           {{"report", run, "other", "--format", "html"}, {"--write-to"}},
           {{"report", run, "--format", "svg", "--write-to", "c.yaml/x"}, {"c.yaml/x"}}}) {
    const Outcome outcome = Call(args);
    EXPECT_EQ(outcome.exit_code, 2) << outcome.err;
    for (const std::string& part : parts) EXPECT_THAT(outcome.err, HasSubstr(part));
    EXPECT_EQ(outcome.out, "");
  }
  // A folder that lost a file is named, and nothing of the others is written.
  for (const char* file :
       {"measurements/F16-clients-3-0/plan.jsonl", "measurements/F16-clients-3-0/answers.jsonl",
        "measurements/F16-clients-3-0/passes.jsonl", "measurements/F16-clients-3-0/routing.moetrace", "manifest.json"}) {
    const fs::path kept = dir_ / "kept";
    fs::rename(other / file, kept);
    const Outcome outcome = Call({"report", run, other.string(), "--all", "--write-to", "bad"});
    EXPECT_EQ(outcome.exit_code, 2);
    EXPECT_THAT(outcome.err, HasSubstr(file));
    fs::resize_file(kept, fs::file_size(kept) - 20);
    fs::copy_file(kept, other / file);
    EXPECT_EQ(Call({"report", other.string(), "--all", "--write-to", "bad"}).exit_code, 2) << file << " is cut off";
    fs::remove(other / file);
    fs::copy_file(results / run / file, other / file);
    fs::remove(kept);
  }
  EXPECT_FALSE(fs::exists(dir_ / "bad"));
}

// The detailed results that we write as the Python implementation does hold enough for our own reader to find S-MBU again.
TEST_F(ReportCli, UpstreamFilesKeepTheUtilisation) {
  const Json summary = Run("[{name: F16}]");
  ASSERT_TRUE(summary.is_object());
  ASSERT_EQ(Call({"report", summary["run_id"].get<std::string>(), "--format", "upstream", "--write-to", "up"}).exit_code, 0);
  const double bandwidth = summary["systems"][0]["machine"]["peak_bandwidth_bytes_per_s"].get<double>();
  for (const int cell : {0, 1}) {
    const int concurrency = cell == 0 ? 1 : 3;
    fs::path detailed;
    const fs::path folder = dir_ / fmt::format("up/upstream/0-F16-c{}/tiny-moe-f16.gguf", concurrency);
    for (const auto& entry : fs::directory_iterator(folder)) {
      if (entry.path().filename().string().starts_with("detailed_results_tinymath_")) detailed = entry.path();
    }
    const Outcome metrics = Call({"metrics", detailed.string(), "--model", TinyMoe().string(), "--bandwidth-bytes-per-s",
                                  fmt::format("{}", bandwidth), "--json"});
    ASSERT_EQ(metrics.exit_code, 0) << metrics.err;
    const Json phases = ParseJson(metrics.out).value()["phases"];
    for (const char* phase : {"prefill", "decode"}) {
      const Json& own = summary["systems"][0]["cells"][cell]["utilization"][phase];
      ASSERT_TRUE(own["s_mbu"].is_number()) << phase;
      for (const char* figure : {"s_mbu", "s_mbu_paper", "mbu"})
        EXPECT_NEAR(phases[phase][figure].get<double>() / own[figure].get<double>(), 1, 1e-9) << phase << " " << figure;
    }
  }
}

}  // namespace
}  // namespace moecap::e2e
