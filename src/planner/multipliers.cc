#include "planner/multipliers.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <tuple>

#include "base/check.h"
#include "base/json.h"

namespace moecap::planner {
namespace {

// As wide as that of a device that was not fitted, though its own runs on two machines were (docs/planner.md, "Our own runs").
constexpr const char* kNotPublic = "assumption: no public measurement of this system was fitted";

// The keys that every catalogue must have, and where each goes.
struct Field {
  std::string_view key;
  double StepFactors::*factor;
};
constexpr Field kFields[] = {
    {"expert_stream", &StepFactors::expert_stream},
    {"weight_stream", &StepFactors::weight_stream},
    {"kv_stream", &StepFactors::kv_stream},
    {"matrix_time", &StepFactors::matrix_time},
    {"weight_only_time", &StepFactors::weight_only_time},
    {"collective_time", &StepFactors::collective_time},
    {"interference_time", &StepFactors::interference_time},
    {"expert_overhead_s", &StepFactors::expert_overhead_s},
    {"layer_s", &StepFactors::layer_s},
    {"layer_s_per_element", &StepFactors::layer_s_per_element},
    {"quantise_layer_s", &StepFactors::quantise_layer_s},
    {"indexer_layer_s", &StepFactors::indexer_layer_s},
    {"sync_s", &StepFactors::sync_s},
    {"sequence_s", &StepFactors::sequence_s},
    {"host_stream", &StepFactors::host_stream},
    {"host_matrix_time", &StepFactors::host_matrix_time},
    {"link_stream", &StepFactors::link_stream},
    {"ssd_stream", &StepFactors::ssd_stream},
    {"prefill_time", &StepFactors::prefill_time},
    {"prefill_collective_time", &StepFactors::prefill_collective_time},
    {"admission_s", &StepFactors::admission_s},
    {"prefill_layer_s", &StepFactors::prefill_layer_s},
    {"bunching", &StepFactors::bunching},
    {"waiting_steps", &StepFactors::waiting_steps},
};
// Keys with these prefixes name a system, a generation or a device class behind the dot.
constexpr std::string_view kPrefixes[] = {"layer_time",  "generation_time", "stream_time",  "ttft_time",
                                          "kv_time",     "tile_operations", "logit_s",      "vector_time",
                                          "packed_time", "replay_time",     "prompt_waves", "widened_prompt_time",
                                          "replay_s"};

bool IsKnownKey(std::string_view key) {
  if (std::any_of(std::begin(kFields), std::end(kFields), [&](const Field& field) { return field.key == key; })) return true;
  const size_t dot = key.find('.');
  return dot != std::string_view::npos && dot + 1 < key.size() &&
         std::find(std::begin(kPrefixes), std::end(kPrefixes), key.substr(0, dot)) != std::end(kPrefixes);
}

std::string TextAt(const Json& entry, const char* key) {
  const auto at = entry.find(key);
  return at != entry.end() && at->is_string() ? at->get<std::string>() : "";
}

std::optional<double> NumberAt(const Json& entry, const char* key) {
  const auto at = entry.find(key);
  return at != entry.end() && at->is_number() ? std::optional(at->get<double>()) : std::nullopt;
}

Result<Multiplier> ReadEntry(const Json& entry) {
  Multiplier multiplier;
  multiplier.key = TextAt(entry, "key");
  if (!IsKnownKey(multiplier.key)) return BadInput(fmt::format("multipliers: '{}' is not a known key", multiplier.key));
  const auto value = NumberAt(entry, "value");
  multiplier.least = NumberAt(entry, "least").value_or(0);
  if (!value || !(*value >= multiplier.least) || !(*value < 1e6))
    return BadInput(fmt::format("multipliers: {}: needs a value of {:g} or more", multiplier.key, multiplier.least));
  multiplier.value = *value;
  multiplier.prior = NumberAt(entry, "prior").value_or(*value);
  if (!(multiplier.prior >= multiplier.least && multiplier.prior > 0))
    return BadInput(fmt::format("multipliers: {}: its prior is below its least", multiplier.key));
  multiplier.unit = TextAt(entry, "unit");
  multiplier.meaning = TextAt(entry, "meaning");
  multiplier.source = TextAt(entry, "source");
  multiplier.rows = NumberAt(entry, "rows").value_or(0);
  if (multiplier.meaning.empty() || multiplier.source.empty())
    return BadInput(fmt::format("multipliers: {}: needs a meaning and a source", multiplier.key));
  return multiplier;
}

std::vector<std::string> IdsOf(const Json& list) {
  std::vector<std::string> ids;
  for (const Json& id : list) {
    if (id.is_string()) ids.push_back(id.get<std::string>());
  }
  return ids;
}

Result<ErrorBand> ReadBand(const Json& document, const char* key) {
  const auto bands = document.find("bands");
  if (bands == document.end() || !bands->is_object() || !bands->contains(key) || !(*bands)[key].is_object())
    return BadInput(fmt::format("multipliers: bands.{} is missing", key));
  const Json& entry = (*bands)[key];
  ErrorBand band{NumberAt(entry, "low").value_or(0), NumberAt(entry, "high").value_or(0), TextAt(entry, "basis")};
  if (!(band.low > 0 && band.low <= 1 && band.high >= 1) || band.basis.empty())
    return BadInput(fmt::format("multipliers: bands.{} needs low (0..1), high (1 or more) and basis", key));
  return band;
}

Result<LaunchEffect> ReadLaunch(const Json& document) {
  const auto launches = document.find("launches");
  if (launches == document.end() || !launches->is_object() || !launches->contains("default"))
    return BadInput("multipliers: launches.default is missing");
  const Json& entry = (*launches)["default"];
  LaunchEffect effect;
  for (const auto& [key, time, band] :
       {std::tuple("tpot", &effect.tpot_time, &effect.tpot), std::tuple("ttft", &effect.ttft_time, &effect.ttft)}) {
    const auto number = [&, of = key](const char* name) {  // clang 14 captures no structured binding as it is
      return NumberAt(entry, fmt::format("{}_{}", of, name).c_str()).value_or(0);
    };
    *time = number("time");
    *band = {number("low"), number("high"), TextAt(entry, "basis")};
    if (!(band->low > 0 && band->low <= *time && *time <= band->high) || band->basis.empty())
      return BadInput(
          fmt::format("multipliers: launches.default needs {0}_low, {0}_time and {0}_high, ascending, and basis", key));
  }
  return effect;
}

// A band of the prediction of that launch, from the band of tuned launches there, that of tuned launches where the effect was
// measured, and the effect of a default launch.
ErrorBand OfLaunch(const ErrorBand& tuned, const ErrorBand& reference, const ErrorBand& effect, double time, Launch launch) {
  if (launch == Launch::kTuned) return tuned;
  const double low = effect.low * tuned.low / reference.low, high = effect.high * tuned.high / reference.high;
  if (launch == Launch::kEither) {
    return {std::min(tuned.low, low), std::max(tuned.high, high),
            fmt::format("from tuned launches to those with default settings; {}", tuned.basis)};
  }
  const bool same = tuned.basis == reference.basis;
  return {std::min(1.0, low / time), std::max(1.0, high / time),
          same ? effect.basis : fmt::format("{}; assumed to hold here, too: {}", effect.basis, tuned.basis)};
}

}  // namespace

Result<Multipliers> Multipliers::Parse(std::string_view text) {
  ASSIGN_OR_RETURN(const Json document, ParseJson(text));
  const auto list = document.find("multipliers");
  if (list == document.end() || !list->is_array()) return BadInput("multipliers: no list of multipliers");
  Multipliers result;
  for (const Json& entry : *list) {
    ASSIGN_OR_RETURN(Multiplier multiplier, ReadEntry(entry));
    if (result.Find(multiplier.key)) return BadInput(fmt::format("multipliers: {} is there twice", multiplier.key));
    result.entries_.push_back(std::move(multiplier));
  }
  for (const Field& field : kFields) {
    if (!result.Find(field.key)) return BadInput(fmt::format("multipliers: {} is missing", field.key));
  }
  if (const auto generations = document.find("generations"); generations != document.end() && generations->is_object()) {
    for (const auto& [name, devices] : generations->items()) {
      Generation generation{name, IdsOf(devices)};
      result.generations_.push_back(std::move(generation));
    }
  }
  if (const auto measured = document.find("measured"); measured != document.end()) result.measured_ = IdsOf(*measured);
  ASSIGN_OR_RETURN(result.calibrated_, ReadBand(document, "calibrated"));
  ASSIGN_OR_RETURN(result.sibling_, ReadBand(document, "sibling"));
  ASSIGN_OR_RETURN(result.wide_, ReadBand(document, "wide"));
  ASSIGN_OR_RETURN(result.ttft_, ReadBand(document, "ttft"));
  ASSIGN_OR_RETURN(result.uncalibrated_, ReadBand(document, "uncalibrated"));
  ASSIGN_OR_RETURN(result.offloaded_, ReadBand(document, "offloaded"));
  ASSIGN_OR_RETURN(result.default_launch_, ReadLaunch(document));
  return result;
}

Result<Multipliers> Multipliers::Builtin() { return Parse(BuiltinMultipliersText()); }

Multipliers Multipliers::AtPriors() const {
  Multipliers priors = *this;
  for (Multiplier& entry : priors.entries_) {
    entry.value = entry.prior;
    entry.rows = 0;
  }
  return priors;
}

const Multiplier* Multipliers::Find(std::string_view key) const {
  const auto at = std::find_if(entries_.begin(), entries_.end(), [&](const Multiplier& entry) { return entry.key == key; });
  return at == entries_.end() ? nullptr : &*at;
}

void Multipliers::Set(std::string_view key, double value, double rows, std::string source) {
  const auto at = std::find_if(entries_.begin(), entries_.end(), [&](const Multiplier& entry) { return entry.key == key; });
  CHECK(at != entries_.end() && value >= at->least);
  at->value = value;
  at->rows = rows;
  if (!source.empty()) at->source = std::move(source);
}

double Multipliers::Factor(std::string_view prefix, std::string_view name, double otherwise) const {
  const Multiplier* const found = Find(fmt::format("{}.{}", prefix, name));
  return found ? found->value : otherwise;
}

std::string Multipliers::KernelsOf(std::string_view system, const hardware::Device& device) {
  if (system != "llama-server") return std::string(system);
  if (device.device_class == "cpu") return "llama-cpu";
  return device.vendor == "NVIDIA" ? "llama-cuda" : std::string(system);
}

std::string Multipliers::GenerationOf(const hardware::Device& device) const {
  for (const Generation& generation : generations_) {
    if (std::find(generation.devices.begin(), generation.devices.end(), device.id) != generation.devices.end())
      return generation.name;
  }
  return "";
}

bool Multipliers::Calibrated(const hardware::Device& device) const {
  return std::any_of(generations_.begin(), generations_.end(), [&](const Generation& generation) {
    const auto has = [&](const std::string& id) {
      return std::find(generation.devices.begin(), generation.devices.end(), id) != generation.devices.end();
    };
    return has(device.id) && std::any_of(measured_.begin(), measured_.end(), has);
  });
}

bool Multipliers::Measured(const hardware::Device& device) const {
  return std::find(measured_.begin(), measured_.end(), device.id) != measured_.end();
}

bool Multipliers::TellsLaunches(std::string_view system) const { return Find(fmt::format("ttft_time.{}", system)) != nullptr; }

ErrorBand Multipliers::BandOf(std::string_view system, const hardware::Device& device, bool offloaded, bool wide,
                              Launch launch) const {
  if (offloaded) return offloaded_;
  if (!TellsLaunches(system)) return {uncalibrated_.low, uncalibrated_.high, kNotPublic};
  const ErrorBand& tuned = !Calibrated(device) ? uncalibrated_ : wide ? wide_ : Measured(device) ? calibrated_ : sibling_;
  return OfLaunch(tuned, calibrated_, default_launch_.tpot, default_launch_.tpot_time, launch);
}

ErrorBand Multipliers::TtftBandOf(std::string_view system, const hardware::Device& device, bool offloaded, bool wide,
                                  Launch launch) const {
  const ErrorBand band = BandOf(system, device, offloaded, wide);
  const bool public_rows = Calibrated(device) && !offloaded && TellsLaunches(system);
  const ErrorBand tuned = {std::min(band.low, ttft_.low), std::max(band.high, ttft_.high),
                           public_rows ? ttft_.basis : band.basis};
  if (offloaded || !TellsLaunches(system)) return tuned;
  return OfLaunch(tuned, ttft_, default_launch_.ttft, default_launch_.ttft_time, launch);
}

StepFactors Multipliers::FactorsOf(std::string_view system, const hardware::Device& device, Launch launch) const {
  StepFactors factors;
  if (LaunchOf(system, launch) == Launch::kDefault) {
    factors.tpot_time = default_launch_.tpot_time;
    factors.ttft_time = default_launch_.ttft_time;
  }
  for (const Field& field : kFields) factors.*field.factor = Find(field.key)->value;
  const std::string kernels = KernelsOf(system, device);
  const double layer = Factor("layer_time", kernels) * Factor("generation_time", GenerationOf(device));
  for (double StepFactors::*latency : {&StepFactors::layer_s, &StepFactors::layer_s_per_element, &StepFactors::quantise_layer_s,
                                       &StepFactors::indexer_layer_s, &StepFactors::sync_s})
    factors.*latency *= layer;
  if (!Calibrated(device)) {
    const double stream = Factor("stream_time", device.device_class);
    for (double StepFactors::*bytes : {&StepFactors::expert_stream, &StepFactors::weight_stream, &StepFactors::kv_stream})
      factors.*bytes *= stream;
  }
  factors.kv_stream *= Factor("kv_time", kernels);
  factors.tile_operations = Factor("tile_operations", kernels, 0);
  if (factors.tile_operations > 0) factors.weight_only_time = 1;  // tiles take as long in every type
  factors.logit_s = Factor("logit_s", system, 0);
  factors.vector_time = Factor("vector_time", kernels, 0);
  factors.packed_time = Factor("packed_time", kernels, factors.vector_time);
  if (factors.vector_time > 0) factors.weight_stream = factors.kv_stream = factors.expert_stream;  // all row by row
  factors.widened_prompt_time = Factor("widened_prompt_time", kernels);
  factors.replay_s = Factor("replay_s", kernels, 0);
  factors.replay_time = Factor("replay_time", kernels);
  factors.prompt_waves = Factor("prompt_waves", system, 0);
  factors.ttft_factor = Factor("ttft_time", system);
  return factors;
}

}  // namespace moecap::planner
