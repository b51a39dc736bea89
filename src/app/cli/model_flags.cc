#include "app/cli/model_flags.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "model/kv_format.h"
#include "model/open_model.h"
#include "model/weight_format.h"

namespace moecap::app {

void AddModelArgument(CLI::App& app, ModelFlags& flags) {
  app.add_option("model", flags.name, "id of the catalogue, config.json, folder or .gguf")->required();
  app.add_option("--precision", flags.precision,
                 "weights as served: bf16, fp8, int4, mxfp4, nvfp4 or a GGUF type (default: as stored)");
  app.add_option("--kv", flags.kv,
                 "layout of the KV cache: f16, bf16, fp8, fp8_e4m3, fp8_ds_mla, nvfp4, int8, q8_0, ... (default: as stored)");
}

Result<model::ModelSpec> OpenModel(const ModelFlags& flags, bool weights_alone) {
  ASSIGN_OR_RETURN(model::ModelSpec spec, model::OpenModel(flags.name, {.precision_is_given = !flags.precision.empty(),
                                                                        .weights_alone = weights_alone}));
  if (!flags.precision.empty()) {
    const auto choice = model::WeightChoiceByName(flags.precision);
    if (!choice) {
      return BadInput(
          fmt::format("unknown weight type \"{}\"; use bf16, f16, fp8, int8, int4, mxfp4, nvfp4 or a GGUF type such as q4_k",
                      flags.precision));
    }
    model::ApplyWeightChoice(spec, *choice);
  }
  if (!flags.kv.empty()) RETURN_IF_ERROR(model::ApplyKvFormat(spec, flags.kv));
  return spec;
}

}  // namespace moecap::app
