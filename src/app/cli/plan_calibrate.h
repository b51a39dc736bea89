// moecap plan --calibrate: the multipliers refitted to one's own measurements.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "hardware/catalogue.h"
#include "model/model_spec.h"
#include "planner/multipliers.h"

namespace moecap::app {

struct CalibrationFlags {
  std::vector<std::string> sources;  // stored runs, a folder of them, and results of other clients
  std::string device;                // what the latter were measured on: "4xh100-sxm"
  std::string system;                // "vllm"
};

struct Calibration {
  planner::Multipliers multipliers;
  std::vector<std::string> notes;  // what moved, and on how many measurements it rests
};

// Every closed-loop level with clients, lengths, TTFT and TPOT is a row. A stored run knows its own model, devices and system;
// other clients' results are taken as of `spec`, with tensor parallelism over the devices named. The fit starts from `builtin`
// and is held to it the more, the fewer rows there are. Errors: kBadInput for what is neither a run nor one of the formats, for
// a result file without --measured-on and --measured-with, and without a usable row.
Result<Calibration> Calibrate(const CalibrationFlags& flags, const model::ModelSpec& spec, const hardware::Catalogue& devices,
                              const planner::Multipliers& builtin);

}  // namespace moecap::app
