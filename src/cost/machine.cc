#include "cost/machine.h"

#include <fmt/format.h>

#include <algorithm>

namespace moecap::cost {
namespace {

using hardware::Device;

struct Part {
  Device device;
  double count = 0;  // in all nodes
};

// A unified-memory computer is sold whole; a datacentre APU is not.
bool IsWhole(const Device& device) { return device.unified_memory && device.device_class != "datacenter"; }
bool IsProcessor(const Device& device) { return device.device_class == "cpu"; }

Result<std::vector<Part>> FindParts(const std::vector<MachinePart>& named, int64_t nodes, bool processors,
                                    const hardware::Catalogue& catalogue) {
  std::vector<Part> parts;
  for (const MachinePart& part : named) {
    ASSIGN_OR_RETURN(Device device, catalogue.FindDevice(part.id));
    if (IsProcessor(device) != processors) {
      return BadInput(fmt::format("'{}' is {}; list it under '{}'", part.id, processors ? "an accelerator" : "a processor",
                                  processors ? "accelerators" : "processors"));
    }
    if (part.count < 1) return BadInput(fmt::format("{} times '{}' is not possible; use 1 or more", part.count, part.id));
    parts.push_back({std::move(device), static_cast<double>(part.count * nodes)});
  }
  return parts;
}

Range RangeOf(const Input& input) { return {input.low.value_or(input.value), input.value, input.high.value_or(input.value)}; }

// Sums the inputs of several parts; null as soon as one is not known.
class Sum {
 public:
  void Add(const std::optional<Input>& input, double count, const std::string& name) {
    if (!input) {
      known_ = false;
      return;
    }
    sum_.value += count * input->value;
    sum_.low = sum_.low.value_or(0) + count * input->low.value_or(input->value);
    sum_.high = sum_.high.value_or(0) + count * input->high.value_or(input->value);
    sum_.source += fmt::format("{}{:g} x {} at {:g}", sum_.source.empty() ? "" : " + ", count, name, input->value);
    sum_.date = std::max(sum_.date, input->date);
    if (sources_.find(input->source) == std::string::npos) sources_ += "; " + input->source;
  }
  std::optional<Input> Total() const {
    if (!known_ || !sum_.low) return std::nullopt;
    Input total = sum_;
    total.source += sources_;
    if (total.low == total.value) total.low = std::nullopt;
    if (total.high == total.value) total.high = std::nullopt;
    return total;
  }

 private:
  Input sum_;
  std::string sources_;
  bool known_ = true;
};

class Pricing {
 public:
  Pricing(const MachineSpec& spec, const PriceBook& book, std::vector<Part> accelerators, std::vector<Part> processors)
      : spec_(spec),
        book_(book),
        accelerators_(std::move(accelerators)),
        processors_(std::move(processors)),
        nodes_(static_cast<double>(spec.nodes)) {
    const auto any = [](const std::vector<Part>& parts, auto test) {
      return std::any_of(parts.begin(), parts.end(), [&](const Part& part) { return test(part.device); });
    };
    whole_ = any(accelerators_, IsWhole);
    datacenter_ = any(accelerators_, [](const Device& device) { return device.device_class == "datacenter"; });
    server_ = datacenter_ || any(processors_, [](const Device& device) { return IsServerProcessor(device.name); });
  }

  bool whole() const { return whole_; }

  PricedMachine Price() {
    machine_.inputs.accelerators_usd = PriceParts("accelerators", accelerators_);
    machine_.inputs.cpu_usd = PriceParts("processors", processors_);
    if (accelerators_.empty()) machine_.inputs.accelerators_usd = Input{0, "none", ""};
    PriceHost();
    PriceNetwork();
    PriceMemory();
    PriceRent();
    SetPower();
    return std::move(machine_);
  }

 private:
  std::optional<Input> PriceParts(const std::string& name, const std::vector<Part>& parts) {
    Sum sum;
    for (const Part& part : parts) {
      const auto each = book_.FindFor(part.device, "price_usd");
      sum.Add(each, part.count, part.device.id);
      BillLine line{name, part.device.id, part.count, "", {}, part.device.source, part.device.date};
      if (each) {
        const Input all = Scaled(*each, part.count, each->source);
        line.usd = RangeOf(all);
        line.source = all.source;
        line.date = all.date;
      }
      machine_.lines.push_back(std::move(line));
    }
    return sum.Total();
  }

  void AddLine(const std::string& part, const std::string& item, double count, const std::string& unit,
               const std::optional<Input>& usd) {
    BillLine line{part, item, count, unit, {}, "no price is known", ""};
    if (usd) line = {part, item, count, unit, RangeOf(*usd), usd->source, usd->date};
    machine_.lines.push_back(std::move(line));
  }

  // What of the host is not among the named processors.
  void PriceHost() {
    CostInputs& inputs = machine_.inputs;
    if (whole_) {
      inputs.cpu_usd = inputs.board_usd = Input{0, "in the price of the unified-memory machine", ""};
      return;
    }
    const bool by_core = !processors_.empty() && !datacenter_;
    if (by_core) {
      inputs.board_usd = BoardByCore();
    } else {
      inputs.board_usd = HostShare();
    }
    if (processors_.empty()) inputs.cpu_usd = Input{0, "in the price of the host", ""};
    AddLine("board", by_core ? "by core" : processors_.empty() ? "host" : "rest of the host", nodes_, "", inputs.board_usd);
  }

  std::optional<Input> BoardByCore() const {
    double cores = 0;
    for (const Part& part : processors_) {
      if (!part.device.cores) return std::nullopt;
      cores += part.count * *part.device.cores;
    }
    const auto each = book_.Find(server_ ? "server_board_usd_per_core" : "desktop_board_usd_per_core");
    if (!each) return std::nullopt;
    return Scaled(*each, cores, fmt::format("estimate: {:g} cores x {:g}; {}", cores, each->value, each->source));
  }

  std::optional<Input> HostShare() const {
    const auto& accelerators = machine_.inputs.accelerators_usd;
    if (!datacenter_) {
      const auto each = book_.Find("workstation_host_usd");
      if (!each) return std::nullopt;
      return Scaled(*each, nodes_, "estimate: " + each->source);
    }
    const auto share = book_.Find("accelerator_host_fraction");
    const auto& named = machine_.inputs.cpu_usd;
    if (!share || !accelerators || (!processors_.empty() && !named)) return std::nullopt;
    // The share covers the processors too; those that are named have a line of their own.
    const double less = named ? named->value : 0;
    const auto rest = [&](double fraction, double price, double named_price) {
      return std::max(0.0, fraction * price - named_price);
    };
    const Range a = RangeOf(*accelerators), f = RangeOf(*share);
    const Range n = named ? RangeOf(*named) : Range{0, 0, 0};
    const double value = rest(share->value, accelerators->value, less);
    return Input{value,
                 fmt::format("estimate: {:g} of the accelerators' {:.0f} USD{}; {}", share->value, accelerators->value,
                             less > 0 ? fmt::format(" less {:.0f} of the processors", less) : "", share->source),
                 share->date, std::min(value, rest(*f.low, *a.low, *n.low)), std::max(value, rest(*f.high, *a.high, *n.high))};
  }

  void PriceNetwork() {
    auto& network = machine_.inputs.network_usd;
    const auto& accelerators = machine_.inputs.accelerators_usd;
    if (spec_.network_usd) {
      network = Input{*spec_.network_usd * nodes_, "given in the machine's description", ""};
    } else if (spec_.nodes == 1) {
      network = Input{0, "one node", ""};
    } else if (const auto share = book_.Find("network_fraction"); share && accelerators) {
      const Range a = RangeOf(*accelerators), f = RangeOf(*share);
      network = Input{share->value * accelerators->value,
                      fmt::format("estimate: {:g} of the accelerators' price; {}", share->value, share->source), share->date,
                      *f.low * *a.low, *f.high * *a.high};
    }
    if (!network || network->value > 0) AddLine("network", "network", nodes_, "", network);
  }

  void PriceMemory() {
    CostInputs& inputs = machine_.inputs;
    const bool server = spec_.dram.value_or(server_ ? DramKind::kServer : DramKind::kDesktop) == DramKind::kServer;
    if (whole_) {
      inputs.dram_gib = Input{0, "in the price of the unified-memory machine", ""};
    } else if (spec_.dram_gib) {
      inputs.dram_gib = Input{*spec_.dram_gib * nodes_, "given in the machine's description", ""};
      inputs.dram_usd_per_gib = book_.Find(server ? "server_dram_usd_per_gib" : "desktop_dram_usd_per_gib");
      AddStock("DRAM", server ? "server DRAM" : "desktop DRAM", "GiB", *inputs.dram_gib, inputs.dram_usd_per_gib);
    }
    if (whole_ && !spec_.ssd_gb) inputs.ssd_gb = Input{0, "in the price of the unified-memory machine", ""};
    if (!spec_.ssd_gb) return;
    inputs.ssd_gb = Input{*spec_.ssd_gb * nodes_, "given in the machine's description", ""};
    inputs.ssd_usd_per_gb = book_.Find("ssd_usd_per_gb");
    AddStock("SSD", "SSD", "GB", *inputs.ssd_gb, inputs.ssd_usd_per_gb);
  }

  void AddStock(const std::string& part, const std::string& item, const std::string& unit, const Input& amount,
                const std::optional<Input>& each) {
    if (amount.value == 0) return;
    std::optional<Input> all;
    if (each) all = Scaled(*each, amount.value, each->source);
    AddLine(part, item, amount.value, unit, all);
  }

  void PriceRent() {
    if (accelerators_.empty()) return;
    Sum sum;
    for (const Part& part : accelerators_) sum.Add(book_.FindFor(part.device, "rent_usd_per_h"), part.count, part.device.id);
    machine_.inputs.rent_usd_per_h = sum.Total();
    // What is owned and what is rented may differ in all but the accelerators.
    if (auto& rent = machine_.inputs.rent_usd_per_h) rent->source += "; with the host that the lessor adds, not this one";
  }

  void SetPower() {
    CostInputs& inputs = machine_.inputs;
    SetPlanningValues(book_, server_, inputs);
    Sum all_in;
    for (const Part& part : accelerators_) all_in.Add(book_.FindFor(part.device, "all_in_w"), part.count, part.device.id);
    inputs.all_in_w = all_in.Total();
    Sum tdp;
    const auto add = [&](const Part& part) {
      std::optional<Input> each;
      if (part.device.tdp_w) each = Input{*part.device.tdp_w, part.device.source, part.device.date};
      tdp.Add(each, part.count, part.device.id);
    };
    std::for_each(accelerators_.begin(), accelerators_.end(), add);
    if (!accelerators_.empty()) inputs.accelerators_w = tdp.Total();
    std::for_each(processors_.begin(), processors_.end(), add);
    inputs.nameplate_w = tdp.Total();
    inputs.load_factor = book_.Find("load_factor");
    inputs.wall_factor = book_.Find("wall_factor");
  }

  const MachineSpec& spec_;
  const PriceBook& book_;
  std::vector<Part> accelerators_, processors_;
  double nodes_;
  bool whole_ = false, datacenter_ = false, server_ = false;
  PricedMachine machine_;
};

Status CheckAmounts(const MachineSpec& spec) {
  const std::pair<const char*, std::optional<double>> amounts[] = {
      {"dram_gib", spec.dram_gib}, {"ssd_gb", spec.ssd_gb}, {"network_usd", spec.network_usd}};
  for (const auto& [key, value] : amounts) {
    if (!value) continue;
    CostInputs unused;
    RETURN_IF_ERROR(SetCostInput(unused, key, {*value, "", ""}));
  }
  if (spec.nodes < 1) return BadInput(fmt::format("a machine of {} nodes is not possible; use 1 or more", spec.nodes));
  return {};
}

}  // namespace

Result<PricedMachine> PriceMachine(const MachineSpec& spec, const hardware::Catalogue& catalogue, const PriceBook& book) {
  RETURN_IF_ERROR(CheckAmounts(spec));
  ASSIGN_OR_RETURN(auto accelerators, FindParts(spec.accelerators, spec.nodes, false, catalogue));
  ASSIGN_OR_RETURN(auto processors, FindParts(spec.processors, spec.nodes, true, catalogue));
  if (accelerators.empty() && processors.empty()) {
    return BadInput("the machine has neither accelerators nor processors; e.g. accelerators: [{id: h100-sxm, count: 8}]");
  }
  Pricing pricing(spec, book, std::move(accelerators), std::move(processors));
  if (pricing.whole() && (!spec.processors.empty() || spec.dram_gib.value_or(0) > 0)) {
    return BadInput("a unified-memory machine is priced whole: leave out processors and dram_gib, they are in its price");
  }
  PricedMachine machine = pricing.Price();
  for (const auto& [key, value] : spec.given)
    RETURN_IF_ERROR(SetCostInput(machine.inputs, key, {value, "given in the machine's description", ""}));
  const bool rent_given = spec.given.contains("rent_usd_per_h");
  const auto& hardware = machine.inputs.accelerators_usd;
  machine.pay = spec.pay.value_or(rent_given || !hardware ? Pay::kRent : Pay::kBuy);
  if (!spec.pay && !machine.inputs.rent_usd_per_h) machine.pay = Pay::kBuy;
  return machine;
}

}  // namespace moecap::cost
