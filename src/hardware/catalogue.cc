#include "hardware/catalogue.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "base/nearest_word.h"
#include "hardware/builtin_catalogue.h"
#include "hardware/catalogue_json.h"

namespace moecap::hardware {
namespace {

constexpr double kMemoryTolerance = 0.25;

// Lower-case runs of letters and digits: "Intel(R) Xeon(R) Platinum 8480+" -> intel r xeon r platinum 8480.
std::vector<std::string> Words(std::string_view text) {
  std::vector<std::string> words;
  bool inside = false;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool part = std::isalnum(byte) != 0;
    if (part && !inside) words.emplace_back();
    if (part) words.back().push_back(static_cast<char>(std::tolower(byte)));
    inside = part;
  }
  return words;
}

std::string Normalized(std::string_view text) { return fmt::format("{}", fmt::join(Words(text), "")); }

// Words that tell nothing apart: vendors, units and what marketing puts around a name.
bool IsNeutral(const std::string& word) {
  constexpr std::array kNeutral = {"nvidia",      "amd",       "intel",      "apple",   "ati",    "tesla",       "geforce",
                                   "radeon",      "instinct",  "quadro",     "r",       "tm",     "cpu",         "gpu",
                                   "graphics",    "processor", "generation", "edition", "series", "corporation", "inc",
                                   "accelerator", "oam",       "hbm2",       "hbm2e",   "hbm3",   "hbm3e"};
  if (std::find(kNeutral.begin(), kNeutral.end(), word) != kNeutral.end()) return true;
  return word.ends_with("gb") && std::all_of(word.begin(), word.end() - 2, [](char c) { return c >= '0' && c <= '9'; });
}

std::vector<std::string> TellingWords(std::string_view text) {
  std::vector<std::string> words = Words(text);
  std::erase_if(words, IsNeutral);
  return words;
}

std::vector<std::string_view> NamesOf(const Device& device) {
  std::vector<std::string_view> names = {device.id, device.name};
  names.insert(names.end(), device.aliases.begin(), device.aliases.end());
  return names;
}

bool HasName(const Device& device, const std::string& normalized) {
  const auto names = NamesOf(device);
  return std::any_of(names.begin(), names.end(), [&](std::string_view name) { return Normalized(name) == normalized; });
}

using Entries = std::vector<std::pair<std::string, Json>>;  // id -> merged entry, in order of first mention

// Lays the entries of `layer[key]` over `entries`.
Status MergeLayer(const Json& layer, const char* key, Entries& entries) {
  const auto list = layer.find(key);
  if (list == layer.end()) return {};
  if (!list->is_array()) return BadInput(fmt::format("'{}' is not a list", key));
  for (size_t i = 0; i < list->size(); ++i) {
    const Json& entry = (*list)[i];
    if (!entry.is_object() || !entry.contains("id") || !entry["id"].is_string()) {
      return BadInput(fmt::format("{}[{}] has no 'id'", key, i));
    }
    const auto id = entry["id"].get<std::string>();
    auto found = std::find_if(entries.begin(), entries.end(), [&](const auto& known) { return known.first == id; });
    if (found == entries.end()) found = entries.insert(entries.end(), {id, Json::object()});
    found->second.merge_patch(entry);
  }
  return {};
}

Status CheckLayerKeys(const Json& layer) {
  if (!layer.is_object()) return BadInput("a catalogue is a JSON object with 'devices' and 'links'");
  for (const auto& [key, value] : layer.items()) {
    if (key != "about" && key != "schema" && key != "devices" && key != "links")
      return BadInput(fmt::format("unknown key '{}'", key));
  }
  if (layer.contains("schema") && layer["schema"] != 1) return BadInput("this program reads schema 1");
  return {};
}

// No id, name or alias may lead to two devices, and no link into the void.
Status CheckReferences(const std::vector<Device>& devices, const std::vector<Link>& links) {
  std::map<std::string, std::string> owner;
  for (const Device& device : devices) {
    for (const std::string_view name : NamesOf(device)) {
      const auto [found, is_new] = owner.emplace(Normalized(name), device.id);
      if (!is_new && found->second != device.id) {
        return BadInput(fmt::format("'{}' names two devices, {} and {}", name, found->second, device.id));
      }
    }
    for (const std::string& id : {device.host_link, device.scale_up_link}) {
      const bool known = id.empty() || std::any_of(links.begin(), links.end(), [&](const Link& link) { return link.id == id; });
      if (!known) return BadInput(fmt::format("device {} names the link '{}', which does not exist", device.id, id));
    }
  }
  return {};
}

std::optional<size_t> FindSequence(const std::vector<std::string>& words, const std::vector<std::string>& sequence) {
  const auto found = std::search(words.begin(), words.end(), sequence.begin(), sequence.end());
  return found == words.end() || sequence.empty() ? std::nullopt : std::optional<size_t>(found - words.begin());
}

// Words of the longest name of `device` that occurs in `words`; 0 = none.
size_t LongestName(const Device& device, const std::vector<std::string>& words) {
  size_t longest = 0;
  for (const std::string_view name : NamesOf(device)) {
    const auto sequence = TellingWords(name);
    if (FindSequence(words, sequence)) longest = std::max(longest, sequence.size());
  }
  return longest;
}

// The nearest id by letters, then those that share a telling word with `name`; at most three.
std::vector<std::string> NearestIds(const std::vector<Device>& devices, std::string_view name) {
  constexpr size_t kMost = 3;
  std::vector<std::string> ids;
  for (const Device& device : devices) ids.push_back(device.id);
  std::vector<std::string> near;
  if (std::string nearest = NearestWord(name, ids); !nearest.empty()) near.push_back(std::move(nearest));
  const std::vector<std::string> words = TellingWords(name);
  for (const Device& device : devices) {
    const std::vector<std::string> own = TellingWords(device.name + " " + device.id);
    const bool shares = std::any_of(words.begin(), words.end(), [&](const std::string& word) {
      const bool numbered = std::any_of(word.begin(), word.end(), [](char c) { return c >= '0' && c <= '9'; });
      return numbered && std::find(own.begin(), own.end(), word) != own.end();
    });
    const bool is_new = std::find(near.begin(), near.end(), device.id) == near.end();
    if (shares && is_new && near.size() < kMost) near.push_back(device.id);
  }
  return near;
}

double MemoryDistance(const Device& device, std::optional<double> memory_bytes) {
  if (!memory_bytes || !device.memory_bytes || *device.memory_bytes <= 0) return 0;
  return std::abs(*memory_bytes / *device.memory_bytes - 1);
}

}  // namespace

std::string_view DeploymentClass(const Device& device) {
  if (device.device_class == "datacenter") return "cloud";
  if (device.laptop) return "laptop";
  if (device.device_class == "phone") return "phone";
  for (const std::string_view desk : {"workstation", "consumer", "unified"}) {
    if (device.device_class == desk) return "workstation";
  }
  return "";
}

std::optional<double> DensePeak(const Device& device, std::string_view dtype) {
  constexpr std::pair<std::string_view, std::optional<double> DensePeaks::*> kPeaks[] = {
      {"fp32", &DensePeaks::fp32}, {"tf32", &DensePeaks::tf32}, {"bf16", &DensePeaks::bf16}, {"fp16", &DensePeaks::fp16},
      {"fp8", &DensePeaks::fp8},   {"fp4", &DensePeaks::fp4},   {"int8", &DensePeaks::int8}};
  for (const auto& [name, peak] : kPeaks) {
    if (name == dtype) return device.peaks.*peak;
  }
  return std::nullopt;
}

Result<Catalogue> Catalogue::Parse(std::span<const CatalogueLayer> layers) {
  Entries devices;
  Entries links;
  for (const CatalogueLayer& layer : layers) {
    const auto json = ParseJson(layer.text);
    if (!json) return Annotate(layer.name, json.error());
    Status status = CheckLayerKeys(*json);
    if (status) status = MergeLayer(*json, "devices", devices);
    if (status) status = MergeLayer(*json, "links", links);
    if (!status) return Annotate(layer.name, status.error());
  }
  const std::string origin = layers.empty() ? "" : layers.back().name;
  Catalogue catalogue;
  for (const auto& [id, json] : devices) {
    auto device = DeviceFromJson(json);
    if (!device) return Annotate(fmt::format("{}: device {}", origin, id), device.error());
    catalogue.devices_.push_back(*std::move(device));
  }
  for (const auto& [id, json] : links) {
    auto link = LinkFromJson(json);
    if (!link) return Annotate(fmt::format("{}: link {}", origin, id), link.error());
    catalogue.links_.push_back(*std::move(link));
  }
  if (const Status status = CheckReferences(catalogue.devices_, catalogue.links_); !status)
    return Annotate(origin, status.error());
  return catalogue;
}

Result<Catalogue> Catalogue::Builtin() {
  const std::array<CatalogueLayer, 2> layers = {
      {{"built-in devices", BuiltinDevicesText()}, {"built-in links", BuiltinLinksText()}}};
  return Parse(layers);
}

Result<Catalogue> Catalogue::BuiltinWith(const CatalogueLayer& user) {
  const std::array<CatalogueLayer, 3> layers = {
      {{"built-in devices", BuiltinDevicesText()}, {"built-in links", BuiltinLinksText()}, user}};
  return Parse(layers);
}

Result<Device> Catalogue::FindDevice(std::string_view name) const {
  const std::string wanted = Normalized(name);
  for (const Device& device : devices_) {
    if (HasName(device, wanted)) return device;
  }
  if (const auto device = MatchPciId(name, std::nullopt)) return *device;
  const std::vector<std::string> near = NearestIds(devices_, name);
  return BadInput(
      fmt::format("no device '{}' in the catalogue{}; `moecap hardware list` shows all, `moecap hardware probe` measures this "
                  "machine, and an "
                  "entry in a file of your own adds a device (docs/hardware.md)",
                  name, near.empty() ? "" : fmt::format(", did you mean '{}'?", fmt::join(near, "', '"))));
}

std::vector<Device> Catalogue::Search(std::string_view words) const {
  const std::vector<std::string> wanted = Words(words);
  std::vector<Device> found;
  for (const Device& device : devices_) {
    std::string text = Normalized(device.vendor);
    for (const std::string_view name : NamesOf(device)) text += " " + Normalized(name);
    for (const std::string& id : device.pci_ids) text += " " + Normalized(id);
    const bool fits = std::all_of(wanted.begin(), wanted.end(),
                                  [&](const std::string& word) { return text.find(word) != std::string::npos; });
    if (fits && !wanted.empty()) found.push_back(device);
  }
  return found;
}

Result<Link> Catalogue::FindLink(std::string_view id) const {
  std::vector<std::string> ids;
  for (const Link& link : links_) {
    if (link.id == id) return link;
    ids.push_back(link.id);
  }
  const std::string near = NearestWord(id, ids);
  return BadInput(
      fmt::format("no link '{}' in the catalogue{}", id, near.empty() ? "" : fmt::format(", did you mean '{}'?", near)));
}

std::optional<Device> Catalogue::MatchAccelerator(std::string_view name, std::optional<double> memory_bytes) const {
  const std::string normalized = Normalized(name);
  const std::vector<std::string> words = TellingWords(name);
  // Two boards may report one name and differ in memory only, so that even an exact name must be of the right size.
  const auto nearest = [&](const auto& fits) -> const Device* {
    const Device* best = nullptr;
    for (const Device& device : devices_) {
      if (!fits(device) || MemoryDistance(device, memory_bytes) > kMemoryTolerance) continue;
      if (best == nullptr || MemoryDistance(device, memory_bytes) < MemoryDistance(*best, memory_bytes)) best = &device;
    }
    return best;
  };
  const Device* found = nearest([&](const Device& device) { return HasName(device, normalized); });
  // Every telling word must belong to the name: "RTX 4090 D" and "RTX 4090 Laptop" are not the RTX 4090.
  if (found == nullptr && !words.empty()) {
    found = nearest([&](const Device& device) { return LongestName(device, words) == words.size(); });
  }
  return found == nullptr ? std::nullopt : std::optional(*found);
}

std::optional<Device> Catalogue::MatchPciId(std::string_view pci_id, std::optional<double> memory_bytes) const {
  std::vector<const Device*> found;
  for (const Device& device : devices_) {
    const bool has = std::find(device.pci_ids.begin(), device.pci_ids.end(), pci_id) != device.pci_ids.end();
    if (has && MemoryDistance(device, memory_bytes) <= kMemoryTolerance) found.push_back(&device);
  }
  if (found.empty() || (found.size() > 1 && !memory_bytes)) return std::nullopt;
  return **std::min_element(found.begin(), found.end(), [&](const Device* a, const Device* b) {
    return MemoryDistance(*a, memory_bytes) < MemoryDistance(*b, memory_bytes);
  });
}

std::optional<Device> Catalogue::MatchProcessor(std::string_view cpu_model) const {
  const std::vector<std::string> words = TellingWords(cpu_model);
  const Device* best = nullptr;
  size_t best_length = 0;
  for (const Device& device : devices_) {
    if (device.device_class != "cpu" && device.device_class != "unified") continue;
    const size_t length = LongestName(device, words);
    if (length <= best_length) continue;
    best = &device;
    best_length = length;
  }
  return best == nullptr ? std::nullopt : std::optional(*best);
}

}  // namespace moecap::hardware
