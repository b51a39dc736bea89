#include "app/measured_levels.h"

#include <algorithm>
#include <charconv>

#include "app/cli/stored_runs.h"
#include "base/wall_clock.h"
#include "planner/question_file.h"

namespace moecap::app {
namespace {

using cap::FigureId;
using planner::Observation;

std::optional<double> RateOf(const std::optional<hardware::Ceiling>& ceiling) {
  return ceiling ? std::optional(ceiling->best) : std::nullopt;
}

// A processor by its measured ceilings.
hardware::Device HostDevice(const experiment::Manifest& manifest) {
  hardware::Device device;
  device.id = device.name = manifest.host.cpu_model;
  device.device_class = "cpu";
  device.memory_bytes = manifest.host.dram_bytes;
  if (manifest.ceilings) {
    device.bandwidth_bytes_per_s = RateOf(manifest.ceilings->read_bytes_per_s);
    device.peaks.fp32 = RateOf(manifest.ceilings->fp32_flops_per_s);
    device.peaks.bf16 = RateOf(manifest.ceilings->bf16_flops_per_s);
    device.peaks.int8 = RateOf(manifest.ceilings->int8_ops_per_s);
  }
  return device;
}

struct Machine {
  hardware::Device device;
  int64_t count = 1;
};

// Null where several kinds of device compute, or what they reach is not known.
std::optional<Machine> MachineOf(const experiment::Manifest& manifest, const experiment::PricedSystem& priced,
                                 const hardware::Catalogue& devices) {
  Machine machine;
  if (priced.machine.empty()) {
    if (!priced.description.RunsHere() || !priced.description.devices.gpus.empty()) return std::nullopt;
    machine.device = HostDevice(manifest);
  } else {
    std::string text = priced.machine;
    std::erase(text, ' ');
    const auto part = planner::ParseDevices(text);
    if (!part.ok()) return std::nullopt;
    auto device = devices.FindDevice(part->id);
    if (!device.ok()) return std::nullopt;
    machine = {*std::move(device), part->count};
  }
  const hardware::DensePeaks& peaks = machine.device.peaks;
  if (!machine.device.bandwidth_bytes_per_s || !(peaks.bf16 || peaks.fp16 || peaks.fp8 || peaks.fp32)) return std::nullopt;
  return machine;
}

std::optional<double> CeilingsAgeS(const experiment::Manifest& manifest) {
  if (!manifest.ceilings) return std::nullopt;
  const auto measured = ParseIso8601(manifest.ceilings->measured_at), started = ParseIso8601(manifest.started_at);
  if (!measured.ok() || !started.ok()) return std::nullopt;
  return 1e-9 * static_cast<double>(*started - *measured);
}

// The number that a fact of the server's pages begins with ("64 requests"); 0 = they did not tell it.
int NumberTold(const experiment::SystemDescription& description, const std::string& fact) {
  int number = 0;
  if (const auto told = description.facts.find(fact); told != description.facts.end())
    std::from_chars(told->second.data(), told->second.data() + told->second.size(), number);
  return std::max(0, number);
}

// All devices as tensor-parallel ranks, unless the server's pages tell how many are.
metrics::Deployment DeploymentOf(const experiment::SystemDescription& description, int64_t count) {
  const int tensor = NumberTold(description, "tensor parallel");
  if (tensor == 0 || count % tensor != 0) return {static_cast<int>(count), 1, 1, 1};
  return {tensor, 1, 1, static_cast<int>(count / tensor)};
}

bool Offloads(const experiment::SystemDescription& description) {
  return description.devices.cpu_experts != 0 || description.experts_on_disk.has_value();
}

}  // namespace

bool SetTimes(const record::Level& level, const cap::FigureValues& figures, Observation& row) {
  const auto& input = figures[FigureId::kInputTokens];
  const auto& output = figures[FigureId::kOutputTokens];
  const auto& ttft = figures[FigureId::kTtftMean];
  const auto& tpot = figures[FigureId::kTpotMean];
  const int clients = record::ClientsOf(level);
  if (clients < 1 || !output || !tpot || !(*tpot > 0 && *output >= 1)) return false;
  if (clients > 1 && !(ttft && input)) return false;  // how many decoded at once is not known
  if (!(ttft.value_or(1) > 0 && input.value_or(1) >= 1)) return false;
  row.load.clients = clients;
  row.load.input_tokens = input.value_or(1);
  row.load.output_tokens = *output;
  row.load.prefix_hit = std::clamp(figures[FigureId::kCachedShare].value_or(0), 0.0, 0.99);
  row.ttft_s = ttft;
  row.tpot_s = *tpot;
  return true;
}

std::string PlannedSystemOf(std::string_view engine) {
  constexpr std::pair<std::string_view, const char*> kNames[] = {{"vLLM", "vllm"},
                                                                 {"SGLang", "sglang"},
                                                                 {"TensorRT-LLM", "trtllm"},
                                                                 {"llama.cpp", "llama-server"},
                                                                 {"llama-server", "llama-server"}};
  for (const auto& [name, system] : kNames) {
    if (engine.starts_with(name)) return system;
  }
  return "";
}

void MeasuredLevels::AddSystem(const experiment::Manifest& manifest, const experiment::PricedSystem& priced,
                               const cap::SystemSummary& summary) {
  const model::ModelSpec& spec = priced.description.model;
  const auto machine = MachineOf(manifest, priced, devices_);
  const std::string system = PlannedSystemOf(summary.engine);
  if (!machine || system.empty() || spec.layers.empty() || !spec.computes || Offloads(priced.description)) {
    unusable_ += summary.cells.size();
    return;
  }
  used_.push_back(machine->device);
  works_.push_back(planner::MakeModelWork(spec, priced.sheet ? &*priced.sheet : nullptr));
  Observation row;
  row.work = &works_.back();
  row.device = &used_.back();
  row.deployment = DeploymentOf(priced.description, machine->count);
  row.fabric = planner::FabricOf(machine->device, devices_);
  row.system = system;
  row.most_sequences = 1e6;  // what was measured ran, ...
  if (const int limit = NumberTold(priced.description, "batch limit"); limit > 0)
    row.running_limit = limit;  // ... so many at once
  for (const cap::CellSummary& cell : summary.cells) {
    if (SetTimes(cell.level, cell.figures, row)) {
      levels_.push_back(
          {manifest.run_id, summary.name, cell.label, spec.model_type, cell.IsValid(), CeilingsAgeS(manifest), row});
    } else {
      ++unusable_;
    }
  }
}

Status MeasuredLevels::Add(const std::filesystem::path& run_dir) {
  ASSIGN_OR_RETURN(const experiment::Results results, experiment::Results::Open(run_dir));
  ASSIGN_OR_RETURN(const cap::ExperimentSummary summary, SummaryOf(results));
  for (const cap::SystemSummary& system : summary.systems) {
    const experiment::PricedSystem* const priced = results.manifest().FindSystem(system.name);
    if (priced) AddSystem(results.manifest(), *priced, system);
  }
  return {};
}

}  // namespace moecap::app
