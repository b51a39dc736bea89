#include "planner/expert_room.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/units.h"
#include "planner/candidate.h"
#include "routing/expert_cache.h"

namespace moecap::planner {
namespace {

using routing::CacheCurve;
using routing::CachePolicy;

constexpr double kHostShareOfExperts = 0.9;  // of host memory that may hold experts

// Reads of the second half that the `capacity` experts used most in the first half serve, for every capacity.
void AddPinned(std::span<const uint16_t> first, std::span<const uint16_t> second, std::vector<double>& hits) {
  std::vector<int64_t> before(hits.size() - 1), after(hits.size() - 1);
  for (const uint16_t expert : first) ++before[expert];
  for (const uint16_t expert : second) ++after[expert];
  std::vector<size_t> order(before.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return before[a] > before[b]; });
  double served = 0;
  for (size_t c = 1; c < hits.size(); ++c) {
    served += static_cast<double>(after[order[c - 1]]);
    hits[c] += served;
  }
}

void Divide(std::vector<double>& values, double by) {
  for (double& value : values) value = by > 0 ? value / by : 0;
}

// How the experts that are not on the devices are read.
struct Way {
  std::string name, system;
  Residence residence;
  double device_share, served;
  bool measured;
};

std::vector<Way> WaysOf(const ExpertRoom& room, const ExpertHits* hits) {
  const auto c = static_cast<size_t>(room.cached_experts);
  const double by_expert = static_cast<double>(c) / room.experts;
  const double by_layer = static_cast<double>(room.layers_on_devices) / room.layers;
  const bool measured = hits != nullptr;
  const Residence there = room.lacking_dram_bytes > 0 ? Residence::kSsd : Residence::kExecute;
  const auto hit = [&](const std::vector<double> ExpertHits::*curve, metrics::Placement placement) {
    return measured ? (hits->*curve)[c] : metrics::HitRate(placement, by_expert);
  };
  std::vector<Way> ways;
  if (room.engine_other_bytes <= room.usable_bytes)
    ways.push_back({fmt::format("--n-cpu-moe {}", room.n_cpu_moe), "llama-server", there, by_layer, by_layer, true});
  if (room.AllFit() || room.other_bytes > room.usable_bytes) return ways;
  ways.push_back({fmt::format("{} hot experts a layer pinned, others computed on the processor", c), "ktransformers", there,
                  by_expert, hit(&ExpertHits::pinned, metrics::Placement::kStatic), measured});
  if (room.lacking_dram_bytes <= 0) {
    const double cached =
        measured ? std::max(hits->lru[c], hits->lfu[c]) : metrics::HitRate(metrics::Placement::kDynamic, by_expert);
    ways.push_back({fmt::format("cache of {} experts a layer, others copied", c), "moe-infinity", Residence::kCopy, by_expert,
                    cached, measured});
  }
  return ways;
}

RoomWay PredictWay(const Way& way, ServingPoint point, const RoomQuestion& question, const ExpertRoom& room,
                   const Ingredients& ingredients) {
  point.factors = ingredients.multipliers.FactorsOf(way.system, point.device);
  point.offload.residence = room.AllFit() ? Residence::kDevice : way.residence;
  point.offload.device_share = way.device_share;
  point.offload.dram_share =
      std::min(1 - way.device_share, point.offload.host.dram_bytes * kHostShareOfExperts / room.routed_bytes);
  point.offload.served_share = way.served;
  point.offload.overlapped = way.system != "llama-server";
  const double step_s = DecodeStep(point, {question.sequences, question.context_tokens, 1}).Total();
  return {way.name,
          way.system,
          way.device_share,
          way.served,
          way.measured,
          step_s,
          ingredients.multipliers.BandOf(way.system, point.device, !room.AllFit())};
}

// What experts leave of a device's memory, and take of it.
struct DeviceRoom {
  double other = 0, experts = 0, routed = 0;  // of one device
};
DeviceRoom RoomOf(const RoomQuestion& question, const model::ModelSpec& spec, const metrics::Deployment& deployment,
                  double usable, Allocator allocator) {
  const MemoryPlan memory = PlanMemory(spec, deployment, static_cast<int64_t>(question.context_tokens), allocator);
  DeviceRoom room;
  room.other = memory.weights_bytes - memory.routed_bytes + memory.other_bytes + memory.sequence_bytes * question.sequences;
  room.routed = memory.routed_bytes;
  room.experts = std::clamp(usable - room.other, 0.0, room.routed);
  return room;
}

// Error: kBadInput where neither kind of system holds what is beside the experts.
Status SetRoom(const RoomQuestion& question, const model::ModelSpec& spec, const hardware::Device& device,
               const metrics::Deployment& deployment, ExpertRoom& room) {
  const DeviceRoom server = RoomOf(question, spec, deployment, room.usable_bytes, Allocator::kServer);
  const DeviceRoom engine = RoomOf(question, spec, deployment, room.usable_bytes, Allocator::kLlamaCpp);
  if (const double least = std::min(server.other, engine.other); least > room.usable_bytes) {
    return BadInput(fmt::format("{}: beside its experts it needs {} on a device, and {} gives out {}: {} are missing", spec.id,
                                FormatBytes(least), device.name, FormatBytes(room.usable_bytes),
                                FormatBytes(least - room.usable_bytes)));
  }
  constexpr double kWhole = 1 + 1e-9;  // a layer that fits exactly
  const auto count = static_cast<double>(question.devices.count);
  room.other_bytes = server.other;
  room.room_bytes = std::min(server.experts * count, room.routed_bytes);
  room.cached_experts = static_cast<int>(room.room_bytes / room.routed_bytes * room.experts * kWhole);
  room.engine_other_bytes = engine.other;
  room.engine_room_bytes = std::min(engine.experts * count, room.routed_bytes);
  const double of_device = std::floor(engine.experts / (room.routed_bytes / room.layers) * kWhole);
  room.layers_on_devices = std::min(room.layers, static_cast<int>(count * of_device));
  if (engine.experts >= engine.routed) room.layers_on_devices = room.layers;
  room.n_cpu_moe = room.layers - room.layers_on_devices;
  return {};
}

// Another type of weights in which one of these ways has a system, the nearest to the stored first; "" = none.
std::string OtherWeights(std::span<const Way> ways, const model::ModelSpec& spec, const hardware::Device& device,
                         const SystemSupport& systems) {
  for (const Variant& variant : MakeVariants(spec, Fidelity::kAny, nullptr)) {
    if (variant.original) continue;
    for (const Way& way : ways) {
      if (systems.Serves(way.system, spec, device) != Served::kNo && systems.Loads(way.system, variant.label, device))
        return fmt::format("; {} takes {}: try --precision {}", way.system, variant.label, variant.label);
    }
  }
  return "";
}

void JudgeCache(const ExpertHits* hits, ExpertRoom& room) {
  if (room.AllFit()) {
    room.why = "all experts fit on the devices: there is nothing to cache";
    return;
  }
  if (!hits) {
    room.why = "hit rates are the published ones of one engine and model; a trace of this model says more";
    return;
  }
  const int c = room.cached_experts;
  const double share = static_cast<double>(c) / room.experts;
  const double best = hits->Best(c), optimal = hits->optimal[static_cast<size_t>(c)];
  const bool hit = (1 - share) >= kCacheGain * (1 - best);
  const bool faster = !room.ways.empty() && room.ways.front().system != "llama-server";
  room.cache_helps = hit && faster;
  if (!hit) {
    room.why = fmt::format(
        "no cache helps here: {} of {} experts serve {} of the trace's reads, and any so many would serve {} (with "
        "hindsight {})",
        c, room.experts, FormatPercent(best, 1), FormatPercent(share, 1), FormatPercent(optimal, 1));
  } else if (!faster) {
    room.why = fmt::format(
        "no cache helps here: {} of {} experts serve {} of the trace's reads, but whole layers on the devices are as fast", c,
        room.experts, FormatPercent(best, 1));
  } else {
    room.why = fmt::format("{} of {} experts serve {} of the trace's reads, where any so many would serve {}", c, room.experts,
                           FormatPercent(best, 1), FormatPercent(share, 1));
  }
}

}  // namespace

double ExpertHits::Best(int c) const {
  const auto at = static_cast<size_t>(c);
  return std::max({lru[at], lfu[at], pinned[at]});
}

ExpertHits HitsOf(std::span<const std::vector<uint16_t>> uses, int experts) {
  ExpertHits hits;
  hits.experts = experts;
  const size_t capacities = static_cast<size_t>(experts) + 1;
  for (auto* curve : {&hits.lru, &hits.lfu, &hits.pinned, &hits.optimal}) curve->assign(capacities, 0);
  for (const std::vector<uint16_t>& layer : uses) {
    const auto first = std::span(layer).first(layer.size() / 2), second = std::span(layer).subspan(layer.size() / 2);
    const CacheCurve whole = routing::SimulateCache(layer, experts), before = routing::SimulateCache(first, experts),
                     after = routing::SimulateCache(second, experts);
    for (size_t c = 0; c < capacities; ++c) {
      hits.lru[c] += static_cast<double>(whole.Hits(CachePolicy::kLru)[c] - before.Hits(CachePolicy::kLru)[c]);
      hits.lfu[c] += static_cast<double>(whole.Hits(CachePolicy::kLfu)[c] - before.Hits(CachePolicy::kLfu)[c]);
      // Whatever lies in a cache at the start saves it one miss an expert at most.
      hits.optimal[c] +=
          static_cast<double>(after.Hits(CachePolicy::kOptimal)[c] + std::min(after.distinct, static_cast<int>(c)));
    }
    AddPinned(first, second, hits.pinned);
    hits.reads += static_cast<int64_t>(second.size());
  }
  for (auto* curve : {&hits.lru, &hits.lfu, &hits.pinned, &hits.optimal}) Divide(*curve, static_cast<double>(hits.reads));
  return hits;
}

Result<ExpertRoom> FindRoom(const RoomQuestion& question, const model::ModelSpec& spec, const Ingredients& ingredients,
                            const ExpertHits* hits) {
  if (spec.MoeLayers() == 0 || !spec.computes) return BadInput(fmt::format("{} has no experts to place", spec.id));
  ASSIGN_OR_RETURN(const hardware::Device device, ingredients.devices.FindDevice(question.devices.id));
  if (!device.bandwidth_bytes_per_s || !device.memory_bytes)
    return BadInput(fmt::format("{}: its bandwidth or memory is not in the catalogue", device.name));
  std::string processor = question.processor.empty() ? UsualHost(device) : question.processor;
  const auto host = HostOf(device, processor, question.dram_bytes, ingredients.devices);
  if (!host)
    return BadInput(fmt::format("{} has no host memory behind it, or the catalogue does not know {}", device.name, processor));
  const metrics::Deployment deployment{1, 1, static_cast<int>(question.devices.count), 1};
  RETURN_IF_ERROR(Validate(deployment, spec));
  const ModelWork work = MakeModelWork(spec);
  ExpertRoom room;
  room.usable_bytes = UsableMemory(device);
  room.routed_bytes = work.RoutedBytes();
  room.layers = spec.MoeLayers();
  room.experts = spec.Experts();
  RETURN_IF_ERROR(SetRoom(question, spec, device, deployment, room));
  room.dram_bytes = room.n_cpu_moe * room.routed_bytes / room.layers;
  room.lacking_dram_bytes = std::max(0.0, room.dram_bytes - host->dram_bytes * kHostShareOfExperts);
  const ServingPoint point{work, device, deployment, FabricOf(device, ingredients.devices), {}, {.host = *host}};
  std::string refused;
  const std::vector<Way> ways = WaysOf(room, hits);
  for (const Way& way : ways) {
    const SystemSupport& systems = ingredients.systems;
    const bool has = systems.Serves(way.system, spec, device) != Served::kNo;
    if (has && systems.Loads(way.system, spec.weight_type, device)) {
      room.ways.push_back(PredictWay(way, point, question, room, ingredients));
    } else {
      refused += (refused.empty() ? "" : "; ") + (has ? systems.WhyNotType(way.system, spec.weight_type, device)
                                                      : systems.WhyNotModel(way.system, spec, device));
    }
  }
  if (room.ways.empty())
    return BadInput(fmt::format("{}: no system keeps its experts apart: {}{}", spec.id, refused,
                                OtherWeights(ways, spec, device, ingredients.systems)));
  std::stable_sort(room.ways.begin(), room.ways.end(), [](const RoomWay& a, const RoomWay& b) { return a.step_s < b.step_s; });
  JudgeCache(hits, room);
  return room;
}

}  // namespace moecap::planner
