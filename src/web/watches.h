// Servers that are watched: what `moecap watch URL --json` writes into RESULTS_DIR/watch/NAME.jsonl, a reading a line. Nothing
// is asked of the servers from here.
#pragma once

#include <filesystem>
#include <string>

#include "web/http.h"
#include "web/library.h"

namespace moecap::web {

// The runs that are being measured and the watches, the one that was written last first.
Response LivePage(const Library& library, bool writable);
// The runs that are being measured, and the last reading of each watch.
Response LiveJson(const Library& library);
// What becomes of runs, and of watches if `watches`, as it happens.
Response LiveEvents(const Library& library, bool watches);

}  // namespace moecap::web
