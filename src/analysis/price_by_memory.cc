#include "analysis/price_by_memory.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/units.h"

namespace moecap::analysis {
namespace {

using cap::FigureId;

constexpr double kGib = 1024.0 * 1024 * 1024;
constexpr double kGb = 1e9;
constexpr int64_t kDeviceCounts[] = {1, 2, 4, 8};
// Those that follow from what an hour costs, and are proportional to it.
constexpr FigureId kHourly[] = {FigureId::kUsdPerMillionTokens, FigureId::kUsdPerMillionInput,
                                FigureId::kUsdPerMillionOutput, FigureId::kUsdPerMillionOutputAllIn,
                                FigureId::kUsdPerRequest,       FigureId::kUsdPerHour};

// DRAM and disk beside the devices of `spec`, and the name that tells all.
cost::MachineSpec With(cost::MachineSpec spec, double host_bytes, double disk_bytes) {
  std::vector<std::string> parts;
  if (host_bytes > 0) {
    spec.dram_gib = std::ceil(host_bytes / kGib);
    parts.push_back(fmt::format("{:.0f} GiB of DRAM", *spec.dram_gib));
  }
  if (disk_bytes > 0) {
    spec.ssd_gb = std::ceil(disk_bytes / kGb);
    parts.push_back(fmt::format("{:.0f} GB of disk", *spec.ssd_gb));
  }
  if (!parts.empty()) spec.name += fmt::format(" with {}", fmt::join(parts, " and "));
  return spec;
}

// The fewest devices that hold it; null for a processor, or when no count does.
std::optional<cost::MachineSpec> AcceleratorsFor(const MemoryNeeds& needs, const hardware::Device& device) {
  if (device.device_class == "cpu" || !device.memory_bytes) return std::nullopt;
  // Sold as a whole computer, with one memory.
  const bool is_whole = device.unified_memory && device.device_class != "datacenter";
  const double bytes = needs.accelerators + (is_whole ? needs.host : 0);
  for (const int64_t count : kDeviceCounts) {
    if (static_cast<double>(count) * *device.memory_bytes < bytes) continue;
    cost::MachineSpec spec;
    spec.name = count == 1 ? device.id : fmt::format("{} x {}", count, device.id);
    spec.accelerators = {{device.id, count}};
    return With(std::move(spec), is_whole ? 0 : needs.host, needs.disk);
  }
  return std::nullopt;
}

std::optional<cost::MachineSpec> ProcessorFor(const MemoryNeeds& needs, const hardware::Device& device) {
  if (device.device_class != "cpu") return std::nullopt;
  cost::MachineSpec spec;
  spec.name = device.id;
  spec.processors = {{device.id, 1}};
  return With(std::move(spec), needs.host, needs.disk);
}

// The largest of all cells; null where no cell tells.
std::optional<MemoryNeeds> NeedsOf(const cap::SystemSummary& system) {
  std::optional<MemoryNeeds> needs;
  const bool on_processor = system.in_process && !system.on_gpu;
  for (const cap::CellSummary& cell : system.cells) {
    const auto memory = cell.figures[FigureId::kMemory];
    if (!memory) continue;
    if (!needs) needs.emplace();
    double& own = on_processor ? needs->host : needs->accelerators;
    own = std::max(own, *memory);
    if (!on_processor) needs->host = std::max(needs->host, cell.figures[FigureId::kHostMemory].value_or(0));
    needs->disk = std::max(needs->disk, cell.figures[FigureId::kDiskNeeded].value_or(0));
  }
  return needs;
}

// "12.1 GB", "1.3 GB beside 10.8 GB in host memory", "9.1 MB beside 23.3 MB on disk".
std::string InWords(const MemoryNeeds& needs) {
  std::string words = FormatBytes(needs.accelerators > 0 ? needs.accelerators : needs.host);
  if (needs.accelerators > 0 && needs.host > 0) words += fmt::format(" beside {} in host memory", FormatBytes(needs.host));
  if (needs.disk > 0) words += fmt::format(" beside {} on disk", FormatBytes(needs.disk));
  return words;
}

void Reprice(double factor, double purchase_usd, cap::FigureValues& figures) {
  for (const FigureId id : kHourly) {
    if (figures[id]) figures[id] = *figures[id] * factor;
  }
  figures[FigureId::kPurchase] = purchase_usd;
}

void Reprice(const SmallestMachine& machine, cap::SystemSummary& system) {
  const auto hourly = cost::CostPerHour(machine.priced.inputs, machine.priced.pay);
  const std::optional<double> before = system.machine.usd_per_h;
  const bool scales = hourly && before && *before > 0;
  for (cap::CellSummary& cell : system.cells) {
    for (const FigureId id : kHourly) {
      cell.estimates.Add(id);
      if (!scales) cell.figures[id] = std::nullopt;
    }
    cell.estimates.Add(FigureId::kPurchase);
    const double factor = scales ? hourly->usd_per_useful_h / *before : 1;
    Reprice(factor, machine.purchase_usd, cell.figures);
    for (cap::MeasurementSummary& measurement : cell.measurements) {
      for (const FigureId id : kHourly) {
        if (!scales) measurement.figures[id] = std::nullopt;
      }
      Reprice(factor, machine.purchase_usd, measurement.figures);
    }
  }
  system.machine.name = machine.name;
  system.machine.purchase_usd = machine.purchase_usd;
  system.machine.usd_per_h = hourly ? std::optional(hourly->usd_per_useful_h) : std::nullopt;
  system.machine.pay = hourly ? cost::Name(machine.priced.pay) : "";
  system.machine.cost_inputs = cost::DescribeInputs(machine.priced.inputs);
  system.machine.own_usd_per_useful_h = cost::UsdPerUsefulHour(machine.priced.inputs, cost::Pay::kBuy);
  system.machine.rent_usd_per_useful_h = cost::UsdPerUsefulHour(machine.priced.inputs, cost::Pay::kRent);
  system.machine.break_even_utilisation = cost::BreakEvenUtilisation(machine.priced.inputs);
}

}  // namespace

std::optional<SmallestMachine> FindSmallestMachine(const MemoryNeeds& needs, const hardware::Catalogue& catalogue,
                                                   const cost::PriceBook& book) {
  CHECK(needs.accelerators > 0 || needs.host > 0);
  std::optional<SmallestMachine> cheapest;
  for (const hardware::Device& device : catalogue.devices()) {
    const auto spec = needs.accelerators > 0 ? AcceleratorsFor(needs, device) : ProcessorFor(needs, device);
    if (!spec || !book.FindFor(device, "price_usd")) continue;
    auto priced = cost::PriceMachine(*spec, catalogue, book);
    const auto hardware = priced.ok() ? cost::PriceHardware(priced->inputs) : std::nullopt;
    if (!hardware || (cheapest && hardware->known_usd >= cheapest->purchase_usd)) continue;
    cheapest = SmallestMachine{spec->name, *std::move(priced), hardware->known_usd};
  }
  return cheapest;
}

std::vector<std::string> PriceByMemory(cap::ExperimentSummary& summary, const hardware::Catalogue& catalogue,
                                       const cost::PriceBook& book) {
  std::vector<std::string> notes;
  for (cap::SystemSummary& system : summary.systems) {
    const auto needs = NeedsOf(system);
    if (!needs) {
      notes.push_back(
          fmt::format("{}: the memory that it needs is not known, so it keeps the price of its machine", system.name));
      continue;
    }
    const auto machine = FindSmallestMachine(*needs, catalogue, book);
    if (!machine) {
      notes.push_back(
          fmt::format("{}: no machine of the catalogue holds the {} that it needs, so it keeps the price of "
                      "its own",
                      system.name, InWords(*needs)));
      continue;
    }
    Reprice(*machine, system);
    notes.push_back(fmt::format(
        "{}: priced on the cheapest machine that holds the {} that it needs, {} at {:.0f} USD; its times, power and "
        "energy are those of the machine it was measured on",
        system.name, InWords(*needs), machine->name, machine->purchase_usd));
  }
  return notes;
}

std::vector<std::string> PriceByMemory(cap::ExperimentSummary& summary) {
  const auto catalogue = hardware::Catalogue::Builtin();
  const auto book = cost::PriceBook::Parse(cost::PriceBook::BuiltinText());
  CHECK(catalogue.ok() && book.ok());
  return PriceByMemory(summary, *catalogue, *book);
}

}  // namespace moecap::analysis
