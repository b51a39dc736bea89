#include "app/launched_server.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <thread>
#include <utility>

#include "app/launch_lines.h"
#include "base/fs.h"
#include "base/paths.h"
#include "base/wall_clock.h"
#include "base/words.h"
#include "net/local_port.h"
#include "system/openai/base_url.h"

namespace moecap::app {
namespace fs = std::filesystem;
namespace {

constexpr int64_t kAskLimitNs = 10'000'000'000, kConnectLimitNs = 2'000'000'000;
constexpr auto kPause = std::chrono::milliseconds(50);
constexpr std::streamoff kTailBytes = 8 << 10;
constexpr size_t kTailLines = 15;
// Pages that answer 200 when a server is ready, and for which none generates: SGLang's, vLLM's, everybody's, TGI's, Ollama's.
constexpr std::array kReadyPages = {"/ready", "/ping", "/v1/models", "/info", "/api/version"};

Result<std::string> ValueOf(const std::string& name, const std::string& value) {
  if (!value.starts_with('$')) return value;
  const char* own = std::getenv(value.c_str() + 1);
  if (own == nullptr)
    return BadInput(fmt::format("the environment variable {} (launch.env {}) is not set; export it", value.substr(1), name));
  return std::string(own);
}

void Replace(std::string_view mark, const std::string& by, std::vector<std::string>& words) {
  for (std::string& word : words) {
    for (size_t at = word.find(mark); at != std::string::npos; at = word.find(mark, at + by.size()))
      word.replace(at, mark.size(), by);
  }
}

// A file that nobody else has by that name.
std::string FileNameOf(const std::string& system) {
  std::string name = system;
  for (char& c : name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-';
    if (!plain) c = '_';
  }
  return name.starts_with('.') ? "_" + name : name;
}

}  // namespace

Result<fs::path> LaunchRoom::Folder() {
  if (folder_.empty()) {
    RETURN_IF_ERROR(MakeWritableDir(results_dir_));
    ASSIGN_OR_RETURN(const fs::path made, MakeNumberedDir(results_dir_, fmt::format(".servers-{}", ::getpid())));
    folder_ = Absolute(made);
  }
  RETURN_IF_ERROR(MakeWritableDir(folder_));
  return folder_;
}

Status LaunchRoom::MoveTo(const fs::path& run_dir) {
  const fs::path to = Absolute(run_dir) / "servers";
  std::error_code error;
  if (!folder_.empty()) fs::rename(folder_, to, error);
  if (error) return BadInput(fmt::format("the servers' logs cannot be moved to {}: {}", to.string(), error.message()));
  folder_ = to;
  return {};
}

void LaunchRoom::Enter(LaunchedServer& server) {
  if (!together_ && inside_ != nullptr && inside_ != &server) inside_->Stop();
  inside_ = &server;
}

void LaunchRoom::Leave(const LaunchedServer& server) {
  if (inside_ == &server) inside_ = nullptr;
}

Result<std::unique_ptr<LaunchedServer>> LaunchedServer::Create(const experiment::SystemConfig& system,
                                                               const fs::path& directory, LaunchRoom& room,
                                                               const Clock& clock) {
  std::unique_ptr<LaunchedServer> launched(new LaunchedServer(room, clock));
  launched->name_ = system.name;
  launched->launch_ = *system.launch;
  launched->server_ = *system.server;
  launched->directory_ = Absolute(directory.empty() ? "." : directory);
  launched->facts_ = {system.launch->env, launched->directory_.string(), "servers/" + FileNameOf(system.name) + ".log", {}};
  RETURN_IF_ERROR(launched->FillAddress());
  RETURN_IF_ERROR(launched->FillCommand());
  return launched;
}

Status LaunchedServer::FillAddress() {
  if (!server_.urls.empty()) {
    ASSIGN_OR_RETURN(const openai::BaseUrl base, openai::ParseBaseUrl(server_.urls.front()));
    port_ = std::to_string(base.url.port);
  } else {
    port_ = launch_.system.empty() ? experiment::PortIn(launch_.command) : std::string(experiment::kPortMark);
    if (port_ == experiment::kPortMark) {
      ASSIGN_OR_RETURN(const int port, net::FreeLocalPort());
      port_ = std::to_string(port);
    }
    server_.urls = {"http://127.0.0.1:" + port_};
  }
  const auto port = ParseNumber(port_);
  if (!port || *port < 1 || *port > 65535)
    return BadInput(fmt::format("\"{}\" is no port on which a server could listen", port_));
  return {};
}

// Files of the line lie beside the log, which may have moved since the last start.
Status LaunchedServer::FillCommand() {
  environment_.clear();
  if (launch_.system.empty()) {
    words_ = launch_.command;
    ready_.assign(kReadyPages.begin(), kReadyPages.end());
  } else {
    ASSIGN_OR_RETURN(const LaunchSystem* const system, FindLaunchSystem(launch_.system));
    ASSIGN_OR_RETURN(const fs::path folder, room_.Folder());
    LaunchOptions options;
    options.model = launch_.model;
    options.gpus = launch_.gpus;
    options.port = static_cast<int>(ParseNumber(port_).value_or(0));
    options.batch = launch_.batch;
    options.context = launch_.context;
    options.folder = folder.string();
    options.offload_folder = (CacheDir() / "offload" / FileNameOf(launch_.model)).string();
    options.cpus = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
    ASSIGN_OR_RETURN(const LaunchLine line, LaunchLineOf(launch_.system, options));
    ASSIGN_OR_RETURN(words_, SplitWords(line.command));
    const auto program = std::ranges::find(words_, size_t{0}, &AssignmentName);
    for (auto word = words_.begin(); word != program; ++word)
      environment_[word->substr(0, AssignmentName(*word))] = word->substr(AssignmentName(*word) + 1);
    words_.erase(words_.begin(), program);
    if (!launch_.program.empty()) words_.front() = launch_.program;
    words_.insert(words_.end(), launch_.flags.begin(), launch_.flags.end());
    file_name_ = line.file_name;
    file_text_ = line.file_text;
    ready_ = {std::string(system->ready), "/v1/models"};
    if (system->kind == "unknown" && server_.kind.empty()) server_.kind = system->kind;
    if (system->kind == "unknown" && server_.model.empty()) server_.model = launch_.model;
  }
  if (!launch_.ready.empty()) ready_ = {launch_.ready};
  Replace(experiment::kPortMark, port_, words_);
  for (const auto& [name, value] : launch_.env) {
    ASSIGN_OR_RETURN(environment_[name], ValueOf(name, value));
  }
  return {};
}

Status LaunchedServer::Run(const std::vector<std::string>& capture_flags) {
  if (IsRunning() && capture_flags == capture_flags_) return {};
  Stop();
  room_.Enter(*this);
  const Status started = Start(capture_flags);
  if (!started.ok()) Stop();
  return started.ok() ? started : Annotate(name_, started.error());
}

Status LaunchedServer::Start(const std::vector<std::string>& capture_flags) {
  RETURN_IF_ERROR(FillCommand());
  ASSIGN_OR_RETURN(const fs::path folder, room_.Folder());
  net::HttpClientOptions http;
  http.tls = {!server_.insecure, server_.ca.string()};
  ASSIGN_OR_RETURN(const openai::BaseUrl base, openai::ParseBaseUrl(server_.urls.front()));
  http.urls = {base.url};
  ASSIGN_OR_RETURN(const auto client, net::HttpClient::Create(http, clock_));
  if (client->WarmUp(1, kConnectLimitNs).ok()) {
    return BadInput(fmt::format(
        "something listens at {} already, which would be measured instead; end it, or give another port", base.url.Origin()));
  }
  if (!file_name_.empty()) RETURN_IF_ERROR(WriteFileAtomically(folder / file_name_, file_text_));
  ChildProcess::Options options;
  options.words = words_;
  options.words.insert(options.words.end(), capture_flags.begin(), capture_flags.end());
  options.environment = environment_;
  options.directory = directory_;
  options.output = LogFile();
  std::ofstream(options.output, std::ios::app)
      << "[moecap " << WallTimeIso8601() << "] " << ShellLine(options.words) << std::endl;
  if (room_.on_start_) room_.on_start_(fmt::format("starting {}: {}", name_, ShellLine(options.words)));
  facts_.starts.push_back({WallTimeIso8601(), options.words, !capture_flags.empty(), 0, ""});
  capture_flags_ = capture_flags;
  const int64_t begin_ns = clock_.NowNs();
  ASSIGN_OR_RETURN(child_, ChildProcess::Start(options));
  RETURN_IF_ERROR(AwaitReady(*client));
  facts_.starts.back().ready_s = static_cast<double>(clock_.NowNs() - begin_ns) * 1e-9;
  return {};
}

Status LaunchedServer::AwaitReady(net::HttpClient& client) {
  const int64_t end_ns = clock_.NowNs() + static_cast<int64_t>(launch_.start_timeout_s * 1e9);
  while (!IsReady(client)) {
    if (const std::string why = WhyItEnded(); !why.empty()) return Failed("it was not ready when " + why);
    if (room_.stop_requested_ && room_.stop_requested_())
      return Error{ErrorKind::kInterrupted, "interrupted while the server started"};
    if (clock_.NowNs() > end_ns) {
      return Failed(fmt::format("the server was not ready after {:g} s (launch.start_timeout_s), asked at {}; {}",
                                launch_.start_timeout_s, server_.urls.front() + ready_.front(), EndOfLog()));
    }
    std::this_thread::sleep_for(kPause);
  }
  return {};
}

// A server whose program has ended is not ready, whoever answers in its place.
bool LaunchedServer::IsReady(net::HttpClient& client) {
  if (child_->Ended()) return false;
  for (const std::string& page : ready_) {
    const auto response = client.Fetch({.method = "GET", .path = page}, kAskLimitNs);
    if (!response.ok()) return false;
    const bool missing = response->status == 404 || response->status == 405;
    if (missing && launch_.ready.empty()) continue;
    // A key guards some pages, which shows that somebody is there.
    return response->status == 200 || response->status == 401 || response->status == 403;
  }
  return true;  // it answers, and has none of them
}

void LaunchedServer::Stop() {
  if (child_) {
    const bool by_itself = child_->Ended().has_value();
    const auto status = child_->Stop();
    facts_.starts.back().ended =
        fmt::format("{} {}", status ? InWords(*status) : "unknown how,", by_itself ? "by itself" : "when it was to end");
    child_.reset();
  }
  room_.Leave(*this);
}

uint64_t LaunchedServer::LogSize() const {
  std::error_code error;
  const uint64_t size = fs::file_size(LogFile(), error);
  return error ? 0 : size;
}

std::string LaunchedServer::LogSince(uint64_t size) const {
  std::ifstream log(LogFile(), std::ios::binary);
  log.seekg(static_cast<std::streamoff>(size));
  return {std::istreambuf_iterator<char>(log), std::istreambuf_iterator<char>()};
}

std::string LaunchedServer::HowItEnded() {
  if (!child_ || !child_->Ended()) return "";
  return fmt::format("it ended by itself ({})", InWords(*child_->Ended()));
}

std::string LaunchedServer::WhyItEnded() {
  const std::string how = HowItEnded();
  return how.empty() ? "" : fmt::format("{}; {}", how, EndOfLog());
}

std::string LaunchedServer::EndOfLog() const {
  const fs::path file = LogFile();
  std::ifstream log(file, std::ios::binary);
  log.seekg(0, std::ios::end);
  const std::streamoff size = log.tellg();
  log.seekg(std::max<std::streamoff>(0, size - kTailBytes));
  std::vector<std::string> lines;
  for (std::string line; std::getline(log, line);) {
    if (line.starts_with("[moecap ")) lines.clear();
    if (!line.empty() && !line.starts_with("[moecap ")) lines.push_back(line);
  }
  if (lines.empty()) return fmt::format("it printed nothing (log: {})", file.string());
  std::string text = fmt::format("the end of its log ({}):", file.string());
  for (size_t i = lines.size() - std::min(lines.size(), kTailLines); i < lines.size(); ++i) text += "\n  " + lines[i];
  return text;
}

}  // namespace moecap::app
