// Whether recorded passes can be what they claim: shapes, latencies and the bounds of routed experts. Internal to metrics/.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "metrics/gate.h"
#include "model/model_spec.h"
#include "record/pass_record.h"

namespace moecap::metrics {

// Each check is one gate over all passes: the number of passes that fail it, at most 0. The explanation tells the first one.
class PassChecks {
 public:
  // `model` must outlive it.
  explicit PassChecks(const model::ModelSpec& model);

  // False when nothing can be computed from the pass.
  bool Check(const record::PassRecord& pass);
  // That the pass's replica is one of `replicas`.
  void CheckReplica(const record::PassRecord& pass, int replicas);

  // Not measured: nothing was recorded that the check could look at.
  std::vector<Gate> Gates() const;

 private:
  enum Kind { kLatency, kSequences, kReplica, kLayers, kFinite, kFew, kMany, kRepeated, kKinds };
  struct Tally {
    int64_t looked_at = 0, failed = 0;
    std::string first;  // in words
  };

  void Tell(Kind kind, const record::PassRecord& pass, std::string detail);
  void CheckRouting(const record::PassRecord& pass);
  void CheckLayer(const model::LayerSpec& layer, const record::PassRecord& pass, int moe_layer, double distinct);

  const model::ModelSpec& model_;
  int moe_layers_;
  std::array<Tally, kKinds> tallies_;
};

}  // namespace moecap::metrics
