// How well the planner's performance model predicts public measurements of models and devices that its multipliers were not
// fitted on, and whether its choices would have been right.
//
//   planner_accuracy SAMPLE.csv [--runs FOLDER] [--write multipliers.json]
//
// SAMPLE.csv: rows of aiconfigurator's silicon_sample.csv (Apache-2.0): measured TTFT and TPOT by model, system, backend and
// load. It is not part of this repository. Exit code 1 when a required figure is missed. --write stores the multipliers fitted
// on all rows into a copy of the built-in catalogue. --runs: a folder of our own stored runs, whose levels are predicted by the
// built-in multipliers and never fitted on.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "analysis/transfer.h"
#include "app/measured_levels.h"
#include "base/fs.h"
#include "base/json.h"
#include "hardware/catalogue.h"
#include "model/catalogue.h"
#include "model/kv_format.h"
#include "model/quantization.h"
#include "model/weight_format.h"
#include "planner/fit.h"

namespace moecap {
namespace {

using model::TensorClass;
using planner::FitTarget;
using planner::Observation;

struct Family {
  const char* mark;  // in the row's model_path
  const char* id;    // in the model catalogue
};
// Models of one shape count as one: a fold leaves all of them out.
constexpr Family kFamilies[] = {{"DeepSeek-R1", "deepseek-ai/DeepSeek-R1"}, {"DeepSeek-V3", "deepseek-ai/DeepSeek-R1"},
                                {"MiniMax-M2", "MiniMaxAI/MiniMax-M2.5"},   {"gpt-oss-120b", "openai/gpt-oss-120b"},
                                {"Kimi-K2.5", "moonshotai/Kimi-K2.5"},      {"Qwen3-235B", "Qwen/Qwen3-235B-A22B"},
                                {"Qwen3.5-397B", "Qwen/Qwen3.5-397B-A17B"}, {"GLM-5", "zai-org/GLM-5"}};
struct Gpu {
  const char* name;  // in the rows
  const char* id;    // in the device catalogue
  double usd_per_h;  // three years' rental (InferenceX's constants, 2026): what the choices are judged with
};
constexpr Gpu kGpus[] = {{"h100_sxm", "h100-sxm", 1.30}, {"h200_sxm", "h200-sxm", 1.60}, {"b200_sxm", "b200-sxm", 2.90},
                         {"b300_sxm", "b300-sxm", 3.48}, {"gb200", "gb200", 3.30},       {"gb300", "gb300", 3.96}};

struct Row {
  Observation observation;
  std::string model, family, gpu, precision;
  double usd_per_h = 0;  // of all its devices
};

struct Sample {
  hardware::Catalogue devices;
  model::ModelCatalogue models;
  std::map<std::string, hardware::Device> gpus;
  std::map<std::string, planner::ModelWork> works;
  std::map<std::string, model::ModelSpec> specs;
  std::vector<Row> rows;
  std::vector<Row> wide;  // several replicas, most with data-parallel attention: predicted, never fitted
  int left_out = 0;
};

std::vector<std::string> Split(const std::string& line, char separator) {
  std::vector<std::string> cells(1);
  for (const char c : line) {
    if (c == separator) {
      cells.emplace_back();
    } else if (c != '\r') {
      cells.back() += c;
    }
  }
  return cells;
}

// What the named checkpoints store: NVFP4 ones quantise the routed experts and keep the rest in bf16. vLLM keeps the KV cache
// in the model's type, TensorRT-LLM and SGLang were run with fp8.
Result<model::ModelSpec> SpecOfRow(Sample& sample, const std::string& id, const std::string& precision,
                                   const std::string& backend) {
  ASSIGN_OR_RETURN(const model::CatalogueModel entry, sample.models.Find(id));
  ASSIGN_OR_RETURN(model::ModelSpec spec, model::SpecOf(entry, id));
  if (precision == "fp4" && spec.type_by_class[static_cast<size_t>(TensorClass::kRoutedExpert)] != "mxfp4") {
    model::ApplyWeightChoice(spec, *model::WeightChoiceByName("bf16"));
    model::SetWeightPrecision(spec, TensorClass::kRoutedExpert, "nvfp4", 4.5);
  }
  const double bits = spec.ByClass()[TensorClass::kRoutedExpert].BitsPerWeight();
  if (precision == "fp8" && bits > 9) model::ApplyWeightChoice(spec, *model::WeightChoiceByName("fp8"));
  if (precision == "int4" && bits > 5) model::SetWeightPrecision(spec, TensorClass::kRoutedExpert, "int4", 4.5);
  RETURN_IF_ERROR(model::ApplyKvFormat(spec, backend == "vllm" ? "bf16" : "fp8"));
  return spec;
}

int IntegerOf(const std::string& text) { return text.empty() ? 0 : std::atoi(text.c_str()); }

class Reader {
 public:
  Reader(Sample& sample, const std::vector<std::string>& header) : sample_(sample), header_(header) {}

  // Aggregated serving of MoE models. Left out: work in progress, layouts that no server accepts, and tensor parallelism over
  // more than 8 devices, where the column holds the number of GPUs of a cluster whose layout is not said.
  Status Read(const std::vector<std::string>& cells) {
    const auto at = [&](const char* name) { return cells[Column(name)]; };
    const Family* const family = FamilyOf(at("model_path"));
    const Gpu* const gpu = GpuOf(at("system"));
    const std::string source = at("silicon_data_source");
    const size_t clients_at = source.find("silicon_concurrency=");
    if (!family || !gpu || at("mode") != "agg") return {};
    if (IntegerOf(at("tp_size")) > 8 || source.find("wip=True") != std::string::npos || clients_at == std::string::npos ||
        at("silicon_tpot_ms").empty()) {
      ++sample_.left_out;
      return {};
    }
    Row row;
    row.model = at("model_path");
    row.family = family->id;
    row.gpu = gpu->name;
    row.precision = at("precision");
    Observation& o = row.observation;
    o.system = at("backend");
    o.deployment = {IntegerOf(at("tp_size")), std::max(1, IntegerOf(at("moe_ep_size"))), 1,
                    std::max(1, IntegerOf(at("attention_dp_size")))};
    o.load.clients = std::atof(source.c_str() + clients_at + 20);
    o.load.input_tokens = std::atof(at("isl").c_str());
    o.load.output_tokens = std::atof(at("osl").c_str());
    o.ttft_s = std::atof(at("silicon_ttft_ms").c_str()) / 1e3;
    o.tpot_s = std::atof(at("silicon_tpot_ms").c_str()) / 1e3;
    row.usd_per_h = gpu->usd_per_h * static_cast<double>(o.deployment.Devices());
    return Place(std::move(row), family->id, gpu->id);
  }

 private:
  Status Place(Row row, const std::string& id, const std::string& gpu) {
    Observation& o = row.observation;
    const std::string key = id + "|" + row.precision + "|" + o.system;
    if (!sample_.works.count(key)) {
      ASSIGN_OR_RETURN(model::ModelSpec spec, SpecOfRow(sample_, id, row.precision, o.system));
      sample_.works.emplace(key, planner::MakeModelWork(spec));
      sample_.specs.emplace(key, std::move(spec));
    }
    if (!sample_.gpus.count(gpu)) {
      ASSIGN_OR_RETURN(hardware::Device device, sample_.devices.FindDevice(gpu));
      sample_.gpus.emplace(gpu, std::move(device));
    }
    o.work = &sample_.works.at(key);
    o.device = &sample_.gpus.at(gpu);
    o.fabric = planner::FabricOf(*o.device, sample_.devices);
    if (!Validate(o.deployment, sample_.specs.at(key)).ok()) {
      ++sample_.left_out;
      return {};
    }
    const auto memory = planner::PlanMemory(sample_.specs.at(key), o.deployment, static_cast<int64_t>(o.load.MeanContext()));
    o.most_sequences = memory.MostSequences(planner::UsableMemory(*o.device));
    (o.deployment.data == 1 ? sample_.rows : sample_.wide).push_back(std::move(row));
    return {};
  }

  size_t Column(const std::string& name) const {
    return static_cast<size_t>(std::find(header_.begin(), header_.end(), name) - header_.begin());
  }
  static const Family* FamilyOf(const std::string& path) {
    for (const Family& family : kFamilies) {
      if (path.find(family.mark) != std::string::npos) return &family;
    }
    return nullptr;
  }
  static const Gpu* GpuOf(const std::string& name) {
    for (const Gpu& gpu : kGpus) {
      if (name == gpu.name) return &gpu;
    }
    return nullptr;
  }

  Sample& sample_;
  const std::vector<std::string>& header_;
};

Status ReadSample(const std::string& path, Sample& sample) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  const std::vector<std::string> lines = Split(text, '\n');
  const std::vector<std::string> header = Split(lines.front(), ',');
  Reader reader(sample, header);
  for (size_t i = 1; i < lines.size(); ++i) {
    const std::vector<std::string> cells = Split(lines[i], ',');
    if (cells.size() == header.size()) RETURN_IF_ERROR(reader.Read(cells));
  }
  return sample.rows.empty() ? Status(BadInput(path + ": no rows of MoE models")) : Status();
}

double Quantile(std::vector<double> values, double share) {
  if (values.empty()) return std::nan("");
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(share * static_cast<double>(values.size() - 1) + 0.5)];
}

struct Errors {
  std::vector<double> ratio;  // predicted / measured

  double Absolute(double share) const {
    std::vector<double> values;
    for (const double r : ratio) values.push_back(std::abs(r - 1));
    return Quantile(values, share);
  }
  double Mean() const {
    double sum = 0;
    for (const double r : ratio) sum += std::abs(r - 1);
    return sum / static_cast<double>(ratio.size());
  }
  void Print(const std::string& name) const {
    fmt::print("  {:<34} {:>5} {:>8.1f} {:>8.1f} {:>8.1f} {:>+8.1f}   {:.2f} to {:.2f}\n", name, ratio.size(),
               100 * Absolute(.5), 100 * Mean(), 100 * Absolute(.9), 100 * (Quantile(ratio, .5) - 1), Quantile(ratio, .1),
               Quantile(ratio, .9));
  }
};

struct Predictions {
  std::vector<double> tpot_at;                   // with the measured number of running requests
  std::vector<double> tpot, ttft, tokens_per_s;  // with nothing but the question
};

using KeyOf = std::function<std::string(const Row&)>;

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

Errors ErrorsOf(const std::vector<Row>& rows, const std::vector<double>& predicted,
                std::optional<double> Observation::*measured, const std::function<bool(const Row&)>& take) {
  Errors errors;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (take(rows[i])) errors.ratio.push_back(predicted[i] / *(rows[i].observation.*measured));
  }
  return errors;
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
  const auto predicted = [&](size_t i) { return seconds(i, predictions.tpot[i], predictions.tokens_per_s[i]); };
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

double Percent(int part, int whole) { return 100.0 * part / std::max(1, whole); }

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

// What no fit has seen: replicas that share experts and step together (data-parallel attention), or stand side by side.
void PrintWide(const std::vector<Row>& rows, const planner::Multipliers& fitted) {
  Predictions predictions;
  for (const Row& row : rows) {
    const Observation& o = row.observation;
    const planner::StepFactors factors = fitted.FactorsOf(o.system, *o.device);
    const planner::Serving serving = Predict(o, factors);
    predictions.tpot_at.push_back(PredictTpotAt(o, factors));
    predictions.tpot.push_back(serving.tpot_s);
    predictions.ttft.push_back(serving.ttft_s);
  }
  PrintErrors(rows, "Several replicas, most with data-parallel attention, never fitted, %", predictions, [](const Row& row) {
    const metrics::Deployment& d = row.observation.deployment;
    return fmt::format("TP {} EP {} DP {}", d.tensor, d.expert, d.data);
  });
}

// Our own runs: every level a row of its own, as the built-in multipliers predict it.
Status PrintOwn(const std::string& folder, const planner::Multipliers& multipliers, const hardware::Catalogue& devices) {
  app::MeasuredLevels measured(devices);
  for (const std::filesystem::path& run : analysis::RunFolders(folder)) RETURN_IF_ERROR(measured.Add(run));
  fmt::print(
      "\nOur own runs, never fitted ({} levels left out: experts in host memory, a system that is not planned, an open loop)\n",
      measured.unusable());
  fmt::print("  {:<46} {:<13} {:<11} {:>9} {:>9} {:>7} {:>9} {:>9} {:>7}\n", "run", "system", "level", "TPOT, ms", "predicted",
             "%", "TTFT, ms", "predicted", "%");
  std::map<std::string, std::pair<Errors, Errors>> by_system;
  for (const app::MeasuredLevel& level : measured.levels()) {
    const Observation& o = level.observation;
    const planner::Serving serving = Predict(o, multipliers.FactorsOf(o.system, *o.device));
    const double tpot = serving.tpot_s / *o.tpot_s, ttft = serving.ttft_s / *o.ttft_s;
    fmt::print("  {:<46.46} {:<13} {:<11} {:>9.2f} {:>9.2f} {:>+7.0f} {:>9.1f} {:>9.1f} {:>+7.0f}{}\n", level.run, o.system,
               level.level, 1e3 * *o.tpot_s, 1e3 * serving.tpot_s, 100 * (tpot - 1), 1e3 * *o.ttft_s, 1e3 * serving.ttft_s,
               100 * (ttft - 1), level.valid ? "" : "  not valid");
    if (!level.valid) continue;
    const std::string key = o.system + " on " + o.device->name;
    by_system[key].first.ratio.push_back(tpot);
    by_system[key].second.ratio.push_back(ttft);
  }
  fmt::print("  {:<34} {:>5} {:>8} {:>8} {:>8} {:>8}   {}\n", "valid levels, %", "rows", "median", "mean", "P90", "bias",
             "predicted / measured, P10 to P90");
  for (const auto& [system, errors] : by_system) {
    errors.first.Print("TPOT, " + system);
    errors.second.Print("TTFT, " + system);
  }
  return {};
}

void PrintMultipliers(const planner::Multipliers& multipliers) {
  fmt::print("\nMultipliers fitted on all rows\n");
  for (const planner::Multiplier& entry : multipliers.entries())
    fmt::print("  {:<26} {:>10.4g} {:<6} {:>6} rows  {}\n", entry.key, entry.value, entry.unit, entry.rows, entry.meaning);
}

Status WriteMultipliers(const std::string& path, const planner::Multipliers& fitted, size_t rows) {
  ASSIGN_OR_RETURN(Json document, ParseJson(planner::BuiltinMultipliersText()));
  std::string text = "{\n";
  text += fmt::format("  \"about\": {},\n  \"schema\": 1,\n  \"multipliers\": [\n", document["about"].dump());
  bool first = true;
  for (Json& entry : document["multipliers"]) {
    const planner::Multiplier& value = *fitted.Find(entry["key"].get<std::string>());
    if (value.rows > 0) {
      entry["value"] = std::strtod(fmt::format("{:.4g}", value.value).c_str(), nullptr);
      entry["rows"] = value.rows;
      entry["source"] = fmt::format("fit to {} rows of aiconfigurator's silicon_sample.csv (Apache-2.0), 2026-04", rows);
    }
    text += (first ? "    " : ",\n    ") + entry.dump();
    first = false;
  }
  text += "\n  ],\n";
  for (const char* section : {"generations", "bands"}) {
    text += fmt::format("  \"{}\": {{", section);
    first = true;
    for (const auto& [name, value] : document[section].items()) {
      text += fmt::format("{}\n    \"{}\": {}", first ? "" : ",", name, value.dump());
      first = false;
    }
    text += "\n  },\n";
  }
  text += fmt::format("  \"measured\": {}\n}}\n", document["measured"].dump());
  return WriteFileAtomically(path, text);
}

Status Run(const std::string& path, const std::string& runs, const std::string& write_to) {
  ASSIGN_OR_RETURN(hardware::Catalogue devices, hardware::Catalogue::Builtin());
  ASSIGN_OR_RETURN(model::ModelCatalogue models, model::ModelCatalogue::Builtin());
  ASSIGN_OR_RETURN(const planner::Multipliers builtin, planner::Multipliers::Builtin());
  const planner::Multipliers prior = builtin.AtPriors();
  Sample sample{std::move(devices), std::move(models), {}, {}, {}, {}, {}, 0};
  RETURN_IF_ERROR(ReadSample(path, sample));
  const std::vector<Row>& rows = sample.rows;
  fmt::print("{} rows of MoE models; {} of several replicas, never fitted; {} left out (work in progress, layout not said)\n",
             rows.size(), sample.wide.size(), sample.left_out);
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
  if (!sample.wide.empty()) PrintWide(sample.wide, fitted);
  if (!runs.empty()) RETURN_IF_ERROR(PrintOwn(runs, builtin, sample.devices));
  PrintMultipliers(fitted);

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
  if (!write_to.empty()) RETURN_IF_ERROR(WriteMultipliers(write_to, fitted, rows.size()));
  return {};
}

}  // namespace
}  // namespace moecap

int main(int argc, char** argv) {
  std::string runs, write_to;
  bool understood = argc >= 2 && argc % 2 == 0;
  for (int i = 2; i + 1 < argc; i += 2) {
    const std::string flag = argv[i];
    understood = understood && (flag == "--runs" || flag == "--write");
    (flag == "--runs" ? runs : write_to) = argv[i + 1];
  }
  if (!understood) {
    std::fputs("usage: planner_accuracy SAMPLE.csv [--runs FOLDER] [--write multipliers.json]\n", stderr);
    return 2;
  }
  const moecap::Status status = moecap::Run(argv[1], runs, write_to);
  if (!status.ok()) {
    std::fprintf(stderr, "planner_accuracy: %s\n", status.error().message.c_str());
    return 2;
  }
  return moecap::failures == 0 ? 0 : 1;
}
