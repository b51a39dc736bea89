#include "planner/load_cost.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/units.h"
#include "planner/candidate.h"
#include "planner/running_limit.h"

namespace moecap::planner {
namespace {

Serving ServeRate(const ServingPoint& point, Load load, double rate, double room) {
  load.clients.reset();
  load.requests_per_s = rate;
  return Serve(point, load, room);
}

// Requests a second of one replica with every place taken, by requests in prefill or in decode.
double GreatestRate(const ServingPoint& point, const Load& load, double room) {
  constexpr double kFlood = 1e12;
  return ServeRate(point, load, kFlood, room).requests_per_s;
}

bool KeepsTargets(const LoadCostQuestion& question, const Serving& serving, std::string* breaks = nullptr) {
  const auto over = [&](const std::optional<double>& target, double predicted_s, const char* name) {
    const bool missed = target && predicted_s * question.margin > *target;
    if (missed && breaks && breaks->empty()) *breaks = name;
    return missed;
  };
  const bool tpot = over(question.targets.tpot_s, serving.tpot_s, "TPOT");
  const bool ttft = over(question.targets.ttft_s, serving.ttft_s, "TTFT");
  const bool e2e = over(question.targets.e2e_s, serving.e2e_s, "E2E");
  return !serving.over_capacity && !tpot && !ttft && !e2e;
}

struct Prices {
  std::optional<double> rent_usd_per_h, own_usd_per_h, watts;
};

Prices PricesOf(const LoadCostQuestion& question, const hardware::Device& device, const Ingredients& ingredients) {
  const auto money = [&](cost::Pay pay) {
    Question priced;
    priced.pay = pay;
    return Pricer(priced, ingredients.devices, ingredients.prices)
        .Of(device, question.devices.count, std::max<int64_t>(1, question.devices.count / 8), "", 0);
  };
  const Money rent = money(cost::Pay::kRent), own = money(cost::Pay::kBuy);
  if (question.usd_per_h) return {question.usd_per_h, std::nullopt, own.watts};
  return {rent.usd_per_h, own.usd_per_h, own.watts};
}

CostPoint PointOf(const LoadCostQuestion& question, const ServingPoint& point, double room, double rate,
                  const LoadCost& curve) {
  CostPoint at;
  at.requests_per_s = rate;
  at.saturated = rate >= curve.greatest_per_s;
  at.served_per_s = std::min(rate, curve.greatest_per_s);
  at.utilisation = at.served_per_s / curve.greatest_per_s;
  const Serving serving = ServeRate(point, question.load, std::min(rate, curve.greatest_per_s * (1 - 1e-6)), room);
  at.tpot_s = serving.tpot_s;
  if (!at.saturated) at.ttft_s = serving.ttft_s;
  at.keeps = !at.saturated && KeepsTargets(question, serving);
  at.idle_share =
      at.saturated ? 0 : std::exp(-at.served_per_s * (serving.ttft_s + question.load.output_tokens * serving.tpot_s));
  const double tokens_per_s = at.served_per_s * question.load.output_tokens;
  const auto per_million = [&](const std::optional<double>& usd_per_h) {
    return usd_per_h ? std::optional(*usd_per_h / kSecondsPerHour / tokens_per_s * 1e6) : std::nullopt;
  };
  at.rent_usd = per_million(curve.rent_usd_per_h);
  at.own_usd = per_million(curve.own_usd_per_h);
  if (curve.watts) {
    const double mean_w = *curve.watts * (1 - at.idle_share + question.idle_power_share * at.idle_share);
    at.joules = mean_w / tokens_per_s * 1e6;
  }
  return at;
}

// `saturates`: what keeps it from serving more than the greatest rate.
void FindBreak(const LoadCostQuestion& question, const ServingPoint& point, double room, const char* saturates,
               LoadCost& curve) {
  const Targets& targets = question.targets;
  if (!targets.tpot_s && !targets.ttft_s && !targets.e2e_s) return;
  double low = 0, high = curve.greatest_per_s;
  for (int round = 0; round < 50; ++round) {
    const double middle = (low + high) / 2;
    (KeepsTargets(question, ServeRate(point, question.load, middle, room)) ? low : high) = middle;
  }
  curve.targets_until_per_s = low;
  KeepsTargets(question, ServeRate(point, question.load, high, room), &curve.breaks);
  if (curve.breaks.empty()) curve.breaks = saturates;
}

}  // namespace

Result<LoadCost> CostOfLoad(const LoadCostQuestion& question, const model::ModelSpec& spec, const Ingredients& ingredients) {
  if (!spec.computes) return BadInput(fmt::format("{}: only its weights are known; no time can be predicted", spec.id));
  ASSIGN_OR_RETURN(const hardware::Device device, ingredients.devices.FindDevice(question.devices.id));
  if (!device.bandwidth_bytes_per_s || !device.memory_bytes)
    return BadInput(fmt::format("{}: its bandwidth or memory is not in the catalogue", device.name));
  RETURN_IF_ERROR(CheckServed(ingredients.systems, question.system, spec, device));
  RETURN_IF_ERROR(CheckMaxRunning(question.max_running));
  for (const double rate : question.rates) {
    if (!(rate > 0 && rate < 1e9)) return BadInput(fmt::format("a rate of {:g} requests/s is not possible", rate));
  }
  const ModelWork work = MakeModelWork(spec);
  const Fabric fabric = FabricOf(device, ingredients.devices);
  const StepFactors factors = ingredients.multipliers.FactorsOf(question.system, device, question.launch);
  const SystemRelease* const system = ingredients.systems.Find(question.system);
  LoadCost curve;
  if (ingredients.systems.Serves(question.system, spec, device) == Served::kUnknown)
    curve.notes.push_back(NotCheckedNote({{question.system}}));
  double room = 0;
  bool limit_binds = false;  // more would be served if more could run
  std::string states;
  for (const metrics::Deployment& deployment : DeploymentsOf(device, question.devices.count, spec)) {
    if (deployment.data > 1 || (question.devices.count > 1 && fabric.node_bytes_per_s <= 0)) continue;
    const MemoryPlan memory =
        PlanMemory(spec, deployment, static_cast<int64_t>(question.load.MeanContext()), AllocatorOf(device));
    const double held = RoomOf(system, memory, UsableMemory(device), question.load);
    if (held < 1) continue;
    const double by_default = DefaultRunningLimit(system, device, memory, UsableMemory(device));
    const double limit = RunningLimitOf(system, question.max_running, question.launch, by_default);
    const double sequences = std::min(held, limit);
    const double rate = GreatestRate({work, device, deployment, fabric, factors}, question.load, sequences);
    if (rate <= curve.greatest_per_s) continue;
    curve.greatest_per_s = rate;
    curve.deployment = deployment;
    curve.limited = limit < held;
    limit_binds = curve.limited && GreatestRate({work, device, deployment, fabric, factors}, question.load, held) > rate;
    room = sequences;
    states = StatesNote(system, memory, by_default, std::floor(sequences), question.load);
  }
  if (curve.greatest_per_s <= 0)
    return BadInput(fmt::format("{} does not fit on {} x {}", spec.id, question.devices.count, device.name));
  curve.most_running = room;
  if (!states.empty()) curve.notes.push_back(std::move(states));
  const ServingPoint point{work, device, curve.deployment, fabric, factors};
  const Prices prices = PricesOf(question, device, ingredients);
  curve.rent_usd_per_h = prices.rent_usd_per_h;
  curve.own_usd_per_h = prices.own_usd_per_h;
  curve.watts = prices.watts;
  curve.band = ingredients.multipliers.BandOf(question.system, device, false, false,
                                              ingredients.multipliers.LaunchOf(question.system, question.launch));
  FindBreak(question, point, room, limit_binds ? "the running limit" : "capacity", curve);
  std::vector<double> rates = question.rates;
  if (rates.empty()) {
    for (double share = 1.0 / 64; share <= 1; share *= 2) rates.push_back(share * curve.greatest_per_s);
  }
  std::sort(rates.begin(), rates.end());
  for (const double rate : rates) curve.points.push_back(PointOf(question, point, room, rate, curve));
  curve.spread = curve.points.back().served_per_s / curve.points.front().served_per_s;
  return curve;
}

}  // namespace moecap::planner
