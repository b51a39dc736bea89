#include "planner/question.h"

#include <fmt/format.h>

#include <array>
#include <cmath>

#include "base/units.h"

namespace moecap::planner {
namespace {

constexpr std::array kPresets = {
    Preset{"single-user", "one person at one machine: answers at reading speed", 1, 1024, 512, 0, 0.1, 2.0},
    Preset{"chat", "many conversations, whose history is cached", 32, 1500, 300, 0.5, 0.05, 1.0},
    Preset{"coding-agent", "long contexts that grow step by step, nearly all of them cached", 16, 24000, 600, 0.85, 0.03, 3.0},
    Preset{"rag", "long prompts with fresh documents, short answers", 32, 8000, 300, 0.1, 0.05, 3.0},
    Preset{"reasoning", "short questions, long chains of thought", 32, 1000, 8000, 0, 0.04, 2.0},
    Preset{"offline", "a batch of documents: only the price of a token counts", 512, 2000, 500, 0, std::nullopt, std::nullopt}};

constexpr std::array<std::string_view, 4> kObjectives = {"month", "token", "speed", "power"};
constexpr std::array<std::string_view, 3> kFidelities = {"original", "near", "any"};
constexpr std::array<std::string_view, 3> kLaunches = {"either", "tuned", "default"};

template <size_t N>
Result<size_t> IndexOf(const std::array<std::string_view, N>& names, std::string_view name, std::string_view what) {
  for (size_t i = 0; i < N; ++i) {
    if (names[i] == name) return i;
  }
  std::string known;
  for (const std::string_view each : names) known += (known.empty() ? "" : ", ") + std::string(each);
  return BadInput(fmt::format("'{}' is no {}; there are {}", name, what, known));
}

Status CheckLoad(const Load& load) {
  if (load.clients.has_value() == load.requests_per_s.has_value())
    return BadInput("give either the clients or the requests per second, not both and not neither");
  const double amount = load.clients.value_or(load.requests_per_s.value_or(0));
  if (!(amount <= 1e6 && (load.clients ? amount >= 1 : amount > 0))) {
    return BadInput(fmt::format("{}: a load of {:g} {} is not possible; use {} and at most 1,000,000",
                                load.clients ? "clients" : "requests_per_s", amount,
                                load.clients ? "clients" : "requests a second", load.clients ? "1 at least" : "more than 0"));
  }
  for (const auto& [key, tokens] : {std::pair("input_tokens", load.input_tokens), {"output_tokens", load.output_tokens}}) {
    if (!(tokens >= 1 && tokens <= 1e7))
      return BadInput(fmt::format("{}: {:g} is not in range: input and output have 1 to 10,000,000 tokens", key, tokens));
  }
  for (const auto& [key, spread] : {std::pair("input_cv", load.input_cv), {"output_cv", load.output_cv}}) {
    if (!(spread >= 0 && spread <= 10))
      return BadInput(fmt::format("{}: {:g} is not in range: a standard deviation over the mean, 0 to 10", key, spread));
  }
  if (!(load.prefix_hit >= 0 && load.prefix_hit < 1))
    return BadInput(fmt::format("prefix_hit: {:g} is not in range: a share from 0 to below 1", load.prefix_hit));
  for (const auto& [key, tokens] :
       {std::pair("drafted_tokens", load.drafted_tokens), {"accepted_tokens", load.accepted_tokens}}) {
    if (!(tokens >= 0 && tokens <= 64))
      return BadInput(fmt::format("{}: {:g} is not in range: 0 to 64 tokens may be drafted", key, tokens));
  }
  if (load.accepted_tokens > load.drafted_tokens)
    return BadInput(
        fmt::format("{:g} accepted of {:g} drafted tokens is not possible", load.accepted_tokens, load.drafted_tokens));
  return {};
}

Status CheckTargets(const Question& question) {
  const Targets& targets = question.targets;
  constexpr double kLongest = 1e9;
  for (const auto& [key, target] : {std::pair("tpot", targets.tpot_s), {"ttft", targets.ttft_s}, {"e2e", targets.e2e_s}}) {
    if (target && !(*target > 0 && *target <= kLongest))
      return BadInput(
          fmt::format("{}: {:g} s is not in range: a target is a time above 0, at most {:g} s", key, *target, kLongest));
  }
  constexpr double kSlowest = 10;
  if (targets.tpot_s && *targets.tpot_s > kSlowest)
    return BadInput(fmt::format("a TPOT of {:g} s is no target that a user waits for; write {:g}ms for milliseconds",
                                *targets.tpot_s, *targets.tpot_s));
  if (targets.e2e_s && targets.ttft_s && *targets.ttft_s >= *targets.e2e_s) {
    return BadInput(fmt::format("the targets contradict each other: a first token after {} leaves nothing of {} for the answer",
                                FormatSeconds(*targets.ttft_s), FormatSeconds(*targets.e2e_s)));
  }
  return {};
}

Status CheckLimits(const Question& question) {
  const Limits& limits = question.limits;
  constexpr double kMostAmount = 1e15;
  for (const auto& [key, limit] :
       {std::pair("budget_usd", limits.purchase_usd), {"usd_per_month", limits.usd_per_month}, {"power_w", limits.watts}}) {
    if (limit && !(*limit > 0 && *limit <= kMostAmount))
      return BadInput(
          fmt::format("{}: {:g} is not in range: a limit is an amount above 0, at most {:g}", key, *limit, kMostAmount));
  }
  if (limits.most_devices < 1 || limits.most_devices > 1024) return BadInput("use 1 to 1024 devices");
  if (limits.purchase_usd && question.pay == cost::Pay::kRent)
    return BadInput("the limits contradict each other: a purchase budget, but the hardware is to be rented");
  if (question.owned && question.pay == cost::Pay::kRent)
    return BadInput("the limits contradict each other: hardware that is owned is not rented");
  if (question.owned && (!limits.devices.empty() || !limits.device_classes.empty()))
    return BadInput("the limits contradict each other: with hardware that is owned no other devices are considered");
  if (!(question.margin >= 1 && question.margin <= 4))
    return BadInput(fmt::format("margin: {:g} is not in range: it is a factor from 1 to 4", question.margin));
  return {};
}

}  // namespace

std::span<const Preset> Presets() { return kPresets; }

Result<Preset> FindPreset(std::string_view name) {
  std::string known;
  for (const Preset& preset : kPresets) {
    if (preset.name == name) return preset;
    known += (known.empty() ? "" : ", ") + std::string(preset.name);
  }
  return BadInput(fmt::format("'{}' is no scenario; there are {}", name, known));
}

std::string_view Name(Objective objective) { return kObjectives[static_cast<size_t>(objective)]; }
Result<Objective> FindObjective(std::string_view name) {
  ASSIGN_OR_RETURN(const size_t index, IndexOf(kObjectives, name, "objective"));
  return static_cast<Objective>(index);
}

std::string_view Name(Fidelity fidelity) { return kFidelities[static_cast<size_t>(fidelity)]; }
Result<Fidelity> FindFidelity(std::string_view name) {
  ASSIGN_OR_RETURN(const size_t index, IndexOf(kFidelities, name, "fidelity"));
  return static_cast<Fidelity>(index);
}

std::string_view Name(Launch launch) { return kLaunches[static_cast<size_t>(launch)]; }
Result<Launch> FindLaunch(std::string_view name) {
  ASSIGN_OR_RETURN(const size_t index, IndexOf(kLaunches, name, "effort of a launch"));
  return static_cast<Launch>(index);
}

Status CheckMaxRunning(const std::optional<double>& max_running) {
  constexpr double kMost = 1e6;
  if (max_running && !(*max_running >= 1 && *max_running <= kMost && *max_running == std::floor(*max_running)))
    return BadInput(
        fmt::format("max_running: a launch that lets {:g} requests run at once is not possible; use a whole number "
                    "from 1 to 1,000,000, or leave it out for as many as memory holds",
                    *max_running));
  return {};
}

Status CheckQuestion(const Question& question) {
  RETURN_IF_ERROR(CheckLoad(question.load));
  RETURN_IF_ERROR(CheckMaxRunning(question.max_running));
  RETURN_IF_ERROR(CheckTargets(question));
  return CheckLimits(question);
}

}  // namespace moecap::planner
