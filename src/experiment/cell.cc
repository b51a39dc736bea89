#include "experiment/cell.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "experiment/cell_accuracy.h"
#include "experiment/cell_notes.h"
#include "experiment/gates.h"
#include "experiment/memory_figures.h"
#include "experiment/shard_gates.h"
#include "experiment/speculation_figures.h"
#include "metrics/estimate.h"
#include "metrics/pooled_latencies.h"
#include "stats/summary.h"

namespace moecap::experiment {
namespace {

using cap::FigureId;
using cap::FigureValues;
using record::RequestRecord;

std::optional<double> Mean(double sum, int64_t count) {
  return count > 0 ? std::optional(sum / static_cast<double>(count)) : std::nullopt;
}

const metrics::LatencyFigure* FindLatency(std::span<const metrics::LatencyFigure> latencies, std::string_view name) {
  const auto found = std::ranges::find(latencies, name, &metrics::LatencyFigure::name);
  return found != latencies.end() ? &*found : nullptr;
}

// The figures that follow from distributions; a percentile that the sample does not support stays null.
struct LatencyColumns {
  const char* name;
  std::optional<FigureId> mean, p50, p90, p99;
};
constexpr LatencyColumns kLatencyColumns[] = {
    {"user_time_per_token_s", FigureId::kTimePerToken, {}, {}, {}},
    {"ttft_s", FigureId::kTtftMean, FigureId::kTtftP50, FigureId::kTtftP90, FigureId::kTtftP99},
    {"tpot_s", FigureId::kTpotMean, FigureId::kTpotP50, FigureId::kTpotP90, FigureId::kTpotP99},
    {"itl_s", FigureId::kItlMean, FigureId::kItlP50, {}, FigureId::kItlP99},
    {"e2e_s", FigureId::kE2eMean, FigureId::kE2eP50, FigureId::kE2eP90, FigureId::kE2eP99},
};

void FillLatencies(std::span<const metrics::LatencyFigure> latencies, FigureValues& figures) {
  for (const LatencyColumns& columns : kLatencyColumns) {
    const metrics::LatencyFigure* latency = FindLatency(latencies, columns.name);
    if (latency == nullptr) continue;
    if (columns.mean) figures[*columns.mean] = latency->distribution.mean;
    for (const stats::QuantileEstimate& quantile : latency->quantiles) {
      const auto& id = quantile.q == 0.5 ? columns.p50 : quantile.q == 0.9 ? columns.p90 : columns.p99;
      const bool wanted = quantile.q == 0.5 || quantile.q == 0.9 || quantile.q == 0.99;
      if (wanted && id && quantile.supported) figures[*id] = quantile.value;
    }
  }
}

// Sums over measurements, whose ratios are the rates.
struct ServingSums {
  double window_s = 0;
  double offered = 0, completed = 0, failed = 0, cancelled = 0;
  double input_tokens = 0, output_tokens = 0, cached_tokens = 0;
  double arrived_tokens = 0, ended = 0, met = 0;  // inside the windows
  bool knows_cached = false, has_objectives = false;

  void Add(const metrics::ServingFigures& serving) {
    const double seconds = serving.window.Seconds();
    window_s += seconds;
    offered += static_cast<double>(serving.offered);
    completed += static_cast<double>(serving.completed);
    failed += static_cast<double>(serving.failed);
    cancelled += static_cast<double>(serving.cancelled);
    input_tokens += static_cast<double>(serving.input_tokens);
    output_tokens += static_cast<double>(serving.output_tokens);
    cached_tokens += static_cast<double>(serving.cached_input_tokens);
    arrived_tokens += serving.output_tokens_per_s * seconds;
    ended += serving.completed_per_s * seconds;
    met += static_cast<double>(serving.met.value_or(0));
    has_objectives = has_objectives || serving.met.has_value();
  }
};

void FillServing(const ServingSums& sums, FigureValues& figures) {
  figures[FigureId::kRequests] = sums.offered;
  figures[FigureId::kCompleted] = sums.completed;
  figures[FigureId::kFailed] = sums.failed;
  figures[FigureId::kCancelled] = sums.cancelled;
  if (sums.completed > 0) {
    figures[FigureId::kInputTokens] = sums.input_tokens / sums.completed;
    figures[FigureId::kOutputTokens] = sums.output_tokens / sums.completed;
  }
  if (sums.knows_cached && sums.input_tokens > 0) figures[FigureId::kCachedShare] = sums.cached_tokens / sums.input_tokens;
  if (sums.has_objectives && sums.offered > 0) figures[FigureId::kGoodShare] = sums.met / sums.offered;
  if (!(sums.window_s > 0)) return;
  figures[FigureId::kOutputRate] = sums.arrived_tokens / sums.window_s;
  figures[FigureId::kRequestRate] = sums.ended / sums.window_s;
  figures[FigureId::kOfferedRate] = sums.offered / sums.window_s;
  if (sums.has_objectives) figures[FigureId::kGoodput] = sums.met / sums.window_s;
}

bool KnowsCached(std::span<const RequestRecord> requests) {
  return std::ranges::any_of(requests, [](const RequestRecord& request) { return request.cached_input_tokens.has_value(); });
}

void FillUtilization(const metrics::Utilization& utilization, FigureValues& figures) {
  const metrics::PhaseUtilization& decode = utilization.decode;
  figures[FigureId::kDecodeSMbu] = decode.s_mbu;
  figures[FigureId::kDecodeSMbuPaper] = decode.s_mbu_paper;
  figures[FigureId::kDecodeMbu] = decode.mbu;
  figures[FigureId::kDecodeSMfu] = decode.s_mfu;
  figures[FigureId::kDecodeSMfuPaper] = decode.s_mfu_paper;
  figures[FigureId::kDecodeMfu] = decode.mfu;
  figures[FigureId::kPrefillSMbu] = utilization.prefill.s_mbu;
  figures[FigureId::kPrefillSMfu] = utilization.prefill.s_mfu;
  double sum = 0;
  for (const double experts : decode.mean_distinct_experts) sum += experts;
  figures[FigureId::kDistinctExperts] = Mean(sum, std::ssize(decode.mean_distinct_experts));
}

std::optional<double> HostBandwidth(const Manifest& manifest) {
  if (!manifest.ceilings || !manifest.ceilings->read_bytes_per_s) return std::nullopt;
  return manifest.ceilings->read_bytes_per_s->best;
}

// Busy time in prefill and decode: of the passes; else of the server's own timings; else of what clients saw, an estimate.
void SplitTime(std::span<const MeasuredFacts* const> whole, const metrics::Utilization& utilization, CellWork& work) {
  if (utilization.all.passes > 0 && utilization.mixed.passes == 0) {
    // A kind of pass that did not occur took no time.
    work.prefill_s = utilization.prefill.latency_s.value_or(0);
    work.decode_s = utilization.decode.latency_s.value_or(0);
    return;
  }
  double told_prefill = 0, told_decode = 0, seen_prefill = 0, seen_decode = 0;
  bool all_told = true, any = false;
  for (const MeasuredFacts* measured : whole) {
    for (const RequestRecord& request : measured->facts.records.requests) {
      const metrics::RequestLatency latency = metrics::LatencyOf(request);
      if (!request.ok() || !latency.ttft_s || !latency.e2e_s) continue;
      any = true;
      all_told = all_told && request.server_prefill_s && request.server_decode_s;
      told_prefill += request.server_prefill_s.value_or(0);
      told_decode += request.server_decode_s.value_or(0);
      seen_prefill += *latency.ttft_s;
      seen_decode += *latency.e2e_s - *latency.ttft_s;
    }
  }
  if (!any) return;
  // Requests share the machine: only the proportion of the two sums counts, laid on the wall time.
  const double prefill = all_told ? told_prefill : seen_prefill;
  const double both = all_told ? told_prefill + told_decode : seen_prefill + seen_decode;
  if (!(both > 0)) return;
  work.prefill_s = work.wall_s * prefill / both;
  work.decode_s = work.wall_s - *work.prefill_s;
  work.split_is_estimated = !all_told;
}

// Null unless every measurement has it.
std::optional<double> SumOf(std::span<const MeasuredFacts* const> whole, std::optional<double> Measurement::*joules) {
  std::optional<double> sum;
  for (const MeasuredFacts* measured : whole) {
    const std::optional<double>& own = measured->measurement->*joules;
    if (!own) return std::nullopt;
    sum = sum.value_or(0) + *own;
  }
  return sum;
}

CellWork WorkOf(const ServingSums& sums, std::span<const MeasuredFacts* const> whole, const metrics::Utilization& utilization) {
  CellWork work;
  work.wall_s = sums.window_s;
  work.input_tokens = sums.input_tokens;
  work.output_tokens = sums.output_tokens;
  work.requests = sums.completed;
  work.chips_j = SumOf(whole, &Measurement::energy_j);
  work.gpus_j = SumOf(whole, &Measurement::gpu_energy_j);
  SplitTime(whole, utilization, work);
  return work;
}

Controls CountControls(const Measurement& measurement, const std::string& usual) {
  const std::vector<std::string>& answers = measurement.control_answers;
  const auto count = static_cast<double>(answers.size());
  return {count, count - static_cast<double>(std::ranges::count(answers, usual))};
}

void FillControls(const Controls& controls, FigureValues& figures) {
  figures[FigureId::kUnequalShare] = Mean(controls.unequal, static_cast<int64_t>(controls.answers));
}

// Where answers do not tell what came from the cache, the server's own counter does, for all requests together.
void AddCached(const MeasuredFacts& measured, ServingSums& sums) {
  if (KnowsCached(measured.facts.records.requests)) {
    sums.knows_cached = true;
  } else if (measured.measurement->cached_tokens) {
    sums.knows_cached = true;
    sums.cached_tokens += *measured.measurement->cached_tokens;
  }
}

std::optional<double> QuantileOf(const metrics::LatencyFigure& latency, double q) {
  const auto found = std::ranges::find(latency.quantiles, q, &stats::QuantileEstimate::q);
  return found != latency.quantiles.end() ? std::optional(found->value) : std::nullopt;
}

void FillClient(const load::LoadResult& records, const metrics::LoadFigures& load, FigureValues& figures) {
  if (records.loop_s > 0) figures[FigureId::kClientCpu] = records.cpu_s / records.loop_s;
  if (load.receive_delay_s) figures[FigureId::kReceiveDelay] = QuantileOf(*load.receive_delay_s, 0.99);
}

// Tokens that arrive while the client is late are read at once and get one stamp of the kernel, so the gaps between them are
// not known; their mean is.
bool BlursGaps(const metrics::LoadFigures& load, const FigureValues& figures) {
  const metrics::LatencyFigure* gaps = FindLatency(load.whole.latencies, "itl_s");
  return gaps != nullptr && figures[FigureId::kReceiveDelay] > QuantileOf(*gaps, 0.5);
}

void DropGaps(FigureValues& figures) {
  for (const FigureId id : {FigureId::kItlP50, FigureId::kItlP99}) figures[id] = std::nullopt;
}

cap::MeasurementSummary SummarizeMeasurement(const CellContext& context, const MeasuredFacts& measured) {
  const Measurement& measurement = *measured.measurement;
  const load::LoadResult& records = measured.facts.records;
  const bool in_process = context.system.description.in_process;
  cap::MeasurementSummary summary;
  summary.name = measurement.name;
  summary.repeat = measurement.repeat;
  summary.complete = measurement.complete;
  summary.started_at = measurement.started_at;
  summary.ended_by = load::Name(measurement.ended_by);
  summary.load = metrics::DescribeLoad(records.requests, context.manifest.config.objectives);
  summary.load.held_back = measurement.held_back;
  std::vector<double> delays(records.receive_delay_s.begin(), records.receive_delay_s.end());
  summary.load.receive_delay_s = metrics::DescribeLatency("receive_delay_s", delays);
  summary.gates = JudgeMeasurement({measurement, context.system, measured.facts, summary.load});

  ServingSums sums;
  sums.Add(summary.load.whole);
  AddCached(measured, sums);
  FillServing(sums, summary.figures);
  FillControls(CountControls(measurement, context.usual_answer), summary.figures);
  FillLatencies(summary.load.whole.latencies, summary.figures);
  if (!in_process) FillClient(records, summary.load, summary.figures);
  if (BlursGaps(summary.load, summary.figures)) DropGaps(summary.figures);
  const MeasuredFacts* self[] = {&measured};
  FillAccuracy(ScoreProblems(self), summary.figures);
  metrics::Utilization utilization;
  if (!records.passes.empty() && !context.system.description.model.layers.empty()) {
    utilization = metrics::ComputeUtilization(context.system.description.model, records.passes, context.peaks);
    FillUtilization(utilization, summary.figures);
    FillMemory(context.system, records.passes, summary.figures);
    FillExpertReads(context.system, records.passes, summary.figures);
    FillSpeculation(records.passes, summary.figures);
    FillTiers(context.system, records.passes, context.peaks, HostBandwidth(context.manifest), summary.figures);
  }
  cap::FigureSet estimates;
  bool is_metered = false;
  context.cost.Fill(WorkOf(sums, self, utilization), summary.figures, estimates, is_metered);
  return summary;
}

// The figures that rest on distinct experts, with the ends of their bands. FLOPs do not: a token's top-k is known.
struct BandedFigure {
  FigureId id, low, high;
};
constexpr BandedFigure kBandedFigures[] = {
    {FigureId::kDecodeSMbu, FigureId::kDecodeSMbuLow, FigureId::kDecodeSMbuHigh},
    {FigureId::kPrefillSMbu, FigureId::kPrefillSMbuLow, FigureId::kPrefillSMbuHigh},
    {FigureId::kDistinctExperts, FigureId::kDistinctExpertsLow, FigureId::kDistinctExpertsHigh},
};

// Estimates once more, at the ends of what they rest on. Leaves `passes` with the experts of one end.
void FillBand(const CellContext& context, std::vector<record::PassRecord>& passes, cap::CellSummary& cell) {
  const auto is_estimate = [](const record::PassRecord& pass) {
    return pass.distinct_experts_source == record::Source::kEstimated && metrics::NeedsEstimate(pass);
  };
  if (std::ranges::none_of(passes, is_estimate)) return;
  for (metrics::ExpertEstimate end : {metrics::kFewestExperts, metrics::kMostExperts}) {
    if (context.system.sheet) end.sheet = &*context.system.sheet;
    metrics::FillDistinctExperts(context.system.description.model, end, passes);
    FigureValues at_end;
    FillUtilization(metrics::ComputeUtilization(context.system.description.model, passes, context.peaks), at_end);
    for (const BandedFigure& figure : kBandedFigures) {
      const auto& value = cell.figures[figure.id];
      if (!value || !at_end[figure.id]) continue;
      cell.figures[figure.low] = std::min(cell.figures[figure.low].value_or(*value), *at_end[figure.id]);
      cell.figures[figure.high] = std::max(cell.figures[figure.high].value_or(*value), *at_end[figure.id]);
      for (const FigureId id : {figure.id, figure.low, figure.high}) cell.estimates.Add(id);
    }
  }
}

// Distributions over the requests of all whole measurements.
std::vector<metrics::LatencyFigure> PoolLatencies(std::span<const MeasuredFacts* const> whole) {
  std::vector<std::span<const RequestRecord>> parts;
  for (const MeasuredFacts* measured : whole) parts.emplace_back(measured->facts.records.requests);
  return metrics::PooledLatencies(parts);
}

void FillPooledUtilization(const CellContext& context, std::span<const MeasuredFacts* const> whole, cap::CellSummary& cell) {
  if (context.system.description.model.layers.empty()) return;
  std::vector<record::PassRecord> passes;
  for (const MeasuredFacts* measured : whole)
    passes.insert(passes.end(), measured->facts.records.passes.begin(), measured->facts.records.passes.end());
  if (passes.empty()) return;
  metrics::UtilizationOptions options;
  FillSpeculation(passes, cell.figures);
  // Reconstructed passes last as long as clients saw: nothing to compare. With drafts a pass yields several tokens.
  if (passes.front().source == record::Source::kMeasured) options.tpot_s = cell.figures[FigureId::kTpotMean];
  if (options.tpot_s) *options.tpot_s *= cell.figures[FigureId::kTokensPerPass].value_or(1);
  cell.utilization = metrics::ComputeUtilization(context.system.description.model, passes, context.peaks, options);
  FillUtilization(cell.utilization, cell.figures);
  FillMemory(context.system, passes, cell.figures);
  FillExpertReads(context.system, passes, cell.figures);
  FillTiers(context.system, passes, context.peaks, HostBandwidth(context.manifest), cell.figures);
  FillBand(context, passes, cell);
  NoteRecorded(context, passes, whole, cell);
  NoteReconstructed(context, passes, whole, cell);
  if (const auto mbu = cell.figures[FigureId::kDecodeMbu]; mbu && *mbu > 1) {
    cell.notes.push_back(fmt::format(
        "vanilla MBU is {:.0f} %: it counts every expert as read, and most were not; that is why S-MBU exists", 100 * *mbu));
  }
}

// A load that was not made as it was meant spoils the cell, although its figures hold nothing of it.
std::vector<metrics::Gate> MissingShards(const cap::CellSummary& cell) {
  std::vector<std::vector<metrics::Gate>> missing;
  for (const cap::MeasurementSummary& measurement : cell.measurements) {
    const auto gate = std::ranges::find(measurement.gates, kAllShardsGate, &metrics::Gate::name);
    if (gate != measurement.gates.end() && gate->tripped()) missing.push_back({*gate});
  }
  return WorstOf(missing);
}

void JudgeCell(const CellContext& context, std::span<const MeasuredFacts* const> whole, cap::CellSummary& cell) {
  std::vector<std::vector<metrics::Gate>> gates;
  for (const cap::MeasurementSummary& measurement : cell.measurements) {
    if (measurement.complete) gates.push_back(measurement.gates);
  }
  gates.push_back(MissingShards(cell));
  cell.gates = WorstOf(gates);
  for (const metrics::Gate& gate : cell.utilization.gates) cell.gates.push_back(gate);
  std::vector<const Facts*> facts;
  for (const MeasuredFacts* measured : whole) facts.push_back(&measured->facts);
  // Generated prompts are others in each repetition.
  if (!context.system.description.in_process || context.manifest.problems == 0) return;
  if (auto same = JudgeRepetitions(facts)) cell.gates.push_back(std::move(*same));
}

}  // namespace

cap::CellSummary SummarizeCell(const CellContext& context, std::span<const MeasuredFacts> measurements) {
  cap::CellSummary cell;
  cell.level = measurements.front().measurement->level;
  cell.label = Label(cell.level);
  std::vector<const MeasuredFacts*> whole;
  ServingSums sums;
  Controls controls;
  double cpu_s = 0, loop_s = 0;
  bool blurs_gaps = false;
  for (const MeasuredFacts& measured : measurements) {
    cell.measurements.push_back(SummarizeMeasurement(context, measured));
    if (!measured.measurement->complete) continue;
    whole.push_back(&measured);
    sums.Add(cell.measurements.back().load.whole);
    AddCached(measured, sums);
    blurs_gaps = blurs_gaps || BlursGaps(cell.measurements.back().load, cell.measurements.back().figures);
    NoteWarmUp(context, *measured.measurement, cell);
    const Controls own_controls = CountControls(*measured.measurement, context.usual_answer);
    controls.answers += own_controls.answers;
    controls.unequal += own_controls.unequal;
    cpu_s += measured.facts.records.cpu_s;
    loop_s += measured.facts.records.loop_s;
    auto& delay = cell.figures[FigureId::kReceiveDelay];
    const auto own = cell.measurements.back().figures[FigureId::kReceiveDelay];
    if (own) delay = std::max(delay.value_or(0), *own);
  }
  cell.repeats = std::ssize(whole);
  if (whole.empty()) {
    cell.gates = MissingShards(cell);
    return cell;
  }
  if (!context.system.description.in_process && loop_s > 0) cell.figures[FigureId::kClientCpu] = cpu_s / loop_s;
  FillServing(sums, cell.figures);
  FillControls(controls, cell.figures);
  NoteControls(controls, cell);
  cell.latencies = PoolLatencies(whole);
  FillLatencies(cell.latencies, cell.figures);
  if (blurs_gaps) {
    DropGaps(cell.figures);
    NoteBlurredGaps(cell);
  }
  FillCellAccuracy(context, whole, cell);
  FillPooledUtilization(context, whole, cell);
  NoteMissingPasses(whole, cell);
  const CellWork work = WorkOf(sums, whole, cell.utilization);
  context.cost.Fill(work, cell.figures, cell.estimates, cell.energy_is_metered);
  if (work.split_is_estimated && cell.figures[FigureId::kUsdPerMillionInput]) {
    cell.notes.push_back(
        "the split of the cost into input and output tokens is an estimate: clients' time to the first token stands for "
        "prefill");
  }
  NoteGuessedTokens(cell);
  JudgeCell(context, whole, cell);
  return cell;
}

std::string UsualAnswer(const Manifest& manifest, const std::string& system) {
  std::vector<std::pair<std::string_view, int>> counts;
  for (const Measurement& measurement : manifest.measurements) {
    if (measurement.system != system) continue;
    for (const std::string& answer : measurement.control_answers) {
      const auto found = std::ranges::find(counts, answer, &std::pair<std::string_view, int>::first);
      if (found == counts.end()) {
        counts.emplace_back(answer, 1);
      } else {
        ++found->second;
      }
    }
  }
  const auto usual = std::ranges::max_element(counts, {}, &std::pair<std::string_view, int>::second);
  return usual == counts.end() ? "" : std::string(usual->first);
}

MeteredPower MeteredTime::Power() const {
  MeteredPower power;
  if (chips_s > 0) power.chips_w = chips_j / chips_s;
  if (gpus_s > 0) power.gpus_w = gpus_j / gpus_s;
  return power;
}

void AddMeteredTime(std::span<const MeasuredFacts> measurements, MeteredTime& metered) {
  for (const MeasuredFacts& measured : measurements) {
    const auto window = metrics::WholeRun(measured.facts.records.requests);
    if (!measured.measurement->complete || !window) continue;
    if (const auto& joules = measured.measurement->energy_j) {
      metered.chips_j += *joules;
      metered.chips_s += window->Seconds();
    }
    if (const auto& joules = measured.measurement->gpu_energy_j) {
      metered.gpus_j += *joules;
      metered.gpus_s += window->Seconds();
    }
  }
}

}  // namespace moecap::experiment
