// Counts calls of operator new, for tests that something allocates nothing.
#pragma once

#include <cstdint>

namespace moecap::net {

// By the calling thread since it began. Linking it replaces the program's operator new.
int64_t AllocationsOfThisThread();

}  // namespace moecap::net
