// Stored runs: the list of them, the page of one, and what can be taken away of it.
#pragma once

#include <string>

#include "web/http.h"
#include "web/library.h"

namespace moecap::web {

// ?q=WORD&status=STATUS&tag=TAG&sort=started|id|rate|accuracy&offset=N
Response RunListPage(const Library& library, const Query& query, bool writable);
// The same as JSON, `limit` (100 unless it is given) at once.
Response RunListJson(const Library& library, const Query& query);

// The report of the run, as `moecap report` makes it, with what goes on in one that is being measured.
Response RunPage(const Library& library, const std::string& run_id, bool writable);
// docs/formats/summary.md
Response RunJson(const Library& library, const std::string& run_id);
// "report.html", "report.md", "report.csv", "summary.json", or a chart by its name: "cap-radar.svg".
Response RunExport(const Library& library, const std::string& run_id, const std::string& file);

}  // namespace moecap::web
