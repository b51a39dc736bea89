#include "trace/expert_uses.h"

#include <algorithm>

namespace moecap::trace {
namespace {

// Adds what tokens [begin, end) of a pass used, as one pass.
void AddUses(const TraceHeader& header, const TracePass& pass, size_t begin, size_t end, size_t most, ExpertUses& found) {
  const auto experts = static_cast<size_t>(header.experts);
  std::vector<char> used(experts);
  for (size_t layer = 0; layer < header.layers(); ++layer) {
    std::fill(used.begin(), used.end(), 0);
    if (header.grain == Grain::kTokenIds) {
      for (size_t token = begin; token < end; ++token) {
        const uint16_t* const ids = pass.Ids(layer, token, header.top_k);
        for (int i = 0; i < header.top_k; ++i) {
          if (ids[i] != kNoExpert) used[ids[i]] = 1;
        }
      }
    } else {
      for (size_t expert = 0; expert < experts; ++expert) used[expert] = pass.counts[layer * experts + expert] > 0;
    }
    for (size_t expert = 0; expert < experts; ++expert) {
      if (!used[expert]) continue;
      found.distinct += 1;
      if (found.uses[layer].size() < most) found.uses[layer].push_back(static_cast<uint16_t>(expert));
    }
  }
  ++found.passes;
}

}  // namespace

Result<ExpertUses> CollectUses(TraceSource& source, size_t most_uses) {
  const TraceHeader& header = source.header();
  if (header.grain == Grain::kTotals) return BadInput("the trace holds sums, not the order in which experts were used");
  ExpertUses decoded, all;
  decoded.uses.resize(header.layers());
  all.uses.resize(header.layers());
  TracePass pass;
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, source.Next(pass));
    if (!more) break;
    if (pass.Idle()) continue;
    const auto tokens = static_cast<size_t>(pass.tokens);
    const bool token_by_token = !header.passes_known && header.grain == Grain::kTokenIds;
    ExpertUses& into = pass.kind == record::PassKind::kDecode ? decoded : all;
    for (size_t begin = 0; begin < (token_by_token ? tokens : 1); ++begin)
      AddUses(header, pass, begin, token_by_token ? begin + 1 : tokens, most_uses, into);
  }
  ExpertUses& found = decoded.passes > 0 ? decoded : all;
  if (found.passes == 0) return BadInput("the trace holds no pass that used an expert");
  found.decoded = decoded.passes > 0;
  found.distinct /= static_cast<double>(found.passes) * static_cast<double>(header.layers());
  return std::move(found);
}

}  // namespace moecap::trace
