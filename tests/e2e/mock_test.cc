// `moecap mock` as its users run it.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/fs.h"
#include "base/json.h"
#include "base/testing/temp_dir.h"
#include "program.h"

namespace moecap::e2e {
namespace {

using testing::HasSubstr;

class MockCli : public testing::Test {
 protected:
  pid_t Start(const std::vector<std::string>& args) const { return StartProgram(dir_, args); }
  Outcome Finish(pid_t child) const { return FinishProgram(dir_, child); }
  Outcome Call(const std::vector<std::string>& args) const { return Finish(Start(args)); }

  // The port that the server wrote into its ready file; 0 when it ended instead.
  int WaitForPort(pid_t child) const {
    while (!std::filesystem::exists(dir_ / "ready")) {
      if (::waitpid(child, nullptr, WNOHANG) != 0) return 0;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    const std::string url = ReadFile(dir_ / "ready").value();
    return std::stoi(url.substr(url.rfind(':') + 1));
  }

  static std::string Exchange(int port, const std::string& body) {
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    const std::string request =
        fmt::format("POST /v1/completions HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{}", body.size(), body);
    EXPECT_EQ(::send(fd, request.data(), request.size(), 0), static_cast<ssize_t>(request.size()));
    std::string answer;
    char buffer[4096];
    for (ssize_t size = ::recv(fd, buffer, sizeof buffer, 0); size > 0; size = ::recv(fd, buffer, sizeof buffer, 0)) {
      answer.append(buffer, static_cast<size_t>(size));
    }
    ::close(fd);
    return answer;
  }

  void ExpectRefused(const std::vector<std::string>& args, const std::string& part) const {
    std::vector<std::string> all = {"mock"};
    all.insert(all.end(), args.begin(), args.end());
    const Outcome outcome = Call(all);
    EXPECT_EQ(outcome.exit_code, 2) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(part));
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    EXPECT_EQ(outcome.out, "");
  }

  TempDir temp_;
  const std::filesystem::path dir_ = temp_.path();
};

TEST_F(MockCli, ServesAndLeavesARecordThatMetricsReads) {
  const pid_t child =
      Start({"mock", "--model", "Qwen/Qwen3-30B-A3B", "--device", "h100-sxm", "--overhead-s", "0", "--bandwidth-efficiency",
             "0.5", "--log", "log.jsonl", "--passes", "passes.jsonl", "--ready-file", "ready"});
  const int port = WaitForPort(child);
  ASSERT_NE(port, 0) << ReadFile(dir_ / "err").value();
  EXPECT_THAT(Exchange(port, R"({"prompt":"one two three","max_tokens":20})"), HasSubstr("\"completion_tokens\":20"));
  ::kill(child, SIGTERM);
  const Outcome served = Finish(child);
  EXPECT_EQ(served.exit_code, 0) << served.err;
  EXPECT_EQ(served.out, fmt::format("http://127.0.0.1:{}\n", port));
  EXPECT_THAT(ReadFile(dir_ / "log.jsonl").value(), HasSubstr("\"outcome\":\"complete\""));

  const Outcome metrics = Call({"metrics", "passes.jsonl", "--model", "Qwen/Qwen3-30B-A3B", "--device", "h100-sxm", "--json"});
  ASSERT_EQ(metrics.exit_code, 0) << metrics.err;
  const Json json = ParseJson(metrics.out).value();
  const std::string text = DumpJson(json);
  const size_t decode = text.find("\"decode\":");
  ASSERT_NE(decode, std::string::npos) << text;
  const size_t at = text.find("\"s_mbu\":", decode);
  EXPECT_NEAR(std::stod(text.substr(at + 8)), 0.5, 1e-6) << "the efficiency that was asked for";
}

TEST_F(MockCli, AnInterruptIsAnOrderlyEnd) {
  const pid_t child =
      Start({"mock", "--ttft-s", "0.01", "--tpot-s", "0.01:0.2", "--dialect", "ollama", "--ready-file", "ready"});
  ASSERT_NE(WaitForPort(child), 0);
  ::kill(child, SIGINT);
  EXPECT_EQ(Finish(child).exit_code, 0);
}

TEST_F(MockCli, BadInputIsNamed) {
  ExpectRefused({"--model", "Qwen/Qwen3-30B-A3C", "--device", "h100-sxm"}, "Qwen/Qwen3-30B-A3B");
  ExpectRefused({"--model", "Qwen/Qwen3-30B-A3B", "--device", "h100-sxn"}, "h100-sxm");
  ExpectRefused({"--model", "Qwen/Qwen3-30B-A3B"}, "--device");
  ExpectRefused({}, "--model");
  ExpectRefused({"--model", "deepseek-ai/DeepSeek-V3", "--device", "h100-sxm"}, "more devices");
  ExpectRefused({"--ttft-s", "1"}, "--tpot-s");
  ExpectRefused({"--ttft-s", "x", "--tpot-s", "1"}, "--ttft-s is \"x\"");
  ExpectRefused({"--null", "--fault", "rest=1"}, "did you mean \"reset\"?");
  ExpectRefused({"--null", "--dialect", "vlm"}, "vllm, sglang");
  ExpectRefused({"--null", "--api-key-env", "NO_SUCH_VARIABLE"}, "NO_SUCH_VARIABLE");
  ExpectRefused({"--null", "--tls-cert", "c.pem"}, "--tls-key");
  ExpectRefused({"--null", "--tls-cert", "c.pem", "--tls-key", "k.pem"}, "c.pem");
  ExpectRefused({"--null", "--routed-experts"}, "--routed-experts");
  ExpectRefused({"--null", "--log", "no/such/folder/log"}, "no/such/folder/log");
}

}  // namespace
}  // namespace moecap::e2e
