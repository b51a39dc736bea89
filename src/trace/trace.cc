#include "trace/trace.h"

#include <fmt/format.h>

#include <algorithm>

namespace moecap::trace {

std::string_view Name(Grain grain) {
  switch (grain) {
    case Grain::kTokenIds:
      return "token-ids";
    case Grain::kPassCounts:
      return "pass-counts";
    case Grain::kTotals:
      return "totals";
  }
  return "";
}

std::vector<int> TraceShare::MissingRanks() const {
  std::vector<int> missing;
  if (ranks.empty()) return missing;
  for (int rank = 0; rank < world.value_or(0); ++rank) {
    if (!std::ranges::binary_search(ranks, rank)) missing.push_back(rank);
  }
  return missing;
}

bool TracePass::Idle() const {
  return tokens == 0 && std::ranges::all_of(counts, [](int64_t count) { return count == 0; });
}

Status CheckHeader(const TraceHeader& header) {
  if (header.experts < 1 || header.experts > kMostExperts) {
    return BadInput(fmt::format("{} experts a layer; 1 to {} are possible", header.experts, kMostExperts));
  }
  const int least = header.grain == Grain::kTokenIds ? 1 : 0;
  if (header.top_k < least || header.top_k > std::min(header.experts, kMostTopK)) {
    return BadInput(fmt::format("top-{} of {} experts cannot be", header.top_k, header.experts));
  }
  if (header.layers() < 1 || header.layers() > static_cast<size_t>(kMostLayers)) {
    return BadInput(fmt::format("{} layers; 1 to {} are possible", header.layers(), kMostLayers));
  }
  if (header.share.world.value_or(1) < 1 || header.share.world.value_or(1) > kMostRanks ||
      header.share.devices.value_or(1) < 1 || header.share.physical_experts < 0 ||
      header.share.physical_experts > kMostPlaces || header.share.ranks.size() > static_cast<size_t>(kMostRanks) ||
      (!header.share.ranks.empty() && header.share.ranks[0] < 0) ||
      std::ranges::adjacent_find(header.share.ranks, std::greater_equal()) != header.share.ranks.end()) {
    return BadInput("the recording's ranks or devices cannot be");
  }
  if (header.layer_numbers.front() < 0 ||
      std::ranges::adjacent_find(header.layer_numbers, std::greater_equal()) != header.layer_numbers.end()) {
    return BadInput("the layer numbers are not ascending");
  }
  return {};
}

namespace {

Status CheckIds(const TraceHeader& header, const TracePass& pass) {
  const auto per_token = static_cast<int64_t>(header.layers()) * header.top_k;
  if (pass.tokens > kMostIdsPerPass / per_token) return BadInput(fmt::format("a pass of {} tokens is too large", pass.tokens));
  if (static_cast<int64_t>(pass.ids.size()) != pass.tokens * per_token) {
    return BadInput(
        fmt::format("{} ids for {} tokens, {} layers and top-{}", pass.ids.size(), pass.tokens, header.layers(), header.top_k));
  }
  for (const uint16_t id : pass.ids) {
    if (id >= header.experts && id != kNoExpert) return BadInput(fmt::format("expert {} of {}", id, header.experts));
  }
  return {};
}

}  // namespace

Status CheckPass(const TraceHeader& header, const TracePass& pass) {
  if (pass.tokens < 0) return BadInput(fmt::format("{} tokens in a pass", pass.tokens));
  if (!pass.sequences.empty() && static_cast<int64_t>(pass.sequences.size()) != pass.tokens) {
    return BadInput(fmt::format("{} sequence ids for {} tokens", pass.sequences.size(), pass.tokens));
  }
  if (header.grain == Grain::kTokenIds) return CheckIds(header, pass);
  if (pass.counts.size() != header.layers() * static_cast<size_t>(header.experts)) {
    return BadInput(fmt::format("{} counts for {} layers of {} experts", pass.counts.size(), header.layers(), header.experts));
  }
  if (std::ranges::any_of(pass.counts, [](int64_t count) { return count < 0 || count > kMostCount; })) {
    return BadInput(fmt::format("a count of tokens is not between 0 and {}", kMostCount));
  }
  return {};
}

}  // namespace moecap::trace
