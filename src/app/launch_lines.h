// How each serving system is started for a benchmark: with batch limits, metrics, cached tokens told, and, where asked for,
// what tells its experts. One table; docs/systems.md says where each line was run.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace moecap::app {

struct LaunchOptions {
  std::string model = "MODEL";  // path or name, as the system takes it
  int gpus = 1;                 // 0 = on the processor
  int port = 8000;
  int batch = 64;        // most requests at once
  int context = 8192;    // tokens of prompt and answer
  bool experts = false;  // with what records expert ids; it costs time
  // Where files of the line are, and what a system keeps on disk; "" = a shell's working directory.
  std::string folder, offload_folder;
  int cpus = 0;  // of this machine; 0 = a shell counts them
  // Of a plan (app/planned_launch.h); as they stand here, of a benchmark.
  std::string layout;                 // flags in place of those that spread the model over `gpus` by tensors and experts
  bool reuse_prefixes = false;        // TensorRT-LLM; the others do
  std::string kv_type;                // TensorRT-LLM; "" = as the model says
  std::string kt_method = "BF16";     // KTransformers: in what the processor computes experts
  int gpu_experts = 0;                // ... and how many of each layer the GPUs do
  double device_memory_ratio = 0.75;  // MoE-Infinity: of a GPU's memory, for experts
};

struct LaunchSystem {
  std::string_view name;    // "vllm"
  std::string_view kind;    // as a server kind is called: "vLLM"
  std::string_view tested;  // where the line was run; "" = only its documentation was read
  std::string_view ready;   // a page that answers 200 when it is ready, and costs nothing
  std::string_view note;    // what else must be known; may be ""
};

std::span<const LaunchSystem> LaunchSystems();

// A line for a shell, and what must be written into a file before it, if anything. With both folders and the CPUs given it
// holds nothing but words and leading variables (base/words.h).
struct LaunchLine {
  std::string command;
  std::string file_name, file_text;  // in the folder; both "" = no file is needed
};

// Error: kBadInput for an unknown name, for a system that does not run on the processor, or records no experts.
Result<LaunchLine> LaunchLineOf(const std::string& name, const LaunchOptions& options);
// Error: kBadInput naming the choices.
Result<const LaunchSystem*> FindLaunchSystem(const std::string& name);

}  // namespace moecap::app
