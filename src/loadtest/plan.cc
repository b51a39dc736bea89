#include "loadtest/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/rng.h"
#include "workload/make_requests.h"

namespace moecap::loadtest {
namespace {

constexpr uint64_t kSeedStride = 1'000'003;  // between the measurements of one load test
constexpr uint64_t kCancelStream = 0x63616e63656c;

std::optional<int64_t> Nanoseconds(const std::optional<double>& seconds) {
  return seconds ? std::optional(static_cast<int64_t>(std::llround(*seconds * 1e9))) : std::nullopt;
}

// Takes the prompt's content.
load::RequestSpec MakeSpec(workload::PlannedPrompt& prompt, const LoadTestConfig& config, bool ignore_end_token) {
  load::RequestSpec spec;
  spec.id = prompt.id;
  spec.prompt = std::move(prompt.text);
  spec.prompt_token_ids = std::move(prompt.token_ids);
  spec.max_output_tokens = prompt.output_tokens;
  spec.ignore_end_token = prompt.exact_output && ignore_end_token;
  spec.stream = config.server.stream;
  spec.cache_salt = prompt.cache_salt;
  spec.deadlines.connect_ns = *Nanoseconds(config.server.connect_timeout_s);
  spec.deadlines.total_ns = *Nanoseconds(config.server.timeout_s);
  spec.deadlines.headers_ns = Nanoseconds(config.deadlines.headers_s).value_or(load::kNever);
  spec.deadlines.first_token_ns = Nanoseconds(config.deadlines.first_token_s).value_or(load::kNever);
  spec.deadlines.idle_ns = Nanoseconds(config.deadlines.idle_s).value_or(load::kNever);
  return spec;
}

PlanEntry MakeEntry(const workload::PlannedPrompt& prompt, const LoadTestConfig& config, const Target& target) {
  PlanEntry entry;
  entry.id = prompt.id;
  // A chat template adds tokens of its own, and so does the conversation before a turn.
  if (!target.TakesMessages() && prompt.conversation < 0) entry.input_tokens = prompt.input_tokens;
  entry.output_tokens = prompt.output_tokens;
  entry.exact_output = prompt.exact_output && target.CanIgnoreEndToken();
  if (prompt.conversation < 0) entry.shared_tokens = prompt.shared_tokens;
  if (config.kind == LoadKind::kReplay) entry.at_s = prompt.at_s;
  return entry;
}

Status CheckTarget(const workload::RequestSet& set, const Target& target) {
  const bool has_ids = std::ranges::any_of(set.prompts, [](const auto& prompt) { return !prompt.token_ids.empty(); });
  if (!has_ids || target.TakesTokenIds()) return {};
  return BadInput(fmt::format(
      "api {} of {} takes no token ids, which this workload consists of; add text: true to the workload, or use an api that "
      "takes ids (completions of vLLM, SGLang, TensorRT-LLM and llama-server)",
      target.description().api, target.description().server));
}

// How many requests a rate asks for within the duration, when the workload does not say.
int64_t RequestsWithin(const LoadTestConfig& config, double level) {
  workload::ArrivalProcess process = config.arrivals;
  process.rate_per_s = level;
  const double expected = workload::ExpectedRequests(process, *config.duration_s);
  return static_cast<int64_t>(std::ceil(expected + 6 * std::sqrt(expected) + 10)) + config.arrivals.burst;
}

}  // namespace

Result<std::unique_ptr<MeasurementPlan>> MeasurementPlan::Create(const LoadTestConfig& config, double level, int number,
                                                                 const std::string& run_id, Target& target) {
  workload::WorkloadConfig workload = config.workload;
  workload.seed += static_cast<uint64_t>(number) * kSeedStride;
  if (config.kind == LoadKind::kRate && config.duration_s && !workload.requests && !workload.dataset && !workload.trace)
    workload.requests = RequestsWithin(config, level);
  workload::RequestOptions options;
  options.run_salt = fmt::format("{}/{}", run_id, number);
  if (workload.text && target.CanTokenize() && !target.TakesMessages())
    options.count_tokens = [&target](const std::string& text) { return target.CountTokens(text); };
  ASSIGN_OR_RETURN(workload::RequestSet set, workload::MakeRequests(workload, options));
  RETURN_IF_ERROR(CheckTarget(set, target));

  std::unique_ptr<MeasurementPlan> plan(new MeasurementPlan());
  plan->description_ = set.description;
  plan->notes_ = set.notes;
  const bool exact = target.CanIgnoreEndToken();
  for (workload::PlannedPrompt& prompt : set.prompts) {
    plan->specs_.push_back(MakeSpec(prompt, config, exact));
    plan->entries_.push_back(MakeEntry(prompt, config, target));
    if (prompt.exact_output && !exact && plan->notes_.size() == set.notes.size())
      plan->notes_.push_back(fmt::format("{} cannot be told to go on past the end token: answers may be shorter than planned",
                                         target.description().server));
  }
  if (config.kind == LoadKind::kRate || config.kind == LoadKind::kReplay)
    RETURN_IF_ERROR(plan->ScheduleOpenLoop(config, level, number));
  if (config.kind == LoadKind::kUsers) plan->GroupConversations(set.prompts);
  if (config.warmup_requests > 0) {
    ASSIGN_OR_RETURN(workload::RequestSet warmup, workload::MakeWarmup(workload, config.warmup_requests, options));
    for (workload::PlannedPrompt& prompt : warmup.prompts) plan->warmup_.push_back(MakeSpec(prompt, config, exact));
  }
  return plan;
}

Status MeasurementPlan::ScheduleOpenLoop(const LoadTestConfig& config, double level, int number) {
  if (config.kind == LoadKind::kRate) {
    workload::ArrivalProcess process = config.arrivals;
    process.rate_per_s = level;
    process.seed = config.seed + static_cast<uint64_t>(number) * kSeedStride;
    ASSIGN_OR_RETURN(const std::vector<double> times_s, workload::ScheduleArrivals(process, requests()));
    for (size_t i = 0; i < times_s.size(); ++i) entries_[i].at_s = times_s[i];
  }
  Rng rng(config.seed ^ kCancelStream);
  for (size_t i = 0; i < specs_.size(); ++i) {
    load::PlannedRequest planned;
    planned.spec = &specs_[i];
    planned.at_s = *entries_[i].at_s;
    if (rng.Uniform() < config.cancel_share) planned.cancel_after_s = config.cancel_after_s;
    schedule_.push_back(planned);
  }
  return {};
}

void MeasurementPlan::GroupConversations(const std::vector<workload::PlannedPrompt>& prompts) {
  for (size_t i = 0; i < prompts.size(); ++i) {
    const workload::PlannedPrompt& prompt = prompts[i];
    if (i == 0 || prompt.conversation != prompts[i - 1].conversation) conversations_.emplace_back();
    load::Turn turn;
    turn.spec = specs_[i];
    turn.think_s = prompt.think_s;
    conversations_.back().push_back(std::move(turn));
  }
}

Result<std::vector<std::unique_ptr<load::Source>>> MeasurementPlan::MakeSources(const LoadTestConfig& config, double level,
                                                                                bool as_messages) {
  std::vector<std::unique_ptr<load::Source>> sources;
  const auto threads = static_cast<size_t>(config.threads);
  if (!schedule_.empty()) {
    shares_.resize(threads);
    for (size_t i = 0; i < schedule_.size(); ++i) shares_[i % threads].push_back(schedule_[i]);
    for (const auto& share : shares_) {
      ASSIGN_OR_RETURN(load::ScheduleSource source, load::ScheduleSource::Create(share));
      sources.push_back(std::make_unique<load::ScheduleSource>(std::move(source)));
    }
    return sources;
  }
  const bool users = config.kind == LoadKind::kUsers;
  next_ = std::make_unique<load::SharedIndex>(users ? conversations_.size() : specs_.size());
  const int all = static_cast<int>(level);
  int first = 0;
  for (int thread = 0; thread < config.threads; ++thread) {
    const int count = all / config.threads + (thread < all % config.threads ? 1 : 0);
    if (users) {
      sources.push_back(std::make_unique<load::ConversationSource>(
          load::ConversationSource::Options{first, count, config.start_over_s, all, as_messages}, conversations_, *next_));
    } else {
      sources.push_back(std::make_unique<load::ClosedLoopSource>(
          load::ClosedLoopSource::Options{first, count, config.start_over_s, all}, specs_, *next_));
    }
    first += count;
  }
  return sources;
}

}  // namespace moecap::loadtest
