// What a server computed in one measurement: its passes, reconstructed from the client's clock (metrics/pass_reconstruction.h),
// and the experts they used, from a second run of the same requests that asked for them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "experiment/iteration_log.h"
#include "metrics/pass_reconstruction.h"
#include "model/model_spec.h"
#include "record/pass_record.h"
#include "record/request_record.h"
#include "routing/activation_sheet.h"
#include "routing/routed_experts.h"

namespace moecap::experiment {

// What a server told of the experts behind one answer. Rows are the tokens of the prompt and of the output but its last.
struct ToldExperts {
  std::vector<int32_t> token_ids;  // of the output; empty = not told
  routing::RoutedExperts experts;  // empty = not told
  std::string missing;             // why not, one sentence
};

// How far the passes of a server are known; kept in the manifest. Shares are 0..1.
struct ServerPassFacts {
  std::string missing;                              // why there are no passes; empty = there are
  std::optional<double> fit;                        // metrics::PassReconstruction::fit; null without passes
  std::optional<int64_t> most_tokens;               // metrics::PassRule::most_tokens
  std::optional<metrics::PrefillBatching> prefill;  // metrics::PassRule::prefill; null = not known
  std::string most_tokens_source;                   // in words, with "assumed" where it was not told
  // Passes in the server's own log, and those of them that were reconstructed with as many requests and tokens; null = no log.
  std::optional<int64_t> logged, logged_alike;
  // The same of the passes that the server wrote down itself: then these are the measurement's. Null = none were.
  std::optional<int64_t> recorded, recorded_alike;
  std::string recorded_missing;  // why what the configuration names holds none; empty = it does, or names nothing
  std::string experts_missing;   // why no experts were told; empty = they were
  std::optional<double> told;    // of the passes, those whose experts were told; the others' are estimates; null = not asked
  std::optional<double> same_tokens;  // of the answers, those that the second run gave again; null = ids were not told
  std::vector<std::string> findings;  // what makes the experts doubtful, one sentence each
  // The flags of the server that was started anew to be asked for them; empty = the timed one is asked.
  std::string capture_flags;
  bool experts_due = false;  // it has not been asked yet
};

// Whether the passes of a server with `model` are known as a second run can tell the experts of: reconstructed, not written
// down by the server itself.
bool MayAskForExperts(const model::ModelSpec& model, const ServerPassFacts& facts);

// The passes as the client's clock tells them by `rule`; null = how the server forms them is not known. The facts then say what
// is missing, or how many passes of the server's own log (empty = none) are composed alike.
metrics::PassReconstruction ReconstructServerPasses(std::span<const record::RequestRecord> requests,
                                                    const metrics::PassRule* rule, std::span<const LoggedPass> logged,
                                                    ServerPassFacts& facts);

// Puts `recorded` in the place of the reconstructed passes and says how many of them are composed alike; experts that they do
// not hold are estimated, from `sheet` where it is not null. False, with the reason in the facts, when there are none or they
// are of another model.
bool UseRecordedPasses(const model::ModelSpec& model, const routing::ActivationSheet* sheet,
                       std::span<const record::PassRecord> recorded, metrics::PassReconstruction& passes,
                       ServerPassFacts& facts);

// Fills distinct_experts of every pass, and expert_counts where they stay small: from `told` (as many as requests; null = not
// told), else by metrics::FillDistinctExperts from `sheet`, a sheet of the model, or without one (null) from the router's
// shape. Requires a model with layers; its dense layers have no experts. Error kBadInput when the answers are of a model with
// another number of layers.
Status AddExperts(const model::ModelSpec& model, const routing::ActivationSheet* sheet,
                  std::span<const record::RequestRecord> requests, std::span<const ToldExperts* const> told,
                  metrics::PassReconstruction& passes, ServerPassFacts& facts);

}  // namespace moecap::experiment
