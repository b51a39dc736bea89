#include "web/leaderboard.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "base/json.h"
#include "cap/figures.h"
#include "report/cell_table.h"
#include "report/svg.h"
#include "web/curves.h"
#include "web/page.h"
#include "web/progress.h"

namespace moecap::web {
namespace {

using store::CellListing;

constexpr int64_t kRowsOfPage = 50;
constexpr size_t kMostWords = 8;

// What a table shows unless it is told otherwise.
constexpr const char* kUsualFigures[] = {"accuracy",    "output_tokens_per_s",    "tpot_mean_s",
                                         "ttft_mean_s", "usd_per_million_tokens", "decode_s_mbu"};

std::vector<std::string> ShownFigures(const Query& query) {
  std::vector<std::string> keys = query.All("figure");
  if (keys.empty()) keys.assign(std::begin(kUsualFigures), std::end(kUsualFigures));
  return keys;
}

std::string NameOfCell(const CellListing& listing) {
  return fmt::format("{}:{}@{}", listing.run.run_id, listing.system.name, listing.cell.level);
}

// The address of the page with a sort by `key`; where it is that already, the other way round.
std::string SortLink(Query query, const cap::Figure& figure) {
  const bool now = query.Get("sort") == figure.key;
  const bool down = query.Get("order").empty() ? figure.better != cap::Better::kLower : query.Get("order") == "down";
  query.Set("sort", std::string(figure.key));
  query.Set("order", now ? (down ? "up" : "down") : "");
  query.Set("offset", "");
  return "/" + query.Text();
}

std::string HeadCell(const Query& query, const store::CellFilter& filter, const cap::Figure& figure) {
  const bool sorted = filter.sort == figure.key;
  const char* state = !sorted ? "" : filter.descending ? " aria-sort=\"descending\"" : " aria-sort=\"ascending\"";
  return fmt::format("<th scope=\"col\"{}><a href=\"{}\" title=\"{}\">{}{}</a></th>", state, Escape(SortLink(query, figure)),
                     Escape(figure.definition), Escape(figure.name),
                     !sorted             ? ""
                     : filter.descending ? " ↓"
                                         : " ↑");
}

std::string FigureCell(const CellListing& listing, const cap::Figure& figure) {
  const auto found = std::ranges::find(listing.cell.figures, figure.key, &store::StoredFigure::key);
  const std::string label = Escape(figure.name);
  if (found == listing.cell.figures.end()) return fmt::format("<td class=\"none\" data-l=\"{}\">–</td>", label);
  return fmt::format("<td data-l=\"{}\">{}{}</td>", label, found->estimate ? "~" : "",
                     Escape(report::FigureText(figure.id, found->value)));
}

std::string RowOf(const CellListing& listing, const std::vector<cap::FigureId>& figures, size_t marker) {
  const std::string name = Escape(NameOfCell(listing));
  std::string row = listing.cell.valid ? "<tr>" : "<tr class=\"bad\">";
  row += fmt::format(
      "<th scope=\"row\" class=\"who\"><label><input type=\"checkbox\" name=\"cell\" value=\"{0}\" form=\"compare\" "
      "aria-label=\"Compare {0}\"></label><span>{1} <a href=\"{2}\">{3}</a>{4}<small>{5}</small></span></th>",
      name, report::MarkerIcon(marker), Escape(RunPath(listing.run.run_id)), Escape(listing.system.name),
      listing.cell.valid ? "" : " <span class=\"failed\" title=\"a gate tripped\">!</span>",
      Escape(fmt::format("{}{}{} · {}", listing.system.model_id, listing.system.model_id.empty() ? "" : ", ",
                         listing.system.weight_type.empty() ? listing.system.engine : listing.system.weight_type,
                         ShortName(listing.run.run_id))));
  row += fmt::format("<td class=\"word\" data-l=\"load\">{}</td>", Escape(listing.cell.label));
  for (const cap::FigureId id : figures) row += FigureCell(listing, cap::FigureOf(id));
  row += fmt::format("<td class=\"hardware\" data-l=\"hardware\">{}</td>", Escape(listing.Hardware()));
  row += fmt::format("<td class=\"word\" data-l=\"started\"><time datetime=\"{0}\">{1}</time></td></tr>\n",
                     Escape(listing.run.started_at), Escape(listing.run.started_at.substr(0, 10)));
  return row;
}

std::string TableOf(const store::CellPage& page, const store::CellFilter& filter, const Query& query) {
  std::vector<cap::FigureId> figures;
  std::string head =
      "<table class=\"board\"><thead><tr><th scope=\"col\" class=\"left\">system</th><th scope=\"col\" "
      "class=\"word\">load</th>";
  for (const std::string& key : ShownFigures(query)) {
    figures.push_back(*cap::FindFigure(key));
    head += HeadCell(query, filter, cap::FigureOf(figures.back()));
  }
  head += "<th scope=\"col\" class=\"left\">hardware</th><th scope=\"col\" class=\"word\">started</th></tr></thead>\n<tbody>\n";
  std::vector<std::pair<std::string, std::string>> systems;
  for (const CellListing& listing : page.cells) {
    const std::pair<std::string, std::string> key{listing.run.run_id, listing.system.name};
    auto at = std::ranges::find(systems, key);
    if (at == systems.end()) at = systems.insert(systems.end(), key);
    head += RowOf(listing, figures, static_cast<size_t>(at - systems.begin()));
  }
  return head + "</tbody></table>\n";
}

std::string Pager(const store::CellPage& page, const store::CellFilter& filter, const Query& query) {
  const int64_t shown = static_cast<int64_t>(page.cells.size());
  std::string out = fmt::format("<p class=\"pager\"><span>{} to {} of {} cells</span>", shown == 0 ? 0 : filter.offset + 1,
                                filter.offset + shown, page.total);
  const auto link = [&](int64_t offset, const char* rel, const char* words) {
    Query other = query;
    other.Set("offset", offset > 0 ? std::to_string(offset) : "");
    out += fmt::format(" <a rel=\"{}\" class=\"button\" href=\"{}\">{}</a>", rel, Escape("/" + other.Text()), words);
  };
  if (filter.offset > 0) link(std::max<int64_t>(0, filter.offset - filter.limit), "prev", "Previous");
  if (filter.offset + shown < page.total) link(filter.offset + filter.limit, "next", "Next");
  return out + "</p>\n";
}

std::vector<Choice> Choices(const char* any, const std::vector<std::string>& values) {
  std::vector<Choice> choices = {{"", any}};
  for (const std::string& value : values) choices.push_back({value, value});
  return choices;
}

std::string FigureBoxes(const Query& query) {
  const std::vector<std::string> shown = ShownFigures(query);
  std::string out = "<details class=\"columns\"><summary>Columns</summary><div class=\"boxes\">";
  for (const cap::Figure& figure : cap::Figures())
    out += fmt::format("<label title=\"{}\"><input type=\"checkbox\" name=\"figure\" value=\"{}\"{}> {}</label>",
                       Escape(figure.definition), figure.key, std::ranges::count(shown, figure.key) > 0 ? " checked" : "",
                       Escape(figure.name));
  return out + "</div></details>";
}

std::string FilterForm(const Query& query, const store::CellChoices& choices) {
  std::vector<Choice> sorts = {{"", "latest first"}};
  for (const cap::Figure& figure : cap::Figures()) {
    if (figure.better != cap::Better::kNone) sorts.push_back({std::string(figure.key), std::string(figure.name)});
  }
  return fmt::format(
      "<form class=\"filters\" id=\"filters\" role=\"search\" action=\"/\">\n"
      "<label class=\"grow\">Find<input type=\"search\" name=\"q\" value=\"{}\" placeholder=\"model, engine, run, tag …\" "
      "autocomplete=\"off\" aria-keyshortcuts=\"/\"></label>\n"
      "<label>Model<select name=\"model\">{}</select></label>\n<label>Hardware<select name=\"hardware\">{}</select></label>\n"
      "<label>Sort by<select name=\"sort\">{}</select></label>\n"
      "<label class=\"tick\"><input type=\"checkbox\" name=\"all\" value=\"1\"{}> with cells in which a gate tripped</label>\n"
      "{}<button>Apply</button></form>\n",
      Escape(query.Get("q")), Options(Choices("any", choices.models), query.Get("model")),
      Options(Choices("any", choices.hardware), query.Get("hardware")), Options(sorts, query.Get("sort")),
      query.Has("all") ? " checked" : "", FigureBoxes(query));
}

std::string HowToBegin(const Library& library) {
  const auto missing = library.NotIndexed();
  const size_t folders = missing.ok() ? missing->size() : 0;
  if (folders > 0)
    return fmt::format(
        "<p class=\"empty\">{} run folders lie here, but no index knows them. Index them with "
        "<code>moecap runs rebuild</code>.</p>\n",
        folders);
  return "<p class=\"empty\">No run is stored here yet. Make one with <code>moecap run examples/quickstart.yaml</code>, or "
         "<code>moecap quick</code>.</p>\n";
}

Json CellToJson(const CellListing& listing) {
  Json figures = Json::object();
  for (const store::StoredFigure& figure : listing.cell.figures) figures[figure.key] = figure.value;
  return {{"cell", NameOfCell(listing)},          {"run_id", listing.run.run_id},
          {"started_at", listing.run.started_at}, {"status", store::RunStatusName(listing.run.status)},
          {"dataset", listing.run.dataset},       {"workload", listing.run.workload},
          {"system", listing.system.name},        {"engine", listing.system.engine},
          {"model_id", listing.system.model_id},  {"weight_type", listing.system.weight_type},
          {"hardware", listing.Hardware()},       {"level_kind", listing.cell.level_kind},
          {"level", listing.cell.level},          {"label", listing.cell.label},
          {"repeats", listing.cell.repeats},      {"valid", listing.cell.valid},
          {"figures", std::move(figures)}};
}

}  // namespace

const char* const kCompareTray =
    "<form class=\"tray\" id=\"compare\" action=\"/compare\"><span id=\"chosen\" role=\"status\">Choose cells to compare "
    "them.</span><button>Compare</button></form>\n";

Result<store::CellFilter> CellFilterOf(const Query& query, int64_t usual_limit, int64_t most) {
  store::CellFilter filter;
  std::string word;
  for (const char c : query.Get("q") + " ") {
    if (c != ' ') {
      word += c;
    } else if (!word.empty() && filter.words.size() < kMostWords) {
      filter.words.push_back(std::exchange(word, ""));
    }
  }
  if (query.Has("model") && !query.Get("model").empty()) filter.model = query.Get("model");
  if (query.Has("hardware") && !query.Get("hardware").empty()) filter.hardware = query.Get("hardware");
  filter.valid_only = !query.Has("all");
  filter.sort = query.Get("sort");
  if (!filter.sort.empty()) {
    ASSIGN_OR_RETURN(const cap::FigureId id, cap::FindFigure(filter.sort));
    filter.sort = cap::FigureOf(id).key;
    filter.descending =
        query.Get("order").empty() ? cap::FigureOf(id).better != cap::Better::kLower : query.Get("order") != "up";
  }
  filter.figures = ShownFigures(query);
  for (std::string& key : filter.figures) {
    ASSIGN_OR_RETURN(const cap::FigureId id, cap::FindFigure(key));
    key = cap::FigureOf(id).key;
  }
  filter.limit = query.Whole("limit", 1, most, usual_limit);
  filter.offset = query.Whole("offset", 0, INT64_MAX / 2, 0);
  return filter;
}

Response LeaderboardPage(const Library& library, const Query& query, bool writable) {
  const PageFrame frame{"Leaderboard", "/", writable};
  const auto page = [&]() -> Result<std::string> {
    ASSIGN_OR_RETURN(store::CellFilter filter, CellFilterOf(query, kRowsOfPage, 500));
    for (const std::string& key : CurveFigures()) {
      if (std::ranges::find(filter.figures, key) == filter.figures.end()) filter.figures.push_back(key);
    }
    ASSIGN_OR_RETURN(const auto index, library.Index());
    store::CellPage cells;
    store::CellChoices choices;
    if (index) {
      ASSIGN_OR_RETURN(cells, store::ListCells(*index, filter));
      ASSIGN_OR_RETURN(choices, store::ListChoices(*index));
    }
    std::string body = "<main id=\"main\" class=\"wideview\">\n<h1>Leaderboard</h1>\n" + RunningStrip(RunningNow(library)) +
                       FilterForm(query, choices) + "<div id=\"list\">\n";
    body += cells.total == 0 && query.pairs().empty() ? HowToBegin(library) : Pager(cells, filter, query);
    if (cells.total > 0) body += TableOf(cells, filter, query) + Pager(cells, filter, query);
    if (cells.total == 0 && !query.pairs().empty()) body += "<p class=\"empty\">No cell is as the filters say.</p>\n";
    return body + FiguresHtml(CellFigures(cells.cells), "The cells shown") + "</div>\n" + kCompareTray + "</main>\n";
  }();
  return page.ok() ? Page(frame, *page) : ErrorPage(frame, page.error(), 400);
}

Response CellsJson(const Library& library, const Query& query) {
  const auto json = [&]() -> Result<Json> {
    ASSIGN_OR_RETURN(const store::CellFilter filter, CellFilterOf(query, 100, kMostListed));
    ASSIGN_OR_RETURN(const auto index, library.Index());
    store::CellPage page;
    if (index) {
      ASSIGN_OR_RETURN(page, store::ListCells(*index, filter));
    }
    Json cells = Json::array();
    for (const CellListing& listing : page.cells) cells.push_back(CellToJson(listing));
    return Json{{"schema", 1}, {"total", page.total}, {"offset", filter.offset}, {"cells", std::move(cells)}};
  }();
  return json.ok() ? Response{200, kJsonType, DumpJson(*json), {}} : JsonError(json.error(), 400);
}

}  // namespace moecap::web
