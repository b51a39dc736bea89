// What the benches of the client have in common: the mock server in a process of its own, its log, and our client's view of the
// same requests.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "load/system_under_test.h"
#include "mock/server.h"
#include "system/openai/openai_system.h"

namespace moecap::bench {

// A folder that goes with the object.
class ScratchFolder {
 public:
  ScratchFolder();
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// Confines this thread, and those it starts, to one core where there are several.
void PinTo(unsigned core);
// As many open files as the system lets us have.
void RaiseFileLimit();

// The mock server on core 0. It must be started while this process has one thread.
class MockProcess {
 public:
  explicit MockProcess(mock::ServerOptions options);
  ~MockProcess();
  MockProcess(const MockProcess&) = delete;
  MockProcess& operator=(const MockProcess&) = delete;

  std::string url() const;
  pid_t pid() const { return process_; }
  // Ends it; its log is complete then.
  void Stop();

 private:
  pid_t process_ = -1;
  int port_ = 0;
  int stop_pipe_ = -1;
};

// A request as the server saw it; CLOCK_MONOTONIC nanoseconds.
struct TrueRequest {
  int64_t arrival_ns = 0;
  std::vector<int64_t> token_ns;  // when the write that carried each token began
};

// The log's complete requests by their cache_salt. CHECKs that each is complete and named once.
std::map<std::string, TrueRequest> ReadTruth(const std::filesystem::path& log);

// Requests that the mock can tell apart: a prompt and a salt each.
std::vector<load::RequestSpec> NamedRequests(int64_t count, int64_t output_tokens);

// With `connections` open ahead, none of which grows too old to be used.
std::unique_ptr<openai::OpenAiSystem> ConnectTo(const std::string& url, size_t connections, const Clock& clock);

void SleepUntil(int64_t time_ns);

// CPU seconds of all threads of this process and of another one so far, and what the machine's cores have done.
double CpuSeconds();
double CpuSecondsOf(pid_t process);
struct MachineTime {
  double idle_s = 0, total_s = 0;  // summed over the cores
};
MachineTime MachineTimeNow();

// p50, p99 or any other of `values`; CHECKs that there are some.
double QuantileOf(std::vector<double> values, double q);

}  // namespace moecap::bench
