// moecap compare on stored runs: a real one of the shipped model, and copies of it whose facts were changed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/fs.h"
#include "base/json.h"
#include "base/table.h"
#include "program.h"

namespace moecap::e2e {
namespace {
namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class Compare : public testing::Test {
 protected:
  // One experiment serves every test.
  static void SetUpTestSuite() {
    std::string pattern = (fs::temp_directory_path() / "moecap-compare-XXXXXX").string();
    dir_ = ::mkdtemp(pattern.data());
    const std::string source = MOECAP_SOURCE_DIR;
    ASSERT_TRUE(WriteFileAtomically(dir_ / "c.yaml", "model: " + source +
                                                         "/models/tiny-moe/tiny-moe-f16.gguf\nthreads: 1\n"
                                                         "systems: [{name: F16}, {name: Q4_0, weights: Q4_0}]\n"
                                                         "dataset: {path: " +
                                                         source +
                                                         "/datasets/tinymath/test.jsonl, problems: 8}\n"
                                                         "concurrency: [1, 2]\nrepeats: 2\nwarmup_requests: 1\n"
                                                         "cap: {scenario: offline, axes: [s_mbu]}\n")
                    .ok());
    const Outcome outcome = Call({"run", "c.yaml", "--json"});
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    summary_ = std::make_unique<Json>(ParseJson(outcome.out).value());
    for (const auto& entry : fs::directory_iterator(dir_ / "results")) {
      if (fs::exists(entry.path() / "manifest.json")) run_ = entry.path();
    }
  }
  static void TearDownTestSuite() {
    summary_.reset();
    fs::remove_all(dir_);
  }

  static Outcome Call(const std::vector<std::string>& args) { return CallProgram(dir_, args); }

  // A copy of the run whose manifest `change` edits.
  template <typename Change>
  static std::string CopyOf(const std::string& name, const Change& change) {
    const fs::path copy = dir_ / name;
    fs::remove_all(copy);
    fs::create_directory(copy);
    for (const char* file : {"manifest.json", "requests.jsonl", "passes.jsonl"}) fs::copy_file(run_ / file, copy / file);
    Json manifest = ParseJson(ReadFile(copy / "manifest.json").value()).value();
    manifest["run_id"] = name;
    change(manifest);
    EXPECT_TRUE(WriteFileAtomically(copy / "manifest.json", DumpJson(manifest)).ok());
    return copy.string();
  }

  static Json JsonOf(std::vector<std::string> args) {
    args.emplace_back("--json");
    const Outcome outcome = Call(args);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return ParseJson(outcome.out).value();
  }

  static void ExpectRefused(const std::vector<std::string>& args, const std::vector<std::string>& parts) {
    const Outcome outcome = Call(args);
    EXPECT_EQ(outcome.exit_code, 2) << outcome.out;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    for (const std::string& part : parts) EXPECT_THAT(outcome.err, HasSubstr(part));
    EXPECT_EQ(outcome.out, "");
  }

  static fs::path dir_, run_;
  static std::unique_ptr<Json> summary_;
};
fs::path Compare::dir_, Compare::run_;
std::unique_ptr<Json> Compare::summary_;

TEST_F(Compare, TheSystemsOfOneRun) {
  const Json comparison = JsonOf({"compare", run_.filename().string()});
  EXPECT_EQ(comparison["schema"], 1);
  EXPECT_TRUE(comparison["warnings"].empty());
  ASSERT_EQ(comparison["systems"].size(), 2u);
  EXPECT_EQ(comparison["baseline"], "F16");
  const Json& f16 = comparison["systems"][0];
  const Json& q4 = comparison["systems"][1];
  EXPECT_EQ(q4["concurrency"], 2) << "online: the highest";
  const Json& cell = (*summary_)["systems"][1]["cells"][1];
  const Json& tpot = q4["figures"]["tpot_s"];
  EXPECT_EQ(tpot["value"], cell["tpot_s"]["mean"]);
  EXPECT_NEAR(tpot["difference"].get<double>(), tpot["value"].get<double>() - f16["figures"]["tpot_s"]["value"].get<double>(),
              1e-15);
  EXPECT_LE(tpot["interval"]["low"].get<double>(), tpot["value"].get<double>());
  EXPECT_GE(tpot["interval"]["high"].get<double>(), tpot["value"].get<double>());
  EXPECT_EQ(q4["figures"]["usd_per_million_output_tokens"]["value"], cell["usd_per_million_output_tokens"]);
  EXPECT_EQ(f16["figures"]["tpot_s"]["verdict"], "baseline");
  EXPECT_GT(q4["figures"]["tpot_s"]["robust_score"].get<double>(), 0);
  EXPECT_FALSE(comparison["axes"][2]["limit"].is_null());
  EXPECT_FALSE(comparison["hypervolume"].is_null());
  EXPECT_EQ(JsonOf({"compare", run_.string()}), comparison) << "by folder, and the same again";
}

TEST_F(Compare, TheViewFollowsTheFlags) {
  const Json comparison = JsonOf({"compare", run_.string(), "--scenario", "single-user", "--cost-axis", "power_w", "--axes",
                                  "s_mbu,memory_bytes", "--baseline", "Q4_0"});
  EXPECT_EQ(comparison["cost_axis"], "power_w");
  EXPECT_EQ(comparison["performance_axis"], "tpot_s");
  EXPECT_EQ(comparison["axes"].size(), 5u);
  EXPECT_EQ(comparison["systems"][0]["concurrency"], 1) << "single user: the lowest";
  EXPECT_EQ(comparison["baseline"], "Q4_0");
  EXPECT_THAT(DumpJson(comparison["notes"]), HasSubstr("class PA cannot appear"));
  const Json goodput =
      JsonOf({"compare", run_.string(), "--performance-axis", "goodput_requests_per_s", "--limit-e2e-s", "1e9"});
  const Json all = JsonOf({"compare", run_.string(), "--performance-axis", "requests_per_s"});
  EXPECT_EQ(goodput["systems"][0]["figures"]["goodput_requests_per_s"]["value"],
            all["systems"][0]["figures"]["requests_per_s"]["value"])
      << "every request keeps a limit of 1e9 s";
}

TEST_F(Compare, TheRunsOwnReportFollowsItsConfiguration) {
  EXPECT_EQ((*summary_)["cap_scenario"], "offline");
  EXPECT_EQ((*summary_)["cap_performance_axis"], "output_tokens_per_s");
  ASSERT_EQ((*summary_)["cap_axes"].size(), 4u);
  EXPECT_EQ((*summary_)["cap_axes"][3]["axis"], "s_mbu");
  EXPECT_FALSE((*summary_)["cap"][0]["class_support"].is_null());
}

TEST_F(Compare, ACopyDiffersInNothing) {
  const std::string copy = CopyOf("copy", [](Json&) {});
  const Json comparison = JsonOf({"compare", run_.string(), copy});
  ASSERT_EQ(comparison["systems"].size(), 4u);
  EXPECT_EQ(comparison["systems"][2]["label"], "copy/F16");
  EXPECT_EQ(comparison["systems"][2]["figures"]["tpot_s"]["difference"], 0);
  EXPECT_EQ(comparison["systems"][2]["figures"]["tpot_s"]["verdict"], "within noise");
  EXPECT_EQ(comparison["systems"][2]["figures"]["accuracy"]["p_value"], 1);
  EXPECT_EQ(JsonOf({"compare", run_.string(), copy, "--baseline", "copy:Q4_0"})["baseline"], "copy/Q4_0");
}

TEST_F(Compare, RefusesRunsThatDiffer) {
  const std::string run = run_.string();
  const std::string hardware = CopyOf("other-host", [](Json& manifest) { manifest["host"]["cpu_model"] = "Another CPU"; });
  ExpectRefused({"compare", run, hardware},
                {"the runs differ in hardware", "other-host has Another CPU", "--by hardware", "--force"});
  const std::string contract = CopyOf("longer", [](Json& manifest) { manifest["config"]["max_output_tokens"] = 999; });
  ExpectRefused({"compare", run, contract}, {"differ in contract", "at most 999 output tokens", "--by contract"});
  ExpectRefused({"compare", run, contract, "--by", "hardware"}, {"differ in contract"});
  const std::string dataset = CopyOf("other-set", [](Json& manifest) { manifest["config"]["dataset"] = "/x/other.jsonl"; });
  ExpectRefused({"compare", run, dataset}, {"differ in dataset", "other.jsonl"});
  const std::string model = CopyOf("other-model", [](Json& manifest) {
    for (Json& system : manifest["systems"]) system["model"]["id"] = "huge-moe-f16.gguf";
  });
  ExpectRefused({"compare", run, model}, {"differ in model", "huge-moe", "tiny-moe"});
}

TEST_F(Compare, AnIntendedDifferenceIsANoteAndAForcedOneAWarning) {
  const std::string run = run_.string();
  const std::string other = CopyOf("other-host", [](Json& manifest) { manifest["host"]["cpu_model"] = "Another CPU"; });
  const Json intended = JsonOf({"compare", run, other, "--by", "hardware"});
  EXPECT_TRUE(intended["warnings"].empty());
  EXPECT_EQ(intended["mismatches"][0]["intended"], true);
  EXPECT_THAT(DumpJson(intended["notes"]), HasSubstr("compared by hardware"));

  const Outcome forced = Call({"compare", run, other, "--force", "--write-to", "forced"});
  ASSERT_EQ(forced.exit_code, 0) << forced.err;
  EXPECT_THAT(forced.err, HasSubstr("WARNING: FORCED: the runs differ in hardware"));
  EXPECT_THAT(forced.out, HasSubstr("FORCED"));
  for (const char* file : {"comparison.json", "comparison.md", "comparison.html"})
    EXPECT_THAT(ReadFile(dir_ / "forced" / file).value(), HasSubstr("FORCED: the runs differ in hardware")) << file;
  EXPECT_TRUE(fs::exists(dir_ / "forced" / "comparison-radar.svg"));
}

TEST_F(Compare, AQuantisedFileIsTheSameModel) {
  const std::string other = CopyOf("quantised", [](Json& manifest) {
    for (Json& system : manifest["systems"]) system["model"]["id"] = "tiny-moe-Q4_K_M.gguf";
  });
  EXPECT_EQ(Call({"compare", run_.string(), other}).exit_code, 0);
}

TEST_F(Compare, WarnsOfInterruptedRunsAndDifferentPrices) {
  const std::string other = CopyOf("cheap", [](Json& manifest) {
    manifest["complete"] = false;
    manifest["config"]["cost"]["rent_usd_per_h"] = 0.01;
  });
  const Json comparison = JsonOf({"compare", run_.string(), other});
  EXPECT_THAT(DumpJson(comparison["warnings"]), AllOf(HasSubstr("INCOMPLETE: cheap"), HasSubstr("PRICES")));
}

TEST_F(Compare, BadInputIsOneLineWithARemedy) {
  const std::string run = run_.string();
  ExpectRefused({"compare", run, run}, {"is given twice"});
  ExpectRefused({"compare", "nothing"}, {"nothing"});
  ExpectRefused({"compare", run, "--scenario", "onlin"}, {"--scenario", "did you mean \"online\"?"});
  ExpectRefused({"compare", run, "--cost-axis", "tpot_s"}, {"--cost-axis", "\"tpot_s\" is no cost axis", "purchase_usd"});
  ExpectRefused({"compare", run, "--axes", "s_mub"}, {"--axes", "did you mean \"s_mbu\"?"});
  ExpectRefused({"compare", run, "--by", "weather"}, {"--by weather", "hardware"});
  ExpectRefused({"compare", run, "--baseline", "F32"}, {"--baseline F32", ":F16"});
  ExpectRefused({"compare", run, "--concurrency", "7"}, {"concurrency 7", "choose one of 1, 2"});
  ExpectRefused({"compare", run, "--performance-axis", "goodput_requests_per_s"}, {"--limit-ttft-s"});
}

TEST_F(Compare, TheTerminalFormFitsEightyColumns) {
  const std::string copy = CopyOf("a-run-with-quite-a-long-name-20260131", [](Json&) {});
  const Outcome outcome = Call({"compare", run_.string(), copy, "--axes", "s_mbu,memory_bytes,ttft_s"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  std::istringstream lines(outcome.out);
  for (std::string line; std::getline(lines, line);) EXPECT_LE(DisplayWidth(line), 80u) << line;
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("TPOT"), HasSubstr("difference"), HasSubstr("class"), HasSubstr("Pareto"),
                                 HasSubstr("the paper recommends"), HasSubstr("robust score 100 at")));
  EXPECT_THAT(outcome.out, Not(HasSubstr("nan")));
}

}  // namespace
}  // namespace moecap::e2e
