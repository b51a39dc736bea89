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
  const auto machine = FindSmallestMachine(gib * kGib, MemoryOf::kAccelerators, Devices(), Book());
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
  const auto small = FindSmallestMachine(3.5 * kGib, MemoryOf::kHost, catalogue, Book());
  const auto large = FindSmallestMachine(100 * kGib, MemoryOf::kHost, catalogue, Book());
  ASSERT_TRUE(small && large);
  EXPECT_THAT(small->name, HasSubstr("with 4 GiB"));
  EXPECT_EQ(small->priced.inputs.dram_gib->value, 4);
  EXPECT_LT(small->purchase_usd, large->purchase_usd);
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
