// What the prompts of an experiment are made of, and how long they are: one decision for all of its systems, taken before
// anything is sent. An id outside a model's vocabulary is refused by some servers and ends others; a prompt beyond the context
// is refused by most, and answered with rubbish by the rest.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "experiment/driver.h"
#include "workload/request_set.h"
#include "workload/workload_config.h"

namespace moecap::experiment {

struct PromptIds {
  workload::WorkloadConfig workload;  // with `text`, `vocabulary` and `input_tokens` as decided
  // What the numbers of that vocabulary stand for, where not every id in a row is known to be an ordinary token; empty:
  // themselves.
  std::vector<int32_t> ids;
  std::vector<std::string> notes;  // the decisions in words

  // Replaces the numbers in the prompts by what they stand for.
  void Translate(workload::RequestSet& set) const;
};

// As configured where it is configured. Else ids that every system knows; words where one takes no ids, or nothing tells which
// it knows; and prompts that with their answers fit into the shortest context that is told. Error: kBadInput for a configured
// vocabulary that a system does not have, or ids that it does not take.
Result<PromptIds> ChoosePromptIds(const workload::WorkloadConfig& workload,
                                  std::span<const std::unique_ptr<SystemDriver>> drivers);

}  // namespace moecap::experiment
