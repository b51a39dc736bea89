#include "report/sample_summary.h"

#include <cmath>

namespace moecap::report {
namespace {

stats::Distribution Around(double mean, double spread, int64_t count) {
  return {count, mean, spread * 0.5, mean - spread, mean, mean + 0.8 * spread, mean + 1.6 * spread, mean + 2 * spread};
}

stats::Spread Rate(double mean, double half_range) {
  return {3, mean, mean - half_range, mean + half_range, half_range / std::sqrt(3.0)};
}

metrics::PhaseUtilization Phase(double mbu, double mfu, double touched) {
  metrics::PhaseUtilization phase;
  phase.passes = 1200;
  phase.latency_s = 18.5;
  phase.tokens = 9600;
  phase.bytes = 4.1e11;
  phase.kv_bytes = 2.2e10;
  phase.flops = 3.3e12;
  phase.s_mbu = mbu;
  phase.s_mfu = mfu;
  phase.s_mbu_paper = mbu * 0.91;
  phase.s_mfu_paper = mfu * 0.9;
  phase.mbu = mbu / (0.3 + 0.7 * touched);
  phase.mfu = mfu * 3.4;
  for (int layer = 0; layer < 8; ++layer) phase.mean_distinct_experts.push_back(16 * touched * (1 + 0.01 * (layer - 3.5)));
  return phase;
}

// `speed` and `bytes` scale one system against the first.
cap::CellSummary Cell(int concurrency, double speed, double bytes, double accuracy) {
  cap::CellSummary cell;
  cell.concurrency = concurrency;
  cell.repeats = 3;
  cell.requests = 600;
  const double load = std::pow(concurrency, 0.62);
  const double tpot = 0.0213 * load / speed;
  cell.ttft_s = Around(0.0581 * load / speed, 0.02 * load, 600);
  cell.tpot_s = Around(tpot, 0.06 * tpot, 600);
  cell.itl_s = Around(tpot, 0.11 * tpot, 48000);
  cell.e2e_s = Around(80 * tpot, 20 * tpot, 600);
  cell.input_tokens = Around(142, 40, 600);
  cell.output_tokens = Around(80, 30, 600);
  const double rate = concurrency / tpot;
  cell.output_tokens_per_s = Rate(rate, 0.015 * rate);
  cell.requests_per_s = Rate(rate / 80, 0.0002 * rate);
  const double touched = 1 - std::pow(1 - 2.0 / 16, concurrency * 0.9);
  cell.utilization.decode =
      Phase(0.92 * speed * bytes * (0.3 + 0.7 * touched) / std::sqrt(load), 0.031 * speed * concurrency / load, touched);
  cell.utilization.decode.flops = *cell.utilization.decode.bytes * 0.9 * std::sqrt(concurrency) / bytes;
  cell.utilization.decode.latency_s = *cell.utilization.decode.bytes / (*cell.utilization.decode.s_mbu * 2.31e10);
  cell.utilization.prefill = Phase(0.11 * speed * bytes, 0.34 * speed, 0.999);
  cell.utilization.prefill.flops = *cell.utilization.prefill.bytes * 19 / bytes;
  cell.utilization.prefill.latency_s = *cell.utilization.prefill.bytes / (*cell.utilization.prefill.s_mbu * 2.31e10);
  cell.utilization.all = Phase(0.4 * speed * bytes, 0.1 * speed, touched);
  cell.kv_bytes_mean = 1.1e6 * concurrency;
  cell.kv_bytes_max = 1.9e6 * concurrency;
  cell.accuracy = accuracy;
  cell.accuracy_stderr = std::sqrt(accuracy * (1 - accuracy) / 199);
  cell.answered = 197;
  cell.scored = 200;
  cell.usd_per_million_output_tokens = 62.0 / rate;
  cell.usd_per_million_input_tokens = 4.1 / rate;
  cell.joules_per_output_token = 48.0 / rate;
  cell.usd_per_million_output_tokens_all_in = 69.0 / rate;
  cell.usd_per_million_tokens_all_in = 25.0 / rate;
  cell.usd_per_request = 0.0055 / rate;
  cell.energy_wh = 640.0 / rate;
  cell.joules_per_token = 17.3 / rate;
  cell.joules_per_request = 3840.0 / rate;
  cell.kg_co2_per_million_tokens = 1.9 / rate;
  return cell;
}

cap::SystemSummary System(const char* name, double bits, double speed, double accuracy) {
  cap::SystemSummary system;
  system.name = name;
  system.description = std::string("llama.cpp v0.5.0, tiny-moe ") + name + ", 2 threads";
  system.model_id = "tiny-moe-16x8";
  system.weight_type = name;
  system.total_params = 84'213'760;
  system.active_params = 19'660'800;
  system.weight_bytes = 84'213'760 * bits / 8;
  system.moe_layers = 8;
  system.experts = 16;
  system.top_k = 2;
  system.peak_flops_per_s = bits == 16 ? 1.42e11 : 3.9e11;
  system.peak_flops_kernel = bits == 16 ? "AVX-512 FMA, fp32" : "AVX-512 VNNI, int8";
  for (const int concurrency : {1, 4, 16}) system.cells.push_back(Cell(concurrency, speed, bits / 16, accuracy));
  for (int layer = 0; layer < 8; ++layer) {
    auto& shares = system.expert_share.emplace_back();
    double sum = 0;
    for (int expert = 0; expert < 16; ++expert)
      sum += shares.emplace_back(std::exp(0.85 * std::sin(5.1 * expert + 2.7 * layer * (1 + 0.1 * expert))));
    for (double& share : shares) share /= sum;
  }
  return system;
}

cap::HostSummary Host() {
  cap::HostSummary host;
  host.cpu_model = "Example CPU 9000 @ 2.10GHz";
  host.cores = 2;
  host.dram_bytes = 16.7e9;
  host.device_id = "this-host";
  host.peak_bandwidth_bytes_per_s = 2.31e10;
  host.peak_flops_per_s = 1.42e11;
  host.peaks_source = "measured 2026-01-31T12:00:00Z";
  host.flops_kernel = "AVX-512 FMA, fp32";
  host.power_w = 48;
  host.power_source = "nameplate x load (estimate)";
  host.cost_inputs = {"price of the server: USD 2400 (catalogue, 2026-01)", "life: 3 years at 80 % utilisation",
                      "energy: USD 0.12 per kWh (catalogue, 2025)"};
  return host;
}

// The three CAP axes and one more at the concurrency of the scores, with made-up limits.
void AddAxes(cap::RunSummary& run) {
  using cap::AxisId;
  const std::pair<AxisId, std::optional<cap::AxisLimit>> axes[] = {
      {AxisId::kUsdPerMillionOutputTokens,
       cap::AxisLimit{AxisId::kUsdPerMillionOutputTokens, 0.02, "the bytes of a step at the bandwidth of this host"}},
      {AxisId::kAccuracy, std::nullopt},
      {AxisId::kTpot, cap::AxisLimit{AxisId::kTpot, 0.0016, "37 MB of active weights at 23.1 GB/s"}},
      {AxisId::kMemoryBytes, std::nullopt}};
  for (const auto& [id, limit] : axes) {
    cap::AxisScores scores{id, limit, {}, {}};
    for (const auto& system : run.systems) {
      const auto& cell = system.cells[1];
      scores.values.push_back(cap::AxisOf(id).value(run.host, system, cell));
      scores.robust_score.push_back(cap::RobustScore(cap::AxisOf(id), scores.values.back(), limit ? &*limit : nullptr));
    }
    run.cap_axes.push_back(std::move(scores));
  }
}

}  // namespace

cap::RunSummary SampleSummary() {
  cap::RunSummary run;
  run.run_id = "20260131-120000-quickstart";
  run.started_at = "2026-01-31T12:00:00Z";
  run.moecap_version = "0.1.0";
  run.engine = "llama.cpp v0.5.0 (CPU, 2 threads)";
  run.dataset = "tinymath";
  run.problems = 200;
  run.scoring_contract = "lm-eval gsm8k strict-match";
  run.host = Host();
  run.systems = {System("F16", 16, 1, 0.885), System("Q8_0", 8.5, 1.62, 0.88), System("Q4_0", 4.5, 2.31, 0.79)};
  run.cap_concurrency = 4;
  using Class = cap::CapClass;
  run.cap = {
      {"F16", 20, 56.2, 20, Class::kCostAccuracy,
       "CA: 9.5 points more accurate (2.6 standard errors) than Q4_0, gives up performance: 2.3x slower; also 2.3x the cost"},
      {"Q8_0", 50.6, 54.3, 74, Class::kCostAccuracy,
       "CA: 9.0 points more accurate (2.4 standard errors) than Q4_0, gives up performance: 1.4x slower; also 43 % dearer"},
      {"Q4_0", 65.4, 20, 100, Class::kPerformanceCost,
       "PC: 57 % cheaper and 2.3x faster than F16, gives up 9.5 points of accuracy (2.6 standard errors)"}};
  for (auto& scores : run.cap) {
    scores.class_support = 0.972;
    scores.class_alternatives = {{Class::kBalanced, 0.02}, {Class::kPerformanceAccuracy, 0.008}};
  }
  run.cap_scenario = "online";
  run.cap_resamples = 2000;
  run.service_level.ttft_s = 0.5;
  run.service_level.tpot_s = 0.05;
  run.host.purchase_usd = 2400;
  run.host.pay = "buy";
  run.host.own_usd_per_useful_h = {0.112, 0.223, 0.41};
  run.host.rent_usd_per_useful_h = {0.3, 0.48, 0.9};
  run.host.break_even_utilisation = 0.37;
  for (auto& system : run.systems) {
    for (auto& cell : system.cells) cell.goodput_requests_per_s = Rate(0.9 * cell.requests_per_s->mean, 0.01);
  }
  AddAxes(run);
  return run;
}

cap::RunSummary AwkwardSummary() {
  cap::RunSummary run;
  run.run_id = "20260131-130000-<b>\"&'";
  run.started_at = "2026-01-31T13:00:00Z";
  run.moecap_version = "0.1.0";
  run.engine = "openai-compatible server";
  run.dataset = "a|b <c> & \"d\"";
  run.complete = false;
  run.host.device_id = "unknown\x1b[31m";
  cap::SystemSummary moe = System("mo<e> & \"x\" 'y'", 16, 1, 0.9);
  moe.description = "first line\nsecond, with a comma";
  moe.peak_flops_per_s.reset();
  moe.cells.resize(2);
  moe.cells[0] = {.concurrency = 1, .repeats = 1, .requests = 4, .failed = 4};
  moe.cells[1].utilization.decode.s_mbu = 1.31;
  moe.cells[1].utilization.invalid = {"decode S-MBU 1.31 is above 1: the bandwidth ceiling or the byte count is wrong"};
  moe.cells[1].invalid = {"client lag of 12 ms exceeds 10 % of TPOT"};
  moe.cells[1].accuracy_stderr.reset();
  moe.expert_share[0] = {1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
  cap::SystemSummary dense = System("a dense model with a very long name, 模型 and more", 16, 1.5, 0.7);
  dense.moe_layers = dense.experts = dense.top_k = 0;
  dense.expert_share.clear();
  for (auto& cell : dense.cells) {
    for (auto* phase : {&cell.utilization.decode, &cell.utilization.prefill, &cell.utilization.all}) {
      phase->mean_distinct_experts.clear();
      phase->mbu = phase->s_mbu;
      phase->mfu = phase->s_mfu;
    }
    cell.usd_per_million_output_tokens.reset();
    cell.usd_per_million_input_tokens.reset();
    cell.joules_per_output_token.reset();
    cell.usd_per_request.reset();
    cell.output_tokens_per_s->stderr_of_mean.reset();
  }
  run.systems = {moe, dense};
  run.cap_concurrency = 4;
  run.cap = {{moe.name, std::nullopt, 80, std::nullopt, cap::CapClass::kUnknown, ""},
             {dense.name, std::nullopt, 20, 100, cap::CapClass::kUnknown, "unknown: cost not known"}};
  return run;
}

}  // namespace moecap::report
