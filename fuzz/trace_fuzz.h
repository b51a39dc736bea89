// Reads a trace to its end.
#pragma once

#include <memory>

#include "fuzz/fuzz.h"
#include "trace/trace.h"

namespace moecap::fuzz {

inline constexpr int kMostPasses = 256;  // a frame may claim many passes of no bytes

// Whatever the reader lets through must fit its header.
inline void Drain(const Result<std::unique_ptr<trace::TraceSource>>& source) {
  if (!source.ok()) return;
  CHECK(trace::CheckHeader((*source)->header()).ok());
  trace::TracePass pass;
  for (int i = 0; i < kMostPasses; ++i) {
    const auto more = (*source)->Next(pass);
    if (!more.ok() || !*more) return;
    CHECK(trace::CheckPass((*source)->header(), pass).ok());
  }
}

}  // namespace moecap::fuzz
