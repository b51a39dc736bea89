#include "loadtest/results.h"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/fs.h"
#include "load/event_log.h"
#include "load/load_loop.h"

namespace moecap::loadtest {
namespace fs = std::filesystem;
namespace {

constexpr int kSchema = 1;
constexpr std::array kReasons = {load::EndedBy::kAllSent, load::EndedBy::kDuration, load::EndedBy::kErrorShare,
                                 load::EndedBy::kInterrupt};

template <typename T>
Json Optional(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}
template <typename T>
std::optional<T> OptionalAt(const Json& json, const char* key) {
  const Json& value = json.at(key);
  return value.is_null() ? std::nullopt : std::optional(value.get<T>());
}

Json ToJson(const Measurement& measurement) {
  return {{"level", measurement.level},
          {"repeat", measurement.repeat},
          {"name", measurement.name},
          {"complete", measurement.complete},
          {"ended_by", load::Name(measurement.ended_by)},
          {"held_back", measurement.held_back},
          {"client_cpu_s", measurement.cpu_s},
          {"client_loop_s", measurement.loop_s}};
}

Measurement MeasurementFromJson(const Json& json) {
  Measurement measurement;
  json.at("level").get_to(measurement.level);
  json.at("repeat").get_to(measurement.repeat);
  json.at("name").get_to(measurement.name);
  json.at("complete").get_to(measurement.complete);
  for (const load::EndedBy reason : kReasons) {
    if (json.at("ended_by") == load::Name(reason)) measurement.ended_by = reason;
  }
  json.at("held_back").get_to(measurement.held_back);
  json.at("client_cpu_s").get_to(measurement.cpu_s);
  json.at("client_loop_s").get_to(measurement.loop_s);
  return measurement;
}

Json ToJson(const LoadManifest& manifest) {
  Json measurements = Json::array();
  for (const Measurement& measurement : manifest.measurements) measurements.push_back(ToJson(measurement));
  Json head_room;
  if (manifest.head_room)
    head_room = {{"tokens_per_s", manifest.head_room->tokens_per_s}, {"streams", manifest.head_room->streams}};
  const TargetDescription& target = manifest.target;
  return {{"schema", kSchema},
          {"run_id", manifest.run_id},
          {"started_at", manifest.started_at},
          {"moecap_version", manifest.moecap_version},
          {"complete", manifest.complete},
          {"command", manifest.command},
          {"config", ToJson(manifest.config)},
          {"target", {{"server", target.server}, {"url", target.url}, {"api", target.api}, {"model", target.model}}},
          {"workload", manifest.workload},
          {"client", manifest.client},
          {"notes", manifest.notes},
          {"head_room", std::move(head_room)},
          {"measurements", std::move(measurements)}};
}

Result<LoadManifest> ManifestFromJson(const Json& json) {
  try {
    const int schema = json.at("schema").get<int>();
    if (schema != kSchema)
      return BadInput(fmt::format("schema {} is not known to this program (it knows {})", schema, kSchema));
    LoadManifest manifest;
    json.at("run_id").get_to(manifest.run_id);
    json.at("started_at").get_to(manifest.started_at);
    json.at("moecap_version").get_to(manifest.moecap_version);
    json.at("complete").get_to(manifest.complete);
    json.at("command").get_to(manifest.command);
    ASSIGN_OR_RETURN(manifest.config, ConfigFromJson(json.at("config")));
    const Json& target = json.at("target");
    target.at("server").get_to(manifest.target.server);
    target.at("url").get_to(manifest.target.url);
    target.at("api").get_to(manifest.target.api);
    target.at("model").get_to(manifest.target.model);
    json.at("workload").get_to(manifest.workload);
    json.at("client").get_to(manifest.client);
    json.at("notes").get_to(manifest.notes);
    if (const Json& head_room = json.at("head_room"); !head_room.is_null())
      manifest.head_room = {head_room.at("tokens_per_s").get<double>(), head_room.at("streams").get<int>()};
    for (const Json& entry : json.at("measurements")) manifest.measurements.push_back(MeasurementFromJson(entry));
    return manifest;
  } catch (const Json::exception& error) {
    return BadInput(fmt::format("the manifest is not complete: {}", error.what()));
  }
}

PlanEntry PlanEntryFromJson(const Json& json) {
  PlanEntry entry;
  json.at("id").get_to(entry.id);
  entry.input_tokens = OptionalAt<int64_t>(json, "input_tokens");
  json.at("output_tokens").get_to(entry.output_tokens);
  json.at("exact_output").get_to(entry.exact_output);
  entry.shared_tokens = OptionalAt<int64_t>(json, "shared_tokens");
  entry.at_s = OptionalAt<double>(json, "at_s");
  return entry;
}

}  // namespace

Result<LoadResults> LoadResults::Create(const fs::path& results_dir, LoadManifest manifest) {
  ASSIGN_OR_RETURN(const fs::path dir, MakeNumberedDir(results_dir, manifest.run_id));
  manifest.run_id = dir.filename().string();
  std::error_code error;
  if (!fs::create_directory(dir / "events", error)) return BadInput(fmt::format("cannot create {}/events", dir.string()));
  LoadResults results(dir, std::move(manifest));
  RETURN_IF_ERROR(results.WriteManifest());
  return results;
}

bool LoadResults::IsLoadTest(const fs::path& dir) {
  std::error_code error;
  return fs::exists(dir / kManifestName, error);
}

Result<LoadResults> LoadResults::Open(const fs::path& dir) {
  const fs::path file = dir / kManifestName;
  auto text = ReadFile(file);
  if (!text.ok()) return BadInput(fmt::format("{} is not a stored load test: {}", dir.string(), text.error().message));
  auto json = ParseJson(*text);
  if (!json.ok()) return Annotate(file.string(), json.error());
  auto manifest = ManifestFromJson(*json);
  if (!manifest.ok()) return Annotate(file.string(), manifest.error());
  return LoadResults(dir, std::move(manifest).value());
}

const Measurement* LoadResults::Find(double level, int repeat) const {
  for (const Measurement& measurement : manifest_.measurements) {
    if (measurement.complete && measurement.level == level && measurement.repeat == repeat) return &measurement;
  }
  return nullptr;
}

Status LoadResults::Begin(Measurement measurement) {
  manifest_.measurements.push_back(std::move(measurement));
  return WriteManifest();
}

Status LoadResults::End(Measurement measurement) {
  CHECK(!manifest_.measurements.empty() && manifest_.measurements.back().name == measurement.name);
  manifest_.measurements.back() = std::move(measurement);
  return WriteManifest();
}

Status LoadResults::PrepareResume() {
  std::erase_if(manifest_.measurements, [](const Measurement& measurement) { return !measurement.complete; });
  return WriteManifest();
}

Status LoadResults::SetHeadRoom(const HeadRoom& head_room) {
  manifest_.head_room = head_room;
  return WriteManifest();
}

Status LoadResults::MarkComplete() {
  manifest_.complete = true;
  return WriteManifest();
}

fs::path LoadResults::PlanFile(const std::string& name) const { return dir_ / "events" / (name + ".plan.jsonl"); }

fs::path LoadResults::EventLogFile(const std::string& name, int thread) const {
  return dir_ / "events" / fmt::format("{}.{}.bin", name, thread);
}

Status LoadResults::WritePlan(const std::string& name, const std::vector<PlanEntry>& plan) const {
  std::string text;
  for (const PlanEntry& entry : plan) {
    const Json json = {{"id", entry.id},
                       {"at_s", Optional(entry.at_s)},
                       {"input_tokens", Optional(entry.input_tokens)},
                       {"shared_tokens", Optional(entry.shared_tokens)},
                       {"output_tokens", entry.output_tokens},
                       {"exact_output", entry.exact_output}};
    text += DumpJson(json) + "\n";
  }
  return WriteFileAtomically(PlanFile(name), text);
}

Result<std::vector<PlanEntry>> LoadResults::ReadPlan(const std::string& name) const {
  ASSIGN_OR_RETURN(const std::vector<std::string> lines, ReadLines(PlanFile(name)));
  std::vector<PlanEntry> plan;
  for (size_t i = 0; i < lines.size(); ++i) {
    const std::string where = fmt::format("{}:{}", PlanFile(name).string(), i + 1);
    const auto json = ParseJson(lines[i]);
    if (!json.ok()) return Annotate(where, json.error());
    try {
      plan.push_back(PlanEntryFromJson(*json));
    } catch (const Json::exception& error) {
      return BadInput(fmt::format("{}: {}", where, error.what()));
    }
  }
  return plan;
}

Result<load::LoadResult> LoadResults::ReadRecords(const Measurement& measurement) const {
  std::vector<load::LoadResult> parts;
  for (int thread = 0; thread < manifest_.config.threads; ++thread) {
    ASSIGN_OR_RETURN(load::EventLog log, load::ReadEventLog(EventLogFile(measurement.name, thread)));
    parts.push_back(std::move(log.result));
  }
  load::LoadResult whole = load::JoinParts(std::move(parts));
  whole.ended_by = measurement.ended_by;
  whole.interrupted = measurement.ended_by == load::EndedBy::kInterrupt;
  whole.held_back = measurement.held_back;
  whole.cpu_s = measurement.cpu_s;
  whole.loop_s = measurement.loop_s;
  return whole;
}

Status LoadResults::WriteManifest() const {
  return WriteFileAtomically(dir_ / kManifestName, DumpJsonPretty(ToJson(manifest_)));
}

}  // namespace moecap::loadtest
