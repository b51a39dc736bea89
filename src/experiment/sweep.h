// The levels of an experiment from the command line, instead of its configuration's: `--sweep concurrency=1,2,4,...,128`.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "experiment/config.h"
#include "record/level.h"

namespace moecap::experiment {

struct Sweep {
  record::LoadKind kind = record::LoadKind::kClients;
  std::vector<double> levels;  // ascending
};

// "KEY=LEVELS": KEY is concurrency or clients, rate or rates_per_s, users. In a list of levels "..." goes on as it began, by a
// factor if that meets the level behind it, else by a difference: 1,2,...,16 is 1,2,4,8,16 and 1,2,...,6 is 1,2,3,4,5,6.
// Errors: kBadInput with what is wrong and an example.
Result<Sweep> ParseSweep(std::string_view text);

// `config` with these levels in place of its own, also in its text, which a run stores. What else `load` says stays. Errors:
// kBadInput where the configuration searches or replays, whose levels are not given, or where the levels do not fit what it
// asks.
Result<Config> WithSweep(const Config& config, const Sweep& sweep, const std::string& file);

}  // namespace moecap::experiment
