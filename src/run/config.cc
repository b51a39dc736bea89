#include "run/config.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "base/fs.h"
#include "cost/ownership.h"

namespace moecap::run {
namespace fs = std::filesystem;
namespace {

constexpr std::array kScorings{std::pair{Scoring::kGsm8kStrictMatch, "gsm8k-strict-match"},
                               std::pair{Scoring::kGsm8kFlexibleExtract, "gsm8k-flexible-extract"}};

// Thrown inside this file only; ParseRunConfig turns it into an Error.
struct ConfigError {
  int line = 0;  // 0 = no place
  std::string message;
};

int LineOf(const YAML::Node& node) { return node.Mark().line + 1; }

// One mapping of the file: hands out values by key and complains about keys that nobody asked for.
class Mapping {
 public:
  Mapping(const YAML::Node& node, std::string where) : node_(node), where_(std::move(where)) {
    if (!node.IsMap()) throw ConfigError{LineOf(node), fmt::format("{} must be a mapping of keys to values", where_)};
  }

  // Null when the key is absent.
  template <typename T>
  std::optional<T> Get(const char* key, const char* type_name) {
    const YAML::Node value = Child(key);
    if (!value) return std::nullopt;
    return Convert<T>(value, key, type_name);
  }
  std::optional<std::string> String(const char* key) { return Get<std::string>(key, "text"); }
  bool Flag(const char* key) { return Get<bool>(key, "true or false").value_or(false); }
  std::optional<double> Seconds(const char* key) {
    const auto value = Get<double>(key, "a number of seconds");
    if (value && !(*value > 0 && *value <= 1e6))
      throw ConfigError{LineOf(node_[key]), fmt::format("\"{}\" is {}; it must be above 0 and at most 1000000", key, *value)};
    return value;
  }
  // A text, or a list of them.
  std::vector<std::string> Strings(const char* key) {
    const YAML::Node value = Child(key);
    std::vector<std::string> result;
    if (!value) return result;
    if (!value.IsSequence()) return {Convert<std::string>(value, key, "text or a list of texts")};
    for (const YAML::Node& entry : value) result.push_back(Convert<std::string>(entry, key, "a list of texts"));
    return result;
  }
  std::optional<int64_t> Integer(const char* key, int64_t least, int64_t most) {
    const auto value = Get<int64_t>(key, "a whole number");
    if (value) CheckRange(node_[key], key, *value, least, most);
    return value;
  }
  std::vector<int64_t> Integers(const char* key, int64_t least, int64_t most) {
    const YAML::Node value = Child(key);
    std::vector<int64_t> result;
    if (!value) return result;
    if (!value.IsSequence() || value.size() == 0) {
      throw ConfigError{LineOf(value), fmt::format("\"{}\" must be a list of whole numbers, e.g. [1, 4, 16]", key)};
    }
    for (const YAML::Node& entry : value) {
      result.push_back(Convert<int64_t>(entry, key, "a list of whole numbers"));
      CheckRange(entry, key, result.back(), least, most);
    }
    return result;
  }
  YAML::Node Child(const char* key) {
    known_.insert(key);
    return node_[key];
  }
  int line() const { return LineOf(node_); }

  // Call after every key was asked for. Refuses repeated keys too, of which the parser would silently take the first.
  void RefuseUnknownKeys() const {
    std::set<std::string> seen;
    for (const auto& entry : node_) {
      const auto key = entry.first.as<std::string>();
      if (!seen.insert(key).second)
        throw ConfigError{LineOf(entry.first), fmt::format("\"{}\" is given twice in {}", key, where_)};
      if (known_.contains(key)) continue;
      const std::string nearest = NearestWord(key, {known_.begin(), known_.end()});
      throw ConfigError{LineOf(entry.first), fmt::format("unknown key \"{}\" in {}; {}", key, where_,
                                                         nearest.empty() ? fmt::format("known keys: {}", KnownKeys())
                                                                         : fmt::format("did you mean \"{}\"?", nearest))};
    }
  }

 private:
  template <typename T>
  static T Convert(const YAML::Node& value, const char* key, const char* type_name) {
    try {
      if (value.IsScalar()) return value.as<T>();
    } catch (const YAML::Exception&) {
    }
    throw ConfigError{LineOf(value), fmt::format("\"{}\" must be {}", key, type_name) +
                                         (value.IsScalar() ? fmt::format(", not \"{}\"", value.Scalar()) : std::string())};
  }
  static void CheckRange(const YAML::Node& node, const char* key, int64_t value, int64_t least, int64_t most) {
    if (value >= least && value <= most) return;
    throw ConfigError{LineOf(node), fmt::format("\"{}\" is {}; it must be between {} and {}", key, value, least, most)};
  }
  std::string KnownKeys() const {
    std::string keys;
    for (const std::string& key : known_) keys += (keys.empty() ? "" : ", ") + key;
    return keys;
  }

  YAML::Node node_;
  std::string where_;
  std::set<std::string> known_;
};

constexpr int64_t kMaxTokens = 1 << 24;

Scoring ParseScoring(const std::string& name, int line) {
  std::string choices;
  for (const auto& [scoring, known] : kScorings) {
    if (name == known) return scoring;
    choices += fmt::format("{}{}", choices.empty() ? "" : ", ", known);
  }
  throw ConfigError{line, fmt::format("unknown scoring \"{}\"; known: {}", name, choices)};
}

// Names whose values are secrets. They would be stored with the run.
bool IsSecretHeader(std::string name) {
  std::transform(name.begin(), name.end(), name.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
  const bool cookie = name.find("cookie") != std::string::npos;
  return cookie || name.find("auth") != std::string::npos || name.find("key") != std::string::npos ||
         name.find("token") != std::string::npos || name.find("secret") != std::string::npos;
}

std::map<std::string, std::string> ParseHeaders(const YAML::Node& node) {
  if (!node.IsMap()) throw ConfigError{LineOf(node), "\"headers\" must be a mapping of names to values"};
  std::map<std::string, std::string> headers;
  for (const auto& entry : node) {
    const auto name = entry.first.as<std::string>();
    if (!entry.second.IsScalar()) throw ConfigError{LineOf(entry.second), fmt::format("header {} must be text", name)};
    const auto value = entry.second.as<std::string>();
    if (IsSecretHeader(name) && !value.starts_with('$')) {
      throw ConfigError{LineOf(entry.second),
                        fmt::format("header {} looks like a secret, which must not be in a file; put it into an "
                                    "environment variable and write {}: $NAME, or use api_key_env",
                                    name, name)};
    }
    headers[name] = value;
  }
  return headers;
}

ServerConfig ParseServer(const YAML::Node& node, const fs::path& base_dir) {
  Mapping map(node, "server");
  ServerConfig server;
  server.urls = map.Strings("url");
  if (server.urls.empty()) throw ConfigError{map.line(), "\"url\" is missing in server; give one like http://127.0.0.1:8000"};
  server.api = map.String("api").value_or(server.api);
  server.kind = map.String("kind").value_or("");
  server.model = map.String("model").value_or("");
  server.api_key_env = map.String("api_key_env").value_or("");
  const auto path = [&](const char* key) {
    const auto value = map.String(key);
    return value ? (base_dir / *value).lexically_normal() : fs::path();
  };
  server.api_key_file = path("api_key_file");
  server.ca = path("ca");
  server.insecure = map.Flag("insecure");
  if (const YAML::Node headers = map.Child("headers")) server.headers = ParseHeaders(headers);
  server.source_addresses = map.Strings("source_addresses");
  server.stream = map.Get<bool>("stream", "true or false").value_or(true);
  server.timeout_s = map.Seconds("timeout_s").value_or(server.timeout_s);
  server.connect_timeout_s = map.Seconds("connect_timeout_s").value_or(server.connect_timeout_s);
  map.RefuseUnknownKeys();
  return server;
}

SystemConfig ParseServerSystem(Mapping& map, const fs::path& base_dir) {
  SystemConfig system;
  const YAML::Node node = map.Child("server");
  system.server = ParseServer(node, base_dir);
  for (const char* key : {"model", "weights", "threads"}) {
    if (const YAML::Node other = map.Child(key))
      throw ConfigError{LineOf(other),
                        fmt::format("\"{}\" has no meaning beside \"server\"; write the server's settings inside it", key)};
  }
  system.name = map.String("name").value_or(system.server->model.empty() ? system.server->urls.front() : system.server->model);
  map.RefuseUnknownKeys();
  return system;
}

SystemConfig ParseSystem(const YAML::Node& node, const std::optional<fs::path>& default_model, int default_threads,
                         const fs::path& base_dir) {
  Mapping map(node, "a system");
  if (map.Child("server")) return ParseServerSystem(map, base_dir);
  SystemConfig system;
  system.weights = map.String("weights");
  const auto model = map.String("model");
  if (!model && !default_model)
    throw ConfigError{map.line(), "\"model\" is missing; give it here or once at the top, e.g. model: my-moe.gguf"};
  system.model = model ? (base_dir / *model).lexically_normal() : *default_model;
  system.name = map.String("name").value_or(system.weights.value_or(system.model.stem().string()));
  system.threads = static_cast<int>(map.Integer("threads", 1, 4096).value_or(default_threads));
  map.RefuseUnknownKeys();
  return system;
}

void ParseDataset(const YAML::Node& node, const fs::path& base_dir, RunConfig& config) {
  Mapping map(node, "dataset");
  const auto path = map.String("path");
  if (!path) throw ConfigError{map.line(), "\"path\" is missing in dataset; give a JSON-lines file with question and answer"};
  config.dataset = (base_dir / *path).lexically_normal();
  config.problems = map.Integer("problems", 1, INT64_MAX).value_or(0);
  if (const auto seed = map.Integer("seed", 0, INT64_MAX)) config.dataset_seed = static_cast<uint64_t>(*seed);
  if (const auto scoring = map.String("scoring")) config.scoring = ParseScoring(*scoring, LineOf(node["scoring"]));
  map.RefuseUnknownKeys();
}

std::map<std::string, double> ParseCost(const YAML::Node& node) {
  Mapping map(node, "cost");
  std::map<std::string, double> cost;
  cost::CostInputs checked;
  for (const std::string& key : cost::CostInputKeys()) {
    const auto value = map.Get<double>(key.c_str(), "a number");
    if (!value) continue;
    if (const Status valid = cost::SetCostInput(checked, key, {*value, "", ""}); !valid.ok()) {
      throw ConfigError{LineOf(node[key]), valid.error().message};
    }
    cost[key] = *value;
  }
  map.RefuseUnknownKeys();
  return cost;
}

void RefuseRepeatedNames(const RunConfig& config, int line) {
  std::set<std::string> names;
  for (const SystemConfig& system : config.systems) {
    if (!names.insert(system.name).second)
      throw ConfigError{line, fmt::format("two systems are named \"{}\"; names must differ", system.name)};
  }
}

RunConfig ParseTop(const YAML::Node& root, const fs::path& base_dir) {
  Mapping map(root, "the configuration");
  RunConfig config;
  config.name = map.String("name").value_or(config.name);
  const auto model = map.String("model");
  const auto default_model = model ? std::optional((base_dir / *model).lexically_normal()) : std::nullopt;
  const int threads = static_cast<int>(map.Integer("threads", 1, 4096).value_or(0));
  const YAML::Node systems = map.Child("systems");
  if (!systems || !systems.IsSequence() || systems.size() == 0) {
    throw ConfigError{systems ? LineOf(systems) : map.line(), "\"systems\" must be a list with at least one system"};
  }
  for (const YAML::Node& system : systems) config.systems.push_back(ParseSystem(system, default_model, threads, base_dir));
  RefuseRepeatedNames(config, LineOf(systems));
  const YAML::Node dataset = map.Child("dataset");
  if (!dataset) throw ConfigError{map.line(), "\"dataset\" is missing; give dataset: {path: FILE.jsonl, problems: N}"};
  ParseDataset(dataset, base_dir, config);
  if (const YAML::Node cost = map.Child("cost")) config.cost = ParseCost(cost);

  const auto concurrency = map.Integers("concurrency", 1, 256);
  if (!concurrency.empty()) config.concurrency.assign(concurrency.begin(), concurrency.end());
  std::sort(config.concurrency.begin(), config.concurrency.end());
  config.concurrency.erase(std::unique(config.concurrency.begin(), config.concurrency.end()), config.concurrency.end());
  config.repeats = static_cast<int>(map.Integer("repeats", 1, 1000).value_or(config.repeats));
  config.warmup_requests = static_cast<int>(map.Integer("warmup_requests", 0, 100000).value_or(config.warmup_requests));
  config.max_output_tokens = map.Integer("max_output_tokens", 1, kMaxTokens).value_or(config.max_output_tokens);
  config.context_tokens = static_cast<int>(map.Integer("context_tokens", 2, kMaxTokens).value_or(config.context_tokens));
  config.batch_tokens = static_cast<int>(map.Integer("batch_tokens", 1, kMaxTokens).value_or(config.batch_tokens));
  if (const auto dir = map.String("results_dir")) config.results_dir = *dir;
  map.RefuseUnknownKeys();
  return config;
}

template <typename T>
Json Optional(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

template <typename T>
void Read(const Json& json, const char* key, std::optional<T>& value) {
  if (json.contains(key) && !json[key].is_null()) value = json[key].get<T>();
}

Json ServerToJson(const ServerConfig& server) {
  return {{"urls", server.urls},
          {"api", server.api},
          {"kind", server.kind},
          {"model", server.model},
          {"api_key_env", server.api_key_env},
          {"api_key_file", server.api_key_file.string()},
          {"ca", server.ca.string()},
          {"insecure", server.insecure},
          {"headers", server.headers},
          {"source_addresses", server.source_addresses},
          {"stream", server.stream},
          {"timeout_s", server.timeout_s},
          {"connect_timeout_s", server.connect_timeout_s}};
}

ServerConfig ServerFromJson(const Json& json) {
  ServerConfig server;
  json.at("urls").get_to(server.urls);
  json.at("api").get_to(server.api);
  json.at("kind").get_to(server.kind);
  json.at("model").get_to(server.model);
  json.at("api_key_env").get_to(server.api_key_env);
  server.api_key_file = json.at("api_key_file").get<std::string>();
  server.ca = json.at("ca").get<std::string>();
  json.at("insecure").get_to(server.insecure);
  json.at("headers").get_to(server.headers);
  json.at("source_addresses").get_to(server.source_addresses);
  json.at("stream").get_to(server.stream);
  json.at("timeout_s").get_to(server.timeout_s);
  json.at("connect_timeout_s").get_to(server.connect_timeout_s);
  return server;
}

Json SystemToJson(const SystemConfig& system) {
  Json json = {{"name", system.name},
               {"model", system.model.string()},
               {"weights", Optional(system.weights)},
               {"threads", system.threads}};
  if (system.server) json["server"] = ServerToJson(*system.server);
  return json;
}

}  // namespace

std::string_view ScoringName(Scoring scoring) {
  for (const auto& [value, name] : kScorings) {
    if (value == scoring) return name;
  }
  CHECK(false);
}

Result<RunConfig> ParseRunConfig(std::string_view text, const std::string& file, const fs::path& base_dir) {
  try {
    const YAML::Node root = YAML::Load(std::string(text));
    if (!root || root.IsNull()) return BadInput(fmt::format("{}: the configuration is empty", file));
    return ParseTop(root, base_dir);
  } catch (const ConfigError& error) {
    return BadInput(fmt::format("{}:{}: {}", file, error.line, error.message));
  } catch (const YAML::Exception& error) {
    return BadInput(fmt::format("{}:{}: not valid YAML: {}", file, error.mark.line + 1, error.msg));
  }
}

Result<RunConfig> ReadRunConfig(const fs::path& file) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(file));
  return ParseRunConfig(text, file.string(), file.parent_path());
}

Json ToJson(const RunConfig& config) {
  Json systems = Json::array();
  for (const SystemConfig& system : config.systems) systems.push_back(SystemToJson(system));
  return {{"name", config.name},
          {"systems", std::move(systems)},
          {"dataset", config.dataset.string()},
          {"problems", config.problems},
          {"dataset_seed", Optional(config.dataset_seed)},
          {"scoring", ScoringName(config.scoring)},
          {"concurrency", config.concurrency},
          {"repeats", config.repeats},
          {"warmup_requests", config.warmup_requests},
          {"max_output_tokens", config.max_output_tokens},
          {"context_tokens", config.context_tokens},
          {"batch_tokens", config.batch_tokens},
          {"results_dir", config.results_dir.string()},
          {"cost", config.cost}};
}

Result<RunConfig> RunConfigFromJson(const Json& json) {
  try {
    RunConfig config;
    json.at("name").get_to(config.name);
    for (const Json& entry : json.at("systems")) {
      SystemConfig system{entry.at("name").get<std::string>(), entry.at("model").get<std::string>(), std::nullopt,
                          entry.at("threads").get<int>(), std::nullopt};
      Read(entry, "weights", system.weights);
      if (entry.contains("server")) system.server = ServerFromJson(entry.at("server"));
      config.systems.push_back(std::move(system));
    }
    config.dataset = json.at("dataset").get<std::string>();
    json.at("problems").get_to(config.problems);
    Read(json, "dataset_seed", config.dataset_seed);
    config.scoring = ParseScoring(json.at("scoring").get<std::string>(), 0);
    json.at("concurrency").get_to(config.concurrency);
    json.at("repeats").get_to(config.repeats);
    json.at("warmup_requests").get_to(config.warmup_requests);
    json.at("max_output_tokens").get_to(config.max_output_tokens);
    json.at("context_tokens").get_to(config.context_tokens);
    json.at("batch_tokens").get_to(config.batch_tokens);
    config.results_dir = json.at("results_dir").get<std::string>();
    json.at("cost").get_to(config.cost);
    return config;
  } catch (const Json::exception& error) {
    return BadInput(fmt::format("the stored configuration is not complete: {}", error.what()));
  } catch (const ConfigError& error) {
    return BadInput("the stored configuration: " + error.message);
  }
}

}  // namespace moecap::run
