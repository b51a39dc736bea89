// llama.cpp in this process as a system under test: continuous batching over a fixed number of KV-cache slots.
//
// Scheduling: a prompt that waits goes first, alone, in chunks of at most `batch_tokens`; otherwise running requests decode one
// token in one batch: all of them where their slots follow each other, else the runs of neighbouring slots in turn, because the
// engine would split a batch with a gap. So each llama_decode is one pass of one kind, and which passes happen depends on the
// requests alone, never on timing. Decoding is greedy. With drafts (EngineOptions::drafts) a decode pass holds all running
// requests, behind each one's token its own drafts, as many as it has, and as many of them are accepted as are what the engine
// chooses itself; the requests then share one range of cache cells. The latency of a pass spans llama_decode and the
// synchronisation, nothing else.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "load/system_under_test.h"
#include "system/llamacpp/engine_library.h"
#include "system/llamacpp/expert_cache.h"
#include "system/llamacpp/ngram_drafts.h"
#include "system/llamacpp/pass_log.h"

namespace moecap::llamacpp {

// Where a model's layers lie.
struct Placement {
  std::vector<std::string> gpus;  // names from EngineLibrary::UseGpus; empty = everything on the processor
  int gpu_layers = -1;            // on those GPUs; -1 = all
  // Of so many first layers the routed experts stay in host memory, where the processor computes them; -1 = of all layers. Only
  // with GPUs.
  int cpu_experts = 0;
  std::optional<ExpertOptions> experts;  // beyond a budget on disk; null = in memory. Only without GPUs
  // The processor's own layout of some weight types ("Q4_0"), which is a copy in memory, is left out; always with `experts`,
  // and where NeedsPlainWeights.
  bool plain_weights = false;
};

// Regular expressions for the names of the tensors that `cpu_experts` of a placement keeps in host memory; empty for 0.
std::vector<std::string> HostTensorPatterns(int cpu_experts);

// Whether the file has weights that multiply per head: those of latent attention, when they are kept apart
// ("blk.0.attn_k_b.weight"), or says so ("deepseek2.attention.key_length_mla"), as the first of a model's parts does even where
// it holds no tensors. False for a file that cannot be read.
bool HasPerHeadWeights(const std::filesystem::path& gguf);

// Whether the weights must stay as they lie in the file on a processor with `cpu_features` (of CpuFeatures): LoadedModel::Load
// then leaves them so without being asked.
bool NeedsPlainWeights(std::span<const std::string> cpu_features, const std::filesystem::path& gguf);

// That they stay so, and why, for the description of a system; empty where that changes nothing: they need not, would anyway,
// or lie on GPUs, all of them.
std::string PlainWeightsInWords(std::span<const std::string> cpu_features, const Placement& placement,
                                const std::filesystem::path& gguf);

// A model's weights, shared by the systems that run it one after the other.
class LoadedModel {
 public:
  // Error: kBadInput when the engine cannot load the file, or not with these experts on disk.
  static Result<std::shared_ptr<const LoadedModel>> Load(const EngineLibrary& library, const std::filesystem::path& gguf,
                                                         const Placement& placement = {});

  llama_model* get() const { return model_.get(); }
  const std::filesystem::path& path() const { return path_; }
  bool on_gpu() const { return on_gpu_; }
  ExpertCache* experts() const { return experts_.get(); }  // null: all in memory

 private:
  LoadedModel(ModelPtr model, std::filesystem::path path, bool on_gpu, std::unique_ptr<ExpertCache> experts)
      : model_(std::move(model)), path_(std::move(path)), on_gpu_(on_gpu), experts_(std::move(experts)) {}
  ModelPtr model_;
  std::filesystem::path path_;
  bool on_gpu_;
  std::unique_ptr<ExpertCache> experts_;  // ends before the model whose mapping it reads into
};

struct EngineOptions {
  int threads = 1;
  int slots = 1;                // requests in flight at most; further ones queue
  int context_tokens = 512;     // per request: prompt and output
  int batch_tokens = 512;       // prompt tokens a pass at most
  std::string kv_type = "f16";  // of the KV cache: a name of kv_type.h
  // Without flash attention, which rounds to 16 bits what it multiplies: with kv_type "f32" all of attention is in float32.
  // Slower.
  bool float32_attention = false;
  NgramDrafts drafts;  // verified in the pass that decodes their sequence's next token
  bool chat = false;   // prompts are chats, written by the model's own template (chat_template.h)
};

class LlamaCppSystem final : public load::SystemUnderTest {
 public:
  // `library` and `clock` must outlive the system. Errors: kBadInput when the context cannot be had, or not with this KV type,
  // or when the experts that a pass may need together exceed their budget. (Long prompts are then read in more passes.)
  static Result<std::unique_ptr<LlamaCppSystem>> Create(const EngineLibrary& library, std::shared_ptr<const LoadedModel> model,
                                                        const EngineOptions& options, const Clock& clock);
  ~LlamaCppSystem() override;

  Status Validate(const load::RequestSpec& request) override;
  Status Submit(const load::RequestSpec& request, uint64_t ticket) override;
  Status Advance(load::Observer& observer, int64_t until_ns) override;
  void Cancel(uint64_t ticket) override;
  void CancelAll() override;

  // Starts, or ends with the log of every pass since, the logging that a replay needs. The log is tokens only: no cost in a
  // pass.
  void StartPassLog();
  PassLog TakePassLog();

  // The experts each pass of `log` routed to, from an instrumented second execution of the same batches, or from the log where
  // that has them. Empty counts for a dense model. On a GPU being watched splits what the backend fuses, and sums differ in
  // their last bits: what it chooses otherwise is counted. On a processor that is an error: kFailed.
  Result<ReplayedLog> ReplayRouting(const PassLog& log);

 private:
  struct Impl;
  explicit LlamaCppSystem(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace moecap::llamacpp
