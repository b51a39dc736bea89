// Prefill and decode apart, on pools of devices of their own, or together on one? Which serves more requests a second under the
// targets, on the same devices. docs/planner_questions.md, "Prefill and decode apart?".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "planner/search.h"

namespace moecap::planner {

// The arrival rate at which prompts, served one after another in `service_s` seconds each, wait `wait_s` on average: M/D/1,
// wait = rho s / (2 (1 - rho)), so rate = 2 w / (s (s + 2 w)). 0 where nothing may be waited. Requires service_s > 0.
double PromptRate(double service_s, double wait_s);

struct ApartQuestion {
  cost::MachinePart devices;  // all of them
  std::string system = "sglang";
  Load load;  // its clients and rate are not read
  Targets targets;
  double margin = 1.15;  // predicted times x this keep the targets
};

// One kind of replica, and what it serves of each work under the targets.
struct PoolRates {
  metrics::Deployment deployment;
  double together_per_s = 0;  // requests, prompts and answers
  double prompts_per_s = 0;   // alone: by TTFT and by the link that carries the KV cache away
  double answers_per_s = 0;   // alone: by TPOT and by the memory
  double room = 0;            // sequences that fit
};

struct Apart {
  std::vector<PoolRates> pools;  // every replica that holds the model
  double kv_bytes = 0;           // of a prompt, that go over the link
  double transfer_s = 0;         // of them, by the prompt pool that was chosen
  double link_bytes_per_s = 0;   // of a device
  // The best of each; requests a second of all devices.
  double together_per_s = 0, apart_per_s = 0;
  metrics::Deployment together, prompts, answers;  // of a replica
  int64_t prompt_replicas = 0, answer_replicas = 0;
  double ideal_prompt_share = 0;  // of the devices, if they could be cut anywhere
  double prefill_share = 0;       // of the busy time of the one pool
  // The ratio of both rates, and if all predicted times are off by either end of the band: infinite where one pool keeps the
  // targets at no rate, 1 where neither does.
  double gain = 1, gain_low = 1, gain_high = 1;
  bool better = false;
  std::string why;                 // a sentence
  std::vector<std::string> notes;  // what the catalogue does not know

  bool Answered() const { return together_per_s > 0 || apart_per_s > 0; }  // one or two pools keep the targets at some rate
};

// Apart is better where even the lower end of its gain is above this: two pools are harder to run than one. Also where one pool
// keeps the targets at no rate, unless it serves more at an end of the band.
inline constexpr double kApartGain = 1.05;

// Errors kBadInput: an unknown device, fewer than two devices, neither a TPOT nor a TTFT target, a model that does not fit.
Result<Apart> JudgeApart(const ApartQuestion& question, const model::ModelSpec& spec, const Ingredients& ingredients);

}  // namespace moecap::planner
