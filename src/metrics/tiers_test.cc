#include "metrics/tiers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "hardware/catalogue.h"
#include "metrics/tiers_file.h"

namespace moecap::metrics {
namespace {

using model::TensorClass;
using record::PassKind;
using record::PassRecord;
using testing::AllOf;
using testing::HasSubstr;

// `layers` MoE layers of 8 experts, 100 bytes each; attention 400 bytes a layer, head 200; one byte of KV a token and layer.
model::ModelSpec Moe(int layers = 2) {
  model::ModelSpec spec;
  spec.kv_bits = 8;
  model::LayerSpec layer;
  layer.attention.kind = model::AttentionKind::kGqa;
  layer.attention.caches = {{.elements = 1, .flops_per_entry = 2}};
  layer.ffn.experts = 8;
  layer.ffn.top_k = 2;
  layer.weights[TensorClass::kAttention] = {400, 400, 400, 400};
  layer.weights[TensorClass::kRoutedExpert] = {800, 800, 800, 800};
  spec.layers.assign(static_cast<size_t>(layers), layer);
  spec.ends[TensorClass::kHead] = {200, 200, 200, 200};
  return spec;
}

PassRecord Decode(std::vector<double> distinct, double latency_s, int64_t context = 9, int64_t count = 1) {
  PassRecord pass;
  pass.kind = PassKind::kDecode;
  pass.latency_s = latency_s;
  pass.sequences = {{context, 1, count}};
  pass.distinct_experts = std::move(distinct);
  return pass;
}

// All dense weights and KV in fast memory of 1000 B/s with a quarter of the experts; the rest in memory of 100 B/s.
TierSystem Hybrid() {
  TierSystem system;
  system.tiers.resize(2);
  system.tiers[0] = {.name = "HBM", .bandwidth_bytes_per_s = 1000, .routed_share = 0.25, .dense_share = 1, .kv_share = 1};
  system.tiers[1] = {.name = "DRAM", .bandwidth_bytes_per_s = 100, .routed_share = 0.75};
  return system;
}

TEST(ComputeTiers, MatchesAHandComputation) {
  // One pass, 4 distinct experts in each of 2 layers: dense 2 x 400 + 200 = 1000, KV 2 x (9 + 1) = 20, routed 800, of them a
  // quarter in HBM: 1220 bytes there (1.22 s) and 600 in DRAM (6 s).
  const std::vector<PassRecord> passes = {Decode({4, 4}, 10)};
  const TierUtilization tiers = ComputeTiers(Moe(), passes, Hybrid());
  const TierPhase& decode = tiers.decode;
  EXPECT_DOUBLE_EQ(*decode.tiers[0].bytes, 1220);
  EXPECT_DOUBLE_EQ(*decode.tiers[1].bytes, 600);
  EXPECT_DOUBLE_EQ(*decode.tiers[0].s_mbu, 0.122);
  EXPECT_DOUBLE_EQ(*decode.tiers[1].s_mbu, 0.6);
  EXPECT_DOUBLE_EQ(*decode.overlapped_s, 6);
  EXPECT_DOUBLE_EQ(*decode.serial_s, 7.22);
  EXPECT_DOUBLE_EQ(*decode.s_mbu_overlapped, 0.6);
  EXPECT_DOUBLE_EQ(*decode.s_mbu_serial, 0.722);
  EXPECT_EQ(tiers.prefill.passes, 0);
  EXPECT_THAT(tiers.read_shares, testing::ElementsAre(0.25, 0.75));
  EXPECT_DOUBLE_EQ(tiers.resident_bytes[0], 1000 + 400 + 20);
  EXPECT_DOUBLE_EQ(tiers.resident_bytes[1], 1200);
  EXPECT_TRUE(tiers.invalid.empty());
}

TEST(ComputeTiers, CopyingIsLimitedByTheLinkAndComputingInPlaceIsNot) {
  const std::vector<PassRecord> passes = {Decode({4, 4}, 100)};
  TierSystem copied = Hybrid();
  copied.tiers[1].link_bytes_per_s = 25;
  EXPECT_DOUBLE_EQ(*ComputeTiers(Moe(), passes, copied).decode.overlapped_s, 600.0 / 25);
  copied.tiers[1].link_bytes_per_s = 1e6;
  EXPECT_DOUBLE_EQ(*ComputeTiers(Moe(), passes, copied).decode.overlapped_s, 6) << "the memory itself";
}

TEST(ComputeTiers, AllInOneTierIsPlainSMbu) {
  TierSystem one;
  one.tiers = {{.name = "HBM", .bandwidth_bytes_per_s = 3350, .routed_share = 1, .dense_share = 1, .kv_share = 1}};
  const std::vector<PassRecord> passes = {Decode({4, 3}, 2), Decode({7, 8}, 3, 100, 4), Decode({2, 2}, 1.5, 7)};
  const Utilization plain = ComputeUtilization(Moe(), passes, {3350, 1e9, 1});
  for (const Placement placement : {Placement::kUniform, Placement::kStatic, Placement::kDynamic}) {
    one.placement = placement;
    const TierUtilization tiers = ComputeTiers(Moe(), passes, one);
    EXPECT_DOUBLE_EQ(*tiers.decode.tiers[0].bytes, *plain.decode.bytes);
    EXPECT_DOUBLE_EQ(*tiers.decode.s_mbu_overlapped, *plain.decode.s_mbu);
    EXPECT_DOUBLE_EQ(*tiers.decode.s_mbu_serial, *plain.decode.s_mbu);
    EXPECT_DOUBLE_EQ(*tiers.all.tiers[0].s_mbu, *plain.all.s_mbu);
  }
  // An empty second tier changes nothing.
  one.tiers.push_back({.name = "SSD", .bandwidth_bytes_per_s = 1});
  EXPECT_DOUBLE_EQ(*ComputeTiers(Moe(), passes, one).decode.s_mbu_serial, *plain.decode.s_mbu);
}

struct Random {
  std::mt19937_64 engine{7};
  double Upto(double most) { return std::uniform_real_distribution<double>(0, most)(engine); }
  TierSystem System() {
    TierSystem system;
    system.placement = std::array{Placement::kUniform, Placement::kStatic, Placement::kDynamic}[static_cast<size_t>(Upto(3))];
    system.tiers.resize(3);
    const double a = Upto(1), b = Upto(1 - a), d = Upto(1), k = Upto(1);
    for (Tier& tier : system.tiers) tier.bandwidth_bytes_per_s = 1 + Upto(1000);
    if (Upto(1) < 0.5) system.tiers[2].link_bytes_per_s = 1 + Upto(500);
    system.tiers[0].routed_share = a;
    system.tiers[1].routed_share = b;
    system.tiers[2].routed_share = 1 - a - b;
    system.tiers[0].dense_share = d;
    system.tiers[1].dense_share = 1 - d;
    system.tiers[0].kv_share = k;
    system.tiers[2].kv_share = 1 - k;
    return system;
  }
  std::vector<PassRecord> Passes(int layers) {
    std::vector<PassRecord> passes;
    for (int i = 0; i < 5; ++i) {
      std::vector<double> distinct;
      for (int layer = 0; layer < layers; ++layer) distinct.push_back(2 + std::floor(Upto(6.99)));
      passes.push_back(Decode(distinct, 1 + Upto(20), static_cast<int64_t>(Upto(50)), 1 + static_cast<int64_t>(Upto(3))));
    }
    return passes;
  }
};

// The same figures by a loop over passes, layers and tiers that shares no code with ComputeTiers.
TEST(ComputeTiers, EqualsASumOverPassesLayersAndTiers) {
  Random random;
  for (int trial = 0; trial < 50; ++trial) {
    const TierSystem system = random.System();
    ASSERT_TRUE(Validate(system).ok());
    const auto passes = random.Passes(3);
    double serial = 0, overlapped = 0;
    for (const PassRecord& pass : passes) {
      const auto count = static_cast<double>(pass.sequences[0].count);
      const double kv = 3 * count * static_cast<double>(pass.sequences[0].context_tokens + 1);
      double slowest = 0, held = 0;
      double seconds[3] = {0, 0, 0};
      std::vector<double> served(3, 0.0);
      for (size_t i = 0; i < 3; ++i) {
        const Tier& tier = system.tiers[i];
        const double before = held;
        held += tier.routed_share;
        double bytes = tier.dense_share * (3 * 400 + 200) + tier.kv_share * kv;
        for (size_t layer = 0; layer < 3; ++layer) {
          const double a = pass.distinct_experts[layer];
          const auto reads = [&](double f) {  // expert reads that a front of f serves
            if (f > 1 - 1e-6) return a;
            const double h = system.placement == Placement::kUniform  ? f
                             : system.placement == Placement::kStatic ? std::exp(0.8 * std::log(f))
                             : f < 0.1                                ? 4.65 * f
                                                                      : std::max(f, 0.42 + 0.45 * f);
            return std::min(a * h, 8 * f);
          };
          bytes += 100 * (reads(held) - (i == 0 ? 0 : reads(before)));
        }
        double bandwidth = tier.bandwidth_bytes_per_s;
        if (tier.link_bytes_per_s && *tier.link_bytes_per_s < bandwidth) bandwidth = *tier.link_bytes_per_s;
        seconds[i] = bytes / bandwidth;
        serial += seconds[i];
        slowest = std::max(slowest, seconds[i]);
      }
      overlapped += slowest;
    }
    const TierPhase decode = ComputeTiers(Moe(3), passes, system).decode;
    EXPECT_NEAR(*decode.serial_s, serial, 1e-9 * serial);
    EXPECT_NEAR(*decode.overlapped_s, overlapped, 1e-9 * overlapped);
  }
}

TEST(ComputeTiers, IsBoundedAndMonotone) {
  Random random;
  for (int trial = 0; trial < 50; ++trial) {
    TierSystem system = random.System();
    const auto passes = random.Passes(2);
    const TierPhase before = ComputeTiers(Moe(), passes, system).decode;
    EXPECT_LE(*before.overlapped_s, *before.serial_s * (1 + 1e-12));
    EXPECT_GE(*before.overlapped_s * 3, *before.serial_s * (1 - 1e-12));
    double bytes = 0;
    for (const auto& tier : before.tiers) bytes += *tier.bytes;
    EXPECT_NEAR(bytes, *ComputeUtilization(Moe(), passes, {1.0, 1.0, 1}).decode.bytes, 1e-6) << "no byte is lost";
    system.tiers[1].bandwidth_bytes_per_s *= 2;
    const TierPhase faster = ComputeTiers(Moe(), passes, system).decode;
    EXPECT_LE(*faster.serial_s, *before.serial_s);
    EXPECT_LE(*faster.overlapped_s, *before.overlapped_s);
  }
}

TEST(ComputeTiers, TheFullerTheFastTierTheShorter) {
  TierSystem system = Hybrid();
  const std::vector<PassRecord> passes = {Decode({3, 5}, 10)};
  for (const Placement placement : {Placement::kUniform, Placement::kStatic, Placement::kDynamic}) {
    system.placement = placement;
    double last = 1e9;
    for (double share = 0; share <= 1; share += 0.05) {
      system.tiers[0].routed_share = share;
      system.tiers[1].routed_share = 1 - share;
      const double serial = *ComputeTiers(Moe(), passes, system).decode.serial_s;
      EXPECT_LE(serial, last + 1e-9) << share;
      last = serial;
    }
  }
}

TEST(HitRate, MatchesItsMeasurementAndItsEnds) {
  for (const Placement placement : {Placement::kUniform, Placement::kStatic, Placement::kDynamic}) {
    EXPECT_EQ(HitRate(placement, 0), 0);
    EXPECT_EQ(HitRate(placement, 1), 1);
    double last = 0;
    for (double f = 0; f <= 1; f += 0.01) {
      EXPECT_GE(HitRate(placement, f), last) << f;
      EXPECT_GE(HitRate(placement, f), f - 1e-12) << f;
      last = HitRate(placement, f);
    }
  }
  // Read off the throughput of KTransformers on Qwen3-Next-80B: the fits are within 0.05 of it.
  const std::pair<double, double> pinned[] = {{0.1, 0.18}, {0.2, 0.27}, {0.3, 0.38}, {0.4, 0.51}, {0.5, 0.57},
                                              {0.6, 0.67}, {0.7, 0.77}, {0.8, 0.89}, {0.9, 0.95}};
  for (const auto& [f, hit] : pinned) EXPECT_NEAR(HitRate(Placement::kStatic, f), hit, 0.055) << f;
  const std::pair<double, double> cached[] = {{0.1, 0.46}, {0.2, 0.55}, {0.5, 0.65}};
  for (const auto& [f, hit] : cached) EXPECT_NEAR(HitRate(Placement::kDynamic, f), hit, 0.05) << f;
}

TEST(ReadShares, APopularTierServesNoMoreThanItHolds) {
  TierSystem system = Hybrid();
  system.placement = Placement::kStatic;
  EXPECT_DOUBLE_EQ(ReadShares(system, 2, 8)[0], std::pow(0.25, 0.8));
  EXPECT_DOUBLE_EQ(ReadShares(system, 8, 8)[0], 0.25) << "all experts are read: two of eight lie in front";
  system.tiers[0].read_share = 0.9;
  system.tiers[1].read_share = 0.1;
  EXPECT_DOUBLE_EQ(ReadShares(system, 2, 8)[0], 0.9) << "what a trace measured stands";
}

TEST(ComputeTiers, IsNullWithoutTheExpertsAndNamesWhatDoesNotFit) {
  std::vector<PassRecord> passes = {Decode({4, 4}, 10), Decode({}, 10)};
  TierSystem system = Hybrid();
  TierUtilization tiers = ComputeTiers(Moe(), passes, system);
  EXPECT_EQ(tiers.decode.passes, 2);
  EXPECT_FALSE(tiers.decode.serial_s.has_value());
  EXPECT_FALSE(tiers.decode.tiers[0].bytes.has_value());
  EXPECT_TRUE(tiers.read_shares.empty());
  passes.pop_back();
  system.tiers[1].capacity_bytes = 1199;
  passes[0].latency_s = 5;
  tiers = ComputeTiers(Moe(), passes, system);
  ASSERT_EQ(tiers.invalid.size(), 2u);
  EXPECT_THAT(tiers.invalid[0], AllOf(HasSubstr("does not fit into DRAM"), HasSubstr("1.20 kB")));
  EXPECT_THAT(tiers.invalid[1], HasSubstr("0.8333 of the least time"));
}

TEST(Validate, NamesTheTierAndTheShare) {
  const auto message = [](void (*change)(TierSystem&)) {
    TierSystem system = Hybrid();
    change(system);
    const Status status = Validate(system);
    EXPECT_FALSE(status.ok());
    return status.ok() ? "" : status.error().message;
  };
  EXPECT_TRUE(Validate(Hybrid()).ok());
  EXPECT_THAT(message([](TierSystem& s) { s.tiers.clear(); }), HasSubstr("no tiers"));
  EXPECT_THAT(message([](TierSystem& s) { s.tiers[1].bandwidth_bytes_per_s = 0; }), HasSubstr("DRAM"));
  EXPECT_THAT(message([](TierSystem& s) { s.tiers[1].link_bytes_per_s = -1; }), HasSubstr("link"));
  EXPECT_THAT(message([](TierSystem& s) { s.tiers[0].routed_share = 0.3; }), HasSubstr("routed_share sums to 1.05"));
  EXPECT_THAT(message([](TierSystem& s) { s.tiers[0].kv_share = -1; }), HasSubstr("kv_share is -1"));
  EXPECT_THAT(message([](TierSystem& s) { s.tiers[0].read_share = 0.5; }), HasSubstr("for all of them"));
  EXPECT_THAT(message([](TierSystem& s) { s.tiers[0].read_share = s.tiers[1].read_share = 0.4; }), HasSubstr("sums to 0.8"));
}

constexpr const char* kFile = R"(placement: static
tiers:
  - {name: VRAM, device: rtx-4090, routed_share: 0.1}
  - {name: DRAM, memory: ddr5-4800, count: 12, capacity_gib: 768, routed_share: 0.8}
  - {name: SSD, memory: nvme-gen4, copy_over: pcie4-x4, routed_share: 0.1, capacity_gib: 2000}
)";

TEST(ParseTiersFile, ReadsDevicesMemoriesAndLinks) {
  const auto catalogue = *hardware::Catalogue::Builtin();
  const auto file = ParseTiersFile(kFile, "t.yaml", catalogue);
  ASSERT_TRUE(file.ok()) << file.error().message;
  const auto& tiers = file->system.tiers;
  EXPECT_EQ(file->system.placement, Placement::kStatic);
  EXPECT_DOUBLE_EQ(tiers[0].bandwidth_bytes_per_s, *catalogue.FindDevice("rtx-4090")->bandwidth_bytes_per_s);
  EXPECT_EQ(tiers[0].dense_share, 1) << "what no tier claims lies in the first";
  EXPECT_EQ(tiers[0].kv_share, 1);
  EXPECT_DOUBLE_EQ(tiers[1].bandwidth_bytes_per_s, 12 * 38.4e9);
  EXPECT_DOUBLE_EQ(*tiers[1].capacity_bytes, 768.0 * (1 << 30));
  EXPECT_DOUBLE_EQ(tiers[2].CeilingBytesPerS(), 7.45e9);
  EXPECT_EQ(file->parts[1].count, 12);
}

TEST(ParseTiersFile, ErrorsNameLineKeyAndRemedy) {
  const auto catalogue = *hardware::Catalogue::Builtin();
  const auto error = [&](const std::string& text) {
    const auto file = ParseTiersFile(text, "t.yaml", catalogue);
    EXPECT_FALSE(file.ok()) << text;
    return file.ok() ? "" : file.error().message;
  };
  EXPECT_THAT(error("tiers: []\n"), HasSubstr("fastest memory first"));
  EXPECT_THAT(error("tiers:\n  - {device: rtx-4091}\n"), AllOf(HasSubstr("t.yaml:2:"), HasSubstr("rtx-4090")));
  EXPECT_THAT(error("tiers:\n  - {memory: pcie4-x4}\n"), HasSubstr("copy_over"));
  EXPECT_THAT(error("tiers:\n  - {name: x}\n"), HasSubstr("needs \"device\""));
  EXPECT_THAT(error("tiers:\n  - {device: rtx-4090, routed_shar: 1}\n"), HasSubstr("did you mean \"routed_share\"?"));
  EXPECT_THAT(error("tiers:\n  - {device: rtx-4090, routed_share: 0.5}\n"), HasSubstr("routed_share sums to 0.5"));
  EXPECT_THAT(error("tiers:\n  - {bandwidth_bytes_per_s: -5}\n"), HasSubstr("bandwidth"));
  EXPECT_THAT(error("placement: best\ntiers: [{device: rtx-4090}]\n"), HasSubstr("known: uniform, static, dynamic"));
}

}  // namespace
}  // namespace moecap::metrics
