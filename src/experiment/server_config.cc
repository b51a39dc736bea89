#include "experiment/server_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace moecap::experiment {
namespace {

// Names whose values are secrets. They would be stored with the run.
bool IsSecretHeader(std::string name) {
  std::ranges::transform(name, name.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  constexpr std::array kMarks = {"cookie", "auth", "key", "token", "secret"};
  return std::ranges::any_of(kMarks, [&](const char* mark) { return name.find(mark) != std::string::npos; });
}

std::map<std::string, std::string> ReadHeaders(const YamlNode& node, YamlErrors& errors) {
  if (node.kind != YamlNode::Kind::kMap) errors.Add(node.line, "\"headers\" must be a mapping of names to values");
  std::map<std::string, std::string> headers;
  for (const YamlNode& entry : node.items) {
    if (entry.kind != YamlNode::Kind::kScalar) errors.Add(entry.line, fmt::format("header {} must be text", entry.key));
    if (IsSecretHeader(entry.key) && !entry.scalar.starts_with('$')) {
      errors.Add(entry.line, fmt::format("header {} looks like a secret, which must not be in a file; put it into an "
                                         "environment variable and write {}: $NAME, or use api_key_env",
                                         entry.key, entry.key));
    }
    headers[entry.key] = entry.scalar;
  }
  return headers;
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

ServerConfig ReadServer(const YamlNode& node, const std::filesystem::path& base_dir, YamlErrors& errors) {
  YamlMap map(node, "server", errors);
  ServerConfig server;
  server.urls = ReadTexts(map, "url");
  if (server.urls.empty()) errors.Add(map.line(), "\"url\" is missing in server; give one like http://127.0.0.1:8000");
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
  server.insecure = map.Boolean("insecure").value_or(false);
  if (const YamlNode* headers = map.Child("headers")) server.headers = ReadHeaders(*headers, errors);
  server.source_addresses = ReadTexts(map, "source_addresses");
  server.stream = map.Boolean("stream").value_or(true);
  server.timeout_s = ReadSeconds(map, "timeout_s", server.timeout_s);
  server.connect_timeout_s = ReadSeconds(map, "connect_timeout_s", server.connect_timeout_s);
  map.RefuseUnknownKeys();
  return server;
}

}  // namespace moecap::experiment
