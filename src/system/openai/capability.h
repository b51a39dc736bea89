// What a server may offer to a measurement, whether this one does, and what would switch on what is missing.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "system/openai/dialect.h"

namespace moecap::openai {

enum class Feature : uint8_t {
  kIdsIn,         // prompts as token ids
  kIdsOut,        // the answer's token ids
  kUsage,         // counts of tokens at the answer's end
  kRunningUsage,  // while it goes on
  kCachedTokens,  // what came from the prefix cache, in the usage
  kIgnoreEnd,     // exactly as many tokens as asked for
  kCacheSalt,     // cached prefixes apart
  kTokenize,      // tokens of a text
  kFlush,         // an empty prefix cache
  kMetrics,       // /metrics
  kExperts,       // routed experts in answers
  kRecorder,      // of experts, in files
  kPasses,        // telemetry of each forward pass
};

enum class Support : uint8_t {
  kNotAsked,  // or the answer said nothing
  kYes,
  kTaken,    // accepted, its effect not seen
  kIgnored,  // accepted, without effect
  kNo,
};

struct Capability {
  Feature feature = Feature::kIdsIn;
  Support support = Support::kNotAsked;
  std::string detail;  // what was seen; may be empty
};

std::string_view Name(Feature feature);  // "token ids in"
std::string_view Name(Support support);  // "yes", "taken", "ignored", "no", "not asked"

// What switches the feature on where a server of that kind lacks it: "start it with --enable-prompt-tokens-details". "" = no
// way is known.
std::string_view Remedy(ServerKind kind, Feature feature);

// Null when it is not in the list.
const Capability* Find(std::span<const Capability> capabilities, Feature feature);

}  // namespace moecap::openai
