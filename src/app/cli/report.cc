// moecap report: a stored run again, every figure computed anew from its recorded facts.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "app/cli/cli.h"
#include "app/cli/output.h"
#include "app/cli/stored_runs.h"
#include "run/summarize.h"

namespace moecap::app {
namespace {

struct Flags {
  std::string run;
  bool json = false;
  std::string write_to;
};

Status Report(const Flags& flags) {
  ASSIGN_OR_RETURN(const std::filesystem::path dir, RunDir(flags.run));
  ASSIGN_OR_RETURN(const run::Results results, run::Results::Open(dir));
  ASSIGN_OR_RETURN(const cap::RunSummary summary, run::SummarizeStored(results));
  if (!flags.write_to.empty()) RETURN_IF_ERROR(WriteReports(summary, flags.write_to));
  PrintSummary(summary, flags.json);
  return {};
}

}  // namespace

Action AddReport(CLI::App& app, const Invocation&) {
  auto flags = std::make_shared<Flags>();
  app.add_option("run", flags->run, "id of a run below results/ or its beginning, \"latest\", or its folder")->required();
  app.add_flag("--json", flags->json, "print the summary as JSON");
  app.add_option("--write-to", flags->write_to, "also write HTML, SVG, Markdown, CSV and JSON into this folder");
  app.footer("Example:\n  moecap report 20260131-120000-quickstart --json");
  return [flags] { return Report(*flags); };
}

}  // namespace moecap::app
