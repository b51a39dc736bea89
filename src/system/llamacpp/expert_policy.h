// Which experts stay in memory under a budget, and which will be wanted next. Decisions only: no memory is touched here.
#pragma once

#include <cstdint>
#include <span>
#include <tuple>
#include <vector>

namespace moecap::llamacpp {

// What is given up first.
enum class Eviction : uint8_t {
  kLru,  // the expert that was used longest ago
  kLfu,  // the one that fewest passes used; of equals, longest ago
  // The one whose use is least likely soon: the share of its layer's passes that used it, later ones weighing more, times how
  // near the layer's next turn is (the priority of MoE-Infinity, arXiv 2401.14361, section 6).
  kActivation,
};

// Whose routing says what the next layer will want.
enum class Prefetch : uint8_t {
  kNone,
  kPreviousToken,  // what that layer used in the pass before
  kPreviousLayer,  // what it used most often when the layer before it used the experts that it uses now
};

// The set of experts in memory. Experts are numbered layer * experts + expert; a layer's experts have equal sizes.
class ResidentSet {
 public:
  struct Change {
    std::vector<int> release, load;  // in this order
  };

  // `bytes_of_layer`: of one expert, each > 0.
  ResidentSet(std::span<const int64_t> bytes_of_layer, int experts, int64_t budget_bytes, Eviction eviction);

  // A pass has come to `layer` and uses these experts, each named once. Requires Fits.
  Change Use(int layer, std::span<const int> experts);
  // Experts of `layer` that will be wanted when `current_layer` is done. Makes room for as many as it can without giving up any
  // of either, nor more than is left.
  Change Expect(int layer, std::span<const int> experts, int current_layer);

  bool Contains(int layer, int expert) const { return entries_[Index(layer, expert)].resident; }
  int64_t resident_bytes() const { return resident_bytes_; }
  // Whether so many experts of one layer can be in memory together, whichever layer it is.
  bool Fits(int64_t experts_of_one_layer) const;

 private:
  struct Entry {
    bool resident = false;
    int64_t last_use = -1;   // in uses of any layer; -1 = never
    int64_t uses = 0;        // passes
    double activation = 0;   // smoothed share of the layer's passes that used it
    int64_t layer_turn = 0;  // of the layer, up to which `activation` holds
  };
  size_t Index(int layer, int expert) const {
    return static_cast<size_t>(layer) * static_cast<size_t>(experts_) + static_cast<size_t>(expert);
  }
  double Activation(int layer, const Entry& entry) const;
  // The entry with the least is given up first.
  using Worth = std::tuple<double, int64_t, size_t>;
  Worth WorthOf(size_t index, int current_layer) const;
  // Gives up entries that are not `kept` until `bytes` more fit; false when they do not, and then nothing was changed.
  bool MakeRoom(int64_t bytes, int current_layer, const std::vector<bool>& kept, std::vector<int>& release);

  std::vector<int64_t> bytes_;  // of one expert, by layer
  int experts_;
  int64_t budget_bytes_;
  Eviction eviction_;
  std::vector<Entry> entries_;
  std::vector<int64_t> turns_;  // passes that came to each layer
  int64_t now_ = 0;
  int64_t resident_bytes_ = 0;
};

// Learns from the routing of each layer what the next one will want.
class ExpertForecast {
 public:
  ExpertForecast(int layers, int experts, Prefetch prefetch);

  // The pass used `experts` of `layer`; layers come in ascending order. Returns what the next layer will want, likeliest first;
  // empty for the last layer, and before anything is known.
  std::vector<int> Observe(int layer, std::span<const int> experts);

 private:
  int layers_, experts_;
  Prefetch prefetch_;
  std::vector<std::vector<int>> last_;  // [layer], of its latest pass
  // How often a layer used expert b when the layer before it used a: [layer][a * experts + b].
  std::vector<std::vector<uint32_t>> together_;
};

}  // namespace moecap::llamacpp
