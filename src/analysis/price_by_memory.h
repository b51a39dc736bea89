// What a system costs where its memory alone decides: the cheapest machine that holds its weights and its KV cache. An option
// beside the price of the machine that it was measured on; a system that needs little memory is cheap by it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cap/summary.h"
#include "cost/machine.h"
#include "cost/prices.h"
#include "hardware/catalogue.h"

namespace moecap::analysis {

enum class MemoryOf { kAccelerators, kHost };

struct SmallestMachine {
  std::string name;  // "2 x rtx-4090", "ryzen-9950x with 24 GiB"
  cost::PricedMachine priced;
  double purchase_usd = 0;
};

// The machine with the lowest purchase price whose memory is at least `bytes`: 1, 2, 4 or 8 devices of one kind, or one
// processor of the catalogue with as many whole GiB of DRAM. Devices without a price or a memory size are left out. Null when
// none holds it. Requires bytes > 0.
std::optional<SmallestMachine> FindSmallestMachine(double bytes, MemoryOf memory, const hardware::Catalogue& catalogue,
                                                   const cost::PriceBook& book);

// Prices every system whose cells tell what memory they need (FigureId::kMemory, the largest) on the smallest machine that
// holds it: of processors for systems in this process, else of accelerators. Costs in USD become those of that machine for the
// same time, and estimates; power and energy stay those of the machine it was measured on. Returns what became of each system,
// half a sentence each: notes for a reader.
std::vector<std::string> PriceByMemory(cap::ExperimentSummary& summary, const hardware::Catalogue& catalogue,
                                       const cost::PriceBook& book);
// The same with what ships with the program.
std::vector<std::string> PriceByMemory(cap::ExperimentSummary& summary);

}  // namespace moecap::analysis
