// moecap doctor: what works here, and why not.
#include "app/doctor.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "app/cli/cli.h"
#include "app/cli/output.h"
#include "app/cli/stored_runs.h"
#include "base/json.h"

namespace moecap::app {
namespace {

struct DoctorFlags {
  std::string results_dir = kResultsDir;
  bool json = false;
};

void PrintJson(const std::vector<Finding>& findings, bool works) {
  Json list = Json::array();
  for (const Finding& finding : findings) {
    list.push_back({{"what", finding.what},
                    {"health", Name(finding.health)},
                    {"found", finding.found},
                    {"remedy", finding.remedy.empty() ? Json(nullptr) : Json(finding.remedy)}});
  }
  PrintText(DumpJsonPretty({{"schema", 1}, {"moecap_version", kVersion}, {"works", works}, {"findings", list}}));
}

void PrintFindings(const std::vector<Finding>& findings) {
  size_t widest = 0;
  for (const Finding& finding : findings) widest = std::max(widest, finding.what.size());
  std::string text;
  for (const Finding& finding : findings) {
    const std::string label = fmt::format("{:<8} {:<{}}  ", Name(finding.health), finding.what, widest);
    AppendLabelled(text, label.size(), label, finding.found, TerminalWidth());
    if (!finding.remedy.empty()) AppendLabelled(text, label.size(), "", "→ " + finding.remedy, TerminalWidth());
  }
  PrintText(WantsUnicode() ? text : AsciiText(text));
}

Status Diagnose(const DoctorFlags& flags) {
  const SteadyClock clock;
  const std::vector<Finding> findings = Examine(flags.results_dir, clock);
  const auto broken = std::ranges::find(findings, Health::kBroken, &Finding::health);
  if (flags.json) {
    PrintJson(findings, broken == findings.end());
  } else {
    PrintFindings(findings);
  }
  if (broken == findings.end()) return {};
  return Failed(fmt::format("{}: {}; {}", broken->what, broken->found, broken->remedy));
}

}  // namespace

Action AddDoctor(CLI::App& app, const Invocation&) {
  auto flags = std::make_shared<DoctorFlags>();
  app.add_option("--results-dir", flags->results_dir, "where runs are to be stored (default: results)");
  app.add_flag("--json", flags->json, "print JSON");
  app.footer(
      "ok: works. limited: works, but less exactly, or without something. absent: not\nhere, and not needed. broken: runs will "
      "fail, and so does this command (exit 1).\n\nExample:\n  moecap doctor");
  return [flags] { return Diagnose(*flags); };
}

}  // namespace moecap::app
