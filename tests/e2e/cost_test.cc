// `moecap cost` and the tiers of `moecap metrics` as their users run them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/fs.h"
#include "base/json.h"
#include "base/testing/temp_dir.h"
#include "program.h"

namespace moecap::e2e {
namespace {
namespace fs = std::filesystem;

using testing::AllOf;
using testing::HasSubstr;

class CostCli : public testing::Test {
 protected:
  Outcome Call(const std::string& arguments) const { return ShellProgram(dir_, arguments); }
  void Write(const std::string& name, const std::string& text) const { std::ofstream(dir_ / name) << text; }
  Json CallJson(const std::string& arguments) const {
    const Outcome outcome = Call(arguments + " --json");
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    auto json = ParseJson(outcome.out);
    EXPECT_TRUE(json.ok());
    return json.ok() ? *std::move(json) : Json();
  }
  // Exit code 2, nothing on stdout, one line on stderr.
  std::string Refused(const std::string& arguments) const {
    const Outcome outcome = Call(arguments);
    EXPECT_EQ(outcome.exit_code, 2) << arguments;
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(outcome.err.find('\n'), outcome.err.size() - 1) << outcome.err;
    return outcome.err;
  }
  static std::string Example(const std::string& name) {
    return (fs::path(MOECAP_SOURCE_DIR) / "examples/machines" / (name + ".yaml")).string();
  }

  TempDir temp_;
  const fs::path dir_ = temp_.path();
};

TEST_F(CostCli, DeepSeeksDay) {
  const Json json = CallJson("cost " + Example("deepseek-day6"));
  EXPECT_EQ(json["pay"], "rent");
  const Json& tokens = json["tokens"];
  EXPECT_NEAR(tokens["usd_per_million_input_tokens"].get<double>(), 0.0603, 5e-5);
  EXPECT_NEAR(tokens["usd_per_million_output_tokens"].get<double>(), 0.300, 5e-4);
  EXPECT_NEAR(tokens["bill_usd_per_day"].get<double>(), 87072, 1);
  const double parts = tokens["input_usd_per_h"].get<double>() + tokens["cached_usd_per_h"].get<double>() +
                       tokens["output_usd_per_h"].get<double>();
  EXPECT_NEAR(parts, tokens["bill_usd_per_h"].get<double>(), 1e-6);
  const Outcome text = Call("cost " + Example("deepseek-day6"));
  EXPECT_THAT(text.out, AllOf(HasSubstr("a day of this: 87072 USD"), HasSubstr("226.75 machines, rented")));
}

TEST_F(CostCli, BuyAndRentSideBySideWithRanges) {
  const Json json = CallJson("cost " + Example("8xh100"));
  const Json &buy = json["buy"]["usd_per_useful_h"], &rent = json["rent"]["usd_per_useful_h"];
  for (const Json& range : {buy, rent, json["purchase_usd"]}) {
    EXPECT_LT(range["low"].get<double>(), range["typical"].get<double>());
    EXPECT_LT(range["typical"].get<double>(), range["high"].get<double>());
  }
  double bill = 0;
  for (const Json& line : json["bill_of_materials"]) {
    bill += line["price_usd"]["typical"].get<double>();
    EXPECT_FALSE(line["source"].get<std::string>().empty());
  }
  EXPECT_NEAR(bill, json["purchase_usd"]["typical"].get<double>(), 0.01);
  // At the break-even utilisation both cost the same, when idle hours draw nothing and rent stops with the work.
  const double even = json["break_even_utilisation"].get<double>();
  EXPECT_GT(even, 0.3);
  EXPECT_LT(even, 1);
  EXPECT_GT(json["tokens"]["usd_per_million_output_tokens"], json["tokens"]["usd_per_million_cached_tokens"]);
  EXPECT_GT(json["kg_co2_per_h_under_load"].get<double>(), 1);
  const Json rented = CallJson("cost " + Example("8xh100") + " --pay rent --utilisation 0.35");
  EXPECT_EQ(rented["pay"], "rent");
  EXPECT_NEAR(rented["rent"]["usd_per_useful_h"]["typical"].get<double>(), 23.6 / 0.35, 1e-9);
}

TEST_F(CostCli, FlagsReplaceTheWorkOfTheFile) {
  const std::string machine = Example("epyc-ktransformers");
  EXPECT_TRUE(CallJson("cost " + machine)["tokens"].is_null());
  const Json json = CallJson("cost " + machine + " --output-tokens-per-s 10");
  const double hour = json["buy"]["usd_per_useful_h"]["typical"].get<double>();
  EXPECT_NEAR(json["tokens"]["usd_per_million_output_tokens"].get<double>(), hour / 36000 * 1e6, 1e-9);
  const Json both = CallJson("cost " + machine + " --output-tokens-per-s 10 --input-tokens-per-s 50");
  EXPECT_TRUE(both["tokens"]["usd_per_million_output_tokens"].is_null()) << "the division is not known";
  EXPECT_NEAR(both["tokens"]["usd_per_million_output_tokens_all_in"].get<double>(), hour / 36000 * 1e6, 1e-9);
  EXPECT_THAT(Call("cost " + machine + " --output-tokens-per-s 10 --input-tokens-per-s 50").out, HasSubstr("--prefill-share"));
}

TEST_F(CostCli, AUsersPriceList) {
  Write("p.json", R"({"prices":[{"key":"h100-sxm.price_usd","typical":20000,"source":"quote","date":"2026-09"}]})");
  const Json json = CallJson("cost " + Example("8xh100") + " --prices p.json");
  EXPECT_EQ(json["bill_of_materials"][0]["price_usd"]["typical"], 160000);
  Write("p.json", R"({"prices":[{"key":"h100-sxm.price_usd","typical":-1,"source":"quote","date":"2026-09"}]})");
  EXPECT_THAT(Refused("cost " + Example("8xh100") + " --prices p.json"),
              AllOf(HasSubstr("p.json"), HasSubstr("price 1"), HasSubstr("negative")));
  Write("p.json", R"({"prices":[{"key":"dram_usd","typical":1,"source":"quote","date":"2026-09"}]})");
  EXPECT_THAT(Refused("cost " + Example("8xh100") + " --prices p.json"), HasSubstr("unknown price 'dram_usd'"));
  EXPECT_THAT(Refused("cost " + Example("8xh100") + " --prices absent.json"), HasSubstr("absent.json"));
}

TEST_F(CostCli, BadInputIsNamedWithItsPlace) {
  EXPECT_THAT(Refused("cost absent.yaml"), HasSubstr("absent.yaml"));
  const auto refused = [&](const std::string& line, const std::string& flags = "") {
    Write("m.yaml", "accelerators: [{id: h100-sxm}]\n" + line + "\n");
    return Refused("cost m.yaml " + flags);
  };
  EXPECT_THAT(refused("cost: {cpu_usd: -5}"), AllOf(HasSubstr("m.yaml:2:"), HasSubstr("'cpu_usd' is -5")));
  EXPECT_THAT(refused("cost: {life_years: 0}"), AllOf(HasSubstr("m.yaml:2:"), HasSubstr("above 0 and at most 100 (years)")));
  EXPECT_THAT(refused("dram_tb: 2"), AllOf(HasSubstr("m.yaml:2:"), HasSubstr("unknown key \"dram_tb\"")));
  EXPECT_THAT(refused("dram_gib: 2TB"), HasSubstr("must be a number, not \"2TB\""));
  EXPECT_THAT(refused("pay: rent", "--utilisation 0"), HasSubstr("utilisation"));
  EXPECT_THAT(refused("ssd_gb: 1", "--output-tokens-per-s -1"), HasSubstr("negative"));
  EXPECT_THAT(refused("ssd_gb: 1", "--prefill-share 0.5"), HasSubstr("need the rates"));
  Write("m.yaml", "accelerators: [{id: h100-xsm}]\n");
  EXPECT_THAT(Refused("cost m.yaml"), AllOf(HasSubstr("m.yaml"), HasSubstr("h100-sxm")));
  Write("m.yaml", "accelerators: [{id: h100-nvl}]\n");
  EXPECT_THAT(Refused("cost m.yaml --pay rent"), HasSubstr("rent_usd_per_h"));
}

TEST_F(CostCli, TiersOfMetrics) {
  Write(
      "passes.jsonl",
      R"({"schema":1,"kind":"decode","start_s":0,"latency_s":0.5,"sequences":[{"context_tokens":100,"new_tokens":1}],"distinct_experts":8})"
      "\n");
  Write("one.yaml", "tiers: [{name: HBM, device: h100-sxm}]\n");
  const std::string metrics = "metrics passes.jsonl --model Qwen/Qwen3-30B-A3B --device h100-sxm --tiers ";
  const Json one = CallJson(metrics + "one.yaml");
  EXPECT_DOUBLE_EQ(one["tiers"]["all"]["s_mbu_overlapped"].get<double>(), one["all"]["s_mbu"].get<double>());
  EXPECT_DOUBLE_EQ(one["tiers"]["all"]["s_mbu_serial"].get<double>(), one["all"]["s_mbu"].get<double>());
  EXPECT_EQ(one["tiers"]["tiers"][0]["price_usd"], 30000);
  Write("two.yaml",
        "tiers:\n  - {name: HBM, device: h100-sxm}\n"
        "  - {name: DRAM, memory: ddr5-4800, count: 8, capacity_gib: 512, routed_share: 0.5, copy_over: pcie5-x16}\n");
  const Json two = CallJson(metrics + "two.yaml");
  EXPECT_GT(two["tiers"]["all"]["s_mbu_serial"], two["tiers"]["all"]["s_mbu_overlapped"]);
  EXPECT_GT(two["tiers"]["all"]["s_mbu_overlapped"], one["all"]["s_mbu"]) << "slower memory, nearer to its limit";
  EXPECT_EQ(two["tiers"]["tiers"][1]["ceiling_bytes_per_s"], 63e9);
  EXPECT_EQ(two["tiers"]["tiers"][1]["price_usd"], 512 * 32);
  EXPECT_THAT(Call(metrics + "two.yaml").out, AllOf(HasSubstr("at once"), HasSubstr("in turn")));
  EXPECT_THAT(Refused(metrics + "two.yaml --tp 2"), HasSubstr("leave out --tp"));
  Write("bad.yaml", "tiers:\n  - {name: HBM, device: h100-sxm, routed_share: 0.4}\n");
  EXPECT_THAT(Refused(metrics + "bad.yaml"), AllOf(HasSubstr("bad.yaml"), HasSubstr("routed_share sums to 0.4")));
  EXPECT_EQ(Call("metrics passes.jsonl --model Qwen/Qwen3-235B-A22B --weights Q4_0 --tiers '" +
                 (fs::path(MOECAP_SOURCE_DIR) / "examples/tiers/rtx4090-ddr5-ssd.yaml").string() + "'")
                .exit_code,
            0);
}

}  // namespace
}  // namespace moecap::e2e
