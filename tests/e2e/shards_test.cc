// Several `moecap load --shard` at once against one `moecap mock`, and what `moecap runs merge` makes of them.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "base/json.h"
#include "load/event_log.h"
#include "program.h"
#include "stats/summary.h"

namespace moecap::e2e {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr int kShards = 4;
constexpr const char* kGroup = "g";
constexpr const char* kLead = "8";  // s, in which a busy machine shows every shard that all are there

class Shards : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = fs::path(testing::TempDir()) / fmt::format("moecap_shards_{}", ::getpid());
    fs::remove_all(dir_);
    fs::create_directories(dir_ / "mock");
    fs::create_directories(dir_ / "client");
    for (const char* name : {"SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_RANK", "JOB_COMPLETION_INDEX"})
      ::unsetenv(name);
  }
  void TearDown() override {
    StopMock();
    fs::remove_all(dir_);
  }

  void StopMock() {
    if (mock_ <= 0) return;
    ::kill(mock_, SIGTERM);
    ::waitpid(mock_, nullptr, 0);
    mock_ = 0;
  }
  void StartMock(const std::string& tpot_s) { StartMock({"--ttft-s", "0.01", "--tpot-s", tpot_s}); }
  void StartMock(std::vector<std::string> args) {
    args.insert(args.begin(), {"mock", "--ready-file", "ready"});
    mock_ = StartProgram(dir_ / "mock", args);
    while (!fs::exists(dir_ / "mock/ready")) {
      ASSERT_EQ(::waitpid(mock_, nullptr, WNOHANG), 0) << ReadFile(dir_ / "mock/err").value();
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    url_ = ReadFile(dir_ / "mock/ready").value();
    url_.pop_back();
  }
  std::vector<std::string> LoadArgs(const std::string& seed = "1") const {
    return {"load",
            url_,
            "--clients",
            "8",
            "--requests",
            "48",
            "--input-tokens",
            "16",
            "--output-tokens",
            "8",
            "--warmup",
            "0",
            "--seed",
            seed,
            "--results-dir",
            (dir_ / "client/results").string()};
  }
  fs::path ShardDir(int index) const { return dir_ / "client" / std::to_string(index); }
  pid_t StartShard(int index, std::vector<std::string> args, const std::string& group = kGroup) {
    args.insert(args.end(), {"--shard", fmt::format("{}/{}", index, kShards), "--shard-group", group, "--start-lead", kLead});
    fs::create_directories(ShardDir(index));
    return StartProgram(ShardDir(index), args);
  }
  // Of a load whose shards were all begun.
  void Finish(const std::vector<pid_t>& shards) {
    for (int i = 0; i < std::ssize(shards); ++i) {
      const Outcome outcome = FinishProgram(ShardDir(i), shards[static_cast<size_t>(i)]);
      EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    }
  }
  std::vector<pid_t> StartAll(const std::vector<std::string>& args) {
    std::vector<pid_t> shards;
    for (int i = 0; i < kShards; ++i) shards.push_back(StartShard(i, args));
    return shards;
  }
  fs::path GroupDir() const { return dir_ / "client/results/shards" / kGroup; }
  fs::path ResultOf(int index) const { return GroupDir() / fmt::format("{}-of-{}", index, kShards); }
  Outcome Merge(std::vector<std::string> dirs) {
    dirs.insert(dirs.begin(), {"runs", "merge"});
    dirs.insert(dirs.end(), {"--results-dir", (dir_ / "client/results").string(), "--json"});
    return CallProgram(dir_ / "client", dirs);
  }
  // The event log of a shard's measurement holds the events of a few requests.
  void WaitForEvents(int index) {
    const auto is_there = [&] {
      std::error_code error;
      for (const auto& folder : fs::directory_iterator(ResultOf(index) / "measurements", error)) {
        if (fs::file_size(folder.path() / "events.0.bin", error) > 500 && !error) return true;
      }
      return false;
    };
    while (!is_there()) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }

  fs::path dir_;
  pid_t mock_ = 0;
  std::string url_;
};

const Json& CellOf(const Json& summary) { return summary.at("systems").at(0).at("cells").at(0); }

const Json& Gate(const Json& cell, const std::string& name) {
  for (const Json& gate : cell.at("gates")) {
    if (gate.at("name") == name) return gate;
  }
  static const Json kNone = {{"state", "absent"}, {"value", nullptr}, {"explanation", ""}};
  ADD_FAILURE() << "no gate " << name;
  return kNone;
}

// The request ids and first-token times of all shards together, read from their event logs without any of what merges them.
struct Union {
  std::multiset<std::string> ids;
  std::vector<double> ttft_s;
};
Union ReadUnion(const fs::path& group) {
  Union all;
  for (const auto& file : fs::recursive_directory_iterator(group)) {
    if (file.path().extension() != ".bin") continue;
    const auto log = load::ReadEventLog(file.path());
    EXPECT_TRUE(log.ok());
    for (const record::RequestRecord& request : log->result.requests) {
      all.ids.insert(request.id);
      all.ttft_s.push_back(request.token_s.front() - request.send_s);
    }
  }
  std::ranges::sort(all.ttft_s);
  return all;
}

TEST_F(Shards, MergeIntoWhatTheirUnionGivesBitForBit) {
  StartMock("0.002");
  Finish(StartAll(LoadArgs()));
  const Outcome merged = Merge({GroupDir().string()});
  ASSERT_EQ(merged.exit_code, 0) << merged.err;
  const Json summary = ParseJson(merged.out).value();
  EXPECT_EQ(summary.at("complete"), true);
  const Json& figures = CellOf(summary).at("figures");
  const Union all = ReadUnion(GroupDir());
  ASSERT_EQ(all.ttft_s.size(), 48u);
  EXPECT_EQ(std::set(all.ids.begin(), all.ids.end()).size(), 48u) << "each request was sent by one shard";
  EXPECT_EQ(figures.at("requests"), 48);
  EXPECT_EQ(figures.at("ttft_p50_s"), stats::Quantile(all.ttft_s, 0.5));
  EXPECT_EQ(Gate(CellOf(summary), "shards of the load").at("state"), "passed");
  EXPECT_EQ(Gate(CellOf(summary), "counts of client and server").at("state"), "passed")
      << "the server counted all shards' requests: " << Gate(CellOf(summary), "counts of client and server").dump();
  EXPECT_TRUE(Gate(CellOf(summary), "start skew of shards").at("value").is_number());

  const Outcome unknown = Merge({GroupDir().string(), "--ask-experts"});
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_THAT(unknown.err, AllOf(HasSubstr("no model of the server is given"), HasSubstr("merge without --ask-experts")));

  // The order in which they are named changes nothing.
  std::vector<std::string> backwards;
  for (int i = kShards - 1; i >= 0; --i) backwards.push_back(ResultOf(i).string());
  const Outcome again = Merge(backwards);
  ASSERT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(ParseJson(again.out).value().at("systems"), summary.at("systems"));

  // One client alone plans the very same requests.
  ASSERT_EQ(CallProgram(dir_ / "client", LoadArgs()).exit_code, 0);
  std::set<std::string> plans;
  for (const auto& file : fs::recursive_directory_iterator(dir_ / "client/results")) {
    if (file.path().filename() == "plan.jsonl") plans.insert(ReadFile(file.path()).value());
  }
  EXPECT_EQ(plans.size(), 1u);

  // The index holds the merged runs and the whole one, no shard.
  const Json listed = ParseJson(CallProgram(dir_ / "client", {"runs", "--json"}).out).value();
  EXPECT_EQ(listed.at("runs").size(), 3u);
  EXPECT_TRUE(listed.at("not_indexed").empty());

  // A shard's own view says that it is not the load.
  const Json own = ParseJson(CallProgram(dir_ / "client", {"report", ResultOf(1).string(), "--json"}).out).value();
  EXPECT_EQ(Gate(CellOf(own), "shards of the load").at("state"), "tripped");
}

TEST_F(Shards, TogetherShowWhatTheServerComputed) {
  StartMock("0.005");
  std::vector<std::string> args = LoadArgs();
  args.insert(args.end(), {"--serves", "Qwen/Qwen3-30B-A3B", "--machine", "h100-sxm"});
  Finish(StartAll(args));
  const Json own = ParseJson(CallProgram(dir_ / "client", {"report", ResultOf(1).string(), "--json"}).out).value();
  EXPECT_TRUE(CellOf(own).at("figures").at("decode_s_mbu").is_null()) << "a shard sees a part of each pass";
  const Json merged = ParseJson(Merge({GroupDir().string()}).out).value();
  EXPECT_GT(CellOf(merged).at("figures").at("decode_s_mbu"), 0) << merged.at("notes").dump();
}

// Of a server that tells its experts: the merge asks for those of all answers, when nothing is timed any more.
TEST_F(Shards, AskForTheExpertsWhenAllHaveEnded) {
  StartMock({"--model", "mistralai/Mixtral-8x7B-v0.1", "--device", "h100-sxm", "--devices", "2", "--bandwidth-efficiency",
             "0.5", "--dialect", "vllm", "--routed-experts"});
  std::vector<std::string> args = LoadArgs();
  args.insert(args.end(), {"--serves", "mistralai/Mixtral-8x7B-v0.1", "--machine", "2 x h100-sxm"});
  Finish(StartAll(args));
  const auto notes_of = [](const Json& summary) { return CellOf(summary).at("notes").dump(); };
  const Json estimated = ParseJson(Merge({GroupDir().string()}).out).value();
  EXPECT_THAT(notes_of(estimated), HasSubstr("--ask-experts"));
  const Outcome asked = Merge({GroupDir().string(), "--ask-experts"});
  ASSERT_EQ(asked.exit_code, 0) << asked.err;
  const Json told = ParseJson(asked.out).value();
  EXPECT_THAT(notes_of(told),
              HasSubstr("the server told the experts of 100.0 % of them in a second run of the prompts, whose answers "
                        "were not compared with the timed ones"));
  for (const char* key : {"ttft_p50_s", "requests", "output_tokens_per_s"})
    EXPECT_EQ(CellOf(told).at("figures").at(key), CellOf(estimated).at("figures").at(key)) << "what was timed stays";

  // Another program asks nothing in the name of the one that measured.
  const auto replace = [&](const std::string& from, const std::string& to) {
    for (int i = 0; i < kShards; ++i) {
      std::string manifest = ReadFile(ResultOf(i) / "manifest.json").value();
      const size_t at = manifest.find(from);
      ASSERT_NE(at, std::string::npos) << from;
      ASSERT_TRUE(WriteFileAtomically(ResultOf(i) / "manifest.json", manifest.replace(at, from.size(), to)).ok());
    }
  };
  replace("\"moecap_version\": \"", "\"moecap_version\": \"0.");
  const Outcome other = Merge({GroupDir().string(), "--ask-experts"});
  EXPECT_EQ(other.exit_code, 2);
  EXPECT_THAT(other.err, AllOf(HasSubstr("the run is stored, with estimated experts: asking for them failed"),
                               HasSubstr("cannot be asked about"), HasSubstr("moecap: it was 0."),
                               Not(HasSubstr("cannot be finished")), Not(HasSubstr("start a new one"))));
  replace("\"moecap_version\": \"0.", "\"moecap_version\": \"");

  // Without the server the run is there all the same.
  StopMock();
  const Outcome alone = Merge({GroupDir().string(), "--ask-experts"});
  EXPECT_EQ(alone.exit_code, 1);
  EXPECT_THAT(alone.err, HasSubstr("the run is stored, with estimated experts"));
  EXPECT_EQ(CellOf(ParseJson(alone.out).value()).at("figures"), CellOf(estimated).at("figures"));
}

// Whoever started a shard twice by mistake must not end the load of the first.
TEST_F(Shards, ASecondProcessOfAShardSpeaksForNobody) {
  StartMock("0.02");
  std::vector<std::string> args = LoadArgs();
  args.insert(args.end(), {"--repeats", "2"});
  std::vector<pid_t> shards = {StartShard(0, args)};
  while (!fs::exists(GroupDir() / "meetings/0/0")) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  std::vector<std::string> wrong = args;
  wrong[1] = "http://127.0.0.1:1";  // it would fail before it began
  fs::create_directories(dir_ / "client/twin");
  wrong.insert(wrong.end(), {"--shard", fmt::format("0/{}", kShards), "--shard-group", kGroup});
  const Outcome twin = FinishProgram(dir_ / "client/twin", StartProgram(dir_ / "client/twin", wrong));
  EXPECT_EQ(twin.exit_code, 2);
  EXPECT_THAT(twin.err, HasSubstr("another process is at work"));
  for (int i = 1; i < kShards; ++i) shards.push_back(StartShard(i, args));
  Finish(shards);
  EXPECT_EQ(Merge({GroupDir().string()}).exit_code, 0);
}

TEST_F(Shards, AKilledOneLeavesTheRunIncomplete) {
  StartMock("0.1");
  std::vector<pid_t> shards = StartAll(LoadArgs());
  WaitForEvents(2);
  ::kill(shards[2], SIGKILL);
  ::waitpid(shards[2], nullptr, 0);
  for (const int i : {0, 1, 3})
    EXPECT_EQ(FinishProgram(ShardDir(i), shards[static_cast<size_t>(i)]).exit_code, 0) << "they do not talk";
  const Outcome merged = Merge({GroupDir().string()});
  EXPECT_EQ(merged.exit_code, 1);
  EXPECT_THAT(merged.err, HasSubstr("shard 2/4: it did not end"));
  const Json summary = ParseJson(merged.out).value();
  EXPECT_EQ(summary.at("complete"), false);
  EXPECT_EQ(Gate(CellOf(summary), "shards of the load").at("state"), "tripped");
  EXPECT_THAT(Gate(CellOf(summary), "shards of the load").at("explanation").get<std::string>(), HasSubstr("shard 2/4"));
  EXPECT_TRUE(CellOf(summary).at("figures").at("ttft_p50_s").is_null())
      << "what three quarters of a load saw is no figure of it";

  // Nor does one whose folder is empty, as of one that ended before it measured, or was lost.
  fs::remove_all(ResultOf(2));
  fs::create_directory(ResultOf(2));
  const Outcome empty = Merge({GroupDir().string()});
  EXPECT_EQ(empty.exit_code, 1);
  EXPECT_THAT(empty.err, HasSubstr("shard 2/4: " + ResultOf(2).string() + " holds no manifest.json: it ended, or was killed"));
  fs::remove(ResultOf(2));
  const Outcome lost = Merge({GroupDir().string()});
  EXPECT_EQ(lost.exit_code, 1);
  EXPECT_THAT(lost.err, HasSubstr("shard 2/4: its folder is missing"));

  EXPECT_THAT(Merge({ResultOf(0).string(), ResultOf(1).string(), ResultOf(3).string()}).err,
              HasSubstr("shard 2/4: its folder was not given"));

  // What is not whole is not asked about.
  const auto runs = [&] { return std::distance(fs::directory_iterator(dir_ / "client/results"), {}); };
  const auto before = runs();
  const Outcome asked = Merge({GroupDir().string(), "--ask-experts"});
  EXPECT_EQ(asked.exit_code, 2);
  EXPECT_THAT(asked.err, AllOf(HasSubstr("while a part of the load is missing; merge without --ask-experts"),
                               HasSubstr("\n  shard 2/4: its folder is missing")));
  EXPECT_EQ(runs(), before) << "nothing is stored";
}

// The others wait for it before their second repetition, which is then whole; of the first one its part is lost.
TEST_F(Shards, AKilledOneThatIsStartedAgainGoesOn) {
  StartMock("0.05");
  std::vector<std::string> args = LoadArgs();
  args.insert(args.end(), {"--repeats", "2"});
  std::vector<pid_t> shards = StartAll(args);
  WaitForEvents(2);
  ::kill(shards[2], SIGKILL);
  ::waitpid(shards[2], nullptr, 0);
  // The others have ended the first repetition and wait.
  while (!fs::exists(GroupDir() / "meetings/1/0")) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  shards[2] = StartShard(2, args);
  for (int i = 0; i < kShards; ++i) {
    const Outcome ended = FinishProgram(ShardDir(i), shards[static_cast<size_t>(i)]);
    EXPECT_EQ(ended.exit_code, 0) << ended.err;
    if (i != 2) continue;
    EXPECT_THAT(ended.err, AllOf(HasSubstr("shard 2/4 was begun before and goes on"),
                                 HasSubstr("repetition 1 of 2: the other shards began it before")));
  }
  const Outcome merged = Merge({GroupDir().string()});
  EXPECT_EQ(merged.exit_code, 1);
  EXPECT_THAT(merged.err, HasSubstr("shard 2/4: it did not end, or missed a measurement"));
  const Json summary = ParseJson(merged.out).value();
  EXPECT_EQ(summary.at("complete"), false);
  EXPECT_EQ(CellOf(summary).at("repeats"), 1);
  EXPECT_EQ(CellOf(summary).at("figures").at("requests"), 48) << "of the repetition that all of them made";
  EXPECT_TRUE(CellOf(summary).at("figures").at("ttft_p50_s").is_number());

  const pid_t third = StartShard(0, args);
  EXPECT_THAT(FinishProgram(ShardDir(0), third).err, HasSubstr("is there already"));
}

TEST_F(Shards, APausedOneTripsAGate) {
  StartMock("0.1");
  std::vector<pid_t> shards = StartAll(LoadArgs());
  WaitForEvents(1);
  ::kill(shards[1], SIGSTOP);
  std::this_thread::sleep_for(std::chrono::seconds(1));  // what is tested
  ::kill(shards[1], SIGCONT);
  Finish(shards);
  const Json summary = ParseJson(Merge({GroupDir().string()}).out).value();
  EXPECT_EQ(summary.at("complete"), true);
  const Json& stall = Gate(CellOf(summary), "longest stall of a shard");
  EXPECT_EQ(stall.at("state"), "tripped");
  EXPECT_GT(stall.at("value"), 0.85);
  EXPECT_THAT(stall.at("explanation").get<std::string>(), HasSubstr("shard 1/4 was paused"));
}

TEST_F(Shards, RefusesWhatDoesNotBelongTogether) {
  StartMock("0.002");
  Finish(StartAll(LoadArgs()));
  const fs::path other = dir_ / "other";
  const auto spoil = [&](const std::string& from, const std::string& to) {
    fs::remove_all(other);
    fs::copy(ResultOf(3), other, fs::copy_options::recursive);
    std::string manifest = ReadFile(other / "manifest.json").value();
    const size_t at = manifest.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    manifest.replace(at, from.size(), to);
    ASSERT_TRUE(WriteFileAtomically(other / "manifest.json", manifest).ok());
  };
  const auto error = [&](std::vector<std::string> dirs) {
    const Outcome merged = Merge(std::move(dirs));
    EXPECT_EQ(merged.exit_code, 2) << merged.err;
    return merged.err;
  };
  const std::string first = ResultOf(0).string();
  EXPECT_THAT(error({first, first}), HasSubstr("shard 0/4 is there twice"));
  EXPECT_THAT(error({(dir_ / "mock").string()}), HasSubstr("holds no shard"));
  spoil("seed: 1", "seed: 2");
  EXPECT_THAT(error({first, other.string()}), HasSubstr("configuration: it differs"));
  spoil("\"group\": \"g\"", "\"group\": \"h\"");
  EXPECT_THAT(error({first, other.string()}), HasSubstr("group: g and h"));
  spoil("\"run_id\"", "\"run_id\"");
  for (const auto& folder : fs::directory_iterator(other / "measurements")) {
    const std::string plan = ReadFile(folder.path() / "plan.jsonl").value();
    ASSERT_TRUE(WriteFileAtomically(folder.path() / "plan.jsonl", plan + plan).ok());
  }
  EXPECT_THAT(error({first, other.string()}), HasSubstr("plan different requests"));
  spoil("\"run_id\"", "\"run_id\"");
  Json late = ParseJson(ReadFile(other / "manifest.json").value()).value();
  late["measurements"][0]["started_at"] = "2026-01-31T12:00:00Z";
  ASSERT_TRUE(WriteFileAtomically(other / "manifest.json", late.dump()).ok());
  EXPECT_THAT(error({first, other.string()}),
              AllOf(HasSubstr("2026-01-31T12:00:00Z"), HasSubstr("different loads"), HasSubstr("--start-at")));
  const auto begun = [&](int index, const std::string& group) {
    const pid_t child = StartShard(index, LoadArgs(), group);
    return FinishProgram(ShardDir(index), child);
  };
  EXPECT_THAT(begun(1, kGroup).err, HasSubstr("is there already"));
  EXPECT_THAT(begun(kShards, "h").err, HasSubstr("numbered 0 to 3"));
  std::vector<std::string> few = LoadArgs();
  few.insert(few.end(), {"--clients", "2"});
  const pid_t too_many = StartShard(0, few, "few");
  EXPECT_EQ(FinishProgram(ShardDir(0), too_many).exit_code, 2);
  EXPECT_FALSE(fs::exists(GroupDir().parent_path() / "few" / "0-of-4")) << "a load that cannot be divided";
  EXPECT_EQ(std::distance(fs::directory_iterator(dir_ / "client/results"), {}), 1) << "nothing but the shards";
}

TEST_F(Shards, ASweepMakesEveryCellCollectsItAndGoesOn) {
  StartMock("0.001");
  const auto write = [&](const std::string& lengths) {
    const std::string text = fmt::format(
        "name: grid\nshards: 2\nstart_lead_s: {}\nconfig:\n  server: {{url: \"{}\"}}\n  workload: {{requests: 12, "
        "input_tokens: 8}}\n"
        "  load: {{clients: 4}}\n  warmup_requests: 0\naxes:\n  length: {{{}}}\n",
        kLead, url_, lengths);
    ASSERT_TRUE(WriteFileAtomically(dir_ / "client/grid.yaml", text).ok());
  };
  const auto sweep = [&] { return CallProgram(dir_ / "client", {"sweep", "grid.yaml", "--json"}); };
  write("short: {workload: {output_tokens: 2}}");
  const Outcome first = sweep();
  ASSERT_EQ(first.exit_code, 0) << first.err;
  EXPECT_THAT(first.err, HasSubstr("done"));
  write("short: {workload: {output_tokens: 2}}, long: {workload: {output_tokens: 9}}");
  const Outcome both = sweep();
  ASSERT_EQ(both.exit_code, 0) << both.err;
  const Json cells = ParseJson(both.out).value().at("cells");
  ASSERT_EQ(cells.size(), 2u);
  EXPECT_EQ(cells.at(0), ParseJson(first.out).value().at("cells").at(0)) << "what was made is not made again";
  const Outcome report = CallProgram(dir_ / "client", {"report", cells.at(1).at("run_id").get<std::string>(), "--json"});
  const Json summary = ParseJson(report.out).value();
  const Json& figures = CellOf(summary).at("figures");
  EXPECT_EQ(figures.at("requests"), 12);
  EXPECT_EQ(figures.at("output_tokens_mean"), 9);

  write("short: {workload: {output_tokens: 3}}");
  EXPECT_THAT(sweep().err, HasSubstr("the sweep was changed since it began"));
}

// One is paused: the others would else warm up for the second repetition while it measures the first.
TEST_F(Shards, NoneGoesOnWhileOthersMeasure) {
  StartMock("0.02");
  std::vector<std::string> args = LoadArgs();
  args.insert(args.end(), {"--repeats", "2"});
  std::vector<pid_t> shards = StartAll(args);
  WaitForEvents(3);
  ::kill(shards[3], SIGSTOP);
  const auto ended = [&](int index) { return fs::exists(GroupDir() / fmt::format("meetings/0/ended-{}", index)); };
  while (!ended(0) || !ended(1) || !ended(2)) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  EXPECT_FALSE(fs::exists(GroupDir() / "meetings/1"));
  ::kill(shards[3], SIGCONT);
  Finish(shards);
  EXPECT_TRUE(ended(3));
  for (int i = 0; i < kShards; ++i) EXPECT_TRUE(fs::exists(GroupDir() / fmt::format("meetings/1/ended-{}", i))) << i;
}

TEST_F(Shards, ALoadWithoutAnAnswerFails) {
  StartMock({"--ttft-s", "0.01", "--tpot-s", "0.001", "--fault", "status=500"});
  Finish(StartAll(LoadArgs()));
  const Outcome merged = Merge({GroupDir().string()});
  EXPECT_EQ(merged.exit_code, 1);
  EXPECT_THAT(merged.err, AllOf(HasSubstr("none of 48 requests was answered"), HasSubstr("the run is stored in")));

  const std::string text = fmt::format(
      "name: grid\nconfig:\n  server: {{url: \"{}\"}}\n  workload: {{requests: 3, input_tokens: 8, output_tokens: 2}}\n"
      "  load: {{clients: 1}}\n  warmup_requests: 0\naxes:\n  a: {{x: {{}}}}\n",
      url_);
  ASSERT_TRUE(WriteFileAtomically(dir_ / "client/grid.yaml", text).ok());
  std::string run_id;
  for (const bool is_first : {true, false}) {
    const Outcome sweep = CallProgram(dir_ / "client", {"sweep", "grid.yaml", "--json"});
    EXPECT_EQ(sweep.exit_code, 1);
    EXPECT_THAT(sweep.err, AllOf(HasSubstr("none of 3 requests was answered"), HasSubstr("remove ")));
    const Json cell = ParseJson(sweep.out).value().at("cells").at(0);
    EXPECT_THAT(cell.at("error").get<std::string>(), HasSubstr("none of 3 requests"));
    if (is_first) run_id = cell.at("run_id").get<std::string>();
    EXPECT_EQ(cell.at("run_id"), run_id) << "it is kept, and not made again";
  }
}

// A job of another cluster that is queued anew when a node failed: what the first start left is no part of the cell.
TEST_F(Shards, ASweepTakesTheLastStartOfAJob) {
  StartMock("0.001");
  const fs::path bin = dir_ / "bin", client = dir_ / "client";
  fs::create_directories(bin);
  const auto write = [&](const char* name, const std::string& body) {
    ASSERT_TRUE(WriteFileAtomically(bin / name, "#!/bin/sh\nat='" + bin.string() + "'\n" + body).ok());
    fs::permissions(bin / name, fs::perms::owner_all);
  };
  write("sbatch", "cp \"$3\" \"$at/new\"\nmv \"$at/new\" \"$at/job\"\necho '7;far'\n");
  write("squeue",
        "case \"$*\" in *--clusters=far*) ;; *) echo 'Invalid job id specified' >&2; exit 1 ;; esac\n"
        "echo 'CLUSTER: far'\n[ -e \"$at/done\" ] || echo '0 RUNNING'\n");
  write("srun", "shift\necho \"$SRUN_CPUS_PER_TASK\" >\"$at/cpus\"\nexec \"$@\"\n");
  const std::string text = fmt::format(
      "name: grid\nconfig:\n  server: {{url: \"{}\"}}\n  workload: {{requests: 4, input_tokens: 8, output_tokens: 2}}\n"
      "  load: {{clients: 4}}\n  warmup_requests: 0\n  client_threads: 2\n",
      url_);
  ASSERT_TRUE(WriteFileAtomically(client / "grid.yaml", text).ok());
  std::atomic<bool> is_over = false;
  std::thread node([&] {
    while (!fs::exists(bin / "job") && !is_over) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    const auto start = [&](const char* restart) {
      return std::system(fmt::format("cd '{}' && PATH='{}':\"$PATH\" SLURM_ARRAY_TASK_ID=0 SLURM_CPUS_PER_TASK=2 {} sh '{}' "
                                     ">'{}' 2>&1",
                                     client.string(), bin.string(), restart, (bin / "job").string(), (bin / "log").string())
                             .c_str());
    };
    EXPECT_TRUE(is_over || start("") == 0);
    for (const auto& file : fs::recursive_directory_iterator(client / "results/sweeps")) {
      if (file.path().filename() == "manifest.json") fs::resize_file(file.path(), 10);  // it was killed
    }
    EXPECT_TRUE(is_over || start("SLURM_RESTART_COUNT=1") == 0);
    EXPECT_TRUE(WriteFileAtomically(bin / "done", "").ok());
  });
  const Outcome outcome = CallProgram(client, {"sweep", "grid.yaml", "--on", "slurm"},
                                      [&] { ::setenv("PATH", (bin.string() + ":" + std::getenv("PATH")).c_str(), 1); });
  is_over = true;
  node.join();
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(ReadFile(bin / "cpus").value(), "2\n");
  EXPECT_THAT(ReadFile(client / "results/sweeps/grid/job.sh").value(), HasSubstr("--cpus-per-task=2"));
  EXPECT_EQ(ReadFile(client / "results/sweeps/grid/slurm_job").value(), "7;far\n");
}

// Programs in PATH that say what those of Slurm say when a job ends sooner than the shared folder shows what it wrote, and a
// node that runs the job after the sweep has heard once that it is forgotten.
TEST_F(Shards, ASweepWaitsForWhatAForgottenJobWrote) {
  StartMock("0.001");
  const fs::path bin = dir_ / "bin", client = dir_ / "client";
  fs::create_directories(bin);
  const auto write = [&](const char* name, const std::string& body) {
    ASSERT_TRUE(WriteFileAtomically(bin / name, "#!/bin/sh\nat='" + bin.string() + "'\n" + body).ok());
    fs::permissions(bin / name, fs::perms::owner_all);
  };
  write("sbatch", "cp \"$3\" \"$at/job\"\necho 7\n");
  write("squeue",
        "[ ! -e \"$at/asked\" ] || : >\"$at/again\"\n: >\"$at/asked\"\n"
        "echo 'slurm_load_jobs error: Invalid job id specified' >&2\nexit 1\n");
  write("srun", "shift\nexec \"$@\"\n");
  const std::string text = fmt::format(
      "name: grid\nsettle_s: 600\nconfig:\n  server: {{url: \"{}\"}}\n  workload: {{requests: 2, input_tokens: 8, "
      "output_tokens: "
      "2}}\n  load: {{clients: 1}}\n  warmup_requests: 0\n",
      url_);
  ASSERT_TRUE(WriteFileAtomically(client / "grid.yaml", text).ok());
  std::atomic<bool> is_over = false;
  std::thread node([&] {
    while (!fs::exists(bin / "again") && !is_over) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    const std::string job = fmt::format("cd '{}' && PATH='{}':\"$PATH\" SLURM_ARRAY_TASK_ID=0 sh '{}' >'{}' 2>&1",
                                        client.string(), bin.string(), (bin / "job").string(), (bin / "log").string());
    EXPECT_TRUE(is_over || std::system(job.c_str()) == 0);
  });
  const Outcome outcome = CallProgram(client, {"sweep", "grid.yaml", "--on", "slurm"},
                                      [&] { ::setenv("PATH", (bin.string() + ":" + std::getenv("PATH")).c_str(), 1); });
  is_over = true;
  node.join();
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, testing::AllOf(HasSubstr("ends "), HasSubstr("done")));
}

TEST_F(Shards, ASweepSaysWhichCellFailed) {
  const std::string text =
      "name: grid\nconfig:\n  server: {url: \"http://127.0.0.1:1\"}\n  workload: {requests: 2}\naxes:\n  a: {x: {}}\n";
  ASSERT_TRUE(WriteFileAtomically(dir_ / "client/grid.yaml", text).ok());
  const Outcome outcome = CallProgram(dir_ / "client", {"sweep", "grid.yaml"});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("1 of 1 cells have no run"));
  EXPECT_THAT(ReadFile(dir_ / "client/results/sweeps/grid/x/0.log").value(), HasSubstr("127.0.0.1:1"));
}

}  // namespace
}  // namespace moecap::e2e
