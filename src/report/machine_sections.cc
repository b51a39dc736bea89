#include "report/machine_sections.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/units.h"
#include "report/format.h"

namespace moecap::report {
namespace {

using cap::FigureId;
using cap::MachineSummary;
using cap::SystemSummary;

std::string ParamsText(const std::optional<int64_t>& count) { return count ? FormatParams(*count) : ""; }

std::string ExpertsText(const SystemSummary& system) {
  if (!system.moe_layers) return "";
  if (*system.moe_layers == 0) return "dense";
  return fmt::format("{} in {} layers, top-{}", system.experts.value_or(0), *system.moe_layers, system.top_k.value_or(0));
}

std::string CeilingText(const MachineSummary& machine) {
  std::vector<std::string> parts;
  if (machine.peak_bandwidth_bytes_per_s) parts.push_back(RateText(machine.peak_bandwidth_bytes_per_s, "B/s"));
  if (machine.peak_flops_per_s) {
    parts.push_back(RateText(machine.peak_flops_per_s, "FLOP/s") +
                    (machine.peak_flops_kernel.empty() ? "" : " (" + machine.peak_flops_kernel + ")"));
  }
  if (parts.empty()) return "";
  return JoinWords(parts) + (machine.peaks_source.empty() ? "" : "; " + machine.peaks_source);
}

// What is known of the parts, joined by semicolons.
std::string Listed(std::initializer_list<std::string> parts) {
  std::string text;
  for (const std::string& part : parts) {
    if (!part.empty()) text += (text.empty() ? "" : "; ") + part;
  }
  return text;
}

std::string RangeText(const cost::Range& range) {
  const std::string typical = NumberText(range.typical);
  return range.low == range.high ? typical : WithInterval(typical, IntervalText(range.low, range.high));
}

std::string BreakEvenText(const std::optional<double>& utilisation) {
  if (!utilisation) return "";
  return *utilisation > 1 ? "renting is cheaper at any use" : fmt::format("owning, from {} use on", ShareText(utilisation, 0));
}

Table MachineTable(std::span<const SystemSummary* const> systems) {
  Table table{.name = "machines", .title = "Machines"};
  table.columns = {{.header = "system", .kind = ColumnKind::kKey},
                   {.header = "purchase", .unit = "USD"},
                   {"owned", "a useful hour", "USD"},
                   {"rented", "a useful hour", "USD"},
                   {.header = "charged as", .kind = ColumnKind::kWord},
                   {.header = "cheaper", .kind = ColumnKind::kWord},
                   {.header = "power", .unit = "W"},
                   {.header = "power is", .kind = ColumnKind::kText}};
  for (const SystemSummary* system : systems) {
    const MachineSummary& machine = system->machine;
    const char* pay = machine.pay == "buy" ? "owned" : machine.pay == "rent" ? "rented" : "";
    Row row{system->name,
            NumberText(machine.purchase_usd),
            RangeText(machine.own_usd_per_useful_h),
            RangeText(machine.rent_usd_per_useful_h),
            pay,
            BreakEvenText(machine.break_even_utilisation),
            NumberText(machine.power_w),
            machine.power_source};
    const auto is_known = [](const Cell& cell) { return !cell.text.empty(); };
    if (std::any_of(row.cells.begin() + 1, row.cells.end(), is_known)) table.rows.push_back(std::move(row));
  }
  return table;
}

// The cost inputs of each machine; systems with the same ones share a list.
std::vector<Notes> CostInputs(std::span<const SystemSummary* const> systems) {
  std::vector<Notes> lists;
  std::vector<std::vector<std::string>> names;
  for (const SystemSummary* system : systems) {
    const auto& inputs = system->machine.cost_inputs;
    if (inputs.empty()) continue;
    const auto same = std::ranges::find(lists, inputs, &Notes::items);
    if (same == lists.end()) {
      lists.push_back({.items = inputs});
      names.push_back({system->name});
    } else {
      names[static_cast<size_t>(same - lists.begin())].push_back(system->name);
    }
  }
  for (size_t i = 0; i < lists.size(); ++i) lists[i].title = "Cost inputs of " + JoinWords(names[i]);
  return lists;
}

Paragraph EnergySource(std::span<const ShownCell> cells) {
  const auto metered = std::ranges::count_if(cells, [](const ShownCell& shown) { return shown.cell->energy_is_metered; });
  const auto known =
      std::ranges::count_if(cells, [](const ShownCell& shown) { return shown.cell->figures[FigureId::kEnergy].has_value(); });
  const auto gpus =
      std::ranges::count_if(cells, [](const ShownCell& shown) { return shown.cell->figures[FigureId::kGpuPower].has_value(); });
  if (known == 0 && gpus == 0) return {};
  if (metered == 0 && gpus > 0) {
    return {
        {"What the GPUs alone drew was metered while the requests were served. The energy of the whole machine is an estimate "
         "(~): "
         "nothing counts its other parts, whose power the table of machines gives."}};
  }
  if (metered == 0) return {{"Energy is an estimate: power, as given in the table of machines, times the measured time."}};
  if (metered == known)
    return {
        {"Energy was metered while the requests were served; the table of machines says by what, and how it was laid on the "
         "whole machine."}};
  return {{"Energy was metered in some of the cells, and is an estimate (~) in the others."}};
}

// Where a system drafts tokens.
void AddDrafts(std::span<const ShownCell> cells, Section& section) {
  const auto drafts = [](const ShownCell& shown) { return shown.cell->figures[FigureId::kTokensPerPass].has_value(); };
  if (std::ranges::none_of(cells, drafts)) return;
  const std::vector<FigureColumn> columns = {{FigureId::kDraftAcceptance, "drafts", "accepted"},
                                             {FigureId::kTokensPerPass, "tokens", "a pass"},
                                             {FigureId::kDistinctExperts},
                                             {FigureId::kTpotMean},
                                             {FigureId::kSpeculationSpeedUp}};
  section.blocks.push_back(CellTable("Speculative decoding", cells, columns));
}

}  // namespace

Section SystemSection(std::span<const SystemSummary* const> systems) {
  Table table{.name = "systems"};
  table.columns = {{.header = "system", .kind = ColumnKind::kKey},
                   {.header = "model", .kind = ColumnKind::kWord},
                   {.header = "weights", .kind = ColumnKind::kWord},
                   {"all", "parameters"},
                   {"active", "parameters"},
                   {.header = "size"},
                   {.header = "experts", .kind = ColumnKind::kWord}};
  KeyValues engines{.title = "Engines"};
  KeyValues machines{.title = "They run on"};
  for (size_t i = 0; i < systems.size(); ++i) {
    const SystemSummary& system = *systems[i];
    table.rows.push_back({system.name, system.model_id, system.weight_type, ParamsText(system.total_params),
                          ParamsText(system.active_params), BytesText(system.weight_bytes), ExpertsText(system)});
    table.rows.back().marker = i;
    engines.items.emplace_back(system.name, Listed({system.engine, system.description, system.url, system.api}));
    machines.items.emplace_back(system.name, Listed({system.machine.name, CeilingText(system.machine)}));
  }
  DropEmptyColumns(table);
  return {.heading = "Systems", .blocks = {std::move(table), std::move(engines), std::move(machines)}};
}

Section UtilizationSection(std::span<const ShownCell> cells, std::vector<Figure> plots) {
  const std::vector<FigureColumn> columns = {
      {.id = FigureId::kDecodeSMbu,
       .group = "S-MBU",
       .header = "complete",
       .spread = true,
       .low = FigureId::kDecodeSMbuLow,
       .high = FigureId::kDecodeSMbuHigh},
      {FigureId::kDecodeSMbuPaper, "S-MBU", "paper"},
      {FigureId::kDecodeMbu, "S-MBU", "vanilla"},
      {FigureId::kDecodeDeviceSMbu, "S-MBU", "device memory"},
      {FigureId::kDecodeHostSMbu, "S-MBU", "host memory"},
      {FigureId::kDecodeSMfu, "S-MFU", "complete", true},
      {FigureId::kDecodeSMfuPaper, "S-MFU", "paper"},
      {FigureId::kDecodeMfu, "S-MFU", "vanilla"},
      {.id = FigureId::kPrefillSMbu,
       .group = "prefill",
       .header = "S-MBU",
       .low = FigureId::kPrefillSMbuLow,
       .high = FigureId::kPrefillSMbuHigh},
      {FigureId::kPrefillSMfu, "prefill", "S-MFU"},
      {.id = FigureId::kDistinctExperts, .low = FigureId::kDistinctExpertsLow, .high = FigureId::kDistinctExpertsHigh},
      {FigureId::kKvMean, "KV cache", "mean"},
      {FigureId::kKvMax, "KV cache", "largest"},
      {FigureId::kMemory},
      {FigureId::kHostMemory}};
  const std::vector<FigureColumn> disk = {{FigureId::kExpertHits, "experts", "in memory"},
                                          {FigureId::kExpertsForeseen, "experts", "foreseen"},
                                          {FigureId::kExpertStall, "", "stall"},
                                          {FigureId::kDiskBytesPerToken, "read from disk", "a token"},
                                          {FigureId::kDecodeDiskRate, "read from disk", "in decode"},
                                          {FigureId::kDecodeDiskSMbu, "S-MBU", "disk"},
                                          {FigureId::kDecodeSMbu, "S-MBU", "memory"}};
  const bool any_disk =
      std::ranges::any_of(cells, [](const ShownCell& shown) { return shown.cell->figures[FigureId::kExpertHits].has_value(); });
  Section section{.heading = "Utilisation", .blocks = {CellTable("Decode and prefill", cells, columns)}};
  if (any_disk) section.blocks.push_back(CellTable("Experts on disk", cells, disk));
  AddDrafts(cells, section);
  for (Figure& plot : plots) section.blocks.push_back(std::move(plot));
  Notes why;
  for (const ShownCell& shown : cells) {
    for (const std::string& note : shown.cell->utilization.notes) {
      const std::string line = fmt::format("{}: {}", shown.Name(), note);
      if (std::ranges::find(why.items, line) == why.items.end()) why.items.push_back(line);
    }
  }
  const bool any = !IsEmpty(section);
  section.blocks.push_back(std::move(why));
  if (any) {
    section.blocks.push_back(
        Paragraph{{"S-MBU and S-MFU: share of the ceiling, activated experts only; complete counts head, norms and router too, "
                   "paper is exactly "
                   "Eq. 4 and 5 of MoE-CAP.",
                   "Vanilla: MBU and MFU, every expert counted as used."}});
  }
  return section;
}

Section CostSection(std::span<const SystemSummary* const> systems, std::span<const ShownCell> cells) {
  const std::vector<FigureColumn> cost = {{FigureId::kUsdPerMillionTokens, "of 1M tokens", "all", true},
                                          {FigureId::kUsdPerMillionInput, "of 1M tokens", "input"},
                                          {FigureId::kUsdPerMillionOutput, "of 1M tokens", "output"},
                                          {FigureId::kUsdPerMillionOutputAllIn, "of 1M tokens", "output, all in"},
                                          {FigureId::kUsdPerRequest, "", "of a request"},
                                          {FigureId::kUsdPerHour, "", "of a useful hour"},
                                          {FigureId::kMemoryUsd, "", "of the memory"},
                                          {FigureId::kPurchase}};
  const std::vector<FigureColumn> energy = {{FigureId::kPower, "", "", true},
                                            {FigureId::kEnergy},
                                            {FigureId::kJoulesPerOutput, "energy", "of an output token", true},
                                            {FigureId::kJoulesPerToken, "energy", "of a token"},
                                            {FigureId::kJoulesPerRequest, "energy", "of a request"},
                                            {FigureId::kChipJoulesPerOutput, "energy", "of an output token, chips"},
                                            {FigureId::kGpuPower, "GPUs alone, metered", "power", true},
                                            {FigureId::kGpuJoulesPerOutput, "GPUs alone, metered", "of an output token", true},
                                            {FigureId::kGpuJoulesPerToken, "GPUs alone, metered", "of a token"},
                                            {FigureId::kCo2}};
  Section section{.heading = "Cost and energy", .anchor = "cost"};
  section.blocks = {CellTable("Cost", cells, cost), CellTable("Energy", cells, energy), EnergySource(cells),
                    MachineTable(systems)};
  for (Notes& inputs : CostInputs(systems))
    section.parts.push_back(
        {.heading = inputs.title, .detail = Detail::kFolded, .blocks = {Notes{.items = std::move(inputs.items)}}});
  return section;
}

Section AccuracySection(std::span<const ShownCell> cells) {
  const std::vector<FigureColumn> columns = {{FigureId::kAccuracy, "", "correct"},
                                             {FigureId::kAccuracyLow, "95 % interval", "low"},
                                             {FigureId::kAccuracyHigh, "95 % interval", "high"},
                                             {FigureId::kScored, "problems", "scored"},
                                             {FigureId::kAnswered, "problems", "with an answer"},
                                             {FigureId::kAccuracyDrop, "lost against one client", "accuracy"},
                                             {FigureId::kAccuracyDropLow, "lost against one client", "low"},
                                             {FigureId::kAccuracyDropHigh, "lost against one client", "high"},
                                             {FigureId::kChangedShare, "", "changed answers"}};
  const bool scored =
      std::ranges::any_of(cells, [](const ShownCell& shown) { return shown.cell->figures[FigureId::kAccuracy].has_value(); });
  if (!scored) return {};
  return {.heading = "Accuracy", .blocks = {CellTable("", cells, columns)}};
}

}  // namespace moecap::report
