// What run/ needs of a system beside load's interface: how to start it at a concurrency, what it is, and how its routing is
// read. app/ wires the drivers.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "hardware/energy_reading.h"
#include "load/system_under_test.h"
#include "model/model_spec.h"
#include "run/config.h"

namespace moecap::run {

// What a system computes on. The denominators of its figures, its price and its power are those of these devices.
struct SystemDevices {
  std::vector<std::string> gpus;  // "CUDA0 (NVIDIA H200)"; empty = the processor alone
  int gpu_layers = 0;             // layers on GPUs; -1 = all
  hardware::UsedDevices energy;   // whose energy counters count its work
};

struct SystemDescription {
  std::string name;
  std::string engine;       // "llama.cpp v0.5.0 (CPU)"
  std::string description;  // one line for the report
  std::string model_file;
  uint64_t model_file_bytes = 0;
  int threads = 0;
  SystemDevices devices;
  model::ModelSpec model;
};

// A system started for one concurrency.
class SystemInstance {
 public:
  virtual ~SystemInstance() = default;
  virtual load::SystemUnderTest& system() = 0;

  // Between these two calls the system remembers what it computes, for the routing. Must cost nothing inside a pass.
  virtual void BeginMeasurement() = 0;
  // Fills expert_counts and distinct_experts of the passes since BeginMeasurement, from an instrumented second execution.
  virtual Status AddRouting(std::vector<record::PassRecord>& passes) = 0;
};

class SystemDriver {
 public:
  virtual ~SystemDriver() = default;
  virtual const SystemDescription& description() const = 0;
  // Whether the model runs in this process. Only then do this machine's energy counters count its work.
  virtual bool in_process() const { return true; }
  // Loads the model if it is not loaded. At most one instance at a time.
  virtual Result<std::unique_ptr<SystemInstance>> Start(int concurrency) = 0;
  // Frees the model until the next Start.
  virtual void Unload() = 0;
};

using DriverFactory = std::function<Result<std::unique_ptr<SystemDriver>>(const SystemConfig& system, const RunConfig& config)>;

}  // namespace moecap::run
