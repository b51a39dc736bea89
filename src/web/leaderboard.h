// Cells over all stored runs, as a page and as JSON: found by words and choices, sorted by any figure, a page at a time.
#pragma once

#include "store/cell_query.h"
#include "web/http.h"
#include "web/library.h"

namespace moecap::web {

inline constexpr int64_t kMostListed = 20'000;  // of one answer of the API

// A bar at the foot of a list with what was chosen in it.
extern const char* const kCompareTray;

// ?q=WORDS&model=ID&hardware=NAME&all=1&sort=FIGURE&order=up|down&figure=KEY...&offset=N&limit=N. Error: kBadInput for a figure
// that there is none of.
Result<store::CellFilter> CellFilterOf(const Query& query, int64_t usual_limit, int64_t most);

Response LeaderboardPage(const Library& library, const Query& query, bool writable);
// docs/serve.md
Response CellsJson(const Library& library, const Query& query);

}  // namespace moecap::web
