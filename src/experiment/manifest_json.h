// The manifest as JSON (docs/formats/run.md). Internal to experiment/.
#pragma once

#include "base/json.h"
#include "experiment/results.h"

namespace moecap::experiment {

inline constexpr int kManifestSchema = 2;

Json ToJson(const Manifest& manifest);
// Of any schema that this program knows. Error: kBadInput naming the key.
Result<Manifest> ManifestFromJson(const Json& json);

// Manifests of version 0.1: of `moecap run` (manifest.json, schema 1) and of `moecap load` (load.json). They held the
// configuration as values; these become the text that today's reader takes.
Result<Manifest> RunManifestFrom01(const Json& json);
Result<Manifest> LoadManifestFrom01(const Json& json);

// A system's description, shared by both.
Result<SystemDescription> SystemFromJson(const Json& json);
Result<cost::CostInputs> CostInputsFromJson(const Json& json);

Json ToJson(const PlanEntry& entry);
Result<PlanEntry> PlanEntryFromJson(const Json& json);

}  // namespace moecap::experiment
