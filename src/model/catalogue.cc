#include "model/catalogue.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "base/nearest_word.h"
#include "model/builtin_models.h"
#include "model/hf_config.h"

namespace moecap::model {
namespace {

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return lower;
}

std::string TextAt(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

template <typename T>
std::optional<T> NumberAt(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number()) return std::nullopt;
  return found->get<T>();
}

Result<CatalogueModel> ReadEntry(const Json& json) {
  CatalogueModel entry;
  if (!json.is_object()) return BadInput("an entry is not an object");
  entry.id = TextAt(json, "id");
  if (entry.id.empty()) return BadInput("an entry has no 'id'");
  const auto config = json.find("config");
  if (config == json.end() || !config->is_object()) return BadInput(fmt::format("{}: 'config' is missing", entry.id));
  entry.config_json = DumpJson(*config);
  if (const auto aliases = json.find("aliases"); aliases != json.end() && aliases->is_array()) {
    for (const Json& alias : *aliases) {
      if (alias.is_string()) entry.aliases.push_back(alias.get<std::string>());
    }
  }
  entry.config_source = TextAt(json, "config_source");
  if (entry.config_source.empty()) return BadInput(fmt::format("{}: 'config_source' is missing", entry.id));
  entry.config_provenance = TextAt(json, "config_provenance");
  entry.published_total_params = NumberAt<double>(json, "published_total_params");
  entry.published_active_params = NumberAt<double>(json, "published_active_params");
  entry.checkpoint_total_params = NumberAt<int64_t>(json, "checkpoint_total_params");
  entry.checkpoint_counts = TextAt(json, "checkpoint_counts");
  entry.checkpoint_difference = NumberAt<int64_t>(json, "checkpoint_difference").value_or(0);
  entry.vision_params = NumberAt<int64_t>(json, "vision_params").value_or(0);
  entry.integer_table_entries = NumberAt<int64_t>(json, "integer_table_entries").value_or(0);
  entry.note = TextAt(json, "note");
  return entry;
}

std::string WithoutPublisher(std::string_view id) { return Lower(id.substr(id.find('/') + 1)); }

bool IsNamed(const CatalogueModel& entry, const std::string& lower) {
  if (Lower(entry.id) == lower) return true;
  return std::any_of(entry.aliases.begin(), entry.aliases.end(),
                     [&](const std::string& alias) { return Lower(alias) == lower; });
}

}  // namespace

Result<ModelCatalogue> ModelCatalogue::Parse(std::string_view text) {
  ASSIGN_OR_RETURN(const Json json, ParseJson(text));
  const auto models = json.find("models");
  if (models == json.end() || !models->is_array()) return BadInput("model catalogue: the list 'models' is missing");
  ModelCatalogue catalogue;
  for (const Json& model : *models) {
    ASSIGN_OR_RETURN(CatalogueModel entry, ReadEntry(model));
    for (const CatalogueModel& other : catalogue.models_) {
      if (IsNamed(other, Lower(entry.id))) return BadInput(fmt::format("model catalogue: '{}' occurs twice", entry.id));
    }
    catalogue.models_.push_back(std::move(entry));
  }
  return catalogue;
}

Result<ModelCatalogue> ModelCatalogue::Builtin() { return Parse(BuiltinModelsText()); }

Result<CatalogueModel> ModelCatalogue::Find(std::string_view name) const {
  const std::string lower = Lower(name);
  std::vector<std::string> names;
  const CatalogueModel* by_short_name = nullptr;
  int short_matches = 0;
  for (const CatalogueModel& entry : models_) {
    if (IsNamed(entry, lower)) return entry;
    bool matches = WithoutPublisher(entry.id) == lower;
    names.push_back(entry.id);
    for (const std::string& alias : entry.aliases) {
      names.push_back(alias);
      matches = matches || WithoutPublisher(alias) == lower;
    }
    if (!matches) continue;
    by_short_name = &entry;
    ++short_matches;
  }
  if (short_matches == 1) return *by_short_name;
  if (short_matches > 1)
    return BadInput(fmt::format("the model name '{}' fits several models; add the publisher, as in 'Qwen/...'", name));
  const std::string nearest = NearestWord(std::string(name), names);
  return BadInput(fmt::format("the model '{}' is not in the catalogue{}; give a config.json or a .gguf file instead", name,
                              nearest.empty() ? "" : fmt::format(" (did you mean '{}'?)", nearest)));
}

Result<ModelSpec> SpecOf(const CatalogueModel& entry, std::string_view id) {
  Result<ModelSpec> spec = SpecFromConfigText(entry.config_json, std::string(id));
  if (!spec.ok()) return Annotate(entry.id, spec.error());
  return spec;
}

}  // namespace moecap::model
