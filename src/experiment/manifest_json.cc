#include "experiment/manifest_json.h"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "base/json_error.h"
#include "base/json_fields.h"
#include "experiment/model_json.h"
#include "record/level_json.h"

namespace moecap::load {

constexpr auto JsonNames(EndedBy) {
  return std::array{std::pair{EndedBy::kAllSent, "all requests sent"}, std::pair{EndedBy::kDuration, "duration"},
                    std::pair{EndedBy::kErrorShare, "error share"}, std::pair{EndedBy::kInterrupt, "interrupt"}};
}

void Fields(auto& archive, JsonFieldsOf<ServerCounters> auto& counters) {
  archive("prompt_tokens", counters.prompt_tokens);
  archive("cached_tokens", counters.cached_tokens);
  archive("generated_tokens", counters.generated_tokens);
  archive("finished", counters.finished);
  archive("aborted", counters.aborted);
  archive("process_start_s", counters.process_start_s);
}

}  // namespace moecap::load

namespace moecap::metrics {

constexpr auto JsonNames(PrefillBatching) {
  return std::array{std::pair{PrefillBatching::kMixed, "mixed"}, std::pair{PrefillBatching::kAlone, "alone"}};
}

}  // namespace moecap::metrics

namespace moecap::cost {

constexpr auto JsonNames(Pay) { return std::array{std::pair{Pay::kBuy, "buy"}, std::pair{Pay::kRent, "rent"}}; }

}  // namespace moecap::cost

namespace moecap::hardware {

void Fields(auto& archive, JsonFieldsOf<ClockReading> auto& reading) {
  archive("boot_id", reading.boot_id);
  archive("max_error_s", reading.max_error_s);
  archive("offset_s", reading.offset_s);
  archive("offset_error_s", reading.offset_error_s);
}

}  // namespace moecap::hardware

namespace moecap::experiment {

void Fields(auto& archive, JsonFieldsOf<ShardPart> auto& part) {
  archive("index", part.index);
  archive("missing", part.missing);
  archive("start_late_s", part.start_late_s);
  archive("longest_stall_s", part.longest_stall_s);
  archive("clock", part.clock);
}

void Fields(auto& archive, JsonFieldsOf<ShardOfGroup> auto& shard) {
  archive("index", shard.shard.index);
  archive("count", shard.shard.count);
  archive("group", shard.group);
}

void Fields(auto& archive, JsonFieldsOf<PlanEntry> auto& entry) {
  archive("id", entry.id);
  archive("at_s", entry.at_s);
  archive("input_tokens", entry.input_tokens);
  archive("shared_tokens", entry.shared_tokens);
  archive("shared_share", entry.shared_share);
  archive("output_tokens", entry.output_tokens);
  archive("exact_output", entry.exact_output);
}

void Fields(auto& archive, JsonFieldsOf<ServerPassFacts> auto& facts) {
  archive("missing", facts.missing);
  archive("fit", facts.fit);
  archive("logged", facts.logged);
  archive("logged_alike", facts.logged_alike);
  archive("recorded", facts.recorded);
  archive("recorded_alike", facts.recorded_alike);
  archive("recorded_missing", facts.recorded_missing);
  archive("most_tokens", facts.most_tokens);
  archive("most_tokens_source", facts.most_tokens_source);
  archive("prefill", facts.prefill);
  archive("experts_missing", facts.experts_missing);
  archive("told", facts.told);
  archive("same_tokens", facts.same_tokens);
  archive("findings", facts.findings);
  archive("capture_flags", facts.capture_flags);
  archive("experts_due", facts.experts_due);
}

void Fields(auto& archive, JsonFieldsOf<Measurement> auto& measurement) {
  archive("system", measurement.system);
  archive("level", measurement.level);
  archive("repeat", measurement.repeat);
  archive("name", measurement.name);
  archive("complete", measurement.complete);
  archive("started_at", measurement.started_at);
  archive("ended_by", measurement.ended_by);
  archive("threads", measurement.threads);
  archive("held_back", measurement.held_back);
  archive("client_cpu_s", measurement.cpu_s);
  archive("client_loop_s", measurement.loop_s);
  archive("client_ran_ahead", measurement.ran_ahead);
  archive("energy_j", measurement.energy_j);
  archive("gpu_energy_j", measurement.gpu_energy_j);
  archive("cached_tokens", measurement.cached_tokens);
  archive("server_counters", measurement.server_counters);
  archive("server_change", measurement.server_change);
  archive("warmup_bursts", measurement.warmup_bursts);
  archive("warmup_waves", measurement.warmup_waves);
  archive("warmup_difference", measurement.warmup_difference);
  archive("control_answers", measurement.control_answers);
  archive("replay_same_tokens", measurement.replay_same_tokens);
  archive("routing_of", measurement.routing_of);
  archive("server_passes", measurement.server_passes);
  archive("file_bytes", measurement.file_bytes);
  archive("shards", measurement.shards);
}

void Fields(auto& archive, JsonFieldsOf<HeadRoom> auto& head_room) {
  archive("tokens_per_s", head_room.tokens_per_s);
  archive("streams", head_room.streams);
}

void Fields(auto& archive, JsonFieldsOf<ServerCapability> auto& capability) {
  archive("name", capability.name);
  archive("support", capability.support);
  archive("detail", capability.detail);
  archive("remedy", capability.remedy);
}

void Fields(auto& archive, JsonFieldsOf<ExpertsOnDisk> auto& experts) {
  archive("budget_bytes", experts.budget_bytes);
  archive("total_bytes", experts.total_bytes);
  archive("policy", experts.policy);
  archive("prefetch", experts.prefetch);
  archive("disk_bytes_per_s", experts.disk_bytes_per_s);
}

// Everything of a description but the model.
void Fields(auto& archive, JsonFieldsOf<SystemDescription> auto& system) {
  archive("name", system.name);
  archive("engine", system.engine);
  archive("description", system.description);
  archive("in_process", system.in_process);
  archive("on_this_machine", system.on_this_machine);
  archive("server_here", system.server_here);
  archive("model_file", system.model_file);
  archive("model_file_bytes", system.model_file_bytes);
  archive("model_file_xxh3", system.model_file_xxh3);
  archive("threads", system.threads);
  archive("gpus", system.devices.gpus);
  archive("gpu_layers", system.devices.gpu_layers);
  archive("cpu_experts", system.devices.cpu_experts);
  archive("experts_on_disk", system.experts_on_disk);
  archive("url", system.url);
  archive("api", system.api);
  archive("capabilities", system.capabilities);
  archive("facts", system.facts);
}

// Everything of a system but its description and its cost inputs.
void Fields(auto& archive, JsonFieldsOf<MachinePeaks> auto& peaks) {
  archive("bandwidth_bytes_per_s", peaks.bandwidth_bytes_per_s);
  archive("flops_per_s", peaks.flops_per_s);
  archive("dtype", peaks.dtype);
  archive("source", peaks.source);
}

void Fields(auto& archive, JsonFieldsOf<ServerStart> auto& start) {
  archive("at", start.at);
  archive("command", start.command);
  archive("captures", start.captures);
  archive("ready_s", start.ready_s);
  archive("ended", start.ended);
}

void Fields(auto& archive, JsonFieldsOf<LaunchFacts> auto& launch) {
  archive("environment", launch.environment);
  archive("directory", launch.directory);
  archive("log", launch.log);
  archive("starts", launch.starts);
}

void Fields(auto& archive, JsonFieldsOf<PricedSystem> auto& system) {
  archive("machine", system.machine);
  archive("machine_peaks", system.peaks);
  archive("pay", system.pay);
  archive("head_room", system.head_room);
  archive("launch", system.launch);
  archive("activation_sheet", system.sheet_file);
}

// Everything of a manifest but configuration, host, ceilings, systems and measurements.
void Fields(auto& archive, JsonFieldsOf<Manifest> auto& manifest) {
  archive("run_id", manifest.run_id);
  archive("started_at", manifest.started_at);
  archive("moecap_version", manifest.moecap_version);
  archive("complete", manifest.complete);
  archive("figures_only", manifest.figures_only);
  archive("command", manifest.command);
  archive("workload", manifest.workload);
  archive("problems", manifest.problems);
  archive("problems_xxh3", manifest.problems_xxh3);
  archive("energy_source", manifest.energy_source);
  archive("notes", manifest.notes);
  archive("shard", manifest.shard);
  archive("merged_shards", manifest.merged_shards);
}

namespace {

Json UseToJson(const std::optional<hardware::MachineUse>& use) { return use ? ToJson(*use) : Json(nullptr); }

Result<std::optional<hardware::MachineUse>> UseOf(const Json& json) {
  const auto use = json.find("machine_use");
  if (use == json.end() || use->is_null()) return std::optional<hardware::MachineUse>();
  ASSIGN_OR_RETURN(hardware::MachineUse known, hardware::MachineUseFromJson(*use));
  return std::optional(std::move(known));
}

Json MeasurementToJson(const Measurement& measurement) {
  Json json = ToJsonFields(measurement);
  json["machine_use"] = UseToJson(measurement.machine_use);
  Json parts = Json::array();
  for (const ShardPart& part : measurement.parts) {
    Json entry = ToJsonFields(part);
    entry["machine_use"] = UseToJson(part.machine_use);
    parts.push_back(std::move(entry));
  }
  if (!parts.empty()) json["parts"] = std::move(parts);
  return json;
}

Result<Measurement> MeasurementFromJson(const Json& json) {
  ASSIGN_OR_RETURN(Measurement measurement, FromJsonFields<Measurement>(json, "measurements"));
  ASSIGN_OR_RETURN(measurement.machine_use, UseOf(json));
  const auto parts = json.find("parts");
  if (parts == json.end()) return measurement;
  for (const Json& entry : *parts) {
    ASSIGN_OR_RETURN(ShardPart part, FromJsonFields<ShardPart>(entry, "parts"));
    ASSIGN_OR_RETURN(part.machine_use, UseOf(entry));
    measurement.parts.push_back(std::move(part));
  }
  return measurement;
}

// Inputs that are not known are left out.
Json CostToJson(const cost::CostInputs& inputs) {
  Json result = Json::object();
  for (const std::string& key : cost::CostInputKeys()) {
    const auto& input = cost::GetCostInput(inputs, key);
    if (!input) continue;
    Json entry = {{"value", input->value}, {"source", input->source}, {"date", input->date}};
    if (input->low) entry["low"] = *input->low;
    if (input->high) entry["high"] = *input->high;
    result[key] = std::move(entry);
  }
  return result;
}

Json SystemToJson(const PricedSystem& system) {
  Json json = ToJsonFields(system.description);
  json.update(ToJsonFields(system));
  json["cost_inputs"] = CostToJson(system.cost);
  json["model"] = ToJson(system.description.model);
  return json;
}

Result<PricedSystem> PricedSystemFromJson(const Json& json) {
  ASSIGN_OR_RETURN(PricedSystem system, FromJsonFields<PricedSystem>(json, "systems"));
  ASSIGN_OR_RETURN(system.description, SystemFromJson(json));
  ASSIGN_OR_RETURN(system.cost, CostInputsFromJson(json.at("cost_inputs")));
  return system;
}

Result<Manifest> ManifestFrom2(const Json& json) {
  ASSIGN_OR_RETURN(Manifest manifest, FromJsonFields<Manifest>(json));
  const Json& config = json.at("config");
  ASSIGN_OR_RETURN(manifest.config, ParseConfig(config.at("yaml").get<std::string>(), "the stored configuration",
                                                config.at("base_dir").get<std::string>()));
  ASSIGN_OR_RETURN(manifest.host, hardware::HostInfoFromJson(json.at("host")));
  if (!json.at("ceilings").is_null()) {
    ASSIGN_OR_RETURN(manifest.ceilings, hardware::CeilingsFromJson(json.at("ceilings")));
  }
  for (const Json& entry : json.at("systems")) {
    ASSIGN_OR_RETURN(PricedSystem system, PricedSystemFromJson(entry));
    manifest.systems.push_back(std::move(system));
  }
  for (const Json& entry : json.at("measurements")) {
    ASSIGN_OR_RETURN(Measurement measurement, MeasurementFromJson(entry));
    manifest.measurements.push_back(std::move(measurement));
  }
  return manifest;
}

}  // namespace

Json ToJson(const Manifest& manifest) {
  Json json = {{"schema", kManifestSchema}};
  json.update(ToJsonFields(manifest));
  json["config"] = {{"yaml", manifest.config.text}, {"base_dir", manifest.config.base_dir.string()}};
  json["host"] = ToJson(manifest.host);
  json["ceilings"] = manifest.ceilings ? ToJson(*manifest.ceilings) : Json(nullptr);
  json["systems"] = Json::array();
  for (const PricedSystem& system : manifest.systems) json["systems"].push_back(SystemToJson(system));
  json["measurements"] = Json::array();
  for (const Measurement& measurement : manifest.measurements) json["measurements"].push_back(MeasurementToJson(measurement));
  return json;
}

Result<Manifest> ManifestFromJson(const Json& json) {
  try {
    const int schema = json.at("schema").get<int>();
    if (schema == 1) return RunManifestFrom01(json);
    if (schema != kManifestSchema) {
      return BadInput(fmt::format("schema {} is not known to this program (it knows up to {}); use a newer moecap", schema,
                                  kManifestSchema));
    }
    return ManifestFrom2(json);
  } catch (const Json::exception& error) {
    return BadInput(fmt::format("the manifest is not complete: {}", ReasonOf(error)));
  }
}

Result<SystemDescription> SystemFromJson(const Json& json) {
  ASSIGN_OR_RETURN(SystemDescription system, FromJsonFields<SystemDescription>(json, "systems"));
  ASSIGN_OR_RETURN(system.model, ModelSpecFromJson(json.at("model")));
  return system;
}

Result<cost::CostInputs> CostInputsFromJson(const Json& json) {
  cost::CostInputs inputs;
  for (const auto& [key, entry] : json.items()) {
    cost::Input input{entry.at("value").get<double>(), entry.at("source").get<std::string>(),
                      entry.at("date").get<std::string>()};
    if (entry.contains("low")) input.low = entry["low"].get<double>();
    if (entry.contains("high")) input.high = entry["high"].get<double>();
    RETURN_IF_ERROR(cost::SetCostInput(inputs, key, std::move(input)));
  }
  return inputs;
}

Json ToJson(const PlanEntry& entry) { return ToJsonFields(entry); }

Result<PlanEntry> PlanEntryFromJson(const Json& json) { return FromJsonFields<PlanEntry>(json); }

}  // namespace moecap::experiment
