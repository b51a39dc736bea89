// Which of the ids that a recorder lays out per token, [row][column], are choices of the router. Private to this folder.
//
// Recorders write more columns than a router chooses: filler (-1, or one value in every row), and shared experts that an engine
// fused into the router's output (an id past the routed ones in every row). Rows of dense layers and of tokens that were not
// recorded hold one value throughout. Zero experts (LongCat) compute nothing.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace moecap::trace {

// What is known beside the ids; 0 = not known.
struct IdLimits {
  int experts = 0;       // routed experts of a layer
  int zero_experts = 0;  // ids from `experts` on that compute nothing
  int top_k = 0;
  int64_t most_id = INT64_MAX;  // that the recorded type can hold
};

class IdColumns {
 public:
  explicit IdColumns(size_t columns) : columns_(columns) {}

  // Ids of one token in one layer: as many as columns, -1 = none. Rows of one value throughout are no choice of more than one
  // column and tell nothing.
  void Survey(std::span<const int64_t> ids);

  // After all rows: which columns hold choices. Error kBadInput: an id that the model does not have in some rows only, another
  // number of experts per token than the model's, a type too narrow for the model.
  Status Choose(const IdLimits& limits, std::vector<std::string>& notes);

  // Whether the row is a choice; then `out` receives top_k() ids, kNoExpert for zero experts.
  bool Clean(std::span<const int64_t> ids, std::vector<uint16_t>& out);

  // After every row was cleaned once. Error kBadInput: ids that wrapped around in a narrow type.
  Status Check(std::vector<std::string>& notes) const;

  size_t columns() const { return columns_.size(); }
  int top_k() const { return static_cast<int>(kept_.size()); }
  int64_t highest() const { return highest_; }  // of the kept columns, zero experts not counted; -1 = none

 private:
  struct Column {
    int64_t rows = 0, empty = 0;  // of `rows`, -1
    int64_t lowest = INT64_MAX, highest = -1;
    bool constant() const { return rows > empty && empty == 0 && lowest == highest; }
  };

  std::vector<Column> columns_;
  std::vector<size_t> kept_;
  IdLimits limits_;
  int64_t highest_ = -1;
  int64_t cleaned_ = 0, repeated_ = 0, ids_ = 0, zero_ids_ = 0;
};

}  // namespace moecap::trace
