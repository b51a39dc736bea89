#include "published_rows.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <map>

#include "base/fs.h"
#include "model/kv_format.h"
#include "model/weight_format.h"
#include "planner_errors.h"
#include "planner_rows.h"

namespace moecap::bench {
namespace {

constexpr size_t kColumns = 18;

std::optional<double> NumberOf(const std::string& cell) {
  return cell.empty() ? std::nullopt : std::optional(std::atof(cell.c_str()));
}

Result<model::ModelSpec> SpecOfCells(const PublishedSet& set, const std::vector<std::string>& cells) {
  ASSIGN_OR_RETURN(const model::CatalogueModel entry, set.models.Find(cells[2]));
  ASSIGN_OR_RETURN(model::ModelSpec spec, model::SpecOf(entry, cells[2]));
  if (cells[3] == "nvfp4") {  // NVIDIA's checkpoints quantise the routed experts and keep the rest
    model::ApplyWeightChoice(spec, *model::WeightChoiceByName("bf16"));
    model::SetWeightPrecision(spec, model::TensorClass::kRoutedExpert, "nvfp4", 4.5);
  } else if (!cells[3].empty()) {
    const auto choice = model::WeightChoiceByName(cells[3]);
    if (!choice) return BadInput(fmt::format("'{}' is no type of weights", cells[3]));
    model::ApplyWeightChoice(spec, *choice);
  }
  if (!cells[4].empty()) RETURN_IF_ERROR(model::ApplyKvFormat(spec, cells[4]));
  return spec;
}

Status ReadRow(const std::vector<std::string>& cells, PublishedSet& set) {
  if (cells.size() != kColumns) return BadInput(fmt::format("{} cells, {} are needed", cells.size(), kColumns));
  PublishedRow row{cells[0], cells[1], cells[2], cells[5], {}, NumberOf(cells[17])};
  ASSIGN_OR_RETURN(const model::ModelSpec spec, SpecOfCells(set, cells));
  ASSIGN_OR_RETURN(hardware::Device device, set.devices.FindDevice(row.gpu));
  planner::Observation& o = row.observation;
  o.work = &set.works.emplace_back(planner::MakeModelWork(spec));
  o.device = &set.used.emplace_back(std::move(device));
  o.system = cells[6];
  o.fabric = planner::FabricOf(*o.device, set.devices);
  const auto integer = [&](size_t column) { return std::atoi(cells[column].c_str()); };
  o.deployment = {integer(8), integer(9), integer(10), integer(11)};
  RETURN_IF_ERROR(Validate(o.deployment, spec));
  o.load.clients = NumberOf(cells[12]);
  o.load.input_tokens = std::atof(cells[13].c_str());
  o.load.output_tokens = std::atof(cells[14].c_str());
  o.ttft_s = NumberOf(cells[15]);
  o.tpot_s = NumberOf(cells[16]);
  if (!o.load.clients || !(o.load.output_tokens > 0)) return BadInput("clients and lengths are needed");
  const auto memory = planner::PlanMemory(spec, o.deployment, static_cast<int64_t>(o.load.MeanContext()));
  o.most_sequences = memory.MostSequences(planner::UsableMemory(*o.device));
  set.rows.push_back(std::move(row));
  return {};
}

// Of one kind of figure: errors, and how many lie inside the band that a plan would show.
struct Tally {
  Errors errors;
  int held = 0;

  void Add(double predicted, double measured, const planner::ErrorBand& band) {
    errors.ratio.push_back(predicted / measured);
    held += band.low * predicted <= measured && measured <= band.high * predicted;
  }
  void Print(const std::string& name) const {
    if (errors.ratio.empty()) return;
    const int rows = static_cast<int>(errors.ratio.size());
    errors.Print(name);
    fmt::print("  {:<34} {:>5} inside the band: {:.1f} %\n", "", "", Percent(held, rows));
  }
};

const char* KindOf(const planner::Multipliers& multipliers, const planner::Observation& o) {
  if (!multipliers.Calibrated(*o.device)) return "not fitted";
  if (o.deployment.data > 1) return "wide";
  return multipliers.Measured(*o.device) ? "fitted" : "sibling";
}

// Pairs of rows of one source that ask one question of two GPU types: output tokens/s of a device, as measured and as
// predicted.
void PrintOrder(const PublishedSet& set, const std::vector<double>& predicted) {
  int pairs = 0, right = 0, far = 0, far_right = 0;
  for (size_t i = 0; i < set.rows.size(); ++i) {
    for (size_t j = i + 1; j < set.rows.size(); ++j) {
      const PublishedRow &a = set.rows[i], &b = set.rows[j];
      const planner::Load &x = a.observation.load, &y = b.observation.load;
      if (a.source != b.source || a.model != b.model || a.gpu == b.gpu || *x.clients != *y.clients ||
          x.input_tokens != y.input_tokens || x.output_tokens != y.output_tokens || !a.output_tokens_per_s ||
          !b.output_tokens_per_s)
        continue;
      const double devices =
          static_cast<double>(a.observation.deployment.Devices()) / static_cast<double>(b.observation.deployment.Devices());
      const double truth = std::log(*a.output_tokens_per_s / *b.output_tokens_per_s / devices);
      const bool same = truth * std::log(predicted[i] / predicted[j] / devices) > 0;
      ++pairs;
      right += same;
      far += std::abs(truth) > std::log(1.2);
      far_right += same && std::abs(truth) > std::log(1.2);
    }
  }
  fmt::print(
      "  {} pairs of GPU types in tokens/s of a device: {:.1f} % ordered correctly; of {} more than 20 % apart {:.1f} %\n",
      pairs, Percent(right, pairs), far, Percent(far_right, far));
}

}  // namespace

Status ReadPublishedRows(const std::string& path, PublishedSet& set) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  const std::vector<std::string> lines = SplitCells(text, '\n');
  bool header = true;
  for (size_t i = 0; i < lines.size(); ++i) {
    if (lines[i].empty() || lines[i].front() == '#') continue;
    if (std::exchange(header, false)) continue;
    if (const Status read = ReadRow(SplitCells(lines[i], ','), set); !read.ok())
      return BadInput(fmt::format("{}, line {}: {}", path, i + 1, read.error().message));
  }
  return set.rows.empty() ? Status(BadInput(path + ": no rows")) : Status();
}

void PrintPublished(const PublishedSet& set, const planner::Multipliers& multipliers) {
  std::map<std::string, Tally> tallies;
  std::vector<double> throughput;
  for (const PublishedRow& row : set.rows) {
    const planner::Observation& o = row.observation;
    const planner::Serving serving = Predict(o, multipliers.FactorsOf(o.system, *o.device));
    const bool wide = o.deployment.data > 1;
    const planner::ErrorBand band = multipliers.BandOf(*o.device, false, wide);
    throughput.push_back(serving.output_tokens_per_s);
    const std::string key = fmt::format("{}, {}", row.source, KindOf(multipliers, o));
    if (o.tpot_s) tallies[key + ": TPOT"].Add(serving.tpot_s, *o.tpot_s, band);
    if (o.ttft_s) tallies[key + ": TTFT"].Add(serving.ttft_s, *o.ttft_s, multipliers.TtftBandOf(*o.device, false, wide));
    if (!o.tpot_s && row.output_tokens_per_s)  // a time for each token, as the band is one of times
      tallies[key + ": s/token"].Add(1 / serving.output_tokens_per_s, 1 / *row.output_tokens_per_s, band);
  }
  fmt::print("\nA second public set, {} rows of published pages that nothing was fitted on, %\n", set.rows.size());
  fmt::print("  {:<34} {:>5} {:>8} {:>8} {:>8} {:>8}   {}\n", "", "rows", "median", "mean", "P90", "bias",
             "predicted / measured, P10 to P90");
  for (const auto& [key, tally] : tallies) tally.Print(key);
  PrintOrder(set, throughput);
}

}  // namespace moecap::bench
