// The bytes of one pass by what they are: the terms whose sum is PassBytes in the complete convention.
#pragma once

#include <optional>

#include "model/model_spec.h"
#include "record/pass_record.h"

namespace moecap::metrics {

// In bytes; one device, nothing replicated.
struct PassTerms {
  double layer_weights = 0;   // attention, norms, routers, shared experts, dense FFNs and everything else in the layers
  double routed_experts = 0;  // distinct ones
  double ends = 0;            // head, final norm, one embedding row a new token
  double kv_read = 0;         // and recurrent state read
  double kv_written = 0;      // likewise

  double Sum() const { return layer_weights + routed_experts + ends + kv_read + kv_written; }
};

// Null when the distinct experts of an MoE model's pass are not known.
std::optional<PassTerms> TermsOf(const model::ModelSpec& model, const record::PassRecord& pass);

// Routed experts of the first `layers` layers (dense ones counted, too; below 0: of all): what a pass reads of them, null as
// above; and what they take.
std::optional<double> RoutedBytesOfFirst(const model::ModelSpec& model, const record::PassRecord& pass, int layers);
double ResidentRoutedBytesOfFirst(const model::ModelSpec& model, int layers);

}  // namespace moecap::metrics
