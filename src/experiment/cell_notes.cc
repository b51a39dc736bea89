#include "experiment/cell_notes.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "experiment/warm_up.h"

namespace moecap::experiment {
namespace {

using cap::FigureId;

double ShareOfPasses(std::span<const record::PassRecord> passes, record::Source experts) {
  const auto count = std::ranges::count(passes, experts, &record::PassRecord::distinct_experts_source);
  return static_cast<double>(count) / static_cast<double>(passes.size());
}

// The worst of the measurements; null where none tells.
std::optional<double> Least(std::span<const MeasuredFacts* const> whole, std::optional<double> ServerPassFacts::*share) {
  std::optional<double> least;
  for (const MeasuredFacts* measured : whole) {
    const auto& facts = measured->measurement->server_passes;
    if (facts && (*facts).*share) least = std::min(least.value_or(1), *((*facts).*share));
  }
  return least;
}

// What the distinct experts of a share of the passes rest on, and how far S-MBU may be off for it.
std::string EstimateInWords(const PricedSystem& system, double share, const std::string& missing,
                            const cap::FigureValues& figures) {
  std::string words = share < 1 ? fmt::format("; the experts of {:.1f} % are estimated from ", 100 * share)
                                : "; their distinct experts are estimated from ";
  if (system.sheet) {
    words += "the model's activation sheet";
    if (!system.sheet->origin.empty()) words += fmt::format(" (recorded by {})", system.sheet->origin);
    if (!system.sheet->Stable()) words += ", whose popularity is not shown to be stable";
  } else {
    words += "the router's shape";
  }
  if (!missing.empty()) words += fmt::format(" ({})", missing);
  const auto &low = figures[FigureId::kDecodeSMbuLow], &high = figures[FigureId::kDecodeSMbuHigh];
  if (low && high) words += fmt::format(": S-MBU in decode lies between {:.1f} and {:.1f} %", 100 * *low, 100 * *high);
  return words;
}

}  // namespace

void NoteWarmUp(const CellContext& context, const Measurement& measurement, cap::CellSummary& cell) {
  const bool is_adaptive = !context.system.description.in_process && !context.manifest.config.warmup_requests;
  std::string found;
  if (is_adaptive && measurement.warmup_waves == 1)
    found = "was a single wave, since another one would have ended beyond its limit of a minute";
  if (measurement.warmup_difference.value_or(0) > kMostWaveDifference)
    found = fmt::format("ended at its limit after {} waves, the last two of which differ by {:.0f} %", measurement.warmup_waves,
                        100 * *measurement.warmup_difference);
  if (found.empty()) return;
  cell.notes.push_back(
      fmt::format("the warm-up of {} {}: the server may not have been warm; see the gate \"pause of all streams\", or give "
                  "--warmup (warmup_requests)",
                  measurement.name, found));
}

void NoteControls(const Controls& controls, cap::CellSummary& cell) {
  if (controls.unequal == 0) return;
  cell.notes.push_back(fmt::format(
      "{:.0f} of {:.0f} answers to the same question differ from the usual one, although greedy decoding was asked for: sums "
      "that depend on the batch may tip near-ties, but a server that samples (transformers with continuous batching takes the "
      "sampling of its first request) answers like this, too",
      controls.unequal, controls.answers));
}

void NoteBlurredGaps(cap::CellSummary& cell) {
  cell.notes.push_back(fmt::format(
      "no percentiles of ITL: the client was late by more than a median gap (receive delay p99 {:.3g} ms), so that tokens were "
      "read together; the other latencies do not hold its delay",
      1e3 * cell.figures[cap::FigureId::kReceiveDelay].value_or(0)));
}

void NoteGuessedTokens(cap::CellSummary& cell) {
  int64_t guessed = 0;
  for (const cap::MeasurementSummary& measurement : cell.measurements) {
    for (const metrics::TokenSourceCount& source : measurement.load.token_sources) {
      if (source.source == record::TokensSource::kChunks) guessed += source.requests;
    }
  }
  if (guessed == 0) return;
  for (const FigureId id : {FigureId::kOutputTokens, FigureId::kTimePerToken, FigureId::kTpotMean, FigureId::kTpotP50,
                            FigureId::kTpotP90, FigureId::kTpotP99, FigureId::kItlMean, FigureId::kItlP50, FigureId::kItlP99,
                            FigureId::kOutputRate, FigureId::kUsdPerMillionTokens, FigureId::kUsdPerMillionOutput,
                            FigureId::kUsdPerMillionOutputAllIn, FigureId::kJoulesPerOutput, FigureId::kJoulesPerToken})
    cell.estimates.Add(id);
  cell.notes.push_back(fmt::format(
      "{} requests: the server gave no token counts, so each chunk was taken for one token; figures per token are estimates",
      guessed));
}

// A count of the measurements' passes, and of those of them that are composed alike; null where that could not be compared.
std::pair<std::optional<int64_t>, int64_t> AlikeOf(std::span<const MeasuredFacts* const> whole,
                                                   std::optional<int64_t> ServerPassFacts::*part,
                                                   std::optional<int64_t> ServerPassFacts::*all) {
  std::optional<int64_t> alike = 0;
  int64_t passes = 0;
  for (const MeasuredFacts* measured : whole) {
    const auto& own = measured->measurement->server_passes;
    if (!own || !((*own).*all)) continue;
    passes += *((*own).*all);
    alike = alike && (*own).*part ? std::optional(*alike + *((*own).*part)) : std::nullopt;
  }
  return {alike, passes};
}

void NoteRecorded(const CellContext& context, std::span<const record::PassRecord> passes,
                  std::span<const MeasuredFacts* const> whole, cap::CellSummary& cell) {
  const auto [alike, recorded] = AlikeOf(whole, &ServerPassFacts::recorded_alike, &ServerPassFacts::recorded);
  if (recorded == 0) return;
  std::string note = fmt::format("{} passes as the server wrote them down, with the time of the model alone", recorded);
  if (alike) note += fmt::format("; {} of them are composed as reconstructed from the arrival of tokens", *alike);
  const bool is_whole = passes.front().source != record::Source::kEstimated;  // no measurement's are reconstructed
  if (const double estimated = ShareOfPasses(passes, record::Source::kEstimated); is_whole && estimated > 0)
    note += EstimateInWords(context.system, estimated, "", cell.figures);
  cell.notes.push_back(std::move(note));
}

void NoteReconstructed(const CellContext& context, std::span<const record::PassRecord> passes,
                       std::span<const MeasuredFacts* const> whole, cap::CellSummary& cell) {
  if (passes.front().source != record::Source::kEstimated) return;
  for (const FigureId id : {FigureId::kDecodeSMbu, FigureId::kDecodeSMbuPaper, FigureId::kDecodeMbu, FigureId::kDecodeSMfu,
                            FigureId::kDecodeSMfuPaper, FigureId::kDecodeMfu, FigureId::kPrefillSMbu, FigureId::kPrefillSMfu,
                            FigureId::kDistinctExperts, FigureId::kKvMean, FigureId::kKvMax, FigureId::kMemory})
    cell.estimates.Add(id);
  const auto& facts = whole.front()->measurement->server_passes;
  std::string note = fmt::format("{} passes reconstructed from the arrival of tokens, {:.1f} % of which fit their pass",
                                 passes.size(), 100 * Least(whole, &ServerPassFacts::fit).value_or(0));
  if (cell.utilization.all.bytes && ShareOfPasses(passes, record::Source::kServerReported) > 0) {
    note += fmt::format("; the server told the experts of {:.1f} % of them",
                        100 * ShareOfPasses(passes, record::Source::kServerReported));
    const bool anew = facts && !facts->capture_flags.empty();
    note += " in a second run of " + (anew ? "a server started with " + facts->capture_flags : "the prompts");
    if (const auto same = Least(whole, &ServerPassFacts::same_tokens)) {
      note += fmt::format(", which gave the same tokens in {:.1f} % of the answers", 100 * *same);
    } else {
      note += ", whose answers were not compared with the timed ones: their tokens were not kept, or not told";
    }
  }
  if (const double estimated = ShareOfPasses(passes, record::Source::kEstimated); estimated > 0)
    note += EstimateInWords(context.system, estimated, facts ? facts->experts_missing : "", cell.figures);
  const auto [alike, logged] = AlikeOf(whole, &ServerPassFacts::logged_alike, &ServerPassFacts::logged);
  if (alike && logged > 0) note += fmt::format("; {} of {} passes in the server's own log are composed alike", *alike, logged);
  if (facts && facts->most_tokens)
    note += fmt::format("; a pass takes at most {} tokens ({})", *facts->most_tokens, facts->most_tokens_source);
  cell.notes.push_back(std::move(note));
}

void NoteMissingPasses(std::span<const MeasuredFacts* const> whole, cap::CellSummary& cell) {
  std::vector<std::string> said;
  for (const MeasuredFacts* measured : whole) {
    const auto& facts = measured->measurement->server_passes;
    if (!facts) continue;
    if (!facts->missing.empty() && std::ranges::count(said, facts->missing) == 0) {
      said.push_back(facts->missing);
      cell.notes.push_back(fmt::format("no S-MBU: {}", facts->missing));
    }
    if (!facts->recorded_missing.empty() && std::ranges::count(said, facts->recorded_missing) == 0) {
      said.push_back(facts->recorded_missing);
      cell.notes.push_back("passes of the server's own: " + facts->recorded_missing);
    }
    for (const std::string& finding : facts->findings) {
      if (std::ranges::count(said, finding) > 0) continue;
      said.push_back(finding);
      cell.notes.push_back("experts: " + finding);
    }
  }
}

}  // namespace moecap::experiment
