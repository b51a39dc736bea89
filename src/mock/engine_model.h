// Continuous batching as vLLM, SGLang and TensorRT-LLM do it, simulated: a pass takes what the roofline says of its real batch.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "base/result.h"
#include "mock/engine.h"
#include "mock/prefix_cache.h"
#include "mock/roofline.h"
#include "mock/router.h"

namespace moecap::mock {

struct EngineModelOptions {
  Roofline roofline;
  double kv_memory_share = 0.9;    // of the devices' memory, for weights and KV cache together
  std::optional<double> kv_bytes;  // KV memory, instead of what the weights leave
  int64_t max_running = 256;       // sequences
  int64_t max_pass_tokens = 8192;  // new tokens of a pass: decoding sequences first, prompt chunks fill the rest
  bool chunked_prefill = true;     // false: whole prompts in passes of their own, before any decoding
  bool prefix_cache = true;
  int block_tokens = 16;  // of the prefix cache
  double router_cv = routing::kDefaultPopularityCv;
  uint64_t seed = 1;
};

// A request is admitted in order of arrival when fewer than max_running run and the KV memory holds its prompt and its whole
// output; it then runs to its end (no preemption). The pass that computes the last prompt token yields the first output token.
// Passes start when the previous one ends, or at the arrival of a request to an idle engine; a request that arrives during a
// pass waits for the next. The prefix cache lives in KV memory that running requests leave free; the last prompt token is
// always computed.
class EngineModel final : public Engine {
 public:
  // Error kBadInput: the weights leave no KV memory.
  static Result<std::unique_ptr<EngineModel>> Create(const model::ModelSpec& model, const EngineModelOptions& options);

  bool Submit(EngineRequest request) override;
  void Cancel(uint64_t request, int64_t now_ns) override;
  void Advance(int64_t now_ns, EngineOutput& out) override;
  std::optional<int64_t> NextNs() const override;
  EngineState State() const override;
  void ClearPrefixCache() override { cache_.Clear(); }

  const SampledRouter& router() const { return router_; }
  double kv_bytes() const { return kv_bytes_; }

 private:
  struct Sequence {
    EngineRequest request;
    std::vector<uint64_t> blocks;  // of the prompt
    double reserved_bytes = 0;
    int64_t computed = 0;  // tokens in the KV cache
    int64_t produced = 0;
    int64_t planned = 0;  // new tokens in the pass that runs
    bool cancelled = false;

    bool decoding() const { return computed >= static_cast<int64_t>(request.prompt.size()); }
  };

  EngineModel(const model::ModelSpec& model, const EngineModelOptions& options, double kv_bytes);

  double ReservedBytes(const EngineRequest& request) const;
  void Admit(int64_t time_ns, EngineOutput& out);
  void Plan();
  void PlanChunked();
  void PlanWhole();
  record::PassRecord DescribePass() const;
  void StartPass(int64_t time_ns);
  void FinishPass(EngineOutput& out);
  void AdvanceSequence(Sequence& sequence, EngineOutput& out);
  void Release(const Sequence& sequence);
  void KeepOutput(const Sequence& sequence);

  model::ModelSpec model_;
  EngineModelOptions options_;
  SampledRouter router_;
  double kv_bytes_ = 0;
  double block_bytes_ = 0;
  double reserved_bytes_ = 0;
  PrefixCache cache_;
  std::deque<EngineRequest> waiting_;
  std::vector<Sequence> running_;  // in order of admission
  bool in_pass_ = false;
  record::PassRecord pass_;
  int64_t pass_end_ns_ = 0;  // also of the last finished pass
  int64_t passes_ = 0;
};

}  // namespace moecap::mock
