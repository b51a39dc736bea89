#include <nlohmann/json.hpp>

#include "hardware/host.h"
#include "hardware/json_fields.h"

namespace moecap::hardware {
namespace {

// Files of 0.1 hold 0 for what the system did not tell.
template <typename T>
Status ReadTold(const Json& json, const char* key, std::optional<T>& out) {
  RETURN_IF_ERROR(Read(json, key, out));
  if (out == T{0}) out.reset();
  return {};
}

}  // namespace

Json ToJson(const HostInfo& host) {
  return {{"architecture", host.architecture},
          {"cpu_vendor", host.cpu_vendor},
          {"cpu_model", host.cpu_model},
          {"cpu_family", OrNull(host.cpu_family)},
          {"cpu_model_number", OrNull(host.cpu_model_number)},
          {"sockets", host.sockets},
          {"numa_nodes", host.numa_nodes},
          {"physical_cores", host.physical_cores},
          {"logical_cpus", host.logical_cpus},
          {"allowed_cpus", host.allowed_cpus},
          {"cpu_quota", OrNull(host.cpu_quota)},
          {"usable_threads", host.UsableThreads()},
          {"isa", host.isa},
          {"last_level_cache_bytes", OrNull(host.last_level_cache_bytes)},
          {"dram_bytes", OrNull(host.dram_bytes)},
          {"available_bytes", OrNull(host.available_bytes)},
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
  RETURN_IF_ERROR(ReadTold(json, "cpu_family", host.cpu_family));
  RETURN_IF_ERROR(ReadTold(json, "cpu_model_number", host.cpu_model_number));
  RETURN_IF_ERROR(Read(json, "sockets", host.sockets));
  RETURN_IF_ERROR(Read(json, "numa_nodes", host.numa_nodes));
  RETURN_IF_ERROR(Read(json, "physical_cores", host.physical_cores));
  RETURN_IF_ERROR(Read(json, "logical_cpus", host.logical_cpus));
  RETURN_IF_ERROR(Read(json, "allowed_cpus", host.allowed_cpus));
  RETURN_IF_ERROR(Read(json, "cpu_quota", host.cpu_quota));
  RETURN_IF_ERROR(Read(json, "isa", host.isa));
  RETURN_IF_ERROR(ReadTold(json, "last_level_cache_bytes", host.last_level_cache_bytes));
  RETURN_IF_ERROR(ReadTold(json, "dram_bytes", host.dram_bytes));
  RETURN_IF_ERROR(ReadTold(json, "available_bytes", host.available_bytes));
  RETURN_IF_ERROR(Read(json, "memory_limit_bytes", host.memory_limit_bytes));
  RETURN_IF_ERROR(Read(json, "hypervisor", host.hypervisor));
  RETURN_IF_ERROR(Read(json, "container", host.container));
  RETURN_IF_ERROR(Read(json, "kernel", host.kernel));
  return host;
}

}  // namespace moecap::hardware
