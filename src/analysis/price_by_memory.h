// What a system costs where its memory alone decides: the cheapest machine that holds its weights and its KV cache, each part
// in the kind of memory where the system keeps it. An option beside the price of the machine that it was measured on; a system
// that needs little memory, or moves its experts to a cheaper kind, is cheap by it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cap/summary.h"
#include "cost/machine.h"
#include "cost/prices.h"
#include "hardware/catalogue.h"

namespace moecap::analysis {

// In bytes, by tier.
struct MemoryNeeds {
  double accelerators = 0;  // 0 = the processor computes
  double host = 0;
  double disk = 0;  // of experts that are left there
};

struct SmallestMachine {
  std::string name;  // "2 x rtx-4090", "rtx-4090 with 24 GiB of DRAM", "ryzen-9950x with 24 GiB of DRAM and 60 GB of disk"
  cost::PricedMachine priced;
  double purchase_usd = 0;
};

// The machine with the lowest purchase price that holds them: 1, 2, 4 or 8 accelerators of one kind, or one processor of the
// catalogue, with as many whole GiB of DRAM and GB of disk as it takes. A machine whose memory is one for processor and
// accelerator holds both needs in it. Devices without a price or a memory size are left out. Null when none holds it. Requires
// a need of accelerators or host.
std::optional<SmallestMachine> FindSmallestMachine(const MemoryNeeds& needs, const hardware::Catalogue& catalogue,
                                                   const cost::PriceBook& book);

// Prices every system whose cells tell what memory they need (FigureId::kMemory, kHostMemory and kDiskNeeded, the largest) on
// the smallest machine that holds it: of processors for systems that this process computes without a GPU, else of accelerators.
// Costs in USD become those of that machine for the same time, and estimates; power and energy stay those of the machine it was
// measured on. Returns what became of each system, half a sentence each: notes for a reader.
std::vector<std::string> PriceByMemory(cap::ExperimentSummary& summary, const hardware::Catalogue& catalogue,
                                       const cost::PriceBook& book);
// The same with what ships with the program.
std::vector<std::string> PriceByMemory(cap::ExperimentSummary& summary);

}  // namespace moecap::analysis
