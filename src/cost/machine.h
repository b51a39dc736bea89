// What a machine is made of, and what that costs: a bill of materials priced from the device catalogue and the price book.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cost/ownership.h"
#include "cost/prices.h"
#include "hardware/catalogue.h"

namespace moecap::cost {

// `count` devices of the catalogue in one node.
struct MachinePart {
  std::string id;  // id, name or alias
  int64_t count = 1;
};

enum class DramKind { kServer, kDesktop };

// One machine: `nodes` equal nodes that are paid for together. Amounts are of one node; null = not known, 0 = there is none.
struct MachineSpec {
  std::string name;
  int64_t nodes = 1;
  std::vector<MachinePart> accelerators;  // several kinds may share a node
  std::vector<MachinePart> processors;    // sockets
  std::optional<double> dram_gib;
  std::optional<DramKind> dram;  // null: server memory beside datacentre accelerators or server processors
  std::optional<double> ssd_gb;
  std::optional<double> network_usd;
  std::optional<Pay> pay;
  // Cost inputs that replace what the parts and the price book say, for the whole machine; keys of CostInputKeys().
  std::map<std::string, double> given;
};

// A line of the bill of materials, for all nodes.
struct BillLine {
  std::string part;  // "accelerators", "processors", "board", "network", "DRAM", "SSD"
  std::string item;  // "h100-sxm", "server DRAM"
  double count = 0;
  std::string unit;  // "", "GiB", "GB"
  Range usd;         // of all of them; null = not known
  std::string source, date;
};

struct PricedMachine {
  CostInputs inputs;  // of all nodes together
  std::vector<BillLine> lines;
  Pay pay = Pay::kBuy;  // as the spec says; without a word rent where a rate was given or the hardware has no price, else buy
};

// Host of the accelerators (processors that are not named, board, chassis, power supply): beside datacentre accelerators a share of
// their price, less the named processors; beside named processors the board by core; else a workstation's. A unified-memory
// machine is priced whole: processor, board and memory are in its price. Power: the TDPs, and where the price book has it of every
// accelerator, the all-in power. A device whose price is not known leaves its whole part
// unknown. Rent: the catalogue's rates of the accelerators, where all have one.
// Errors: kBadInput for a device that the catalogue does not have (with the nearest), a processor among the accelerators or the
// reverse, nothing at all, memory or processors beside a machine that is priced whole, or a value outside its range.
Result<PricedMachine> PriceMachine(const MachineSpec& spec, const hardware::Catalogue& catalogue, const PriceBook& book);

}  // namespace moecap::cost
