#include "web/run_pages.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "report/experiment_csv.h"
#include "report/experiment_document.h"
#include "report/experiment_json.h"
#include "report/format.h"
#include "report/render.h"
#include "web/guard.h"
#include "web/leaderboard.h"
#include "web/page.h"
#include "web/progress.h"

namespace moecap::web {
namespace {

using store::RunListing;

constexpr int64_t kRunsOfPage = 100;

constexpr std::pair<const char*, store::RunOrder> kOrders[] = {{"started", store::RunOrder::kStarted},
                                                               {"id", store::RunOrder::kRunId},
                                                               {"rate", store::RunOrder::kOutputRate},
                                                               {"accuracy", store::RunOrder::kAccuracy}};

struct RunSelection {
  store::RunFilter filter;
  int64_t offset = 0, limit = kRunsOfPage;
};

Result<RunSelection> SelectionOf(const Query& query, int64_t most) {
  RunSelection selection;
  const auto text = [&](const char* name) {
    const std::string value = query.Get(name);
    return value.empty() ? std::nullopt : std::optional(value);
  };
  selection.filter.model = text("model");
  selection.filter.system = text("system");
  selection.filter.dataset = text("dataset");
  if (const auto tag = text("tag")) selection.filter.tags.push_back(*tag);
  if (const auto status = text("status")) {
    ASSIGN_OR_RETURN(selection.filter.status, store::ParseRunStatus(*status));
  }
  for (const auto& [name, order] : kOrders) {
    if (query.Get("sort") == name) selection.filter.order = order;
  }
  selection.offset = query.Whole("offset", 0, INT64_MAX / 4, 0);
  selection.limit = query.Whole("limit", 1, most, kRunsOfPage);
  // One more than is shown, to know whether there is a next page.
  selection.filter.limit = selection.offset + selection.limit + 1;
  return selection;
}

struct RunPart {
  std::vector<RunListing> runs;
  bool more = false;
};

Result<RunPart> ListPart(const Library& library, const RunSelection& selection) {
  RunPart part;
  ASSIGN_OR_RETURN(const auto index, library.Index());
  if (!index) return part;
  ASSIGN_OR_RETURN(part.runs, index->List(selection.filter));
  part.more = std::ssize(part.runs) > selection.offset + selection.limit;
  if (part.more) part.runs.pop_back();
  part.runs.erase(part.runs.begin(), part.runs.begin() + std::min<int64_t>(selection.offset, std::ssize(part.runs)));
  return part;
}

std::string Joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

// "2026-01-31T12:00:00Z" -> "2026-01-31 12:00"
std::string MinuteOf(const std::string& time) {
  std::string text = time.substr(0, 16);
  std::ranges::replace(text, 'T', ' ');
  return text;
}

std::string RunRow(const RunListing& run) {
  std::vector<std::string> models, systems;
  for (const store::StoredSystem& system : run.systems) {
    if (!system.model_id.empty() && std::ranges::count(models, system.model_id) == 0) models.push_back(system.model_id);
    systems.push_back(system.name);
  }
  std::string levels;
  if (run.min_level && run.max_level)
    levels = *run.min_level == *run.max_level ? fmt::format("{:g}", *run.min_level)
                                              : fmt::format("{:g} to {:g}", *run.min_level, *run.max_level);
  std::string tags;
  for (const std::string& tag : run.tags)
    tags += fmt::format(" <a class=\"tag\" href=\"/runs?tag={}\">{}</a>", EncodePercent(tag), Escape(tag));
  const auto cell = [](const char* label, const std::string& text) {
    return text.empty() ? fmt::format("<td class=\"none\" data-l=\"{}\">–</td>", label)
                        : fmt::format("<td data-l=\"{}\">{}</td>", label, Escape(text));
  };
  const std::string id = Escape(run.info.run_id);
  return fmt::format(
             "<tr><th scope=\"row\" class=\"who\"><label><input type=\"checkbox\" name=\"cell\" value=\"{0}\" form=\"compare\" "
             "aria-label=\"Compare {0}\"></label><span><a href=\"{1}\">{0}</a>{2}</span></th>",
             id, Escape(RunPath(run.info.run_id)), tags) +
         fmt::format("<td class=\"word\" data-l=\"status\"><span class=\"tag {0}\">{0}</span></td>",
                     store::RunStatusName(run.info.status)) +
         fmt::format("<td class=\"w\" data-l=\"model\">{}</td><td class=\"w\" data-l=\"systems\">{}</td>",
                     Escape(Joined(models)), Escape(Joined(systems))) +
         cell("levels", levels) + cell("best tokens/s", report::NumberText(run.best_output_rate_tokens_per_s)) +
         cell("best accuracy", report::ShareText(run.best_accuracy)) +
         fmt::format("<td class=\"word\" data-l=\"started\"><time datetime=\"{0}\">{1}</time></td></tr>\n",
                     Escape(run.info.started_at), Escape(MinuteOf(run.info.started_at)));
}

std::string RunTable(const std::vector<RunListing>& runs) {
  std::string out =
      "<table class=\"board\"><thead><tr><th scope=\"col\" class=\"left\">run</th><th scope=\"col\" class=\"word\">status</th>"
      "<th scope=\"col\" class=\"left\">model</th><th scope=\"col\" class=\"left\">systems</th><th scope=\"col\">levels</th>"
      "<th scope=\"col\">best tokens/s</th><th scope=\"col\">best accuracy</th><th scope=\"col\" class=\"word\">started</th>"
      "</tr></thead>\n<tbody>\n";
  for (const RunListing& run : runs) out += RunRow(run);
  return out + "</tbody></table>\n";
}

std::string RunPager(const RunSelection& selection, const RunPart& part, const Query& query) {
  std::string out = fmt::format("<p class=\"pager\"><span>{} to {}</span>", part.runs.empty() ? 0 : selection.offset + 1,
                                selection.offset + std::ssize(part.runs));
  const auto link = [&](int64_t offset, const char* rel, const char* words) {
    Query other = query;
    other.Set("offset", offset > 0 ? std::to_string(offset) : "");
    out += fmt::format(" <a rel=\"{}\" class=\"button\" href=\"{}\">{}</a>", rel, Escape("/runs" + other.Text()), words);
  };
  if (selection.offset > 0) link(std::max<int64_t>(0, selection.offset - selection.limit), "prev", "Previous");
  if (part.more) link(selection.offset + selection.limit, "next", "Next");
  return out + "</p>\n";
}

std::string RunForm(const Query& query) {
  return fmt::format(
      "<form class=\"filters\" id=\"filters\" role=\"search\" action=\"/runs\">\n"
      "<label class=\"grow\">Model<input type=\"search\" name=\"model\" value=\"{}\" autocomplete=\"off\" "
      "aria-keyshortcuts=\"/\"></label>\n<label class=\"grow\">System<input type=\"search\" name=\"system\" value=\"{}\" "
      "autocomplete=\"off\"></label>\n<label>Status<select name=\"status\">{}</select></label>\n<label>Sort by<select "
      "name=\"sort\">{}</select></label>\n<button>Apply</button></form>\n",
      Escape(query.Get("model")), Escape(query.Get("system")),
      Options({{"", "any"}, {"running", "running"}, {"complete", "complete"}, {"interrupted", "interrupted"}},
              query.Get("status")),
      Options({{"", "latest first"}, {"rate", "output tokens/s"}, {"accuracy", "accuracy"}, {"id", "id"}}, query.Get("sort")));
}

std::string NotIndexedNote(const Library& library) {
  const auto missing = library.NotIndexed();
  if (!missing.ok() || missing->empty()) return "";
  std::string out = fmt::format("<details class=\"fold\"><summary>{} {} no index</summary><ul class=\"notes\">\n",
                                missing->size(), missing->size() == 1 ? "folder is in" : "folders are in");
  constexpr size_t kMost = 50;
  for (size_t i = 0; i < std::min(kMost, missing->size()); ++i)
    out += fmt::format("<li><a href=\"{}\">{}</a></li>\n", Escape(RunPath((*missing)[i])), Escape((*missing)[i]));
  return out + "</ul><p>Index them with <code>moecap runs rebuild</code>.</p></details>\n";
}

// Above the report: where else the run can be seen.
std::string Toolbar(const std::string& run_id, const report::Document& document) {
  const std::string path = Escape(RunPath(run_id));
  std::string out = fmt::format("<div class=\"tools\"><a class=\"button\" href=\"/compare?cell={}\">Compare its systems</a>",
                                Escape(EncodePercent(run_id)));
  out += "<details class=\"menu\"><summary class=\"button\">Export</summary><ul>";
  constexpr std::pair<const char*, const char*> kFiles[] = {
      {"report.html", "Report, one file"}, {"report.md", "Markdown"}, {"report.csv", "CSV"}, {"summary.json", "JSON"}};
  for (const auto& [file, name] : kFiles) out += fmt::format("<li><a download href=\"{}/{}\">{}</a></li>", path, file, name);
  for (const auto& [name, svg] : report::RenderSvgs(document))
    out += fmt::format("<li><a download href=\"{}/{}.svg\">{}.svg</a></li>", path, Escape(EncodePercent(name)), Escape(name));
  return out + "</ul></details></div>\n";
}

Json RunToJson(const RunListing& run) {
  Json systems = Json::array();
  for (const store::StoredSystem& system : run.systems)
    systems.push_back({{"name", system.name},
                       {"engine", system.engine},
                       {"model_id", system.model_id},
                       {"weight_type", system.weight_type},
                       {"machine", system.machine}});
  return {{"run_id", run.info.run_id},
          {"status", store::RunStatusName(run.info.status)},
          {"started_at", run.info.started_at},
          {"moecap_version", run.info.moecap_version},
          {"workload", run.info.workload},
          {"dataset", run.info.dataset},
          {"host", run.info.host},
          {"tags", run.tags},
          {"systems", std::move(systems)},
          {"level_kind", run.level_kind.empty() ? Json(nullptr) : Json(run.level_kind)},
          {"min_level", OrNull(run.min_level)},
          {"max_level", OrNull(run.max_level)},
          {"best_output_rate_tokens_per_s", OrNull(run.best_output_rate_tokens_per_s)},
          {"best_accuracy", OrNull(run.best_accuracy)}};
}

Result<cap::JudgedExperiment> JudgedRun(const Library& library, const std::string& run_id) {
  ASSIGN_OR_RETURN(const experiment::Results results, library.OpenRun(run_id));
  return library.Judged(results);
}

}  // namespace

Response RunListPage(const Library& library, const Query& query, bool writable) {
  const PageFrame frame{"Runs", "/runs", writable};
  const auto page = [&]() -> Result<std::string> {
    ASSIGN_OR_RETURN(const RunSelection selection, SelectionOf(query, 500));
    ASSIGN_OR_RETURN(const RunPart part, ListPart(library, selection));
    std::string body = "<main id=\"main\" class=\"wideview\">\n<h1>Runs</h1>\n" + RunningStrip(RunningNow(library)) +
                       RunForm(query) + "<div id=\"list\">\n";
    body += part.runs.empty() ? "<p class=\"empty\">No run is as the filters say.</p>\n"
                              : RunPager(selection, part, query) + RunTable(part.runs) + RunPager(selection, part, query);
    return body + "</div>\n" + NotIndexedNote(library) + kCompareTray + "</main>\n";
  }();
  return page.ok() ? Page(frame, *page) : ErrorPage(frame, page.error(), 400);
}

Response RunListJson(const Library& library, const Query& query) {
  const auto json = [&]() -> Result<Json> {
    ASSIGN_OR_RETURN(const RunSelection selection, SelectionOf(query, kMostListed));
    ASSIGN_OR_RETURN(const RunPart part, ListPart(library, selection));
    Json runs = Json::array();
    for (const RunListing& run : part.runs) runs.push_back(RunToJson(run));
    return Json{{"schema", 1}, {"offset", selection.offset}, {"more", part.more}, {"runs", std::move(runs)}};
  }();
  return json.ok() ? Response{200, kJsonType, DumpJson(*json), {}} : JsonError(json.error(), 400);
}

Response RunPage(const Library& library, const std::string& run_id, bool writable) {
  const PageFrame frame{run_id, "/runs", writable};
  const auto results = library.OpenRun(run_id);
  if (!results.ok()) return ErrorPage(frame, results.error());
  const Progress progress = ProgressOf(*results);
  const std::string live = progress.running ? ProgressBox(progress) : "";
  const auto judged = library.Judged(*results);
  if (!judged.ok()) {
    if (!progress.running) return ErrorPage(frame, judged.error(), 500);
    return Page(frame, "<main id=\"main\" class=\"wideview\"><h1>" + Escape(run_id) + "</h1>" + live + "</main>\n");
  }
  const report::Document document = report::ExperimentDocument(*judged);
  return Page(frame, "<div class=\"over\">" + Toolbar(run_id, document) + live + "</div>\n<div id=\"main\">" +
                         report::RenderHtmlBody(document) + "</div>\n");
}

Response RunJson(const Library& library, const std::string& run_id) {
  const auto judged = JudgedRun(library, run_id);
  if (!judged.ok()) return JsonError(judged.error());
  return {200, kJsonType, DumpJsonPretty(report::ExperimentToJson(*judged)), {}};
}

Response RunExport(const Library& library, const std::string& run_id, const std::string& file) {
  const PageFrame frame{run_id, "/runs", false};
  const auto judged = JudgedRun(library, run_id);
  if (!judged.ok()) return ErrorPage(frame, judged.error());
  const std::string name = run_id + "-" + file;
  if (file == "summary.json") return Download(kJsonType, DumpJsonPretty(report::ExperimentToJson(*judged)), name);
  if (file == "report.csv") return Download("text/csv; charset=utf-8", report::ExperimentsToCsv({&*judged, 1}), name);
  const report::Document document = report::ExperimentDocument(*judged);
  if (file == "report.html") return Download("text/html; charset=utf-8", report::RenderHtml(document), name);
  if (file == "report.md") return Download("text/markdown; charset=utf-8", report::RenderMarkdown(document), name);
  for (auto& [plot, svg] : report::RenderSvgs(document)) {
    if (file == plot + ".svg") return Download("image/svg+xml", std::move(svg), name);
  }
  return ErrorPage(frame, BadInput(fmt::format("this run has no {}", file)));
}

}  // namespace moecap::web
