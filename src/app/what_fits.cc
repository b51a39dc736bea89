#include "app/what_fits.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "base/units.h"
#include "metrics/engine_memory.h"
#include "metrics/pass_terms.h"

namespace moecap::app {
namespace {

using model::TensorClass;

constexpr double kUsable = 0.95;  // of the free bytes; the rest is for intermediate results

// Types that the engine's quantiser makes, with bits a weight, from the most precise.
constexpr std::pair<const char*, double> kTypes[] = {{"Q8_0", 8.5}, {"Q6_K", 6.5625}, {"Q5_0", 5.5},
                                                     {"Q4_0", 4.5}, {"Q3_K_M", 3.91}, {"Q2_K", 3.35}};

// Of the engine at a time: the routing is replayed in one of its own, but for experts on disk, which tell it in the timed
// passes.
int Contexts(const model::ModelSpec& model, const RoomQuestion& question) {
  return model.MoeLayers() > 0 && !question.placement.experts ? 2 : 1;
}

// Buffers of intermediate results and logits.
double PassBytes(const model::ModelSpec& model, const RoomQuestion& question) {
  if (question.pass_tokens == 0) return 0;
  const auto memory = metrics::MemoryOfEngine(model, {question.sequences, question.context_tokens, question.pass_tokens});
  return Contexts(model, question) * (memory.compute + memory.outputs);
}

bool Fits(const model::ModelSpec& model, const RoomQuestion& question) {
  return BytesThere(model, question) + PassBytes(model, question) <= kUsable * question.free_bytes;
}

// The largest value in [low, high] for which `fits`, which ascends in it; null when none does.
template <typename Try>
std::optional<int> Largest(int low, int high, Try fits) {
  std::optional<int> found;
  for (int value = high; value >= low && !found; --value) {
    if (fits(value)) found = value;
  }
  return found;
}

model::ModelSpec InType(model::ModelSpec model, const char* type, double bits) {
  for (const TensorClass c : {TensorClass::kEmbedding, TensorClass::kAttention, TensorClass::kRoutedExpert,
                              TensorClass::kSharedExpert, TensorClass::kDenseFfn, TensorClass::kHead})
    SetWeightPrecision(model, c, type, bits);
  return model;
}

std::optional<std::string> TypeThatFits(const model::ModelSpec& model, const RoomQuestion& question) {
  const double now = model.WeightBytes();
  for (const auto& [type, bits] : kTypes) {
    const model::ModelSpec smaller = InType(model, type, bits);
    if (smaller.WeightBytes() < now && Fits(smaller, question))
      return fmt::format("all of it in {0}, about {1} (weights: {0})", type, FormatBytes(BytesThere(smaller, question)));
  }
  return std::nullopt;
}

std::optional<std::string> LayersThatFit(const model::ModelSpec& model, RoomQuestion question) {
  const auto layers = static_cast<int>(model.layers.size());
  const auto fitting = Largest(1, layers - 1, [&](int count) {
    question.placement.gpu_layers = count;
    return Fits(model, question);
  });
  if (!fitting) return std::nullopt;
  return fmt::format("{0} of {1} layers (gpu_layers: {0})", *fitting, layers);
}

// All layers on the GPU, but for the experts of as few of them as need be.
std::optional<std::string> ExpertsThatFit(const model::ModelSpec& model, RoomQuestion question) {
  if (model.MoeLayers() == 0) return std::nullopt;
  const auto layers = static_cast<int>(model.layers.size());
  question.placement.gpu_layers = -1;
  const auto fitting = Largest(0, layers - 1, [&](int resident) {
    question.placement.cpu_experts = layers - resident;
    return Fits(model, question);
  });
  if (!fitting) return std::nullopt;
  return fmt::format("all layers with the experts of {} of {} (cpu_experts: {})", *fitting, layers, layers - *fitting);
}

std::optional<std::string> BudgetThatFits(const model::ModelSpec& model, RoomQuestion question) {
  if (model.MoeLayers() == 0) return std::nullopt;
  question.placement.experts.emplace().budget_bytes = 0;
  const double budget = kUsable * question.free_bytes - BytesThere(model, question) - PassBytes(model, question);
  const double all = metrics::ResidentRoutedBytesOfFirst(model, -1);
  // A pass needs the experts of a token together, in each layer.
  const double least = all * model.TopK() / std::max(1, model.Experts());
  if (budget < least || budget >= all) return std::nullopt;
  return fmt::format("{:.0f} % of the experts, the others on disk (experts: {{budget: {:.0f} MB}})", 100 * budget / all,
                     budget / 1e6);
}

std::optional<std::string> ClientsThatFit(const model::ModelSpec& model, RoomQuestion question) {
  const auto fitting = Largest(1, question.sequences - 1, [&](int sequences) {
    question.sequences = sequences;
    return Fits(model, question);
  });
  if (!fitting) return std::nullopt;
  return fmt::format("{} client{} with {} tokens of context", *fitting, *fitting == 1 ? "" : "s", question.context_tokens);
}

std::optional<std::string> PassesThatFit(const model::ModelSpec& model, RoomQuestion question) {
  constexpr int kLeast = 32;  // shorter ones would be slow
  for (question.pass_tokens /= 2; question.pass_tokens >= kLeast; question.pass_tokens /= 2) {
    if (Fits(model, question)) return fmt::format("passes of {0} prompt tokens (batch_tokens: {0})", question.pass_tokens);
  }
  return std::nullopt;
}

}  // namespace

double BytesThere(const model::ModelSpec& model, const RoomQuestion& question) {
  const llamacpp::Placement& placement = question.placement;
  const auto kv_bytes = [&](const model::ModelSpec& part) {
    return Contexts(model, question) * static_cast<double>(question.sequences) * part.ResidentKvBytes(question.context_tokens);
  };
  if (placement.gpus.empty()) {
    double bytes = model.WeightBytes() + kv_bytes(model);
    if (placement.experts) {
      const double all = metrics::ResidentRoutedBytesOfFirst(model, -1);
      bytes -= std::max(0.0, all - static_cast<double>(placement.experts->budget_bytes));
    }
    return bytes;
  }
  const auto layers = static_cast<int>(model.layers.size());
  const int on_gpu = placement.gpu_layers < 0 ? layers : std::min(layers, placement.gpu_layers);
  model::ModelSpec part = model;
  part.layers.erase(part.layers.begin(), part.layers.end() - on_gpu);
  double bytes = kv_bytes(part);
  for (const model::LayerSpec& layer : part.layers) bytes += layer.weights.Bytes();
  if (placement.gpu_layers < 0 || placement.gpu_layers > layers) bytes += model.Head().bytes;
  const int first_there = layers - on_gpu;
  if (placement.cpu_experts != 0) {
    const int in_host = placement.cpu_experts < 0 ? layers : std::min(layers, placement.cpu_experts);
    if (in_host > first_there) bytes -= metrics::ResidentRoutedBytesOfFirst(part, in_host - first_there);
  }
  return bytes;
}

std::string WhatFits(const model::ModelSpec& model, const RoomQuestion& question) {
  std::vector<std::optional<std::string>> ways = {ClientsThatFit(model, question), PassesThatFit(model, question),
                                                  TypeThatFits(model, question)};
  if (question.placement.gpus.empty()) {
    ways.push_back(BudgetThatFits(model, question));
  } else {
    ways.push_back(ExpertsThatFit(model, question));
    ways.push_back(LayersThatFit(model, question));
  }
  std::vector<std::string> words;
  for (const auto& way : ways) {
    if (way) words.push_back(*way);
  }
  if (words.empty()) return "nothing of it has room there";
  return fmt::format("what has room: {}", fmt::join(words, "; or "));
}

Status CheckRoom(const model::ModelSpec& model, const RoomQuestion& question) {
  const double needed = BytesThere(model, question);
  if (needed <= question.free_bytes) return {};
  return BadInput(fmt::format(
      "{} needs {} for its weights and {} of {} x {} tokens{}, but {} has {} free; {}", model.id, FormatBytes(needed),
      Contexts(model, question) > 1 ? "two KV caches" : "the KV cache", question.sequences, question.context_tokens,
      Contexts(model, question) > 1 ? ", as its routing is replayed" : "",
      question.placement.gpus.empty() ? "this machine" : fmt::format("{}", fmt::join(question.placement.gpus, ", ")),
      FormatBytes(question.free_bytes), WhatFits(model, question)));
}

}  // namespace moecap::app
