// Servers that this program starts: their commands, their logs, when they are ready, and that they end.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/child_process.h"
#include "base/clock.h"
#include "base/result.h"
#include "experiment/config.h"
#include "experiment/launch_facts.h"
#include "net/http_client.h"

namespace moecap::app {

class LaunchedServer;

// What the launched servers of one experiment share: the folder of their logs and, unless they run together, the machine. Must
// outlive them.
class LaunchRoom {
 public:
  // Without a folder the logs lie in one of their own below `results_dir`, until the experiment has one. `stop_requested`:
  // gives up waiting for a server; may be empty. `on_start`: a line for the user; may be empty.
  LaunchRoom(std::filesystem::path results_dir, bool together, std::function<bool()> stop_requested,
             std::function<void(const std::string&)> on_start)
      : results_dir_(std::move(results_dir)),
        together_(together),
        stop_requested_(std::move(stop_requested)),
        on_start_(std::move(on_start)) {}

  // From now on logs lie in RUN/servers; those that there are move there. Error: kBadInput with the reason.
  Status MoveTo(const std::filesystem::path& run_dir);

 private:
  friend class LaunchedServer;
  Result<std::filesystem::path> Folder();
  // Ends the server that has the machine, if another one.
  void Enter(LaunchedServer& server);
  void Leave(const LaunchedServer& server);

  std::filesystem::path results_dir_;
  bool together_;
  std::function<bool()> stop_requested_;
  std::function<void(const std::string&)> on_start_;
  std::filesystem::path folder_;  // empty = none was needed yet
  LaunchedServer* inside_ = nullptr;
};

class LaunchedServer {
 public:
  // Decides on command, port and address; starts nothing. `system` has a launch. Errors: kBadInput for an unknown system, an
  // environment variable that is not set, a program that has no port.
  static Result<std::unique_ptr<LaunchedServer>> Create(const experiment::SystemConfig& system,
                                                        const std::filesystem::path& directory, LaunchRoom& room,
                                                        const Clock& clock);
  ~LaunchedServer() { Stop(); }

  // The server's configuration, with its address and what the known system's kind adds.
  const experiment::ServerConfig& server() const { return server_; }
  const experiment::LaunchFacts& facts() const { return facts_; }
  // Every word, without those of a capture.
  const std::vector<std::string>& words() const { return words_; }

  // Returns when the server is ready, with these words behind its others (if it runs otherwise it is started anew). Errors:
  // kFailed with the end of its log when it ended, or was not ready in time; kBadInput when something else listens there, or
  // the program cannot be run; kInterrupted.
  Status Run(const std::vector<std::string>& capture_flags);
  void Stop();
  // How much it has printed, and what it printed behind that.
  uint64_t LogSize() const;
  std::string LogSince(uint64_t size) const;
  bool IsRunning() { return child_ && !child_->Ended(); }
  // "" = it did not end by itself since it was started; in a few words, and with the end of its log.
  std::string HowItEnded();
  std::string WhyItEnded();

 private:
  LaunchedServer(LaunchRoom& room, const Clock& clock) : room_(room), clock_(clock) {}
  Status FillAddress();
  Status FillCommand();
  Status Start(const std::vector<std::string>& capture_flags);
  Status AwaitReady(net::HttpClient& client);
  bool IsReady(net::HttpClient& client);
  std::filesystem::path LogFile() const { return room_.folder_ / std::filesystem::path(facts_.log).filename(); }
  std::string EndOfLog() const;

  LaunchRoom& room_;
  const Clock& clock_;
  std::string name_;
  experiment::LaunchConfig launch_;
  experiment::ServerConfig server_;
  std::vector<std::string> words_, capture_flags_;
  std::map<std::string, std::string> environment_;  // with the values of secrets
  std::filesystem::path directory_;
  std::string port_;
  std::string file_name_, file_text_;
  std::vector<std::string> ready_;  // pages; the first one that exists decides
  experiment::LaunchFacts facts_;
  std::optional<ChildProcess> child_;
};

}  // namespace moecap::app
