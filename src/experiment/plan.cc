#include "experiment/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "base/rng.h"
#include "workload/make_requests.h"

namespace moecap::experiment {
namespace {

// Connections opened before an open loop begins; it opens more when it needs them.
constexpr int kOpenLoopConnections = 64;
// KV slots of an engine under an open loop: requests beyond them wait.
constexpr int kOpenLoopSlots = 16;

using record::LoadKind;

constexpr uint64_t kSeedStride = 1'000'003;  // between the levels and repetitions of one experiment
constexpr uint64_t kCancelStream = 0x63616e63656c;
constexpr int64_t kLeastWarmupOfEngine = 4, kLeastWarmupOfServer = 16;
constexpr int64_t kMostAtOnce = 64;   // of warm-up bursts: 2,080 prompts in all
constexpr int64_t kWarmupWords = 16;  // of a made-up prompt where the data set has no other problems
constexpr int64_t kMostWaves = 4;
constexpr int kControls = 3;
constexpr int64_t kControlTokens = 24;
constexpr const char* kControlQuestion = "Question: Tom has 3 apples and buys 4 more. How many apples does he have?\nAnswer:";

std::optional<int64_t> Nanoseconds(const std::optional<double>& seconds) {
  return seconds ? std::optional(static_cast<int64_t>(std::llround(*seconds * 1e9))) : std::nullopt;
}

// Takes the prompt's content.
load::RequestSpec MakeSpec(workload::PlannedPrompt& prompt, const Config& config, const SystemConfig& system,
                           bool ignore_end_token) {
  load::RequestSpec spec;
  spec.id = prompt.id;
  spec.prompt = std::move(prompt.text);
  spec.prompt_token_ids = std::move(prompt.token_ids);
  spec.max_output_tokens = prompt.output_tokens;
  for (workload::PromptMessage& message : prompt.messages)
    spec.messages.push_back({std::move(message.role), std::move(message.content)});
  spec.stop = std::move(prompt.stop);
  spec.continuations = std::move(prompt.continuations);
  spec.ignore_end_token = prompt.exact_output && ignore_end_token;
  spec.cache_salt = prompt.cache_salt;
  spec.deadlines.headers_ns = Nanoseconds(config.deadlines.headers_s).value_or(load::kNever);
  spec.deadlines.first_token_ns = Nanoseconds(config.deadlines.first_token_s).value_or(load::kNever);
  spec.deadlines.idle_ns = Nanoseconds(config.deadlines.idle_s).value_or(load::kNever);
  if (!system.server) return spec;
  spec.stream = system.server->stream;
  spec.deadlines.connect_ns = *Nanoseconds(system.server->connect_timeout_s);
  spec.deadlines.total_ns = *Nanoseconds(system.server->timeout_s);
  return spec;
}

PlanEntry MakeEntry(const workload::PlannedPrompt& prompt, const Config& config, const SystemDriver& driver) {
  PlanEntry entry;
  entry.id = prompt.id;
  // A chat template adds tokens of its own, and so does the conversation before a turn.
  if (!driver.TakesMessages() && prompt.conversation < 0) entry.input_tokens = prompt.input_tokens;
  entry.output_tokens = prompt.output_tokens;
  entry.exact_output = prompt.exact_output && driver.CanIgnoreEndToken();
  if (prompt.conversation < 0) entry.shared_tokens = prompt.shared_tokens;
  if (config.load.kind == LoadKind::kReplay) entry.at_s = prompt.at_s;
  return entry;
}

// How many requests a rate asks for within the duration, when the workload does not say.
int64_t RequestsWithin(const Config& config, double rate_per_s) {
  workload::ArrivalProcess process = config.load.arrivals;
  process.rate_per_s = rate_per_s;
  const double expected = workload::ExpectedRequests(process, *config.duration_s);
  return static_cast<int64_t>(std::ceil(expected + 6 * std::sqrt(expected) + 10)) + process.burst;
}

Result<workload::PlannedPrompt> PromptOf(const PlanInput& input, const workload::Problem& problem, bool as_messages,
                                         std::string salt) {
  const Config& config = input.config;
  ASSIGN_OR_RETURN(workload::RenderedPrompt rendered, input.problems.prompter->Render(problem));
  workload::PlannedPrompt prompt;
  prompt.id = problem.id;
  prompt.text = std::move(rendered.text);
  prompt.continuations = std::move(rendered.continuations);
  if (as_messages) prompt.messages = std::move(rendered.messages);
  const std::string& system = config.problems->system_prompt;
  if (as_messages && !system.empty()) {
    if (prompt.messages.empty()) prompt.messages.push_back({"user", prompt.text});
    if (prompt.messages.front().role != "system") prompt.messages.insert(prompt.messages.begin(), {"system", system});
  }
  // A stop string could end the reasoning before the answer begins.
  if (!config.problems->reasoning) prompt.stop = std::move(rendered.stop);
  prompt.output_tokens = config.max_output_is_given ? config.max_output_tokens : rendered.max_output_tokens;
  prompt.cache_salt = std::move(salt);
  return prompt;
}

Result<workload::RequestSet> ProblemPrompts(const PlanInput& input, const SystemDriver& driver) {
  const Config& config = input.config;
  const workload::PromptTemplate& prompt = input.problems.prompter->prompt();
  workload::RequestSet set;
  for (const workload::Problem& problem : input.problems.problems) {
    auto planned = PromptOf(input, problem, driver.TakesMessages(), fmt::format("{}.{}", input.salt, set.prompts.size()));
    if (!planned.ok()) return planned.error();
    set.prompts.push_back(std::move(planned).value());
  }
  const ProblemSet& problems = *config.problems;
  set.description = fmt::format("{} problems of the data set {}{} (text), at most {} tokens out", set.prompts.size(),
                                problems.is_named ? problems.dataset : problems.path.filename().string(),
                                problems.is_named ? fmt::format(", seed {}, prompt {}", *problems.seed, prompt.name) : "",
                                config.max_output_tokens);
  if (prompt.is_chat && !driver.TakesMessages()) {
    set.notes.push_back(fmt::format("The prompt {} is made for a chat; {} continues a text and got it without a chat template",
                                    prompt.name, driver.description().name));
  }
  if (!problems.system_prompt.empty() && !driver.TakesMessages())
    set.notes.push_back(fmt::format("{} continues a text and got no system prompt", driver.description().name));
  return set;
}

// The share of each text that another one begins with, too: neighbours in sorted order share most.
std::vector<double> SharedShares(const std::vector<workload::PlannedPrompt>& prompts) {
  std::vector<size_t> order(prompts.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::sort(order, {}, [&](size_t i) -> const std::string& { return prompts[i].text; });
  std::vector<double> shares(prompts.size(), 0);
  for (size_t i = 1; i < order.size(); ++i) {
    const std::string& a = prompts[order[i - 1]].text;
    const std::string& b = prompts[order[i]].text;
    const auto common = static_cast<double>(std::ranges::mismatch(a, b).in1 - a.begin());
    for (const size_t each : {order[i - 1], order[i]}) {
      const auto length = static_cast<double>(std::max<size_t>(1, prompts[each].text.size()));
      shares[each] = std::max(shares[each], common / length);
    }
  }
  return shares;
}

const SystemConfig& ConfigOf(const Config& config, const SystemDriver& driver) {
  const auto found = std::ranges::find(config.systems, driver.description().name, &SystemConfig::name);
  CHECK(found != config.systems.end());
  return *found;
}

}  // namespace

Result<workload::RequestSet> MeasurementPlan::PromptsOf(const PlanInput& input, SystemDriver& driver) {
  if (input.config.problems) return ProblemPrompts(input, driver);
  workload::WorkloadConfig workload = input.ids.workload;
  workload.seed += static_cast<uint64_t>(input.number) * kSeedStride;
  const bool is_rate = input.level.kind == LoadKind::kRate;
  if (is_rate && input.config.duration_s && !workload.requests && !workload.dataset && !workload.trace)
    workload.requests = RequestsWithin(input.config, input.level.value);
  workload::RequestOptions options;
  options.run_salt = input.salt;
  if (workload.text && driver.CanTokenize() && !driver.TakesMessages())
    options.count_tokens = [&driver](const std::string& text) { return driver.CountTokens(text); };
  ASSIGN_OR_RETURN(workload::RequestSet set, workload::MakeRequests(workload, options));
  input.ids.Translate(set);
  return set;
}

// Other prompts than the measured ones, so that no server knows what will be measured. An engine in this process remembers no
// prompt: where the data set has no other problems, it gets the measured ones.
Status MeasurementPlan::AddWarmup(const PlanInput& input, SystemDriver& driver) {
  const Config& config = input.config;
  const SystemConfig& system = ConfigOf(config, driver);
  const int64_t least = system.server ? kLeastWarmupOfServer : kLeastWarmupOfEngine;
  warmup_wave_ = config.warmup_requests ? ShareOf(*config.warmup_requests, shard_)
                                        : std::max<int64_t>(least, ShareOf(record::ClientsOf(input.level), shard_));
  const int64_t in_waves = system.server && !config.warmup_requests ? kMostWaves * warmup_wave_ : warmup_wave_;
  const bool has_bursts = system.server && config.warmup_bursts && input.level.kind == LoadKind::kClients;
  const int64_t most_at_once = has_bursts ? std::min(kMostAtOnce, ShareOf(record::ClientsOf(input.level), shard_)) : 0;
  const int64_t count = in_waves + most_at_once * (most_at_once + 1) / 2;
  workload::RequestSet set;
  const bool has_others = !input.problems.others.empty();
  const auto& problems = has_others || system.server ? input.problems.others : input.problems.problems;
  if (config.problems && !problems.empty()) {
    for (int64_t i = 0; i < count; ++i) {
      const workload::Problem& problem = problems[static_cast<size_t>(i) % problems.size()];
      auto planned = PromptOf(input, problem, driver.TakesMessages(), fmt::format("{}.w{}", input.salt, i));
      if (!planned.ok()) return planned.error();
      set.prompts.push_back(std::move(planned).value());
    }
  } else {
    workload::WorkloadConfig workload = input.ids.workload;
    if (config.problems) {
      workload.text = true;
      workload.input_tokens = workload::FixedValue(kWarmupWords);
      workload.output_tokens = workload::FixedValue(kWarmupWords);
    }
    workload.seed += static_cast<uint64_t>(input.number) * kSeedStride;
    workload::RequestOptions options;
    options.run_salt = input.salt;
    ASSIGN_OR_RETURN(set, workload::MakeWarmup(workload, count, options));
    input.ids.Translate(set);
  }
  for (workload::PlannedPrompt& prompt : set.prompts)
    warmup_.push_back(MakeSpec(prompt, config, system, driver.CanIgnoreEndToken()));
  for (int64_t at_once = most_at_once; at_once > 0; --at_once) {
    const auto begin = warmup_.end() - at_once;
    bursts_.emplace_back(std::move_iterator(begin), std::move_iterator(warmup_.end()));
    for (load::RequestSpec& request : bursts_.back()) request.max_output_tokens = 1;
    warmup_.erase(begin, warmup_.end());
  }
  std::ranges::reverse(bursts_);
  return {};
}

// Text, which every server takes; each with a salt of its own, so that none is answered from another's cache.
void MeasurementPlan::AddControls(const PlanInput& input, const SystemDriver& driver) {
  const SystemConfig& system = ConfigOf(input.config, driver);
  if (!system.server || system.server->temperature != 0 || warmup_.empty()) return;
  for (int i = 0; i < kControls; ++i) {
    workload::PlannedPrompt prompt;
    prompt.id = fmt::format("{}{}", kControlId, i);
    prompt.text = kControlQuestion;
    prompt.output_tokens = kControlTokens;
    prompt.cache_salt = fmt::format("{}.c{}", input.salt, i);
    controls_.push_back(MakeSpec(prompt, input.config, system, false));
    controls_.back().stop.clear();
    controls_.back().keep_text = true;
  }
}

Result<std::unique_ptr<MeasurementPlan>> MeasurementPlan::Create(const PlanInput& input, SystemDriver& driver) {
  const Config& config = input.config;
  std::unique_ptr<MeasurementPlan> plan(new MeasurementPlan());
  plan->shard_ = input.shard;
  ASSIGN_OR_RETURN(workload::RequestSet set, plan->PromptsOf(input, driver));
  plan->description_ = set.description;
  plan->notes_ = set.notes;
  const bool exact = driver.CanIgnoreEndToken();
  const std::vector<double> shared = config.problems ? SharedShares(set.prompts) : std::vector<double>();
  bool any_exact = false;
  for (workload::PlannedPrompt& prompt : set.prompts) {
    plan->entries_.push_back(MakeEntry(prompt, config, driver));
    if (!shared.empty()) plan->entries_.back().shared_share = shared[plan->specs_.size()];
    plan->specs_.push_back(MakeSpec(prompt, config, ConfigOf(config, driver), exact));
    any_exact = any_exact || prompt.exact_output;
  }
  if (any_exact && !exact) {
    plan->notes_.push_back(fmt::format("{} cannot be told to go on past the end token: answers may be shorter than planned",
                                       driver.description().engine));
  }
  if (record::IsOpenLoop(input.level.kind)) RETURN_IF_ERROR(plan->ScheduleOpenLoop(config, input.level, input.number));
  if (input.level.kind == LoadKind::kUsers) plan->GroupConversations(set.prompts);
  RETURN_IF_ERROR(plan->AddWarmup(input, driver));
  plan->AddControls(input, driver);
  return plan;
}

Status MeasurementPlan::ScheduleOpenLoop(const Config& config, const record::Level& level, int number) {
  if (level.kind == LoadKind::kRate) {
    workload::ArrivalProcess process = config.load.arrivals;
    process.rate_per_s = level.value;
    process.seed = config.seed + static_cast<uint64_t>(number) * kSeedStride;
    ASSIGN_OR_RETURN(const std::vector<double> times_s, workload::ScheduleArrivals(process, requests()));
    for (size_t i = 0; i < times_s.size(); ++i) entries_[i].at_s = times_s[i];
  }
  Rng rng(config.seed ^ kCancelStream);
  for (size_t i = 0; i < specs_.size(); ++i) {
    load::PlannedRequest planned;
    planned.spec = &specs_[i];
    planned.at_s = *entries_[i].at_s;
    if (rng.Uniform() < config.load.cancel_share) planned.cancel_after_s = config.load.cancel_after_s;
    schedule_.push_back(planned);
  }
  return {};
}

void MeasurementPlan::GroupConversations(const std::vector<workload::PlannedPrompt>& prompts) {
  for (size_t i = 0; i < prompts.size(); ++i) {
    const workload::PlannedPrompt& prompt = prompts[i];
    // A prompt that belongs to no conversation is one of its own.
    if (i == 0 || prompt.conversation < 0 || prompt.conversation != prompts[i - 1].conversation) conversations_.emplace_back();
    load::Turn turn;
    turn.spec = specs_[i];
    turn.think_s = prompt.think_s;
    conversations_.back().push_back(std::move(turn));
  }
}

Result<std::vector<std::unique_ptr<load::Source>>> MeasurementPlan::MakeSources(const Config& config,
                                                                                const record::Level& level, int threads,
                                                                                bool as_messages) {
  std::vector<std::unique_ptr<load::Source>> sources;
  const auto first_item = static_cast<size_t>(shard_.index), stride = static_cast<size_t>(shard_.count);
  if (!schedule_.empty()) {
    shares_.resize(static_cast<size_t>(threads));
    for (size_t i = first_item; i < schedule_.size(); i += stride) shares_[i / stride % shares_.size()].push_back(schedule_[i]);
    for (const auto& share : shares_) {
      ASSIGN_OR_RETURN(load::ScheduleSource source, load::ScheduleSource::Create(share));
      sources.push_back(std::make_unique<load::ScheduleSource>(std::move(source)));
    }
    return sources;
  }
  const bool users = level.kind == LoadKind::kUsers;
  next_ = std::make_unique<load::SharedIndex>(users ? conversations_.size() : specs_.size(), first_item, stride);
  const int all = record::ClientsOf(level);
  const int own = static_cast<int>(ShareOf(all, shard_));
  int first = static_cast<int>(BeginOfShare(all, shard_));
  for (int thread = 0; thread < threads; ++thread) {
    const int count = static_cast<int>(ShareOf(own, {thread, threads}));
    const double ramp_s = config.load.start_over_s;
    if (users) {
      sources.push_back(std::make_unique<load::ConversationSource>(
          load::ConversationSource::Options{first, count, ramp_s, all, as_messages}, conversations_, *next_));
    } else {
      sources.push_back(
          std::make_unique<load::ClosedLoopSource>(load::ClosedLoopSource::Options{first, count, ramp_s, all}, specs_, *next_));
    }
    first += count;
  }
  return sources;
}

int Connections(const Config& config, const SystemDescription& system, const record::Level& level, const Shard& shard) {
  if (record::IsOpenLoop(level.kind)) {
    const int most = static_cast<int>(std::min<int64_t>(config.load.most_in_flight, INT32_MAX));
    if (most > 0) return std::max(1, static_cast<int>(ShareOf(most, shard)));
    if (system.in_process) return kOpenLoopSlots;
    return level.kind == record::LoadKind::kRate
               ? std::max(1, static_cast<int>(std::min(level.value / shard.count, 1.0 * kOpenLoopConnections)))
               : 1;
  }
  return static_cast<int>(ShareOf(record::ClientsOf(level), shard));
}

}  // namespace moecap::experiment
