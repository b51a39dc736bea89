#include "report/comparison_terminal.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/table.h"
#include "report/comparison_tables.h"
#include "report/figures.h"
#include "report/terminal_radar.h"

namespace moecap::report {
namespace {

constexpr size_t kLongestName = 24;
constexpr size_t kShortestName = 8;
constexpr const char* kBold = "1";
constexpr const char* kDim = "2";
constexpr const char* kRed = "1;31";

class ComparisonPage {
 public:
  ComparisonPage(const cap::Comparison& comparison, const TerminalOptions& options)
      : comparison_(comparison), options_(options) {}

  std::string Render() {
    Text("", Headline(comparison_), kBold);
    for (const auto& warning : comparison_.warnings) Text("! ", warning, kRed);
    for (const auto& [label, text] : DescribeComparison(comparison_)) Text(PadRight(label, 10), text);
    for (const auto& line : InvalidLines(comparison_)) Text("! ", "NOT VALID: " + line, kRed);
    for (const auto& table : FigureTables(comparison_)) Table(table);
    Table(ScoreTable(comparison_));
    Radar();
    for (size_t i = 0; i < comparison_.systems.size(); ++i) Text(Mark(i) + " ", ClassSentence(comparison_.systems[i]));
    Section("Pareto fronts", FrontLines(comparison_));
    Section("MoE-CAP's decision matrix", AdviceLines(comparison_));
    Section("Notes", comparison_.notes);
    Section("What the figures rest on", MethodLines(comparison_), kDim);
    for (const auto& warning : comparison_.warnings) Text("! ", warning, kRed);
    return std::move(out_);
  }

 private:
  std::string Style(const std::string& text, const char* code) const {
    return options_.color && code != nullptr ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : text;
  }
  std::string Plain(const std::string& text) const { return options_.unicode ? text : AsciiText(text); }
  std::string Mark(size_t system) const {
    const std::string mark = SystemMark(system, options_.unicode);
    return options_.color ? SystemColor(system) + mark + kColorOff : mark;
  }

  // `lead` once, then `text` wrapped beside it.
  void Text(const std::string& lead, const std::string& text, const char* code = nullptr) {
    const size_t indent = DisplayWidth(lead);
    bool first = true;
    for (const auto& line : WrapText(Plain(text), options_.width - indent)) {
      out_ += (first ? lead : std::string(indent, ' ')) + Style(line, code) + "\n";
      first = false;
    }
  }

  void Title(const std::string& text) { out_ += "\n" + Style(Plain(text), kBold) + "\n"; }

  void Section(const std::string& title, const std::vector<std::string>& lines, const char* code = nullptr) {
    if (lines.empty()) return;
    Title(title);
    for (const auto& line : lines) Text("- ", line, code);
  }

  void Table(const ComparisonTable& table) {
    Title(table.title);
    std::vector<TableColumn> columns = {{"", "system", Align::kLeft, true}};
    for (const auto& column : table.columns)
      columns.push_back({column.group, column.header, column.words ? Align::kLeft : Align::kRight});
    const auto rows = [&](size_t name_width) {
      std::vector<std::vector<std::string>> cells;
      for (size_t i = 0; i < table.rows.size(); ++i) {
        cells.push_back({Mark(i) + " " + Shorten(Plain(comparison_.systems[i].label), name_width, options_.unicode)});
        for (const auto& value : table.rows[i]) cells.back().push_back(Style(Plain(value), value == kMissing ? kDim : nullptr));
      }
      return cells;
    };
    size_t name_width = kLongestName;
    while (name_width > kShortestName && TableWidth(columns, rows(name_width)) > options_.width) --name_width;
    TableOptions layout{.width = options_.width, .unicode = options_.unicode};
    if (options_.color) {
      layout.rule_begin = "\x1b[2m";
      layout.header_begin = "\x1b[1m";
      layout.rule_end = layout.header_end = kColorOff;
    }
    out_ += RenderTable(columns, rows(name_width), layout);
  }

  void Radar() {
    const auto scores = DrawnScores(comparison_);
    const bool any = std::any_of(scores.begin(), scores.end(), [](const cap::CapScores& score) {
      return score.cost || score.accuracy || score.performance;
    });
    if (!any) return;
    Title(fmt::format("CAP radar, {} scores", comparison_.normalisation));
    const TerminalRadarOptions radar{.columns = 39, .unicode = options_.unicode, .color = options_.color};
    for (auto line : DrawTerminalRadar(scores, radar)) {
      line.erase(line.find_last_not_of(' ') + 1);
      out_ += line + "\n";
    }
    out_ += "\n";
  }

  const cap::Comparison& comparison_;
  const TerminalOptions& options_;
  std::string out_;
};

}  // namespace

std::string RenderComparisonTerminal(const cap::Comparison& comparison, const TerminalOptions& options) {
  TerminalOptions usable = options;
  usable.width = std::max<size_t>(usable.width, 40);
  const cap::Comparison printable = Printable(comparison);
  return ComparisonPage(printable, usable).Render();
}

}  // namespace moecap::report
