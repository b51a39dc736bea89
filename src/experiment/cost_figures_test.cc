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
  RunConfig config_;
};

TEST_F(CostTest, TheHostUnlessAMachineIsGiven) {
  const auto host = ResolveCostInputs(Host(), config_);
  ASSERT_TRUE(host.ok()) << host.error().message;
  EXPECT_NEAR(host->inputs.cpu_usd->value, 13000, 10);
  EXPECT_EQ(host->pay, cost::Pay::kBuy);
  config_.machine.emplace();
  config_.machine->accelerators = {{"h100-sxm", 8}};
  const auto machine = ResolveCostInputs(Host(), config_);
  ASSERT_TRUE(machine.ok()) << machine.error().message;
  EXPECT_EQ(machine->inputs.accelerators_usd->value, 240000);
  EXPECT_EQ(machine->pay, cost::Pay::kBuy) << "a catalogue rate is no decision to rent";
  config_.cost["rent_usd_per_h"] = 20;
  EXPECT_EQ(ResolveCostInputs(Host(), config_)->pay, cost::Pay::kRent);
  config_.pay = cost::Pay::kBuy;
  EXPECT_EQ(ResolveCostInputs(Host(), config_)->pay, cost::Pay::kBuy);
}

TEST_F(CostTest, TheUsersPriceBookAndItsErrors) {
  config_.price_book = Book(R"("key":"energy_usd_per_kwh","typical":0.31)");
  EXPECT_EQ(ResolveCostInputs(Host(), config_)->inputs.energy_usd_per_kwh->value, 0.31);
  config_.price_book = Book(R"("key":"energy_usd_per_kwh","typical":-1)");
  EXPECT_THAT(ResolveCostInputs(Host(), config_).error().message, AllOf(HasSubstr("p.json"), HasSubstr("negative")));
  config_.price_book = dir_ / "absent.json";
  EXPECT_THAT(ResolveCostInputs(Host(), config_).error().message, HasSubstr("absent.json"));
}

TEST_F(CostTest, TheClientIsNotThePriceOfAServer) {
  SystemConfig remote;
  remote.name = "remote";
  remote.server.emplace();
  config_.systems = {remote};
  const auto unpriced = ResolveCostInputs(Host(), config_);
  ASSERT_TRUE(unpriced.ok()) << unpriced.error().message;
  EXPECT_FALSE(unpriced->inputs.cpu_usd.has_value());
  EXPECT_FALSE(cost::CostPerHour(unpriced->inputs, unpriced->pay).has_value());
  EXPECT_FALSE(cost::PowerUnderLoad(unpriced->inputs).has_value());
  config_.cost["rent_usd_per_h"] = 20;
  const auto rented = ResolveCostInputs(Host(), config_);
  EXPECT_EQ(rented->pay, cost::Pay::kRent);
  EXPECT_TRUE(cost::CostPerHour(rented->inputs, rented->pay).has_value());
  config_.cost.clear();
  config_.pay = cost::Pay::kBuy;
  EXPECT_FALSE(ResolveCostInputs(Host(), config_).ok()) << "somebody who says how to pay wants a price";
}

TEST_F(CostTest, RentWithoutARateIsRefused) {
  config_.pay = cost::Pay::kRent;
  EXPECT_THAT(ResolveCostInputs(Host(), config_).error().message, HasSubstr("rent_usd_per_h"));
}

TEST(CostFigures, BuyAndRentSideBySide) {
  cost::CostInputs inputs;
  inputs.cpu_usd = cost::Input{8760, "s", "", 4380, 17520};
  inputs.life_years = cost::Input{1, "s", ""};
  inputs.discount_rate = cost::Input{0, "s", ""};
  inputs.utilisation = cost::Input{0.5, "s", ""};
  inputs.rent_usd_per_h = cost::Input{3, "s", ""};
  cap::HostSummary host;
  const CostFigures figures(inputs, cost::Pay::kBuy, "", std::nullopt, host);
  EXPECT_EQ(host.own_usd_per_useful_h, (cost::Range{1, 2, 4}));
  EXPECT_EQ(host.rent_usd_per_useful_h, (cost::Range{6, 6, 6}));
  EXPECT_NEAR(*host.break_even_utilisation, 1 / 3.0, 1e-12);
  EXPECT_EQ(host.pay, "buy");
  EXPECT_THAT(host.cost_inputs.back(), AllOf(HasSubstr("2.0000 [1.0000 to 4.0000]"), HasSubstr("owned")));
  cap::CellSummary cell;
  figures.Fill({3600, 1e6, 1e6, 10, std::nullopt}, cell);
  EXPECT_DOUBLE_EQ(*cell.usd_per_request, 0.2);
  EXPECT_DOUBLE_EQ(*cell.usd_per_million_tokens_all_in, 1);
  EXPECT_FALSE(cell.joules_per_token.has_value());
}

}  // namespace
}  // namespace moecap::experiment
