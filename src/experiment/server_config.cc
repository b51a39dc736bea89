#include "experiment/server_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

namespace moecap::experiment {
namespace {

// Names whose values are secrets. They would be stored with the run.
bool IsSecretName(std::string name) {
  std::ranges::transform(name, name.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  constexpr std::array kMarks = {"cookie", "auth", "key", "token", "secret"};
  return std::ranges::any_of(kMarks, [&](const char* mark) { return name.find(mark) != std::string::npos; });
}

// `headers` or `query`: names and their values.
std::map<std::string, std::string> ReadNamedValues(YamlMap& map, std::string_view key, std::string_view what,
                                                   YamlErrors& errors) {
  const YamlNode* node = map.Child(key);
  if (node == nullptr) return {};
  if (node->kind != YamlNode::Kind::kMap)
    errors.Add(node->line, fmt::format("\"{}\" must be a mapping of names to values", key));
  std::map<std::string, std::string> values;
  for (const YamlNode& entry : node->items) {
    if (entry.kind != YamlNode::Kind::kScalar) errors.Add(entry.line, fmt::format("{} {} must be text", what, entry.key));
    if (IsSecretName(entry.key) && !entry.scalar.starts_with('$')) {
      errors.Add(entry.line, fmt::format("{} {} looks like a secret, which must not be in a file; put it into an "
                                         "environment variable and write {}: $NAME, or use api_key_env",
                                         what, entry.key, entry.key));
    }
    values[entry.key] = entry.scalar;
  }
  return values;
}

// What the node says in JSON: plain scalars as the number or word that they spell, quoted ones as text.
Json JsonOf(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::kNull:
      return nullptr;
    case YamlNode::Kind::kList: {
      Json list = Json::array();
      for (const YamlNode& item : node.items) list.push_back(JsonOf(item));
      return list;
    }
    case YamlNode::Kind::kMap: {
      Json object = Json::object();
      for (const YamlNode& item : node.items) object[item.key] = JsonOf(item);
      return object;
    }
    case YamlNode::Kind::kScalar:
      break;
  }
  if (!node.quoted && (node.scalar == "true" || node.scalar == "false")) return node.scalar == "true";
  if (!node.quoted && ParseNumber(node.scalar)) {
    if (auto number = ParseJson(node.scalar); number.ok()) return std::move(number).value();
    return *ParseNumber(node.scalar);
  }
  return node.scalar;
}

std::map<std::string, std::string> ReadBody(YamlMap& map, YamlErrors& errors) {
  const YamlNode* node = map.Child("body");
  if (node == nullptr) return {};
  if (node->kind != YamlNode::Kind::kMap)
    errors.Add(node->line, "\"body\" must be a mapping of members of the request to their values");
  // Not the user's to change there: what is asked belongs to the workload, and `stream` decides how the answer is read.
  constexpr std::array kOthers = {"stream", "prompt", "messages", "input", "inputs", "input_ids"};
  std::map<std::string, std::string> body;
  for (const YamlNode& entry : node->items) {
    if (std::ranges::find(kOthers, entry.key) != kOthers.end()) {
      errors.Add(entry.key_line, fmt::format("\"body\" cannot set \"{}\"; {}", entry.key,
                                             entry.key == "stream" ? "use the key stream of the server"
                                                                   : "what is asked comes from the workload or the data set"));
    }
    body.emplace(entry.key, DumpJson(JsonOf(entry)));
  }
  return body;
}

// Text of these characters only.
std::string ReadWord(YamlMap& map, std::string_view key, std::string_view example) {
  const std::string word = map.String(key).value_or("");
  const bool plain = std::ranges::all_of(word, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
  if (!plain) map.Complain(key, fmt::format("\"{}\" is \"{}\"; it must be a name like {}", key, word, example));
  return word;
}

std::string ReadPath(YamlMap& map) {
  const std::string path = map.String("path").value_or("");
  const bool usable = std::ranges::all_of(path, [](char c) { return c > ' ' && c < '\x7f' && c != '?' && c != '#'; });
  if (!path.empty() && (!path.starts_with('/') || !usable)) {
    map.Complain("path",
                 fmt::format("\"path\" is \"{}\"; it must be like /openai/deployments/NAME/chat/completions; what stands "
                             "behind a '?' goes into query",
                             path));
  }
  return path;
}

// Greedy unless another one is given; null: none is sent.
std::optional<double> ReadTemperature(YamlMap& map) {
  const YamlNode* node = map.Child("temperature");
  if (node == nullptr) return 0;
  if (node->kind == YamlNode::Kind::kNull) return std::nullopt;
  const auto value = map.Number("temperature");
  if (value && !(*value >= 0 && *value <= 10))
    map.Complain("temperature", fmt::format("\"temperature\" is {}; it must be from 0 to 10, or null to send none", *value));
  return value;
}

// The names in a URL's query are as those of `query`.
void CheckUrls(const std::vector<std::string>& urls, YamlMap& map) {
  for (const std::string& url : urls) {
    const size_t question = url.find('?');
    if (question == std::string::npos) continue;
    for (size_t at = question + 1; at < url.size();) {
      const size_t end = std::min(url.find('&', at), url.size());
      const std::string name = url.substr(at, std::min(url.find('=', at), end) - at);
      if (IsSecretName(name)) {
        map.Complain("url",
                     fmt::format("the URL's {} looks like a secret, which must not be in a file; write query: {{{}: $NAME}} "
                                 "and put it into that environment variable",
                                 name, name));
      }
      at = end + 1;
    }
  }
}

// A text, or a list of them.
std::vector<std::string> ReadTexts(YamlMap& map, std::string_view key) {
  const YamlNode* node = map.Child(key);
  if (node == nullptr) return {};
  if (node->kind == YamlNode::Kind::kScalar) return {node->scalar};
  std::vector<std::string> texts;
  for (const YamlNode& entry : node->items) {
    if (entry.kind != YamlNode::Kind::kScalar) map.Complain(key, fmt::format("\"{}\" must be text or a list of texts", key));
    texts.push_back(entry.scalar);
  }
  return texts;
}

double ReadSeconds(YamlMap& map, std::string_view key, double otherwise) {
  const auto value = map.Number(key);
  if (value && !(*value > 0 && *value <= 1e6))
    map.Complain(key, fmt::format("\"{}\" is {}; it must be above 0 and at most 1000000", key, *value));
  return value.value_or(otherwise);
}

}  // namespace

ServerConfig ReadServer(const YamlNode& node, const std::filesystem::path& base_dir, bool needs_url, YamlErrors& errors) {
  YamlMap map(node, "server", errors);
  ServerConfig server;
  server.urls = ReadTexts(map, "url");
  CheckUrls(server.urls, map);
  if (server.urls.empty() && needs_url)
    errors.Add(map.line(), "\"url\" is missing in server; give one like http://127.0.0.1:8000");
  server.api = map.String("api").value_or(server.api);
  server.kind = map.String("kind").value_or("");
  server.model = map.String("model").value_or("");
  server.api_key_env = map.String("api_key_env").value_or("");
  const auto path = [&](std::string_view key) {
    const auto value = map.String(key);
    return value ? (base_dir / *value).lexically_normal() : std::filesystem::path();
  };
  server.api_key_file = path("api_key_file");
  server.ca = path("ca");
  server.pass_records = path("pass_records");
  server.insecure = map.Boolean("insecure").value_or(false);
  server.headers = ReadNamedValues(map, "headers", "header", errors);
  server.source_addresses = ReadTexts(map, "source_addresses");
  server.stream = map.Boolean("stream").value_or(true);
  server.body = ReadBody(map, errors);
  server.max_tokens_field = ReadWord(map, "max_tokens_field", "max_completion_tokens");
  server.temperature = ReadTemperature(map);
  server.path = ReadPath(map);
  server.query = ReadNamedValues(map, "query", "query parameter", errors);
  server.api_key_header = ReadWord(map, "api_key_header", "api-key");
  if (!server.api_key_header.empty() && server.api_key_env.empty() && server.api_key_file.empty())
    map.Complain("api_key_header", "\"api_key_header\" says where the key is sent; give one by api_key_env or api_key_file");
  server.timeout_s = ReadSeconds(map, "timeout_s", server.timeout_s);
  server.connect_timeout_s = ReadSeconds(map, "connect_timeout_s", server.connect_timeout_s);
  map.RefuseUnknownKeys();
  return server;
}

}  // namespace moecap::experiment
