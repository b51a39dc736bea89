#include "experiment/load_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace moecap::experiment {
namespace {

using record::LoadKind;

constexpr std::array kKinds = {LoadKind::kClients, LoadKind::kRate, LoadKind::kUsers, LoadKind::kReplay};
constexpr std::array kGapShapes = {workload::GapShape::kConstant, workload::GapShape::kExponential, workload::GapShape::kGamma,
                                   workload::GapShape::kWeibull};
constexpr std::array kGapWords = {"constant gaps", "Poisson arrivals", "gamma gaps", "Weibull gaps"};

constexpr int64_t kMostClients = 1'000'000;
constexpr double kMostRate = 1e6;

// A number, or a list of them; ascending, each once.
std::vector<double> ReadList(const YamlNode& node, double least, double most, bool whole, YamlErrors& errors) {
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
  std::ranges::sort(levels);
  levels.erase(std::unique(levels.begin(), levels.end()), levels.end());
  return levels;
}

double ReadAtLeast(YamlMap& map, std::string_view key, double least, double otherwise) {
  const auto value = map.Number(key);
  if (value && *value < least) map.Complain(key, fmt::format("\"{}\" is {}; it must be at least {}", key, *value, least));
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

void ReadKind(YamlMap& map, YamlErrors& errors, LoadConfig& load) {
  int given = 0;
  for (const LoadKind kind : kKinds) {
    const std::string_view key = Name(kind);
    const YamlNode* node = map.Child(key);
    if (node == nullptr) continue;
    load.kind = kind;
    if (++given > 1) map.Complain(key, "give one of clients, rates_per_s, users and replay");
    if (kind == LoadKind::kReplay) {
      if (map.Boolean(key) == false) map.Complain(key, "\"replay\" can only be true; leave it out otherwise");
      load.levels = {1};
    } else {
      const bool rate = kind == LoadKind::kRate;
      load.levels = ReadList(*node, rate ? 1e-6 : 1, rate ? kMostRate : kMostClients, !rate, errors);
    }
  }
}

void ReadLoad(const YamlNode& node, YamlErrors& errors, LoadConfig& load) {
  YamlMap map(node, "load", errors);
  ReadKind(map, errors, load);
  if (const auto gaps = map.Choice("arrivals", {"constant", "poisson", "gamma", "weibull"}))
    load.arrivals.gaps = kGapShapes[*gaps];
  load.arrivals.shape = ReadPositive(map, "shape").value_or(1);
  load.arrivals.burst = static_cast<int>(map.Integer("burst", 1, 1'000'000).value_or(1));
  if (const YamlNode* ramp = map.Child("ramp")) ReadRamp(*ramp, errors, load.arrivals);
  load.start_over_s = ReadAtLeast(map, "start_over_s", 0, 0);
  load.most_in_flight = map.Integer("most_in_flight", 0, kMostClients).value_or(0);
  load.cancel_share = ReadWithin(map, "cancel_share", 0, 1, 0);
  load.cancel_after_s = ReadAtLeast(map, "cancel_after_s", 0, load.cancel_after_s);
  map.RefuseUnknownKeys();
}

void ReadSearch(const YamlNode& node, YamlErrors& errors, Config& config) {
  const bool is_rate = config.load.kind == LoadKind::kRate;
  YamlMap map(node, "search", errors);
  load::SloSearchOptions search;
  search.start = ReadPositive(map, "start").value_or(config.load.levels.front());
  search.lowest = ReadPositive(map, "lowest").value_or(is_rate ? search.lowest : 1);
  search.highest = ReadPositive(map, "highest").value_or(is_rate ? search.highest : 4096);
  search.target_share = ReadWithin(map, "target_share", 0, 1, search.target_share);
  search.confidence = ReadWithin(map, "confidence", 0, 1, search.confidence);
  search.resolution = ReadPositive(map, "resolution").value_or(search.resolution);
  search.repeats = static_cast<int>(map.Integer("repeats", 1, 1000).value_or(search.repeats));
  search.max_probes = static_cast<int>(map.Integer("max_probes", 1, 10000).value_or(search.max_probes));
  search.whole_numbers = !is_rate;
  map.RefuseUnknownKeys();
  config.search = search;
}

Status CheckOpenLoop(const Config& config) {
  if (record::IsOpenLoop(config.load.kind)) return {};
  if (config.load.cancel_share > 0) return BadInput("load.cancel_share needs an open loop: rates_per_s or replay");
  if (config.load.most_in_flight > 0)
    return BadInput("load.most_in_flight limits an open loop; clients and users have as many in flight as there are of them");
  for (const double level : config.load.levels) {
    if (level < config.client_threads && !config.search) {
      return BadInput(fmt::format("{} {} cannot be divided among {} client threads; use fewer (client_threads, --threads)",
                                  level, Name(config.load.kind), config.client_threads));
    }
  }
  return {};
}

}  // namespace

std::optional<double> ReadPositive(YamlMap& map, std::string_view key) {
  const auto value = map.Number(key);
  if (value && !(*value > 0)) map.Complain(key, fmt::format("\"{}\" is {}; it must be above 0", key, *value));
  return value;
}

double ReadWithin(YamlMap& map, std::string_view key, double least, double most, double otherwise) {
  const auto value = map.Number(key);
  if (value && !(*value >= least && *value <= most))
    map.Complain(key, fmt::format("\"{}\" is {}; it must be from {} to {}", key, *value, least, most));
  return value.value_or(otherwise);
}

void ReadDeadlines(const YamlNode& node, YamlErrors& errors, Deadlines& deadlines) {
  YamlMap map(node, "deadlines", errors);
  deadlines.headers_s = ReadPositive(map, "headers_s");
  deadlines.first_token_s = ReadPositive(map, "first_token_s");
  deadlines.idle_s = ReadPositive(map, "idle_s");
  map.RefuseUnknownKeys();
}

void ReadObjectives(const YamlNode& node, std::string_view where, YamlErrors& errors, metrics::LatencyObjectives& objectives) {
  YamlMap map(node, std::string(where), errors);
  objectives.ttft_s = ReadPositive(map, "ttft_s");
  objectives.tpot_s = ReadPositive(map, "tpot_s");
  objectives.e2e_s = ReadPositive(map, "e2e_s");
  map.RefuseUnknownKeys();
}

void ReadLevels(YamlMap& map, YamlErrors& errors, Config& config) {
  const YamlNode* load = map.Child("load");
  const YamlNode* concurrency = map.Child("concurrency");  // as version 0.1 of `moecap run` called load: {clients: ...}
  if (load != nullptr && concurrency != nullptr) map.Complain("concurrency", "give one of \"load\" and \"concurrency\"");
  if (load != nullptr) ReadLoad(*load, errors, config.load);
  if (concurrency != nullptr) config.load.levels = ReadList(*concurrency, 1, kMostClients, true, errors);
  if (const YamlNode* node = map.Child("objectives")) ReadObjectives(*node, "objectives", errors, config.objectives);
  if (const YamlNode* node = map.Child("search")) ReadSearch(*node, errors, config);
}

Status CheckLoad(const Config& config) {
  const bool users = config.load.kind == LoadKind::kUsers;
  const bool converses = config.workload.conversations.has_value();
  if (converses && !users) return BadInput("a workload with conversations is driven by load.users, which is missing");
  if (users && !converses && !config.problems)
    return BadInput("load.users needs a workload with conversations: {turns: N, think_s: S}, or a dataset");
  if (config.load.kind == LoadKind::kReplay && !config.workload.trace)
    return BadInput("load.replay needs a workload with trace: {path: FILE}");
  if (config.search && !config.objectives.Any())
    return BadInput("search needs objectives, e.g. objectives: {ttft_s: 1, tpot_s: 0.05}");
  if (config.search && config.load.kind == LoadKind::kReplay)
    return BadInput("search varies clients, users or rates_per_s; a replayed trace has its own times");
  if (config.search && config.repeats > 1)
    return BadInput("search has its own repeats: search: {repeats: N}; leave repeats out");
  return CheckOpenLoop(config);
}

std::string DescribeLoad(const Config& config) {
  const LoadConfig& load = config.load;
  std::string text;
  switch (load.kind) {
    case LoadKind::kClients:
      text = "closed loop";
      break;
    case LoadKind::kUsers:
      text = "conversations of users";
      break;
    case LoadKind::kReplay:
      text = "open loop, times of the trace";
      break;
    case LoadKind::kRate:
      text = fmt::format("open loop, {}", kGapWords[static_cast<size_t>(load.arrivals.gaps)]);
      if (load.arrivals.gaps == workload::GapShape::kGamma || load.arrivals.gaps == workload::GapShape::kWeibull)
        text += fmt::format(" of shape {}", load.arrivals.shape);
      if (load.arrivals.burst > 1) text += fmt::format(", bursts of {}", load.arrivals.burst);
      if (!load.arrivals.ramp.empty()) text += ", with a ramp";
      text += fmt::format(", seed {}", config.seed);
  }
  if (config.duration_s) text += fmt::format(", {} s", *config.duration_s);
  if (load.start_over_s > 0) text += fmt::format(", started over {} s", load.start_over_s);
  if (load.cancel_share > 0)
    text += fmt::format(", {:.3g} % cancelled after {} s", 100 * load.cancel_share, load.cancel_after_s);
  return text;
}

}  // namespace moecap::experiment
