#include "app/llamacpp_driver.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "base/fs.h"
#include "base/units.h"
#include "hardware/probe/probe.h"
#include "model/gguf_spec.h"
#include "system/llamacpp/llamacpp_system.h"
#include "system/llamacpp/quantize.h"

namespace moecap::app {
namespace fs = std::filesystem;
namespace {

constexpr int kMostSlots = 256;  // of llama.cpp

using llamacpp::EngineLibrary;
using llamacpp::LlamaCppSystem;
using llamacpp::LoadedModel;

class Instance final : public experiment::SystemInstance {
 public:
  explicit Instance(std::unique_ptr<LlamaCppSystem> system) : system_(std::move(system)) {}

  std::vector<load::SystemUnderTest*> systems() override { return {system_.get()}; }
  void BeginMeasurement() override { system_->StartPassLog(); }

  Status AddRouting(std::vector<record::PassRecord>& passes) override {
    const llamacpp::PassLog log = system_->TakePassLog();
    CHECK(log.size() == passes.size());
    ASSIGN_OR_RETURN(auto routing, system_->ReplayRouting(log));
    for (size_t i = 0; i < passes.size(); ++i) {
      passes[i].expert_counts = std::move(routing[i].expert_counts);
      for (const auto& layer : passes[i].expert_counts) {
        passes[i].distinct_experts.push_back(
            static_cast<double>(std::count_if(layer.begin(), layer.end(), [](int32_t n) { return n > 0; })));
      }
    }
    return {};
  }

 private:
  std::unique_ptr<LlamaCppSystem> system_;
};

class Driver final : public experiment::SystemDriver {
 public:
  Driver(std::shared_ptr<const EngineLibrary> library, const Clock& clock, experiment::SystemDescription description,
         int context_tokens, int batch_tokens)
      : library_(std::move(library)),
        clock_(clock),
        description_(std::move(description)),
        context_tokens_(context_tokens),
        batch_tokens_(batch_tokens) {}

  const experiment::SystemDescription& description() const override { return description_; }

  Result<std::unique_ptr<experiment::SystemInstance>> Start(const experiment::StartOptions& start) override {
    if (start.connections > kMostSlots) {
      return BadInput(fmt::format("{} requests at once are more than the engine's {} KV-cache slots; use fewer clients",
                                  start.connections, kMostSlots));
    }
    if (!model_) {
      ASSIGN_OR_RETURN(model_, LoadedModel::Load(*library_, description_.model_file));
    }
    llamacpp::EngineOptions options;
    options.threads = description_.threads;
    options.slots = start.connections;
    options.context_tokens = context_tokens_;
    options.batch_tokens = batch_tokens_;
    ASSIGN_OR_RETURN(auto system, LlamaCppSystem::Create(*library_, model_, options, clock_));
    return std::unique_ptr<experiment::SystemInstance>(new Instance(std::move(system)));
  }

  void Unload() override { model_.reset(); }

  bool TakesTokenIds() const override { return true; }
  std::optional<int64_t> VocabularySize() const override {
    return description_.model.vocab > 0 ? std::optional(description_.model.vocab) : std::nullopt;
  }
  bool CanIgnoreEndToken() const override { return true; }

 private:
  std::shared_ptr<const EngineLibrary> library_;
  const Clock& clock_;
  experiment::SystemDescription description_;
  int context_tokens_;
  int batch_tokens_;
  std::shared_ptr<const LoadedModel> model_;
};

Result<std::unique_ptr<experiment::SystemDriver>> MakeDriver(const std::shared_ptr<const EngineLibrary>& library, const Clock& clock,
                                                      const experiment::SystemConfig& system, const experiment::Config& config) {
  experiment::SystemDescription description;
  description.name = system.name;
  description.engine = library->description();
  description.threads = system.threads > 0 ? system.threads : hardware::DetectHost().UsableThreads();
  // The file is understood before the engine sees it: our messages name what is wrong with it.
  ASSIGN_OR_RETURN(description.model, model::ReadGgufSpec(system.model));
  fs::path file = system.model;
  if (system.weights && *system.weights != description.model.weight_type) {
    ASSIGN_OR_RETURN(file, llamacpp::EnsureQuantized(*library, system.model, *system.weights, CacheDir() / "quantized"));
    const std::string id = description.model.id;
    ASSIGN_OR_RETURN(description.model, model::ReadGgufSpec(file));
    description.model.id = id;
  }
  if (config.context_tokens > description.model.max_context && description.model.max_context > 0) {
    return BadInput(fmt::format("context_tokens is {}, but {} was trained for {}; set context_tokens to {} or less",
                                config.context_tokens, system.model.string(), description.model.max_context,
                                description.model.max_context));
  }
  description.model_file = file.string();
  description.model_file_bytes = fs::file_size(file);
  description.description = fmt::format("{}, {} {}, {} threads", description.engine, description.model.id,
                                        description.model.weight_type, description.threads);
  return std::unique_ptr<experiment::SystemDriver>(
      new Driver(library, clock, std::move(description), config.context_tokens, config.batch_tokens));
}

}  // namespace

experiment::DriverFactory LlamaCppDriverFactory(const Clock& clock) {
  // The engine is loaded once, by the first system that needs it.
  auto library = std::make_shared<std::shared_ptr<const EngineLibrary>>();
  return [library, &clock](const experiment::SystemConfig& system,
                           const experiment::Config& config) -> Result<std::unique_ptr<experiment::SystemDriver>> {
    if (!*library) {
      ASSIGN_OR_RETURN(*library, EngineLibrary::Load());
    }
    return MakeDriver(*library, clock, system, config);
  };
}

}  // namespace moecap::app
