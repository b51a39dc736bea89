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
  std::vector<std::string> files;  // results of other clients, and of moecap in their form
  std::string device;              // what they were measured on: "4xh100-sxm"
  std::string system;              // "vllm"
};

struct Calibration {
  planner::Multipliers multipliers;
  std::vector<std::string> notes;  // what moved, and on how many measurements it rests
};

// Every level of the files with clients, lengths, TTFT and TPOT is a row, measured with tensor parallelism over the devices.
// The fit starts from `builtin` and is held to it the more, the fewer rows there are. Errors: kBadInput for a file that is none
// of the formats, or files without a usable row.
Result<Calibration> Calibrate(const CalibrationFlags& flags, const model::ModelSpec& spec, const hardware::Catalogue& devices,
                              const planner::Multipliers& builtin);

}  // namespace moecap::app
