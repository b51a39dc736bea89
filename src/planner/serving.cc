#include "planner/serving.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "metrics/device_memory.h"
#include "metrics/engine_memory.h"

namespace moecap::planner {
namespace {

constexpr int kRounds = 24;
constexpr double kTolerance = 1e-6;             // of the clients
constexpr double kMostSequencesAtOnce = 65536;  // of a replica whose memory never fills

// Sequences of a decode step when `running` requests decode on average: where prompts come in waves, those whose prompt is done
// wait until all are, and then all clients decode together.
double TogetherOf(const ServingPoint& point, const Load& load, double running) {
  if (!load.clients || point.factors.prompt_waves <= 0) return running;
  const double clients = *load.clients / point.deployment.data;
  return running + point.factors.prompt_waves * std::max(0.0, clients - running);
}

// Of `sequences` that decode on average, those whose prompts one of them meets: all but its own share in a closed loop, all
// where requests come by chance.
double OthersOf(const ServingPoint& point, const Load& load, double sequences) {
  const double together = TogetherOf(point, load, sequences);
  const double clients = load.clients ? std::max(1.0, *load.clients / point.deployment.data) : 0;
  return load.clients ? together * (clients - 1) / clients : together;
}

double DecodeSeconds(const ServingPoint& point, const Load& load, double sequences) {
  return load.output_tokens * Tpot(point, load, sequences);
}

double Ttft(const ServingPoint& point, const Load& load, double clients, double tpot_s) {
  const StepFactors& factors = point.factors;  // those of the launch are on the whole, decode steps that pass included
  return factors.ttft_time *
         TimeToFirstToken(point, clients, load.NewTokens(), load.CachedTokens(), tpot_s / factors.tpot_time);
}

// Requests that decode in one replica that serves `clients`: the fixed point of Little's law by secants, which the law itself,
// between 0 and `clients`, keeps in bounds.
double DecodingOfClients(const ServingPoint& point, const Load& load, double clients) {
  const auto law = [&](double running) {
    const double decode_s = DecodeSeconds(point, load, running);
    return clients * decode_s / (Ttft(point, load, clients, decode_s / load.output_tokens) + decode_s);
  };
  double before = clients, excess_before = law(before) - before;
  double running = before + excess_before;
  for (int round = 0; round < kRounds && std::abs(excess_before) > kTolerance * clients; ++round) {
    const double excess = law(running) - running;
    const double slope = (excess - excess_before) / (running - before);
    before = running;
    excess_before = excess;
    if (!(std::abs(slope) > 1e-9) || std::abs(excess) <= kTolerance * clients) break;
    running = std::clamp(running - excess / slope, 0.0, clients);
    if (running == before) break;
  }
  return running;
}

// ... to which `rate` requests come a second: the least that satisfies decoding = rate x T_decode(decoding), up to `most`.
double DecodingOfRate(const ServingPoint& point, const Load& load, double rate, double most) {
  double low = 0, high = most;
  if (rate * DecodeSeconds(point, load, most) > most) return std::numeric_limits<double>::infinity();
  for (int round = 0; round < 2 * kRounds; ++round) {
    const double middle = (low + high) / 2;
    (rate * DecodeSeconds(point, load, middle) > middle ? low : high) = middle;
  }
  return high;
}

Bound BoundOf(const Serving& serving, double prefill_s) {
  const StepTime& step = serving.step;
  const std::array<std::pair<double, Bound>, 7> parts = {
      {{step.experts_s, step.compute_bound ? Bound::kExpertFlops : Bound::kExpertBytes},
       {step.host_s, Bound::kHost},
       {step.weights_s, Bound::kWeights},
       {step.kv_s, Bound::kKvCache},
       {step.collectives_s, Bound::kLink},
       {step.latency_s + step.sequences_s, Bound::kLatency},
       {prefill_s, Bound::kPrefill}}};
  return std::max_element(parts.begin(), parts.end())->second;
}

// Utilisation of the deployment's peaks: S-MBU of decode steps as clients see them, those of `step_s`; S-MFU of the whole work,
// in which each step has its share of the prompts and takes `cycle_s`.
void SetUtilization(const ServingPoint& point, const Load& load, double sequences, double step_s, double cycle_s,
                    Serving& serving) {
  const double devices = static_cast<double>(point.deployment.StepDevices());
  const double in_flight = std::min<double>(point.deployment.pipeline, sequences);  // micro-batches
  const double replicas = point.deployment.StepReplicas();
  const double prompts = sequences / point.deployment.pipeline / load.output_tokens * (1 + load.accepted_tokens) * replicas;
  const double flops = serving.step.flops + prompts * PromptFlops(point.work, load.NewTokens(), load.CachedTokens());
  serving.s_mbu = in_flight * serving.step.bytes / step_s / devices / *point.device.bandwidth_bytes_per_s;
  serving.s_mfu = in_flight * flops / cycle_s / devices / RateOf(point.device, "bf16").flops_per_s;
}

}  // namespace

double MemoryPlan::MostSequences(double usable_bytes) const {
  const double room = usable_bytes - weights_bytes - other_bytes;
  if (sequence_bytes <= 0) return room >= 0 ? std::numeric_limits<double>::infinity() : 0;
  return room / sequence_bytes;
}

MemoryPlan PlanMemory(const model::ModelSpec& model, const metrics::Deployment& deployment, int64_t context_tokens,
                      Allocator allocator) {
  const auto at = [&](int64_t sequences) {
    return metrics::MemoryOfDevice(model, deployment, {sequences * deployment.data, context_tokens});
  };
  constexpr int64_t kFar = 64;
  const metrics::DeviceMemory one = at(1), many = at(kFar);
  MemoryPlan plan;
  plan.weights_bytes = one.Weights();
  plan.routed_bytes = one.routed_experts;
  plan.activation_low_bytes = one.activations.low + one.workspace.low;
  plan.activation_high_bytes = one.activations.high + one.workspace.high;
  plan.other_bytes = (plan.activation_low_bytes + plan.activation_high_bytes) / 2;
  plan.sequence_bytes = (many.kv_cache - one.kv_cache) / (kFar - 1);
  const auto elements = static_cast<double>(model.StateElementsPerSequence());
  plan.state_bytes = std::min(plan.sequence_bytes, elements * model.state_bits / 8 / deployment.tensor / deployment.pipeline);
  if (allocator == Allocator::kLlamaCpp) {
    const metrics::EngineMemory engine = metrics::MemoryOfEngine(model, {1, context_tokens});
    plan.other_bytes = plan.activation_low_bytes = plan.activation_high_bytes = engine.compute;
    plan.sequence_bytes = engine.kv_cache / deployment.pipeline + engine.outputs;
  }
  return plan;
}

double UsableMemory(const hardware::Device& device) {
  constexpr double kDevice = 0.9, kUnified = 0.75, kPhone = 0.5;
  const bool unified = device.unified_memory || device.device_class == "cpu";
  return device.memory_bytes.value_or(0) * (device.device_class == "phone" ? kPhone : unified ? kUnified : kDevice);
}

std::string_view Name(Bound bound) {
  switch (bound) {
    case Bound::kExpertBytes:
      return "expert bytes";
    case Bound::kExpertFlops:
      return "expert FLOPs";
    case Bound::kHost:
      return "host memory";
    case Bound::kWeights:
      return "other weights";
    case Bound::kKvCache:
      return "KV cache";
    case Bound::kLink:
      return "link";
    case Bound::kLatency:
      return "latency";
    case Bound::kPrefill:
      return "prefill";
    case Bound::kCapacity:
      return "KV capacity";
    case Bound::kRunningLimit:
      return "running limit";
  }
  return "";
}

double Tpot(const ServingPoint& point, const Load& load, double sequences) {
  const double running = std::max(TogetherOf(point, load, sequences), 1.0);
  const StepTime step = DecodeStep(point, {running, load.MeanContext(), 1 + load.drafted_tokens});
  const double steps = load.output_tokens / (1 + load.accepted_tokens);
  const double prefill = PrefillShare(point, OthersOf(point, load, sequences), load.NewTokens(), load.CachedTokens(), steps);
  return point.factors.tpot_time * (step.Total() + prefill) / (1 + load.accepted_tokens);
}

Serving Serve(const ServingPoint& point, const Load& load, double most_sequences, double running_limit) {
  const double replicas = point.deployment.data;
  const double most = std::max(std::min(most_sequences, running_limit), 1.0);
  Serving serving;
  serving.most_running = most * replicas;
  Load held = load;                  // by the servers, without those who wait for a place
  double decoding = 0, running = 0;  // in one replica
  if (load.clients) {
    const double clients = std::max(1.0, *load.clients / replicas);
    running = std::min(clients, most);
    serving.over_capacity = clients > most;
    held.clients = std::min(*load.clients, most * replicas);
    decoding = DecodingOfClients(point, held, running);
  } else {
    const double fullest = DecodingOfClients(point, load, std::min(most, kMostSequencesAtOnce));
    decoding = DecodingOfRate(point, load, *load.requests_per_s / replicas, fullest);
    serving.over_capacity = !std::isfinite(decoding);
    decoding = std::min(decoding, fullest);
    running = serving.over_capacity ? most : decoding;
  }
  serving.tpot_s = Tpot(point, held, decoding);
  const double decode_s = load.output_tokens * serving.tpot_s;
  serving.ttft_s = Ttft(point, load, running, serving.tpot_s);
  const double busy = load.clients ? std::min(replicas, *load.clients) : replicas;
  serving.decoding = decoding * busy;
  serving.requests_per_s = load.requests_per_s && !serving.over_capacity ? *load.requests_per_s : serving.decoding / decode_s;
  serving.running = serving.requests_per_s * (serving.ttft_s + decode_s);
  if (serving.over_capacity) {
    serving.queue_s = load.clients ? std::max(0.0, *load.clients / serving.requests_per_s - serving.ttft_s - decode_s)
                                   : std::numeric_limits<double>::infinity();
  } else if (load.requests_per_s) {
    // One server whose service times spread as the prompts do (M/G/1, Pollaczek and Khinchine): those that are computed in
    // front.
    const double prompt_s =
        PromptSeconds(point, load.NewTokens(), load.CachedTokens()) * point.factors.interference_time * point.factors.ttft_time;
    const double share = std::min(0.999, *load.requests_per_s / replicas * prompt_s / point.deployment.pipeline);
    serving.queue_s = prompt_s * share * (1 + load.input_cv * load.input_cv) / (2 * (1 - share));
  }
  serving.ttft_s += serving.queue_s;
  serving.e2e_s = serving.ttft_s + decode_s;
  serving.output_tokens_per_s = serving.requests_per_s * load.output_tokens;
  const double sequences = std::max(TogetherOf(point, held, decoding), 1.0);
  serving.step = DecodeStep(point, {sequences, load.MeanContext(), 1 + load.drafted_tokens});
  const double steps = load.output_tokens / (1 + load.accepted_tokens);
  const double met_s = PrefillShare(point, OthersOf(point, held, decoding), load.NewTokens(), load.CachedTokens(), steps);
  const double prompts_s = PromptsShare(point, sequences, load.NewTokens(), load.CachedTokens(), steps);
  serving.prefill_share = prompts_s / (serving.step.Total() + prompts_s);
  serving.untuned_s = (point.factors.tpot_time - 1) * (serving.step.Total() + met_s);
  SetUtilization(point, load, sequences, serving.step.Total() + met_s + serving.untuned_s,
                 serving.step.Total() + prompts_s + serving.untuned_s, serving);
  const Bound limit = running_limit < most_sequences ? Bound::kRunningLimit : Bound::kCapacity;
  serving.bound = serving.over_capacity ? limit : BoundOf(serving, prompts_s);
  return serving;
}

}  // namespace moecap::planner
