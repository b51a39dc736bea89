#include "app/speculation_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <numeric>
#include <optional>
#include <set>
#include <utility>

#include "base/units.h"
#include "load/closed_loop.h"

namespace moecap::app {
namespace {

using llamacpp::LlamaCppSystem;

double MeanOf(const std::vector<double>& values) {
  return values.empty() ? 0 : std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

// One way to answer requests; its passes are the same in each repetition.
struct Way {
  int clients = 1;
  llamacpp::NgramDrafts drafts;
  std::vector<load::RequestSpec> requests;
  std::vector<record::PassRecord> passes;  // with the least latency of all repetitions
  std::vector<std::vector<int32_t>> answers;
  llamacpp::PassLog log;
  llamacpp::ReplayedLog routing;
};

// How it is called in a line of progress.
std::string NameOf(const Way& way) {
  const std::string clients = fmt::format("{} client{}", way.clients, way.clients == 1 ? "" : "s");
  return way.drafts.length == 0 ? clients + ", plain"
                                : fmt::format("{}, {} draft{}", clients, way.drafts.length, way.drafts.length == 1 ? "" : "s");
}

void AddExperts(Way& way) {
  for (size_t i = 0; i < way.passes.size(); ++i) {
    for (const auto& layer : way.routing.passes[i].expert_counts) {
      way.passes[i].distinct_experts.push_back(
          static_cast<double>(std::ranges::count_if(layer, [](int32_t tokens) { return tokens > 0; })));
    }
  }
}

struct Bench {
  const llamacpp::EngineLibrary& library;
  const std::shared_ptr<const llamacpp::LoadedModel>& loaded;
  const llamacpp::EngineOptions& engine;
  const Clock& clock;
  std::function<bool()> stop;
};

// One repetition. The first one replays its routing. False: it was stopped, and nothing of it was kept.
Result<bool> Answer(const Bench& bench, Way& way) {
  llamacpp::EngineOptions engine = bench.engine;
  engine.slots = way.clients;
  engine.drafts = way.drafts;
  ASSIGN_OR_RETURN(const auto system, LlamaCppSystem::Create(bench.library, bench.loaded, engine, bench.clock));
  for (const load::RequestSpec& request : way.requests) RETURN_IF_ERROR(system->Validate(request));
  const bool is_first = way.passes.empty();
  system->StartPassLog();
  load::ClosedLoopOptions loop;
  loop.clients = way.clients;
  loop.stop_requested = bench.stop;
  ASSIGN_OR_RETURN(load::LoadResult result, load::RunClosedLoop(*system, way.requests, loop, bench.clock));
  if (result.ended_by == load::EndedBy::kInterrupt) return false;
  if (is_first) {
    way.passes = std::move(result.passes);
    for (const record::RequestRecord& request : result.requests) way.answers.push_back(request.token_ids);
    way.log = system->TakePassLog();
    ASSIGN_OR_RETURN(way.routing, system->ReplayRouting(way.log));
    AddExperts(way);
    return true;
  }
  if (result.passes.size() != way.passes.size()) return Failed("a repetition generated other tokens than the first one");
  for (size_t i = 0; i < way.passes.size(); ++i) {
    if (result.passes[i].sequences != way.passes[i].sequences)
      return Failed("a repetition generated other tokens than the first one");
  }
  for (size_t i = 0; i < way.passes.size(); ++i)
    way.passes[i].latency_s = std::min(way.passes[i].latency_s, result.passes[i].latency_s);
  return true;
}

// Requests whose prompts end with the first `tokens` of each answer.
std::vector<load::RequestSpec> Behind(std::span<const load::RequestSpec> requests, std::span<const PlainSequence> sequences,
                                      size_t tokens) {
  std::vector<load::RequestSpec> continued(requests.begin(), requests.end());
  for (size_t i = 0; i < continued.size(); ++i) {
    const PlainSequence& sequence = sequences[i];
    continued[i].prompt.clear();
    continued[i].prompt_token_ids = sequence.prompt;
    continued[i].prompt_token_ids.insert(
        continued[i].prompt_token_ids.end(), sequence.output.begin(),
        sequence.output.begin() + static_cast<std::ptrdiff_t>(std::min(tokens, sequence.output.size())));
    continued[i].ignore_end_token = true;
  }
  return continued;
}

// Numbers of rows that are measured: each up to 9, then a third more each time, up to `most`.
std::vector<int> RowsToMeasure(int most) {
  std::vector<int> rows;
  for (int next = 1; next < most; next = next < 9 ? next + 1 : next + next / 3) rows.push_back(next);
  rows.push_back(most);
  return rows;
}

// A plain batch that loses sequences, the last one first, so that some passes are made of each number of rows. The sequences
// are those of `sequences` in turn, each time a few tokens further on, so that they are not alike.
Way Staircase(std::span<const load::RequestSpec> requests, std::span<const PlainSequence> sequences, int most) {
  constexpr int kPassesOfEach = 8;
  const std::vector<int> steps = RowsToMeasure(most);
  Way way{.clients = most};
  for (int i = 0; i < most; ++i) {
    const size_t of = static_cast<size_t>(i) % sequences.size();
    const size_t round = static_cast<size_t>(i) / sequences.size();
    way.requests.push_back(Behind(requests.subspan(of, 1), sequences.subspan(of, 1), 3 * round).front());
    way.requests.back().id = std::to_string(i);
    way.requests.back().max_output_tokens =
        1 + kPassesOfEach * std::ranges::count_if(steps, [&](int rows) { return rows > i; });
  }
  return way;
}

Speculated Describe(const Way& way, double plain_s) {
  double passes = 0, of_sequences = 0, drafted = 0, accepted = 0, seconds = 0, distinct = 0;
  for (const record::PassRecord& pass : way.passes) {
    if (pass.kind != record::PassKind::kDecode) continue;
    passes += 1;
    of_sequences += static_cast<double>(pass.SequenceCount());
    drafted += static_cast<double>(pass.NewTokens() - pass.SequenceCount());
    for (const int64_t count : pass.accepted_drafts) accepted += static_cast<double>(count);
    seconds += pass.latency_s;
    distinct += MeanOf(pass.distinct_experts);
  }
  return {drafted > 0 ? accepted / drafted : 0, (of_sequences + accepted) / of_sequences, distinct / passes, plain_s / seconds};
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
// Of decode passes behind decode passes: those of as many rows, or (`changed`) of others.
std::map<int64_t, BatchPasses> ByBatch(std::span<const record::PassRecord> passes, bool changed) {
  std::map<int64_t, BatchPasses> batches;
  for (size_t i = 1; i < passes.size(); ++i) {
    const record::PassRecord& pass = passes[i];
    const bool follows_decode = passes[i - 1].kind == record::PassKind::kDecode && pass.kind == record::PassKind::kDecode;
    if (!follows_decode || (passes[i - 1].NewTokens() != pass.NewTokens()) != changed) continue;
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

using LayerExperts = std::vector<std::set<int32_t>>;

// Adds the experts of the tokens [first, first + rows) of a sequence, moved back where it ends before.
void UniteExperts(const PlainSequence& sequence, size_t first, size_t rows, LayerExperts& experts) {
  const size_t end = std::min(first + rows, sequence.experts.size());
  const size_t begin = end - std::min(end, rows);
  experts.resize(sequence.experts.front().size());
  for (size_t token = begin; token < end; ++token) {
    for (size_t layer = 0; layer < experts.size(); ++layer)
      experts[layer].insert(sequence.experts[token][layer].begin(), sequence.experts[token][layer].end());
  }
}

// A sequence that decodes.
struct Running {
  const PlainSequence* sequence = nullptr;
  std::vector<int32_t> text;  // prompt and output
  size_t next = 0;            // the token of the output that the next pass decodes

  size_t at() const { return sequence->prompt.size() + next; }
};

// The passes that the engine would make, by LlamaCppSystem's rules; sequences with nothing to decode are passed over.
class DraftedPasses {
 public:
  DraftedPasses(const model::ModelSpec& model, std::span<const PlainSequence> sequences, const llamacpp::NgramDrafts& drafts,
                int clients, const PlainBatches& machine)
      : model_(model), waiting_(sequences), drafts_(drafts), machine_(machine), slots_(static_cast<size_t>(clients)) {
    for (Admit(); std::ranges::any_of(slots_, [](const auto& slot) { return slot.has_value(); }); Admit()) Decode();
  }

  double passes = 0, of_sequences = 0, drafted = 0, accepted = 0, distinct = 0, seconds = 0;

 private:
  void Admit() {
    for (auto& slot : slots_) {
      while (!slot && !waiting_.empty()) {
        const PlainSequence& sequence = waiting_.front();
        waiting_ = waiting_.subspan(1);
        if (sequence.experts.empty()) continue;
        slot = Running{&sequence, sequence.prompt, 0};
        slot->text.insert(slot->text.end(), sequence.output.begin(), sequence.output.end());
        rows_before_ = 0;  // its prompt comes between
      }
    }
  }

  void Decode() {
    record::PassRecord pass;
    LayerExperts experts;
    for (auto& slot : slots_) {
      if (slot) Decode(slot, pass, experts);
    }
    for (const auto& layer : experts) pass.distinct_experts.push_back(static_cast<double>(layer.size()));
    seconds += machine_.Seconds(model_, pass);
    if (std::exchange(rows_before_, pass.NewTokens()) != pass.NewTokens()) seconds += machine_.new_shape_s;
    passes += 1;
    distinct += MeanOf(pass.distinct_experts);
  }

  // One sequence's rows of a pass.
  void Decode(std::optional<Running>& slot, record::PassRecord& pass, LayerExperts& experts) {
    const size_t at = slot->at();
    llamacpp::NgramDrafts allowed = drafts_;
    const size_t left = slot->sequence->experts.size() - slot->next - 1;
    allowed.length = static_cast<int>(std::min<size_t>(static_cast<size_t>(drafts_.length), left));
    const std::vector<int32_t> draft = llamacpp::DraftNgram(std::span(slot->text).first(at + 1), allowed);
    size_t right = 0;
    while (right < draft.size() && draft[right] == slot->text[at + 1 + right]) ++right;
    UniteExperts(*slot->sequence, slot->next, draft.size() + 1, experts);
    pass.sequences.push_back({static_cast<int64_t>(at), static_cast<int64_t>(draft.size()) + 1, 1});
    of_sequences += 1;
    drafted += static_cast<double>(draft.size());
    accepted += static_cast<double>(right);
    slot->next += right + 1;
    if (slot->next >= slot->sequence->experts.size()) slot.reset();
  }

  const model::ModelSpec& model_;
  std::span<const PlainSequence> waiting_;
  llamacpp::NgramDrafts drafts_;
  const PlainBatches& machine_;
  std::vector<std::optional<Running>> slots_;
  int64_t rows_before_ = 0;
};

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

double PlainBatches::Seconds(const model::ModelSpec& model, const record::PassRecord& pass) const {
  const auto above = by_rows.lower_bound(pass.NewTokens());
  double factor = by_rows.rbegin()->second;
  if (above != by_rows.end()) {
    const auto below = above == by_rows.begin() ? above : std::prev(above);
    const double between = above == below ? 0
                                          : static_cast<double>(pass.NewTokens() - below->first) /
                                                static_cast<double>(above->first - below->first);
    factor = below->second + between * (above->second - below->second);
  }
  return planner::PassSeconds(model, pass, ceilings) * factor;
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
                         const llamacpp::NgramDrafts& drafts, int clients, const PlainBatches& machine) {
  const DraftedPasses plain(model, sequences, {}, clients, machine);
  const DraftedPasses with(model, sequences, drafts, clients, machine);
  return {with.drafted > 0 ? with.accepted / with.drafted : 0, (with.of_sequences + with.accepted) / with.of_sequences,
          with.distinct / with.passes, plain.seconds / with.seconds};
}

namespace {

struct Ways {
  std::vector<Way> plain;  // the first one of one client
  Way staircase;
  std::vector<Way> drafted;

  std::vector<Way*> All() {
    std::vector<Way*> all;
    for (Way& way : plain) all.push_back(&way);
    all.push_back(&staircase);
    for (Way& way : drafted) all.push_back(&way);
    return all;
  }
  const Way& PlainOf(int clients) const { return *std::ranges::find(plain, clients, &Way::clients); }
};

Ways WaysOf(const SpeculationOptions& options) {
  Ways ways;
  ways.plain.push_back({.clients = 1});
  for (const int clients : options.clients) {
    if (clients > 1) ways.plain.push_back({.clients = clients});
    for (const int length : options.lengths) {
      ways.drafted.push_back({.clients = clients, .drafts = options.engine.drafts});
      ways.drafted.back().drafts.length = length;
    }
  }
  return ways;
}

SpeculationCheck Compare(const Ways& ways, const model::ModelSpec& model, PlainBatches machine) {
  const Way& trace = ways.plain.front();
  const std::vector<PlainSequence> sequences = PlainSequencesOf(trace.log, trace.routing);
  SpeculationCheck check;
  check.machine = std::move(machine);
  check.plain_s = DecodeSeconds(trace) /
                  static_cast<double>(std::ranges::count(trace.passes, record::PassKind::kDecode, &record::PassRecord::kind));
  for (const Way& way : ways.drafted) {
    const Way& plain = ways.PlainOf(way.clients);
    SpeculationCell cell;
    cell.clients = way.clients;
    cell.length = way.drafts.length;
    cell.measured = Describe(way, DecodeSeconds(plain));
    cell.predicted = PredictDrafts(model, sequences, way.drafts, way.clients, check.machine);
    for (size_t request = 0; request < way.answers.size(); ++request)
      cell.differing += way.answers[request] != plain.answers[request];
    check.cells.push_back(cell);
  }
  return check;
}

// The requests behind what the model answers to them first.
Result<bool> Continue(const Bench& bench, int tokens, std::vector<load::RequestSpec>& requests) {
  Way way{.requests = requests};
  for (load::RequestSpec& request : way.requests) request.max_output_tokens = tokens;
  ASSIGN_OR_RETURN(const bool complete, Answer(bench, way));
  if (!complete) return false;
  requests = Behind(requests, PlainSequencesOf(way.log, way.routing), static_cast<size_t>(tokens));
  return true;
}

}  // namespace

Result<SpeculationCheck> CheckSpeculation(const llamacpp::EngineLibrary& library,
                                          const std::shared_ptr<const llamacpp::LoadedModel>& loaded,
                                          const model::ModelSpec& model, std::span<const load::RequestSpec> requests,
                                          const SpeculationOptions& options, const Clock& clock,
                                          const std::function<bool(const SpeculationProgress&)>& progress) {
  Ways ways = WaysOf(options);
  SpeculationProgress at{0, options.repeats * static_cast<int>(ways.All().size()), "prompts"};
  const SteadyClock wall;
  const int64_t end_ns = wall.NowNs() + static_cast<int64_t>(options.limit_s * 1e9);
  bool interrupted = false;
  const auto late = [&] { return wall.NowNs() > end_ns; };
  const Bench bench{library, loaded, options.engine, clock, [&] {
                      interrupted = interrupted || !progress(at);
                      return interrupted || late();
                    }};
  std::vector<load::RequestSpec> asked(requests.begin(), requests.end());
  bool complete = true;
  if (options.continued_tokens > 0) {
    ASSIGN_OR_RETURN(complete, Continue(bench, options.continued_tokens, asked));
  }
  int repeats = 0;
  for (; complete && repeats < options.repeats; repeats += complete) {
    for (Way* way : ways.All()) {
      if (way == &ways.staircase && way->requests.empty()) {
        const Way& trace = ways.plain.front();
        const int most = std::ranges::max(options.clients) * (1 + std::ranges::max(options.lengths));
        *way = Staircase(asked, PlainSequencesOf(trace.log, trace.routing), most);
      }
      if (way->requests.empty()) way->requests = asked;
      at.way = NameOf(*way);
      ASSIGN_OR_RETURN(complete, Answer(bench, *way));
      if (!complete) break;
      ++at.done;
    }
  }
  if (interrupted) return Error{ErrorKind::kInterrupted, "interrupted"};
  if (repeats == 0) {
    return Failed(
        fmt::format("{} of {} ways to answer were measured within {}; ask for fewer requests, output tokens, lengths or "
                    "clients, or raise the limit",
                    at.done, ways.All().size(), FormatSeconds(options.limit_s)));
  }
  std::vector<record::PassRecord> plain_passes = ways.staircase.passes;
  for (const Way& way : ways.plain) plain_passes.insert(plain_passes.end(), way.passes.begin(), way.passes.end());
  ASSIGN_OR_RETURN(PlainBatches machine, FitPlainBatches(model, plain_passes));
  SpeculationCheck check = Compare(ways, model, std::move(machine));
  check.repeats = repeats;
  return check;
}

}  // namespace moecap::app
