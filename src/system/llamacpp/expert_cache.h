// Experts beyond a memory budget are left on disk: a layer's are read when the router has chosen them and before they are
// multiplied with. Generation is the resident model's, bit by bit.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "record/pass_record.h"
#include "system/llamacpp/engine_library.h"
#include "system/llamacpp/expert_policy.h"
#include "system/llamacpp/expert_store.h"

struct ggml_tensor;

namespace moecap::llamacpp {

struct ExpertOptions {
  int64_t budget_bytes = 0;  // of experts in memory, all layers together
  Eviction eviction = Eviction::kLru;
  Prefetch prefetch = Prefetch::kNone;
};

// Error: kBadInput for a budget that does not hold what one token uses of a layer, with the least that does.
Status CheckBudget(const ExpertLayout& layout, int64_t budget_bytes);

// Of one loaded model. One context at a time computes with it.
class ExpertCache {
 public:
  // `model` was loaded by mapping its file and without weights laid out anew. Computes one token to see where the engine has
  // the experts. Errors: kBadInput for a budget that is too small or a model that does not allow it, kFailed.
  static Result<std::unique_ptr<ExpertCache>> Create(const EngineLibrary& library, llama_model* model,
                                                     const std::filesystem::path& gguf, const ExpertOptions& options);

  // Give it and the cache as cb_eval and cb_eval_user_data of every context of the model.
  static bool Callback(ggml_tensor* tensor, bool ask, void* cache);

  // Around each llama_decode, which must be one pass.
  void BeginPass(const Clock& clock);
  struct Pass {
    record::ExpertReads reads;
    std::vector<std::vector<int32_t>> expert_counts;  // tokens routed to each expert, [MoE layer][expert]
  };
  // Error: kFailed when experts could not be read; then what the pass computed is worth nothing.
  Result<Pass> EndPass();

  // Tokens of a pass that may route as they like and still have every layer's experts in memory together; 0 = any number.
  int64_t MostTokens() const;
  int64_t ResidentBytes() const { return store_->ResidentBytes(); }
  bool direct() const { return store_->direct(); }

 private:
  ExpertCache(ExpertLayout layout, const ExpertOptions& options);
  void Route(int layer, const ggml_tensor& ids);
  void Wait(int layer, const std::vector<int>& experts);

  ExpertLayout layout_;
  ResidentSet set_;
  ExpertForecast forecast_;
  std::unique_ptr<ExpertStore> store_;
  std::vector<bool> expected_;  // by expert: read ahead and not used since
  const Clock* clock_ = nullptr;
  Pass pass_;
  Status failure_;
};

}  // namespace moecap::llamacpp
