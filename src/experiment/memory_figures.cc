#include "experiment/memory_figures.h"

#include <algorithm>

#include "metrics/pass_cost.h"
#include "metrics/pass_terms.h"

namespace moecap::experiment {
namespace {

using cap::FigureId;

constexpr double kGib = 1024.0 * 1024 * 1024;
constexpr double kGb = 1e9;

// DRAM for what is in memory; the disk holds the whole file of a system that leaves experts there. Null without a DRAM price,
// and on accelerators, whose memory has no price of its own.
std::optional<double> MemoryUsd(const PricedSystem& system, double memory_bytes) {
  const auto& accelerators = system.cost.accelerators_usd;
  if (!system.cost.dram_usd_per_gib || (accelerators && accelerators->value > 0)) return std::nullopt;
  const double dram_usd = memory_bytes / kGib * system.cost.dram_usd_per_gib->value;
  if (!system.description.experts_on_disk) return dram_usd;
  if (!system.cost.ssd_usd_per_gb) return std::nullopt;
  return dram_usd + static_cast<double>(system.description.model_file_bytes) / kGb * system.cost.ssd_usd_per_gb->value;
}

}  // namespace

void FillMemory(const PricedSystem& system, std::span<const record::PassRecord> passes, cap::FigureValues& figures) {
  const model::ModelSpec& model = system.description.model;
  double sum = 0, largest = 0;
  int64_t count = 0;
  for (const record::PassRecord& pass : passes) {
    if (pass.kind != record::PassKind::kDecode) continue;
    double bytes = 0;
    for (const auto& slice : pass.sequences)
      bytes += static_cast<double>(slice.count) * model.ResidentKvBytes(slice.context_tokens + slice.new_tokens);
    sum += bytes;
    largest = std::max(largest, bytes);
    ++count;
  }
  if (count == 0) return;
  figures[FigureId::kKvMean] = sum / static_cast<double>(count);
  figures[FigureId::kKvMax] = largest;
  figures[FigureId::kMemory] = system.description.ResidentWeightBytes() + largest;
  if (system.description.experts_on_disk)
    figures[FigureId::kDiskNeeded] = static_cast<double>(system.description.model_file_bytes);
  figures[FigureId::kMemoryUsd] = MemoryUsd(system, *figures[FigureId::kMemory]);
}

void FillExpertReads(const PricedSystem& system, std::span<const record::PassRecord> passes, cap::FigureValues& figures) {
  record::ExpertReads sum;
  double latency_s = 0, tokens = 0, decode_s = 0, decode_bytes = 0;
  bool any = false;
  for (const record::PassRecord& pass : passes) {
    if (!pass.expert_reads) continue;
    any = true;
    sum.hits += pass.expert_reads->hits;
    sum.foreseen += pass.expert_reads->foreseen;
    sum.misses += pass.expert_reads->misses;
    sum.disk_bytes += pass.expert_reads->disk_bytes;
    sum.stall_s += pass.expert_reads->stall_s;
    latency_s += pass.latency_s;
    tokens += static_cast<double>(pass.NewTokens());
    if (pass.kind != record::PassKind::kDecode) continue;
    decode_s += pass.latency_s;
    decode_bytes += static_cast<double>(pass.expert_reads->disk_bytes);
  }
  if (!any) return;
  const auto used = static_cast<double>(sum.hits + sum.misses);
  if (used > 0) figures[FigureId::kExpertHits] = static_cast<double>(sum.hits) / used;
  if (used > 0) figures[FigureId::kExpertsForeseen] = static_cast<double>(sum.foreseen) / used;
  if (tokens > 0) figures[FigureId::kDiskBytesPerToken] = static_cast<double>(sum.disk_bytes) / tokens;
  if (latency_s > 0) figures[FigureId::kExpertStall] = sum.stall_s / latency_s;
  if (!(decode_s > 0)) return;
  figures[FigureId::kDecodeDiskRate] = decode_bytes / decode_s;
  const auto& disk = system.description.experts_on_disk;
  if (disk && disk->disk_bytes_per_s) figures[FigureId::kDecodeDiskSMbu] = decode_bytes / decode_s / *disk->disk_bytes_per_s;
}

void FillTiers(const PricedSystem& priced, std::span<const record::PassRecord> passes, const metrics::Peaks& peaks,
               std::optional<double> host_bytes_per_s, cap::FigureValues& figures) {
  const SystemDescription& system = priced.description;
  const int layers = system.devices.cpu_experts;
  if (layers == 0) return;
  figures[FigureId::kHostMemory] = metrics::ResidentRoutedBytesOfFirst(system.model, layers);
  if (auto& memory = figures[FigureId::kMemory]) *memory -= *figures[FigureId::kHostMemory];
  double device_bytes = 0, host_bytes = 0, latency_s = 0;
  for (const record::PassRecord& pass : passes) {
    if (pass.kind != record::PassKind::kDecode) continue;
    const auto bytes = metrics::PassBytes(system.model, pass, metrics::Convention::kComplete);
    const auto host = metrics::RoutedBytesOfFirst(system.model, pass, layers);
    if (!bytes || !host) return;
    device_bytes += *bytes - *host;
    host_bytes += *host;
    latency_s += pass.latency_s;
  }
  if (!(latency_s > 0)) return;
  if (const auto peak = peaks.bandwidth_bytes_per_s)
    figures[FigureId::kDecodeDeviceSMbu] = device_bytes / latency_s / (*peak * peaks.devices);
  if (host_bytes_per_s) figures[FigureId::kDecodeHostSMbu] = host_bytes / latency_s / *host_bytes_per_s;
}

}  // namespace moecap::experiment
