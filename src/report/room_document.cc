#include "report/room_document.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "report/format.h"

namespace moecap::report {
namespace {

std::string BandOfStep(const planner::RoomWay& way) {
  return fmt::format("{} ({} to {})", SecondsText(way.step_s), SecondsText(way.step_s * way.band.low),
                     SecondsText(way.step_s * way.band.high));
}

std::vector<std::string> RoomHeadline(const RoomAnswer& answer) {
  const planner::ExpertRoom& room = answer.room;
  std::vector<std::string> lines;
  if (room.AllFit()) {
    lines.push_back(fmt::format("All experts of {} fit on {}: --n-cpu-moe 0.", answer.model, answer.devices));
  } else {
    lines.push_back(fmt::format("Whole layers: {} of {} fit, so --n-cpu-moe {}. By expert: {} of {} in each layer.",
                                room.layers_on_devices, room.layers, room.n_cpu_moe, room.cached_experts, room.experts));
  }
  const planner::RoomWay& best = room.ways.front();
  lines.push_back(fmt::format("Fastest by prediction: {} ({}), {} a decode step. The band: {}.", best.name, best.system,
                              BandOfStep(best), best.band.basis));
  lines.push_back(Sentence(room.why));
  if (room.lacking_dram_bytes > 0) {
    lines.push_back(
        fmt::format("Host memory lacks {} for the other experts: they come from an SSD.", BytesText(room.lacking_dram_bytes)));
  }
  return lines;
}

Table RoomWaysTable(const planner::ExpertRoom& room) {
  Table table{.name = "ways", .title = "Ways to keep the experts, the fastest first"};
  table.columns = {{.header = "way", .kind = ColumnKind::kKey},
                   {.header = "system", .kind = ColumnKind::kWord},
                   {.header = "held", .group = "by the devices", .unit = "%"},
                   {.header = "reads served", .group = "by the devices", .unit = "%"},
                   {.header = "decode step", .unit = "ms"}};
  for (const planner::RoomWay& way : room.ways) {
    Cell served = NumberText(way.served, kPercent);
    if (!way.measured) served = Estimate(std::move(served));
    table.rows.push_back(
        {way.name, way.system, NumberText(way.device_share, kPercent), served, Estimate(NumberText(way.step_s, kMilli))});
  }
  return table;
}

// Capacities at which the curves are shown: the one that fits, and eighths.
Table HitsTable(const planner::ExpertHits& hits, int fitting) {
  Table table{.name = "hits", .title = "What caches serve of the reads of the trace's second half, %"};
  table.columns = {{.header = "experts of a layer", .kind = ColumnKind::kKey},
                   {.header = "any choice"},
                   {.header = "pinned"},
                   {.header = "LRU"},
                   {.header = "LFU"},
                   {.header = "hindsight"}};
  std::vector<int> capacities = {fitting};
  for (int eighth = 1; eighth < 8; ++eighth) capacities.push_back(hits.experts * eighth / 8);
  std::sort(capacities.begin(), capacities.end());
  capacities.erase(std::unique(capacities.begin(), capacities.end()), capacities.end());
  for (const int c : capacities) {
    const auto at = static_cast<size_t>(c);
    Cell key = std::to_string(c);
    if (c == fitting) key = WithNote(std::move(key), "so many fit");
    table.rows.push_back({key, NumberText(static_cast<double>(c) / hits.experts, kPercent),
                          NumberText(hits.pinned[at], kPercent), NumberText(hits.lru[at], kPercent),
                          NumberText(hits.lfu[at], kPercent), NumberText(hits.optimal[at], kPercent)});
  }
  return table;
}

}  // namespace

Document RoomDocument(const RoomAnswer& answer) {
  const planner::ExpertRoom& room = answer.room;
  Document document;
  document.kind = "plan experts";
  document.title = answer.model;
  document.about.items = {
      {"devices", answer.devices},
      {"load", fmt::format("{:g} at once, {:g} tokens each", answer.question.sequences, answer.question.context_tokens)}};
  document.headline = RoomHeadline(answer);
  Section ways{.heading = "Experts", .detail = Detail::kFirstScreen, .blocks = {RoomWaysTable(room)}};
  if (answer.hits && !room.AllFit()) ways.blocks.emplace_back(HitsTable(*answer.hits, room.cached_experts));
  ways.blocks.emplace_back(KeyValues{
      "Memory",
      {{"a device gives out", BytesText(room.usable_bytes)},
       {"beside experts, a server", BytesText(room.other_bytes)},
       {"beside experts, llama.cpp", BytesText(room.engine_other_bytes)},
       {"routed experts", BytesText(room.routed_bytes)},
       {"room for experts, a server", BytesText(room.room_bytes)},
       {"room for experts, llama.cpp", BytesText(room.engine_room_bytes)},
       {"in host memory", BytesText(room.dram_bytes)},
       {"experts of a pass", answer.traced_distinct ? fmt::format("{:.1f} in the trace", *answer.traced_distinct) : ""}}});
  document.sections.push_back(std::move(ways));
  return document;
}

Json RoomToJson(const RoomAnswer& answer) {
  const planner::ExpertRoom& room = answer.room;
  Json ways = Json::array();
  for (const planner::RoomWay& way : room.ways) {
    ways.push_back({{"way", way.name},
                    {"system", way.system},
                    {"device_share", way.device_share},
                    {"served_share", way.served},
                    {"served_is_measured", way.measured},
                    {"decode_step_s", way.step_s},
                    {"band", {{"low", way.band.low}, {"high", way.band.high}, {"basis", way.band.basis}}}});
  }
  Json hits = nullptr;
  if (answer.hits) {
    hits = {{"reads", answer.hits->reads},
            {"pinned", answer.hits->pinned},
            {"lru", answer.hits->lru},
            {"lfu", answer.hits->lfu},
            {"optimal", answer.hits->optimal}};
  }
  return {{"schema", 1},
          {"model", answer.model},
          {"devices", answer.devices},
          {"usable_bytes", room.usable_bytes},
          {"other_bytes", room.other_bytes},
          {"engine_other_bytes", room.engine_other_bytes},
          {"routed_bytes", room.routed_bytes},
          {"room_bytes", room.room_bytes},
          {"engine_room_bytes", room.engine_room_bytes},
          {"moe_layers", room.layers},
          {"experts", room.experts},
          {"layers_on_devices", room.layers_on_devices},
          {"n_cpu_moe", room.n_cpu_moe},
          {"cached_experts", room.cached_experts},
          {"host_bytes", room.dram_bytes},
          {"lacking_host_bytes", room.lacking_dram_bytes},
          {"cache_helps", room.cache_helps ? Json(*room.cache_helps) : Json(nullptr)},
          {"why", room.why},
          {"ways", std::move(ways)},
          {"hits", std::move(hits)}};
}

}  // namespace moecap::report
