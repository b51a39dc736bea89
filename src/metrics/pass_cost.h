// Bytes and FLOPs of one recorded pass (docs/metrics.md has the formulas with a worked example).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "metrics/deployment.h"
#include "model/model_spec.h"
#include "record/pass_record.h"

namespace moecap::metrics {

// kComplete: what memory has to move. Per layer attention, norm, router, shared-expert, dense-FFN and other weights, and
//   distinct experts x bytes of one routed expert; final norm and head once; one embedding row per new token; KV: context read
//   (window, top-k selection) and new entries written; recurrent state read and written.
//   FLOPs: 2 x matrix parameters per token, top-k routed experts, the head for the rows that need logits, score and value
//   FLOPs under the causal mask, state updates.
// kPaper: exactly Eq. 4-5 of MoE-CAP. Bytes: matrices of attention, experts, shared experts and dense FFN, and KV(context +
// new)
//   with windows; no head, norm, router, bias or state. FLOPs: the same matrices plus the router, and attention scores.
// kVanilla: kComplete with every one of the E experts read (bytes) and computed for every token (FLOPs).
enum class Convention { kComplete, kPaper, kVanilla };

// Null when the distinct experts of an MoE model's pass are not known (or their number of layers does not fit the model).
// `replication`: what all memories of the pass's devices move together; the paper's convention knows none.
std::optional<double> PassBytes(const model::ModelSpec& model, const record::PassRecord& pass, Convention convention,
                                const Replication& replication = {});

// The KV (and state) part of PassBytes; always known.
double PassKvBytes(const model::ModelSpec& model, const record::PassRecord& pass, Convention convention,
                   const Replication& replication = {});

// The routed-expert part of PassBytes, one entry a MoE layer (0 for one that does not run); null as there.
std::optional<std::vector<double>> PassRoutedBytes(const model::ModelSpec& model, const record::PassRecord& pass,
                                                   Convention convention);

// How score and value FLOPs of MLA are counted: as the model defines them, with keys and values of each head, or in the latent
// space, as engines with an absorbed up-projection execute them. Other attention has one form.
enum class MlaForm { kExpanded, kAbsorbed };
// "expanded", "absorbed".
std::string_view Name(MlaForm form);

// Rows that go through the output head. Default: every new token of a decode pass; one per sequence of a prefill or mixed pass
// (engines compute logits only where a token is sampled). Layers whose `expert_counts` are recorded use the rows that were
// really routed (engines skip the last layer's FFN for rows without logits); other layers use every new token. Work that
// several ranks repeat counts once. The paper's convention counts MLA expanded.
double PassFlops(const model::ModelSpec& model, const record::PassRecord& pass, Convention convention,
                 std::optional<int64_t> head_rows = std::nullopt, MlaForm mla_form = MlaForm::kExpanded);

// Distinct experts of the MoE layer `moe_layer` (0-based among MoE layers): from distinct_experts, else counted from
// expert_counts; null when not known.
std::optional<double> DistinctExperts(const record::PassRecord& pass, int moe_layer, int moe_layers);

}  // namespace moecap::metrics
