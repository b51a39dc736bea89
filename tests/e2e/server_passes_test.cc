// Servers whose truth is known: `moecap mock` computes each pass from a roofline, and tells the experts that it chose.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/json.h"
#include "program.h"

namespace moecap::e2e {
namespace {

namespace fs = std::filesystem;

class ServerPasses : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = fs::path(testing::TempDir()) / fmt::format("moecap_server_passes_{}", ::getpid());
    fs::remove_all(dir_);
    fs::create_directories(dir_ / "client");
  }
  void TearDown() override {
    for (const pid_t mock : mocks_) {
      ::kill(mock, SIGTERM);
      ::waitpid(mock, nullptr, 0);
    }
    fs::remove_all(dir_);
  }

  // Its address.
  std::string StartMock(std::vector<std::string> args) {
    const fs::path own = dir_ / fmt::format("mock{}", mocks_.size());
    fs::create_directories(own);
    args.insert(args.begin(), "mock");
    args.insert(args.end(), {"--ready-file", "ready"});
    mocks_.push_back(StartProgram(own, args));
    while (!fs::exists(own / "ready")) {
      EXPECT_EQ(::waitpid(mocks_.back(), nullptr, WNOHANG), 0) << "the mock ended: " << ReadFile(own / "err").value();
      if (HasFailure()) return "";
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    std::string url = ReadFile(own / "ready").value();
    url.pop_back();
    return url;
  }
  Json Run(const std::string& config, const std::vector<std::string>& flags = {}) {
    EXPECT_TRUE(WriteFileAtomically(dir_ / "client/run.yaml", config).ok());
    std::vector<std::string> args = {"run", "run.yaml", "--json"};
    args.insert(args.end(), flags.begin(), flags.end());
    const Outcome run = CallProgram(dir_ / "client", args);
    EXPECT_EQ(run.exit_code, 0) << run.err;
    auto json = ParseJson(run.out);
    EXPECT_TRUE(json.ok()) << run.out;
    return json.ok() ? *json : Json();
  }

  fs::path dir_;
  std::vector<pid_t> mocks_;
};

// The mock reads half of the bandwidth and takes no time besides, so a client that sees every pass finds an S-MBU of a half. A
// busy machine makes passes look longer, never shorter.
TEST_F(ServerPasses, SMbuIsThatOfTheRooflineBehindTheServer) {
  for (const char* dialect : {"vllm", "sglang"}) {
    const std::string url =
        StartMock({"--model", "mistralai/Mixtral-8x7B-v0.1", "--device", "h100-sxm", "--devices", "2", "--bandwidth-efficiency",
                   "0.5", "--overhead-s", "0", "--dialect", dialect, "--routed-experts"});
    const Json json = Run(fmt::format(
        "systems: [{{name: {0}, server: {{url: {1}}}, model: mistralai/Mixtral-8x7B-v0.1, machine: 2 x h100-sxm}}]\n"
        "workload: {{requests: 12, input_tokens: 32, output_tokens: 24}}\n"
        "load: {{clients: [1, 4]}}\nwarmup_requests: 4\nresults_dir: {0}\n",
        dialect, url));
    for (const Json& cell : json["systems"][0]["cells"]) {
      const Json& figures = cell["figures"];
      ASSERT_TRUE(figures["decode_s_mbu"].is_number()) << cell["notes"];
      EXPECT_LE(figures["decode_s_mbu"], 0.51) << dialect << cell["label"];
      EXPECT_GE(figures["decode_s_mbu"], 0.02) << dialect << cell["label"];
      EXPECT_GE(figures["decode_distinct_experts"], 2) << dialect << cell["label"];
      EXPECT_THAT(cell["notes"].dump(), testing::HasSubstr("the server told the experts of 100.0 % of them"));
      EXPECT_THAT(cell["estimates"].dump(), testing::HasSubstr("decode_s_mbu"));
    }
    EXPECT_EQ(json["systems"][0]["cells"][0]["figures"]["decode_distinct_experts"], 2) << "one token uses its top-k";
  }
}

// What the server does not tell is estimated from the sheet, by the run and by whoever reads its passes later.
TEST_F(ServerPasses, ASheetStandsForTheExpertsThatNobodyTold) {
  const std::string url = StartMock({"--model", "mistralai/Mixtral-8x7B-v0.1", "--device", "h100-sxm", "--devices", "2"});
  Json sheet = {{"schema", 1}, {"kind", "activation_sheet"}, {"origin", "vllm"}, {"experts", 8}, {"top_k", 2}};
  sheet["layers"] = Json::array();
  for (int layer = 0; layer < 32; ++layer) {
    sheet["layers"].push_back({{"layer", layer},
                               {"cv", 0.5},
                               {"entropy_bits", 2.8},
                               {"split_half_tv", 0.03},
                               {"popularity", {0.25, 0.2, 0.15, 0.1, 0.1, 0.08, 0.07, 0.05}}});
  }
  ASSERT_TRUE(WriteFileAtomically(dir_ / "client/sheet.json", sheet.dump()).ok());
  const Json json = Run(fmt::format(
      "systems: [{{name: s, server: {{url: {}}}, model: mistralai/Mixtral-8x7B-v0.1, machine: 2 x h100-sxm,\n"
      "           activation_sheet: sheet.json}}]\n"
      "workload: {{requests: 12, input_tokens: 32, output_tokens: 24}}\nload: {{clients: [4]}}\nwarmup_requests: 4\n",
      url));
  const Json& cell = json["systems"][0]["cells"][0];
  const Json& figures = cell["figures"];
  for (const char* key : {"decode_s_mbu", "prefill_s_mbu", "decode_distinct_experts"}) {
    const std::string low = std::string(key) + "_low", high = std::string(key) + "_high";
    ASSERT_TRUE(figures[low].is_number() && figures[high].is_number()) << key << " " << cell["notes"];
    EXPECT_LT(figures[low], figures[key]);
    EXPECT_LT(figures[key], figures[high]);
  }
  EXPECT_THAT(cell["notes"].dump(), testing::HasSubstr("activation sheet (recorded by vllm)"));
  fs::remove(dir_ / "client/sheet.json");
  const Outcome metrics =
      CallProgram(dir_ / "client", {"metrics", "results/" + json["run_id"].get<std::string>(), "--model",
                                    "mistralai/Mixtral-8x7B-v0.1", "--device", "h100-sxm", "--devices", "2", "--json"});
  ASSERT_EQ(metrics.exit_code, 0) << metrics.err;
  const Json read = *ParseJson(metrics.out);
  EXPECT_EQ(read["distinct_experts_estimate"]["activation_sheet"], true);
  EXPECT_NEAR(read["phases"]["decode"]["s_mbu"].get<double>(), figures["decode_s_mbu"].get<double>(), 1e-9);
}

// Ten times the price and a fifth of the time: the dear one keeps performance, the cheap one cost.
TEST_F(ServerPasses, TwoPricedServersAreClassedAsTheyWereMade) {
  const std::string fast = StartMock({"--model", "mistralai/Mixtral-8x7B-v0.1", "--ttft-s", "0.02", "--tpot-s", "0.004"});
  const std::string slow = StartMock({"--model", "mistralai/Mixtral-8x7B-v0.1", "--ttft-s", "0.1", "--tpot-s", "0.02"});
  const Json json = Run(fmt::format("systems:\n"
                                    "  - {{name: fast, server: {{url: {}}}, cost: {{rent_usd_per_h: 40}}}}\n"
                                    "  - {{name: slow, server: {{url: {}}}, cost: {{rent_usd_per_h: 1}}}}\n"
                                    "workload: {{requests: 8, input_tokens: 16, output_tokens: 16}}\n"
                                    "load: {{clients: [4]}}\nrepeats: 5\nwarmup_requests: 4\n",
                                    fast, slow),
                        {"--include-invalid"});  // whatever else this machine does meanwhile
  const Json& systems = json["judgement"]["verdicts"]["systems"];
  EXPECT_EQ(systems[0]["label"], "fast");
  EXPECT_EQ(systems[0]["letters"], "P") << systems;
  EXPECT_EQ(systems[1]["letters"], "C") << systems;
  const Json& pair = json["judgement"]["verdicts"]["pairs"][0];
  EXPECT_EQ(pair["performance"]["outcome"], "better");
  EXPECT_EQ(pair["cost"]["outcome"], "worse");
}

}  // namespace
}  // namespace moecap::e2e
