#include "app/cli/model_flags.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "model/open_model.h"
#include "model/quantization.h"

namespace moecap::app {

void AddModelArgument(CLI::App& app, ModelFlags& flags) {
  app.add_option("model", flags.name, "id of the catalogue, config.json, folder or .gguf")->required();
  app.add_option("--precision", flags.precision,
                 "weights as served: bf16, fp8, int4, mxfp4, nvfp4 or a GGUF type (default: as stored)");
  app.add_option("--kv", flags.kv, "type of the KV cache: f16, bf16, fp8, q8_0, q4_0 (default: as stored)");
}

Result<model::ModelSpec> OpenModel(const ModelFlags& flags) {
  ASSIGN_OR_RETURN(model::ModelSpec spec, model::OpenModel(flags.name));
  if (!flags.precision.empty()) {
    const auto choice = model::WeightChoiceByName(flags.precision);
    if (!choice) {
      return BadInput(
          fmt::format("unknown weight type \"{}\"; use bf16, f16, fp8, int8, int4, mxfp4, nvfp4 or a GGUF type such as q4_k",
                      flags.precision));
    }
    model::ApplyWeightChoice(spec, *choice);
  }
  if (!flags.kv.empty()) {
    const auto bits = model::KvBitsByName(flags.kv);
    if (!bits) return BadInput(fmt::format("unknown KV type \"{}\"; use f16, bf16, fp8, q8_0 or q4_0", flags.kv));
    spec.kv_type = flags.kv;
    spec.kv_bits = *bits;
  }
  return spec;
}

}  // namespace moecap::app
