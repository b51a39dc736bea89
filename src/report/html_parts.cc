#include "report/html_parts.h"

#include <fmt/format.h>

#include <algorithm>

#include "report/svg.h"

namespace moecap::report {
namespace {

// So many columns fit on a phone.
constexpr size_t kFewColumns = 4;

}  // namespace

void AppendCell(std::string& out, std::string_view escaped_label, const std::string& value, std::string_view css) {
  const bool missing = value == kMissing || value.empty();
  if (missing) css = "none";
  out += "<td";
  if (!css.empty()) out.append(" class=\"").append(css).append("\"");
  if (!escaped_label.empty()) out.append(" data-l=\"").append(escaped_label).append("\"");
  out += ">";
  out += missing ? "–" : EscapeXml(value);
  out += "</td>";
}

std::string HtmlItems(const char* css, const std::vector<std::string>& items) {
  if (items.empty()) return "";
  std::string out = fmt::format("<ul class=\"{}\">\n", css);
  for (const auto& item : items) out += "<li>" + EscapeXml(item) + "</li>\n";
  return out + "</ul>\n";
}

std::string HtmlTable(std::string_view caption, const std::vector<std::string>& head,
                      const std::vector<std::vector<std::string>>& rows, const std::vector<size_t>& words) {
  const bool few = head.size() <= kFewColumns && words.empty();
  std::string out = fmt::format("<div class=\"scroll\"><table{}>\n", few ? " class=\"few\"" : "");
  if (!caption.empty()) out += "<caption>" + EscapeXml(caption) + "</caption>\n";
  const auto is_words = [&words](size_t column) { return std::ranges::find(words, column) != words.end(); };
  out += "<thead><tr>";
  std::vector<std::string> labels;
  for (const auto& name : head) labels.push_back(EscapeXml(name));
  for (size_t i = 0; i < head.size(); ++i) {
    out += fmt::format("<th scope=\"col\"{}>{}</th>",
                       i == 0        ? " class=\"sys left\""
                       : is_words(i) ? " class=\"w\""
                                     : "",
                       labels[i]);
  }
  out += "</tr></thead>\n<tbody>\n";
  for (const auto& row : rows) {
    out += "<tr><th scope=\"row\" class=\"sys\">" + EscapeXml(row.front()) + "</th>";
    for (size_t i = 1; i < row.size(); ++i) AppendCell(out, few ? "" : labels[i], row[i], is_words(i) ? "w" : "");
    out += "</tr>\n";
  }
  return out + "</tbody>\n</table></div>\n";
}

std::string HtmlFigureTable(const Chart& chart) {
  if (chart.table.rows.empty()) return "";
  return "<details class=\"data\"><summary>figures</summary>" + HtmlTable("", chart.table.head, chart.table.rows) +
         "</details>\n";
}

std::string HtmlFigure(const Chart& chart) {
  std::string out = "<figure>\n" + chart.svg;
  if (!chart.reading.empty()) out += "<figcaption>" + EscapeXml(chart.reading) + "</figcaption>\n";
  return out + HtmlFigureTable(chart) + "</figure>\n";
}

std::string HtmlFigures(const char* css, const std::vector<Chart>& charts) {
  if (charts.empty()) return "";
  std::string out = fmt::format("<div class=\"{}\">\n", css);
  for (const auto& chart : charts) out += HtmlFigure(chart);
  return out + "</div>\n";
}

}  // namespace moecap::report
