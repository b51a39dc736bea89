// moecap doctor, moecap quick, and what is made of the help texts.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "program.h"

namespace moecap::e2e {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class HabitsTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    dir_ = fs::temp_directory_path() / fmt::format("moecap-habits-{}-{}", ::getpid(), info->name());
    fs::remove_all(dir_);
    fs::create_directories(dir_ / "tmp");
    fs::create_directories(dir_ / "cache");
  }
  void TearDown() override { fs::remove_all(dir_); }

  // With its own temporary and cache folder, so that what is left behind is seen.
  Outcome Call(const std::string& arguments) {
    return ShellProgram(dir_, arguments, fmt::format("TMPDIR='{0}/tmp' XDG_CACHE_HOME='{0}/cache'", dir_.string()));
  }

  Json Finding(const std::string& out, const std::string& what) {
    const Json report = Json::parse(out);
    for (const Json& finding : report["findings"]) {
      if (finding["what"] == what) return finding;
    }
    return {};
  }

  std::vector<std::string> Left() const {
    std::vector<std::string> left;
    for (const auto& entry : fs::recursive_directory_iterator(dir_)) {
      const std::string name = entry.path().lexically_relative(dir_).string();
      if (name != "out" && name != "err" && name != "tmp" && name != "cache" && !name.starts_with("mock")) left.push_back(name);
    }
    return left;
  }

  fs::path dir_;
};

TEST_F(HabitsTest, TheDoctorLooksAtEverythingAndLeavesNothingBehind) {
  const Outcome outcome = Call("doctor --json");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  const Json report = Json::parse(outcome.out);
  EXPECT_TRUE(report["works"].get<bool>());
  std::vector<std::string> whats;
  for (const Json& finding : report["findings"]) {
    whats.push_back(finding["what"]);
    EXPECT_NE(finding["health"], "broken") << finding;
    EXPECT_NE(finding["found"], "");
    EXPECT_TRUE(finding["health"] != "limited" || finding["remedy"].is_string()) << finding;
  }
  EXPECT_THAT(whats, testing::IsSupersetOf({"engine", "GPUs", "energy counters", "clocks", "open files", "threads", "memory",
                                            "quiet machine", "results folder", "index of runs", "DuckDB", "sandbox"}));
  EXPECT_THAT(Left(), IsEmpty());
}

TEST_F(HabitsTest, AResultsFolderThatCannotBeIsBroken) {
  std::ofstream(dir_ / "tmp/file") << "no folder";
  const Outcome outcome = Call("doctor --results-dir tmp/file/results");
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("results folder"), HasSubstr("tmp/file is no folder"), HasSubstr("--results-dir")));
  EXPECT_THAT(outcome.out, HasSubstr("broken"));
}

TEST_F(HabitsTest, WhatIsDamagedOrTooTightIsNamedWithARemedy) {
  fs::create_directories(dir_ / "tmp/results");
  std::ofstream(dir_ / "tmp/results/moecap.db") << std::string(5000, 'x');
  const Outcome outcome =
      ShellProgram(dir_, "doctor --json --results-dir tmp/results", "ulimit -n 64; MOECAP_DUCKDB=/nowhere.so");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  const Json index = Finding(outcome.out, "index of runs");
  EXPECT_EQ(index["health"], "limited");
  EXPECT_THAT(index["remedy"].get<std::string>(), HasSubstr("moecap runs rebuild"));
  const Json files = Finding(outcome.out, "open files");
  EXPECT_EQ(files["health"], "limited");
  EXPECT_THAT(files["remedy"].get<std::string>(), HasSubstr("ulimit"));
  EXPECT_EQ(Finding(outcome.out, "DuckDB")["health"], "limited");
  EXPECT_EQ(ReadFile(dir_ / "tmp/results/moecap.db").value(), std::string(5000, 'x'));
}

TEST_F(HabitsTest, QuickFindsAServerAndStoresNothing) {
  const fs::path mock = dir_ / "mock";
  fs::create_directories(mock);
  const pid_t server =
      StartProgram(mock, {"mock", "--ttft-s", "0.01", "--tpot-s", "0.002", "--port", "0", "--ready-file", "ready"});
  int ended = 0;
  while (!fs::exists(mock / "ready") && (ended = ::waitpid(server, nullptr, WNOHANG)) == 0) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  ASSERT_EQ(ended, 0) << ReadFile(mock / "err").value();
  const std::string url = ReadFile(mock / "ready").value();
  const std::string port = std::to_string(std::stoi(url.substr(url.rfind(':') + 1)));
  const Outcome outcome = Call("quick --seconds 2 --ports " + port);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("http://127.0.0.1:" + port));
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("Works"), HasSubstr("1 client:"), HasSubstr("8 clients:"),
                                 HasSubstr("output tokens/s"), HasSubstr("moecap load http://127.0.0.1:" + port)));
  EXPECT_THAT(Left(), IsEmpty());
  ::kill(server, SIGTERM);
  FinishProgram(mock, server);
}

TEST_F(HabitsTest, QuickLeavesNothingWhenItIsInterrupted) {
  const fs::path mock = dir_ / "mock";
  fs::create_directories(mock);
  const pid_t server =
      StartProgram(mock, {"mock", "--ttft-s", "0.01", "--tpot-s", "0.002", "--port", "0", "--ready-file", "ready"});
  while (!fs::exists(mock / "ready") && ::waitpid(server, nullptr, WNOHANG) == 0)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  std::string url = ReadFile(mock / "ready").value();
  url.resize(url.find('\n'));
  const pid_t quick = StartProgram(dir_, {"quick", url, "--seconds", "3000"}, [&] {
    ::setenv("TMPDIR", (dir_ / "tmp").c_str(), 1);
    ::setenv("XDG_CACHE_HOME", (dir_ / "cache").c_str(), 1);
  });
  // Then its folder is there, and its handler of the interrupt.
  const auto measures = [this] {
    const auto said = ReadFile(dir_ / "err");
    return said.ok() && said->find("requests") != std::string::npos;
  };
  while (!measures()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  ::kill(quick, SIGINT);
  const Outcome outcome = FinishProgram(dir_, quick);
  EXPECT_EQ(outcome.exit_code, 130);
  EXPECT_THAT(outcome.err, HasSubstr("nothing is kept"));
  EXPECT_THAT(Left(), IsEmpty());
  ::kill(server, SIGTERM);
  FinishProgram(mock, server);
}

TEST_F(HabitsTest, QuickSaysWhatToNameWhenThereIsNothing) {
  const Outcome refused = Call("quick http://127.0.0.1:1");
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err, HasSubstr("127.0.0.1:1"));
  EXPECT_EQ(Call("quick nothing.gguf").exit_code, 2);
  const auto expect = [&](const std::string& line, const std::string& part) {
    const Outcome outcome = Call(line);
    EXPECT_EQ(outcome.exit_code, 2) << line;
    EXPECT_THAT(outcome.err, HasSubstr(part)) << line;
  };
  expect("quick 127.0.0.1:8000", "http://127.0.0.1:8000");
  expect("quick --ports 1 --model some/model", "--model is said of a server");
  expect("quick nothing.gguf --api-key-env KEY", "--api-key-env is said of a server");
  EXPECT_THAT(Left(), IsEmpty());
}

// A server that wants a key is named, one of several models is chosen from, and one that is slow answers less.
TEST_F(HabitsTest, QuickAsksWhatItMustKnowAndWaitsForTheSlow) {
  const auto start = [&](const std::string& name, std::vector<std::string> args) {
    const fs::path room = dir_ / name;
    fs::create_directories(room);
    args.insert(args.begin(), {"mock", "--port", "0", "--ready-file", "ready"});
    const pid_t server = StartProgram(room, args, [] { ::setenv("MOCK_KEY", "secret", 1); });
    while (!fs::exists(room / "ready") && ::waitpid(server, nullptr, WNOHANG) == 0)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    const std::string url = ReadFile(room / "ready").value();
    return std::pair(server, std::to_string(std::stoi(url.substr(url.rfind(':') + 1))));
  };
  const auto [locked, locked_port] = start("mock", {"--ttft-s", "0.01", "--tpot-s", "0.2", "--api-key-env", "MOCK_KEY"});
  const Outcome refused = Call("quick --seconds 2 --ports " + locked_port);
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, AllOf(HasSubstr("127.0.0.1:" + locked_port), HasSubstr("give it by --api-key-env")));
  ::setenv("MOCK_KEY", "secret", 1);
  const Outcome slow = Call("quick --seconds 12 --api-key-env MOCK_KEY --ports " + locked_port);
  EXPECT_EQ(slow.exit_code, 0) << slow.err;
  EXPECT_THAT(slow.out, AllOf(HasSubstr("Works"), HasSubstr("tokens instead of 64"), HasSubstr("--api-key-env MOCK_KEY")));
  EXPECT_THAT(Left(), IsEmpty());
  ::kill(locked, SIGTERM);
  FinishProgram(dir_ / "mock", locked);
}

// The verbs that a help text lists, by its own words.
std::vector<std::string> VerbsIn(const std::string& help) {
  std::vector<std::string> verbs;
  std::istringstream lines(help);
  bool listed = false;
  for (std::string line; std::getline(lines, line);) {
    if (line == "Subcommands:") {
      listed = true;
    } else if (listed && line.empty()) {
      break;
    } else if (listed && line.size() > 3 && line.starts_with("  ") && line[2] != ' ') {
      verbs.push_back(line.substr(2, line.find(' ', 2) - 2));
    }
  }
  return verbs;
}

// The long names of flags, several of which may stand for one.
std::vector<std::string> FlagsIn(const std::string& help) {
  std::vector<std::string> flags;
  std::istringstream lines(help.substr(help.find("Options:")));
  for (std::string line; std::getline(lines, line) && !line.empty();) {
    if (!line.starts_with("  -")) continue;
    std::string names = line.substr(2, line.find_first_of(" =", 2) - 2) + ",";
    for (size_t end = names.find(','); end != std::string::npos; end = names.find(',')) {
      if (names.starts_with("--")) flags.push_back(names.substr(0, end));
      names.erase(0, end + 1);
    }
  }
  return flags;
}

// The line of `text` that begins with `begin`; a failure prints no more than that.
std::string LineWith(const std::string& text, const std::string& begin) {
  const size_t at = text.find(begin);
  return at == std::string::npos ? "" : text.substr(at, text.find('\n', at) - at);
}

TEST_F(HabitsTest, EachVerbAndFlagIsInItsManPageAndInEveryCompletion) {
  ASSERT_EQ(Call("generate made").exit_code, 0);
  const fs::path share = dir_ / "made/share";
  const std::string bash = ReadFile(share / "bash-completion/completions/moecap").value();
  const std::string zsh = ReadFile(share / "zsh/vendor-completions/_moecap").value();
  const std::string fish = ReadFile(share / "fish/vendor_completions.d/moecap.fish").value();
  const std::string main_page = ReadFile(share / "man/man1/moecap.1").value();
  const std::string help = Call("--help").out;
  EXPECT_THAT(help, Not(HasSubstr("generate")));
  const std::vector<std::string> verbs = VerbsIn(help);
  EXPECT_GT(verbs.size(), 20u);
  const std::function<void(const std::string&, const std::string&)> check = [&](const std::string& words,
                                                                                const std::string& page) {
    const std::string verb_help = Call(words + " --help").out;
    const std::vector<std::string> flags = FlagsIn(verb_help);
    EXPECT_THAT(flags, testing::Contains("--help")) << words;
    for (const std::string& flag : flags) {
      std::string in_roff;
      for (const char c : flag) in_roff += c == '-' ? std::string("\\-") : std::string(1, c);
      EXPECT_NE(page.find("\\fB" + in_roff + "\\fR"), std::string::npos) << words << " " << flag;
      EXPECT_THAT(LineWith(bash, "\"moecap " + words + "\") words="), testing::ContainsRegex("[ \"]" + flag + "[ \"]"))
          << words;
      EXPECT_NE(LineWith(zsh, "\"moecap " + words + "\") words_here=").find("'" + flag + ":"), std::string::npos)
          << words << " " << flag;
      EXPECT_NE(fish.find(" -l " + flag.substr(2) + " "), std::string::npos) << words << " " << flag;
    }
    for (const std::string& sub : VerbsIn(verb_help)) check(words + " " + sub, page);
  };
  EXPECT_THAT(LineWith(bash, "\"moecap runs list\") words="), HasSubstr(" --json")) << "a flag of runs that may stand behind";
  EXPECT_THAT(LineWith(zsh, "\"moecap runs list\") words_here="), HasSubstr("'--json:"));
  EXPECT_THAT(ReadFile(share / "man/man1/moecap-plan.1").value(), HasSubstr("moecap plan training")) << "its examples";
  for (const std::string& verb : verbs) {
    EXPECT_THAT(main_page, HasSubstr("moecap\\-" + verb));
    check(verb, ReadFile(share / ("man/man1/moecap-" + verb + ".1")).value());
  }
}

}  // namespace
}  // namespace moecap::e2e
