#include "app/expert_prober.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "system/openai/route_capture.h"

namespace moecap::app {
namespace {

constexpr int64_t kAnswerLimitNs = 120'000'000'000;
constexpr int64_t kGuessedPromptTokens = 32;  // until an answer says how many there are

}  // namespace

ExpertProber::ExpertProber(const ServerConnection& connection, std::vector<std::string> prompts, int64_t answer_tokens,
                           const routing::RoutedShape& shape, const Clock& clock)
    : connection_(connection),
      prompts_(std::move(prompts)),
      answer_tokens_(answer_tokens),
      shape_(shape),
      clock_(clock),
      thread_([this] { Run(); }) {}

ExpertProber::~ExpertProber() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

ExpertProber::Progress ExpertProber::Take() {
  const std::lock_guard lock(mutex_);
  Progress taken = progress_;
  progress_.answers.clear();
  progress_.problem.clear();
  return taken;
}

void ExpertProber::Send() {
  {
    const std::lock_guard lock(mutex_);
    wanted_ = true;
  }
  wake_.notify_one();
}

int64_t ExpertProber::tokens_of_next() const {
  const std::lock_guard lock(mutex_);
  const live::Probes& probes = progress_.probes;
  return probes.answered > 0 ? probes.tokens / probes.answered : kGuessedPromptTokens + answer_tokens_;
}

load::RequestSpec ExpertProber::NextRequest() {
  load::RequestSpec request;
  // Numbered, so that no answer comes from the prefix cache.
  const std::string& prompt = prompts_[static_cast<size_t>(number_) % prompts_.size()];
  request.prompt = number_ < std::ssize(prompts_) ? prompt : fmt::format("{}. {}", number_, prompt);
  if (openai::IsChat(connection_.options.profile.api)) request.messages = {{"user", std::exchange(request.prompt, "")}};
  request.max_output_tokens = answer_tokens_;
  request.stream = false;
  request.request_id = fmt::format("moecap-watch-{}", number_++);
  return request;
}

void ExpertProber::Run() {
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return wanted_ || stop_; });
      if (stop_) return;
      ++progress_.probes.sent;
    }
    Ask();
    const std::lock_guard lock(mutex_);
    wanted_ = false;
  }
}

void ExpertProber::Ask() {
  const std::vector<load::RequestSpec> requests = {NextRequest()};
  openai::CaptureOptions capture;
  capture.concurrency = 1;
  capture.shape = shape_;
  capture.answer_limit_ns = kAnswerLimitNs;
  capture.stop = [this] {
    const std::lock_guard lock(mutex_);
    return stop_;
  };
  auto captured = openai::CaptureRoutes(connection_.options, requests, capture, clock_);
  const std::lock_guard lock(mutex_);
  live::Probes& probes = progress_.probes;
  if (!captured.ok()) {
    progress_.problem = captured.error().message;
    return;
  }
  openai::CapturedAnswer& answer = captured->answers.front();
  if (answer.prompt_tokens + answer.output_tokens > 0) ++probes.answered;
  probes.tokens += answer.prompt_tokens + answer.output_tokens;
  if (answer.experts.empty()) {
    progress_.problem = answer.missing;
  } else {
    progress_.answers.push_back(std::move(answer.experts));
  }
}

std::vector<std::string> ProbePrompts() {
  return {
      "Write a short story about a lighthouse keeper who finds a letter in a bottle.",
      "What is 17 times 24? Explain each step.",
      "def quicksort(items):\n    \"\"\"Returns a sorted copy.\"\"\"\n",
      "Summarise the causes of the First World War in three sentences.",
      "Translate into French: The train to Lyon leaves at half past six from platform two.",
      "Erkläre, warum der Himmel blau ist.",
      "A farmer has 12 sheep and buys 5 more; then 3 run away. How many sheep are left?",
      "List five ingredients of a Thai green curry and say what each does.",
      "SELECT name, SUM(amount) FROM orders JOIN customers ON",
      "Dear Sir or Madam, I am writing to complain about",
      "What are the symptoms of iron deficiency, and how is it treated?",
      "Explique la diferencia entre una mitosis y una meiosis.",
      "Rewrite in a formal tone: hey, can't make it tomorrow, something came up.",
      "The integral of x squared times the exponential of x is",
      "Name the planets of the solar system from the largest to the smallest.",
      "用三句话介绍一下长城的历史。",
  };
}

}  // namespace moecap::app
