// Whose share a recording holds: ranks, stages, copies and replicas, filler in the ids, and the small formats that hold counts.
#include "trace/recording.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "base/testing/temp_dir.h"
#include "routing/npy.h"
#include "routing/npy_test_writer.h"
#include "trace/importers.h"
#include "trace/moetrace.h"
#include "trace/summarize.h"
#include "trace/summary_json.h"
#include "trace/torch_test_writer.h"
#include "trace/trace_test_files.h"
#include "trace/upstream.h"

namespace moecap::trace {
namespace {

using routing::Npy;
using testing::AllOf;
using testing::Contains;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

class Recording : public testing::Test {
 protected:
  std::filesystem::path Put(const std::string& name, const std::string& bytes) {
    std::filesystem::create_directories((dir_ / name).parent_path());
    return dir_.Write(name, bytes);
  }
  struct Read {
    TraceHeader header;
    std::vector<TracePass> passes;
    PhysicalLoad physical;
    std::string error;
  };
  Read Open(const std::vector<std::filesystem::path>& paths, const ImportOptions& options = {}) {
    auto source = OpenRecording(paths, std::nullopt, options);
    Read read;
    if (!source.ok()) {
      read.error = source.error().message;
      return read;
    }
    read.header = (*source)->header();
    read.passes = AllPasses(**source);
    read.physical = (*source)->Physical();
    return read;
  }

  TempDir dir_;
};

// per_pass records of one rank: [pass][layer][expert].
std::string RankFile(int rank, const std::vector<std::vector<int32_t>>& passes, int64_t layers, int64_t experts) {
  TorchTestWriter torch;
  std::vector<std::string> records;
  for (size_t i = 0; i < passes.size(); ++i) {
    records.push_back(torch.Dict({{"forward_pass_id", TorchTestWriter::Int(static_cast<int64_t>(i))},
                                  {"rank", TorchTestWriter::Int(rank)},
                                  {"global_physical_count", torch.Tensor(passes[i], {layers, experts})}}));
  }
  return torch.File(torch.Dict({{"records", torch.List(records)}}));
}

TEST_F(Recording, OneRankOfExpertParallelismIsAPart) {
  // Of 8 experts, this rank counted none but the first two.
  const auto read = Open({Put(
      "r0.pt", RankFile(0, {{3, 5, 0, 0, 0, 0, 0, 0, 4, 2, 0, 0, 0, 0, 0, 0}, {1, 1, 0, 0, 0, 0, 0, 0, 2, 3, 0, 0, 0, 0, 0, 0}},
                        2, 8))});
  EXPECT_EQ(read.error, "");
  EXPECT_THAT(read.header.share.ranks, ElementsAre(0));
  // Two passes are few to tell from; the user's word always counts.
  ImportOptions four;
  four.ranks = 4;
  const auto told = Open({dir_.path() / "r0.pt"}, four);
  EXPECT_EQ(told.error, "");
  EXPECT_EQ(told.header.share.world, 4);
  EXPECT_THAT(told.header.share.MissingRanks(), ElementsAre(1, 2, 3));
}

TEST_F(Recording, RanksOfOtherExpertsAreAddedUpAndMissingOnesNamed) {
  Put("ep/r0.pt", RankFile(0, {{3, 5, 0, 0}}, 1, 4));
  Put("ep/r1.pt", RankFile(1, {{0, 0, 2, 6}}, 1, 4));
  const auto both = Open({dir_.path() / "ep"});
  ASSERT_EQ(both.error, "");
  ASSERT_THAT(both.passes, SizeIs(1));
  EXPECT_THAT(both.passes[0].counts, ElementsAre(3, 5, 2, 6));
  EXPECT_THAT(both.header.share.ranks, ElementsAre(0, 1));
  EXPECT_THAT(both.header.notes, Contains(HasSubstr("added up")));
  ImportOptions three;
  three.ranks = 3;
  const auto part = Open({dir_.path() / "ep"}, three);
  EXPECT_EQ(part.header.share.whole, false);
  EXPECT_THAT(part.header.share.MissingRanks(), ElementsAre(2));
  for (const int all : {1, 2}) {
    three.ranks = all;
    const auto whole = Open({dir_.path() / "ep"}, three);
    EXPECT_EQ(whole.header.share.whole, true);
    EXPECT_THAT(whole.header.share.MissingRanks(), testing::IsEmpty());
  }
  // A gap shows without being told.
  Put("gap/r0.pt", RankFile(0, {{3, 5, 0, 0}}, 1, 4));
  Put("gap/r2.pt", RankFile(2, {{0, 0, 2, 6}}, 1, 4));
  EXPECT_THAT(Open({dir_.path() / "gap"}).header.share.MissingRanks(), ElementsAre(1));
  three.ranks = 2;
  EXPECT_THAT(Open({dir_.path() / "gap"}, three).error, HasSubstr("--ranks 2, but there is a file of rank 2"));
}

TEST_F(Recording, RanksThatCountedTheSameAreCopies) {
  for (const int rank : {0, 1}) Put("tp/r" + std::to_string(rank) + ".pt", RankFile(rank, {{3, 5, 4, 4}, {1, 0, 1, 2}}, 1, 4));
  const auto read = Open({dir_.path() / "tp"});
  ASSERT_EQ(read.error, "");
  ASSERT_THAT(read.passes, SizeIs(2));
  EXPECT_THAT(read.passes[0].counts, ElementsAre(3, 5, 4, 4));
  EXPECT_THAT(read.header.notes, Contains(HasSubstr("count once")));
}

TEST_F(Recording, ARankMayHaveWaitedAllTheTime) {
  Put("dp/rank0.pt", RankFile(0, {{3, 5, 4, 4}}, 1, 4));
  Put("dp/rank1.pt", RankFile(1, {{0, 0, 0, 0}}, 1, 4));
  const auto read = Open({dir_.path() / "dp"});
  ASSERT_EQ(read.error, "");
  EXPECT_THAT(read.header.share.ranks, ElementsAre(0, 1));
  EXPECT_THAT(read.header.notes, Contains(HasSubstr("rank 1 counted nothing")));
  EXPECT_THAT(Open({dir_.path() / "dp/rank1.pt"}).error, HasSubstr("every count is zero"));
}

TEST_F(Recording, TwoRecordingsOfOneRankAreNotOne) {
  const auto a = Put("a.pt", RankFile(0, {{3, 5, 4, 4}}, 1, 4)), b = Put("b.pt", RankFile(0, {{5, 3, 4, 4}}, 1, 4));
  EXPECT_THAT(Open({a, b}).error, HasSubstr("two recordings"));
}

TEST_F(Recording, EqualPromptsAreNotDivided) {
  TorchTestWriter torch;
  std::vector<int32_t> counts(20 * 2 * 8);
  for (size_t i = 0; i < counts.size(); ++i) counts[i] = 2 * static_cast<int32_t>(1 + i % 3);
  const std::string file = torch.File(torch.Dict({{"logical_count", torch.Tensor(counts, {20, 2, 8})}}));
  const auto read = Open({Put("twins.pt", file)});
  ASSERT_EQ(read.error, "");
  EXPECT_EQ(read.passes[0].counts[0], 2);
  EXPECT_THAT(read.header.notes, Contains(HasSubstr("multiple of 2")));
}

TEST_F(Recording, TwoDimensionalCountsAreOnePass) {
  TorchTestWriter torch;
  const std::string file =
      torch.File(torch.Dict({{"logical_count", torch.Tensor(std::vector<int64_t>{3, 5, 0, 8, 1, 2, 9, 4}, {2, 4})}}));
  const auto read = Open({Put("flat.pt", file)});
  ASSERT_EQ(read.error, "");
  ASSERT_THAT(read.passes, SizeIs(1));
  EXPECT_THAT(read.passes[0].counts, ElementsAre(3, 5, 0, 8, 1, 2, 9, 4));
  EXPECT_EQ(read.header.grain, Grain::kTotals);
}

// [4 tokens][2 layers][2].
TEST_F(Recording, WrappedIdsAreRefused) {
  // The model has 300 experts; u1 cannot hold them, and i1 shows it by negative ids.
  const auto file = Put("u1.npy", Npy("|u1", {2, 2, 2}, std::vector<uint8_t>{1, 2, 3, 4, 5, 6, 7, 8}));
  EXPECT_THAT(Open({file}, {"m", 300, 2, 2, {0, 1}}).error, AllOf(HasSubstr("300"), HasSubstr("type")));
  EXPECT_EQ(Open({file}, {"m", 200, 2, 2, {0, 1}}).error, "");
  const auto negative = Put("i2.npy", Npy("<i2", {2, 1, 2}, std::vector<int16_t>{1, -7, 3, 4}));
  EXPECT_THAT(Open({negative}).error, HasSubstr("-7"));
}

TEST_F(Recording, FillerColumnsAreNoChoices) {
  // 255 in the last column of every row, as SGLang's top-k buffer has it.
  std::vector<uint8_t> ids;
  for (int token = 0; token < 40; ++token) {
    for (int layer = 0; layer < 2; ++layer) {
      ids.insert(ids.end(), {static_cast<uint8_t>(token % 8), static_cast<uint8_t>((token + 1 + layer) % 8), uint8_t{255}});
    }
  }
  const auto read = Open({Put("filler.npy", Npy("|u1", {40, 2, 3}, ids))});
  ASSERT_EQ(read.error, "");
  EXPECT_EQ(read.header.experts, 8);
  EXPECT_EQ(read.header.top_k, 2);
}

TEST_F(Recording, ZeroExpertsComputeNothing) {
  // 4 experts, and 2 that only pass the token on (ids 4 and 5).
  const std::vector<uint8_t> ids = {0, 4, 1, 2, 3, 5, 2, 0, 4, 5, 1, 3};
  const auto file = Put("zero.npy", Npy("|u1", {6, 1, 2}, ids));
  ImportOptions options{"m", 4, 2, 1, {0}};
  EXPECT_NE(Open({file}, options).error, "");
  options.zero_experts = 2;
  const auto read = Open({file}, options);
  ASSERT_EQ(read.error, "");
  EXPECT_EQ(read.header.experts, 4);
  EXPECT_THAT(read.passes[0].ids, ElementsAre(0, kNoExpert, 1, 2, 3, kNoExpert, 2, 0, kNoExpert, kNoExpert, 1, 3));
}

TEST_F(Recording, CountsInJson) {
  const auto eplb = Put("eplb.json", R"({"logical_count": [[[3, 5, 0, 8], [1, 2, 9, 4]]]})");
  auto read = Open({eplb});
  ASSERT_EQ(read.error, "");
  EXPECT_EQ(read.header.grain, Grain::kTotals);
  EXPECT_THAT(read.passes[0].counts, ElementsAre(3, 5, 0, 8, 1, 2, 9, 4));
  read = Open({Put("map.json", R"({"expert_load": [[3, 5, 4]], "physical_to_logical_map": [[0, 1, 0]]})")});
  ASSERT_EQ(read.error, "");
  EXPECT_THAT(read.passes[0].counts, ElementsAre(7, 5));
  EXPECT_EQ(read.header.share.physical_experts, 3);
  EXPECT_THAT(read.physical.counts, ElementsAre(ElementsAre(3, 5, 4)));
  EXPECT_THAT(Open({Put("only_map.json", R"({"physical_to_logical_map": [[0, 1, 0]]})")}).error, HasSubstr("no routing in it"));
  EXPECT_THAT(Open({Put("ragged.json", R"({"logical_count": [[1, 2], [1]]})")}).error,
              HasSubstr("different numbers of experts"));
  EXPECT_THAT(Open({Put("half.json", R"({"logical_count": [[1, 2.5]]})")}).error, HasSubstr("whole number"));
  EXPECT_THAT(Open({Put("zero.json", R"({"logical_count": [[0, 0]]})")}).error, HasSubstr("every count is zero"));
}

TEST_F(Recording, CountsInCsv) {
  const auto old = Put("rank0.csv", "\xEF\xBB\xBFlayer_id,expert_id,count\r\n1,0,3\r\n1,3,5\r\n2,1,\"8\"\r\n");
  auto read = Open({old});
  ASSERT_EQ(read.error, "");
  EXPECT_THAT(read.header.layer_numbers, ElementsAre(1, 2));
  EXPECT_THAT(read.passes[0].counts, ElementsAre(3, 0, 0, 5, 0, 8, 0, 0));
  read = Open({Put("wide.csv", "layer,exp_0,exp_1\nmodel.layers.3.mlp.experts,4,6\n")});
  ASSERT_EQ(read.error, "");
  EXPECT_THAT(read.header.layer_numbers, ElementsAre(3));
  EXPECT_THAT(read.passes[0].counts, ElementsAre(4, 6));
  EXPECT_THAT(Open({Put("bad.csv", "layer_id,expert_id,count\n1,0,x\n")}).error, HasSubstr("line 2"));
}

TEST_F(Recording, ChoicesInCsv) {
  const auto read = Open({Put("trace.csv", "step,layer,expert\n0,0,1\n0,0,2\n0,1,3\n0,1,0\n1,0,1\n1,0,3\n1,1,2\n1,1,0\n")});
  ASSERT_EQ(read.error, "");
  ASSERT_THAT(read.passes, SizeIs(2));
  EXPECT_THAT(read.passes[0].counts, ElementsAre(0, 1, 1, 0, 1, 0, 0, 1));
  EXPECT_EQ(Open({Put("plain.csv", "layer,expert\n0,1\n0,2\n1,3\n1,0\n")}).header.grain, Grain::kTotals);
}

TEST_F(Recording, ArraysOfSeveralRequests) {
  const std::string one = Npy("|u1", {2, 1, 2}, std::vector<uint8_t>{0, 1, 2, 3});
  ZipTestWriter zip;
  zip.Add("a.npy", one);
  zip.Add("b.npy", one);
  const auto read = Open({Put("routes.npz", zip.File())});
  ASSERT_EQ(read.error, "");
  ASSERT_THAT(read.passes, SizeIs(2));
  EXPECT_NE(read.passes[0].sequences[0], read.passes[1].sequences[0]);
  // numpy.savez_compressed of {"a": one}, packed by CPython's zipfile.
  const std::string packed =
      routing::DecodeBase64(
          "UEsDBBQAAAAIAAUSfl1XFwtwTQAAAIQAAAAFAAAAYS5ucHmb7BfqGxDJyFDGUK2eklqcXKRupaBeU2qorqOgnpZfVFKUmBef"
          "X5SSChJ3S8wpTgWKF2ckFqQC+RpGOgqGOgpGmjoKtQrkAS4GRiZmAFBLAQIUAxQAAAAIAAUSfl1XFwtwTQAAAIQAAAAFAAAA"
          "AAAAAAAAAACAAQAAAABhLm5weVBLBQYAAAAAAQABADMAAABwAAAAAAA=")
          .value();
  const auto unpacked = Open({Put("packed.npz", packed)});
  ASSERT_EQ(unpacked.error, "");
  EXPECT_EQ(unpacked.passes.at(0).ids, read.passes[0].ids);
  std::string damaged = packed;
  damaged[50] = static_cast<char>(damaged[50] ^ 0x55);
  EXPECT_NE(Open({Put("damaged.npz", damaged)}).error, "");
}

TEST_F(Recording, TheShareIsKeptByOurOwnFormat) {
  Put("ep/r0.pt", RankFile(0, {{3, 5, 0, 0}}, 1, 4));
  ImportOptions options;
  options.ranks = 4;
  auto source = OpenRecording({dir_.path() / "ep"}, std::nullopt, options);
  ASSERT_TRUE(source.ok());
  TraceHeader header = (*source)->header();
  header.share.devices = 8;
  header.share.physical_experts = 6;
  header.share.cell = "F16, 8 clients";
  header.share.whole = false;
  const auto path = dir_.path() / "out.moetrace";
  auto writer = MoetraceWriter::Create(path, header);
  ASSERT_TRUE(writer.ok()) << writer.error().message;
  for (const TracePass& pass : AllPasses(**source)) ASSERT_TRUE(writer->Write(pass).ok());
  ASSERT_TRUE(writer->Close().ok());
  const auto read = Open({path});
  ASSERT_EQ(read.error, "");
  EXPECT_EQ(read.header.share, header.share);
}

TEST_F(Recording, PhasesAreSummedOnTheirOwn) {
  const auto file = Put("phases.csv",
                        "step,phase,layer,expert\n0,prefill,0,0\n0,prefill,0,1\n0,prefill,0,0\n0,prefill,0,1\n1,decode,0,2\n1,"
                        "decode,0,3\n");
  auto source = OpenRecording({file}, std::nullopt, {"m", 4, 2, 1, {0}});
  ASSERT_TRUE(source.ok()) << source.error().message;
  const auto summary = Summarize(**source, {});
  ASSERT_TRUE(summary.ok()) << summary.error().message;
  const Json json = ParseJson(ToJsonText(*summary, {})).value();
  const Json& phases = json["layers"][0]["by_phase"];
  EXPECT_EQ(phases["prefill"]["assignments"], 4);
  EXPECT_EQ(phases["decode"]["popularity"], Json({0, 0, 0.5, 0.5}));
  EXPECT_EQ(summary->PhaseDistance(0), 1);
}

TEST_F(Recording, RecordsOfMoeCapInEveryWrapping) {
  const std::string record =
      R"({"forward_mode":"decode","latency":0.01,"batch_size":2,"seq_lens_sum":100,"expert_activation":5.5,"gpu_num":8,)"
      R"("gpu_raw_type":"NVIDIA H100 80GB HBM3"})";
  for (const std::string& text :
       {record + "\n" + record + "\n", "[" + record + "," + record + "]", "{\"records\":[" + record + "," + record + "]}"}) {
    const auto path = Put("records.json", text);
    const auto kind = DetectKind(path);
    ASSERT_TRUE(kind.ok()) << kind.error().message;
    EXPECT_EQ(*kind, ImportKind::kUpstream);
    const auto report =
        ReadUpstream(path, {UpstreamFlavour::kSglang}, [](const record::PassRecord&, bool) { return Status(); });
    ASSERT_TRUE(report.ok()) << report.error().message;
    EXPECT_EQ(report->passes, 2);
    EXPECT_EQ(report->devices, 8);
  }
  std::string other = record;
  other.replace(other.find(":8,"), 3, ":4,");
  const auto two = ReadUpstream(Put("two.json", record + "\n" + other + "\n"), {UpstreamFlavour::kSglang},
                                [](const record::PassRecord&, bool) { return Status(); });
  ASSERT_FALSE(two.ok());
  EXPECT_THAT(two.error().message, HasSubstr("GPU"));
}

// The files that ../shared keeps, where it is there: what findings.md says of each is the truth.
class SharedRecordings : public testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::is_directory(Folder())) GTEST_SKIP() << Folder() << " is not there";
  }
  static std::filesystem::path Folder() {
    return std::filesystem::path(MOECAP_SOURCE_DIR).parent_path() / "shared/cases/recordings";
  }
  static Result<TraceSummary> Of(const std::vector<std::string>& names, const ImportOptions& options = {}) {
    std::vector<std::filesystem::path> paths;
    for (const std::string& name : names) paths.push_back(Folder() / name);
    ASSIGN_OR_RETURN(const auto source, OpenRecording(paths, std::nullopt, options));
    return Summarize(*source, {});
  }
};

TEST_F(SharedRecordings, RanksAndStages) {
  const auto rank0 = Of({"sg_pass_ep_rank0.pt"});
  ASSERT_TRUE(rank0.ok()) << rank0.error().message;
  EXPECT_EQ(rank0->header.share.whole, false);
  EXPECT_EQ(rank0->header.share.world, 8);
  EXPECT_THAT(rank0->header.share.MissingRanks(), ElementsAre(1, 2, 3, 4, 5, 6, 7));
  const auto both = Of({"sg_pass_ep_rank0.pt", "sg_pass_ep_rank1.pt"});
  ASSERT_TRUE(both.ok()) << both.error().message;
  EXPECT_THAT(both->header.share.MissingRanks(), ElementsAre(2, 3, 4, 5, 6, 7));
  const auto stages = Of({"trt_tp2pp2"});
  ASSERT_TRUE(stages.ok()) << stages.error().message;
  EXPECT_EQ(stages->tokens, 96);
}

TEST_F(SharedRecordings, WhatCannotBeIsRefused) {
  EXPECT_FALSE(Of({"im_legacyconv.gguf"}).ok());
  EXPECT_FALSE(Of({"v_next_u1wrap.npy"}).ok());
}

TEST_F(SharedRecordings, FillerAndTwins) {
  const auto filler = Of({"sg_tok_255.pt"});
  ASSERT_TRUE(filler.ok()) << filler.error().message;
  EXPECT_EQ(filler->header.experts, 64);
  EXPECT_EQ(filler->header.top_k, 6);
  EXPECT_EQ(filler->header.layers(), 26u);
  EXPECT_EQ(filler->tokens, 58);
  const auto twins = Of({"sg_stat_twins.pt"});
  ASSERT_TRUE(twins.ok()) << twins.error().message;
  EXPECT_THAT(twins->header.notes, Contains(HasSubstr("Nothing is divided")));
}

TEST_F(SharedRecordings, FlavourIsToldByAllRecords) {
  const auto report = ReadUpstream(Folder() / "sbench.jsonl", {}, [](const record::PassRecord&, bool) { return Status(); });
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(report->flavour, UpstreamFlavour::kSglang);
  const auto gpus = ReadUpstream(Folder() / "u_gpu8.jsonl", {}, [](const record::PassRecord&, bool) { return Status(); });
  ASSERT_TRUE(gpus.ok()) << gpus.error().message;
  EXPECT_EQ(gpus->devices, 8);
}

}  // namespace
}  // namespace moecap::trace
