#include "run/results.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/fs.h"
#include "record/jsonl.h"
#include "run/model_json.h"

namespace moecap::run {
namespace fs = std::filesystem;
namespace {

constexpr int kManifestSchema = 1;

Json SystemToJson(const SystemDescription& system) {
  return {{"name", system.name},
          {"engine", system.engine},
          {"description", system.description},
          {"model_file", system.model_file},
          {"model_file_bytes", system.model_file_bytes},
          {"threads", system.threads},
          {"gpus", system.devices.gpus},
          {"gpu_layers", system.devices.gpu_layers},
          {"model", ToJson(system.model)}};
}

Result<SystemDescription> SystemFromJson(const Json& json) {
  SystemDescription system;
  json.at("name").get_to(system.name);
  json.at("engine").get_to(system.engine);
  json.at("description").get_to(system.description);
  json.at("model_file").get_to(system.model_file);
  json.at("model_file_bytes").get_to(system.model_file_bytes);
  json.at("threads").get_to(system.threads);
  system.devices.gpus = json.value("gpus", std::vector<std::string>());  // runs of older versions used none
  system.devices.gpu_layers = json.value("gpu_layers", 0);
  ASSIGN_OR_RETURN(system.model, ModelSpecFromJson(json.at("model")));
  return system;
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

Result<cost::CostInputs> CostFromJson(const Json& json) {
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

Json UnitToJson(const Unit& unit) {
  return {{"system", unit.cell.system},
          {"concurrency", unit.cell.concurrency},
          {"repeat", unit.cell.repeat},
          {"complete", unit.complete},
          {"requests_end_bytes", unit.requests_end},
          {"passes_end_bytes", unit.passes_end},
          {"energy_j", unit.energy_j ? Json(*unit.energy_j) : Json(nullptr)}};
}

Unit UnitFromJson(const Json& json) {
  Unit unit;
  json.at("system").get_to(unit.cell.system);
  json.at("concurrency").get_to(unit.cell.concurrency);
  json.at("repeat").get_to(unit.cell.repeat);
  json.at("complete").get_to(unit.complete);
  json.at("requests_end_bytes").get_to(unit.requests_end);
  json.at("passes_end_bytes").get_to(unit.passes_end);
  // Older versions measured no energy.
  if (json.contains("energy_j") && !json["energy_j"].is_null()) unit.energy_j = json["energy_j"].get<double>();
  return unit;
}

Json ManifestToJson(const Manifest& manifest) {
  Json systems = Json::array();
  for (const SystemDescription& system : manifest.systems) systems.push_back(SystemToJson(system));
  Json units = Json::array();
  for (const Unit& unit : manifest.units) units.push_back(UnitToJson(unit));
  return {{"schema", kManifestSchema},
          {"run_id", manifest.run_id},
          {"started_at", manifest.started_at},
          {"moecap_version", manifest.moecap_version},
          {"complete", manifest.complete},
          {"command", manifest.command},
          {"config", ToJson(manifest.config)},
          {"problems", manifest.problems},
          {"host", ToJson(manifest.host)},
          {"ceilings", manifest.ceilings ? ToJson(*manifest.ceilings) : Json(nullptr)},
          {"cost_inputs", CostToJson(manifest.cost)},
          {"pay", manifest.pay ? Json(cost::Name(*manifest.pay)) : Json(nullptr)},
          {"energy_source", manifest.energy_source.empty() ? Json(nullptr) : Json(manifest.energy_source)},
          {"units", std::move(units)},
          {"systems", std::move(systems)}};
}

Result<Manifest> ManifestFromJson(const Json& json) {
  try {
    const int schema = json.at("schema").get<int>();
    if (schema != kManifestSchema)
      return BadInput(fmt::format("schema {} is not known to this program (it knows {})", schema, kManifestSchema));
    Manifest manifest;
    json.at("run_id").get_to(manifest.run_id);
    json.at("started_at").get_to(manifest.started_at);
    json.at("moecap_version").get_to(manifest.moecap_version);
    json.at("complete").get_to(manifest.complete);
    json.at("command").get_to(manifest.command);
    json.at("problems").get_to(manifest.problems);
    ASSIGN_OR_RETURN(manifest.config, RunConfigFromJson(json.at("config")));
    ASSIGN_OR_RETURN(manifest.host, hardware::HostInfoFromJson(json.at("host")));
    if (!json.at("ceilings").is_null()) {
      ASSIGN_OR_RETURN(manifest.ceilings, hardware::CeilingsFromJson(json.at("ceilings")));
    }
    ASSIGN_OR_RETURN(manifest.cost, CostFromJson(json.at("cost_inputs")));
    if (json.contains("pay") && !json["pay"].is_null())
      manifest.pay = json["pay"].get<std::string>() == "rent" ? cost::Pay::kRent : cost::Pay::kBuy;
    if (json.contains("energy_source") && !json["energy_source"].is_null())
      json["energy_source"].get_to(manifest.energy_source);
    for (const Json& unit : json.at("units")) manifest.units.push_back(UnitFromJson(unit));
    for (const Json& entry : json.at("systems")) {
      ASSIGN_OR_RETURN(SystemDescription system, SystemFromJson(entry));
      manifest.systems.push_back(std::move(system));
    }
    return manifest;
  } catch (const Json::exception& error) {
    return BadInput(fmt::format("the manifest is not complete: {}", error.what()));
  }
}

Error WriteError(const fs::path& path) {
  return Failed(fmt::format("cannot write {}: {}; what was measured before is kept", path.string(), std::strerror(errno)));
}

// Appends `text` behind the first `offset` bytes of the file and syncs it; returns the new size.
Result<uint64_t> AppendAt(const fs::path& path, uint64_t offset, std::string_view text) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return WriteError(path);
  bool ok = ::ftruncate(fd, static_cast<off_t>(offset)) == 0;
  uint64_t end = offset;
  while (ok && !text.empty()) {
    const ssize_t written = ::pwrite(fd, text.data(), text.size(), static_cast<off_t>(end));
    if (written < 0 && errno == EINTR) continue;
    ok = written > 0;
    if (ok) {
      end += static_cast<uint64_t>(written);
      text.remove_prefix(static_cast<size_t>(written));
    }
  }
  ok = ok && ::fsync(fd) == 0;
  const int error_number = errno;
  ::close(fd);
  errno = error_number;
  if (!ok) return WriteError(path);
  return end;
}

template <typename Record>
std::string Lines(const std::vector<Record>& records) {
  std::string text;
  for (const Record& entry : records) text += record::ToJsonLine(entry) + "\n";
  return text;
}

// Fewer bytes than the manifest counts would silently be fewer measurements.
Status CheckHolds(const fs::path& file, uint64_t bytes) {
  std::error_code error;
  const uint64_t size = fs::file_size(file, error);
  if (error) return BadInput(fmt::format("{}: {}; copy the whole folder of the run again", file.string(), error.message()));
  if (size >= bytes) return {};
  return BadInput(
      fmt::format("{} is cut off: it holds {} bytes, the manifest counts {}; copy the whole folder of the run again",
                  file.string(), size, bytes));
}

}  // namespace

Result<Results> Results::Create(const fs::path& results_dir, Manifest manifest) {
  ASSIGN_OR_RETURN(const fs::path dir, MakeNumberedDir(results_dir, manifest.run_id));
  manifest.run_id = dir.filename().string();
  Results results(dir, std::move(manifest));
  RETURN_IF_ERROR(results.WriteManifest());
  return results;
}

Result<Results> Results::Open(const fs::path& dir) {
  const fs::path file = dir / "manifest.json";
  auto text = ReadFile(file);
  if (!text.ok()) return BadInput(fmt::format("{} is not a stored run: {}", dir.string(), text.error().message));
  auto json = ParseJson(*text);
  if (!json.ok()) return Annotate(file.string(), json.error());
  auto manifest = ManifestFromJson(*json);
  if (!manifest.ok()) return Annotate(file.string(), manifest.error());
  return Results(dir, std::move(manifest).value());
}

Status Results::PrepareResume() {
  std::erase_if(manifest_.units, [](const Unit& unit) { return !unit.complete; });
  return WriteManifest();
}

Status Results::AppendUnit(const load::LoadResult& records, const record::CellId& cell, std::optional<double> energy_j) {
  const Unit last = manifest_.units.empty() ? Unit{} : manifest_.units.back();
  Unit unit;
  unit.cell = cell;
  unit.complete = !records.interrupted;
  unit.energy_j = energy_j;
  ASSIGN_OR_RETURN(unit.requests_end, AppendAt(dir_ / "requests.jsonl", last.requests_end, Lines(records.requests)));
  ASSIGN_OR_RETURN(unit.passes_end, AppendAt(dir_ / "passes.jsonl", last.passes_end, Lines(records.passes)));
  manifest_.units.push_back(std::move(unit));
  return WriteManifest();
}

Status Results::MarkComplete() {
  manifest_.complete = true;
  return WriteManifest();
}

bool Results::HasCompleteUnit(const record::CellId& cell) const {
  for (const Unit& unit : manifest_.units) {
    if (unit.complete && unit.cell == cell) return true;
  }
  return false;
}

Result<std::vector<record::RequestRecord>> Results::ReadRequests() const {
  if (manifest_.units.empty()) return std::vector<record::RequestRecord>{};
  RETURN_IF_ERROR(CheckHolds(dir_ / "requests.jsonl", manifest_.units.back().requests_end));
  return record::ReadRequests(dir_ / "requests.jsonl", manifest_.units.back().requests_end);
}

Result<std::vector<record::PassRecord>> Results::ReadPasses() const {
  if (manifest_.units.empty()) return std::vector<record::PassRecord>{};
  RETURN_IF_ERROR(CheckHolds(dir_ / "passes.jsonl", manifest_.units.back().passes_end));
  return record::ReadPasses(dir_ / "passes.jsonl", manifest_.units.back().passes_end);
}

Status Results::WriteManifest() const {
  return WriteFileAtomically(dir_ / "manifest.json", DumpJsonPretty(ManifestToJson(manifest_)));
}

}  // namespace moecap::run
