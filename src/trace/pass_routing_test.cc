#include "trace/pass_routing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/fs.h"
#include "base/testing/temp_dir.h"
#include "record/jsonl.h"
#include "trace/import.h"
#include "trace/moetrace.h"

namespace moecap::trace {
namespace {

namespace fs = std::filesystem;
using record::PassRecord;
using testing::HasSubstr;

// Layers 1 and 3 of four have 4 experts, top-2.
model::ModelSpec Model() {
  model::ModelSpec spec;
  spec.id = "small";
  spec.layers.resize(4);
  for (const size_t layer : {1u, 3u}) {
    spec.layers[layer].ffn.experts = 4;
    spec.layers[layer].ffn.top_k = 2;
  }
  return spec;
}

std::vector<PassRecord> Passes() {
  std::vector<PassRecord> passes(3);
  for (size_t i = 0; i < passes.size(); ++i) {
    passes[i].cell = {"A", 4, 1};
    passes[i].pass = static_cast<int64_t>(i);
    passes[i].sequences = {{5, 1, 2}};
    passes[i].distinct_experts = {3, 2};
    passes[i].expert_counts = {{2, 1, 1, 0}, {2, 0, 0, 2}};
  }
  passes[0].kind = record::PassKind::kPrefill;
  passes[1].expert_counts.clear();  // nobody told
  passes[1].distinct_experts_source = record::Source::kEstimated;
  passes[2].expert_counts[1] = {0, 1, 0, 1};
  return passes;
}

class PassRoutingTest : public testing::Test {
 protected:
  // As a measurement stores them.
  bool Store(const std::vector<PassRecord>& passes) {
    const auto traced = WritePassRouting(dir_, Model(), passes);
    EXPECT_TRUE(traced.ok());
    std::ofstream out(passes_);
    for (const PassRecord& pass : passes) out << record::ToJsonLine(pass, !*traced) << "\n";
    return *traced;
  }

  TempDir temp_;
  const fs::path dir_ = temp_.path(), passes_ = dir_ / "passes.jsonl", routing_ = dir_ / kRoutingFile;
};

TEST_F(PassRoutingTest, CountsLieBesideAndComeBack) {
  const std::vector<PassRecord> passes = Passes();
  ASSERT_TRUE(Store(passes));
  EXPECT_THAT(ReadFile(passes_).value(), testing::Not(HasSubstr("expert_counts")));
  const auto read = ReadRoutedPasses(passes_);
  ASSERT_TRUE(read.ok()) << read.error().message;
  ASSERT_EQ(read->size(), 3u);
  for (size_t i = 0; i < passes.size(); ++i)
    EXPECT_EQ(record::ToJsonLine(read->at(i)), record::ToJsonLine(passes[i])) << "nothing was lost";
  const auto reader = MoetraceReader::Open(routing_);
  ASSERT_TRUE(reader.ok());
  EXPECT_THAT((*reader)->header().layer_numbers, testing::ElementsAre(1, 3));
  EXPECT_EQ((*reader)->header().top_k, 2);
  EXPECT_EQ((*reader)->header().share.cell, "A, 4 clients, repetition 1");
}

TEST_F(PassRoutingTest, TheTraceOfPassesIsTheSame) {
  const auto trace = [&] {
    std::vector<TracePass> passes;
    EXPECT_EQ(CellsOf(passes_).value().size(), 1u);
    const auto source = OpenTrace(passes_, ImportKind::kPasses, {});
    EXPECT_TRUE(source.ok()) << source.error().message;
    TracePass pass;
    while ((*source)->Next(pass).value()) passes.push_back(pass);
    return std::pair((*source)->header(), passes);
  };
  ASSERT_TRUE(Store(Passes()));
  const auto beside = trace();
  EXPECT_EQ(beside.second.size(), 2u);
  fs::remove(routing_);
  std::ofstream out(passes_);
  for (const PassRecord& pass : Passes()) out << record::ToJsonLine(pass) << "\n";
  out.close();
  EXPECT_EQ(trace(), beside) << "as of a run whose passes hold them";
}

TEST_F(PassRoutingTest, CountsThatNoTraceHoldsStayWithThePasses) {
  std::vector<PassRecord> passes = Passes();
  passes[2].expert_counts[1].push_back(0);
  EXPECT_FALSE(Store(passes));
  EXPECT_FALSE(fs::exists(routing_));
  EXPECT_EQ(ReadRoutedPasses(passes_).value()[2].expert_counts, passes[2].expert_counts);
  for (PassRecord& pass : passes) pass.expert_counts.clear();
  ASSERT_TRUE(Store(Passes()));
  EXPECT_FALSE(Store(passes)) << "there are none";
  EXPECT_FALSE(fs::exists(routing_)) << "what an earlier end left is of other passes";
}

TEST_F(PassRoutingTest, RefusesTheTraceOfOtherPasses) {
  ASSERT_TRUE(Store(Passes()));
  const std::string whole = ReadFile(routing_).value(), lines = ReadFile(passes_).value();
  ASSERT_TRUE(WriteFileAtomically(passes_, lines.substr(0, lines.find('\n') + 1)).ok());
  EXPECT_THAT(ReadRoutedPasses(passes_).error().message, HasSubstr("of other passes"));
  std::string grown = lines;
  grown.replace(grown.find("\"count\":2"), 9, "\"count\":3");
  ASSERT_TRUE(WriteFileAtomically(passes_, grown).ok());
  EXPECT_THAT(ReadRoutedPasses(passes_).error().message, HasSubstr("of other passes")) << "another number of tokens";
  ASSERT_TRUE(WriteFileAtomically(passes_, lines).ok());
  ASSERT_TRUE(WriteFileAtomically(routing_, whole.substr(0, whole.size() - 3)).ok());
  EXPECT_THAT(ReadRoutedPasses(passes_).error().message, HasSubstr("cut off"));
  ASSERT_TRUE(WriteFileAtomically(routing_, "nonsense").ok());
  EXPECT_THAT(ReadRoutedPasses(passes_).error().message, HasSubstr("not a .moetrace file"));
}

}  // namespace
}  // namespace moecap::trace
