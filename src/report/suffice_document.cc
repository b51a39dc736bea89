#include "report/suffice_document.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "report/format.h"
#include "report/readings.h"

namespace moecap::report {
namespace {

using planner::ClassSuffices;
using planner::DeploymentClassSuffices;

std::vector<std::string> SufficeHeadline(const SufficeAnswer& answer) {
  std::vector<std::string> lines;
  const planner::StepNeed &first = answer.needs.front(), &last = answer.needs.back();
  lines.push_back(fmt::format("A batch of {} needs {} for {} a token, one of {} {}; all weights in every step would need {}.",
                              first.batch, RateText(first.bandwidth_bytes_per_s, "B/s"), SecondsText(answer.tpot_s), last.batch,
                              RateText(last.bandwidth_bytes_per_s, "B/s"),
                              RateText(answer.weight_bytes / answer.tpot_s, "B/s")));
  std::vector<std::string> parts;
  for (const DeploymentClassSuffices& one : answer.classes)
    parts.push_back(fmt::format("{} of {} {} devices ({} hold it)", one.needs.front().fast_enough, one.devices, one.name,
                                one.needs.front().holding));
  lines.push_back(fmt::format("At a batch of {} the bandwidth of {} suffices.", first.batch, JoinWords(parts)));
  lines.emplace_back("The need is a bound: peaks are not reached (server GPUs 0.5 to 0.9 of them), several devices share it.");
  return lines;
}

Table NeedsTable(const SufficeAnswer& answer) {
  Table table{.name = "devices",
              .title = "Devices that suffice alone, by batch: fast enough / also holding weights and KV cache"};
  table.columns = {
      {.header = "batch", .kind = ColumnKind::kKey}, {.header = "needs", .unit = "GB/s"}, {.header = "memory", .unit = "GB"}};
  constexpr double kGiga = 1e9;
  for (const DeploymentClassSuffices& one : answer.classes)
    table.columns.push_back({.header = fmt::format("{} ({})", one.name, one.devices), .kind = ColumnKind::kWord});
  for (size_t i = 0; i < answer.needs.size(); ++i) {
    Row row{{std::to_string(answer.needs[i].batch), Estimate(NumberText(answer.needs[i].bandwidth_bytes_per_s, kGiga)),
             NumberText(answer.needs[i].memory_bytes, kGiga)}};
    for (const DeploymentClassSuffices& one : answer.classes)
      row.cells.emplace_back(fmt::format("{} / {}", one.needs[i].fast_enough, one.needs[i].holding));
    table.rows.push_back(std::move(row));
  }
  return table;
}

Table LeastTable(const SufficeAnswer& answer) {
  Table table{.name = "least", .title = "The one with the least bandwidth that suffices and holds it"};
  table.columns = {{.header = "batch", .kind = ColumnKind::kKey}};
  for (const DeploymentClassSuffices& one : answer.classes)
    table.columns.push_back({.header = std::string(one.name), .kind = ColumnKind::kWord});
  for (size_t i = 0; i < answer.needs.size(); ++i) {
    Row row{{std::to_string(answer.needs[i].batch)}};
    for (const DeploymentClassSuffices& one : answer.classes)
      row.cells.emplace_back(one.needs[i].least ? one.needs[i].least->name : "none");
    table.rows.push_back(std::move(row));
  }
  return table;
}

}  // namespace

Figure DeviceMap(const std::string& model, double tpot_s, std::span<const planner::StepNeed> needs,
                 const std::vector<const hardware::Device*>& devices, std::string_view chosen) {
  HardwareMap map;
  map.frame = {"hardware-map", "Memory bandwidth against power", fmt::format("lines: what {} needs", model), ""};
  for (const std::string_view name : hardware::kDeploymentClasses) map.kinds.emplace_back(name);
  for (const hardware::Device* device : devices) {
    const std::string_view deployed = DeploymentClass(*device);
    const auto kind = std::find(map.kinds.begin(), map.kinds.end(), deployed);
    if (kind == map.kinds.end() || !device->bandwidth_bytes_per_s || !device->tdp_w) continue;
    map.devices.push_back({device->name, static_cast<size_t>(kind - map.kinds.begin()), *device->bandwidth_bytes_per_s,
                           *device->tdp_w, device->id == chosen, ""});
  }
  for (const planner::StepNeed& need : needs)
    map.requirements.push_back({need.bandwidth_bytes_per_s, fmt::format("batch {}, TPOT {}", need.batch, SecondsText(tpot_s))});
  map.frame.description = ReadHardwareMap(map);
  return {map, "Devices above a line are fast enough for that batch, if they reach their peak; those whose power is known.",
          PlotWidth::kFull};
}

Document SufficeDocument(const SufficeAnswer& answer, const hardware::Catalogue& catalogue) {
  Document document;
  document.kind = "plan devices";
  document.title = answer.model;
  document.about.items = {{"TPOT", SecondsText(answer.tpot_s)},
                          {"context", CountText(answer.context_tokens, "token", "tokens")},
                          {"weights", BytesText(answer.weight_bytes)}};
  document.headline = SufficeHeadline(answer);
  document.sections.push_back(
      {.heading = "Devices", .detail = Detail::kFirstScreen, .blocks = {NeedsTable(answer), LeastTable(answer)}});
  std::vector<const hardware::Device*> devices;
  for (const hardware::Device& device : catalogue.devices()) devices.push_back(&device);
  document.sections.push_back({.heading = "Map",
                               .detail = Detail::kPageOnly,
                               .blocks = {DeviceMap(answer.model, answer.tpot_s, answer.needs, devices)}});
  return document;
}

Json SufficeToJson(const SufficeAnswer& answer) {
  Json needs = Json::array(), classes = Json::array();
  for (const planner::StepNeed& need : answer.needs)
    needs.push_back(
        {{"batch", need.batch}, {"bandwidth_bytes_per_s", need.bandwidth_bytes_per_s}, {"memory_bytes", need.memory_bytes}});
  for (const DeploymentClassSuffices& one : answer.classes) {
    Json by_batch = Json::array();
    for (const ClassSuffices& at : one.needs)
      by_batch.push_back(
          {{"fast_enough", at.fast_enough}, {"holding", at.holding}, {"least", at.least ? Json(at.least->id) : Json(nullptr)}});
    classes.push_back({{"class", std::string(one.name)}, {"devices", one.devices}, {"by_batch", std::move(by_batch)}});
  }
  return {{"schema", 1},
          {"model", answer.model},
          {"tpot_s", answer.tpot_s},
          {"context_tokens", answer.context_tokens},
          {"weight_bytes", answer.weight_bytes},
          {"needs", std::move(needs)},
          {"classes", std::move(classes)}};
}

}  // namespace moecap::report
