#include "hardware/clock_reading.h"

#include <algorithm>
#include <cmath>

namespace moecap::hardware {

std::optional<double> MostDifferenceOf(const ClockReading& a, const ClockReading& b) {
  if (!a.boot_id.empty() && a.boot_id == b.boot_id) return 0;
  std::optional<double> bound;
  if (a.max_error_s && b.max_error_s) bound = *a.max_error_s + *b.max_error_s;
  if (a.offset_s && b.offset_s && a.offset_error_s && b.offset_error_s) {
    const double by_folder = std::abs(*a.offset_s - *b.offset_s) + *a.offset_error_s + *b.offset_error_s;
    bound = std::min(bound.value_or(by_folder), by_folder);
  }
  return bound;
}

}  // namespace moecap::hardware
