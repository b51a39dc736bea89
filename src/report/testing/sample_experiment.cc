#include "report/testing/sample_experiment.h"

#include <fmt/format.h>

#include <cmath>

namespace moecap::report {
namespace {

using cap::FigureId;

constexpr int kRepetitions = 5;

// What makes one system of the sample differ from another.
struct Shape {
  const char* name;
  double speed;     // of decoding
  double accuracy;  // 0..1
  double usd;       // of 1M tokens at one client
  bool server;
};
constexpr Shape kShapes[] = {{"F16", 1, 0.84, 1.9, false}, {"Q8_0", 1.6, 0.83, 1.2, false}, {"vllm-h100", 9, 0.84, 0.4, true}};

stats::QuantileEstimate Quantile(double q, double value, int64_t samples) {
  stats::QuantileEstimate estimate;
  estimate.q = q;
  estimate.value = value;
  estimate.samples_needed = q >= 0.999 ? 6636 : q >= 0.99 ? 662 : 64;
  estimate.supported = samples >= estimate.samples_needed;
  if (estimate.supported) {
    estimate.low = value * 0.94;
    estimate.high = value * 1.07;
  }
  return estimate;
}

metrics::LatencyFigure Latency(const char* name, double mean, int64_t samples) {
  metrics::LatencyFigure figure;
  figure.name = name;
  figure.distribution = {samples, mean, mean * 0.3, mean * 0.5, mean * 0.95, mean * 1.4, mean * 2.1, mean * 3};
  for (const auto& [q, times] : {std::pair{0.01, 0.52},
                                 {0.05, 0.6},
                                 {0.1, 0.66},
                                 {0.25, 0.8},
                                 {0.5, 0.95},
                                 {0.75, 1.1},
                                 {0.9, 1.4},
                                 {0.95, 1.6},
                                 {0.99, 2.1},
                                 {0.999, 2.8}})
    figure.quantiles.push_back(Quantile(q, mean * times, samples));
  return figure;
}

metrics::Gate Quiet(bool trips) {
  metrics::Gate gate = metrics::MakeGate("machine was not quiet", 0.05, "share");
  return metrics::Judge(std::move(gate), trips ? 0.31 : 0.01,
                        "other processes took 31 % of the time of our threads; close them or use fewer threads");
}

void FillRequests(cap::FigureValues& figures, double requests, double failed) {
  figures[FigureId::kRequests] = requests;
  figures[FigureId::kCompleted] = requests - failed;
  figures[FigureId::kFailed] = failed;
  figures[FigureId::kCancelled] = 0;
  figures[FigureId::kInputTokens] = 118.5;
  figures[FigureId::kOutputTokens] = 64;
}

// `noise`: a factor near 1.
void FillLatency(const Shape& shape, double clients, double noise, cap::FigureValues& figures) {
  const double tpot = 0.021 / shape.speed * (1 + clients / 12) * noise;
  figures[FigureId::kTpotMean] = tpot;
  figures[FigureId::kTpotP50] = tpot * 0.95;
  figures[FigureId::kTpotP90] = tpot * 1.4;
  figures[FigureId::kTtftMean] = tpot * 6;
  figures[FigureId::kTtftP50] = tpot * 5.7;
  figures[FigureId::kTtftP90] = tpot * 8.4;
  figures[FigureId::kItlMean] = tpot;
  figures[FigureId::kItlP50] = tpot * 0.95;
  figures[FigureId::kItlP99] = tpot * 2.1;
  figures[FigureId::kE2eMean] = tpot * 70;
  figures[FigureId::kE2eP50] = tpot * 66;
  figures[FigureId::kE2eP90] = tpot * 98;
  figures[FigureId::kTimePerToken] = tpot * 1.1;
  const double rate = clients / (tpot * 1.1);
  figures[FigureId::kOutputRate] = rate;
  figures[FigureId::kRequestRate] = rate / 64;
  figures[FigureId::kOfferedRate] = rate / 64;
  figures[FigureId::kGoodput] = rate / 70;
  figures[FigureId::kGoodShare] = 64.0 / 70;
}

void FillMachine(const Shape& shape, double clients, double noise, cap::FigureValues& figures) {
  const double usd = shape.usd / std::sqrt(clients) * noise;
  figures[FigureId::kUsdPerMillionTokens] = usd;
  figures[FigureId::kUsdPerMillionInput] = usd * 0.3;
  figures[FigureId::kUsdPerMillionOutput] = usd * 2;
  figures[FigureId::kUsdPerMillionOutputAllIn] = usd * 2.9;
  figures[FigureId::kUsdPerRequest] = usd * 182e-6;
  figures[FigureId::kUsdPerHour] = shape.server ? 2.49 : 0.31;
  figures[FigureId::kPurchase] = shape.server ? 31000 : 3900;
  figures[FigureId::kPower] = shape.server ? 640 : 210 * noise;
  figures[FigureId::kEnergy] = 4.2 * noise;
  figures[FigureId::kJoulesPerOutput] = 9.1 / std::sqrt(clients) / shape.speed * noise;
  figures[FigureId::kJoulesPerToken] = 3.2 / std::sqrt(clients) / shape.speed * noise;
  figures[FigureId::kJoulesPerRequest] = 582 / shape.speed * noise;
  figures[FigureId::kCo2] = 0.31 / shape.speed * noise;
  if (shape.server) {
    figures[FigureId::kReceiveDelay] = 0.00021;
    figures[FigureId::kClientCpu] = 0.12;
    figures[FigureId::kCachedShare] = 0.02;
    return;
  }
  figures[FigureId::kChipJoulesPerOutput] = 6.1;
  figures[FigureId::kDecodeSMbu] = 0.61 / noise;
  figures[FigureId::kDecodeSMbuPaper] = 0.58;
  figures[FigureId::kDecodeMbu] = 3.1;
  figures[FigureId::kDecodeSMfu] = 0.021;
  figures[FigureId::kDecodeSMfuPaper] = 0.02;
  figures[FigureId::kDecodeMfu] = 0.09;
  figures[FigureId::kPrefillSMbu] = 0.22;
  figures[FigureId::kPrefillSMfu] = 0.35;
  figures[FigureId::kDistinctExperts] = std::min(16.0, 2 * std::pow(clients, 0.8));
  figures[FigureId::kKvMean] = 1.2e6 * clients;
  figures[FigureId::kKvMax] = 2e6 * clients;
  figures[FigureId::kMemory] = 1.6e8 + 2e6 * clients;
}

void FillAccuracy(const Shape& shape, cap::FigureValues& figures) {
  figures[FigureId::kAccuracy] = shape.accuracy;
  figures[FigureId::kAccuracyLow] = shape.accuracy - 0.11;
  figures[FigureId::kAccuracyHigh] = shape.accuracy + 0.08;
  figures[FigureId::kScored] = 64;
  figures[FigureId::kAnswered] = 62;
}

void FillFigures(const Shape& shape, double clients, double noise, double requests, cap::FigureValues& figures) {
  FillRequests(figures, requests, shape.server ? 2 : 0);
  FillLatency(shape, clients, noise, figures);
  FillMachine(shape, clients, noise, figures);
  FillAccuracy(shape, figures);
}

std::vector<metrics::LatencyFigure> Latencies(const cap::FigureValues& figures, int64_t samples) {
  std::vector<metrics::LatencyFigure> latencies;
  for (const auto& [name, id] : {std::pair{"ttft_s", FigureId::kTtftMean},
                                 {"tpot_s", FigureId::kTpotMean},
                                 {"itl_s", FigureId::kItlMean},
                                 {"e2e_s", FigureId::kE2eMean},
                                 {"user_time_per_token_s", FigureId::kTimePerToken}})
    latencies.push_back(Latency(name, *figures[id], name == std::string("itl_s") ? samples * 63 : samples));
  return latencies;
}

metrics::LoadFigures Load(const Shape& shape, double clients, const cap::FigureValues& figures) {
  metrics::LoadFigures load;
  load.whole.window = {0, 12};
  load.whole.offered = 64;
  load.whole.completed = shape.server ? 62 : 64;
  load.whole.failed = shape.server ? 2 : 0;
  load.whole.input_tokens = 7584;
  load.whole.output_tokens = 4096;
  load.whole.output_tokens_per_s = *figures[FigureId::kOutputRate];
  load.whole.completed_per_s = *figures[FigureId::kRequestRate];
  load.whole.latencies = Latencies(figures, 64);
  load.steady = metrics::SteadyState{{1, 11},
                                     0.83,
                                     {metrics::Drift::kSteady, 0.01, 0.4},
                                     {metrics::Drift::kRising, 0.08, 0.001},
                                     "TPOT rises by 8 % over the busy part",
                                     false};
  load.in_steady = load.whole;
  load.in_steady->output_tokens_per_s *= 1.04;
  load.concurrency = {static_cast<int64_t>(clients), clients * 0.9};
  for (int i = 0; i <= 24; ++i) {
    const double share = i < 2 ? 0.5 * i : i > 22 ? 0.5 * (24 - i) : 1;
    load.concurrency_curve.push_back({0.5 * i, std::llround(clients * share)});
  }
  load.token_sources = {{shape.server ? record::TokensSource::kChunks : record::TokensSource::kTokenIds, 64}};
  if (shape.server) {
    load.receive_delay_s = Latency("receive_delay_s", 0.0001, 4000);
    load.errors = {{record::RequestError::kHttp5xx, 2, 3.1, 9.7, {"503: overloaded", "502: bad gateway"}}};
    load.retries = 1;
    load.timing_gaps = {{record::TimingGap::kStreamIgnored, 3}, {record::TimingGap::kOneBurst, 1}};
    load.whole.without_token_times = 4;
    load.whole.unjudged = 3;
    load.quirks = {{"finish reason \"STOP\"", 2}};
  }
  return load;
}

cap::MeasurementSummary Measurement(const Shape& shape, double clients, int repeat, bool disturbed) {
  cap::MeasurementSummary measurement;
  measurement.name = fmt::format("{}-clients-{:g}-{}", shape.name, clients, repeat);
  measurement.repeat = repeat;
  measurement.started_at = fmt::format("2026-01-31T12:{:02}:{:02.0f}Z", 3 * repeat + (shape.server ? 1 : 0), clients);
  measurement.ended_by = "all requests sent";
  FillFigures(shape, clients, 1 + 0.02 * (repeat - 2), 64, measurement.figures);
  measurement.gates = {Quiet(disturbed)};
  measurement.load = Load(shape, clients, measurement.figures);
  return measurement;
}

metrics::PhaseUtilization Phase(double passes, double latency_s, double bytes, double flops) {
  metrics::PhaseUtilization phase;
  phase.passes = static_cast<int64_t>(passes);
  phase.latency_s = latency_s;
  phase.tokens = static_cast<int64_t>(passes) * 4;
  phase.bytes = bytes;
  phase.kv_bytes = bytes * 0.02;
  phase.flops = flops;
  phase.s_mbu = 0.61;
  phase.mean_distinct_experts = {6.5, 7.5};
  return phase;
}

cap::CellSummary SampleCell(const Shape& shape, double clients) {
  cap::CellSummary cell;
  cell.level = {record::LoadKind::kClients, clients};
  cell.label = Label(cell.level);
  cell.repeats = kRepetitions;
  const bool disturbed = !shape.server && shape.speed == 1 && clients == 4;
  for (int repeat = 0; repeat < kRepetitions; ++repeat)
    cell.measurements.push_back(Measurement(shape, clients, repeat, disturbed && repeat == 3));
  FillFigures(shape, clients, 1, 320, cell.figures);
  cell.latencies = Latencies(cell.figures, 320);
  cell.gates = {Quiet(disturbed),
                metrics::NotMeasured(metrics::MakeGate("pacing lag p99", 0.01, "s"), "a closed loop has none")};
  for (const FigureId id : {FigureId::kUsdPerMillionInput, FigureId::kPower, FigureId::kJoulesPerToken}) cell.estimates.Add(id);
  for (int i = 0; i < 4; ++i)
    cell.items.push_back({fmt::format("problem-{}", i), i == 2 ? 0.4 : 1, kRepetitions, kRepetitions});
  if (shape.server) {
    cell.estimates.Add(FigureId::kTpotMean);
    cell.estimates.Add(FigureId::kTimePerToken);
    cell.notes = {"320 requests: the server gave no token counts, so each chunk was taken for one token"};
  } else {
    cell.energy_is_metered = clients > 1;
    cell.utilization.decode = Phase(4000, 60, 1.2e12, 4e11);
    cell.utilization.prefill = Phase(320, 12, 8e10, 1.6e12);
    cell.utilization.all = Phase(4320, 72, 1.28e12, 2e12);
  }
  return cell;
}

void DescribeHost(cap::SystemSummary& system) {
  system.engine = "llama.cpp v0.5.0 (CPU)";
  system.description = "embedded engine, 8 threads";
  system.model_id = "example/TinyMoE";
  system.weight_type = system.name;
  system.total_params = 84'000'000;
  system.active_params = 21'000'000;
  system.weight_bytes = system.name == "F16" ? 1.68e8 : 8.9e7;
  system.moe_layers = 2;
  system.experts = 16;
  system.top_k = 2;
  system.machine.name = "this host: Example CPU 9000";
  system.machine.is_this_host = true;
  system.machine.peak_bandwidth_bytes_per_s = 4.1e10;
  system.machine.peak_flops_per_s = system.name == "F16" ? 1.1e12 : 4.2e12;
  system.machine.peak_flops_kernel = system.name == "F16" ? "AVX-512, fp32" : "AVX-512 VNNI, int8";
  system.machine.peaks_source = "measured 2026-01-31T11:59:00Z";
  system.machine.power_w = 210;
  system.machine.power_source = "measured: RAPL package-0 and dram x wall factor 1.2";
  system.machine.purchase_usd = 3900;
  system.machine.pay = "buy";
  system.machine.own_usd_per_useful_h = {0.22, 0.31, 0.52};
  system.machine.cost_inputs = {"energy price: 0.15 [0.06 to 0.18] USD/kWh (example, 2026-06)", "life: 4 years (estimate)"};
  for (int layer = 0; layer < 2; ++layer) {
    system.expert_share.emplace_back();
    for (int expert = 0; expert < 16; ++expert)
      system.expert_share.back().push_back((expert + 1 + layer) / (136.0 + 16 * layer));
  }
}

void DescribeServer(cap::SystemSummary& system) {
  system.engine = "vLLM 0.30.0";
  system.in_process = false;
  system.url = "http://10.0.0.7:8000";
  system.api = "openai chat";
  system.model_id = "example/TinyMoE";
  system.machine.name = "1 x h100-sxm";
  system.machine.power_w = 640;
  system.machine.power_source = "nameplate x load (estimate)";
  system.machine.pay = "rent";
  system.machine.rent_usd_per_useful_h = {1.9, 2.49, 3.4};
  system.machine.own_usd_per_useful_h = {1.5, 2.1, 3.1};
  system.machine.break_even_utilisation = 0.55;
  system.machine.cost_inputs = {"rent: 2.49 [1.9 to 3.4] USD/h (example, 2026-06)"};
  cap::SearchSummary search;
  search.what = "clients";
  search.target_share = 0.95;
  search.confidence = 0.95;
  search.passes = 16;
  search.fails = 24;
  search.probes = {{8, 64, 64, 0.96, 1, "passes"}, {32, 64, 40, 0.5, 0.74, "fails"}, {16, 320, 318, 0.97, 0.999, "passes"}};
  search.verdict = "16 clients keep the objectives, 24 do not";
  system.search = search;
}

// As the judge would say it; the sample does not ask it.
cap::DimensionVerdict Verdict(cap::Dimension dimension, cap::Outcome outcome, double estimate) {
  cap::DimensionVerdict verdict;
  verdict.dimension = dimension;
  verdict.outcome = outcome;
  verdict.estimate = estimate;
  const bool difference = dimension == cap::Dimension::kAccuracy;
  verdict.interval =
      difference ? stats::Interval{estimate - 0.07, estimate + 0.07} : stats::Interval{estimate * 0.97, estimate * 1.03};
  if (!difference) verdict.range = stats::Interval{estimate * 0.95, estimate * 1.05};
  verdict.p_value = outcome == cap::Outcome::kUndecided ? 0.6 : 0.0001;
  verdict.holds_over_all = outcome != cap::Outcome::kUndecided;
  verdict.test = difference ? "McNemar, exact" : "paired t on log ratios";
  verdict.n = difference ? 64 : kRepetitions;
  if (outcome == cap::Outcome::kUndecided) {
    verdict.n_would_decide = 2400;
    verdict.reason = "the interval of the difference is wider than the margin";
  }
  return verdict;
}

cap::Evidence EvidenceOf(const cap::SystemSummary& system, const cap::CellSummary& cell) {
  cap::Evidence evidence;
  evidence.label = system.name;
  evidence.experiment = "20260131-120000-sample";
  evidence.cost.value = cell.figures[FigureId::kUsdPerMillionTokens];
  evidence.performance.value = cell.figures[FigureId::kTimePerToken];
  for (const cap::MeasurementSummary& measurement : cell.measurements) {
    evidence.cost.by_repetition.push_back(measurement.figures[FigureId::kUsdPerMillionTokens]);
    evidence.performance.by_repetition.push_back(measurement.figures[FigureId::kTimePerToken]);
  }
  evidence.accuracy = cell.figures[FigureId::kAccuracy];
  for (const cap::ProblemScore& item : cell.items) evidence.items.push_back({item.id, item.score});
  evidence.usd_per_h = cell.figures[FigureId::kUsdPerHour];
  evidence.purchase_usd = cell.figures[FigureId::kPurchase];
  return evidence;
}

cap::Judgement JudgementOf(std::vector<cap::Evidence> evidence) {
  cap::Judgement judgement;
  judgement.view.scenario = "online";
  judgement.level = "16 clients";
  judgement.options.cost = {"cost of 1M tokens", "USD", false};
  judgement.options.performance = {"time per output token", "s", false};
  cap::Verdicts& verdicts = judgement.verdicts;
  std::vector<cap::PaperScore> scores;
  const size_t count = evidence.size();
  for (size_t i = 0; i < count; ++i) {
    const bool last = i + 1 == count;
    const double place = static_cast<double>(i) / static_cast<double>(count);
    cap::SystemVerdict system;
    system.label = evidence[i].label;
    system.domination = last ? cap::Domination::kNotDominated : cap::Domination::kDominated;
    if (last) system.letters = "PC";
    if (!last) system.dominated_by = {count - 1};
    if (!last) system.reason = fmt::format("{} is faster and cheaper, and not inferior in accuracy", evidence[count - 1].label);
    verdicts.systems.push_back(std::move(system));
    scores.push_back({evidence[i].label, 20 + 70 * place, 60, 20 + 75 * place});
    for (size_t k = i + 1; k < count; ++k) {
      const auto other = static_cast<double>(k);
      verdicts.pairs.push_back({i,
                                k,
                                {Verdict(cap::Dimension::kPerformance, cap::Outcome::kWorse, 1.6 * other),
                                 Verdict(cap::Dimension::kCost, cap::Outcome::kWorse, 1.5 * other),
                                 Verdict(cap::Dimension::kAccuracy, cap::Outcome::kUndecided, 0.01 * other)}});
    }
  }
  verdicts.dimensions = {cap::kJudgedDimensions.begin(), cap::kJudgedDimensions.end()};
  verdicts.letters_apply = true;
  verdicts.headline = {fmt::format("{} is the fastest and the cheapest of {}.", evidence.back().label, count),
                       "Accuracy: undecided; 2400 problems would decide."};
  judgement.evidence = std::move(evidence);
  judgement.paper_scores = std::move(scores);
  judgement.limits = {{FigureId::kTimePerToken, 0.00012, "weights of 84 MB over 3.35 TB/s"}};
  return judgement;
}

}  // namespace

cap::JudgedExperiment SampleExperiment() {
  cap::JudgedExperiment experiment;
  cap::ExperimentSummary& summary = experiment.summary;
  summary.run_id = "20260131-120000-sample";
  summary.started_at = "2026-01-31T12:00:00Z";
  summary.moecap_version = "0.2.0";
  summary.name = "sample";
  summary.command = "moecap run sample.yaml";
  summary.workload = "tinymath/test.jsonl, 64 problems";
  summary.dataset = "datasets/tinymath/test.jsonl";
  summary.problems = 64;
  summary.scoring_contract = "gsm8k-strict-match";
  summary.load = "closed loop";
  summary.order = "systems and levels interleaved at random, seed 7";
  summary.objectives.ttft_s = 0.5;
  summary.objectives.tpot_s = 0.05;
  summary.host = {"Example CPU 9000", 8, 6.7e10, "2 threads drove the servers"};
  summary.notes = {"vllm-h100: a server, and this host is its client",
                   "vllm-h100, 1 client: 320 requests: the server gave no token counts, so each chunk was taken for one token"};
  std::vector<cap::Evidence> evidence;
  for (const Shape& shape : kShapes) {
    cap::SystemSummary system;
    system.name = shape.name;
    shape.server ? DescribeServer(system) : DescribeHost(system);
    for (const double clients : {1, 4, 16}) system.cells.push_back(SampleCell(shape, clients));
    evidence.push_back(EvidenceOf(system, system.cells.back()));
    summary.systems.push_back(std::move(system));
  }
  cap::MeasurementSummary stump = Measurement(kShapes[2], 16, 5, false);
  stump.complete = false;
  stump.ended_by = "interrupt";
  summary.systems.back().cells.back().measurements.push_back(std::move(stump));
  experiment.judgement = JudgementOf(std::move(evidence));
  return experiment;
}

cap::JudgedExperiment AwkwardExperiment() {
  cap::JudgedExperiment experiment;
  cap::ExperimentSummary& summary = experiment.summary;
  summary.run_id = "<script>alert(1)</script>";
  summary.started_at = "2026-01-31T12:00:00Z";
  summary.moecap_version = "0.2.0";
  summary.complete = false;
  summary.workload = "a,b \"quoted\" | pipe\nnew line";
  summary.notes = {"a note with \x1b[31mred\x1b[0m and \xff\xfe"};
  cap::SystemSummary system;
  system.name = "<b>&amp; *bold* `code` [x](y) \x1b[2J, \"q\"";
  system.engine = "'; DROP TABLE runs; --";
  cap::CellSummary cell;
  cell.level = {record::LoadKind::kRate, 2.5};
  cell.label = Label(cell.level);
  cell.measurements.emplace_back().complete = false;
  cell.measurements.back().ended_by = "interrupt";
  system.cells.push_back(cell);
  summary.systems.push_back(std::move(system));
  experiment.judgement.verdicts.headline = {"Nothing whole was measured."};
  return experiment;
}

cap::Comparison SampleComparison() {
  const cap::JudgedExperiment experiment = SampleExperiment();
  cap::Comparison comparison;
  comparison.experiments = {{"20260131-120000-sample", "2026-01-31T12:00:00Z", "0.2.0", "example/TinyMoE", "tinymath",
                             "gsm8k-strict-match", "tinymath/test.jsonl", "Example CPU 9000", true},
                            {"20260201-120000-other", "2026-02-01T12:00:00Z", "0.2.0", "example/TinyMoE", "tinymath",
                             "gsm8k-strict-match", "tinymath/test.jsonl", "1 x h100-sxm", true}};
  comparison.mismatches = {{"hardware", {"Example CPU 9000", "1 x h100-sxm"}, true}};
  comparison.warnings = {"The hardware differs, as was asked for."};
  std::vector<cap::Evidence> evidence;
  for (const size_t index : {size_t{1}, size_t{2}}) {
    cap::ComparedCell cell;
    cell.system = experiment.summary.systems[index];
    cell.system.cells = {cell.system.cells.back()};
    cell.label = cell.system.name;
    cell.experiment = index - 1;
    evidence.push_back(EvidenceOf(cell.system, cell.cell()));
    comparison.cells.push_back(std::move(cell));
  }
  comparison.judgement = JudgementOf(std::move(evidence));
  return comparison;
}

}  // namespace moecap::report
