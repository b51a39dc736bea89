#include "web/comparison_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "analysis/compare.h"
#include "base/json.h"
#include "cap/scenario.h"
#include "report/comparison_document.h"
#include "report/comparison_json.h"
#include "report/render.h"
#include "web/curves.h"
#include "web/page.h"

namespace moecap::web {
namespace {

using analysis::CellName;

struct NamedRun {
  std::string run_id;
  std::vector<CellName> cells;
};

std::vector<NamedRun> RunsOf(const std::vector<std::string>& cells) {
  std::vector<NamedRun> runs;
  for (const std::string& text : cells) {
    const CellName name = analysis::ParseCellName(text);
    auto run = std::ranges::find(runs, name.run, &NamedRun::run_id);
    if (run == runs.end()) run = runs.insert(runs.end(), {name.run, {}});
    run->cells.push_back(name);
  }
  return runs;
}

// The levels of the compared systems that the index knows, beyond those compared.
std::string CurvesHtml(const Library& library, const cap::Comparison& comparison) {
  const auto index = library.Index();
  if (!index.ok() || !*index) return "";
  std::set<std::pair<std::string, std::string>> wanted;
  for (const cap::ComparedCell& cell : comparison.cells)
    wanted.emplace(comparison.experiments[cell.experiment].run_id, cell.system.name);
  std::vector<store::CellListing> cells;
  std::set<std::string> runs;
  for (const cap::ComparedExperiment& experiment : comparison.experiments) {
    if (!runs.insert(experiment.run_id).second) continue;
    auto page = store::ListCells(**index, {.words = {experiment.run_id}, .limit = 1000, .figures = CurveFigures()});
    if (!page.ok()) return "";
    for (store::CellListing& cell : page->cells) {
      if (wanted.contains({cell.run.run_id, cell.system.name})) cells.push_back(std::move(cell));
    }
  }
  return FiguresHtml(CellFigures(cells), "All levels of these systems");
}

std::string Hidden(const Query& query, std::initializer_list<const char*> names) {
  std::string out;
  for (const char* name : names) {
    for (const std::string& value : query.All(name))
      out += fmt::format("<input type=\"hidden\" name=\"{}\" value=\"{}\">", name, Escape(value));
  }
  return out;
}

std::string ChoiceForm(const Query& query, const cap::Comparison* comparison) {
  std::vector<Choice> scenarios = {{"", "as configured"}};
  for (const cap::Scenario& scenario : cap::Scenarios())
    scenarios.push_back({std::string(scenario.name), fmt::format("{}: {}", scenario.name, scenario.meaning)});
  std::vector<Choice> baselines = {{"", "the first"}};
  if (comparison != nullptr) {
    for (const cap::ComparedCell& cell : comparison->cells) baselines.push_back({cell.label, cell.label});
  }
  std::string differ;
  const std::vector<std::string> by = query.All("by");
  for (const std::string& what : analysis::MismatchNames())
    differ += fmt::format("<label class=\"tick\"><input type=\"checkbox\" name=\"by\" value=\"{0}\"{1}> {0}</label>", what,
                          std::ranges::count(by, what) > 0 ? " checked" : "");
  return fmt::format(
      "<form class=\"filters\" action=\"/compare\">{}\n<label class=\"grow\">Scenario<select name=\"scenario\">{}</select>"
      "</label>\n<label>Baseline<select name=\"baseline\">{}</select></label>\n<fieldset><legend>Meant to differ in</legend>{}"
      "</fieldset>\n<label class=\"tick\"><input type=\"checkbox\" name=\"force\" value=\"1\"{}> compare in spite of other "
      "differences</label>\n<button>Apply</button></form>\n",
      Hidden(query, {"cell"}), Options(scenarios, query.Get("scenario")), Options(baselines, query.Get("baseline")), differ,
      query.Has("force") ? " checked" : "");
}

constexpr const char* kHowTo =
    "<main id=\"main\" class=\"wideview\"><h1>Compare</h1><p class=\"empty\">Choose cells on the <a "
    "href=\"/\">leaderboard</a>, or "
    "whole <a href=\"/runs\">runs</a>, by their boxes; <kbd>x</kbd> does it for the row of the keyboard.</p></main>\n";

}  // namespace

Result<cap::Comparison> CompareCells(const Library& library, const Query& query) {
  analysis::CompareOptions options;
  options.choice.scenario = query.Get("scenario");
  if (!options.choice.scenario.empty()) {
    ASSIGN_OR_RETURN(const cap::Scenario scenario, cap::FindScenario(options.choice.scenario));
    options.choice.scenario = scenario.name;
  }
  options.baseline = query.Get("baseline");
  options.by = query.All("by");
  options.force = query.Has("force");
  std::vector<analysis::StoredExperiment> experiments;
  std::vector<NamedRun> runs = RunsOf(query.All("cell"));
  if (runs.size() > kMostCompared) return BadInput(fmt::format("at most {} runs are compared at once", kMostCompared));
  for (NamedRun& run : runs) {
    ASSIGN_OR_RETURN(experiment::Results results, library.OpenRun(run.run_id));
    ASSIGN_OR_RETURN(analysis::StoredExperiment stored,
                     analysis::ReadStored(std::move(results), run.run_id, std::move(run.cells), {},
                                          [&](const experiment::Results& opened) { return library.SummaryOf(opened); }));
    experiments.push_back(std::move(stored));
  }
  return analysis::Compare(experiments, options);
}

Response ComparisonPage(const Library& library, const Query& query, bool writable) {
  const PageFrame frame{"Compare", "/compare", writable};
  if (!query.Has("cell")) return Page(frame, kHowTo);
  const auto comparison = CompareCells(library, query);
  if (!comparison.ok()) {
    Response response =
        Page(frame, "<main id=\"main\" class=\"wideview\"><h1>Compare</h1><p class=\"alarm\" role=\"alert\">" +
                        Escape(comparison.error().message) + "</p>\n" + ChoiceForm(query, nullptr) + "</main>\n");
    response.status = 400;
    return response;
  }
  const std::string curves = CurvesHtml(library, *comparison);
  return Page(frame, "<div class=\"over\">" + ChoiceForm(query, &*comparison) + "</div>\n<div id=\"main\">" +
                         report::RenderHtmlBody(report::ComparisonDocument(*comparison)) +
                         (curves.empty() ? "" : "<div class=\"under\">" + curves + "</div>\n") + "</div>\n");
}

Response ComparisonJson(const Library& library, const Query& query) {
  const auto comparison = CompareCells(library, query);
  if (!comparison.ok()) return JsonError(comparison.error(), 400);
  return {200, kJsonType, DumpJsonPretty(report::ComparisonToJson(*comparison)), {}};
}

}  // namespace moecap::web
