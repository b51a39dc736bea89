#include "workload/workload_config.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

namespace moecap::workload {
namespace {

constexpr int64_t kLeastVocabulary = 256;

// What a key may be.
struct Limits {
  double least, most;
  bool whole;
};
constexpr Limits kLengthLimits = {1, static_cast<double>(kMostLength), true};
constexpr Limits kTurnLimits = {1, 10000, true};
constexpr Limits kThinkLimits = {0, 1e6, false};

constexpr std::array kShapeNames = {"fixed", "uniform", "normal", "lognormal", "exponential"};  // in the order of the enum
constexpr std::array kSaltNames = {"unique", "run", "none"};

// A number within the limits, or a complaint.
std::optional<double> ReadWithin(YamlMap& map, std::string_view key, const Limits& limits) {
  const auto value = map.Number(key);
  if (!value) return std::nullopt;
  const bool is_whole = *value == std::floor(*value);
  if (*value >= limits.least && *value <= limits.most && (is_whole || !limits.whole)) return value;
  map.Complain(key, fmt::format("\"{}\" is {:.15g}; it must be a {}number from {:.15g} to {:.15g}", key, *value,
                                limits.whole ? "whole " : "", limits.least, limits.most));
  return std::nullopt;
}

ValueDistribution ReadShape(const YamlNode& node, std::string_view key, const Limits& limits, YamlErrors& errors) {
  YamlMap map(node, std::string(key), errors);
  ValueDistribution value;
  const auto shape = map.Choice("distribution", {"fixed", "uniform", "normal", "lognormal", "exponential"});
  if (!shape) errors.Add(node.line, fmt::format("\"{}\" needs distribution: uniform, normal, lognormal or exponential", key));
  value.shape = static_cast<DistributionShape>(shape.value_or(0));
  const bool has_mean = value.shape != DistributionShape::kUniform;
  const bool has_stddev = value.shape == DistributionShape::kNormal || value.shape == DistributionShape::kLognormal;
  const auto read = [&](const char* name, bool wanted) {
    const auto number = map.Number(name);
    if (wanted && !number) errors.Add(map.line(), fmt::format("{} needs \"{}\"", key, name));
    if (!wanted && number)
      map.Complain(name, fmt::format("\"{}\" has no meaning for a {} distribution", name,
                                     kShapeNames[static_cast<size_t>(value.shape)]));
    return number.value_or(0);
  };
  value.mean = read("mean", has_mean);
  value.stddev = read("stddev", has_stddev);
  const auto min = ReadWithin(map, "min", limits);
  const auto max = ReadWithin(map, "max", limits);
  if (!has_mean && !(min && max))
    errors.Add(map.line(), fmt::format("{}: a uniform distribution needs \"min\" and \"max\"", key));
  value.min = min.value_or(limits.least);
  value.max = max.value_or(limits.most);
  map.RefuseUnknownKeys();
  if (value.shape == DistributionShape::kFixed) value = FixedValue(value.mean);
  if (const Status check = CheckDistribution(value); !check.ok())
    errors.Add(node.line, fmt::format("{}: {}", key, check.error().message));
  if (value.min < limits.least || value.max > limits.most)
    errors.Add(node.line, fmt::format("{}: values must be from {:.15g} to {:.15g}", key, limits.least, limits.most));
  return value;
}

std::optional<ValueDistribution> ReadValue(YamlMap& map, std::string_view key, const Limits& limits, YamlErrors& errors) {
  const YamlNode* node = map.Child(key);
  if (node == nullptr) return std::nullopt;
  if (node->kind == YamlNode::Kind::kMap) return ReadShape(*node, key, limits, errors);
  const auto number = ReadWithin(map, key, limits);
  return FixedValue(number.value_or(limits.least));
}

std::filesystem::path ReadPath(YamlMap& map, const std::filesystem::path& base_dir, YamlErrors& errors) {
  const auto path = map.String("path");
  if (!path || path->empty()) errors.Add(map.line(), fmt::format("\"path\" is missing in {}; name the file", map.where()));
  return (base_dir / path.value_or("")).lexically_normal();
}

DatasetSource ReadDataset(const YamlNode& node, const std::filesystem::path& base_dir, YamlErrors& errors) {
  DatasetSource source;
  if (node.kind == YamlNode::Kind::kScalar) {
    source.path = (base_dir / node.scalar).lexically_normal();
    return source;
  }
  YamlMap map(node, "dataset", errors);
  source.path = ReadPath(map, base_dir, errors);
  source.shuffle = map.Boolean("shuffle").value_or(false);
  map.RefuseUnknownKeys();
  return source;
}

TraceSource ReadTrace(const YamlNode& node, const std::filesystem::path& base_dir, YamlErrors& errors) {
  TraceSource source;
  if (node.kind == YamlNode::Kind::kScalar) {
    source.path = (base_dir / node.scalar).lexically_normal();
    return source;
  }
  YamlMap map(node, "trace", errors);
  source.path = ReadPath(map, base_dir, errors);
  source.time_scale = map.Number("time_scale").value_or(1);
  if (!(source.time_scale > 0 && source.time_scale <= 1e6))
    map.Complain("time_scale", fmt::format("\"time_scale\" is {:g}; it must be above 0, e.g. 0.5 to replay twice as fast",
                                           source.time_scale));
  source.from_s = map.Number("from_s").value_or(0);
  if (!(source.from_s >= 0)) map.Complain("from_s", fmt::format("\"from_s\" is {:g}; it must be at least 0", source.from_s));
  source.block_tokens = map.Integer("block_tokens", 1, 1'000'000).value_or(source.block_tokens);
  source.max_input_tokens = map.Integer("max_input_tokens", 1, kMostLength);
  map.RefuseUnknownKeys();
  return source;
}

SharedPrefix ReadSharedPrefix(const YamlNode& node, YamlErrors& errors) {
  YamlMap map(node, "shared_prefix", errors);
  SharedPrefix prefix;
  if (map.Child("tokens") == nullptr) errors.Add(map.line(), "shared_prefix needs \"tokens\", the length of the prefix");
  prefix.tokens = map.Integer("tokens", 1, kMostLength).value_or(1);
  prefix.groups = map.Integer("groups", 1, kMostRequests).value_or(prefix.groups);
  prefix.share = map.Number("share").value_or(prefix.share);
  if (!(prefix.share >= 0 && prefix.share <= 1))
    map.Complain("share", fmt::format("\"share\" is {:g}; it is a part of the requests, from 0 to 1", prefix.share));
  map.RefuseUnknownKeys();
  return prefix;
}

Conversations ReadConversations(const YamlNode& node, YamlErrors& errors) {
  YamlMap map(node, "conversations", errors);
  Conversations conversations;
  const auto turns = ReadValue(map, "turns", kTurnLimits, errors);
  if (!turns) errors.Add(map.line(), "conversations needs \"turns\", the number of the user's messages");
  conversations.turns = turns.value_or(FixedValue(1));
  conversations.think_s = ReadValue(map, "think_s", kThinkLimits, errors).value_or(FixedValue(0));
  map.RefuseUnknownKeys();
  return conversations;
}

void ReadVocabulary(YamlMap& map, WorkloadConfig& config) {
  const auto range = map.Integers("vocabulary", 0, std::numeric_limits<int32_t>::max());
  if (range.empty()) return;
  if (range.size() != 2 || range[1] - range[0] < kLeastVocabulary) {
    map.Complain("vocabulary",
                 fmt::format("\"vocabulary\" must be [from, to) with at least {} ids, e.g. [1000, 30000]", kLeastVocabulary));
    return;
  }
  config.vocabulary_from = range[0];
  config.vocabulary_to = range[1];
  config.vocabulary_is_given = true;
}

// Keys that have no effect together, or contradict each other.
void CheckTogether(YamlMap& map, const WorkloadConfig& config) {
  const auto refuse = [&](const char* key, bool applies, const char* reason) {
    if (applies && map.Child(key) != nullptr) map.Complain(key, fmt::format("\"{}\" {}", key, reason));
  };
  const bool from_file = config.dataset || config.trace;
  refuse("trace", config.dataset.has_value(), "and \"dataset\" exclude each other; give one");
  refuse("input_tokens", from_file, "has no effect: the lengths are those of the data set or trace; leave it out");
  refuse("shared_prefix", from_file, "has no effect: the prompts are those of the data set or trace; leave it out");
  refuse("output_tokens", config.trace.has_value(), "has no effect: the lengths are those of the trace; leave it out");
  refuse("conversations", config.trace.has_value(), "cannot be put onto a trace, which has its own times; leave it out");
  refuse("max_output_tokens", !from_file, "is for data sets and traces; give output_tokens");
  refuse("text", (config.dataset || config.conversations) && !config.text,
         "cannot be false: data sets and conversations are text; leave it out");
  refuse("vocabulary", config.text, "is for token ids, and these prompts are text; leave it out");
  if (config.shared_prefix && !from_file && config.input_tokens.min <= static_cast<double>(config.shared_prefix->tokens)) {
    map.Complain("shared_prefix",
                 fmt::format("a prefix of {} tokens leaves nothing of prompts of {:.15g} tokens, of which it is "
                             "a part; give input_tokens (or its min) above {}",
                             config.shared_prefix->tokens, config.input_tokens.min, config.shared_prefix->tokens));
  }
}

Json ToJson(const ValueDistribution& value) {
  if (value.shape == DistributionShape::kFixed) return value.mean;
  Json json = {{"distribution", kShapeNames[static_cast<size_t>(value.shape)]}};
  if (value.shape != DistributionShape::kUniform) json["mean"] = value.mean;
  if (value.stddev > 0) json["stddev"] = value.stddev;
  json["min"] = value.min;
  json["max"] = value.max;
  return json;
}

Json ToJson(const TraceSource& trace) {
  Json json = {{"path", trace.path.string()},
               {"time_scale", trace.time_scale},
               {"from_s", trace.from_s},
               {"block_tokens", trace.block_tokens}};
  if (trace.max_input_tokens) json["max_input_tokens"] = *trace.max_input_tokens;
  return json;
}

}  // namespace

WorkloadConfig ReadWorkload(const YamlNode& node, const std::filesystem::path& base_dir, YamlErrors& errors) {
  YamlMap map(node, "workload", errors);
  WorkloadConfig config;
  config.input_tokens = ReadValue(map, "input_tokens", kLengthLimits, errors).value_or(config.input_tokens);
  config.input_is_given = map.Child("input_tokens") != nullptr;
  config.output_tokens = ReadValue(map, "output_tokens", kLengthLimits, errors);
  config.exact_output = map.Boolean("exact_output");
  config.max_output_tokens = map.Integer("max_output_tokens", 1, kMostLength);
  ReadVocabulary(map, config);
  if (const YamlNode* dataset = map.Child("dataset")) config.dataset = ReadDataset(*dataset, base_dir, errors);
  if (const YamlNode* trace = map.Child("trace")) config.trace = ReadTrace(*trace, base_dir, errors);
  if (const YamlNode* prefix = map.Child("shared_prefix")) config.shared_prefix = ReadSharedPrefix(*prefix, errors);
  if (const YamlNode* turns = map.Child("conversations")) config.conversations = ReadConversations(*turns, errors);
  config.text = map.Boolean("text").value_or(config.dataset || config.conversations);
  config.salt = static_cast<SaltScope>(map.Choice("salt", {"unique", "run", "none"}).value_or(0));
  config.seed = static_cast<uint64_t>(map.Integer("seed", 0, std::numeric_limits<int64_t>::max()).value_or(1));
  config.requests = map.Integer("requests", 1, kMostRequests);
  CheckTogether(map, config);
  map.RefuseUnknownKeys();
  return config;
}

Json ToJson(const WorkloadConfig& config) {
  Json json = Json::object();
  const bool from_file = config.dataset || config.trace;
  if (!from_file) json["input_tokens"] = ToJson(config.input_tokens);
  if (config.output_tokens) json["output_tokens"] = ToJson(*config.output_tokens);
  if (config.exact_output) json["exact_output"] = *config.exact_output;
  if (config.max_output_tokens) json["max_output_tokens"] = *config.max_output_tokens;
  json["text"] = config.text;
  if (!config.text) json["vocabulary"] = {config.vocabulary_from, config.vocabulary_to};
  if (config.dataset) json["dataset"] = {{"path", config.dataset->path.string()}, {"shuffle", config.dataset->shuffle}};
  if (config.trace) json["trace"] = ToJson(*config.trace);
  if (config.shared_prefix) {
    json["shared_prefix"] = {{"tokens", config.shared_prefix->tokens},
                             {"groups", config.shared_prefix->groups},
                             {"share", config.shared_prefix->share}};
  }
  if (config.conversations)
    json["conversations"] = {{"turns", ToJson(config.conversations->turns)},
                             {"think_s", ToJson(config.conversations->think_s)}};
  json["salt"] = kSaltNames[static_cast<size_t>(config.salt)];
  json["seed"] = config.seed;
  if (config.requests) json["requests"] = *config.requests;
  return json;
}

Result<WorkloadConfig> WorkloadFromJson(const Json& json) {
  // JSON is YAML, so that the keys have one reader.
  ASSIGN_OR_RETURN(const YamlNode node, ParseYaml(DumpJson(json), "the stored key workload"));
  YamlErrors errors("the stored key workload");
  WorkloadConfig config = ReadWorkload(node, {}, errors);
  if (!errors.empty()) return errors.first();
  return config;
}

}  // namespace moecap::workload
