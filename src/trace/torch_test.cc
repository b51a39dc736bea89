// ZIP, restricted pickle, and SGLang's recorder. The files are made by torch_test_writer.h after the documented formats:
// torch/serialization.py, CPython's Lib/pickletools.py, python/sglang/srt/eplb/expert_distribution.py.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "routing/npy.h"
#include "trace/importers.h"
#include "trace/pickle.h"
#include "trace/torch_file.h"
#include "trace/torch_test_writer.h"
#include "trace/trace_test_files.h"
#include "trace/zip_file.h"

namespace moecap::trace {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::span<const std::byte> Bytes(const std::string& text) { return std::as_bytes(std::span(text)); }

std::string ErrorOf(const std::string& pickle) {
  const auto parsed = Pickle::Parse(Bytes(pickle));
  return parsed.ok() ? "" : parsed.error().message;
}

// Two records of per_pass mode and some scalars, pickled by CPython 3.11's own pickler with protocol 2 and torch's persistent
// ids ("storage", type, key, "cuda:0", elements).
constexpr std::string_view kByCPython =
    "gAJ9cQAoWAcAAAByZWNvcmRzcQFdcQIofXEDKFgPAAAAZm9yd2FyZF9wYXNzX2lkcQRNLAFYBAAAAHJhbmtxBUsAWAwAAABnYXRoZXJlcl9rZX"
    "lxBlgHAAAAcHJpbWFyeXEHWBUAAABnbG9iYWxfcGh5c2ljYWxfY291bnRxCGN0b3JjaC5fdXRpbHMKX3JlYnVpbGRfdGVuc29yX3YyCnEJKChY"
    "BwAAAHN0b3JhZ2VxCmN0b3JjaApJbnRTdG9yYWdlCnELWAEAAAAwcQxYBgAAAGN1ZGE6MHENSwh0cQ5RSwBLAksEhnEPSwRLAYZxEIljY29sbG"
    "VjdGlvbnMKT3JkZXJlZERpY3QKcREpUnESdHETUnEUdX1xFShoBE0tAWgFSwBoBmgHaAhoCSgoaApoC1gBAAAAMXEWaA1LCHRxF1FLAGgPSwRL"
    "AYZxGIloESlScRl0cRpScRt1ZVgcAAAAbGFzdF9waHlzaWNhbF90b19sb2dpY2FsX21hcHEcaAkoKGgKY3RvcmNoCkxvbmdTdG9yYWdlCnEdWA"
    "EAAAAycR5oDUsIdHEfUUsAaA9LBEsBhnEgiWgRKVJxIXRxIlJxI1gBAAAAeHEkXXElKEc/+AAAAAAAAEr5////SnARAQBOiEsBSwKGcSaKBgAA"
    "AAAAAWV1Lg==";

template <typename... T>
std::string Ints(T... values) {
  return (RawBytes(static_cast<int32_t>(values)) + ...);
}

TEST(Zip, ListsStoredEntries) {
  ZipTestWriter zip;
  zip.Add("a/one", "first");
  zip.Add("a/two", "");
  for (const bool zip64 : {false, true}) {
    const std::string file = zip.File(zip64);
    const auto entries = ListStoredZip(Bytes(file));
    ASSERT_TRUE(entries.ok()) << entries.error().message;
    ASSERT_EQ(entries->size(), 2u);
    EXPECT_EQ((*entries)[0].name, "a/one");
    EXPECT_EQ((*entries)[0].data.size(), 5u);
    EXPECT_EQ(std::memcmp((*entries)[0].data.data(), "first", 5), 0);
  }
}

TEST(Zip, RefusesCompressionAndEncryption) {
  ZipTestWriter compressed, encrypted;
  compressed.Add("bomb", "xx", 8);
  EXPECT_THAT(ListStoredZip(Bytes(compressed.File())).error().message, HasSubstr("'bomb' is compressed"));
  encrypted.Add("secret", "xx", 0, 1);
  EXPECT_THAT(ListStoredZip(Bytes(encrypted.File())).error().message, HasSubstr("encrypted"));
  EXPECT_FALSE(ListStoredZip(Bytes("PK")).ok());
}

TEST(Pickle, ReadsWhatCPythonWrites) {
  const std::string bytes = routing::DecodeBase64(kByCPython).value();
  const auto pickle = Pickle::Parse(Bytes(bytes));
  ASSERT_TRUE(pickle.ok()) << pickle.error().message;
  const auto& root = std::get<PickleDict>(pickle->root());
  const auto& records = std::get<PickleList>(*pickle->Find(root, "records"));
  ASSERT_EQ(records.items.size(), 2u);
  const auto& second = std::get<PickleDict>(pickle->At(records.items[1]));
  EXPECT_EQ(std::get<int64_t>(*pickle->Find(second, "forward_pass_id")), 301);
  EXPECT_EQ(std::get<std::string>(*pickle->Find(second, "gatherer_key")), "primary");
  const auto& counts = std::get<PickleTensor>(*pickle->Find(second, "global_physical_count"));
  EXPECT_EQ(counts.storage.key, "1");
  EXPECT_EQ(counts.storage.type, "IntStorage");
  EXPECT_THAT(counts.sizes, ElementsAre(2, 4));
  EXPECT_THAT(counts.strides, ElementsAre(4, 1));
  const auto& extra = std::get<PickleList>(*pickle->Find(root, "x"));
  EXPECT_EQ(std::get<double>(pickle->At(extra.items[0])), 1.5);
  EXPECT_EQ(std::get<int64_t>(pickle->At(extra.items[1])), -7);
  EXPECT_EQ(std::get<int64_t>(pickle->At(extra.items[2])), 70000);
  EXPECT_TRUE(std::holds_alternative<PickleNone>(pickle->At(extra.items[3])));
  EXPECT_EQ(std::get<bool>(pickle->At(extra.items[4])), true);
  EXPECT_EQ(std::get<int64_t>(pickle->At(extra.items[6])), int64_t{1} << 40);
  EXPECT_EQ(pickle->Find(root, "absent"), nullptr);
}

TEST(Pickle, RunsNothing) {
  EXPECT_THAT(ErrorOf("\x80\x02"
                      "cos\nsystem\n(X\x02\0\0\0lstR."),
              HasSubstr("names os.system"));
  EXPECT_THAT(ErrorOf("cbuiltins\neval\n."), HasSubstr("builtins.eval"));
  EXPECT_THAT(ErrorOf("ctorch\nload\n."), HasSubstr("torch.load"));
  EXPECT_THAT(ErrorOf("ctorch._utils\n_rebuild_tensor_v2\n}b."), HasSubstr("BUILD"));
  EXPECT_THAT(ErrorOf("(S'x'\nios\nsystem\n."), HasSubstr("STRING"));
  EXPECT_THAT(ErrorOf("\x8c\x02os\x8c\x06system\x93."), HasSubstr("SHORT_BINUNICODE"));
  EXPECT_THAT(ErrorOf("ctorch\nIntStorage\n)\x81."), HasSubstr("NEWOBJ"));
  EXPECT_THAT(ErrorOf("ctorch\nIntStorage\n)R."), HasSubstr("calls torch IntStorage"));
  EXPECT_THAT(ErrorOf("\x80\x04N."), HasSubstr("protocol 4"));
}

TEST(Pickle, DamageIsAnError) {
  for (const char* bad :
       {"",    ".", "NN.", "(N.", "h\x05.", "]a.", "}s.",  "Na.", "(t", "X\xff\xff\xff\xff", "\x8a\x09........", "R.", "Q.",
        "NQ.", "K", "(((", "0",   "\x87.",  "a",   "(]a.", "c\n", "cx"}) {
    EXPECT_FALSE(Pickle::Parse(Bytes(bad)).ok()) << bad;
  }
  // A list that holds itself is data like any other.
  EXPECT_TRUE(Pickle::Parse(Bytes("]q\x01h\x01"
                                  "a."))
                  .ok());
  EXPECT_FALSE(Pickle::Parse(Bytes(std::string(9'000'000, 'N') + ".")).ok()) << "bounded";
}

TEST(TorchFile, HonoursOffsetsAndStrides) {
  TorchTestWriter torch;
  const std::string object = torch.Dict({{"t", torch.View(std::vector<int32_t>{9, 1, 2, 3, 4, 5, 6}, {3, 2}, {1, 3}, 1)}});
  const std::string bytes = torch.File(object);
  const auto file = TorchFile::Parse(Bytes(bytes));
  ASSERT_TRUE(file.ok()) << file.error().message;
  const auto& root = std::get<PickleDict>(file->pickle().root());
  const auto tensor = file->Ints(*file->pickle().Find(root, "t"), 2, "t");
  ASSERT_TRUE(tensor.ok()) << tensor.error().message;
  EXPECT_EQ(tensor->At(0, 0), 1);
  EXPECT_EQ(tensor->At(2, 0), 3);
  EXPECT_EQ(tensor->At(2, 1), 6);
}

TEST(TorchFile, RefusesViewsThatLeaveTheirStorage) {
  const auto error = [](std::vector<int64_t> sizes, std::vector<int64_t> strides, int64_t offset) {
    TorchTestWriter torch;
    const std::string bytes = torch.File(torch.Dict({{"t", torch.View(std::vector<int32_t>(6), sizes, strides, offset)}}));
    const auto file = TorchFile::Parse(Bytes(bytes));
    const auto& root = std::get<PickleDict>(file->pickle().root());
    const auto tensor = file->Ints(*file->pickle().Find(root, "t"), sizes.size(), "t");
    return tensor.ok() ? "" : tensor.error().message;
  };
  EXPECT_EQ(error({2, 3}, {3, 1}, 0), "");
  EXPECT_THAT(error({2, 3}, {3, 1}, 1), HasSubstr("its storage holds 6"));
  EXPECT_THAT(error({3, 3}, {1, 1}, 0), HasSubstr("shows 9 elements"));
  EXPECT_THAT(error({1 << 30, 1 << 30}, {0, 0}, 0), HasSubstr("storage holds"));
  EXPECT_THAT(error({1 << 30, 1 << 30, 1 << 30}, {0, 0, 0}, 0), HasSubstr("impossible"));
  EXPECT_THAT(error({-1, 3}, {3, 1}, 0), HasSubstr("impossible"));
  EXPECT_THAT(error({2, 3}, {3, 1}, -1), HasSubstr("impossible"));
  EXPECT_THAT(error({6}, {1}, 2'000'000'000), HasSubstr("storage holds"));
}

Result<std::unique_ptr<TraceSource>> Import(const std::string& bytes, const ImportOptions& options = {}) {
  auto owner = std::make_shared<std::string>(bytes);
  return ImportSglang(Bytes(*owner), owner, options);
}

ImportOptions SmallModel() { return {"small", 4, 2, 3, {1, 2}}; }  // three layers, the first dense

std::string PerPass(const std::vector<std::vector<int32_t>>& passes, const std::vector<int64_t>& map = {}) {
  TorchTestWriter torch;
  std::vector<std::string> records;
  for (size_t i = 0; i < passes.size(); ++i) {
    records.push_back(torch.Dict({{"forward_pass_id", TorchTestWriter::Int(static_cast<int64_t>(i) + 7)},
                                  {"rank", TorchTestWriter::Int(0)},
                                  {"gatherer_key", torch.Text("primary")},
                                  {"global_physical_count", torch.Tensor(passes[i], {3, 4})}}));
  }
  std::vector<int64_t> identity;
  for (int64_t i = 0; i < 12; ++i) identity.push_back(i % 4);
  const std::string physical = torch.Tensor(map.empty() ? identity : map, {3, 4});
  return torch.File(torch.Dict({{"records", torch.List(records)}, {"last_physical_to_logical_map", physical}}));
}

TEST(Sglang, PerPassCounts) {
  const std::string file = PerPass({{0, 0, 0, 0, 2, 2, 1, 1, 3, 3, 0, 0}, {0, 0, 0, 0, 1, 0, 1, 0, 0, 1, 0, 1}});
  auto source = Import(file, SmallModel());
  ASSERT_TRUE(source.ok()) << source.error().message;
  EXPECT_EQ((*source)->header().grain, Grain::kPassCounts);
  EXPECT_THAT((*source)->header().layer_numbers, ElementsAre(1, 2));
  EXPECT_EQ((*source)->header().experts, 4);
  const auto passes = AllPasses(**source);
  ASSERT_EQ(passes.size(), 2u);
  EXPECT_EQ(passes[0].number, 7);
  EXPECT_EQ(passes[0].tokens, 3);
  EXPECT_THAT(passes[0].counts, ElementsAre(2, 2, 1, 1, 3, 3, 0, 0));
  EXPECT_EQ(passes[1].tokens, 1);
  // Without the model the unused layer is taken for a dense one, and the tokens stay unknown.
  auto unknown = Import(file);
  ASSERT_TRUE(unknown.ok());
  EXPECT_THAT((*unknown)->header().layer_numbers, ElementsAre(1, 2));
  EXPECT_THAT((*unknown)->header().notes, testing::Contains(HasSubstr("taken for dense")));
  EXPECT_EQ(AllPasses(**unknown)[0].tokens, 0);
}

TEST(Sglang, MovedExpertsAreAddedUpByLogicalExpert) {
  const std::string file = PerPass({{0, 0, 0, 0, 2, 2, 1, 1, 3, 3, 0, 0}}, {0, 1, 2, 3, 0, 0, 1, 2, 2, 1, 0, 0});
  auto source = Import(file);
  ASSERT_TRUE(source.ok()) << source.error().message;
  EXPECT_EQ((*source)->header().experts, 4);
  EXPECT_THAT(AllPasses(**source)[0].counts, ElementsAre(4, 1, 1, 0, 0, 3, 3, 0));
}

TEST(Sglang, StatBuffer) {
  TorchTestWriter torch;
  std::vector<int32_t> counts(5 * 3 * 4);
  for (int i = 0; i < 8; ++i) counts[static_cast<size_t>(12 + 4 + i)] = i % 4;  // only pass 1 is used
  const std::string file = torch.File(torch.Dict({{"rank", TorchTestWriter::Int(0)},
                                                  {"logical_count", torch.Tensor(counts, {5, 3, 4})},
                                                  {"average_utilization_rate_over_window", TorchTestWriter::None()}}));
  auto source = Import(file, SmallModel());
  ASSERT_TRUE(source.ok()) << source.error().message;
  const auto passes = AllPasses(**source);
  ASSERT_EQ(passes.size(), 1u);
  EXPECT_EQ(passes[0].number, 1);
  EXPECT_EQ(passes[0].tokens, 3);
  EXPECT_THAT((*source)->header().notes, testing::Contains(HasSubstr("4 of 5 rows are all zero")));
  EXPECT_THAT((*source)->header().notes, testing::Not(testing::Contains(HasSubstr("no unused row"))));
}

TEST(Sglang, AFullRingOfAnySizeIsNamed) {
  TorchTestWriter torch;
  std::vector<int32_t> counts(2 * 3 * 4, 1);
  auto source = Import(torch.File(torch.Dict({{"logical_count", torch.Tensor(counts, {2, 3, 4})}})));
  ASSERT_TRUE(source.ok()) << source.error().message;
  EXPECT_THAT((*source)->header().notes, testing::Contains(HasSubstr("no unused row is left in the recorder's buffer")));
}

TEST(Sglang, CountsAreDividedByTheRanksThatTheUserNames) {
  TorchTestWriter torch;
  std::vector<int32_t> counts(100 * 12);
  for (size_t i = 0; i < counts.size(); ++i) counts[i] = 8 * static_cast<int32_t>(1 + i % 5);
  const std::string file = torch.File(torch.Dict({{"logical_count", torch.Tensor(counts, {100, 3, 4})}}));
  auto source = Import(file);
  ASSERT_TRUE(source.ok());
  EXPECT_THAT((*source)->header().notes, testing::Contains(HasSubstr("every count is a multiple of 8")));
  EXPECT_THAT(AllPasses(**source)[0].counts, testing::Contains(40)) << "equal prompts side by side look the same";
  ImportOptions options;
  options.tensor_ranks = 8;
  source = Import(file, options);
  ASSERT_TRUE(source.ok()) << source.error().message;
  EXPECT_THAT(AllPasses(**source)[0].counts, testing::Contains(5));
  EXPECT_THAT((*source)->header().notes, testing::Not(testing::Contains(HasSubstr("every count is a multiple"))));
  options.tensor_ranks = 3;
  EXPECT_THAT(Import(file, options).error().message, HasSubstr("3"));
}

TEST(Sglang, PerToken) {
  TorchTestWriter torch;
  // [3 layers][3 tokens][8 columns], -1 padded; layer 0 is dense.
  std::vector<int32_t> ids(3 * 3 * 8, -1);
  const auto set = [&ids](size_t layer, size_t token, int32_t a, int32_t b) {
    ids[(layer * 3 + token) * 8] = a;
    ids[(layer * 3 + token) * 8 + 1] = b;
  };
  for (size_t token = 0; token < 3; ++token) {
    set(1, token, static_cast<int32_t>(token), 3);
    set(2, token, 0, 1);
  }
  const std::string record = torch.Dict({{"forward_mode", TorchTestWriter::Int(1)},
                                         {"extend_seq_lens", torch.List({TorchTestWriter::Int(2), TorchTestWriter::Int(1)})},
                                         {"input_ids", torch.List({})},
                                         {"misc_objects", torch.List({torch.Dict({{"anything", TorchTestWriter::None()}})})},
                                         {"topk_ids_of_layer", torch.Tensor(ids, {3, 3, 8})}});
  auto source = Import(torch.File(torch.Dict({{"records", torch.List({record})}})), SmallModel());
  ASSERT_TRUE(source.ok()) << source.error().message;
  EXPECT_EQ((*source)->header().top_k, 2);
  EXPECT_EQ((*source)->header().grain, Grain::kTokenIds);
  const auto passes = AllPasses(**source);
  ASSERT_EQ(passes.size(), 1u);
  EXPECT_EQ(passes[0].kind, record::PassKind::kPrefill);
  EXPECT_THAT(passes[0].ids, ElementsAre(0, 3, 1, 3, 2, 3, 0, 1, 0, 1, 0, 1));
  EXPECT_EQ(passes[0].sequences[0], passes[0].sequences[1]);
  EXPECT_NE(passes[0].sequences[0], passes[0].sequences[2]);
}

TEST(Sglang, PerTokenTellsItsExpertsByItsCounts) {
  const auto file = [](int64_t experts) {
    TorchTestWriter torch;
    const std::string record =
        torch.Dict({{"global_physical_count", torch.Tensor(std::vector<int32_t>(static_cast<size_t>(experts)), {1, experts})},
                    {"topk_ids_of_layer", torch.Tensor(std::vector<int32_t>{0, 3, 2, 1}, {1, 2, 2})}});
    return torch.File(torch.Dict({{"records", torch.List({record})}}));
  };
  auto source = Import(file(6));
  ASSERT_TRUE(source.ok()) << source.error().message;
  EXPECT_EQ((*source)->header().experts, 6) << "not the highest id and one";
  ImportOptions other{"m", 8, 2, 1, {0}};
  EXPECT_THAT(Import(file(6), other).error().message, HasSubstr("another model?"));
  EXPECT_THAT(Import(file(3)).error().message, HasSubstr("routed to expert 3, but there are 3"));
}

TEST(Sglang, OtherContentsAreNamed) {
  TorchTestWriter torch;
  EXPECT_THAT(Import(torch.File(torch.List({}))).error().message, HasSubstr("root is not a dict"));
  EXPECT_THAT(Import(torch.File(torch.Dict({{"x", TorchTestWriter::None()}}))).error().message,
              HasSubstr("neither 'logical_count'"));
  EXPECT_THAT(Import(torch.File(torch.Dict({{"records", torch.List({})}}))).error().message, HasSubstr("no passes"));
  EXPECT_THAT(Import(PerPass({std::vector<int32_t>(12)})).error().message, HasSubstr("every count is zero"));
  ImportOptions other = SmallModel();
  other.layers = 9;
  other.moe_layers = {1, 2, 3, 4};
  EXPECT_THAT(Import(PerPass({std::vector<int32_t>(12, 1)}), other).error().message, HasSubstr("another model?"));
  other = SmallModel();
  other.experts = 8;
  EXPECT_THAT(Import(PerPass({std::vector<int32_t>(12, 1)}), other).error().message, HasSubstr("another model?"));
}

}  // namespace
}  // namespace moecap::trace
