// `moecap serve` as its users start and end it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "base/testing/temp_dir.h"
#include "program.h"
#include "web/testing/raw_client.h"

namespace moecap::e2e {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;

class ServeCli : public testing::Test {
 protected:
  uint16_t WaitForPort() const {
    while (!std::filesystem::exists(dir_ / "ready")) {
      if (::waitpid(child_, nullptr, WNOHANG) != 0) return 0;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    const std::string url = ReadFile(dir_ / "ready").value();
    return static_cast<uint16_t>(std::stoi(url.substr(url.rfind(':') + 1)));
  }
  uint16_t Start(std::vector<std::string> args, const std::function<void()>& prepare = {}) {
    args.insert(args.begin(), {"serve", "--listen", "127.0.0.1:0", "--ready-file", "ready"});
    child_ = StartProgram(dir_.path(), args, prepare);
    return WaitForPort();
  }
  Outcome Stop() const {
    ::kill(child_, SIGTERM);
    return FinishProgram(dir_.path(), child_);
  }

  TempDir dir_;
  pid_t child_ = -1;
};

TEST_F(ServeCli, ServesAFolderWithoutRunsAndEndsWhenItIsTold) {
  const uint16_t port = Start({});
  ASSERT_NE(port, 0);
  EXPECT_THAT(web::Ask(port, "GET", "/").body, HasSubstr("No run is stored here yet"));
  EXPECT_EQ(web::Ask(port, "GET", "/runs").status, 200);
  EXPECT_EQ(web::Ask(port, "POST", "/api/imports/a").status, 403);
  const Outcome outcome = Stop();
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.out, "http://127.0.0.1:" + std::to_string(port) + "\n");
  EXPECT_EQ(outcome.err, "");
  EXPECT_FALSE(std::filesystem::exists(dir_ / "results")) << "it only reads";
}

TEST_F(ServeCli, MakesAToken) {
  ASSERT_NE(Start({"--write"}), 0);
  EXPECT_THAT(Stop().out, MatchesRegex("http://127.0.0.1:[0-9]+/import#token=[0-9a-f]{32}\n"));
}

TEST_F(ServeCli, TakesATokenAndRefusesAShortOne) {
  const uint16_t port = Start({"--write"}, [] { ::setenv("MOECAP_SERVE_TOKEN", "0123456789abcdef", 1); });
  ASSERT_NE(port, 0);
  EXPECT_EQ(web::Ask(port, "PUT", "/api/imports/a/x.json", "Authorization: Bearer 0123456789abcdef\r\n", "{}").status, 201);
  EXPECT_EQ(Stop().exit_code, 0);
  const Outcome outcome = CallProgram(dir_.path(), {"serve", "--write"}, [] { ::setenv("MOECAP_SERVE_TOKEN", "short", 1); });
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("16 characters"));
}

TEST_F(ServeCli, RefusesAnAddressThatIsNone) {
  for (const char* listen : {"127.0.0.1:port", "nowhere:80", "127.0.0.1:99999", ""}) {
    const Outcome outcome = CallProgram(dir_.path(), {"serve", "--listen", listen});
    EXPECT_EQ(outcome.exit_code, 2) << listen;
  }
}

}  // namespace
}  // namespace moecap::e2e
