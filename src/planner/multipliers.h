// The multipliers of the performance model: what a real step takes beyond the least that bytes, FLOPs and links allow, and the
// times that no specification sheet has. Each has a physical meaning, a unit and a source, as data (catalog/planner/).
//
// They were fitted on public measurements by bench/planner_accuracy, which also says how well they hold for models and devices
// that the fit did not see (docs/planner.md).
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "hardware/device.h"

namespace moecap::planner {

// One fitted or planning value. Keys with a dot speak of one system, device generation or class: "layer_time.vllm".
struct Multiplier {
  std::string key;
  double value = 1;
  double prior = 1;  // a round figure from before any fit
  double least = 0;  // no fit goes below it: a ceiling of the hardware, e.g. 1 for a share of peak bandwidth
  std::string unit;  // "" = a factor
  std::string meaning;
  std::string source;
  double rows = 0;  // measurements that it rests on; 0 = a planning value
};

// How far a prediction may be off, as factors on a time: the middle 80 % of what was measured lies within.
struct ErrorBand {
  double low = 1, high = 1;
  std::string basis;  // in words
};

// How much effort the launch of a server gets. The rows that were fitted are of launches that somebody tuned for a public
// board.
enum class Launch : uint8_t { kEither, kTuned, kDefault };  // not known: tuned ones are predicted, and the band holds both

// What a launch with the settings of the system's documentation takes beyond a tuned one.
struct LaunchEffect {
  double tpot_time = 1, ttft_time = 1;  // factors on the times of a tuned launch
  ErrorBand tpot, ttft;                 // of measured times over those predicted of a tuned launch
};

// What of the performance model does not depend on model or deployment, resolved for one system on one device. Factors multiply
// the time that the hardware's peak would take: 1 = at peak.
struct StepFactors {
  double expert_stream = 1;            // bytes of routed experts
  double weight_stream = 1;            // bytes of all other weights
  double kv_stream = 1;                // bytes of the KV cache and recurrent state
  double matrix_time = 1;              // FLOPs of a decode step
  double weight_only_time = 1;         // routed experts whose type the device does not multiply: widened first
  double collective_time = 1;          // bytes over the link between devices
  double interference_time = 1;        // FLOPs of the prompts that share the steps of decoding requests
  double expert_overhead_s = 0;        // of each expert that a device runs in a layer
  double layer_s = 0;                  // of each layer: its kernels, one behind the other
  double layer_s_per_element = 0;      // ... for each element of the hidden width
  double quantise_layer_s = 0;         // ... of 8-bit floating point, whose activations are quantised in each layer
  double indexer_layer_s = 0;          // of each layer with an indexer of sparse attention: its kernels
  double sync_s = 0;                   // of each layer for each doubling of the tensor-parallel ranks
  double sequence_s = 0;               // of each running sequence: sampling, scheduling
  double host_stream = 1;              // bytes of experts that the processor reads from host memory
  double host_matrix_time = 1;         // ... and their FLOPs
  double link_stream = 1;              // bytes of experts copied over the host link
  double ssd_stream = 1;               // bytes of experts read from an SSD
  double prefill_time = 1;             // FLOPs of a prompt on its own
  double prefill_collective_time = 1;  // bytes of its all-reduces over the link between devices
  double admission_s = 0;              // of a request before its prompt is computed
  double prefill_layer_s = 0;          // of each layer of a prompt's pass
  double bunching = 0;                 // prompts that arrive with a request's own, as a share of the clients
  double waiting_steps = 0;            // decode steps that pass before and behind a prompt's own pass
  double ttft_factor = 1;              // of the system, on admission, layers of a prompt and waiting steps
  double tile_operations = 0;          // of kernels that multiply a tile of tokens: vector operations for each parameter of an
                                       // expert and each doubling of the step's tokens
  double logit_s = 0;                  // of each logit of a sequence: chosen by the host
  double vector_time = 0;              // of kernels that fetch a row of weights and then multiply it on vector units: FLOPs at
                                       // the peak in fp32, behind the bytes; 0 = devices that multiply while they read
  double packed_time = 0;              // ... of 4-bit types whose rows are interleaved for them
  double widened_prompt_time = 1;      // of a prompt's tiles in types that the device does not multiply
  double replay_time = 1;              // on the latency of the layers of a step of one token, whose kernels are replayed
  double replay_s = 0;                 // ... and of such a step as a whole: what the host does before and behind it
  double prompt_waves = 0;             // of the other clients, the share whose prompts come with a request's own and are all
                                       // computed, one after another, before decoding goes on
  double tpot_time = 1;                // of the launch, on the time per token as a whole
  double ttft_time = 1;                // ... and on the time to the first token
};

class Multipliers {
 public:
  // Errors: kBadInput naming the entry: a key that is missing, unknown, given twice, or a value out of range.
  static Result<Multipliers> Parse(std::string_view text);
  // What ships with the program (catalog/planner/multipliers.json).
  static Result<Multipliers> Builtin();

  // The same with every value at its prior and on no rows, so that a test of a fit knows nothing of what it is tested on.
  Multipliers AtPriors() const;

  std::span<const Multiplier> entries() const { return entries_; }
  // Null for a key that is not there.
  const Multiplier* Find(std::string_view key) const;
  // Requires a key that is there and value >= its `least`.
  void Set(std::string_view key, double value, double rows, std::string source);

  StepFactors FactorsOf(std::string_view system, const hardware::Device& device, Launch launch = Launch::kTuned) const;
  // Whose kernels a system runs there, as the keys name them: llama.cpp has others for each backend ("llama-cuda" on NVIDIA's
  // GPUs, "llama-cpu" on processors, "llama-server" elsewhere).
  static std::string KernelsOf(std::string_view system, const hardware::Device& device);
  // Whether public rows of this very device were fitted, or at least of its generation.
  bool Measured(const hardware::Device& device) const;
  bool Calibrated(const hardware::Device& device) const;
  // Of a time per token, and of the time to the first token, which is never known better. `wide`: replicas that step together
  // or more than one node, which no fit has seen.
  const ErrorBand& CalibratedBand() const { return calibrated_; }
  // Relative to what FactorsOf() of the same launch predicts.
  ErrorBand BandOf(std::string_view system, const hardware::Device& device, bool offloaded, bool wide = false,
                   Launch launch = Launch::kTuned) const;
  ErrorBand TtftBandOf(std::string_view system, const hardware::Device& device, bool offloaded, bool wide = false,
                       Launch launch = Launch::kTuned) const;

  // Launches are told apart of systems that tuned rows were fitted of; of all others each launch counts as tuned.
  bool TellsLaunches(std::string_view system) const;
  Launch LaunchOf(std::string_view system, Launch launch) const { return TellsLaunches(system) ? launch : Launch::kTuned; }
  const LaunchEffect& DefaultLaunch() const { return default_launch_; }
  void SetDefaultLaunch(LaunchEffect effect) { default_launch_ = std::move(effect); }

  // "hopper", "blackwell", ...; "" = none that is known.
  std::string GenerationOf(const hardware::Device& device) const;

 private:
  struct Generation {
    std::string name;
    std::vector<std::string> devices;  // ids
  };
  double Factor(std::string_view prefix, std::string_view name, double otherwise = 1) const;

  std::vector<Multiplier> entries_;
  std::vector<Generation> generations_;
  std::vector<std::string> measured_;  // ids
  ErrorBand calibrated_, sibling_, wide_, ttft_, uncalibrated_, offloaded_;
  LaunchEffect default_launch_;
};

// The text of the built-in catalogue. Internal to planner/.
const char* BuiltinMultipliersText();

}  // namespace moecap::planner
