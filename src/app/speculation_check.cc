#include "app/speculation_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <numeric>
#include <set>
#include <utility>

#include "load/closed_loop.h"

namespace moecap::app {
namespace {

using llamacpp::LlamaCppSystem;

double MeanOf(const std::vector<double>& values) {
  return values.empty() ? 0 : std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

// One way to answer the requests; its passes are the same in each repetition.
struct Way {
  int clients = 1;
  llamacpp::NgramDrafts drafts;
  std::vector<record::PassRecord> passes;  // with the least latency of all repetitions
  std::vector<std::vector<int32_t>> answers;
  llamacpp::PassLog log;
  llamacpp::ReplayedLog routing;
};

void AddExperts(Way& way) {
  for (size_t i = 0; i < way.passes.size(); ++i) {
    for (const auto& layer : way.routing.passes[i].expert_counts) {
      way.passes[i].distinct_experts.push_back(
          static_cast<double>(std::ranges::count_if(layer, [](int32_t tokens) { return tokens > 0; })));
    }
  }
}

// One repetition. The first one replays its routing.
Status Answer(const llamacpp::EngineLibrary& library, const std::shared_ptr<const llamacpp::LoadedModel>& loaded,
              std::span<const load::RequestSpec> requests, const SpeculationOptions& options, const Clock& clock, Way& way) {
  llamacpp::EngineOptions engine = options.engine;
  engine.slots = way.clients;
  engine.drafts = way.drafts;
  ASSIGN_OR_RETURN(const auto system, LlamaCppSystem::Create(library, loaded, engine, clock));
  for (const load::RequestSpec& request : requests) RETURN_IF_ERROR(system->Validate(request));
  const bool is_first = way.passes.empty();
  system->StartPassLog();
  load::ClosedLoopOptions loop;
  loop.clients = way.clients;
  ASSIGN_OR_RETURN(load::LoadResult result, load::RunClosedLoop(*system, {requests.begin(), requests.end()}, loop, clock));
  if (is_first) {
    way.passes = std::move(result.passes);
    for (const record::RequestRecord& request : result.requests) way.answers.push_back(request.token_ids);
    way.log = system->TakePassLog();
    ASSIGN_OR_RETURN(way.routing, system->ReplayRouting(way.log));
    AddExperts(way);
    return {};
  }
  if (result.passes.size() != way.passes.size()) return Failed("a repetition generated other tokens than the first one");
  for (size_t i = 0; i < way.passes.size(); ++i) {
    if (result.passes[i].sequences != way.passes[i].sequences)
      return Failed("a repetition generated other tokens than the first one");
    way.passes[i].latency_s = std::min(way.passes[i].latency_s, result.passes[i].latency_s);
  }
  return {};
}

Speculated Describe(const Way& way, double plain_s) {
  double passes = 0, drafted = 0, accepted = 0, seconds = 0, distinct = 0;
  for (const record::PassRecord& pass : way.passes) {
    if (pass.kind != record::PassKind::kDecode) continue;
    passes += 1;
    drafted += static_cast<double>(pass.NewTokens() - 1);
    accepted += pass.accepted_drafts.empty() ? 0 : static_cast<double>(pass.accepted_drafts[0]);
    seconds += pass.latency_s;
    distinct += MeanOf(pass.distinct_experts);
  }
  return {drafted > 0 ? accepted / drafted : 0, (passes + accepted) / passes, distinct / passes, plain_s / seconds};
}

double DecodeSeconds(const Way& way) {
  double seconds = 0;
  for (const record::PassRecord& pass : way.passes) seconds += pass.kind == record::PassKind::kDecode ? pass.latency_s : 0;
  return seconds;
}

// Mean latency, context and experts of the decode passes of a batch.
struct BatchPasses {
  double passes = 0, latency_s = 0, context = 0;
  std::vector<double> distinct;
};
// Of those whose shape is that of the pass before, or (`changed`) is not.
std::map<int64_t, BatchPasses> ByBatch(std::span<const record::PassRecord> passes, bool changed) {
  std::map<int64_t, BatchPasses> batches;
  int64_t rows_before = 0;
  for (const record::PassRecord& pass : passes) {
    const bool is_changed = std::exchange(rows_before, pass.NewTokens()) != pass.NewTokens();
    if (pass.kind != record::PassKind::kDecode || is_changed != changed) continue;
    BatchPasses& batch = batches[pass.SequenceCount()];
    batch.passes += 1;
    batch.latency_s += pass.latency_s;
    double context = 0;
    for (const auto& slice : pass.sequences) context += static_cast<double>(slice.context_tokens * slice.count);
    batch.context += context / static_cast<double>(pass.SequenceCount());
    batch.distinct.resize(pass.distinct_experts.size());
    for (size_t layer = 0; layer < batch.distinct.size(); ++layer) batch.distinct[layer] += pass.distinct_experts[layer];
  }
  for (auto& [size, batch] : batches) {
    batch.latency_s /= batch.passes;
    batch.context /= batch.passes;
    for (double& distinct : batch.distinct) distinct /= batch.passes;
  }
  return batches;
}

// Mean over the passes of a new shape; 0 where none is there to compare.
double NewShapeSeconds(const std::map<int64_t, BatchPasses>& alike, const std::map<int64_t, BatchPasses>& changed) {
  double passes = 0, seconds = 0;
  for (const auto& [size, batch] : changed) {
    const auto same = alike.find(size);
    if (same == alike.end()) continue;
    passes += batch.passes;
    seconds += batch.passes * (batch.latency_s - same->second.latency_s);
  }
  return passes > 0 ? std::max(0.0, seconds / passes) : 0;
}

double Modelled(const model::ModelSpec& model, int64_t size, const BatchPasses& batch, const planner::PassCeilings& ceilings) {
  return planner::VerifySeconds(model, batch.distinct, static_cast<int>(size), static_cast<int64_t>(std::lround(batch.context)),
                                1, ceilings);
}

double SquaredErrors(const model::ModelSpec& model, const std::map<int64_t, BatchPasses>& batches,
                     const planner::PassCeilings& ceilings) {
  double sum = 0;
  for (const auto& [size, batch] : batches) sum += std::pow(Modelled(model, size, batch, ceilings) / batch.latency_s - 1, 2);
  return sum;
}

// Distinct experts, by layer, of the tokens [first, first + rows) of a sequence, moved back where it ends before.
std::vector<double> DistinctOf(const PlainSequence& sequence, size_t first, size_t rows) {
  const size_t end = std::min(first + rows, sequence.experts.size());
  const size_t begin = end - std::min(end, rows);
  std::vector<double> distinct;
  for (size_t layer = 0; layer < sequence.experts.front().size(); ++layer) {
    std::set<int32_t> experts;
    for (size_t token = begin; token < end; ++token)
      experts.insert(sequence.experts[token][layer].begin(), sequence.experts[token][layer].end());
    distinct.push_back(static_cast<double>(experts.size()));
  }
  return distinct;
}

}  // namespace

std::vector<PlainSequence> PlainSequencesOf(const llamacpp::PassLog& log, const llamacpp::ReplayedLog& routing) {
  std::vector<PlainSequence> sequences;
  for (size_t i = 0; i < log.size(); ++i) {
    const std::vector<llamacpp::BatchToken>& tokens = log[i].tokens;
    if (tokens.front().position == 0) sequences.emplace_back();
    PlainSequence& sequence = sequences.back();
    if (!sequence.output.empty()) {
      auto& experts = sequence.experts.emplace_back();
      for (const auto& counts : routing.passes[i].expert_counts) {
        auto& layer = experts.emplace_back();
        for (size_t expert = 0; expert < counts.size(); ++expert) {
          if (counts[expert] > 0) layer.push_back(static_cast<int32_t>(expert));
        }
      }
    } else {
      for (const llamacpp::BatchToken& token : tokens) sequence.prompt.push_back(token.token);
    }
    if (tokens.back().output) sequence.output.push_back(tokens.back().next_token);
  }
  return sequences;
}

double PlainBatches::Seconds(const model::ModelSpec& model, std::span<const double> distinct, int64_t context_tokens,
                             int rows) const {
  const auto nearest = std::ranges::min_element(by_rows, {}, [&](const auto& entry) { return std::abs(entry.first - rows); });
  return planner::VerifySeconds(model, distinct, 1, context_tokens, rows, ceilings) * nearest->second;
}

Result<PlainBatches> FitPlainBatches(const model::ModelSpec& model, std::span<const record::PassRecord> passes) {
  const auto batches = ByBatch(passes, /*changed=*/false);
  if (batches.empty())
    return BadInput("the answers are too short: no decode pass follows one of as many tokens (--output-tokens)");
  // Coordinates in turn, by factors that shrink: three parameters and a handful of batches.
  const double longest = batches.rbegin()->second.latency_s;
  std::array<double, 3> best = {1e10, 1e10, longest / 10};
  const auto as_ceilings = [](const std::array<double, 3>& at) { return planner::PassCeilings{at[0], at[1], at[2]}; };
  double error = SquaredErrors(model, batches, as_ceilings(best));
  for (double factor = 16; factor > 1.0005; factor = std::sqrt(factor)) {
    for (bool moved = true; moved;) {
      moved = false;
      for (size_t i = 0; i < best.size(); ++i) {
        for (const double by : {factor, 1 / factor}) {
          std::array<double, 3> at = best;
          at[i] *= by;
          const double there = SquaredErrors(model, batches, as_ceilings(at));
          if (!(there < error * (1 - 1e-9))) continue;
          error = there;
          best = at;
          moved = true;
        }
      }
    }
  }
  PlainBatches machine{as_ceilings(best), {}, NewShapeSeconds(batches, ByBatch(passes, /*changed=*/true))};
  for (const auto& [size, batch] : batches)
    machine.by_rows[size] = batch.latency_s / Modelled(model, size, batch, machine.ceilings);
  return machine;
}

Speculated PredictDrafts(const model::ModelSpec& model, std::span<const PlainSequence> sequences,
                         const llamacpp::NgramDrafts& drafts, const PlainBatches& machine) {
  double passes = 0, drafted = 0, accepted = 0, distinct = 0, seconds = 0, plain_s = 0;
  for (const PlainSequence& sequence : sequences) {
    std::vector<int32_t> text = sequence.prompt;
    text.insert(text.end(), sequence.output.begin(), sequence.output.end());
    const auto at = [&](size_t token) { return sequence.prompt.size() + token; };
    // The first pass follows a prompt's.
    plain_s += sequence.experts.empty() ? 0 : machine.new_shape_s;
    for (size_t i = 0; i < sequence.experts.size(); ++i)
      plain_s += machine.Seconds(model, DistinctOf(sequence, i, 1), static_cast<int64_t>(at(i)), 1);
    size_t drafted_before = SIZE_MAX;
    // `i`: the token of the output that the next pass decodes.
    for (size_t i = 0; i < sequence.experts.size();) {
      llamacpp::NgramDrafts allowed = drafts;
      allowed.length = static_cast<int>(std::min<size_t>(static_cast<size_t>(drafts.length), sequence.experts.size() - i - 1));
      const std::vector<int32_t> draft = llamacpp::DraftNgram(std::span(text).first(at(i) + 1), allowed);
      size_t right = 0;
      while (right < draft.size() && draft[right] == text[at(i) + 1 + right]) ++right;
      const std::vector<double> experts = DistinctOf(sequence, i, draft.size() + 1);
      seconds += machine.Seconds(model, experts, static_cast<int64_t>(at(i)), static_cast<int>(draft.size()) + 1);
      if (std::exchange(drafted_before, draft.size()) != draft.size()) seconds += machine.new_shape_s;
      passes += 1;
      drafted += static_cast<double>(draft.size());
      accepted += static_cast<double>(right);
      distinct += MeanOf(experts);
      i += right + 1;
    }
  }
  return {drafted > 0 ? accepted / drafted : 0, (passes + accepted) / passes, distinct / passes, plain_s / seconds};
}

Result<SpeculationCheck> CheckSpeculation(const llamacpp::EngineLibrary& library,
                                          const std::shared_ptr<const llamacpp::LoadedModel>& loaded,
                                          const model::ModelSpec& model, std::span<const load::RequestSpec> requests,
                                          const SpeculationOptions& options, const Clock& clock,
                                          const std::function<bool(int done, int total)>& progress) {
  std::vector<Way> ways;
  const int most = *std::ranges::max_element(options.lengths);
  for (int clients = 1; clients <= most + 1; ++clients) ways.push_back({.clients = clients});
  const size_t plain_ways = ways.size();
  for (const int length : options.lengths) {
    ways.push_back({.drafts = options.engine.drafts});
    ways.back().drafts.length = length;
  }
  const int total = options.repeats * static_cast<int>(ways.size());
  int done = 0;
  for (int repeat = 0; repeat < options.repeats; ++repeat) {
    for (Way& way : ways) {
      if (!progress(done++, total)) return Error{ErrorKind::kInterrupted, "interrupted"};
      RETURN_IF_ERROR(Answer(library, loaded, requests, options, clock, way));
    }
  }
  std::vector<record::PassRecord> plain_passes;
  for (size_t i = 0; i < plain_ways; ++i) plain_passes.insert(plain_passes.end(), ways[i].passes.begin(), ways[i].passes.end());
  const Way& plain = ways.front();
  const std::vector<PlainSequence> sequences = PlainSequencesOf(plain.log, plain.routing);
  const double plain_s = DecodeSeconds(plain);
  SpeculationCheck check;
  ASSIGN_OR_RETURN(check.machine, FitPlainBatches(model, plain_passes));
  check.plain_s =
      plain_s / static_cast<double>(std::ranges::count(plain.passes, record::PassKind::kDecode, &record::PassRecord::kind));
  for (size_t i = plain_ways; i < ways.size(); ++i) {
    SpeculationCell cell;
    cell.length = ways[i].drafts.length;
    cell.measured = Describe(ways[i], plain_s);
    cell.predicted = PredictDrafts(model, sequences, ways[i].drafts, check.machine);
    for (size_t request = 0; request < requests.size(); ++request)
      cell.differing += ways[i].answers[request] != plain.answers[request];
    check.cells.push_back(cell);
  }
  return check;
}

}  // namespace moecap::app
