#include "app/cli/cli.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <system_error>

#include "app/cli/help.h"
#include "app/cli/numbers.h"

namespace moecap::app {
namespace {

struct Verb {
  const char* name;
  const char* description;
  Action (*add)(CLI::App& app, const Invocation& invocation);
};

constexpr Verb kVerbs[] = {
    {"quick", "one verdict in a minute: a server that runs here, or the model that comes with the program", AddQuick},
    {"run", "benchmark systems on one workload: cost, accuracy and performance of each", AddRun},
    {"load", "how fast a server answers under a load: latencies, goodput, the highest load that meets objectives", AddLoad},
    {"sweep", "many experiments from one file, on this machine or on Slurm: systems, models, precisions, shards", AddSweep},
    {"compare", "which system wins where: differences with intervals, CAP classes, Pareto front", AddCompare},
    {"report", "show or export a stored run again, computed from its recorded facts", AddReport},
    {"serve", "the stored runs as pages in a browser: leaderboard, reports, comparisons, live progress, planner", AddServe},
    {"runs", "the stored runs: list, show, tag, delete, import, export, verify", AddRuns},
    {"model", "what a model is: parameters by kind, bytes and FLOPs per token by batch size, KV cache", AddModel},
    {"metrics", "S-MBU, S-MFU and the rest from recorded passes of any origin", AddMetrics},
    {"plan", "which hardware and system for a model and a load, and what it will cost: with error bands", AddPlan},
    {"cost", "what an hour and a million tokens cost on a machine, bought and rented", AddCost},
    {"hardware", "the device catalogue, what this machine is, and its measured ceilings", AddHardware},
    {"systems", "what a running server offers; how a serving system is started for a benchmark", AddSystems},
    {"watch", "S-MBU of a server that runs: live figures from its counters and a sample of its experts", AddWatch},
    {"datasets", "the data sets that can be read: where to get each, what is here, whether a file is right", AddDatasets},
    {"trace", "expert-activation records: import, statistics, heat map, activation sheet, caches", AddTrace},
    {"score", "score saved predictions offline, by the rules of a named reference", AddScore},
    {"judge", "compare answers to Arena-Hard with a baseline's, by any model as the judge", AddJudge},
    {"synth", "write a model file of any shape and size with random weights", AddSynth},
    {"audit", "published rows recomputed: agrees, differs, not computable", AddAudit},
    {"mock", "an OpenAI-compatible server simulated from a model and a device, with exact times and faults on demand", AddMock},
    {"validate", "how far the formulas are from what the engine touches; what recording costs", AddValidate},
    {"doctor", "what works on this machine, what does not and why, and what would help", AddDoctor},
    {"generate", "man pages and completions", AddGenerate},
};

int ExitCodeOf(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kBadInput:
      return kUsage;
    case ErrorKind::kFailed:
      return kRunFailed;
    case ErrorKind::kTargetMissed:
      return kTargetMissed;
    case ErrorKind::kInterrupted:
      return kInterruptedByUser;
  }
  return kRunFailed;
}

bool WroteOutput() { return std::fflush(stdout) == 0 && std::ferror(stdout) == 0; }

// Nobody may take a part of an output for the whole.
Status Run(const Action& action) {
  Status status;
  try {
    status = action();
  } catch (const std::system_error&) {  // of fmt::print
    if (std::ferror(stdout) == 0) throw;
  }
  if (!status.ok() || WroteOutput()) return status;
  return Failed("the output could not be written as a whole: is the disk full?");
}

}  // namespace

int Main(int argc, char** argv) {
  // In a file that takes both outputs a message stands where it was said, and not inside a table that was still buffered.
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);
  CLI::App app("moecap measures the cost, accuracy and performance of serving sparse mixture-of-experts language models.",
               "moecap");
  app.formatter(MakeHelpFormatter());  // before the verbs, which inherit it
  app.set_version_flag("--version", kVersion);
  app.require_subcommand(1);
  const Invocation invocation{{argv, argv + argc}};
  std::vector<std::pair<CLI::App*, Action>> actions;
  for (const Verb& verb : kVerbs) {
    CLI::App* sub = app.add_subcommand(verb.name, verb.description);
    actions.emplace_back(sub, verb.add(*sub, invocation));
  }
  RefuseNonFinite(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);  // prints help, too
    return code != 0 ? kUsage : WroteOutput() ? kOk : kRunFailed;
  }
  for (const auto& [sub, action] : actions) {
    if (!sub->parsed()) continue;
    const Status status = Run(action);
    if (status.ok()) return kOk;
    std::fprintf(stderr, "moecap %s: %s\n", sub->get_name().c_str(), status.error().message.c_str());
    return ExitCodeOf(status.error().kind);
  }
  return kUsage;
}

}  // namespace moecap::app
