// Tokens per expert, pass by pass, as any recorder counted them, and the checks that hold for all of them. Private to this
// folder.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "trace/import.h"
#include "trace/trace.h"

namespace moecap::trace {

// Experts that were moved or doubled between ranks: [layer][place] -> expert; empty = each in its own place.
using ExpertMap = std::vector<std::vector<int>>;

// Tokens of one pass, [row][column]: a row is a layer, a column an expert, or a place where there is an ExpertMap.
struct CountTable {
  size_t columns = 0;
  std::vector<int64_t> counts;

  size_t rows() const { return columns == 0 ? 0 : counts.size() / columns; }
  int64_t At(size_t row, size_t column) const { return counts[row * columns + column]; }
};
// Error kBadInput: no layer or column, or more than can be.
Status CheckTableSize(int64_t rows, int64_t columns);

struct CountPasses {
  std::string origin;
  Grain grain = Grain::kPassCounts;
  std::vector<int64_t> numbers;                           // of the passes, in the recorder's counting; one each
  std::vector<std::optional<record::PassKind>> kinds;     // empty = not known
  std::function<Status(size_t index, CountTable&)> read;  // of each pass, as often as asked for; the first gives the shape
  std::vector<int> layer_numbers;                         // of the rows, ascending; empty: row 0 is layer 0
  bool layers_known = true;                               // false: the rows count MoE layers, or the numbers do
  bool experts_known = true;                              // false: the columns reach to the highest expert that was used
  ExpertMap map;
  int rank = -1;              // whose records these are; -1 = not told
  bool summed_ranks = false;  // sums over the counts of all ranks
  bool ring = false;          // a buffer that drops its oldest rows when it is full
  TraceShare share;
  std::vector<std::string> notes;
};

// Looks at every pass once, then gives them. Errors kBadInput: nothing but zeros, counts of another model, tables of unequal
// shape, a count that cannot be.
Result<std::unique_ptr<TraceSource>> MakeCountSource(CountPasses passes, const ImportOptions& options);

// Says what one rank's file alone can and cannot tell, unless the user said how many ranks there are.
void DescribeRank(int rank, const ImportOptions& options, TraceHeader& header);

}  // namespace moecap::trace
