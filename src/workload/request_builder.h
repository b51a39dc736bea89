// What generated, replayed and data set requests have in common while a set is made. Internal to the folder.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "workload/make_requests.h"
#include "workload/prompt_content.h"

namespace moecap::workload {

// The requests of one set, or of its warm-up.
class RequestBuilder {
 public:
  RequestBuilder(const WorkloadConfig& config, const RequestOptions& options, bool is_warmup);

  const WorkloadConfig& config() const { return config_; }
  bool is_warmup() const { return is_warmup_; }
  // Whether texts are fitted to their length.
  bool fits() const { return config_.text && options_.count_tokens; }
  const CountTokens& count_tokens() const { return options_.count_tokens; }
  // What a tokenizer puts before every text; 0 where it does not take empty texts. Requires fits().
  int64_t special_tokens();
  const PromptContent& content() const { return content_; }
  RequestSet& set() { return set_; }

  // Of a request that shares cached prefixes with those of the same `scope` ("r12", "c3"), under the configured salt.
  std::string Salt(const std::string& scope) const;

  // Gives `prompt` the recipe's first `tokens` tokens (words), of which earlier requests have sent `shared`. A text's lengths
  // are known only where it is fitted.
  Status Fill(const Recipe& recipe, int64_t tokens, int64_t shared, PlannedPrompt& prompt);

  // Adds the prompt. It counts in the hit ratio with `tokens`, of which `shared` are planned to be cached; of texts both are
  // words. Error: kBadInput when the set gets too large.
  Status Add(PlannedPrompt prompt, int64_t tokens, int64_t shared);

  // "24.8 % of the input planned as cache hits", or empty when none are.
  std::string HitRatio() const;
  // The set, with what remains to be noted.
  RequestSet Finish(std::string description) &&;

 private:
  const WorkloadConfig& config_;
  const RequestOptions& options_;
  bool is_warmup_;
  PromptContent content_;
  RequestSet set_;
  Status FillFitted(const Recipe& recipe, int64_t tokens, int64_t shared, PlannedPrompt& prompt);

  std::string run_salt_;  // as servers take it
  size_t bytes_ = 0;
  // That a tokenizer puts before every text; an error where it does not take empty texts. Null until it was asked.
  std::optional<Result<int64_t>> special_tokens_;
  int64_t tokens_ = 0;
  int64_t shared_ = 0;
  int64_t misfits_ = 0;
  int64_t worst_misfit_tokens_ = 0;
};

// Each fills a builder and gives the set's description.
Result<std::string> AddGenerated(RequestBuilder& builder);
Result<std::string> AddTraced(RequestBuilder& builder);
Result<std::string> AddFromDataset(RequestBuilder& builder);

}  // namespace moecap::workload
