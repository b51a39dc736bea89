// Servers that are watched: what `moecap watch URL --json` writes into RESULTS_DIR/watch/NAME.jsonl, a reading a line. Nothing
// is asked of the servers from here.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "web/http.h"
#include "web/latest.h"
#include "web/library.h"
#include "web/progress.h"

namespace moecap::web {

// What is told to everybody who looks on, looked up once for all of them. Of any thread.
class LiveScans {
 public:
  // Both must outlive it.
  LiveScans(const Library& library, const Clock& clock) : library_(library), runs_(clock), watches_(clock) {}

  // Those that are being measured.
  struct Runs {
    std::vector<Progress> progress;
    std::map<std::string, std::string> json;  // of the progress, by run_id
  };
  std::shared_ptr<const Runs> Running();

  // The one that was written last first.
  struct Watches {
    std::string boxes;       // of all
    std::string boxes_json;  // {"html": boxes}
    std::string json;        // an array of their last readings
  };
  std::shared_ptr<const Watches> Watched();

 private:
  const Library& library_;
  Latest<Runs> runs_;
  Latest<Watches> watches_;
};

// The runs that are being measured and the watches, the one that was written last first.
Response LivePage(LiveScans& scans, bool writable);
// The runs that are being measured, and the last reading of each watch.
Response LiveJson(LiveScans& scans);
// What becomes of runs, and of watches if `watches`, as it happens. `scans` must outlive the connection.
Response LiveEvents(const Library& library, LiveScans& scans, bool watches);

}  // namespace moecap::web
