// Several sources as one. Private to this folder.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "base/result.h"
#include "trace/import.h"
#include "trace/trace.h"

namespace moecap::trace {

// Opens the source of a file; each call gives a new one at its beginning.
using Opener = std::function<Result<std::unique_ptr<TraceSource>>()>;

// Of the ranks of one server: passes of the same number are one pass. `idle`: ranks that recorded nothing but zeros. Reads
// every source once before it returns.
Result<std::unique_ptr<TraceSource>> MergeRanks(std::vector<Opener> openers, const std::vector<int>& idle,
                                                const ImportOptions& options);

// One after the other.
Result<std::unique_ptr<TraceSource>> Concatenate(std::vector<Opener> openers);

}  // namespace moecap::trace
