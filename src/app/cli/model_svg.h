// The pictures of `moecap model`.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "hardware/catalogue.h"
#include "metrics/batch_curve.h"
#include "model/model_spec.h"

namespace moecap::app {

struct ModelPictures {
  std::string svg;  // files; empty = not wanted
  std::string bandwidth_svg;
  std::string hardware_map;
  std::string device;   // id or name of the device that the map names first; may be empty
  double tpot_s = 0.1;  // that the required bandwidth is for
  double cv = 0;        // of the estimate in `curve`
};

// `curve`: the estimate with skew; `uniform`: the same batches with uniform popularity. All pictures are drawn before the first
// file is written.
Status WriteModelPictures(const model::ModelSpec& spec, const std::vector<metrics::BatchPoint>& curve,
                          const std::vector<metrics::BatchPoint>& uniform, const ModelPictures& wanted);

}  // namespace moecap::app
