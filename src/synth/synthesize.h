// A GGUF file of a model's shape with random weights: to measure speed before downloading hundreds of gigabytes. What it
// generates is noise; its bytes, operations and routing are those of the shape.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/gguf_writer.h"
#include "synth/blueprint.h"

namespace moecap::synth {

struct SynthOptions {
  std::string type;  // of the matrices, e.g. "Q8_0"; empty: MXFP4 if the config's checkpoint is, else Q8_0
  int layers = 0;    // 0 = all
  double skew_cv = 0;
  uint64_t seed = 1;
  uint64_t part_bytes = 0;  // of tensors in each file of a split model; 0 = one file
};

// A config.json's text and the id it goes by.
struct SynthSource {
  std::string id;
  std::string config_json;
};

// A catalogue id, a config.json or a folder with one. Error kBadInput says what was looked for.
Result<SynthSource> OpenSource(const std::string& name);

struct SynthPlan {
  std::vector<model::GgufWriter> parts;  // the files, at least one
  Blueprint blueprint;                   // its tensors are in the order of the parts'
  std::string id;
  std::string type;
  uint64_t seed = 1;
  std::vector<double> router_deviations;  // per expert, before each layer shuffles them
  int64_t params = 0;
  uint64_t file_bytes = 0;  // of all parts
  std::vector<std::string> notes;
};

// Everything but the data. The header is read back and must count the parameters of the config's own ModelSpec, class by class.
// Errors: kBadInput for what cannot be expressed, kFailed when the counts differ (a bug; nothing is written).
Result<SynthPlan> PlanModel(const SynthSource& source, const SynthOptions& options);

// Called after each piece with bytes written and in all; false stops (kInterrupted).
using SynthProgress = std::function<bool(uint64_t done, uint64_t total)>;

// The files of a plan that is written to `path`: the path itself, or NAME-00001-of-0000N.gguf for NAME.gguf, as llama.cpp looks
// for them.
std::vector<std::filesystem::path> FilesOf(const SynthPlan& plan, const std::filesystem::path& path);

// Streams the files in pieces of a few MiB to temporary ones; these are renamed when all are whole. Equal plans give equal
// bytes.
Status WriteModel(const SynthPlan& plan, const std::filesystem::path& path, const SynthProgress& progress);

}  // namespace moecap::synth
