#include "trace/summarize.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <unordered_map>

#include "base/check.h"
#include "trace/importers.h"

namespace moecap::trace {
namespace {

using routing::LayerTrace;

constexpr std::string_view kLayersAlike =
    "all layers chose the same experts, which no trained model does: dummy weights that are equal in every layer? Figures by "
    "layer are one figure, many times";
constexpr double kMostAssignments = 1e18;  // sums stay in 64 bits

// Gives the sequences of the last passes small numbers. More than kSlots at once are not followed.
class SequenceSlots {
 public:
  // The slot per token of the pass; `started` receives the slots that begin a new sequence.
  void Assign(const TracePass& pass, std::vector<size_t>& slots, std::vector<size_t>& started) {
    ++now_;
    slots.assign(static_cast<size_t>(pass.tokens), LayerTrace::kNoSequence);
    started.clear();
    for (size_t token = 0; token < pass.sequences.size(); ++token) {
      const uint32_t sequence = pass.sequences[token];
      if (token > 0 && sequence == pass.sequences[token - 1]) {
        slots[token] = slots[token - 1];
        continue;
      }
      slots[token] = SlotOf(sequence, started);
    }
  }

 private:
  static constexpr size_t kSlots = 1024;

  size_t SlotOf(uint32_t sequence, std::vector<size_t>& started) {
    const auto found = slot_of_.find(sequence);
    if (found != slot_of_.end()) {
      used_[found->second] = now_;
      return found->second;
    }
    size_t slot = used_.size();
    if (slot < kSlots) {
      used_.push_back(now_);
      sequence_in_.push_back(sequence);
    } else {
      const auto oldest = std::ranges::min_element(used_);
      if (*oldest == now_) return LayerTrace::kNoSequence;
      slot = static_cast<size_t>(oldest - used_.begin());
      slot_of_.erase(sequence_in_[slot]);
      used_[slot] = now_;
      sequence_in_[slot] = sequence;
    }
    slot_of_[sequence] = slot;
    started.push_back(slot);
    return slot;
  }

  std::unordered_map<uint32_t, size_t> slot_of_;
  std::vector<uint32_t> sequence_in_;
  std::vector<int64_t> used_;
  int64_t now_ = 0;
};

class Summarizer {
 public:
  Summarizer(const TraceHeader& header, const SummarizeOptions& options) : header_(header) {
    summary_.header = header;
    summary_.tokens = 0;
    routing::LayerTraceOptions layer_options;
    if (options.cache && header.grain != Grain::kTotals) layer_options.cache_accesses = options.cache_accesses;
    if (options.cache && header.grain == Grain::kTotals)
      summary_.no_cache_reason = "the trace holds sums, not the order in which experts were used";
    // Of a part it is not known how many tokens there were.
    const int top_k = header.share.whole == false ? 0 : header.top_k;
    for (size_t i = 0; i < header.layers(); ++i) layers_.emplace_back(header.experts, top_k, layer_options);
    if (header.share.whole == false) summary_.tokens.reset();
  }

  Status Add(const TracePass& pass) {
    for (const int64_t count : pass.counts) assignments_ += static_cast<double>(count);
    if (assignments_ > kMostAssignments) return BadInput("the counts of the trace add up to more than can be");
    ++summary_.passes;
    summary_.prefill_passes += pass.kind == record::PassKind::kPrefill;
    summary_.decode_passes += pass.kind == record::PassKind::kDecode;
    summary_.mixed_passes += pass.kind == record::PassKind::kMixed;
    if (pass.tokens == 0 && !pass.Idle()) {
      summary_.tokens.reset();
    } else if (summary_.tokens) {
      *summary_.tokens += pass.tokens;
    }
    header_.grain == Grain::kTokenIds ? AddIds(pass) : AddCounts(pass);
    AddToPhase(pass);
    return {};
  }

  TraceSummary Finish() {
    for (const LayerTrace& layer : layers_) {
      summary_.layers.push_back(layer.Profile());
      if (layer.cache_accesses().empty()) continue;
      summary_.cache_cut |= layer.cache_cut();
    }
    const bool any = std::ranges::any_of(layers_, [](const LayerTrace& layer) { return !layer.cache_accesses().empty(); });
    for (const LayerTrace& layer : layers_) {
      if (any) summary_.caches.push_back(routing::SimulateCache(layer.cache_accesses(), header_.experts));
    }
    FinishPhase(prefill_, summary_.prefill);
    FinishPhase(decode_, summary_.decode);
    return std::move(summary_);
  }

 private:
  // A pass of unknown kind counts as decode where a pass's size is what matters.
  static bool CountsAsDecode(const TracePass& pass) { return !pass.kind || *pass.kind == record::PassKind::kDecode; }

  void AddIds(const TracePass& pass) {
    slots_.Assign(pass, slot_of_token_, started_);
    for (size_t layer = 0; layer < layers_.size(); ++layer) {
      for (const size_t slot : started_) layers_[layer].StartSequence(slot);
      for (size_t token = 0; token < static_cast<size_t>(pass.tokens); ++token) AddToken(pass, layer, token);
      if (header_.passes_known) layers_[layer].EndPass(CountsAsDecode(pass));
    }
  }

  void AddToken(const TracePass& pass, size_t layer, size_t token) {
    const uint16_t* first = pass.Ids(layer, token, header_.top_k);
    std::span<const uint16_t> ids(first, static_cast<size_t>(header_.top_k));
    if (std::ranges::find(ids, kNoExpert) != ids.end()) {
      present_.assign(ids.begin(), ids.end());
      std::erase(present_, kNoExpert);
      if (present_.empty()) return;
      ids = present_;
    }
    layers_[layer].AddToken(ids, slot_of_token_[token]);
    if (!header_.passes_known) layers_[layer].EndPass(false);
  }

  // Mixed passes are of no phase.
  void AddToPhase(const TracePass& pass) {
    if (pass.kind != record::PassKind::kPrefill && pass.kind != record::PassKind::kDecode) return;
    std::vector<int64_t>& loads = pass.kind == record::PassKind::kPrefill ? prefill_ : decode_;
    const auto experts = static_cast<size_t>(header_.experts);
    loads.resize(layers_.size() * experts);
    for (size_t i = 0; i < pass.counts.size(); ++i) loads[i] += pass.counts[i];
    const size_t per_layer = static_cast<size_t>(pass.tokens) * static_cast<size_t>(header_.top_k);
    for (size_t i = 0; i < pass.ids.size(); ++i) {
      if (pass.ids[i] != kNoExpert) ++loads[i / per_layer * experts + pass.ids[i]];
    }
  }

  void FinishPhase(const std::vector<int64_t>& loads, TraceSummary::Phase& phase) const {
    const auto experts = static_cast<size_t>(header_.experts);
    for (size_t begin = 0; begin < loads.size(); begin += experts)
      phase.layers.push_back(routing::SummarizeLayer(std::span(loads).subspan(begin, experts)));
  }

  void AddCounts(const TracePass& pass) {
    const auto experts = static_cast<size_t>(header_.experts);
    for (size_t layer = 0; layer < layers_.size(); ++layer) {
      layers_[layer].AddCounts(std::span(pass.counts).subspan(layer * experts, experts), header_.grain == Grain::kPassCounts,
                               CountsAsDecode(pass));
    }
  }

  TraceHeader header_;
  TraceSummary summary_;
  std::vector<LayerTrace> layers_;
  SequenceSlots slots_;
  std::vector<size_t> slot_of_token_, started_;
  std::vector<uint16_t> present_;
  std::vector<int64_t> prefill_, decode_;  // [layer][expert]
  double assignments_ = 0;
};

// Adds `value` to the mean in `sum`, which starts as null.
void AddTo(std::optional<double>& sum, int64_t& samples, const std::optional<double>& value) {
  if (!value) return;
  sum = sum.value_or(0) + *value;
  ++samples;
}

// Layers of the model in which nothing was counted although others were: those of other pipeline stages.
void NameEmptyLayers(TraceSummary& summary) {
  std::vector<int> empty;
  for (size_t i = 0; i < summary.layers.size(); ++i) {
    if (summary.layers[i].load.assignments == 0) empty.push_back(summary.header.layer_numbers[i]);
  }
  if (empty.empty() || empty.size() == summary.layers.size()) return;
  summary.header.share.whole = false;
  const std::string names =
      empty.size() > 8 ? fmt::format("{} to {}", empty.front(), empty.back()) : fmt::format("{}", fmt::join(empty, ", "));
  summary.warnings.push_back(
      fmt::format("{} of {} layers hold no token (layers {}): pipeline stages of other ranks, whose files are not here?",
                  empty.size(), summary.layers.size(), names));
}

void NameMissingRanks(TraceSummary& summary) {
  const TraceShare& share = summary.header.share;
  const std::vector<int> missing = share.MissingRanks();
  if (!missing.empty()) {
    const std::string names = missing.size() > 16 ? fmt::format("{}, ... {}", missing.front(), missing.back())
                                                  : fmt::format("{}", fmt::join(missing, ", "));
    summary.warnings.push_back(
        fmt::format("a part of the whole: records of {} of {} ranks; missing are those of rank{} {}. Give their files, too",
                    share.ranks.size(), *share.world, missing.size() == 1 ? "" : "s", names));
  }
}

bool LayersAreAlike(const TraceSummary& summary) {
  std::vector<std::vector<int64_t>> counts;
  for (const routing::LayerProfile& layer : summary.layers) counts.push_back(layer.counts);
  return routing::AllLayersAlike(counts);
}

}  // namespace

double TraceSummary::PhaseDistance(size_t layer) const {
  CHECK(!prefill.empty() && !decode.empty());
  const std::vector<double>&a = prefill.layers[layer].popularity, &b = decode.layers[layer].popularity;
  double distance = 0;
  for (size_t i = 0; i < a.size(); ++i) distance += std::abs(a[i] - b[i]) / 2;
  return distance;
}

std::string TraceSummary::NoSheetReason() const {
  if (header.share.whole != false) return "";
  const std::vector<int> missing = header.share.MissingRanks();
  if (missing.empty()) return "the recording is a part of what the passes computed";
  return fmt::format("the recording is a part of what the passes computed: ranks {} of {} are missing",
                     fmt::join(missing, ", "), *header.share.world);
}

routing::ActivationSheet TraceSummary::Sheet() const {
  routing::ActivationSheet sheet;
  sheet.model = header.model;
  sheet.origin = header.origin;
  sheet.experts = header.experts;
  sheet.top_k = header.top_k;
  for (size_t i = 0; i < layers.size(); ++i)
    sheet.layers.push_back(routing::MakeSheetLayer(header.layer_numbers[i], layers[i]));
  return sheet;
}

Result<TraceSummary> Summarize(TraceSource& source, const SummarizeOptions& options, MoetraceWriter* copy) {
  Summarizer summarizer(source.header(), options);
  TracePass pass;
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, source.Next(pass));
    if (!more) break;
    RETURN_IF_ERROR(summarizer.Add(pass));
    if (copy != nullptr) RETURN_IF_ERROR(copy->Write(pass));
  }
  if (copy != nullptr) RETURN_IF_ERROR(copy->Close());
  TraceSummary summary = summarizer.Finish();
  summary.warnings = source.Warnings();
  summary.physical = source.Physical();
  if (summary.passes == 0) return BadInput("the trace holds no pass");
  if (std::ranges::all_of(summary.layers, [](const auto& layer) { return layer.load.assignments == 0; }))
    return BadInput(std::string(kNothingRecorded));
  if (LayersAreAlike(summary)) summary.warnings.emplace_back(kLayersAlike);
  NameMissingRanks(summary);
  NameEmptyLayers(summary);
  return summary;
}

CacheTotals TotalCaches(std::span<const routing::CacheCurve> curves, std::span<const double> expert_bytes) {
  CHECK(expert_bytes.empty() || expert_bytes.size() == curves.size());
  CacheTotals totals;
  for (const routing::CacheCurve& curve : curves) totals.accesses += curve.accesses;
  const size_t capacities = curves.empty() ? 0 : curves[0].hits[0].size();
  for (size_t policy = 0; policy < routing::kCachePolicies.size(); ++policy) {
    for (size_t capacity = 0; capacity < capacities; ++capacity) {
      int64_t hits = 0;
      double bytes = 0;
      for (size_t layer = 0; layer < curves.size(); ++layer) {
        hits += curves[layer].hits[policy][capacity];
        if (!expert_bytes.empty())
          bytes += expert_bytes[layer] * static_cast<double>(curves[layer].accesses - curves[layer].hits[policy][capacity]);
      }
      totals.hit_rate[policy].push_back(
          totals.accesses == 0 ? 0 : static_cast<double>(hits) / static_cast<double>(totals.accesses));
      if (!expert_bytes.empty()) totals.link_bytes[policy].push_back(bytes);
    }
  }
  return totals;
}

std::vector<routing::CoverageRow> MeanCoverage(const TraceSummary& summary) {
  struct Sum {
    routing::CoverageRow row;
    int64_t layers = 0, passes = 0, blocks = 0, resampled = 0;
  };
  std::map<int64_t, Sum> by_tokens;
  for (const routing::LayerProfile& profile : summary.layers) {
    for (const routing::CoverageRow& row : routing::CoverageTable(profile, summary.header.top_k)) {
      Sum& sum = by_tokens[row.tokens];
      ++sum.layers;
      AddTo(sum.row.decode_passes, sum.passes, row.decode_passes);
      AddTo(sum.row.blocks, sum.blocks, row.blocks);
      AddTo(sum.row.resampled, sum.resampled, row.resampled);
      sum.row.uniform += row.uniform;
      sum.row.beta_binomial += row.beta_binomial;
      sum.row.popularity += row.popularity;
    }
  }
  std::vector<routing::CoverageRow> rows;
  for (auto& [tokens, sum] : by_tokens) {
    const auto divide = [](std::optional<double>& value, int64_t samples) {
      if (value) *value /= static_cast<double>(samples);
    };
    divide(sum.row.decode_passes, sum.passes);
    divide(sum.row.blocks, sum.blocks);
    divide(sum.row.resampled, sum.resampled);
    for (double* value : {&sum.row.uniform, &sum.row.beta_binomial, &sum.row.popularity})
      *value /= static_cast<double>(sum.layers);
    sum.row.tokens = tokens;
    rows.push_back(sum.row);
  }
  return rows;
}

}  // namespace moecap::trace
