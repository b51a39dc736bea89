#include "planner/search.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <tuple>

#include "base/units.h"
#include "model/kv_format.h"
#include "model/weight_format.h"
#include "planner/candidate.h"
#include "planner/running_limit.h"

namespace moecap::planner {
namespace {

using model::TensorClass;

constexpr double kHostShare = 0.9;  // of host memory that may hold experts

double ExpertBits(const model::ModelSpec& spec) {
  const model::WeightSet all = spec.ByClass();
  const model::Weights& routed = all[TensorClass::kRoutedExpert];
  return routed.params > 0 ? routed.BitsPerWeight() : all[TensorClass::kDenseFfn].BitsPerWeight();
}

Variant MakeVariant(const model::ModelSpec& spec, const char* type, const routing::ActivationSheet* sheet) {
  Variant variant{type, spec, {}, false};
  model::ApplyWeightChoice(variant.spec, *model::WeightChoiceByName(type));
  variant.work = MakeModelWork(variant.spec, sheet);
  return variant;
}

// Each variant again with its cache in fp8, but for GGUF's, which have other types.
void AddNarrowCaches(const routing::ActivationSheet* sheet, std::vector<Variant>& variants) {
  const size_t stored = variants.size();
  for (size_t i = 0; i < stored; ++i) {
    if (WeightKind(variants[i].spec.weight_type) == "gguf") continue;
    Variant narrow = variants[i];
    if (!model::ApplyKvFormat(narrow.spec, "fp8").ok()) continue;
    if (narrow.original) narrow.label = narrow.spec.weight_type;
    narrow.original = false;
    narrow.narrow_kv = true;
    narrow.work = MakeModelWork(narrow.spec, sheet);
    variants.push_back(std::move(narrow));
  }
}

// Systems with paged caches in fp8, on devices that multiply it.
bool HasNarrowCache(const std::string& system, const hardware::Device& device) {
  return device.peaks.fp8.has_value() && (system == "vllm" || system == "sglang" || system == "trtllm");
}

class Searcher {
 public:
  Searcher(const Question& question, const Ingredients& ingredients, SearchResult& result)
      : question_(question),
        ingredients_(ingredients),
        result_(result),
        pricer_(question, ingredients.devices, ingredients.prices) {}

  void Try(const hardware::Device& device, int64_t count) {
    const int64_t nodes = std::max<int64_t>(1, count / 8);
    const Fabric fabric = FabricOf(device, ingredients_.devices);
    if (count > 1 && fabric.node_bytes_per_s <= 0) return;
    const Allocator allocator = AllocatorOf(device);
    for (size_t v = 0; v < result_.variants.size(); ++v) {
      for (const metrics::Deployment& deployment : DeploymentsOf(device, count, result_.variants[v].spec)) {
        if (Idle(deployment)) continue;
        Candidate base;
        base.device = &device;
        base.count = count;
        base.nodes = nodes;
        base.deployment = deployment;
        base.variant = v;
        base.memory = MemoryOf(v, deployment, allocator);
        base.usable_bytes = UsableOf(device);
        if (base.memory.MostSequences(base.usable_bytes) >= 1) {
          TryResidence(base, fabric);
        } else {
          Lacks(base, ShortOf::kDevice, base.memory.weights_bytes + base.memory.other_bytes + base.memory.sequence_bytes,
                base.usable_bytes);
          if (question_.offload) TryOffload(base, fabric);
        }
      }
    }
  }

  void Finish() {
    for (auto& [key, candidate] : best_) result_.candidates.push_back(std::move(candidate));
    std::stable_sort(result_.candidates.begin(), result_.candidates.end(),
                     [&](const Candidate& a, const Candidate& b) { return Better(a, b, question_.objective); });
  }

 private:
  // Replicas that would have nobody to serve.
  bool Idle(const metrics::Deployment& deployment) const {
    return question_.load.clients && deployment.data > std::max(1.0, *question_.load.clients);
  }

  // A machine's own memory, where the question says how much there is.
  double UsableOf(const hardware::Device& device) const {
    if (question_.owned && question_.owned->dram_bytes && device.device_class == "cpu")
      return *question_.owned->dram_bytes * UsableMemory(device) / device.memory_bytes.value_or(1);
    return UsableMemory(device);
  }

  const MemoryPlan& MemoryOf(size_t variant, const metrics::Deployment& d, Allocator allocator) {
    const std::tuple key(variant, allocator, d.tensor, d.expert, d.pipeline, d.data);
    const auto found = memory_.find(key);
    if (found != memory_.end()) return found->second;
    const auto context = static_cast<int64_t>(question_.load.MeanContext());
    return memory_.emplace(key, PlanMemory(result_.variants[variant].spec, d, context, allocator)).first->second;
  }

  void Lacks(const Candidate& way, ShortOf memory, double needed_bytes, double has_bytes) {
    if (result_.shortage && needed_bytes - has_bytes >= result_.shortage->LackingBytes()) return;
    result_.shortage = {way, memory, needed_bytes, has_bytes};
  }

  // Where any system keeps the experts of a variant beside a device. Unlike SystemsFor it notes no refusal: nothing fits yet.
  struct Places {
    bool dram = false, ssd = false;
  };
  Places PlacesOf(const Candidate& way) {
    const auto [at, added] = places_.try_emplace(std::pair(way.device, way.variant));
    if (added)
      at->second = {AnySystem(way, Residence::kExecute) || AnySystem(way, Residence::kCopy), AnySystem(way, Residence::kSsd)};
    return at->second;
  }

  bool AnySystem(const Candidate& way, Residence residence) const {
    const Variant& variant = result_.variants[way.variant];
    const SystemSupport& support = ingredients_.systems;
    const std::vector<std::string> systems = SystemsOf(*way.device, residence);
    return std::any_of(systems.begin(), systems.end(), [&](const std::string& system) {
      return support.Serves(system, variant.spec, *way.device) != Served::kNo &&
             support.Loads(system, TypeOf(variant), *way.device);
    });
  }

  static const std::string& TypeOf(const Variant& variant) {
    return variant.original ? variant.spec.weight_type : variant.label;
  }

  void TryResidence(Candidate candidate, const Fabric& fabric) {
    const Variant& variant = result_.variants[candidate.variant];
    candidate.money =
        pricer_.Of(*candidate.device, candidate.count, candidate.nodes, candidate.processor,
                   candidate.device->device_class == "cpu" ? candidate.memory.weights_bytes * 1.2 : candidate.host_dram_bytes);
    for (const std::string& system : SystemsFor(*candidate.device, candidate.offload.residence, candidate.variant)) {
      // llama.cpp-class engines split a model by layers, and share no experts.
      if (system == "llama-server" && (candidate.deployment.tensor > 1 || candidate.deployment.expert > 1)) continue;
      // Ranks with attention of their own are single GPUs there: enable_attention_dp leaves no tensor parallelism inside one.
      if (system == "trtllm" && candidate.deployment.tensor > 1 && candidate.deployment.StepReplicas() > 1) continue;
      if (variant.narrow_kv && !HasNarrowCache(system, *candidate.device)) continue;
      candidate.system = system;
      candidate.offload.overlapped = system == "ktransformers" || system == "moe-infinity";
      const ServingPoint point{
          variant.work,     *candidate.device, candidate.deployment, fabric, FactorsOf(system, *candidate.device),
          candidate.offload};
      const SystemRelease* const release = ingredients_.systems.Find(system);
      candidate.room = candidate.offload.residence == Residence::kDevice
                           ? RoomOf(release, candidate.memory, candidate.usable_bytes, question_.load)
                           : SequencesBesideExperts();
      candidate.default_running = DefaultRunningLimit(release, *candidate.device, candidate.memory, candidate.usable_bytes);
      candidate.state_ratio = StateRatioOf(release, candidate.memory, candidate.default_running);
      candidate.running_limit = RunningLimitOf(release, question_.max_running, question_.launch, candidate.default_running);
      candidate.serving = Serve(point, question_.load, candidate.room, candidate.running_limit);
      SetBands(candidate);
      PriceTokens(question_.load, candidate);
      Judge(question_, candidate);
      ++result_.points;
      Keep(candidate);
    }
  }

  // That run on the device with experts in that place and take the model and its weights.
  const std::vector<std::string>& SystemsFor(const hardware::Device& device, Residence residence, size_t v) {
    const auto [at, added] = systems_.try_emplace(std::tuple(&device, residence, v));
    if (!added) return at->second;
    const Variant& variant = result_.variants[v];
    const std::string& type = TypeOf(variant);
    const SystemSupport& support = ingredients_.systems;
    for (const std::string& system : SystemsOf(device, residence)) {
      const Served served = support.Serves(system, variant.spec, device);
      if (served == Served::kUnknown) AddOnce(result_.not_checked, system);
      if (served == Served::kNo) {
        Refuse({system, device.id, true, support.WhyNotModel(system, variant.spec, device)});
      } else if (!support.Loads(system, type, device)) {
        Refuse({system, device.id, false, support.WhyNotType(system, type, device)});
      } else {
        at->second.push_back(system);
      }
    }
    return at->second;
  }

  static void AddOnce(std::vector<std::string>& list, const std::string& value) {
    if (std::find(list.begin(), list.end(), value) == list.end()) list.push_back(value);
  }

  void Refuse(Refusal refusal) {
    const auto same = [&](const Refusal& one) { return one.device == refusal.device && one.reason == refusal.reason; };
    if (std::none_of(result_.refusals.begin(), result_.refusals.end(), same)) result_.refusals.push_back(std::move(refusal));
  }

  // A launch that is not known must keep the targets where it is tuned.
  void SetBands(Candidate& candidate) const {
    const Multipliers& multipliers = ingredients_.multipliers;
    const bool wide = candidate.deployment.StepReplicas() > 1 || candidate.nodes > 1, offloaded = candidate.Offloaded();
    const Launch launch = offloaded ? Launch::kTuned : multipliers.LaunchOf(candidate.system, question_.launch);
    candidate.band = multipliers.BandOf(candidate.system, *candidate.device, offloaded, wide, launch);
    candidate.ttft_band = multipliers.TtftBandOf(candidate.system, *candidate.device, offloaded, wide, launch);
    candidate.measured = !offloaded && multipliers.TellsLaunches(candidate.system) && multipliers.Measured(*candidate.device);
    const bool either = launch == Launch::kEither;
    candidate.default_time = either ? multipliers.DefaultLaunch().tpot_time : 1;
    candidate.margin =
        MarginOf(either ? multipliers.BandOf(candidate.system, *candidate.device, offloaded, wide) : candidate.band);
  }

  double MarginOf(const ErrorBand& band) const {
    if (question_.margin <= 1) return 1;
    return question_.margin * std::sqrt(std::max(1.0, band.high / ingredients_.multipliers.CalibratedBand().high));
  }

  const StepFactors& FactorsOf(const std::string& system, const hardware::Device& device) {
    const std::pair key(system, device.id);
    const auto found = factors_.find(key);
    if (found != factors_.end()) return found->second;
    return factors_.emplace(key, ingredients_.multipliers.FactorsOf(system, device, question_.launch)).first->second;
  }

  // KV cache is kept for as many requests as come, up to 16 a replica; the rest of the device holds experts.
  double SequencesBesideExperts() const {
    constexpr double kMost = 16;
    return std::clamp(question_.load.clients.value_or(kMost), 1.0, kMost);
  }

  void TryOffload(Candidate candidate, const Fabric& fabric) {
    const metrics::Deployment& d = candidate.deployment;
    if (candidate.nodes > 1 || d.data > 1 || d.expert > 1 || candidate.memory.routed_bytes <= 0) return;
    const double fixed = candidate.memory.weights_bytes - candidate.memory.routed_bytes + candidate.memory.other_bytes +
                         candidate.memory.sequence_bytes * SequencesBesideExperts();
    const double room = candidate.usable_bytes - fixed;
    if (room < 0 && result_.shortage && -room >= result_.shortage->LackingBytes()) return;
    if (!SetHost(candidate)) return;
    const Places places = PlacesOf(candidate);
    if (room < 0) {
      if (places.dram || places.ssd) Lacks(candidate, ShortOf::kBesideExperts, fixed, candidate.usable_bytes);
      return;
    }
    const double routed = result_.variants[candidate.variant].work.RoutedBytes();
    Offload& offload = candidate.offload;
    offload.device_share = std::clamp(room / candidate.memory.routed_bytes, 0.0, 1.0);
    const double dram = offload.host.dram_bytes * kHostShare / routed;
    offload.dram_share = std::min(1 - offload.device_share, dram);
    candidate.host_dram_bytes = question_.owned && question_.owned->dram_bytes ? *question_.owned->dram_bytes
                                                                               : offload.dram_share * routed / kHostShare;
    candidate.memory.weights_bytes -= (1 - offload.device_share) * candidate.memory.routed_bytes;
    candidate.memory.routed_bytes *= offload.device_share;
    const bool fits = offload.device_share + offload.dram_share >= 1 - 1e-9;
    if (!fits && places.dram && !places.ssd)
      Lacks(candidate, ShortOf::kHost, (1 - offload.device_share) * routed / kHostShare, offload.host.dram_bytes);
    for (const Residence residence : {Residence::kExecute, Residence::kCopy, Residence::kSsd}) {
      if (fits == (residence == Residence::kSsd)) continue;
      offload.residence = residence;
      TryResidence(candidate, fabric);
    }
  }

  // False where the device has no host that could hold experts.
  bool SetHost(Candidate& candidate) const {
    const auto& owned = question_.owned;
    candidate.processor = owned && !owned->processor.empty() ? owned->processor : UsualHost(*candidate.device);
    const auto host =
        HostOf(*candidate.device, candidate.processor, owned ? owned->dram_bytes : std::nullopt, ingredients_.devices);
    if (host) candidate.offload.host = *host;
    return host.has_value();
  }

  // The best of each device, count, precision, place of the experts and system.
  void Keep(const Candidate& candidate) {
    const std::tuple key(candidate.device->id, candidate.count, candidate.variant, candidate.offload.residence,
                         candidate.system);
    const auto [at, added] = best_.try_emplace(key, candidate);
    if (!added && Better(candidate, at->second, question_.objective)) at->second = candidate;
  }

  const Question& question_;
  const Ingredients& ingredients_;
  SearchResult& result_;
  Pricer pricer_;
  std::map<std::pair<const hardware::Device*, size_t>, Places> places_;
  std::map<std::tuple<size_t, Allocator, int, int, int, int>, MemoryPlan> memory_;
  std::map<std::pair<std::string, std::string>, StepFactors> factors_;
  std::map<std::tuple<const hardware::Device*, Residence, size_t>, std::vector<std::string>> systems_;
  std::map<std::tuple<std::string, int64_t, size_t, Residence, std::string>, Candidate> best_;
};

// What the catalogue lacks of a device for a time to be predicted; empty = nothing.
std::string Lacking(const hardware::Device& device) {
  std::string lacking;
  const auto add = [&](const char* what) { lacking += (lacking.empty() ? "" : ", ") + std::string(what); };
  if (!device.bandwidth_bytes_per_s) add("bandwidth");
  if (!device.memory_bytes) add("memory");
  const hardware::DensePeaks& peaks = device.peaks;
  if (!(peaks.bf16 || peaks.fp16 || peaks.fp8 || peaks.fp32 || peaks.fp4)) add("peak rate");
  return lacking;
}

bool CanCompute(const hardware::Device& device) { return Lacking(device).empty(); }

bool InClasses(const std::vector<std::string>& classes, const hardware::Device& device) {
  return classes.empty() || std::any_of(classes.begin(), classes.end(), [&](const std::string& name) {
           return name == device.device_class || (name == "laptop" && device.laptop);
         });
}

bool Contains(const std::vector<std::string>& list, const std::string& value) {
  return list.empty() || std::find(list.begin(), list.end(), value) != list.end();
}

// Devices that the question allows, with how many at most; owned ones exactly.
Result<std::vector<std::pair<hardware::Device, int64_t>>> AllowedDevices(const Question& question,
                                                                         const hardware::Catalogue& catalogue) {
  std::vector<std::pair<hardware::Device, int64_t>> allowed;
  if (question.owned) {
    for (const cost::MachinePart& part : question.owned->devices) {
      ASSIGN_OR_RETURN(hardware::Device device, catalogue.FindDevice(part.id));
      if (!CanCompute(device))
        return BadInput(fmt::format(
            "{}: the catalogue has no {} of it; a file of yours (--catalogue) may add what is missing{}", device.name,
            Lacking(device), device.device_class == "phone" ? ", and `moecap plan devices` compares bandwidths" : ""));
      allowed.emplace_back(std::move(device), part.count);
    }
    return allowed;
  }
  std::vector<std::string> ids;
  for (const std::string& name : question.limits.devices) {
    ASSIGN_OR_RETURN(const hardware::Device device, catalogue.FindDevice(name));
    if (!InClasses(question.limits.device_classes, device))
      return BadInput(fmt::format("the limits contradict each other: {} is of class {}, which is not among those allowed",
                                  device.name, device.device_class));
    if (!CanCompute(device)) return BadInput(fmt::format("{}: the catalogue has no {} of it", device.name, Lacking(device)));
    ids.push_back(device.id);
  }
  for (const hardware::Device& device : catalogue.devices()) {
    if (CanCompute(device) && InClasses(question.limits.device_classes, device) && Contains(ids, device.id))
      allowed.emplace_back(device, question.limits.most_devices);
  }
  return allowed;
}

}  // namespace

std::vector<Variant> MakeVariants(const model::ModelSpec& spec, Fidelity fidelity, const routing::ActivationSheet* sheet,
                                  bool narrow_kv) {
  const double bits = ExpertBits(spec);
  std::vector<Variant> variants;
  variants.push_back({fmt::format("as stored ({})", spec.weight_type), spec, MakeModelWork(spec, sheet), true});
  if (fidelity != Fidelity::kOriginal && bits > 9) variants.push_back(MakeVariant(spec, "fp8", sheet));
  // GGUF has no fp8: llama.cpp takes such checkpoints as the nearest type that it has.
  if (fidelity != Fidelity::kOriginal && (bits > 9 || WeightKind(spec.weight_type) == "fp8"))
    variants.push_back(MakeVariant(spec, "q8_0", sheet));
  if (fidelity == Fidelity::kAny && bits > 5) {
    variants.push_back(MakeVariant(spec, "nvfp4", sheet));
    variants.push_back(MakeVariant(spec, "int4", sheet));
  }
  if (narrow_kv && spec.kv_bits > 9) AddNarrowCaches(sheet, variants);
  return variants;
}

std::string_view Name(ShortOf memory) {
  constexpr std::array<std::string_view, 3> kNames = {"device", "device beside experts", "host"};
  return kNames[static_cast<size_t>(memory)];
}

std::string WordsOf(const Shortage& shortage, std::span<const Variant> variants) {
  const Candidate& way = shortage.way;
  const std::string devices = fmt::format("{} x {}", way.count, way.device->name), has = FormatBytes(shortage.has_bytes),
                    needs = FormatBytes(shortage.needed_bytes), lacks = FormatBytes(shortage.LackingBytes());
  const std::string& weights = variants[way.variant].label;
  switch (shortage.memory) {
    case ShortOf::kDevice:
      break;
    case ShortOf::kBesideExperts:
      return fmt::format(
          "even with the experts in host memory the fullest device of {} has {} for other weights ({}), KV cache and "
          "workspace that need {}: {} are missing on the device",
          devices, has, weights, needs, lacks);
    case ShortOf::kHost:
      return fmt::format(
          "the host of {} has {} for the experts ({}) that have no room on the devices, which need {}: {} of host memory are "
          "missing",
          devices, has, weights, needs, lacks);
  }
  return fmt::format("of {} the fullest device has {} for a model that needs {}: {} are missing", devices, has, needs, lacks);
}

std::string_view CapClass(bool offloaded, bool original) {
  if (!original) return "PC";
  return offloaded ? "CA" : "PA";
}

bool Better(const Candidate& a, const Candidate& b, Objective objective) {
  if (a.Answers() != b.Answers()) return a.Answers();
  if (!a.Answers() && a.worst_miss != b.worst_miss) return a.worst_miss < b.worst_miss;
  constexpr double kUnknown = 1e300;
  const auto value = [&](const Candidate& c) {
    switch (objective) {
      case Objective::kMonth:
        return c.money.usd_per_h.value_or(kUnknown);
      case Objective::kToken:
        return c.usd_per_million_tokens.value_or(kUnknown);
      case Objective::kSpeed:
        return c.serving.tpot_s;
      case Objective::kPower:
        return c.money.watts.value_or(kUnknown);
    }
    return kUnknown;
  };
  const double left = value(a), right = value(b);
  if (left != right) return left < right;
  return a.serving.tpot_s < b.serving.tpot_s;
}

std::vector<std::string> ReasonsOf(std::span<const Refusal> refusals, const std::function<bool(const Refusal&)>& counts) {
  std::vector<std::string> reasons;
  for (const Refusal& refusal : refusals) {
    if (counts(refusal) && std::find(reasons.begin(), reasons.end(), refusal.reason) == reasons.end())
      reasons.push_back(refusal.reason);
  }
  return reasons;
}

Status CheckServed(const SystemSupport& systems, std::string_view system, const model::ModelSpec& spec,
                   const hardware::Device& device) {
  if (systems.Serves(system, spec, device) == Served::kNo)
    return BadInput(fmt::format("{}; name another system", systems.WhyNotModel(system, spec, device)));
  if (!systems.Loads(system, spec.weight_type, device)) {
    return BadInput(fmt::format("{}; name another system, or other weights with --precision",
                                systems.WhyNotType(system, spec.weight_type, device)));
  }
  return {};
}

std::string NotCheckedNote(std::span<const std::string> systems) {
  if (systems.empty()) return "";
  return fmt::format("Whether {} {} this model is not in the catalogue: look before you rely on it.", fmt::join(systems, ", "),
                     systems.size() == 1 ? "takes" : "take");
}

Result<SearchResult> Search(const Question& question, const model::ModelSpec& spec, const Ingredients& ingredients,
                            const routing::ActivationSheet* sheet) {
  SearchResult result;
  result.variants = MakeVariants(spec, question.fidelity, sheet, question.NarrowKv());
  ASSIGN_OR_RETURN(auto allowed, AllowedDevices(question, ingredients.devices));
  if (allowed.empty()) return BadInput("no device of the catalogue is of the classes that are allowed");
  for (auto& [device, most] : allowed) result.devices.push_back(device);
  Searcher searcher(question, ingredients, result);
  for (size_t i = 0; i < allowed.size(); ++i) {
    const int64_t most = allowed[i].second;
    std::vector<int64_t> counts = CountsOf(result.devices[i], most);
    if (question.owned && std::find(counts.begin(), counts.end(), most) == counts.end()) counts.push_back(most);
    for (const int64_t count : counts) searcher.Try(result.devices[i], count);
  }
  searcher.Finish();
  return result;
}

}  // namespace moecap::planner
