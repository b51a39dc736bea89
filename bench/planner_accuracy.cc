// How well the planner's performance model predicts public measurements of models and devices that its multipliers were not
// fitted on, and whether its choices would have been right.
//
//   planner_accuracy SAMPLE.csv [--fresh OTHER.csv] [--beside FILE] [--published FILE] [--later FILE] [--runs FOLDER]
//                    [--rows-to FILE] [--write multipliers.json]
//
// SAMPLE.csv: rows of aiconfigurator's silicon_sample.csv (Apache-2.0): measured TTFT and TPOT by model, system, backend and
// load. It is not part of this repository. Exit code 1 when a required figure is missed.
//   --fresh    a file of the same form: its rows that SAMPLE.csv lacks are predicted by what was fitted on SAMPLE.csv
//   --beside   another planner's predictions of such rows, CSV of id,ttft_ms,tpot_ms, to be printed beside ours
//   --published  figures of published pages, a second set: predicted by the built-in multipliers and never fitted on; with
//              --write it says what a launch with default settings takes
//   --later    figures that were published later, a third set: of the same form, predicted and nothing else
//   --runs     a folder of our own stored runs: their levels are predicted by the built-in multipliers; those
//              that rest on them are fitted again, each model left out
//   --rows-to  writes how each row was read and what was predicted of it without its model, as CSV; fresh rows, too
//   --write    stores the multipliers fitted on all rows, and the bands, into a copy of the built-in catalogue
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/fs.h"
#include "own_runs.h"
#include "planner/fit.h"
#include "planner_catalogue.h"
#include "planner_errors.h"
#include "planner_rows.h"
#include "published_rows.h"

namespace moecap {
namespace {

using bench::Band;
using bench::BandGroup;
using bench::Bands;
using bench::CrossCoverage;
using bench::Errors;
using bench::ErrorsOf;
using bench::Held;
using bench::KeyOf;
using bench::Percent;
using bench::Predictions;
using bench::Quantile;
using bench::SiliconSample;
using planner::FitTarget;
using planner::Observation;
using Row = bench::SiliconRow;

planner::Multipliers FitBoth(const planner::Multipliers& prior, const std::vector<Observation>& rows) {
  planner::FitOptions options;
  planner::Multipliers fitted = Fit(prior, rows, FittedKeys(prior, rows, FitTarget::kTpot), options);
  options.target = FitTarget::kTtft;
  options.corner = 0.1;
  return Fit(fitted, rows, FittedKeys(prior, rows, FitTarget::kTtft), options);
}

// Each group predicted by multipliers fitted on the others. An empty key leaves nothing out.
Predictions LeaveOut(const planner::Multipliers& prior, const std::vector<Row>& rows, const KeyOf& key) {
  Predictions result;
  const size_t n = rows.size();
  result.tpot_at.resize(n);
  result.tpot.resize(n);
  result.ttft.resize(n);
  result.tokens_per_s.resize(n);
  std::set<std::string> groups;
  for (const Row& row : rows) groups.insert(key(row));
  for (const std::string& group : groups) {
    std::vector<Observation> others;
    for (const Row& row : rows) {
      if (group.empty() || key(row) != group) others.push_back(row.observation);
    }
    const planner::Multipliers fitted = FitBoth(prior, others);
    for (size_t i = 0; i < n; ++i) {
      if (key(rows[i]) != group) continue;
      const Observation& o = rows[i].observation;
      const planner::StepFactors factors = fitted.FactorsOf(o.system, *o.device);
      result.tpot_at[i] = PredictTpotAt(o, factors);
      const planner::Serving serving = Predict(o, factors);
      result.tpot[i] = serving.tpot_s;
      result.ttft[i] = serving.ttft_s;
      result.tokens_per_s[i] = serving.output_tokens_per_s;
    }
  }
  return result;
}

double MeasuredTokensPerS(const Observation& o) {
  return *o.load.clients * o.load.output_tokens / (*o.ttft_s + o.load.output_tokens * *o.tpot_s);
}

std::string QuestionOf(const Row& row, bool clients) {
  const planner::Load& load = row.observation.load;
  return fmt::format("{}|{}|{}|{}", row.model, load.input_tokens, load.output_tokens, clients ? *load.clients : 0);
}

// GPU-seconds that a token takes: of decoding alone (devices x TPOT / clients), or of whole requests (devices / throughput).
enum class TokenCost { kDecode, kRequest };

// Pairs of rows on different GPU types with the same question, in GPU-seconds per token: share that is ordered as measured.
struct Ordering {
  int pairs = 0, right = 0, far = 0, far_right = 0;  // far: more than 20 % apart
};
Ordering OrderPairs(const std::vector<Row>& rows, const Predictions& predictions, TokenCost cost) {
  std::map<std::string, std::vector<size_t>> questions;
  for (size_t i = 0; i < rows.size(); ++i) questions[QuestionOf(rows[i], true)].push_back(i);
  const auto seconds = [&](size_t i, double tpot_s, double tokens_per_s) {
    const Observation& o = rows[i].observation;
    return static_cast<double>(o.deployment.Devices()) *
           (cost == TokenCost::kDecode ? tpot_s / *o.load.clients : 1 / tokens_per_s);
  };
  const auto measured = [&](size_t i) {
    return seconds(i, *rows[i].observation.tpot_s, MeasuredTokensPerS(rows[i].observation));
  };
  const auto predicted = [&](size_t i) {
    return seconds(i, predictions.tpot[i], cost == TokenCost::kRequest ? predictions.tokens_per_s[i] : 0);
  };
  Ordering ordering;
  for (const auto& [question, members] : questions) {
    for (size_t a = 0; a < members.size(); ++a) {
      for (size_t b = a + 1; b < members.size(); ++b) {
        const size_t i = members[a], j = members[b];
        if (rows[i].gpu == rows[j].gpu) continue;
        const double truth = std::log(measured(i) / measured(j));
        const bool right = truth * std::log(predicted(i) / predicted(j)) > 0;
        const bool far = std::abs(truth) > std::log(1.2);
        ++ordering.pairs;
        ordering.right += right;
        ordering.far += far;
        ordering.far_right += far && right;
      }
    }
  }
  return ordering;
}

// "The cheapest configuration that gives each user at least S tokens/s", the first within `most_ttft_s`: the row picked by
// prediction against the best one.
struct Choices {
  int cases = 0, right_gpu = 0, missed = 0;
  std::vector<double> regret;  // cost of the pick / cost of the best, as measured
};
Choices Choose(const std::vector<Row>& rows, const Predictions& predictions, double margin, double most_ttft_s) {
  std::map<std::string, std::vector<size_t>> questions;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (*rows[i].observation.ttft_s <= most_ttft_s) questions[QuestionOf(rows[i], false)].push_back(i);
  }
  Choices choices;
  for (const auto& [question, members] : questions) {
    for (const double speed : {10.0, 20.0, 30.0, 50.0, 75.0, 100.0}) {
      const auto cheapest = [&](const auto& tpot, const auto& tokens_per_s) {
        std::optional<size_t> best;
        for (const size_t i : members) {
          if (tpot(i) > 1 / speed) continue;
          if (!best || rows[i].usd_per_h / tokens_per_s(i) < rows[*best].usd_per_h / tokens_per_s(*best)) best = i;
        }
        return best;
      };
      const auto measured_cost = [&](size_t i) { return rows[i].usd_per_h / MeasuredTokensPerS(rows[i].observation); };
      const auto best = cheapest([&](size_t i) { return *rows[i].observation.tpot_s; },
                                 [&](size_t i) { return MeasuredTokensPerS(rows[i].observation); });
      const auto pick = cheapest([&](size_t i) { return predictions.tpot[i] * margin; },
                                 [&](size_t i) { return predictions.tokens_per_s[i]; });
      if (!best || !pick) continue;
      ++choices.cases;
      choices.right_gpu += rows[*pick].gpu == rows[*best].gpu;
      choices.missed += *rows[*pick].observation.tpot_s > 1.05 / speed;
      choices.regret.push_back(measured_cost(*pick) / measured_cost(*best));
    }
  }
  return choices;
}

// Rows behind a queue of minutes (an admission limit that the row does not name) are no answer to anybody.
constexpr double kFirstTokenS = 10;

int failures = 0;
void Require(const char* what, double value, double limit, bool at_most) {
  const bool met = at_most ? value <= limit : value >= limit;
  failures += !met;
  fmt::print("  {:<66} {:>7.2f}   {} {:g}   {}\n", what, value, at_most ? "at most" : "at least", limit,
             met ? "met" : "MISSED");
}

void PrintErrors(const std::vector<Row>& rows, const char* title, const Predictions& predictions, const KeyOf& key) {
  const auto all = [](const Row&) { return true; };
  fmt::print("\n{}\n  {:<34} {:>5} {:>8} {:>8} {:>8} {:>8}   {}\n", title, "", "rows", "median", "mean", "P90", "bias",
             "predicted / measured, P10 to P90");
  ErrorsOf(rows, predictions.tpot_at, &Observation::tpot_s, all).Print("TPOT at the measured batch");
  ErrorsOf(rows, predictions.tpot, &Observation::tpot_s, all).Print("TPOT");
  ErrorsOf(rows, predictions.ttft, &Observation::ttft_s, all).Print("TTFT");
  std::set<std::string> groups;
  for (const Row& row : rows) groups.insert(key(row));
  for (const std::string& group : groups) {
    if (group.empty()) continue;
    ErrorsOf(rows, predictions.tpot_at, &Observation::tpot_s, [&](const Row& row) {
      return key(row) == group;
    }).Print("  TPOT at the measured batch, " + group);
  }
}

Predictions PredictAll(const std::vector<Row>& rows, const planner::Multipliers& fitted) {
  Predictions predictions;
  for (const Row& row : rows) {
    const Observation& o = row.observation;
    const planner::StepFactors factors = fitted.FactorsOf(o.system, *o.device);
    const planner::Serving serving = Predict(o, factors);
    predictions.tpot_at.push_back(PredictTpotAt(o, factors));
    predictions.tpot.push_back(serving.tpot_s);
    predictions.ttft.push_back(serving.ttft_s);
    predictions.tokens_per_s.push_back(serving.output_tokens_per_s);
  }
  return predictions;
}

// What no fit has seen: replicas that share experts and step together (data-parallel attention), or stand side by side.
void PrintWide(const std::vector<Row>& rows, const Predictions& predictions) {
  PrintErrors(rows, "Several replicas, most with data-parallel attention, never fitted, %", predictions, [](const Row& row) {
    const metrics::Deployment& d = row.observation.deployment;
    return fmt::format("TP {} EP {} DP {}", d.tensor, d.expert, d.data);
  });
}

// A line for each row as it was read; `set`: "fitted" or "fresh".
std::string RowsText(const char* set, const std::vector<Row>& rows, const Predictions& predictions) {
  std::string text;
  for (size_t i = 0; i < rows.size(); ++i) {
    const Observation& o = rows[i].observation;
    text += fmt::format("{},{},{},{},{},{},{},{},{},{},{},{},{:.1f},{:.6g},{:.6g},{:.6g},{:.6g},{:.6g}\n", set, rows[i].id,
                        rows[i].family, rows[i].gpu, o.system, rows[i].precision, o.deployment.tensor, o.deployment.expert,
                        o.load.input_tokens, o.load.output_tokens, *o.load.clients, o.poll_steps, o.most_sequences, *o.ttft_s,
                        *o.tpot_s, predictions.ttft[i], predictions.tpot[i], predictions.tpot_at[i]);
  }
  return text;
}
constexpr const char* kRowColumns =
    "set,id,family,gpu,system,precision,tensor,expert,input_tokens,output_tokens,clients,poll_steps,most_sequences,ttft_s,"
    "tpot_s,predicted_ttft_s,predicted_tpot_s,predicted_tpot_at_measured_batch_s\n";

void PrintMultipliers(const planner::Multipliers& multipliers) {
  fmt::print("\nMultipliers fitted on all rows\n");
  for (const planner::Multiplier& entry : multipliers.entries())
    fmt::print("  {:<26} {:>10.4g} {:<6} {:>6} rows  {}\n", entry.key, entry.value, entry.unit, entry.rows, entry.meaning);
}

void PrintBands(const Bands& bands, const std::vector<Row>& rows, const Predictions& unseen_model,
                const Predictions& unseen_gpu) {
  const KeyOf family = [](const Row& row) { return row.family; };
  const KeyOf gpu = [](const Row& row) { return row.gpu; };
  fmt::print("\n80 % bands of measured / predicted, and the share of rows inside bands made without their own group\n");
  fmt::print("  TPOT of an unseen model      {:.3f} to {:.3f}   {:.1f} %\n", bands.calibrated.low, bands.calibrated.high,
             CrossCoverage(rows, unseen_model.tpot, &Observation::tpot_s, BandGroup, family));
  fmt::print("  TPOT on an unseen GPU type   {:.3f} to {:.3f}   {:.1f} %\n", bands.sibling.low, bands.sibling.high,
             CrossCoverage(rows, unseen_gpu.tpot, &Observation::tpot_s, BandGroup, gpu));
  fmt::print("  TPOT of several replicas     {:.3f} to {:.3f}   never fitted\n", bands.wide.low, bands.wide.high);
  fmt::print("  TTFT of an unseen model      {:.3f} to {:.3f}   {:.1f} %\n", bands.ttft.low, bands.ttft.high,
             CrossCoverage(rows, unseen_model.ttft, &Observation::ttft_s, BandGroup, family));
}

// Another planner's predictions by row.
struct Other {
  double ttft_s = 0, tpot_s = 0;
};
Result<std::map<std::string, Other>> ReadBeside(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  std::map<std::string, Other> others;
  for (const std::string& line : bench::SplitCells(text, '\n')) {
    const std::vector<std::string> cells = bench::SplitCells(line, ',');
    if (cells.size() != 3 || cells[0] == "id") continue;
    others[cells[0]] = {std::atof(cells[1].c_str()) / 1e3, std::atof(cells[2].c_str()) / 1e3};
  }
  return others;
}

// Both on the rows that the other one answered.
void PrintBeside(const char* title, const std::vector<Row>& rows, const Predictions& predictions,
                 const std::map<std::string, Other>& others) {
  std::vector<Row> common;
  Predictions ours, theirs;
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto other = others.find(rows[i].id);
    if (other == others.end() || !(other->second.tpot_s > 0)) continue;
    common.push_back(rows[i]);
    ours.tpot.push_back(predictions.tpot[i]);
    ours.ttft.push_back(predictions.ttft[i]);
    theirs.tpot.push_back(other->second.tpot_s);
    theirs.ttft.push_back(other->second.ttft_s);
  }
  if (common.empty()) return;
  const auto all = [](const Row&) { return true; };
  fmt::print("\n{}, %\n  {:<34} {:>5} {:>8} {:>8} {:>8} {:>8}   {}\n", title, "", "rows", "median", "mean", "P90", "bias",
             "predicted / measured, P10 to P90");
  for (const auto& [name, each] : {std::pair("this planner", &ours), std::pair("the other", &theirs)}) {
    ErrorsOf(common, each->tpot, &Observation::tpot_s, all).Print(fmt::format("TPOT, {}", name));
    ErrorsOf(common, each->ttft, &Observation::ttft_s, all).Print(fmt::format("TTFT, {}", name));
    const Ordering ordering = OrderPairs(common, *each, TokenCost::kDecode);
    fmt::print("  {} pairs of GPU types, {}: {:.1f} % ordered correctly; of {} more than 20 % apart {:.1f} %\n", ordering.pairs,
               name, Percent(ordering.right, ordering.pairs), ordering.far, Percent(ordering.far_right, ordering.far));
  }
}

// What the command line names; "" = not asked for.
struct Files {
  std::string sample, fresh, beside, published, later, runs, rows_to, write;
};

// Rows of models that nobody tuned on, as the multipliers fitted on the sample predict them: their RowsText().
Result<std::string> PrintFresh(const Files& files, const planner::Multipliers& fitted, const Bands& bands) {
  ASSIGN_OR_RETURN(const std::set<std::string> known, bench::IdsOfSiliconSample(files.sample));
  ASSIGN_OR_RETURN(hardware::Catalogue devices, hardware::Catalogue::Builtin());
  ASSIGN_OR_RETURN(model::ModelCatalogue models, model::ModelCatalogue::Builtin());
  SiliconSample sample{std::move(devices), std::move(models)};
  RETURN_IF_ERROR(ReadSiliconSample(files.fresh, known, sample));
  const Predictions predictions = PredictAll(sample.rows, fitted);
  PrintErrors(sample.rows, "Models that no multiplier was fitted on and no band was made of, %", predictions,
              [](const Row& row) { return row.family; });
  const auto every = [](const Row&) { return true; };
  const int rows = static_cast<int>(sample.rows.size());
  const Ordering ordering = OrderPairs(sample.rows, predictions, TokenCost::kDecode);
  fmt::print("  {} pairs of GPU types: {:.1f} % ordered correctly; of {} more than 20 % apart {:.1f} %\n", ordering.pairs,
             Percent(ordering.right, ordering.pairs), ordering.far, Percent(ordering.far_right, ordering.far));
  const double tpot = Percent(Held(sample.rows, predictions.tpot, &Observation::tpot_s, bands.calibrated, every), rows);
  const double ttft = Percent(Held(sample.rows, predictions.ttft, &Observation::ttft_s, bands.ttft, every), rows);
  fmt::print(
      "  inside the 80 % band: TPOT {:.1f} %, TTFT {:.1f} %; each deployment counted once {:.1f} and {:.1f} %; required 78 to "
      "82 %\n",
      tpot, ttft, HeldByGroup(sample.rows, predictions.tpot, &Observation::tpot_s, bands.calibrated, BandGroup),
      HeldByGroup(sample.rows, predictions.ttft, &Observation::ttft_s, bands.ttft, BandGroup));
  if (!files.beside.empty()) {
    ASSIGN_OR_RETURN(const auto others, ReadBeside(files.beside));
    PrintBeside("Beside another planner, models that we did not fit", sample.rows, predictions, others);
  }
  return RowsText("fresh", sample.rows, predictions);
}

// What the benchmark is required to reach, and figures beside it.
void PrintRequired(const std::vector<Row>& rows, const Predictions& unseen_model, const Predictions& unseen_gpu) {
  const auto every = [](const Row&) { return true; };
  const Errors by_model = ErrorsOf(rows, unseen_model.tpot_at, &Observation::tpot_s, every);
  const Errors by_gpu = ErrorsOf(rows, unseen_gpu.tpot_at, &Observation::tpot_s, every);
  const Ordering ordering = OrderPairs(rows, unseen_model, TokenCost::kDecode);
  const Ordering requests = OrderPairs(rows, unseen_model, TokenCost::kRequest);
  const Choices choices = Choose(rows, unseen_model, 1, kFirstTokenS), careful = Choose(rows, unseen_model, 1.15, kFirstTokenS);
  const Choices any_ttft = Choose(rows, unseen_model, 1, 1e9);
  fmt::print("\nRequired\n");
  Require("TPOT of an unseen model: median absolute error, %", 100 * by_model.Absolute(.5), 15, true);
  Require("TPOT of an unseen model: mean absolute error, %", 100 * by_model.Mean(), 21, true);
  Require("TPOT on an unseen GPU type: median absolute error, %", 100 * by_gpu.Absolute(.5), 16, true);
  Require("pairs of GPU types ordered correctly, unseen model, %", Percent(ordering.right, ordering.pairs), 92, false);
  Require("cheapest configuration that meets a speed: right GPU type, %", Percent(choices.right_gpu, choices.cases), 80, false);
  Require("... cost against the best, median", Quantile(choices.regret, .5), 1.05, true);
  fmt::print("\nBeside them\n");
  for (const auto& [name, o] : {std::pair("decoding", &ordering), std::pair("whole requests, TTFT included", &requests)}) {
    fmt::print("  {} pairs in GPU-seconds per token of {}: {:.1f} % right; of {} more than 20 % apart {:.1f} %\n", o->pairs,
               name, Percent(o->right, o->pairs), o->far, Percent(o->far_right, o->far));
  }
  for (const auto& [name, c] :
       {std::pair("first token within 10 s", &choices), std::pair("first token within 10 s, margin 1.15", &careful),
        std::pair("any TTFT (rows with a queue of minutes count as best)", &any_ttft)}) {
    fmt::print(
        "  cheapest configuration, {}: {} cases, right GPU {:.0f} %, cost median {:.2f}, P90 {:.2f}, speed missed {:.0f} %\n",
        name, c->cases, Percent(c->right_gpu, c->cases), Quantile(c->regret, .5), Quantile(c->regret, .9),
        Percent(c->missed, c->cases));
  }
}

Status Run(const Files& files) {
  ASSIGN_OR_RETURN(hardware::Catalogue devices, hardware::Catalogue::Builtin());
  ASSIGN_OR_RETURN(model::ModelCatalogue models, model::ModelCatalogue::Builtin());
  ASSIGN_OR_RETURN(const planner::Multipliers builtin, planner::Multipliers::Builtin());
  const planner::Multipliers prior = builtin.AtPriors();
  SiliconSample sample{std::move(devices), std::move(models)};
  RETURN_IF_ERROR(ReadSiliconSample(files.sample, {}, sample));
  const std::vector<Row>& rows = sample.rows;
  fmt::print(
      "{} rows of MoE models; {} of several replicas, never fitted; {} stand there again, {} left out (work in progress, "
      "layout "
      "not said)\n",
      rows.size(), sample.wide.size(), sample.repeated, sample.left_out);
  const KeyOf nothing = [](const Row&) { return ""; };
  const KeyOf family = [](const Row& row) { return row.family; };
  const KeyOf gpu = [](const Row& row) { return row.gpu; };
  const Predictions seen = LeaveOut(prior, rows, nothing);
  const Predictions unseen_model = LeaveOut(prior, rows, family);
  const Predictions unseen_gpu = LeaveOut(prior, rows, gpu);
  PrintErrors(rows, "Fitted on all rows, % (not a test: what the form itself leaves)", seen, nothing);
  PrintErrors(rows, "The tested model left out, %", unseen_model, family);
  PrintErrors(rows, "The tested GPU type left out, %", unseen_gpu, gpu);
  std::vector<Observation> all;
  for (const Row& row : rows) all.push_back(row.observation);
  const planner::Multipliers fitted = FitBoth(prior, all);
  const Predictions wide = PredictAll(sample.wide, fitted);
  if (!sample.wide.empty()) PrintWide(sample.wide, wide);
  if (!files.runs.empty()) RETURN_IF_ERROR(bench::PrintOwnRuns(files.runs, builtin, sample.devices));
  ASSIGN_OR_RETURN(planner::SystemSupport systems, planner::SystemSupport::Builtin());
  bench::PublishedSet published{sample.devices, sample.models, std::move(systems)};
  for (const std::string& file : {files.published, files.later}) {
    if (!file.empty()) RETURN_IF_ERROR(ReadPublishedRows(file, published));
  }
  if (!published.rows.empty()) PrintPublished(published, builtin);
  PrintMultipliers(fitted);

  const auto every = [](const Row&) { return true; };
  const auto band = [&](const std::vector<Row>& of, const std::vector<double>& predicted, auto measured) {
    return Band::Of(of, predicted, measured, BandGroup, every);
  };
  const Bands bands = {band(rows, unseen_model.tpot, &Observation::tpot_s), band(rows, unseen_gpu.tpot, &Observation::tpot_s),
                       band(sample.wide, wide.tpot, &Observation::tpot_s), band(rows, unseen_model.ttft, &Observation::ttft_s)};
  PrintBands(bands, rows, unseen_model, unseen_gpu);
  if (!files.beside.empty()) {
    ASSIGN_OR_RETURN(const auto others, ReadBeside(files.beside));
    PrintBeside("Beside another planner, ours fitted without the tested model", rows, unseen_model, others);
  }
  std::string fresh;
  if (!files.fresh.empty()) {
    ASSIGN_OR_RETURN(fresh, PrintFresh(files, fitted, bands));
  }
  PrintRequired(rows, unseen_model, unseen_gpu);
  if (!files.rows_to.empty())
    RETURN_IF_ERROR(WriteFileAtomically(files.rows_to, kRowColumns + RowsText("fitted", rows, unseen_model) + fresh));
  if (!files.write.empty()) {
    if (files.published.empty()) return BadInput("--write needs --published: it says what a default launch takes");
    RETURN_IF_ERROR(WriteMultipliers(files.write, fitted, bands, DefaultLaunchOf(published, fitted), rows.size()));
  }
  return {};
}

}  // namespace
}  // namespace moecap

int main(int argc, char** argv) {
  moecap::Files files;
  const std::map<std::string, std::string*> flags = {
      {"--fresh", &files.fresh}, {"--beside", &files.beside},   {"--published", &files.published}, {"--runs", &files.runs},
      {"--later", &files.later}, {"--rows-to", &files.rows_to}, {"--write", &files.write}};
  bool understood = argc >= 2 && argc % 2 == 0;
  if (understood) files.sample = argv[1];
  for (int i = 2; understood && i < argc; i += 2) {
    const auto flag = flags.find(argv[i]);
    understood = flag != flags.end();
    if (understood) *flag->second = argv[i + 1];
  }
  if (!understood) {
    std::fputs(
        "usage: planner_accuracy SAMPLE.csv [--fresh CSV] [--beside CSV] [--published CSV] [--later CSV] [--runs FOLDER] "
        "[--rows-to CSV] [--write JSON]\n",
        stderr);
    return 2;
  }
  const moecap::Status status = moecap::Run(files);
  if (!status.ok()) {
    std::fprintf(stderr, "planner_accuracy: %s\n", status.error().message.c_str());
    return 2;
  }
  return moecap::failures == 0 ? 0 : 1;
}
