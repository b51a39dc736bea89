#include "planner/disaggregation.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/units.h"
#include "planner/candidate.h"
#include "planner/running_limit.h"

namespace moecap::planner {
namespace {

constexpr double kMostRho = 0.95;  // of a prompt pool without a TTFT target: queues without end above

// All of one question that does not depend on a replica's layout.
struct Setting {
  const ApartQuestion& question;
  const model::ModelSpec& spec;
  const ModelWork& work;
  const hardware::Device& device;
  const Ingredients& ingredients;
  double link_bytes_per_s = 0, kv_bytes = 0;
  double off = 1;  // predicted times are really so many times as long
};

double Room(const Setting& setting, const MemoryPlan& memory) {
  return RoomOf(setting.ingredients.systems.Find(setting.question.system), memory, UsableMemory(setting.device),
                setting.question.load);
}

// Of a prompt, launches included.
double ServiceSeconds(const ServingPoint& point, const Load& load) {
  return PromptServiceSeconds(point, load.NewTokens(), load.CachedTokens()) + point.work.layers * point.factors.prefill_layer_s;
}

double PromptsAlone(const Setting& setting, const ServingPoint& point) {
  const Load& load = setting.question.load;
  const double link = setting.link_bytes_per_s * point.deployment.tensor;
  const double service_s = ServiceSeconds(point, load) * setting.off;
  double rate = kMostRho / service_s;
  if (const auto& target = setting.question.targets.ttft_s) {
    const double least_s =
        TimeToFirstToken(point, 1, load.NewTokens(), load.CachedTokens(), 0) * setting.off + setting.kv_bytes / link;
    rate = std::min(rate, PromptRate(service_s, *target / setting.question.margin - least_s));
  }
  return std::min(rate, link / setting.kv_bytes);
}

// The largest of [0, most] for which `keeps` holds, which holds below it.
template <typename Keeps>
double Largest(double most, const Keeps& keeps) {
  if (keeps(most)) return most;
  double low = 0, high = most;
  for (int round = 0; round < 50; ++round) {
    const double middle = (low + high) / 2;
    (keeps(middle) ? low : high) = middle;
  }
  return low;
}

double AnswersAlone(const Setting& setting, const ServingPoint& point, double room) {
  const Load& load = setting.question.load;
  const auto tpot = [&](double sequences) {
    const StepTime step = DecodeStep(point, {sequences, load.MeanContext(), 1 + load.drafted_tokens});
    return step.Total() / (1 + load.accepted_tokens) * setting.off;
  };
  const auto& target = setting.question.targets.tpot_s;
  const auto keeps = [&](double sequences) {
    return sequences < 1 || !target || tpot(sequences) * setting.question.margin <= *target;
  };
  const double sequences = Largest(std::min(room, 65536.0), keeps);
  return sequences < 1 ? 0 : sequences / (load.output_tokens * tpot(sequences));
}

Serving ServeTogether(const Setting& setting, const ServingPoint& point, double rate, double room) {
  Load load = setting.question.load;
  load.clients.reset();
  load.requests_per_s = rate * setting.off;  // times as many a second, each `off` times as long: the same queues
  return Serve(point, load, room);
}

double Together(const Setting& setting, const ServingPoint& point, double room) {
  const Targets& targets = setting.question.targets;
  const double most = 1 / (ServiceSeconds(point, setting.question.load) * setting.off);
  return Largest(most, [&](double rate) {
    if (rate <= 0) return true;
    const Serving serving = ServeTogether(setting, point, rate, room);
    const double times = setting.question.margin * setting.off;
    return !serving.over_capacity && (!targets.tpot_s || serving.tpot_s * times <= *targets.tpot_s) &&
           (!targets.ttft_s || serving.ttft_s * times <= *targets.ttft_s);
  });
}

std::vector<PoolRates> PoolsOf(const Setting& setting) {
  std::vector<PoolRates> pools;
  const Load& load = setting.question.load;
  const Fabric fabric = FabricOf(setting.device, setting.ingredients.devices);
  for (int64_t count = 1; count <= setting.question.devices.count; count *= 2) {
    if (count > 1 && fabric.node_bytes_per_s <= 0) break;
    for (const metrics::Deployment& deployment : DeploymentsOf(setting.device, count, setting.spec)) {
      if (deployment.data > 1 || deployment.pipeline > 1) continue;
      const MemoryPlan memory =
          PlanMemory(setting.spec, deployment, static_cast<int64_t>(load.MeanContext()), AllocatorOf(setting.device));
      const double room = Room(setting, memory);
      if (room < 1) continue;
      const ServingPoint point{setting.work, setting.device, deployment, fabric,
                               setting.ingredients.multipliers.FactorsOf(setting.question.system, setting.device)};
      pools.push_back(
          {deployment, Together(setting, point, room), PromptsAlone(setting, point), AnswersAlone(setting, point, room), room});
    }
  }
  return pools;
}

// The best division of the devices into pools of whole replicas, and the best single pool.
void DividePools(int64_t devices, Apart& apart) {
  for (const PoolRates& pool : apart.pools) {
    const int64_t replicas = devices / pool.deployment.Devices();
    const double rate = static_cast<double>(replicas) * pool.together_per_s;
    if (rate > apart.together_per_s) {
      apart.together_per_s = rate;
      apart.together = pool.deployment;
    }
  }
  for (const PoolRates& prompts : apart.pools) {
    for (const PoolRates& answers : apart.pools) {
      for (int64_t n = 1; n * prompts.deployment.Devices() < devices; ++n) {
        const int64_t rest = (devices - n * prompts.deployment.Devices()) / answers.deployment.Devices();
        const double rate =
            std::min(static_cast<double>(n) * prompts.prompts_per_s, static_cast<double>(rest) * answers.answers_per_s);
        if (rate <= apart.apart_per_s) continue;
        apart.apart_per_s = rate;
        apart.prompts = prompts.deployment;
        apart.answers = answers.deployment;
        apart.prompt_replicas = n;
        apart.answer_replicas = rest;
        const double of_prompts = prompts.prompts_per_s / static_cast<double>(prompts.deployment.Devices());
        const double of_answers = answers.answers_per_s / static_cast<double>(answers.deployment.Devices());
        apart.ideal_prompt_share = of_answers / (of_prompts + of_answers);
      }
    }
  }
}

double GainWith(Setting setting, double off) {
  setting.off = off;
  Apart apart;
  apart.pools = PoolsOf(setting);
  DividePools(setting.question.devices.count, apart);
  if (apart.together_per_s <= 0) return apart.apart_per_s > 0 ? std::numeric_limits<double>::infinity() : 1;
  return apart.apart_per_s / apart.together_per_s;
}

std::string WhyNotApart(const Setting& setting, const Apart& apart) {
  const auto& ttft = setting.question.targets.ttft_s;
  if (!apart.Answered()) return "neither keeps the targets at any rate";
  if (apart.together_per_s <= 0) {
    return fmt::format(
        "one pool keeps the targets at no rate and two pools at {:.3g} requests/s, but at one end of the band one pool serves "
        "more: measure before you divide",
        apart.apart_per_s);
  }
  if (apart.gain > kApartGain) {
    return fmt::format(
        "not clear: two pools serve {:.2f} times as much as one, and {:.2f} times at one end of the band: measure before you "
        "divide",
        apart.gain, apart.gain_low);
  }
  if (ttft && apart.transfer_s > 0.5 * *ttft / setting.question.margin) {
    return fmt::format("not here, because the KV cache of a prompt ({}) takes {} over the link, of {} to the first token",
                       FormatBytes(apart.kv_bytes), FormatSeconds(apart.transfer_s), FormatSeconds(*ttft));
  }
  if (apart.apart_per_s > 0) {
    const double prompt_devices = static_cast<double>(apart.prompt_replicas * apart.prompts.Devices());
    const double share = prompt_devices / static_cast<double>(setting.question.devices.count);
    if (std::abs(share - apart.ideal_prompt_share) > 0.1) {
      return fmt::format(
          "not here, because whole replicas leave devices idle: prompts need {} of the devices and the nearest division gives "
          "{}; with more devices ask again",
          FormatPercent(apart.ideal_prompt_share, 0), FormatPercent(share, 0));
    }
  }
  return fmt::format(
      "not here, because prompts take {} of one pool's busy time, which the targets leave room for: dividing the devices gains "
      "{:.2f} ({:.2f} to {:.2f})",
      FormatPercent(apart.prefill_share, 0), apart.gain, apart.gain_low, apart.gain_high);
}

}  // namespace

double PromptRate(double service_s, double wait_s) {
  if (wait_s <= 0) return 0;
  return 2 * wait_s / (service_s * (service_s + 2 * wait_s));
}

Result<Apart> JudgeApart(const ApartQuestion& question, const model::ModelSpec& spec, const Ingredients& ingredients) {
  if (!spec.computes) return BadInput(fmt::format("{}: only its weights are known; no time can be predicted", spec.id));
  if (question.devices.count < 2) return BadInput("one device cannot be divided: name two at least");
  if (!question.targets.tpot_s && !question.targets.ttft_s)
    return BadInput(
        "without a target nothing speaks for two pools: prompts that interrupt answers cost no throughput; give tpot "
        "or ttft");
  ASSIGN_OR_RETURN(const hardware::Device device, ingredients.devices.FindDevice(question.devices.id));
  if (!device.bandwidth_bytes_per_s || !device.memory_bytes)
    return BadInput(fmt::format("{}: its bandwidth or memory is not in the catalogue", device.name));
  RETURN_IF_ERROR(CheckServed(ingredients.systems, question.system, spec, device));
  const ModelWork work = MakeModelWork(spec);
  const Fabric fabric = FabricOf(device, ingredients.devices);
  Setting setting{question, spec, work, device, ingredients};
  setting.link_bytes_per_s = fabric.BytesPerS(static_cast<double>(question.devices.count));
  setting.kv_bytes = spec.ResidentKvBytes(static_cast<int64_t>(question.load.input_tokens));
  if (setting.link_bytes_per_s <= 0) return BadInput(fmt::format("{}: no link between such devices is known", device.name));
  Apart apart;
  if (ingredients.systems.Serves(question.system, spec, device) == Served::kUnknown)
    apart.notes.push_back(NotCheckedNote({{question.system}}));
  apart.kv_bytes = setting.kv_bytes;
  apart.link_bytes_per_s = setting.link_bytes_per_s;
  apart.pools = PoolsOf(setting);
  if (apart.pools.empty())
    return BadInput(fmt::format("{} does not fit on {} x {}", spec.id, question.devices.count, device.name));
  DividePools(question.devices.count, apart);
  apart.transfer_s = setting.kv_bytes / (setting.link_bytes_per_s * apart.prompts.tensor);
  if (apart.together_per_s > 0) {
    const double replicas = static_cast<double>(question.devices.count / apart.together.Devices());
    const ServingPoint point{work, device, apart.together, fabric, ingredients.multipliers.FactorsOf(question.system, device)};
    const MemoryPlan memory =
        PlanMemory(spec, apart.together, static_cast<int64_t>(question.load.MeanContext()), AllocatorOf(device));
    apart.prefill_share = ServeTogether(setting, point, apart.together_per_s / replicas, Room(setting, memory)).prefill_share;
    apart.gain = apart.apart_per_s / apart.together_per_s;
  } else {
    apart.gain = GainWith(setting, 1);
  }
  const ErrorBand band = ingredients.multipliers.BandOf(question.system, device, false);
  const std::array gains = {apart.gain, GainWith(setting, band.low), GainWith(setting, band.high)};
  apart.gain_low = *std::min_element(gains.begin(), gains.end());
  apart.gain_high = *std::max_element(gains.begin(), gains.end());
  const bool alone = apart.together_per_s <= 0 && apart.apart_per_s > 0;
  apart.better = apart.gain_low > kApartGain || (alone && apart.gain_low >= 1);
  if (!apart.better) {
    apart.why = WhyNotApart(setting, apart);
  } else if (alone) {
    apart.why = "one pool keeps the targets at no rate, because prompts hold up its answers";
    if (apart.gain_low <= 1) apart.why += "; at one end of the band neither keeps them";
  } else {
    apart.why =
        fmt::format("prompts take {} of one pool's busy time and hold up its answers", FormatPercent(apart.prefill_share, 0));
  }
  return apart;
}

}  // namespace moecap::planner
