#include "run/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "base/fs.h"
#include "base/yaml.h"
#include "cost/machine_file.h"
#include "run/server_config.h"

namespace moecap::run {
namespace fs = std::filesystem;
namespace {

constexpr std::array kScorings{std::pair{Scoring::kGsm8kStrictMatch, "gsm8k-strict-match"},
                               std::pair{Scoring::kGsm8kFlexibleExtract, "gsm8k-flexible-extract"}};

constexpr std::string_view kDevices[] = {"cpu", "gpu", "auto"};  // in the order of Device

constexpr int64_t kMaxTokens = 1 << 24;

Result<Scoring> FindScoring(const std::string& name) {
  std::string choices;
  for (const auto& [scoring, known] : kScorings) {
    if (name == known) return scoring;
    choices += fmt::format("{}{}", choices.empty() ? "" : ", ", known);
  }
  return BadInput(fmt::format("unknown scoring \"{}\"; known: {}", name, choices));
}

Scoring ReadScoring(YamlMap& map) {
  const auto name = map.String("scoring");
  if (!name) return RunConfig().scoring;
  const auto scoring = FindScoring(*name);
  if (scoring.ok()) return *scoring;
  map.Complain("scoring", scoring.error().message);
  return RunConfig().scoring;
}

SystemConfig ReadServerSystem(const YamlNode& server, YamlMap& map, const fs::path& base_dir, YamlErrors& errors) {
  SystemConfig system;
  system.server = ReadServer(server, base_dir, errors);
  for (const std::string_view key : {"model", "weights", "threads", "device", "gpu_layers"}) {
    if (map.Child(key) != nullptr)
      map.Complain(key, fmt::format("\"{}\" has no meaning beside \"server\"; write the server's settings inside it", key));
  }
  const std::string& url = system.server->urls.empty() ? system.name : system.server->urls.front();
  system.name = map.String("name").value_or(system.server->model.empty() ? url : system.server->model);
  map.RefuseUnknownKeys();
  return system;
}

SystemConfig ReadSystem(const YamlNode& node, const std::optional<fs::path>& default_model, int default_threads,
                        const fs::path& base_dir, YamlErrors& errors) {
  YamlMap map(node, "a system", errors);
  if (const YamlNode* server = map.Child("server")) return ReadServerSystem(*server, map, base_dir, errors);
  SystemConfig system;
  system.weights = map.String("weights");
  const auto model = map.String("model");
  if (!model && !default_model)
    errors.Add(map.line(), "\"model\" is missing; give it here or once at the top, e.g. model: my-moe.gguf");
  system.model = model ? (base_dir / *model).lexically_normal() : default_model.value_or(fs::path());
  system.name = map.String("name").value_or(system.weights.value_or(system.model.stem().string()));
  system.threads = static_cast<int>(map.Integer("threads", 1, 4096).value_or(default_threads));
  if (const auto device = map.Choice("device", {kDevices[0], kDevices[1], kDevices[2]}))
    system.device = static_cast<Device>(*device);
  if (const auto layers = map.Integer("gpu_layers", 1, 4096)) system.gpu_layers = static_cast<int>(*layers);
  if (system.gpu_layers && system.device == Device::kCpu)
    map.Complain("gpu_layers", "\"gpu_layers\" has no meaning without a GPU; add device: gpu, or device: auto");
  map.RefuseUnknownKeys();
  return system;
}

void ReadDataset(const YamlNode& node, const fs::path& base_dir, YamlErrors& errors, RunConfig& config) {
  YamlMap map(node, "dataset", errors);
  const auto path = map.String("path");
  if (!path) errors.Add(map.line(), "\"path\" is missing in dataset; give a JSON-lines file with question and answer");
  config.dataset = (base_dir / path.value_or("")).lexically_normal();
  config.problems = map.Integer("problems", 1, INT64_MAX).value_or(0);
  if (const auto seed = map.Integer("seed", 0, INT64_MAX)) config.dataset_seed = static_cast<uint64_t>(*seed);
  config.scoring = ReadScoring(map);
  map.RefuseUnknownKeys();
}

void ReadCost(const YamlNode& node, const fs::path& base_dir, YamlErrors& errors, RunConfig& config) {
  YamlMap map(node, "cost", errors);
  config.cost = cost::ReadCostInputs(map);
  if (const YamlNode* machine = map.Child("machine")) config.machine = cost::ReadMachine(*machine, errors);
  if (const auto file = map.String("price_book")) config.price_book = (base_dir / *file).lexically_normal();
  if (const auto pay = map.Choice("pay", {"buy", "rent"})) config.pay = *pay == 0 ? cost::Pay::kBuy : cost::Pay::kRent;
  map.RefuseUnknownKeys();
}

void RefuseRepeatedNames(const RunConfig& config, int line, YamlErrors& errors) {
  std::set<std::string> names;
  for (const SystemConfig& system : config.systems) {
    if (!names.insert(system.name).second)
      errors.Add(line, fmt::format("two systems are named \"{}\"; names must differ", system.name));
  }
}

void ReadSystems(YamlMap& map, const fs::path& base_dir, YamlErrors& errors, RunConfig& config) {
  const auto model = map.String("model");
  const auto default_model = model ? std::optional((base_dir / *model).lexically_normal()) : std::nullopt;
  const int threads = static_cast<int>(map.Integer("threads", 1, 4096).value_or(0));
  const YamlNode* systems = map.Child("systems");
  if (systems == nullptr || systems->kind != YamlNode::Kind::kList || systems->items.empty()) {
    errors.Add(map.LineOf("systems"), "\"systems\" must be a list with at least one system");
    return;
  }
  for (const YamlNode& system : systems->items)
    config.systems.push_back(ReadSystem(system, default_model, threads, base_dir, errors));
  RefuseRepeatedNames(config, systems->line, errors);
}

RunConfig ReadTop(const YamlNode& root, const fs::path& base_dir, YamlErrors& errors) {
  YamlMap map(root, "the configuration", errors);
  RunConfig config;
  config.name = map.String("name").value_or(config.name);
  ReadSystems(map, base_dir, errors, config);
  if (const YamlNode* dataset = map.Child("dataset")) {
    ReadDataset(*dataset, base_dir, errors, config);
  } else {
    errors.Add(map.line(), "\"dataset\" is missing; give dataset: {path: FILE.jsonl, problems: N}");
  }
  if (const YamlNode* cost = map.Child("cost")) ReadCost(*cost, base_dir, errors, config);

  const auto concurrency = map.Integers("concurrency", 1, 256);
  if (!concurrency.empty()) config.concurrency.assign(concurrency.begin(), concurrency.end());
  std::sort(config.concurrency.begin(), config.concurrency.end());
  config.concurrency.erase(std::unique(config.concurrency.begin(), config.concurrency.end()), config.concurrency.end());
  if (const YamlNode* cap = map.Child("cap")) config.cap = ReadCap(*cap, config.concurrency, errors);
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

Json SystemToJson(const SystemConfig& system) {
  Json json = {{"name", system.name},       {"model", system.model.string()},      {"weights", Optional(system.weights)},
               {"threads", system.threads}, {"device", DeviceName(system.device)}, {"gpu_layers", Optional(system.gpu_layers)}};
  if (system.server) json["server"] = ToJson(*system.server);
  return json;
}

// Runs of older versions have none of these keys.
Status CostFromJson(const Json& json, RunConfig& config) {
  if (json.contains("price_book") && !json["price_book"].is_null()) config.price_book = json["price_book"].get<std::string>();
  if (json.contains("pay") && !json["pay"].is_null())
    config.pay = json["pay"].get<std::string>() == "rent" ? cost::Pay::kRent : cost::Pay::kBuy;
  if (!json.contains("machine") || json["machine"].is_null()) return {};
  // JSON is YAML, so that the keys have one reader.
  ASSIGN_OR_RETURN(const YamlNode node, ParseYaml(DumpJson(json["machine"]), "the stored machine"));
  YamlErrors errors("the stored machine");
  config.machine = cost::ReadMachine(node, errors);
  return errors.empty() ? Status() : Status(errors.first());
}

}  // namespace

std::string_view ScoringName(Scoring scoring) {
  for (const auto& [value, name] : kScorings) {
    if (value == scoring) return name;
  }
  CHECK(false);
}

std::string_view DeviceName(Device device) { return kDevices[static_cast<size_t>(device)]; }

Result<RunConfig> ParseRunConfig(std::string_view text, const std::string& file, const fs::path& base_dir) {
  ASSIGN_OR_RETURN(const YamlNode root, ParseYaml(text, file));
  if (root.kind == YamlNode::Kind::kNull) return BadInput(fmt::format("{}: the configuration is empty", file));
  YamlErrors errors(file);
  RunConfig config = ReadTop(root, base_dir, errors);
  if (!errors.empty()) return errors.first();
  return config;
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
          {"cost", config.cost},
          {"machine", config.machine ? cost::ToJson(*config.machine) : Json(nullptr)},
          {"price_book", config.price_book ? Json(config.price_book->string()) : Json(nullptr)},
          {"pay", config.pay ? Json(cost::Name(*config.pay)) : Json(nullptr)},
          {"cap", ToJson(config.cap)}};
}

Result<RunConfig> RunConfigFromJson(const Json& json) {
  try {
    RunConfig config;
    json.at("name").get_to(config.name);
    for (const Json& entry : json.at("systems")) {
      SystemConfig system{entry.at("name").get<std::string>(), entry.at("model").get<std::string>(), std::nullopt,
                          entry.at("threads").get<int>(), std::nullopt};
      // Runs of older versions have neither of the two.
      const auto device = std::ranges::find(kDevices, entry.value("device", "cpu"));
      if (device == std::end(kDevices)) return BadInput("the stored configuration names an unknown device");
      system.device = static_cast<Device>(device - std::begin(kDevices));
      Read(entry, "gpu_layers", system.gpu_layers);
      Read(entry, "weights", system.weights);
      if (entry.contains("server")) system.server = ServerFromJson(entry.at("server"));
      config.systems.push_back(std::move(system));
    }
    config.dataset = json.at("dataset").get<std::string>();
    json.at("problems").get_to(config.problems);
    Read(json, "dataset_seed", config.dataset_seed);
    ASSIGN_OR_RETURN(config.scoring, FindScoring(json.at("scoring").get<std::string>()));
    json.at("concurrency").get_to(config.concurrency);
    json.at("repeats").get_to(config.repeats);
    json.at("warmup_requests").get_to(config.warmup_requests);
    json.at("max_output_tokens").get_to(config.max_output_tokens);
    json.at("context_tokens").get_to(config.context_tokens);
    json.at("batch_tokens").get_to(config.batch_tokens);
    config.results_dir = json.at("results_dir").get<std::string>();
    json.at("cost").get_to(config.cost);
    RETURN_IF_ERROR(CostFromJson(json, config));
    if (json.contains("cap")) {  // runs of older versions have none
      ASSIGN_OR_RETURN(config.cap, CapConfigFromJson(json["cap"], config.concurrency));
    }
    return config;
  } catch (const Json::exception& error) {
    return BadInput(fmt::format("the stored configuration is not complete: {}", error.what()));
  }
}

}  // namespace moecap::run
