#include "analysis/price_by_memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace moecap::analysis {
namespace {

using cap::FigureId;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr double kGib = 1024.0 * 1024 * 1024;

// "small" is cheap by itself and dear by eight, "big" holds more than eight of them, "untold" has no price.
hardware::Catalogue Devices() {
  const hardware::CatalogueLayer layer{"test", R"({"schema": 1, "links": [], "devices": [
    {"id": "small", "vendor": "v", "name": "Small", "class": "consumer", "year": 2025, "aliases": [], "memory_type": "GDDR6",
     "memory_gib": 16, "bandwidth_gb_per_s": 500, "dense_tflops": {"fp16": 200}, "tdp_w": 100,
     "price_usd": {"typical": 500}, "rent_usd_per_h": {"typical": 0.5}, "date": "2026-01", "confidence": "low", "source": "s"},
    {"id": "big", "vendor": "v", "name": "Big", "class": "consumer", "year": 2025, "aliases": [], "memory_type": "HBM3",
     "memory_gib": 200, "bandwidth_gb_per_s": 4000, "dense_tflops": {"fp16": 500}, "tdp_w": 1000,
     "price_usd": {"typical": 3000}, "rent_usd_per_h": {"typical": 4}, "date": "2026-01", "confidence": "low", "source": "s"},
    {"id": "untold", "vendor": "v", "name": "Untold", "class": "consumer", "year": 2025, "aliases": [], "memory_type": "HBM3",
     "memory_gib": 4000, "bandwidth_gb_per_s": 4000, "dense_tflops": {"fp16": 500}, "tdp_w": 10, "date": "2026-01",
     "confidence": "low", "source": "s"}]})"};
  auto catalogue = hardware::Catalogue::Parse(std::span(&layer, 1));
  EXPECT_TRUE(catalogue.ok()) << (catalogue.ok() ? "" : catalogue.error().message);
  return *catalogue;
}

cost::PriceBook Book() { return cost::PriceBook::Parse(cost::PriceBook::BuiltinText()).value(); }

std::string SmallestFor(double gib) {
  const auto machine = FindSmallestMachine({.accelerators = gib * kGib}, Devices(), Book());
  return machine ? machine->name : "none";
}

TEST(PriceByMemory, TheCheapestMachineThatHoldsIt) {
  EXPECT_EQ(SmallestFor(1), "small");
  EXPECT_EQ(SmallestFor(16), "small");
  EXPECT_EQ(SmallestFor(17), "2 x small");
  EXPECT_EQ(SmallestFor(65), "big") << "eight small ones cost more";
  EXPECT_EQ(SmallestFor(201), "2 x big");
  EXPECT_EQ(SmallestFor(1601), "none") << "what has no price does not count";
}

TEST(PriceByMemory, AHostIsPricedWithTheDramThatIsNeeded) {
  const auto catalogue = hardware::Catalogue::Builtin().value();
  const auto small = FindSmallestMachine({.host = 3.5 * kGib}, catalogue, Book());
  const auto large = FindSmallestMachine({.host = 100 * kGib}, catalogue, Book());
  ASSERT_TRUE(small && large);
  EXPECT_THAT(small->name, HasSubstr("with 4 GiB"));
  EXPECT_EQ(small->priced.inputs.dram_gib->value, 4);
  EXPECT_LT(small->purchase_usd, large->purchase_usd);
}

// What is moved to a cheaper kind of memory is paid for there.
TEST(PriceByMemory, EachTierIsPricedAsWhatItIs) {
  const auto price = [](const MemoryNeeds& needs) { return FindSmallestMachine(needs, Devices(), Book()).value(); };
  const auto resident = price({.accelerators = 40 * kGib});
  const auto in_dram = price({.accelerators = 10 * kGib, .host = 30 * kGib});
  EXPECT_EQ(resident.name, "4 x small");
  EXPECT_EQ(in_dram.name, "small with 30 GiB of DRAM");
  const auto& inputs = in_dram.priced.inputs;
  const double dram_usd = 30 * inputs.dram_usd_per_gib->value;
  EXPECT_NEAR(in_dram.purchase_usd, 500 + dram_usd + inputs.board_usd->value, 1e-6);
  EXPECT_NEAR(price({.accelerators = 10 * kGib}).purchase_usd, in_dram.purchase_usd - dram_usd, 1e-6);
  const auto on_disk = price({.accelerators = 10 * kGib, .disk = 60e9});
  EXPECT_EQ(on_disk.name, "small with 60 GB of disk");
  EXPECT_NEAR(on_disk.purchase_usd, in_dram.purchase_usd - dram_usd + 60 * on_disk.priced.inputs.ssd_usd_per_gb->value, 1e-6);

  const auto host = FindSmallestMachine({.host = 3.5 * kGib, .disk = 30e9}, hardware::Catalogue::Builtin().value(), Book());
  ASSERT_TRUE(host.has_value());
  EXPECT_THAT(host->name, HasSubstr("with 4 GiB of DRAM and 30 GB of disk"));
}

TEST(PriceByMemory, AMachineOfOneMemoryHoldsBothInIt) {
  const hardware::CatalogueLayer layer{"test", R"({"schema": 1, "links": [], "devices": [
    {"id": "one", "vendor": "v", "name": "One", "class": "unified", "year": 2025, "aliases": [], "memory_type": "LPDDR5X",
     "memory_gib": 128, "unified_memory": true, "bandwidth_gb_per_s": 250, "dense_tflops": {"fp16": 50}, "tdp_w": 120,
     "price_usd": {"typical": 2000}, "date": "2026-01", "confidence": "low", "source": "s"}]})"};
  const auto one = hardware::Catalogue::Parse(std::span(&layer, 1));
  ASSERT_TRUE(one.ok()) << one.error().message;
  EXPECT_EQ(FindSmallestMachine({.accelerators = 50 * kGib, .host = 70 * kGib}, *one, Book())->name, "one");
  EXPECT_EQ(FindSmallestMachine({.accelerators = 50 * kGib, .host = 90 * kGib}, *one, Book())->name, "2 x one");
}

TEST(PriceByMemory, ASystemIsPricedOnItsOwnKindOfMachine) {
  cap::ExperimentSummary summary;
  summary.systems.resize(3);
  for (size_t i = 0; i < 3; ++i) {
    cap::SystemSummary& system = summary.systems[i];
    system.name = std::to_string(i);
    system.machine.usd_per_h = 10;
    system.cells.resize(1);
    system.cells[0].figures[FigureId::kMemory] = 10 * kGib;
  }
  summary.systems[1].on_gpu = true;
  summary.systems[1].cells[0].figures[FigureId::kHostMemory] = 30 * kGib;
  summary.systems[2].cells[0].figures[FigureId::kDiskNeeded] = 60e9;
  cap::ExperimentSummary on_gpu;
  on_gpu.systems = {summary.systems[1]};
  EXPECT_THAT(PriceByMemory(on_gpu, Devices(), Book()), ElementsAre(HasSubstr("small with 30 GiB of DRAM")));

  const auto notes = PriceByMemory(summary);
  EXPECT_THAT(summary.systems[0].machine.name, HasSubstr("with 10 GiB of DRAM"));
  EXPECT_THAT(summary.systems[2].machine.name, HasSubstr("with 10 GiB of DRAM and 60 GB of disk"));
  EXPECT_GT(summary.systems[2].machine.purchase_usd, summary.systems[0].machine.purchase_usd);
  EXPECT_THAT(notes[1], HasSubstr("beside 32.2 GB in host memory"));
  EXPECT_THAT(notes[2], HasSubstr("beside 60.0 GB on disk"));
}

cap::SystemSummary System(const std::string& name, std::optional<double> memory_gib) {
  cap::SystemSummary system;
  system.name = name;
  system.in_process = false;
  system.machine.name = "8 x dear";
  system.machine.usd_per_h = 10;
  cap::CellSummary cell;
  cell.figures[FigureId::kUsdPerMillionTokens] = 2.0;
  cell.figures[FigureId::kUsdPerHour] = 10.0;
  if (memory_gib) cell.figures[FigureId::kMemory] = *memory_gib * kGib;
  cell.measurements.resize(1);
  cell.measurements[0].figures[FigureId::kUsdPerMillionTokens] = 3.0;
  system.cells = {cell};
  return system;
}

TEST(PriceByMemory, CostsBecomeThoseOfTheSmallestMachineForTheSameTime) {
  cap::ExperimentSummary summary;
  summary.systems = {System("fits", 10), System("untold", std::nullopt), System("huge", 1e6)};
  const auto notes = PriceByMemory(summary, Devices(), Book());
  const cap::SystemSummary& fits = summary.systems[0];
  EXPECT_EQ(fits.machine.name, "small");
  ASSERT_TRUE(fits.machine.usd_per_h.has_value());
  const double factor = *fits.machine.usd_per_h / 10;
  EXPECT_LT(factor, 1);
  const cap::CellSummary& cell = fits.cells[0];
  EXPECT_DOUBLE_EQ(*cell.figures[FigureId::kUsdPerMillionTokens], 2 * factor);
  EXPECT_DOUBLE_EQ(*cell.figures[FigureId::kUsdPerHour], *fits.machine.usd_per_h);
  EXPECT_DOUBLE_EQ(*cell.measurements[0].figures[FigureId::kUsdPerMillionTokens], 3 * factor);
  EXPECT_EQ(cell.figures[FigureId::kPurchase], fits.machine.purchase_usd);
  EXPECT_TRUE(cell.estimates.Has(FigureId::kUsdPerMillionTokens));
  EXPECT_EQ(cell.figures[FigureId::kUsdPerRequest], std::nullopt) << "what was null stays null";
  EXPECT_EQ(summary.systems[1].machine.name, "8 x dear");
  EXPECT_EQ(summary.systems[2].cells[0].figures[FigureId::kUsdPerMillionTokens], 2.0);
  EXPECT_THAT(notes, ElementsAre(HasSubstr("fits: priced on the cheapest machine"), HasSubstr("untold: the memory"),
                                 HasSubstr("huge: no machine")));
}

}  // namespace
}  // namespace moecap::analysis
