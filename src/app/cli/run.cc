// moecap run: one experiment from its configuration to the report.
#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <optional>

#include "app/cli/cli.h"
#include "app/cli/experiment_run.h"
#include "base/fs.h"
#include "base/paths.h"
#include "experiment/config.h"
#include "experiment/sweep.h"

namespace moecap::app {
namespace fs = std::filesystem;
namespace {

struct RunFlags {
  std::string config;
  std::string sweep;     // empty = the configuration's own levels
  std::string base_dir;  // empty = the configuration's own folder
  ExperimentFlags experiment;
};

// Without an argument: examples/quickstart.yaml below the working directory, else the one that comes with the program.
Result<fs::path> ConfigPath(const std::string& given) {
  if (!given.empty()) return fs::path(given);
  constexpr const char* kQuickstart = "examples/quickstart.yaml";
  if (const fs::path here = Absolute(kQuickstart); Exists(here)) return here;
  if (fs::path shipped = ShippedPath(kQuickstart); !shipped.empty()) return shipped;
  return BadInput("no configuration given, and examples/quickstart.yaml is not here; run: moecap run CONFIG.yaml");
}

Status Run(const RunFlags& flags, const Invocation& invocation) {
  std::optional<experiment::Config> config;
  if (flags.experiment.resume.empty() || !flags.config.empty()) {
    ASSIGN_OR_RETURN(const fs::path path, ConfigPath(flags.config));
    if (flags.base_dir.empty()) {
      ASSIGN_OR_RETURN(config, experiment::ReadConfig(path));
    } else {
      ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
      ASSIGN_OR_RETURN(config, experiment::ParseConfig(text, path.string(), Absolute(flags.base_dir)));
    }
    if (!flags.sweep.empty()) {
      ASSIGN_OR_RETURN(const experiment::Sweep sweep, experiment::ParseSweep(flags.sweep));
      ASSIGN_OR_RETURN(config, experiment::WithSweep(*config, sweep, path.string()));
    }
  }
  return RunExperiment(config, flags.experiment, "run", invocation);
}

}  // namespace

Action AddRun(CLI::App& app, const Invocation& invocation) {
  auto flags = std::make_shared<RunFlags>();
  app.add_option("config", flags->config, "YAML file (default: examples/quickstart.yaml)");
  AddExperimentFlags(app, flags->experiment);
  app.add_option("--sweep", flags->sweep,
                 "levels instead of the configuration's, e.g. concurrency=1,2,4,...,128, rate=1,2,4 or users=8,16")
      ->excludes("--resume");
  app.add_option("--base-dir", flags->base_dir, "that paths in the file are relative to (default: the file's own folder)");
  app.footer("Example:\n  moecap run examples/quickstart.yaml\n\nConfiguration keys: docs/config.md");
  return [flags, &invocation] { return Run(*flags, invocation); };
}

}  // namespace moecap::app
