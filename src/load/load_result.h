// What a load generator observed.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "record/pass_record.h"
#include "record/request_record.h"

namespace moecap::load {

// Why nothing more was sent.
enum class EndedBy { kAllSent, kDuration, kErrorShare, kInterrupt };
std::string_view Name(EndedBy reason);  // "all requests sent", "duration", "error share", "interrupt"

struct LoadResult {
  // In the order in which they were sent. Those that had not ended when the load was stopped have finish == kCancelled.
  // Requests that were due by a schedule and never sent have error_kind == kNotIssued; all others that were never sent are
  // absent. With LoadOptions::logged_only those that had not ended, alone.
  std::vector<record::RequestRecord> requests;
  std::vector<record::PassRecord> passes;  // in order of execution
  EndedBy ended_by = EndedBy::kAllSent;
  bool interrupted = false;            // the user stopped it
  int64_t held_back = 0;               // requests that waited because most_in_flight was reached
  std::vector<float> receive_delay_s;  // of each chunk, from the kernel's receive stamp to ours; empty where not offered
  double cpu_s = 0;                    // of the threads that drove the load, user and system
  bool ran_ahead = false;              // all of those threads had real-time priority
  double loop_s = 0;                   // how long they did so, the sum over the threads
  double began_s = 0;                  // when the last of the threads began, since the origin
  // The longest time for which a thread looked at nothing although it meant to: less than a tenth of a second may be missing.
  double longest_stall_s = 0;
};

}  // namespace moecap::load
