// moecap synth: a model file of any size with random weights.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "app/cli/cli.h"
#include "app/cli/output.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/progress.h"
#include "base/units.h"
#include "synth/synthesize.h"

namespace moecap::app {
namespace {

struct SynthFlags {
  std::string model;
  std::string output;
  synth::SynthOptions options;
  double part_gb = 0;
  bool dry_run = false;
  bool json = false;
};

std::atomic<bool> interrupted = false;  // set by the signal handler, which can reach nothing else

void Print(const synth::SynthPlan& plan, const SynthFlags& flags) {
  const std::string first = synth::FilesOf(plan, flags.output)[0].string();
  if (flags.json) {
    const Json json = {{"id", plan.id},
                       {"architecture", plan.blueprint.architecture},
                       {"type", plan.type},
                       {"total_params", plan.params},
                       {"tensors", plan.blueprint.tensors.size()},
                       {"file_bytes", plan.file_bytes},
                       {"skew_cv", flags.options.skew_cv},
                       {"seed", plan.seed},
                       {"file", flags.dry_run ? Json() : Json(first)},
                       {"parts", plan.parts.size()},
                       {"notes", plan.notes}};
    const std::string text = DumpJsonPretty(json);
    std::fwrite(text.data(), 1, text.size(), stdout);
    return;
  }
  PrintParagraph(fmt::format("{} as {} in {}: {} parameters in {} tensors, {}{}", plan.id, plan.blueprint.architecture,
                             plan.type, FormatParams(plan.params), plan.blueprint.tensors.size(),
                             FormatBytes(static_cast<double>(plan.file_bytes)),
                             flags.dry_run ? " (not written)" : " in " + first));
  if (plan.parts.size() > 1) PrintParagraph(fmt::format("  {} files; the first names them all.", plan.parts.size()), 2);
  for (const std::string& note : plan.notes) PrintParagraph("  note: " + note, 4);
}

Status Synth(SynthFlags& flags) {
  flags.options.part_bytes = static_cast<uint64_t>(flags.part_gb * 1e9);
  if (!flags.dry_run && flags.output.empty())
    return BadInput("say where to write with -o FILE, or ask with --dry-run what it would take");
  ASSIGN_OR_RETURN(const synth::SynthSource source, synth::OpenSource(flags.model));
  ASSIGN_OR_RETURN(const synth::SynthPlan plan, synth::PlanModel(source, flags.options));
  if (!flags.dry_run) {
    struct sigaction action {};
    action.sa_handler = [](int) { interrupted = true; };
    ::sigaction(SIGINT, &action, nullptr);
    ::sigaction(SIGTERM, &action, nullptr);
    const SteadyClock clock;
    Progress progress(clock, stderr, ::isatty(STDERR_FILENO) == 1, "MB");
    RETURN_IF_ERROR(synth::WriteModel(plan, flags.output, [&](uint64_t done, uint64_t total) {
      progress.Update(static_cast<int64_t>(done / 1000000), static_cast<int64_t>(total / 1000000), plan.type);
      return !interrupted.load();
    }));
  }
  Print(plan, flags);
  return {};
}

}  // namespace

Action AddSynth(CLI::App& app, const Invocation&) {
  auto flags = std::make_shared<SynthFlags>();
  app.add_option("model", flags->model, "catalogue id, config.json or a folder with one")->required();
  app.add_option("-o,--output", flags->output, "the GGUF file to write");
  app.add_option("--type", flags->options.type, "type of the matrices (default: Q8_0, or MXFP4 if the checkpoint is)");
  app.add_option("--layers", flags->options.layers, "write only the first N layers")->check(CLI::PositiveNumber);
  app.add_option("--skew", flags->options.skew_cv, "coefficient of variation of the experts' popularity (default: 0)");
  app.add_option("--part-gb", flags->part_gb, "in several files of at most so many GB of tensors, as llama.cpp reads them")
      ->check(CLI::Range(1e-6, 1e6));
  app.add_option("--seed", flags->options.seed, "of the random weights (default: 1)");
  app.add_flag("--dry-run", flags->dry_run, "write nothing, print the size");
  app.add_flag("--json", flags->json, "print JSON");
  app.footer("Example:\n  moecap synth Qwen/Qwen3-30B-A3B --layers 2 --type Q4_0 --skew 0.5 -o qwen3-2l.gguf");
  return [flags] { return Synth(*flags); };
}

}  // namespace moecap::app
