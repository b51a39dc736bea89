// `moecap compare` as its users run it, on small stored runs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "analysis/testing/run_test_folder.h"
#include "base/json.h"
#include "base/table.h"
#include "program.h"

namespace moecap::e2e {
namespace {
namespace fs = std::filesystem;
using analysis::TestRun;
using analysis::TestSystem;
using testing::AllOf;
using testing::HasSubstr;

class CompareCli : public testing::Test {
 protected:
  void SetUp() override {
    Write("first", {{.name = "slow", .tpot_s = 0.02, .scores = {1, 1, 0}, .machine = "1 x h100-sxm", .usd_per_h = 2},
                    {.name = "fast", .tpot_s = 0.01, .scores = {1, 0, 0}, .machine = "1 x h100-sxm", .usd_per_h = 2}});
    Write("second", {{.name = "other", .tpot_s = 0.005, .scores = {1, 1, 1}, .machine = "1 x h200-sxm", .usd_per_h = 4}});
  }
  void Write(const std::string& run_id, std::vector<TestSystem> systems) const {
    TestRun run;
    run.run_id = run_id;
    run.systems = std::move(systems);
    run.load = "concurrency: [2, 4]";
    run.repeats = 5;
    dir_.Write(run);
  }
  Outcome Call(const std::vector<std::string>& args) const { return CallProgram(dir_ / "", args); }
  Json CallJson(const std::vector<std::string>& args) const {
    const Outcome outcome = Call(args);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return ParseJson(outcome.out).value();
  }
  static std::vector<std::string> Labels(const Json& comparison) {
    std::vector<std::string> labels;
    for (const Json& cell : comparison["cells"]) labels.push_back(cell["label"]);
    return labels;
  }

  analysis::RunTestFolder dir_;
};

TEST_F(CompareCli, OneRunsSystems) {
  const Json comparison = CallJson({"compare", "first", "--json"});
  EXPECT_EQ(Labels(comparison), (std::vector<std::string>{"slow", "fast"}));
  EXPECT_EQ(comparison["judgement"]["level"], "4 clients");
  const Outcome text = Call({"compare", "first"});
  EXPECT_EQ(text.exit_code, 0) << text.err;
  EXPECT_THAT(text.out, AllOf(HasSubstr("slow"), HasSubstr("fast"), HasSubstr("4 clients")));
  EXPECT_EQ(CallJson({"compare", "first", "--level", "2", "--json"})["judgement"]["level"], "2 clients");
}

TEST_F(CompareCli, RunsThatDifferAreRefusedUnlessThatIsMeant) {
  const Outcome refused = Call({"compare", "first", "second"});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, AllOf(HasSubstr("differ in hardware"), HasSubstr("1 x h200-sxm"), HasSubstr("--by hardware")));
  const Json meant = CallJson({"compare", "first", "second", "--by", "hardware", "--json"});
  EXPECT_EQ(meant["mismatches"][0]["intended"], true);
  const Outcome forced = Call({"compare", "first", "second", "--force", "--json"});
  EXPECT_EQ(forced.exit_code, 0);
  EXPECT_THAT(forced.err, HasSubstr("WARNING: FORCED: the runs differ in hardware"));
}

TEST_F(CompareCli, CellsAreNamed) {
  const Json levels = CallJson({"compare", "first:slow@2", "first:slow@4", "--json"});
  EXPECT_EQ(Labels(levels), (std::vector<std::string>{"slow at 2 clients", "slow at 4 clients"}));
  const Json systems = CallJson({"compare", "first:fast", "second", "--by", "hardware", "--baseline", "second", "--json"});
  EXPECT_EQ(Labels(systems), (std::vector<std::string>{"fast", "other"}));
  EXPECT_EQ(systems["baseline"], 1);
  EXPECT_THAT(Call({"compare", "first:fats"}).err, HasSubstr("did you mean \"fast\"?"));
  EXPECT_THAT(Call({"compare", "first", "--performance", "speed"}).err, HasSubstr("--performance"));
}

TEST_F(CompareCli, NoLineIsWiderThanEightyCells) {
  for (const std::vector<std::string>& args :
       {std::vector<std::string>{"compare", "first"}, {"compare", "first", "second", "--force", "--all"}}) {
    const Outcome outcome = Call(args);
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    std::istringstream lines(outcome.out);
    for (std::string line; std::getline(lines, line);) EXPECT_LE(DisplayWidth(line), 80u) << line;
  }
}

TEST_F(CompareCli, WritesItsFiles) {
  ASSERT_EQ(Call({"compare", "first", "--write-to", "written"}).exit_code, 0);
  for (const char* name : {"comparison.json", "comparison.md", "comparison.csv", "comparison.html"})
    EXPECT_TRUE(fs::exists(dir_ / "written" / name)) << name;
}

// A run and a load test of version 0.1 are cells like others.
TEST_F(CompareCli, FoldersOfVersion01) {
  dir_.WriteRun01("old-run");
  dir_.WriteLoad01("old-load");
  const Json comparison = CallJson({"compare", "old-run@4", "old-load@2", "--by", "dataset,contract,workload", "--json"});
  EXPECT_EQ(Labels(comparison), (std::vector<std::string>{"A at 4 clients", "served at 2 requests/s"}));
}

}  // namespace
}  // namespace moecap::e2e
