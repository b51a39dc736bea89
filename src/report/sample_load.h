// A load test for the tests of this folder.
#pragma once

#include "metrics/load_summary.h"

namespace moecap::report {

// `requests` answers of a server that takes `ttft_s` and then `tpot_s` a token, with some noise, one every `gap_s`; every 50th
// fails. With `seed`, the same each time.
std::vector<record::RequestRecord> SampleRequests(int requests, double gap_s, double ttft_s, double tpot_s, unsigned seed);

// A sweep over 1, 4, 16 and 64 clients with 800 requests each; the last cell tripped a gate.
metrics::LoadTestSummary SampleLoadTest();

// One open-loop cell with objectives and gates of every state.
metrics::LoadTestSummary SampleSingleLoad(int requests);

}  // namespace moecap::report
