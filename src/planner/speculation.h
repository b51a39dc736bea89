// Does speculative decoding pay? A pass that checks K drafted tokens beside each sequence's next one yields several tokens, but
// reads the experts of K + 1 tokens: on a sparse model it is dearer than a pass of one token. docs/planner.md, "Does
// speculative decoding pay?".
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "model/model_spec.h"
#include "record/pass_record.h"

namespace moecap::planner {

// Tokens that a pass yields on average, its own included, when each of K drafted tokens is accepted with probability
// `acceptance` given that all before it were: (1 - a^(K+1)) / (1 - a), K + 1 at a = 1 (Leviathan et al., arXiv 2211.17192, Eq.
// 1). 1 for K = 0. Requires 0 <= acceptance <= 1 and drafted >= 0.
double TokensPerPass(double acceptance, int drafted);
// Its inverse: the acceptance that yields `tokens_per_pass`. Null outside 1 .. K + 1, and for K = 0.
std::optional<double> AcceptanceOf(double tokens_per_pass, int drafted);

// What the machine reaches in a pass; practical rates, as measured.
struct PassCeilings {
  double bytes_per_s = 0;
  double flops_per_s = 0;
  double pass_s = 0;  // of each pass, whatever it holds: launches, samplers
};

// Seconds of a decode pass whose distinct experts are recorded:
//   pass_s + max(expert bytes / B, expert FLOPs / F) + max(other bytes / B, other FLOPs / F)
// Bytes and FLOPs are metrics::PassBytes and PassFlops (complete convention; every new token needs the head). Requires positive
// ceilings, and a model that computes.
double PassSeconds(const model::ModelSpec& model, const record::PassRecord& pass, const PassCeilings& ceilings);

// The same of a pass of `tokens` new tokens (K + 1) of each of `sequences` sequences behind `context_tokens` each, which
// reads `distinct` experts of each MoE layer: those of all layers, or one figure for every layer. Requires sequences and tokens
// >= 1.
double VerifySeconds(const model::ModelSpec& model, std::span<const double> distinct, int sequences, int64_t context_tokens,
                     int tokens, const PassCeilings& ceilings);

// Distinct experts of a layer when `sequences` independent sequences each check tokens that use `distinct_of_one`: as many
// independent tokens as that is worth (routing::EquivalentTokens), once a sequence. An estimate; exact for one sequence.
double DistinctOfSequences(double distinct_of_one, std::span<const double> popularity, double top_k, int sequences);

// Tokens a second against decoding one token a pass: tokens_per_pass x plain_s / (verify_s + draft_s).
double SpeculationSpeedUp(double tokens_per_pass, double plain_s, double verify_s, double draft_s);
// The acceptance from which on K drafted tokens pay: TokensPerPass(a, K) = (verify_s + draft_s) / plain_s. Null: they never do.
// 0: they always do.
std::optional<double> BreakEvenAcceptance(int drafted, double plain_s, double verify_s, double draft_s);

struct SpeculationSetting {
  double acceptance = 0.7;  // of a drafted token, given that all before it were accepted
  int sequences = 1;        // that decode at once
  int64_t context_tokens = 1024;
  double draft_s_per_token = 0;  // of all sequences together; 0: n-grams cost nothing
  PassCeilings ceilings;
};

// One length of the drafts.
struct SpeculationPrediction {
  int drafted = 0;
  double distinct_experts = 0;  // of a layer in a pass, mean over the MoE layers
  double cost = 1;              // of a pass with its drafts against one without
  double tokens_per_pass = 1;
  double speed_up = 1;
  std::optional<double> break_even;  // BreakEvenAcceptance
};

// For K = 0, 1, ..., as far as `distinct` ([tokens - 1][MoE layer], of one sequence) goes. `popularity` ([MoE layer][expert])
// is needed for several sequences only. Requires at least one row, each of as many layers as the model has, or of one.
std::vector<SpeculationPrediction> PredictSpeculation(const model::ModelSpec& model,
                                                      std::span<const std::vector<double>> distinct,
                                                      std::span<const std::vector<double>> popularity,
                                                      const SpeculationSetting& setting);

// Passes of a run in which the number of drafted tokens changes from pass to pass, as n-grams find some or none.
struct SpeculativePasses {
  double passes = 0;
  double seconds = 0;   // of one of them, drafting included
  double accepted = 0;  // drafted tokens accepted in one of them, on average
};
// sum passes (1 + accepted) x plain_s / sum passes seconds. Requires at least one pass that takes time.
double SpeculationSpeedUp(std::span<const SpeculativePasses> passes, double plain_s);

// Speed-ups as measured over those foretold: the extremes of 16 cells, two types of weights with 1 to 8 drafts on one
// processor, with rates that were measured there (docs/validation.md). None was measured on a GPU.
inline constexpr double kSpeedUpLow = 0.89, kSpeedUpHigh = 1.05;
inline constexpr const char* kSpeedUpBasis = "extremes of 16 cells of one model measured on one processor";

}  // namespace moecap::planner
