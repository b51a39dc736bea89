// The inside of the fence: what runs between the birth of the first process and the program. Only async-signal-safe calls.
#pragma once

#include <cstdint>
#include <string_view>

#include "sandbox/sandbox.h"

namespace moecap::sandbox {

// What the first process tells this one.
struct Report {
  const char* failed = nullptr;  // what could not be done, a literal; null: `status` and `timed_out` hold
  int error = 0;                 // errno of it
  int status = 0;                // of the program, as waitpid gives it
  bool timed_out = false;
};

// Everything that is needed inside, made before the first process is: nothing may be allocated there.
struct Plan {
  char* const* words = nullptr;        // interpreter, arguments and the name of the program's file, ending in null
  char* const* environment = nullptr;  // ending in null
  const char* interpreter = nullptr;   // its path
  const char* folder = nullptr;
  const char* file_system_options = nullptr;  // of the folder in memory
  const char* file_name = nullptr;            // of the program in the folder
  std::string_view text;
  Limits limits;
  bool isolated = false;
  bool change_user = false;  // to nobody
  int go = -1;               // brings a byte when the user is mapped
  int report = -1;           // takes a Report
  int output = -1;           // of the program
  int input = -1;
};

inline constexpr uint32_t kNobody = 65534;

// The life of the first process, which is alone in its namespaces: fences itself in, runs the program, reports, and ends, and
// all with it.
[[noreturn]] void LiveInside(const Plan& plan);

}  // namespace moecap::sandbox
