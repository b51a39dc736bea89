// What the files of SGLang's expert distribution recorder share (python/sglang/srt/eplb/expert_distribution.py). Private to
// this folder.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "trace/count_passes.h"
#include "trace/importers.h"
#include "trace/torch_file.h"

namespace moecap::trace {

struct SglangFile {
  std::shared_ptr<void> owner;  // of the bytes
  TorchFile torch;
  const PickleDict* root = nullptr;

  const PickleValue* Find(const char* key) const { return torch.pickle().Find(*root, key); }
};

// 'last_physical_to_logical_map'. Error kBadInput: another number of layers than `layers`.
struct Placement {
  ExpertMap experts;    // empty: each expert in its own place, or no map
  int64_t places = 0;   // of a layer; 0 = no map
  int64_t logical = 0;  // experts of a layer; 0 = no map
};
Result<Placement> ReadPlacement(const SglangFile& file, int64_t layers);

inline constexpr const char* kMovedExperts =
    "experts had been moved or doubled between ranks; what lies at a place counts for the expert that the last map of the file "
    "puts there";

// "forward_pass_id" of a record.
int64_t NumberOf(const Pickle& pickle, const PickleDict& record, size_t otherwise);

// "rank" of the records, which must be the same in all of them; -1 = not told.
Result<int> RankOf(const SglangFile& file, const PickleList& records);

Result<std::unique_ptr<TraceSource>> ImportSglangTokens(std::shared_ptr<SglangFile> file, const PickleList& records,
                                                        const ImportOptions& options);

}  // namespace moecap::trace
