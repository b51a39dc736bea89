#include "analysis/compare.h"

#include <gmock/gmock.h>

#include "analysis/testing/run_test_folder.h"
#include "base/json.h"

namespace moecap::analysis {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

StoredExperiment Read(const std::filesystem::path& dir, std::vector<CellName> cells = {},
                      const metrics::LatencyObjectives& objectives = {}) {
  auto stored = ReadStored(experiment::Results::Open(dir).value(), dir.filename().string(), std::move(cells), objectives);
  EXPECT_TRUE(stored.ok()) << (stored.ok() ? "" : stored.error().message);
  return *std::move(stored);
}

TestRun RunOf(const std::string& run_id, std::vector<TestSystem> systems, const std::string& load = "concurrency: [4]") {
  TestRun run;
  run.run_id = run_id;
  run.systems = std::move(systems);
  run.load = load;
  run.repeats = 2;
  return run;
}

cap::Comparison Compared(const std::vector<StoredExperiment>& experiments, const CompareOptions& options = {}) {
  auto comparison = Compare(experiments, options);
  EXPECT_TRUE(comparison.ok()) << (comparison.ok() ? "" : comparison.error().message);
  return *std::move(comparison);
}

std::string Refused(const std::vector<StoredExperiment>& experiments, const CompareOptions& options = {}) {
  const auto comparison = Compare(experiments, options);
  EXPECT_FALSE(comparison.ok());
  return comparison.ok() ? "" : comparison.error().message;
}

std::vector<std::string> Labels(const cap::Comparison& comparison) {
  std::vector<std::string> labels;
  for (const cap::ComparedCell& cell : comparison.cells) labels.push_back(cell.label);
  return labels;
}

TEST(CellName, HasRunSystemAndLevel) {
  const auto parts = [](const std::string& text) {
    const CellName name = ParseCellName(text);
    return std::tuple(name.run, name.system, name.level.value_or(-1));
  };
  EXPECT_EQ(parts("r"), std::tuple("r", "", -1));
  EXPECT_EQ(parts("results/r"), std::tuple("results/r", "", -1));
  EXPECT_EQ(parts("r:F16"), std::tuple("r", "F16", -1));
  EXPECT_EQ(parts("r:F16@8"), std::tuple("r", "F16", 8));
  EXPECT_EQ(parts("r@2.5"), std::tuple("r", "", 2.5));
  EXPECT_EQ(parts("r:a@b"), std::tuple("r", "a@b", -1));
  EXPECT_EQ(parts("r:http://h:8000@8"), std::tuple("r", "http://h:8000", 8));
}

TEST(Compare, SystemsOfTwoRunsMeetAtTheHighestCommonLevel) {
  const RunTestFolder dir;
  const auto a = Read(dir.Write(RunOf("a", {{.name = "x", .tpot_s = 0.02, .machine = "1 x h"}}, "concurrency: [2, 4, 8]")));
  const auto b = Read(dir.Write(RunOf("b", {{.name = "y", .tpot_s = 0.01, .machine = "1 x h"}}, "concurrency: [2, 4]")));
  const cap::Comparison comparison = Compared({a, b});
  EXPECT_THAT(Labels(comparison), ElementsAre("x", "y"));
  EXPECT_EQ(comparison.judgement.level, "4 clients");
  EXPECT_EQ(comparison.cells[1].experiment, 1u);
  EXPECT_EQ(comparison.cells[1].cell().label, "4 clients");
  EXPECT_EQ(comparison.judgement.evidence[0].experiment, "a");
  EXPECT_EQ(comparison.baseline, 0u);
  EXPECT_THAT(comparison.mismatches, IsEmpty());
  EXPECT_NEAR(*comparison.judgement.evidence[1].performance.value, 0.01, 1e-9);
}

TEST(Compare, LevelsMayDifferWhenTheyAreNamed) {
  const RunTestFolder dir;
  const auto folder = dir.Write(RunOf("a", {{.name = "x"}}, "concurrency: [2, 8]"));
  const cap::Comparison comparison = Compared({Read(folder, {ParseCellName("a:x@2"), ParseCellName("a:x@8")})});
  EXPECT_THAT(Labels(comparison), ElementsAre("x at 2 clients", "x at 8 clients"));
  EXPECT_EQ(comparison.judgement.level, "");
  EXPECT_THAT(comparison.warnings, Contains(HasSubstr("LEVELS")));
  EXPECT_THAT(Refused({Read(folder, {ParseCellName("a:x@3")})}), AllOf(HasSubstr("x@3"), HasSubstr("2 clients, 8 clients")));
  EXPECT_THAT(Refused({Read(folder, {ParseCellName("a:z")})}), HasSubstr("no system \"z\""));
}

TEST(Compare, ACellThatIsNamedTwiceIsThereOnce) {
  const RunTestFolder dir;
  const auto folder = dir.Write(RunOf("a", {{.name = "x"}, {.name = "y"}}));
  EXPECT_THAT(Labels(Compared({Read(folder, {ParseCellName("a:x@4"), ParseCellName("a")})})), ElementsAre("x", "y"));
}

TEST(Compare, AnOpenLoopIsComparedWithAClosedOneWhereBothAreNamed) {
  const RunTestFolder dir;
  const auto closed = dir.Write(RunOf("a", {{.name = "x"}}, "concurrency: [2]"));
  const auto open = dir.Write(RunOf("b", {{.name = "y"}}, "load: {rates_per_s: [3]}"));
  const cap::Comparison comparison = Compared({Read(closed, {ParseCellName("a:x@2")}), Read(open, {ParseCellName("b:y@3")})});
  EXPECT_THAT(Labels(comparison), ElementsAre("x at 2 clients", "y at 3 requests/s"));
}

TEST(Compare, ARunAndALoadTestOfVersion01) {
  const RunTestFolder dir;
  CompareOptions options;
  options.by = {"dataset", "contract", "workload", "hardware", "model"};
  const cap::Comparison comparison = Compared(
      {Read(dir.WriteRun01("r"), {ParseCellName("r@4")}), Read(dir.WriteLoad01("l"), {ParseCellName("l@2")})}, options);
  EXPECT_THAT(Labels(comparison), ElementsAre("A at 4 clients", "served at 2 requests/s"));
}

// The machine of a server is what is compared, never this host; where it is not told nothing is claimed.
TEST(Compare, HardwareIsThatOfTheSystem) {
  const RunTestFolder dir;
  const auto a = Read(dir.Write(RunOf("a", {{.name = "x", .machine = "8 x h100-sxm"}})));
  const auto b = Read(dir.Write(RunOf("b", {{.name = "y", .machine = "8 x h200-sxm"}})));
  const auto untold = Read(dir.Write(RunOf("c", {{.name = "z"}})));
  EXPECT_THAT(Refused({a, b}),
              AllOf(HasSubstr("differ in hardware"), HasSubstr("a has 8 x h100-sxm"), HasSubstr("--by hardware")));
  CompareOptions by;
  by.by = {"hardware"};
  const cap::Comparison intended = Compared({a, b}, by);
  ASSERT_EQ(intended.mismatches.size(), 1u);
  EXPECT_TRUE(intended.mismatches[0].intended);
  EXPECT_THAT(intended.mismatches[0].values, ElementsAre("8 x h100-sxm", "8 x h200-sxm"));
  CompareOptions force;
  force.force = true;
  EXPECT_THAT(Compared({a, b}, force).warnings, Contains(HasSubstr("FORCED: the runs differ in hardware")));
  const cap::Comparison unchecked = Compared({a, untold});
  EXPECT_THAT(unchecked.mismatches, IsEmpty());
  EXPECT_THAT(unchecked.warnings, Contains(AllOf(HasSubstr("machine of a server of c is not told"))));
  EXPECT_THAT(unchecked.warnings, Contains(HasSubstr("does not tell what it runs but by name")));
  EXPECT_THAT(unchecked.experiments[1].hardware, "");
}

// An engine in this process on a GPU runs on the machine that it names, like a server beside it.
TEST(Compare, AGpuIsTheHardwareOfItsEngine) {
  const RunTestFolder dir;
  const auto server = Read(dir.Write(RunOf("a", {{.name = "x", .machine = "h200-sxm"}})));
  auto engine = Read(dir.Write(RunOf("b", {{.name = "y", .machine = "h200-sxm"}})));
  engine.manifest.systems[0].description.in_process = true;
  EXPECT_THAT(Refused({server, engine}), HasSubstr("differ in hardware"));
  engine.manifest.systems[0].description.devices.gpus = {"CUDA0 (NVIDIA H200)"};
  EXPECT_THAT(Compared({server, engine}).mismatches, IsEmpty());
}

TEST(Compare, OtherProblemsAreRefused) {
  const RunTestFolder dir;
  const auto a = Read(dir.Write(RunOf("a", {{.name = "x", .scores = {1, 0, 1}}})));
  const auto same = Read(dir.Write(RunOf("b", {{.name = "y", .scores = {1, 1, 1}}})));
  TestRun fewer = RunOf("c", {{.name = "z", .scores = {1, 0}}});
  fewer.requests = 2;
  EXPECT_THAT(Compared({a, same}).mismatches, IsEmpty());
  EXPECT_THAT(Refused({a, Read(dir.Write(fewer))}),
              AllOf(HasSubstr("dataset"), HasSubstr("3 problems"), HasSubstr("2 problems")));
  EXPECT_THAT(Refused({a, Read(dir.Write(RunOf("d", {{.name = "v"}})))}), HasSubstr("workload"));
}

TEST(Compare, NamesAreToldApartAndFound) {
  const RunTestFolder dir;
  const auto a = Read(dir.Write(RunOf("a", {{.name = "x"}, {.name = "y"}})));
  const auto b = Read(dir.Write(RunOf("b", {{.name = "x"}})));
  EXPECT_THAT(Labels(Compared({a, b})), ElementsAre("a/x", "a/y", "b/x"));
  CompareOptions options;
  for (const auto& [baseline, index] :
       std::map<std::string, size_t>{{"a", 0}, {"b", 2}, {"a:y", 1}, {"y", 1}, {"b/x", 2}, {"b:x@4", 2}}) {
    options.baseline = baseline;
    EXPECT_EQ(Compared({a, b}, options).baseline, index) << baseline;
  }
  options.baseline = "z";
  EXPECT_THAT(Refused({a, b}, options), AllOf(HasSubstr("--baseline z"), HasSubstr("a/x, a/y, b/x")));
  options.baseline = "";
  options.systems = {"x"};
  EXPECT_THAT(Labels(Compared({a, b}, options)), ElementsAre("a/x", "b/x"));
  options.systems = {"xx"};
  EXPECT_THAT(Refused({a, b}, options), HasSubstr("no system \"xx\""));
  EXPECT_THAT(Refused({a, a}), HasSubstr("given twice"));
  EXPECT_THAT(Refused({}), HasSubstr("no run is given"));
}

TEST(Compare, ASystemWithoutTheLevelIsLeftOutWithAWord) {
  const RunTestFolder dir;
  const auto a = Read(dir.Write(RunOf("a", {{.name = "x"}}, "concurrency: [2, 4]")));
  const auto b = Read(dir.Write(RunOf("b", {{.name = "y"}}, "concurrency: [4]")));
  CompareOptions options;
  options.choice.level = 2;
  const cap::Comparison comparison = Compared({a, b}, options);
  EXPECT_THAT(Labels(comparison), ElementsAre("x"));
  EXPECT_THAT(comparison.warnings, Contains(HasSubstr("LEFT OUT: y of b")));
  options.choice.level = 16;
  EXPECT_THAT(Refused({a, b}, options), AllOf(HasSubstr("level 16"), HasSubstr("2 clients, 4 clients")));
}

TEST(Compare, GoodputNeedsObjectives) {
  const RunTestFolder dir;
  const auto folder = dir.Write(RunOf("a", {{.name = "x"}}));
  CompareOptions options;
  options.choice.performance = cap::FigureId::kGoodput;
  EXPECT_THAT(Refused({Read(folder)}, options), HasSubstr("--limit-ttft-s"));
  const cap::Comparison comparison = Compared({Read(folder, {}, {.ttft_s = 1})}, options);
  EXPECT_GT(*comparison.judgement.evidence[0].performance.value, 0);
}

TEST(Compare, WarnsOfWhatWasInterruptedOrPricedDifferently) {
  const RunTestFolder dir;
  TestRun stopped = RunOf("b", {{.name = "y", .machine = "1 x h", .usd_per_h = 4}});
  stopped.complete = false;
  const cap::Comparison comparison =
      Compared({Read(dir.Write(RunOf("a", {{.name = "x", .machine = "1 x h", .usd_per_h = 3}}))), Read(dir.Write(stopped))});
  EXPECT_THAT(comparison.warnings, Contains(HasSubstr("INCOMPLETE: b")));
  EXPECT_THAT(comparison.warnings, Contains(HasSubstr("PRICES: the configurations of the runs price 1 x h differently")));
}

}  // namespace
}  // namespace moecap::analysis
