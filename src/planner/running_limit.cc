#include "planner/running_limit.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace moecap::planner {

double RoomOf(const SystemRelease* system, MemoryPlan memory, double usable_bytes, const Load& load) {
  if (system != nullptr && system->running.state_share > 0 && load.prefix_hit > 0)
    memory.sequence_bytes += (system->running.states - 1) * memory.state_bytes;
  return memory.MostSequences(usable_bytes);
}

double DefaultRunningLimit(const SystemRelease* system, const hardware::Device& device, const MemoryPlan& memory,
                           double usable_bytes) {
  if (system == nullptr || system->running.requests <= 0) return kNoRunningLimit;
  const RunningDefault& running = system->running;
  double limit = running.requests;
  const bool small = std::find(running.not_large.begin(), running.not_large.end(), device.id) != running.not_large.end();
  if (running.large_requests > 0 && !small && device.memory_bytes.value_or(0) >= running.large_bytes)
    limit = running.large_requests;
  if (running.processor_requests > 0 && device.device_class == "cpu") limit = running.processor_requests;
  if (running.state_share > 0 && memory.state_bytes > 0) {
    const double room = usable_bytes - memory.weights_bytes - memory.other_bytes;
    limit = std::min(limit, room * running.state_share / (running.states * memory.state_bytes));
    if (const double cache = memory.sequence_bytes - memory.state_bytes; cache > 0)
      limit = std::min(limit, room * (1 - running.state_share) / cache);
  }
  return std::max(1.0, std::floor(limit));
}

double StateRatioOf(const SystemRelease* system, const MemoryPlan& memory, double default_running) {
  const double cache = memory.sequence_bytes - memory.state_bytes;
  if (system == nullptr || system->running.state_share <= 0 || default_running >= system->running.requests || cache <= 0)
    return 0;
  return system->running.states * memory.state_bytes / cache;
}

std::string StatesNote(const SystemRelease* system, const MemoryPlan& memory, double default_running, double planned,
                       const Load& load) {
  const double ratio = StateRatioOf(system, memory, default_running);
  if (ratio <= 0 || planned <= default_running) return "";
  return fmt::format(
      "{} keeps {:g} recurrent states for a request of such a model and runs {:.0f} at once in a replica by default; "
      "{:.0f} take a launch {}.",
      system->name, system->running.states, default_running, planned,
      load.prefix_hit > 0
          ? fmt::format("with {:.2g} times as much memory for states as for caches (--mamba-full-memory-ratio)", ratio)
          : "without its cache of prefixes (--disable-radix-cache)");
}

double RunningLimitOf(const SystemRelease* system, const std::optional<double>& max_running, Launch launch,
                      double default_limit) {
  const double most = system != nullptr && system->running.most_requests > 0 ? system->running.most_requests : kNoRunningLimit;
  return std::min(most, max_running.value_or(launch == Launch::kDefault ? default_limit : kNoRunningLimit));
}

}  // namespace moecap::planner
