// Per-pass records of MoE-CAP's own recorder (JSON lines, a list of them, or its HTTP answer), in the forms of its SGLang and
// its vLLM patch, as pass records.
//
// The two forms name alike what is not alike: `seq_lens_sum` is the context including the new tokens on SGLang and only the
// scheduled tokens on vLLM; a vLLM step that mixes prefill and decode is written as two records with the whole latency each.
// A vLLM decode record names its requests, so the context is followed from their prefill records; without those it is not
// known.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "record/pass_record.h"

namespace moecap::trace {

enum class UpstreamFlavour { kSglang, kVllm };
// "sglang", "vllm".
std::string_view Name(UpstreamFlavour flavour);
// Null for an empty name. Error kBadInput: another one.
Result<std::optional<UpstreamFlavour>> UpstreamFlavourByName(std::string_view name);

struct UpstreamOptions {
  std::optional<UpstreamFlavour> flavour;  // null: told by all records together
  // The recorder averages over all layers and counts dense ones as zeros; with both numbers that is undone.
  int layers = 0;
  int moe_layers = 0;
};

// Sums over the passes of one kind.
struct UpstreamPhase {
  int64_t passes = 0;
  int64_t new_tokens = 0;
  double latency_s = 0;
  std::optional<double> mean_distinct_experts;  // per layer, over the passes that recorded it; null when none did
};

struct UpstreamReport {
  UpstreamFlavour flavour = UpstreamFlavour::kSglang;
  int64_t records = 0;          // lines
  int64_t passes = 0;           // given to the sink
  int64_t mixed = 0;            // of them made of two records of one step
  int64_t skipped = 0;          // records of an unknown forward_mode or of no tokens
  int64_t without_experts = 0;  // passes with an expert_activation of 0: not recorded
  int64_t without_context = 0;  // passes whose context is not known: no KV bytes, no S-MBU and S-MFU from them
  int64_t split_evenly = 0;     // passes of which only sums over the sequences are known
  std::optional<int> devices;   // gpu_num
  std::string device;           // gpu_raw_type
  UpstreamPhase prefill, decode, mixed_steps;
  std::vector<std::string> notes;  // the above in sentences, with what follows from it
};

// Receives one pass; when `context_known` is false, its sequences show a context of 0 and nothing that depends on the context
// may be computed from it.
using UpstreamSink = std::function<Status(const record::PassRecord& pass, bool context_known)>;

// Streams JSON lines in constant memory. Error kBadInput names file and line, also when the sink returns one; records that only
// different recorders, or different numbers of GPUs, can have written are refused.
Result<UpstreamReport> ReadUpstream(const std::filesystem::path& path, const UpstreamOptions& options,
                                    const UpstreamSink& sink);

}  // namespace moecap::trace
