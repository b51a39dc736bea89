// Every kind of claim against a hand-computed case. The claims go through the reader, as files do.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "audit/claim_file.h"
#include "audit/evaluate.h"
#include "metrics/batch_curve.h"
#include "routing/estimate.h"

namespace moecap::audit {
namespace {
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

class Claims : public testing::Test {
 protected:
  Claims()
      : models_(model::ModelCatalogue::Builtin().value()),
        devices_(hardware::Catalogue::Builtin().value()),
        prices_(cost::PriceBook::Parse(cost::PriceBook::BuiltinText()).value()) {}

  // `body`: the keys of one claim after id, source and kind, indented by four.
  Result<ClaimReport> TryEvaluate(const std::string& kind, const std::string& body) const {
    const auto file = ParseClaimFile(
        fmt::format("publication: P\ntitle: T\nclaims:\n  - id: c\n    source: S\n    kind: {}\n{}", kind, body), "f.yaml");
    if (!file.ok()) return file.error();
    return Evaluate(file->claims.at(0), {models_, devices_, prices_});
  }
  ClaimReport Evaluated(const std::string& kind, const std::string& body) const {
    auto report = TryEvaluate(kind, body);
    EXPECT_TRUE(report.ok()) << report.error().message;
    return report.ok() ? *report : ClaimReport();
  }
  model::ModelSpec Spec(const char* id) const { return model::SpecOf(models_.Find(id).value(), id).value(); }

  model::ModelCatalogue models_;
  hardware::Catalogue devices_;
  cost::PriceBook prices_;
};

const Figure& Find(const ClaimReport& report, const std::string& quantity) {
  for (const Figure& figure : report.figures) {
    if (figure.quantity == quantity) return figure;
  }
  ADD_FAILURE() << "no figure " << quantity;
  return report.figures.at(0);
}

// Qwen3-30B-A3B has 61 GB in bf16, 17 GB in 4 bits; an RTX A5000 gives out 0.9 x 24 GiB = 23 GB. By cost one board with the
// experts on it is the best where any weights will do; where none but the original do, three more boards cost less than a host
// for them.
TEST_F(Claims, DecisionRows) {
  const auto row = [&](const char* goals, const char* published) {
    return Evaluated("decision_row", fmt::format("    model: Qwen/Qwen3-30B-A3B\n    device: rtx-a5000\n    most_devices: 4\n"
                                                 "    batches: [1]\n    goals: {}\n    published: {}\n",
                                                 goals, published));
  };
  const ClaimReport fits = row("[cost, latency]", "{systems: [ktransformers], weights: quantised, experts: offloaded}");
  EXPECT_EQ(fits.Overall(), Verdict::kDiffers);
  EXPECT_EQ(fits.figures.at(0).computed_text, "vllm, quantised");
  EXPECT_THAT(fits.reasons.at(0), HasSubstr("1 x RTX A5000"));
  const ClaimReport held = row("[accuracy, cost]", "{systems: [moe-infinity], weights: original, experts: offloaded}");
  EXPECT_EQ(held.Overall(), Verdict::kDiffers) << held.reasons.at(0);
  EXPECT_EQ(held.figures.at(0).computed_text, "vllm, original");
  const ClaimReport fast = row("[latency, accuracy]", "{systems: [vllm, sglang], weights: original, experts: devices}");
  EXPECT_EQ(fast.Overall(), Verdict::kAgrees) << fast.reasons.at(0);
  EXPECT_FALSE(TryEvaluate("decision_row",
                           "    model: Qwen/Qwen3-30B-A3B\n    device: rtx-a5000\n    most_devices: 4\n"
                           "    batches: [1]\n    goals: [beauty]\n"
                           "    published: {systems: [vllm], weights: original, experts: devices}\n")
                   .ok());
}

TEST_F(Claims, ModelParameters) {
  const ClaimReport report = Evaluated("model_parameters",
                                       "    model: mistralai/Mixtral-8x22B-v0.1\n"
                                       "    published: {total_params: 141e9, active_params: 39e9, experts: 8, top_k: 2}\n");
  const double d = 6144, attention = 2 * d * d + 2 * d * 1024, expert = 3 * d * 16384, router = 8 * d, norms = 2 * d;
  const double ends = 2 * 32000 * d + d;
  EXPECT_DOUBLE_EQ(*Find(report, "total parameters").computed, 56 * (attention + 8 * expert + router + norms) + ends);
  EXPECT_DOUBLE_EQ(*Find(report, "active parameters").computed, 56 * (attention + 2 * expert + router + norms) + ends);
  EXPECT_DOUBLE_EQ(*Find(report, "active parameters").low, 56 * (attention + 2 * expert + router + norms) + d);
  EXPECT_EQ(report.Overall(), Verdict::kAgrees);
}

TEST_F(Claims, SharedExpertsAreCountedInRoutedWidths) {
  const ClaimReport report = Evaluated("model_parameters",
                                       "    model: Qwen/Qwen1.5-MoE-A2.7B\n"
                                       "    published: {shared_experts: 4}\n");
  EXPECT_DOUBLE_EQ(*report.figures.at(0).computed, 5632.0 / 1408);
  EXPECT_THAT(report.reasons, Contains(HasSubstr("1 shared expert module of width 5632, as wide as 4 routed experts of 1408")));
}

TEST_F(Claims, ACountOfExpertsMayIncludeTheSharedOnes) {
  const auto verdict = [&](const char* model, int experts) {
    return Evaluated("model_parameters", fmt::format("    model: {}\n    published: {{experts: {}}}\n", model, experts))
        .Overall();
  };
  EXPECT_EQ(verdict("Qwen/Qwen1.5-MoE-A2.7B", 60), Verdict::kAgrees);
  EXPECT_EQ(verdict("Qwen/Qwen1.5-MoE-A2.7B", 64), Verdict::kAgrees) << "60 and one as wide as four";
  EXPECT_EQ(verdict("Qwen/Qwen1.5-MoE-A2.7B", 61), Verdict::kAgrees) << "60 and one module";
  EXPECT_EQ(verdict("Qwen/Qwen1.5-MoE-A2.7B", 62), Verdict::kDiffers);
  EXPECT_EQ(verdict("deepseek-ai/DeepSeek-R1", 257), Verdict::kAgrees);
  EXPECT_EQ(verdict("Qwen/Qwen3-30B-A3B", 129), Verdict::kDiffers) << "it has no shared expert";
}

// What rests on assumptions contradicts nothing that they could give.
TEST_F(Claims, AssumedInputsDoNotContradict) {
  const auto power = [&](int devices, int watts) {
    return Evaluated("device_power",
                     fmt::format("    device: h100-sxm\n    devices: {}\n    published: {{tdp_w: {}}}\n", devices, watts));
  };
  const ClaimReport system = power(8, 10200);
  EXPECT_EQ(system.Overall(), Verdict::kNotComputable);
  EXPECT_THAT(system.missing, Contains(HasSubstr("whole system")));
  EXPECT_EQ(power(8, 5600).Overall(), Verdict::kAgrees);
  EXPECT_EQ(power(8, 4000).Overall(), Verdict::kDiffers) << "less than the accelerators alone";
  EXPECT_EQ(power(1, 900).Overall(), Verdict::kDiffers);
  const ClaimReport server = Evaluated("server_cost",
                                       "    device: a100-80-sxm\n    devices: 8\n    processor: epyc-9654\n    processors: 2\n"
                                       "    dram_gib: 2048\n    published: {cost_usd: 176000}\n");
  EXPECT_EQ(server.Overall(), Verdict::kNotComputable);
  EXPECT_FALSE(server.missing.empty());
  // 40 % of DeepSeek-R1 is more than eight tokens can choose.
  const ClaimReport share = Evaluated(
      "activated_share", "    model: deepseek-ai/DeepSeek-R1\n    batch: 8\n    published: {activated_share: 0.40}\n");
  EXPECT_EQ(share.Overall(), Verdict::kDiffers);
}

TEST_F(Claims, RowsOfBoards) {
  const auto row = [&](const std::string& published, int devices, const char* more = "") {
    return Evaluated("board_row", fmt::format("    model: deepseek-ai/DeepSeek-R1\n    device: h200-sxm\n    devices: {}\n"
                                              "    precision: fp8\n    concurrency: 4\n{}    published: {{{}}}\n",
                                              devices, more, published));
  };
  EXPECT_EQ(row("tpot_s: 0.0138, output_tokens_per_s_per_device: 34.3", 8).Overall(), Verdict::kAgrees);
  const ClaimReport counted_twice = row("tpot_s: 0.0138, output_tokens_per_s_per_device: 34.3", 64);
  EXPECT_EQ(counted_twice.Overall(), Verdict::kDiffers);
  EXPECT_NEAR(*Find(counted_twice, "requests in flight, at least").computed, 64 * 34.3 * 0.0138, 1e-9);
  // 37e9 active weights of a byte over 8 x 4.8 TB/s take about a millisecond.
  const ClaimReport fast = row("tpot_s: 0.0005", 8);
  EXPECT_EQ(fast.Overall(), Verdict::kDiffers);
  EXPECT_NEAR(*Find(fast, "floor of the TPOT").computed, 37e9 / (8 * 4.8e12), 1e-4);
  EXPECT_EQ(row("tpot_s: 0.0005", 8, "    speculative: true\n").Overall(), Verdict::kNotComputable);
  EXPECT_EQ(row("s_mbu: 1.2", 8).Overall(), Verdict::kDiffers);
}

TEST_F(Claims, WrongCountsAreExplained) {
  const ClaimReport report = Evaluated("model_parameters",
                                       "    model: google/switch-c-2048\n"
                                       "    published: {total_params: 1571e9, active_params: 12e9, experts: 128, top_k: 1}\n");
  EXPECT_EQ(Judge(Find(report, "total parameters")), Verdict::kAgrees);
  EXPECT_EQ(Judge(Find(report, "active parameters")), Verdict::kDiffers);
  EXPECT_DOUBLE_EQ(*Find(report, "routed experts").computed, 2048);
  // 1571 / 128 = 12.27
  EXPECT_THAT(report.reasons, Contains("The published active count is the published total x 1 / 128 = 12.27B."));
  EXPECT_THAT(report.reasons, Contains(HasSubstr("encoder-decoder: 15 of its 30 layers")));
}

struct ShareCase {
  const char* model;
  double experts, top_k, published;
  double total, routed;                  // parameters, by hand
  double uniform_whole, uniform_routed;  // reference values, in percent
  Verdict verdict;
};

TEST_F(Claims, ActivatedShareWithItsBand) {
  const ShareCase cases[] = {
      {"deepseek-ai/DeepSeek-V2-Lite", 64, 6, 0.5305, 15706484224, 26. * 64 * 3 * 2048 * 1408, 58.3, 54.50, Verdict::kAgrees},
      {"Qwen/Qwen1.5-MoE-A2.7B", 60, 4, 0.4679, 14315784192, 24. * 60 * 3 * 2048 * 1408, 49.9, 42.42, Verdict::kAgrees},
      {"deepseek-ai/DeepSeek-R1", 256, 8, 0.1844, 671026419200, 58. * 256 * 3 * 7168 * 2048, 24.4, 22.43,
       Verdict::kNotComputable}};
  for (const ShareCase& each : cases) {
    const ClaimReport report = Evaluated(
        "activated_share",
        fmt::format("    model: {}\n    batch: 8\n    published: {{activated_share: {}}}\n", each.model, each.published));
    const Figure& whole = Find(report, "of the whole model");
    const double routed = 1 - std::pow(1 - each.top_k / each.experts, 8);
    EXPECT_NEAR(*whole.high, 1 - each.routed / each.total * (1 - routed), 1e-9) << each.model;
    EXPECT_NEAR(100 * *whole.high, each.uniform_whole, 0.05) << each.model;
    EXPECT_NEAR(*Find(report, "of the routed experts").high, routed, 1e-12) << each.model;
    EXPECT_NEAR(100 * routed, each.uniform_routed, 0.01) << each.model;
    const int64_t batch = 8;
    const double curve = metrics::DecodeCurve(Spec(each.model), {&batch, 1}, {.context_tokens = 0}).at(0).activated_share;
    EXPECT_NEAR(*whole.computed, curve, 1e-12) << each.model;
    EXPECT_LT(*whole.low, *whole.computed);
    EXPECT_LT(*whole.computed, *whole.high);
    EXPECT_TRUE(whole.estimated);
    EXPECT_EQ(report.Overall(), each.verdict) << each.model;
  }
}

TEST_F(Claims, EffectiveBatchOfATracedShare) {
  const ClaimReport report = Evaluated("activated_share",
                                       "    model: deepseek-ai/DeepSeek-R1\n    batch: 8\n"
                                       "    published: {activated_share: 0.1844}\n");
  // Routed experts: 1 - (1 - 8/256)^B = 0.1844 for B = ln(1 - 0.1844) / ln(1 - 1/32) = 6.42.
  EXPECT_NEAR(std::log(1 - 0.1844) / std::log(1 - 1 / 32.0), 6.42, 0.01);
  EXPECT_THAT(report.reasons, Contains(HasSubstr("6.4 (routed experts) instead of 8")));
}

constexpr const char* kBandwidthClaim =
    "    model: deepseek-ai/DeepSeek-R1\n    tpot_s: 0.1\n    bytes_per_param: 1\n    total_params: 671e9\n"
    "    active_params: 37e9\n    tolerance: 0.005\n"
    "    published: {full_activation_bytes_per_s: 18901e9, batch_1_bytes_per_s: 1040e9}\n"
    "    devices:\n      - {device: h100-sxm, devices: 8, line: full_activation}\n      - {device: rtx-4090, line: batch_1}\n";

TEST_F(Claims, RequiredBandwidthAndTheSMbuItImplies) {
  const ClaimReport report = Evaluated("required_bandwidth", kBandwidthClaim);
  EXPECT_DOUBLE_EQ(*Find(report, "all experts, S-MBU 1").computed, 6710e9);
  EXPECT_DOUBLE_EQ(*Find(report, "batch 1, S-MBU 1").computed, 370e9);
  EXPECT_NEAR(*Find(report, "S-MBU implied, all experts").computed, 6710.0 / 18901, 1e-12);
  EXPECT_NEAR(*Find(report, "S-MBU implied, batch 1").computed, 0.356, 0.0005);
  EXPECT_NEAR(*Find(report, "batch 1, S-MBU of all experts").computed, 370e9 * 18901 / 6710, 1);
  EXPECT_EQ(Judge(Find(report, "batch 1, S-MBU of all experts")), Verdict::kAgrees);
  EXPECT_NEAR(*Find(report, "all experts, S-MBU of batch 1").computed, 6710e9 * 1040 / 370, 1);
  EXPECT_DOUBLE_EQ(*Find(report, "8 x H100 SXM5").computed, 8 * 3350e9);
  EXPECT_EQ(Judge(Find(report, "GeForce RTX 4090")), Verdict::kDiffers);  // 1008 < 1040 GB/s
  // Ours: all parameters but the embedding table of 129280 x 7168, which a step does not read.
  EXPECT_NEAR(*Find(report, "ours, all experts, S-MBU 1").computed, (671026419200.0 - 129280.0 * 7168) / 0.1, 1);
}

// A step of DeepSeek-V2-Lite in BF16, with the program's estimate of the distinct experts.
double EstimatedBytes(double batch) {
  const double distinct = routing::DistinctExpertsBetaBinomial(64, 6, batch), expert = 3.0 * 2048 * 1408;
  return 2 * (15706484224 - 102400.0 * 2048 - 26 * (64 - distinct) * expert + batch * 2048 + batch * 27 * 576);
}

TEST_F(Claims, ATiedEmbeddingIsReadAsTheHead) {
  std::string claim = kBandwidthClaim;
  claim.replace(claim.find("deepseek-ai/DeepSeek-R1"), 23, "xai-org/grok-1");
  const ClaimReport report = Evaluated("required_bandwidth", claim);
  EXPECT_NEAR(*Find(report, "ours, all experts, S-MBU 1").computed,
              static_cast<double>(Spec("xai-org/grok-1").TotalParams()) / 0.1, 1);
}

TEST_F(Claims, BatchLimitByHand) {
  // A step of DeepSeek-V2-Lite in BF16: everything but the input embedding and the experts that are not chosen; one embedding
  // row and 27 x 576 new cache elements a sequence.
  const auto bytes = [](double batch) {
    const double total = 15706484224, embedding = 102400.0 * 2048, expert = 3.0 * 2048 * 1408;
    const double idle = 26 * 64 * expert * std::pow(1 - 6 / 64.0, batch);
    return 2 * (total - embedding - idle + batch * 2048 + batch * 27 * 576);
  };
  const double s_mbu = 6710.0 / 18901;
  int64_t by_hand = 0;
  for (const int64_t batch : {1, 2, 4, 8, 16, 32}) {
    if (bytes(static_cast<double>(batch)) <= 0.25 * s_mbu * 204.8e9) by_hand = batch;
  }
  const ClaimReport report = Evaluated(
      "batch_limit",
      "    model: deepseek-ai/DeepSeek-V2-Lite\n    tpot_s: 0.25\n    bytes_per_param: 2\n    context_tokens: 0\n"
      "    used_bytes_per_s: 6710e9\n    needed_bytes_per_s: 18901e9\n    batches: [1, 2, 4, 8, 16, 32]\n"
      "    published: [{device: jetson-agx-orin-64, largest_batch: 16}, {device: jetson-orin-nx-16, largest_batch: 4}]\n");
  EXPECT_DOUBLE_EQ(*report.figures.at(0).low, static_cast<double>(by_hand));  // the low end is uniform routing
  EXPECT_EQ(Judge(report.figures.at(0)), Verdict::kNotComputable) << "the S-MBU is that of another device";
  EXPECT_THAT(report.missing, Contains(HasSubstr("the S-MBU on Jetson AGX Orin")));
  // Published 16 and 4: each must be kept and the next batch, 32 and 8, must not.
  const double low = std::max(EstimatedBytes(16) / 204.8e9, EstimatedBytes(4) / 102.4e9) / 0.25;
  const double high = std::min(EstimatedBytes(32) / 204.8e9, EstimatedBytes(8) / 102.4e9) / 0.25;
  EXPECT_THAT(report.reasons,
              Contains(fmt::format("An S-MBU from {:.3f} to {:.3f} would give every published batch.", low, high)));
  EXPECT_THAT(report.reasons, Contains(HasSubstr("do not fit into the 17.2 GB of Jetson Orin NX 16GB")));
}

TEST_F(Claims, RadarOfFigure1) {
  const ClaimReport report = Evaluated(
      "cap_radar",
      "    cost_ticks_usd: [0, 2000, 4000, 6000, 8000, 10000]\n    systems:\n"
      "      - {name: A, tpot_s: 0.058, cost_usd: 8920, accuracy: 0.911, published: {performance_score: 100, cost_score: 20, "
      "accuracy_score: 64.4, class: PA}}\n"
      "      - {name: B, tpot_s: 0.073, cost_usd: 3800, accuracy: 0.800, published: {performance_score: 86.96, cost_score: 62, "
      "accuracy_score: 20, class: PC}}\n"
      "      - {name: C, tpot_s: 0.150, cost_usd: 3800, accuracy: 0.911, published: {performance_score: 20, cost_score: 62, "
      "accuracy_score: 64.4, class: PA}}\n");
  EXPECT_NEAR(*Find(report, "B, performance").computed, 20 + 80 * (0.150 - 0.073) / (0.150 - 0.058), 1e-9);
  EXPECT_NEAR(*Find(report, "B, cost").computed, 20 + 80 * (8000.0 - 3800) / 8000, 1e-9);
  EXPECT_NEAR(*Find(report, "A, accuracy").computed, 20 + 80 * (0.911 - 0.8) / (1 - 0.8), 1e-9);
  EXPECT_EQ(Judge(Find(report, "A, class")), Verdict::kAgrees);
  EXPECT_EQ(Find(report, "C, class").computed_text, "CA");
  EXPECT_EQ(Judge(Find(report, "C, class")), Verdict::kDiffers);
  EXPECT_THAT(report.reasons, Contains(HasSubstr("A: its 8920 USD are cut to 8000")));
}

TEST_F(Claims, OneSystemAloneHasNoRadar) {
  const ClaimReport report = Evaluated(
      "cap_radar",
      "    cost_ticks_usd: [0, 2000, 4000]\n    systems:\n"
      "      - {name: A, tpot_s: 0.058, cost_usd: 8920, accuracy: 0.911, published: {performance_score: 100, class: PA}}\n");
  EXPECT_EQ(Judge(Find(report, "A, performance")), Verdict::kNotComputable);
  EXPECT_EQ(Judge(Find(report, "A, class")), Verdict::kNotComputable);
  EXPECT_THAT(report.missing, Contains(HasSubstr("a second system")));
}

TEST_F(Claims, ErrorsOfTables) {
  const std::string rows =
      "      - {batch: 1, ours: 0.0167, profiled: 0.0188}\n"
      "      - {batch: 128, ours: 0.3312, profiled: 0.3391}\n"
      "      - {batch: 4, ours: 0.03, profiled: 0.04}\n";
  const ClaimReport read =
      Evaluated("s_mbu_table", "    published: {most_relative_error: 0.01, most_difference: 0.01}\n    rows:\n" + rows);
  EXPECT_EQ(read.Overall(), Verdict::kAgrees) << "it holds as points, and the words can mean those";
  EXPECT_EQ(Judge(Find(read, "relative error at batch 1")), Verdict::kNone);
  const ClaimReport report = Evaluated("s_mbu_table", "    published: {most_relative_error: 0.01}\n    rows:\n" + rows);
  const Figure& first = Find(report, "relative error at batch 1");
  EXPECT_NEAR(*first.computed, 21.0 / 188, 1e-12);  // 11.2 %
  EXPECT_EQ(Judge(first), Verdict::kDiffers);
  EXPECT_NEAR(*first.low, 1 - 0.01675 / 0.01875, 1e-12);
  EXPECT_NEAR(*first.high, 1 - 0.01665 / 0.01885, 1e-12);
  EXPECT_EQ(Judge(Find(report, "relative error at batch 4")), Verdict::kNotComputable) << "0.035 / 0.035 is possible";
  EXPECT_NEAR(*Find(report, "largest difference, points").computed, 0.01, 1e-12);
  EXPECT_EQ(Judge(Find(read, "largest difference, points")), Verdict::kAgrees);
  EXPECT_THAT(report.missing, Contains("distinct experts of a step"));
}

TEST_F(Claims, UtilisationOfTable6) {
  const ClaimReport report =
      Evaluated("utilisation",
                "    model: Qwen/Qwen1.5-MoE-A2.7B\n    device: a100-80-pcie\n    tokens_per_s: 41.3253\n"
                "    published: {s_mfu: 0.00560, s_mbu: 0.03796}\n");
  // Eq. 5: attention 4 d^2, top-4 of width 1408, shared width 5632, router 60; and the scores of one position.
  const double d = 2048, layer = 4 * d * d + 4 * 3 * d * 1408 + 3 * d * 5632 + 60 * d;
  const double flops = 24 * (2 * layer + 4 * d);
  EXPECT_NEAR(*Find(report, "S-MFU, linear part").computed, 41.3253 * flops / 312e12, 0.002 * 0.00055);
  EXPECT_NEAR(*Find(report, "S-MFU, linear part").computed, 0.00055, 0.000005);
  EXPECT_EQ(Judge(Find(report, "S-MFU, linear part")), Verdict::kDiffers);
  EXPECT_EQ(Judge(Find(report, "S-MBU")), Verdict::kNotComputable);
  EXPECT_THAT(report.missing, ElementsAre("batch size", "context lengths", "distinct experts of a step"));
  EXPECT_THAT(report.reasons, Contains(HasSubstr("one sequence alone reads 4.13 GB a token")));
}

TEST_F(Claims, UtilisationOfTheOtherRowsOfTable6) {
  const ClaimReport a6000 = Evaluated("utilisation",
                                      "    model: Qwen/Qwen3-30B-A3B\n    device: rtx-a6000\n    devices: 4\n"
                                      "    tokens_per_s: 1343.1684\n    published: {s_mfu: 0.00208}\n");
  EXPECT_NEAR(*a6000.figures.at(0).computed, 0.01185, 0.00001);
  const ClaimReport h20 = Evaluated("utilisation",
                                    "    model: Qwen/Qwen3-235B-A22B\n    device: h20\n    devices: 8\n"
                                    "    tokens_per_s: 1792.0811\n    published: {s_mfu: 0.01616}\n");
  EXPECT_NEAR(*h20.figures.at(0).computed, 0.06340, 0.00002);
}

TEST_F(Claims, UtilisationWithEveryInputIsComputed) {
  const ClaimReport report = Evaluated("utilisation",
                                       "    model: mistralai/Mixtral-8x7B-v0.1\n    device: a100-80-pcie\n    devices: 2\n"
                                       "    tokens_per_s: 10\n    batch: 2\n    context_tokens: 1000\n"
                                       "    published: {s_mfu: 0.0004, s_mbu: 0.07}\n");
  const double d = 4096, attention = 2 * d * d + 2 * d * 1024, expert = 3 * d * 14336;
  const double distinct = routing::DistinctExpertsBetaBinomial(8, 2, 2);
  const double bytes = 2 * 32 * (attention + distinct * expert) + 2 * 2 * 32 * 2 * 1024 * 1001.0;  // of two sequences
  EXPECT_NEAR(*Find(report, "S-MBU").computed, 10 / 2.0 * bytes / (2 * 1935e9), 1e-9);
  const double flops = 32 * (2 * (attention + 2 * expert + 8 * d) + 4 * d * 1001.0);
  EXPECT_NEAR(*Find(report, "S-MFU").computed, 10 * flops / (2 * 312e12), 1e-9);
  EXPECT_TRUE(report.missing.empty());
}

TEST_F(Claims, VanillaOverestimate) {
  const ClaimReport report = Evaluated("vanilla_overestimate",
                                       "    model: mistralai/Mixtral-8x7B-v0.1\n    batches: [1, 64]\n"
                                       "    published: {overestimate: 2.60}\n");
  const double d = 4096, attention = 2 * d * d + 2 * d * 1024, expert = 3 * d * 14336, rest = attention + 8 * d + 2 * d;
  const double ends = 32000 * d + d + d;  // head, final norm, one embedding row
  const double kv = 32 * 2 * 1024;        // one new token
  const double sparse = 32 * (rest + 2 * expert) + ends + kv, vanilla = 32 * (rest + 8 * expert) + ends + kv;
  EXPECT_NEAR(*Find(report, "at batch 1").computed, vanilla / sparse - 1, 1e-6);
  EXPECT_FALSE(Find(report, "at batch 1").estimated) << "one token chooses exactly top-k experts";
  EXPECT_TRUE(Find(report, "at batch 64").estimated);
  EXPECT_EQ(report.Overall(), Verdict::kAgrees);
}

TEST_F(Claims, ProfilingOverhead) {
  const ClaimReport report =
      Evaluated("profiling_overhead",
                "    published: {most_ttft_increase: 0.027, most_tpot_increase: 0.022, most_ttft_increase_s: 0.008, "
                "most_tpot_increase_s: 0.004}\n    rows:\n"
                "      - {system: X, ttft_before_s: 0.020, ttft_after_s: 0.024, tpot_before_s: 0.059, tpot_after_s: 0.063}\n"
                "      - {system: Y, ttft_before_s: 0.173, ttft_after_s: 0.176, tpot_before_s: 0.179, tpot_after_s: 0.183, "
                "listed_ttft_increase_s: 0.006}\n");
  EXPECT_NEAR(*Find(report, "X, TTFT").computed, 0.2, 1e-12);
  EXPECT_EQ(Judge(Find(report, "X, TTFT")), Verdict::kDiffers);
  EXPECT_NEAR(*Find(report, "X, TPOT").computed, 4.0 / 59, 1e-12);
  EXPECT_EQ(Judge(Find(report, "Y, TTFT")), Verdict::kAgrees);  // 1.7 %
  EXPECT_NEAR(*Find(report, "Y, listed TTFT").computed, 0.003, 1e-12);
  EXPECT_EQ(Judge(Find(report, "Y, listed TTFT")), Verdict::kDiffers);
  EXPECT_NEAR(*Find(report, "largest TPOT increase").computed, 0.004, 1e-12);
  EXPECT_EQ(Judge(Find(report, "largest TPOT increase")), Verdict::kAgrees);
}

TEST_F(Claims, ServerCostIsTheSumOfPublishedPrices) {
  const ClaimReport report = Evaluated("server_cost",
                                       "    device: a100-80-sxm\n    devices: 8\n    processor: epyc-9654\n    processors: 2\n"
                                       "    dram_gib: 2048\n    published: {cost_usd: 176000}\n");
  const auto typical = [&](const char* key) { return prices_.Find(key)->value; };
  const hardware::Device gpu = devices_.FindDevice("a100-80-sxm").value(), cpu = devices_.FindDevice("epyc-9654").value();
  // The rest of the host beside named processors makes up a share of the accelerators' price.
  const double host = typical("accelerator_host_fraction") * 8 * *gpu.price_usd.typical;
  ASSERT_GT(host, 2 * *cpu.price_usd.typical);
  const double by_hand = 8 * *gpu.price_usd.typical + host + 2048 * typical("server_dram_usd_per_gib");
  const Figure& purchase = report.figures.at(0);
  EXPECT_NEAR(*purchase.computed, by_hand, 1e-6);
  EXPECT_LT(*purchase.low, *purchase.computed);
  EXPECT_GT(*purchase.high, *purchase.computed);
  EXPECT_THAT(report.reasons, Contains(HasSubstr("SSD"))) << "what has no price is named";
}

TEST_F(Claims, Ratios) {
  const char* inputs = "    numerator: 3800\n    denominator: 8920\n";
  EXPECT_NEAR(*Evaluated("ratio", inputs + std::string("    published: {saving: 0.57}\n")).figures.at(0).computed,
              1 - 3800.0 / 8920, 1e-12);
  EXPECT_NEAR(*Evaluated("ratio", inputs + std::string("    published: {ratio: 0.43}\n")).figures.at(0).computed, 3800.0 / 8920,
              1e-12);
  const ClaimReport increase = Evaluated("ratio", inputs + std::string("    published: {increase: 0.5}\n"));
  EXPECT_NEAR(*increase.figures.at(0).computed, 3800.0 / 8920 - 1, 1e-12);
  EXPECT_EQ(increase.Overall(), Verdict::kDiffers);
}

TEST_F(Claims, DevicePower) {
  const ClaimReport report = Evaluated("device_power", "    device: rtx-4090\n    devices: 2\n    published: {tdp_w: 900}\n");
  EXPECT_DOUBLE_EQ(*report.figures.at(0).computed, 900);
  EXPECT_EQ(report.Overall(), Verdict::kAgrees);
  const ClaimReport unknown = Evaluated("device_power", "    device: m5-ultra\n    published: {tdp_w: 100}\n");
  EXPECT_EQ(unknown.Overall(), Verdict::kNotComputable);
  EXPECT_FALSE(unknown.missing.empty());
}

TEST_F(Claims, PrefillTableFindsTheCommonTokens) {
  const ClaimReport report = Evaluated("prefill_table",
                                       "    rows:\n      - {name: a, ttft_s: 0.06, tokens_per_s: 4166.67}\n"
                                       "      - {name: b, ttft_s: 0.40, tokens_per_s: 625}\n"
                                       "      - {name: c, ttft_s: 23.23, tokens_per_s: 561.82}\n");
  EXPECT_NEAR(*report.figures.at(0).computed, 250.0, 0.001);
  // b leaves the least room: 0.395 x 624.5 = 246.7 to 0.405 x 625.5 = 253.3.
  EXPECT_THAT(report.reasons, Contains(HasSubstr("2 of 3 rows stand for the same number (246.7 to 253.3)")));
  EXPECT_EQ(report.Overall(), Verdict::kNotComputable);
}

TEST_F(Claims, NotComputableNamesWhatIsMissing) {
  const ClaimReport report =
      Evaluated("not_computable", "    published: over 75x\n    missing: [throughput, power]\n    note: N.\n");
  EXPECT_EQ(report.Overall(), Verdict::kNotComputable);
  EXPECT_THAT(report.missing, ElementsAre("throughput", "power"));
  EXPECT_THAT(report.reasons, ElementsAre("N."));
}

TEST_F(Claims, UnknownNamesArePointedAt) {
  const auto model = TryEvaluate("activated_share", "    model: Qwen/Qwen3-30B-A3\n    published: {activated_share: 0.5}\n");
  ASSERT_FALSE(model.ok());
  EXPECT_EQ(model.error().kind, ErrorKind::kBadInput);
  EXPECT_THAT(model.error().message, HasSubstr("f.yaml:7: "));
  EXPECT_THAT(model.error().message, HasSubstr("did you mean 'Qwen/Qwen3-30B-A3B'"));
  const auto device = TryEvaluate("device_power", "    published: {tdp_w: 1}\n    device: rtx-4091\n");
  ASSERT_FALSE(device.ok());
  EXPECT_THAT(device.error().message, HasSubstr("f.yaml:8: "));
  EXPECT_THAT(device.error().message, HasSubstr("rtx-409"));
  const auto processor =
      TryEvaluate("server_cost", "    device: h20\n    processor: epyc-9645\n    dram_gib: 8\n    published: {cost_usd: 1}\n");
  ASSERT_FALSE(processor.ok());
  EXPECT_THAT(processor.error().message, HasSubstr("f.yaml:8: "));
}

}  // namespace
}  // namespace moecap::audit
