#include "workload/make_requests.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <unordered_map>

#include "base/rng.h"
#include "base/units.h"
#include "workload/prompt_fitter.h"
#include "workload/request_builder.h"

namespace moecap::workload {
namespace {

constexpr size_t kMostBytes = 8'000'000'000;

Vocabulary VocabularyOf(const WorkloadConfig& config) {
  if (config.text) return {0, WordCount()};
  return {static_cast<int32_t>(config.vocabulary_from), static_cast<int32_t>(config.vocabulary_to - config.vocabulary_from)};
}

// Prompts of drawn length, alone or as turns of conversations.
class Generator {
 public:
  explicit Generator(RequestBuilder& builder) : builder_(builder), config_(builder.config()) {}

  Status AddRequests(int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      PlannedPrompt prompt;
      prompt.id = fmt::format("{}{}", builder_.is_warmup() ? "w" : "", i);
      RETURN_IF_ERROR(AsStatus(AddPrompt(i, i, fmt::format("r{}", i), 0, std::move(prompt))));
    }
    return {};
  }

  Status AddConversations(int64_t turns) {
    for (int64_t conversation = 0, index = 0; index < turns; ++conversation) {
      Rng rng(StreamSeed(config_.seed, Stream::kConversation, static_cast<uint64_t>(conversation)));
      const int64_t length = DrawInteger(config_.conversations->turns, rng);
      int64_t history = 0;
      for (int64_t turn = 0; turn < length && index < turns; ++turn, ++index) {
        PlannedPrompt prompt;
        prompt.id = fmt::format("c{}-{}", conversation, turn);
        prompt.conversation = conversation;
        if (turn > 0) prompt.think_s = DrawReal(config_.conversations->think_s, rng);
        ASSIGN_OR_RETURN(const int64_t added,
                         AddPrompt(index, conversation, fmt::format("c{}", conversation), history, std::move(prompt)));
        history += added;
      }
    }
    return {};
  }

 private:
  struct Prefix {
    int64_t length = 0;  // tokens, or words
    bool was_sent = false;
  };

  static Status AsStatus(const Result<int64_t>& added) { return added.ok() ? Status() : Status(added.error()); }

  // The group of the request or conversation, or -1.
  int64_t GroupOf(int64_t unit) const {
    if (!config_.shared_prefix) return -1;
    Rng rng(StreamSeed(config_.seed, Stream::kGroup, static_cast<uint64_t>(unit)));
    if (rng.Uniform() >= config_.shared_prefix->share) return -1;
    return static_cast<int64_t>(rng.Below(static_cast<uint64_t>(config_.shared_prefix->groups)));
  }

  Result<Prefix*> PrefixOf(int64_t group) {
    const auto [entry, is_new] = prefixes_.try_emplace(group);
    Prefix& prefix = entry->second;
    if (!is_new) return &prefix;
    prefix.length = config_.shared_prefix->tokens;
    if (builder_.fits()) {
      Recipe recipe;
      recipe.own_code = SharedCode(static_cast<uint64_t>(group));
      ASSIGN_OR_RETURN(const FittedText fitted,
                       FitText(builder_.content(), recipe, prefix.length, /*may_replace=*/false, builder_.count_tokens()));
      prefix.length = fitted.words;
    }
    return &prefix;
  }

  // Request or turn `index`, which comes after a conversation's `history` and begins with a prefix if there is none and `unit`
  // drew one. The tokens of prompt and answer.
  Result<int64_t> AddPrompt(int64_t index, int64_t unit, std::string scope, int64_t history, PlannedPrompt prompt) {
    Rng rng(StreamSeed(config_.seed, Stream::kLength, static_cast<uint64_t>(index)));
    const int64_t tokens = DrawInteger(config_.input_tokens, rng);
    prompt.output_tokens = DrawInteger(config_.output_tokens.value_or(FixedValue(kDefaultOutputTokens)), rng);
    prompt.exact_output = config_.exact_output.value_or(true);
    const int64_t after = tokens + prompt.output_tokens;
    Recipe recipe;
    recipe.own_code = OwnCode(static_cast<uint64_t>(index));
    int64_t shared = 0;
    if (const int64_t group = GroupOf(unit); group >= 0) {
      scope = fmt::format("p{}", group);
      if (history == 0) {
        ASSIGN_OR_RETURN(Prefix* const prefix, PrefixOf(group));
        recipe.shared.push_back({SharedCode(static_cast<uint64_t>(group)), prefix->length});
        shared = prefix->was_sent ? prefix->length : 0;
        prefix->was_sent = true;
      }
    }
    prompt.cache_salt = builder_.Salt(scope);
    RETURN_IF_ERROR(builder_.Fill(recipe, tokens, shared, prompt));
    if (prompt.conversation >= 0) {  // the server tokenizes the history and its template
      prompt.input_tokens.reset();
      prompt.shared_tokens.reset();
    }
    RETURN_IF_ERROR(builder_.Add(std::move(prompt), history + tokens, history + shared));
    return after;
  }

  RequestBuilder& builder_;
  const WorkloadConfig& config_;
  std::unordered_map<int64_t, Prefix> prefixes_;
};

Result<RequestSet> Make(const WorkloadConfig& config, const RequestOptions& options, bool is_warmup) {
  if (config.dataset && config.trace) return BadInput("a workload has a data set or a trace, not both");
  RequestBuilder builder(config, options, is_warmup);
  ASSIGN_OR_RETURN(std::string description, config.trace     ? AddTraced(builder)
                                            : config.dataset ? AddFromDataset(builder)
                                                             : AddGenerated(builder));
  return std::move(builder).Finish(std::move(description));
}

}  // namespace

std::string CleanSalt(const std::string& text) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
  };
  if (text.size() <= kMostRunSaltBytes && std::ranges::all_of(text, plain)) return text;
  std::string salt = text.substr(0, kMostRunSaltBytes - 17);
  std::ranges::replace_if(salt, std::not_fn(plain), '-');
  return fmt::format("{}-{:016x}", salt, XXH3_64bits(text.data(), text.size()));
}

RequestBuilder::RequestBuilder(const WorkloadConfig& config, const RequestOptions& options, bool is_warmup)
    : config_(config),
      options_(options),
      is_warmup_(is_warmup),
      content_(VocabularyOf(config), config.seed, is_warmup),
      run_salt_(CleanSalt(options.run_salt)) {}

int64_t RequestBuilder::special_tokens() {
  if (!special_tokens_) special_tokens_ = options_.count_tokens("");
  return special_tokens_->ok() ? **special_tokens_ : 0;
}

std::string RequestBuilder::Salt(const std::string& scope) const {
  const std::string run = run_salt_ + (is_warmup_ ? "-warmup" : "");
  switch (config_.salt) {
    case SaltScope::kUnique:
      return run + "-" + scope;
    case SaltScope::kRun:
      return run;
    case SaltScope::kNone:
      break;
  }
  return "";
}

Status RequestBuilder::FillFitted(const Recipe& recipe, int64_t tokens, int64_t shared, PlannedPrompt& prompt) {
  ASSIGN_OR_RETURN(FittedText fitted, FitText(content_, recipe, tokens, /*may_replace=*/true, options_.count_tokens));
  shared = std::min(shared, fitted.words - (fitted.replaced ? 1 : 0));
  if (shared > 0) {
    const std::vector<int32_t> words = content_.Tokens(recipe, shared);
    ASSIGN_OR_RETURN(prompt.shared_tokens, options_.count_tokens(Words(words)));
  } else if (!set_.prompts.empty()) {
    if (!special_tokens_) special_tokens_ = options_.count_tokens("");
    if (special_tokens_->ok()) prompt.shared_tokens = **special_tokens_;
  } else {
    prompt.shared_tokens = 0;
  }
  prompt.text = std::move(fitted.text);
  prompt.input_tokens = fitted.tokens;
  if (fitted.tokens != tokens) ++misfits_;
  worst_misfit_tokens_ = std::max(worst_misfit_tokens_, std::abs(fitted.tokens - tokens));
  return {};
}

Status RequestBuilder::Fill(const Recipe& recipe, int64_t tokens, int64_t shared, PlannedPrompt& prompt) {
  if (fits()) return FillFitted(recipe, tokens, shared, prompt);
  std::vector<int32_t> ids = content_.Tokens(recipe, tokens);
  if (config_.text) {
    prompt.text = Words(ids);
  } else {
    prompt.token_ids = std::move(ids);
    prompt.input_tokens = tokens;
    prompt.shared_tokens = shared;
  }
  return {};
}

Status RequestBuilder::Add(PlannedPrompt prompt, int64_t tokens, int64_t shared) {
  tokens_ += prompt.conversation < 0 ? prompt.input_tokens.value_or(tokens) : tokens;
  if (shared > 0) shared_ += prompt.conversation < 0 ? prompt.shared_tokens.value_or(shared) : shared;
  bytes_ += prompt.token_ids.size() * sizeof(int32_t) + prompt.text.size();
  if (bytes_ > kMostBytes) {
    return BadInput(
        fmt::format("the first {} requests of the workload take more than {} of memory; ask for fewer requests or "
                    "shorter ones",
                    set_.prompts.size() + 1, FormatBytes(kMostBytes)));
  }
  set_.prompts.push_back(std::move(prompt));
  return {};
}

std::string RequestBuilder::HitRatio() const {
  if (shared_ == 0) return "";
  const double ratio = static_cast<double>(shared_) / static_cast<double>(tokens_);
  return fmt::format("{}{} of the input planned as cache hits", config_.text && !fits() ? "about " : "",
                     FormatPercent(ratio, 1));
}

RequestSet RequestBuilder::Finish(std::string description) && {
  set_.description = std::move(description);
  if (const std::string hits = HitRatio(); !hits.empty()) set_.description += "; " + hits;
  constexpr const char* kSaltNames[] = {"unique salts", "one salt for the run", "no salt"};
  set_.description += fmt::format("; {}; seed {}", kSaltNames[static_cast<size_t>(config_.salt)], config_.seed);
  if (config_.text && !fits() && !config_.dataset) {
    set_.notes.push_back(
        "Prompts are words, and their lengths are planned in words: most tokenizers make one token of each, none fewer. Sent "
        "lengths and cache hits are only known from what the server counts.");
  }
  if (misfits_ > 0) {
    set_.notes.push_back(
        fmt::format("{} of {} texts could not be given exactly their planned length; they miss it by up to {} "
                    "tokens. The lengths given are what the tokenizer counts.",
                    misfits_, set_.prompts.size(), worst_misfit_tokens_));
  }
  return std::move(set_);
}

Result<std::string> AddGenerated(RequestBuilder& builder) {
  const WorkloadConfig& config = builder.config();
  const int64_t count = config.requests.value_or(kDefaultRequests);
  Generator generator(builder);
  const bool converses = config.conversations && !builder.is_warmup();
  builder.set().has_conversations = converses;
  if (!converses) builder.set().prompts.reserve(static_cast<size_t>(count));
  RETURN_IF_ERROR(converses ? generator.AddConversations(count) : generator.AddRequests(count));
  const ValueDistribution output = config.output_tokens.value_or(FixedValue(kDefaultOutputTokens));
  const char* unit = !config.text ? "tokens in (ids)" : builder.fits() ? "tokens in (text)" : "words in (text)";
  std::string description =
      fmt::format("{} {}: {} {}, {}{} tokens out", count, converses ? "turns" : "requests", Describe(config.input_tokens), unit,
                  config.exact_output.value_or(true) ? "" : "at most ", Describe(output));
  if (converses) {
    description += fmt::format("; {} conversations of {} turns, {} s to think", builder.set().prompts.back().conversation + 1,
                               Describe(config.conversations->turns), Describe(config.conversations->think_s));
  }
  if (const auto& prefix = config.shared_prefix) {
    description += fmt::format("; {} of them begin with one of {} prefixes of {} tokens", FormatPercent(prefix->share, 0),
                               prefix->groups, prefix->tokens);
  }
  return description;
}

Result<RequestSet> MakeRequests(const WorkloadConfig& config, const RequestOptions& options) {
  return Make(config, options, /*is_warmup=*/false);
}

Result<RequestSet> MakeWarmup(const WorkloadConfig& config, int64_t count, const RequestOptions& options) {
  if (count < 0) return BadInput(fmt::format("{} warm-up requests are not possible", count));
  if (count == 0) return RequestSet();
  WorkloadConfig warmup = config;
  warmup.requests = count;
  return Make(warmup, options, /*is_warmup=*/true);
}

}  // namespace moecap::workload
