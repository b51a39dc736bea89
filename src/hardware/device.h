// What the catalogue knows of a device and of a link. Values only; null = no source was found, or the device lacks it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace moecap::hardware {

struct PriceRange {
  std::optional<double> low, typical, high;  // USD; low <= typical <= high
};

// Peak rates of dense operands (vendors like to print the double, for 2:4 sparsity), of the matrix units where the device has
// them. Floating-point operations a second; for int8 integer operations.
struct DensePeaks {
  std::optional<double> fp32, tf32, bf16, fp16, fp8, fp4, int8;
};

enum class Confidence {
  kHigh,    // bandwidth and peaks from the vendor or from two sources that agree
  kMedium,  // partly computed, or a vendor's figure that was not looked up again
  kLow      // one source, or sources that contradict each other
};

// One accelerator, one unified-memory machine, or one processor socket with its memory.
struct Device {
  std::string id;                               // "h100-sxm"
  std::string vendor;                           // "NVIDIA"
  std::string name;                             // "H100 SXM5"
  std::string device_class;                     // "datacenter", "workstation", "consumer", "unified", "edge", "phone", "cpu"
  std::vector<std::string> aliases;             // names that drivers and other tools report
  std::vector<std::string> pci_ids;             // "10de:2335", vendor and device; boards of one chip may share it
  int year = 0;                                 // of the first shipment
  std::string memory_type;                      // "HBM3"
  std::optional<double> memory_bytes;           // allocatable where a source says so, else nominal
  std::optional<double> bandwidth_bytes_per_s;  // of that memory, peak
  std::optional<int> cores;                     // processors only
  std::optional<int> memory_channels;           // processors only
  DensePeaks peaks;
  std::optional<double> tdp_w;
  PriceRange price_usd;                      // of the device; of the whole machine for unified memory
  PriceRange rent_usd_per_h;                 // of one device
  bool unified_memory = false;               // shares its memory with the host: there is no host link to cross
  bool laptop = false;                       // sold in laptops
  std::string host_link;                     // id of a Link; empty = none or not known
  std::string scale_up_link;                 // id of the link between devices of a node or rack; empty = host link only
  std::optional<int> scale_up_devices;       // devices that this link joins at most
  Confidence confidence = Confidence::kLow;  // in bandwidth and peaks; prices are always approximate
  std::string source;
  std::string date;  // when the entry was last looked at: "2026-08"
};

// The dense peak for operands of type `dtype`: "fp32", "tf32", "bf16", "fp16", "fp8", "fp4", "int8". Null when the device has
// no such rate: weights of that type are then widened before they are multiplied. Unknown names are null too.
std::optional<double> DensePeak(const Device& device, std::string_view dtype);

// Where such a device is deployed: "cloud", "workstation" (boards and desktop machines), "laptop", "phone"; "" for processors
// and embedded boards.
std::string_view DeploymentClass(const Device& device);
inline constexpr std::string_view kDeploymentClasses[] = {"cloud", "workstation", "laptop", "phone"};

struct Link {
  std::string id;          // "pcie5-x16"
  std::string link_class;  // "host", "scaleup", "scaleout", "dram" (one channel), "ssd"
  std::string name;
  std::string generation;
  std::optional<int> lanes;
  double bytes_per_s = 0;  // one direction, peak
  std::optional<double> both_directions_bytes_per_s;
  std::optional<double> latency_s;
  std::optional<double> random_reads_per_s;  // ssd: 4 KiB
  std::optional<double> price_usd_per_gb;    // dram, ssd
  int year = 0;
  std::string note;  // what is reached in practice, and other caveats
  std::string source;
  std::string date;
};

}  // namespace moecap::hardware
