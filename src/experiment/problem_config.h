// The keys of a data set whose answers are scored. Internal to experiment/.
#pragma once

#include <cstdint>
#include <filesystem>

#include "base/yaml.h"
#include "experiment/config.h"

namespace moecap::experiment {

// Whether the mapping `workload` names a data set of the catalogue (`dataset: gsm8k`) instead of a file of prompts.
bool NamesDataset(const YamlNode& workload);

// The mapping `dataset`, a data set's name alone, or a mapping `workload` that names one.
ProblemSet ReadProblemSet(const YamlNode& node, const std::filesystem::path& base_dir, YamlErrors& errors);

// How long answers may be as the prompt has it; `otherwise` for a prompt in a file of its own, which is not read here.
int64_t UsualOutputTokens(const ProblemSet& problems, int64_t otherwise);

}  // namespace moecap::experiment
