// Files and folders of tests, and reading a whole source.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/testing/temp_dir.h"
#include "trace/trace.h"

namespace moecap::trace {

// Every pass of a source; an error fails the test.
inline std::vector<TracePass> AllPasses(TraceSource& source) {
  std::vector<TracePass> passes;
  for (;;) {
    TracePass pass;
    const auto more = source.Next(pass);
    if (!more.ok()) {
      ADD_FAILURE() << more.error().message;
      return passes;
    }
    if (!*more) return passes;
    passes.push_back(std::move(pass));
  }
}

}  // namespace moecap::trace
