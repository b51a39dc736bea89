#include "experiment/server_records.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <array>
#include <fstream>

#include "experiment/cell_notes.h"
#include "experiment/server_passes.h"
#include "experiment/testing/fake_driver.h"

namespace moecap::experiment {
namespace {

using record::PassRecord;
using record::Source;
using testing::ElementsAre;
using testing::HasSubstr;

class ServerRecords : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "moecap-records-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
    file_ = folder_ / "passes.jsonl";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void Write(const std::string& text) { std::ofstream(file_, std::ios::app) << text; }

  std::filesystem::path folder_, file_;
};

// As tools/peer_systems/pass_records.py writes them.
std::string Line(double clock_s, int requests) {
  std::string sequences;
  for (int i = 0; i < requests; ++i) sequences += std::string(i > 0 ? "," : "") + R"({"context_tokens":5,"new_tokens":1})";
  return R"({"schema":1,"pass":7,"kind":"decode","start_s":3.5,"latency_s":0.25,"sequences":[)" + sequences +
         R"(],"distinct_experts":[2,3],"expert_counts":[[1,1,0,0],[1,1,1,0]],"requests":["a"],"clock_monotonic_s":)" +
         std::to_string(clock_s) + "}\n";
}

TEST_F(ServerRecords, AreThoseOfTheMeasurementOnItsOwnClock) {
  Write(Line(99, 1));
  const auto begin = SizeOfServerRecords(file_);
  ASSERT_TRUE(begin.ok());
  Write(Line(99.5, 1) + Line(100.5, 2) + Line(101, 1) + Line(103, 1));
  const auto passes = ReadServerRecords(file_, *begin, {100, 102});
  ASSERT_TRUE(passes.ok()) << passes.error().message;
  ASSERT_EQ(passes->size(), 2u);
  EXPECT_EQ(passes->front().pass, 0);
  EXPECT_DOUBLE_EQ(passes->front().start_s, 0.5);
  EXPECT_EQ(passes->front().SequenceCount(), 2);
  EXPECT_EQ(passes->front().source, Source::kServerReported);
  EXPECT_EQ(passes->front().clock_monotonic_s, std::nullopt);
  EXPECT_DOUBLE_EQ(passes->back().start_s, 1);
}

TEST_F(ServerRecords, SayWhatIsWrong) {
  EXPECT_THAT(SizeOfServerRecords(file_).error().message, testing::AllOf(HasSubstr(file_.string()), HasSubstr("pass_records")));
  Write(R"({"schema":1,"kind":"decode","latency_s":1,"sequences":[]})"
        "\n");
  EXPECT_THAT(ReadServerRecords(file_, 0, {0, 1}).error().message, HasSubstr("clock_monotonic_s"));
  Write("{\n");
  EXPECT_THAT(ReadServerRecords(file_, 0, {0, 1}).error().message, HasSubstr(":2"));
  EXPECT_THAT(ReadServerRecords(file_, 1 << 20, {0, 1}).error().message, HasSubstr("shorter"));
}

PassRecord Decode(int requests) {
  PassRecord pass;
  pass.sequences = {{5, 1, requests}};
  pass.source = pass.distinct_experts_source = Source::kServerReported;
  return pass;
}

TEST(UseRecordedPasses, TakesThePlaceOfTheReconstructedOnes) {
  metrics::PassReconstruction passes;
  passes.passes = {Decode(1), Decode(2), Decode(1)};
  std::vector<PassRecord> recorded = {Decode(1), Decode(2), Decode(2)};
  recorded[0].distinct_experts = {1, 2};
  ServerPassFacts facts;
  ASSERT_TRUE(UseRecordedPasses(SmallMoe(), nullptr, recorded, passes, facts));
  EXPECT_EQ(facts.recorded, 3);
  EXPECT_EQ(facts.recorded_alike, 2);
  EXPECT_THAT(passes.passes[0].distinct_experts, ElementsAre(1, 2));
  EXPECT_EQ(passes.passes[0].distinct_experts_source, Source::kServerReported);
  EXPECT_EQ(passes.passes[1].distinct_experts_source, Source::kEstimated) << "it holds no experts";
}

TEST(UseRecordedPasses, AlsoWhereNothingCouldBeReconstructed) {
  metrics::PassReconstruction passes;
  passes.missing = "answers came whole";
  ServerPassFacts facts{.missing = passes.missing};
  ASSERT_TRUE(UseRecordedPasses(SmallMoe(), nullptr, std::vector{Decode(1)}, passes, facts));
  EXPECT_EQ(facts.missing, "");
  EXPECT_EQ(facts.recorded_alike, std::nullopt);
}

TEST(UseRecordedPasses, RefusesAnotherModel) {
  metrics::PassReconstruction passes;
  passes.passes = {Decode(1)};
  std::vector<PassRecord> recorded = {Decode(1)};
  recorded[0].distinct_experts = {1, 2, 3};
  ServerPassFacts facts;
  EXPECT_FALSE(UseRecordedPasses(SmallMoe(), nullptr, recorded, passes, facts));
  EXPECT_THAT(facts.recorded_missing, HasSubstr("give the model that the server runs"));
  EXPECT_EQ(passes.passes.size(), 1u);
  EXPECT_FALSE(UseRecordedPasses(SmallMoe(), nullptr, {}, passes, facts));
}

// The cell says how many passes were compared, and claims nothing where one measurement's could not be.
TEST(NoteRecorded, SaysHowManyAreAlikeOnlyWhereAllWereCompared) {
  std::array<Measurement, 2> measurements;
  std::array<MeasuredFacts, 2> facts;
  std::vector<const MeasuredFacts*> whole;
  for (size_t i = 0; i < facts.size(); ++i) {
    measurements[i].server_passes = ServerPassFacts();
    measurements[i].server_passes->recorded = 10;
    measurements[i].server_passes->recorded_alike = 9;
    facts[i].measurement = &measurements[i];
    whole.push_back(&facts[i]);
  }
  PassRecord pass = Decode(1);
  pass.source = Source::kServerReported;
  const Manifest manifest;
  const PricedSystem system;
  cap::MachineSummary machine;
  const CostFigures cost({}, std::nullopt, "", {}, machine);
  const CellContext context{manifest, system, {}, cost, ""};
  const auto note = [&] {
    cap::CellSummary cell;
    NoteRecorded(context, std::span(&pass, 1), whole, cell);
    return cell.notes;
  };
  EXPECT_THAT(note(), ElementsAre(testing::AllOf(HasSubstr("20 passes as the server wrote them down"),
                                                 HasSubstr("18 of them are composed as reconstructed"))));
  measurements[1].server_passes->recorded_alike = std::nullopt;
  EXPECT_THAT(note(), ElementsAre(testing::AllOf(HasSubstr("20 passes as the server wrote them down"),
                                                 testing::Not(HasSubstr("composed as reconstructed")))));
  for (Measurement& measurement : measurements) measurement.server_passes->recorded = std::nullopt;
  EXPECT_THAT(note(), testing::IsEmpty());
}

}  // namespace
}  // namespace moecap::experiment
