#include "hardware/machine_use.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "hardware/json_fields.h"

namespace moecap::hardware {

std::optional<double> MachineUse::ShareOf(std::optional<double> seconds, double lanes) const {
  if (!seconds || !(wall_s > 0)) return std::nullopt;
  return *seconds / (wall_s * lanes);
}

std::optional<double> MachineUse::SwitchesPerS() const {
  if (!involuntary_switches || !(wall_s > 0)) return std::nullopt;
  return static_cast<double>(*involuntary_switches) / wall_s;
}

std::optional<double> MachineUse::FreeCpus() const {
  const auto others = OthersShare();
  if (!others) return std::nullopt;
  return allowed_cpus * std::max(0.0, 1 - *others - StealShare().value_or(0));
}

std::optional<std::string> BusyWords(const MachineUse& use) {
  const double others = use.OthersShare().value_or(0);
  const double steal = use.StealShare().value_or(0);
  if (others + steal <= kBusyShare) return std::nullopt;
  const char* who = others >= steal ? "other programs take" : "other guests of the hypervisor take";
  return fmt::format("this machine is busy: {} {:.0f} % of its CPU time; close them or wait, else the figures are disturbed",
                     who, 100 * (others + steal));
}

int ThreadsForFreeCpus(int usable, const MachineUse& use) {
  constexpr double kNotWorthACpu = 0.25;
  const auto free = use.FreeCpus();
  if (!free) return usable;
  return std::clamp(static_cast<int>(std::floor(*free + kNotWorthACpu)), 1, std::max(1, usable));
}

Json ToJson(const MachineUse& use) {
  return {{"wall_s", use.wall_s},
          {"allowed_cpus", use.allowed_cpus},
          {"cpu_s", use.cpu_s},
          {"involuntary_switches", OrNull(use.involuntary_switches)},
          {"others_cpu_s", OrNull(use.others_cpu_s)},
          {"steal_s", OrNull(use.steal_s)},
          {"pressure_s", OrNull(use.pressure_s)},
          {"throttled_s", OrNull(use.throttled_s)}};
}

Result<MachineUse> MachineUseFromJson(const Json& json) {
  if (!json.is_object()) return BadInput("the use of a machine is a JSON object");
  MachineUse use;
  RETURN_IF_ERROR(Read(json, "wall_s", use.wall_s));
  RETURN_IF_ERROR(Read(json, "allowed_cpus", use.allowed_cpus));
  RETURN_IF_ERROR(Read(json, "cpu_s", use.cpu_s));
  RETURN_IF_ERROR(Read(json, "involuntary_switches", use.involuntary_switches));
  RETURN_IF_ERROR(Read(json, "others_cpu_s", use.others_cpu_s));
  RETURN_IF_ERROR(Read(json, "steal_s", use.steal_s));
  RETURN_IF_ERROR(Read(json, "pressure_s", use.pressure_s));
  RETURN_IF_ERROR(Read(json, "throttled_s", use.throttled_s));
  return use;
}

}  // namespace moecap::hardware
