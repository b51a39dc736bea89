#include "experiment/order.h"

#include <utility>

#include "base/rng.h"

namespace moecap::experiment {
namespace {

// A launched server has the machine to itself, and starting one takes long: once a repetition.
std::vector<Planned> OrderInTurn(const Config& config, std::vector<size_t> systems, Rng& rng) {
  std::vector<double> levels = config.load.levels;
  std::vector<Planned> order;
  for (int repeat = 0; repeat < config.repeats; ++repeat) {
    rng.Shuffle(systems);
    for (const size_t system : systems) {
      rng.Shuffle(levels);
      for (const double level : levels) order.push_back({system, {config.load.kind, level}, repeat});
    }
  }
  return order;
}

}  // namespace

std::vector<Planned> OrderOf(const Config& config) {
  Rng rng(config.seed);
  std::vector<size_t> systems(config.systems.size());
  for (size_t i = 0; i < systems.size(); ++i) systems[i] = i;
  if (MeasuresInTurn(config)) return OrderInTurn(config, std::move(systems), rng);
  std::vector<double> levels = config.load.levels;
  std::vector<Planned> order;
  for (int repeat = 0; repeat < config.repeats; ++repeat) {
    rng.Shuffle(levels);
    for (const double level : levels) {
      rng.Shuffle(systems);
      for (const size_t system : systems) order.push_back({system, {config.load.kind, level}, repeat});
    }
  }
  return order;
}

}  // namespace moecap::experiment
