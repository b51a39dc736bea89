#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "base/rng.h"
#include "workload/prompt_file.h"
#include "workload/request_builder.h"

namespace moecap::workload {
namespace {

constexpr int64_t kBytesPerToken = 4;

class DatasetRequests {
 public:
  DatasetRequests(RequestBuilder& builder, const PromptFile& file) : builder_(builder), config_(builder.config()), file_(file) {
    order_.resize(file.entries.size());
    std::iota(order_.begin(), order_.end(), size_t{0});
    if (config_.dataset->shuffle) Rng(StreamSeed(config_.seed, Stream::kOrder, 0)).Shuffle(order_);
  }

  Status AddRequests(int64_t count) {
    const bool repeats = count > std::ssize(order_);
    for (int64_t i = 0; i < count; ++i) {
      const PromptEntry& entry = EntryAt(i);
      const int64_t round = i / std::ssize(order_);
      PlannedPrompt prompt;
      // The round is behind every id or behind none, so that ids stay different whatever they end in.
      prompt.id = repeats ? fmt::format("{}@{}", entry.id, round + 1) : entry.id;
      prompt.cache_salt = builder_.Salt(fmt::format("r{}", i));
      RETURN_IF_ERROR(SetText(entry.turns.front().message, prompt));
      RETURN_IF_ERROR(AddWithOutput(entry, 0, i, std::move(prompt)));
    }
    if (repeats)
      builder_.set().notes.push_back(fmt::format("The data set has {} prompts, which are sent repeatedly", order_.size()));
    return {};
  }

  // The users' messages of `turns` turns, or of all conversations.
  Status AddConversations(std::optional<int64_t> turns) {
    const int64_t most = turns.value_or(kMostRequests);
    int64_t index = 0;
    for (int64_t i = 0; index < most && (turns || i < std::ssize(order_)); ++i) {
      const PromptEntry& entry = EntryAt(i);
      Rng rng(StreamSeed(config_.seed, Stream::kConversation, static_cast<uint64_t>(i)));
      const int64_t length = std::min(DrawInteger(config_.conversations->turns, rng), std::ssize(entry.turns));
      for (int64_t turn = 0; turn < length && index < most; ++turn, ++index) {
        PlannedPrompt prompt;
        prompt.id = fmt::format("c{}-{}", i, turn);
        prompt.conversation = i;
        prompt.cache_salt = builder_.Salt(fmt::format("c{}", i));
        prompt.text = entry.turns[static_cast<size_t>(turn)].message;
        if (turn > 0) prompt.think_s = DrawReal(config_.conversations->think_s, rng);
        RETURN_IF_ERROR(AddWithOutput(entry, static_cast<size_t>(turn), index, std::move(prompt)));
      }
    }
    return {};
  }

  // Whether every answer's length is that of a recorded answer.
  bool all_recorded() const { return recorded_ == std::ssize(builder_.set().prompts); }

  // What a reader must know of the lengths.
  void NoteEstimates() {
    if (estimated_ == 0 || builder_.is_warmup()) return;
    builder_.set().notes.push_back(
        fmt::format("The lengths of {} answers are estimates: the recorded answer's bytes over {}, since no tokenizer of the "
                    "server counts it",
                    estimated_, kBytesPerToken));
  }

 private:
  const PromptEntry& EntryAt(int64_t i) const { return file_.entries[order_[static_cast<size_t>(i) % order_.size()]]; }

  // A warm-up sends as many words as the message has, but other ones.
  Status SetText(const std::string& message, PlannedPrompt& prompt) {
    if (builder_.is_warmup()) {
      const auto spaces = std::ranges::count_if(message, [](char c) { return c == ' ' || c == '\n'; });
      Recipe recipe;
      recipe.own_code = OwnCode(builder_.set().prompts.size());
      prompt.text = Words(builder_.content().Tokens(recipe, spaces + 1));
      return {};
    }
    prompt.text = message;
    if (!builder_.fits()) return {};
    ASSIGN_OR_RETURN(prompt.input_tokens, builder_.count_tokens()(message));
    return {};
  }

  // How many tokens the recorded answer has: by the server's tokenizer, else about as many as a quarter of its bytes.
  Result<int64_t> AnswerTokens(const std::string& answer) {
    if (!builder_.fits() || builder_.is_warmup()) {
      ++estimated_;
      return std::max<int64_t>(1, (std::ssize(answer) + kBytesPerToken - 1) / kBytesPerToken);
    }
    ASSIGN_OR_RETURN(const int64_t tokens, builder_.count_tokens()(answer));
    return std::max<int64_t>(1, tokens - builder_.special_tokens());
  }

  Status AddWithOutput(const PromptEntry& entry, size_t turn, int64_t index, PlannedPrompt prompt) {
    const int64_t most = config_.max_output_tokens.value_or(kMostLength);
    bool is_known = true;
    if (config_.output_tokens) {
      Rng rng(StreamSeed(config_.seed, Stream::kLength, static_cast<uint64_t>(index)));
      prompt.output_tokens = std::min(DrawInteger(*config_.output_tokens, rng), most);
    } else if (entry.output_tokens) {
      prompt.output_tokens = std::min(*entry.output_tokens, most);
    } else if (const std::string& answer = entry.turns[turn].answer; !answer.empty()) {
      ASSIGN_OR_RETURN(const int64_t tokens, AnswerTokens(answer));
      ++recorded_;
      prompt.output_tokens = std::min(tokens, most);
    } else {
      prompt.output_tokens = config_.max_output_tokens.value_or(kDefaultMaxOutputTokens);
      is_known = false;
    }
    prompt.exact_output = config_.exact_output.value_or(is_known);
    return builder_.Add(std::move(prompt), 0, 0);
  }

  RequestBuilder& builder_;
  const WorkloadConfig& config_;
  const PromptFile& file_;
  std::vector<size_t> order_;
  int64_t recorded_ = 0, estimated_ = 0;
};

}  // namespace

Result<std::string> AddFromDataset(RequestBuilder& builder) {
  const WorkloadConfig& config = builder.config();
  ASSIGN_OR_RETURN(const PromptFile file, ReadPromptFile(config.dataset->path));
  DatasetRequests requests(builder, file);
  const bool converses = config.conversations && !builder.is_warmup();
  RETURN_IF_ERROR(converses ? requests.AddConversations(config.requests)
                            : requests.AddRequests(config.requests.value_or(std::ssize(file.entries))));
  requests.NoteEstimates();
  RequestSet& set = builder.set();
  set.has_conversations = converses;
  if (file.skipped > 0)
    set.notes.push_back(
        fmt::format("{} conversations of the data set have no message of the user and are left out", file.skipped));
  std::string output = config.max_output_tokens || !config.output_tokens
                           ? fmt::format("at most {} tokens out", config.max_output_tokens.value_or(kDefaultMaxOutputTokens))
                           : fmt::format("{} tokens out", Describe(*config.output_tokens));
  if (requests.all_recorded()) {
    output = fmt::format("as many tokens out as recorded{}",
                         config.max_output_tokens ? fmt::format(", at most {}", *config.max_output_tokens) : "");
  }
  return fmt::format("{} {} of the data set {} (text), {}", set.prompts.size(), converses ? "turns" : "prompts",
                     config.dataset->path.filename().string(), output);
}

}  // namespace moecap::workload
