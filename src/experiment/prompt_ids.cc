#include "experiment/prompt_ids.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

namespace moecap::experiment {
namespace {

// Fewer ids make prompts that begin alike.
constexpr int64_t kFewestIds = 64;
// Of a small vocabulary the first ids are left out, which are often control tokens.
constexpr int64_t kControlShare = 8;

// What all systems know.
struct Common {
  int64_t size = 0;
  std::optional<std::vector<int32_t>> ids;  // null: all below `size`
  std::string source;
};

void Narrow(const Vocabulary& vocabulary, Common& common) {
  if (common.source.empty() || vocabulary.size < common.size) {
    common.size = vocabulary.size;
    common.source = vocabulary.source;
  }
  if (vocabulary.ids.empty()) return;
  if (!common.ids) {
    common.ids = vocabulary.ids;
  } else {
    std::vector<int32_t> both;
    std::ranges::set_intersection(*common.ids, vocabulary.ids, std::back_inserter(both));
    common.ids = std::move(both);
  }
}

Status CheckConfigured(const workload::WorkloadConfig& workload, SystemDriver& driver) {
  const std::string& name = driver.description().name;
  if (!driver.TakesTokenIds()) {
    return BadInput(fmt::format(
        "{} takes no token ids, which workload.vocabulary (--vocabulary) asks for; leave it out, or use an api that takes ids "
        "(completions of vLLM, SGLang, TensorRT-LLM and llama-server)",
        driver.description().description));
  }
  const auto known = driver.KnownVocabulary();
  // Of ids that were only seen, others may well exist.
  if (!known || !known->ids.empty() || workload.vocabulary_to <= known->size) return {};
  return BadInput(fmt::format("workload.vocabulary: ids [{}, {}) go beyond the {} of {} ({}); use [{}, {}]",
                              workload.vocabulary_from, workload.vocabulary_to, known->size, name, known->source,
                              known->size / kControlShare, known->size));
}

PromptIds Words(PromptIds prompts, const std::string& why) {
  prompts.workload.text = true;
  prompts.notes.push_back(fmt::format("Prompts are words: {}.", why));
  return prompts;
}

PromptIds FromCommon(PromptIds prompts, Common common) {
  workload::WorkloadConfig& workload = prompts.workload;
  if (common.ids) {
    std::erase_if(*common.ids, [&](int32_t id) { return id >= common.size; });
    if (std::ssize(*common.ids) < kFewestIds) {
      return Words(std::move(prompts),
                   fmt::format("only {} token ids are known that all systems have ({}); give --vocabulary N "
                               "(workload.vocabulary) to send ids",
                               common.ids->size(), common.source));
    }
    workload.vocabulary_from = 0;
    workload.vocabulary_to = std::ssize(*common.ids);
    prompts.notes.push_back(
        fmt::format("Prompts are {} token ids up to {}: {}.", common.ids->size(), common.ids->back(), common.source));
    prompts.ids = std::move(*common.ids);
    return prompts;
  }
  if (workload.vocabulary_to > common.size) {
    workload.vocabulary_from = common.size / kControlShare;
    workload.vocabulary_to = common.size;
  }
  prompts.notes.push_back(fmt::format("Prompts are token ids in [{}, {}) of a vocabulary of {}: {}.", workload.vocabulary_from,
                                      workload.vocabulary_to, common.size, common.source));
  return prompts;
}

Result<PromptIds> ChooseIds(const workload::WorkloadConfig& workload, std::span<const std::unique_ptr<SystemDriver>> drivers) {
  PromptIds prompts{workload, {}, {}};
  if (workload.text || workload.dataset) return prompts;
  if (workload.vocabulary_is_given) {
    for (const auto& driver : drivers) RETURN_IF_ERROR(CheckConfigured(workload, *driver));
    return prompts;
  }
  Common common;
  for (const auto& driver : drivers) {
    const std::string& name = driver->description().name;
    if (!driver->TakesTokenIds()) return Words(std::move(prompts), fmt::format("{} takes no token ids", name));
    const auto known = driver->KnownVocabulary();
    if (!known) {
      return Words(std::move(prompts), fmt::format("nothing tells which token ids {} knows, and one that it does not know ends "
                                                   "some servers; give --vocabulary N (workload.vocabulary) to send ids",
                                                   name));
    }
    Narrow(*known, common);
  }
  return FromCommon(std::move(prompts), std::move(common));
}

// A word is a token of most tokenizers and several of a small one; where nobody counts them, the most.
constexpr int64_t kMostTokensOfAWord = 4;
// Of a begin token, and of a chat's template.
constexpr int64_t kMarginTokens = 8, kTemplateTokens = 64;

// Shortens prompts that nobody asked to be as long as they are.
void FitContext(std::span<const std::unique_ptr<SystemDriver>> drivers, PromptIds& prompts) {
  workload::WorkloadConfig& workload = prompts.workload;
  if (workload.dataset || workload.trace || workload.input_is_given || workload.shared_prefix || workload.conversations) return;
  for (const auto& driver : drivers) {
    const auto context = driver->ContextTokens(static_cast<int64_t>(workload.input_tokens.max));
    if (!context) continue;
    const int64_t answer = workload.output_tokens ? static_cast<int64_t>(workload.output_tokens->max)
                                                  : std::min(workload::kDefaultOutputTokens, *context / 4);
    const int64_t margin = driver->TakesMessages() ? kTemplateTokens : kMarginTokens;
    const bool counts = !workload.text || (driver->CanTokenize() && !driver->TakesMessages());
    const int64_t room = std::max<int64_t>(1, (*context - answer - margin) / (counts ? 1 : kMostTokensOfAWord));
    if (static_cast<int64_t>(workload.input_tokens.max) <= room) continue;
    workload.input_tokens = workload::FixedValue(static_cast<double>(room));
    workload.output_tokens = workload.output_tokens.value_or(workload::FixedValue(static_cast<double>(answer)));
    prompts.notes.push_back(
        fmt::format("Prompts have {} {}, not the usual number: the context of {} is {} tokens, {} of them for "
                    "the answer.",
                    room, counts ? "tokens" : "words", driver->description().name, *context, answer));
  }
}

}  // namespace

void PromptIds::Translate(workload::RequestSet& set) const {
  if (ids.empty()) return;
  for (workload::PlannedPrompt& prompt : set.prompts) {
    for (int32_t& id : prompt.token_ids) id = ids.at(static_cast<size_t>(id));
  }
}

Result<PromptIds> ChoosePromptIds(const workload::WorkloadConfig& workload,
                                  std::span<const std::unique_ptr<SystemDriver>> drivers) {
  ASSIGN_OR_RETURN(PromptIds prompts, ChooseIds(workload, drivers));
  FitContext(drivers, prompts);
  return prompts;
}

}  // namespace moecap::experiment
