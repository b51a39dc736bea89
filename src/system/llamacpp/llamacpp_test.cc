#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <numeric>
#include <regex>

#include "base/clock.h"
#include "base/rng.h"
#include "base/testing/temp_dir.h"
#include "load/closed_loop.h"
#include "model/gguf_test_writer.h"
#include "system/llamacpp/arg_max.h"
#include "system/llamacpp/graph_run.h"
#include "system/llamacpp/kv_type.h"
#include "system/llamacpp/llamacpp_system.h"
#include "system/llamacpp/quantize.h"

namespace moecap::llamacpp {
namespace {
namespace fs = std::filesystem;

fs::path TinyMoe() { return fs::path(MOECAP_SOURCE_DIR) / "models/tiny-moe/tiny-moe-f16.gguf"; }

const std::vector<std::string> kQuestions = {
    "Tom has 12 apples and buys 30 more. He gives half of them away. How many are left?",
    "A shop sells 15 pens a day for 7 days. How many pens is that?",
    "Ann saves 25 dollars a week. How much has she after 8 weeks?",
    "There are 144 eggs in boxes of 12. How many boxes are there?",
    "Ben walks 3 miles on each of 9 days and 5 miles on one more. How many miles is that?",
};

std::vector<load::RequestSpec> Requests(int64_t max_output_tokens = 24) {
  std::vector<load::RequestSpec> requests;
  for (size_t i = 0; i < kQuestions.size(); ++i) {
    load::RequestSpec request;
    request.id = std::to_string(i);
    request.prompt = "Question: " + kQuestions[i] + "\nAnswer:";
    request.max_output_tokens = max_output_tokens;
    request.ignore_end_token = true;
    requests.push_back(request);
  }
  return requests;
}

TEST(ComputeType, IsThePropertyOfEngineAndProcessor) {
  const std::vector<std::string> with = {"AVX2", "AVX512_BF16"}, without = {"AVX2"};
  EXPECT_EQ(ComputeTypeOf("BF16", with), "bf16");
  EXPECT_EQ(ComputeTypeOf("BF16", without), "fp32");
  EXPECT_EQ(ComputeTypeOf("F16", with), "fp32");
  EXPECT_EQ(ComputeTypeOf("F32", with), "fp32");
  EXPECT_EQ(ComputeTypeOf("Q4_0", with), "int8");
  EXPECT_EQ(ComputeTypeOf("MXFP4", without), "int8");
}

// A GGUF of keys alone, as the first part of a split model may be.
fs::path WithoutTensors(const TempDir& dir, const char* key) {
  model::GgufTestWriter file;
  file.Text("general.architecture", "deepseek2");
  file.U32(key, 192);
  return dir.Write(std::string(key) + ".gguf", file.File());
}

TEST(PlainWeights, AreNeededByLatentAttentionWhereTheProcessorHasAmx) {
  const std::vector<std::string> amx = {"AVX2", "AMX_INT8"}, avx = {"AVX2", "AVX512_BF16"};
  const TempDir dir;
  const fs::path latent = WithoutTensors(dir, "deepseek2.attention.key_length_mla");
  EXPECT_TRUE(NeedsPlainWeights(amx, latent)) << "its tensors are in the parts that follow";
  EXPECT_FALSE(NeedsPlainWeights(avx, latent));
  EXPECT_FALSE(NeedsPlainWeights({}, latent));
  EXPECT_FALSE(NeedsPlainWeights(amx, WithoutTensors(dir, "deepseek2.attention.key_length")));
  EXPECT_FALSE(NeedsPlainWeights(amx, TinyMoe()));
  EXPECT_FALSE(NeedsPlainWeights(amx, dir.path() / "missing.gguf"));
}

TEST(PlainWeights, AreToldWhereTheyMakeADifference) {
  const std::vector<std::string> amx = {"AMX_INT8"};
  const TempDir dir;
  const fs::path latent = WithoutTensors(dir, "deepseek2.attention.key_length_mla");
  EXPECT_THAT(PlainWeightsInWords(amx, {}, latent),
              testing::HasSubstr("weights laid out as in the file (the engine's layout for AMX"));
  EXPECT_NE(PlainWeightsInWords(amx, {.gpus = {"CUDA0"}, .gpu_layers = 3}, latent), "");
  EXPECT_EQ(PlainWeightsInWords(amx, {.gpus = {"CUDA0"}}, latent), "");
  EXPECT_EQ(PlainWeightsInWords(amx, {.experts = ExpertOptions()}, latent), "");
  EXPECT_EQ(PlainWeightsInWords(amx, {.plain_weights = true}, latent), "");
  EXPECT_EQ(PlainWeightsInWords(amx, {}, TinyMoe()), "");
  EXPECT_EQ(PlainWeightsInWords({}, {}, latent), "");
}

class Engine : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    library_ = EngineLibrary::Load().value().release();
    model_ = LoadedModel::Load(*library_, TinyMoe()).value();
  }
  static void TearDownTestSuite() {
    model_.reset();
    delete library_;
  }

  std::unique_ptr<LlamaCppSystem> Create(int slots, int batch_tokens = 512) {
    EngineOptions options;
    options.threads = 1;
    options.slots = slots;
    options.batch_tokens = batch_tokens;
    auto system = LlamaCppSystem::Create(*library_, model_, options, clock_);
    EXPECT_TRUE(system.ok()) << (system.ok() ? "" : system.error().message);
    return std::move(system).value();
  }

  load::LoadResult Run(LlamaCppSystem& system, int clients, const std::vector<load::RequestSpec>& requests) {
    load::ClosedLoopOptions options;
    options.clients = clients;
    auto result = load::RunClosedLoop(system, requests, options, clock_);
    EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.error().message);
    return std::move(result).value();
  }

  static EngineLibrary* library_;
  static std::shared_ptr<const LoadedModel> model_;
  SteadyClock clock_;
};
EngineLibrary* Engine::library_ = nullptr;
std::shared_ptr<const LoadedModel> Engine::model_;

TEST_F(Engine, TellsWhatItsCpuBackendFound) { EXPECT_FALSE(CpuFeatures().empty()) << "the pinned engine lists them"; }

TEST_F(Engine, PassesAndTokensAddUp) {
  const auto system = Create(2);
  const load::LoadResult result = Run(*system, 2, Requests());
  int64_t prompt_tokens = 0, prefilled = 0, decoded = 0;
  for (const auto& request : result.requests) {
    EXPECT_EQ(request.output_tokens, 24);
    EXPECT_EQ(request.finish, record::FinishReason::kLength);
    EXPECT_TRUE(std::is_sorted(request.token_s.begin(), request.token_s.end()));
    prompt_tokens += request.input_tokens;
  }
  for (const auto& pass : result.passes) {
    (pass.kind == record::PassKind::kPrefill ? prefilled : decoded) += pass.NewTokens();
    EXPECT_GT(pass.latency_s, 0);
    EXPECT_LE(pass.SequenceCount(), 2);
  }
  EXPECT_EQ(prefilled, prompt_tokens);
  EXPECT_EQ(decoded, static_cast<int64_t>(kQuestions.size()) * 23) << "the first token comes out of the prefill pass";
}

// The engine computes sequences together whose numbers follow each other, and would make two graphs of a batch with a gap.
TEST_F(Engine, APassHoldsNeighbouringSlots) {
  const auto system = Create(3);
  std::vector<load::RequestSpec> requests = Requests();
  requests.resize(3);
  requests[1].max_output_tokens = 6;
  system->StartPassLog();
  const load::LoadResult result = Run(*system, 3, requests);
  const PassLog log = system->TakePassLog();
  ASSERT_EQ(log.size(), result.passes.size());
  std::vector<int32_t> alone;
  for (size_t i = 0; i < log.size(); ++i) {
    if (result.passes[i].kind != record::PassKind::kDecode) continue;
    const std::vector<BatchToken>& tokens = log[i].tokens;
    for (size_t row = 1; row < tokens.size(); ++row) EXPECT_EQ(tokens[row].slot, tokens[row - 1].slot + 1) << "pass " << i;
    if (tokens.size() == 1) alone.push_back(tokens[0].slot);
  }
  ASSERT_EQ(alone.size(), 2u * (23 - 5)) << "without the request in the middle";
  for (size_t i = 0; i < alone.size(); ++i) EXPECT_EQ(alone[i], i % 2 == 0 ? 0 : 2) << "in turn";
  EXPECT_EQ(result.requests[0].output_tokens, 24);
  EXPECT_EQ(result.requests[2].output_tokens, 24);
  EXPECT_EQ(system->ReplayRouting(log)->differing, 0);
}

TEST(ArgMax, IsTheFirstOfTheLargest) {
  Rng rng(7);
  for (const size_t size : {1u, 31u, 32u, 33u, 1000u}) {
    for (int round = 0; round < 50; ++round) {
      std::vector<float> logits(size);
      for (float& logit : logits) logit = static_cast<float>(rng.Below(20)) - 30;  // with many ties
      EXPECT_EQ(ArgMax(logits), static_cast<size_t>(std::ranges::max_element(logits) - logits.begin()));
    }
  }
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(ArgMax(std::vector<float>{-kInfinity, -kInfinity}), 0u);
}

TEST_F(Engine, ConcurrencyAndChunkingDoNotChangeWhatIsGenerated) {
  const auto tokens = [&](int slots, int clients, int batch_tokens) {
    const auto system = Create(slots, batch_tokens);
    std::vector<std::vector<int32_t>> ids;
    for (const auto& request : Run(*system, clients, Requests()).requests) ids.push_back(request.token_ids);
    return ids;
  };
  const auto alone = tokens(1, 1, 512);
  EXPECT_EQ(alone, tokens(1, 1, 512));
  EXPECT_EQ(alone, tokens(4, 4, 512));
  EXPECT_EQ(alone, tokens(2, 5, 512)) << "requests beyond the slots queue";
  EXPECT_EQ(alone, tokens(1, 1, 8)) << "prefill in chunks";
}

TEST_F(Engine, ReplayRoutesEveryTokenOfEveryPassToTopKExperts) {
  const auto system = Create(4);
  system->StartPassLog();
  const load::LoadResult result = Run(*system, 4, Requests());
  const PassLog log = system->TakePassLog();
  ASSERT_EQ(log.size(), result.passes.size());
  const auto routing = system->ReplayRouting(log);
  ASSERT_TRUE(routing.ok()) << routing.error().message;
  ASSERT_EQ(routing->passes.size(), log.size());
  EXPECT_EQ(routing->choices, 24 * static_cast<int64_t>(kQuestions.size()));
  EXPECT_EQ(routing->differing, 0);
  for (size_t i = 0; i < log.size(); ++i) {
    const auto& counts = routing->passes[i].expert_counts;
    ASSERT_GE(counts.size(), 6u);
    const auto outputs =
        std::count_if(log[i].tokens.begin(), log[i].tokens.end(), [](const BatchToken& token) { return token.output; });
    for (size_t layer = 0; layer < counts.size(); ++layer) {
      // The engine drops rows without an output before the last layer's experts.
      const int64_t rows = layer + 1 < counts.size() ? result.passes[i].NewTokens() : outputs;
      EXPECT_EQ(std::accumulate(counts[layer].begin(), counts[layer].end(), int64_t{0}), 2 * rows)
          << "pass " << i << " layer " << layer;
    }
  }
}

TEST_F(Engine, StopsAtTheEndTokenAndAtStopStrings) {
  const auto system = Create(1);
  std::vector<load::RequestSpec> requests = Requests(400);
  requests.resize(1);
  requests[0].ignore_end_token = false;
  const auto ended = Run(*system, 1, requests).requests[0];
  EXPECT_EQ(ended.finish, record::FinishReason::kStop);
  EXPECT_THAT(ended.text, testing::HasSubstr("####"));
  requests[0].stop = {"####"};
  const auto stopped = Run(*system, 1, requests).requests[0];
  EXPECT_EQ(stopped.finish, record::FinishReason::kStop);
  EXPECT_THAT(stopped.text, testing::Not(testing::HasSubstr("#")));
  EXPECT_EQ(ended.text.substr(0, stopped.text.size()), stopped.text);
}

TEST_F(Engine, RefusesAPromptThatDoesNotFitNamingTheRemedy) {
  const auto system = Create(1);
  load::RequestSpec request = Requests()[0];
  for (int i = 0; i < 8; ++i) request.prompt += request.prompt;
  const Status status = system->Validate(request);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().kind, ErrorKind::kBadInput);
  EXPECT_THAT(status.error().message,
              testing::AllOf(testing::HasSubstr("problem 0"), testing::HasSubstr("set context_tokens to")));
}

TEST_F(Engine, EndsAtTheContextsEnd) {
  const auto system = Create(1);
  std::vector<load::RequestSpec> requests = Requests(100000);
  requests.resize(1);
  const auto request = Run(*system, 1, requests).requests[0];
  EXPECT_EQ(request.finish, record::FinishReason::kLength);
  EXPECT_EQ(request.input_tokens + request.output_tokens, 512 + 1) << "the last token needs no place in the cache";
}

TEST_F(Engine, AFileThatIsNoModelIsRefused) {
  const auto model = LoadedModel::Load(*library_, fs::path(MOECAP_SOURCE_DIR) / "README.md");
  ASSERT_FALSE(model.ok());
  EXPECT_THAT(model.error().message, testing::HasSubstr("README.md"));
}

TEST(HostTensors, AreTheRoutedExpertsOfTheFirstLayers) {
  const auto on_host = [](int cpu_experts, const std::string& tensor) {
    return std::ranges::any_of(HostTensorPatterns(cpu_experts),
                               [&](const std::string& pattern) { return std::regex_search(tensor, std::regex(pattern)); });
  };
  EXPECT_TRUE(HostTensorPatterns(0).empty());
  for (const char* name : {"blk.1.ffn_up_exps.weight", "blk.1.ffn_gate_exps.weight", "blk.1.ffn_down_exps.bias",
                           "blk.1.ffn_gate_up_exps.weight"}) {
    EXPECT_TRUE(on_host(2, name)) << name;
    EXPECT_TRUE(on_host(-1, name)) << name;
    EXPECT_FALSE(on_host(1, name)) << name;
  }
  EXPECT_FALSE(on_host(2, "blk.10.ffn_up_exps.weight")) << "layer 10 is none of the first 2";
  for (const char* name : {"blk.0.ffn_gate_inp.weight", "blk.0.ffn_up_shexp.weight", "blk.0.attn_q.weight", "output.weight"})
    EXPECT_FALSE(on_host(-1, name)) << name;
}

TEST_F(Engine, PassesInChunksAreBracketedAndRouteAsTheCountedOnes) {
  GraphRunOptions options;
  options.batches = {1, 3};
  options.contexts = {20};
  options.repeats = 1;
  const auto counted = RunGraphPasses(*library_, model_, options, clock_, nullptr);
  ASSERT_TRUE(counted.ok()) << counted.error().message;
  std::vector<bool> brackets;
  options.count_graph = false;
  options.chunk_tokens = 8;
  options.bracket = [&](bool begins) { brackets.push_back(begins); };
  const auto plain = RunGraphPasses(*library_, model_, options, clock_, nullptr);
  ASSERT_TRUE(plain.ok()) << plain.error().message;
  EXPECT_THAT(brackets, testing::ElementsAre(true, false, true, false)) << "one execution of each decode pass";
  ASSERT_EQ(plain->size(), 2u) << "a prompt in chunks is no pass";
  ASSERT_EQ(counted->size(), 3u);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ((*plain)[i].record.expert_counts, (*counted)[i + 1].record.expert_counts);
    EXPECT_EQ((*plain)[i].graph.nodes, 0);
    EXPECT_TRUE((*plain)[i].replay_matches);
  }
}

TEST_F(Engine, QuantisesOnceIntoTheCache) {
  const fs::path cache = fs::temp_directory_path() / ("moecap-quantize-" + std::to_string(::getpid()));
  const auto first = EnsureQuantized(*library_, TinyMoe(), "Q4_0", cache);
  ASSERT_TRUE(first.ok()) << first.error().message;
  EXPECT_LT(fs::file_size(*first), fs::file_size(TinyMoe()) / 2);
  const auto written = fs::last_write_time(*first);
  EXPECT_EQ(*EnsureQuantized(*library_, TinyMoe(), "Q4_0", cache), *first);
  EXPECT_EQ(fs::last_write_time(*first), written);
  EXPECT_EQ(std::distance(fs::directory_iterator(cache), fs::directory_iterator()), 1);
  EXPECT_THAT(EnsureQuantized(*library_, TinyMoe(), "Q4_O", cache).error().message,
              testing::HasSubstr("did you mean \"Q4_0\""));
  fs::remove_all(cache);
}

TEST_F(Engine, QuantisesToEveryTypeThatItOffers) {
  const fs::path cache = fs::temp_directory_path() / ("moecap-types-" + std::to_string(::getpid()));
  for (const std::string& weights : QuantizableTypes()) {
    const auto file = EnsureQuantized(*library_, TinyMoe(), weights, cache);
    ASSERT_TRUE(file.ok()) << file.error().message;
    EXPECT_GT(fs::file_size(*file), 1'000'000u) << weights;
    EXPECT_LE(fs::file_size(*file), 2 * fs::file_size(TinyMoe())) << weights;
  }
  EXPECT_THAT(EnsureQuantized(*library_, TinyMoe(), "IQ2_XS", cache).error().message,
              testing::HasSubstr("llama-quantize --imatrix"));
  fs::remove_all(cache);
}

// A disk that is full looks to the engine as a limit on the size of files does.
TEST_F(Engine, SaysWhereThereIsNoRoomForAQuantisedFile) {
  const fs::path cache = fs::temp_directory_path() / ("moecap-full-" + std::to_string(::getpid()));
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{1'000'000, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const auto file = EnsureQuantized(*library_, TinyMoe(), "Q8_0", cache);
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.error().kind, ErrorKind::kFailed);
  EXPECT_THAT(file.error().message,
              testing::AllOf(testing::HasSubstr("could not be written"), testing::HasSubstr("make room in " + cache.string())));
  EXPECT_TRUE(fs::is_empty(cache)) << "nothing half written stays";
  fs::remove_all(cache);
}

// The child's part of the next test: 0 as it should be, 77 where this process may not mount.
int QuantiseOntoASmallDisk(const EngineLibrary& library, const fs::path& dir) {
  constexpr int kMayNot = 77;
  if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return kMayNot;
  if (::mount("tmpfs", dir.c_str(), "tmpfs", 0, "size=4m") != 0) return kMayNot;
  const fs::path cache = dir / "quantized";
  const auto file = EnsureQuantized(library, TinyMoe(), "Q8_0", cache);
  const std::string message = file.ok() ? "it was written" : file.error().message;
  std::fprintf(stderr, "%s\n", message.c_str());
  const bool tells = message.find("could not be written (") != std::string::npos &&
                     message.find("make room in " + cache.string()) != std::string::npos;
  return tells && fs::is_empty(cache) ? 0 : 1;
}

TEST_F(Engine, SaysThatADiskIsFull) {
  const TempDir dir;
  const pid_t child = ::fork();
  if (child == 0) ::_exit(QuantiseOntoASmallDisk(*library_, dir.path()));
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "this process may not mount a file system";
  EXPECT_EQ(WEXITSTATUS(status), 0) << "12 MB onto 4: its message is above";
}

TEST_F(Engine, KeepsItsCacheInTheTypeThatIsAskedFor) {
  const auto create = [&](const std::string& kv_type) {
    EngineOptions options;
    options.kv_type = kv_type;
    return LlamaCppSystem::Create(*library_, model_, options, clock_);
  };
  std::vector<int32_t> plain;
  for (const std::string& kv_type : KvTypes()) {
    auto system = create(kv_type);
    ASSERT_TRUE(system.ok()) << kv_type << ": " << system.error().message;
    std::vector<load::RequestSpec> requests = Requests();
    requests.resize(1);
    const auto ids = Run(**system, 1, requests).requests[0].token_ids;
    EXPECT_EQ(ids.size(), 24u) << kv_type;
    if (kv_type == "f16") plain = ids;
  }
  EXPECT_EQ(Run(**create("F16"), 1, {Requests()[0]}).requests[0].token_ids, plain) << "case does not matter";
  const auto refused = create("q2_k");
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message, testing::AllOf(testing::HasSubstr("q2_k"), testing::HasSubstr("q8_0, q5_1")));
}

}  // namespace
}  // namespace moecap::llamacpp
