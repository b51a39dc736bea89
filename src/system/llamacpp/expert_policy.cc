#include "system/llamacpp/expert_policy.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "base/check.h"

namespace moecap::llamacpp {
namespace {

constexpr double kSmoothing = 1.0 / 16;  // weight of a layer's latest pass
constexpr double kUnseen = 1e-3;         // so that among experts without uses the layer's distance decides

}  // namespace

ResidentSet::ResidentSet(std::span<const int64_t> bytes_of_layer, int experts, int64_t budget_bytes, Eviction eviction)
    : bytes_(bytes_of_layer.begin(), bytes_of_layer.end()),
      experts_(experts),
      budget_bytes_(budget_bytes),
      eviction_(eviction),
      entries_(bytes_.size() * static_cast<size_t>(experts)),
      turns_(bytes_.size()) {
  CHECK(experts > 0 && std::ranges::all_of(bytes_, [](int64_t bytes) { return bytes > 0; }));
}

bool ResidentSet::Fits(int64_t experts_of_one_layer) const {
  const int64_t most = std::min<int64_t>(experts_of_one_layer, experts_);
  return std::ranges::all_of(bytes_, [&](int64_t bytes) { return bytes * most <= budget_bytes_; });
}

double ResidentSet::Activation(int layer, const Entry& entry) const {
  return entry.activation *
         std::pow(1 - kSmoothing, static_cast<double>(turns_[static_cast<size_t>(layer)] - entry.layer_turn));
}

ResidentSet::Worth ResidentSet::WorthOf(size_t index, int current_layer) const {
  const Entry& entry = entries_[index];
  double worth = 0;
  if (eviction_ == Eviction::kLfu) worth = static_cast<double>(entry.uses);
  if (eviction_ == Eviction::kActivation) {
    const int layer = static_cast<int>(index) / experts_;
    const int layers = static_cast<int>(bytes_.size());
    const int ahead = (layer - current_layer - 1 + layers) % layers;  // 0 = the next one
    worth = (Activation(layer, entry) + kUnseen) * (1 - static_cast<double>(ahead) / layers);
  }
  return {worth, entry.last_use, index};
}

bool ResidentSet::MakeRoom(int64_t bytes, int current_layer, const std::vector<bool>& kept, std::vector<int>& release) {
  if (resident_bytes_ + bytes <= budget_bytes_) return true;
  std::vector<Worth> candidates;
  for (size_t i = 0; i < entries_.size(); ++i) {
    if (entries_[i].resident && !kept[i]) candidates.push_back(WorthOf(i, current_layer));
  }
  std::ranges::make_heap(candidates, std::greater());
  std::vector<size_t> given_up;
  int64_t after = resident_bytes_;
  while (after + bytes > budget_bytes_ && !candidates.empty()) {
    std::ranges::pop_heap(candidates, std::greater());
    const size_t index = std::get<size_t>(candidates.back());
    candidates.pop_back();
    after -= bytes_[index / static_cast<size_t>(experts_)];
    given_up.push_back(index);
  }
  if (after + bytes > budget_bytes_) return false;
  for (const size_t index : given_up) {
    entries_[index].resident = false;
    release.push_back(static_cast<int>(index));
  }
  resident_bytes_ = after;
  return true;
}

ResidentSet::Change ResidentSet::Use(int layer, std::span<const int> experts) {
  CHECK(Fits(std::ssize(experts)));
  ++now_;
  ++turns_[static_cast<size_t>(layer)];
  std::vector<bool> kept(entries_.size());
  Change change;
  int64_t missing = 0;
  for (const int expert : experts) {
    const size_t index = Index(layer, expert);
    Entry& entry = entries_[index];
    kept[index] = true;
    entry.activation = Activation(layer, entry) + kSmoothing;
    entry.layer_turn = turns_[static_cast<size_t>(layer)];
    entry.last_use = now_;
    ++entry.uses;
    if (entry.resident) continue;
    missing += bytes_[static_cast<size_t>(layer)];
    change.load.push_back(static_cast<int>(index));
  }
  CHECK(MakeRoom(missing, layer, kept, change.release));
  for (const int index : change.load) entries_[static_cast<size_t>(index)].resident = true;
  resident_bytes_ += missing;
  return change;
}

ResidentSet::Change ResidentSet::Expect(int layer, std::span<const int> experts, int current_layer) {
  std::vector<bool> kept(entries_.size());
  for (int expert = 0; expert < experts_; ++expert) {
    // What the current layer uses now has the latest stamp.
    const size_t index = Index(current_layer, expert);
    kept[index] = entries_[index].last_use == now_;
  }
  for (const int expert : experts) kept[Index(layer, expert)] = true;
  Change change;
  for (const int expert : experts) {
    Entry& entry = entries_[Index(layer, expert)];
    const int64_t bytes = bytes_[static_cast<size_t>(layer)];
    if (entry.resident) continue;
    if (!MakeRoom(bytes, current_layer, kept, change.release)) break;
    entry.resident = true;
    entry.last_use = std::max(entry.last_use, now_ - 1);  // recent, but not in use
    resident_bytes_ += bytes;
    change.load.push_back(static_cast<int>(Index(layer, expert)));
  }
  return change;
}

ExpertForecast::ExpertForecast(int layers, int experts, Prefetch prefetch)
    : layers_(layers), experts_(experts), prefetch_(prefetch), last_(static_cast<size_t>(layers)) {
  if (prefetch == Prefetch::kPreviousLayer)
    together_.assign(static_cast<size_t>(layers),
                     std::vector<uint32_t>(static_cast<size_t>(experts) * static_cast<size_t>(experts)));
}

std::vector<int> ExpertForecast::Observe(int layer, std::span<const int> experts) {
  const auto self = static_cast<size_t>(layer);
  const auto width = static_cast<size_t>(experts_);
  if (prefetch_ == Prefetch::kNone) return {};
  last_[self].assign(experts.begin(), experts.end());
  const bool has_next = layer + 1 < layers_;
  if (prefetch_ == Prefetch::kPreviousToken) return has_next ? last_[self + 1] : std::vector<int>();
  if (layer > 0) {
    for (const int before : last_[self - 1]) {
      for (const int now : experts) ++together_[self][static_cast<size_t>(before) * width + static_cast<size_t>(now)];
    }
  }
  if (!has_next) return {};
  std::vector<uint64_t> votes(width);
  for (const int now : experts) {
    for (size_t next = 0; next < width; ++next) votes[next] += together_[self + 1][static_cast<size_t>(now) * width + next];
  }
  std::vector<int> order(width);
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, [&](int a, int b) { return votes[static_cast<size_t>(a)] > votes[static_cast<size_t>(b)]; });
  order.resize(experts.size());
  std::erase_if(order, [&](int expert) { return votes[static_cast<size_t>(expert)] == 0; });
  return order;
}

}  // namespace moecap::llamacpp
