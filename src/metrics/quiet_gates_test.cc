#include "metrics/quiet_gates.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace moecap::metrics {
namespace {

using hardware::MachineUse;
using record::PassKind;
using record::PassRecord;
using testing::HasSubstr;

PassRecord Decode(double latency_s, int64_t sequences = 1, int64_t context = 5) {
  PassRecord pass;
  pass.latency_s = latency_s;
  pass.sequences = {{context, 1, sequences}};
  return pass;
}

std::vector<PassRecord> Passes(int count, double latency_s) {
  return std::vector<PassRecord>(static_cast<size_t>(count), Decode(latency_s));
}

// Ten seconds, of which our two threads computed through 9.5 s of passes.
MachineUse Quiet() {
  MachineUse use;
  use.wall_s = 10;
  use.allowed_cpus = 2;
  use.cpu_s = 19.2;
  use.involuntary_switches = 30;
  use.others_cpu_s = 0.1;
  use.steal_s = 0.01;
  use.pressure_s = 0.2;
  return use;
}

Gate Find(const std::vector<Gate>& gates, std::string_view name) {
  for (const Gate& gate : gates) {
    if (gate.name == name) return gate;
  }
  ADD_FAILURE() << "no gate " << name;
  return {};
}

TEST(QuietGates, AQuietMachinePassesAllThatIsTold) {
  const auto passes = Passes(95, 0.1);
  for (const Gate& gate : InProcessQuietGates(Quiet(), 2, passes)) {
    if (gate.name == "CPU time throttled") {
      EXPECT_EQ(gate.state, Gate::State::kNotMeasured);
    } else {
      EXPECT_EQ(gate.state, Gate::State::kPassed) << gate.name;
    }
  }
  EXPECT_FALSE(AnyTripped(ClientQuietGates(Quiet(), false)));
}

TEST(QuietGates, ACompetitorOnOneOfTwoCoresShowsAsMissingTime) {
  MachineUse use = Quiet();
  use.cpu_s = 14.25;  // of 19: a quarter went to a competitor that holds half of one core
  use.others_cpu_s = 5;
  const auto gates = InProcessQuietGates(use, 2, Passes(95, 0.1));
  const Gate missing = Find(gates, "CPU time missing in passes");
  EXPECT_TRUE(missing.tripped());
  EXPECT_NEAR(missing.value.value(), 0.25, 1e-12);
  EXPECT_THAT(missing.explanation, HasSubstr("25 % of that CPU time went to others"));
  EXPECT_THAT(Find(gates, "CPU time of others").explanation, HasSubstr("25 % of the CPU time went to other programs"));
}

TEST(QuietGates, MoreTimeThanPassesTakeIsNoLack) {
  MachineUse use = Quiet();
  use.cpu_s = 20;
  EXPECT_EQ(Find(InProcessQuietGates(use, 2, Passes(95, 0.1)), "CPU time missing in passes").value, 0.0);
}

TEST(QuietGates, PassesThatWaitForTheirExpertsLackNoTimeThen) {
  MachineUse use = Quiet();
  use.cpu_s = 9.5;  // of 19, half of which waited
  use.involuntary_switches = 10'000;
  std::vector<record::PassRecord> passes = Passes(95, 0.1);
  EXPECT_TRUE(Find(InProcessQuietGates(use, 2, passes), "CPU time missing in passes").tripped());
  for (record::PassRecord& pass : passes)
    pass.expert_reads = record::ExpertReads{.misses = 1, .disk_bytes = 100, .stall_s = 0.05};
  const auto gates = InProcessQuietGates(use, 2, passes);
  EXPECT_NEAR(Find(gates, "CPU time missing in passes").value.value(), 0, 1e-12);
  EXPECT_EQ(Find(gates, "involuntary switches").state, Gate::State::kNotMeasured) << "its own reads make them";
}

TEST(QuietGates, PassesOnAGpuNeedNoThreadsTime) {
  MachineUse use = Quiet();
  use.cpu_s = 1;
  const auto gates = InProcessQuietGates(use, 0, Passes(95, 0.1));
  EXPECT_EQ(Find(gates, "CPU time missing in passes").state, Gate::State::kNotMeasured);
  EXPECT_EQ(Find(gates, "involuntary switches").state, Gate::State::kPassed);
}

TEST(QuietGates, WhatIsNotToldIsNotMeasured) {
  MachineUse use;
  use.wall_s = 10;
  use.cpu_s = 10;
  for (const Gate& gate : InProcessQuietGates(use, 1, {})) {
    EXPECT_EQ(gate.state, Gate::State::kNotMeasured) << gate.name;
    EXPECT_FALSE(gate.explanation.empty()) << gate.name;
  }
  for (const Gate& gate : ClientQuietGates(use, false)) EXPECT_EQ(gate.state, Gate::State::kNotMeasured) << gate.name;
}

TEST(QuietGates, EachFactTripsItsOwnGate) {
  MachineUse use = Quiet();
  use.steal_s = 0.21;
  use.throttled_s = 0.3;
  use.involuntary_switches = 1001;
  use.pressure_s = 1.1;
  const auto gates = InProcessQuietGates(use, 2, Passes(95, 0.1));
  EXPECT_TRUE(Find(gates, "CPU time stolen").tripped());
  EXPECT_TRUE(Find(gates, "CPU time throttled").tripped());
  EXPECT_NEAR(Find(gates, "involuntary switches").value.value(), 50.05, 1e-9) << "per thread and second";
  EXPECT_TRUE(Find(gates, "involuntary switches").tripped());
  EXPECT_FALSE(Find(gates, "CPU time of others").tripped());
  EXPECT_TRUE(Find(ClientQuietGates(use, false), "time with tasks waiting for a CPU").tripped());
}

TEST(QuietGates, PassesOfOneShapeAreComparedWithEachOther) {
  std::vector<PassRecord> passes;
  // One sequence: 1 ms; eight: 4 ms. Different shapes are no disturbance, nor is a context that grows.
  for (int i = 0; i < 40; ++i) passes.push_back(Decode(0.001 + 1e-6 * i, 1, i));
  for (int i = 0; i < 40; ++i) passes.push_back(Decode(0.004, 8, i));
  EXPECT_NEAR(DecodeIrregularity(passes).value(), 1, 0.01);
  // By hand: a stop of 0.1 s in the first shape adds 0.1 s to 40 x 1.02 ms + 40 x 4 ms, nearly.
  passes[7].latency_s += 0.1;
  EXPECT_NEAR(DecodeIrregularity(passes).value(), 1 + 0.1 / (40 * 0.00102 + 40 * 0.004), 0.01);
  passes[8].latency_s += 0.1;
  EXPECT_TRUE(Find(InProcessQuietGates(Quiet(), 2, passes), "mean/median of equal decode passes").tripped());
}

TEST(QuietGates, FewPassesAndOtherKindsSayNothing) {
  std::vector<PassRecord> passes = Passes(9, 0.001);
  passes[0].latency_s = 1;
  EXPECT_EQ(DecodeIrregularity(passes), std::nullopt);
  passes.assign(20, Decode(0.001));
  for (size_t i = 0; i < 5; ++i) passes[i].cell.repeat = -1;
  for (size_t i = 5; i < 11; ++i) passes[i].kind = PassKind::kPrefill;
  EXPECT_EQ(DecodeIrregularity(passes), std::nullopt);
}

TEST(QuietGates, AServerOnTheSameMachineIsNoStranger) {
  MachineUse use = Quiet();
  use.cpu_s = 4;
  use.others_cpu_s = 12;  // the server's
  EXPECT_FALSE(AnyTripped(ClientQuietGates(use, true))) << "80 % in use: the client finds a CPU";
  EXPECT_TRUE(Find(ClientQuietGates(use, false), "CPU time of others").tripped());
  use.others_cpu_s = 15;
  const Gate full = Find(ClientQuietGates(use, true), "CPUs in use, server and client together");
  EXPECT_TRUE(full.tripped());
  EXPECT_THAT(full.explanation, HasSubstr("server and client share this machine and 95 %"));
  EXPECT_THAT(full.explanation, HasSubstr("more client threads cannot help"));
}

}  // namespace
}  // namespace moecap::metrics
