#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>
#include <vector>

#include "base/units.h"
#include "workload/request_builder.h"
#include "workload/request_trace.h"

namespace moecap::workload {
namespace {

// How many leading tokens of a prompt earlier prompts have had, from their blocks.
class SentBlocks {
 public:
  // Counts for these blocks, then adds them.
  int64_t Send(const std::vector<Piece>& blocks) {
    int64_t shared = 0;
    bool is_shared = true;
    uint64_t node = 0;
    for (const Piece& block : blocks) {
      Sent& sent = children_[{node, block.code}];
      if (sent.node == 0) sent.node = ++nodes_;
      if (is_shared) {
        const int64_t common = std::min(sent.tokens, block.tokens);
        shared += common;
        is_shared = common == block.tokens;
      }
      sent.tokens = std::max(sent.tokens, block.tokens);
      node = sent.node;
    }
    return shared;
  }

 private:
  struct Sent {
    uint64_t node = 0;
    int64_t tokens = 0;  // the longest that was sent of this block, in this place
  };
  struct Hash {
    size_t operator()(const std::pair<uint64_t, uint64_t>& key) const {
      return static_cast<size_t>(StreamSeed(key.first, Stream::kOrder, key.second));
    }
  };

  std::unordered_map<std::pair<uint64_t, uint64_t>, Sent, Hash> children_;  // by parent and block
  uint64_t nodes_ = 0;
};

class Replay {
 public:
  explicit Replay(RequestBuilder& builder) : builder_(builder), config_(builder.config()), source_(*config_.trace) {}

  Status Add(const TracedRequest& traced, int64_t index, double at_s) {
    int64_t tokens = traced.input_tokens;
    if (tokens == 0 || traced.output_tokens == 0) ++empty_;
    tokens = std::max<int64_t>(tokens, 1);
    const int64_t most = std::min(source_.max_input_tokens.value_or(kMostLength), kMostLength);
    if (tokens > most) ++cut_;
    tokens = std::min(tokens, most);
    if (!traced.prefix_blocks.empty()) ++with_blocks_;

    PlannedPrompt prompt;
    prompt.id = fmt::format("{}{}", builder_.is_warmup() ? "w" : "", index);
    prompt.at_s = builder_.is_warmup() ? 0 : at_s * source_.time_scale;
    prompt.output_tokens = std::clamp<int64_t>(traced.output_tokens, 1, config_.max_output_tokens.value_or(kMostLength));
    prompt.exact_output = config_.exact_output.value_or(true);
    prompt.cache_salt = builder_.Salt(traced.prefix_blocks.empty() ? fmt::format("r{}", index) : "trace");
    const Recipe recipe = RecipeOf(traced, index, tokens);
    const int64_t shared = sent_.Send(recipe.shared);
    RETURN_IF_ERROR(builder_.Fill(recipe, tokens, shared, prompt));
    return builder_.Add(std::move(prompt), tokens, shared);
  }

  void AddNotes(const RequestTrace& trace) {
    std::vector<std::string>& notes = builder_.set().notes;
    if (trace.failed > 0) notes.push_back(fmt::format("{} recorded requests failed and are left out", trace.failed));
    if (empty_ > 0) notes.push_back(fmt::format("{} requests with 0 tokens in or out are sent with 1", empty_));
    if (cut_ > 0)
      notes.push_back(fmt::format("{} prompts are cut to {} tokens", cut_, source_.max_input_tokens.value_or(kMostLength)));
    if (with_blocks_ == 0) {
      notes.push_back(
          "The trace does not tell which prompts began alike: every prompt is unique, so no cache hits are planned.");
    }
  }

 private:
  // An id of the trace gets a number in the order of first use, so that any id can be spelled.
  Recipe RecipeOf(const TracedRequest& traced, int64_t index, int64_t tokens) {
    Recipe recipe;
    recipe.own_code = OwnCode(static_cast<uint64_t>(index));
    for (const int64_t id : traced.prefix_blocks) {
      if (tokens <= 0) break;
      const uint64_t number = numbers_.try_emplace(id, numbers_.size()).first->second;
      recipe.shared.push_back({SharedCode(number), std::min(tokens, source_.block_tokens)});
      tokens -= source_.block_tokens;
    }
    return recipe;
  }

  RequestBuilder& builder_;
  const WorkloadConfig& config_;
  const TraceSource& source_;
  SentBlocks sent_;
  std::unordered_map<int64_t, uint64_t> numbers_;  // by id of prefix_blocks
  int64_t empty_ = 0;
  int64_t cut_ = 0;
  int64_t with_blocks_ = 0;
};

}  // namespace

Result<std::string> AddTraced(RequestBuilder& builder) {
  const WorkloadConfig& config = builder.config();
  const TraceSource& source = *config.trace;
  ASSIGN_OR_RETURN(const RequestTrace trace, ReadRequestTrace(source.path));
  const auto begin = std::ranges::lower_bound(trace.requests, source.from_s, {}, &TracedRequest::at_s);
  const int64_t available = trace.requests.end() - begin;
  if (available == 0) {
    return BadInput(fmt::format("{}: the trace ends at {:g} s, before from_s = {:g}", source.path.string(),
                                trace.requests.back().at_s, source.from_s));
  }
  const int64_t count = config.requests.value_or(available);
  if (count > available && !builder.is_warmup()) {
    return BadInput(fmt::format("{}: {} requests asked for, but the trace has {} from {:g} s on", source.path.string(), count,
                                available, source.from_s));
  }
  Replay replay(builder);
  builder.set().prompts.reserve(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    const TracedRequest& traced = begin[i % available];
    RETURN_IF_ERROR(replay.Add(traced, i, traced.at_s - begin->at_s));
  }
  replay.AddNotes(trace);
  builder.set().has_times = !builder.is_warmup();
  return fmt::format("{} requests of the {} trace {} over {}, recorded lengths ({})", count, TraceFormatName(trace.format),
                     source.path.filename().string(), FormatSeconds(builder.set().prompts.back().at_s),
                     config.text ? "text" : "ids");
}

}  // namespace moecap::workload
