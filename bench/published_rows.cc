#include "published_rows.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <string_view>
#include <utility>

#include "base/fs.h"
#include "model/kv_format.h"
#include "model/weight_format.h"
#include "planner/question.h"
#include "planner/running_limit.h"
#include "planner_errors.h"
#include "planner_rows.h"
#include "stats/unseen_group.h"

namespace moecap::bench {
namespace {

constexpr size_t kColumns = 19;

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

Status ReadRow(const std::string& file, const std::vector<std::string>& cells, PublishedSet& set) {
  if (cells.size() != kColumns) return BadInput(fmt::format("{} cells, {} are needed", cells.size(), kColumns));
  // Columns from the model to the layout, but for the version.
  std::vector<std::string> deployment(cells.begin() + 2, cells.begin() + 7);
  deployment.insert(deployment.end(), cells.begin() + 8, cells.begin() + 12);
  PublishedRow row{file,
                   cells[0],
                   cells[1],
                   cells[2],
                   cells[5],
                   fmt::format("{}", fmt::join(deployment, "|")),
                   {},
                   planner::kNoRunningLimit,
                   NumberOf(cells[17])};
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
  const double usable = planner::UsableMemory(*o.device);
  o.most_sequences = memory.MostSequences(usable);
  o.running_limit = NumberOf(cells[18]).value_or(planner::kNoRunningLimit);
  row.default_running =
      NumberOf(cells[18]).value_or(planner::DefaultRunningLimit(set.systems.Find(o.system), *o.device, memory, usable));
  set.rows.push_back(std::move(row));
  return {};
}

constexpr std::string_view kDefaultSource = "sgl-cookbook";
// Requests that wait so long stand in a line, as of a benchmark that sends all at once: their TTFT is their place in it, and
// how many run is a limit of the launch that the row does not name.
constexpr double kLineS = 10;
constexpr std::array kLaunches = {planner::Launch::kTuned, planner::Launch::kDefault, planner::Launch::kEither};

// What of a row is predicted by tuned multipliers where its launch has the settings of its system's documentation: no more run
// at once than the system lets run then.
planner::Serving PredictDefault(const PublishedRow& row, const planner::Multipliers& multipliers) {
  planner::Observation o = row.observation;
  o.running_limit = row.default_running;
  return Predict(o, multipliers.FactorsOf(o.system, *o.device));
}

// Of one kind of figure: errors against a tuned launch, and which rows lie inside the bands of each launch.
struct Tally {
  Errors errors;
  std::array<int, 3> held = {};
  std::map<std::string, std::array<int, 4>> deployments = {};  // held by launch; rows

  // `by_default`: predicted of a launch with default settings.
  void Add(const std::string& deployment, double predicted, double by_default, double measured,
           const std::array<planner::ErrorBand, 3>& bands) {
    errors.ratio.push_back(predicted / measured);
    std::array<int, 4>& group = deployments[deployment];
    ++group[3];
    for (size_t i = 0; i < kLaunches.size(); ++i) {
      const double shown = kLaunches[i] == planner::Launch::kDefault ? by_default : predicted;
      const bool inside = bands[i].low * shown <= measured && measured <= bands[i].high * shown;
      held[i] += inside;
      group[i] += inside;
    }
  }
  // Each deployment counted once, in %.
  double ByDeployment(size_t launch) const {
    double sum = 0;
    for (const auto& [name, group] : deployments) sum += Percent(group[launch], group[3]);
    return sum / static_cast<double>(deployments.size());
  }
  void Print(const std::string& name) const {
    if (errors.ratio.empty()) return;
    const int rows = static_cast<int>(errors.ratio.size());
    errors.Print(name);
    fmt::print("    {} deployment{}; inside the band, % of rows (of deployments):", deployments.size(),
               deployments.size() == 1 ? "" : "s");
    for (size_t i = 0; i < kLaunches.size(); ++i)
      fmt::print("{} {} {:.1f} ({:.1f})", i == 0 ? "" : ",", planner::Name(kLaunches[i]), Percent(held[i], rows),
                 ByDeployment(i));
    fmt::print("\n");
  }
};

using Groups = std::map<std::string, std::vector<double>>;

// Where half of the weight lies below, each group having one weight that its values share.
double MedianOfGroups(const Groups& groups) {
  std::vector<std::pair<double, double>> values;
  for (const auto& [name, members] : groups) {
    for (const double value : members) values.emplace_back(value, 1.0 / static_cast<double>(members.size() * groups.size()));
  }
  std::sort(values.begin(), values.end());
  double below = 0;
  for (const auto& [value, weight] : values) {
    if ((below += weight) >= 0.5 - 1e-12) return value;
  }
  return std::nan("");
}

planner::ErrorBand BandOfGroups(const Groups& groups) {
  std::vector<std::vector<double>> members;
  for (const auto& [name, values] : groups) {
    members.emplace_back();
    for (const double value : values) members.back().push_back(std::log(value));
  }
  constexpr double kOutside = 0.1;  // on either side
  const auto interval = stats::UnseenGroupInterval(members, kOutside);
  return interval ? planner::ErrorBand{std::exp(interval->low), std::exp(interval->high), ""}
                  : planner::ErrorBand{std::nan(""), std::nan(""), ""};
}

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
  const std::string file = std::filesystem::path(path).filename().string();
  bool header = true;
  for (size_t i = 0; i < lines.size(); ++i) {
    if (lines[i].empty() || lines[i].front() == '#') continue;
    if (std::exchange(header, false)) continue;
    if (const Status read = ReadRow(file, SplitCells(lines[i], ','), set); !read.ok())
      return BadInput(fmt::format("{}, line {}: {}", path, i + 1, read.error().message));
  }
  return set.rows.empty() ? Status(BadInput(path + ": no rows")) : Status();
}

DefaultLaunch DefaultLaunchOf(const PublishedSet& set, const planner::Multipliers& multipliers, const std::string& without) {
  DefaultLaunch launch;
  Groups tpot, ttft;
  for (const PublishedRow& row : set.rows) {
    const planner::Observation& o = row.observation;
    if (row.source != kDefaultSource || row.model == without || o.deployment.data > 1 || !multipliers.Calibrated(*o.device) ||
        !o.tpot_s || !o.ttft_s)
      continue;
    const planner::Serving tuned = PredictDefault(row, multipliers);
    tpot[row.deployment].push_back(*o.tpot_s / tuned.tpot_s);
    ttft[row.deployment].push_back(*o.ttft_s / tuned.ttft_s);
    ++launch.rows;
  }
  launch.deployments = static_cast<int>(tpot.size());
  launch.effect = {MedianOfGroups(tpot), MedianOfGroups(ttft), BandOfGroups(tpot), BandOfGroups(ttft)};
  return launch;
}

void PrintPublished(const PublishedSet& set, const planner::Multipliers& multipliers) {
  std::map<std::string, Tally> tallies,
      files;  // of a whole file: TPOT, or seconds a token where there is none or it is of a line
  std::map<std::string, planner::Multipliers> without;  // the model, in what a default launch takes
  std::vector<double> throughput;
  for (const PublishedRow& row : set.rows) {
    const planner::Observation& o = row.observation;
    const planner::Serving serving = Predict(o, multipliers.FactorsOf(o.system, *o.device));
    throughput.push_back(serving.output_tokens_per_s);
    const planner::Multipliers* blind = &multipliers;
    if (row.source == kDefaultSource) {
      const auto [at, added] = without.try_emplace(row.model, multipliers);
      if (added) at->second.SetDefaultLaunch(DefaultLaunchOf(set, multipliers, row.model).effect);
      blind = &at->second;
    }
    const bool wide = o.deployment.data > 1;
    std::array<planner::ErrorBand, 3> tpot, ttft;
    for (size_t i = 0; i < kLaunches.size(); ++i) {
      tpot[i] = blind->BandOf(o.system, *o.device, false, wide, kLaunches[i]);
      ttft[i] = blind->TtftBandOf(o.system, *o.device, false, wide, kLaunches[i]);
    }
    const planner::LaunchEffect& effect = blind->DefaultLaunch();
    const planner::Serving untuned = PredictDefault(row, multipliers);
    const bool line = o.ttft_s && *o.ttft_s > kLineS;
    const std::string key = fmt::format("{}, {}{}", row.source, KindOf(multipliers, o), line ? ", line" : "");
    if (o.tpot_s)
      tallies[key + ": TPOT"].Add(row.deployment, serving.tpot_s, effect.tpot_time * untuned.tpot_s, *o.tpot_s, tpot);
    if (o.ttft_s && !line)
      tallies[key + ": TTFT"].Add(row.deployment, serving.ttft_s, effect.ttft_time * untuned.ttft_s, *o.ttft_s, ttft);
    // A time for each token, as the band is one of times; of rows in a line, too, whose throughput does not depend on how
    // requests of one length come in waves.
    const bool by_rate = (!o.tpot_s || line) && row.output_tokens_per_s;
    if (!by_rate && !o.tpot_s) continue;
    const double predicted = by_rate ? 1 / serving.output_tokens_per_s : serving.tpot_s;
    const double by_default = effect.tpot_time * (by_rate ? 1 / untuned.output_tokens_per_s : untuned.tpot_s);
    const double measured = by_rate ? 1 / *row.output_tokens_per_s : *o.tpot_s;
    if (by_rate) tallies[key + ": s/token"].Add(row.deployment, predicted, by_default, measured, tpot);
    files[row.file].Add(row.deployment, predicted, by_default, measured, tpot);
  }
  fmt::print("\nPublished pages, {} rows that no multiplier was fitted on; errors against a tuned launch, %\n",
             set.rows.size());
  fmt::print("  {:<34} {:>5} {:>8} {:>8} {:>8} {:>8}   {}\n", "", "rows", "median", "mean", "P90", "bias",
             "predicted / measured, P10 to P90");
  for (const auto& [key, tally] : tallies) tally.Print(key);
  for (const auto& [file, tally] : files) tally.Print(file);
  PrintOrder(set, throughput);
}

}  // namespace moecap::bench
