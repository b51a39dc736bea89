#include "cap/summary.h"

#include <algorithm>

namespace moecap::cap {

const CellSummary* FindCell(const SystemSummary& system, const record::Level& level) {
  const auto found = std::ranges::find(system.cells, level, &CellSummary::level);
  return found != system.cells.end() ? &*found : nullptr;
}

}  // namespace moecap::cap
