#include "planner/system_support.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <set>

#include "base/json_fields.h"
#include "model/json_at.h"

namespace moecap::planner {
namespace {

using model::LowerCase;

constexpr std::string_view kAnyVendor = "*", kAnyDevice = "any";

// "qwen3_moe", "Qwen3-MoE" -> "qwen3moe"
std::string Plain(std::string_view name) {
  std::string plain;
  for (const char c : LowerCase(name)) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0) plain += c;
  }
  return plain;
}

std::vector<const ModelFamily*> FamiliesOf(std::span<const ModelFamily> families, const model::ModelSpec& model) {
  std::vector<const ModelFamily*> found;
  const std::string wanted = Plain(model.model_type);
  for (const ModelFamily& family : families) {
    const bool named = std::any_of(family.model_types.begin(), family.model_types.end(),
                                   [&](const std::string& type) { return Plain(type) == wanted; });
    if (named || (!family.gguf.empty() && Plain(family.gguf) == wanted)) found.push_back(&family);
  }
  return found;
}

}  // namespace

// For json_fields.h, in the namespace of the structs.
void Fields(auto& archive, JsonFieldsOf<RunningDefault> auto& value) {
  archive("requests", value.requests);
  archive("large_requests", value.large_requests);
  archive("large_bytes", value.large_bytes);
  archive("not_large", value.not_large);
  archive("processor_requests", value.processor_requests);
  archive("most_requests", value.most_requests);
  archive("state_share", value.state_share);
  archive("states", value.states);
  archive("source", value.source);
}
void Fields(auto& archive, JsonFieldsOf<SystemRelease> auto& value) {
  archive("system", value.name);
  archive("version", value.version);
  archive("date", value.date);
  archive("source", value.source);
  archive("weights", value.weights);
  archive("running", value.running);
}
void Fields(auto& archive, JsonFieldsOf<ModelFamily> auto& value) {
  archive("architecture", value.architecture);
  archive("model_types", value.model_types);
  archive("gguf", value.gguf);
  archive("systems", value.systems);
  archive("needs", value.needs);
}

Result<SystemSupport> SystemSupport::Parse(std::string_view text) {
  ASSIGN_OR_RETURN(const Json document, ParseJson(text));
  SystemSupport support;
  if (!document.is_object() || !document.contains("systems") || !document.contains("models"))
    return BadInput("system support: needs the lists 'systems' and 'models'");
  ASSIGN_OR_RETURN(support.systems_,
                   FromJsonFields<std::vector<SystemRelease>>(document["systems"], "system support: systems"));
  ASSIGN_OR_RETURN(support.families_, FromJsonFields<std::vector<ModelFamily>>(document["models"], "system support: models"));
  std::set<std::string> names;
  for (const SystemRelease& system : support.systems_) {
    if (system.name.empty() || system.version.empty() || system.source.empty() || system.date.empty())
      return BadInput(fmt::format("system support: '{}' needs system, version, date and source", system.name));
    const RunningDefault& running = system.running;
    if (running.requests < 0 || running.states < 1 || running.state_share < 0 || running.state_share >= 1 ||
        (running.requests > 0 && running.source.empty()))
      return BadInput(fmt::format(
          "system support: {}: running needs requests, a source, states of 1 and more and a share below 1", system.name));
    if (!names.insert(system.name).second) return BadInput(fmt::format("system support: {} is there twice", system.name));
  }
  std::set<std::string> architectures;
  for (const ModelFamily& family : support.families_) {
    if (family.architecture.empty()) return BadInput("system support: a model has no architecture");
    if (!architectures.insert(family.architecture).second)
      return BadInput(fmt::format("system support: {} is there twice", family.architecture));
    std::vector<std::string> named = family.systems;
    for (const auto& [system, type] : family.needs) named.push_back(system);
    for (const std::string& system : named) {
      if (!names.contains(system))
        return BadInput(fmt::format("system support: {}: '{}' is not among the systems", family.architecture, system));
    }
  }
  return support;
}

Result<SystemSupport> SystemSupport::Builtin() { return Parse(BuiltinSystemSupportText()); }

SystemSupport SystemSupport::ForBatches() const {
  SystemSupport batches = *this;
  for (SystemRelease& system : batches.systems_) system.running.most_requests = 0;
  return batches;
}

const SystemRelease* SystemSupport::Find(std::string_view system) const {
  const auto at = std::find_if(systems_.begin(), systems_.end(), [&](const SystemRelease& one) { return one.name == system; });
  return at == systems_.end() ? nullptr : &*at;
}

Served SystemSupport::Serves(std::string_view system, const model::ModelSpec& model) const {
  const std::vector<const ModelFamily*> families = FamiliesOf(families_, model);
  if (families.empty() || Find(system) == nullptr) return Served::kUnknown;
  const bool any = std::any_of(families.begin(), families.end(), [&](const ModelFamily* family) {
    return std::find(family->systems.begin(), family->systems.end(), system) != family->systems.end();
  });
  return any ? Served::kYes : Served::kNo;
}

Served SystemSupport::Serves(std::string_view system, const model::ModelSpec& model, const hardware::Device& device) const {
  if (const Served served = Serves(system, model); served != Served::kYes) return served;
  const std::vector<const ModelFamily*> families = FamiliesOf(families_, model);
  const bool any = std::any_of(families.begin(), families.end(), [&](const ModelFamily* family) {
    if (std::find(family->systems.begin(), family->systems.end(), system) == family->systems.end()) return false;
    const auto need = family->needs.find(std::string(system));
    return need == family->needs.end() || hardware::DensePeak(device, need->second).has_value();
  });
  return any ? Served::kYes : Served::kNo;
}

std::string WeightKind(std::string_view type) {
  const std::string lower = LowerCase(type);
  const std::string name = lower.substr(0, lower.find('-'));
  if (name.empty() || name == "bf16" || name == "f16" || name == "f32" || name == "fp16" || name == "fp32") return "plain";
  const size_t q = name.find('q');
  if (q != std::string::npos && q < 2 && q + 1 < name.size() && std::isdigit(static_cast<unsigned char>(name[q + 1])) != 0)
    return "gguf";  // q4_k, iq4_xs, tq2_0
  return name;
}

bool SystemSupport::Loads(std::string_view system, std::string_view type, const hardware::Device& device) const {
  const SystemRelease* const release = Find(system);
  if (release == nullptr) return true;
  const std::string kind = WeightKind(type);
  const auto listed = [&](const SystemRelease& one) { return one.weights.contains(kind); };
  if (!listed(*release)) return std::none_of(systems_.begin(), systems_.end(), listed);  // a type that nobody was asked about
  const auto& vendors = release->weights.at(kind);
  auto need = vendors.find(device.vendor);
  if (need == vendors.end()) need = vendors.find(std::string(kAnyVendor));
  return need != vendors.end() && (need->second == kAnyDevice || hardware::DensePeak(device, need->second).has_value());
}

std::string SystemSupport::WhyNotModel(std::string_view system, const model::ModelSpec& model) const {
  const SystemRelease* const release = Find(system);
  return fmt::format("{} ({}) has no {}", system, release ? release->version : "", model.model_type);
}

std::string SystemSupport::WhyNotModel(std::string_view system, const model::ModelSpec& model,
                                       const hardware::Device& device) const {
  return WhyNotModel(system, model) + (Serves(system, model) == Served::kYes ? " on " + device.name : "");
}

std::string SystemSupport::WhyNotType(std::string_view system, std::string_view type, const hardware::Device& device) const {
  const SystemRelease* const release = Find(system);
  const bool anywhere = release && release->weights.contains(WeightKind(type));
  return fmt::format("{} ({}) takes no weights in {}{}", system, release ? release->version : "", type,
                     anywhere ? " on " + device.name : "");
}

}  // namespace moecap::planner
