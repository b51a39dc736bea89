#include "loadtest/config.h"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/fs.h"
#include "base/yaml.h"
#include "run/server_config.h"

namespace moecap::loadtest {
namespace fs = std::filesystem;
namespace {

constexpr std::array kKinds{std::pair{LoadKind::kClients, "clients"}, std::pair{LoadKind::kRate, "rates_per_s"},
                            std::pair{LoadKind::kUsers, "users"}, std::pair{LoadKind::kReplay, "replay"}};
constexpr std::array kGapNames{
    std::pair{workload::GapShape::kConstant, "constant"}, std::pair{workload::GapShape::kExponential, "poisson"},
    std::pair{workload::GapShape::kGamma, "gamma"}, std::pair{workload::GapShape::kWeibull, "weibull"}};

constexpr int64_t kMostClients = 1'000'000;
constexpr double kMostRate = 1e6;

// A number, or a list of them.
std::vector<double> ReadLevels(const YamlNode& node, double least, double most, bool whole, YamlErrors& errors) {
  std::vector<double> levels;
  const auto add = [&](const YamlNode& entry) {
    const auto value = entry.kind == YamlNode::Kind::kScalar ? ParseNumber(entry.scalar) : std::nullopt;
    if (!value || *value < least || *value > most || (whole && *value != static_cast<double>(static_cast<int64_t>(*value)))) {
      errors.Add(entry.line, fmt::format("\"{}\" must be a {} from {} to {}, or a list of them", node.key,
                                         whole ? "whole number" : "number", least, most));
    }
    levels.push_back(value.value_or(least));
  };
  if (node.kind == YamlNode::Kind::kScalar) add(node);
  for (const YamlNode& entry : node.items) add(entry);
  if (levels.empty()) errors.Add(node.line, fmt::format("\"{}\" is empty", node.key));
  return levels;
}

double ReadAtLeast(YamlMap& map, std::string_view key, double least, double otherwise) {
  const auto value = map.Number(key);
  if (value && *value < least) map.Complain(key, fmt::format("\"{}\" is {}; it must be at least {}", key, *value, least));
  return value.value_or(otherwise);
}

std::optional<double> ReadPositive(YamlMap& map, std::string_view key) {
  const auto value = map.Number(key);
  if (value && !(*value > 0)) map.Complain(key, fmt::format("\"{}\" is {}; it must be above 0", key, *value));
  return value;
}

double ReadShare(YamlMap& map, std::string_view key, double otherwise) {
  const auto value = map.Number(key);
  if (value && !(*value >= 0 && *value <= 1))
    map.Complain(key, fmt::format("\"{}\" is {}; it is a share, from 0 to 1", key, *value));
  return value.value_or(otherwise);
}

void ReadRamp(const YamlNode& node, YamlErrors& errors, workload::ArrivalProcess& arrivals) {
  if (node.kind != YamlNode::Kind::kList) errors.Add(node.line, "\"ramp\" must be a list of segments");
  for (const YamlNode& entry : node.items) {
    YamlMap map(entry, "a segment of ramp", errors);
    workload::RateSegment segment;
    segment.duration_s = ReadPositive(map, "duration_s").value_or(0);
    if (map.Child("duration_s") == nullptr) map.Complain("duration_s", "\"duration_s\" is missing in a segment of ramp");
    segment.from_per_s = ReadAtLeast(map, "from_per_s", 0, 0);
    segment.to_per_s = ReadAtLeast(map, "to_per_s", 0, segment.from_per_s);
    map.RefuseUnknownKeys();
    arrivals.ramp.push_back(segment);
  }
}

void ReadKind(YamlMap& map, YamlErrors& errors, LoadTestConfig& config) {
  int given = 0;
  for (const auto& [kind, key] : kKinds) {
    const YamlNode* node = map.Child(key);
    if (node == nullptr) continue;
    config.kind = kind;
    if (++given > 1) map.Complain(key, "give one of clients, rates_per_s, users and replay");
    if (kind == LoadKind::kReplay) {
      if (map.Boolean(key) == false) map.Complain(key, "\"replay\" can only be true; leave it out otherwise");
      config.levels = {1};
    } else {
      const bool rate = kind == LoadKind::kRate;
      config.levels = ReadLevels(*node, rate ? 1e-6 : 1, rate ? kMostRate : kMostClients, !rate, errors);
    }
  }
}

void ReadLoad(const YamlNode& node, YamlErrors& errors, LoadTestConfig& config) {
  YamlMap map(node, "load", errors);
  ReadKind(map, errors, config);
  if (const auto gaps = map.Choice("arrivals", {"constant", "poisson", "gamma", "weibull"}))
    config.arrivals.gaps = kGapNames[*gaps].first;
  config.arrivals.shape = ReadPositive(map, "shape").value_or(1);
  config.arrivals.burst = static_cast<int>(map.Integer("burst", 1, 1'000'000).value_or(1));
  if (const YamlNode* ramp = map.Child("ramp")) ReadRamp(*ramp, errors, config.arrivals);
  config.start_over_s = ReadAtLeast(map, "start_over_s", 0, 0);
  config.most_in_flight = map.Integer("most_in_flight", 0, kMostClients).value_or(0);
  config.cancel_share = ReadShare(map, "cancel_share", 0);
  config.cancel_after_s = ReadAtLeast(map, "cancel_after_s", 0, config.cancel_after_s);
  map.RefuseUnknownKeys();
}

void ReadDeadlines(const YamlNode& node, YamlErrors& errors, Deadlines& deadlines) {
  YamlMap map(node, "deadlines", errors);
  deadlines.headers_s = ReadPositive(map, "headers_s");
  deadlines.first_token_s = ReadPositive(map, "first_token_s");
  deadlines.idle_s = ReadPositive(map, "idle_s");
  map.RefuseUnknownKeys();
}

void ReadObjectives(const YamlNode& node, YamlErrors& errors, metrics::LatencyObjectives& objectives) {
  YamlMap map(node, "objectives", errors);
  objectives.ttft_s = ReadPositive(map, "ttft_s");
  objectives.tpot_s = ReadPositive(map, "tpot_s");
  objectives.e2e_s = ReadPositive(map, "e2e_s");
  map.RefuseUnknownKeys();
}

void ReadSearch(const YamlNode& node, YamlErrors& errors, LoadTestConfig& config) {
  YamlMap map(node, "search", errors);
  load::SloSearchOptions search;
  search.start = ReadPositive(map, "start").value_or(search.start);
  search.lowest = ReadPositive(map, "lowest").value_or(config.kind == LoadKind::kRate ? search.lowest : 1);
  search.highest = ReadPositive(map, "highest").value_or(config.kind == LoadKind::kRate ? search.highest : 4096);
  search.target_share = ReadShare(map, "target_share", search.target_share);
  search.confidence = ReadShare(map, "confidence", search.confidence);
  search.resolution = ReadPositive(map, "resolution").value_or(search.resolution);
  search.repeats = static_cast<int>(map.Integer("repeats", 1, 1000).value_or(search.repeats));
  search.max_probes = static_cast<int>(map.Integer("max_probes", 1, 10000).value_or(search.max_probes));
  search.whole_numbers = config.kind != LoadKind::kRate;
  map.RefuseUnknownKeys();
  config.search = search;
}

// Everything but the server and the workload.
void ReadRest(YamlMap& map, YamlErrors& errors, LoadTestConfig& config) {
  config.name = map.String("name").value_or(config.name);
  if (const YamlNode* node = map.Child("load")) ReadLoad(*node, errors, config);
  config.warmup_requests = map.Integer("warmup_requests", 0, 1'000'000).value_or(config.warmup_requests);
  config.duration_s = ReadPositive(map, "duration_s");
  if (const auto drain_s = map.Number("drain_s"))
    config.drain_s = *drain_s >= 0 ? *drain_s : (map.Complain("drain_s", "\"drain_s\" must be at least 0"), 0);
  config.most_error_share = ReadShare(map, "most_error_share", config.most_error_share);
  if (const YamlNode* node = map.Child("deadlines")) ReadDeadlines(*node, errors, config.deadlines);
  if (const YamlNode* node = map.Child("objectives")) ReadObjectives(*node, errors, config.objectives);
  if (const YamlNode* node = map.Child("search")) ReadSearch(*node, errors, config);
  config.repeats = static_cast<int>(map.Integer("repeats", 1, 1000).value_or(config.repeats));
  config.threads = static_cast<int>(map.Integer("threads", 1, 1024).value_or(config.threads));
  config.seed = static_cast<uint64_t>(map.Integer("seed", 0, INT64_MAX).value_or(1));
  config.flush_cache = map.Boolean("flush_cache").value_or(false);
  if (const auto dir = map.String("results_dir")) config.results_dir = *dir;
}

std::string_view GapName(workload::GapShape gaps) {
  for (const auto& [shape, name] : kGapNames) {
    if (shape == gaps) return name;
  }
  CHECK(false);
}

// Leaves out what is not set, as in a file.
void Put(Json& json, const char* key, const std::optional<double>& value) {
  if (value) json[key] = *value;
}

Json LoadToJson(const LoadTestConfig& config) {
  Json json = {{"arrivals", GapName(config.arrivals.gaps)},
               {"shape", config.arrivals.shape},
               {"burst", config.arrivals.burst},
               {"start_over_s", config.start_over_s},
               {"most_in_flight", config.most_in_flight},
               {"cancel_share", config.cancel_share},
               {"cancel_after_s", config.cancel_after_s}};
  const std::string kind(Name(config.kind));
  if (config.kind == LoadKind::kReplay) {
    json[kind] = true;
  } else if (config.kind == LoadKind::kRate) {
    json[kind] = config.levels;
  } else {
    json[kind] = std::vector<int64_t>(config.levels.begin(), config.levels.end());
  }
  if (!config.arrivals.ramp.empty()) json["ramp"] = Json::array();
  for (const workload::RateSegment& segment : config.arrivals.ramp) {
    json["ramp"].push_back(
        {{"duration_s", segment.duration_s}, {"from_per_s", segment.from_per_s}, {"to_per_s", segment.to_per_s}});
  }
  return json;
}

}  // namespace

std::string_view Name(LoadKind kind) {
  for (const auto& [value, name] : kKinds) {
    if (value == kind) return name;
  }
  CHECK(false);
}

Result<LoadTestConfig> ParseLoadTestConfig(std::string_view text, const std::string& file, const fs::path& base_dir) {
  ASSIGN_OR_RETURN(const YamlNode root, ParseYaml(text, file));
  if (root.kind == YamlNode::Kind::kNull) return BadInput(fmt::format("{}: the configuration is empty", file));
  YamlErrors errors(file);
  YamlMap map(root, "the configuration", errors);
  LoadTestConfig config;
  if (const YamlNode* server = map.Child("server")) {
    config.server = run::ReadServer(*server, base_dir, errors);
  } else {
    errors.Add(map.line(), "\"server\" is missing; give server: {url: http://127.0.0.1:8000}");
  }
  if (const YamlNode* node = map.Child("workload")) config.workload = workload::ReadWorkload(*node, base_dir, errors);
  ReadRest(map, errors, config);
  map.RefuseUnknownKeys();
  if (!errors.empty()) return errors.first();
  if (const Status status = CheckConfig(config); !status.ok()) return Annotate(file, status.error());
  return config;
}

Result<LoadTestConfig> ReadLoadTestConfig(const fs::path& file) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(file));
  return ParseLoadTestConfig(text, file.string(), file.parent_path());
}

Status CheckConfig(const LoadTestConfig& config) {
  const bool users = config.kind == LoadKind::kUsers;
  if (users != config.workload.conversations.has_value()) {
    return BadInput(users ? "load.users needs a workload with conversations: {turns: N, think_s: S}"
                          : "a workload with conversations is driven by load.users, which is missing");
  }
  if (config.kind == LoadKind::kReplay && !config.workload.trace)
    return BadInput("load.replay needs a workload with trace: {path: FILE}");
  if (config.search && !config.objectives.Any())
    return BadInput("search needs objectives, e.g. objectives: {ttft_s: 1, tpot_s: 0.05}");
  if (config.search && config.kind == LoadKind::kReplay)
    return BadInput("search varies clients, users or rates_per_s; a replayed trace has its own times");
  if (config.search && config.repeats > 1)
    return BadInput("search has its own repeats: search: {repeats: N}; leave repeats out");
  const bool open = config.kind == LoadKind::kRate || config.kind == LoadKind::kReplay;
  if (!open && config.cancel_share > 0) return BadInput("load.cancel_share needs an open loop: rates_per_s or replay");
  if (!open && config.most_in_flight > 0)
    return BadInput("load.most_in_flight limits an open loop; clients and users have as many in flight as there are of them");
  for (const double level : config.levels) {
    if (!open && level < config.threads) {
      return BadInput(
          fmt::format("{} {} cannot be divided among {} threads; use fewer threads", level, Name(config.kind), config.threads));
    }
  }
  return {};
}

Json ToJson(const LoadTestConfig& config) {
  Json json = {{"name", config.name},
               {"server", run::ToJson(config.server)},
               {"workload", workload::ToJson(config.workload)},
               {"load", LoadToJson(config)},
               {"warmup_requests", config.warmup_requests},
               {"most_error_share", config.most_error_share},
               {"deadlines", Json::object()},
               {"repeats", config.repeats},
               {"threads", config.threads},
               {"seed", config.seed},
               {"flush_cache", config.flush_cache},
               {"results_dir", config.results_dir.string()}};
  Put(json, "duration_s", config.duration_s);
  Put(json, "drain_s", config.drain_s);
  Put(json["deadlines"], "headers_s", config.deadlines.headers_s);
  Put(json["deadlines"], "first_token_s", config.deadlines.first_token_s);
  Put(json["deadlines"], "idle_s", config.deadlines.idle_s);
  if (config.objectives.Any()) json["objectives"] = Json::object();
  Put(json["objectives"], "ttft_s", config.objectives.ttft_s);
  Put(json["objectives"], "tpot_s", config.objectives.tpot_s);
  Put(json["objectives"], "e2e_s", config.objectives.e2e_s);
  if (!config.objectives.Any()) json.erase("objectives");
  if (config.search) {
    const load::SloSearchOptions& search = *config.search;
    json["search"] = {{"start", search.start},           {"lowest", search.lowest},
                      {"highest", search.highest},       {"target_share", search.target_share},
                      {"confidence", search.confidence}, {"resolution", search.resolution},
                      {"repeats", search.repeats},       {"max_probes", search.max_probes}};
  }
  return json;
}

// Server and workload have readers of their own; JSON is YAML, so that the other keys have one reader.
Result<LoadTestConfig> ConfigFromJson(const Json& json) {
  try {
    LoadTestConfig config;
    Json rest = json;
    config.server = run::ServerFromJson(rest.at("server"));
    ASSIGN_OR_RETURN(config.workload, workload::WorkloadFromJson(rest.at("workload")));
    rest.erase("server");
    rest.erase("workload");
    const std::string text = DumpJson(rest);
    ASSIGN_OR_RETURN(const YamlNode root, ParseYaml(text, "the stored configuration"));
    YamlErrors errors("the stored configuration");
    YamlMap map(root, "the configuration", errors);
    ReadRest(map, errors, config);
    map.RefuseUnknownKeys();
    if (!errors.empty()) return errors.first();
    return config;
  } catch (const Json::exception& error) {
    return BadInput(fmt::format("the stored configuration is not complete: {}", error.what()));
  }
}

}  // namespace moecap::loadtest
