// Experts on disk, on the real engine: the same generation bit by bit, memory within the budget, reads that reach the disk.
#include "system/llamacpp/expert_cache.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <llama.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/testing/temp_dir.h"
#include "load/closed_loop.h"
#include "system/llamacpp/llamacpp_system.h"
#include "system/llamacpp/quantize.h"

namespace moecap::llamacpp {
namespace {
namespace fs = std::filesystem;
using testing::HasSubstr;

fs::path TinyMoe() { return fs::path(MOECAP_SOURCE_DIR) / "models/tiny-moe/tiny-moe-f16.gguf"; }

constexpr int64_t kExpert = 3 * 256 * 96 * 2;  // bytes: gate, up and down, 256 x 96 in F16
constexpr int64_t kAll = 8 * 16 * kExpert;

std::vector<load::RequestSpec> Requests() {
  std::vector<load::RequestSpec> requests;
  for (int i = 0; i < 6; ++i) {
    load::RequestSpec request;
    request.id = std::to_string(i);
    request.prompt = "Question: Tom has " + std::to_string(10 + 7 * i) +
                     " apples and buys 30 more. He gives half of them away. How many are left?\nAnswer:";
    request.max_output_tokens = 20;
    request.ignore_end_token = true;
    requests.push_back(request);
  }
  return requests;
}

// Bytes that this process caused to be read from storage; null where the system does not count them.
std::optional<int64_t> StorageReads() {
  std::ifstream io("/proc/self/io");
  std::string key;
  int64_t value = 0;
  while (io >> key >> value) {
    if (key == "read_bytes:") return value;
  }
  return std::nullopt;
}

class ExpertCacheTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { library_ = EngineLibrary::Load().value().release(); }
  static void TearDownTestSuite() { delete library_; }

  static std::shared_ptr<const LoadedModel> Load(const fs::path& file, std::optional<ExpertOptions> experts) {
    Placement placement;
    placement.experts = experts;
    placement.plain_weights = true;
    auto model = LoadedModel::Load(*library_, file, placement);
    EXPECT_TRUE(model.ok()) << (model.ok() ? "" : model.error().message);
    return std::move(model).value();
  }

  load::LoadResult Run(const std::shared_ptr<const LoadedModel>& model, int clients, int batch_tokens = 512,
                       PassLog* log = nullptr) {
    EngineOptions options;
    options.slots = clients;
    options.batch_tokens = batch_tokens;
    auto system = LlamaCppSystem::Create(*library_, model, options, clock_);
    EXPECT_TRUE(system.ok()) << (system.ok() ? "" : system.error().message);
    if (log != nullptr) (*system)->StartPassLog();
    load::ClosedLoopOptions loop;
    loop.clients = clients;
    auto result = load::RunClosedLoop(**system, Requests(), loop, clock_);
    EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.error().message);
    if (log != nullptr) {
      *log = (*system)->TakePassLog();
      const auto routing = (*system)->ReplayRouting(*log);
      EXPECT_TRUE(routing.ok());
      for (size_t i = 0; i < log->size(); ++i) (*log)[i].expert_counts = routing->passes[i].expert_counts;
    }
    return std::move(result).value();
  }

  // The logits of `prompt`'s last token and of the eight that follow greedily, from the model itself.
  static std::vector<float> Logits(const LoadedModel& model, const Clock& clock) {
    llama_context_params params = llama_context_default_params();
    params.n_ctx = params.n_batch = params.n_ubatch = 64;
    params.n_threads = params.n_threads_batch = 1;
    if (ExpertCache* cache = model.experts()) {
      params.cb_eval = &ExpertCache::Callback;
      params.cb_eval_user_data = cache;
    }
    const ContextPtr context(llama_init_from_model(model.get(), params));
    std::vector<llama_token> tokens = {5, 17, 200, 33, 64, 91, 7, 350};
    const int vocab = llama_vocab_n_tokens(llama_model_get_vocab(model.get()));
    std::vector<float> all;
    for (int step = 0; step < 9; ++step) {
      if (model.experts() != nullptr) model.experts()->BeginPass(clock);
      EXPECT_EQ(llama_decode(context.get(), llama_batch_get_one(tokens.data(), static_cast<int32_t>(tokens.size()))), 0);
      llama_synchronize(context.get());
      if (model.experts() != nullptr) {
        EXPECT_TRUE(model.experts()->EndPass().ok());
      }
      const float* logits = llama_get_logits_ith(context.get(), -1);
      all.insert(all.end(), logits, logits + vocab);
      tokens = {static_cast<llama_token>(std::max_element(logits, logits + vocab) - logits)};
    }
    return all;
  }

  static EngineLibrary* library_;
  SteadyClock clock_;
};
EngineLibrary* ExpertCacheTest::library_ = nullptr;

TEST_F(ExpertCacheTest, ReadsTheLayoutOfTheFile) {
  const auto layout = ReadExpertLayout(TinyMoe());
  ASSERT_TRUE(layout.ok()) << layout.error().message;
  EXPECT_EQ(layout->blocks.size(), 8u);
  EXPECT_EQ(layout->experts, 16);
  EXPECT_EQ(layout->top_k, 2);
  EXPECT_EQ(layout->tensors.size(), 24u);
  EXPECT_THAT(layout->BytesOfLayer(), testing::Each(kExpert));
  EXPECT_EQ(layout->TotalBytes(), kAll);
  EXPECT_THAT(ReadExpertLayout(fs::path(MOECAP_SOURCE_DIR) / "README.md").error().message, HasSubstr("README.md"));
}

TEST_F(ExpertCacheTest, EveryLogitIsTheResidentModels) {
  const fs::path cache = fs::temp_directory_path() / ("moecap-experts-" + std::to_string(::getpid()));
  for (const char* weights : {"F16", "Q4_0", "Q4_K_M"}) {
    const fs::path file =
        std::string_view(weights) == "F16" ? TinyMoe() : EnsureQuantized(*library_, TinyMoe(), weights, cache).value();
    const auto resident = Logits(*Load(file, std::nullopt), clock_);
    const int64_t all = ReadExpertLayout(file)->TotalBytes();
    for (const Eviction eviction : {Eviction::kLru, Eviction::kLfu, Eviction::kActivation}) {
      for (const Prefetch prefetch : {Prefetch::kNone, Prefetch::kPreviousToken, Prefetch::kPreviousLayer}) {
        const auto offloaded = Logits(*Load(file, ExpertOptions{all / 5, eviction, prefetch}), clock_);
        EXPECT_TRUE(resident == offloaded) << weights << " " << static_cast<int>(eviction) << " " << static_cast<int>(prefetch);
      }
    }
  }
  fs::remove_all(cache);
}

TEST_F(ExpertCacheTest, KeepsTheBudgetAndReadsTheDisk) {
  const ExpertOptions options{kAll / 4, Eviction::kLru, Prefetch::kNone};
  const auto model = Load(TinyMoe(), options);
  EXPECT_EQ(model->experts()->ResidentBytes(), 0) << "nothing is in memory at first";
  const auto before = StorageReads();
  const load::LoadResult result = Run(model, 2);
  int64_t misses = 0, hits = 0, bytes = 0;
  for (const auto& pass : result.passes) {
    ASSERT_TRUE(pass.expert_reads);
    misses += pass.expert_reads->misses;
    hits += pass.expert_reads->hits;
    bytes += pass.expert_reads->disk_bytes;
    EXPECT_LE(pass.expert_reads->stall_s, pass.latency_s);
    EXPECT_EQ(pass.expert_reads->foreseen, 0);
  }
  EXPECT_GT(misses, 8 * 16) << "a quarter of the experts cannot serve all";
  EXPECT_GT(hits, 0);
  EXPECT_GE(bytes, misses * (kExpert - 6 * 4096)) << "the ends of a tensor are the file's own pages";
  EXPECT_LE(bytes, misses * (kExpert + 6 * 4096));
  // Three matrices an expert, each of which may share a page with the next.
  EXPECT_LE(model->experts()->ResidentBytes(), options.budget_bytes + 8 * 3 * 17 * 4096);
  EXPECT_GT(model->experts()->ResidentBytes(), options.budget_bytes / 2);
  if (!before || !model->experts()->direct()) GTEST_SKIP() << "the system does not count, or the file system caches";
  EXPECT_GE(*StorageReads() - *before, bytes) << "every miss reaches the disk";
}

TEST_F(ExpertCacheTest, GeneratesAndRoutesAsTheResidentModel) {
  PassLog resident_log, log;
  const load::LoadResult resident = Run(Load(TinyMoe(), std::nullopt), 3, 512, &resident_log);
  const load::LoadResult result =
      Run(Load(TinyMoe(), ExpertOptions{kAll / 4, Eviction::kActivation, Prefetch::kPreviousLayer}), 3, 512, &log);
  for (size_t i = 0; i < resident.requests.size(); ++i) EXPECT_EQ(result.requests[i].token_ids, resident.requests[i].token_ids);
  ASSERT_EQ(log.size(), resident_log.size());
  int64_t foreseen = 0;
  for (size_t i = 0; i < log.size(); ++i) {
    EXPECT_EQ(log[i].expert_counts, resident_log[i].expert_counts) << "pass " << i;
    int64_t distinct = 0;
    for (const auto& layer : log[i].expert_counts)
      distinct += std::ranges::count_if(layer, [](int32_t count) { return count > 0; });
    EXPECT_EQ(result.passes[i].expert_reads->hits + result.passes[i].expert_reads->misses, distinct);
    foreseen += result.passes[i].expert_reads->foreseen;
  }
  EXPECT_GT(foreseen, 0);
  EXPECT_FALSE(resident.passes.front().expert_reads);
}

TEST_F(ExpertCacheTest, AFullBudgetReadsEachExpertOnce) {
  const auto model = Load(TinyMoe(), ExpertOptions{kAll, Eviction::kLfu, Prefetch::kNone});
  int64_t misses = 0;
  for (int round = 0; round < 2; ++round) {
    const load::LoadResult result = Run(model, 2);
    for (const auto& pass : result.passes) misses += pass.expert_reads->misses;
    EXPECT_LE(misses, 8 * 16);
  }
}

TEST_F(ExpertCacheTest, ABudgetThatIsSmallerThanALayerSplitsPrompts) {
  const auto model = Load(TinyMoe(), ExpertOptions{6 * kExpert, Eviction::kLru, Prefetch::kNone});
  EXPECT_EQ(model->experts()->MostTokens(), 3) << "six experts are two each for three tokens";
  const load::LoadResult result = Run(model, 1);
  for (const auto& pass : result.passes) EXPECT_LE(pass.NewTokens(), 3);
  const load::LoadResult resident = Run(Load(TinyMoe(), std::nullopt), 1, 3);
  for (size_t i = 0; i < resident.requests.size(); ++i) EXPECT_EQ(result.requests[i].token_ids, resident.requests[i].token_ids);
  EngineOptions options;
  options.slots = 4;
  const auto refused = LlamaCppSystem::Create(*library_, model, options, clock_);
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message, HasSubstr("4 requests at once"));
  EXPECT_THAT(refused.error().message, HasSubstr("enough for 3"));
}

TEST_F(ExpertCacheTest, RefusesABudgetWithoutRoomForOneToken) {
  const auto load = [&](int64_t budget) {
    Placement placement;
    placement.experts = ExpertOptions{budget, Eviction::kLru, Prefetch::kNone};
    return LoadedModel::Load(*library_, TinyMoe(), placement);
  };
  EXPECT_THAT(load(kExpert - 1).error().message,
              testing::AllOf(HasSubstr("holds no expert"), HasSubstr("each takes 147 kB"), HasSubstr("give 294912 or more")));
  EXPECT_THAT(load(2 * kExpert - 1).error().message, HasSubstr("holds 1 of the experts"));
  EXPECT_TRUE(load(2 * kExpert).ok());
}

// From now on what is open of `path` is read as `other` is.
void ReadInstead(const fs::path& path, const char* other) {
  const int there = ::open(other, O_RDONLY | O_CLOEXEC);
  ASSERT_GE(there, 0);
  std::vector<int> open;
  for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    if (fs::read_symlink(entry.path(), gone) == path) open.push_back(std::stoi(entry.path().filename().string()));
  }
  ASSERT_FALSE(open.empty());
  for (const int file : open) ASSERT_EQ(::dup2(there, file), file);
  ::close(there);
}

// A disk that fails: this process' own memory, where nothing is mapped, is a file whose reads are errors of the device.
TEST_F(ExpertCacheTest, ADiskThatFailsIsAnErrorThatSaysSo) {
  const TempDir dir;
  const fs::path file = fs::canonical(dir.path()) / "moe.gguf";
  for (const Eviction eviction : {Eviction::kLru, Eviction::kLfu, Eviction::kActivation}) {
    for (const Prefetch prefetch : {Prefetch::kNone, Prefetch::kPreviousToken, Prefetch::kPreviousLayer}) {
      for (const auto& [other, words] :
           {std::pair{"/proc/self/mem", "Input/output error"}, std::pair{"/dev/null", "it ends early"}}) {
        SCOPED_TRACE(testing::Message() << static_cast<int>(eviction) << ", " << static_cast<int>(prefetch) << ", " << words);
        fs::copy_file(TinyMoe(), file, fs::copy_options::overwrite_existing);
        ExpertOptions experts;
        experts.budget_bytes = kAll / 4;
        experts.eviction = eviction;
        experts.prefetch = prefetch;
        const auto model = Load(file, experts);
        const auto system = LlamaCppSystem::Create(*library_, model, {}, clock_);
        ASSERT_TRUE(system.ok());
        ReadInstead(file, other);
        const auto result = load::RunClosedLoop(**system, Requests(), {}, clock_);
        ASSERT_FALSE(result.ok());
        EXPECT_EQ(result.error().kind, ErrorKind::kFailed);
        EXPECT_THAT(result.error().message,
                    testing::AllOf(HasSubstr("cannot read experts from " + file.string()), HasSubstr(words)));
      }
    }
  }
}

TEST_F(ExpertCacheTest, MeasuresWhatReadsReach) {
  const auto layout = ReadExpertLayout(TinyMoe()).value();
  const auto rate = MeasureExpertReads(TinyMoe(), layout, clock_);
  if (!rate.ok()) GTEST_SKIP() << rate.error().message;
  EXPECT_GT(*rate, 0);
}

}  // namespace
}  // namespace moecap::llamacpp
