// What a machine is and what it can do at most: values with their JSON form. Reading and measuring is hardware/probe's work.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace moecap::hardware {

// The host as this process sees it: inside a virtual machine or a container that is less than the physical machine.
// Empty strings and nulls mean that the system does not tell.
struct HostInfo {
  std::string architecture;       // "x86_64", as uname names it
  std::string cpu_vendor;         // "AuthenticAMD"
  std::string cpu_model;          // "AMD EPYC 9755 128-Core Processor"; cloud hosts often shorten it
  std::optional<int> cpu_family;  // null where the architecture has none, or none is told
  std::optional<int> cpu_model_number;
  int sockets = 1;
  int numa_nodes = 1;
  int physical_cores = 1;           // online, all sockets
  int logical_cpus = 1;             // online, all sockets
  std::vector<int> allowed_cpus;    // affinity of this process, ascending CPU numbers; never empty
  std::optional<double> cpu_quota;  // CPUs' worth of time that the control group grants; null = no limit
  std::vector<std::string> isa;     // the kernel's flag names that matter for inference: "avx2", "avx512_vnni", "amx_bf16"
  std::optional<double> last_level_cache_bytes;  // all instances that the allowed CPUs reach, summed
  std::optional<double> dram_bytes;              // visible to the kernel
  std::optional<double> available_bytes;         // free now without swapping, within control group's and process's limits
  std::optional<double> memory_limit_bytes;      // of the control group; null = no limit
  std::string hypervisor;                        // "kvm", "microsoft", "unknown"; empty on bare metal
  std::string container;                         // "docker", "podman", "kubernetes", "lxc"; empty outside
  std::string kernel;                            // "Linux 6.1.0-18-amd64"

  bool HasIsa(std::string_view flag) const;
  // Threads that can run at the same time: allowed CPUs, cut to the quota (rounded down, at least 1).
  int UsableThreads() const;
};

// Identifies the machine for the cache of measurements: two hosts with the same text have the same ceilings. Readable, one
// line.
std::string HostFingerprint(const HostInfo& host);

// A ceiling measured several times. Unit per second: bytes, FLOP or integer operations, by the field that holds it.
struct Ceiling {
  double best = 0;    // the fastest repetition: the ceiling, since disturbances only slow a repetition down
  double median = 0;  // of the repetitions
  double worst = 0;
  int repetitions = 0;
  std::string kernel;  // "AVX-512 FMA, fp32"

  // (best - worst) / best, 0..1; near 0 on a quiet machine.
  double Spread() const { return best > 0 ? (best - worst) / best : 0; }

  // Whether other load shared the machine: the median repetition is more than a quarter below the best one.
  bool Noisy() const { return median < 0.75 * best; }
};

// Memory bandwidth with so many threads; figures as in Ceilings.
struct ThreadBandwidth {
  int threads = 0;
  Ceiling read_bytes_per_s;
  Ceiling copy_bytes_per_s;
};

// Reads that stay inside one level of the caches, all usable threads at once.
struct CacheBandwidth {
  int level = 0;            // 2 = L2, 3 = L3
  double cache_bytes = 0;   // all instances that the allowed CPUs reach
  double buffer_bytes = 0;  // read over and over, all threads together
  Ceiling read_bytes_per_s;
};

// One instruction set's arithmetic.
struct KernelRate {
  std::string operands;  // "fp32", "bf16", "int8"
  Ceiling per_s;
};

// A disk, measured with direct I/O on a file of our own. Null = could not be measured; the notes say why.
struct DiskCeilings {
  std::string disk;   // "nvme0n1", where the folder lies; empty = not told (a network or a layered file system)
  std::string model;  // often empty
  double file_bytes = 0;
  std::optional<Ceiling> sequential_read_bytes_per_s;
  std::optional<Ceiling> sequential_write_bytes_per_s;  // until the disk says that the data is safe
  std::optional<Ceiling> random_1mib_read_bytes_per_s;  // what reading experts on demand looks like
  std::optional<Ceiling> random_4kib_read_bytes_per_s;
  std::string measured_at;  // UTC, ISO 8601
  std::vector<std::string> notes;
};

// An NVIDIA GPU, measured through its driver. Null = could not be measured; the notes say why.
struct GpuCeilings {
  std::string name;
  std::string pci_address;
  double memory_bytes = 0;
  std::optional<Ceiling> read_bytes_per_s;            // of its own memory, by a streaming kernel: the denominator of S-MBU
  std::optional<Ceiling> copy_bytes_per_s;            // within its own memory; each byte counts twice, read and written
  std::optional<Ceiling> host_to_device_bytes_per_s;  // from pinned memory
  std::optional<Ceiling> device_to_host_bytes_per_s;
  std::optional<double> idle_w;  // before the measurement
  std::optional<double> busy_w;  // mean while it read its own memory, from its energy counter
  std::string measured_at;
  std::vector<std::string> notes;
};

// The measured ceilings of a host, over all usable threads. Null = the instruction set has no such operation.
struct Ceilings {
  // Streaming reads over a buffer far larger than the caches. The denominator of S-MBU: decoding reads weights and KV cache.
  std::optional<Ceiling> read_bytes_per_s;
  // Streaming copy with non-temporal stores; counts each byte twice, once read and once written. Ordinary stores would also
  // read the destination line first (write-allocate): the same copy then moves three bytes per byte copied.
  std::optional<Ceiling> copy_bytes_per_s;
  std::optional<Ceiling> fp32_flops_per_s;  // a fused multiply-add counts 2
  std::optional<Ceiling> bf16_flops_per_s;  // bf16 products summed in fp32
  std::optional<Ceiling> int8_ops_per_s;    // 8-bit products summed in int32; a multiply and an add count 2
  int threads = 0;
  double buffer_bytes = 0;
  std::string measured_at;          // UTC, ISO 8601
  std::string fingerprint;          // HostFingerprint of the measured host
  std::vector<std::string> notes;   // what limits trust: a small buffer, a quota, a noisy machine
  std::vector<KernelRate> kernels;  // every instruction set that computed right; the fastest of each is above

  // Only of a whole probe of the machine; empty or null after a quick measurement.
  std::string probed_at;                    // UTC, ISO 8601
  std::vector<ThreadBandwidth> by_threads;  // ascending
  std::vector<CacheBandwidth> caches;       // ascending level
  std::optional<DiskCeilings> disk;
  std::vector<GpuCeilings> gpus;

  // Whether other load shared the machine: the median repetition of some figure is more than a quarter below its best one.
  bool Noisy() const;
};

// Every figure of the processor from the measurement where it is higher: both saw the same host, and disturbances only lower a
// figure. The rest is as KeepProbe has it.
Ceilings HigherOf(const Ceilings& older, Ceilings newer);

// `newer` with what only `older` holds of a whole probe: curve, caches, disk, GPUs.
Ceilings KeepProbe(const Ceilings& older, Ceilings newer);

Json ToJson(const HostInfo& host);
Json ToJson(const Ceilings& ceilings);

// Error: kBadInput naming the missing or wrong key.
Result<Ceilings> CeilingsFromJson(const Json& json);
Result<HostInfo> HostInfoFromJson(const Json& json);

}  // namespace moecap::hardware
