#include "planner/offload.h"

#include <algorithm>

namespace moecap::planner {

std::string_view Name(Residence residence) {
  switch (residence) {
    case Residence::kDevice:
      return "device";
    case Residence::kExecute:
      return "DRAM, computed there";
    case Residence::kCopy:
      return "DRAM, copied";
    case Residence::kSsd:
      return "SSD";
  }
  return "";
}

double ServedShare(metrics::Placement placement, double share, double distinct, double experts) {
  if (share >= 1 || distinct <= 0) return 1;
  return std::min(metrics::HitRate(placement, share), std::min(1.0, share * experts / distinct));
}

double DeviceServes(const Offload& offload, double distinct, double experts) {
  if (offload.served_share && offload.device_share < 1) return *offload.served_share;
  return ServedShare(offload.placement, offload.device_share, distinct, experts);
}

double HostSeconds(const Offload& offload, const StepFactors& factors, double devices, double distinct, double experts,
                   double bytes, double flops_per_token, double assignments) {
  if (offload.residence == Residence::kDevice) return 0;
  const Host& host = offload.host;
  const double missed = 1 - DeviceServes(offload, distinct, experts);
  const double below =
      std::min(missed, 1 - ServedShare(offload.placement, offload.device_share + offload.dram_share, distinct, experts));
  const double moved = missed * distinct * bytes;
  double seconds = 0;
  if (offload.residence == Residence::kCopy) {
    seconds = moved / (host.link_bytes_per_s * devices) * factors.link_stream;
  } else {
    seconds = std::max(moved / host.dram_bytes_per_s * factors.host_stream,
                       missed * assignments * flops_per_token / host.flops_per_s * factors.host_matrix_time);
  }
  if (offload.residence == Residence::kSsd) seconds += below * distinct * bytes / host.ssd_bytes_per_s * factors.ssd_stream;
  return seconds;
}

double CopyCrossover(double flops_per_s, double bytes, double params, double link_bytes_per_s) {
  return flops_per_s * bytes / (2 * params * link_bytes_per_s);
}

}  // namespace moecap::planner
