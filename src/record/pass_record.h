// One forward pass of an engine over a batch: the fact from which every bandwidth and FLOP figure is computed.
// JSON form (passes.jsonl) in docs/formats/records.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace moecap::record {

// The cell of an experiment a record belongs to: one system at one concurrency, and which repetition of it.
struct CellId {
  std::string system;   // name of the system, e.g. "F16"; empty in records of foreign origin
  int concurrency = 0;  // closed-loop clients; 0 = not known
  int repeat = 0;       // 0, 1, ...; -1 = warm-up, excluded from every figure

  friend bool operator==(const CellId&, const CellId&) = default;
};

enum class PassKind { kPrefill, kDecode, kMixed };

// `count` sequences of equal shape within a pass.
struct SequenceSlice {
  int64_t context_tokens = 0;  // already in the KV cache before the pass
  int64_t new_tokens = 0;      // processed by the pass; >= 1
  int64_t count = 1;

  friend bool operator==(const SequenceSlice&, const SequenceSlice&) = default;
};

// Where a field came from.
enum class Source { kMeasured, kServerReported, kEstimated };

// How a pass found its experts, in an engine that keeps those beyond a budget on disk.
struct ExpertReads {
  int64_t hits = 0;        // distinct experts, summed over the MoE layers, that were in memory when the pass came to them
  int64_t foreseen = 0;    // of the hits, those that a prefetch had asked for and nothing had used since
  int64_t misses = 0;      // those that had to be read first
  int64_t disk_bytes = 0;  // read from disk meanwhile, prefetches included
  double stall_s = 0;      // of the pass's latency, in which it waited for experts

  friend bool operator==(const ExpertReads&, const ExpertReads&) = default;
};

struct PassRecord {
  CellId cell;
  int64_t pass = 0;  // index within the cell's repetition
  PassKind kind = PassKind::kDecode;
  double start_s = 0;    // since the start of the cell's repetition
  double latency_s = 0;  // of the pass alone, uninstrumented
  // Its start on CLOCK_MONOTONIC, which all programs of a machine share; null = not told.
  std::optional<double> clock_monotonic_s;
  std::vector<SequenceSlice> sequences;
  Source source = Source::kMeasured;  // of kind, times and sequences

  // Distinct routed experts that the pass used, per MoE layer; a single entry holds for every MoE layer; empty = not known.
  std::vector<double> distinct_experts;
  Source distinct_experts_source = Source::kMeasured;
  // Tokens routed to each expert, [MoE layer][expert]; empty = not recorded.
  std::vector<std::vector<int32_t>> expert_counts;

  // With speculative decoding, of a decode pass: how many of each sequence's drafts, which are its new_tokens but the first,
  // were accepted, in the order of `sequences`; empty = nothing was drafted by this engine, or not known.
  std::vector<int64_t> accepted_drafts;

  std::optional<ExpertReads> expert_reads;  // null: all experts are in memory, or not known

  int rank = 0;
  int replica = 0;

  int64_t NewTokens() const;
  int64_t SequenceCount() const;
};

}  // namespace moecap::record
