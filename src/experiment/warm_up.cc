#include "experiment/warm_up.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

#include "load/closed_loop.h"

namespace moecap::experiment {
namespace {

constexpr int64_t kLimitNs = 60'000'000'000;  // of all waves, and of all bursts: nothing is sent later

using record::RequestRecord;

// "16 token ids from 128 to 1022", "a text of 75 characters": what a prompt was.
std::string DescribePrompt(const load::RequestSpec& request) {
  if (request.prompt_token_ids.empty()) return fmt::format("a text of {} characters", request.prompt.size());
  const auto [least, most] = std::ranges::minmax(request.prompt_token_ids);
  return fmt::format("{} token ids from {} to {}", request.prompt_token_ids.size(), least, most);
}

bool IsBroken(const record::RequestRecord& request) {
  using record::RequestError;
  return request.error_kind == RequestError::kConnectRefused || request.error_kind == RequestError::kResetBeforeHeaders ||
         request.error_kind == RequestError::kResetMidstream;
}

// Error: nothing was answered, or the server stopped answering.
Status CheckWarmUp(const std::string& system, const std::vector<load::RequestSpec>& specs,
                   const std::vector<record::RequestRecord>& requests) {
  const auto broken = std::ranges::find_if(requests, IsBroken);
  const bool ended = broken != requests.end() && IsBroken(requests.back());
  // An answered control question says nothing of prompts that are longer.
  const bool all_controls =
      std::ranges::all_of(requests, [](const auto& request) { return request.id.starts_with(kControlId); });
  const bool any_answer = std::ranges::any_of(
      requests, [&](const auto& request) { return request.ok() && (all_controls || !request.id.starts_with(kControlId)); });
  if (any_answer && !ended) return {};
  if (!ended) {
    return Failed(fmt::format("{}: every warm-up request failed, the first one with: {}", system,
                              requests.empty() ? "" : requests.front().error));
  }
  const auto sent = std::ranges::find(specs, broken->id, &load::RequestSpec::id);
  return Failed(fmt::format(
      "{}: the server stopped answering during the warm-up: {}; it had been sent {} requests, the last one that it broke off "
      "was {}, {} tokens to generate. If it has ended, its log says why; if that names an index or a vocabulary, give "
      "--vocabulary N (workload.vocabulary)",
      system, broken->error, requests.size(), sent == specs.end() ? "" : DescribePrompt(*sent),
      sent == specs.end() ? 0 : sent->max_output_tokens));
}

// Mean time per output token from the send on, of all but the control questions, whose answers are of another length; null
// where no token came.
std::optional<double> TimePerToken(const std::vector<RequestRecord>& requests) {
  double tokens = 0, seconds = 0;
  for (const RequestRecord& request : requests) {
    if (!request.ok() || request.token_s.empty() || request.id.starts_with(kControlId)) continue;
    seconds += request.token_s.back() - request.send_s;
    tokens += static_cast<double>(request.output_tokens);
  }
  return seconds > 0 ? std::optional(seconds / tokens) : std::nullopt;
}

class Warmer {
 public:
  Warmer(const WarmUpInput& input, load::SystemUnderTest& system, const Clock& clock)
      : input_(input), system_(system), clock_(clock) {}

  Result<WarmUpResult> Run() {
    const auto& controls = input_.plan.controls();
    if (!controls.empty()) {
      ASSIGN_OR_RETURN([[maybe_unused]] const auto alone, Send({controls.front()}, 1, std::nullopt));
    }
    RETURN_IF_ERROR(SendBursts());
    const int64_t begin_ns = clock_.NowNs();
    const std::span<const load::RequestSpec> all = input_.plan.warmup();
    const auto wave = static_cast<size_t>(input_.plan.warmup_wave());
    // A wave of a length that was asked for is sent whole.
    const bool is_limited = all.size() > wave;
    std::optional<double> before;
    int64_t spent_ns = 0, last_wave_ns = 0;
    for (size_t at = 0; at < all.size() && spent_ns + last_wave_ns <= kLimitNs; at += wave) {
      const auto part = all.subspan(at, std::min(wave, all.size() - at));
      std::vector<load::RequestSpec> specs(part.begin(), part.end());
      if (at == 0 && !controls.empty())
        specs.insert(specs.begin() + std::ssize(specs) / 2, controls.begin() + 1, controls.end());
      const auto left_ns = is_limited ? std::optional(kLimitNs - spent_ns) : std::nullopt;
      ASSIGN_OR_RETURN(const std::optional<double> now, Send(specs, static_cast<int>(input_.level.value), left_ns));
      last_wave_ns = clock_.NowNs() - begin_ns - spent_ns;
      spent_ns += last_wave_ns;
      ++result_.waves;
      if (now && before) result_.difference = std::abs(*now / *before - 1);
      if (result_.difference && *result_.difference <= kMostWaveDifference) break;
      before = now;
    }
    return std::move(result_);
  }

 private:
  Status SendBursts() {
    const int64_t begin_ns = clock_.NowNs();
    for (const std::vector<load::RequestSpec>& burst : input_.plan.bursts()) {
      if (clock_.NowNs() - begin_ns > kLimitNs) return {};
      ASSIGN_OR_RETURN([[maybe_unused]] const auto seconds, Send(burst, static_cast<int>(burst.size()), std::nullopt));
      ++result_.bursts;
    }
    return {};
  }

  // Sends nothing after `limit_ns`; waits for what was sent.
  Result<std::optional<double>> Send(const std::vector<load::RequestSpec>& specs, int clients,
                                     std::optional<int64_t> limit_ns) {
    load::ClosedLoopOptions options;
    options.cell = {input_.system, record::ClientsOf(input_.level), -1};
    options.clients = std::clamp(clients, 1, static_cast<int>(specs.size()));
    options.stop_requested = input_.stop_requested;
    if (limit_ns) options.duration_s = static_cast<double>(*limit_ns) * 1e-9;
    ASSIGN_OR_RETURN(const load::LoadResult sent, load::RunClosedLoop(system_, specs, options, clock_));
    if (sent.interrupted) return Error{ErrorKind::kInterrupted, "interrupted; what was measured is kept"};
    for (const RequestRecord& request : sent.requests) {
      if (request.ok() && request.id.starts_with(kControlId)) result_.control_answers.push_back(request.text);
    }
    RETURN_IF_ERROR(CheckWarmUp(input_.system, specs, sent.requests));
    return TimePerToken(sent.requests);
  }

  const WarmUpInput& input_;
  load::SystemUnderTest& system_;
  const Clock& clock_;
  WarmUpResult result_;
};

}  // namespace

Result<WarmUpResult> WarmUp(const WarmUpInput& input, load::SystemUnderTest& system, const Clock& clock) {
  return Warmer(input, system, clock).Run();
}

}  // namespace moecap::experiment
