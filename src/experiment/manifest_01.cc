// Folders of version 0.1.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/json_error.h"
#include "experiment/manifest_json.h"

namespace moecap::experiment {
namespace {

// JSON is YAML: the stored values become a text for today's reader.
Result<Config> ConfigOf(const Json& yaml) { return ParseConfig(DumpJson(yaml), "the stored configuration", "/"); }

void Move(Json& from, const char* key, Json& to, const char* name) {
  if (from.contains(key) && !from[key].is_null()) to[name] = from[key];
}

// A server's addresses were stored under another key, and its unset keys as empty texts.
Json ServerYaml(const Json& stored) {
  Json server = Json::object();
  for (const auto& [key, value] : stored.items()) {
    const bool is_set = !value.is_null() && !(value.is_string() && value.get<std::string>().empty()) &&
                        !(value.is_structured() && value.empty());
    if (is_set) server[key == "urls" ? "url" : key] = value;
  }
  return server;
}

Result<Config> RunConfigFrom01(const Json& stored) {
  Json old = stored;
  Json yaml = {{"name", old.at("name")}, {"systems", Json::array()}};
  for (Json& system : old.at("systems")) {
    Json entry = {{"name", system.at("name")}};
    if (system.contains("server")) {
      entry["server"] = ServerYaml(system["server"]);
    } else {
      Move(system, "model", entry, "model");
      Move(system, "weights", entry, "weights");
      if (system.value("threads", 0) > 0) entry["threads"] = system["threads"];
    }
    yaml["systems"].push_back(std::move(entry));
  }
  Json& dataset = yaml["dataset"] = {{"path", old.at("dataset")}, {"scoring", old.at("scoring")}};
  if (old.value("problems", 0) > 0) dataset["problems"] = old["problems"];
  Move(old, "dataset_seed", dataset, "seed");
  for (const char* key :
       {"concurrency", "repeats", "warmup_requests", "max_output_tokens", "context_tokens", "batch_tokens", "results_dir"})
    Move(old, key, yaml, key);
  Json& cost = yaml["cost"] = old.at("cost");
  for (const char* key : {"machine", "price_book", "pay"}) Move(old, key, cost, key);
  if (old.contains("cap")) {
    old["cap"].erase("axes");
    yaml["cap"] = old["cap"];
  }
  return ConfigOf(yaml);
}

}  // namespace

Result<Manifest> RunManifestFrom01(const Json& json) {
  try {
    Manifest manifest;
    manifest.layout = Manifest::Layout::kRun01;
    json.at("run_id").get_to(manifest.run_id);
    json.at("started_at").get_to(manifest.started_at);
    json.at("moecap_version").get_to(manifest.moecap_version);
    json.at("complete").get_to(manifest.complete);
    json.at("command").get_to(manifest.command);
    json.at("problems").get_to(manifest.problems);
    ASSIGN_OR_RETURN(manifest.config, RunConfigFrom01(json.at("config")));
    manifest.workload = fmt::format("{} problems of {}", manifest.problems, json["config"].at("dataset").get<std::string>());
    ASSIGN_OR_RETURN(manifest.host, hardware::HostInfoFromJson(json.at("host")));
    if (!json.at("ceilings").is_null()) {
      ASSIGN_OR_RETURN(manifest.ceilings, hardware::CeilingsFromJson(json.at("ceilings")));
    }
    if (const auto source = json.find("energy_source"); source != json.end() && !source->is_null())
      source->get_to(manifest.energy_source);
    ASSIGN_OR_RETURN(const cost::CostInputs inputs, CostInputsFromJson(json.at("cost_inputs")));
    for (const Json& entry : json.at("systems")) {
      PricedSystem system;
      ASSIGN_OR_RETURN(system.description, SystemFromJson(entry));
      system.description.in_process = !system.description.model.layers.empty();
      system.description.on_this_machine = system.description.in_process;  // of a server it was not told
      system.cost = inputs;
      if (const auto pay = json.find("pay"); pay != json.end() && !pay->is_null())
        system.pay = *pay == "rent" ? cost::Pay::kRent : cost::Pay::kBuy;
      manifest.systems.push_back(std::move(system));
    }
    FileSlice requests, passes;
    for (const Json& unit : json.at("units")) {
      Measurement measurement;
      unit.at("system").get_to(measurement.system);
      measurement.level.value = unit.at("concurrency").get<double>();
      unit.at("repeat").get_to(measurement.repeat);
      unit.at("complete").get_to(measurement.complete);
      measurement.name = fmt::format("{}-{}-{}", measurement.system, FileName(measurement.level), measurement.repeat);
      measurement.ended_by = measurement.complete ? load::EndedBy::kAllSent : load::EndedBy::kInterrupt;
      requests = {requests.end, unit.at("requests_end_bytes").get<uint64_t>()};
      passes = {passes.end, unit.at("passes_end_bytes").get<uint64_t>()};
      measurement.requests = requests;
      measurement.passes = passes;
      if (unit.contains("energy_j") && !unit["energy_j"].is_null()) measurement.energy_j = unit["energy_j"].get<double>();
      manifest.measurements.push_back(std::move(measurement));
    }
    return manifest;
  } catch (const Json::exception& error) {
    return BadInput(fmt::format("the manifest is not complete: {}", ReasonOf(error)));
  }
}

Result<Manifest> LoadManifestFrom01(const Json& json) {
  try {
    if (const int schema = json.at("schema").get<int>(); schema != 1)
      return BadInput(fmt::format("schema {} of a load test is not known to this program (it knows 1)", schema));
    Manifest manifest;
    manifest.layout = Manifest::Layout::kLoad01;
    json.at("run_id").get_to(manifest.run_id);
    json.at("started_at").get_to(manifest.started_at);
    json.at("moecap_version").get_to(manifest.moecap_version);
    json.at("complete").get_to(manifest.complete);
    json.at("command").get_to(manifest.command);
    Json yaml = json.at("config");
    yaml["server"] = ServerYaml(yaml.at("server"));
    ASSIGN_OR_RETURN(manifest.config, ConfigOf(yaml));
    json.at("workload").get_to(manifest.workload);
    json.at("notes").get_to(manifest.notes);
    PricedSystem system;
    const Json& target = json.at("target");
    SystemDescription& description = system.description;
    description.name = manifest.config.systems.front().name;
    description.in_process = false;
    description.on_this_machine = false;  // not told
    target.at("server").get_to(description.engine);
    target.at("url").get_to(description.url);
    target.at("api").get_to(description.api);
    target.at("model").get_to(description.model.id);
    description.description =
        fmt::format("{}, {} at {}, api {}", description.engine, description.model.id, description.url, description.api);
    if (const Json& head_room = json.at("head_room"); !head_room.is_null())
      system.head_room = {head_room.at("tokens_per_s").get<double>(), head_room.at("streams").get<int>()};
    for (const Json& entry : json.at("measurements")) {
      Measurement measurement;
      measurement.system = description.name;
      measurement.level = {manifest.config.load.kind, entry.at("level").get<double>()};
      entry.at("repeat").get_to(measurement.repeat);
      entry.at("name").get_to(measurement.name);
      entry.at("complete").get_to(measurement.complete);
      for (const load::EndedBy reason : {load::EndedBy::kAllSent, load::EndedBy::kDuration, load::EndedBy::kErrorShare}) {
        if (entry.at("ended_by") == load::Name(reason)) measurement.ended_by = reason;
      }
      entry.at("held_back").get_to(measurement.held_back);
      entry.at("client_cpu_s").get_to(measurement.cpu_s);
      entry.at("client_loop_s").get_to(measurement.loop_s);
      measurement.threads = manifest.config.client_threads;
      manifest.measurements.push_back(std::move(measurement));
    }
    manifest.systems.push_back(std::move(system));
    return manifest;
  } catch (const Json::exception& error) {
    return BadInput(fmt::format("the manifest is not complete: {}", ReasonOf(error)));
  }
}

}  // namespace moecap::experiment
