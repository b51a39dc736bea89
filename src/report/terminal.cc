#include "report/terminal.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/table.h"
#include "base/units.h"
#include "report/figures.h"
#include "report/terminal_radar.h"
#include "report/words.h"

namespace moecap::report {
namespace {

constexpr size_t kNameWidth = 16;
constexpr size_t kShortestName = 8;

class Page {
 public:
  Page(const RunSummary& summary, const TerminalOptions& options) : summary_(summary), options_(options) {}

  std::string Render() {
    Header();
    Systems();
    Tables();
    Notes();
    Cap();
    Result();
    return std::move(out_);
  }

 private:
  std::string Style(const std::string& text, const char* code) const {
    return options_.color ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : text;
  }
  // What the user's text becomes on this terminal.
  std::string Plain(const std::string& text) const { return options_.unicode ? text : AsciiText(text); }
  std::string Mark(size_t system) const {
    const std::string mark = SystemMark(system, options_.unicode);
    return options_.color ? SystemColor(system) + mark + kColorOff : mark;
  }

  void Line(const std::string& text) { out_ += text + "\n"; }
  void Title(const std::string& text) { out_ += "\n" + Style(Plain(text), "1") + "\n"; }

  // `label` once, then `text` wrapped beside it.
  void Labelled(const std::string& label, size_t label_width, const std::string& text, const char* code = nullptr) {
    bool first = true;
    for (const auto& line : WrapText(Plain(text), options_.width - label_width)) {
      Line(PadRight(first ? label : "", label_width) + (code != nullptr ? Style(line, code) : line));
      first = false;
    }
  }

  void Header() {
    Labelled("", 0, fmt::format("moecap {}, run {}", summary_.moecap_version, summary_.run_id), "1");
    if (!summary_.complete) {
      Line("");
      Labelled("", 0, IncompleteWarning(), "1;31");
      Line("");
    }
    for (const auto& [label, text] : DescribeRun(summary_)) Labelled(label, 10, text);
  }

  TableOptions Options() const {
    TableOptions table{.width = options_.width, .unicode = options_.unicode};
    if (options_.color) {
      table.rule_begin = "\x1b[2m";
      table.header_begin = "\x1b[1m";
      table.rule_end = table.header_end = kColorOff;
    }
    return table;
  }

  void Systems() {
    Title("Systems");
    const std::vector<TableColumn> columns = {
        {"", "system", Align::kLeft, true}, {"", "weights", Align::kLeft}, {"", "size"}, {"", "parameters"}, {"", "active"},
        {"", "experts", Align::kLeft}};
    const auto described = DescribeSystems(summary_);
    const auto make_rows = [&](size_t name_width) {
      std::vector<std::vector<std::string>> rows;
      for (size_t i = 0; i < described.size(); ++i) {
        const auto& row = described[i];
        rows.push_back({Mark(i) + " " + Name(row.name, name_width), Name(row.weights, 12), row.size, row.parameters, row.active,
                        Plain(row.experts)});
      }
      return rows;
    };
    size_t name_width = std::min<size_t>(24, options_.width / 3);
    while (name_width > kShortestName && TableWidth(columns, make_rows(name_width)) > options_.width) --name_width;
    out_ += RenderTable(columns, make_rows(name_width), Options());
    for (size_t i = 0; i < described.size(); ++i) {
      const auto& row = described[i];
      const std::string ceiling = row.ceiling.empty() ? "" : "; compute ceiling " + row.ceiling;
      Labelled(Mark(i) + " ", 2, row.name + ": " + row.description + ceiling, "2");
    }
  }

  std::string Name(const std::string& name, size_t width) const { return Shorten(Plain(name), width, options_.unicode); }

  void Tables() {
    const auto tables = BuildTables(summary_);
    // Long names give way before a table is cut.
    size_t name_width = kNameWidth;
    const auto too_wide = [&](const FigureTable& table) {
      return TableWidth(Columns(table), Rows(table, name_width)) > options_.width;
    };
    while (name_width > kShortestName && std::ranges::any_of(tables, too_wide)) --name_width;
    for (const auto& table : tables) {
      Title(table.title);
      out_ += RenderTable(Columns(table), Rows(table, name_width), Options());
    }
  }

  static std::vector<TableColumn> Columns(const FigureTable& table) {
    std::vector<TableColumn> columns = {{"", "system", Align::kLeft, true}, {"", "conc", Align::kRight, true}};
    for (const auto& column : table.columns) columns.push_back({column.group, column.header});
    return columns;
  }

  std::vector<std::vector<std::string>> Rows(const FigureTable& table, size_t name_width) const {
    std::vector<std::vector<std::string>> rows;
    for (const auto& row : table.rows) {
      const std::string name = Mark(row.system) + " " + Name(summary_.systems[row.system].name, name_width);
      std::vector<std::string> cells = {row.first_of_system ? name : "",
                                        std::to_string(row.concurrency) + (row.valid ? " " : Style("!", "1;31"))};
      for (const auto& value : row.values) cells.push_back(Value(value));
      rows.push_back(std::move(cells));
    }
    return rows;
  }

  std::string Value(const std::string& value) const { return value == kMissing ? Style(value, "2") : Plain(value); }

  void Notes() {
    Line("");
    for (const auto& note : LegendNotes(summary_)) Labelled("", 0, note);
    for (const auto& note : AxisNotes(summary_)) Labelled("", 0, note);
    for (const auto& note : ConventionNotes()) Labelled("", 0, note);
    if (const auto notes = CostNotes(summary_); !notes.empty()) {
      Title("Cost basis");
      for (const auto& note : notes) Labelled("- ", 2, note);
    }
    if (const auto notes = InvalidNotes(summary_); !notes.empty()) {
      Title("Not valid");
      for (const auto& note : notes) Labelled(Style("!", "1;31") + " ", 2, note);
    }
    if (const auto notes = MissingNotes(summary_); !notes.empty()) {
      Title("Not measured");
      for (const auto& note : notes) Labelled("- ", 2, note);
    }
  }

  std::string Score(std::optional<double> score) const {
    return score ? FormatFixed(std::clamp(*score, -999.0, 999.0), 0) : Style(kMissing, "2");
  }

  // How sure the class is.
  static std::string Support(const cap::CapScores& scores) {
    return scores.class_support ? " " + FormatFixed(*scores.class_support * 100, 0) + "%" : "";
  }

  std::string ScoreTable() const {
    const std::vector<TableColumn> columns = {{"", "system", Align::kLeft, true},
                                              {"score", "cost"},
                                              {"score", "acc"},
                                              {"score", "perf"},
                                              {"", "class", Align::kLeft}};
    std::vector<std::vector<std::string>> rows;
    for (size_t i = 0; i < summary_.cap.size(); ++i) {
      const auto& scores = summary_.cap[i];
      rows.push_back(
          {Mark(i) + " " + Name(scores.system, kNameWidth), Score(scores.cost), Score(scores.accuracy),
           Score(scores.performance),
           cap::CapClassName(scores.cap_class) + Support(scores) + (ScoresAreInvalid(summary_, i) ? Style("!", "1;31") : "")});
    }
    return RenderTable(columns, rows, Options());
  }

  void Cap() {
    if (summary_.cap.empty()) return;
    Title(fmt::format("CAP at concurrency {}", summary_.cap_concurrency));
    const TerminalRadarOptions radar_options{.columns = 37, .unicode = options_.unicode, .color = options_.color};
    std::vector<std::string> radar = DrawTerminalRadar(summary_.cap, radar_options);
    std::vector<std::string> side;
    const std::string table = ScoreTable();
    for (size_t begin = 0; begin < table.size();) {
      const size_t end = table.find('\n', begin);
      side.push_back(table.substr(begin, end - begin));
      begin = end + 1;
    }
    const size_t gap = 3;
    size_t side_width = 0;
    for (const auto& line : side) side_width = std::max(side_width, DisplayWidth(line));
    if (radar_options.columns + gap + side_width > options_.width) {
      for (const auto& line : radar) Line(line.substr(0, line.find_last_not_of(' ') + 1));
      out_ += "\n" + table;
    } else {
      // The table stands at half height beside the radar.
      const size_t top = radar.size() > side.size() ? (radar.size() - side.size()) / 2 : 0;
      for (size_t i = 0; i < std::max(radar.size(), side.size() + top); ++i) {
        const std::string left = i < radar.size() ? radar[i] : "";
        const bool beside = i >= top && i - top < side.size();
        std::string line = beside ? PadRight(left, radar_options.columns + gap) + side[i - top] : left;
        line.erase(line.find_last_not_of(' ') + 1);
        Line(line);
      }
    }
    Line("");
    for (size_t i = 0; i < summary_.cap.size(); ++i) Reason(i);
    Labelled("", 0,
             CapScaleNote(summary_) + " PA gives up cost, PC accuracy, CA performance." +
                 (HasSupport() ? " The share beside a class is that of the resamples in which it holds." : ""),
             "2");
  }

  bool HasSupport() const {
    return std::ranges::any_of(summary_.cap, [](const cap::CapScores& scores) { return scores.class_support.has_value(); });
  }

  void Reason(size_t i) {
    const auto& scores = summary_.cap[i];
    const std::string reason = (ScoresAreInvalid(summary_, i) ? "NOT VALID. " : "") + CapReason(scores);
    const std::string text = fmt::format("{} ({}): {}", scores.system, cap::CapClassName(scores.cap_class),
                                         reason.empty() ? ClassMeaning(scores.cap_class) + "." : reason);
    Labelled(Mark(i) + " ", 2, text);
  }

  // Last, where the eye is when the run ends.
  void Result() {
    const Verdict verdict = MakeVerdict(summary_);
    Title("Verdict");
    if (!summary_.complete) Labelled("", 0, IncompleteWarning(), "1;31");
    Labelled("", 0, verdict.headline, "1");
    for (const auto& finding : verdict.findings) Labelled(options_.unicode ? "· " : "* ", 2, finding);
  }

  const RunSummary& summary_;
  const TerminalOptions& options_;
  std::string out_;
};

}  // namespace

std::string RenderTerminal(const RunSummary& summary, const TerminalOptions& options) {
  TerminalOptions usable = options;
  usable.width = std::max<size_t>(usable.width, 40);
  const RunSummary printable = Printable(summary);
  return Page(printable, usable).Render();
}

}  // namespace moecap::report
