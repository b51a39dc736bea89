#include "web/page.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/hash.h"
#include "base/json.h"
#include "report/render.h"
#include "report/svg.h"
#include "web/assets.h"

namespace moecap::web {
namespace {

const std::string& WholeStyle() {
  static const std::string style = report::HtmlStyle() + std::string(StyleText());
  return style;
}

// The address changes with the content, so that a browser may keep what it has.
std::string AssetPath(const char* name, std::string_view text) {
  return fmt::format("/assets/{}?v={:016x}", name, HashOf(text));
}

std::string Navigation(const PageFrame& frame) {
  struct Entry {
    const char *path, *name;
  };
  std::vector<Entry> entries = {
      {"/", "Leaderboard"}, {"/runs", "Runs"}, {"/live", "Live"}, {"/compare", "Compare"}, {"/plan", "Plan"}};
  if (frame.writable) entries.push_back({"/import", "Import"});
  std::string out =
      "<a class=\"skip\" href=\"#main\">Skip to the content</a>\n<div class=\"bar\"><div class=\"inner\"><a class=\"brand\" "
      "href=\"/\"><span aria-hidden=\"true\" class=\"mark\"></span>moecap</a>\n<nav class=\"tabs\" aria-label=\"Pages\">";
  for (const Entry& entry : entries)
    out += fmt::format("<a href=\"{}\"{}>{}</a>", entry.path, frame.current == entry.path ? " aria-current=\"page\"" : "",
                       entry.name);
  return out + "</nav></div></div>\n";
}

}  // namespace

std::string Escape(std::string_view text) { return report::EscapeXml(text); }

Response Page(const PageFrame& frame, std::string_view body) {
  std::string out =
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\">\n"
      "<link rel=\"icon\" href=\"data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath "
      "fill='%230b62a8' d='M8 1l6.5 12.5h-13z'/%3E%3C/svg%3E\">\n";
  out += "<title>" + Escape(frame.title) + " · moecap</title>\n";
  out += "<link rel=\"stylesheet\" href=\"" + AssetPath("style.css", WholeStyle()) + "\">\n";
  if (!ScriptText().empty()) out += "<script type=\"module\" src=\"" + AssetPath("main.js", ScriptText()) + "\"></script>\n";
  out += "</head>\n<body>\n" + Navigation(frame);
  out += body;
  return {200, "text/html; charset=utf-8", out + "</body>\n</html>\n", {}};
}

Response ErrorPage(const PageFrame& frame, const Error& error, int status) {
  Response response = Page(frame, fmt::format("<main id=\"main\" class=\"wideview\"><h1>{}</h1><p class=\"alarm\" "
                                              "role=\"alert\">{}</p></main>\n",
                                              status == 404 ? "Not here" : "This did not work", Escape(error.message)));
  response.status = status;
  return response;
}

Response JsonError(const Error& error, int status) {
  return {status, kJsonType, DumpJsonPretty({{"error", error.message}}), {}};
}

Response AssetResponse(const std::string& name) {
  const std::pair<std::string, std::string> keep{"Cache-Control", "public, max-age=31536000, immutable"};
  if (name == "style.css") return {200, "text/css; charset=utf-8", WholeStyle(), {keep}};
  if (name == "main.js" && !ScriptText().empty())
    return {200, "text/javascript; charset=utf-8", std::string(ScriptText()), {keep}};
  return {404, kTextType, "no such asset\n", {}};
}

std::string Options(const std::vector<Choice>& choices, std::string_view current) {
  std::string out;
  for (const Choice& choice : choices)
    out += fmt::format("<option value=\"{}\"{}>{}</option>", Escape(choice.value), choice.value == current ? " selected" : "",
                       Escape(choice.label));
  return out;
}

std::string RunPath(std::string_view run_id) { return "/runs/" + EncodePercent(run_id); }

}  // namespace moecap::web
