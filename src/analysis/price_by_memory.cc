#include "analysis/price_by_memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/units.h"

namespace moecap::analysis {
namespace {

using cap::FigureId;

constexpr double kGib = 1024.0 * 1024 * 1024;
constexpr int64_t kDeviceCounts[] = {1, 2, 4, 8};
// Those that follow from what an hour costs, and are proportional to it.
constexpr FigureId kHourly[] = {FigureId::kUsdPerMillionTokens, FigureId::kUsdPerMillionInput,
                                FigureId::kUsdPerMillionOutput, FigureId::kUsdPerMillionOutputAllIn,
                                FigureId::kUsdPerRequest,       FigureId::kUsdPerHour};

// The fewest devices that hold it; null for a processor, or when no count does.
std::optional<cost::MachineSpec> AcceleratorsFor(double bytes, const hardware::Device& device) {
  if (device.device_class == "cpu" || !device.memory_bytes) return std::nullopt;
  for (const int64_t count : kDeviceCounts) {
    if (static_cast<double>(count) * *device.memory_bytes < bytes) continue;
    cost::MachineSpec spec;
    spec.name = count == 1 ? device.id : fmt::format("{} x {}", count, device.id);
    spec.accelerators = {{device.id, count}};
    return spec;
  }
  return std::nullopt;
}

std::optional<cost::MachineSpec> ProcessorFor(double bytes, const hardware::Device& device) {
  if (device.device_class != "cpu") return std::nullopt;
  cost::MachineSpec spec;
  spec.dram_gib = std::ceil(bytes / kGib);
  spec.name = fmt::format("{} with {:.0f} GiB", device.id, *spec.dram_gib);
  spec.processors = {{device.id, 1}};
  return spec;
}

std::optional<double> MemoryNeeded(const cap::SystemSummary& system) {
  std::optional<double> needed;
  for (const cap::CellSummary& cell : system.cells) {
    if (const auto memory = cell.figures[FigureId::kMemory]) needed = std::max(needed.value_or(0), *memory);
  }
  return needed;
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

std::optional<SmallestMachine> FindSmallestMachine(double bytes, MemoryOf memory, const hardware::Catalogue& catalogue,
                                                   const cost::PriceBook& book) {
  CHECK(bytes > 0);
  std::optional<SmallestMachine> cheapest;
  for (const hardware::Device& device : catalogue.devices()) {
    const auto spec = memory == MemoryOf::kHost ? ProcessorFor(bytes, device) : AcceleratorsFor(bytes, device);
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
    const auto needed = MemoryNeeded(system);
    if (!needed) {
      notes.push_back(
          fmt::format("{}: the memory that it needs is not known, so it keeps the price of its machine", system.name));
      continue;
    }
    const auto machine =
        FindSmallestMachine(*needed, system.in_process ? MemoryOf::kHost : MemoryOf::kAccelerators, catalogue, book);
    if (!machine) {
      notes.push_back(
          fmt::format("{}: no machine of the catalogue holds the {} that it needs, so it keeps the price of "
                      "its own",
                      system.name, FormatBytes(*needed)));
      continue;
    }
    Reprice(*machine, system);
    notes.push_back(fmt::format(
        "{}: priced on the cheapest machine that holds the {} that it needs, {} at {:.0f} USD; its times, power and "
        "energy are those of the machine it was measured on",
        system.name, FormatBytes(*needed), machine->name, machine->purchase_usd));
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
