// Experts that do not lie in the accelerators' memory: copied over the host link when they are needed, or computed by the
// processor where they lie; what host memory cannot hold comes from an SSD. docs/planner.md, "Offload".
#pragma once

#include <optional>
#include <string_view>

#include "metrics/tiers.h"
#include "planner/multipliers.h"

namespace moecap::planner {

enum class Residence : uint8_t {
  kDevice,   // all weights in the accelerators' memory
  kExecute,  // the rest of the experts in host memory, computed by the processor
  kCopy,     // ... copied to the accelerator
  kSsd,      // ... what host memory cannot hold on an SSD, computed by the processor
};
// "device", "DRAM, computed there", "DRAM, copied", "SSD".
std::string_view Name(Residence residence);

// One node's memories below those of its accelerators. Peaks.
struct Host {
  double dram_bytes = 0;
  double dram_bytes_per_s = 0;
  double flops_per_s = 0;       // of the processor in 16-bit floating point, else in 32-bit
  double link_bytes_per_s = 0;  // of each accelerator to host memory
  double ssd_bytes_per_s = 0;   // 0 = none
};

struct Offload {
  Residence residence = Residence::kDevice;
  Host host;
  double device_share = 1;  // of the routed experts in the accelerators' memory
  double dram_share = 0;    // in host memory; the rest is on the SSD
  metrics::Placement placement = metrics::Placement::kStatic;
  // Of the reads, served by the experts on the devices: measured in a trace. Null: by the placement.
  std::optional<double> served_share;
  bool overlapped = false;  // host and accelerator work at once
};

// Share of the reads of a layer that the fast `share` of its experts serves when `distinct` of `experts` are read.
double ServedShare(metrics::Placement placement, double share, double distinct, double experts);

// Of the experts on the devices.
double DeviceServes(const Offload& offload, double distinct, double experts);

// Seconds beside the accelerators' own of one layer in which `distinct` of `experts` experts of `bytes` and `flops_per_token`
// run for `assignments` tokens (each token top-k times): 0 with every expert on the device.
//   copy:    missed x bytes / link             execute: max(missed x bytes / DRAM, missed assignments x FLOPs / processor)
//   SSD:     of the missed those that DRAM does not hold x bytes / SSD on top
double HostSeconds(const Offload& offload, const StepFactors& factors, double devices, double distinct, double experts,
                   double bytes, double flops_per_token, double assignments);

// The tokens per expert below which computing on the processor beats copying: n* = F x bytes / (2 P B_link), from
// n x 2 P / F = bytes / B_link.
double CopyCrossover(double flops_per_s, double bytes, double params, double link_bytes_per_s);

}  // namespace moecap::planner
