// Cells of stored runs side by side, as `moecap compare` puts them.
#pragma once

#include "base/result.h"
#include "cap/judgement.h"
#include "web/http.h"
#include "web/library.h"

namespace moecap::web {

inline constexpr size_t kMostCompared = 32;  // runs

// ?cell=RUN, RUN:SYSTEM or RUN:SYSTEM@LEVEL ...&scenario=NAME&by=WHAT...&force=1&baseline=NAME. Errors: those of
// analysis::Compare.
Result<cap::Comparison> CompareCells(const Library& library, const Query& query);

Response ComparisonPage(const Library& library, const Query& query, bool writable);
// docs/formats/comparison.md
Response ComparisonJson(const Library& library, const Query& query);

}  // namespace moecap::web
