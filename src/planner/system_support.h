// Which models and which types of weights each serving system takes, as data (catalog/systems/support.json), each by the
// release that it was read from: registries of model classes, names in libraries, tables of supported hardware.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "hardware/device.h"
#include "model/model_spec.h"

namespace moecap::planner {

// How many requests one replica, that is one rank of data parallelism, lets run at once when its launch does not say.
struct RunningDefault {
  double requests = 0;                 // 0: nothing is known
  double large_requests = 0;           // on devices of `large_bytes` of memory and more; 0 = as on others
  double large_bytes = 0;              // ...
  std::vector<std::string> not_large;  // ids of devices that count as small whatever their memory
  double processor_requests = 0;       // on processors; 0 = as on others
  double most_requests = 0;            // that any launch lets run; 0 = as many as it says
  double state_share = 0;  // of the memory beside the weights, for the recurrent state of hybrid models; 0 = no such pool
  double states = 1;       // that each request takes of that pool
  std::string source;
};

// One serving system as it was at one release.
struct SystemRelease {
  std::string name;     // as `moecap systems` calls it
  std::string version;  // "0.30.0"
  std::string date;     // when it was read
  std::string source;
  // By type of weights ("plain", "fp8", "int4", ...), by vendor ("*": any other): the type that a device must multiply by
  // itself ("any": every device) to be served weights of it.
  std::map<std::string, std::map<std::string, std::string>> weights;
  RunningDefault running = {};
};

// Models of one class.
struct ModelFamily {
  std::string architecture;                       // class of config.json: "Qwen3MoeForCausalLM"
  std::vector<std::string> model_types;           // config.json's model_type; two classes may share one
  std::string gguf;                               // GGUF's general.architecture; "" = llama.cpp has none
  std::vector<std::string> systems;               // that have it
  std::map<std::string, std::string> needs = {};  // by system: the type that a device must multiply by itself to run it there
};

enum class Served { kYes, kNo, kUnknown };

class SystemSupport {
 public:
  // Errors: kBadInput naming the entry: a field that is missing, a system or model given twice, a system that is not listed.
  static Result<SystemSupport> Parse(std::string_view text);
  // What ships with the program.
  static Result<SystemSupport> Builtin();

  // The same for batches that are given to a system's library at once: what its server can run at a time is no limit of them.
  SystemSupport ForBatches() const;

  std::span<const SystemRelease> systems() const { return systems_; }
  std::span<const ModelFamily> families() const { return families_; }
  // Null for a system that is not listed.
  const SystemRelease* Find(std::string_view system) const;

  // By model_type, of config.json or GGUF: served where any class of that type is. Unknown: the system or the model is not
  // listed.
  Served Serves(std::string_view system, const model::ModelSpec& model) const;
  // ... on such a device.
  Served Serves(std::string_view system, const model::ModelSpec& model, const hardware::Device& device) const;
  // Whether the system takes weights of this type ("bf16", "fp8", "int4-g32", "Q4_K") on such a device. A system that is not
  // listed takes all.
  bool Loads(std::string_view system, std::string_view type, const hardware::Device& device) const;
  // A sentence's words for what Serves and Loads refuse: "llama-server (v0.5.0) has no
  // SwitchTransformersForConditionalGeneration".
  std::string WhyNotModel(std::string_view system, const model::ModelSpec& model) const;
  std::string WhyNotModel(std::string_view system, const model::ModelSpec& model, const hardware::Device& device) const;
  std::string WhyNotType(std::string_view system, std::string_view type, const hardware::Device& device) const;

 private:
  std::vector<SystemRelease> systems_;
  std::vector<ModelFamily> families_;
};

// "plain", "gguf", or the type itself without its group: "int4-g32" -> "int4".
std::string WeightKind(std::string_view type);

// The text of the built-in catalogue. Internal to planner/.
const char* BuiltinSystemSupportText();

}  // namespace moecap::planner
