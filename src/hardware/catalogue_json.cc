#include "hardware/catalogue_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "base/nearest_word.h"
#include "hardware/catalogue.h"

namespace moecap::hardware {
namespace {

constexpr double kGiga = 1e9;
constexpr double kTera = 1e12;
constexpr double kGib = 1024.0 * 1024 * 1024;
constexpr double kMicro = 1e-6;
constexpr double kKilo = 1e3;

// Reads the keys of one object. The first error sticks; Finish reports it, or a key that nobody asked for.
class EntryReader {
 public:
  explicit EntryReader(const Json& json) : json_(json) {}

  void Text(const char* key, std::string& out, bool required = true) {
    const Json* value = Get(key, required);
    if (value == nullptr) return;
    if (!value->is_string() || (required && value->get<std::string>().empty())) return Fail(key, "is not a text");
    out = value->get<std::string>();
  }

  void Texts(const char* key, std::vector<std::string>& out) {
    const Json* value = Get(key, false);
    if (value == nullptr) return;
    const bool sound =
        value->is_array() && std::all_of(value->begin(), value->end(), [](const Json& item) { return item.is_string(); });
    if (!sound) return Fail(key, "is not a list of texts");
    for (const Json& item : *value) out.push_back(item.get<std::string>());
  }

  // "10de:2335": four small hexadecimal digits each.
  void PciIds(const char* key, std::vector<std::string>& out) {
    std::vector<std::string> ids;
    Texts(key, ids);
    for (const std::string& id : ids) {
      const bool sound = id.size() == 9 && id[4] == ':' && id.find_first_not_of("0123456789abcdef:") == std::string::npos &&
                         std::count(id.begin(), id.end(), ':') == 1;
      if (!sound) return Fail(key, fmt::format("has '{}'; a PCI number is written like 10de:2335", id));
    }
    out = std::move(ids);
  }

  // The value times `factor`: from the file's unit to the SI base unit.
  void Number(const char* key, std::optional<double>& out, double factor = 1) {
    const Json* value = Get(key, false);
    if (value == nullptr) return;
    if (!value->is_number()) return Fail(key, "is not a number");
    const auto number = value->get<double>();
    if (!std::isfinite(number) || number < 0) return Fail(key, "is negative or not finite");
    out = number * factor;
  }

  void Required(const char* key, double& out, double factor = 1) {
    std::optional<double> value;
    Number(key, value, factor);
    if (!value || *value <= 0) return Fail(key, "is missing or not above 0");
    out = *value;
  }

  void Integer(const char* key, std::optional<int>& out) {
    const Json* value = Get(key, false);
    if (value == nullptr) return;
    if (!value->is_number_integer() || *value < 0 || *value > 1000000)
      return Fail(key, "is not a whole number, or out of range");
    out = value->get<int>();
  }

  void Bool(const char* key, bool& out) {
    const Json* value = Get(key, false);
    if (value == nullptr) return;
    if (!value->is_boolean()) return Fail(key, "is neither true nor false");
    out = value->get<bool>();
  }

  void Prices(const char* key, PriceRange& out) {
    const Json* value = Get(key, false);
    if (value == nullptr) return;
    if (!value->is_object()) return Fail(key, "is not an object with low, typical, high");
    EntryReader range(*value);
    range.Number("low", out.low);
    range.Number("typical", out.typical);
    range.Number("high", out.high);
    if (const Status status = range.Finish(); !status) return Fail(key, ": " + status.error().message);
    const double typical = out.typical.value_or(out.low.value_or(0));
    if (out.low.value_or(typical) > typical || out.high.value_or(typical) < typical) Fail(key, "is not low <= typical <= high");
  }

  void Peaks(const char* key, DensePeaks& out) {
    const Json* value = Get(key, false);
    if (value == nullptr) return;
    if (!value->is_object()) return Fail(key, "is not an object");
    EntryReader peaks(*value);
    peaks.Number("fp32", out.fp32, kTera);
    peaks.Number("tf32", out.tf32, kTera);
    peaks.Number("bf16", out.bf16, kTera);
    peaks.Number("fp16", out.fp16, kTera);
    peaks.Number("fp8", out.fp8, kTera);
    peaks.Number("fp4", out.fp4, kTera);
    peaks.Number("int8", out.int8, kTera);
    if (const Status status = peaks.Finish(); !status) Fail(key, ": " + status.error().message);
  }

  void ConfidenceLevel(const char* key, Confidence& out) {
    std::string word;
    Text(key, word);
    if (word == "high") out = Confidence::kHigh;
    if (word == "medium") out = Confidence::kMedium;
    if (word != "high" && word != "medium" && word != "low") Fail(key, "is none of high, medium, low");
  }

  Status Finish() {
    if (!status_) return status_;
    const std::vector<std::string> known(known_.begin(), known_.end());
    for (const auto& [key, value] : json_.items()) {
      if (known_.contains(key)) continue;
      const std::string near = NearestWord(key, known);
      return BadInput(fmt::format("unknown key '{}'{}", key, near.empty() ? "" : fmt::format("; did you mean '{}'?", near)));
    }
    return {};
  }

 private:
  const Json* Get(const char* key, bool required) {
    known_.insert(key);
    const auto found = json_.find(key);
    if (found != json_.end() && !found->is_null()) return &*found;
    if (required) Fail(key, "is missing");
    return nullptr;
  }

  void Fail(const char* key, std::string_view what) {
    if (status_) status_ = BadInput(fmt::format("'{}' {}", key, what));
  }

  const Json& json_;
  std::set<std::string> known_;
  Status status_;
};

template <typename T>
void PutOrNull(Json& json, const char* key, const std::optional<T>& value) {
  json[key] = value ? Json(*value) : Json(nullptr);
}

Json RangeToJson(const PriceRange& range) {
  const auto or_null = [](const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); };
  if (!range.low && !range.typical && !range.high) return nullptr;
  return {{"low", or_null(range.low)}, {"typical", or_null(range.typical)}, {"high", or_null(range.high)}};
}

const char* ConfidenceName(Confidence confidence) {
  switch (confidence) {
    case Confidence::kHigh:
      return "high";
    case Confidence::kMedium:
      return "medium";
    case Confidence::kLow:
      break;
  }
  return "low";
}

}  // namespace

Result<Device> DeviceFromJson(const Json& json) {
  Device device;
  EntryReader reader(json);
  reader.Text("id", device.id);
  reader.Text("vendor", device.vendor);
  reader.Text("name", device.name);
  reader.Text("class", device.device_class);
  reader.Texts("aliases", device.aliases);
  reader.PciIds("pci_ids", device.pci_ids);
  std::optional<int> year;
  reader.Integer("year", year);
  device.year = year.value_or(0);
  reader.Text("memory_type", device.memory_type, false);
  reader.Number("memory_gib", device.memory_bytes, kGib);
  reader.Number("bandwidth_gb_per_s", device.bandwidth_bytes_per_s, kGiga);
  reader.Integer("cores", device.cores);
  reader.Integer("memory_channels", device.memory_channels);
  reader.Peaks("dense_tflops", device.peaks);
  reader.Number("tdp_w", device.tdp_w);
  reader.Prices("price_usd", device.price_usd);
  reader.Prices("rent_usd_per_h", device.rent_usd_per_h);
  reader.Bool("unified_memory", device.unified_memory);
  reader.Bool("laptop", device.laptop);
  reader.Text("host_link", device.host_link, false);
  reader.Text("scale_up_link", device.scale_up_link, false);
  reader.Integer("scale_up_devices", device.scale_up_devices);
  reader.ConfidenceLevel("confidence", device.confidence);
  reader.Text("source", device.source);
  reader.Text("date", device.date);
  RETURN_IF_ERROR(reader.Finish());
  return device;
}

Result<Link> LinkFromJson(const Json& json) {
  Link link;
  EntryReader reader(json);
  reader.Text("id", link.id);
  reader.Text("class", link.link_class);
  reader.Text("name", link.name);
  reader.Text("generation", link.generation, false);
  reader.Integer("lanes", link.lanes);
  reader.Required("gb_per_s", link.bytes_per_s, kGiga);
  reader.Number("both_directions_gb_per_s", link.both_directions_bytes_per_s, kGiga);
  reader.Number("latency_us", link.latency_s, kMicro);
  reader.Number("random_read_kiops", link.random_reads_per_s, kKilo);
  reader.Number("price_usd_per_gb", link.price_usd_per_gb);
  std::optional<int> year;
  reader.Integer("year", year);
  link.year = year.value_or(0);
  reader.Text("note", link.note, false);
  reader.Text("source", link.source);
  reader.Text("date", link.date);
  RETURN_IF_ERROR(reader.Finish());
  return link;
}

Json ToJson(const Device& device) {
  Json json = {
      {"id", device.id},           {"vendor", device.vendor},   {"name", device.name}, {"class", device.device_class},
      {"aliases", device.aliases}, {"pci_ids", device.pci_ids}, {"year", device.year}, {"memory_type", device.memory_type}};
  PutOrNull(json, "memory_bytes", device.memory_bytes);
  PutOrNull(json, "bandwidth_bytes_per_s", device.bandwidth_bytes_per_s);
  PutOrNull(json, "cores", device.cores);
  PutOrNull(json, "memory_channels", device.memory_channels);
  Json peaks = Json::object();
  for (const char* dtype : {"fp32", "tf32", "bf16", "fp16", "fp8", "fp4", "int8"})
    PutOrNull(peaks, dtype, DensePeak(device, dtype));
  json["dense_flops_per_s"] = std::move(peaks);
  PutOrNull(json, "tdp_w", device.tdp_w);
  json["price_usd"] = RangeToJson(device.price_usd);
  json["rent_usd_per_h"] = RangeToJson(device.rent_usd_per_h);
  json["unified_memory"] = device.unified_memory;
  json["laptop"] = device.laptop;
  json["host_link"] = device.host_link.empty() ? Json(nullptr) : Json(device.host_link);
  json["scale_up_link"] = device.scale_up_link.empty() ? Json(nullptr) : Json(device.scale_up_link);
  PutOrNull(json, "scale_up_devices", device.scale_up_devices);
  json["confidence"] = ConfidenceName(device.confidence);
  json["source"] = device.source;
  json["date"] = device.date;
  return json;
}

Json ToJson(const Link& link) {
  Json json = {{"id", link.id}, {"class", link.link_class}, {"name", link.name}, {"generation", link.generation}};
  PutOrNull(json, "lanes", link.lanes);
  json["bytes_per_s"] = link.bytes_per_s;
  PutOrNull(json, "both_directions_bytes_per_s", link.both_directions_bytes_per_s);
  PutOrNull(json, "latency_s", link.latency_s);
  PutOrNull(json, "random_reads_per_s", link.random_reads_per_s);
  PutOrNull(json, "price_usd_per_gb", link.price_usd_per_gb);
  json["year"] = link.year;
  if (!link.note.empty()) json["note"] = link.note;
  json["source"] = link.source;
  json["date"] = link.date;
  return json;
}

}  // namespace moecap::hardware
