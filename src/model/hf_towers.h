// Vision and audio towers of a multimodal config: how much memory they take. Private to the config reader.
#pragma once

#include <vector>

#include "base/json.h"
#include "model/model_spec.h"

namespace moecap::model {

// One entry a tower that `config` describes, by the parameters of a plain transformer encoder of its widths, its patch or frame
// embedding and a projector to `hidden`; `bits` each. An estimate: released towers lie within about 15 % of it. A tower whose
// widths are not given has 0 parameters.
std::vector<TowerSpec> TowersOf(const Json& config, int64_t hidden, double bits);

}  // namespace moecap::model
