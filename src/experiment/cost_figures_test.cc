#include "experiment/cost_figures.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/testing/temp_dir.h"

namespace moecap::experiment {
namespace {
namespace fs = std::filesystem;

using testing::AllOf;
using testing::HasSubstr;

hardware::HostInfo Host() {
  hardware::HostInfo host;
  host.cpu_model = "AMD EPYC 9755 128-Core Processor";
  host.physical_cores = 128;
  host.dram_bytes = 768.0 * 1024 * 1024 * 1024;
  return host;
}

class CostTest : public testing::Test {
 protected:
  fs::path Book(const std::string& entry) const {
    std::ofstream(dir_ / "p.json") << R"({"prices":[{"source":"quote","date":"2026-09",)" << entry << "}]}";
    return dir_ / "p.json";
  }
  TempDir temp_;
  const fs::path dir_ = temp_.path();
  Result<ResolvedCost> Resolve() const { return ResolveCost(Host(), system_, config_); }
  Config config_;
  SystemConfig system_;
};

TEST_F(CostTest, TheHostUnlessAMachineIsGiven) {
  const auto host = Resolve();
  ASSERT_TRUE(host.ok()) << host.error().message;
  EXPECT_NEAR(host->inputs.cpu_usd->value, 13000, 10);
  EXPECT_EQ(host->pay, cost::Pay::kBuy);
  system_.machine.machine.emplace();
  system_.machine.machine->accelerators = {{"h100-sxm", 8}};
  const auto machine = Resolve();
  ASSERT_TRUE(machine.ok()) << machine.error().message;
  EXPECT_EQ(machine->inputs.accelerators_usd->value, 240000);
  EXPECT_EQ(machine->pay, cost::Pay::kBuy) << "a catalogue rate is no decision to rent";
  system_.machine.given["rent_usd_per_h"] = 20;
  EXPECT_EQ(Resolve()->pay, cost::Pay::kRent);
  system_.machine.pay = cost::Pay::kBuy;
  EXPECT_EQ(Resolve()->pay, cost::Pay::kBuy);
}

TEST_F(CostTest, TheUsersPriceBookAndItsErrors) {
  config_.price_book = Book(R"("key":"energy_usd_per_kwh","typical":0.31)");
  EXPECT_EQ(Resolve()->inputs.energy_usd_per_kwh->value, 0.31);
  config_.price_book = Book(R"("key":"energy_usd_per_kwh","typical":-1)");
  EXPECT_THAT(Resolve().error().message, AllOf(HasSubstr("p.json"), HasSubstr("negative")));
  config_.price_book = dir_ / "absent.json";
  EXPECT_THAT(Resolve().error().message, HasSubstr("absent.json"));
}

TEST_F(CostTest, TheClientIsNotThePriceOfAServer) {
  system_.name = "remote";
  system_.server.emplace();
  const auto unpriced = Resolve();
  ASSERT_TRUE(unpriced.ok()) << unpriced.error().message;
  EXPECT_FALSE(unpriced->inputs.cpu_usd.has_value());
  EXPECT_FALSE(cost::CostPerHour(unpriced->inputs, cost::Pay::kBuy).has_value());
  EXPECT_FALSE(cost::PowerUnderLoad(unpriced->inputs).has_value());
  system_.machine.given["rent_usd_per_h"] = 20;
  const auto rented = Resolve();
  EXPECT_EQ(rented->pay, cost::Pay::kRent);
  EXPECT_TRUE(cost::CostPerHour(rented->inputs, *rented->pay).has_value());
  system_.machine.given.clear();
  system_.machine.pay = cost::Pay::kBuy;
  EXPECT_FALSE(Resolve().ok()) << "somebody who says how to pay wants a price";
}

TEST_F(CostTest, RentWithoutARateIsRefused) {
  system_.machine.pay = cost::Pay::kRent;
  EXPECT_THAT(Resolve().error().message, HasSubstr("rent_usd_per_h"));
}

TEST(CostFigures, BuyAndRentSideBySide) {
  cost::CostInputs inputs;
  inputs.cpu_usd = cost::Input{8760, "s", "", 4380, 17520};
  inputs.life_years = cost::Input{1, "s", ""};
  inputs.discount_rate = cost::Input{0, "s", ""};
  inputs.utilisation = cost::Input{0.5, "s", ""};
  inputs.rent_usd_per_h = cost::Input{3, "s", ""};
  cap::MachineSummary host;
  const CostFigures figures(inputs, cost::Pay::kBuy, "", {}, host);
  EXPECT_EQ(host.own_usd_per_useful_h, (cost::Range{1, 2, 4}));
  EXPECT_EQ(host.rent_usd_per_useful_h, (cost::Range{6, 6, 6}));
  EXPECT_NEAR(*host.break_even_utilisation, 1 / 3.0, 1e-12);
  EXPECT_EQ(host.pay, "buy");
  EXPECT_THAT(host.cost_inputs.back(), AllOf(HasSubstr("2.0000 [1.0000 to 4.0000]"), HasSubstr("owned")));
  EXPECT_EQ(host.usd_per_h, 2);
  cap::FigureValues values;
  cap::FigureSet estimates;
  bool metered = false;
  CellWork work;
  work.wall_s = 3600;
  work.input_tokens = work.output_tokens = 1e6;
  work.requests = 10;
  figures.Fill(work, values, estimates, metered);
  EXPECT_DOUBLE_EQ(values[cap::FigureId::kUsdPerRequest].value(), 0.2);
  EXPECT_DOUBLE_EQ(values[cap::FigureId::kUsdPerMillionTokens].value(), 1);
  EXPECT_FALSE(values[cap::FigureId::kUsdPerMillionInput].has_value()) << "the time in prefill is not known";
  EXPECT_FALSE(values[cap::FigureId::kJoulesPerToken].has_value());
  work.prefill_s = 900;
  work.decode_s = 2700;
  work.split_is_estimated = true;
  figures.Fill(work, values, estimates, metered);
  EXPECT_DOUBLE_EQ(values[cap::FigureId::kUsdPerMillionInput].value(), 0.5);
  EXPECT_DOUBLE_EQ(values[cap::FigureId::kUsdPerMillionOutput].value(), 1.5);
  EXPECT_TRUE(estimates.Has(cap::FigureId::kUsdPerMillionInput));
}

TEST_F(CostTest, AMachineIsNamedByItsDevices) {
  system_.machine.machine = cost::MachineSpec{};
  system_.machine.machine->name = "2 x epyc-9755";
  system_.machine.machine->accelerators = {{"epyc-9755", 2}};
  const auto processors = Resolve();
  ASSERT_TRUE(processors.ok()) << processors.error().message;
  EXPECT_TRUE(processors->inputs.cpu_usd.has_value()) << "processors need not be told from accelerators";
  EXPECT_EQ(processors->machine, "2 x epyc-9755");
  system_.name = "s";
  system_.machine.machine->accelerators = {{"h100-smx", 2}};
  system_.machine.machine->processors.clear();
  EXPECT_THAT(Resolve().error().message, AllOf(HasSubstr("system s"), HasSubstr("h100-sxm")));
}

}  // namespace
}  // namespace moecap::experiment
