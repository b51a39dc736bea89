#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cost/ownership.h"
#include "cost/prices.h"
#include "hardware/catalogue.h"

namespace moecap::cost {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::optional<Input> Of(double value) { return Input{value, "test", "2026-01"}; }

TEST(CapitalRecoveryFactor, MatchesTheAnnuityTables) {
  EXPECT_NEAR(CapitalRecoveryFactor(0.08, 3), 0.3880, 5e-5);
  EXPECT_NEAR(CapitalRecoveryFactor(0.08, 5), 0.2505, 5e-5);
  EXPECT_NEAR(CapitalRecoveryFactor(0.10, 4), 0.3155, 5e-5);
  EXPECT_NEAR(CapitalRecoveryFactor(0.12, 4), 0.3292, 5e-5);
  EXPECT_DOUBLE_EQ(CapitalRecoveryFactor(0, 4), 0.25);
  EXPECT_NEAR(CapitalRecoveryFactor(1e-12, 4), 0.25, 1e-9);
}

// A fleet at 10 % cost of capital, 4 years, 25 % residual, 5 % operation, PUE 1.3, 0.10 USD/kWh, wall 1.35 x TDP, 80 % duty.
CostInputs Fleet(double device_usd, double host_usd, double tdp_w) {
  CostInputs inputs;
  inputs.accelerators_usd = Of(device_usd);
  inputs.board_usd = Of(host_usd);
  inputs.cpu_usd = inputs.network_usd = inputs.dram_gib = inputs.ssd_gb = Of(0);
  inputs.life_years = Of(4);
  inputs.discount_rate = Of(0.10);
  inputs.residual_fraction = Of(0.25);
  inputs.opex_fraction_per_year = Of(0.05);
  inputs.nameplate_w = Of(tdp_w);
  inputs.wall_factor = Of(1.35);
  inputs.duty = Of(0.8);
  inputs.pue = Of(1.3);
  inputs.energy_usd_per_kwh = Of(0.10);
  return inputs;
}

double UsefulHour(CostInputs inputs, double utilisation) {
  inputs.utilisation = Of(utilisation);
  const auto cost = OwnedCostPerHour(inputs);
  EXPECT_TRUE(cost.has_value());
  EXPECT_TRUE(cost->missing.empty());
  return cost->usd_per_useful_h;
}

TEST(OwnedCostPerHour, MatchesTheWorkedFleet) {
  const CostInputs h100 = Fleet(30000, 10000, 700);
  EXPECT_NEAR(UsefulHour(h100, 0.3), 5.07, 0.005);
  EXPECT_NEAR(UsefulHour(h100, 0.7), 2.17, 0.005);
  EXPECT_NEAR(UsefulHour(h100, 0.9), 1.69, 0.005);
  EXPECT_NEAR(UsefulHour(Fleet(32000, 10000, 700), 0.9), 1.77, 0.005);   // H200
  EXPECT_NEAR(UsefulHour(Fleet(40000, 12000, 1000), 0.3), 6.63, 0.005);  // B200
  EXPECT_NEAR(UsefulHour(Fleet(15000, 10000, 750), 0.3), 3.32, 0.005);   // MI300X
  EXPECT_NEAR(UsefulHour(Fleet(15000, 5000, 400), 0.7), 1.10, 0.005);    // A100
  EXPECT_NEAR(UsefulHour(Fleet(8600, 2500, 600), 0.9), 0.53, 0.005);     // RTX PRO 6000
  EXPECT_NEAR(UsefulHour(Fleet(3000, 1200, 575), 0.7), 0.33, 0.005);     // RTX 5090
  EXPECT_NEAR(UsefulHour(Fleet(1000, 600, 350), 0.3), 0.35, 0.005);      // RTX 3090
}

TEST(OwnedCostPerHour, PartsAddUp) {
  CostInputs inputs = Fleet(30000, 10000, 700);
  inputs.utilisation = Of(0.5);
  inputs.colocation_usd_per_month = Of(730);
  const auto cost = OwnedCostPerHour(inputs);
  ASSERT_TRUE(cost);
  EXPECT_DOUBLE_EQ(cost->colocation_usd_per_h, 1);
  EXPECT_NEAR(cost->energy_usd_per_h, 0.7 * 1.35 * 1.3 * 0.10 * 0.8, 1e-12);
  EXPECT_DOUBLE_EQ(cost->usd_per_h,
                   cost->capital_usd_per_h + cost->opex_usd_per_h + cost->energy_usd_per_h + cost->colocation_usd_per_h);
  EXPECT_DOUBLE_EQ(cost->usd_per_useful_h, 2 * cost->usd_per_h);
}

TEST(OwnedCostPerHour, SaysWhatItLeavesOut) {
  CostInputs inputs = Fleet(30000, 10000, 700);
  inputs.utilisation = Of(0.5);
  inputs.cpu_usd.reset();
  inputs.ssd_gb = Of(1000);  // and no price
  inputs.energy_usd_per_kwh.reset();
  const auto cost = OwnedCostPerHour(inputs);
  ASSERT_TRUE(cost);
  EXPECT_THAT(cost->missing, ElementsAre("processors", "SSD", "energy"));
  EXPECT_EQ(cost->energy_usd_per_h, 0);
}

TEST(OwnedCostPerHour, IsNullWithoutWhatEverythingDependsOn) {
  EXPECT_FALSE(OwnedCostPerHour(CostInputs{}).has_value());
  EXPECT_FALSE(PriceHardware(CostInputs{}).has_value());
  CostInputs inputs = Fleet(1, 1, 1);
  EXPECT_FALSE(OwnedCostPerHour(inputs).has_value());  // no utilisation
  inputs.utilisation = Of(1);
  inputs.life_years.reset();
  EXPECT_FALSE(OwnedCostPerHour(inputs).has_value());
}

TEST(RentedCostPerHour, AddsExtrasAndBillsIdleHours) {
  CostInputs inputs;
  EXPECT_FALSE(RentedCostPerHour(inputs).has_value());
  inputs.rent_usd_per_h = Of(2);
  inputs.rent_extra_fraction = Of(0.3);
  inputs.utilisation = Of(0.65);
  const auto cost = RentedCostPerHour(inputs);
  ASSERT_TRUE(cost);
  EXPECT_NEAR(cost->usd_per_h, 2.6, 1e-12);
  EXPECT_NEAR(cost->usd_per_useful_h, 4, 1e-12);
}

TEST(BreakEvenUtilisation, IsWhereOwningAndRentingMeet) {
  CostInputs inputs = Fleet(30000, 10000, 700);
  inputs.utilisation = Of(0.6);
  inputs.rent_usd_per_h = Of(2.95);
  const auto at = BreakEvenUtilisation(inputs);
  ASSERT_TRUE(at);
  // Own: fixed cost every hour and energy in useful hours; rent: useful hours only.
  const auto owned = OwnedCostPerHour(inputs);
  const double fixed = owned->usd_per_h - owned->energy_usd_per_h;
  const double energy = owned->energy_usd_per_h / 0.8;
  EXPECT_NEAR(fixed / *at + energy, 2.95, 1e-9);
  EXPECT_GT(*at, 0.4);
  EXPECT_LT(*at, 0.6);
  inputs.rent_usd_per_h = Of(0.01);
  EXPECT_FALSE(BreakEvenUtilisation(inputs).has_value());
}

TEST(PowerUnderLoad, PrefersTheMeasurement) {
  CostInputs inputs;
  EXPECT_FALSE(PowerUnderLoad(inputs).has_value());
  inputs.nameplate_w = Of(500);
  inputs.load_factor = Of(0.8);
  inputs.wall_factor = Of(1.25);
  auto power = PowerUnderLoad(inputs);
  ASSERT_TRUE(power);
  EXPECT_DOUBLE_EQ(power->watts, 500);
  EXPECT_FALSE(power->measured);
  EXPECT_THAT(power->words, HasSubstr("estimate"));
  inputs.measured_power_w = Of(321);
  power = PowerUnderLoad(inputs);
  EXPECT_DOUBLE_EQ(power->watts, 321);
  EXPECT_TRUE(power->measured);
}

TEST(PowerUnderLoad, MeteredAcceleratorsReplaceTheirNameplates) {
  CostInputs inputs;
  inputs.nameplate_w = Of(1050);
  inputs.accelerators_w = Of(700);
  inputs.metered_accelerators_w = Input{500, "metered by NVML: GPU 0", ""};
  inputs.load_factor = Of(0.8);
  inputs.wall_factor = Of(1.25);
  EXPECT_DOUBLE_EQ(PowerUnderLoad(inputs)->watts, (500 + 350 * 0.8) * 1.25);
  inputs.all_in_w = Of(1690);
  inputs.pue = Of(1.3);
  const auto power = PowerUnderLoad(inputs);
  EXPECT_DOUBLE_EQ(power->watts, 500 + 1300 - 700) << "wall losses and processors are in the all-in power already";
  EXPECT_FALSE(power->measured) << "the rest is no measurement";
  EXPECT_THAT(power->words, AllOf(HasSubstr("estimate"), HasSubstr("500 W, metered by NVML: GPU 0"), HasSubstr("700 W")));
  inputs.accelerators_w.reset();
  EXPECT_DOUBLE_EQ(PowerUnderLoad(inputs)->watts, 1300) << "whose part they are is not known";
}

TEST(JoulesPerToken, IsPowerTimesTime) {
  EXPECT_DOUBLE_EQ(*JoulesPerToken(100, 30, 600), 5);
  EXPECT_FALSE(JoulesPerToken(100, 30, 0).has_value());
}

TEST(SetCostInput, ChecksKeyAndRange) {
  CostInputs inputs;
  ASSERT_TRUE(SetCostInput(inputs, "pue", {1.1, "config", ""}).ok());
  EXPECT_EQ(inputs.pue->value, 1.1);
  const auto unknown = SetCostInput(inputs, "energy_usd_per_kw", {1, "", ""});
  ASSERT_FALSE(unknown.ok());
  EXPECT_THAT(unknown.error().message, HasSubstr("did you mean 'energy_usd_per_kwh'"));
  EXPECT_FALSE(SetCostInput(inputs, "pue", {0.9, "", ""}).ok());
  EXPECT_FALSE(SetCostInput(inputs, "utilisation", {0, "", ""}).ok());
  EXPECT_FALSE(SetCostInput(inputs, "utilisation", {1.5, "", ""}).ok());
  EXPECT_FALSE(SetCostInput(inputs, "cpu_usd", {-1, "", ""}).ok());
  EXPECT_FALSE(SetCostInput(inputs, "life_years", {0, "", ""}).ok());
  EXPECT_FALSE(SetCostInput(inputs, "cpu_usd", {1, "", "", -1.0, 2.0}).ok()) << "the bounds obey the limits too";
  EXPECT_EQ(inputs.pue->value, 1.1);
  for (const std::string& key : CostInputKeys()) EXPECT_TRUE(SetCostInput(inputs, key, {1, "", ""}).ok()) << key;
}

TEST(DescribeInputs, NamesSourceAndDateAndWhatIsMissing) {
  CostInputs inputs;
  inputs.energy_usd_per_kwh = Input{0.15, "a tariff", "2026-01"};
  inputs.cpu_usd = Input{13000, "a shop", "", 9999, std::nullopt};
  EXPECT_THAT(DescribeInputs(inputs),
              ElementsAre("processors: 13000 [9999 to 13000] USD (a shop)", "energy price: 0.15 USD/kWh (a tariff, 2026-01)",
                          "not included, price not known: accelerators, board, network, DRAM, SSD"));
}

PriceBook HostPrices() {
  auto book = PriceBook::Parse(PriceBook::BuiltinText());
  EXPECT_TRUE(book.ok()) << book.error().message;
  return *std::move(book);
}

hardware::HostInfo Host(const char* model, int cores, double dram_gib) {
  hardware::HostInfo host;
  host.cpu_model = model;
  host.physical_cores = cores;
  host.dram_bytes = dram_gib * 1024 * 1024 * 1024;
  return host;
}

TEST(DefaultHostInputs, PriceAServerByCoreAndGib) {
  const CostInputs inputs = DefaultHostInputs(Host("AMD EPYC 9755 128-Core Processor", 128, 767.3), HostPrices());
  EXPECT_NEAR(inputs.cpu_usd->value, 13000, 10);
  EXPECT_NEAR(inputs.nameplate_w->value, 500, 1);
  EXPECT_EQ(inputs.dram_gib->value, 768);
  EXPECT_THAT(inputs.cpu_usd->source, HasSubstr("estimate"));
  const auto hardware = PriceHardware(inputs);
  ASSERT_TRUE(hardware);
  EXPECT_NEAR(hardware->known_usd, 13005 + 2560 + 768 * 32, 1);
  EXPECT_THAT(hardware->missing, ElementsAre("SSD"));
  const auto cost = OwnedCostPerHour(inputs);
  ASSERT_TRUE(cost);
  EXPECT_GT(cost->usd_per_useful_h, 1);
  EXPECT_LT(cost->usd_per_useful_h, 5);
  for (const std::string& line : DescribeInputs(inputs))
    EXPECT_THAT(line, testing::AnyOf(HasSubstr("("), HasSubstr("not known")));
}

TEST(DefaultHostInputs, AVirtualMachinePaysItsShare) {
  hardware::HostInfo guest = Host("Unknown processor", 2, 23.5);
  EXPECT_FALSE(IsServer(guest));
  EXPECT_EQ(DefaultHostInputs(guest, HostPrices()).pue->value, 1);
  guest.hypervisor = "kvm";
  EXPECT_TRUE(IsServer(guest));
  const CostInputs inputs = DefaultHostInputs(guest, HostPrices());
  EXPECT_NEAR(inputs.cpu_usd->value, 2 * 101.6, 1e-9);
  EXPECT_EQ(inputs.pue->value, 1.3);
}

TEST(AtBound, TakesTheCheapOrTheDearEndOfEachInput) {
  CostInputs inputs;
  inputs.cpu_usd = Input{10, "", "", 8, 15};
  inputs.life_years = Input{4, "", "", 3, 5};
  inputs.utilisation = Input{0.5, "", "", 0.2, std::nullopt};
  inputs.energy_usd_per_kwh = Of(0.1);
  const CostInputs low = AtBound(inputs, Bound::kLow), high = AtBound(inputs, Bound::kHigh);
  EXPECT_EQ(low.cpu_usd->value, 8);
  EXPECT_EQ(high.cpu_usd->value, 15);
  EXPECT_EQ(low.life_years->value, 5) << "a long life is cheap";
  EXPECT_EQ(high.life_years->value, 3);
  EXPECT_EQ(low.utilisation->value, 0.5) << "no upper bound is known";
  EXPECT_EQ(high.utilisation->value, 0.2);
  EXPECT_EQ(low.energy_usd_per_kwh->value, 0.1);
  EXPECT_EQ(AtBound(inputs, Bound::kTypical).cpu_usd->value, 10);
}

TEST(UsdPerUsefulHour, IsOrderedAndNullWithoutInputs) {
  const CostInputs host = DefaultHostInputs(Host("AMD EPYC 9755 128-Core Processor", 128, 768), HostPrices());
  const Range usd = UsdPerUsefulHour(host, Pay::kBuy);
  ASSERT_TRUE(usd.low && usd.typical && usd.high);
  EXPECT_LT(*usd.low, *usd.typical);
  EXPECT_LT(*usd.typical, *usd.high);
  EXPECT_DOUBLE_EQ(*usd.typical, OwnedCostPerHour(host)->usd_per_useful_h);
  EXPECT_EQ(UsdPerUsefulHour(host, Pay::kRent), Range{});
  CostInputs given = Fleet(30000, 10000, 700);
  given.utilisation = Of(0.5);
  EXPECT_TRUE(UsdPerUsefulHour(given, Pay::kBuy).typical.has_value());
  EXPECT_EQ(UsdPerUsefulHour(given, Pay::kBuy).low, std::nullopt) << "nobody said how sure the prices are";
  const Range purchase = PurchaseUsd(host);
  EXPECT_LT(*purchase.low, *purchase.typical);
  EXPECT_LT(*purchase.typical, *purchase.high);
}

TEST(KgCo2, IsEnergyOfTheBuildingTimesTheGrid) {
  CostInputs inputs;
  EXPECT_FALSE(KgCo2(inputs, 3.6e6).has_value());
  inputs.grid_kg_co2_per_kwh = Of(0.5);
  EXPECT_DOUBLE_EQ(*KgCo2(inputs, 7.2e6), 1);  // 2 kWh
  inputs.pue = Of(1.5);
  EXPECT_DOUBLE_EQ(*KgCo2(inputs, 7.2e6), 1.5);
}

TEST(DefaultHostInputs, AProcessorOfTheCatalogueIsPricedAsSuch) {
  const auto catalogue = hardware::Catalogue::Builtin();
  ASSERT_TRUE(catalogue.ok());
  const hardware::HostInfo host = Host("AMD EPYC 9654 96-Core Processor", 48, 384);
  const CostInputs inputs = DefaultHostInputs(host, HostPrices(), catalogue->MatchProcessor(host.cpu_model));
  EXPECT_DOUBLE_EQ(inputs.cpu_usd->value, 11500.0 / 2);
  EXPECT_DOUBLE_EQ(inputs.nameplate_w->value, 180);
  EXPECT_THAT(inputs.cpu_usd->source, HasSubstr("48 of 96 cores of AMD EPYC 9654 at 11500 USD"));
}

TEST(PriceBook, BuiltinEntriesAllHaveSourceDateAndTypicalValue) {
  const PriceBook book = HostPrices();
  EXPECT_GE(book.prices().size(), 15u);
  for (const Price& price : book.prices()) {
    EXPECT_TRUE(price.typical.has_value()) << price.key;
    EXPECT_GE(price.source.size(), 10u) << price.key;
    EXPECT_GE(price.date.size(), 7u) << price.key;
  }
}

TEST(PriceBook, RefusesUnsourcedOrContradictoryPrices) {
  EXPECT_FALSE(PriceBook::Parse("[]").ok());
  EXPECT_FALSE(PriceBook::Parse(R"({"prices":[{"key":"a","typical":1,"date":"2026-01"}]})").ok());
  EXPECT_FALSE(PriceBook::Parse(R"({"prices":[{"key":"a","typical":-1,"date":"2026-01","source":"s"}]})").ok());
  EXPECT_FALSE(PriceBook::Parse(R"({"prices":[{"key":"a","low":3,"typical":1,"date":"2026-01","source":"s"}]})").ok());
  EXPECT_FALSE(
      PriceBook::Parse(
          R"({"prices":[{"key":"a","typical":1,"date":"d","source":"s"},{"key":"a","typical":1,"date":"d","source":"s"}]})")
          .ok());
}

TEST(PriceBook, RefusesWhatNoPriceCanBe) {
  const auto message = [](const std::string& entry) {
    const auto book = PriceBook::Parse(R"({"prices":[{"date":"2026-01","source":"s",)" + entry + "}]}");
    EXPECT_FALSE(book.ok()) << entry;
    return book.ok() ? "" : book.error().message;
  };
  EXPECT_THAT(message(R"("key":"a","typcial":1)"), HasSubstr("unknown key 'typcial'"));
  EXPECT_THAT(message(R"("key":"life_years","typical":0)"), testing::AllOf(HasSubstr("price 1"), HasSubstr("above 0")));
  EXPECT_THAT(message(R"("key":"life_years","low":0,"typical":4)"), HasSubstr("'life_years' is 0"));
  EXPECT_THAT(message(R"("key":"server_pue","typical":0.9)"), HasSubstr("pue"));
  EXPECT_THAT(message(R"("key":"cpu_usd","typical":"10")"), HasSubstr("not a number"));
}

TEST(PriceBook, AUsersBookLiesOverTheBuiltInOne) {
  const auto catalogue = *hardware::Catalogue::Builtin();
  const PriceBook book = HostPrices();
  const auto with = [&](const std::string& entry) {
    return book.With(R"({"prices":[{"date":"2026-09","source":"my quote",)" + entry + "}]}", catalogue);
  };
  const auto mine = with(R"("key":"energy_usd_per_kwh","typical":0.3)");
  ASSERT_TRUE(mine.ok()) << mine.error().message;
  EXPECT_EQ(mine->Find("energy_usd_per_kwh")->value, 0.3);
  EXPECT_EQ(mine->Find("energy_usd_per_kwh")->low, std::nullopt) << "the old range does not fit the new value";
  EXPECT_EQ(mine->Find("duty")->value, book.Find("duty")->value);
  const auto card = with(R"("key":"rtx-3090.price_usd","typical":1000)");
  ASSERT_TRUE(card.ok()) << card.error().message;
  EXPECT_EQ(card->FindFor(*catalogue.FindDevice("rtx-3090"), "price_usd")->value, 1000);
  EXPECT_EQ(book.FindFor(*catalogue.FindDevice("rtx-3090"), "price_usd")->value, 1500);
  EXPECT_THAT(with(R"("key":"energy_usd_per_kw","typical":1)").error().message, HasSubstr("did you mean 'energy_usd_per_kwh'"));
  EXPECT_THAT(with(R"("key":"rtx-3091.price_usd","typical":1)").error().message, HasSubstr("rtx-3090"));
  EXPECT_THAT(with(R"("key":"rtx-3090.price_eur","typical":1)").error().message, HasSubstr("price_usd, rent_usd_per_h"));
  EXPECT_THAT(with(R"("key":"rtx-3090.price_usd","typical":-1)").error().message, HasSubstr("negative"));
}

TEST(PriceBook, BuiltinDevicesAreInTheCatalogue) {
  const auto catalogue = *hardware::Catalogue::Builtin();
  const PriceBook book = HostPrices();
  int devices = 0;
  for (const Price& price : book.prices()) {
    const size_t dot = price.key.find('.');
    if (dot == std::string::npos) continue;
    ++devices;
    EXPECT_TRUE(catalogue.FindDevice(price.key.substr(0, dot)).ok()) << price.key;
  }
  EXPECT_GE(devices, 9);
}

TEST(PriceBook, AKeyWithoutTypicalValueIsNotKnown) {
  const auto book = PriceBook::Parse(R"({"prices":[{"key":"a","typical":null,"date":"2026-01","source":"nobody knows"}]})");
  ASSERT_TRUE(book.ok());
  EXPECT_FALSE(book->Find("a").has_value());
  EXPECT_FALSE(book->Find("b").has_value());
}

}  // namespace
}  // namespace moecap::cost
