// What a run that is being measured has done so far, read from its folder: nothing is asked of the process that measures.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "experiment/results.h"
#include "web/http.h"
#include "web/library.h"

namespace moecap::web {

struct Progress {
  std::string run_id;
  bool running = false;   // a process is at work in the folder
  bool complete = false;  // it measured all that was planned
  int64_t done = 0;       // whole measurements
  int64_t planned = 0;    // 0: a search decides as it goes
  // Of the measurement that goes on.
  std::string measurement;  // "F16, 8 clients, repetition 2"; empty = none
  std::optional<int64_t> requests_planned, requests_ended, failed;
  std::optional<double> output_tokens, elapsed_s;
  std::optional<double> output_tokens_per_s, ttft_mean_s, tpot_mean_s;  // of the requests that ended
};

Progress ProgressOf(const experiment::Results& results);
// With the box under "html".
Json ToJson(const Progress& progress);

// GET /api/runs/ID/progress
Response ProgressJson(const Library& library, const std::string& run_id);
// A box with a bar; a script keeps it up to date.
std::string ProgressBox(const Progress& progress);
// Of the runs that are being measured.
std::vector<Progress> RunningNow(const Library& library);
// Such a box for each of them, in an element to which a script adds those that begin.
std::string RunningStrip(std::span<const Progress> running);

}  // namespace moecap::web
