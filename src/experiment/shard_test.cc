// Several client processes, one load: who sends what, how they meet, when the whole does not count.
#include "experiment/shard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <thread>

#include "base/wall_clock.h"
#include "experiment/plan.h"
#include "experiment/shard_gates.h"
#include "experiment/shard_start.h"
#include "experiment/testing/experiment_fixture.h"

namespace moecap::experiment {
namespace {

using testing::HasSubstr;

Environment Variables(std::map<std::string, std::string> variables) {
  return [variables = std::move(variables)](const char* name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional(found->second);
  };
}

TEST(Shard, SharesAddUpAndDifferByOneAtMost) {
  for (const int count : {1, 3, 8}) {
    for (const int64_t total : {0, 1, 7, 8, 1000}) {
      int64_t sum = 0;
      for (int i = 0; i < count; ++i) {
        EXPECT_EQ(BeginOfShare(total, {i, count}), sum);
        sum += ShareOf(total, {i, count});
        EXPECT_LE(ShareOf(total, {0, count}) - ShareOf(total, {i, count}), 1);
      }
      EXPECT_EQ(sum, total);
    }
  }
}

TEST(Shard, IsToldByTheFlagOrByTheScheduler) {
  const auto parse = [](const char* text, std::map<std::string, std::string> variables, const char* group = "",
                        const char* start = "") {
    const auto shard = ParseShard(text, group, start, Variables(std::move(variables)));
    return shard.ok() ? InWords(shard->shard) + " of " + shard->group : shard.error().message;
  };
  const std::map<std::string, std::string> slurm = {
      {"SLURM_PROCID", "3"}, {"SLURM_STEP_NUM_TASKS", "8"}, {"SLURM_JOB_ID", "77"}, {"SLURM_STEP_ID", "0"}};
  EXPECT_EQ(parse("auto", slurm), "shard 3/8 of slurm-77.0");
  auto requeued = slurm;
  requeued["SLURM_RESTART_COUNT"] = "1";
  EXPECT_EQ(parse("auto", requeued), "shard 3/8 of slurm-77.0.r1") << "what the job began before is another load";
  auto inside_mpi = slurm;
  inside_mpi.insert({{"OMPI_COMM_WORLD_RANK", "1"}, {"OMPI_COMM_WORLD_SIZE", "2"}, {"PMIX_NAMESPACE", "1234/1"}});
  EXPECT_EQ(parse("auto", inside_mpi), "shard 1/2 of mpi-1234-1") << "mpirun in a Slurm job";
  EXPECT_EQ(parse("auto/4", {{"JOB_COMPLETION_INDEX", "2"}}, "job"), "shard 2/4 of job");
  EXPECT_THAT(parse("auto", {{"JOB_COMPLETION_INDEX", "2"}}, "job"), HasSubstr("auto/N"));
  EXPECT_THAT(parse("auto/4", slurm), HasSubstr("started 8 tasks"));
  EXPECT_THAT(parse("auto", {{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "8"}}), HasSubstr("no scheduler tells"))
      << "a batch script is no step";
  EXPECT_EQ(parse("0/2", slurm, "", "2026-01-31T12:00:00Z"), "shard 0/2 of at-2026-01-31T12-00-00Z");
  EXPECT_THAT(parse("0/2", {}), HasSubstr("--shard-group"));
  EXPECT_THAT(parse("2/2", {}, "g"), HasSubstr("numbered 0 to 1"));
  EXPECT_THAT(parse("1", {}, "g"), HasSubstr("I/N"));
  EXPECT_THAT(parse("0/2", {}, "../g"), HasSubstr("letters"));
  EXPECT_THAT(parse("0/2", {}, std::string(101, 'g').c_str()), HasSubstr("100 at most"));
}

class ShardPlan : public ExperimentTest {
 protected:
  // What a shard's threads would send if every answer came at once: "id@time by client".
  std::multiset<std::string> Sent(const Config& config, const record::Level& level, const Shard& shard) {
    FakeDriver driver(config.systems.front(), clock, log);
    PromptIds ids;
    ids.workload = config.workload;
    const PreparedProblems none;
    auto plan = MeasurementPlan::Create({config, none, level, 0, "salt", ids, shard}, driver);
    EXPECT_TRUE(plan.ok()) << (plan.ok() ? "" : plan.error().message);
    const auto sources = (*plan)->MakeSources(config, level, config.client_threads, false);
    std::multiset<std::string> sent;
    for (const auto& source : *sources) source->Begin(0);
    bool any = true;
    while (std::exchange(any, false)) {
      for (const auto& source : *sources) {  // in turn, as threads do
        const load::DueRequest* due = source->Next();
        if (due == nullptr) continue;
        any = true;
        const std::string at = record::IsOpenLoop(level.kind) ? "@" + std::to_string(due->at_ns.value_or(-1)) : "";
        sent.insert(due->spec->id + due->spec->prompt + at);
        const int client = due->client;
        clients_.insert(client);
        source->Take();
        source->OnEnded(client, {}, 0);
      }
    }
    return sent;
  }
  void ExpectUnion(const std::string& load, const record::Level& level) {
    const Config config = Parse(
        "server: {url: \"http://a:1\"}\nworkload: {requests: 50, text: true, input_tokens: 4}\nclient_threads: 2\n" + load);
    const auto whole = Sent(config, level, {});
    EXPECT_EQ(whole.size(), 50u);
    const std::set<int> clients = std::exchange(clients_, {});
    std::multiset<std::string> joined;
    for (int i = 0; i < 4; ++i) {
      const auto part = Sent(config, level, {i, 4});
      EXPECT_GE(part.size(), 12u);
      joined.insert(part.begin(), part.end());
    }
    EXPECT_EQ(joined, whole) << "each request once, with the prompt and the time that one client gives it";
    EXPECT_EQ(clients_, clients) << "each client is one shard's";
    clients_.clear();
  }
  std::set<int> clients_;
};

TEST_F(ShardPlan, TogetherShardsSendWhatOneClientSends) {
  ExpectUnion("load: {rates_per_s: [10]}\nduration_s: 1000\n", {record::LoadKind::kRate, 10});
  ExpectUnion("load: {clients: 11}\n", {record::LoadKind::kClients, 11});
}

TEST_F(ShardPlan, RefusesWhatCannotBeDivided) {
  const auto error = [&](const std::string& text, int count) {
    const Status status = CheckShards(Parse(text), {0, count});
    return status.ok() ? "" : status.error().message;
  };
  const std::string server = "server: {url: \"http://a:1\"}\nworkload: {requests: 50}\n";
  EXPECT_EQ(error(server + "load: {clients: [4, 8]}\n", 4), "");
  EXPECT_THAT(error(server + "load: {clients: [4, 8]}\n", 5), HasSubstr("4 clients cannot be divided among 5 shards"));
  EXPECT_THAT(error(server + "load: {rates_per_s: 1}\nsearch: {}\nobjectives: {ttft_s: 1}\n", 2), HasSubstr("search"));
  EXPECT_THAT(error("launch: serve {port}\nworkload: {requests: 5}\n", 2), HasSubstr("start it first"));
  EXPECT_THAT(error(std::string(kEngines), 2), HasSubstr("runs in this process"));
}

class ShardMeeting : public testing::Test {
 protected:
  ShardStartOptions Options(int index, int count) {
    return {.shard = {index, count}, .folder = temp_.path(), .wait_s = 600, .lead_s = 3600};
  }
  TempDir temp_;
};

TEST_F(ShardMeeting, AllLearnTheSameStartToCome) {
  std::vector<std::optional<Result<SharedStart>>> starts(3);
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i)
    threads.emplace_back([&, i] { starts[static_cast<size_t>(i)] = MeetForStart(Options(i, 3), 4, {}); });
  for (std::thread& thread : threads) thread.join();
  for (const auto& start : starts) {
    ASSERT_TRUE((*start).ok()) << (*start).error().message;
    EXPECT_EQ((*start)->wall_ns, (*starts[0])->wall_ns);
    EXPECT_EQ(hardware::MostDifferenceOf((*start)->clock, (*starts[0])->clock), 0) << "one machine, one clock";
  }
}

TEST_F(ShardMeeting, NamesWhoDoesNotCome) {
  ShardStartOptions options = Options(1, 3);
  options.wait_s = 0.05;
  const auto start = MeetForStart(options, 0, {});
  ASSERT_FALSE(start.ok());
  EXPECT_THAT(start.error().message, HasSubstr("shard 0/3, shard 2/3 did not come to the start of measurement 1"));
  GiveUp(Options(2, 3), "the server is down");
  const auto told = MeetForStart(Options(1, 3), 0, {});
  ASSERT_FALSE(told.ok());
  EXPECT_THAT(told.error().message, HasSubstr("shard 2/3: the server is down"));
  EXPECT_EQ(MeetForStart(Options(0, 2), 1, [] { return true; }).error().kind, ErrorKind::kFailed)
      << "given up before interrupted";
}

TEST_F(ShardMeeting, AShardThatComesAgainWaitsForOthersThatGaveUp) {
  ShardStartOptions options = Options(1, 3);
  options.wait_s = 0.05;
  EXPECT_FALSE(MeetForStart(options, 0, {}).ok());
  GiveUp(options, "nobody came");
  GiveUp(Options(2, 3), "nobody came");
  ComeAfterAll(options);
  const std::string alone = MeetForStart(options, 0, {}).error().message;
  EXPECT_THAT(alone, HasSubstr("shard 0/3, shard 2/3 did not come")) << "what they said before holds no longer";
  EXPECT_FALSE(std::filesystem::exists(temp_.path() / "meetings/gave-up-1"));
  GiveUp(Options(2, 3), "the server is down");
  EXPECT_THAT(MeetForStart(options, 0, {}).error().message, HasSubstr("the server is down"));
}

// A server that is not up yet ends all of them before they meet.
TEST_F(ShardMeeting, AShardThatGaveUpBeforeItMetAnyoneComesAgainToo) {
  ShardStartOptions options = Options(0, 2);
  options.wait_s = 0.05;
  for (const int i : {0, 1}) GiveUp(Options(i, 2), "nothing answers");
  ComeAfterAll(options);
  EXPECT_THAT(MeetForStart(options, 0, {}).error().message, HasSubstr("shard 1/2 did not come"));
}

TEST_F(ShardMeeting, NobodyLeavesWhileOthersMeasure) {
  constexpr double kNoPatience = 0.05, kPatience = 600;
  const auto leave = [&](int index, double patience_s) { return LeaveTogether(Options(index, 3), 1, false, patience_s, {}); };
  EXPECT_EQ(leave(0, kNoPatience), "shard 1/3, shard 2/3");
  EXPECT_EQ(LeaveTogether(Options(0, 3), 1, false, kPatience, [] { return true; }), "") << "an interrupt";
  std::string left = "not yet";
  std::thread waits([&] { left = leave(1, kPatience); });
  GiveUp(Options(2, 3), "the server is down");  // nor does it measure
  waits.join();
  EXPECT_EQ(left, "");
  EXPECT_EQ(LeaveTogether(Options(0, 3), 2, false, kNoPatience, {}), "shard 1/3") << "each measurement by itself";
}

TEST_F(ShardMeeting, WhoNeverMeetsInTheFolderLeavesAlone) {
  ShardStartOptions options = Options(0, 2);
  options.folder = temp_.path() / "nowhere";
  options.start_at_ns = WallTimeNs();
  EXPECT_EQ(LeaveTogether(options, 0, true, 600, {}), "") << "a single measurement at a given time";
  options.start_every_s = 60;
  EXPECT_EQ(LeaveTogether(options, 3, false, 600, {}), "");
  EXPECT_FALSE(std::filesystem::exists(options.folder));
  options.start_every_s.reset();
  EXPECT_EQ(LeaveTogether(options, 0, false, 0.05, {}), "shard 1/2") << "they meet for the second one";
}

TEST_F(ShardMeeting, KnowsWhichMeasurementsTheOthersBegan) {
  ShardStartOptions options = Options(0, 1);
  options.lead_s = 1e-6;
  (void)MeetForStart(options, 3, {});
  EXPECT_TRUE(HasBegun(options, 3));
  EXPECT_FALSE(HasBegun(options, 4));
  options.lead_s = 3600;
  EXPECT_TRUE(MeetForStart(options, 4, {}).ok());
  EXPECT_TRUE(HasBegun(options, 4)) << "it is to come, but was agreed on before";
  options.start_at_ns = WallTimeNs() - 90'000'000'000;
  EXPECT_TRUE(HasBegun(options, 0));
  EXPECT_FALSE(HasBegun(options, 5)) << "only the first one's time was given";
  options.start_every_s = 60;
  EXPECT_TRUE(HasBegun(options, 1));
  EXPECT_FALSE(HasBegun(options, 2));
}

TEST_F(ShardMeeting, AGivenTimeNeedsNoFolder) {
  ShardStartOptions options = Options(0, 2);
  options.folder = "/nowhere";
  options.start_at_ns = WallTimeNs() + 3'600'000'000'000;
  options.start_every_s = 60;
  EXPECT_EQ(MeetForStart(options, 2, {})->wall_ns, *options.start_at_ns + 120'000'000'000);
  options.start_at_ns = ParseIso8601("2020-01-01T00:00:00Z").value();
  EXPECT_THAT(MeetForStart(options, 0, {}).error().message, HasSubstr("--start-at"));
}

TEST(WallClock, ReadsWhatItWrites) {
  for (const char* text : {"2026-01-31T12:00:00Z", "2026-01-31T12:00:00.250Z"})
    EXPECT_EQ(Iso8601(ParseIso8601(text).value()), text);
  for (const char* text : {"2026-01-31", "2026-01-31T12:00:00", "2026-01-31T12:00:00.Z", "2026-01-31T12:00:00.2x5Z", "now"})
    EXPECT_FALSE(ParseIso8601(text).ok()) << text;
}

ShardPart Part(int index, double late_s, double stall_s, std::string boot) {
  ShardPart part;
  part.index = index;
  part.start_late_s = late_s;
  part.longest_stall_s = stall_s;
  part.clock.boot_id = std::move(boot);
  return part;
}

metrics::Gate GateOf(const Measurement& measurement, const std::string& name, double window_s = 10) {
  for (const metrics::Gate& gate : JudgeShards(measurement, window_s)) {
    if (gate.name == name) return gate;
  }
  return {};
}

TEST(ShardGates, JudgeWhetherAllWereThereAndInStep) {
  Measurement measurement;
  EXPECT_TRUE(JudgeShards(measurement, 10).empty()) << "one client's load";
  measurement.shards = 2;
  measurement.parts = {Part(0, 0.001, 0.01, "a"), Part(1, 0.0015, 0.02, "a")};
  for (const metrics::Gate& gate : JudgeShards(measurement, 10))
    EXPECT_EQ(gate.state, metrics::Gate::State::kPassed) << gate.name;
  EXPECT_NEAR(*GateOf(measurement, "start skew of shards").value, 0.0005, 1e-12);

  measurement.parts[1].longest_stall_s = 2;
  EXPECT_TRUE(GateOf(measurement, "longest stall of a shard").tripped());
  EXPECT_THAT(GateOf(measurement, "longest stall of a shard").explanation, HasSubstr("shard 1/2 was paused"));
  measurement.parts[1].start_late_s = 0.3;
  EXPECT_TRUE(GateOf(measurement, "start skew of shards").tripped());
  EXPECT_FALSE(GateOf(measurement, "start skew of shards", 60).tripped()) << "1 % of a minute";

  measurement.parts[1].missing = "it was killed, or goes on";
  EXPECT_THAT(GateOf(measurement, kAllShardsGate).explanation, HasSubstr("shard 1/2: it was killed"));
  EXPECT_EQ(GateOf(measurement, kAllShardsGate).value, 1);
  measurement.parts.pop_back();
  EXPECT_TRUE(GateOf(measurement, kAllShardsGate).tripped()) << "one shard's own view is not the load";
}

TEST(ShardGates, ClocksOfTwoMachinesMustBeKnown) {
  Measurement measurement;
  measurement.shards = 2;
  measurement.parts = {Part(0, 0, 0, "a"), Part(1, 0, 0, "b")};
  EXPECT_EQ(GateOf(measurement, "start skew of shards").state, metrics::Gate::State::kNotMeasured);
  for (ShardPart& part : measurement.parts) part.clock.max_error_s = 0.004;
  EXPECT_NEAR(*GateOf(measurement, "start skew of shards").value, 0.008, 1e-12);
  measurement.parts[0].clock.offset_s = 0.002;
  measurement.parts[1].clock.offset_s = -0.001;
  for (ShardPart& part : measurement.parts) part.clock.offset_error_s = 0.001;
  EXPECT_NEAR(*GateOf(measurement, "start skew of shards").value, 0.005, 1e-12) << "the better bound";
}

TEST(ShardGates, ShardsOnOneMachineAreNoOthers) {
  Measurement measurement;
  measurement.shards = 3;
  measurement.parts = {Part(0, 0, 0, "a"), Part(1, 0, 0, "a"), Part(2, 0, 0, "b")};
  for (ShardPart& part : measurement.parts) {
    hardware::MachineUse use;
    use.wall_s = 10;
    use.allowed_cpus = 4;
    use.cpu_s = 2;
    use.others_cpu_s = 2.5;
    part.machine_use = use;
  }
  const auto machines = ClientMachines(measurement);
  ASSERT_EQ(machines.size(), 2u);
  EXPECT_EQ(machines[0].cpu_s, 4);
  EXPECT_EQ(machines[0].others_cpu_s, 0.5) << "2 s of the 2.5 s were the other shard's";
  EXPECT_EQ(machines[1].others_cpu_s, 2.5);
}

}  // namespace
}  // namespace moecap::experiment
