// Traces of other programs as a stream of passes.
//
// | kind     | what it reads                                                                    | grain                 |
// |----------|----------------------------------------------------------------------------------|-----------------------|
// | moetrace | our own format                                                                   | any                   |
// | passes   | passes.jsonl whose passes have expert_counts                                     | pass counts           |
// | sglang   | .pt files of SGLang's expert distribution recorder (stat, per_pass, per_token)   | pass counts, token ids|
// |          | answers of SGLang with routed experts, as vLLM's; their shape is the model's     | token ids             |
// | vllm     | routed_experts of vLLM: .npy, its base64, or answers (JSON, JSON lines, events)  | token ids             |
// | tensorrt | rank<r>.safetensors of TensorRT-LLM's EXPERT_STATISTIC_PATH, or that folder      | pass counts           |
// | imatrix  | importance matrix of llama.cpp (GGUF)                                            | totals                |
// Records of MoE-CAP's own recorder name no experts: upstream.h reads them.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/model_spec.h"
#include "trace/trace.h"

namespace moecap::trace {

enum class ImportKind { kMoetrace, kPasses, kUpstream, kSglang, kVllm, kTensorRt, kImatrix };
// "moetrace", "passes", "upstream", "sglang", "vllm", "tensorrt", "imatrix".
std::string_view Name(ImportKind kind);
std::optional<ImportKind> ImportKindByName(std::string_view name);

// What a foreign file does not say about itself.
struct ImportOptions {
  std::string model;            // its id
  int experts = 0;              // 0 = not known
  int top_k = 0;                // 0 = not known
  int layers = 0;               // all layers of the model; 0 = not known
  std::vector<int> moe_layers;  // numbers of its MoE layers; empty = not known
};
ImportOptions OptionsFor(const model::ModelSpec& spec);

// Looks at the first bytes (or the folder's file names). Error kBadInput: nothing known.
Result<ImportKind> DetectKind(const std::filesystem::path& path);

// Error kBadInput names the file and what is wrong, or what the file lacks and which option provides it. kUpstream is refused.
Result<std::unique_ptr<TraceSource>> OpenTrace(const std::filesystem::path& path, ImportKind kind,
                                               const ImportOptions& options);

}  // namespace moecap::trace
