// Texts out of YAML mappings, for the catalogues. Internal to the folder.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/yaml.h"

namespace moecap::workload {

// A text, or a list of texts; empty when `node` is null.
inline std::vector<std::string> ReadTexts(const YamlNode* node, YamlErrors& errors) {
  std::vector<std::string> texts;
  if (node == nullptr) return texts;
  if (node->kind == YamlNode::Kind::kScalar) texts.push_back(node->scalar);
  if (node->kind == YamlNode::Kind::kMap) errors.Add(node->line, "\"" + node->key + "\" must be a text or a list of texts");
  if (node->kind != YamlNode::Kind::kList) return texts;
  for (const YamlNode& item : node->items) {
    if (item.kind != YamlNode::Kind::kScalar) errors.Add(item.line, "\"" + node->key + "\" must be a list of texts");
    texts.push_back(item.scalar);
  }
  return texts;
}

inline std::string RequireText(YamlMap& map, std::string_view key) {
  auto text = map.String(key);
  if (!text || text->empty()) map.Complain(key, "\"" + std::string(key) + "\" is missing in " + map.where());
  return text.value_or("");
}

}  // namespace moecap::workload
