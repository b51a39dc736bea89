// The notes under the tables of figures.h.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "report/figures.h"
#include "report/words.h"

namespace moecap::report {
namespace {

// Texts in order of first appearance, each with the names it applies to.
class Collector {
 public:
  void Add(const std::string& text, const std::string& name) {
    auto found = std::ranges::find(items_, text, &Item::text);
    if (found == items_.end()) found = items_.insert(items_.end(), Item{text, {}});
    if (std::ranges::find(found->names, name) == found->names.end()) found->names.push_back(name);
  }

  // "text (names)", without the names when all `count` have it.
  std::vector<std::string> Lines(size_t count) const {
    std::vector<std::string> lines;
    for (const auto& item : items_) {
      lines.push_back(item.names.size() >= count ? item.text : fmt::format("{} ({})", item.text, fmt::join(item.names, ", ")));
    }
    return lines;
  }

 private:
  struct Item {
    std::string text;
    std::vector<std::string> names;
  };
  std::vector<Item> items_;
};

// Reasons for missing utilisation figures of one cell.
std::vector<std::string> MissingUtilization(const cap::HostSummary& host, const SystemSummary& system,
                                            const CellSummary& cell) {
  std::vector<std::string> reasons;
  const auto& decode = cell.utilization.decode;
  if (cell.utilization.all.passes == 0) {
    reasons.emplace_back("S-MBU, S-MFU: no forward passes were recorded");
    return reasons;
  }
  if (!host.peak_bandwidth_bytes_per_s && !decode.s_mbu)
    reasons.emplace_back("S-MBU, MBU: the bandwidth ceiling of the device is not known");
  if (!system.peak_flops_per_s && !decode.s_mfu)
    reasons.emplace_back("S-MFU, MFU: the compute ceiling of the device for this weight type is not known");
  if (decode.passes == 0) {
    reasons.emplace_back("decode figures: no pure decode passes were recorded");
  } else if (!decode.bytes) {
    reasons.emplace_back("S-MBU: the distinct experts of some passes were not recorded");
  }
  if (cell.utilization.prefill.passes == 0) reasons.emplace_back("prefill figures: no pure prefill passes were recorded");
  return reasons;
}

std::vector<std::string> MissingReasons(const RunSummary& summary, const SystemSummary& system, const CellSummary& cell) {
  std::vector<std::string> reasons;
  if (!cell.ttft_s) reasons.emplace_back("TTFT: no request produced a token");
  if (!cell.tpot_s || !cell.itl_s) reasons.emplace_back("TPOT, ITL: no request produced two tokens");
  for (auto& reason : MissingUtilization(summary.host, system, cell)) reasons.push_back(std::move(reason));
  if (system.total_params == 0) {
    reasons.emplace_back("weights, parameters, experts: a server does not tell them");
  } else if (system.moe_layers == 0) {
    reasons.emplace_back("distinct experts: a dense model has none, its S-MBU equals its MBU");
  } else if (cell.utilization.decode.passes > 0 && cell.utilization.decode.mean_distinct_experts.empty()) {
    reasons.emplace_back("distinct experts: the routing was not recorded");
  }
  if (cell.scored == 0) {
    reasons.emplace_back("accuracy: no answer was scored");
  } else if (!cell.accuracy_stderr) {
    reasons.emplace_back("± of accuracy: it takes two scored answers");
  }
  if (!cell.usd_per_million_output_tokens || !cell.usd_per_million_input_tokens) {
    reasons.emplace_back(summary.host.cost_inputs.empty() ? "cost: the price of the hardware is not known"
                                                          : "cost: a cost input is not known");
  }
  if (!cell.joules_per_output_token) {
    reasons.emplace_back(summary.host.power_w ? "energy: no output tokens to divide by"
                                              : "energy: the power of the device is not known");
  }
  return reasons;
}

// "every cell was measured 3 times"
std::string RepeatsNote(const RunSummary& summary) {
  std::vector<int64_t> repeats;
  for (const auto& system : summary.systems) {
    for (const auto& cell : system.cells) repeats.push_back(cell.repeats);
  }
  if (repeats.empty()) return "";
  const auto [low, high] = std::ranges::minmax(repeats);
  if (low == high) return low == 1 ? "every row was measured once" : fmt::format("every row was measured {} times", low);
  return fmt::format("every row was measured {} to {} times", low, high);
}

}  // namespace

std::vector<std::string> InvalidReasons(const CellSummary& cell) {
  std::vector<std::string> reasons;
  for (const auto* list : {&cell.invalid, &cell.utilization.invalid}) {
    for (const auto& reason : *list) {
      if (std::ranges::find(reasons, reason) == reasons.end()) reasons.push_back(reason);
    }
  }
  return reasons;
}

bool IsValid(const CellSummary& cell) { return cell.invalid.empty() && cell.utilization.invalid.empty(); }

std::vector<std::string> InvalidNotes(const RunSummary& summary) {
  std::vector<std::string> notes;
  for (const auto& system : summary.systems) {
    std::vector<std::pair<std::string, std::vector<int>>> reasons;
    for (const auto& cell : system.cells) {
      for (const auto& reason : InvalidReasons(cell)) {
        auto found = std::ranges::find(reasons, reason, &std::pair<std::string, std::vector<int>>::first);
        if (found == reasons.end()) found = reasons.insert(reasons.end(), {reason, {}});
        found->second.push_back(cell.concurrency);
      }
    }
    for (const auto& [reason, where] : reasons)
      notes.push_back(fmt::format("{} at {}: {}", system.name, fmt::join(where, ", "), reason));
  }
  return notes;
}

std::vector<std::string> MissingNotes(const RunSummary& summary) {
  Collector notes;
  for (const auto& system : summary.systems) {
    for (const auto& cell : system.cells) {
      for (const auto& reason : MissingReasons(summary, system, cell)) notes.Add(reason, system.name);
    }
  }
  return notes.Lines(summary.systems.size());
}

std::vector<std::string> LegendNotes(const RunSummary& summary, const std::vector<FigureTable>& tables) {
  bool missing = false;
  bool estimate = false;
  bool spread = false;
  bool invalid = false;
  for (const auto& table : tables) {
    for (const auto& row : table.rows) {
      invalid = invalid || !row.valid;
      for (const auto& value : row.values) {
        missing = missing || value == kMissing;
        estimate = estimate || value.starts_with('~');
        spread = spread || value.find("±") != std::string::npos;
      }
    }
  }
  std::vector<std::string> notes;
  if (const std::string repeats = RepeatsNote(summary); !repeats.empty()) notes.push_back(repeats);
  if (spread) notes.emplace_back("± one standard error: of the mean over repetitions (tok/s), over problems (accuracy)");
  if (estimate) {
    const std::string& source = summary.host.power_source;
    notes.push_back("~ estimate: energy is not metered" + (source.empty() ? "" : "; power is " + source));
  }
  if (missing) notes.emplace_back("- not measured or not applicable, see below");
  if (const std::string level = ServiceLevelNote(summary.service_level); !level.empty()) notes.push_back(level);
  notes.insert(notes.end(), summary.notes.begin(), summary.notes.end());
  if (invalid) notes.emplace_back("! a validity gate tripped, the figures must not be used; reasons below");
  return notes;
}

}  // namespace moecap::report
