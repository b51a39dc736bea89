// moecap validate: the formulas against the engine's own graph, and what recording costs.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "app/cli/cli.h"
#include "app/cli/output.h"
#include "app/cli/validate_counters.h"
#include "app/cli/validate_gpu.h"
#include "app/cli/validate_speculation.h"
#include "app/graph_check.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/progress.h"
#include "base/table.h"
#include "base/units.h"
#include "hardware/probe/probe.h"
#include "model/gguf_spec.h"
#include "system/llamacpp/graph_run.h"

namespace moecap::app {
namespace {

struct ValidateFlags {
  std::string model;
  CounterFlags counters;
  DraftFlags drafts;
  llamacpp::GraphRunOptions options;
  bool no_flash_attention = false;
  bool gpu = false;
  int cpu_experts = 0;
  bool profile = false;
  bool json = false;
};

struct CheckedPass {
  llamacpp::GraphPass pass;
  GraphCheck check;
};

std::atomic<bool> interrupted = false;  // set by the signal handler, which can reach nothing else

const char* Phase(const record::PassRecord& record) { return record.kind == record::PassKind::kPrefill ? "prefill" : "decode"; }

// Prefill: the tokens of the pass; decode: tokens in the cache before it.
int64_t Context(const record::PassRecord& record) {
  return record.kind == record::PassKind::kPrefill ? record.NewTokens() : record.sequences.front().context_tokens;
}

std::string SignedPercent(double fraction) { return fmt::format("{:+.4f} %", fraction * 100); }

// ---- text

void PrintCounts(const std::vector<CheckedPass>& passes) {
  const std::vector<TableColumn> columns = {{"", "pass", Align::kLeft, true},
                                            {"", "context", Align::kRight, true},
                                            {"", "batch", Align::kRight, true},
                                            {"bytes", "formula"},
                                            {"bytes", "graph"},
                                            {"bytes", "difference"},
                                            {"FLOPs", "formula"},
                                            {"FLOPs", "graph"},
                                            {"FLOPs", "difference"}};
  std::vector<std::vector<std::string>> rows;
  for (const auto& [pass, check] : passes) {
    rows.push_back({Phase(pass.record), std::to_string(Context(pass.record)), std::to_string(pass.record.SequenceCount()),
                    FormatBytes(check.formula_bytes), FormatBytes(check.graph_bytes), SignedPercent(check.BytesDifference()),
                    FormatSi(check.formula_flops, "FLOP"), FormatSi(check.graph_flops, "FLOP"),
                    SignedPercent(check.FlopsDifference())});
  }
  fmt::print("{}", RenderTable(columns, rows, TerminalTable()));
}

void PrintApart(const std::vector<CheckedPass>& passes) {
  const std::vector<TableColumn> columns = {{"", "pass", Align::kLeft, true},
                                            {"", "context", Align::kRight, true},
                                            {"", "batch", Align::kRight, true},
                                            {"not counted above", "KV padding"},
                                            {"not counted above", "own KV read back"},
                                            {"not counted above", "masked FLOPs"},
                                            {"latency", "plain"},
                                            {"latency", "recorded"},
                                            {"latency", "replayed"}};
  std::vector<std::vector<std::string>> rows;
  for (const auto& [pass, check] : passes) {
    std::vector<std::string> row = {Phase(pass.record),
                                    std::to_string(Context(pass.record)),
                                    std::to_string(pass.record.SequenceCount()),
                                    FormatBytes(pass.graph.kv_padding_bytes),
                                    FormatBytes(pass.graph.kv_own_bytes),
                                    FormatSi(pass.graph.masked_flops, "FLOP")};
    if (pass.times) {
      const auto& times = *pass.times;
      const auto ratio = [&](double value) { return fmt::format("{:.2f} x", value / times.plain_s); };
      row.insert(row.end(), {FormatSeconds(times.plain_s), ratio(times.recorded_s), ratio(times.replayed_s)});
    } else {
      row.insert(row.end(), 3, "-");
    }
    rows.push_back(std::move(row));
  }
  fmt::print("\n{}", RenderTable(columns, rows, TerminalTable()));
}

void PrintNotes(const std::vector<CheckedPass>& passes) {
  std::map<std::string, int64_t> elements;
  std::set<std::string> unknown;
  for (const auto& [pass, check] : passes) {
    for (const auto& [op, others] : pass.graph.other_ops) elements[op] += others.elements;
    unknown.insert(pass.graph.products_not_counted.begin(), pass.graph.products_not_counted.end());
  }
  std::string list;
  for (const auto& [op, count] : elements)
    list += fmt::format("{}{} {}", list.empty() ? "" : ", ", op, FormatSi(static_cast<double>(count), ""));
  fmt::print("\n");
  PrintParagraph("Other operations, elements computed in all passes: " + list);
  for (const std::string& op : unknown)
    PrintParagraph(fmt::format("note: {} has products inside that the graph count leaves out", op));
  const bool replays =
      std::all_of(passes.begin(), passes.end(), [](const CheckedPass& checked) { return checked.pass.replay_matches; });
  if (!replays) fmt::print("note: a replay chose other tokens or experts than the counted pass\n");
}

// ---- JSON

Json ToJson(const CheckedPass& checked) {
  const auto& [pass, check] = checked;
  Json times = nullptr;
  if (pass.times) {
    times = {{"plain_s", pass.times->plain_s},
             {"recorded_ratio", pass.times->recorded_s / pass.times->plain_s},
             {"replayed_ratio", pass.times->replayed_s / pass.times->plain_s}};
  }
  Json others = Json::object();
  for (const auto& [op, count] : pass.graph.other_ops) others[op] = {{"nodes", count.nodes}, {"elements", count.elements}};
  return {{"phase", Phase(pass.record)},
          {"context_tokens", Context(pass.record)},
          {"batch", pass.record.SequenceCount()},
          {"formula_bytes", check.formula_bytes},
          {"graph_bytes", check.graph_bytes},
          {"bytes_difference", check.BytesDifference()},
          {"formula_flops", check.formula_flops},
          {"graph_flops", check.graph_flops},
          {"flops_difference", check.FlopsDifference()},
          {"graph",
           {{"nodes", pass.graph.nodes},
            {"weight_bytes", pass.graph.weight_bytes},
            {"kv_read_bytes", pass.graph.kv_read_bytes},
            {"kv_written_bytes", pass.graph.kv_written_bytes},
            {"kv_own_bytes", pass.graph.kv_own_bytes},
            {"kv_padding_bytes", pass.graph.kv_padding_bytes},
            {"product_flops", pass.graph.product_flops},
            {"attention_flops", pass.graph.attention_flops},
            {"masked_flops", pass.graph.masked_flops},
            {"other_ops", std::move(others)},
            {"products_not_counted", pass.graph.products_not_counted}}},
          {"distinct_experts", pass.record.distinct_experts},
          {"replay_matches", pass.replay_matches},
          {"recording", std::move(times)}};
}

void Print(const std::string& id, const std::vector<CheckedPass>& passes, double worst_bytes, double worst_flops, bool ok,
           bool json) {
  if (json) {
    Json list = Json::array();
    for (const CheckedPass& checked : passes) list.push_back(ToJson(checked));
    const std::string text = DumpJsonPretty({{"id", id},
                                             {"passed", ok},
                                             {"worst_bytes_difference", worst_bytes},
                                             {"worst_flops_difference", worst_flops},
                                             {"bytes_tolerance", kBytesTolerance},
                                             {"flops_tolerance", kFlopsTolerance},
                                             {"passes", std::move(list)}});
    std::fwrite(text.data(), 1, text.size(), stdout);
    return;
  }
  fmt::print("{}: formulas against the engine's graph\n", id);
  PrintCounts(passes);
  PrintApart(passes);
  PrintNotes(passes);
  PrintParagraph(fmt::format("Largest difference: bytes {:.4f} % (at most {} %), FLOPs {:.4f} % (at most {} %): {}",
                             worst_bytes * 100, kBytesTolerance * 100, worst_flops * 100, kFlopsTolerance * 100,
                             ok ? "passed" : "MISSED"));
}

Result<std::vector<CheckedPass>> Measure(const ValidateFlags& flags, const model::ModelSpec& spec) {
  const SteadyClock clock;
  ASSIGN_OR_RETURN(const auto library, llamacpp::EngineLibrary::Load());
  ASSIGN_OR_RETURN(const auto model, llamacpp::LoadedModel::Load(*library, flags.model));
  llamacpp::GraphRunOptions options = flags.options;
  if (options.threads == 0) options.threads = hardware::DetectHost().UsableThreads();
  options.flash_attention = !flags.no_flash_attention;
  Progress progress(clock, stderr, ::isatty(STDERR_FILENO) == 1, "passes");
  ASSIGN_OR_RETURN(auto passes, llamacpp::RunGraphPasses(*library, model, options, clock, [&](int done, int total) {
                     progress.Update(done, total, "");
                     return !interrupted.load();
                   }));
  std::vector<CheckedPass> checked;
  for (llamacpp::GraphPass& pass : passes) {
    const GraphCheck check = CheckPass(spec, pass);
    checked.push_back({std::move(pass), check});
  }
  return checked;
}

Status Validate(const ValidateFlags& flags) {
  if (!flags.counters.counters.empty()) return ValidateCounters(flags.counters);
  if (flags.model.empty()) return BadInput("give a GGUF file, or --counters DIR");
  struct sigaction action {};
  action.sa_handler = [](int) { interrupted = true; };
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  if (!flags.drafts.lengths.empty()) {
    const llamacpp::GraphRunOptions& options = flags.options;
    return ValidateSpeculation(
        flags.drafts, {flags.model, options.threads, options.repeats, options.seed, flags.gpu, flags.cpu_experts, flags.json},
        [] { return interrupted.load(); });
  }
  ASSIGN_OR_RETURN(model::ModelSpec spec, model::ReadGgufSpec(flags.model));
  spec = AsTheEngineRuns(std::move(spec));
  if (flags.gpu) return ValidateOnGpu({flags.options, flags.model, flags.cpu_experts, flags.profile, flags.json}, spec);
  if (const auto available = hardware::DetectHost().available_bytes)
    RETURN_IF_ERROR(CheckMemory(spec, flags.options, *available));
  ASSIGN_OR_RETURN(const std::vector<CheckedPass> passes, Measure(flags, spec));
  double worst_bytes = 0;
  double worst_flops = 0;
  bool ok = true;
  for (const CheckedPass& checked : passes) {
    worst_bytes = std::max(worst_bytes, std::abs(checked.check.BytesDifference()));
    worst_flops = std::max(worst_flops, std::abs(checked.check.FlopsDifference()));
    ok = ok && checked.check.Passes();
  }
  Print(spec.id, passes, worst_bytes, worst_flops, ok, flags.json);
  if (ok) return {};
  return Error{ErrorKind::kTargetMissed,
               fmt::format("the formulas differ from the graph by more than {} % in bytes or {} % in FLOPs",
                           kBytesTolerance * 100, kFlopsTolerance * 100)};
}

}  // namespace

Action AddValidate(CLI::App& app, const Invocation&) {
  auto flags = std::make_shared<ValidateFlags>();
  flags->options.threads = 0;
  app.add_option("model", flags->model, "GGUF file")->check(CLI::ExistingFile);
  app.add_option("--batches", flags->options.batches, "sequences of the decode passes (default: 1,2,4,8,16,32,64)")
      ->delimiter(',');
  app.add_option("--contexts", flags->options.contexts, "tokens in the cache before them (default: 64,512)")->delimiter(',');
  app.add_option("--threads", flags->options.threads, "threads of the engine (default: those usable)");
  app.add_option("--repeats", flags->options.repeats, "timed passes of each kind (default: 5; 0: count only)");
  app.add_option("--seed", flags->options.seed, "of the token ids (default: 1)");
  auto* walks = app.add_flag("--no-flash-attention", flags->no_flash_attention, "run attention as separate products");
  auto* gpu =
      app.add_flag("--gpu", flags->gpu, "passes of a GPU: formula, distinct experts and latencies; no graph is followed");
  gpu->excludes(walks);
  app.add_option("--chunk", flags->options.chunk_tokens, "prompt tokens a pass at most, for long contexts")->needs(gpu);
  app.add_option("--cpu-experts", flags->cpu_experts, "routed experts of so many first layers stay in host memory (-1: of all)")
      ->needs(gpu);
  app.add_flag("--profile", flags->profile, "bracket one execution of each decode pass for ncu --profile-from-start off")
      ->needs(gpu);
  app.add_flag("--json", flags->json, "print JSON");
  AddCounterFlags(app, flags->counters);
  AddDraftFlags(app, flags->drafts);
  app.footer(
      "Example:\n  moecap validate models/tiny-moe/tiny-moe-f16.gguf --batches 1,8 --contexts 64\n\nWhat counts: "
      "docs/validate.md");
  return [flags] { return Validate(*flags); };
}

}  // namespace moecap::app
