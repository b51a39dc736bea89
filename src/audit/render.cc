#include "audit/render.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/table.h"
#include "base/units.h"

namespace moecap::audit {
namespace {

constexpr const char* kNothing = "-";

void Count(Verdict verdict, Counts& counts) {
  if (verdict == Verdict::kAgrees) ++counts.agrees;
  if (verdict == Verdict::kDiffers) ++counts.differs;
  if (verdict == Verdict::kNotComputable) ++counts.not_computable;
}

template <typename T>
Json Optional(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json ToJson(const Figure& figure) {
  const bool words = !figure.published_text.empty();
  Json json = {{"quantity", figure.quantity}, {"unit", words ? "text" : UnitName(figure.unit)}};
  json["published"] = figure.published ? Json(figure.published->value) : Json(nullptr);
  json["relation"] = RelationName(figure.relation);
  json["computed"] = Optional(figure.computed);
  if (words) {
    json["published"] = figure.published_text;
    json["computed"] = figure.computed_text.empty() ? Json(nullptr) : Json(figure.computed_text);
  }
  json["low"] = Optional(figure.low);
  json["high"] = Optional(figure.high);
  json["estimated"] = figure.estimated;
  json["difference"] = Optional(Difference(figure));
  json["relative_difference"] = Optional(RelativeDifference(figure));
  json["verdict"] = VerdictName(Judge(figure));
  return json;
}

Json ToJson(const Counts& counts) {
  return {{"agrees", counts.agrees}, {"differs", counts.differs}, {"not_computable", counts.not_computable}};
}

// Text that a Markdown cell may hold.
std::string Cell(std::string_view text) {
  std::string cell;
  for (const char c : PrintableText(text)) {
    if (c == '|' || c == '<' || c == '*' || c == '_' || c == '`' || c == '\\') cell += '\\';
    cell += c;
  }
  return cell;
}

std::vector<std::string> Reasons(const ClaimReport& claim) {
  std::vector<std::string> lines = claim.reasons;
  if (!claim.missing.empty()) {
    std::string missing;
    for (const std::string& each : claim.missing) missing += (missing.empty() ? "" : "; ") + each;
    lines.push_back("Not published, or not to be had here: " + missing + ".");
  }
  return lines;
}

constexpr const char* kIndent = "  ";

std::vector<std::vector<std::string>> Rows(const FileReport& report) {
  std::vector<std::vector<std::string>> rows;
  for (const ClaimReport& claim : report.claims) {
    rows.push_back({PrintableText(claim.id), "", "", "", std::string(VerdictName(claim.Overall()))});
    for (const Figure& figure : claim.figures) {
      rows.push_back({kIndent + PrintableText(figure.quantity), PublishedText(figure), ComputedText(figure),
                      DifferenceText(figure), std::string(VerdictName(Judge(figure)))});
    }
  }
  return rows;
}

// Shortens the first column until the table fits.
void FitWidth(const std::vector<TableColumn>& columns, size_t width, bool unicode,
              std::vector<std::vector<std::string>>& rows) {
  constexpr size_t kLeast = 16;
  size_t longest = 0;
  for (const auto& row : rows) longest = std::max(longest, DisplayWidth(row[0]));
  const size_t whole = TableWidth(columns, rows);
  if (whole <= width) return;
  const size_t room = std::max(kLeast, longest - std::min(longest, whole - width));
  for (auto& row : rows) {
    const bool indented = row[0].starts_with(kIndent);
    row[0] =
        indented ? kIndent + Shorten(std::string_view(row[0]).substr(2), room - 2, unicode) : Shorten(row[0], room, unicode);
  }
}

}  // namespace

Counts CountClaims(const std::vector<FileReport>& reports) {
  Counts counts;
  for (const FileReport& report : reports) {
    for (const ClaimReport& claim : report.claims) Count(claim.Overall(), counts);
  }
  return counts;
}

Counts CountFigures(const std::vector<FileReport>& reports) {
  Counts counts;
  for (const FileReport& report : reports) {
    for (const ClaimReport& claim : report.claims) {
      for (const Figure& figure : claim.figures) Count(Judge(figure), counts);
    }
  }
  return counts;
}

std::string PublishedText(const Figure& figure) {
  if (!figure.published_text.empty()) return PrintableText(figure.published_text);
  if (!figure.published) return kNothing;
  const std::string value = FormatFigure(figure.published->value, figure.unit);
  return figure.relation == Relation::kEqual ? value : fmt::format("{} {}", RelationName(figure.relation), value);
}

std::string ComputedText(const Figure& figure) {
  if (!figure.published_text.empty()) return figure.computed_text.empty() ? kNothing : figure.computed_text;
  if (!figure.computed) return kNothing;
  return (figure.estimated ? "~" : "") + FormatFigure(*figure.computed, figure.unit);
}

std::string DifferenceText(const Figure& figure) {
  const auto difference = Difference(figure);
  if (!difference || figure.relation == Relation::kAtMost) return kNothing;
  if (*difference == 0) return "0";
  if (figure.unit == Unit::kScore || figure.unit == Unit::kCount)
    return std::floor(*difference) == *difference ? fmt::format("{:+.0f}", *difference) : fmt::format("{:+.1g}", *difference);
  const auto relative = RelativeDifference(figure);
  if (!relative) return kNothing;
  const double percent = 100 * *relative;
  return fmt::format("{}{} %", percent < 0 ? "-" : "+", FormatFixed(std::abs(percent), std::abs(percent) < 9.95 ? 2 : 1));
}

std::string Sentence(const Counts& counts, std::string_view what) {
  return fmt::format("{}{} agree, {} differ, {} cannot be computed here.", counts.agrees,
                     what.empty() ? std::string() : fmt::format(" {}", what), counts.differs, counts.not_computable);
}

std::string RenderText(const FileReport& report, size_t width, bool unicode) {
  const std::vector<TableColumn> columns = {{"", "claim", Align::kLeft, true},
                                            {"", "published"},
                                            {"", "computed"},
                                            {"", "difference"},
                                            {"", "verdict", Align::kLeft}};
  std::vector<std::vector<std::string>> rows = Rows(report);
  FitWidth(columns, width, unicode, rows);
  TableOptions options;
  options.width = width;
  options.unicode = unicode;
  std::string text;
  for (const std::string& line : WrapText(PrintableText(fmt::format("{} ({})", report.title, report.publication)), width))
    text += line + "\n";
  text += RenderTable(columns, rows, options);
  for (const ClaimReport& claim : report.claims) {
    text += "\n";
    for (const std::string& line : WrapText(PrintableText(fmt::format("{} [{}]", claim.id, claim.source)), width))
      text += line + "\n";
    for (const std::string& reason : Reasons(claim)) {
      const char* indent = "  - ";
      for (const std::string& line : WrapText(PrintableText(reason), width - 4)) {
        text += indent + line + "\n";
        indent = "    ";
      }
    }
  }
  return unicode ? text : AsciiText(text);
}

std::string RenderMarkdown(const std::vector<FileReport>& reports) {
  std::string text = "# Published against computed\n\n" + Sentence(CountClaims(reports), "claims") + " Of their figures " +
                     Sentence(CountFigures(reports), "") + "\n`~` marks an estimate.\n";
  for (const FileReport& report : reports) {
    text += fmt::format("\n## {}\n\n{}\n\n| claim | published | computed | difference | verdict |\n|---|---:|---:|---:|---|\n",
                        Cell(report.title), Cell(report.publication));
    for (const ClaimReport& claim : report.claims) {
      text += fmt::format("| **{}** ({}) | | | | **{}** |\n", Cell(claim.id), Cell(claim.source), VerdictName(claim.Overall()));
      for (const Figure& figure : claim.figures) {
        text += fmt::format("| {} | {} | {} | {} | {} |\n", Cell(figure.quantity), Cell(PublishedText(figure)),
                            Cell(ComputedText(figure)), DifferenceText(figure), VerdictName(Judge(figure)));
      }
    }
    for (const ClaimReport& claim : report.claims) {
      text += fmt::format("\n**{}**\n\n", Cell(claim.id));
      for (const std::string& reason : Reasons(claim)) text += fmt::format("- {}\n", Cell(reason));
    }
  }
  return text;
}

Json ToJson(const std::vector<FileReport>& reports) {
  Json files = Json::array();
  for (const FileReport& report : reports) {
    Json claims = Json::array();
    for (const ClaimReport& claim : report.claims) {
      Json figures = Json::array();
      for (const Figure& figure : claim.figures) figures.push_back(ToJson(figure));
      claims.push_back({{"id", claim.id},
                        {"kind", claim.kind},
                        {"source", claim.source},
                        {"verdict", VerdictName(claim.Overall())},
                        {"figures", std::move(figures)},
                        {"reasons", claim.reasons},
                        {"missing", claim.missing}});
    }
    files.push_back(
        {{"file", report.file}, {"publication", report.publication}, {"title", report.title}, {"claims", std::move(claims)}});
  }
  return {{"claims", ToJson(CountClaims(reports))}, {"figures", ToJson(CountFigures(reports))}, {"files", std::move(files)}};
}

}  // namespace moecap::audit
