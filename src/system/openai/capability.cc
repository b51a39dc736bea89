#include "system/openai/capability.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/check.h"

namespace moecap::openai {
namespace {

constexpr std::array kFeatures{
    std::pair{Feature::kIdsIn, "token ids in"},
    std::pair{Feature::kIdsOut, "token ids out"},
    std::pair{Feature::kUsage, "usage"},
    std::pair{Feature::kRunningUsage, "running usage"},
    std::pair{Feature::kCachedTokens, "cached tokens"},
    std::pair{Feature::kIgnoreEnd, "ignore_eos"},
    std::pair{Feature::kCacheSalt, "cache salt"},
    std::pair{Feature::kTokenize, "tokenize"},
    std::pair{Feature::kFlush, "flush cache"},
    std::pair{Feature::kMetrics, "metrics"},
    std::pair{Feature::kExperts, "routed experts"},
    std::pair{Feature::kRecorder, "expert recorder"},
    std::pair{Feature::kPasses, "pass telemetry"},
};

constexpr std::array kSupports{std::pair{Support::kNotAsked, "not asked"}, std::pair{Support::kYes, "yes"},
                               std::pair{Support::kTaken, "taken"}, std::pair{Support::kIgnored, "ignored"},
                               std::pair{Support::kNo, "no"}};

struct RemedyRow {
  ServerKind kind;
  Feature feature;
  std::string_view words;
};

// The flags of the servers' own documentation; those of vLLM 0.30, SGLang 0.5.23, llama-server and transformers 5.24 were seen
// to work (docs/systems.md).
constexpr std::array kRemedies{
    RemedyRow{ServerKind::kVllm, Feature::kCachedTokens, "start it with --enable-prompt-tokens-details"},
    RemedyRow{ServerKind::kVllm, Feature::kExperts, "start it with --enable-return-routed-experts"},
    RemedyRow{ServerKind::kVllm, Feature::kPasses, "start it with --enable-logging-iteration-details"},
    RemedyRow{ServerKind::kVllm, Feature::kFlush, "start it with VLLM_SERVER_DEV_MODE=1"},
    RemedyRow{ServerKind::kSglang, Feature::kCachedTokens, "start it with --enable-cache-report"},
    RemedyRow{ServerKind::kSglang, Feature::kExperts, "start it with --enable-return-routed-experts"},
    RemedyRow{ServerKind::kSglang, Feature::kRecorder,
              "start it with --expert-distribution-recorder-mode stat --expert-distribution-recorder-buffer-size -1"},
    RemedyRow{ServerKind::kSglang, Feature::kPasses, "start it with --enable-forward-pass-metrics"},
    RemedyRow{ServerKind::kSglang, Feature::kMetrics, "start it with --enable-metrics"},
    RemedyRow{ServerKind::kLlamaServer, Feature::kMetrics, "start it with --metrics"},
    RemedyRow{ServerKind::kLlamaServer, Feature::kExperts,
              "its interface has none; the same file on the embedded engine has them"},
    RemedyRow{ServerKind::kTensorRtLlm, Feature::kPasses,
              "start it with enable_iter_perf_stats: true in --extra_llm_api_options"},
    RemedyRow{ServerKind::kTensorRtLlm, Feature::kExperts, "start it with EXPERT_STATISTIC_ITER_RANGE set, which writes files"},
    RemedyRow{ServerKind::kTransformers, Feature::kExperts, "start it by a launcher that hooks its routers"},
    RemedyRow{ServerKind::kTransformers, Feature::kPasses, "start it by a launcher that hooks its routers"},
    RemedyRow{ServerKind::kOllama, Feature::kMetrics, "start it with LLAMA_ARG_ENDPOINT_METRICS=1"},
};

}  // namespace

std::string_view Name(Feature feature) {
  const auto found = std::ranges::find(kFeatures, feature, &std::pair<Feature, const char*>::first);
  CHECK(found != kFeatures.end());
  return found->second;
}

std::string_view Name(Support support) {
  const auto found = std::ranges::find(kSupports, support, &std::pair<Support, const char*>::first);
  CHECK(found != kSupports.end());
  return found->second;
}

std::string_view Remedy(ServerKind kind, Feature feature) {
  const auto found =
      std::ranges::find_if(kRemedies, [&](const RemedyRow& row) { return row.kind == kind && row.feature == feature; });
  return found == kRemedies.end() ? "" : found->words;
}

const Capability* Find(std::span<const Capability> capabilities, Feature feature) {
  const auto found = std::ranges::find(capabilities, feature, &Capability::feature);
  return found == capabilities.end() ? nullptr : &*found;
}

}  // namespace moecap::openai
