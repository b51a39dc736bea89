#include "app/llamacpp_driver.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <optional>
#include <system_error>
#include <utility>

#include "app/engine_report.h"
#include "app/what_fits.h"
#include "base/fs.h"
#include "base/units.h"
#include "hardware/probe/machine_watch.h"
#include "hardware/probe/probe.h"
#include "model/gguf_spec.h"
#include "model/kv_format.h"
#include "store/run_files.h"
#include "system/llamacpp/kv_type.h"
#include "system/llamacpp/llamacpp_system.h"
#include "system/llamacpp/quantize.h"

namespace moecap::app {
namespace fs = std::filesystem;
namespace {

constexpr int kMostSlots = 256;                           // of llama.cpp
constexpr uint64_t kMostHashedBytes = uint64_t{8} << 30;  // of a model file: reading more would take minutes

using llamacpp::EngineLibrary;
using llamacpp::LlamaCppSystem;
using llamacpp::LoadedModel;

class Instance final : public experiment::SystemInstance {
 public:
  using Advise = std::function<Error(Error)>;  // adds what would have room to an error that tells that there was none
  Instance(std::unique_ptr<LlamaCppSystem> system, Advise advise) : system_(std::move(system)), advise_(std::move(advise)) {}

  std::vector<load::SystemUnderTest*> systems() override { return {system_.get()}; }
  void BeginMeasurement() override { system_->StartPassLog(); }

  Result<double> AddRouting(std::vector<record::PassRecord>& passes) override {
    const llamacpp::PassLog log = system_->TakePassLog();
    CHECK(log.size() == passes.size());
    Result<llamacpp::ReplayedLog> replay = system_->ReplayRouting(log);  // in a context of its own, which needs room, too
    if (!replay.ok()) return advise_(replay.error());
    llamacpp::ReplayedLog replayed = std::move(replay).value();
    for (size_t i = 0; i < passes.size(); ++i) {
      passes[i].expert_counts = std::move(replayed.passes[i].expert_counts);
      for (const auto& layer : passes[i].expert_counts) {
        passes[i].distinct_experts.push_back(
            static_cast<double>(std::count_if(layer.begin(), layer.end(), [](int32_t n) { return n > 0; })));
      }
    }
    return replayed.choices > 0 ? 1 - static_cast<double>(replayed.differing) / static_cast<double>(replayed.choices) : 1.0;
  }

 private:
  std::unique_ptr<LlamaCppSystem> system_;
  Advise advise_;
};

class Driver final : public experiment::SystemDriver {
 public:
  Driver(std::shared_ptr<const EngineLibrary> library, const Clock& clock, experiment::SystemDescription description,
         llamacpp::Placement placement, const experiment::SystemConfig& system, const experiment::Config& config)
      : library_(std::move(library)),
        clock_(clock),
        description_(std::move(description)),
        placement_(std::move(placement)),
        context_tokens_(config.context_tokens),
        batch_tokens_(config.batch_tokens),
        chat_(config.problems && config.problems->chat),
        float32_attention_(system.float32_attention) {
    if (const auto& drafts = system.speculation) drafts_ = {drafts->length, drafts->lookup_max, drafts->lookup_min};
  }

  const experiment::SystemDescription& description() const override { return description_; }

  Result<std::unique_ptr<experiment::SystemInstance>> Start(const experiment::StartOptions& start) override {
    if (start.connections > kMostSlots) {
      return BadInput(fmt::format("{} requests at once are more than the engine's {} KV-cache slots; use fewer clients",
                                  start.connections, kMostSlots));
    }
    const RoomQuestion room = Room(start.connections);
    if (!model_) {
      // What is loaded already is part of what is not free.
      if (room.free_bytes > 0) RETURN_IF_ERROR(CheckRoom(description_.model, room));
      ASSIGN_OR_RETURN(model_, WithAdvice(LoadedModel::Load(*library_, description_.model_file, placement_), room));
    }
    llamacpp::EngineOptions options;
    options.threads = description_.threads;
    options.slots = start.connections;
    options.context_tokens = context_tokens_;
    options.batch_tokens = batch_tokens_;
    options.chat = chat_;
    options.float32_attention = float32_attention_;
    options.kv_type = description_.model.kv_type;
    options.drafts = drafts_;
    ASSIGN_OR_RETURN(auto system, WithAdvice(LlamaCppSystem::Create(*library_, model_, options, clock_), room));
    const auto advise = [this, room](const Error& error) { return Advised(error, room); };
    return std::unique_ptr<experiment::SystemInstance>(new Instance(std::move(system), advise));
  }

  void Unload() override { model_.reset(); }

  bool TakesTokenIds() const override { return true; }
  bool TakesMessages() const override { return chat_; }
  std::optional<experiment::Vocabulary> KnownVocabulary() override {
    if (description_.model.vocab <= 0) return std::nullopt;
    return experiment::Vocabulary{description_.model.vocab, {}, "the model file"};
  }
  bool CanIgnoreEndToken() const override { return true; }

 private:
  RoomQuestion Room(int sequences) const {
    const double free_bytes = placement_.gpus.empty() ? hardware::DetectHost().available_bytes.value_or(0)
                                                      : EngineLibrary::FreeBytes(placement_.gpus);
    return {placement_, sequences, static_cast<int64_t>(context_tokens_), free_bytes, batch_tokens_};
  }

  // What would have room, behind an error of the engine that tells that there was none. `room` is of before it tried.
  Error Advised(const Error& error, const RoomQuestion& room) const {
    if (error.message.find("alloc") == std::string::npos) return error;
    return {error.kind, fmt::format("{}; {}", error.message, WhatFits(description_.model, room))};
  }
  template <typename T>
  Result<T> WithAdvice(Result<T> result, const RoomQuestion& room) const {
    return result.ok() ? std::move(result) : Result<T>(Advised(result.error(), room));
  }

  std::shared_ptr<const EngineLibrary> library_;
  const Clock& clock_;
  experiment::SystemDescription description_;
  llamacpp::Placement placement_;
  int context_tokens_;
  int batch_tokens_;
  bool chat_;
  bool float32_attention_;
  llamacpp::NgramDrafts drafts_;
  std::shared_ptr<const LoadedModel> model_;
};

struct Threads {
  int count = 1;
  std::string words;  // "2 threads"
};

// As configured; else every CPU that other programs leave free.
Threads ChooseThreads(int configured, const hardware::MachineUse& use) {
  const int usable = hardware::DetectHost().UsableThreads();
  const int count = configured > 0 ? configured : hardware::ThreadsForFreeCpus(usable, use);
  Threads threads{count, fmt::format("{} thread{}", count, count == 1 ? "" : "s")};
  if (configured <= 0 && count < usable)
    threads.words += fmt::format(" of {}, as others took {:.0f} % of the CPU time just before", usable,
                                 100 * (use.OthersShare().value_or(0) + use.StealShare().value_or(0)));
  return threads;
}

struct Placed {
  llamacpp::Placement placement;
  experiment::SystemDevices devices;
  std::string words;  // ", 24 layers on CUDA0 (NVIDIA H200)"; why not, where a GPU was asked for if there is one
};

Result<Placed> Place(EngineLibrary& library, const experiment::SystemConfig& system) {
  Placed placed;
  if (system.device == experiment::Device::kCpu) return placed;
  const auto& gpus = library.UseGpus();
  const std::string cause = library.gpu_failure().empty() ? "the engine has no GPU backend" : library.gpu_failure();
  if (gpus.empty() && system.device == experiment::Device::kGpu)
    return BadInput(fmt::format("device: gpu, but no GPU can be used ({}); mend that, or set device: cpu", cause));
  if (gpus.empty()) {
    placed.words = fmt::format(", on the CPU, as no GPU can be used ({})", cause);
    return placed;
  }
  placed.placement.gpu_layers = placed.devices.gpu_layers = system.gpu_layers.value_or(-1);
  for (const llamacpp::GpuDevice& gpu : gpus) {
    placed.placement.gpus.push_back(gpu.name);
    placed.devices.gpus.push_back(fmt::format("{} ({})", gpu.name, gpu.description));
    placed.devices.energy.gpus.push_back(gpu.index);
  }
  placed.placement.cpu_experts = placed.devices.cpu_experts = system.cpu_experts;
  placed.words = fmt::format(", {} layers on {}", system.gpu_layers ? std::to_string(*system.gpu_layers) : "all",
                             fmt::join(placed.devices.gpus, ", "));
  if (system.cpu_experts != 0) {
    placed.words += fmt::format(", experts of {} in host memory",
                                system.cpu_experts < 0 ? "all layers" : fmt::format("the first {} layers", system.cpu_experts));
  }
  return placed;
}

llamacpp::Eviction EvictionOf(experiment::ExpertPolicy policy) {
  using experiment::ExpertPolicy;
  return policy == ExpertPolicy::kLru   ? llamacpp::Eviction::kLru
         : policy == ExpertPolicy::kLfu ? llamacpp::Eviction::kLfu
                                        : llamacpp::Eviction::kActivation;
}

llamacpp::Prefetch PrefetchOf(experiment::ExpertPrefetch prefetch) {
  using experiment::ExpertPrefetch;
  return prefetch == ExpertPrefetch::kNone            ? llamacpp::Prefetch::kNone
         : prefetch == ExpertPrefetch::kPreviousToken ? llamacpp::Prefetch::kPreviousToken
                                                      : llamacpp::Prefetch::kPreviousLayer;
}

// Experts beyond the budget stay in `file`.
Status LeaveExperts(const experiment::ExpertsConfig& config, const Clock& clock, Placed& placed,
                    experiment::SystemDescription& description) {
  ASSIGN_OR_RETURN(const llamacpp::ExpertLayout layout, llamacpp::ReadExpertLayout(description.model_file));
  const auto total = static_cast<double>(layout.TotalBytes());
  const double budget = config.budget_share > 0 ? config.budget_share * total : config.budget_bytes;
  llamacpp::ExpertOptions options;
  options.budget_bytes = static_cast<int64_t>(std::min(budget, total));
  options.eviction = EvictionOf(config.policy);
  options.prefetch = PrefetchOf(config.prefetch);
  RETURN_IF_ERROR(llamacpp::CheckBudget(layout, options.budget_bytes));
  auto& on_disk = description.experts_on_disk.emplace();
  on_disk.budget_bytes = static_cast<double>(options.budget_bytes);
  on_disk.total_bytes = total;
  on_disk.policy = Name(config.policy);
  on_disk.prefetch = Name(config.prefetch);
  const auto reads = llamacpp::MeasureExpertReads(description.model_file, layout, clock);
  if (reads.ok()) on_disk.disk_bytes_per_s = *reads;
  placed.placement.experts = options;
  placed.words += fmt::format(", {} of {} of experts in memory ({}{}), the others on disk{}", FormatBytes(on_disk.budget_bytes),
                              FormatBytes(total), on_disk.policy,
                              options.prefetch == llamacpp::Prefetch::kNone ? "" : ", prefetch by " + on_disk.prefetch,
                              reads.ok() ? "" : fmt::format(", read through the page cache ({})", reads.error().message));
  return {};
}

Result<std::unique_ptr<experiment::SystemDriver>> MakeDriver(const std::shared_ptr<EngineLibrary>& library, const Clock& clock,
                                                             const hardware::MachineUse& use,
                                                             const experiment::SystemConfig& system,
                                                             const experiment::Config& config) {
  ASSIGN_OR_RETURN(Placed placed, Place(*library, system));
  experiment::SystemDescription description;
  description.name = system.name;
  description.engine = library->description();
  const Threads threads = ChooseThreads(system.threads, use);
  description.threads = threads.count;
  // The file is understood before the engine sees it: our messages name what is wrong with it.
  ASSIGN_OR_RETURN(description.model, model::ReadGgufSpec(system.model));
  fs::path file = system.model;
  if (system.weights && *system.weights != description.model.weight_type) {
    ASSIGN_OR_RETURN(file, llamacpp::EnsureQuantized(*library, system.model, *system.weights, CacheDir() / "quantized"));
    const std::string id = description.model.id;
    ASSIGN_OR_RETURN(description.model, model::ReadGgufSpec(file));
    description.model.id = id;
  }
  const std::string kv = system.float32_attention ? "f32" : system.kv.value_or("");
  if (!kv.empty()) {
    RETURN_IF_ERROR(llamacpp::FindKvType(kv));
    RETURN_IF_ERROR(model::ApplyKvFormat(description.model, kv));
  }
  if (const auto trained = description.model.max_context; trained && config.context_tokens > *trained) {
    return BadInput(fmt::format("context_tokens is {}, but {} was trained for {}; set context_tokens to {} or less",
                                config.context_tokens, system.model.string(), *trained, *trained));
  }
  description.devices = std::move(placed.devices);
  // On a GPU it is the GPU backend's choice, which is not known here.
  if (description.devices.gpus.empty())
    description.model.compute_type = llamacpp::ComputeTypeOf(description.model.weight_type, llamacpp::CpuFeatures());
  description.model_file = file.string();
  std::error_code error;
  description.model_file_bytes = fs::file_size(file, error);
  if (error) return BadInput(fmt::format("cannot read {}: {}", file.string(), error.message()));
  if (description.model_file_bytes <= kMostHashedBytes) {
    ASSIGN_OR_RETURN(description.model_file_xxh3, store::HashFile(file, description.model_file_bytes));
  }
  if (system.experts) RETURN_IF_ERROR(LeaveExperts(*system.experts, clock, placed, description));
  const std::string plain = llamacpp::PlainWeightsInWords(llamacpp::CpuFeatures(), placed.placement, file);
  if (!plain.empty()) placed.words += ", " + plain;
  description.description =
      fmt::format("{}, {} {}{}{}, {}{}{}", description.engine, description.model.id, description.model.weight_type,
                  system.kv ? ", KV cache " + description.model.kv_type : "",
                  system.float32_attention ? ", float32 attention" : "", threads.words, placed.words,
                  system.speculation ? fmt::format(", {} n-gram drafts a pass", system.speculation->length) : "");
  return std::unique_ptr<experiment::SystemDriver>(
      new Driver(library, clock, std::move(description), std::move(placed.placement), system, config));
}

}  // namespace

experiment::DriverFactory LlamaCppDriverFactory(const Clock& clock) {
  // The engine is loaded once, by the first system that needs it, and the machine is looked at once, so that the systems of an
  // experiment have equally many threads.
  auto library = std::make_shared<std::shared_ptr<EngineLibrary>>();
  auto use = std::make_shared<std::optional<hardware::MachineUse>>();
  return [library, use, &clock](const experiment::SystemConfig& system,
                                const experiment::Config& config) -> Result<std::unique_ptr<experiment::SystemDriver>> {
    if (!*library) {
      ASSIGN_OR_RETURN(*library, EngineLibrary::Load());
    }
    if (system.threads <= 0 && !*use) *use = hardware::ObserveMachine(clock);
    return MakeDriver(*library, clock, use->value_or(hardware::MachineUse()), system, config);
  };
}

Result<EngineReport> ReportEngine() {
  ASSIGN_OR_RETURN(const auto library, EngineLibrary::Load());
  EngineReport report;
  report.description = library->description();
  report.cpu_features = llamacpp::CpuFeatures();
  for (const llamacpp::GpuDevice& gpu : library->UseGpus()) report.gpus.push_back(gpu.name + " " + gpu.description);
  report.gpu_failure = library->gpu_failure();
  return report;
}

}  // namespace moecap::app
