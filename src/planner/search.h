// Every way to serve a model, computed and judged: devices x count x parallelism x precision x system x residence of experts.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cost/machine.h"
#include "hardware/catalogue.h"
#include "planner/question.h"
#include "planner/system_support.h"

namespace moecap::planner {

// The model in one precision.
struct Variant {
  std::string label;  // of the weights: "as stored (fp8)", "nvfp4"
  model::ModelSpec spec;
  ModelWork work;
  bool original = true;    // as the checkpoint stores it
  bool narrow_kv = false;  // the KV cache in fp8, where the stored type is wider

  // "fp8", "fp8 with KV in fp8".
  std::string Precision() const { return label + (narrow_kv ? " with KV in fp8" : ""); }
};

// The model as stored and in the narrower types that `fidelity` allows, each once, with the estimator or `sheet`; `narrow_kv`:
// and each but GGUF's with its cache in fp8.
std::vector<Variant> MakeVariants(const model::ModelSpec& spec, Fidelity fidelity, const routing::ActivationSheet* sheet,
                                  bool narrow_kv = false);

struct Money {
  std::optional<double> usd_per_h;         // of calendar time
  std::optional<double> usd_per_useful_h;  // of work, at the price book's utilisation
  std::optional<double> purchase_usd;
  std::optional<double> break_even_utilisation;  // above it owning is cheaper than renting
  std::optional<double> watts;                   // at the wall, under load
  cost::Pay pay = cost::Pay::kBuy;
};

// A class of MoE-CAP's decision matrix (Table 7): which two of the three a way of serving keeps, by what it gives up.
// Offloaded at full precision: cost and accuracy; narrower weights: performance and cost; else performance and accuracy.
std::string_view CapClass(bool offloaded, bool original);

struct Candidate {
  const hardware::Device* device = nullptr;
  int64_t count = 1;  // devices, of `nodes` nodes
  int64_t nodes = 1;
  metrics::Deployment deployment;
  size_t variant = 0;
  std::string system;  // as `moecap systems` calls it
  Offload offload;
  std::string processor;       // id of the host's, where experts lie there
  double host_dram_bytes = 0;  // that it must have
  Serving serving;
  MemoryPlan memory;
  double usable_bytes = 0;                   // of a device
  double room = 0;                           // sequences of a replica that its memory holds
  double running_limit = kNoRunningLimit;    // ... and that its launch lets run
  double default_running = kNoRunningLimit;  // ... if nobody says
  double state_ratio = 0;                    // StateRatioOf
  Money money;
  std::optional<double> usd_per_million_input, usd_per_million_output, usd_per_million_tokens;
  ErrorBand band, ttft_band;
  double default_time = 1;          // TPOT with default settings over the one that is predicted, where the launch is not known
  bool measured = false;            // the multipliers were fitted on this very device, and its experts lie there
  double margin = 1;                // that its times must keep the targets with
  std::vector<std::string> misses;  // targets and limits that it does not keep, in words; empty = an answer
  double worst_miss = 1;            // factor by which the worst is missed

  bool Answers() const { return misses.empty(); }
  bool Offloaded() const { return offload.residence != Residence::kDevice; }
  double UsdPerMonth() const { return money.usd_per_h.value_or(0) * 730; }
};

struct Ingredients {
  const hardware::Catalogue& devices;
  const cost::PriceBook& prices;
  const Multipliers& multipliers;
  const SystemSupport& systems;
};

// A system that would run on a device that the model fits, and takes the model or its weights not.
struct Refusal {
  std::string system;
  std::string device;  // id
  bool model = true;   // false: the type of the weights
  std::string reason;
};

// Of which memory a way that does not fit has too little.
enum class ShortOf : uint8_t {
  kDevice,         // for all that the fullest device would hold
  kBesideExperts,  // of a device for what must lie there while experts lie in host memory
  kHost            // of the host for the experts that have no room on the devices, where no system reads them from an SSD
};
std::string_view Name(ShortOf memory);  // "device", "device beside experts", "host"

struct Shortage {
  Candidate way;
  ShortOf memory = ShortOf::kDevice;
  double needed_bytes = 0, has_bytes = 0;

  double LackingBytes() const { return needed_bytes - has_bytes; }
};
// "of 1 x GeForce RTX 4090 the fullest device has 23.2 GB for a model that needs 690 GB: 666 GB are missing"
std::string WordsOf(const Shortage& shortage, std::span<const Variant> variants);

struct SearchResult {
  std::vector<Variant> variants;
  std::vector<hardware::Device> devices;  // that candidates point to
  std::vector<Candidate> candidates;      // that fit, the best first: answers by the objective, then the nearest
  int64_t points = 0;                     // looked at
  // Of the ways that the question allows and that do not fit, the one that lacks the fewest bytes.
  std::optional<Shortage> shortage;
  std::vector<Refusal> refusals;         // each device and reason once; a reason names its system
  std::vector<std::string> not_checked;  // systems of which the catalogue does not know whether they have the model
};

// Each reason of a refusal that `counts`, once, in their order.
std::vector<std::string> ReasonsOf(std::span<const Refusal> refusals, const std::function<bool(const Refusal&)>& counts);

// Whether the system has the model and takes its weights on such a device; error kBadInput saying why not, of plans that name
// their system.
Status CheckServed(const SystemSupport& systems, std::string_view system, const model::ModelSpec& spec,
                   const hardware::Device& device);

// What to say of systems of which the catalogue does not know whether they have the model; "" for none.
std::string NotCheckedNote(std::span<const std::string> systems);

// Requires CheckQuestion. Error kBadInput: a device that the catalogue does not know.
Result<SearchResult> Search(const Question& question, const model::ModelSpec& spec, const Ingredients& ingredients,
                            const routing::ActivationSheet* sheet = nullptr);

// By the objective; ties by the times.
bool Better(const Candidate& a, const Candidate& b, Objective objective);

}  // namespace moecap::planner
