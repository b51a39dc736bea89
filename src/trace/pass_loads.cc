#include "trace/pass_loads.h"

#include <limits>

namespace moecap::trace {
namespace {

Result<std::vector<uint32_t>> LoadOf(const TraceHeader& header, const TracePass& pass) {
  const auto experts = static_cast<size_t>(header.experts);
  std::vector<uint32_t> load(header.layers() * experts);
  for (size_t i = 0; i < pass.counts.size(); ++i) {
    if (pass.counts[i] > std::numeric_limits<uint32_t>::max()) return BadInput("more tokens in a pass than can be");
    load[i] = static_cast<uint32_t>(pass.counts[i]);
  }
  const size_t per_layer = static_cast<size_t>(pass.tokens) * static_cast<size_t>(header.top_k);
  for (size_t i = 0; i < pass.ids.size(); ++i) {
    if (pass.ids[i] != kNoExpert) ++load[i / per_layer * experts + pass.ids[i]];
  }
  return load;
}

}  // namespace

Result<PassLoads> CollectLoads(TraceSource& source, std::optional<record::PassKind> kind, size_t most_counts) {
  const TraceHeader& header = source.header();
  if (header.grain == Grain::kTotals)
    return BadInput("the trace holds sums: neither the load of a step nor its change over time can be told from it");
  const size_t counts = header.layers() * static_cast<size_t>(header.experts);
  PassLoads loads;
  loads.passes_known = header.passes_known;
  TracePass pass;
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, source.Next(pass));
    if (!more) break;
    if (pass.Idle() || (kind && pass.kind != kind)) continue;
    if ((loads.passes.size() + 1) * counts > most_counts) {
      loads.cut = true;
      break;
    }
    ASSIGN_OR_RETURN(std::vector<uint32_t> load, LoadOf(header, pass));
    loads.passes.push_back(std::move(load));
  }
  if (loads.passes.empty()) return BadInput(kind ? "the trace holds no such pass" : "the trace holds no pass");
  return loads;
}

}  // namespace moecap::trace
