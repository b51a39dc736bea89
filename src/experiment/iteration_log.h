// vLLM's log of its iterations (--enable-logging-iteration-details) as a witness of reconstructed passes. It counts what each
// pass computed, but does not say of which requests, and its stamps are whole seconds: so it proves passes and replaces none.
// Pure values. Internal to experiment/.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "record/pass_record.h"

namespace moecap::experiment {

struct LoggedPass {
  int64_t requests = 0;  // with a part in it
  int64_t tokens = 0;    // new ones

  friend bool operator==(const LoggedPass&, const LoggedPass&) = default;
};

LoggedPass CompositionOf(const record::PassRecord& pass);

// The passes in the order of their lines; what is no such line, and a pass of nothing, is left out. Empty also when several
// engines wrote into one log: who of them served whom is not told.
std::vector<LoggedPass> ReadIterationLog(std::string_view log);

// How many of the logged passes have one with as many requests and tokens among `passes`, in the same order.
int64_t CountAlike(std::span<const LoggedPass> logged, std::span<const record::PassRecord> passes);

}  // namespace moecap::experiment
