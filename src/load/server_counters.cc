#include "load/server_counters.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

namespace moecap::load {
namespace {

using Field = std::optional<double> ServerCounters::*;
constexpr std::array<std::pair<Field, const char*>, 5> kCounters = {{{&ServerCounters::prompt_tokens, "prompt tokens"},
                                                                     {&ServerCounters::cached_tokens, "cached tokens"},
                                                                     {&ServerCounters::generated_tokens, "generated tokens"},
                                                                     {&ServerCounters::finished, "finished requests"},
                                                                     {&ServerCounters::aborted, "aborted requests"}}};
constexpr double kSameStartS = 0.5;  // two readings of one start are equal but for rounding

}  // namespace

std::string WhyRestarted(const ServerCounters& before, const ServerCounters& after) {
  if (before.process_start_s && after.process_start_s &&
      std::abs(*before.process_start_s - *after.process_start_s) > kSameStartS)
    return "its /metrics name another start of its process than before";
  for (const auto& [field, name] : kCounters) {
    if (field == &ServerCounters::finished) continue;
    if (before.*field && after.*field && *(after.*field) < *(before.*field))
      return fmt::format("its counter of {} fell from {:.0f} to {:.0f}", name, *(before.*field), *(after.*field));
  }
  return "";
}

ServerCounters SumOf(const ServerCounters& a, const ServerCounters& b) {
  ServerCounters sum;
  const auto add = [&](Field field) {
    if (a.*field && b.*field) sum.*field = *(a.*field) + *(b.*field);
  };
  for (const auto& [field, name] : kCounters) add(field);
  add(&ServerCounters::process_start_s);
  return sum;
}

ServerCounters GrowthOf(const ServerCounters& before, const ServerCounters& after) {
  ServerCounters growth;
  if (!WhyRestarted(before, after).empty()) return growth;
  for (const auto& [field, name] : kCounters) {
    if (before.*field && after.*field) growth.*field = std::max(0.0, *(after.*field) - *(before.*field));
  }
  growth.process_start_s = after.process_start_s;
  return growth;
}

}  // namespace moecap::load
