#include "cost/machine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/fs.h"
#include "cost/machine_file.h"

namespace moecap::cost {
namespace {

using testing::AllOf;
using testing::HasSubstr;

const hardware::Catalogue& Devices() {
  static const hardware::Catalogue catalogue = *hardware::Catalogue::Builtin();
  return catalogue;
}

PriceBook Book(const std::string& over = R"({"prices":[]})") {
  auto book = PriceBook::Parse(PriceBook::BuiltinText())->With(over, Devices());
  EXPECT_TRUE(book.ok()) << book.error().message;
  return *std::move(book);
}

PricedMachine Price(const MachineSpec& spec, const PriceBook& book = Book()) {
  auto machine = PriceMachine(spec, Devices(), book);
  EXPECT_TRUE(machine.ok()) << machine.error().message;
  return *std::move(machine);
}

std::string ErrorOf(const MachineSpec& spec) {
  const auto machine = PriceMachine(spec, Devices(), Book());
  EXPECT_FALSE(machine.ok());
  return machine.ok() ? "" : machine.error().message;
}

// 10 % cost of capital, 4 years, 25 % residual, 5 % operation, PUE 1.3, 0.10 USD/kWh, wall 1.35 x TDP, 80 % duty.
constexpr const char* kPlan = R"({"prices":[
  {"key":"energy_usd_per_kwh","typical":0.1,"source":"plan","date":"2026-05"},
  {"key":"server_pue","typical":1.3,"source":"plan","date":"2026-05"},
  {"key":"desktop_pue","typical":1.3,"source":"plan","date":"2026-05"},
  {"key":"rtx-5090.price_usd","typical":3000,"source":"plan","date":"2026-05"},
  {"key":"rtx-3090.price_usd","typical":1000,"source":"plan","date":"2026-05"}]})";

struct PlanRow {
  const char* id;
  double host_usd;
  std::array<double, 3> usd;  // per useful hour at 30, 70 and 90 % utilisation
};

// The planning table of docs/cost.md, to the cent, from catalogue prices and TDPs.
TEST(PriceMachine, GivesThePlanningTable) {
  const PlanRow rows[] = {
      {"h100-sxm", 10000, {5.07, 2.17, 1.69}},   {"h200-sxm", 10000, {5.31, 2.27, 1.77}},
      {"b200-sxm", 12000, {6.63, 2.84, 2.21}},   {"mi300x", 10000, {3.32, 1.42, 1.11}},
      {"a100-80-sxm", 5000, {2.56, 1.10, 0.85}}, {"rtx-pro-6000-ws", 2500, {1.60, 0.68, 0.53}},
      {"rtx-5090", 1200, {0.77, 0.33, 0.26}},    {"rtx-3090", 600, {0.35, 0.15, 0.12}},
      {"m3-ultra", 0, {1.21, 0.52, 0.40}},       {"dgx-spark-gb10", 0, {0.54, 0.23, 0.18}},
  };
  const PriceBook book = Book(kPlan);
  for (const PlanRow& row : rows) {
    MachineSpec spec;
    spec.accelerators = {{row.id, 1}};
    spec.ssd_gb = 0;
    spec.given = {{"board_usd", row.host_usd}};
    if (row.host_usd > 0) spec.dram_gib = 0;
    CostInputs inputs = Price(spec, book).inputs;
    inputs.all_in_w.reset();  // the table counts 1.35 x TDP, also where it is known
    for (size_t i = 0; i < 3; ++i) {
      inputs.utilisation = Input{std::array{0.3, 0.7, 0.9}[i], "plan", ""};
      const auto cost = OwnedCostPerHour(inputs);
      ASSERT_TRUE(cost) << row.id;
      EXPECT_TRUE(cost->missing.empty()) << row.id;
      EXPECT_NEAR(cost->usd_per_useful_h, row.usd[i], 0.00501) << row.id << " " << i;
    }
  }
}

TEST(PriceMachine, SumsAHeterogeneousBillOfMaterials) {
  MachineSpec spec;
  spec.accelerators = {{"h100-sxm", 8}, {"l40s", 2}};
  spec.processors = {{"xeon-8480p", 2}};
  spec.dram_gib = 2048;
  spec.ssd_gb = 30000;
  spec.network_usd = 20000;
  spec.nodes = 2;
  const PricedMachine machine = Price(spec);
  const CostInputs& inputs = machine.inputs;
  EXPECT_DOUBLE_EQ(inputs.accelerators_usd->value, 2 * (8 * 30000 + 2 * 8500));
  EXPECT_DOUBLE_EQ(*inputs.accelerators_usd->high, 2 * (8 * 38000 + 2 * 8500));
  EXPECT_DOUBLE_EQ(inputs.cpu_usd->value, 2 * 2 * 10500);
  EXPECT_DOUBLE_EQ(inputs.board_usd->value, 2 * (0.3 * 257000 - 21000));
  EXPECT_DOUBLE_EQ(inputs.dram_gib->value, 4096);
  EXPECT_DOUBLE_EQ(inputs.dram_usd_per_gib->value, 32);
  EXPECT_DOUBLE_EQ(inputs.network_usd->value, 40000);
  double lines = 0;
  for (const BillLine& line : machine.lines) {
    ASSERT_TRUE(line.usd.typical) << line.item;
    EXPECT_LE(*line.usd.low, *line.usd.typical) << line.item;
    EXPECT_LE(*line.usd.typical, *line.usd.high) << line.item;
    EXPECT_GE(line.source.size(), 4u) << line.item;
    lines += *line.usd.typical;
  }
  const auto hardware = PriceHardware(inputs);
  EXPECT_DOUBLE_EQ(lines, hardware->known_usd);
  EXPECT_TRUE(hardware->missing.empty());
  // No all-in power is known of the L40S: the TDPs of all count.
  EXPECT_FALSE(inputs.all_in_w.has_value());
  EXPECT_DOUBLE_EQ(inputs.nameplate_w->value, 2 * (8 * 700 + 2 * 350 + 2 * 350));
  EXPECT_DOUBLE_EQ(inputs.accelerators_w->value, 2 * (8 * 700 + 2 * 350));
  EXPECT_EQ(inputs.wall_factor->value, 1.35);
  EXPECT_DOUBLE_EQ(inputs.rent_usd_per_h->value, 2 * (8 * 2.95 + 2 * 0.79));
}

TEST(PriceMachine, AllInPowerIncludesNodeAndBuilding) {
  MachineSpec spec;
  spec.accelerators = {{"h100-sxm", 8}};
  const CostInputs inputs = Price(spec).inputs;
  EXPECT_DOUBLE_EQ(inputs.all_in_w->value, 8 * 1730);
  EXPECT_DOUBLE_EQ(PowerUnderLoad(inputs)->watts, 8 * 1730 / 1.3) << "what the building adds is not drawn by the machine";
  CostInputs used = inputs;
  used.duty = Input{1, "always", ""};
  EXPECT_NEAR(OwnedCostPerHour(used)->energy_usd_per_h, 8 * 1.73 * 0.15, 1e-9);
  EXPECT_EQ(inputs.cpu_usd->value, 0);
  EXPECT_THAT(inputs.cpu_usd->source, HasSubstr("host"));
  EXPECT_DOUBLE_EQ(inputs.board_usd->value, 0.3 * 240000);
  EXPECT_THAT(PriceHardware(inputs)->missing, testing::ElementsAre("DRAM", "SSD"));
}

TEST(PriceMachine, UnifiedMemoryIsPricedWhole) {
  MachineSpec spec;
  spec.accelerators = {{"m3-ultra", 2}};
  const PricedMachine machine = Price(spec);
  EXPECT_DOUBLE_EQ(PriceHardware(machine.inputs)->known_usd, 2 * 9500);
  EXPECT_TRUE(PriceHardware(machine.inputs)->missing.empty());
  ASSERT_EQ(machine.lines.size(), 1u);
  spec.dram_gib = 512;
  EXPECT_THAT(ErrorOf(spec), HasSubstr("priced whole"));
  spec.dram_gib = 0;
  spec.processors = {{"epyc-9654", 1}};
  EXPECT_THAT(ErrorOf(spec), HasSubstr("priced whole"));
}

TEST(PriceMachine, AProcessorMachineHasItsBoardByCore) {
  MachineSpec spec;
  spec.processors = {{"epyc-9755", 2}};
  spec.dram_gib = 1536;
  const PricedMachine machine = Price(spec);
  EXPECT_EQ(machine.inputs.accelerators_usd->value, 0);
  EXPECT_DOUBLE_EQ(machine.inputs.board_usd->value, 256 * 20);
  EXPECT_DOUBLE_EQ(machine.inputs.dram_usd_per_gib->value, 32);
  EXPECT_EQ(machine.pay, Pay::kBuy);
  EXPECT_FALSE(machine.inputs.rent_usd_per_h.has_value());
  spec.dram = DramKind::kDesktop;
  EXPECT_DOUBLE_EQ(Price(spec).inputs.dram_usd_per_gib->value, 12);
  spec.processors = {{"ryzen-9950x", 1}};
  EXPECT_DOUBLE_EQ(Price(spec).inputs.board_usd->value, 16 * 37.5);
}

TEST(PriceMachine, AnUnknownPriceIsMissingAndNotZero) {
  MachineSpec spec;
  spec.accelerators = {{"h100-nvl", 4}, {"h100-sxm", 4}};
  spec.dram_gib = spec.ssd_gb = 0;
  const PricedMachine machine = Price(spec);
  EXPECT_FALSE(machine.inputs.accelerators_usd.has_value()) << "half a sum would mislead";
  EXPECT_THAT(PriceHardware(machine.inputs)->missing, testing::ElementsAre("accelerators", "board"));
  EXPECT_EQ(machine.lines[0].usd, Range{});
  EXPECT_DOUBLE_EQ(*machine.lines[1].usd.typical, 120000);
  EXPECT_FALSE(machine.inputs.rent_usd_per_h.has_value());
}

TEST(PriceMachine, GivenInputsWinAndHaveNoRange) {
  MachineSpec spec;
  spec.accelerators = {{"h800-sxm", 8}};
  spec.given = {{"rent_usd_per_h", 16}, {"utilisation", 1}};
  const PricedMachine machine = Price(spec);
  EXPECT_EQ(machine.pay, Pay::kRent);
  const Range usd = UsdPerUsefulHour(machine.inputs, machine.pay);
  EXPECT_EQ(usd, (Range{16, 16, 16}));
  spec.pay = Pay::kBuy;
  EXPECT_EQ(Price(spec).pay, Pay::kBuy);
}

TEST(PriceMachine, RefusesWhatItCannotPrice) {
  MachineSpec spec;
  EXPECT_THAT(ErrorOf(spec), HasSubstr("neither accelerators nor processors"));
  spec.accelerators = {{"h100-smx", 8}};
  EXPECT_THAT(ErrorOf(spec), HasSubstr("h100-sxm"));
  spec.accelerators = {{"epyc-9654", 1}};
  EXPECT_THAT(ErrorOf(spec), HasSubstr("list it under 'processors'"));
  spec.accelerators = {};
  spec.processors = {{"h100-sxm", 1}};
  EXPECT_THAT(ErrorOf(spec), HasSubstr("list it under 'accelerators'"));
  spec.processors = {{"epyc-9654", 0}};
  EXPECT_THAT(ErrorOf(spec), HasSubstr("use 1 or more"));
  spec.processors = {{"epyc-9654", 1}};
  spec.dram_gib = -1;
  EXPECT_THAT(ErrorOf(spec), AllOf(HasSubstr("dram_gib"), HasSubstr("at least 0")));
  spec.dram_gib = 1;
  spec.given = {{"life_years", 0}};
  EXPECT_THAT(ErrorOf(spec), HasSubstr("above 0"));
  spec.given = {};
  spec.nodes = 0;
  EXPECT_THAT(ErrorOf(spec), HasSubstr("0 nodes"));
}

// MoE-CAP's own cost program, for comparison: it charges every run the whole purchase price x 1.25 and the energy x 1.2, so
// that an hour and a second cost the same. Eight A100 at 19,000 USD and 400 W, one processor at 7,214 USD and 350 W, 0.15
// USD/kWh.
TEST(PriceMachine, SpreadsThePriceThatMoeCapChargesAtOnce) {
  const double capital = 8 * 19000 + 7214, kilowatts = (8 * 400 + 350) / 1000.0;
  EXPECT_NEAR(capital * 1.25 + kilowatts * 0.15 * 1.2, 199018.14, 0.005);
  EXPECT_NEAR(capital * 1.25 + kilowatts / 3600 * 0.15 * 1.2, 199017.50, 0.005);
  MachineSpec spec;
  spec.accelerators = {{"a100-80-sxm", 8}};
  spec.dram_gib = spec.ssd_gb = 0;
  spec.given = {{"accelerators_usd", 152000}, {"cpu_usd", 7214},  {"board_usd", 0},         {"life_years", 3},
                {"discount_rate", 0},         {"utilisation", 1}, {"residual_fraction", 0}, {"opex_fraction_per_year", 0}};
  const auto hour = OwnedCostPerHour(Price(spec).inputs);
  ASSERT_TRUE(hour);
  EXPECT_NEAR(hour->capital_usd_per_h, capital / (3 * 8760), 1e-9);
  EXPECT_LT(hour->usd_per_h, 8);
}

constexpr const char* kFile = R"(name: a node
nodes: 2
accelerators:
  - {id: h100-sxm, count: 8}
processors: [{id: xeon-8480p, count: 2}]
dram_gib: 2048
dram: server
ssd_gb: 3e4
network_usd: 100
pay: rent
cost: {utilisation: 0.5, rent_usd_per_h: 20}
work:
  - {name: prefill, machines: 1.5, input_tokens_per_s: 70000}
  - {name: decode, machines: 2, output_tokens_per_s: 15000, requests_per_s: 3}
)";

TEST(ParseMachineFile, ReadsEveryPart) {
  const auto file = ParseMachineFile(kFile, "m.yaml");
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(file->machine.name, "a node");
  EXPECT_EQ(file->machine.accelerators.at(0).count, 8);
  EXPECT_EQ(file->machine.ssd_gb, 30000);
  EXPECT_EQ(file->machine.pay, Pay::kRent);
  EXPECT_EQ(file->machine.given.at("rent_usd_per_h"), 20);
  ASSERT_EQ(file->pools.size(), 2u);
  EXPECT_EQ(file->pools[0].machines, 1.5);
  const auto again = ParseMachineFile(DumpJson(ToJson(file->machine)), "again");
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_EQ(ToJson(again->machine), ToJson(file->machine));
}

TEST(ParseMachineFile, ErrorsNameLineKeyAndRemedy) {
  const auto error = [](const std::string& text) {
    const auto file = ParseMachineFile(text, "m.yaml");
    EXPECT_FALSE(file.ok()) << text;
    return file.ok() ? "" : file.error().message;
  };
  const std::string start = "accelerators: [{id: h100-sxm}]\n";
  EXPECT_THAT(error(start + "dram_gb: 5\n"), AllOf(HasSubstr("m.yaml:2:"), HasSubstr("did you mean \"dram_gib\"?")));
  EXPECT_THAT(error(start + "dram_gib: 2 TB\n"), AllOf(HasSubstr("m.yaml:2:"), HasSubstr("must be a number, not \"2 TB\"")));
  EXPECT_THAT(error(start + "dram_gib: -1\n"), AllOf(HasSubstr("m.yaml:2:"), HasSubstr("at least 0")));
  EXPECT_THAT(error(start + "cost:\n  cpu_usd: 1\n  life_years: 0\n"), AllOf(HasSubstr("m.yaml:4:"), HasSubstr("above 0")));
  EXPECT_THAT(error(start + "cost: {energy_usd_per_kw: 1}\n"), HasSubstr("energy_usd_per_kwh"));
  EXPECT_THAT(error(start + "pay: steal\n"), HasSubstr("known: buy, rent"));
  EXPECT_THAT(error("accelerators: h100\n"), HasSubstr("must be a list"));
  EXPECT_THAT(error("accelerators: [{count: 8}]\n"), HasSubstr("\"id\" is missing"));
  EXPECT_THAT(error("accelerators: [{id: h100-sxm, count: 0}]\n"), HasSubstr("between 1 and"));
  EXPECT_THAT(error("name: empty\n"), HasSubstr("neither accelerators nor processors"));
  EXPECT_THAT(error(start + "work: []\n"), HasSubstr("list of pools"));
  EXPECT_THAT(error(start + "work: [{machines: 1}]\n"), AllOf(HasSubstr("m.yaml:2:"), HasSubstr("no work")));
  EXPECT_THAT(error(start + "work: [{output_tokens_per_s: -1}]\n"), HasSubstr("cannot be negative"));
  EXPECT_THAT(error(start + "work: [{output_tokens_per_s: 1, prefill_share: 1.5}]\n"), HasSubstr("more than 1"));
  EXPECT_THAT(error(start + "work: [{output_tokens_per_s: 1, cached_share: 0.5}]\n"), HasSubstr("cached_tokens_per_s"));
}

TEST(HourOf, SharesAreKnownOrFollowFromTheTokens) {
  PoolRates rates;
  rates.machines = 2;
  rates.output_tokens_per_s = 100;
  Pool pool = HourOf(rates, 5);
  EXPECT_DOUBLE_EQ(pool.work.node_s, 7200);
  EXPECT_EQ(pool.work.prefill_s, 0);
  EXPECT_DOUBLE_EQ(*pool.work.decode_s, 7200);
  EXPECT_DOUBLE_EQ(*DivideBill(5, pool.work).usd_per_million_output_tokens, 5e6 / 360000);
  rates.input_tokens_per_s = 300;
  EXPECT_FALSE(HourOf(rates, 5).work.prefill_s.has_value()) << "nobody said how the time divides";
  rates.prefill_share = 0.25;
  rates.cached_tokens_per_s = 50;
  rates.cached_share = 0.15;
  pool = HourOf(rates, 5);
  EXPECT_DOUBLE_EQ(*pool.work.prefill_s, 1800);
  EXPECT_DOUBLE_EQ(*pool.work.cached_s, 1080);
  EXPECT_DOUBLE_EQ(*pool.work.decode_s, 4320);
}

// Every example prices, with nothing unknown that the file does not intend.
TEST(Examples, AreAllPriced) {
  const std::filesystem::path dir = std::filesystem::path(MOECAP_SOURCE_DIR) / "examples/machines";
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(dir)) {
    if (entry.path().extension() != ".yaml") continue;
    const auto file = ParseMachineFile(*ReadFile(entry.path()), entry.path().filename().string());
    ASSERT_TRUE(file.ok()) << file.error().message;
    const PricedMachine machine = Price(file->machine);
    EXPECT_TRUE(CostPerHour(machine.inputs, machine.pay).has_value()) << entry.path();
    ++files;
  }
  EXPECT_EQ(files, 5);
}

TEST(Examples, DeepSeeksDayGivesItsBill) {
  const auto file = ParseMachineFile(
      *ReadFile(std::filesystem::path(MOECAP_SOURCE_DIR) / "examples/machines/deepseek-day6.yaml"), "deepseek-day6.yaml");
  ASSERT_TRUE(file.ok()) << file.error().message;
  const PricedMachine machine = Price(file->machine);
  const auto hour = CostPerHour(machine.inputs, machine.pay);
  EXPECT_DOUBLE_EQ(hour->usd_per_useful_h, 16);
  std::vector<Pool> pools;
  for (const PoolRates& rates : file->pools) pools.push_back(HourOf(rates, hour->usd_per_useful_h));
  const TokenCost cost = CombinePools(pools);
  EXPECT_NEAR(cost.bill_usd * 24, 87072, 1);
  EXPECT_NEAR(*cost.usd_per_million_input_tokens, 0.0603, 5e-5);
  EXPECT_NEAR(*cost.usd_per_million_output_tokens, 0.300, 5e-4);
}

}  // namespace
}  // namespace moecap::cost
