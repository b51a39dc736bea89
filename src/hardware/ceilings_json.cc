#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "hardware/host.h"
#include "hardware/json_fields.h"

namespace moecap::hardware {
namespace {

Json ToJson(const Ceiling& ceiling) {
  return {{"best", ceiling.best},
          {"median", ceiling.median},
          {"worst", ceiling.worst},
          {"repetitions", ceiling.repetitions},
          {"kernel", ceiling.kernel}};
}

Json CeilingToJson(const std::optional<Ceiling>& ceiling) { return ceiling ? ToJson(*ceiling) : Json(nullptr); }

Status ReadCeiling(const Json& json, const char* key, std::optional<Ceiling>& out) {
  out.reset();
  const auto found = json.find(key);
  if (found == json.end() || found->is_null()) return {};
  if (!found->is_object()) return BadInput(fmt::format("the key '{}' is not an object", key));
  Ceiling ceiling;
  Status status = Read(*found, "best", ceiling.best);
  if (status) status = Read(*found, "median", ceiling.median);
  if (status) status = Read(*found, "worst", ceiling.worst);
  if (status) status = Read(*found, "repetitions", ceiling.repetitions);
  if (status) status = Read(*found, "kernel", ceiling.kernel);
  if (!status) return Annotate(key, status.error());
  const bool sound = ceiling.worst > 0 && ceiling.median >= ceiling.worst && ceiling.best >= ceiling.median;
  if (!sound || ceiling.repetitions < 1) {
    return BadInput(fmt::format("{}: not 0 < worst <= median <= best over at least one repetition", key));
  }
  out = std::move(ceiling);
  return {};
}

// A figure that must be there.
Status ReadCeiling(const Json& json, const char* key, Ceiling& out) {
  std::optional<Ceiling> ceiling;
  RETURN_IF_ERROR(ReadCeiling(json, key, ceiling));
  if (!ceiling) return BadInput(fmt::format("the key '{}' is missing", key));
  out = *std::move(ceiling);
  return {};
}

// A list under `key`, each entry read by `read`; a missing key is an empty list, as older files have it.
template <typename T, typename ReadEntry>
Status ReadList(const Json& json, const char* key, std::vector<T>& out, const ReadEntry& read) {
  const auto found = json.find(key);
  if (found == json.end() || found->is_null()) return {};
  if (!found->is_array()) return BadInput(fmt::format("the key '{}' is not a list", key));
  for (const Json& entry : *found) {
    if (!entry.is_object()) return BadInput(fmt::format("the key '{}' holds an entry that is no object", key));
    T value;
    if (const Status status = read(entry, value); !status) return Annotate(key, status.error());
    out.push_back(std::move(value));
  }
  return {};
}

Json ToJson(const ThreadBandwidth& point) {
  return {{"threads", point.threads},
          {"read_bytes_per_s", ToJson(point.read_bytes_per_s)},
          {"copy_bytes_per_s", ToJson(point.copy_bytes_per_s)}};
}

Status ReadPoint(const Json& json, ThreadBandwidth& out) {
  RETURN_IF_ERROR(Read(json, "threads", out.threads));
  RETURN_IF_ERROR(ReadCeiling(json, "read_bytes_per_s", out.read_bytes_per_s));
  return ReadCeiling(json, "copy_bytes_per_s", out.copy_bytes_per_s);
}

Json ToJson(const CacheBandwidth& cache) {
  return {{"level", cache.level},
          {"cache_bytes", cache.cache_bytes},
          {"buffer_bytes", cache.buffer_bytes},
          {"read_bytes_per_s", ToJson(cache.read_bytes_per_s)}};
}

Status ReadCache(const Json& json, CacheBandwidth& out) {
  RETURN_IF_ERROR(Read(json, "level", out.level));
  RETURN_IF_ERROR(Read(json, "cache_bytes", out.cache_bytes));
  RETURN_IF_ERROR(Read(json, "buffer_bytes", out.buffer_bytes));
  return ReadCeiling(json, "read_bytes_per_s", out.read_bytes_per_s);
}

// The figure's unit is in its key, as everywhere: FLOP or, for integers, operations.
const char* RateKey(const std::string& operands) { return operands == "int8" ? "ops_per_s" : "flops_per_s"; }

Json ToJson(const KernelRate& rate) { return {{"operands", rate.operands}, {RateKey(rate.operands), ToJson(rate.per_s)}}; }

Status ReadKernel(const Json& json, KernelRate& out) {
  RETURN_IF_ERROR(Read(json, "operands", out.operands));
  return ReadCeiling(json, RateKey(out.operands), out.per_s);
}

Json ToJson(const DiskCeilings& disk) {
  return {{"disk", disk.disk},
          {"model", disk.model},
          {"file_bytes", disk.file_bytes},
          {"sequential_read_bytes_per_s", CeilingToJson(disk.sequential_read_bytes_per_s)},
          {"sequential_write_bytes_per_s", CeilingToJson(disk.sequential_write_bytes_per_s)},
          {"random_1mib_read_bytes_per_s", CeilingToJson(disk.random_1mib_read_bytes_per_s)},
          {"random_4kib_read_bytes_per_s", CeilingToJson(disk.random_4kib_read_bytes_per_s)},
          {"measured_at", disk.measured_at},
          {"notes", disk.notes}};
}

Status ReadDisk(const Json& json, DiskCeilings& out) {
  RETURN_IF_ERROR(Read(json, "disk", out.disk));
  RETURN_IF_ERROR(Read(json, "model", out.model));
  RETURN_IF_ERROR(Read(json, "file_bytes", out.file_bytes));
  RETURN_IF_ERROR(ReadCeiling(json, "sequential_read_bytes_per_s", out.sequential_read_bytes_per_s));
  RETURN_IF_ERROR(ReadCeiling(json, "sequential_write_bytes_per_s", out.sequential_write_bytes_per_s));
  RETURN_IF_ERROR(ReadCeiling(json, "random_1mib_read_bytes_per_s", out.random_1mib_read_bytes_per_s));
  RETURN_IF_ERROR(ReadCeiling(json, "random_4kib_read_bytes_per_s", out.random_4kib_read_bytes_per_s));
  RETURN_IF_ERROR(Read(json, "measured_at", out.measured_at));
  return Read(json, "notes", out.notes);
}

Json ToJson(const GpuCeilings& gpu) {
  return {{"name", gpu.name},
          {"pci_address", gpu.pci_address},
          {"memory_bytes", gpu.memory_bytes},
          {"read_bytes_per_s", CeilingToJson(gpu.read_bytes_per_s)},
          {"copy_bytes_per_s", CeilingToJson(gpu.copy_bytes_per_s)},
          {"host_to_device_bytes_per_s", CeilingToJson(gpu.host_to_device_bytes_per_s)},
          {"device_to_host_bytes_per_s", CeilingToJson(gpu.device_to_host_bytes_per_s)},
          {"idle_w", OrNull(gpu.idle_w)},
          {"busy_w", OrNull(gpu.busy_w)},
          {"measured_at", gpu.measured_at},
          {"notes", gpu.notes}};
}

Status ReadGpu(const Json& json, GpuCeilings& out) {
  RETURN_IF_ERROR(Read(json, "name", out.name));
  RETURN_IF_ERROR(Read(json, "pci_address", out.pci_address));
  RETURN_IF_ERROR(Read(json, "memory_bytes", out.memory_bytes));
  RETURN_IF_ERROR(ReadCeiling(json, "read_bytes_per_s", out.read_bytes_per_s));
  RETURN_IF_ERROR(ReadCeiling(json, "copy_bytes_per_s", out.copy_bytes_per_s));
  RETURN_IF_ERROR(ReadCeiling(json, "host_to_device_bytes_per_s", out.host_to_device_bytes_per_s));
  RETURN_IF_ERROR(ReadCeiling(json, "device_to_host_bytes_per_s", out.device_to_host_bytes_per_s));
  RETURN_IF_ERROR(Read(json, "idle_w", out.idle_w));
  RETURN_IF_ERROR(Read(json, "busy_w", out.busy_w));
  RETURN_IF_ERROR(Read(json, "measured_at", out.measured_at));
  return Read(json, "notes", out.notes);
}

template <typename T>
Json ListToJson(const std::vector<T>& values) {
  Json list = Json::array();
  for (const T& value : values) list.push_back(ToJson(value));
  return list;
}

}  // namespace

Json ToJson(const Ceilings& ceilings) {
  return {{"schema", 1},
          {"source", "measured"},
          {"measured_at", ceilings.measured_at},
          {"fingerprint", ceilings.fingerprint},
          {"threads", ceilings.threads},
          {"buffer_bytes", ceilings.buffer_bytes},
          {"read_bytes_per_s", CeilingToJson(ceilings.read_bytes_per_s)},
          {"copy_bytes_per_s", CeilingToJson(ceilings.copy_bytes_per_s)},
          {"fp32_flops_per_s", CeilingToJson(ceilings.fp32_flops_per_s)},
          {"bf16_flops_per_s", CeilingToJson(ceilings.bf16_flops_per_s)},
          {"int8_ops_per_s", CeilingToJson(ceilings.int8_ops_per_s)},
          {"kernels", ListToJson(ceilings.kernels)},
          {"probed_at", ceilings.probed_at.empty() ? Json(nullptr) : Json(ceilings.probed_at)},
          {"by_threads", ListToJson(ceilings.by_threads)},
          {"caches", ListToJson(ceilings.caches)},
          {"disk", ceilings.disk ? ToJson(*ceilings.disk) : Json(nullptr)},
          {"gpus", ListToJson(ceilings.gpus)},
          {"notes", ceilings.notes}};
}

Result<Ceilings> CeilingsFromJson(const Json& json) {
  if (!json.is_object()) return BadInput("measured ceilings are a JSON object");
  int schema = 0;
  RETURN_IF_ERROR(Read(json, "schema", schema));
  if (schema != 1) return BadInput(fmt::format("schema {} is not known (this program reads 1)", schema));
  Ceilings ceilings;
  RETURN_IF_ERROR(Read(json, "measured_at", ceilings.measured_at));
  RETURN_IF_ERROR(Read(json, "fingerprint", ceilings.fingerprint));
  RETURN_IF_ERROR(Read(json, "threads", ceilings.threads));
  RETURN_IF_ERROR(Read(json, "buffer_bytes", ceilings.buffer_bytes));
  RETURN_IF_ERROR(ReadCeiling(json, "read_bytes_per_s", ceilings.read_bytes_per_s));
  RETURN_IF_ERROR(ReadCeiling(json, "copy_bytes_per_s", ceilings.copy_bytes_per_s));
  RETURN_IF_ERROR(ReadCeiling(json, "fp32_flops_per_s", ceilings.fp32_flops_per_s));
  RETURN_IF_ERROR(ReadCeiling(json, "bf16_flops_per_s", ceilings.bf16_flops_per_s));
  RETURN_IF_ERROR(ReadCeiling(json, "int8_ops_per_s", ceilings.int8_ops_per_s));
  RETURN_IF_ERROR(ReadList(json, "kernels", ceilings.kernels, ReadKernel));
  std::optional<std::string> probed_at;  // older files lack it
  RETURN_IF_ERROR(Read(json, "probed_at", probed_at));
  ceilings.probed_at = probed_at.value_or("");
  RETURN_IF_ERROR(ReadList(json, "by_threads", ceilings.by_threads, ReadPoint));
  RETURN_IF_ERROR(ReadList(json, "caches", ceilings.caches, ReadCache));
  if (const auto disk = json.find("disk"); disk != json.end() && !disk->is_null()) {
    if (!disk->is_object()) return BadInput("the key 'disk' is not an object");
    ceilings.disk.emplace();
    if (const Status status = ReadDisk(*disk, *ceilings.disk); !status) return Annotate("disk", status.error());
  }
  RETURN_IF_ERROR(ReadList(json, "gpus", ceilings.gpus, ReadGpu));
  RETURN_IF_ERROR(Read(json, "notes", ceilings.notes));
  return ceilings;
}

}  // namespace moecap::hardware
