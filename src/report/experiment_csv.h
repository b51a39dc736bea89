// The figures of experiments as one table for spreadsheets and data frames: docs/formats/csv.md.
#pragma once

#include <span>
#include <string>

#include "cap/judgement.h"

namespace moecap::report {

// RFC 4180 with '\n' line ends. A line for each system and level (repeat empty) followed by one for each of its measurements;
// a column for each figure of cap::Figures(). Null is empty.
std::string ExperimentsToCsv(std::span<const cap::JudgedExperiment> experiments);

}  // namespace moecap::report
