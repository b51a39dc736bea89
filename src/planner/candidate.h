// One way to serve as a value with everything that is said of it. Internal parts of the search: what may be tried on a device,
// what it costs, and whether it keeps what was asked.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "planner/search.h"

namespace moecap::planner {

// How many of a device make a machine that somebody sells: powers of two up to a node (four boards of a desktop, eight of a
// server), and nodes of eight of datacentre devices.
std::vector<int64_t> CountsOf(const hardware::Device& device, int64_t most);

// Every layout of `count` devices that a server could be started with. Pipelines only where tensor parallelism has no fast
// link; experts over ranks that each hold as many of them.
std::vector<metrics::Deployment> DeploymentsOf(const hardware::Device& device, int64_t count, const model::ModelSpec& spec);

// Systems that serve on such a device with experts in that place, by the names of `moecap systems`.
std::vector<std::string> SystemsOf(const hardware::Device& device, Residence residence);
// All that it names for any device.
std::span<const std::string_view> ProposedSystems();
// llama.cpp's on devices that it alone serves.
Allocator AllocatorOf(const hardware::Device& device);

// The processor that usually stands beside such a device: its id.
std::string UsualHost(const hardware::Device& device);

// The memories behind such a device beside `processor`, whose id it becomes; `dram_bytes`: null = as much as the processor
// takes. Null where there is no host that could hold experts, or the catalogue knows too little of it.
std::optional<Host> HostOf(const hardware::Device& device, std::string& processor, std::optional<double> dram_bytes,
                           const hardware::Catalogue& catalogue);

// Prices machines once each.
class Pricer {
 public:
  Pricer(const Question& question, const hardware::Catalogue& devices, const cost::PriceBook& prices)
      : question_(question), devices_(devices), prices_(prices) {}
  // `processor` and `dram_bytes`: of the host, where experts lie there; "" and 0 = the price book's usual host.
  Money Of(const hardware::Device& device, int64_t count, int64_t nodes, const std::string& processor, double dram_bytes);

 private:
  Money Price(const hardware::Device& device, int64_t count, int64_t nodes, const std::string& processor,
              double dram_gib) const;

  const Question& question_;
  const hardware::Catalogue& devices_;
  const cost::PriceBook& prices_;
  std::map<std::tuple<std::string, int64_t, std::string, double>, Money> known_;
};

// Prices of tokens from the money and the load: the bill of an hour divided by node time (cost/tokens.h).
void PriceTokens(const Load& load, Candidate& candidate);

// Requests that the launch of one replica must let run at once, a whole number: its limit where it has one, the clients of a
// closed loop, and in an open one, where Poisson arrivals make a Poisson number in service, three deviations more than the
// mean; no more than memory has room for.
double PlannedRunning(const Candidate& candidate, const Load& load);

// Fills `misses` and `worst_miss`.
void Judge(const Question& question, Candidate& candidate);

}  // namespace moecap::planner
