#include "planner/candidate.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/units.h"
#include "cost/tokens.h"

namespace moecap::planner {
namespace {

constexpr double kHours = 730;  // of a month
constexpr double kGib = 1024.0 * 1024 * 1024;

bool IsDatacenter(const hardware::Device& device) { return device.device_class == "datacenter"; }
bool IsProcessor(const hardware::Device& device) { return device.device_class == "cpu"; }

void Miss(Candidate& candidate, std::string words, double factor) {
  candidate.misses.push_back(std::move(words));
  candidate.worst_miss = std::max(candidate.worst_miss, factor);
}

void JudgeTime(const char* name, double predicted_s, double margin, const std::optional<double>& target, Candidate& candidate) {
  if (!target || predicted_s * margin <= *target) return;
  Miss(candidate,
       fmt::format("{} {} x margin {:.2f} is over {}", name, FormatSeconds(predicted_s), margin, FormatSeconds(*target)),
       predicted_s * margin / *target);
}

void JudgeAmount(const char* name, const std::optional<double>& amount, const std::optional<double>& limit,
                 Candidate& candidate) {
  if (!limit) return;
  constexpr double kUnknown = 1e6;  // behind every amount that is known to be over
  if (!amount) {
    Miss(candidate, fmt::format("its {} is not known", name), kUnknown);
  } else if (*amount > *limit) {
    Miss(candidate, fmt::format("{} {:.0f} is over {:.0f}", name, *amount, *limit), *amount / *limit);
  }
}

cost::MachineSpec MachineOf(const hardware::Device& device, int64_t count, int64_t nodes, const std::string& processor,
                            double dram_gib, const Question& question) {
  cost::MachineSpec spec;
  spec.nodes = nodes;
  (IsProcessor(device) ? spec.processors : spec.accelerators).push_back({device.id, count / nodes});
  if (!processor.empty() && !device.unified_memory) spec.processors.push_back({processor, 1});
  if (dram_gib > 0 && !device.unified_memory) spec.dram_gib = dram_gib;
  spec.pay = question.pay;
  return spec;
}

}  // namespace

std::vector<int64_t> CountsOf(const hardware::Device& device, int64_t most) {
  int64_t node = device.device_class == "consumer" ? 4 : 8;
  if (IsProcessor(device) || device.device_class == "edge") node = 1;
  if (device.unified_memory && !IsDatacenter(device)) node = device.scale_up_devices.value_or(1);
  const int64_t end = IsDatacenter(device) && !device.scale_up_link.empty() ? most : std::min(node, most);
  std::vector<int64_t> counts;
  for (int64_t count = 1; count <= end; count *= 2) counts.push_back(count);
  return counts;
}

std::vector<metrics::Deployment> DeploymentsOf(const hardware::Device& device, int64_t count, const model::ModelSpec& spec) {
  const bool linked = !device.scale_up_link.empty();
  const int64_t node = std::max<int64_t>(device.scale_up_devices.value_or(8), 8);
  std::vector<metrics::Deployment> deployments;
  const auto add = [&](int64_t tensor, int64_t expert, int64_t pipeline, int64_t data) {
    const metrics::Deployment deployment{static_cast<int>(tensor), static_cast<int>(expert), static_cast<int>(pipeline),
                                         static_cast<int>(data)};
    const bool even = expert <= 1 || spec.Experts() % expert == 0;  // ranks hold as many experts each
    if (even && Validate(deployment, spec).ok() &&
        std::find(deployments.begin(), deployments.end(), deployment) == deployments.end())
      deployments.push_back(deployment);
  };
  for (int64_t tensor = 1; tensor <= std::min({count, node, int64_t{16}}); tensor *= 2) {
    for (int64_t pipeline = 1; tensor * pipeline <= count; pipeline *= 2) {
      if (pipeline > 1 && linked && pipeline > count / node) break;  // between nodes only
      if (pipeline > 8) break;
      const int64_t data = count / (tensor * pipeline);
      add(tensor, 1, pipeline, data);
      if (spec.MoeLayers() == 0) continue;
      if (tensor > 1) add(tensor, tensor, pipeline, data);
      if (data > 1 && linked) add(tensor, tensor * data, pipeline, data);
    }
  }
  return deployments;
}

std::vector<std::string> SystemsOf(const hardware::Device& device, Residence residence) {
  const bool nvidia = device.vendor == "NVIDIA", amd = device.vendor == "AMD";
  const bool board = IsDatacenter(device) || device.device_class == "workstation" || device.device_class == "consumer";
  switch (residence) {
    case Residence::kDevice:
      if (IsDatacenter(device) && nvidia) return {"vllm", "sglang", "trtllm"};
      if (IsDatacenter(device)) return amd ? std::vector<std::string>{"vllm", "sglang"} : std::vector<std::string>{"vllm"};
      if (board && (nvidia || amd)) return {"vllm", "llama-server"};
      return {"llama-server"};
    case Residence::kExecute:
      if (!board) return {};
      return nvidia ? std::vector<std::string>{"ktransformers", "llama-server"} : std::vector<std::string>{"llama-server"};
    case Residence::kCopy:
      return board && nvidia ? std::vector<std::string>{"moe-infinity"} : std::vector<std::string>{};
    case Residence::kSsd:
      return board ? std::vector<std::string>{"llama-server"} : std::vector<std::string>{};
  }
  return {};
}

std::span<const std::string_view> ProposedSystems() {
  static constexpr std::array<std::string_view, 6> kSystems = {"vllm",         "sglang",        "trtllm",
                                                               "llama-server", "ktransformers", "moe-infinity"};
  return kSystems;
}

Allocator AllocatorOf(const hardware::Device& device) {
  const bool alone = SystemsOf(device, Residence::kDevice) == std::vector<std::string>{"llama-server"};
  return alone ? Allocator::kLlamaCpp : Allocator::kServer;
}

std::string UsualHost(const hardware::Device& device) {
  if (IsDatacenter(device)) return "epyc-9755";
  return device.device_class == "workstation" ? "threadripper-7995wx" : "ryzen-9950x";
}

std::optional<Host> HostOf(const hardware::Device& device, std::string& processor, std::optional<double> dram_bytes,
                           const hardware::Catalogue& catalogue) {
  constexpr double kSsdBytesPerS = 7e9;  // one NVMe drive of the fourth generation
  if (device.unified_memory || device.host_link.empty()) return std::nullopt;
  const auto socket = catalogue.FindDevice(processor);
  const auto link = catalogue.FindLink(device.host_link);
  if (!socket.ok() || !link.ok() || !socket->bandwidth_bytes_per_s || !socket->memory_bytes) return std::nullopt;
  const auto flops = socket->peaks.bf16 ? socket->peaks.bf16 : socket->peaks.fp32;
  if (!flops) return std::nullopt;
  processor = socket->id;
  return Host{.dram_bytes = dram_bytes.value_or(*socket->memory_bytes),
              .dram_bytes_per_s = *socket->bandwidth_bytes_per_s,
              .flops_per_s = *flops,
              .link_bytes_per_s = link->bytes_per_s,
              .ssd_bytes_per_s = kSsdBytesPerS};
}

Money Pricer::Of(const hardware::Device& device, int64_t count, int64_t nodes, const std::string& processor,
                 double dram_bytes) {
  constexpr double kModuleGib = 32;
  const double dram_gib = std::ceil(dram_bytes / kGib / kModuleGib) * kModuleGib;
  const std::tuple key(device.id, count, processor, dram_gib);
  const auto found = known_.find(key);
  if (found != known_.end()) return found->second;
  return known_.emplace(key, Price(device, count, nodes, processor, dram_gib)).first->second;
}

Money Pricer::Price(const hardware::Device& device, int64_t count, int64_t nodes, const std::string& processor,
                    double dram_gib) const {
  Money money;
  const auto machine = cost::PriceMachine(MachineOf(device, count, nodes, processor, dram_gib, question_), devices_, prices_);
  if (!machine.ok()) return money;
  const cost::CostInputs& inputs = machine->inputs;
  money.pay = question_.pay.value_or(inputs.rent_usd_per_h && !question_.owned ? cost::Pay::kRent : cost::Pay::kBuy);
  if (const auto power = cost::PowerUnderLoad(inputs)) money.watts = power->watts;
  if (const auto hardware = cost::PriceHardware(inputs); hardware && inputs.accelerators_usd && inputs.cpu_usd)
    money.purchase_usd = hardware->known_usd;
  if (money.purchase_usd) money.break_even_utilisation = cost::BreakEvenUtilisation(inputs);
  if (const auto hourly = cost::CostPerHour(inputs, money.pay);
      hourly && (money.pay == cost::Pay::kRent || money.purchase_usd)) {
    const double useful = hourly->usd_per_useful_h / hourly->usd_per_h;
    money.usd_per_h = question_.owned ? hourly->energy_usd_per_h : hourly->usd_per_h;
    money.usd_per_useful_h = *money.usd_per_h * useful;
  }
  if (question_.owned) money.purchase_usd = 0;
  return money;
}

void PriceTokens(const Load& load, Candidate& candidate) {
  if (!candidate.money.usd_per_useful_h) return;
  const Serving& serving = candidate.serving;
  cost::NodeWork work;
  work.node_s = kSecondsPerHour;
  work.prefill_s = kSecondsPerHour * serving.prefill_share;
  work.decode_s = kSecondsPerHour - *work.prefill_s;
  work.cached_s = 0;
  work.requests = serving.requests_per_s * kSecondsPerHour;
  work.input_tokens = work.requests * load.NewTokens();
  work.cached_tokens = work.requests * load.CachedTokens();
  work.output_tokens = work.requests * load.output_tokens;
  const cost::TokenCost cost = cost::DivideBill(*candidate.money.usd_per_useful_h, work);
  candidate.usd_per_million_input = cost.usd_per_million_input_tokens;
  candidate.usd_per_million_output = cost.usd_per_million_output_tokens;
  candidate.usd_per_million_tokens = cost.usd_per_million_tokens_all_in;
}

double PlannedRunning(const Candidate& candidate, const Load& load) {
  constexpr double kRounding = 1e-3;
  const double replicas = candidate.deployment.data;
  if (std::isfinite(candidate.running_limit)) return std::max(1.0, std::floor(candidate.serving.most_running / replicas));
  const double running = candidate.serving.running / replicas;
  const double most = load.clients ? running : running + 3 * std::sqrt(running);
  return std::max(1.0, std::min(std::ceil(most - kRounding), std::floor(candidate.room)));
}

void Judge(const Question& question, Candidate& candidate) {
  const Serving& serving = candidate.serving;
  candidate.misses.clear();
  candidate.worst_miss = 1;
  // A line that the launch makes is a time to wait, which the targets judge; one that memory or the system itself makes is more
  // than can be served.
  const bool asked =
      question.max_running ? candidate.running_limit >= *question.max_running : question.launch == Launch::kDefault;
  const bool by_limit = serving.bound == Bound::kRunningLimit;
  const bool line = by_limit && asked && question.load.clients;
  if (serving.over_capacity && question.load.clients && !line) {
    Miss(candidate,
         fmt::format("{} {:.0f} requests at once: the others wait",
                     by_limit ? candidate.system + " runs no more than" : "the KV cache has room for", serving.most_running),
         std::max(1.01, *question.load.clients / serving.most_running));
  } else if (serving.over_capacity && !line) {
    constexpr double kEndless = 1e3;  // a queue that grows is behind every time that is kept, and the more the less is served
    const double served = serving.requests_per_s;
    Miss(candidate, fmt::format("it serves {:.{}f} requests/s, and the queue of the others grows", served, served < 10 ? 2 : 0),
         kEndless * std::max(1.01, *question.load.requests_per_s / serving.requests_per_s));
  }
  JudgeTime("TPOT", serving.tpot_s, candidate.margin, question.targets.tpot_s, candidate);
  if (!serving.over_capacity || line) {
    JudgeTime("TTFT", serving.ttft_s, candidate.margin, question.targets.ttft_s, candidate);
    JudgeTime("E2E", serving.e2e_s, candidate.margin, question.targets.e2e_s, candidate);
  }
  const Limits& limits = question.limits;
  JudgeAmount("purchase price in USD", candidate.money.purchase_usd, limits.purchase_usd, candidate);
  const auto month = candidate.money.usd_per_h ? std::optional(*candidate.money.usd_per_h * kHours) : std::nullopt;
  JudgeAmount("cost a month in USD", month, limits.usd_per_month, candidate);
  JudgeAmount("power in W", candidate.money.watts, limits.watts, candidate);
}

}  // namespace moecap::planner
