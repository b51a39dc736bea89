#include "experiment/launch_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/paths.h"
#include "base/words.h"

namespace moecap::experiment {
namespace fs = std::filesystem;
namespace {

// HF_TOKEN and OPENAI_API_KEY, but not TOKENIZERS_PARALLELISM.
bool IsSecretVariable(std::string_view name) {
  constexpr std::array<std::string_view, 5> kMarks = {"KEY", "TOKEN", "SECRET", "PASSWORD", "CREDENTIALS"};
  while (!name.empty()) {
    const std::string_view part = name.substr(0, name.find('_'));
    if (std::ranges::find(kMarks, part) != kMarks.end()) return true;
    name.remove_prefix(std::min(name.size(), part.size() + 1));
  }
  return false;
}

// Text that is split into words, or a list of them.
std::vector<std::string> ReadWords(const YamlNode& node, const std::string& what, YamlErrors& errors) {
  if (node.kind == YamlNode::Kind::kScalar) {
    auto words = SplitWords(node.scalar);
    if (words.ok()) return std::move(words).value();
    errors.Add(node.line, Annotate(what, words.error()));
    return {};
  }
  if (node.kind != YamlNode::Kind::kList) errors.Add(node.line, fmt::format("{} must be text or a list of words", what));
  std::vector<std::string> words;
  for (const YamlNode& item : node.items) {
    if (item.kind != YamlNode::Kind::kScalar) errors.Add(item.line, fmt::format("a word of {} must be text", what));
    words.push_back(item.scalar);
  }
  return words;
}

void AddVariable(const std::string& name, const std::string& value, int line, YamlErrors& errors, LaunchConfig& launch) {
  if (IsSecretVariable(name) && !value.starts_with('$')) {
    errors.Add(line, fmt::format("the variable {} looks like a secret, which must not be in a file; the server inherits this "
                                 "process's variables, so leave it out, or write {}: $NAME",
                                 name, name));
  }
  launch.env[name] = value;
}

void ReadCommand(const YamlNode& node, YamlErrors& errors, LaunchConfig& launch) {
  std::vector<std::string> words = ReadWords(node, "the command", errors);
  const auto program = std::ranges::find(words, size_t{0}, &AssignmentName);
  for (const std::string& word : std::vector<std::string>(words.begin(), program))
    AddVariable(word.substr(0, AssignmentName(word)), word.substr(AssignmentName(word) + 1), node.line, errors, launch);
  words.erase(words.begin(), program);
  if (words.empty()) errors.Add(node.line, "the command is empty; write one like vllm serve MODEL --port {port}");
  for (const std::string& word : words) {
    if (word == "--api-key" || word.starts_with("--api-key="))
      errors.Add(node.line, "an API key must not be in a file; give it to the server by its environment variable");
  }
  launch.command = std::move(words);
}

void ReadEnvironment(const YamlNode& node, YamlErrors& errors, LaunchConfig& launch) {
  if (node.kind != YamlNode::Kind::kMap) errors.Add(node.line, "\"env\" must be a mapping of variables to values");
  for (const YamlNode& entry : node.items) {
    if (entry.kind != YamlNode::Kind::kScalar || AssignmentName(entry.key + "=") == 0)
      errors.Add(entry.key_line,
                 fmt::format("the variable \"{}\" must have a name of letters, digits and _, and a text", entry.key));
    AddVariable(entry.key, entry.scalar, entry.line, errors, launch);
  }
}

// The keys of a known system have no meaning beside a command, and the other way round.
void ReadSystem(YamlMap& map, const fs::path& base_dir, YamlErrors& errors, LaunchConfig& launch) {
  launch.system = map.String("system").value_or("");
  launch.model = map.String("model").value_or("");
  launch.program = map.String("program").value_or("");
  launch.gpus = static_cast<int>(map.Integer("gpus", 0, 1024).value_or(launch.gpus));
  launch.batch = static_cast<int>(map.Integer("batch", 1, 100'000).value_or(launch.batch));
  launch.context = static_cast<int>(map.Integer("context", 16, 10'000'000).value_or(launch.context));
  if (const YamlNode* node = map.Child("flags")) launch.flags = ReadWords(*node, "\"flags\"", errors);
  std::error_code none;
  const fs::path path = (base_dir / launch.model).lexically_normal();
  if (!launch.model.empty() && fs::exists(path, none)) launch.model = Absolute(path).string();
  if (launch.system.empty()) {
    for (const char* key : {"model", "program", "gpus", "batch", "context", "flags"}) {
      if (map.Child(key) != nullptr)
        map.Complain(key, fmt::format("\"{}\" belongs to a known system (\"system\"); write it into the command", key));
    }
    if (launch.command.empty())
      errors.Add(map.line(), "say what is started: command: \"PROGRAM --port {port}\", or system: NAME (moecap systems)");
  } else {
    if (!launch.command.empty()) map.Complain("command", "give one of \"command\" and \"system\"");
    if (launch.model.empty()) errors.Add(map.line(), "\"model\" is missing in launch; give what the system is to serve");
  }
}

}  // namespace

LaunchConfig ReadLaunch(const YamlNode& node, const fs::path& base_dir, YamlErrors& errors) {
  LaunchConfig launch;
  if (node.kind != YamlNode::Kind::kMap) {
    ReadCommand(node, errors, launch);
    return launch;
  }
  YamlMap map(node, "launch", errors);
  if (const YamlNode* command = map.Child("command")) ReadCommand(*command, errors, launch);
  ReadSystem(map, base_dir, errors, launch);
  if (const YamlNode* env = map.Child("env")) ReadEnvironment(*env, errors, launch);
  launch.ready = map.String("ready").value_or("");
  if (!launch.ready.empty() && !launch.ready.starts_with('/'))
    map.Complain("ready", fmt::format("\"ready\" is \"{}\"; it must be the path of a page, like /ping", launch.ready));
  if (const auto limit = map.Number("start_timeout_s")) {
    if (!(*limit > 0 && *limit <= 1e6))
      map.Complain("start_timeout_s", "\"start_timeout_s\" must be above 0 and at most 1000000");
    launch.start_timeout_s = *limit;
  }
  if (const YamlNode* flags = map.Child("capture_flags")) launch.capture_flags = ReadWords(*flags, "\"capture_flags\"", errors);
  map.RefuseUnknownKeys();
  return launch;
}

std::string PortIn(const std::vector<std::string>& words) {
  for (size_t i = 0; i < words.size(); ++i) {
    for (const std::string_view flag : {"--port", "--server-port", "--server_port"}) {
      if (words[i] == flag && i + 1 < words.size()) return words[i + 1];
      if (words[i].starts_with(flag) && words[i].size() > flag.size() && words[i][flag.size()] == '=')
        return words[i].substr(flag.size() + 1);
    }
  }
  return std::ranges::any_of(words, [](const std::string& word) { return word.find(kPortMark) != std::string::npos; })
             ? std::string(kPortMark)
             : "";
}

}  // namespace moecap::experiment
