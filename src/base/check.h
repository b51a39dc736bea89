// CHECK(condition): a broken invariant of our own code. Prints the place and aborts; never for bad input.
#pragma once

namespace moecap::internal {
[[noreturn]] void CheckFailed(const char* condition, const char* file, int line);
}

#define CHECK(condition) \
  (static_cast<bool>(condition) ? static_cast<void>(0) : ::moecap::internal::CheckFailed(#condition, __FILE__, __LINE__))
