// How a server was started by this program, and how that went; kept in the manifest.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace moecap::experiment {

struct ServerStart {
  std::string at;                    // UTC, ISO 8601
  std::vector<std::string> command;  // every word
  bool captures = false;             // to be asked for experts, not to be timed
  double ready_s = 0;                // from the start until it was ready
  std::string ended;                 // "exit code 0 when asked to end"; "exit code 1 by itself"; empty = it runs
};

struct LaunchFacts {
  std::map<std::string, std::string> environment;  // beside this process's own, as configured: secrets by name
  std::string directory;                           // where it ran
  std::string log;                                 // its output, relative to the run's folder: "servers/vllm.log"
  std::vector<ServerStart> starts;
};

}  // namespace moecap::experiment
