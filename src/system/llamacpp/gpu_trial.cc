#include "system/llamacpp/gpu_trial.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <ggml-alloc.h>
#include <ggml-backend.h>
#include <ggml.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>
#include <system_error>
#include <utility>

namespace moecap::llamacpp {
namespace fs = std::filesystem;
namespace {

constexpr char kErrorMark = '\x01';  // begins a line that the engine logged as an error

void WriteAll(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
    if (written <= 0) return;
    text.remove_prefix(static_cast<size_t>(written));
  }
}

void LogInChild(ggml_log_level level, const char* text, void*) {
  if (level == GGML_LOG_LEVEL_ERROR) WriteAll(fmt::format("{}{}", kErrorMark, text));
}

// A product of ones: every element is the length of the rows. Memory is not freed: the child ends right after.
bool ComputesRight(ggml_backend_dev_t device) {
  constexpr int kLength = 64, kRows = 4, kColumns = 2;
  ggml_backend_t backend = ggml_backend_dev_init(device, nullptr);
  if (backend == nullptr) return false;
  ggml_context* context = ggml_init({ggml_tensor_overhead() * 8 + ggml_graph_overhead(), nullptr, true});
  ggml_tensor* a = ggml_new_tensor_2d(context, GGML_TYPE_F32, kLength, kRows);
  ggml_tensor* b = ggml_new_tensor_2d(context, GGML_TYPE_F32, kLength, kColumns);
  ggml_tensor* product = ggml_mul_mat(context, a, b);
  ggml_cgraph* graph = ggml_new_graph(context);
  ggml_build_forward_expand(graph, product);
  if (ggml_backend_alloc_ctx_tensors(context, backend) == nullptr) return false;
  const std::array<float, kLength* kRows> ones = [] {
    std::array<float, kLength * kRows> values{};
    values.fill(1);
    return values;
  }();
  ggml_backend_tensor_set(a, ones.data(), 0, ggml_nbytes(a));
  ggml_backend_tensor_set(b, ones.data(), 0, ggml_nbytes(b));
  if (ggml_backend_graph_compute(backend, graph) != GGML_STATUS_SUCCESS) return false;
  std::array<float, kRows * kColumns> result{};
  ggml_backend_tensor_get(product, result.data(), 0, sizeof(result));
  return std::ranges::all_of(result, [](float value) { return value == kLength; });
}

// Never returns.
[[noreturn]] void RunChild(const fs::path& backend, int output) {
  ::dup2(output, STDERR_FILENO);
  if (const int nowhere = ::open("/dev/null", O_WRONLY); nowhere >= 0) ::dup2(nowhere, STDOUT_FILENO);
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  ::setenv("GGML_NO_BACKTRACE", "1", 1);  // the engine would call a debugger
  ggml_log_set(LogInChild, nullptr);
  if (backend.empty()) {
    ggml_backend_load_all();
  } else if (ggml_backend_load(backend.c_str()) == nullptr) {
    WriteAll("its library cannot be loaded\n");
    ::_exit(1);
  }
  bool any = false;
  for (size_t i = 0; i < ggml_backend_dev_count(); ++i) {
    ggml_backend_dev_t device = ggml_backend_dev_get(i);
    if (!IsGpu(device)) continue;
    any = true;
    if (ComputesRight(device)) continue;
    WriteAll(fmt::format("{} does not compute a small matrix product\n", ggml_backend_dev_name(device)));
    ::_exit(1);
  }
  if (!any) WriteAll("it finds no GPU\n");
  ::_exit(any ? 0 : 1);
}

// Everything until the other end is closed; false at the deadline.
bool ReadUntilClosed(int input, double timeout_s, std::string& text) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::duration<double>(timeout_s);
  std::array<char, 4096> piece{};
  while (true) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
    if (left <= 0) return false;
    pollfd wait{input, POLLIN, 0};
    if (::poll(&wait, 1, static_cast<int>(std::min<long long>(left, 1000))) <= 0) continue;
    const ssize_t got = ::read(input, piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return true;
    text.append(piece.data(), static_cast<size_t>(got));
  }
}

// The first line that the engine logged as an error: what follows it tells where, not why. Else the last line.
std::string CauseIn(const std::string& output) {
  std::string last;
  for (size_t begin = 0; begin < output.size();) {
    const size_t end = std::min(output.find('\n', begin), output.size());
    std::string line = output.substr(begin, end - begin);
    begin = end + 1;
    const bool marked = !line.empty() && line.front() == kErrorMark;
    std::erase(line, kErrorMark);
    while (!line.empty() && line.back() == ' ') line.pop_back();
    if (line.empty()) continue;
    if (marked) return line;
    last = line;
  }
  return last;
}

GpuTrial Judge(int status, const std::string& output) {
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {true, ""};
  std::string cause = CauseIn(output);
  if (WIFSIGNALED(status))
    cause +=
        fmt::format("{}ended by signal {} ({})", cause.empty() ? "" : "; ", WTERMSIG(status), ::strsignal(WTERMSIG(status)));
  return {false, cause.empty() ? "it ended without a word" : cause};
}

}  // namespace

bool IsGpu(ggml_backend_dev_t device) {
  const auto type = ggml_backend_dev_type(device);
  return type == GGML_BACKEND_DEVICE_TYPE_GPU || type == GGML_BACKEND_DEVICE_TYPE_IGPU;
}

std::vector<fs::path> GpuBackendsIn(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    constexpr std::string_view kPrefix = "libggml-";
    if (!name.starts_with(kPrefix) || entry->path().extension() != ".so") continue;
    const std::string_view kind = std::string_view(name).substr(kPrefix.size());
    constexpr std::string_view kOthers[] = {"base", "cpu", "blas", "rpc", "zendnn"};
    if (std::ranges::none_of(kOthers, [&](std::string_view other) { return kind.starts_with(other); }))
      found.push_back(entry->path());
  }
  std::ranges::sort(found);
  return found;
}

GpuTrial TryGpuBackend(const fs::path& backend, double timeout_s) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return {false, fmt::format("no pipe to a child process: {}", std::strerror(errno))};
  const pid_t child = ::fork();
  if (child == 0) RunChild(backend, ends[1]);
  ::close(ends[1]);
  if (child < 0) {
    ::close(ends[0]);
    return {false, fmt::format("no child process to try it in: {}", std::strerror(errno))};
  }
  std::string output;
  const bool ended = ReadUntilClosed(ends[0], timeout_s, output);
  ::close(ends[0]);
  if (!ended) ::kill(child, SIGKILL);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!ended) return {false, fmt::format("it did not answer within {:.0f} s", timeout_s)};
  return Judge(status, output);
}

}  // namespace moecap::llamacpp
