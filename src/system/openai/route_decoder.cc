#include "system/openai/route_decoder.h"

#include <fmt/format.h>

#include <utility>

#include "routing/routed_answer.h"
#include "system/openai/error_message.h"

namespace moecap::openai {
namespace {

constexpr const char* kNoExperts =
    "the answer carries no routed experts: start the server with --enable-return-routed-experts (vLLM after 0.30: "
    "--aux-output-config '{\"enable_return_routed_experts\":true}'); an aborted or preempted request has none either";
constexpr const char* kZeros =
    "every token has the same experts throughout, as when fused experts do not report their routing: start the server with "
    "another "
    "MoE backend (vLLM: --moe-backend triton)";

bool HasChoice(const routing::RoutedExperts& experts) {
  routing::RoutedSurvey survey;
  return survey.Add(experts).ok() && survey.any_used();
}

}  // namespace

RouteDecoder::RouteDecoder(size_t answers, const CaptureOptions& capture, const Clock& clock)
    : capture_(capture), clock_(clock) {
  results_.answers.resize(answers);
  results_.origins.resize(answers);
  worker_ = std::thread([this] { Work(); });
}

RouteDecoder::~RouteDecoder() {
  {
    const std::lock_guard lock(mutex_);
    finish_ = give_up_ = true;
  }
  wake_.notify_one();
  if (worker_.joinable()) worker_.join();
}

void RouteDecoder::Push(size_t index, std::string body) {
  waiting_bytes_.fetch_add(body.size(), std::memory_order_relaxed);
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back({index, std::move(body)});
  }
  wake_.notify_one();
}

void RouteDecoder::Miss(size_t index, std::string why, int http_status) {
  results_.answers[index].missing = std::move(why);
  results_.answers[index].http_status = http_status;
}

bool RouteDecoder::HasRoom() const { return waiting_bytes_.load(std::memory_order_relaxed) < capture_.max_answer_bytes; }

RouteDecoder::Results RouteDecoder::Finish() {
  {
    const std::lock_guard lock(mutex_);
    finish_ = true;
  }
  wake_.notify_one();
  worker_.join();
  return std::move(results_);
}

void RouteDecoder::Work() {
  for (;;) {
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [this] { return finish_ || !queue_.empty(); });
    if (give_up_ || queue_.empty()) return;
    Waiting next = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    const int64_t begin_ns = clock_.NowNs();
    Decode(next.index, next.body);
    results_.decode_ns += clock_.NowNs() - begin_ns;
    waiting_bytes_.fetch_sub(next.body.size(), std::memory_order_relaxed);
  }
}

void RouteDecoder::Decode(size_t index, const std::string& body) {
  CapturedAnswer& captured = results_.answers[index];
  captured.http_status = 200;
  auto answers = routing::ReadRoutedAnswers(body);
  if (!answers.ok() || answers->empty()) {
    captured.missing = fmt::format("the answer cannot be read ({}): {}", answers.ok() ? "it is empty" : answers.error().message,
                                   ErrorMessage(body));
    return;
  }
  routing::RoutedAnswer answer = std::move(answers->front());
  captured.prompt_tokens = answer.prompt_tokens.value_or(static_cast<int64_t>(answer.prompt_ids.size()));
  captured.output_tokens = answer.output_tokens.value_or(static_cast<int64_t>(answer.output_ids.size()));
  captured.cached_tokens = answer.cached_tokens;
  captured.token_ids = std::move(answer.output_ids);
  captured.prompt_ids = std::move(answer.prompt_ids);
  results_.origins[index] = {answer.model, answer.fingerprint};
  if (captured.output_tokens == 0) {
    captured.missing = "the server answered without output: " + ErrorMessage(body);
    return;
  }
  if (!answer.has_routes()) {
    captured.missing = kNoExperts;
    return;
  }
  routing::RoutedShape shape = capture_.shape;
  shape.rows = captured.prompt_tokens > 0 ? captured.prompt_tokens + captured.output_tokens - 1 : 0;
  auto experts = routing::ExpertsOf(answer, shape);
  if (!experts.ok()) {
    captured.missing = experts.error().message;
  } else if (!HasChoice(*experts)) {
    captured.missing = kZeros;
  } else {
    captured.experts = *std::move(experts);
    kept_bytes_.fetch_add(captured.experts.ids.size() * sizeof(uint16_t), std::memory_order_relaxed);
  }
}

}  // namespace moecap::openai
