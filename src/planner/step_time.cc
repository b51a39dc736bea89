#include "planner/step_time.h"

#include <algorithm>
#include <cmath>

#include "routing/estimate.h"

namespace moecap::planner {
namespace {

constexpr double kActivationBytes = 2;    // of an element that devices exchange: bf16
constexpr double kPassTokens = 8192;      // the servers' usual chunk of prefill
constexpr double kShortPassTokens = 512;  // llama.cpp's micro-batch

double Ranks(const ServingPoint& point) {
  return static_cast<double>(point.deployment.tensor) * point.deployment.StepReplicas();
}

// One micro-batch of the replica: a pipeline works on as many as it has stages, if there are enough sequences.
double MicroBatch(const ServingPoint& point, double sequences) { return std::max(1.0, sequences / point.deployment.pipeline); }

// What matrices take behind the read of their bytes where a kernel fetches and multiplies in turn; 0 where it does both at
// once.
double VectorSeconds(const ServingPoint& point, double flops, std::string_view type) {
  if (point.factors.vector_time <= 0) return 0;
  const double time = RowsInterleaved(type) ? point.factors.packed_time : point.factors.vector_time;
  return flops / RateOf(point.device, "f32").flops_per_s * time;
}

// Of all the experts of one layer, as if one device computed them.
double TileSeconds(const ServingPoint& point, const ExpertGroup& group, double distinct, double tokens) {
  if (point.factors.tile_operations <= 0 || tokens <= 1) return 0;
  const double operations = distinct * group.params_per_expert * point.factors.tile_operations * std::log2(tokens);
  return operations / RateOf(point.device, "f32").flops_per_s;
}

void AddExperts(const ServingPoint& point, const StepLoad& load, StepTime& step) {
  const double replicas = point.deployment.StepReplicas();
  const double tokens = MicroBatch(point, load.sequences) * replicas * load.tokens_per_sequence;
  const double effective =
      MicroBatch(point, load.sequences) * replicas * std::pow(load.tokens_per_sequence, point.work.in_sequence_exponent);
  const MatrixRate rate = RateOf(point.device, point.work.expert_type);
  const double widened = rate.widened ? point.factors.weight_only_time : 1;
  const double ranks = Ranks(point), expert_ranks = std::max(1, point.deployment.expert);
  double layers = 0, bytes_s = 0, flops_s = 0, host_s = 0;
  for (const ExpertGroup& group : point.work.experts) {
    const double distinct = std::min(DistinctExperts(point.work, group, effective), group.experts);
    const double bytes = group.layers * distinct * group.bytes_per_expert;
    const double flops = group.layers * 2 * tokens * group.top_k * group.params_per_expert;
    const double here = DeviceServes(point.offload, distinct, group.experts);
    const double imbalance = ExpertImbalance(expert_ranks, tokens, group.top_k, group.experts, point.work.cv);
    const double of_bytes = here * bytes / ranks / *point.device.bandwidth_bytes_per_s * point.factors.expert_stream;
    const double of_vectors = VectorSeconds(point, here * flops / ranks, point.work.expert_type);
    const double of_flops =
        of_vectors > 0 ? of_vectors : here * flops / ranks * imbalance / rate.flops_per_s * point.factors.matrix_time;
    const double of_tiles = here * group.layers * TileSeconds(point, group, distinct, tokens) / ranks;
    bytes_s += of_bytes;
    flops_s += std::max(of_flops, of_tiles);
    step.experts_s += of_vectors > 0 ? of_bytes + of_vectors : std::max({of_bytes * widened, of_flops * widened, of_tiles});
    step.experts_s += group.layers * here * distinct / expert_ranks * point.factors.expert_overhead_s;
    host_s += group.layers * HostSeconds(point.offload, point.factors, ranks, distinct, group.experts, group.bytes_per_expert,
                                         2 * group.params_per_expert, tokens * group.top_k);
    step.bytes += here * bytes;
    step.flops += flops;
    step.distinct_experts += group.layers * distinct;
    layers += group.layers;
  }
  if (layers > 0) step.distinct_experts /= layers;
  step.compute_bound = flops_s > bytes_s;
  step.host_s = point.offload.overlapped ? std::max(0.0, host_s - step.experts_s) : host_s;
}

void AddWeights(const ServingPoint& point, const StepLoad& load, StepTime& step) {
  const ModelWork& work = point.work;
  const double tokens = MicroBatch(point, load.sequences) * load.tokens_per_sequence;
  const double replicas = point.deployment.StepReplicas(), tensor = point.deployment.tensor;
  const double bytes = work.sharded_bytes / tensor + work.whole_bytes + tokens * work.embedding_row_bytes;
  const double flops = tokens * (2 * (work.sharded_params + work.head_params) + work.state_flops);
  const double rate = RateOf(point.device, work.dense_type).flops_per_s;
  const double streamed = bytes * point.factors.weight_stream,
               of_vectors = VectorSeconds(point, flops / tensor, work.dense_type);
  step.weights_s = of_vectors > 0 ? streamed / *point.device.bandwidth_bytes_per_s + of_vectors
                                  : Roofline(streamed, *point.device.bandwidth_bytes_per_s,
                                             flops / tensor * point.factors.matrix_time, rate);
  step.bytes += work.sharded_bytes + work.whole_bytes + tokens * replicas * work.embedding_row_bytes;
  step.flops += flops * replicas;
}

void AddKvCache(const ServingPoint& point, const StepLoad& load, StepTime& step) {
  const double sequences = MicroBatch(point, load.sequences), tensor = point.deployment.tensor;
  const auto context = static_cast<int64_t>(load.context_tokens);
  const auto fresh = static_cast<int64_t>(std::ceil(load.tokens_per_sequence));
  double own = sequences * point.work.state_bytes / tensor, all = sequences * point.work.state_bytes, flops = 0;
  for (const CacheGroup& group : point.work.caches) {
    const double entries = group.cache.Read(context, fresh) + group.cache.Written(context, fresh);
    const double bytes = sequences * group.layers * entries * group.entry_bytes;
    own += bytes / (group.kv_heads > 0 ? std::min(tensor, group.kv_heads) : 1);
    all += bytes;
    const int64_t per_entry =
        group.cache.absorbed_flops_per_entry > 0 ? group.cache.absorbed_flops_per_entry : group.cache.flops_per_entry;
    flops += sequences * group.layers * static_cast<double>(per_entry) * group.cache.Pairs(context, fresh);
  }
  const double rate = RateOf(point.device, "bf16").flops_per_s;
  step.kv_s = Roofline(own, *point.device.bandwidth_bytes_per_s, flops / tensor, rate) * point.factors.kv_stream;
  step.bytes += all * point.deployment.StepReplicas();
  step.flops += flops * point.deployment.StepReplicas();
}

// Two all-reduces a layer under tensor parallelism; under expert parallelism over several replicas an all-to-all of the layers
// with experts takes the place of the second.
double CollectiveSeconds(const ServingPoint& point, double tokens) {
  const double tensor = point.deployment.tensor, replicas = point.deployment.StepReplicas();
  const double width = point.work.hidden * kActivationBytes;
  // Tokens go to the experts in the type that these multiply in, and come back as they are.
  const double there = point.work.hidden * OperandBytes(point.device, point.work.expert_type);
  double seconds = 0, expert_layers = 0;
  if (replicas > 1) {
    for (const ExpertGroup& group : point.work.experts) {
      const double imbalance =
          ExpertImbalance(point.deployment.expert, tokens * replicas, group.top_k, group.experts, point.work.cv);
      seconds += group.layers * imbalance * AllToAllBytes(tokens / tensor, group.top_k, there, width, tensor * replicas) /
                 point.fabric.BytesPerS(tensor * replicas);
      expert_layers += group.layers;
    }
  }
  if (tensor > 1) {
    const double reductions = 2 * point.work.layers - expert_layers;
    seconds += reductions * AllReduceBytes(tokens * width, tensor) / point.fabric.BytesPerS(tensor);
  }
  if (point.deployment.pipeline > 1) {
    const double ranks = tensor * point.deployment.pipeline;
    seconds += (point.deployment.pipeline - 1) * tokens * width / point.fabric.BytesPerS(ranks);
  }
  return seconds * point.factors.collective_time;
}

double LatencySeconds(const ServingPoint& point, double tokens) {
  const StepFactors& factors = point.factors;
  double layer = factors.layer_s + factors.layer_s_per_element * point.work.hidden;
  if (point.work.dense_type.substr(0, 3) == "fp8" && !RateOf(point.device, point.work.dense_type).widened)
    layer += factors.quantise_layer_s;
  // Two exchanges a layer, each half of it: behind attention among the ranks that share a sequence, in the FFN among all.
  layer += factors.sync_s * (std::log2(point.deployment.tensor) + std::log2(Ranks(point))) / 2;
  const double alone = std::clamp(2 - tokens, 0.0, 1.0);  // between one token and two the average step is sometimes of one
  return point.work.layers * layer * (1 + alone * (factors.replay_time - 1)) + alone * factors.replay_s +
         point.work.indexer_layers * factors.indexer_layer_s;
}

}  // namespace

Fabric FabricOf(const hardware::Device& device, const hardware::Catalogue& catalogue) {
  constexpr double kScaleOutBytesPerS = 50e9;  // 400 Gb/s a device, as in HGX clusters
  constexpr int kDevicesOfANode = 8;
  Fabric fabric{0, 1, kScaleOutBytesPerS};
  for (const std::string& id : {device.scale_up_link, device.host_link}) {
    if (id.empty()) continue;
    const Result<hardware::Link> link = catalogue.FindLink(id);
    if (!link.ok()) continue;
    fabric.node_bytes_per_s = link->bytes_per_s;
    fabric.node_devices = id == device.scale_up_link ? device.scale_up_devices.value_or(kDevicesOfANode) : kDevicesOfANode;
    break;
  }
  return fabric;
}

double Roofline(double bytes, double bytes_per_s, double flops, double flops_per_s) {
  return std::max(bytes / bytes_per_s, flops / flops_per_s);
}

double ExpertImbalance(double ranks, double tokens, double top_k, double experts, double cv) {
  if (ranks <= 1 || tokens * top_k <= 0) return 1;
  return 1 + std::sqrt(2 * std::log(ranks)) * std::sqrt(ranks / (tokens * top_k) + cv * cv * ranks / experts);
}

double AllReduceBytes(double bytes, double ranks) { return 2 * (ranks - 1) / ranks * bytes; }

double RanksOfToken(double top_k, double ranks) { return ranks * (1 - std::pow(1 - 1 / ranks, top_k)); }

double AllToAllBytes(double tokens, double top_k, double there, double back, double ranks) {
  return tokens * RanksOfToken(top_k, ranks) * (there + back) * (ranks - 1) / ranks;
}

StepTime DecodeStep(const ServingPoint& point, const StepLoad& load) {
  StepTime step;
  if (!point.work.experts.empty()) AddExperts(point, load, step);
  AddWeights(point, load, step);
  AddKvCache(point, load, step);
  step.collectives_s = CollectiveSeconds(point, MicroBatch(point, load.sequences) * load.tokens_per_sequence);
  step.latency_s = LatencySeconds(point, MicroBatch(point, load.sequences) * load.tokens_per_sequence);
  const double vocabulary = point.work.head_params / std::max(1.0, point.work.hidden);
  step.sequences_s = MicroBatch(point, load.sequences) *
                     (point.factors.sequence_s + vocabulary * load.tokens_per_sequence * point.factors.logit_s);
  return step;
}

double PromptFlops(const ModelWork& work, double new_tokens, double cached_tokens) {
  double flops = new_tokens * (2 * (work.sharded_params + work.ActiveRoutedParams()) + work.state_flops) + 2 * work.head_params;
  for (const CacheGroup& group : work.caches) {
    flops += group.layers * static_cast<double>(group.cache.flops_per_entry) *
             group.cache.Pairs(static_cast<int64_t>(cached_tokens), static_cast<int64_t>(new_tokens));
  }
  return flops;
}

double HostPromptSeconds(const ServingPoint& point, double new_tokens) {
  if (point.offload.residence == Residence::kDevice || new_tokens <= 0) return 0;
  const double passes = std::ceil(new_tokens / kPassTokens), tokens = new_tokens / passes;
  double seconds = 0;
  for (const ExpertGroup& group : point.work.experts) {
    const double effective = std::pow(tokens, point.work.in_sequence_exponent);
    const double distinct = std::min(DistinctExperts(point.work, group, effective), group.experts);
    const auto by = [&](Residence residence) {
      Offload offload = point.offload;
      offload.residence = residence;
      return HostSeconds(offload, point.factors, Ranks(point), distinct, group.experts, group.bytes_per_expert,
                         2 * group.params_per_expert, tokens * group.top_k);
    };
    const bool ssd = point.offload.residence == Residence::kSsd;
    seconds += passes * group.layers * (ssd ? by(Residence::kSsd) : std::min(by(Residence::kCopy), by(Residence::kExecute)));
  }
  return seconds;
}

double PromptCollectiveSeconds(const ServingPoint& point, double new_tokens) {
  const double bytes = new_tokens * point.work.hidden * kActivationBytes;
  double seconds = 0;
  for (const double ranks : {static_cast<double>(point.deployment.tensor), Ranks(point)}) {
    if (ranks > 1) seconds += point.work.layers * AllReduceBytes(bytes, ranks) / point.fabric.BytesPerS(ranks);
  }
  return seconds;
}

double PromptSeconds(const ServingPoint& point, double new_tokens, double cached_tokens) {
  const ModelWork& work = point.work;
  const double tensor = point.deployment.tensor;
  const double routed = 2 * new_tokens * work.ActiveRoutedParams();
  const double dense = 2 * new_tokens * work.sharded_params;
  const double rest = PromptFlops(work, new_tokens, cached_tokens) - routed - dense;
  return (routed / RateOf(point.device, work.expert_type).flops_per_s +
          dense / RateOf(point.device, work.dense_type).flops_per_s + rest / RateOf(point.device, "bf16").flops_per_s) /
         tensor;
}

double PromptVectorSeconds(const ServingPoint& point, double new_tokens, double cached_tokens) {
  const ModelWork& work = point.work;
  const double routed = 2 * new_tokens * work.ActiveRoutedParams();
  const double rest = PromptFlops(work, new_tokens, cached_tokens) - routed;
  const double here = point.offload.device_share;  // a prompt reads nearly every expert
  return (VectorSeconds(point, here * routed, work.expert_type) + VectorSeconds(point, rest, work.dense_type)) /
         point.deployment.tensor;
}

double PromptReadSeconds(const ServingPoint& point, double new_tokens) {
  if (new_tokens <= 0) return 0;
  const double passes = std::ceil(new_tokens / (point.factors.vector_time > 0 ? kShortPassTokens : kPassTokens));
  const double tokens = new_tokens / passes;
  const ModelWork& work = point.work;
  double experts = 0;
  for (const ExpertGroup& group : work.experts) {
    const double distinct = DistinctExperts(work, group, std::pow(tokens, work.in_sequence_exponent));
    const double share = DeviceServes(point.offload, distinct, group.experts);
    experts += share * group.layers * std::min(distinct, group.experts) * group.bytes_per_expert;
  }
  const double weights = work.sharded_bytes / point.deployment.tensor + work.whole_bytes;
  return passes / *point.device.bandwidth_bytes_per_s *
         (experts / Ranks(point) * point.factors.expert_stream + weights * point.factors.weight_stream);
}

double PromptTileSeconds(const ServingPoint& point, double new_tokens) {
  if (point.factors.tile_operations <= 0 || new_tokens <= 0) return 0;
  const double passes = std::ceil(new_tokens / kShortPassTokens), tokens = new_tokens / passes;
  double seconds = 0;
  for (const ExpertGroup& group : point.work.experts) {
    const double distinct = DistinctExperts(point.work, group, std::pow(tokens, point.work.in_sequence_exponent));
    const double share = DeviceServes(point.offload, distinct, group.experts);
    seconds += share * passes * group.layers * TileSeconds(point, group, std::min(distinct, group.experts), tokens);
  }
  const bool widened = RateOf(point.device, point.work.expert_type).widened;
  return seconds / Ranks(point) * (widened ? point.factors.widened_prompt_time : 1);
}

// What no FLOP takes of a prompt.
double PromptLatencySeconds(const ServingPoint& point) {
  return point.factors.admission_s + point.work.layers * point.factors.prefill_layer_s;
}

double PromptsShare(const ServingPoint& point, double requests, double new_tokens, double cached_tokens, double output_tokens) {
  const double in_step = requests / point.deployment.pipeline / output_tokens;
  if (point.factors.prompt_waves > 0)
    return in_step *
           (PromptServiceSeconds(point, new_tokens, cached_tokens) + PromptLatencySeconds(point) * point.factors.ttft_factor);
  const double flops = PromptSeconds(point, new_tokens, cached_tokens) * point.factors.interference_time;
  return in_step * (std::max(flops, PromptTileSeconds(point, new_tokens)) + HostPromptSeconds(point, new_tokens));
}

double PrefillShare(const ServingPoint& point, double others, double new_tokens, double cached_tokens, double output_tokens) {
  return (1 - point.factors.prompt_waves / 2) * PromptsShare(point, others, new_tokens, cached_tokens, output_tokens);
}

double PromptServiceSeconds(const ServingPoint& point, double new_tokens, double cached_tokens) {
  const double behind =
      PromptCollectiveSeconds(point, new_tokens) * point.factors.prefill_collective_time + HostPromptSeconds(point, new_tokens);
  const double read = PromptReadSeconds(point, new_tokens);
  if (const double vectors = PromptVectorSeconds(point, new_tokens, cached_tokens); vectors > 0) return read + vectors + behind;
  const double flops = PromptSeconds(point, new_tokens, cached_tokens) * point.factors.prefill_time;
  return std::max({flops, read, PromptTileSeconds(point, new_tokens)}) + behind;
}

double TimeToFirstToken(const ServingPoint& point, double clients, double new_tokens, double cached_tokens, double tpot_s) {
  const StepFactors& factors = point.factors;
  const double prompt = PromptServiceSeconds(point, new_tokens, cached_tokens);
  const double others = std::max(0.0, clients - 1), latency = PromptLatencySeconds(point);
  if (const double waves = factors.prompt_waves; waves > 0)
    return (prompt + latency * factors.ttft_factor) * (1 + others * waves / 2);
  const double bunched = 1 + factors.bunching * others;
  const double behind_s = std::clamp(clients - 1, 0.0, 1.0) * tpot_s;  // a step of others; alone there is none to wait for
  const double polls = (point.poll_steps - 1) / 2 * behind_s;
  return prompt * bunched + (latency + factors.waiting_steps * behind_s) * factors.ttft_factor + polls;
}

}  // namespace moecap::planner
