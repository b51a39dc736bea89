// A decode pass as tests of its bytes want it.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "record/pass_record.h"

namespace moecap::metrics {

// `sequences` requests with `context` tokens each; `distinct`: the experts of each MoE layer, empty = not known.
inline record::PassRecord DecodePass(int64_t context, int64_t sequences, std::vector<double> distinct) {
  record::PassRecord pass;
  pass.kind = record::PassKind::kDecode;
  pass.sequences = {{context, 1, sequences}};
  pass.distinct_experts = std::move(distinct);
  return pass;
}

}  // namespace moecap::metrics
