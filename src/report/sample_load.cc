#include "report/sample_load.h"

#include <random>

namespace moecap::report {

std::vector<record::RequestRecord> SampleRequests(int requests, double gap_s, double ttft_s, double tpot_s, unsigned seed) {
  std::mt19937 random(seed);
  std::lognormal_distribution<double> noise(0, 0.25);
  std::vector<record::RequestRecord> records;
  for (int i = 0; i < requests; ++i) {
    record::RequestRecord request;
    request.id = std::to_string(i);
    request.intended_send_s = gap_s * i;
    request.send_s = request.intended_send_s + 20e-6 * noise(random);
    request.input_tokens = 512;
    if (i % 50 == 49) {
      request.finish = record::FinishReason::kError;
      request.error_kind = i % 100 == 99 ? record::RequestError::kHttp5xx : record::RequestError::kResetMidstream;
      request.error = i % 100 == 99 ? "HTTP 503: no free slot" : "the server closed the connection after 12 tokens";
      records.push_back(std::move(request));
      continue;
    }
    double at_s = request.send_s + ttft_s * noise(random);
    for (int token = 0; token < 32; ++token) {
      request.token_s.push_back(at_s);
      at_s += tpot_s * noise(random);
    }
    request.end_s = request.token_s.back();
    request.output_tokens = 32;
    records.push_back(std::move(request));
  }
  return records;
}

metrics::LoadTestSummary SampleLoadTest() {
  metrics::LoadTestSummary summary;
  summary.run_id = "20260131-120000-sweep";
  summary.started_at = "2026-01-31T12:00:00Z";
  summary.moecap_version = "0.1.0";
  summary.server = "vLLM 0.11.0";
  summary.url = "http://localhost:8000";
  summary.api = "completions";
  summary.model = "allenai/OLMoE-1B-7B-0924";
  summary.workload = "fixed: 512 tokens in, 32 out (ids), salted";
  summary.load = "closed loop";
  summary.client = "2 cores, 1 thread";
  summary.objectives.ttft_s = 0.2;
  summary.objectives.tpot_s = 0.02;
  unsigned seed = 1;
  for (const int clients : {1, 4, 16, 64}) {
    const double slow = 1 + 0.03 * clients;
    const double tpot_s = 0.006 * slow;
    const double ttft_s = 0.03 * slow;
    metrics::LoadCell cell = metrics::DescribeLoadCell(
        SampleRequests(800, (ttft_s + 31 * tpot_s) / clients, ttft_s, tpot_s, seed++), summary.objectives);
    cell.label = std::to_string(clients) + (clients == 1 ? " client" : " clients");
    cell.clients = clients;
    cell.ended_by = "all requests sent";
    metrics::Gate gate;
    gate.name = "client CPU share";
    gate.value = 0.02 * clients;
    gate.bound = 0.7;
    gate.unit = "share";
    gate.state = clients == 64 ? metrics::Gate::State::kTripped : metrics::Gate::State::kPassed;
    if (clients == 64) gate.explanation = "the client had too little CPU left; give it more threads";
    cell.gates.push_back(std::move(gate));
    summary.cells.push_back(std::move(cell));
  }
  return summary;
}

metrics::LoadTestSummary SampleSingleLoad(int requests) {
  metrics::LoadTestSummary summary = SampleLoadTest();
  summary.load = "Poisson arrivals, seed 7";
  std::vector<record::RequestRecord> records = SampleRequests(requests, 0.05, 0.06, 0.008, 9);
  for (record::RequestRecord& request : records) request.intended_send_s -= 0.1;
  metrics::LoadCell cell = metrics::DescribeLoadCell(records, summary.objectives);
  cell.label = "20 requests/s";
  cell.rate_per_s = 20;
  cell.held_back = 3;
  cell.ended_by = "duration";
  cell.retries = 2;
  metrics::Gate passed;
  passed.name = "pacing lag p99";
  passed.value = 0.0002;
  passed.bound = 0.001;
  passed.unit = "s";
  passed.state = metrics::Gate::State::kPassed;
  metrics::Gate unknown;
  unknown.name = "head-room";
  unknown.bound = 5;
  unknown.at_least = true;
  unknown.unit = "x";
  unknown.explanation = "not calibrated: --calibrate measures it";
  metrics::Gate tripped = passed;
  tripped.name = "error share";
  tripped.value = 0.02;
  tripped.bound = 0;
  tripped.unit = "share";
  tripped.state = metrics::Gate::State::kTripped;
  tripped.explanation = "requests failed; their latencies are in no figure";
  cell.gates = {passed, unknown, tripped};
  summary.cells = {std::move(cell)};
  metrics::LoadSearch search;
  search.what = "requests/s";
  search.target_share = 0.99;
  search.confidence = 0.95;
  search.passes = 18;
  search.fails = 20;
  search.probes = {{20, 400, 380, 0.92, 0.97, "fails"}, {18, 800, 799, 0.993, 1, "passes"}};
  search.verdict = "18 requests/s keep the objectives, 20 do not";
  summary.search = std::move(search);
  summary.notes = {"lengths are those of the server's usage"};
  return summary;
}

}  // namespace moecap::report
