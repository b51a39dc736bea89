// A model spread over devices: how many there are, what tensor, expert, pipeline and data parallelism keep in several memories,
// and which passes of several replicas are one step (docs/metrics.md, "Deployments").
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/model_spec.h"
#include "record/pass_record.h"

namespace moecap::metrics {

// devices = tensor * pipeline * data. A replica is tensor * pipeline devices with weights and KV cache of its own; `data` of
// them take turns at the requests. Expert parallelism adds no devices: of the tensor * data ranks of a pipeline stage, `expert`
// ranks share one set of routed experts. expert <= tensor: each replica holds all its experts, sharded inside (1: by tensor
// parallelism). expert > tensor: expert / tensor replicas step together and share the set (data-parallel attention).
// `data` 8 with `expert` 8 and `tensor` 1 is what SGLang calls --tp 8 --dp 8 --ep 8 --enable-dp-attention.
struct Deployment {
  int tensor = 1;
  int expert = 1;
  int pipeline = 1;
  int data = 1;

  int64_t Devices() const;
  // Replicas that compute a pass together, because they share experts, and their devices. 1: replicas are independent.
  int StepReplicas() const;
  int64_t StepDevices() const;

  friend bool operator==(const Deployment&, const Deployment&) = default;
};

// kBadInput when no server could be started that way: sizes from 1, `expert` dividing tensor * data in whole replicas or whole
// parts of one; for a model with experts to spread, enough of them, and a layer for each stage.
Status Validate(const Deployment& deployment, const model::ModelSpec& model);

// How many memories hold, and move for one step, what the model counts once. The default is one device.
struct Replication {
  int replicas = 1;  // of the step, each with its own copy of everything but the routed experts
  int tensor = 1;

  // Of one layer, or of the head: matrices of attention, FFN, shared expert and head are sharded by tensor parallelism; norms,
  // router and `other` are whole on every rank. Routed experts: 1.
  double OfWeights(model::TensorClass c) const;
  // Of a cache of `attention`, per sequence (a sequence lives in one replica). Key and value heads are sharded, and copied when
  // there are fewer heads than ranks; an MLA latent, compressed entries and indexer keys serve all heads and are on every rank.
  double OfCache(const model::AttentionSpec& attention, size_t cache) const;
};

// One step of the devices that compute together.
struct Step {
  record::PassRecord pass;  // all its replicas' sequences; distinct experts of all of them, if known
  int replicas = 1;         // that took part
};

struct Steps {
  std::vector<Step> steps;         // in the order of their first record
  std::vector<std::string> notes;  // what could not be known, in sentences
};

// Joins the records of replicas that step together: the n-th record of the same cell and pass index of each. The step's experts
// are counted from the summed `expert_counts`; without them they are unknown, since nobody knows how far the replicas' choices
// overlap. When only one replica of an expert group is named, each record is taken as one of the whole group.
// Leaves out warm-up passes and ranks other than 0. Requires StepReplicas() > 1 of a valid deployment.
Steps JoinSteps(std::span<const record::PassRecord> passes, const Deployment& deployment);

}  // namespace moecap::metrics
