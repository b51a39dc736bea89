// How much is left: what no system can pass, or what the device catalogue ends at. Limits follow from the model and the
// catalogue alone, never from the systems that are compared.
//
// With a the parameters that a token multiplies with (all active ones but the input embedding) and 2 a FLOPs a token:
//   times (TPOT, TTFT, E2E, time per output token)
//                                  a x 0.5 B / the largest memory bandwidth of one device: even one token needs one pass, and a
//                                  pass reads its weights once, at 4 bits each
//   output_tokens_per_s, requests_per_s, goodput_requests_per_s
//                                  the largest dense peak of one device, in its densest type / 2 a; a request has a token
//   usd_per_million_tokens, usd_per_million_output_tokens, usd_per_million_output_tokens_all_in
//                                  1e6 x 2 a / (the most peak FLOPs that a rented dollar buys)
//   joules_per_output_token, joules_per_token
//                                  2 a x the least TDP per peak FLOP/s
//   power_w, purchase_usd          the least TDP and the lowest price of a device in the catalogue
//   memory_bytes                   all parameters x 0.5 B
// One device only: systems of many may pass a limit.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cap/judgement.h"
#include "hardware/catalogue.h"
#include "model/model_spec.h"

namespace moecap::analysis {

// What of a model the limits need.
struct ModelWork {
  std::string name;
  double active_params = 0;  // that a token multiplies with, > 0
  double total_params = 0;
};

ModelWork WorkOf(const model::ModelSpec& model);
// Stands in where systems serve different models, so that the limits do not depend on which ones: 1e9 parameters, all active.
ModelWork ReferenceWork();

// Limits whose part of the catalogue is empty are left out.
std::vector<cap::FigureLimit> ComputeLimits(const ModelWork& work, const hardware::Catalogue& catalogue);
// By the catalogue that ships with the program.
std::vector<cap::FigureLimit> BuiltinLimits(const ModelWork& work);

// "Org/Model-7B-Q4_K_M.gguf" -> "model-7b": a model's name without folder, ending and the words that name a precision.
std::string BaseName(const std::string& id);
// What a model is, whatever the type of its weights: shape and name without the words that name a precision.
std::string ModelIdentity(const model::ModelSpec& model);
// The work of the model, or the reference where they are not all the same. Models without layers, of servers that do not tell
// what they run, are left out; null when there is no other.
std::optional<ModelWork> CommonWork(std::span<const model::ModelSpec* const> models);

}  // namespace moecap::analysis
