#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "hardware/host.h"

namespace moecap::hardware {
namespace {

template <typename T>
Json OrNull(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

// Copies `json[key]` into `out`; the library's exceptions end here.
template <typename T>
Status Read(const Json& json, const char* key, T& out) {
  const auto found = json.find(key);
  if (found == json.end()) return BadInput(fmt::format("the key '{}' is missing", key));
  try {
    out = found->get<T>();
  } catch (const Json::exception&) {
    return BadInput(fmt::format("the key '{}' holds {}, which has the wrong type", key, DumpJson(*found)));
  }
  return {};
}

template <typename T>
Status Read(const Json& json, const char* key, std::optional<T>& out) {
  const auto found = json.find(key);
  out.reset();
  if (found == json.end() || found->is_null()) return {};
  T value{};
  RETURN_IF_ERROR(Read(json, key, value));
  out = std::move(value);
  return {};
}

Json CeilingToJson(const std::optional<Ceiling>& ceiling) {
  if (!ceiling) return nullptr;
  return {{"best", ceiling->best},
          {"median", ceiling->median},
          {"worst", ceiling->worst},
          {"repetitions", ceiling->repetitions},
          {"kernel", ceiling->kernel}};
}

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

}  // namespace

Json ToJson(const HostInfo& host) {
  return {{"architecture", host.architecture},
          {"cpu_vendor", host.cpu_vendor},
          {"cpu_model", host.cpu_model},
          {"cpu_family", host.cpu_family},
          {"cpu_model_number", host.cpu_model_number},
          {"sockets", host.sockets},
          {"numa_nodes", host.numa_nodes},
          {"physical_cores", host.physical_cores},
          {"logical_cpus", host.logical_cpus},
          {"allowed_cpus", host.allowed_cpus},
          {"cpu_quota", OrNull(host.cpu_quota)},
          {"usable_threads", host.UsableThreads()},
          {"isa", host.isa},
          {"last_level_cache_bytes", host.last_level_cache_bytes},
          {"dram_bytes", host.dram_bytes},
          {"available_bytes", host.available_bytes},
          {"memory_limit_bytes", OrNull(host.memory_limit_bytes)},
          {"hypervisor", host.hypervisor},
          {"container", host.container},
          {"kernel", host.kernel}};
}

Result<HostInfo> HostInfoFromJson(const Json& json) {
  if (!json.is_object()) return BadInput("a host is a JSON object");
  HostInfo host;
  RETURN_IF_ERROR(Read(json, "architecture", host.architecture));
  RETURN_IF_ERROR(Read(json, "cpu_vendor", host.cpu_vendor));
  RETURN_IF_ERROR(Read(json, "cpu_model", host.cpu_model));
  RETURN_IF_ERROR(Read(json, "cpu_family", host.cpu_family));
  RETURN_IF_ERROR(Read(json, "cpu_model_number", host.cpu_model_number));
  RETURN_IF_ERROR(Read(json, "sockets", host.sockets));
  RETURN_IF_ERROR(Read(json, "numa_nodes", host.numa_nodes));
  RETURN_IF_ERROR(Read(json, "physical_cores", host.physical_cores));
  RETURN_IF_ERROR(Read(json, "logical_cpus", host.logical_cpus));
  RETURN_IF_ERROR(Read(json, "allowed_cpus", host.allowed_cpus));
  RETURN_IF_ERROR(Read(json, "cpu_quota", host.cpu_quota));
  RETURN_IF_ERROR(Read(json, "isa", host.isa));
  RETURN_IF_ERROR(Read(json, "last_level_cache_bytes", host.last_level_cache_bytes));
  RETURN_IF_ERROR(Read(json, "dram_bytes", host.dram_bytes));
  RETURN_IF_ERROR(Read(json, "available_bytes", host.available_bytes));
  RETURN_IF_ERROR(Read(json, "memory_limit_bytes", host.memory_limit_bytes));
  RETURN_IF_ERROR(Read(json, "hypervisor", host.hypervisor));
  RETURN_IF_ERROR(Read(json, "container", host.container));
  RETURN_IF_ERROR(Read(json, "kernel", host.kernel));
  return host;
}

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
  RETURN_IF_ERROR(Read(json, "notes", ceilings.notes));
  return ceilings;
}

}  // namespace moecap::hardware
