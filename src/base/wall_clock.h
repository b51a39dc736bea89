// The wall clock, for what several machines have in common. It may step: durations come from the steady clock.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace moecap {

// UTC, in nanoseconds since 1970.
int64_t WallTimeNs();

// Now, to the second: "2026-01-31T12:00:00Z" and, for identifiers, "20260131-120000".
std::string WallTimeIso8601();
std::string WallTimeCompact();

// "2026-01-31T12:00:00Z", or "2026-01-31T12:00:00.250Z" where it is no whole second: UTC to the millisecond.
std::string Iso8601(int64_t wall_ns);
// The other way, with or without a fraction of a second. Error: kBadInput naming the form.
Result<int64_t> ParseIso8601(std::string_view text);

// When `clock` will show what the wall clock shows at `wall_ns`, as the two differ now.
int64_t SteadyTimeOf(int64_t wall_ns, const Clock& clock);

// Returns when `clock` has reached `until_ns`, or within a tenth of a second after `stop` (may be empty) says so.
void SleepUntil(const Clock& clock, int64_t until_ns, const std::function<bool()>& stop);

}  // namespace moecap
