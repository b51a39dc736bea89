// `moecap audit` as its users run it. What the verdicts must be is worked out here once more, with formulas of this test only.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "base/fs.h"
#include "base/json.h"
#include "base/testing/temp_dir.h"
#include "program.h"

namespace moecap::e2e {
namespace {
namespace fs = std::filesystem;
using testing::HasSubstr;

class AuditCli : public testing::Test {
 protected:
  Outcome Call(const std::string& arguments) const { return ShellProgram(dir_, "audit " + arguments); }
  void ExpectRefused(const std::string& text, const std::vector<std::string>& parts) const {
    std::ofstream(dir_ / "bad.yaml") << text;
    const Outcome outcome = Call("bad.yaml --write-to report");
    EXPECT_EQ(outcome.exit_code, 2) << text;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    for (const std::string& part : parts) EXPECT_THAT(outcome.err, HasSubstr(part));
    EXPECT_EQ(outcome.out, "");
    EXPECT_FALSE(fs::exists(dir_ / "report")) << "nothing is half-written";
  }
  static std::string Examples() { return "'" MOECAP_SOURCE_DIR "/examples/paper'"; }

  TempDir temp_;
  const fs::path dir_ = temp_.path();
};

// A decoder of equal layers with grouped-query attention and gated experts, untied tables.
struct Shape {
  double layers, hidden, query_dim, kv_dim, width, experts, top_k, vocab;
};
double Params(const Shape& s, double chosen) {
  const double attention = 2 * s.hidden * s.query_dim + 2 * s.hidden * s.kv_dim;
  return s.layers * (attention + chosen * 3 * s.hidden * s.width + s.experts * s.hidden) + 2 * s.vocab * s.hidden;
}
constexpr Shape kDbrx{40, 6144, 6144, 1024, 10752, 16, 4, 100352};
constexpr Shape kMixtral22{56, 6144, 6144, 1024, 16384, 8, 2, 32000};
constexpr Shape kMixtral7{32, 4096, 4096, 1024, 14336, 8, 2, 32000};
constexpr Shape kQwen235{94, 4096, 8192, 512, 1536, 128, 8, 151936};

const char* Verdict(bool agrees) { return agrees ? "agrees" : "differs"; }
bool Rounds(double value, double printed, double digit) { return std::abs(value - printed) <= digit / 2; }

// total and active of a Table 1 row, in billions printed to `digit`; active in any of the conventions between both ends.
const char* Row(const Shape& shape, double total, double active) {
  const double tables = 2 * shape.vocab * shape.hidden;
  const double most = Params(shape, shape.top_k), least = most - tables;
  const bool active_fits = least <= (active + 0.5) * 1e9 && most >= (active - 0.5) * 1e9;
  return Verdict(Rounds(Params(shape, shape.experts), total * 1e9, 1e9) && active_fits);
}

// Distinct share of a uniform batch of 8: the upper end of our estimate.
double UniformShare(double total, double routed, double experts, double top_k) {
  return 1 - routed / total * std::pow(1 - top_k / experts, 8);
}

using Verdicts = std::map<std::string, std::string>;

void ExpectModels(Verdicts& expected) {
  // Table 1. Switch-C: 30 layers of 2048 experts of 2 x 2080 x 6144, of which one is chosen: far from 12e9 active.
  expected["table1_models/switch-c"] = Verdict(Rounds(128, 2048, 1));
  expected["table1_models/dbrx"] = Row(kDbrx, 132, 36);
  expected["table1_models/mixtral-8x22b"] = Row(kMixtral22, 141, 39);
  expected["table1_models/qwen3-235b"] = Row(kQwen235, 235, 22);
  // Arctic: 128 experts of width 4864 and a dense part of the same width in each of 35 layers; printed to tens of billions.
  const Shape arctic{35, 7168, 7168, 1024, 4864, 129, 2, 32000};
  expected["table1_models/arctic"] = Verdict(Rounds(Params(arctic, 129), 480e9, 10e9));
  // Grok-1: 64 layers, 8 experts of width 32768; tied table. Neither 314e9 nor 77e9.
  const Shape grok{64, 6144, 6144, 1024, 32768, 8, 2, 131072 / 2.};
  expected["table1_models/grok-1"] = Verdict(Rounds(Params(grok, 8), 314e9, 1e9));
  expected["table1_models/deepseek-r1"] = Verdict(Rounds(671026419200, 671e9, 1e9));
  expected["table1_models/qwen1.5-moe"] = Verdict(Rounds(14315784192, 14.3e9, 0.1e9) && 5632 / 1408 == 4);
  expected["table1_models/qwen1.5-moe-experts"] =
      Verdict(60 == 64 || 60 + 5632 / 1408 == 64);  // routed, or with the shared ones
  expected["table1_models/moonlight"] = Verdict(Rounds(15960110208, 16e9, 1e9));
}

void ExpectActivationAndBandwidth(Verdicts& expected) {
  // Section 4.3. The lower ends of the estimate lie 5 to 10 points below the published shares of the first two models. R1's
  // published share is less than the estimate, but a batch whose tokens choose alike activates no more than one token does.
  expected["activation/deepseek-v2-lite"] = Verdict(0.5305 < UniformShare(15706484224, 26. * 64 * 3 * 2048 * 1408, 64, 6));
  expected["activation/qwen1.5-moe"] = Verdict(0.4679 < UniformShare(14315784192, 24. * 60 * 3 * 2048 * 1408, 60, 4));
  const double one_token = 1 - 58. * 256 * 3 * 7168 * 2048 / 671026419200 * (1 - 8 / 256.);
  expected["activation/deepseek-r1"] = one_token < 0.1844 ? "not computable" : "differs";
  expected["bandwidth/r1-tpot-0.1s"] = Verdict(1008 >= 1040);
  expected["bandwidth/dgx-h100-power"] = 8 * 700 <= 10200 ? "not computable" : "differs";  // what else is in the box?
  expected["bandwidth/rtx-4090-power"] = Verdict(Rounds(450, 450, 1));
  // Batch 16 chooses at least 64 (1 - 1 / (1 + 16 x 6 / 64)) experts when their popularity has CV 1, each of 3 x 2048 x 1408
  // parameters in 26 layers; the rest of the model but the input embedding is read too. 204.8 GB/s at an S-MBU of 1 would do,
  // and nobody published the S-MBU of that device.
  const double idle = 26 * 64 / (1 + 16 * 6 / 64.) * 3 * 2048 * 1408;
  const double bytes16 = 2 * (15706484224 - 102400. * 2048 - idle);
  expected["bandwidth/dsv2-lite-tpot-0.25s"] = bytes16 <= 0.25 * 204.8e9 ? "not computable" : "differs";
}

void ExpectRadarAndTables(Verdicts& expected) {
  // Fig. 1.
  expected["radar/qwen3-30b-radar"] =
      Verdict(Rounds(20 + 80 * (150 - 73.) / (150 - 58), 86.96, 0.01) && Rounds(20 + 80 * (8000 - 3800.) / 8000, 62, 1) &&
              Rounds(20 + 80 * (0.911 - 0.8) / 0.2, 64.4, 0.1));
  expected["radar/offload-saving"] = Verdict(Rounds(1 - 3800. / 8920, 0.57, 0.01));
  expected["radar/offload-latency"] = Verdict(Rounds(150. / 58, 2.6, 0.1));
  expected["radar/fp8-throughput"] = "not computable";
  // Tables 2 and 3: the error is within the bound as points, though not as a share of the value.
  expected["utilisation/s-mfu-mixtral-8x7b"] = Verdict(Rounds(0.0085 - 0.0080, 0.0005, 1e-9));
  expected["utilisation/s-mfu-deepseek-v2-lite"] = Verdict(0.0004 - 0.0003 < 0.0005);
  expected["utilisation/s-mbu"] = Verdict(0.3391 - 0.3312 < 0.01);
  // Table 6: 2 FLOPs for each active parameter and token.
  const double qwen15 = 24 * (4. * 2048 * 2048 + 12. * 2048 * 1408 + 3. * 2048 * 5632);
  expected["utilisation/qwen1.5-moe-a100"] = Verdict(Rounds(41.3253 * 2 * qwen15 / 312e12, 0.0056, 0.00001));
  const Shape qwen30{48, 2048, 4096, 512, 768, 128, 8, 0};
  expected["utilisation/qwen3-30b-4xa6000"] =
      Verdict(Rounds(1343.1684 * 2 * Params(qwen30, 8) / (4 * 154.8e12), 0.00208, 0.00001));
  Shape qwen235 = kQwen235;
  qwen235.vocab = 0;
  expected["utilisation/qwen3-235b-8xh20"] =
      Verdict(Rounds(1792.0811 * 2 * Params(qwen235, 8) / (8 * 148e12), 0.01616, 0.00001));
  Shape head_only = kMixtral7;
  head_only.vocab /= 2;
  expected["utilisation/vanilla-mbu"] = Verdict(Params(head_only, 8) / Params(head_only, 2) - 1 > 2.6);
  expected["utilisation/multi-node"] = expected["utilisation/azure-burst"] = "not computable";
  expected["overhead_cost/profiling-overhead"] = Verdict((24 - 20.) / 20 <= 0.027);
  expected["overhead_cost/prefill-throughput"] = expected["overhead_cost/lighter-server"] = "not computable";
  // Table 7 by weights, prices and watts alone: four boards of 24 GiB hold 30.5 billion parameters in 16 bits, one holds them
  // in 4; three more boards cost less than the processor that would stand behind one; one board with its host takes less than
  // eight; half the bytes of 8-bit weights are faster; 16-bit ones on eight boards are what is left for their accuracy.
  const double board = 0.9 * 24 * 1073741824;
  expected["decision_matrix/workstation-latency"] = Verdict(30.5e9 * 2 < 4 * board);
  expected["decision_matrix/workstation-cost"] = Verdict(30.5e9 * 0.57 > board);
  expected["decision_matrix/workstation-accuracy"] = Verdict(9999 < 3 * 2250.);
  expected["decision_matrix/datacentre-accuracy"] = Verdict(1 * 500. + 750 < 8 * 400.);
  expected["decision_matrix/datacentre-throughput-power"] = Verdict(8 * 0.57 > 8);
  expected["decision_matrix/datacentre-throughput-accuracy"] = Verdict(235e9 * 2 < 8 * 0.9 * 96 * 1073741824.);
  // 8 x 15000 for the accelerators and at least 27 USD for each of 2048 GiB of DRAM at today's prices; the paper lists no part.
  expected["overhead_cost/server-8xa100"] = 8 * 15000. + 2048 * 27. + 2 * 11500 <= 176500 ? "agrees" : "not computable";
  expected["overhead_cost/rtx-6000-ada-power"] = Verdict(Rounds(300, 300, 1));
}

TEST_F(AuditCli, VerdictsOfTheExamples) {
  const Outcome outcome = Call(Examples() + " --json");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const Json json = ParseJson(outcome.out).value();
  Verdicts expected;
  ExpectModels(expected);
  ExpectActivationAndBandwidth(expected);
  ExpectRadarAndTables(expected);
  std::map<std::string, int> counts;
  size_t claims = 0;
  for (const Json& file : json["files"]) {
    const std::string stem = fs::path(file["file"].get<std::string>()).stem().string();
    for (const Json& claim : file["claims"]) {
      const std::string name = stem + "/" + claim["id"].get<std::string>();
      ASSERT_TRUE(expected.contains(name)) << name;
      EXPECT_EQ(claim["verdict"], expected.at(name)) << name;
      ++counts[claim["verdict"]];
      ++claims;
      EXPECT_FALSE(claim["source"].get<std::string>().empty());
      if (claim["verdict"] == "not computable") {
        EXPECT_TRUE(!claim["missing"].empty() || !claim["reasons"].empty()) << name << " does not say why";
      }
    }
  }
  EXPECT_EQ(claims, expected.size());
  EXPECT_EQ(json["claims"]["agrees"], counts["agrees"]);
  EXPECT_EQ(json["claims"]["differs"], counts["differs"]);
  EXPECT_EQ(json["claims"]["not_computable"], counts["not computable"]);
}

// Rows of a public board: what its own figures leave of the number of devices that it counts.
TEST_F(AuditCli, RowsOfABoardAgainstPhysics) {
  const Outcome outcome = Call("'" MOECAP_SOURCE_DIR "/examples/boards' --json");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const Json json = ParseJson(outcome.out).value();
  size_t rows = 0, too_many = 0;
  for (const Json& claim : json["files"][0]["claims"]) {
    ++rows;
    const std::string id = claim["id"];
    // Eight devices counted as 64, four as 16: tensor times expert parallelism of the same devices.
    const bool doubled = id.find("x64-") != std::string::npos || id.find("b300-sglang-fp4-x16-") != std::string::npos;
    too_many += doubled;
    EXPECT_EQ(claim["verdict"], doubled ? "differs" : "agrees") << id;
  }
  EXPECT_GE(rows, 100u);
  EXPECT_EQ(too_many, 20u);
}

TEST_F(AuditCli, FiguresOfTheJsonAddUp) {
  const Json json = ParseJson(Call(Examples() + " --json").out).value();
  std::map<std::string, int> counts;
  for (const Json& file : json["files"]) {
    for (const Json& claim : file["claims"]) {
      for (const Json& figure : claim["figures"]) {
        ++counts[figure["verdict"]];
        if (!figure["published"].is_number() || !figure["computed"].is_number()) continue;
        const double published = figure["published"], computed = figure["computed"];
        EXPECT_DOUBLE_EQ(figure["difference"].get<double>(), computed - published) << figure.dump();
      }
    }
  }
  EXPECT_EQ(json["figures"]["agrees"], counts["agrees"]);
  EXPECT_EQ(json["figures"]["differs"], counts["differs"]);
  EXPECT_EQ(json["figures"]["not_computable"], counts["not computable"]);
}

TEST_F(AuditCli, TextFits80ColumnsAndSaysWhy) {
  const Outcome outcome = Call(Examples());
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  size_t cells = 0;
  for (const char c : outcome.out) {
    if (c == '\n') {
      EXPECT_LE(cells, 80u);
      cells = 0;
    } else if ((static_cast<unsigned char>(c) & 0xC0) != 0x80) {
      ++cells;
    }
  }
  EXPECT_THAT(outcome.out, HasSubstr("18901 GB/s"));
  EXPECT_THAT(outcome.out, HasSubstr("Table 1: model characteristics"));
}

TEST_F(AuditCli, WritesTablesAndFigures) {
  const Outcome outcome = Call(Examples() + " --write-to report");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(ReadFile(dir_ / "report/audit.md").value(), HasSubstr("| total parameters | 671B | 671B |"));
  EXPECT_TRUE(ParseJson(ReadFile(dir_ / "report/audit.json").value()).ok());
  for (const char* name : {"radar-qwen3-30b-radar.svg", "hardware-map-r1-tpot-0-1s.svg", "sparsity-curve-activation.svg"}) {
    EXPECT_THAT(ReadFile(dir_ / "report" / name).value(), HasSubstr("<svg")) << name;
    EXPECT_THAT(ReadFile(dir_ / "report/audit.md").value(), HasSubstr(name));
  }
}

TEST_F(AuditCli, RefusesBadFiles) {
  const std::string head = "publication: P\ntitle: T\nclaims:\n  - id: a\n    source: s\n";
  ExpectRefused(head + "    kind: radar\n", {"bad.yaml:6: unknown kind \"radar\"", "cap_radar"});
  ExpectRefused(head + "    kind: activated_share\n    published: {activated_share: 0.5}\n",
                {"bad.yaml:4: \"model\" is missing"});
  ExpectRefused(head + "    kind: activated_share\n    model: Qwen3-30B-A3\n    published: {activated_share: 0.5}\n",
                {"bad.yaml:7: ", "did you mean 'Qwen/Qwen3-30B-A3B'"});
  ExpectRefused(head + "    kind: device_power\n    device: h20\n    published: {tdp_kw: 0.4}\n", {"bad.yaml:8: ", "tdp_w"});
  ExpectRefused(head + "    kind: device_power\n    device: h20\n    published: {tdp_w: 400 W}\n",
                {"bad.yaml:8: ", "plain number"});
  ExpectRefused("a: [", {"bad.yaml:", "not valid YAML"});
  const Outcome absent = Call("no-such-folder");
  EXPECT_EQ(absent.exit_code, 2);
  EXPECT_THAT(absent.err, HasSubstr("no-such-folder"));
  fs::create_directory(dir_ / "empty");
  EXPECT_THAT(Call("empty").err, HasSubstr("no .yaml file"));
}

}  // namespace
}  // namespace moecap::e2e
