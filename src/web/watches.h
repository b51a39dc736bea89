// Servers that are watched: what `moecap watch URL --json` writes into RESULTS_DIR/watch/NAME.jsonl, a reading a line. Nothing
// is asked of the servers from here.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "web/http.h"
#include "web/library.h"

namespace moecap::web {

// The runs that are being measured and the watches, the one that was written last first.
Response LivePage(const Library& library, bool writable);
// The runs that are being measured, and the last reading of each watch.
Response LiveJson(const Library& library);

// What is told to everybody who looks on, looked up once for all of them. Of any thread.
class LiveScans {
 public:
  explicit LiveScans(const Library& library) : library_(library) {}

  using Runs = std::map<std::string, std::string>;  // JSON of the progress by run_id
  std::shared_ptr<const Runs> Running();
  std::shared_ptr<const std::string> Watches();  // JSON

 private:
  template <typename T>
  class Latest {
   public:
    // Others wait for the one that looks.
    std::shared_ptr<const T> Get(const std::function<T()>& look);

   private:
    static constexpr std::chrono::milliseconds kFor{400};  // less than the time between two looks of one connection
    std::mutex mutex_;
    std::chrono::steady_clock::time_point looked_;
    std::shared_ptr<const T> found_;
  };

  const Library& library_;
  Latest<Runs> running_;
  Latest<std::string> watches_;
};
// What becomes of runs, and of watches if `watches`, as it happens. `scans` must outlive the connection.
Response LiveEvents(const Library& library, LiveScans& scans, bool watches);

}  // namespace moecap::web
