#include "mock/engine_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/units.h"
#include "mock/sampling.h"

namespace moecap::mock {
namespace {

// Bounds the memory of the prefix cache of models whose cache does not grow with the prompt.
constexpr int64_t kMostCachedBlocks = int64_t{1} << 20;

// Slices of equal shape become one, in order of first appearance.
void AddSlice(std::vector<record::SequenceSlice>& slices, int64_t context, int64_t tokens) {
  // Neighbours are what batches of equal requests consist of; a full search would be quadratic.
  if (!slices.empty() && slices.back().context_tokens == context && slices.back().new_tokens == tokens) {
    ++slices.back().count;
  } else {
    slices.push_back({context, tokens, 1});
  }
}

}  // namespace

int32_t OutputToken(uint64_t seed, int64_t index, int64_t vocab) {
  CHECK(vocab > kFirstWordToken);
  const uint64_t words = static_cast<uint64_t>(vocab - kFirstWordToken);
  return static_cast<int32_t>(kFirstWordToken + static_cast<int64_t>(Mix(seed, static_cast<uint64_t>(index)) % words));
}

void EngineOutput::Clear() {
  admissions.clear();
  tokens.clear();
  passes.clear();
}

Result<std::unique_ptr<EngineModel>> EngineModel::Create(const model::ModelSpec& model, const EngineModelOptions& options) {
  const double left = KvCapacityBytes(model, options.roofline, options.kv_memory_share);
  const double kv_bytes = options.kv_bytes.value_or(left);
  if (kv_bytes <= 0) {
    return BadInput(
        fmt::format("{} weighs {}, more than {:g} of the {} of memory of {} device(s): use more devices, "
                    "a smaller weight type, or --kv-gb",
                    model.id, FormatBytes(model.WeightBytes()), options.kv_memory_share,
                    FormatBytes(options.roofline.devices * options.roofline.memory_bytes), options.roofline.devices));
  }
  return std::unique_ptr<EngineModel>(new EngineModel(model, options, kv_bytes));
}

EngineModel::EngineModel(const model::ModelSpec& model, const EngineModelOptions& options, double kv_bytes)
    : model_(model), options_(options), router_(model, options.seed, options.router_cv), kv_bytes_(kv_bytes) {
  CHECK(options.max_running > 0 && options.max_pass_tokens > 0 && options.block_tokens > 0);
  block_bytes_ = model.KvElementsPerToken() * model.kv_bits / 8 * options.block_tokens;
}

double EngineModel::ReservedBytes(const EngineRequest& request) const {
  // The last output token is never an input, so it needs no entry.
  return model_.ResidentKvBytes(static_cast<int64_t>(request.prompt.size()) + request.output_tokens - 1);
}

bool EngineModel::Submit(EngineRequest request) {
  CHECK(!request.prompt.empty() && request.output_tokens >= 1);
  if (ReservedBytes(request) > kv_bytes_) return false;
  waiting_.push_back(std::move(request));
  return true;
}

void EngineModel::Cancel(uint64_t id, int64_t) {
  const auto waiting = std::find_if(waiting_.begin(), waiting_.end(), [id](const EngineRequest& r) { return r.id == id; });
  if (waiting != waiting_.end()) {
    waiting_.erase(waiting);
    return;
  }
  const auto running = std::find_if(running_.begin(), running_.end(), [id](const Sequence& s) { return s.request.id == id; });
  if (running == running_.end()) return;
  // The pass that runs computes it all the same, as a device would.
  running->cancelled = true;
  if (in_pass_) return;
  Release(*running);
  running_.erase(running);
}

std::optional<int64_t> EngineModel::NextNs() const {
  if (in_pass_) return pass_end_ns_;
  if (!running_.empty()) return pass_end_ns_;
  if (!waiting_.empty()) return std::max(waiting_.front().arrival_ns, pass_end_ns_);
  return std::nullopt;
}

void EngineModel::Advance(int64_t now_ns, EngineOutput& out) {
  for (;;) {
    const std::optional<int64_t> next = NextNs();
    if (!next || *next > now_ns) return;
    if (in_pass_) FinishPass(out);
    if (running_.empty() && (waiting_.empty() || waiting_.front().arrival_ns > *next)) continue;
    Admit(*next, out);
    StartPass(*next);
  }
}

void EngineModel::Admit(int64_t time_ns, EngineOutput& out) {
  while (!waiting_.empty() && waiting_.front().arrival_ns <= time_ns &&
         static_cast<int64_t>(running_.size()) < options_.max_running) {
    Sequence sequence;
    sequence.reserved_bytes = ReservedBytes(waiting_.front());
    if (reserved_bytes_ + sequence.reserved_bytes > kv_bytes_) return;
    reserved_bytes_ += sequence.reserved_bytes;
    sequence.request = std::move(waiting_.front());
    waiting_.pop_front();
    if (options_.prefix_cache) {
      const EngineRequest& request = sequence.request;
      sequence.blocks = PrefixCache::BlockHashes(request.prompt, options_.block_tokens, request.cache_salt);
      const int64_t blocks = request.cache_prompt ? cache_.Match(sequence.blocks) : 0;
      const auto prompt = static_cast<int64_t>(request.prompt.size());
      sequence.computed =
          std::min(blocks * options_.block_tokens, (prompt - 1) / options_.block_tokens * options_.block_tokens);
    }
    out.admissions.push_back({sequence.request.id, time_ns, sequence.computed});
    running_.push_back(std::move(sequence));
  }
}

void EngineModel::Plan() {
  for (Sequence& sequence : running_) sequence.planned = 0;
  if (options_.chunked_prefill) {
    PlanChunked();
  } else {
    PlanWhole();
  }
}

void EngineModel::PlanChunked() {
  int64_t budget = options_.max_pass_tokens;
  for (Sequence& sequence : running_) {
    if (!sequence.decoding() || budget == 0) continue;
    sequence.planned = 1;
    --budget;
  }
  for (Sequence& sequence : running_) {
    if (sequence.decoding() || budget == 0) continue;
    sequence.planned = std::min(budget, static_cast<int64_t>(sequence.request.prompt.size()) - sequence.computed);
    budget -= sequence.planned;
  }
}

void EngineModel::PlanWhole() {
  int64_t tokens = 0;
  for (Sequence& sequence : running_) {
    if (sequence.decoding()) continue;
    const int64_t rest = static_cast<int64_t>(sequence.request.prompt.size()) - sequence.computed;
    if (tokens > 0 && tokens + rest > options_.max_pass_tokens) break;
    sequence.planned = rest;
    tokens += rest;
  }
  if (tokens > 0) return;
  for (Sequence& sequence : running_) sequence.planned = 1;
}

record::PassRecord EngineModel::DescribePass() const {
  record::PassRecord pass;
  pass.cell.system = "mock";
  bool prefill = false;
  bool decode = false;
  std::vector<RoutedToken> tokens;
  for (const Sequence& sequence : running_) {
    if (sequence.planned == 0) continue;
    AddSlice(pass.sequences, sequence.computed, sequence.planned);
    (sequence.decoding() ? decode : prefill) = true;
    const EngineRequest& request = sequence.request;
    for (int64_t i = sequence.computed; i < sequence.computed + sequence.planned; ++i) {
      const auto prompt = static_cast<int64_t>(request.prompt.size());
      const int32_t id =
          i < prompt ? request.prompt[static_cast<size_t>(i)] : OutputToken(request.seed, i - prompt, model_.vocab);
      tokens.push_back({id, i});
    }
  }
  pass.kind = prefill && decode ? record::PassKind::kMixed : prefill ? record::PassKind::kPrefill : record::PassKind::kDecode;
  pass.distinct_experts = router_.DistinctExperts(tokens);
  return pass;
}

void EngineModel::StartPass(int64_t time_ns) {
  Plan();
  pass_ = DescribePass();
  pass_.pass = passes_++;
  pass_.start_s = static_cast<double>(time_ns) * 1e-9;
  pass_.latency_s = CostOfStep(model_, pass_, options_.roofline).seconds;
  pass_end_ns_ = time_ns + std::max<int64_t>(1, std::llround(pass_.latency_s * 1e9));
  in_pass_ = true;
}

void EngineModel::FinishPass(EngineOutput& out) {
  in_pass_ = false;
  for (Sequence& sequence : running_) AdvanceSequence(sequence, out);
  const auto finished = [](const Sequence& s) { return s.cancelled || s.produced == s.request.output_tokens; };
  for (const Sequence& sequence : running_) {
    if (!finished(sequence)) continue;
    Release(sequence);
    if (!sequence.cancelled) KeepOutput(sequence);
  }
  std::erase_if(running_, finished);
  // Differences of fractions must not leave a rest that keeps the largest request out.
  if (running_.empty()) reserved_bytes_ = 0;
  if (options_.prefix_cache) {
    const double free_blocks = block_bytes_ > 0 ? (kv_bytes_ - reserved_bytes_) / block_bytes_ : 1e18;
    cache_.Trim(static_cast<int64_t>(std::min(std::max(free_blocks, 0.0), static_cast<double>(kMostCachedBlocks))));
  }
  out.passes.push_back(std::move(pass_));
}

void EngineModel::AdvanceSequence(Sequence& sequence, EngineOutput& out) {
  if (sequence.planned == 0) return;
  const bool was_prompt = !sequence.decoding();
  sequence.computed += sequence.planned;
  sequence.planned = 0;
  if (was_prompt && options_.prefix_cache) {
    const auto whole = static_cast<size_t>(sequence.computed / options_.block_tokens);
    cache_.Insert(std::span(sequence.blocks).first(std::min(whole, sequence.blocks.size())));
  }
  if (!sequence.decoding() || sequence.cancelled) return;
  const EngineRequest& request = sequence.request;
  TokenEvent event;
  event.request = request.id;
  event.index = sequence.produced++;
  event.last = sequence.produced == request.output_tokens;
  event.token = event.last && request.ends_with_eos ? kEosToken : OutputToken(request.seed, event.index, model_.vocab);
  event.due_ns = pass_end_ns_;
  out.tokens.push_back(event);
}

void EngineModel::Release(const Sequence& sequence) { reserved_bytes_ -= sequence.reserved_bytes; }

void EngineModel::KeepOutput(const Sequence& sequence) {
  if (!options_.prefix_cache || sequence.computed / options_.block_tokens == static_cast<int64_t>(sequence.blocks.size()))
    return;
  const EngineRequest& request = sequence.request;
  std::vector<int32_t> tokens = request.prompt;
  for (int64_t i = 0; static_cast<int64_t>(tokens.size()) < sequence.computed; ++i) {
    tokens.push_back(OutputToken(request.seed, i, model_.vocab));
  }
  cache_.Insert(PrefixCache::BlockHashes(tokens, options_.block_tokens, request.cache_salt));
}

EngineState EngineModel::State() const {
  EngineState state;
  state.running = static_cast<int64_t>(running_.size());
  state.waiting = static_cast<int64_t>(waiting_.size());
  state.kv_used_share = reserved_bytes_ / kv_bytes_;
  for (const Sequence& sequence : running_) state.kv_used_tokens += sequence.computed;
  const double per_token = block_bytes_ / options_.block_tokens;
  state.kv_capacity_tokens = per_token > 0 ? static_cast<int64_t>(kv_bytes_ / per_token) : 0;
  state.passes = passes_;
  return state;
}

}  // namespace moecap::mock
