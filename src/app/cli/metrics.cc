// moecap metrics: S-MBU, S-MFU and the rest from recorded passes of any origin, for any model and device.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "app/cli/catalogue_file.h"
#include "app/cli/cli.h"
#include "app/cli/metrics_tiers.h"
#include "app/cli/model_flags.h"
#include "app/cli/numbers.h"
#include "app/cli/trace_cells.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/table.h"
#include "base/units.h"
#include "experiment/results.h"
#include "hardware/catalogue.h"
#include "metrics/estimate.h"
#include "metrics/utilization.h"
#include "record/level.h"
#include "trace/import.h"
#include "trace/pass_routing.h"
#include "trace/upstream.h"

namespace moecap::app {
namespace {

struct MetricsFlags {
  std::string passes;
  ModelFlags model;
  std::string device;
  std::optional<int> devices;
  std::optional<int> tensor, expert, pipeline, data;
  std::string mla_form = "expanded";
  double bandwidth = 0;  // bytes/s of one device; 0 = the catalogue's
  double flops = 0;
  std::string tiers;  // file; empty = one memory
  std::string cell, flavour;
  std::optional<double> cv;  // null = the default, or that of a stored run's sheet
  std::string sheet;         // file; empty = the router's shape alone
  bool json = false;
};

using metrics::PhaseUtilization;
using metrics::Utilization;

Json Optional(const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); }

Json ToJson(const PhaseUtilization& phase) {
  return {{"passes", phase.passes},
          {"latency_s", Optional(phase.latency_s)},
          {"tokens", phase.tokens},
          {"bytes", Optional(phase.bytes)},
          {"kv_bytes", Optional(phase.kv_bytes)},
          {"flops", Optional(phase.flops)},
          {"s_mbu", Optional(phase.s_mbu)},
          {"s_mfu", Optional(phase.s_mfu)},
          {"s_mbu_paper", Optional(phase.s_mbu_paper)},
          {"s_mfu_paper", Optional(phase.s_mfu_paper)},
          {"mbu", Optional(phase.mbu)},
          {"mfu", Optional(phase.mfu)},
          {"mean_distinct_experts", phase.mean_distinct_experts}};
}

// The type in which the products run decides the peak: the model's compute type, or that of --precision.
Result<metrics::Peaks> PeaksOf(const MetricsFlags& flags, const std::string& device_name, const model::ModelSpec& spec,
                               int devices) {
  metrics::Peaks peaks;
  peaks.devices = devices;
  if (!device_name.empty()) {
    ASSIGN_OR_RETURN(const hardware::Catalogue catalogue, OpenCatalogue(""));
    ASSIGN_OR_RETURN(const hardware::Device device, catalogue.FindDevice(device_name));
    peaks.bandwidth_bytes_per_s = device.bandwidth_bytes_per_s;
    peaks.flops_per_s = hardware::DensePeak(device, spec.compute_type.empty() ? "bf16" : spec.compute_type);
  }
  if (flags.bandwidth > 0) peaks.bandwidth_bytes_per_s = flags.bandwidth;
  if (flags.flops > 0) peaks.flops_per_s = flags.flops;
  if (!peaks.bandwidth_bytes_per_s && !peaks.flops_per_s && flags.tiers.empty()) {
    return BadInput("no ceilings: give --device ID, or --bandwidth-bytes-per-s and --flops-per-s, or --tiers FILE");
  }
  return peaks;
}

// How the model is spread, if a flag says so; --devices alone says nothing about it.
Result<metrics::UtilizationOptions> OptionsOf(const MetricsFlags& flags, const model::ModelSpec& spec) {
  metrics::UtilizationOptions options;
  if (flags.mla_form == "absorbed") options.mla_form = metrics::MlaForm::kAbsorbed;
  if (!flags.tensor && !flags.expert && !flags.pipeline && !flags.data) return options;
  metrics::Deployment deployment;
  deployment.tensor = flags.tensor.value_or(1);
  deployment.expert = flags.expert.value_or(1);
  deployment.pipeline = flags.pipeline.value_or(1);
  deployment.data = flags.data.value_or(1);
  RETURN_IF_ERROR(metrics::Validate(deployment, spec));
  if (flags.devices && *flags.devices != deployment.Devices()) {
    return BadInput(fmt::format("--devices {} does not fit --tp {} x --pp {} x --dp {} = {} devices", *flags.devices,
                                deployment.tensor, deployment.pipeline, deployment.data, deployment.Devices()));
  }
  options.deployment = deployment;
  return options;
}

Json ToJson(const std::optional<metrics::Deployment>& deployment) {
  if (!deployment) return nullptr;
  return {{"tensor", deployment->tensor}, {"expert", deployment->expert},     {"pipeline", deployment->pipeline},
          {"data", deployment->data},     {"devices", deployment->Devices()}, {"devices_per_step", deployment->StepDevices()}};
}

// Passes of a file in our format or in that of MoE-CAP's own recorder.
struct Passes {
  std::vector<record::PassRecord> records;
  std::set<record::PassKind> without_context;  // kinds with passes whose context is not known
  std::optional<int> devices;                  // of the server, as its records say
  std::string device;                          // the same: its name
  std::vector<std::string> notes;
};

Result<Passes> ReadUpstreamPasses(const std::string& file, const std::string& flavour, const model::ModelSpec& spec) {
  Passes passes;
  trace::UpstreamOptions options;
  ASSIGN_OR_RETURN(options.flavour, trace::UpstreamFlavourByName(flavour));
  options.layers = static_cast<int>(spec.layers.size());
  options.moe_layers = spec.MoeLayers();
  ASSIGN_OR_RETURN(const trace::UpstreamReport report,
                   trace::ReadUpstream(file, options, [&](const record::PassRecord& pass, bool context_known) -> Status {
                     if (!context_known) passes.without_context.insert(pass.kind);
                     passes.records.push_back(pass);
                     return {};
                   }));
  passes.notes = report.notes;
  passes.devices = report.devices;
  passes.device = report.device;
  return passes;
}

// Passes of one system at one level: those of a run's other cells are of other engines, types and batches. Its repetitions
// count together.
Result<Passes> ReadCell(const std::vector<TraceCell>& all, const std::string& name) {
  std::vector<TraceCell> cells = all;
  if (!name.empty()) {
    ASSIGN_OR_RETURN(cells, ChooseCells(std::move(cells), name));
  }
  Passes passes;
  std::set<std::string> files, kinds;
  for (const TraceCell& cell : cells) kinds.insert(fmt::format("{}@{}", cell.system, cell.level));
  if (kinds.size() > 1)
    return BadInput(fmt::format("the passes are of {} cells: {}; name one with --cell", kinds.size(), fmt::join(kinds, ", ")));
  for (const TraceCell& cell : cells) {
    if (!cell.record && !files.insert(cell.file.string()).second) continue;
    ASSIGN_OR_RETURN(std::vector<record::PassRecord> records, trace::ReadRoutedPasses(cell.file));
    for (record::PassRecord& record : records) {
      if (!cell.record || record.cell == *cell.record) passes.records.push_back(std::move(record));
    }
  }
  return passes;
}

// What the records say of the server's devices is used; what a flag says instead is used too, and noted.
Result<int> DevicesOf(const MetricsFlags& flags, const metrics::UtilizationOptions& options, Passes& passes) {
  const std::optional<int> told =
      options.deployment ? std::optional(static_cast<int>(options.deployment->Devices())) : flags.devices;
  if (told && passes.devices && *told != *passes.devices)
    passes.notes.push_back(
        fmt::format("the records were made on {} devices (gpu_num); the flags say {}, which is used", *passes.devices, *told));
  return told.value_or(passes.devices.value_or(1));
}

// The device that the flags name, or else the records.
Result<std::string> DeviceOf(const MetricsFlags& flags, Passes& passes) {
  if (passes.device.empty() || (flags.device.empty() && (flags.bandwidth > 0 || flags.flops > 0 || !flags.tiers.empty())))
    return flags.device;
  ASSIGN_OR_RETURN(const hardware::Catalogue catalogue, OpenCatalogue(""));
  const auto recorded = catalogue.FindDevice(passes.device);
  if (flags.device.empty()) return recorded.ok() ? passes.device : std::string();
  const auto named = catalogue.FindDevice(flags.device);
  if (recorded.ok() && named.ok() && recorded->id != named->id)
    passes.notes.push_back(fmt::format("the records were made on {}; --device {} is used", passes.device, flags.device));
  return flags.device;
}

Result<Passes> ReadPassFile(const MetricsFlags& flags, const model::ModelSpec& spec) {
  std::error_code code;
  if (std::filesystem::is_directory(flags.passes, code)) {
    ASSIGN_OR_RETURN(const std::vector<TraceCell> cells, TraceCells(flags.passes, /*with_experts=*/false));
    if (cells.empty()) return BadInput(fmt::format("{} is no stored run with passes", flags.passes));
    return ReadCell(cells, flags.cell);
  }
  const auto kind = trace::DetectKind(flags.passes);
  if (kind.ok() && *kind == trace::ImportKind::kUpstream) return ReadUpstreamPasses(flags.passes, flags.flavour, spec);
  Passes passes;
  ASSIGN_OR_RETURN(passes.records, trace::ReadRoutedPasses(flags.passes));
  std::vector<TraceCell> cells;
  for (const record::PassRecord& record : passes.records) {
    const record::CellId& id = record.cell;
    const auto same = [&id](const TraceCell& cell) { return *cell.record == id; };
    if (id.repeat < 0 || std::ranges::any_of(cells, same)) continue;
    const std::string level = id.concurrency > 0 ? record::Label({record::LoadKind::kClients, double(id.concurrency)}) : "";
    cells.push_back({id.system, level, id.repeat, flags.passes, id});
  }
  return flags.cell.empty() && cells.size() < 2 ? Result<Passes>(std::move(passes)) : ReadCell(cells, flags.cell);
}

// What depends on the context of a pass is null where one is not known.
void ForgetContextFigures(const std::set<record::PassKind>& kinds, Utilization& utilization) {
  const auto forget = [](PhaseUtilization& phase) {
    phase.bytes = phase.kv_bytes = phase.flops = std::nullopt;
    phase.s_mbu = phase.s_mfu = phase.s_mbu_paper = phase.s_mfu_paper = phase.mbu = phase.mfu = std::nullopt;
  };
  for (const record::PassKind kind : kinds) {
    forget(kind == record::PassKind::kPrefill  ? utilization.prefill
           : kind == record::PassKind::kDecode ? utilization.decode
                                               : utilization.mixed);
  }
  if (!kinds.empty()) forget(utilization.all);
}

// What passes without recorded routing rest on: how many there are, and S-MBU at both ends of the band.
struct Estimate {
  int64_t passes = 0;
  std::optional<double> cv;  // null: an activation sheet
  Utilization fewest, most;
};

std::optional<double> Band(const Utilization& utilization, PhaseUtilization Utilization::*phase) {
  return (utilization.*phase).s_mbu;
}

Json ToJson(const std::optional<Estimate>& estimate) {
  if (!estimate) return nullptr;
  Json band = Json::object();
  for (const auto& [name, phase] : {std::pair{"prefill", &Utilization::prefill},
                                    {"decode", &Utilization::decode},
                                    {"mixed", &Utilization::mixed},
                                    {"all", &Utilization::all}}) {
    band[name] = {{"low", Optional(Band(estimate->fewest, phase))}, {"high", Optional(Band(estimate->most, phase))}};
  }
  return {{"passes", estimate->passes},
          {"popularity_cv", Optional(estimate->cv)},
          {"activation_sheet", !estimate->cv},
          {"s_mbu", std::move(band)}};
}

// That of the flag; else, of a stored run, the one from which its own estimates were made.
Result<std::optional<routing::ActivationSheet>> ReadSheet(const MetricsFlags& flags, const model::ModelSpec& spec,
                                                          const Passes& passes) {
  if (flags.sheet.empty()) {
    if (flags.cv || !experiment::Results::IsExperiment(flags.passes)) return std::optional<routing::ActivationSheet>();
    ASSIGN_OR_RETURN(const experiment::Results results, experiment::Results::Open(flags.passes));
    const experiment::PricedSystem* system = results.manifest().FindSystem(passes.records.front().cell.system);
    const bool fits = system != nullptr && system->sheet && metrics::CheckSheet(spec, *system->sheet).ok();
    return fits ? system->sheet : std::nullopt;
  }
  ASSIGN_OR_RETURN(const std::string text, ReadFile(flags.sheet));
  auto sheet = routing::ParseActivationSheet(text);
  if (!sheet.ok()) return Annotate(flags.sheet, sheet.error());
  if (const Status fits = metrics::CheckSheet(spec, *sheet); !fits.ok()) return Annotate(flags.sheet, fits.error());
  return std::optional(std::move(sheet).value());
}

// Fills passes without routing, tells so, and computes the band around what the estimate gives.
std::optional<Estimate> EstimateExperts(const MetricsFlags& flags, const routing::ActivationSheet* sheet,
                                        const model::ModelSpec& spec, const metrics::Peaks& peaks,
                                        const metrics::UtilizationOptions& options, Passes& passes) {
  Estimate estimate;
  const auto with = [&](metrics::ExpertEstimate settings) {
    settings.sheet = sheet;
    estimate.passes = metrics::FillDistinctExperts(spec, settings, passes.records);
    Utilization utilization = metrics::ComputeUtilization(spec, passes.records, peaks, options);
    ForgetContextFigures(passes.without_context, utilization);
    return utilization;
  };
  estimate.fewest = with(metrics::kFewestExperts);
  estimate.most = with(metrics::kMostExperts);
  const double cv = flags.cv.value_or(routing::kDefaultPopularityCv);
  with({.cv = cv});
  if (estimate.passes == 0) return std::nullopt;
  const auto share_of = [](const Utilization& utilization) {
    const std::optional<double> share = utilization.all.s_mbu;
    return share ? FormatFixed(100 * *share, 2) + " %" : std::string("-");
  };
  if (sheet == nullptr) estimate.cv = cv;
  const std::string basis = sheet != nullptr ? "from the activation sheet" : fmt::format("Beta-binomial, CV {:g}", cv);
  passes.notes.push_back(
      fmt::format("{} of {} passes do not say which experts they used: their distinct experts are estimated ({}), "
                  "so S-MBU is an estimate; it lies between {} ({}) and {} ({}). A recording of the routing makes it a "
                  "measurement.",
                  estimate.passes, passes.records.size(), basis, share_of(estimate.fewest),
                  sheet != nullptr ? "few experts" : "CV 1", share_of(estimate.most), sheet != nullptr ? "many" : "uniform"));
  return estimate;
}

void PrintOptions(const metrics::UtilizationOptions& options) {
  if (const auto& d = options.deployment) {
    fmt::print("{} devices: tensor {}, expert {}, pipeline {}, data {}\n", d->Devices(), d->tensor, d->expert, d->pipeline,
               d->data);
  }
  if (options.mla_form != metrics::MlaForm::kExpanded) fmt::print("MLA FLOPs: {}\n", metrics::Name(options.mla_form));
}

void Print(const Utilization& utilization, bool estimated) {
  std::vector<std::vector<std::string>> rows;
  const auto share = [](const std::optional<double>& value) { return value ? FormatFixed(100 * *value, 3) : std::string("-"); };
  const auto routed = [&](const std::optional<double>& value) { return (value && estimated ? "~" : "") + share(value); };
  const auto add = [&](const char* name, const PhaseUtilization& phase) {
    if (phase.passes == 0) return;
    rows.push_back({name, std::to_string(phase.passes), std::to_string(phase.tokens),
                    phase.latency_s ? FormatSeconds(*phase.latency_s) : "-", routed(phase.s_mbu), routed(phase.s_mbu_paper),
                    share(phase.mbu), share(phase.s_mfu), share(phase.s_mfu_paper), share(phase.mfu)});
  };
  add("prefill", utilization.prefill);
  add("decode", utilization.decode);
  add("mixed", utilization.mixed);
  add("all", utilization.all);
  const std::vector<TableColumn> columns = {{"", "phase", Align::kLeft, true},
                                            {"", "passes"},
                                            {"", "tokens"},
                                            {"", "latency"},
                                            {"bandwidth %", "S-MBU"},
                                            {"bandwidth %", "paper"},
                                            {"bandwidth %", "MBU"},
                                            {"compute %", "S-MFU"},
                                            {"compute %", "paper"},
                                            {"compute %", "MFU"}};
  fmt::print("{}", RenderTable(columns, rows, {}));
  const auto above = [](const PhaseUtilization& phase) { return phase.mbu.value_or(0) > 1 || phase.mfu.value_or(0) > 1; };
  if (above(utilization.prefill) || above(utilization.decode) || above(utilization.mixed))
    fmt::print("MBU and MFU may be above 100 %: they are vanilla, every expert counted as used.\n");
  for (const std::string& reason : utilization.invalid) fmt::print("invalid: {}\n", reason);
}

// Null without --tiers. Without the context of a pass its KV bytes, and so the tiers' bytes, are not known.
Result<std::optional<TierReport>> TiersOf(const MetricsFlags& flags, const model::ModelSpec& spec, const Passes& passes) {
  if (flags.tiers.empty()) return std::optional<TierReport>();
  if (flags.tensor || flags.expert || flags.pipeline || flags.data)
    return BadInput("--tiers describes all memories together; leave out --tp, --ep, --pp and --dp");
  if (!passes.without_context.empty())
    return BadInput(fmt::format("{}: --tiers needs the context of every pass, which these records do not have", flags.passes));
  ASSIGN_OR_RETURN(TierReport report, ReportTiers(flags.tiers, spec, passes.records));
  return std::optional(std::move(report));
}

// A share that is null says why.
void NoteWhyNull(const metrics::Peaks& peaks, Passes& passes, const Utilization& utilization) {
  if (!utilization.all.s_mbu && !peaks.bandwidth_bytes_per_s)
    passes.notes.emplace_back("S-MBU is null: no peak bandwidth is known; name a --device or give --bandwidth-bytes-per-s.");
  if (!utilization.all.s_mfu && !peaks.flops_per_s)
    passes.notes.emplace_back("S-MFU is null: no peak of the compute type is known; name a --device or give --flops-per-s.");
  if (!passes.without_context.empty())
    passes.notes.emplace_back(
        "Shares are null where the records do not hold the context of a pass: its KV bytes are not known.");
}

Status Metrics(const MetricsFlags& flags) {
  if (flags.devices.value_or(1) < 1) {
    return BadInput(fmt::format("--devices {} is not possible; use 1 or more", *flags.devices));
  }
  ASSIGN_OR_RETURN(const model::ModelSpec spec, OpenModel(flags.model));
  ASSIGN_OR_RETURN(const metrics::UtilizationOptions options, OptionsOf(flags, spec));
  ASSIGN_OR_RETURN(Passes passes, ReadPassFile(flags, spec));
  if (passes.records.empty()) return BadInput(fmt::format("{} holds no passes", flags.passes));
  ASSIGN_OR_RETURN(const int devices, DevicesOf(flags, options, passes));
  ASSIGN_OR_RETURN(const std::string device, DeviceOf(flags, passes));
  ASSIGN_OR_RETURN(const metrics::Peaks peaks, PeaksOf(flags, device, spec, devices));
  if (flags.cv && !(*flags.cv >= 0 && *flags.cv <= 10)) return BadInput("--cv must be between 0 (uniform) and 10");
  ASSIGN_OR_RETURN(const auto sheet, ReadSheet(flags, spec, passes));
  const std::optional<Estimate> estimate = EstimateExperts(flags, sheet ? &*sheet : nullptr, spec, peaks, options, passes);
  ASSIGN_OR_RETURN(const auto tiers, TiersOf(flags, spec, passes));
  Utilization utilization = metrics::ComputeUtilization(spec, passes.records, peaks, options);
  passes.notes.insert(passes.notes.end(), utilization.notes.begin(), utilization.notes.end());
  ForgetContextFigures(passes.without_context, utilization);
  NoteWhyNull(peaks, passes, utilization);
  if (flags.json) {
    Json json = {{"model", spec.id},
                 {"device", device},
                 {"devices", devices},
                 {"deployment", ToJson(options.deployment)},
                 {"mla_form", metrics::Name(options.mla_form)},
                 {"peak_bandwidth_bytes_per_s", Optional(peaks.bandwidth_bytes_per_s)},
                 {"peak_flops_per_s", Optional(peaks.flops_per_s)},
                 {"phases",
                  {{"prefill", ToJson(utilization.prefill)},
                   {"decode", ToJson(utilization.decode)},
                   {"mixed", ToJson(utilization.mixed)}}},
                 {"all", ToJson(utilization.all)},
                 {"distinct_experts_estimate", ToJson(estimate)},
                 {"invalid", utilization.invalid},
                 {"notes", passes.notes}};
    if (tiers) json["tiers"] = ToJson(*tiers);
    fmt::print("{}", DumpJsonPretty(json));
  } else {
    PrintOptions(options);
    Print(utilization, estimate.has_value());
    if (tiers) Print(*tiers);
    for (const std::string& note : passes.notes) fmt::print("note: {}\n", note);
  }
  return {};
}

}  // namespace

Action AddMetrics(CLI::App& app, const Invocation&) {
  auto flags = std::make_shared<MetricsFlags>();
  app.add_option("passes", flags->passes,
                 "passes.jsonl (docs/formats/records.md), a stored run's folder, or records of MoE-CAP's own recorder")
      ->required();
  app.add_option("--model", flags->model.name, "id of the catalogue, config.json, folder or .gguf")->required();
  app.add_option("--device", flags->device, "device of the catalogue");
  app.add_option("--devices", flags->devices, "how many of them (default: as the records say, else 1); their peaks add up");
  app.add_option("--tp", flags->tensor, "ranks of tensor parallelism; devices = tp x pp x dp");
  app.add_option("--ep", flags->expert, "ranks that share one set of routed experts, of the tp x dp ranks");
  app.add_option("--pp", flags->pipeline, "pipeline stages");
  app.add_option("--dp", flags->data, "replicas; data-parallel attention is --tp 1 --dp N --ep N");
  app.add_option("--mla", flags->mla_form, "FLOPs of latent attention: as defined, or as executed in the latent space")
      ->check(CLI::IsMember({"expanded", "absorbed"}));
  app.add_option("--weights", flags->model.precision, "weights as served (default: as the model's file says)");
  app.add_option("--kv", flags->model.kv, "type of the KV cache");
  app.add_option("--bandwidth-bytes-per-s", flags->bandwidth, "peak of one device, instead of the catalogue's")
      ->check(RateOfDevice());
  app.add_option("--flops-per-s", flags->flops, "dense peak of one device, instead of the catalogue's")->check(RateOfDevice());
  app.add_option("--cv", flags->cv, "skew of expert popularity where routing is not recorded, 0 = uniform");
  app.add_option("--sheet", flags->sheet,
                 "activation sheet of the model (moecap trace --sheet), instead of --cv, where routing is not recorded")
      ->excludes("--cv");
  app.add_option("--tiers", flags->tiers, "YAML file of memory tiers (docs/metrics.md): HBM, DRAM, SSD and what lies in each");
  app.add_option("--cell", flags->cell, "of a stored run: SYSTEM, SYSTEM@LEVEL or SYSTEM@LEVEL#REPETITION");
  app.add_option("--flavour", flags->flavour, "of MoE-CAP's records: sglang or vllm, instead of what all of them tell")
      ->check(CLI::IsMember({"sglang", "vllm"}));
  app.add_flag("--json", flags->json, "print JSON");
  app.footer("Example:\n  moecap metrics passes.jsonl --model Qwen/Qwen3-30B-A3B --device h100-sxm --json");
  return [flags] { return Metrics(*flags); };
}

}  // namespace moecap::app
