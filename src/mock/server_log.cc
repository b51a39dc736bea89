#include "mock/server_log.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <iterator>

#include "mock/format.h"
#include "record/jsonl.h"

namespace moecap::mock {
namespace {

void AppendTimes(std::string_view key, const std::vector<int64_t>& times, std::string& out) {
  fmt::format_to(std::back_inserter(out), ",\"{}\":[", key);
  for (size_t i = 0; i < times.size(); ++i) {
    if (i > 0) out += ',';
    AppendInteger(times[i], out);
  }
  out += ']';
}

void AppendRequest(const RequestLog& request, std::string& out) {
  fmt::format_to(std::back_inserter(out),
                 R"({{"record":"request","id":"{}","replica":{},"path":"{}","stream":{},"outcome":"{}","arrival_ns":{},)"
                 R"("admission_ns":{},"end_ns":{},"prompt_tokens":{},"cached_tokens":{},"planned_tokens":{})",
                 request.answer_id, request.replica, request.path, request.stream, request.outcome, request.arrival_ns,
                 request.admission_ns == 0 ? "null" : fmt::format("{}", request.admission_ns), request.end_ns,
                 request.prompt_tokens, request.cached_tokens, request.planned_tokens);
  if (!request.cache_salt.empty()) {
    out += ",\"cache_salt\":";
    AppendJsonString(request.cache_salt, out);
  }
  AppendTimes("due_ns", request.due_ns, out);
  AppendTimes("token_ns", request.token_ns, out);
  out += '}';
}

Result<std::FILE*> OpenFile(const std::string& file) {
  if (file.empty()) return nullptr;
  std::FILE* opened = std::fopen(file.c_str(), "w");
  if (opened == nullptr) return BadInput(fmt::format("cannot write the log {}: {}", file, std::strerror(errno)));
  return opened;
}

}  // namespace

Result<std::unique_ptr<ServerLog>> ServerLog::Open(const std::string& requests_file, const std::string& passes_file) {
  ASSIGN_OR_RETURN(std::FILE * requests, OpenFile(requests_file));
  auto passes = OpenFile(passes_file);
  if (!passes.ok()) {
    if (requests != nullptr) std::fclose(requests);
    return passes.error();
  }
  return std::unique_ptr<ServerLog>(new ServerLog(requests, *passes));
}

ServerLog::ServerLog(std::FILE* requests, std::FILE* passes) : requests_(requests), passes_(passes) {
  if (requests_ != nullptr || passes_ != nullptr) thread_ = std::thread([this] { Run(); });
}

ServerLog::~ServerLog() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
  if (requests_ != nullptr) std::fclose(requests_);
  if (passes_ != nullptr) std::fclose(passes_);
}

void ServerLog::Add(RequestLog request) {
  if (wants_requests()) Push(std::move(request));
}
void ServerLog::Add(record::PassRecord pass) {
  if (wants_passes()) Push(std::move(pass));
}
void ServerLog::AddLine(std::string json) {
  if (wants_requests()) Push(std::move(json));
}

void ServerLog::Push(Entry entry) {
  const std::lock_guard lock(mutex_);
  // The thread looks by itself now and then: waking it costs the server more than the push.
  entries_.push_back(std::move(entry));
}

void ServerLog::Run() {
  // Where cores are few, tokens go first.
  ::setpriority(PRIO_PROCESS, 0, 19);
  std::vector<Entry> batch;
  for (bool stop = false; !stop;) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, std::chrono::milliseconds(100), [this] { return stop_; });
      stop = stop_;
      batch.swap(entries_);
    }
    for (const Entry& entry : batch) Write(entry);
    batch.clear();
    if (requests_ != nullptr) std::fflush(requests_);
    if (passes_ != nullptr) std::fflush(passes_);
  }
}

void ServerLog::Write(const Entry& entry) {
  line_.clear();
  std::FILE* file = requests_;
  if (const auto* request = std::get_if<RequestLog>(&entry)) {
    AppendRequest(*request, line_);
  } else if (const auto* pass = std::get_if<record::PassRecord>(&entry)) {
    line_ = record::ToJsonLine(*pass);
    file = passes_;
  } else {
    line_ = std::get<std::string>(entry);
  }
  line_ += '\n';
  std::fwrite(line_.data(), 1, line_.size(), file);
}

}  // namespace moecap::mock
