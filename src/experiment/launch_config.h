// The part of a configuration that says how a server is started.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/yaml.h"

namespace moecap::experiment {

// In the words of a command, the port that the program chose.
inline constexpr std::string_view kPortMark = "{port}";

// Either a command or a known system (`moecap systems`).
struct LaunchConfig {
  std::vector<std::string> command;
  std::string system;                      // "vllm"
  std::string model;                       // of that system, as it takes it: a path that exists is absolute
  std::string program;                     // in the place of that system's first word, e.g. of a virtual environment
  int gpus = 1;                            // 0 = on the processor
  int batch = 64;                          // most requests at once
  int context = 8192;                      // tokens of prompt and answer
  std::vector<std::string> flags;          // behind that system's own
  std::map<std::string, std::string> env;  // over this process's own and the system's
  std::string ready;                       // a page that answers 200 when the server is ready; "" = found out
  double start_timeout_s = 1800;           // until it is
  // Words that a server is started with, beside the others, when it is asked for experts; null = those of its kind, if any;
  // empty = none: the timed server is asked.
  std::optional<std::vector<std::string>> capture_flags;
};

// The value of `launch`: a command as text or a list of words, in which leading NAME=VALUE words are environment, or a mapping
// with `command` or `system`. A variable that looks like a secret must name one of this process's ("$NAME"), since the
// configuration is stored.
LaunchConfig ReadLaunch(const YamlNode& node, const std::filesystem::path& base_dir, YamlErrors& errors);

// What stands behind `--port` or `--server-port` in the words, or behind the mark; "" = nothing.
std::string PortIn(const std::vector<std::string>& words);

}  // namespace moecap::experiment
