#include "experiment/speculation_figures.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>

namespace moecap::experiment {
namespace {

using cap::FigureId;

bool IsPlainTwin(const SystemConfig& plain, const SystemConfig& system) {
  return !plain.server && !plain.speculation && plain.model == system.model && plain.weights == system.weights &&
         plain.kv == system.kv && plain.float32_attention == system.float32_attention && plain.threads == system.threads &&
         plain.device == system.device && plain.gpu_layers == system.gpu_layers && plain.cpu_experts == system.cpu_experts &&
         plain.experts == system.experts;
}

const cap::CellSummary* FindCell(const std::vector<cap::SystemSummary>& systems, const std::string& name, double level) {
  const auto system = std::ranges::find(systems, name, &cap::SystemSummary::name);
  if (system == systems.end()) return nullptr;
  const auto cell = std::ranges::find_if(system->cells, [&](const cap::CellSummary& c) { return c.level.value == level; });
  return cell != system->cells.end() ? &*cell : nullptr;
}

}  // namespace

void FillSpeculation(std::span<const record::PassRecord> passes, cap::FigureValues& figures) {
  int64_t sequences = 0, drafted = 0, accepted = 0;
  for (const record::PassRecord& pass : passes) {
    for (size_t i = 0; i < pass.accepted_drafts.size(); ++i) {
      const record::SequenceSlice& slice = pass.sequences[i];
      sequences += slice.count;
      drafted += (slice.new_tokens - 1) * slice.count;
      accepted += pass.accepted_drafts[i] * slice.count;
    }
  }
  if (drafted > 0) figures[FigureId::kDraftAcceptance] = static_cast<double>(accepted) / static_cast<double>(drafted);
  if (sequences > 0)
    figures[FigureId::kTokensPerPass] = static_cast<double>(sequences + accepted) / static_cast<double>(sequences);
}

void FillSpeedUps(const Config& config, std::vector<cap::SystemSummary>& systems) {
  for (const SystemConfig& system : config.systems) {
    if (!system.speculation) continue;
    const auto plain = std::ranges::find_if(config.systems, [&](const SystemConfig& s) { return IsPlainTwin(s, system); });
    const auto own = std::ranges::find(systems, system.name, &cap::SystemSummary::name);
    if (plain == config.systems.end() || own == systems.end()) continue;
    for (cap::CellSummary& cell : own->cells) {
      const cap::CellSummary* other = FindCell(systems, plain->name, cell.level.value);
      const auto tpot_s = cell.figures[FigureId::kTpotMean];
      if (other == nullptr || !tpot_s || !(*tpot_s > 0) || !other->figures[FigureId::kTpotMean]) continue;
      cell.figures[FigureId::kSpeculationSpeedUp] = *other->figures[FigureId::kTpotMean] / *tpot_s;
    }
  }
}

}  // namespace moecap::experiment
