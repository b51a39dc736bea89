// Traces of other programs as a stream of passes.
//
// | kind      | what it reads                                                                   | grain                 |
// |-----------|---------------------------------------------------------------------------------|-----------------------|
// | moetrace  | our own format                                                                  | any                   |
// | passes    | passes.jsonl whose passes have expert_counts                                    | pass counts           |
// | sglang    | .pt files of SGLang's expert distribution recorder (stat, per_pass, per_token)  | pass counts, token ids|
// |           | answers of SGLang with routed experts, as vLLM's; their shape is the model's    | token ids             |
// | vllm      | routed_experts of vLLM: .npy, .npz, base64, or answers (JSON, JSON lines, events)| token ids            |
// | tensorrt  | rank<r>.safetensors of TensorRT-LLM's EXPERT_STATISTIC_PATH, or that folder     | pass counts           |
// | imatrix   | importance matrix of llama.cpp (GGUF)                                           | totals                |
// | counts    | tokens per expert as JSON, CSV, .npy or .npz: SGLang's EPLB file and older CSV, | totals                |
// |           | vLLM's dumps of expert loads                                                    |                       |
// | trace-csv | a choice a row: llama.cpp's moe-trace and its relatives                         | totals, pass counts   |
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
#include "record/pass_record.h"
#include "trace/trace.h"

namespace moecap::trace {

enum class ImportKind { kMoetrace, kPasses, kUpstream, kSglang, kVllm, kTensorRt, kImatrix, kCounts, kTraceCsv };
// "moetrace", "passes", "upstream", "sglang", "vllm", "tensorrt", "imatrix", "counts", "trace-csv".
std::string_view Name(ImportKind kind);
std::optional<ImportKind> ImportKindByName(std::string_view name);
std::string ImportKindNames();  // "moetrace, passes, ..."

// What a foreign file does not say about itself.
struct ImportOptions {
  std::string model;            // its id
  int experts = 0;              // 0 = not known
  int top_k = 0;                // 0 = not known
  int layers = 0;               // all layers of the model; 0 = not known
  std::vector<int> moe_layers;  // numbers of its MoE layers; empty = not known
  int zero_experts = 0;         // of a layer, besides `experts`
  int shared_experts = 0;       // of a layer
  int ranks = 0;                // that worked on the server; 0 = not known
  int tensor_ranks = 0;         // of them, ranks that counted the same tokens; 0 = not known
  // Of passes.jsonl, whose records may be of several cells: the one to read; null = that of the first record.
  std::optional<record::CellId> cell;
};
ImportOptions OptionsFor(const model::ModelSpec& spec);

// The cells of a passes.jsonl with counts, in the order in which they begin. Errors as of OpenTrace.
Result<std::vector<record::CellId>> CellsOf(const std::filesystem::path& path);
// "F16, 8 clients, repetition 0"; empty for a record of foreign origin.
std::string Name(const record::CellId& cell);

// Looks at the first bytes; of a folder, at those of its files. Error kBadInput: nothing known.
Result<ImportKind> DetectKind(const std::filesystem::path& path);

// Error kBadInput names the file and what is wrong, or what the file lacks and which option provides it. kUpstream is refused.
Result<std::unique_ptr<TraceSource>> OpenTrace(const std::filesystem::path& path, ImportKind kind,
                                               const ImportOptions& options);

}  // namespace moecap::trace
