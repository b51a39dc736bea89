#include "system/llamacpp/expert_cache.h"

#include <fmt/format.h>
#include <ggml.h>
#include <llama.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/units.h"
#include "system/llamacpp/graph_names.h"

namespace moecap::llamacpp {
namespace {

// The block of the ids of the chosen experts; -1 for every other node.
int RoutedBlock(const ggml_tensor* tensor) { return LayerInName(ggml_get_name(tensor), "ffn_moe_topk-"); }

// Where the engine has the weights of products by expert.
bool NoteWeights(ggml_tensor* tensor, bool ask, void* places) {
  if (ask && tensor->op == GGML_OP_MUL_MAT_ID) {
    (*static_cast<std::map<std::string, char*>*>(places))[ggml_get_name(tensor->src[0])] =
        static_cast<char*>(tensor->src[0]->data);
  }
  return !ask;
}

Result<std::map<std::string, char*>> FindWeights(const EngineLibrary& library, llama_model* model) {
  std::map<std::string, char*> places;
  llama_context_params params = llama_context_default_params();
  params.n_ctx = params.n_batch = params.n_ubatch = 32;
  params.n_threads = params.n_threads_batch = 1;
  params.no_perf = true;
  params.cb_eval = &NoteWeights;
  params.cb_eval_user_data = &places;
  const ContextPtr context(llama_init_from_model(model, params));
  llama_token token = 0;
  if (!context || llama_decode(context.get(), llama_batch_get_one(&token, 1)) != 0)
    return Failed("the engine cannot compute a first token: " + library.LastComplaint());
  llama_synchronize(context.get());
  return places;
}

}  // namespace

Status CheckBudget(const ExpertLayout& layout, int64_t budget_bytes) {
  const std::vector<int64_t> bytes = layout.BytesOfLayer();
  const int64_t largest = *std::ranges::max_element(bytes);
  if (budget_bytes >= largest * layout.top_k) return {};
  return BadInput(fmt::format("a budget of {} holds {}: each takes {}, and a token uses {} of a layer; give {} or more",
                              FormatBytes(static_cast<double>(budget_bytes)),
                              budget_bytes < largest ? "no expert" : fmt::format("{} of the experts", budget_bytes / largest),
                              FormatBytes(static_cast<double>(largest)), layout.top_k, largest * layout.top_k));
}

ExpertCache::ExpertCache(ExpertLayout layout, const ExpertOptions& options)
    : layout_(std::move(layout)),
      set_(layout_.BytesOfLayer(), layout_.experts, options.budget_bytes, options.eviction),
      forecast_(static_cast<int>(layout_.blocks.size()), layout_.experts, options.prefetch),
      expected_(layout_.blocks.size() * static_cast<size_t>(layout_.experts)) {}

Result<std::unique_ptr<ExpertCache>> ExpertCache::Create(const EngineLibrary& library, llama_model* model,
                                                         const std::filesystem::path& gguf, const ExpertOptions& options) {
  ASSIGN_OR_RETURN(ExpertLayout layout, ReadExpertLayout(gguf));
  RETURN_IF_ERROR(CheckBudget(layout, options.budget_bytes));
  ASSIGN_OR_RETURN(const auto places, FindWeights(library, model));
  std::unique_ptr<ExpertCache> cache(new ExpertCache(std::move(layout), options));
  ASSIGN_OR_RETURN(cache->store_, ExpertStore::Create(gguf, cache->layout_, places));
  return cache;
}

int64_t ExpertCache::MostTokens() const {
  if (set_.Fits(layout_.experts)) return 0;
  int64_t tokens = 1;
  while (set_.Fits((tokens + 1) * layout_.top_k)) ++tokens;
  return tokens;
}

bool ExpertCache::Callback(ggml_tensor* tensor, bool ask, void* self) {
  auto& cache = *static_cast<ExpertCache*>(self);
  const int block = RoutedBlock(tensor);
  const auto found = std::ranges::lower_bound(cache.layout_.blocks, block);
  const bool is_routing = block >= 0 && found != cache.layout_.blocks.end() && *found == block;
  if (is_routing && !ask) cache.Route(static_cast<int>(found - cache.layout_.blocks.begin()), *tensor);
  return is_routing || !ask;
}

void ExpertCache::BeginPass(const Clock& clock) {
  clock_ = &clock;
  pass_ = {};
  pass_.expert_counts.assign(layout_.blocks.size(), std::vector<int32_t>(static_cast<size_t>(layout_.experts)));
}

Result<ExpertCache::Pass> ExpertCache::EndPass() {
  clock_ = nullptr;
  if (!failure_.ok()) return failure_.error();
  pass_.reads.disk_bytes = store_->TakeBytesRead();
  return std::exchange(pass_, {});
}

// The ids are [top-k, tokens], strided: the first columns of all experts in order.
void ExpertCache::Route(int layer, const ggml_tensor& ids) {
  CHECK(clock_ != nullptr && ids.type == GGML_TYPE_I32);
  std::vector<int32_t>& counts = pass_.expert_counts[static_cast<size_t>(layer)];
  for (int64_t row = 0; row < ids.ne[1]; ++row) {
    for (int64_t k = 0; k < ids.ne[0]; ++k) {
      int32_t expert = 0;
      std::memcpy(
          &expert,
          static_cast<const char*>(ids.data) + static_cast<size_t>(row) * ids.nb[1] + static_cast<size_t>(k) * ids.nb[0],
          sizeof expert);
      CHECK(expert >= 0 && expert < layout_.experts);
      ++counts[static_cast<size_t>(expert)];
    }
  }
  std::vector<int> experts;
  for (int expert = 0; expert < layout_.experts; ++expert) {
    if (counts[static_cast<size_t>(expert)] > 0) experts.push_back(expert);
  }
  Wait(layer, experts);
  const std::vector<int> next = forecast_.Observe(layer, experts);
  if (next.empty()) return;
  const ResidentSet::Change ahead = set_.Expect(layer + 1, next, layer);
  store_->Release(ahead.release);
  store_->Fetch(ahead.load, /*urgent=*/false);
  for (const int expert : ahead.release) expected_[static_cast<size_t>(expert)] = false;
  for (const int expert : ahead.load) expected_[static_cast<size_t>(expert)] = true;
}

void ExpertCache::Wait(int layer, const std::vector<int>& experts) {
  const int64_t start_ns = clock_->NowNs();
  const ResidentSet::Change change = set_.Use(layer, experts);
  for (const int expert : change.release) expected_[static_cast<size_t>(expert)] = false;
  store_->Release(change.release);
  store_->Fetch(change.load, /*urgent=*/true);
  std::vector<int> used;
  for (const int expert : experts) {
    used.push_back(layer * layout_.experts + expert);
    if (expected_[static_cast<size_t>(used.back())]) ++pass_.reads.foreseen;
    expected_[static_cast<size_t>(used.back())] = false;
  }
  if (const Status read = store_->Await(used); !read.ok() && failure_.ok()) failure_ = read;
  pass_.reads.misses += std::ssize(change.load);
  pass_.reads.hits += std::ssize(experts) - std::ssize(change.load);
  pass_.reads.stall_s += static_cast<double>(clock_->NowNs() - start_ns) * 1e-9;
}

}  // namespace moecap::llamacpp
