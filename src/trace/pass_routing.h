// The tokens per expert of a measurement's passes, in a routing.moetrace beside its passes.jsonl, which then does not hold
// them. docs/formats/run.md.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/model_spec.h"
#include "record/pass_record.h"
#include "trace/trace.h"

namespace moecap::trace {

inline constexpr const char* kRoutingFile = "routing.moetrace";

// Writes FOLDER/routing.moetrace, atomically, where the passes have counts that one trace can hold: each pass that has any has
// them of as many layers, each layer of as many experts. Returns whether it did; false leaves no such file. A pass's number is
// its place among `passes`. Error kFailed: the disk refuses.
Result<bool> WritePassRouting(const std::filesystem::path& folder, const model::ModelSpec& model,
                              std::span<const record::PassRecord> passes);

// Gives passes that are read one after the other their counts from the routing.moetrace beside their file, if there is one.
class PassRouting {
 public:
  // Error kBadInput: there is such a file, and it is damaged or of another kind.
  static Result<PassRouting> Beside(const std::filesystem::path& passes_file);

  // Fills expert_counts of the pass with that place, where the trace holds it and the pass has none; places ascend. Error
  // kBadInput: damage, or the trace is of other passes.
  Status Fill(int64_t place, record::PassRecord& pass);
  // Error kBadInput: the trace holds more than the passes that were filled, or was cut off.
  Status CheckEnd();

 private:
  Status Advance();

  std::string name_;
  std::unique_ptr<TraceSource> source_;  // null: there is no such file
  TracePass next_;
  bool has_next_ = false;
};

// record::ReadPasses, with the counts that lie beside.
Result<std::vector<record::PassRecord>> ReadRoutedPasses(const std::filesystem::path& passes_file);

}  // namespace moecap::trace
