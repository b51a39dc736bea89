// vLLM, TensorRT-LLM, llama.cpp imatrix and our own passes.jsonl, each built here after its documented format.
#include "trace/import.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "model/gguf_test_writer.h"
#include "routing/npy_test_writer.h"
#include "trace/importers.h"
#include "trace/torch_test_writer.h"
#include "trace/trace_test_files.h"

namespace moecap::trace {
namespace {

using routing::EncodeBase64;
using routing::Npy;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

struct TraceFacts {
  TraceHeader header;
  std::vector<TracePass> passes;
};

std::span<const std::byte> Bytes(const std::string& text) { return std::as_bytes(std::span(text)); }

// [4 tokens][3 layers][2]; layer 0 is dense (zeros).
std::vector<uint8_t> SomeRoutes() { return {0, 0, 1, 2, 3, 4, 0, 0, 2, 1, 4, 5, 0, 0, 1, 3, 3, 4, 0, 0, 0, 1, 5, 0}; }

TEST(Vllm, NpyBase64ResponsesAndListsGiveTheSameTrace) {
  const std::string npy = Npy("|u1", {4, 3, 2}, SomeRoutes());
  const std::string base64 = EncodeBase64(npy);
  EXPECT_TRUE(base64.starts_with("k05VTVBZ"));
  const std::string response = R"({"id":"c","choices":[{"index":0,"text":"x","routed_experts":")" + base64 + R"("}]})";
  Json tokens = Json::array();
  const auto routes = SomeRoutes();
  for (size_t token = 0; token < 4; ++token) {
    Json layers = Json::array();
    for (size_t layer = 0; layer < 3; ++layer)
      layers.push_back({routes[token * 6 + layer * 2], routes[token * 6 + layer * 2 + 1]});
    tokens.push_back(layers);
  }
  const Json prompt = {tokens[0], tokens[1]}, output = {tokens[2], tokens[3]};
  const std::string lists = DumpJson({{"prompt_routed_experts", prompt}, {"choices", {{{"routed_experts", output}}}}});
  std::vector<TracePass> first;
  for (const std::string& file : {npy, base64, response, "\n" + response + "\n", lists}) {
    auto source = ImportAnswers(Bytes(file), {});
    ASSERT_TRUE(source.ok()) << source.error().message;
    EXPECT_THAT((*source)->header().layer_numbers, ElementsAre(1, 2));
    EXPECT_EQ((*source)->header().experts, 6) << "the highest id seen";
    EXPECT_EQ((*source)->header().top_k, 2);
    EXPECT_FALSE((*source)->header().passes_known);
    const auto passes = AllPasses(**source);
    ASSERT_EQ(passes.size(), 1u);
    EXPECT_THAT(passes[0].ids, ElementsAre(1, 2, 2, 1, 1, 3, 0, 1, 3, 4, 4, 5, 3, 4, 5, 0));
    EXPECT_THAT(passes[0].sequences, ElementsAre(0, 0, 0, 0));
    EXPECT_FALSE(passes[0].kind.has_value());
  }
}

TEST(Vllm, ManyResponsesAndMissingOnes) {
  const std::string base64 = EncodeBase64(Npy("|u1", {4, 3, 2}, SomeRoutes()));
  const std::string good = R"({"choices":[{"routed_experts":")" + base64 + R"("}]})";
  const std::string lines = good + "\n" + R"({"choices":[{"routed_experts":null}]})" + "\n" + good + "\n";
  auto source = ImportAnswers(Bytes(lines), {"m", 8, 2, 3, {1, 2}});
  ASSERT_TRUE(source.ok()) << source.error().message;
  EXPECT_THAT((*source)->header().notes, Contains(HasSubstr("1 answers carry no routes")));
  const auto passes = AllPasses(**source);
  ASSERT_EQ(passes.size(), 2u);
  EXPECT_EQ(passes[1].sequences[0], 1u);
}

TEST(Vllm, RowsThatNoRouterCanMakeAreNotRecorded) {
  std::vector<int16_t> routes = {1, 2, -1, -1, 3, 3, 0, 1};  // [4 tokens][1 layer][2]
  auto source = ImportAnswers(Bytes(Npy("<i2", {4, 1, 2}, routes)), {});
  ASSERT_TRUE(source.ok()) << source.error().message;
  EXPECT_THAT(AllPasses(**source)[0].ids, ElementsAre(1, 2, kNoExpert, kNoExpert, kNoExpert, kNoExpert, 0, 1));
  EXPECT_THAT((*source)->header().notes, Contains(HasSubstr("2 rows repeat an id")));
  const std::vector<uint8_t> zeros(24, 0);
  EXPECT_THAT(ImportAnswers(Bytes(Npy("|u1", {4, 3, 2}, zeros)), {}).error().message, HasSubstr("--moe-backend triton"));
}

TEST(Vllm, ErrorsSayWhatToDo) {
  const auto error = [](const std::string& text, const ImportOptions& options = {}) {
    return ImportAnswers(Bytes(text), options).error().message;
  };
  EXPECT_THAT(error(R"({"choices":[{"text":"x"}]})"), HasSubstr("--enable-return-routed-experts"));
  EXPECT_THAT(error(R"({"choices":[{"routed_experts":"ray-key-17"}]})", {"m", 6, 2, 3, {1, 2}}),
              HasSubstr("neither a list nor an array"));
  EXPECT_THAT(error("{\"choices\":[]}\n{bad"), HasSubstr("line 2"));
  EXPECT_THAT(error(Npy("|u1", {24}, SomeRoutes())), HasSubstr("[tokens, layers, experts per token]"));
  EXPECT_THAT(error(Npy("|u1", {4, 3, 2}, SomeRoutes()), {"m", 4, 2, 3, {1, 2}}), HasSubstr("another model?"));
  EXPECT_THAT(error(Npy("|u1", {4, 3, 2}, SomeRoutes()), {"m", 8, 3, 3, {1, 2}}), HasSubstr("top-3"));
  EXPECT_THAT(error(""), HasSubstr("empty"));
}

std::filesystem::path Golden(const char* name) {
  return std::filesystem::path(MOECAP_SOURCE_DIR) / "tests/golden/routed_experts" / name;
}

// Of tests/golden/routed_experts, read as `moecap trace FILE` does.
TraceFacts Read(const char* name, const ImportOptions& options) {
  const auto kind = DetectKind(Golden(name));
  EXPECT_TRUE(kind.ok()) << name;
  auto source = OpenTrace(Golden(name), *kind, options);
  EXPECT_TRUE(source.ok()) << (source.ok() ? "" : source.error().message);
  if (!source.ok()) return {};
  TraceFacts facts{(*source)->header(), AllPasses(**source)};
  return facts;
}

// Two engines served the same weights: they must tell the same experts in every form.
TEST(RealAnswers, OfVllmAndSglangAgree) {
  const ImportOptions tiny{"tiny-moe", 16, 2, 8, {0, 1, 2, 3, 4, 5, 6, 7}};
  const TraceFacts vllm = Read("vllm-0.30.0-completions.json", tiny);
  EXPECT_EQ(vllm.header.origin, "vllm");
  ASSERT_EQ(vllm.passes.size(), 1u);
  EXPECT_EQ(vllm.passes[0].tokens, 16) << "9 of the prompt, 8 of the answer, less 1";
  for (const char* name : {"sglang-0.5.23-completions.json", "sglang-0.5.23-generate.json"}) {
    const TraceFacts sglang = Read(name, tiny);
    EXPECT_EQ(sglang.header.origin, "sglang");
    EXPECT_EQ(sglang.passes, vllm.passes) << name;
  }
  EXPECT_EQ(Read("sglang-0.5.23-chat.json", tiny).passes, Read("vllm-0.30.0-chat.json", tiny).passes);
  const TraceFacts streamed = Read("sglang-0.5.23-completions.sse", tiny);
  EXPECT_EQ(streamed.passes, Read("sglang-0.5.23-generate.sse", tiny).passes);
  ASSERT_EQ(streamed.passes.size(), 1u);
  ASSERT_EQ(streamed.passes[0].tokens, 12) << "9 of the prompt, 4 of the answer, less 1";
  for (size_t layer = 0; layer < 8; ++layer) {
    for (size_t token = 0; token < 12; ++token)
      EXPECT_EQ(streamed.passes[0].Ids(layer, token, 2)[0], vllm.passes[0].Ids(layer, token, 2)[0]);
  }
  EXPECT_THAT(OpenTrace(Golden("sglang-0.5.23-chat.json"), ImportKind::kSglang, {}).error().message, HasSubstr("--model"));
}

// The file says of itself how many experts there are, although only ids up to 15 of 16 or fewer may have been used.
TEST(RealAnswers, ARecordersFileTellsItsExperts) {
  const TraceFacts recorded = Read("sglang-0.5.23-per_token.pt", {});
  EXPECT_EQ(recorded.header.experts, 16);
  EXPECT_EQ(recorded.header.top_k, 2);
  EXPECT_EQ(recorded.header.layer_numbers.size(), 8u);
  EXPECT_EQ(recorded.passes.size(), 4u);
  EXPECT_THAT(recorded.header.notes, Not(Contains(HasSubstr("highest id seen"))));
}

TEST(Sglang, AnswersNeedTheModelsShape) {
  std::string raw;
  for (const int32_t id : {0, 0, 1, 2, 0, 0, 3, 1}) raw += routing::LittleEndian(id);  // [2 tokens][2 layers][2], one dense
  const std::string answer =
      R"({"text":"x","meta_info":{"prompt_tokens":2,"completion_tokens":1,"routed_experts":")" + EncodeBase64(raw) + "\"}}";
  EXPECT_THAT(ImportAnswers(Bytes(answer), {}).error().message, HasSubstr("--model"));
  auto source = ImportAnswers(Bytes(answer), {"m", 4, 2, 2, {1}});
  ASSERT_TRUE(source.ok()) << source.error().message;
  EXPECT_THAT((*source)->header().layer_numbers, ElementsAre(1));
  EXPECT_THAT(AllPasses(**source)[0].ids, ElementsAre(1, 2, 3, 1));
  // Only the end was asked for (routed_experts_start_len): what came is read, and said.
  const std::string part =
      R"({"text":"x","meta_info":{"prompt_tokens":5,"completion_tokens":1,"routed_experts":")" + EncodeBase64(raw) + "\"}}";
  auto rest = ImportAnswers(Bytes(part), {"m", 4, 2, 2, {1}});
  ASSERT_TRUE(rest.ok()) << rest.error().message;
  EXPECT_THAT((*rest)->header().notes, Contains(HasSubstr("1 answers have other rows")));
  EXPECT_THAT(ImportAnswers(Bytes(answer), {"m", 4, 3, 2, {1}}).error().message, HasSubstr("another model?"));
}

std::string Safetensors(const std::vector<std::pair<std::string, std::vector<int64_t>>>& tensors) {
  Json header = Json::object();
  std::string data;
  for (const auto& [name, values] : tensors) {
    const size_t begin = data.size();
    for (const int64_t value : values) data += RawBytes(value);
    header[name] = {{"dtype", "I64"}, {"shape", {values.size()}}, {"data_offsets", {begin, data.size()}}};
  }
  const std::string text = DumpJson(header);
  return RawBytes(static_cast<uint64_t>(text.size())) + text + data;
}

TEST(TensorRt, RanksOfOneFolder) {
  const TempDir dir;
  dir.Write("meta_info.json", R"({"num_experts":4,"num_experts_per_token":2})");
  dir.Write("rank0.safetensors",
            Safetensors({{"100_3", {1, 1, 0, 0}}, {"100_4", {0, 2, 0, 0}}, {"101_3", {2, 2, 0, 0}}, {"101_4", {1, 1, 1, 1}}}));
  dir.Write("rank1.safetensors",
            Safetensors({{"100_3", {1, 1, 0, 0}}, {"100_4", {0, 0, 2, 0}}, {"101_3", {0, 0, 0, 0}}, {"101_4", {0, 0, 0, 0}}}));
  EXPECT_EQ(*DetectKind(dir.path()), ImportKind::kTensorRt);
  auto source = OpenTrace(dir.path(), ImportKind::kTensorRt, {});
  ASSERT_TRUE(source.ok()) << source.error().message;
  EXPECT_EQ((*source)->header().top_k, 2);
  EXPECT_THAT((*source)->header().layer_numbers, ElementsAre(3, 4));
  EXPECT_THAT((*source)->header().notes, Contains(HasSubstr("2 ranks are added up")));
  const auto passes = AllPasses(**source);
  ASSERT_EQ(passes.size(), 2u);
  EXPECT_EQ(passes[0].number, 100);
  EXPECT_THAT(passes[0].counts, ElementsAre(2, 2, 0, 0, 0, 2, 2, 0));
  EXPECT_EQ(passes[0].tokens, 2);
  // Equal ranks saw the same tokens.
  std::filesystem::copy_file(dir / "rank0.safetensors", dir / "rank1.safetensors",
                             std::filesystem::copy_options::overwrite_existing);
  source = OpenTrace(dir.path(), ImportKind::kTensorRt, {"m", 4, 2, 9, {7, 8}});
  ASSERT_TRUE(source.ok());
  EXPECT_THAT((*source)->header().layer_numbers, ElementsAre(7, 8)) << "numbered among the MoE layers";
  EXPECT_THAT(AllPasses(**source)[0].counts, ElementsAre(1, 1, 0, 0, 0, 2, 0, 0));
}

TEST(TensorRt, ErrorsNameTheTensor) {
  const TempDir dir;
  const auto error = [&dir](const std::string& bytes) {
    return OpenTrace(dir.Write("rank0.safetensors", bytes), ImportKind::kTensorRt, {}).error().message;
  };
  EXPECT_THAT(error(Safetensors({{"weights", {1}}})), HasSubstr("'weights' is not named"));
  EXPECT_THAT(error(Safetensors({{"1_0", {1, -1}}})), HasSubstr("impossible count"));
  EXPECT_THAT(error(Safetensors({{"1_0", {1, 1}}}).substr(0, 60)), HasSubstr("cut off"));
  EXPECT_THAT(error(Safetensors({})), HasSubstr("no iteration"));
  const TempDir none;
  EXPECT_THAT(OpenTrace(none.path(), ImportKind::kTensorRt, {}).error().message, HasSubstr("no rank<r>.safetensors"));
}

std::string Imatrix(const std::vector<std::pair<std::string, std::vector<float>>>& tensors) {
  model::GgufTestWriter gguf;
  gguf.Text("general.type", "imatrix");
  std::string data;
  for (const auto& [name, values] : tensors) {
    gguf.Tensor(name, {1, static_cast<int64_t>(values.size())});
    for (const float value : values) data += RawBytes(value);
    data.resize((data.size() + 31) / 32 * 32);
  }
  return gguf.Header() + data;
}

TEST(ImatrixImport, TotalsPerExpert) {
  const std::string file = Imatrix({{"blk.1.ffn_up_exps.weight.counts", {9, 9, 9, 9}},
                                    {"blk.1.ffn_down_exps.weight.counts", {3, 0, 1, 4}},
                                    {"blk.10.ffn_gate_up_exps.weight.counts", {2, 2, 2, 2}},
                                    {"blk.1.attn_q.weight.counts", {512}}});
  auto source = ImportImatrix(Bytes(file), {});
  ASSERT_TRUE(source.ok()) << source.error().message;
  EXPECT_EQ((*source)->header().grain, Grain::kTotals);
  EXPECT_THAT((*source)->header().layer_numbers, ElementsAre(1, 10));
  const auto passes = AllPasses(**source);
  ASSERT_EQ(passes.size(), 1u);
  EXPECT_THAT(passes[0].counts, ElementsAre(3, 0, 1, 4, 2, 2, 2, 2));
  EXPECT_THAT(ImportImatrix(Bytes(Imatrix({{"blk.1.attn_q.weight.counts", {5}}})), {}).error().message,
              HasSubstr("no counts of experts"));
  EXPECT_THAT(ImportImatrix(Bytes(Imatrix({{"blk.1.ffn_up_exps.weight.counts", {NAN, 1}}})), {}).error().message,
              HasSubstr("holds the count"));
  EXPECT_THAT(ImportImatrix(Bytes(file.substr(0, file.size() - 40)), {}).error().message, HasSubstr("cut off"));
}

constexpr const char* kPasses =
    R"({"schema":1,"kind":"prefill","latency_s":0.1,"sequences":[{"context_tokens":0,"new_tokens":3}],"expert_counts":[[3,2,1],[2,0,0]]}
{"schema":1,"kind":"decode","latency_s":0.1,"sequences":[{"context_tokens":3,"new_tokens":1}],"distinct_experts":2}
{"schema":1,"kind":"decode","latency_s":0.1,"sequences":[{"context_tokens":3,"new_tokens":1,"count":2}],"expert_counts":[[2,1,1],[2,2,0]]}
)";

TEST(Passes, CountsOfOurOwnRecords) {
  const TempDir dir;
  const auto path = dir.Write("passes.jsonl", kPasses);
  EXPECT_EQ(*DetectKind(path), ImportKind::kPasses);
  auto source = OpenTrace(path, ImportKind::kPasses, {});
  ASSERT_TRUE(source.ok()) << source.error().message;
  EXPECT_EQ((*source)->header().top_k, 2) << "6 assignments of 3 tokens; the last layer was routed for one row only";
  const auto passes = AllPasses(**source);
  ASSERT_EQ(passes.size(), 2u);
  EXPECT_EQ(passes[0].kind, record::PassKind::kPrefill);
  EXPECT_EQ(passes[0].tokens, 3);
  EXPECT_THAT(passes[1].counts, ElementsAre(2, 1, 1, 2, 2, 0));
  EXPECT_THAT((*source)->Warnings(), ElementsAre(HasSubstr("1 passes without expert_counts")));
  dir.Write("none.jsonl", R"({"kind":"decode","latency_s":1,"sequences":[],"distinct_experts":3})");
  EXPECT_THAT(OpenTrace(dir / "none.jsonl", ImportKind::kPasses, {}).error().message, HasSubstr("no pass has expert_counts"));
  dir.Write("bad.jsonl", std::string(kPasses) + "{\"kind\":\"dec");
  auto bad = OpenTrace(dir / "bad.jsonl", ImportKind::kPasses, {});
  ASSERT_TRUE(bad.ok());
  TracePass pass;
  EXPECT_TRUE((*bad)->Next(pass).ok());
  EXPECT_TRUE((*bad)->Next(pass).ok());
  EXPECT_THAT((*bad)->Next(pass).error().message, HasSubstr("line 4"));
}

TEST(Detect, KindsByTheirFirstBytes) {
  const TempDir dir;
  const auto kind = [&dir](const std::string& bytes) {
    const auto found = DetectKind(dir.Write("f", bytes));
    return found.ok() ? std::string(Name(*found)) : found.error().message;
  };
  EXPECT_EQ(kind("MOETRACE\x01"), "moetrace");
  EXPECT_EQ(kind("PK\x03\x04"), "sglang");
  EXPECT_EQ(kind("\x93NUMPY"), "vllm");
  EXPECT_EQ(kind("k05VTVBZ"), "vllm");
  EXPECT_EQ(kind(" {\"choices\":[]}"), "vllm");
  EXPECT_EQ(kind("GGUF"), "imatrix");
  EXPECT_EQ(kind("{\"forward_mode\":\"decode\"}"), "upstream");
  EXPECT_EQ(kind("{\"latency_s\":1}"), "passes");
  EXPECT_THAT(kind("hello"), HasSubstr("name it with --import: moetrace, passes, upstream, sglang"));
  EXPECT_THAT(kind(""), HasSubstr("--import"));
  EXPECT_FALSE(DetectKind(dir / "absent").ok());
  EXPECT_EQ(ImportKindByName("sglang"), ImportKind::kSglang);
  EXPECT_FALSE(ImportKindByName("x").has_value());
}

}  // namespace
}  // namespace moecap::trace
