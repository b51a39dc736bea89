#include "app/judging.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <unordered_map>
#include <utility>

#include "accuracy/reasoning.h"
#include "app/server_connection.h"
#include "load/load_loop.h"

namespace moecap::app {
namespace {

// Lines added to a file, each by one write, so that an interruption leaves whole lines and at most one beginning.
class LineFile {
 public:
  static Result<LineFile> Open(const std::filesystem::path& path) {
    const int fd = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) return Failed(fmt::format("{}: cannot be written: {}", path.string(), std::strerror(errno)));
    return LineFile(path, fd);
  }
  LineFile(LineFile&& other) noexcept : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)) {}
  LineFile& operator=(LineFile&&) = delete;
  ~LineFile() {
    if (fd_ >= 0) ::close(fd_);
  }

  Status Add(std::string_view line) {
    while (!line.empty()) {
      const ssize_t written = ::write(fd_, line.data(), line.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return Failed(fmt::format("{}: cannot be written: {}", path_.string(), std::strerror(errno)));
      line.remove_prefix(static_cast<size_t>(written));
    }
    return {};
  }

 private:
  LineFile(std::filesystem::path path, int fd) : path_(std::move(path)), fd_(fd) {}
  std::filesystem::path path_;
  int fd_;
};

std::string GameId(const JudgeQuestion& question) { return fmt::format("{}/{}", question.uid, question.round); }

// A closed loop whose answers are written down as they come.
class JudgingSource final : public load::Source {
 public:
  JudgingSource(std::span<const JudgeQuestion> questions, std::span<const load::RequestSpec> specs, int clients,
                std::string judge, LineFile file)
      : next_(specs.size()), loop_({.clients = clients}, specs, next_), judge_(std::move(judge)), file_(std::move(file)) {
    for (const JudgeQuestion& question : questions) by_id_.emplace(GameId(question), &question);
  }

  std::vector<const load::RequestSpec*> Specs() const override { return loop_.Specs(); }
  void Begin(int64_t origin_ns) override { loop_.Begin(origin_ns); }
  const load::DueRequest* Next() override { return loop_.Next(); }
  void Take() override { loop_.Take(); }
  bool IsExhausted() const override { return loop_.IsExhausted(); }
  void OnEnded(int client, const record::RequestRecord& request, int64_t now_ns) override {
    if (request.ok() && !request.failed() && written_.ok()) written_ = Write(request);
    loop_.OnEnded(client, request, now_ns);
  }

  const Status& written() const { return written_; }

 private:
  Status Write(const record::RequestRecord& request) {
    const JudgeQuestion& question = *by_id_.at(request.id);
    accuracy::Judgement judgement{question.uid, question.round, std::nullopt,         request.text,
                                  judge_,       question.shown, request.input_tokens, request.output_tokens};
    judgement.text = accuracy::SeparateReasoning(request.text).answer;
    judgement.verdict = accuracy::ArenaVerdict(judgement.text);
    return file_.Add(accuracy::JudgementLine(judgement));
  }

  load::SharedIndex next_;
  load::ClosedLoopSource loop_;
  std::string judge_;
  LineFile file_;
  std::unordered_map<std::string, const JudgeQuestion*> by_id_;
  Status written_;
};

Judged Summarise(const load::LoadResult& result) {
  Judged judged;
  judged.interrupted = result.ended_by == load::EndedBy::kInterrupt || result.ended_by == load::EndedBy::kErrorShare;
  for (const record::RequestRecord& request : result.requests) {
    if (request.finish == record::FinishReason::kCancelled) continue;
    ++judged.asked;
    if (!request.failed()) continue;
    ++judged.failed;
    if (judged.first_failure.empty()) judged.first_failure = request.error.empty() ? "an empty answer" : request.error;
  }
  return judged;
}

}  // namespace

Result<Judged> AskJudge(const JudgingOptions& options, std::span<const JudgeQuestion> questions, const Clock& clock) {
  ASSIGN_OR_RETURN(ServerConnection connection, ConnectServer(options.server, clock));
  RETURN_IF_ERROR(InspectServer(connection, Inspection::kNeeded, clock));
  connection.options.keep_text = true;
  connection.options.request_id_prefix = "moecap-judge";
  const std::string judge = connection.options.profile.model;
  ASSIGN_OR_RETURN(const auto system, openai::OpenAiSystem::Create(std::move(connection.options), clock));
  std::vector<load::RequestSpec> specs;
  for (const JudgeQuestion& question : questions) {
    load::RequestSpec& spec = specs.emplace_back();
    spec.id = GameId(question);
    spec.messages = question.messages;
    spec.max_output_tokens = question.max_output_tokens;
    spec.keep_text = true;
  }
  ASSIGN_OR_RETURN(LineFile file, LineFile::Open(options.file));
  JudgingSource source(questions, specs, options.clients, judge, std::move(file));
  load::LoadOptions load;
  load.most_error_share = 0.5;
  load.stop_requested = [&] { return !source.written().ok() || (options.stop_requested && options.stop_requested()); };
  load.on_progress = [&](const load::LoadProgress& progress) {
    if (options.on_progress) options.on_progress(progress.ended, std::ssize(questions));
  };
  const auto result = load::RunLoad(*system, source, load, clock);
  RETURN_IF_ERROR(source.written());
  if (!result.ok()) return result.error();
  return Summarise(*result);
}

}  // namespace moecap::app
