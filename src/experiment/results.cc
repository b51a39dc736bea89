#include "experiment/results.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/fs.h"
#include "base/json_error.h"
#include "experiment/manifest_json.h"
#include "load/event_log.h"
#include "load/load_loop.h"
#include "metrics/estimate.h"
#include "record/jsonl.h"
#include "trace/pass_routing.h"

namespace moecap::experiment {
namespace fs = std::filesystem;
namespace {

constexpr const char* kPlanFile = "plan.jsonl";
constexpr const char* kAnswersFile = "answers.jsonl";
constexpr const char* kPassesFile = "passes.jsonl";
constexpr const char* kSheetFolder = "activation_sheets";

// A system's name as a part of a file name.
std::string SafeName(const std::string& name) {
  std::string safe;
  for (const char c : name.substr(0, 60)) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.';
    safe += plain && !(safe.empty() && c == '.') ? c : '-';
  }
  return safe.empty() ? "system" : safe;
}

// What the event log does not hold of a request.
Json AnswerToJson(const record::RequestRecord& request) {
  Json json = {{"id", request.id}, {"text", request.text}};
  if (!request.token_ids.empty()) json["token_ids"] = request.token_ids;
  if (request.extracted) json["extracted"] = *request.extracted;
  if (request.score) json["score"] = *request.score;
  if (request.score_parts != 1) json["score_parts"] = request.score_parts;
  if (!request.part.empty()) json["part"] = request.part;
  return json;
}

void AddAnswer(const Json& json, record::RequestRecord& request) {
  request.text = json.at("text").get<std::string>();
  if (json.contains("token_ids")) json["token_ids"].get_to(request.token_ids);
  if (json.contains("extracted")) request.extracted = json["extracted"].get<std::string>();
  if (json.contains("score")) request.score = json["score"].get<double>();
  if (json.contains("score_parts")) request.score_parts = json["score_parts"].get<int64_t>();
  if (json.contains("part")) request.part = json["part"].get<std::string>();
}

bool HasAnswers(const std::vector<record::RequestRecord>& requests) {
  return std::ranges::any_of(
      requests, [](const auto& request) { return !request.text.empty() || !request.token_ids.empty() || request.score; });
}

// Calls `read(json)` for every line of a JSON-lines file; errors name file and line.
Status ForEachLine(const fs::path& file, const std::function<Status(const Json&)>& read) {
  ASSIGN_OR_RETURN(const std::vector<std::string> lines, ReadLines(file));
  for (size_t i = 0; i < lines.size(); ++i) {
    const auto annotate = [&](const Error& error) { return Annotate(fmt::format("{}:{}", file.string(), i + 1), error); };
    const auto json = ParseJson(lines[i]);
    if (!json.ok()) return annotate(json.error());
    try {
      if (const Status status = read(*json); !status.ok()) return annotate(status.error());
    } catch (const Json::exception& error) {
      return annotate(BadInput(ReasonOf(error)));
    }
  }
  return {};
}

// The answers lie in the order in which the requests were sent.
Status ReadAnswers(const fs::path& file, std::vector<record::RequestRecord>& requests) {
  std::error_code error;
  if (!fs::exists(file, error)) return {};
  size_t next = 0;
  RETURN_IF_ERROR(ForEachLine(file, [&](const Json& json) -> Status {
    if (next >= requests.size() || json.at("id") != requests[next].id)
      return BadInput("the answer belongs to no request of the event log; copy the whole folder of the run again");
    AddAnswer(json, requests[next++]);
    return {};
  }));
  if (next == requests.size()) return {};
  return BadInput(fmt::format("{} is cut off: it holds {} answers, the event log {} requests; copy the whole folder again",
                              file.string(), next, requests.size()));
}

std::string Lines(const std::vector<record::PassRecord>& passes, bool with_counts) {
  std::string text;
  for (const record::PassRecord& pass : passes) text += record::ToJsonLine(pass, with_counts) + "\n";
  return text;
}

// Equal tokens mean equal batches, whose experts are stored once.
void CopyRouting(const std::vector<record::PassRecord>& from, std::vector<record::PassRecord>& to) {
  if (from.size() != to.size()) return;
  for (size_t i = 0; i < to.size(); ++i) to[i].expert_counts = from[i].expert_counts;
}

void CopyEnd(const Measurement& measurement, load::LoadResult& records) {
  records.ended_by = measurement.ended_by;
  records.interrupted = measurement.ended_by == load::EndedBy::kInterrupt;
  records.held_back = measurement.held_back;
  records.cpu_s = measurement.cpu_s;
  records.loop_s = measurement.loop_s;
  records.ran_ahead = measurement.ran_ahead;
}

// A file may hold more: a log that goes on, or a file of version 0.1 whose last records do not count.
Status CheckSize(const fs::path& file, uint64_t bytes) {
  std::error_code error;
  const uint64_t size = fs::file_size(file, error);
  if (error) return BadInput(fmt::format("{}: {}; copy the whole folder of the run again", file.string(), error.message()));
  if (size >= bytes) return {};
  return BadInput(
      fmt::format("{} is cut off: it holds {} bytes, the manifest counts {}; copy the whole folder of the run again",
                  file.string(), size, bytes));
}

// The whole lines of a part of a file.
template <typename Record>
Result<std::vector<Record>> ReadSlice(const fs::path& file, const FileSlice& slice,
                                      Result<std::vector<Record>> (*read)(const fs::path&, uint64_t, uint64_t)) {
  if (slice.begin == slice.end) return std::vector<Record>{};
  RETURN_IF_ERROR(CheckSize(file, slice.end));
  return read(file, slice.begin, slice.end);
}

// A manifest from elsewhere must not lead out of its folder.
Status CheckNames(const Manifest& manifest, const fs::path& dir) {
  const auto leads_out = [](const fs::path& name) {
    return name.is_absolute() || std::ranges::any_of(name, [](const fs::path& part) { return part == ".."; });
  };
  std::vector<std::string> names;
  for (const PricedSystem& system : manifest.systems) names.push_back(system.sheet_file);
  for (const Measurement& measurement : manifest.measurements) {
    names.push_back(measurement.name);
    names.push_back(measurement.routing_of);
    for (const auto& [name, bytes] : measurement.file_bytes) names.push_back(name);
  }
  const auto bad = std::ranges::find_if(names, leads_out);
  if (bad == names.end()) return {};
  return BadInput(fmt::format("the manifest in {} names \"{}\", which is not in that folder", dir.string(), *bad));
}

}  // namespace

const PricedSystem* Manifest::FindSystem(const std::string& name) const {
  const auto found = std::ranges::find_if(systems, [&](const PricedSystem& s) { return s.description.name == name; });
  return found != systems.end() ? &*found : nullptr;
}

Result<Results> Results::Create(const fs::path& results_dir, Manifest manifest) {
  ASSIGN_OR_RETURN(const fs::path dir, MakeNumberedDir(results_dir, manifest.run_id));
  return CreateIn(dir, std::move(manifest));
}

Result<Results> Results::CreateIn(const fs::path& dir, Manifest manifest) {
  manifest.run_id = dir.filename().string();
  Results results(dir, std::move(manifest));
  RETURN_IF_ERROR(results.WriteSheets());
  RETURN_IF_ERROR(results.WriteManifest());
  return results;
}

bool Results::IsExperiment(const fs::path& dir) {
  std::error_code error;
  return fs::exists(dir / kManifestName, error) || fs::exists(dir / kLoadManifestName, error);
}

Result<Results> Results::Open(const fs::path& dir) {
  std::error_code error;
  const bool is_load = !fs::exists(dir / kManifestName, error) && fs::exists(dir / kLoadManifestName, error);
  const fs::path file = dir / (is_load ? kLoadManifestName : kManifestName);
  auto text = ReadFile(file);
  if (!text.ok()) return BadInput(fmt::format("{} is not a stored run: {}", dir.string(), text.error().message));
  auto json = ParseJson(*text);
  if (!json.ok()) return Annotate(file.string(), json.error());
  auto manifest = is_load ? LoadManifestFrom01(*json) : ManifestFromJson(*json);
  if (!manifest.ok()) return Annotate(file.string(), manifest.error());
  Results results(dir, std::move(manifest).value());
  RETURN_IF_ERROR(CheckNames(results.manifest_, dir));
  RETURN_IF_ERROR(results.ReadSheets());
  return results;
}

Status Results::WriteSheets() {
  for (size_t i = 0; i < manifest_.systems.size(); ++i) {
    PricedSystem& system = manifest_.systems[i];
    if (!system.sheet) continue;
    std::error_code error;
    fs::create_directories(dir_ / kSheetFolder, error);
    if (error) return Failed(fmt::format("{}: {}", (dir_ / kSheetFolder).string(), error.message()));
    system.sheet_file = fmt::format("{}/{}-{}.json", kSheetFolder, i, SafeName(system.description.name));
    RETURN_IF_ERROR(WriteFileAtomically(dir_ / system.sheet_file, ToJsonText(*system.sheet)));
  }
  return {};
}

// Figures that were exported alone need none.
Status Results::ReadSheets() {
  for (PricedSystem& system : manifest_.systems) {
    if (system.sheet_file.empty() || manifest_.figures_only) continue;
    const fs::path file = dir_ / system.sheet_file;
    const auto text = ReadFile(file);
    if (!text.ok()) return BadInput(text.error().message + "; copy the whole folder of the run again");
    auto sheet = routing::ParseActivationSheet(*text);
    if (!sheet.ok()) return Annotate(file.string(), sheet.error());
    if (const Status fits = metrics::CheckSheet(system.description.model, *sheet); !fits.ok())
      return Annotate(file.string(), fits.error());
    system.sheet = std::move(sheet).value();
  }
  return {};
}

const Measurement* Results::Find(const std::string& system, const record::Level& level, int repeat) const {
  const auto found = std::ranges::find_if(manifest_.measurements, [&](const Measurement& measurement) {
    return measurement.complete && measurement.system == system && measurement.level == level && measurement.repeat == repeat;
  });
  return found != manifest_.measurements.end() ? &*found : nullptr;
}

Result<std::string> Results::MakeFolder(const Measurement& measurement, const std::vector<PlanEntry>& plan) const {
  const std::string name =
      fmt::format("{}-{}-{}", SafeName(measurement.system), FileName(measurement.level), measurement.repeat);
  ASSIGN_OR_RETURN(const fs::path folder, MakeNumberedDir(dir_ / "measurements", name));
  std::string text;
  for (const PlanEntry& entry : plan) text += DumpJson(ToJson(entry)) + "\n";
  RETURN_IF_ERROR(WriteFileAtomically(folder / kPlanFile, text));
  return folder.filename().string();
}

Status Results::List(const Measurement& measurement) {
  manifest_.measurements.push_back(measurement);
  return WriteManifest();
}

Result<std::string> Results::Begin(Measurement measurement, const std::vector<PlanEntry>& plan) {
  ASSIGN_OR_RETURN(measurement.name, MakeFolder(measurement, plan));
  RETURN_IF_ERROR(List(measurement));
  return measurement.name;
}

Status Results::End(Measurement measurement, const load::LoadResult& records) {
  const fs::path folder = Folder(measurement.name);
  if (HasAnswers(records.requests)) {
    std::string text;
    for (const record::RequestRecord& request : records.requests) text += DumpJson(AnswerToJson(request)) + "\n";
    RETURN_IF_ERROR(WriteFileAtomically(folder / kAnswersFile, text));
  }
  if (!records.passes.empty()) {
    const PricedSystem* system = manifest_.FindSystem(measurement.system);
    CHECK(system != nullptr);
    ASSIGN_OR_RETURN(const bool traced, trace::WritePassRouting(folder, system->description.model, records.passes));
    RETURN_IF_ERROR(WriteFileAtomically(folder / kPassesFile, Lines(records.passes, !traced)));
  }
  measurement.file_bytes.clear();
  std::error_code error;
  for (auto file = fs::directory_iterator(folder, error); !error && file != fs::directory_iterator(); file.increment(error)) {
    measurement.file_bytes[file->path().filename().string()] = file->file_size(error);
    if (error) break;
  }
  if (error) return Failed(fmt::format("{}: {}", folder.string(), error.message()));
  const auto entry = std::ranges::find(manifest_.measurements, measurement.name, &Measurement::name);
  CHECK(entry != manifest_.measurements.end());
  *entry = std::move(measurement);
  return WriteManifest();
}

Status Results::PrepareResume() {
  if (manifest_.layout != Manifest::Layout::kExperiment) {
    return BadInput(fmt::format("{} was measured by version {}, whose runs cannot be finished by this one; start it anew",
                                manifest_.run_id, manifest_.moecap_version));
  }
  std::erase_if(manifest_.measurements, [](const Measurement& measurement) { return !measurement.complete; });
  for (const Measurement& measurement : manifest_.measurements) RETURN_IF_ERROR(CheckFiles(measurement));
  return WriteManifest();
}

Status Results::SetHeadRoom(const std::string& system, const HeadRoom& head_room) {
  for (PricedSystem& entry : manifest_.systems) {
    if (entry.description.name == system) entry.head_room = head_room;
  }
  return WriteManifest();
}

Status Results::SetLaunch(const std::string& system, const LaunchFacts& launch) {
  for (PricedSystem& entry : manifest_.systems) {
    if (entry.description.name == system) entry.launch = launch;
  }
  return WriteManifest();
}

Status Results::MarkComplete() {
  manifest_.complete = true;
  return WriteManifest();
}

Status Results::MoveTo(const fs::path& results_dir) {
  ASSIGN_OR_RETURN(const fs::path dir, MakeNumberedDir(results_dir, manifest_.run_id));
  manifest_.run_id = dir.filename().string();
  std::error_code error;
  Status moved = WriteManifest();
  if (moved.ok()) {
    fs::rename(dir_, dir, error);  // over the empty folder
    if (error) moved = Failed(fmt::format("cannot rename {} to {}: {}", dir_.string(), dir.string(), error.message()));
  }
  if (!moved.ok()) {
    fs::remove(dir, error);
    return moved;
  }
  dir_ = dir;
  return {};
}

fs::path Results::Folder(const std::string& name) const { return dir_ / "measurements" / name; }

Status Results::CheckFiles(const Measurement& measurement) const {
  for (const auto& [name, bytes] : measurement.file_bytes) RETURN_IF_ERROR(CheckSize(Folder(measurement.name) / name, bytes));
  return {};
}

fs::path Results::EventLogFile(const std::string& name, int thread) const {
  if (manifest_.layout == Manifest::Layout::kLoad01) return dir_ / "events" / fmt::format("{}.{}.bin", name, thread);
  return Folder(name) / fmt::format("events.{}.bin", thread);
}

fs::path Results::PlanFile(const std::string& name) const {
  if (manifest_.layout == Manifest::Layout::kLoad01) return dir_ / "events" / (name + ".plan.jsonl");
  return Folder(name) / kPlanFile;
}

Result<std::vector<PlanEntry>> Results::ReadPlan(const std::string& name) const {
  std::vector<PlanEntry> plan;
  RETURN_IF_ERROR(ForEachLine(PlanFile(name), [&](const Json& json) -> Status {
    ASSIGN_OR_RETURN(plan.emplace_back(), PlanEntryFromJson(json));
    return {};
  }));
  return plan;
}

Result<Facts> Results::ReadFacts(const Measurement& measurement) const {
  if (manifest_.figures_only) {
    return BadInput(fmt::format(
        "{} holds the figures of its run only: requests, events and passes were left out when it was exported", dir_.string()));
  }
  Facts facts;
  if (manifest_.layout == Manifest::Layout::kRun01) {
    ASSIGN_OR_RETURN(facts.records.requests, ReadSlice(dir_ / "requests.jsonl", measurement.requests, record::ReadRequests));
    ASSIGN_OR_RETURN(facts.records.passes, ReadSlice(dir_ / kPassesFile, measurement.passes, record::ReadPasses));
    CopyEnd(measurement, facts.records);
    return facts;
  }
  RETURN_IF_ERROR(CheckFiles(measurement));
  std::vector<load::LoadResult> parts;
  for (int thread = 0; thread < measurement.threads; ++thread) {
    ASSIGN_OR_RETURN(load::EventLog log, load::ReadEventLog(EventLogFile(measurement.name, thread)));
    parts.push_back(std::move(log.result));
  }
  facts.records = load::JoinParts(std::move(parts));
  CopyEnd(measurement, facts.records);
  const bool is_load01 = manifest_.layout == Manifest::Layout::kLoad01;
  ASSIGN_OR_RETURN(facts.plan, ReadPlan(measurement.name));
  if (is_load01 || !measurement.complete) return facts;
  RETURN_IF_ERROR(ReadAnswers(Folder(measurement.name) / kAnswersFile, facts.records.requests));
  std::error_code error;
  if (!fs::exists(Folder(measurement.name) / kPassesFile, error)) return facts;
  ASSIGN_OR_RETURN(facts.records.passes, trace::ReadRoutedPasses(Folder(measurement.name) / kPassesFile));
  if (!measurement.routing_of.empty()) {
    const auto owner = std::ranges::find(manifest_.measurements, measurement.routing_of, &Measurement::name);
    if (owner != manifest_.measurements.end()) RETURN_IF_ERROR(CheckFiles(*owner));
    ASSIGN_OR_RETURN(const auto reference, trace::ReadRoutedPasses(Folder(measurement.routing_of) / kPassesFile));
    CopyRouting(reference, facts.records.passes);
  }
  return facts;
}

Result<std::vector<Results::File>> Results::Files() const {
  std::vector<File> files;
  const auto add = [&](const fs::path& path, std::optional<uint64_t> bytes) -> Status {
    RETURN_IF_ERROR(CheckSize(path, bytes.value_or(0)));
    std::error_code error;
    const uint64_t whole = fs::file_size(path, error);
    if (error) return BadInput(fmt::format("{}: {}", path.string(), error.message()));
    files.push_back({path.lexically_relative(dir_), bytes.value_or(whole)});
    return {};
  };
  if (manifest_.figures_only) {
    RETURN_IF_ERROR(add(dir_ / kSummaryName, std::nullopt));
    return files;
  }
  if (manifest_.layout == Manifest::Layout::kRun01) {
    if (manifest_.measurements.empty()) return files;
    RETURN_IF_ERROR(add(dir_ / "requests.jsonl", manifest_.measurements.back().requests.end));
    RETURN_IF_ERROR(add(dir_ / kPassesFile, manifest_.measurements.back().passes.end));
    return files;
  }
  for (const PricedSystem& system : manifest_.systems) {
    if (!system.sheet_file.empty()) RETURN_IF_ERROR(add(dir_ / system.sheet_file, std::nullopt));
  }
  const bool is_load01 = manifest_.layout == Manifest::Layout::kLoad01;
  for (const Measurement& measurement : manifest_.measurements) {
    if (!measurement.file_bytes.empty()) {
      for (const auto& [name, bytes] : measurement.file_bytes) RETURN_IF_ERROR(add(Folder(measurement.name) / name, bytes));
      continue;
    }
    for (int thread = 0; thread < measurement.threads; ++thread)
      RETURN_IF_ERROR(add(EventLogFile(measurement.name, thread), std::nullopt));
    const fs::path folder = is_load01 ? dir_ / "events" : Folder(measurement.name);
    RETURN_IF_ERROR(add(PlanFile(measurement.name), std::nullopt));
    for (const char* optional : {kAnswersFile, kPassesFile, trace::kRoutingFile}) {
      std::error_code error;
      if (!is_load01 && fs::exists(folder / optional, error)) RETURN_IF_ERROR(add(folder / optional, std::nullopt));
    }
  }
  return files;
}

Status Results::WriteManifest() const { return WriteFileAtomically(dir_ / kManifestName, DumpJsonPretty(ToJson(manifest_))); }

}  // namespace moecap::experiment
